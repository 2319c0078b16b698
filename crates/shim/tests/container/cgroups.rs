//! Limits, killing, counting, removing.

use std::fs;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use container_config::{DeviceRule, ResourceLimits};
use linux_sys::cgroup::Hierarchies;
use linux_sys::process::{ExitStatus, pidfd_open};

use crate::Case;
use crate::bed::{Bed, cgroup_of, finish, has_controller, read_line, skip, wait_end};

pub(crate) const CASES: &[Case] = &[
    ("limits_are_written_and_seen_inside", limits_are_written_and_seen_inside),
    ("device_rules_hold", device_rules_hold),
    ("kill_all_leaves_nothing", kill_all_leaves_nothing),
    ("an_out_of_memory_kill_is_counted", an_out_of_memory_kill_is_counted),
    ("a_failed_start_leaves_no_group", a_failed_start_leaves_no_group),
    ("the_shim_leaves_the_engines_groups", the_shim_leaves_the_engines_groups),
];

pub(crate) fn needs_controllers(names: &[&str]) {
    if let Some(missing) = names.iter().find(|name| !has_controller(name)) {
        skip(&format!("no cgroup controller {missing}"));
    }
}

pub(crate) fn container_groups(name: &str) -> Vec<PathBuf> {
    let group = Hierarchies::detect().unwrap().group(format!("{}/{name}", cgroup_of(std::process::id())));
    group.directories().map(|(_, directory)| directory).collect()
}

pub(crate) fn read_any(directories: &[PathBuf], file: &str) -> Option<String> {
    directories
        .iter()
        .find_map(|directory| fs::read_to_string(directory.join(file)).ok())
        .map(|text| text.trim().to_owned())
}

fn limits_are_written_and_seen_inside(bed: &Bed) {
    needs_controllers(&["cpu", "memory"]);
    bed.enter();
    let mut config = bed.shell("echo ready; read x");
    config.process.args[2] = "echo ready; exec sleep 1000".to_owned();
    config.resources = ResourceLimits {
        cpu_shares: Some(512),
        cpu_quota_us: Some(50_000),
        cpu_period_us: Some(100_000),
        memory_limit_bytes: Some(64 << 20),
        processes_max: None,
        oom_ends_all: true,
        devices: Vec::new(),
    };
    let running = bed.spawn(&config).unwrap();
    assert!(running.warnings.is_empty(), "{:?}", running.warnings);
    assert_eq!(read_line(&running.output), "ready");
    let groups = container_groups("app-0");
    let is_v2 = Hierarchies::detect().unwrap().is_v2();
    let expected: &[(&str, &str)] = if is_v2 {
        &[
            ("cpu.weight", "59"),
            ("cpu.max", "50000 100000"),
            ("memory.max", "67108864"),
            ("memory.oom.group", "1"),
        ]
    } else {
        &[("cpu.shares", "512"), ("cpu.cfs_quota_us", "50000"), ("memory.limit_in_bytes", "67108864")]
    };
    for (file, value) in expected {
        assert_eq!(read_any(&groups, file).as_deref(), Some(*value), "{file}");
    }
    for group in &groups {
        let members = fs::read_to_string(group.join("cgroup.procs")).unwrap();
        assert_eq!(members.trim(), running.container.pid().to_string(), "{}", group.display());
    }
    let script = if is_v2 {
        "cat /sys/fs/cgroup/memory.max; cat /proc/self/cgroup; echo 1 > /sys/fs/cgroup/pids.max"
    } else {
        "cat /sys/fs/cgroup/memory/memory.limit_in_bytes; ls /sys/fs/cgroup/cpu/cpu.shares; echo 1 > /sys/fs/cgroup/pids/pids.max"
    };
    let (output, _) = bed.run_exec(&running.container, script);
    assert!(output.starts_with("67108864\n"), "{output}");
    assert!(output.contains("Read-only file system"), "{output}");
    running.container.kill_all().unwrap();
    finish(running);
    assert!(groups.iter().all(|group| !group.exists()));
}

