//! Lines that `cat` writes as fast as it can: until they are all in the log, and read back.
//!
//! Two servers: one rotates as a kubelet does, the other keeps everything. What is read back from that one is compared
//! with what was written, in the round that does not count.

use std::fs::File;
use std::io::Read;
use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use tokio::runtime::Runtime;

use super::lines::{self, LINE_BYTES};
use super::peer::Copier;
use super::pods::Pods;
use super::{Size, mib_per_second};
use crate::bed::Bed;
use crate::engine::{Engine, Finished};
use crate::report::{Report, Row};
use crate::timed::{START, stamps};
use crate::workload::daemon::Daemon;

/// The files of lines in the exchange directory.
const LINES: &str = "lines";
const FEW_LINES: &str = "few-lines";
/// The pod that has few lines, also podman's container.
const FEW: &str = "few";
const NO_NETWORK: &str = "--no-pod-network";
/// Larger than any log here.
const KEEP_ALL: [&str; 2] = ["--container-log-max-size", "64Gi"];
/// What a client's output is read in.
const BLOCK_BYTES: usize = 256 << 10;

const ROTATED_MIN: f64 = 600.0;
const WHOLE_MIN: f64 = 350.0;
const READBACK_MIN: f64 = 700.0;

/// Bytes of lines, of few lines, and measured rounds.
const fn amount(size: Size) -> (u64, u64, usize) {
    match size {
        Size::Full => (1 << 30, 16 << 20, 10),
        Size::Quick => (64 << 20, 2 << 20, 1),
    }
}

pub(super) fn measure(bed: &Bed, size: Size, report: &mut Report) -> Result<()> {
    let (bytes, few_bytes, rounds) = amount(size);
    let mut rows = rows();
    let podman = Copier::find(bed, report)?;
    let has_podman = podman.is_some();
    let copying = Copying::start(bed, bytes, few_bytes, podman)?;
    // The first does not count.
    for round in 0..=rounds {
        let mut took = Vec::new();
        let sides: [&dyn Fn() -> Result<Took>; 2] = [&|| copying.monopod(round), &|| copying.podman(round)];
        let turn = round % sides.len();
        for side in sides[turn..].iter().chain(&sides[..turn]) {
            took.extend(side()?);
        }
        for (name, figure) in took.into_iter().filter(|_| round > 0) {
            let row = rows.iter_mut().find(|row| row.name == name).context("a row without a name")?;
            row.samples.push(figure);
        }
    }
    copying.stop()?;
    rows.into_iter().filter(|row| !row.samples.is_empty()).for_each(|row| report.add(row));
    report.at_least("logs.cat.rotated", ROTATED_MIN);
    report.at_least("logs.cat.whole", WHOLE_MIN);
    report.at_least("logs.readback", READBACK_MIN);
    if has_podman {
        report.compare("logs.cat.whole", "podman.logs.whole", None);
        report.compare("logs.readback.few", "podman.logs.readback", None);
    }
    Ok(())
}

fn rows() -> [Row; 7] {
    [
        ("logs.cat.rotated", "lines of 100 bytes from cat, until the end is seen"),
        ("logs.cat.whole", "  kept whole"),
        ("podman.logs.whole", "  podman, k8s-file"),
        ("logs.readback", "read back by monopod logs, to /dev/null"),
        ("logs.readback.pipe", "  to a pipe whose reader counts lines"),
        ("logs.readback.few", "  of a short log, to /dev/null"),
        ("podman.logs.readback", "  podman logs of as short a one"),
    ]
    .map(|(name, what)| Row::new(name, what, "MiB/s"))
}

type Took = Vec<(&'static str, f64)>;

#[derive(Debug)]
struct Copying<'b> {
    bed: &'b Bed,
    bytes: u64,
    few_bytes: u64,
    tokio: Runtime,
    rotating: Daemon,
    keeping: Daemon,
    rotated: Pods,
    kept: Pods,
    podman: Option<Copier<'b>>,
}

impl<'b> Copying<'b> {
    fn start(bed: &'b Bed, bytes: u64, few_bytes: u64, podman: Option<Copier<'b>>) -> Result<Self> {
        let bytes = lines::make(&bed.exchange().join(LINES), bytes)?;
        let few_bytes = lines::make(&bed.exchange().join(FEW_LINES), few_bytes)?;
        let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let rotating = Daemon::start_with(bed, &bed.new_cold_root()?, &[NO_NETWORK])?;
        let keep_all = [&[NO_NETWORK], &KEEP_ALL[..]].concat();
        let keeping = Daemon::start_with(bed, &bed.new_cold_root()?, &keep_all)?;
        let (rotated, kept) = tokio.block_on(async {
            Ok::<_, anyhow::Error>((Pods::new(bed, &rotating).await?, Pods::new(bed, &keeping).await?))
        })?;
        tokio.block_on(async {
            kept.copy(FEW, FEW_LINES, "few-began").await?;
            kept.ended(FEW).await
        })?;
        if let Some(podman) = &podman {
            podman.copy(FEW, FEW_LINES, "podman-few-began")?;
        }
        Ok(Self { bed, bytes, few_bytes, tokio, rotating, keeping, rotated, kept, podman })
    }

