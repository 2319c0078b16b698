//! How long after a container wrote a line it is with a client that follows the log.
//!
//! Each line is the time at which it is written. The writer begins when the client has had its first line.

use std::fs::{File, OpenOptions};
use std::io::{PipeReader, Read, Write};
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use http_body_util::BodyExt as _;
use linux_sys::clock::boot_ns;
use rustix::fs::{CWD, FileType, Mode, mknodat};

use super::Size;
use super::pods::Pods;
use crate::bed::Bed;
use crate::engine::Engine;
use crate::pod::EXCHANGE;
use crate::report::{Report, Row};
use crate::timed::START;
use crate::wait;
use crate::workload::api::ms;
use crate::workload::daemon::Daemon;

/// 200 lines a second.
const EVERY_US: &str = "5000";
const LATE_MS_MAX: f64 = 5.0;
const READ_BYTES: usize = 16 << 10;

const fn count(size: Size) -> usize {
    match size {
        Size::Full => 2_000,
        Size::Quick => 200,
    }
}

pub(super) fn measure(bed: &Bed, size: Size, report: &mut Report) -> Result<()> {
    let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let daemon = Daemon::start_with(bed, &bed.new_cold_root()?, &["--no-pod-network"])?;
    let (api, client) = tokio.block_on(async {
        let pods = Pods::new(bed, &daemon).await?;
        let api = by_api(bed, &pods, count(size)).await?;
        let client = by_client(bed, &daemon, &pods, count(size)).await?;
        Ok::<_, anyhow::Error>((api, client))
    })?;
    drop(tokio);
    daemon.stop()?;
    for (name, what, samples) in [
        ("logs.follow", "a line written, until it is with who follows the log", api),
        ("logs.follow.client", "  until monopod logs -f has printed it", client),
    ] {
        report.add(Row::of(name, what, "ms", samples));
        report.p99_at_most(name, LATE_MS_MAX);
    }
    Ok(())
}

async fn by_api(bed: &Bed, pods: &Pods, count: usize) -> Result<Vec<f64>> {
    let writer = Writer::new(bed, "followed")?;
    writer.begin(pods, count).await?;
    let mut lines = Lines::default();
    let mut log = pods.follow(writer.name).await?;
    while let Some(frame) = tokio::time::timeout(wait::SOON, log.frame()).await.context("no line came")? {
        let at = boot_ns();
        if lines.add(&frame?.into_data().unwrap_or_default(), at)? {
            writer.go()?;
        }
    }
    writer.end(pods).await?;
    lines.late(count)
}

async fn by_client(bed: &Bed, daemon: &Daemon, pods: &Pods, count: usize) -> Result<Vec<f64>> {
    let writer = Writer::new(bed, "followed-by-client")?;
    writer.begin(pods, count).await?;
    let (mut output, input) = std::io::pipe()?;
    let mut client = bed.client(daemon.root(), &["logs", "-f", writer.name]);
    let running = Engine::start_into(&mut client, Stdio::from(input))?;
    // It holds the end of the pipe that has to be closed for the log to end.
    drop(client);
    let lines = read(&mut output, &writer)?;
    running.finish()?;
    writer.end(pods).await?;
    lines.late(count)
}

fn read(output: &mut PipeReader, writer: &Writer) -> Result<Lines> {
    let (mut lines, mut block) = (Lines::default(), vec![0; READ_BYTES]);
    loop {
        wait::readable(&*output, "a line of a log that is followed")?;
        let length = output.read(&mut block)?;
        let at = boot_ns();
        if length == 0 {
            return Ok(lines);
        }
        if lines.add(&block[..length], at)? {
            writer.go()?;
        }
    }
}

/// A pod that writes lines when it is told to.
#[derive(Debug)]
struct Writer {
    name: &'static str,
    /// Opened for both, so that neither end waits for the other.
    go: File,
}

impl Writer {
    fn new(bed: &Bed, name: &'static str) -> Result<Self> {
        let path = bed.exchange().join(name);
        mknodat(CWD, &path, FileType::Fifo, Mode::from_raw_mode(0o600), 0)?;
        let go = OpenOptions::new().read(true).write(true).open(&path).context("cannot open a pipe")?;
        Ok(Self { name, go })
    }

    /// Its log is there when this returns.
    async fn begin(&self, pods: &Pods, count: usize) -> Result<()> {
        let go = Path::new(EXCHANGE).join(self.name).display().to_string();
        pods.begin(self.name, vec!["timed", "ticks", &go, &count.to_string(), EVERY_US]).await?;
        pods.running(self.name).await
    }

    fn go(&self) -> Result<()> {
        Ok((&self.go).write_all(b"!")?)
    }

    async fn end(&self, pods: &Pods) -> Result<()> {
        pods.delete(self.name).await
    }
}

/// What came of a log, and when.
#[derive(Debug, Default)]
struct Lines {
    begun: Vec<u8>,
    late_ns: Vec<i64>,
}

impl Lines {
    /// Whether the line is among them before which the writer waits.
    fn add(&mut self, bytes: &[u8], at: i64) -> Result<bool> {
        let mut is_first = false;
        self.begun.extend_from_slice(bytes);
        while let Some(end) = self.begun.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.begun.drain(..=end).collect();
            let line = str::from_utf8(&line)?.trim_end();
            if line == START {
                is_first = true;
            } else {
                let written: i64 = line.parse().with_context(|| format!("a line is torn: {line:?}"))?;
                self.late_ns.push(at - written);
            }
        }
        Ok(is_first)
    }

    /// Milliseconds.
    fn late(self, count: usize) -> Result<Vec<f64>> {
        ensure!(self.late_ns.len() == count, "{} of {count} lines came", self.late_ns.len());
        Ok(self.late_ns.into_iter().map(ms).collect())
    }
}
