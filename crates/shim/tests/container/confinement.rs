//! What a container may do.

use std::fs;

use container_config::{CapabilitySets, SockFilter};
use linux_sys::process::ExitStatus;
use rustix::thread::CapabilitySet;

use crate::Case;
use crate::bed::{Bed, DEFAULT_CAPABILITIES, finish, read_line, skip};

pub(crate) const CASES: &[Case] = &[
    ("capabilities_are_as_asked", capabilities_are_as_asked),
    ("a_user_without_capabilities_has_none", a_user_without_capabilities_has_none),
    ("ambient_capabilities_of_the_engine_stay_behind", ambient_capabilities_of_the_engine_stay_behind),
    ("a_seccomp_filter_holds_with_and_without_no_new_privs", seccomp_holds),
    ("a_profile_that_the_kernel_has_confines", a_profile_that_the_kernel_has_confines),
    ("masked_and_read_only_paths_hold", masked_and_read_only_paths_hold),
    ("nothing_of_the_hosts_devices_can_be_changed", host_devices_stay_as_they_are),
    ("no_descriptor_leaks", no_descriptor_leaks),
    ("signals_start_unblocked_and_at_their_defaults", signals_start_fresh),
];

/// One that whoever runs this case may have loaded; it is to forbid to write below `/tmp`.
const PROFILE: &str = "monopod-test";
const STATUS: &str = "grep -E '^(Cap|Seccomp:|NoNewPrivs|Uid|Gid|Groups)' /proc/self/status | tr '\\t' ' '";
const KILL: u64 = 1 << 5;

/// What the kernel does not have is named, whether it is the profile or AppArmor.
fn a_profile_that_the_kernel_has_confines(bed: &Bed) {
    let enabled = fs::read("/sys/module/apparmor/parameters/enabled").is_ok_and(|on| on.starts_with(b"Y"));
    bed.enter();
    let mut config = bed.shell("true");
    config.process.app_armor = Some("no-such-profile".to_owned());
    let reason = if enabled { "the kernel has no profile of this name" } else { "does not enforce AppArmor" };
    let error = bed.refuse(&config);
    assert!(
        error.starts_with("cannot confine the process by AppArmor profile \"no-such-profile\": "),
        "{error}"
    );
    assert!(error.contains(reason), "{error}");
    if !enabled {
        return;
    }
    let profiles = fs::read_to_string("/sys/kernel/security/apparmor/profiles").unwrap_or_default();
    if !profiles.lines().any(|line| line.starts_with(&format!("{PROFILE} ("))) {
        skip(&format!("the rest needs profile {PROFILE} to be loaded"));
    }
    let look = "cat /proc/self/attr/current; echo x 2>/dev/null > /tmp/x || echo refused";
    let expected = format!("{PROFILE} (enforce)\nrefused\n");
    for no_new_privileges in [false, true] {
        let mut config = bed.shell(&format!("{look}; echo ready; exec sleep 1000"));
        config.process.app_armor = Some(PROFILE.to_owned());
        config.process.no_new_privileges = no_new_privileges;
        let running = bed.spawn(&config).unwrap();
        let lines = [(); 3].map(|()| read_line(&running.output));
        assert_eq!(lines.join("\n"), format!("{expected}ready"));
        assert_eq!(bed.run_exec(&running.container, look).0, expected);
        running.container.kill_all().unwrap();
        finish(running);
    }
}

fn status(bed: &Bed, change: impl FnOnce(&mut container_config::Process)) -> Vec<String> {
    let mut config = bed.shell(STATUS);
    change(&mut config.process);
    bed.run(&config).ok().lines().map(|line| line.trim_end().to_owned()).collect()
}

fn assert_has(status: &[String], line: &str) {
    assert!(status.iter().any(|found| found == line), "no {line:?} in {status:#?}");
}

fn capabilities_are_as_asked(bed: &Bed) {
    bed.enter();
    let found = status(bed, |_| {});
    for set in ["CapPrm", "CapEff", "CapBnd"] {
        assert_has(&found, &format!("{set}: {DEFAULT_CAPABILITIES:016x}"));
    }
    for set in ["CapInh", "CapAmb"] {
        assert_has(&found, &format!("{set}: {:016x}", 0));
    }
    let found = status(bed, |process| {
        process.capabilities = CapabilitySets { bounding: KILL, effective: KILL, permitted: KILL };
    });
    for set in ["CapPrm", "CapEff", "CapBnd"] {
        assert_has(&found, &format!("{set}: {KILL:016x}"));
    }
}

fn a_user_without_capabilities_has_none(bed: &Bed) {
    bed.enter();
    for no_new_privileges in [false, true] {
        let found = status(bed, |process| {
            process.uid = 1000;
            process.gid = 1001;
            process.groups = vec![7, 8];
            process.no_new_privileges = no_new_privileges;
        });
        assert_has(&found, "Uid: 1000 1000 1000 1000");
        assert_has(&found, "Gid: 1001 1001 1001 1001");
        assert_has(&found, "Groups: 7 8");
        assert_has(&found, &format!("NoNewPrivs: {}", u8::from(no_new_privileges)));
        assert_has(&found, &format!("CapEff: {:016x}", 0));
        assert_has(&found, &format!("CapBnd: {DEFAULT_CAPABILITIES:016x}"));
    }
}