    fn stop(self) -> Result<()> {
        self.podman.as_ref().map_or(Ok(()), Copier::remove)?;
        self.tokio.block_on(self.kept.delete(FEW))?;
        drop((self.rotated, self.kept));
        drop(self.tokio);
        self.rotating.stop()?;
        self.keeping.stop()
    }

    fn monopod(&self, round: usize) -> Result<Took> {
        let name = format!("copy-{round}");
        let rotated = self.written(&self.rotated, &name)?;
        self.tokio.block_on(self.rotated.delete(&name))?;
        let whole = self.written(&self.kept, &name)?;
        let plain = self.unread(&name, self.bytes)?;
        let piped = self.piped(&name, |output| {
            if round == 0 {
                let all = self.bed.exchange().join(LINES);
                return lines::compare(&all, output).context("lines were lost or torn");
            }
            let (count, found) = (self.bytes / LINE_BYTES, count_lines(output)?);
            ensure!(found == count, "{found} lines were read back of {count}");
            Ok(self.bytes)
        })?;
        self.tokio.block_on(self.kept.delete(&name))?;
        Ok(vec![
            ("logs.cat.rotated", rotated),
            ("logs.cat.whole", whole),
            ("logs.readback", plain),
            ("logs.readback.pipe", piped),
            ("logs.readback.few", self.unread(FEW, self.few_bytes)?),
        ])
    }

    fn podman(&self, round: usize) -> Result<Took> {
        let Some(podman) = &self.podman else { return Ok(Vec::new()) };
        let name = format!("copy-{round}");
        let ns = podman.copy(&name, LINES, &format!("podman-{name}-began"))?;
        podman.remove_one(&name)?;
        let read =
            Engine::start_into(&mut podman.logs(FEW), Stdio::from(File::create("/dev/null")?))?.finish()?;
        Ok(vec![
            ("podman.logs.whole", mib_per_second(self.bytes, ns)),
            ("podman.logs.readback", rate(self.few_bytes, &read)?),
        ])
    }

    /// From before `cat` begins until its end is seen.
    fn written(&self, pods: &Pods, name: &str) -> Result<f64> {
        let began = format!("{name}-began");
        let file: PathBuf = self.bed.exchange().join(&began);
        // What was written before is not this one's to wait for.
        rustix::fs::sync();
        let ended = self.tokio.block_on(async {
            pods.copy(name, LINES, &began).await?;
            pods.ended(name).await
        })?;
        let began = *stamps(&file, START).first().context("a container ended and never began")?;
        std::fs::remove_file(file)?;
        Ok(mib_per_second(self.bytes, (ended - began).cast_unsigned()))
    }

    /// The whole client.
    fn unread(&self, name: &str, bytes: u64) -> Result<f64> {
        let mut client = self.bed.client(self.keeping.root(), &["logs", name]);
        let read = Engine::start_into(&mut client, Stdio::from(File::create("/dev/null")?))?.finish()?;
        rate(bytes, &read)
    }

    /// The whole client, whose output is read here.
    fn piped(&self, name: &str, read: impl FnOnce(std::io::PipeReader) -> Result<u64>) -> Result<f64> {
        let (output, input) = std::io::pipe()?;
        let mut client = self.bed.client(self.keeping.root(), &["logs", name]);
        let running = Engine::start_into(&mut client, Stdio::from(input))?;
        // It holds the end of the pipe that has to be closed for the reader to end.
        drop(client);
        let bytes = read(output)?;
        rate(bytes, &running.finish()?)
    }
}

fn rate(bytes: u64, took: &Finished) -> Result<f64> {
    Ok(mib_per_second(bytes, u64::try_from(took.ended_ns - took.began_ns)?))
}

fn count_lines(mut output: impl Read) -> Result<u64> {
    let mut block = vec![0; BLOCK_BYTES];
    let mut count = 0;
    loop {
        let length = output.read(&mut block)?;
        if length == 0 {
            return Ok(count);
        }
        count += block[..length].iter().filter(|byte| **byte == b'\n').count() as u64;
    }
}
