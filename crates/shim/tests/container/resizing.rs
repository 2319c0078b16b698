//! Other limits for containers that run.

use container_config::{ResourceLimits, SandboxConfig};
use linux_sys::cgroup::Hierarchies;
use shim::container::{Beside, Spawned};

use crate::Case;
use crate::bed::{Bed, finish, read_line};
use crate::cgroups::{container_groups, needs_controllers, read_any};

pub(crate) const CASES: &[Case] = &[
    ("a_resize_grows_shrinks_and_lifts_limits", a_resize_grows_shrinks_and_lifts_limits),
    ("containers_of_a_pod_are_resized_one_after_another", containers_of_a_pod_are_resized_one_after_another),
    ("a_resize_takes_no_memory_that_is_in_use", a_resize_takes_no_memory_that_is_in_use),
    ("a_pod_shrinks_with_the_resize_of_the_last", a_pod_shrinks_with_the_resize_of_the_last),
];

const PERIOD_US: u64 = 100_000;
const MIB: u64 = 1 << 20;

/// Of thousandths of a processor and MiB; 0 is no limit.
fn limits(milli: u64, mib: u64) -> ResourceLimits {
    let some = |amount: u64| (amount > 0).then_some(amount);
    ResourceLimits {
        cpu_shares: Some(if milli == 0 { 2 } else { milli }),
        cpu_quota_us: some(milli * PERIOD_US / 1000),
        cpu_period_us: some(milli).map(|_| PERIOD_US),
        memory_limit_bytes: some(mib * MIB),
        processes_max: None,
        oom_ends_all: true,
        devices: Vec::new(),
    }
}

/// What the kernel has for a group: as [`limits`]; `""` for the pod's own.
fn found(name: &str) -> (u64, u64, u64) {
    let groups = container_groups(name);
    let read = |file: &str| read_any(&groups, file).unwrap_or_else(|| panic!("{file} of {name:?}"));
    let number = |text: &str| text.parse::<u64>().unwrap_or(0);
    // No limit is the largest multiple of a page on v1.
    let bytes = |text: &str| Some(number(text)).filter(|bytes| *bytes < 1 << 60).unwrap_or(0) / MIB;
    if Hierarchies::detect().unwrap().is_v2() {
        let cpu = read("cpu.max");
        let quota = cpu.split_whitespace().next().unwrap();
        return (number(&read("cpu.weight")), number(quota) / 100, bytes(&read("memory.max")));
    }
    let with_swap = read_any(&groups, "memory.memsw.limit_in_bytes");
    let memory = read("memory.limit_in_bytes");
    assert!(with_swap.is_none_or(|with_swap| with_swap == memory));
    (number(&read("cpu.shares")), number(&read("cpu.cfs_quota_us")) / 100, bytes(&memory))
}

fn weight(shares: u64) -> u64 {
    if Hierarchies::detect().unwrap().is_v2() {
        linux_sys::cgroup::weight_from_shares(shares)
    } else {
        shares
    }
}

fn enter(bed: &Bed, of_pod: ResourceLimits) {
    needs_controllers(&["cpu", "memory"]);
    bed.enter_with(&SandboxConfig { resources: of_pod, ..bed.sandbox_config() });
}

fn start(bed: &Bed, script: &str, limits: ResourceLimits) -> Spawned {
    let mut config = bed.shell(script);
    config.resources = limits;
    let running = bed.spawn(&config).unwrap();
    assert_eq!(read_line(&running.output), "ready");
    running
}

fn end(running: Spawned) {
    running.container.kill_all().unwrap();
    finish(running);
}

const SLEEPER: &str = "echo ready; exec sleep 1000";

fn beside(others: &[&Spawned]) -> Beside {
    let limits = others.iter().map(|other| other.container.limits().clone()).collect();
    Beside { limits, share_memory: false }
}

