//! A process and what it started.

use std::fs;

use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open, pidfd_send_signal};

/// Descendants of one process that are looked for; more is a fork bomb, which only its container's end ends.
const DESCENDANTS_MAX: usize = 1_024;

/// SIGKILL to `pid`, a child of ours that has not been reaped, and to its descendants. A descendant whose
/// parent ended before is no longer known as one and stays, as under other runtimes.
pub(crate) fn kill(pid: i32) {
    // Held before the first dies, so that none is a later process under the same number.
    let descendants: Vec<_> = descendants(pid)
        .into_iter()
        .filter_map(|pid| pidfd_open(Pid::from_raw(pid)?, PidfdFlags::empty()).ok())
        .collect();
    if let Some(pid) = Pid::from_raw(pid) {
        let _ = kill_process(pid, Signal::KILL);
    }
    for descendant in descendants {
        let _ = pidfd_send_signal(descendant, Signal::KILL);
    }
}

fn descendants(pid: i32) -> Vec<i32> {
    let mut found = Vec::new();
    let mut next = vec![pid];
    while let Some(parent) = next.pop() {
        for child in children(parent) {
            if found.len() == DESCENDANTS_MAX {
                return found;
            }
            found.push(child);
            next.push(child);
        }
    }
    found
}

/// Children of all threads; none when the process is gone.
fn children(pid: i32) -> Vec<i32> {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    let lists =
        threads.flatten().filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    lists
        .flat_map(|list| list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>())
        .collect()
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};
    use std::time::{Duration, Instant};

    use super::{descendants, kill};

    #[test]
    fn kills_grandchildren() {
        let mut child = Command::new("sh")
            .args(["-c", "sh -c 'sleep 1000 & sleep 1000' & wait"])
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        let deadline = Instant::now() + Duration::from_secs(10);
        while descendants(pid).len() < 3 {
            assert!(Instant::now() < deadline, "the processes come up");
            std::thread::yield_now();
        }
        let all = descendants(pid);
        kill(pid);
        child.wait().unwrap();
        for pid in all {
            let gone = || match std::fs::read_to_string(format!("/proc/{pid}/stat")) {
                Ok(stat) => stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with(['Z', 'X'])),
                Err(_) => true,
            };
            while !gone() {
                assert!(Instant::now() < deadline, "process {pid} ends");
                std::thread::yield_now();
            }
        }
    }
}
