//! What runs in containers, probes and hooks whose times are measured. Each appends a line to the pod's file for what it
//! does: a word, and the time by the boot clock.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, exit};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Result, bail};
use linux_sys::clock::boot_ns;
use linux_sys::signal::SignalFd;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::Signal;

/// A container began.
pub(crate) const START: &str = "start";
/// It got its stop signal.
pub(crate) const TERM: &str = "term";
/// It ends by itself.
pub(crate) const END: &str = "end";
/// A probe began.
pub(crate) const PROBE: &str = "probe";
/// Follows the name of a pod's file: a pipe that is held open as long as the container lives.
pub(crate) const ALIVE: &str = "alive";
/// A probe that turns has so many successes and so many failures one after another.
pub(crate) const TURN: usize = 3;

const LIFE: Duration = Duration::from_millis(100);

/// `began` is when this program did.
pub(crate) fn main(args: &[&str], began: i64) -> Result<()> {
    match *args {
        ["live", file] => live(Path::new(file), began, false),
        ["stubborn", file] => live(Path::new(file), began, true),
        ["end", file, code] => {
            append(file, START, began)?;
            sleep(LIFE);
            append(file, END, boot_ns())?;
            exit(code.parse()?)
        }
        ["fails", file] => {
            append(file, PROBE, began)?;
            exit(1)
        }
        ["turns", file] => {
            let before = stamps(Path::new(file), PROBE).len();
            append(file, PROBE, began)?;
            exit(i32::from((before / TURN).is_multiple_of(2)))
        }
        ["becomes", file, program, ref args @ ..] => {
            append(file, START, boot_ns())?;
            Err(Command::new(program).args(args).exec().into())
        }
        ["ticks", go, count, every_us] => {
            ticks(Path::new(go), count.parse()?, Duration::from_micros(every_us.parse()?))
        }
        ["hangs"] => loop {
            sleep(Duration::from_secs(3600));
        },
        _ => bail!("what is that?"),
    }
}

fn live(file: &Path, began: i64, stubborn: bool) -> Result<()> {
    let signals = SignalFd::new(&[Signal::TERM.as_raw()])?;
    let alive = file.with_extension(ALIVE);
    let _held =
        if alive.exists() { Some(OpenOptions::new().read(true).write(true).open(alive)?) } else { None };
    append(file, START, began)?;
    loop {
        while signals.next_signal()?.is_none() {
            poll(&mut [PollFd::new(&signals.as_fd(), PollFlags::IN)], None)?;
        }
        append(file, TERM, boot_ns())?;
        if !stubborn {
            return Ok(());
        }
    }
}

/// Prints [`START`], waits until it is told to go on, and then prints the time again and again.
fn ticks(go: &Path, count: u32, every: Duration) -> Result<()> {
    let mut out = File::from(std::io::stdout().as_fd().try_clone_to_owned()?);
    out.write_all(format!("{START}\n").as_bytes())?;
    File::open(go)?.read_exact(&mut [0])?;
    for _ in 0..count {
        sleep(every);
        out.write_all(format!("{}\n", boot_ns()).as_bytes())?;
    }
    Ok(())
}

/// Writes one line.
pub(crate) fn append(file: impl AsRef<Path>, word: &str, at: i64) -> Result<()> {
    let mut file = OpenOptions::new().append(true).create(true).open(file)?;
    Ok(file.write_all(format!("{word} {at}\n").as_bytes())?)
}

/// The times of one word, in the order in which they were written; none when there is no file yet.
pub(crate) fn stamps(file: &Path, word: &str) -> Vec<i64> {
    all(file).into_iter().filter_map(|(found, at)| (found == word).then_some(at)).collect()
}

/// Everything that is in the file.
pub(crate) fn all(file: &Path) -> Vec<(String, i64)> {
    let text = fs::read_to_string(file).unwrap_or_default();
    let line = |line: &str| {
        let (word, at) = line.split_once(' ')?;
        Some((word.to_owned(), at.parse().ok()?))
    };
    text.lines().filter_map(line).collect()
}
