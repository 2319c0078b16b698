//! Starting, ending, executing further processes.

use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;

use linux_sys::namespace::Namespaces;
use linux_sys::process::{ExitStatus, clone_child, pidfd_open, pidfd_send_signal, wait};

use crate::Case;
use crate::bed::{Bed, bind, chain, finish, read_line, wait_end};
use container_config::{MountKind, PidNamespace, Rlimit};
use shim::container::SpawnError;

pub(crate) const CASES: &[Case] = &[
    ("output_and_exit_status_come_back", output_and_exit_status_come_back),
    ("a_command_that_cannot_run_says_why", a_command_that_cannot_run_says_why),
    ("a_failing_step_is_named", a_failing_step_is_named),
    ("a_terminal_is_the_containers_own", a_terminal_is_the_containers_own),
    ("exec_joins_the_container", exec_joins_the_container),
    ("exec_in_an_ended_container_is_refused", exec_in_an_ended_container_is_refused),
    ("a_shared_process_namespace_has_an_init_of_its_own", a_shared_process_namespace_has_an_init_of_its_own),
    ("containers_end_with_the_shim", containers_end_with_the_shim),
    ("limits_above_the_hosts_are_clamped", limits_above_the_hosts_are_clamped),
];

fn output_and_exit_status_come_back(bed: &Bed) {
    bed.enter();
    let finished = bed.run_shell("echo out; echo err >&2; echo $COLOUR $$; pwd; exit 7");
    assert_eq!(finished.stdout, "out\nblue 1\n/\n");
    assert_eq!(finished.stderr, "err\n");
    assert_eq!(finished.status, ExitStatus::Code(7));
    let sleeping =
        bed.spawn(&bed.shell("trap 'exit 3' TERM; echo ready; while :; do sleep 0.01; done")).unwrap();
    assert_eq!(read_line(&sleeping.output), "ready");
    sleeping.container.signal(libc_sigterm()).unwrap();
    assert_eq!(finish(sleeping).status, ExitStatus::Code(3));
}

fn libc_sigterm() -> i32 {
    rustix::process::Signal::TERM.as_raw()
}

fn a_command_that_cannot_run_says_why(bed: &Bed) {
    let image = bed.directory.join("image");
    let script = |name: &str, text: &str, mode: u32| {
        std::fs::write(image.join(name), text).unwrap();
        std::fs::set_permissions(image.join(name), std::fs::Permissions::from_mode(mode)).unwrap();
    };
    script("script", "#!/no/such/shell\n", 0o755);
    script("text", "hello", 0o755);
    script("plain", "#!/bin/sh\n", 0o644);
    bed.enter();
    let refusal = |args: &[&str]| bed.refuse(&bed.config(args));
    assert_eq!(
        refusal(&["no-such-command"]),
        "exec \"no-such-command\": executable file not found in $PATH (/usr/sbin:/usr/bin:/sbin:/bin)"
    );
    assert_eq!(refusal(&["/bin/no-such"]), "exec \"/bin/no-such\": no such file or directory");
    assert!(refusal(&["/script"]).contains("interpreter or dynamic loader"));
    assert!(refusal(&["/plain"]).contains("permission denied"));
    assert!(refusal(&["/etc"]).contains("permission denied"));
    assert!(refusal(&["/text"]).contains("exec format error"));
    assert!(bed.refuse(&bed.config(&[])).contains("exec \"\""));
}

