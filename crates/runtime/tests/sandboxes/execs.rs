//! Commands in running containers.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::time::{Duration, Instant};

use podspec::ContainerName;
use ports::{ExecIo, ExecSession, RuntimeService, SessionError};

use crate::Case;
use crate::bed::{Bed, blocking, cgroups, read_all, read_to_end, shims_of, wait_until};

pub(crate) const CASES: &[Case] = &[
    ("commands_run_in_their_container", commands_run_in_their_container),
    (
        "a_command_that_takes_too_long_is_killed_with_its_children",
        a_command_that_takes_too_long_is_killed_with_its_children,
    ),
    ("a_command_is_spoken_to", a_command_is_spoken_to),
    ("a_command_has_a_terminal_of_its_container", a_command_has_a_terminal_of_its_container),
    ("a_command_that_is_left_on_a_terminal_is_hung_up", a_command_that_is_left_on_a_terminal_is_hung_up),
    ("a_command_that_cannot_be_begun_says_why", a_command_that_cannot_be_begun_says_why),
    (
        "a_command_outlives_whoever_began_it_unless_it_speaks",
        a_command_outlives_whoever_began_it_unless_it_speaks,
    ),
    ("many_commands_run_at_once", many_commands_run_at_once),
    (
        "commands_of_one_container_leave_room_for_the_others",
        commands_of_one_container_leave_room_for_the_others,
    ),
    ("commands_end_with_their_container", commands_end_with_their_container),
    ("a_broken_container_says_why_it_runs_no_command", a_broken_container_says_why_it_runs_no_command),
    ("nobody_can_change_the_shims_program_through_a_process", shim_program_is_lent_read_only),
];

const POD: &str = "containers:\n- {name: a, image: i, command: [sh, -c, 'echo up; sleep 1000']}\n- {name: b, image: i, command: ['true']}";

fn commands_run_in_their_container(bed: &Bed) {
    let engine = bed.engine();
    let running = engine.create(&bed.pod(POD, true));
    running.start("a", 0);
    let result = running.exec("a", "echo out; echo err >&2; exit 5", None, 1_000).unwrap();
    assert_eq!((result.exit_code, result.timed_out), (5, false));
    assert_eq!(String::from_utf8(result.output).unwrap(), "out\nerr\n");
    let result = running.exec("a", "kill -9 $$", None, 10).unwrap();
    assert_eq!(result.exit_code, 137);
    // More than fits is thrown away, and does not keep the command waiting.
    let result = running.exec("a", "seq 1 200000", None, 8).unwrap();
    assert_eq!((result.exit_code, &result.output[..]), (0, &b"1\n2\n3\n4\n"[..]));
    // One that leaves a process with its output open is over when it is over.
    let result = running.exec("a", "sleep 1000 & echo done", None, 100).unwrap();
    assert_eq!(result.output, b"done\n");
    let error = running.exec("b", "true", None, 10).unwrap_err();
    assert!(error.0.contains("\"b\" is not running"), "{error}");
    let missing = ["/no/such/program".to_owned()];
    let name = ContainerName::new("a");
    let error = bed.wait(engine.runtime.exec_sync(&running.pod, &name, 0, &missing, None, 10)).unwrap_err();
    assert!(error.0.contains("/no/such/program"), "{error}");
    running.end();
}

fn a_command_that_takes_too_long_is_killed_with_its_children(bed: &Bed) {
    let engine = bed.engine();
    let running = engine.create(&bed.pod(POD, true));
    running.start("a", 0);
    let began = Instant::now();
    let script = "echo begun; sh -c 'setsid sleep 777 & sleep 777 & wait'; true";
    let result = running.exec("a", script, Some(Duration::from_millis(300)), 100).unwrap();
    assert!(result.timed_out && result.exit_code == 137, "{result:?}");
    assert_eq!(result.output, b"begun\n");
    assert!(began.elapsed() >= Duration::from_millis(300));
    let others = "cat /proc/[0-9]*/cmdline | tr '\\0' ' ' | grep -c 'sleep 77[7]'";
    wait_until("its children are gone", || running.exec("a", others, None, 100).unwrap().output == b"0\n");
    running.end();
}

