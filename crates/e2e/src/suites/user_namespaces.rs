//! Pods whose users are none of the host's (`hostUsers: false`).

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, chown};

use anyhow::{Context as _, Result, ensure};
use linux_sys::mount::tmpfs_maps_ids;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::bed::{Bed, SOON};
use crate::cluster::Cluster;
use crate::lasting::{Lasting, container};
use crate::outcome::skip;
use crate::pod::{Pod, both, exec, mount, probe};
use crate::pods::Pods;
use crate::runner::{Test, tests};
use crate::suites::adoption::processes;
use crate::suites::{hook, require_root};
use crate::wait;

pub(crate) const TESTS: &[Test] = tests![
    volumes_of_every_kind,
    ids_are_the_pods_alone,
    probes_hooks_and_commands,
    processes_that_are_shared,
    an_engine_that_comes_back,
    a_shim_that_is_left_alone,
    a_whole_proc,
    ids_that_the_pod_does_not_have,
];

const MAP: &str = "tr -s ' ' < /proc/self/uid_map | cut -d' ' -f3";

pub(super) fn require_id_maps() -> Result<()> {
    require_root()?;
    if tmpfs_maps_ids() { Ok(()) } else { skip("tmpfs shows other ids from Linux 6.3 on") }
}

fn pod(name: &str) -> Pod {
    Pod::new(name).spec(&json!({"hostUsers": false}))
}

fn inside(cluster: &Cluster<'_>, pod: &str, script: &str) -> Result<String> {
    cluster.output(&["exec", pod, "-c", "main", "--", "sh", "-c", script])
}

/// The first of the ids that the pods under the test's root have.
fn first_ids(bed: &Bed) -> Result<BTreeSet<u32>> {
    let mut ids = BTreeSet::new();
    for pod in fs::read_dir(bed.root().join("var/lib/monopod/pods"))? {
        let text = fs::read_to_string(pod?.path().join("users")).unwrap_or_default();
        ids.extend(text.trim().parse::<u32>());
    }
    Ok(ids)
}