/// Those of a service manager's `AmbientCapabilities=`, say.
fn ambient_capabilities_of_the_engine_stay_behind(bed: &Bed) {
    let mut sets = rustix::thread::capabilities(None).unwrap();
    sets.inheritable = CapabilitySet::NET_BIND_SERVICE;
    rustix::thread::set_capabilities(None, sets).unwrap();
    rustix::thread::configure_capability_in_ambient_set(CapabilitySet::NET_BIND_SERVICE, true).unwrap();
    bed.enter();
    for no_new_privileges in [false, true] {
        let found = status(bed, |process| process.no_new_privileges = no_new_privileges);
        for set in ["CapInh", "CapAmb"] {
            assert_has(&found, &format!("{set}: {:016x}", 0));
        }
    }
}

/// mkdir and mkdirat fail with EDOM (33), everything else is allowed.
fn filter() -> Vec<SockFilter> {
    let (mkdir, mkdirat) = if cfg!(target_arch = "x86_64") { (83, 258) } else { (34, 34) };
    vec![
        SockFilter(0x20, 0, 0, 0),
        SockFilter(0x15, 1, 0, mkdir),
        SockFilter(0x15, 0, 1, mkdirat),
        SockFilter(0x06, 0, 0, 0x0005_0000 | 33),
        SockFilter(0x06, 0, 0, 0x7fff_0000),
    ]
}

fn seccomp_holds(bed: &Bed) {
    bed.enter();
    for (uid, no_new_privileges) in [(0, false), (0, true), (1000, false), (1000, true)] {
        let found = status(bed, |process| {
            process.uid = uid;
            process.no_new_privileges = no_new_privileges;
            process.seccomp = filter();
        });
        assert_has(&found, "Seccomp: 2");
        assert_has(&found, &format!("NoNewPrivs: {}", u8::from(no_new_privileges)));
        if uid == 0 {
            assert_has(&found, &format!("CapEff: {DEFAULT_CAPABILITIES:016x}"));
        }
    }
    let mut config = bed.shell("mkdir /tmp/x");
    config.process.seccomp = filter();
    let finished = bed.run(&config);
    assert_eq!(finished.status, ExitStatus::Code(1));
    assert!(finished.stderr.contains("Numerical argument out of domain"), "{finished:?}");
}

fn masked_and_read_only_paths_hold(bed: &Bed) {
    bed.enter();
    let script = "stat -c %t:%T /proc/version; ls -A /proc/scsi /proc/acpi /sys/firmware 2>/dev/null | grep -v ':$' | tr -d '\\n'; \
                  for f in /proc/sys/kernel/hostname /proc/sysrq-trigger /sys/kernel/profiling; do \
                  ( echo x > $f ) 2>/dev/null && echo wrote $f; done; touch /sys/firmware/x 2>/dev/null && echo wrote; cat /proc/sys/kernel/hostname";
    assert_eq!(bed.run_shell(script).ok(), "1:3\nbed\n");
    // Not the kernel's /proc: refused instead of hidden somewhere else.
    let mut config = bed.shell("true");
    config.mounts.retain(|mount| mount.target != "/proc");
    config.masked_paths = vec!["/proc/fake".to_owned()];
    fs::write(bed.directory.join("image/proc/fake"), "").unwrap();
    assert!(bed.refuse(&config).starts_with("cannot hide /proc/fake"));
}

/// Standard input and masked files are devices, and root in the container owns what root does outside.
fn host_devices_stay_as_they_are(bed: &Bed) {
    use std::os::unix::fs::MetadataExt;
    bed.enter();
    let change = "touch -m -d @1 /proc/version; touch -m -d @1 /proc/self/fd/0";
    let script = format!("mkfifo /tmp/end; {change} && echo its own input; read line < /tmp/end");
    let running = bed.spawn(&bed.shell(&script)).unwrap();
    assert_eq!(read_line(&running.output), "its own input");
    bed.run_exec(&running.container, change);
    bed.run_exec(&running.container, "echo > /tmp/end");
    finish(running);
    let null = fs::metadata("/dev/null").unwrap();
    assert_ne!(null.mtime(), 1);
}

fn no_descriptor_leaks(bed: &Bed) {
    let _open: Vec<fs::File> = (0..20)
        .map(|_| {
            rustix::fs::open("/dev/null", rustix::fs::OFlags::RDONLY, rustix::fs::Mode::empty())
                .unwrap()
                .into()
        })
        .collect();
    bed.enter();
    assert_eq!(bed.run(&bed.config(&["ls", "/proc/self/fd"])).ok(), "0\n1\n2\n3\n");
}

fn signals_start_fresh(bed: &Bed) {
    let _blocked = linux_sys::signal::SignalFd::new(&[15, 17]).unwrap();
    bed.enter();
    let mut config = bed.config(&["grep", "-E", "Sig(Blk|Ign)", "/proc/self/status"]);
    config.process.uid = 1000;
    assert_eq!(bed.run(&config).ok(), "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
}