fn a_failing_step_is_named(bed: &Bed) {
    std::fs::write(bed.directory.join("image/etc/file"), "").unwrap();
    bed.enter();
    let mut config = bed.shell("true");
    config.mounts.push(bind(&bed.directory.join("nowhere"), "/data", crate::bed::NONE));
    let source = bed.directory.join("nowhere");
    let missing =
        format!("cannot mount {} at /data: No such file or directory (os error 2)", source.display());
    assert_eq!(bed.refuse(&config), missing);
    let mut config = bed.shell("true");
    config.mounts.push(bind(&bed.directory, "/etc/file/data", crate::bed::NONE));
    let wrong = format!(
        "cannot mount {} at /etc/file/data: the container has a file there, or on the way there, and it takes a \
         directory: mount it at another path",
        bed.directory.display()
    );
    assert_eq!(bed.refuse(&config), wrong);
    let mut config = bed.shell("true");
    config.process.cwd = "/etc/file".to_owned();
    assert!(
        bed.refuse(&config).starts_with("cannot change to the working directory /etc/file: there is a file")
    );
    let mut config = bed.shell("true");
    config.root.layers[0].lower = vec![bed.directory.join("no-image")];
    assert!(bed.refuse(&config).starts_with("cannot use image directory"));
    let mut config = bed.shell("true");
    config.process.seccomp = vec![container_config::SockFilter(0, 0, 0, 0)];
    assert!(bed.refuse(&config).starts_with("cannot load the seccomp filter: Invalid argument"));
    let mut config = bed.shell("true");
    config.mounts.retain(|mount| mount.kind != MountKind::Devpts);
    config.tty = true;
    assert_eq!(bed.refuse(&config), "cannot open a terminal: the container has no /dev/pts");
}

fn a_terminal_is_the_containers_own(bed: &Bed) {
    bed.enter();
    let mut config = bed.shell(
        "tty; test -c /dev/console && echo console; ls -1 /dev/pts | cat; echo > /dev/tty; stat -c %u /dev/pts/0; \
         grep flags /proc/self/fdinfo/2 | cut -f2",
    );
    config.tty = true;
    config.process.uid = 1000;
    let finished = bed.run(&config);
    assert_eq!(finished.stdout, "/dev/pts/0\r\nconsole\r\n0\r\nptmx\r\n\r\n1000\r\n02\r\n");
    assert_eq!(finished.status, ExitStatus::Code(0));
}

fn exec_joins_the_container(bed: &Bed) {
    bed.enter();
    let mut config = bed.shell("echo here > /tmp/file; echo ready; exec sleep 1000");
    config.process.cwd = "/tmp".to_owned();
    config.process.groups = vec![4242];
    let running = bed.spawn(&config).unwrap();
    assert_eq!(read_line(&running.output), "ready");
    let (output, status) =
        bed.run_exec(&running.container, "pwd; cat file; echo $COLOUR; id -G; cat /proc/1/comm; exit 5");
    assert_eq!(output, "/tmp\nhere\nblue\n0 4242\nsleep\n");
    assert_eq!(status, ExitStatus::Code(5));
    let same = "for n in mnt pid net ipc uts cgroup; do \
                [ $(readlink /proc/self/ns/$n) = $(readlink /proc/1/ns/$n) ] || echo $n; done; \
                for f in cgroup; do cmp /proc/self/$f /proc/1/$f; done; ls /proc/self/fd; \
                grep -E 'CapEff|CapBnd|Seccomp:|NoNewPrivs' /proc/self/status > /tmp/a; \
                grep -E 'CapEff|CapBnd|Seccomp:|NoNewPrivs' /proc/1/status | cmp - /tmp/a";
    let (output, status) = bed.run_exec(&running.container, same);
    assert_eq!((output.as_str(), status), ("0\n1\n2\n3\n", ExitStatus::Code(0)));
    let refused = bed.exec(&running.container, &["no-such-command"]).unwrap_err();
    assert!(chain(&refused).contains("executable file not found in $PATH"));
    let executed = bed.exec(&running.container, &["sleep", "1000"]).unwrap();
    running.container.kill_all().unwrap();
    wait_end(executed.pidfd.as_fd());
    assert_eq!(wait(executed.pidfd.as_fd()).unwrap(), ExitStatus::Signal(9));
    assert_eq!(finish(running).status, ExitStatus::Signal(9));
}

fn exec_in_an_ended_container_is_refused(bed: &Bed) {
    bed.enter();
    let ended = bed.spawn(&bed.shell("exit 0")).unwrap();
    wait_end(ended.container.pidfd());
    let error = bed.exec(&ended.container, &["true"]).unwrap_err();
    assert!(matches!(error, SpawnError::Ended), "{}", chain(&error));
    assert_eq!(finish(ended).status, ExitStatus::Code(0));
}

