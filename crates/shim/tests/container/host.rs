//! What a pod has of its host, where it asks for it, and what it leaves the host.

use std::fs;
use std::os::unix::fs::FileTypeExt as _;
use std::process::Command;

use container_config::{MountKind, PidNamespace, SandboxConfig};
use linux_sys::process::ExitStatus;
use shim::container::Sandbox;

use crate::Case;
use crate::bed::{Bed, chain, finish, read_line};

pub(crate) const CASES: &[Case] = &[
    ("sysctls_are_the_pods_own", sysctls_are_the_pods_own),
    ("sysctls_of_the_host_are_never_written", sysctls_of_the_host_are_never_written),
    ("the_hosts_processes_are_seen_and_no_more", host_processes),
    ("the_hosts_ipc_is_shared_on_demand_alone", host_ipc),
    ("a_privileged_container_has_devices_and_kernel_interfaces", privileged),
    ("a_container_that_is_not_privileged_changes_neither", not_privileged),
];

/// In the namespaces of the process that started this one.
fn on_host(path: &str) -> String {
    let parent = std::os::unix::process::parent_id().to_string();
    let output = Command::new("nsenter").args(["-t", &parent, "-n", "-i", "cat", path]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn with_sysctls(bed: &Bed, sysctls: &[(&str, &str)]) -> SandboxConfig {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    SandboxConfig { sysctls: sysctls.iter().map(owned).collect(), ..bed.sandbox_config() }
}

fn sysctls_are_the_pods_own(bed: &Bed) {
    let sysctls = [
        ("net.ipv4.ip_unprivileged_port_start", "81"),
        ("net.ipv4.ip_local_port_range", "20000\t30001"),
        ("net.ipv4.tcp_fin_timeout", "47"),
        ("kernel.shm_rmid_forced", "1"),
    ];
    let path = |name: &str| format!("/proc/sys/{}", name.replace('.', "/"));
    let before = sysctls.map(|(name, _)| on_host(&path(name)));
    bed.enter_with(&with_sysctls(bed, &sysctls));
    for ((name, value), host) in sysctls.iter().zip(before) {
        let within = bed.run_shell(&format!("cat {}", path(name))).ok();
        assert_eq!(within.trim_end(), *value, "{name}");
        assert_eq!(on_host(&path(name)), host, "{name} of the host");
        assert_ne!(within, host, "{name} tells nothing");
        let write = bed.run_shell(&format!("echo {value} > {}", path(name)));
        assert!(write.stderr.contains("Read-only"), "{write:?}");
    }
}

fn sysctls_of_the_host_are_never_written(bed: &Bed) {
    let before = fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap();
    for (config, name) in [
        (with_sysctls(bed, &[("kernel.core_pattern", "|/bin/false")]), "kernel.core_pattern"),
        (
            with_sysctls(bed, &[("net.//.//.kernel.core_pattern", "|/bin/false")]),
            "net.//.//.kernel.core_pattern",
        ),
        (with_sysctls(bed, &[("kernel.hostname", "mine")]), "kernel.hostname"),
        (
            SandboxConfig { host_network: true, ..with_sysctls(bed, &[("net.ipv4.tcp_fin_timeout", "47")]) },
            "net.ipv4.tcp_fin_timeout",
        ),
        (
            SandboxConfig { host_ipc: true, ..with_sysctls(bed, &[("kernel.shm_rmid_forced", "1")]) },
            "kernel.shm_rmid_forced",
        ),
    ] {
        let error = Sandbox::enter(&config).map(|_| ()).unwrap_err();
        assert!(chain(&error).contains(&format!("set sysctl {name}")), "{}", chain(&error));
    }
    assert_eq!(fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap(), before);
    assert_ne!(on_host("/proc/sys/net/ipv4/tcp_fin_timeout"), "47\n");
}

fn host_processes(bed: &Bed) {
    bed.enter();
    let on_host = |script: &str| {
        let mut config = bed.shell(script);
        config.pid_namespace = PidNamespace::Host;
        config
    };
    let mine = std::process::id();
    let script = format!("readlink /proc/self/ns/pid; cat /proc/{mine}/comm >/dev/null && echo seen");
    let host = fs::read_link("/proc/self/ns/pid").unwrap();
    assert_eq!(bed.run(&on_host(&script)).ok(), format!("{}\nseen\n", host.display()));
    // Root without CAP_SYS_PTRACE: the way to the host's files, memory and environment through its processes.
    for command in
        ["ls /proc/PID/root/etc", "cat /proc/PID/environ", "readlink /proc/PID/fd/0", "ls /proc/PID/cwd/"]
    {
        for pid in [mine, 1] {
            let found = bed.run(&on_host(&command.replace("PID", &pid.to_string())));
            assert!(
                found.stdout.is_empty() && found.status != ExitStatus::Code(0),
                "{command} {pid}: {found:?}"
            );
        }
    }
    // What is left of it ends with it, although there is no namespace of its own to end.
    let left = bed.spawn(&on_host("setsid sleep 1234 >/dev/null 2>&1 & echo $!")).unwrap();
    let orphan = read_line(&left.output);
    assert_eq!(finish(left).status, ExitStatus::Code(0));
    let state = fs::read_to_string(format!("/proc/{orphan}/stat"));
    assert!(state.as_ref().is_err() || state.as_ref().is_ok_and(|s| s.contains(" Z ")), "{state:?}");
    let running = bed.spawn(&on_host("echo ready; exec sleep 1234")).unwrap();
    assert_eq!(read_line(&running.output), "ready");
    let (text, status) = bed.run_exec(&running.container, "readlink /proc/self/ns/pid");
    assert_eq!((text.trim_end(), status), (&*host.to_string_lossy(), ExitStatus::Code(0)));
    running.container.kill_all().unwrap();
    finish(running);
}

fn host_ipc(bed: &Bed) {
    let host = fs::read_link("/proc/self/ns/ipc").unwrap();
    bed.enter_with(&SandboxConfig { host_ipc: true, ..bed.sandbox_config() });
    assert_eq!(bed.run_shell("readlink /proc/self/ns/ipc").ok().trim_end(), host.to_string_lossy());
    let uts = bed.run_shell("readlink /proc/self/ns/uts").ok();
    let parent = std::os::unix::process::parent_id();
    assert_ne!(uts.trim_end(), fs::read_link(format!("/proc/{parent}/ns/uts")).unwrap().to_string_lossy());
}

fn privileged(bed: &Bed) {
    bed.enter();
    let run = |script: &str| {
        let mut config = bed.shell(script);
        config.privileged = true;
        config.masked_paths.clear();
        config.readonly_paths.clear();
        for mount in &mut config.mounts {
            if matches!(mount.kind, MountKind::Sysfs | MountKind::Cgroup) {
                mount.options.read_only = false;
            }
        }
        bed.run(&config)
    };
    let nodes = run("find /dev -type c -o -type b").ok();
    let devices = fs::read_dir("/dev").unwrap().map(Result::unwrap).filter(|entry| {
        let kind = entry.file_type().unwrap();
        // A container has these of its own.
        let is_own = ["console", "ptmx"].iter().any(|own| entry.file_name() == *own);
        (kind.is_char_device() || kind.is_block_device()) && !is_own
    });
    for device in devices {
        let path = device.path().display().to_string();
        assert!(nodes.lines().any(|line| line == path), "no {path} in {nodes}");
    }
    let mounts = run("grep -E ' /sys ' /proc/mounts; touch /proc/sys/kernel/domainname && echo written").ok();
    assert!(mounts.contains("sysfs rw,") && mounts.contains("written"), "{mounts}");
    // A node that the device rules of other containers close.
    let made = run("mknod /tmp/mem c 1 1 && head -c 1 /tmp/mem >/dev/null; echo $?");
    assert!(!made.stderr.contains("not permitted") || !made.stderr.contains("mknod"), "{made:?}");
    let group = run(
        "for d in /sys/fs/cgroup /sys/fs/cgroup/memory; do [ -e $d/cgroup.procs ] && mkdir $d/inner && rmdir \
         $d/inner && echo made; done; true",
    );
    assert!(group.stdout.contains("made"), "{group:?}");
}

fn not_privileged(bed: &Bed) {
    bed.enter();
    let found = bed.run_shell(
        "ls /dev | grep -E '^(kmsg|mem|loop0|sda|vda)$'; mkdir /sys/fs/cgroup/inner 2>/dev/null && echo made; \
         echo 1 2>/dev/null > /proc/sys/kernel/domainname && echo written; exit 0",
    );
    assert_eq!(found.stdout, "", "{found:?}");
}
