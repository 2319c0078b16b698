//! Containers that take all there is - memory, logs, files - and what is left of them.

use std::fs;
use std::path::Path;

use anyhow::{Result, ensure};
use serde_json::json;

use crate::bed::Bed;
use crate::lasting::container;
use crate::pod::{Pod, both, mount};
use crate::pods::{LONG, Pods};
use crate::runner::{Test, tests};
use crate::suites::require_root;
use crate::wait;

pub(crate) const TESTS: &[Test] = tests![
    memory_of_processes_and_files_counts,
    a_crowd_of_processes_stays_within_its_bound,
    a_log_without_line_breaks_is_bounded,
    files_that_are_hard_to_remove,
    the_image_of_the_machine_stays_as_it_is,
];

/// Over its limit, the container ends or a process of it; the others of the pod do not.
fn memory_of_processes_and_files_counts(bed: &Bed) -> Result<()> {
    require_root()?;
    let pods = Pods::start(bed)?;
    let limited = json!({"resources": {"limits": {"memory": "24Mi"}}});
    let into = |path: &str| format!("head -c 60000000 /dev/zero > {path}; mark took $?; live");
    let program = json!({"volumeMounts": [mount("e2e", "/e2e"), mount("memory", "/memory")]});
    let cases: [(&str, String); 4] = [
        ("alone", "exec /e2e eat 300".to_owned()),
        ("children", "(/e2e eat 300; mark took $?) & (/e2e eat 300; mark took $?) & wait; live".to_owned()),
        ("volume", into("/memory/file")),
        ("shm", into("/dev/shm/file")),
    ];
    for (name, script) in &cases {
        let pod = Pod::new(name)
            .volume(json!({"name": "memory", "emptyDir": {"medium": "Memory"}}))
            .volume(json!({"name": "e2e", "hostPath": {"path": std::env::current_exe()?, "type": "File"}}));
        pods.create(&pod.app_with("main", script, &both(&program, &limited)).app("beside", "live"))?;
    }
    for (name, _) in &cases {
        // Where the kernel ends a group as a whole, the container says so; else the process that grew has been killed.
        let status = pods.wait(name, "its end for lack of memory", |status| {
            let state = &container(status, "main")["state"];
            state["terminated"]["reason"] == "OOMKilled" || pods.history(name).count("main took 137") > 0
        })?;
        let beside = container(&status, "beside");
        ensure!(beside["ready"] == true && beside["restartCount"] == 0, "{name}: {status:#}");
    }
    pods.finish()
}

/// A pod that starts whatever it can: others start beside it, and it ends.
fn a_crowd_of_processes_stays_within_its_bound(bed: &Bed) -> Result<()> {
    require_root()?;
    const MAX: usize = 40;
    let pods = Pods::start_with(bed, &["--dev", "--pod-max-pids", &MAX.to_string()])?;
    let program = std::env::current_exe()?;
    let e2e = json!({"name": "e2e", "hostPath": {"path": program, "type": "File"}});
    let crowd = json!({"command": ["/e2e", "crowd", "400"], "volumeMounts": [mount("e2e", "/e2e")]});
    pods.create(&Pod::new("crowd").volume(e2e).app_with("main", "", &crowd))?;
    pods.create(&Pod::new("before").app("main", "live"))?;
    let said = wait::until("the size of the crowd", LONG, || {
        pods.log("crowd", "container=main").ok().filter(|said| said.ends_with('\n'))
    })?;
    let started: usize = said.trim().parse()?;
    ensure!((MAX / 2..MAX).contains(&started), "{started} threads were started");
    pods.create(&Pod::new("after").app("main", "live"))?;
    for other in ["crowd", "before", "after"] {
        pods.wait_ready(other)?;
    }
    pods.delete("crowd", None)?;
    pods.wait_gone("crowd")?;
    pods.finish()
}

/// More than all files of a log may have together, as one line.
fn a_log_without_line_breaks_is_bounded(bed: &Bed) -> Result<()> {
    require_root()?;
    const BYTES_MAX: u64 = 6 * (10 << 20);
    let pods = Pods::start(bed)?;
    let flood = "head -c 80000000 /dev/zero | tr '\\0' x; mark flooded; live";
    pods.create(&Pod::new("flood").app("main", flood))?;
    pods.create(&Pod::new("other").app("main", "echo here; live"))?;
    pods.wait_mark("flood", "main flooded")?;
    let bytes = size_of_files(&bed.pod_logs());
    ensure!((10 << 20..BYTES_MAX).contains(&bytes), "the logs have {bytes} bytes");
    let some = pods.log("flood", "limitBytes=1000")?;
    ensure!(some.len() == 1_000 && some.bytes().all(|byte| byte == b'x'), "{} bytes", some.len());
    ensure!(pods.log("other", "")? == "here\n");
    pods.finish()
}

