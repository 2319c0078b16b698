//! Starts, exits, signals, records.

use std::fs;

use lifecycle::{ContainerRecord, ExitReason};
use podspec::{ContainerKind, ContainerName};
use ports::{RuntimeService, StartContainerError};
use shim_protocol::{attempt_dir, read_record};

use crate::Case;
use crate::bed::Bed;

pub(crate) const CASES: &[Case] = &[
    (
        "an_ephemeral_container_is_among_its_targets_processes",
        an_ephemeral_container_is_among_its_targets_processes,
    ),
    ("exit_codes_output_and_messages", exit_codes_output_and_messages),
    ("a_process_that_cannot_be_executed_is_an_attempt", a_process_that_cannot_be_executed_is_an_attempt),
    ("signals_and_kills", signals_and_kills),
    (
        "containers_of_a_shared_process_namespace_end_alone",
        containers_of_a_shared_process_namespace_end_alone,
    ),
    ("attempts_are_removed_one_by_one", attempts_are_removed_one_by_one),
    ("an_out_of_memory_kill_is_told_from_others", an_out_of_memory_kill_is_told_from_others),
    ("a_terminal_is_logged", a_terminal_is_logged),
    ("files_of_etc_are_the_pods", files_of_etc_are_the_pods),
    ("the_end_of_the_log_is_the_message_of_a_failure", the_end_of_the_log_is_the_message_of_a_failure),
    ("the_stop_signal_is_on_record_and_sent", the_stop_signal_is_on_record_and_sent),
];

fn exit_codes_output_and_messages(bed: &Bed) {
    let engine = bed.engine();
    let script = "echo out; echo err >&2; printf why > /dev/termination-log; printf unfinished; exit 3";
    let pod = bed.pod(&format!("containers:\n- {{name: a, image: i, command: [sh, -c, '{script}']}}"), true);
    let running = engine.create(&pod);
    assert_eq!(running.facts.ips, [ports::LOOPBACKS[0]]);
    running.start("a", 0);
    let exit = running.exit_of("a", 0);
    assert_eq!((exit.code, exit.signal, exit.reason), (3, None, ExitReason::Error));
    assert_eq!(exit.message, "why");
    assert!(exit.started.is_some_and(|started| started.boot < exit.finished.boot));
    // On disk before it was told.
    let dir = attempt_dir(&pod.pod_dir, &ContainerName::new("a"), 0);
    let record: ContainerRecord = read_record(&dir.join("record.json")).unwrap();
    assert_eq!(record.exit, Some(exit));
    assert_eq!(record.id.len(), 64);
    let log = running.log("a", 0);
    assert!(log.contains("out\n") && log.contains("err\n") && log.contains("unfinished"), "{log}");
    running.end();
}

fn a_process_that_cannot_be_executed_is_an_attempt(bed: &Bed) {
    let engine = bed.engine();
    let pod = bed.pod("containers:\n- {name: a, image: i, command: [/no/such/program]}", true);
    let running = engine.create(&pod);
    let Err(StartContainerError::Start(exit)) = running.try_start("a", 0) else { panic!("it started") };
    assert_eq!((exit.code, exit.reason), (128, ExitReason::StartError));
    assert!(exit.message.contains("/no/such/program"), "{}", exit.message);
    let dir = attempt_dir(&pod.pod_dir, &ContainerName::new("a"), 0);
    assert_eq!(read_record::<ContainerRecord>(&dir.join("record.json")).unwrap().exit, Some(exit));
    running.end();
}

fn signals_and_kills(bed: &Bed) {
    let engine = bed.engine();
    let pod = bed.pod(
        "containers:\n\
         - {name: a, image: i, command: [sh, -c, 'trap \"exit 7\" TERM; echo up; while :; do sleep 0.02; done']}\n\
         - {name: b, image: i, command: [sh, -c, 'trap \"\" TERM; echo up; while :; do sleep 1000; done']}",
        true,
    );
    let running = engine.create(&pod);
    for name in ["a", "b"] {
        running.start(name, 0);
        running.wait_for_log(name, "up");
        running.signal(name, 0);
    }
    assert_eq!(running.exit_of("a", 0).code, 7);
    running.kill("b", 0);
    let exit = running.exit_of("b", 0);
    assert_eq!((exit.code, exit.signal, exit.reason), (137, Some(9), ExitReason::Error));
    // Both are over: nothing to signal, and no error.
    running.signal("a", 0);
    running.kill("b", 0);
    running.end();
}