/// Files look to the container as they look on the host, and what it makes looks to the host as it does to it.
fn volumes_of_every_kind(bed: &Bed) -> Result<()> {
    require_id_maps()?;
    let cluster = Cluster::start(bed)?;
    cluster.output(&["create", "configmap", "settings", "--from-literal=key=value"])?;
    cluster.output(&["create", "secret", "generic", "hidden", "--from-literal=key=value"])?;
    let host = bed.dir().join("host");
    fs::create_dir(&host)?;
    for (name, id) in [("root", 0), ("user", 1234)] {
        fs::write(host.join(name), name)?;
        chown(host.join(name), Some(id), Some(id))?;
    }
    let field = json!({"fieldRef": {"fieldPath": "metadata.name"}, "path": "name"});
    let projected = json!({"sources": [
        {"configMap": {"name": "settings"}}, {"serviceAccountToken": {"path": "token"}},
    ]});
    let volumes = [
        ("disk", json!({"emptyDir": {}})),
        ("memory", json!({"emptyDir": {"medium": "Memory"}})),
        ("host", json!({"hostPath": {"path": host}})),
        ("config", json!({"configMap": {"name": "settings"}})),
        ("secret", json!({"secret": {"secretName": "hidden", "defaultMode": 0o400}})),
        ("fields", json!({"downwardAPI": {"items": [field]}})),
        ("projected", json!({"projected": projected})),
        ("image", json!({"image": {"reference": "localhost/host"}})),
    ];
    let mut made = pod("volumes").spec(&json!({"securityContext": {"fsGroup": 4321}}));
    for (name, source) in &volumes {
        made = made.volume(both(&json!({"name": name}), source));
    }
    let mounts: Vec<Value> = volumes.iter().map(|(name, _)| mount(name, &format!("/{name}"))).collect();
    cluster.apply_pod(&made.app_with("main", "serve", &json!({"volumeMounts": mounts})))?;
    cluster.wait_ready("volumes")?;
    let said = inside(
        &cluster,
        "volumes",
        "stat -L -c '%n %u:%g' /disk /memory /host/* /config/key /secret/key /fields/name /projected/token /image/etc \
         /etc/hosts /etc/resolv.conf /etc/hostname /dev/shm /dev/termination-log; cat /secret/key; echo; \
         id -G; for at in disk memory host; do touch /$at/new; chown 7:8 /$at/new || exit 1; \
         stat -c %u:%g /$at/new; done",
    )?;
    let expected = "\
/disk 0:4321
/memory 0:4321
/host/root 0:0
/host/user 1234:1234
/config/key 0:4321
/secret/key 0:4321
/fields/name 0:4321
/projected/token 0:4321
/image/etc 0:0
/etc/hosts 0:0
/etc/resolv.conf 0:0
/etc/hostname 0:0
/dev/shm 0:0
/dev/termination-log 0:0
value
0 4321
7:8
7:8
7:8
";
    ensure!(said == expected, "{said}");
    let found = fs::metadata(host.join("new"))?;
    ensure!((found.uid(), found.gid()) == (7, 8), "{found:?}");
    cluster.output(&["patch", "configmap", "settings", "-p", r#"{"data":{"key":"other"}}"#])?;
    wait::until("the change", SOON, || {
        inside(&cluster, "volumes", "cat /config/key").ok().filter(|said| said == "other")
    })?;
    cluster.output(&["delete", "pod", "volumes"])?;
    bed.expect_no_pods(SOON)?;
    cluster.finish()
}

/// On the host a pod's processes, and what it writes to its root, have ids that no other pod has.
fn ids_are_the_pods_alone(bed: &Bed) -> Result<()> {
    require_id_maps()?;
    let cluster = Cluster::start(bed)?;
    let as_user = json!({"securityContext": {"runAsUser": 1000}});
    for name in ["one", "two"] {
        let script = "echo > /tmp/mine; serve";
        cluster.apply_pod(&pod(name).app("main", script).app_with("user", "live", &as_user))?;
        cluster.wait_ready(name)?;
    }
    let firsts = first_ids(bed)?;
    ensure!(firsts.len() == 2, "{firsts:?}");
    for name in ["one", "two"] {
        let first: u32 = inside(&cluster, name, MAP)?.trim().parse()?;
        ensure!(firsts.contains(&first), "{first} is none of {firsts:?}");
        let uid = cluster.output(&["get", "pod", name, "-o", "jsonpath={.metadata.uid}"])?;
        let pod_dir = bed.root().join("var/lib/monopod/pods").join(&uid);
        let upper = pod_dir.join("containers/main/0/layers/0/upper");
        let owner = fs::metadata(upper.join("tmp/mine"))?.uid();
        ensure!(owner == first, "its file is {owner}'s on the host");
        let owners: BTreeSet<u32> = processes(&[uid])
            .iter()
            .map(|pid| Ok(fs::metadata(format!("/proc/{pid}"))?.uid()))
            .collect::<Result<_>>()?;
        ensure!(owners == BTreeSet::from([first, first + 1000]), "its processes are of {owners:?}");
    }
    for name in ["one", "two"] {
        cluster.output(&["delete", "pod", name])?;
    }
    bed.expect_no_pods(SOON)?;
    cluster.finish()
}

fn probes_hooks_and_commands(bed: &Bed) -> Result<()> {
    require_id_maps()?;
    let pods = Pods::start(bed)?;
    let is_root = "[ $(id -u) = 0 ] && [ $(stat -c %u /proc/self/fd/0) != 65534 ]";
    let started = probe("startupProbe", &exec(&format!("{is_root} && touch /etc/started")), &json!({}));
    let ready = probe("readinessProbe", &exec("[ -e /etc/started ]"), &json!({}));
    let fields =
        both(&both(&started, &ready), &hook("postStart", "say $(id -u) $(cat /proc/self/uid_map | wc -l)"));
    let answering = pod("handlers").answers_beside("server").app_with(
        "main",
        "echo by name > /dev/stdout; echo by name > /dev/stderr; echo last > /dev/termination-log; live",
        &fields,
    );
    pods.create(&answering)?;
    pods.wait_ready("handlers")?;
    bed.trace.wait("hook 0 1", SOON)?;
    let log = wait::until("the log", SOON, || {
        pods.log("handlers", "container=main").ok().filter(|log| log.lines().count() == 2)
    })?;
    ensure!(log == "by name\nby name\n", "{log:?}");
    let doctor = json!({
        "name": "doctor", "image": "localhost/host", "targetContainerName": "main",
        "command": ["sh", "-c", format!("{MAP}; ls -d /proc/1; kill -0 1 && echo signalled")],
    });
    pods.debug("handlers", &doctor)?;
    let log = wait::until("the doctor's log", SOON, || {
        pods.log("handlers", "container=doctor").ok().filter(|log| log.lines().count() == 3)
    })?;
    let first = first_ids(bed)?.into_iter().next().context("no ids")?;
    ensure!(log == format!("{first}\n/proc/1\nsignalled\n"), "{log}");
    pods.delete("handlers", None)?;
    pods.wait_gone("handlers")?;
    ensure!(pods.history("handlers").count("main stop") == 1, "it was not told");
    pods.finish()
}

fn processes_that_are_shared(bed: &Bed) -> Result<()> {
    require_id_maps()?;
    let script = "until [ -s /trace/pid ]; do sleep 0.05; done; say $(ps -eo uid,comm | grep -c 65534) $(stat -c %u /proc/1); \
                  kill -TERM $(cat /trace/pid)";
    let shared = pod("shared")
        .spec(&json!({"shareProcessNamespace": true}))
        .sidecar("side", "sleep 1000000 & echo $! > /trace/pid; wait; say ended; serve")
        .app("main", script);
    bed.run_pod(&shared)?.expect_code(0)?;
    bed.trace.wait("side ended", SOON)?;
    // The shim's init in it is the pod's root as well.
    ensure!(bed.trace.count("main 0 0") == 1, "{:?}", bed.trace.lines());
    bed.expect_settled()
}

/// The pod keeps its ids, also for containers that it starts later; the next one has others.
fn an_engine_that_comes_back(bed: &Bed) -> Result<()> {
    require_id_maps()?;
    let script = format!("say $({MAP}); while [ ! -e /trace/go ]; do sleep 0.05; done; rm /trace/go; exit 1");
    let restarting = pod("kept").spec(&json!({"restartPolicy": "Always"})).app("main", &script);
    let mut lasting = Lasting::start(bed)?;
    lasting.add(&restarting)?;
    let before = lasting.wait_ready("kept")?;
    let first = first_ids(bed)?.into_iter().next().context("no ids")?;
    lasting.kill_and_start_again()?;
    ensure!(lasting.wait_ready("kept")? == before, "its status has changed");
    fs::write(bed.dir().join("trace/go"), "")?;
    bed.trace.wait_count(&format!("main {first}"), 2, SOON)?;
    lasting.wait_status("kept", "restarted", |status| container(status, "main")["restartCount"] == 1)?;
    lasting.add(&pod("next").app("other", &format!("say $({MAP}); serve")))?;
    lasting.wait_ready("next")?;
    bed.trace.expect_absent(&format!("other {first}"))?;
    ensure!(first_ids(bed)?.len() == 2, "{:?}", first_ids(bed)?);
    lasting.end(&["kept", "next"])
}

/// It stops the pod in order when its engine has died.
fn a_shim_that_is_left_alone(bed: &Bed) -> Result<()> {
    require_id_maps()?;
    let engine = bed.start_pod(&pod("bound").app_with("main", "serve", &hook("preStop", "say $(id -u)")))?;
    bed.trace.wait("main start", SOON)?;
    engine.signal(Signal::KILL)?;
    bed.trace.wait("main stop", SOON)?;
    bed.trace.expect_order(&["main start", "hook 0", "main stop"])?;
    drop(engine);
    bed.expect_clean(SOON)
}

/// `procMount: Unmasked` is for containers that start containers: the kernel shows nobody all of another `/proc` who sees part of his own.
fn a_whole_proc(bed: &Bed) -> Result<()> {
    require_id_maps()?;
    let looks = "say $(mount | grep -c ' /proc/') \
                 $(sh -c 'echo 61 > /proc/sys/net/ipv4/tcp_fin_timeout' 2>/dev/null && echo own); \
                 sh -c 'echo x > /proc/sys/kernel/core_pattern' 2>/dev/null || say nothing of the host; \
                 mkdir /p; say $(unshare -Urmpf sh -c 'mount -t proc proc /p 2>/dev/null && cat /p/1/comm')";
    let with = |kind: &str| {
        let admin = json!({"capabilities": {"add": ["SYS_ADMIN", "NET_ADMIN"]}, "procMount": kind});
        json!({"securityContext": admin})
    };
    let both =
        pod("procs").init_with("whole", looks, &with("Unmasked")).app_with("masked", looks, &with("Default"));
    bed.run_pod(&both)?.expect_code(0)?;
    let expected =
        ["whole 0 own", "whole nothing of the host", "whole sh", "masked nothing of the host", "masked "];
    bed.trace.expect_order(&expected)?;
    ensure!(!bed.trace.lines().iter().any(|line| line.starts_with("masked 0") || line.contains("masked sh")));
    bed.expect_settled()
}

fn ids_that_the_pod_does_not_have(bed: &Bed) -> Result<()> {
    require_id_maps()?;
    let cluster = Cluster::start(bed)?;
    let user = json!({"securityContext": {"runAsUser": 65_536}});
    cluster.apply_pod(&pod("beyond").app_with("main", "serve", &user))?;
    let path = "jsonpath={.status.containerStatuses[0].state.waiting}";
    let waiting = wait::until("the refusal", SOON, || {
        let found: Value =
            serde_json::from_str(&cluster.output(&["get", "pod", "beyond", "-o", path]).ok()?).ok()?;
        (found["reason"] == "CreateContainerError").then_some(found)
    })?;
    let message = waiting["message"].as_str().unwrap_or_default();
    ensure!(
        message.contains("user 65536 is none of the pod's own (hostUsers: false), which are 0 to 65535"),
        "{message}"
    );
    cluster.output(&["delete", "pod", "beyond"])?;
    bed.expect_no_pods(SOON)?;
    cluster.finish()
}
