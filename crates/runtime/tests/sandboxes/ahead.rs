//! Shims that are started before their pods.

use std::fs;

use rustix::process::{Pid, Signal, kill_process};
use shim_protocol::{SHIM_LOG_NAME, SandboxRecord, read_record};

use crate::Case;
use crate::bed::{Bed, Engine, Running, wait_until};

pub(crate) const CASES: &[Case] = &[
    ("a_shim_that_waits_is_that_of_the_next_pod", a_shim_that_waits_is_that_of_the_next_pod),
    (
        "a_waiting_shim_that_was_killed_is_missed_by_nobody",
        a_waiting_shim_that_was_killed_is_missed_by_nobody,
    ),
    ("a_waiting_shim_ends_with_its_engine", a_waiting_shim_ends_with_its_engine),
];

const POD: &str = "containers:\n- {name: a, image: i, command: [sh, -c, 'exit 3']}";

fn a_shim_that_waits_is_that_of_the_next_pod(bed: &Bed) {
    let engine = bed.engine();
    let waiting = start_ahead(&engine, false);
    let running = engine.create(&bed.pod(POD, true));
    assert_eq!(shim_of(&running), waiting);
    let errors = fs::read_link(format!("/proc/{waiting}/fd/2")).unwrap();
    assert_eq!(errors, running.pod.pod_dir.join(SHIM_LOG_NAME));
    running.start("a", 0);
    assert_eq!(running.exit_of("a", 0).code, 3);
    // None was to be started after it.
    let other = engine.create(&bed.pod(POD, true));
    assert_ne!(shim_of(&other), waiting);
    running.end();
    other.end();
}

fn a_waiting_shim_that_was_killed_is_missed_by_nobody(bed: &Bed) {
    let engine = bed.engine();
    let waiting = start_ahead(&engine, true);
    kill_process(Pid::from_raw(waiting).unwrap(), Signal::KILL).unwrap();
    wait_until("it is dead", || state_of(waiting) == Some('Z'));
    let running = engine.create(&bed.pod(POD, true));
    assert_ne!(shim_of(&running), waiting);
    wait_until("another one waits", || waiting_shims().iter().any(|pid| *pid != shim_of(&running)));
    running.end();
    engine.runtime.end_ahead();
}

fn a_waiting_shim_ends_with_its_engine(bed: &Bed) {
    let engine = bed.engine();
    let told = start_ahead(&engine, true);
    engine.runtime.end_ahead();
    assert_eq!(state_of(told), None, "it is reaped when this returns");
    let engine = bed.engine();
    let dropped = start_ahead(&engine, true);
    drop(engine);
    wait_until("it is gone", || state_of(dropped).is_none());
}

/// Returns when one waits.
fn start_ahead(engine: &Engine<'_>, always: bool) -> i32 {
    let _tokio = engine.bed.enter();
    engine.runtime.start_ahead(always);
    let mut found = Vec::new();
    wait_until("a shim waits", || {
        found = waiting_shims();
        !found.is_empty()
    });
    found[0]
}

/// Shims among this process's children that work where it does.
fn waiting_shims() -> Vec<i32> {
    let here = std::env::current_dir().unwrap();
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let waits = |pid: &i32| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        status.contains("monopod-shim\n")
            && status.contains(&format!("PPid:\t{}\n", std::process::id()))
            && fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|dir| dir == here)
    };
    pids.filter(waits).collect()
}

/// `None` when there is no such process.
fn state_of(pid: i32) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}

fn shim_of(running: &Running<'_>) -> i32 {
    read_record::<SandboxRecord>(&SandboxRecord::path(&running.pod.pod_dir)).unwrap().shim_pid
}