fn a_shared_process_namespace_has_an_init_of_its_own(bed: &Bed) {
    let mut sandbox = bed.sandbox_config();
    sandbox.shared_proc = Some(bed.directory.join("proc"));
    bed.enter_with(&sandbox);
    let shared = |script: &str| {
        let mut config = bed.shell(script);
        config.pid_namespace = PidNamespace::Pod;
        config
    };
    let first = bed.spawn(&shared("echo ready; exec sleep 1234")).unwrap();
    assert_eq!(read_line(&first.output), "ready");
    // An orphan is reaped by the init, signals from inside do not end it, and it shows no files.
    let script = "[ $$ -ne 1 ] && echo not first; cat /proc/*/cmdline | tr '\\0' ' ' | grep -c 'sleep 1234'; \
                  (sleep 0.01 &); kill -TERM 1; kill -KILL 1; kill -0 1 && echo alive; \
                  ls /proc/1/root/ /proc/1/fd 2>&1";
    let second = bed.run(&shared(script));
    assert_eq!(
        second.stdout,
        "not first\n1\nalive\nls: cannot access '/proc/1/root/': Permission denied\n/proc/1/fd:\n"
    );
    let (output, _) = bed.run_exec(
        &first.container,
        "cat /proc/1/status | grep -E 'CapEff|CapBnd'; ls -l /proc/1/ns/pid /proc/self/ns/pid | wc -l",
    );
    assert!(output.contains("CapEff:\t0000000000000000\nCapBnd:\t0000000000000000"), "{output}");
    let init = pidfd_open(bed.init_pid().unwrap()).unwrap();
    pidfd_send_signal(init.as_fd(), 9).unwrap();
    assert_eq!(finish(first).status, ExitStatus::Signal(9));
    assert!(bed.refuse(&shared("true")).starts_with("cannot "));
}

fn containers_end_with_the_shim(bed: &Bed) {
    let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
    let shim = clone_child(Namespaces::NONE, None, || {
        bed.enter();
        let mut config = bed.shell("exec sleep 1000");
        config.process.uid = 1000;
        let mut other = bed.shell("exec sleep 1000");
        other.process.no_new_privileges = true;
        for config in [config, other] {
            let spawned = bed.spawn(&config).unwrap();
            rustix::io::write(&writer, &spawned.container.pid().to_le_bytes()).unwrap();
            std::mem::forget(spawned);
        }
        0
    })
    .unwrap();
    drop(writer);
    let pids: Vec<i32> = std::iter::from_fn(|| {
        let mut bytes = [0; 4];
        (rustix::io::read(&reader, &mut bytes).unwrap() == 4).then(|| i32::from_le_bytes(bytes))
    })
    .collect();
    assert_eq!(wait(shim.pidfd.as_fd()).unwrap(), ExitStatus::Code(0));
    assert_eq!(pids.len(), 2);
    for pid in pids {
        if let Ok(pidfd) = pidfd_open(pid) {
            wait_end(pidfd.as_fd());
        }
    }
    let errors = shim::container::remove_pod_cgroup(&bed.cgroup);
    assert!(errors.is_empty(), "{errors:?}");
}

fn limits_above_the_hosts_are_clamped(bed: &Bed) {
    const NOFILE: u32 = 7;
    bed.enter();
    let mut config = bed.shell("ulimit -Sn; ulimit -Hn; umask");
    config.process.umask = 0o027;
    config.process.rlimits = vec![Rlimit { resource: NOFILE, soft: 64, hard: 128 }];
    assert_eq!(bed.run(&config).ok(), "64\n128\n0027\n");
    config.process.rlimits = vec![Rlimit { resource: NOFILE, soft: 64, hard: u64::MAX }];
    config.process.oom_score_adj = -1000;
    let spawned = bed.spawn(&config).unwrap();
    for warning in &spawned.warnings {
        assert!(warning.starts_with("cannot set "), "{warning}");
    }
    assert!(finish(spawned).stdout.starts_with("64\n"));
}