/// Any process of it would do, also one a container made by executing `/proc/self/exe`.
fn shim_program_is_lent_read_only(bed: &Bed) {
    let engine = bed.engine();
    let running = engine.create(&bed.pod(POD, true));
    let [shim] = shims_of(&running.pod.run_dir)[..] else { panic!("one shim") };
    let program = File::open(format!("/proc/{shim}/exe")).unwrap();
    let same = program.metadata().unwrap().permissions();
    let changed = program.set_permissions(same).unwrap_err();
    assert_eq!(changed.kind(), std::io::ErrorKind::ReadOnlyFilesystem);
    running.end();
}

fn a_command_is_spoken_to(bed: &Bed) {
    let engine = bed.engine();
    let running = engine.create(&bed.pod(POD, true));
    running.start("a", 0);
    let ExecSession { streams, exit } =
        running.session("a", "cat; echo bad >&2; exit 9", ExecIo::Pipes { stdin: true }).unwrap();
    let mut to_command = File::from(streams.stdin.unwrap());
    to_command.write_all(b"hello\n").unwrap();
    drop(to_command);
    assert_eq!(bed.wait(exit).unwrap(), 9);
    // They end, so nobody else holds the other ends.
    assert_eq!(read_all(streams.stdout), "hello\n");
    assert_eq!(read_all(streams.stderr.unwrap()), "bad\n");
    let without = running.session("a", "cat; kill -9 $$", ExecIo::Pipes { stdin: false }).unwrap();
    assert!(without.streams.stdin.is_none() && without.streams.terminal.is_none());
    assert_eq!(bed.wait(without.exit).unwrap(), 137);
    running.end();
}

fn a_command_has_a_terminal_of_its_container(bed: &Bed) {
    let engine = bed.engine();
    let running = engine.create(&bed.pod(POD, true));
    running.start("a", 0);
    let script = "tty; trap 'stty size; exit 3' WINCH; echo ready; while :; do sleep 0.1; done";
    let ExecSession { streams, exit } = running.session("a", script, ExecIo::Terminal).unwrap();
    assert!(streams.stderr.is_none() && streams.stdin.is_some());
    let mut output = blocking(streams.stdout);
    let mut said = String::new();
    while !said.contains("ready") {
        let mut bytes = [0; 100];
        let length = output.read(&mut bytes).unwrap();
        said.push_str(&String::from_utf8_lossy(&bytes[..length]));
    }
    assert!(said.starts_with("/dev/pts/0\r\n"), "{said:?}");
    streams.terminal.as_ref().unwrap().resize(123, 45).unwrap();
    assert_eq!(bed.wait(exit).unwrap(), 3);
    assert_eq!(read_to_end(output), "45 123\r\n");
    // Its own session: what is typed reaches the process group in the foreground.
    let session = running.session("a", "echo up; exec sleep 1000", ExecIo::Terminal).unwrap();
    blocking(session.streams.stdout).read_exact(&mut [0; 4]).unwrap();
    File::from(session.streams.stdin.unwrap()).write_all(b"\x03").unwrap();
    assert_eq!(bed.wait(session.exit).unwrap(), 130);
    running.end();
}

fn a_command_that_is_left_on_a_terminal_is_hung_up(bed: &Bed) {
    let engine = bed.engine();
    let running = engine.create(&bed.pod(POD, true));
    running.start("a", 0);
    let ExecSession { streams, exit } = running.session("a", "sleep 1000", ExecIo::Terminal).unwrap();
    drop(streams);
    assert_eq!(bed.wait(exit).unwrap(), 129);
    running.end();
}

