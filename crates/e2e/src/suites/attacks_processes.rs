//! Processes against each other, against the shim and the engine, and against their own end.

use std::fs;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::bed::{Bed, SOON};
use crate::pod::{Pod, mount};
use crate::pods::Pods;
use crate::runner::{Test, tests};
use crate::suites::require_root;

pub(crate) const TESTS: &[Test] = tests![
    every_process_that_is_seen_is_killed,
    others_of_a_shared_namespace_with_another_user,
    rights_from_files,
    the_program_of_the_shim,
    what_does_not_want_to_end,
];

/// `kill -9 -1`, again and again, as root: it ends what is in the container, and nothing else.
fn every_process_that_is_seen_is_killed(bed: &Bed) -> Result<()> {
    require_root()?;
    let pods = Pods::start(bed)?;
    let kill = "sleep 1000 & other=$!; kill -9 -1; wait $other; mark killed $?; for n in 1 2 3 4 5 6 7 8 9; do kill -9 -1; done;
        kill -9 1; mark alive; live";
    pods.create(&Pod::new("killer").app("main", kill).app("beside", "live"))?;
    pods.create(&Pod::new("other").app("main", "live"))?;
    pods.wait_mark("killer", "main killed 137")?;
    pods.wait_mark("killer", "main alive")?;
    for pod in ["killer", "other"] {
        let status = pods.wait_ready(pod)?;
        let restarts = status["containerStatuses"].as_array().into_iter().flatten();
        let restarts: Vec<&Value> = restarts.map(|container| &container["restartCount"]).collect();
        ensure!(restarts.iter().all(|count| **count == 0), "{pod}: {restarts:?}");
    }
    pods.finish()
}

/// Reads and does what only the owner of a process may, to every process that it sees.
const TRY_ALL: &str = "
    for p in /proc/[0-9]*; do
        n=${p#/proc/}; [ $n = $$ ] || [ $n = 1 ] && continue
        case $(tr '\\0' ' ' < $p/cmdline) in 'sleep 98765 ') ;; *) continue ;; esac
        mark sees
        (tr '\\0' '\\n' < $p/environ | grep -q SECRET=) 2>/dev/null && mark environ
        ls $p/root/ >/dev/null 2>&1 && mark root
        ls $p/fd/ >/dev/null 2>&1 && [ -r $p/fd/0 ] && mark fd
        (head -c 1 $p/mem) 2>&1 | grep -q 'ermission denied' || mark mem
        kill -0 $n 2>/dev/null && mark signal
    done; mark end; live";

fn others_of_a_shared_namespace_with_another_user(bed: &Bed) -> Result<()> {
    require_root()?;
    let pods = Pods::start(bed)?;
    let user = |uid: u32| json!({"securityContext": {"runAsUser": uid}});
    let shared = |name: &str| Pod::new(name).spec(&json!({"shareProcessNamespace": true}));
    let victim = |uid: u32| {
        json!({"securityContext": {"runAsUser": uid}, "env": [{"name": "SECRET", "value": "x"}],
            "command": ["sleep", "98765"]})
    };
    for (name, of_victim, of_attacker) in [("others", 1234, 4321), ("roots", 0, 4321), ("own", 1234, 1234)] {
        let wait = "until cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' ' | grep -q 'sleep 9876[5]'; do sleep 0.1; done;";
        let pod = shared(name).app_with("victim", "", &victim(of_victim));
        pods.create(&pod.app_with("main", &format!("{wait}{TRY_ALL}"), &user(of_attacker)))?;
    }
    for (name, may) in [("others", false), ("roots", false), ("own", true)] {
        let history = pods.wait_mark(name, "main end")?;
        ensure!(history.count("main sees") > 0, "{name}: {history}");
        for what in ["environ", "root", "fd", "mem", "signal"] {
            let did = history.count(&format!("main {what}")) > 0;
            ensure!(did == may, "{name}: {what} is {did}\n{history}");
        }
    }
    pods.finish()
}