fn device_rules_hold(bed: &Bed) {
    bed.enter();
    let rule = |allow, kind, major, minor, access: &str| DeviceRule {
        allow,
        kind,
        major,
        minor,
        access: access.to_owned(),
    };
    let mut config = bed.shell("cat /dev/null && echo null; head -c1 /dev/zero >/dev/null 2>&1 || echo no zero; mknod /tmp/b b 7 0 && echo made; cat /tmp/b 2>&1");
    config.resources.devices = vec![
        rule(false, 'a', None, None, "rwm"),
        rule(true, 'c', None, None, "m"),
        rule(true, 'b', None, None, "m"),
        rule(true, 'c', Some(1), Some(3), "rwm"),
        rule(true, 'c', Some(136), None, "rwm"),
    ];
    let output = bed.run(&config).stdout;
    assert_eq!(output, "null\nno zero\nmade\ncat: /tmp/b: Operation not permitted\n");
}

fn kill_all_leaves_nothing(bed: &Bed) {
    bed.enter();
    let script =
        "trap '' TERM; for i in 1 2 3 4 5; do (setsid sleep 1000 &) ; done; echo ready; wait; sleep 1000";
    let running = bed.spawn(&bed.shell(script)).unwrap();
    assert_eq!(read_line(&running.output), "ready");
    let groups = container_groups("app-0");
    let members = || fs::read_to_string(groups[0].join("cgroup.procs")).unwrap();
    assert!(members().lines().count() >= 5);
    let pids: Vec<i32> = members().lines().map(|pid| pid.parse().unwrap()).collect();
    running.container.kill_all().unwrap();
    for pid in pids {
        if let Ok(pidfd) = pidfd_open(pid) {
            wait_end(pidfd.as_fd());
        }
    }
    assert_eq!(members(), "");
    running.container.kill_all().unwrap();
    running.container.signal(15).unwrap();
    assert_eq!(finish(running).status, ExitStatus::Signal(9));
}

fn an_out_of_memory_kill_is_counted(bed: &Bed) {
    needs_controllers(&["memory"]);
    bed.enter();
    let mut config = bed.shell("head -c 200m /dev/zero | tail; exit 3");
    config.resources.memory_limit_bytes = Some(24 << 20);
    let killed = bed.spawn(&config).unwrap();
    wait_end(killed.container.pidfd());
    assert!(killed.container.oom_killed().unwrap());
    finish(killed);
    let fine = bed.spawn(&bed.shell("exit 0")).unwrap();
    wait_end(fine.container.pidfd());
    assert!(!fine.container.oom_killed().unwrap());
    let groups = container_groups("app-1");
    assert!(groups.iter().all(|group| group.exists()));
    finish(fine);
}

fn a_failed_start_leaves_no_group(bed: &Bed) {
    needs_controllers(&["cpu"]);
    bed.enter();
    bed.refuse(&bed.config(&["/no/such/program"]));
    let mut config = bed.shell("true");
    config.resources.cpu_quota_us = Some(1);
    let refusal = bed.refuse(&config);
    assert!(refusal.starts_with("cannot write"), "{refusal}");
    for name in ["app-0", "app-1"] {
        assert!(container_groups(name).iter().all(|group| !group.exists()));
    }
}

fn the_shim_leaves_the_engines_groups(bed: &Bed) {
    let engine =
        Hierarchies::detect().unwrap().tracking_group(format!("monopod-test-{}/engine", std::process::id()));
    engine.enter().unwrap();
    bed.enter();
    let shims = format!("/monopod-test-{}/shims", std::process::id());
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let mine = fs::read_to_string("/proc/self/cgroup").unwrap();
        // Without those that are mounted nowhere.
        let is_left = |line: &&str| line.contains("/engine");
        if mine.contains(&shims) && !mine.lines().any(|line| is_left(&line)) {
            break;
        }
        assert!(Instant::now() < deadline, "{mine}");
        std::thread::yield_now();
    }
    assert!(engine.remove().is_empty());
    assert!(bed.destroy().is_empty());
    assert!(crate::bed::groups_of(std::process::id()).is_empty());
}