fn a_command_that_cannot_be_begun_says_why(bed: &Bed) {
    let engine = bed.engine();
    let running = engine.create(&bed.pod(POD, true));
    running.start("a", 0);
    let begin = |container: &str, command: &str| {
        let (name, command) = (ContainerName::new(container), [command.to_owned()]);
        let begun = engine.runtime.exec(&running.pod, &name, &command, ExecIo::Pipes { stdin: false });
        bed.wait(begun).map(drop).unwrap_err()
    };
    let SessionError::Execute { exit_code: 127, message } = begin("a", "nonesuch") else { panic!("127") };
    assert!(message.starts_with("exec \"nonesuch\": executable file not found in $PATH"), "{message}");
    let SessionError::Execute { exit_code: 126, message } = begin("a", "/etc") else { panic!("126") };
    assert!(message.contains("permission denied"), "{message}");
    assert_eq!(begin("b", "true"), SessionError::NotRunning("container \"b\" is not running".to_owned()));
    running.stop();
    assert_eq!(begin("a", "true"), SessionError::NotRunning("the pod has no sandbox".to_owned()));
    running.end();
}

fn a_command_outlives_whoever_began_it_unless_it_speaks(bed: &Bed) {
    let engine = bed.engine();
    let running = engine.create(&bed.pod(POD, true));
    running.start("a", 0);
    let session =
        running.session("a", "sleep 0.3; echo done > /tmp/done", ExecIo::Pipes { stdin: true }).unwrap();
    drop(session);
    wait_until("it is done", || running.exec("a", "cat /tmp/done", None, 9).unwrap().output == b"done\n");
    running.end();
}

fn many_commands_run_at_once(bed: &Bed) {
    let engine = bed.engine();
    let running = engine.create(&bed.pod(POD, true));
    running.start("a", 0);
    let name = ContainerName::new("a");
    let commands: Vec<_> =
        (0..40).map(|n| ["sh".to_owned(), "-c".to_owned(), format!("sleep 0.1; exit {n}")]).collect();
    let _guard = bed.enter();
    let tasks: Vec<_> = commands
        .into_iter()
        .map(|command| {
            let (runtime, pod, name) = (engine.runtime.clone(), running.pod.clone(), name.clone());
            tokio::spawn(async move { runtime.exec_sync(&pod, &name, 0, &command, None, 10).await })
        })
        .collect();
    for (n, task) in (0..).zip(tasks) {
        assert_eq!(bed.wait(task).unwrap().unwrap().exit_code, n);
    }
    running.end();
}

/// As many as there can be in one container, and one probe each of others.
fn commands_of_one_container_leave_room_for_the_others(bed: &Bed) {
    let engine = bed.engine();
    let running = engine.create(&bed.pod(
        "containers:\n\
         - {name: a, image: i, command: [sleep, '1000']}\n\
         - {name: b, image: i, command: [sleep, '1000']}",
        true,
    ));
    running.start("a", 0);
    running.start("b", 0);
    let begin = |container: &'static str| {
        let (runtime, pod) = (engine.runtime.clone(), running.pod.clone());
        tokio::spawn(async move {
            let command = ["sleep", "1000"].map(str::to_owned);
            let name = ContainerName::new(container);
            runtime.exec_sync(&pod, &name, 0, &command, None, 10).await
        })
    };
    let guard = bed.enter();
    let hanging: Vec<_> = (0..64).map(|_| begin("a")).collect();
    let sessions: Vec<_> = (0..64)
        .map(|_| running.session("a", "exec sleep 1000", ExecIo::Pipes { stdin: false }).unwrap())
        .collect();
    let refused = running.session("b", "true", ExecIo::Pipes { stdin: false }).unwrap_err();
    assert!(refused.to_string().starts_with("64 commands are running in the pod"), "{refused}");
    let processes = cgroups(running.uid())[0].join("a-0/cgroup.procs");
    wait_until("all run", || fs::read_to_string(&processes).unwrap().lines().count() == 1 + 64 + 64);
    let refused = running.exec("a", "true", None, 10).unwrap_err().0;
    assert_eq!(refused, "64 commands are running in container \"a\": try again when one has ended");
    assert_eq!(running.exec("b", "exit 3", None, 10).unwrap().exit_code, 3);
    // Their end is told to all of them.
    running.kill("a", 0);
    for task in hanging {
        assert_eq!(bed.wait(task).unwrap().unwrap().exit_code, 137);
    }
    for session in sessions {
        assert_eq!(bed.wait(session.exit).unwrap(), 137);
    }
    drop(guard);
    running.end();
}

