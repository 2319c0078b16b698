//! What a process costs while it runs.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result};

const LOOK_EVERY: Duration = Duration::from_millis(5);
/// Of `/proc/PID/stat`: `USER_HZ`, which is the same on all architectures of ours.
const TICKS_PER_S: f64 = 100.0;

/// The largest resident set of one process, seen until it ends.
#[derive(Debug)]
pub(super) struct Peak {
    kb: Arc<AtomicU64>,
    done: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Peak {
    pub(super) fn watch(pid: u32) -> Self {
        let (kb, done) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (seen, is_done) = (kb.clone(), done.clone());
        let thread = thread::spawn(move || {
            while let (Some(peak), false) = (peak_kb(pid), is_done.load(Ordering::SeqCst)) {
                seen.fetch_max(peak, Ordering::SeqCst);
                thread::sleep(LOOK_EVERY);
            }
        });
        Self { kb, done, thread }
    }

    pub(super) fn mib(self) -> f64 {
        self.done.store(true, Ordering::SeqCst);
        // It has nothing that panics.
        drop(self.thread.join());
        #[expect(clippy::cast_precision_loss, reason = "below 2^53")]
        let kb = self.kb.load(Ordering::SeqCst) as f64;
        kb / 1024.0
    }
}

/// `None` when it has ended.
fn peak_kb(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// The time on processors of all children that have ended, and of theirs.
pub(super) fn cpu_of_children_s() -> Result<f64> {
    let stat = fs::read_to_string("/proc/self/stat").context("cannot read /proc/self/stat")?;
    let rest = stat.rsplit(") ").next().context("no state")?;
    // The first of them is the third of the line: see proc(5), cutime and cstime.
    let ticks: Vec<f64> = rest.split(' ').skip(13).take(2).filter_map(|ticks| ticks.parse().ok()).collect();
    Ok(ticks.iter().sum::<f64>() / TICKS_PER_S)
}