fn containers_of_a_shared_process_namespace_end_alone(bed: &Bed) {
    let engine = bed.engine();
    let pod = bed.pod(
        "shareProcessNamespace: true\n\
         containers:\n\
         - {name: a, image: i, command: [sh, -c, 'sleep 1000 & echo up; sleep 0.1; exit 4']}\n\
         - {name: b, image: i, command: [sh, -c, 'echo up; sleep 1000']}",
        true,
    );
    let running = engine.create(&pod);
    running.start("b", 0);
    running.start("a", 0);
    assert_eq!(running.exit_of("a", 0).code, 4);
    running.wait_for_log("b", "up");
    let sleeping = running.exec("b", "ls /proc | grep -c '^[0-9]'", None, 100).unwrap();
    assert_eq!(sleeping.exit_code, 0, "the other container is alive: {sleeping:?}");
    running.end();
}

fn attempts_are_removed_one_by_one(bed: &Bed) {
    let engine = bed.engine();
    let pod = bed.pod("containers:\n- {name: a, image: i, command: [echo, hello]}", true);
    let running = engine.create(&pod);
    let name = ContainerName::new("a");
    for attempt in 0..2 {
        running.start("a", attempt);
        assert_eq!(running.exit_of("a", attempt).code, 0);
        assert_eq!(running.log("a", attempt), "hello\n");
    }
    assert!(running.try_start("a", 1).is_err(), "an attempt is made once");
    bed.wait(engine.runtime.remove_container(&pod, &name, 0)).unwrap();
    bed.wait(engine.runtime.remove_container(&pod, &name, 0)).unwrap();
    assert!(!attempt_dir(&pod.pod_dir, &name, 0).exists());
    assert!(!running.log_path("a", "0.log").exists());
    assert!(attempt_dir(&pod.pod_dir, &name, 1).join("record.json").exists());
    assert_eq!(running.log("a", 1), "hello\n");
    running.end();
}

fn an_out_of_memory_kill_is_told_from_others(bed: &Bed) {
    let engine = bed.engine();
    let pod = bed.pod(
        "containers:\n- {name: a, image: i, command: [tail, /dev/zero], resources: {limits: {memory: 32Mi}}}",
        true,
    );
    let running = engine.create(&pod);
    running.start("a", 0);
    let exit = running.exit_of("a", 0);
    assert_eq!((exit.code, exit.signal, exit.reason), (137, Some(9), ExitReason::OOMKilled));
    running.end();
}

fn a_terminal_is_logged(bed: &Bed) {
    let engine = bed.engine();
    let pod = bed.pod(
        "containers:\n- {name: a, image: i, tty: true, command: [sh, -c, 'test -t 1 && echo tty']}",
        true,
    );
    let running = engine.create(&pod);
    running.start("a", 0);
    assert_eq!(running.exit_of("a", 0).code, 0);
    assert_eq!(running.log("a", 0), "tty\r\n");
    running.end();
}

fn files_of_etc_are_the_pods(bed: &Bed) {
    let engine = bed.engine();
    let pod = bed.pod(
        "hostname: box\n\
         hostAliases:\n\
         - {ip: 10.1.2.3, hostnames: [foo.local]}\n\
         containers:\n\
         - {name: a, image: i, command: [sh, -c, 'hostname; cat /etc/hostname; grep foo /etc/hosts']}",
        true,
    );
    let running = engine.create(&pod);
    running.start("a", 0);
    let exit = running.exit_of("a", 0);
    assert_eq!(running.log("a", 0), "box\nbox\n10.1.2.3\tfoo.local\n", "{exit:?}");
    assert!(fs::read_to_string(&running.facts.etc_hosts).unwrap().contains("127.0.0.1\tbox\n"));
    running.end();
}