fn a_resize_grows_shrinks_and_lifts_limits(bed: &Bed) {
    enter(bed, limits(500, 64));
    let mut running = start(bed, SLEEPER, limits(500, 64));
    for (milli, mib) in [(1000, 128), (200, 32), (0, 0), (300, 48), (300, 0), (0, 48), (100, 16)] {
        let wanted = limits(milli, mib);
        bed.resize(&mut running.container, &wanted, &wanted, beside(&[])).unwrap();
        let expected = (weight(milli.max(2)), milli, mib);
        assert_eq!(found("app-0"), expected, "the container");
        assert_eq!(found(""), expected, "the pod");
    }
    // And a command in it has them too.
    let (output, _) = bed.run_exec(&running.container, "cat /proc/self/cgroup");
    assert!(!output.is_empty());
    end(running);
}

fn containers_of_a_pod_are_resized_one_after_another(bed: &Bed) {
    enter(bed, limits(1000, 128));
    let (mut a, mut b) = (start(bed, SLEEPER, limits(500, 64)), start(bed, SLEEPER, limits(500, 64)));
    for (each, mib) in [(1500, 100), (200, 32)] {
        let (one, all) = (limits(each, mib), limits(2 * each, 2 * mib));
        bed.resize(&mut a.container, &one, &all, beside(&[&b])).unwrap();
        assert_eq!(found("app-0"), (weight(each), each, mib));
        bed.resize(&mut b.container, &one, &all, beside(&[&a])).unwrap();
        assert_eq!(found("app-1"), (weight(each), each, mib));
        assert_eq!(found(""), (weight(2 * each), 2 * each, 2 * mib));
    }
    // One grows by what the other gives up, whichever comes first.
    let (small, large, all) = (limits(100, 16), limits(300, 48), limits(400, 64));
    bed.resize(&mut a.container, &large, &all, beside(&[&b])).unwrap();
    bed.resize(&mut b.container, &small, &all, beside(&[&a])).unwrap();
    assert_eq!((found("app-0").1, found("app-1").1, found("").1), (300, 100, 400));
    end(a);
    end(b);
}

fn a_resize_takes_no_memory_that_is_in_use(bed: &Bed) {
    enter(bed, limits(500, 128));
    // As page cache, which counts.
    let script = "dd if=/dev/zero of=/tmp/held bs=1M count=40 2>/dev/null; echo ready; exec sleep 1000";
    let mut running = start(bed, script, limits(500, 128));
    let less = limits(200, 32);
    let refusal = bed.resize(&mut running.container, &less, &less, beside(&[])).unwrap_err();
    let begin = "cannot set container \"app\"'s memory limit (33554432) below current usage (";
    assert!(refusal.starts_with(begin), "{refusal}");
    assert_eq!(found("app-0"), (weight(500), 500, 128), "nothing has changed");
    assert_eq!(found(""), (weight(500), 500, 128));
    // More is no question, and neither is CPU alone.
    let other = limits(200, 256);
    bed.resize(&mut running.container, &other, &other, beside(&[])).unwrap();
    bed.run_exec(&running.container, "rm /tmp/held");
    bed.resize(&mut running.container, &less, &less, beside(&[])).unwrap();
    assert_eq!(found("app-0"), (weight(200), 200, 32));
    assert_eq!(found(""), (weight(200), 200, 32));
    end(running);
}

fn a_pod_shrinks_with_the_resize_of_the_last(bed: &Bed) {
    enter(bed, limits(1000, 128));
    let (mut a, mut b) = (start(bed, SLEEPER, limits(500, 64)), start(bed, SLEEPER, limits(500, 64)));
    let (small, all) = (limits(100, 16), limits(200, 32));
    bed.resize(&mut a.container, &small, &all, beside(&[&b])).unwrap();
    assert_eq!((found("app-0").1, found("app-0").2), (100, 16));
    assert_eq!((found("").1, found("").2), (1000, 128), "the other has more yet");
    bed.resize(&mut b.container, &small, &all, beside(&[&a])).unwrap();
    assert_eq!((found("").1, found("").2), (200, 32));
    // With memory of its own a pod does not wait for what its containers could use together.
    let shared = limits(200, 24);
    let together = Beside { share_memory: true, ..beside(&[&b]) };
    bed.resize(&mut a.container, &small, &shared, together).unwrap();
    assert_eq!(found("").2, 24);
    end(a);
    end(b);
}
