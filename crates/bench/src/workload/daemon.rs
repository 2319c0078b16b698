//! One `monopod serve`.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use anyhow::Result;
use linux_sys::clock::boot_ns;
use rustix::process::Signal;

use super::memory::{kb, rollup};
use crate::bed::Bed;
use crate::engine::Engine;
use crate::report::{Report, Row};

pub(super) const RSS_KB_MAX: f64 = 20_000.0;
/// `USER_HZ`, whatever the kernel's own clock.
const TICKS_PER_SECOND: f64 = 100.0;
/// By then a daemon has done what it does after it said that it is ready.
const IDLE: Duration = Duration::from_secs(3);

#[derive(Debug)]
pub(super) struct Daemon {
    engine: Engine,
    root: PathBuf,
    pub(super) socket: PathBuf,
    /// From before the process was made until it said that it is ready.
    pub(super) ready_ns: i64,
}

impl Daemon {
    pub(super) fn start(bed: &Bed, root: &Path) -> Result<Self> {
        Self::start_with(bed, root, &[])
    }

    /// With further arguments.
    pub(super) fn start_with(bed: &Bed, root: &Path, args: &[&str]) -> Result<Self> {
        let mut engine = Engine::start(bed.serve(root).args(args))?;
        engine.wait_line("monopod is ready")?;
        let ready_ns = boot_ns() - engine.began_ns;
        let socket = Bed::paths(root).run_dir.join("api.sock");
        Ok(Self { engine, root: root.to_owned(), socket, ready_ns })
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// What it has had of the processors so far.
    pub(super) fn processor_seconds(&self) -> Result<f64> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.engine.pid()))?;
        // After the name, which may be anything: the 12th is the time in user mode, the 13th that in the kernel.
        let after = stat.rsplit_once(") ").map_or("", |(_, after)| after);
        let ticks: f64 = after.split(' ').skip(11).take(2).filter_map(|word| word.parse::<f64>().ok()).sum();
        Ok(ticks / TICKS_PER_SECOND)
    }

    /// When its process was made, by the boot clock.
    pub(super) const fn began_ns(&self) -> i64 {
        self.engine.began_ns
    }

    pub(super) fn pid(&self) -> u32 {
        self.engine.pid()
    }

    /// By SIGKILL: it can do nothing about it.
    pub(super) fn kill(self) -> Result<()> {
        self.engine.kill()
    }

    pub(super) fn stop(self) -> Result<()> {
        self.errors().map(drop)
    }

    /// [`Self::stop`], and what it wrote to its standard error until then.
    pub(super) fn errors(self) -> Result<String> {
        self.engine.signal(Signal::TERM)?;
        Ok(self.engine.finish()?.errors)
    }

    pub(super) fn pss_kb(&self) -> Result<f64> {
        kb(&rollup(self.engine.pid())?, "Pss:")
    }

    /// Rows `daemon.rss.NAME` and `daemon.pss.NAME`, when it idles.
    pub(super) fn add_memory(&self, name: &str, what: &str, report: &mut Report) -> Result<()> {
        thread::sleep(IDLE);
        let memory = rollup(self.engine.pid())?;
        for (part, title, key) in [("rss", "RSS", "Rss:"), ("pss", "PSS", "Pss:")] {
            let row = format!("daemon.{part}.{name}");
            report.add(Row::of(
                &row,
                &format!("idle daemon, {what}: {title}"),
                "kB",
                vec![kb(&memory, key)?],
            ));
        }
        Ok(())
    }
}