fn an_ephemeral_container_is_among_its_targets_processes(bed: &Bed) {
    let engine = bed.engine();
    let spec = r#"
containers:
- {name: a, image: i, command: [sh, -c, 'echo up; exec sleep 4321']}
- {name: d, image: i, command: [sh, -c, 'tr "\0" " " < /proc/1/cmdline; echo; ls /proc/kcore; sleep 1000']}
"#;
    let mut pod = bed.pod(spec, true).pod.clone();
    let mut debugger = pod.spec.containers.pop().unwrap();
    debugger.kind = ContainerKind::Ephemeral;
    debugger.target = Some(ContainerName::new("a"));
    pod.spec.ephemeral_containers.push(debugger);
    let running = engine.create(&bed.context(pod, true));
    let StartContainerError::Create { message, .. } = running.try_start("d", 0).unwrap_err() else {
        panic!("there is no process of it")
    };
    assert!(
        message.contains("join the process namespace of container \"a\": it is not running"),
        "{message}"
    );
    running.start("a", 0);
    running.wait_for_log("a", "up");
    running.start("d", 0);
    running.wait_for_log("d", "/proc/kcore");
    let said = running.log("d", 0);
    assert!(said.starts_with("sleep 4321 \n"), "{said}");
    // The end of the target's first process is the end of everything in its namespace.
    running.kill("a", 0);
    assert_eq!(running.exit_of("a", 0).code, 137);
    assert_eq!(running.exit_of("d", 0).code, 137);
    running.end();
}

fn the_end_of_the_log_is_the_message_of_a_failure(bed: &Bed) {
    let engine = bed.engine();
    let cases = [
        ("printf DONE; exit 1", "DONE"),
        ("echo one; printf two >&2; exit 1", "one\ntwo"),
        ("echo said; exit 0", ""),
        ("echo said; printf why > /dev/termination-log; exit 1", "why"),
        ("echo said; exit 137", "said\n"),
    ];
    let containers: Vec<String> = cases
        .iter()
        .enumerate()
        .map(|(at, (script, _))| {
            let policy = "terminationMessagePolicy: FallbackToLogsOnError";
            format!("- {{name: c{at}, image: i, {policy}, command: [sh, -c, '{script}']}}")
        })
        .collect();
    let spec = format!(
        "containers:\n{}\n- {{name: file, image: i, command: [sh, -c, 'echo said; exit 1']}}\n\
         - {{name: none, image: i, terminationMessagePolicy: FallbackToLogsOnError, command: [/no/such/program]}}",
        containers.join("\n")
    );
    let running = engine.create(&bed.pod(&spec, true));
    for (at, (script, message)) in cases.into_iter().enumerate() {
        let name = format!("c{at}");
        running.start(&name, 0);
        assert_eq!(running.exit_of(&name, 0).message, message, "{script}");
    }
    running.start("file", 0);
    assert_eq!(running.exit_of("file", 0).message, "");
    let Err(StartContainerError::Start(exit)) = running.try_start("none", 0) else { panic!("it started") };
    assert!(exit.message.contains("/no/such/program"), "{}", exit.message);
    running.end();
}

fn the_stop_signal_is_on_record_and_sent(bed: &Bed) {
    let engine = bed.engine();
    let pod = bed.pod(
        "os: {name: linux}\n\
         containers:\n\
         - name: a\n\
         \x20 image: i\n\
         \x20 command: [sh, -c, 'trap \"exit 9\" USR1; echo up; while :; do sleep 0.02; done']\n\
         \x20 lifecycle: {stopSignal: SIGUSR1}\n\
         - {name: b, image: i, command: [sleep, '1000']}",
        true,
    );
    let running = engine.create(&pod);
    running.start("a", 0);
    running.start("b", 0);
    let recorded = |name: &str| {
        let dir = attempt_dir(&pod.pod_dir, &ContainerName::new(name), 0);
        read_record::<ContainerRecord>(&dir.join("record.json")).unwrap().stop_signal
    };
    assert_eq!((recorded("a"), recorded("b")), ("SIGUSR1".to_owned(), "SIGTERM".to_owned()));
    running.wait_for_log("a", "up");
    running.signal("a", 0);
    assert_eq!(running.exit_of("a", 0).code, 9);
    running.end();
}
