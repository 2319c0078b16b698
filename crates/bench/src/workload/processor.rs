//! What processes have of the processors, to the nanosecond: `USER_HZ` is too coarse for what idles.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::io::Errno;

use crate::wait::SOON;

/// Threads that wait for work to do outlive it by 10 s, so what a thread has had is seen before it ends.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Over which processes have to be quiet.
const QUIET: Duration = Duration::from_secs(1);

/// Processor time of some processes since it was made.
#[derive(Debug)]
pub(super) struct Usage {
    /// What each thread had at first and has had at last, by the ids of process and thread.
    threads: BTreeMap<(u32, u32), (u64, u64)>,
    began: Instant,
}

impl Usage {
    pub(super) fn begin(pids: &[u32]) -> Result<Self> {
        let mut threads = BTreeMap::new();
        for pid in pids {
            threads.extend(ns_of_threads(*pid)?.into_iter().map(|(tid, ns)| ((*pid, tid), (ns, ns))));
        }
        Ok(Self { threads, began: Instant::now() })
    }

    /// Looks until `time` has gone by since it was made; how long that was.
    pub(super) fn follow(&mut self, time: Duration) -> Result<Duration> {
        loop {
            sleep(time.saturating_sub(self.began.elapsed()).min(LOOK_EVERY));
            self.look()?;
            let gone_by = self.began.elapsed();
            if gone_by >= time {
                return Ok(gone_by);
            }
        }
    }

    fn look(&mut self) -> Result<()> {
        let pids: Vec<u32> = self.pids();
        for pid in pids {
            for (tid, ns) in ns_of_threads(pid)? {
                // A thread that was not there has had nothing before.
                self.threads.entry((pid, tid)).or_insert((0, 0)).1 = ns;
            }
        }
        Ok(())
    }

    fn pids(&self) -> Vec<u32> {
        let mut pids: Vec<u32> = self.threads.keys().map(|(pid, _)| *pid).collect();
        pids.dedup();
        pids
    }

    pub(super) fn of(&self, pid: u32) -> Duration {
        let threads = self.threads.range((pid, 0)..=(pid, u32::MAX));
        Duration::from_nanos(threads.map(|(_, (first, last))| last - first).sum())
    }

    pub(super) fn of_all(&self) -> Duration {
        Duration::from_nanos(self.threads.values().map(|(first, last)| last - first).sum())
    }
}

/// Waits until all of them together had less than `below` of a processor within a second. `false` when they never had.
pub(super) fn wait_quiet(pids: &[u32], below: Duration) -> Result<bool> {
    let deadline = Instant::now() + SOON;
    while Instant::now() < deadline {
        let mut usage = Usage::begin(pids)?;
        usage.follow(QUIET)?;
        if usage.of_all() < below {
            return Ok(true);
        }
    }
    Ok(false)
}

/// By thread id.
fn ns_of_threads(pid: u32) -> Result<Vec<(u32, u64)>> {
    let mut threads = Vec::new();
    let tasks = format!("/proc/{pid}/task");
    for entry in fs::read_dir(&tasks).with_context(|| format!("process {pid} is gone"))? {
        let entry = entry?;
        let Some(tid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let path = entry.path().join("schedstat");
        match fs::read_to_string(&path) {
            Ok(text) => {
                let ns = text.split(' ').next().and_then(|ns| ns.parse().ok());
                threads.push((tid, ns.with_context(|| format!("{} says {text:?}", path.display()))?));
            }
            // The thread has ended meanwhile.
            Err(error)
                if error.kind() == ErrorKind::NotFound
                    || Errno::from_io_error(&error) == Some(Errno::SRCH) => {}
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
    }
    Ok(threads)
}