fn commands_end_with_their_container(bed: &Bed) {
    for shared in [false, true] {
        let engine = bed.engine();
        let running = engine.create(&bed.pod(
            &format!(
                "shareProcessNamespace: {shared}\n\
                 containers:\n\
                 - {{name: a, image: i, command: [sh, -c, 'until [ -e /tmp/go ]; do sleep 0.02; done; exit 4']}}\n\
                 - {{name: b, image: i, command: [sleep, '1000']}}"
            ),
            true,
        ));
        running.start("a", 0);
        running.start("b", 0);
        // One that ignores what it can, and whose children outlive it.
        let script = "trap '' TERM HUP; setsid sleep 1000 & touch /tmp/go; sleep 1000; sleep 1000";
        let began = Instant::now();
        let result = running.exec("a", script, Some(Duration::from_secs(600)), 10).unwrap();
        assert_eq!((result.exit_code, result.timed_out), (137, false));
        assert!(began.elapsed() < Duration::from_secs(10));
        assert_eq!(running.exit_of("a", 0).code, 4);
        let error = running.exec("a", "true", None, 10).unwrap_err();
        assert!(error.0.contains("\"a\" is not running"), "{error}");
        let sleeping = "cat /proc/[0-9]*/cmdline | tr '\\0' ' ' | grep -o 'sleep 100[0]' | wc -l";
        let left = running.exec("b", sleeping, None, 10).unwrap().output;
        assert_eq!(String::from_utf8(left).unwrap(), "1\n", "the other's, shared: {shared}");
        running.end();
    }
}

fn a_broken_container_says_why_it_runs_no_command(bed: &Bed) {
    let engine = bed.engine();
    let pod = "containers:\n\
         - name: a\n\
         \x20 image: i\n\
         \x20 workingDir: /tmp/work\n\
         \x20 securityContext: {capabilities: {drop: [ALL]}}\n\
         \x20 command: [sh, -c, 'rm /usr/bin/env; mkfifo /tmp/pipe; chmod 755 /tmp/pipe; echo up; exec sleep 1000']";
    let running = engine.create(&bed.pod(pod, true));
    running.start("a", 0);
    running.wait_for_log("a", "up");
    let run = |command: &str| {
        let (name, command) = (ContainerName::new("a"), [command.to_owned()]);
        bed.wait(engine.runtime.exec_sync(&running.pod, &name, 0, &command, None, 10))
    };
    let refused = |command: &str| run(command).unwrap_err().0;
    assert!(refused("env").starts_with("exec \"env\": executable file not found in $PATH"));
    assert!(refused("/tmp/pipe").starts_with("exec \"/tmp/pipe\": permission denied"));
    assert!(refused("/tmp/pipe/x").starts_with("exec \"/tmp/pipe/x\": "));
    running.exec("a", "rmdir /tmp/work; echo x > /tmp/work", None, 10).unwrap();
    let error = refused("true");
    assert!(
        error.starts_with("cannot change to the working directory /tmp/work: there is a file"),
        "{error}"
    );
    running.exec("a", "true", None, 10).unwrap_err();
    running.end();
    // Not even root may look into it without its capabilities.
    let pod = "containers:\n\
         - name: a\n\
         \x20 image: i\n\
         \x20 stdin: true\n\
         \x20 securityContext: {capabilities: {drop: [ALL]}}\n\
         \x20 command: [sh, -c, 'chmod 0 /usr/bin; echo up; read line']";
    let running = engine.create(&bed.pod(pod, true));
    running.start("a", 0);
    running.wait_for_log("a", "up");
    let (name, command) = (ContainerName::new("a"), ["true".to_owned()]);
    let run = engine.runtime.exec_sync(&running.pod, &name, 0, &command, None, 10);
    let refused = bed.wait(run).unwrap_err().0;
    assert!(refused.starts_with("exec \"true\": permission denied"), "{refused}");
    running.end();
}
