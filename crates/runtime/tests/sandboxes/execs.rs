//! Commands in running containers.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use podspec::ContainerName;
use ports::{ExecStreams, RuntimeService};

use crate::Case;
use crate::bed::{Bed, shims_of};

pub(crate) const CASES: &[Case] = &[
    ("commands_run_in_their_container", commands_run_in_their_container),
    (
        "a_command_that_takes_too_long_is_killed_with_its_children",
        a_command_that_takes_too_long_is_killed_with_its_children,
    ),
    ("a_command_gets_the_callers_descriptors", a_command_gets_the_callers_descriptors),
    ("many_commands_run_at_once", many_commands_run_at_once),
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
    let script = "echo begun; sh -c 'sleep 777 & sleep 777'; true";
    let result = running.exec("a", script, Some(Duration::from_millis(300)), 100).unwrap();
    assert!(result.timed_out && result.exit_code == 137, "{result:?}");
    assert_eq!(result.output, b"begun\n");
    assert!(began.elapsed() >= Duration::from_millis(300));
    let others = "cat /proc/[0-9]*/cmdline | tr '\\0' ' ' | grep -c 'sleep 77[7]'";
    crate::bed::wait_until("its children are gone", || {
        running.exec("a", others, None, 100).unwrap().output == b"0\n"
    });
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

fn a_command_gets_the_callers_descriptors(bed: &Bed) {
    let engine = bed.engine();
    let running = engine.create(&bed.pod(POD, true));
    running.start("a", 0);
    let (stdin, mut to_command) = pipe();
    let (mut from_command, stdout) = pipe();
    let (mut errors, stderr) = pipe();
    to_command.write_all(b"hello\n").unwrap();
    drop(to_command);
    let streams = ExecStreams { stdin: stdin.into(), stdout: stdout.into(), stderr: stderr.into() };
    let command = ["sh", "-c", "cat; echo bad >&2; exit 9"].map(str::to_owned);
    let name = ContainerName::new("a");
    let result = bed.wait(engine.runtime.exec(&running.pod, &name, 0, &command, streams)).unwrap();
    assert_eq!((result.exit_code, result.output), (9, Vec::new()));
    // They end, so nobody else holds the other ends.
    let mut text = String::new();
    from_command.read_to_string(&mut text).unwrap();
    errors.read_to_string(&mut text).unwrap();
    assert_eq!(text, "hello\nbad\n");
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

/// (read end, write end)
fn pipe() -> (File, File) {
    let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
    let file = |fd: OwnedFd| File::from(fd);
    (file(read), file(write))
}
