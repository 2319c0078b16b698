//! Other resources for running containers, through their shim.

use linux_sys::cgroup::Hierarchies;
use podspec::{Pod, Resources};

use crate::Case;
use crate::bed::{Bed, Running};

pub(crate) const CASES: &[Case] = &[
    ("a_resize_reaches_the_container_and_its_pod", a_resize_reaches_the_container_and_its_pod),
    (
        "a_container_that_starts_later_finds_room_in_its_pod",
        a_container_that_starts_later_finds_room_in_its_pod,
    ),
    ("a_resize_of_what_does_not_run_says_so", a_resize_of_what_does_not_run_says_so),
];

const POD: &str = r#"
containers:
- {name: a, image: i, command: [sleep, '1000'], resources: {limits: {cpu: 500m, memory: 64Mi}}}
- {name: b, image: i, command: [sleep, '1000'], resources: {limits: {cpu: 500m, memory: 64Mi}}}
"#;

/// The quota in thousandths of a processor and the memory in MiB, of a container's group or the pod's.
fn limits(running: &Running<'_>, group: &str) -> (u64, u64) {
    let hierarchies = Hierarchies::detect().unwrap();
    let group = hierarchies.group(format!("monopod/pod{}/{group}", running.uid()));
    let read = |file: &str| {
        let found = group.directories().find_map(|(_, dir)| std::fs::read_to_string(dir.join(file)).ok());
        found.unwrap_or_else(|| panic!("no {file}"))
    };
    let (quota, memory) = if hierarchies.is_v2() {
        (read("cpu.max"), read("memory.max"))
    } else {
        (read("cpu.cfs_quota_us"), read("memory.limit_in_bytes"))
    };
    let number = |text: &str| text.split_whitespace().next().unwrap().parse::<u64>().unwrap();
    (number(&quota) / 100, number(&memory) >> 20)
}

fn give(pod: &mut Pod, name: &str, milli: u64, mib: u64) {
    let container = pod.spec.containers.iter_mut().find(|container| container.name.as_str() == name).unwrap();
    container.resources = Resources {
        cpu_request: Some(milli),
        cpu_limit: Some(milli),
        memory_request: Some(mib << 20),
        memory_limit: Some(mib << 20),
    };
}

fn can_limit() -> bool {
    let hierarchies = Hierarchies::detect().unwrap();
    let able = !hierarchies.is_v2() || {
        let root = hierarchies.limiting().next().unwrap().mount.join("cgroup.controllers");
        let controllers = std::fs::read_to_string(root).unwrap();
        ["cpu", "memory"].iter().all(|name| controllers.split_whitespace().any(|found| found == *name))
    };
    if !able {
        println!("Skipped(no cgroup controllers cpu and memory)");
    }
    able
}

fn a_resize_reaches_the_container_and_its_pod(bed: &Bed) {
    if !can_limit() {
        return;
    }
    let engine = bed.engine();
    let running = engine.create(&bed.pod(POD, true));
    running.start("a", 0);
    running.start("b", 0);
    assert_eq!(limits(&running, ""), (1000, 128));
    for (milli, mib) in [(1500, 100), (100, 16)] {
        let changed = running.changed(|pod| {
            give(pod, "a", milli, mib);
            give(pod, "b", 2 * milli, 2 * mib);
        });
        running.resize("a", &changed.pod).unwrap();
        assert_eq!(limits(&running, "a-0"), (milli, mib));
        running.resize("b", &changed.pod).unwrap();
        assert_eq!(limits(&running, "b-0"), (2 * milli, 2 * mib));
        assert_eq!(limits(&running, ""), (3 * milli, 3 * mib));
    }
    // The end of the one that still has more lets the pod shrink.
    let changed = running.changed(|pod| {
        give(pod, "a", 50, 8);
        give(pod, "b", 50, 8);
    });
    running.resize("a", &changed.pod).unwrap();
    assert_eq!((limits(&running, "a-0"), limits(&running, "")), ((50, 8), (300, 48)));
    running.kill("b", 0);
    running.exit_of("b", 0);
    assert_eq!(limits(&running, ""), (100, 16));
    running.end();
}

fn a_container_that_starts_later_finds_room_in_its_pod(bed: &Bed) {
    if !can_limit() {
        return;
    }
    let engine = bed.engine();
    let running = engine.create(&bed.pod(POD, true));
    running.start("a", 0);
    // As after a resize whose policy is a restart: nothing was asked of the one that ran.
    let changed = Running {
        engine: &engine,
        pod: running.changed(|pod| give(pod, "b", 3000, 256)),
        facts: running.facts.clone(),
        observed: running.observed.clone(),
    };
    changed.start("b", 0);
    assert_eq!(limits(&running, "b-0"), (3000, 256));
    assert_eq!(limits(&running, ""), (3500, 320));
    running.end();
}

fn a_resize_of_what_does_not_run_says_so(bed: &Bed) {
    let engine = bed.engine();
    let running = engine.create(&bed.pod(POD, true));
    let error = running.resize("a", &running.pod.pod).unwrap_err();
    assert_eq!(error.0, "container \"a\" has no attempt 0 in this sandbox");
    running.start("a", 0);
    running.kill("a", 0);
    running.exit_of("a", 0);
    let error = running.resize("a", &running.pod.pod).unwrap_err();
    assert_eq!(error.0, "container \"a\" is not running");
    running.end();
}