/// A program with the set-user-ID bit, and one with a capability, for a user who has neither.
fn rights_from_files(bed: &Bed) -> Result<()> {
    require_root()?;
    use std::os::unix::fs::PermissionsExt as _;
    let directory = bed.dir().join("programs");
    fs::create_dir(&directory)?;
    let cat = fs::canonicalize("/bin/cat")?;
    for (name, mode) in [("plain", 0o755), ("setuid", 0o4755)] {
        fs::copy(&cat, directory.join(name))?;
        fs::set_permissions(directory.join(name), fs::Permissions::from_mode(mode))?;
    }
    // VFS_CAP_REVISION_2 with the effective bit, permitted: CAP_NET_RAW, CAP_SYS_ADMIN.
    for (name, capability) in [("raw", 13_u32), ("admin", 21)] {
        let path = directory.join(name);
        fs::copy(&cat, &path)?;
        let value = [0x0200_0001_u32, 1 << capability, 0, 0, 0].map(u32::to_le_bytes).concat();
        rustix::fs::setxattr(&path, c"security.capability", &value, rustix::fs::XattrFlags::empty())
            .with_context(|| format!("cannot give {} a capability", path.display()))?;
    }
    let script = "
        euid() { sed -n 's/^Uid:\\t[0-9]*\\t\\([0-9]*\\).*/\\1/p'; }; caps() { sed -n 's/^CapEff:\\t0*\\(.*\\)/\\1/p'; }
        for p in plain setuid; do say $p $(/programs/$p /proc/self/status | euid); done
        for p in raw admin; do say $p $(/programs/$p /proc/self/status 2>/dev/null | caps); done; say end";
    let volume = json!({"name": "programs", "hostPath": {"path": directory, "type": "Directory"}});
    let with = |context: Value| json!({"securityContext": context, "volumeMounts": [mount("programs", "/programs")]});
    let pod = Pod::new("files")
        .volume(volume)
        .app_with("may", script, &with(json!({"runAsUser": 1234})))
        .app_with("not", script, &with(json!({"runAsUser": 1234, "allowPrivilegeEscalation": false})))
        .app_with("none", script, &with(json!({"runAsUser": 1234, "capabilities": {"drop": ["ALL"]}})));
    bed.run_pod(&pod)?.expect_code(0)?;
    let lines = bed.trace.lines();
    for expected in [
        // What the default capabilities have, a file gives; and never more.
        "may plain 1234",
        "may setuid 0",
        "may raw 2000",
        "may admin",
        "not plain 1234",
        "not setuid 1234",
        "not raw",
        "not admin",
        "none plain 1234",
        "none setuid 0",
        "none raw",
        "none admin",
    ] {
        ensure!(lines.iter().any(|line| line == expected), "{expected:?} is missing: {lines:?}");
    }
    Ok(())
}

/// `/proc/self/exe`, executed in a container, is the program of the shim until then (CVE-2019-5736): who keeps it open can
/// never write to it. That it is being executed does not count as a protection: one day it is not.
fn the_program_of_the_shim(bed: &Bed) -> Result<()> {
    require_root()?;
    let watch = "
        while :; do for p in /proc/[0-9]*; do
            case $(tr '\\0' ' ' < $p/cmdline 2>/dev/null) in
                '/proc/self/exe --root /x serve ') exec 8< $p/exe && break 2 ;; esac
        done; done 2>/dev/null
        (: >> /proc/self/fd/8) 2>/dev/null && say writes
        chmod $(stat -L -c %a /proc/self/fd/8) /proc/self/fd/8 2>&1 | grep -q 'Read-only file system' && say read-only
        say end";
    let able = json!({"securityContext": {"capabilities": {"add": ["SYS_PTRACE"]}}});
    let itself = json!({"command": ["/proc/self/exe", "--root", "/x", "serve"]});
    let pod = Pod::new("program").spec(&json!({"shareProcessNamespace": true, "restartPolicy": "OnFailure"}));
    let engine = bed.start_pod(&pod.app_with("main", watch, &able).app_with("executed", "", &itself))?;
    bed.trace.wait("main end", SOON)?;
    bed.trace.expect_order(&["main read-only", "main end"])?;
    bed.trace.expect_absent("main writes")?;
    bed.interrupt(engine)?;
    Ok(())
}

/// Ignores every signal, is a daemon, stands still: gone after the deletion all the same.
fn what_does_not_want_to_end(bed: &Bed) -> Result<()> {
    require_root()?;
    let pods = Pods::start(bed)?;
    let stubborn = "trap '' HUP INT QUIT TERM USR1 USR2 PIPE ALRM TSTP TTIN TTOU";
    let many = "n=0; while [ $n -lt 60 ]; do (setsid sh -c \"$s; (sleep 100000 &) ; sleep 100000\" &); n=$((n + 1)); done";
    let cases = [
        ("ignores", format!("{stubborn}; mark up; while :; do sleep 1000; done")),
        ("daemons", format!("s=\"{stubborn}\"; {many}; mark up; sleep 100000")),
        ("stops", format!("{stubborn}; (sh -c 'kill -STOP $$' &); mark up; kill -STOP $$; sleep 100000")),
        ("executes", format!("{stubborn}; mark up; while :; do sh -c 'sleep 0.01 & sleep 0.01 &'; done")),
    ];
    for (name, script) in &cases {
        let pod = Pod::new(name).spec(&json!({"terminationGracePeriodSeconds": 1}));
        pods.create(&pod.app("main", script).sidecar("side", script))?;
    }
    for (name, _) in &cases {
        pods.wait_mark(name, "main up")?;
    }
    for (name, _) in &cases {
        pods.delete(name, None)?;
    }
    for (name, _) in &cases {
        pods.wait_gone(name)?;
    }
    bed.expect_no_pods(SOON)?;
    pods.finish()
}