fn size_of_files(directory: &Path) -> u64 {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(found) if found.is_dir() => size_of_files(&entry.path()),
            Ok(found) => found.len(),
            Err(_) => 0,
        })
        .sum()
}

/// So many of them, deeper than a path can be, with names like options, without a mode, and some that cannot be changed.
fn files_that_are_hard_to_remove(bed: &Bed) -> Result<()> {
    require_root()?;
    let pods = Pods::start(bed)?;
    let data = json!({"volumeMounts": [mount("data", "/data"), mount("e2e", "/e2e")]});
    let able = json!({"securityContext": {"capabilities": {"add": ["LINUX_IMMUTABLE"]}}});
    let cases = [
        ("many", "cd /data; seq 1 60000 | xargs touch; mark up; live"),
        ("deep", "cd /data; /e2e deep 600; cd /tmp; /e2e deep 600; mark up; live"),
        (
            "names",
            "cd /data; mkdir -- -rf '*' \"$(printf 'a\\nb')\" ' '; mkdir -m 0 closed; mkfifo fifo; mknod zero c 1 5; mark up; live",
        ),
        (
            "fixed",
            "cd /data; mkdir a; touch a/b c; chattr +i a/b a 2>/dev/null; chattr +a c 2>/dev/null; mark up; live",
        ),
    ];
    for (name, script) in &cases {
        let pod = Pod::new(name)
            .volume(json!({"name": "data", "emptyDir": {}}))
            .volume(json!({"name": "e2e", "hostPath": {"path": std::env::current_exe()?, "type": "File"}}));
        pods.create(&pod.app_with("main", script, &both(&data, &able)))?;
    }
    for (name, _) in &cases {
        pods.wait_mark(name, "main up")?;
        pods.delete(name, None)?;
    }
    for (name, _) in &cases {
        pods.wait_gone(name)?;
    }
    let left = bed.root().join("var/lib/monopod/pods");
    wait::until("nothing left of the pods", LONG, || (fs::read_dir(&left).ok()?.count() == 0).then_some(()))?;
    pods.finish()
}

/// On a machine whose `/usr` has things in it that should not reach far: the container sees none of what links lead to,
/// opens no device, and changes nothing.
fn the_image_of_the_machine_stays_as_it_is(bed: &Bed) -> Result<()> {
    require_root()?;
    let secret = bed.file("secret", "the machine's")?;
    let (secret, dir) = (secret.display(), bed.dir().display());
    // Its own /usr, in a mount namespace of its own, for one engine.
    let setup = format!(
        "mkdir {dir}/fs; mount -t tmpfs none {dir}/fs; mkdir {dir}/fs/upper {dir}/fs/work
        mount -t overlay overlay -o lowerdir=/usr,upperdir={dir}/fs/upper,workdir={dir}/fs/work /usr
        mkdir -p /usr/share/e2e; cd /usr/share/e2e
        ln -s {secret} absolute; ln -s ../../../../../../../../..{secret} relative; ln -s /proc/1/root{secret} magic
        ln -s / root; echo old > file; ln file hard; mkdir directory; echo old > directory/file
        mknod mem c 1 1; mknod kmsg c 1 11; mknod disk b 7 0; mkfifo fifo
        echo there > gone; rm gone; cd /"
    );
    let script = format!(
        "cd /usr/share/e2e; say files $(ls | wc -l)
        for f in absolute relative magic root{secret} {secret}; do cat $f >/dev/null 2>&1 && say sees $f; done
        for f in /etc/shadow /root/.ssh /var/lib/monopod {dir}; do [ -e $f ] && say sees $f; done
        for d in mem kmsg disk; do (: < $d) 2>/dev/null && say opens $d; done
        echo new > file; echo more >> hard; rm -rf directory; mv fifo moved; echo here > gone; chmod 4777 file; rm root
        say is $(cat file hard gone); say end"
    );
    let look = "cd /usr/share/e2e; say after $(ls) $(cat file hard directory/file); say end";
    // A second container, with a layer of its own, finds what the machine has.
    let pod = Pod::new("machine").init("attacker", &script).app("looker", look);
    let manifest = bed.manifest(&pod)?;
    bed.finish(bed.run_command_after(&setup)?.arg(manifest))?.expect_code(0)?;
    let lines = bed.trace.lines();
    let wrong: Vec<&String> =
        lines.iter().filter(|line| line.contains(" sees ") || line.contains(" opens ")).collect();
    ensure!(wrong.is_empty(), "{wrong:?}");
    bed.trace.expect_order(&[
        "attacker files 11",
        "attacker is new old more here",
        "attacker end",
        "looker after absolute directory disk fifo file hard kmsg magic mem relative root old old old",
        "looker end",
    ])
}
