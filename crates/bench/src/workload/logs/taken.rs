//! How fast a container can write, from its first line until its last one is taken.
//!
//! With `run` reading the log to print it, and without: then `run` is stopped (SIGSTOP) while the container
//! writes. Beside it `cat > FILE`, which takes the bytes as they are.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::process::Signal;

use super::{Size, mib_per_second};
use crate::bed::Bed;
use crate::engine::Engine;
use crate::inside::{GO, READY, SAID};
use crate::pod::{self, EXCHANGE};
use crate::report::{Report, Row};
use crate::wait;

const LINE_BYTES: [u32; 3] = [16, 150, 16 << 10];
/// The lines that the aim is about.
const LINE_BYTES_USUAL: u32 = 150;
const MIB_PER_SECOND_MIN: f64 = 600.0;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Way {
    Cat,
    Unread,
    Read,
}

pub(super) fn measure(bed: &Bed, size: Size, report: &mut Report) -> Result<()> {
    let exchange = Exchange::new(bed)?;
    for line_bytes in LINE_BYTES {
        let mut rows = [
            (
                Way::Cat,
                Row::new(
                    &format!("logs.cat.{line_bytes}"),
                    &format!("lines of {line_bytes} bytes: cat > file"),
                    "MiB/s",
                ),
            ),
            (Way::Unread, Row::new(&format!("logs.{line_bytes}"), "  log, nobody reading", "MiB/s")),
            (Way::Read, Row::new(&format!("logs.read.{line_bytes}"), "  log, printed to /dev/null", "MiB/s")),
        ];
        for _ in 0..size.logs() {
            for (way, row) in &mut rows {
                let ns = exchange.measure(bed, *way, size.log_bytes(), line_bytes)?;
                row.samples.push(mib_per_second(size.log_bytes(), ns));
            }
        }
        rows.into_iter().for_each(|(_, row)| report.add(row));
        if line_bytes == LINE_BYTES_USUAL {
            report.at_least(&format!("logs.{line_bytes}"), MIB_PER_SECOND_MIN);
            report.at_least(&format!("logs.read.{line_bytes}"), MIB_PER_SECOND_MIN);
        }
    }
    Ok(())
}

/// The two pipes with names through which a writer is told to begin and says what it took.
#[derive(Debug)]
struct Exchange {
    go: File,
    said: File,
}

impl Exchange {
    fn new(bed: &Bed) -> Result<Self> {
        let open = |name: &str| -> Result<File> {
            let path = bed.exchange().join(name);
            mknodat(CWD, &path, FileType::Fifo, Mode::from_raw_mode(0o600), 0)?;
            // Opened for both, so that neither end waits for the other.
            OpenOptions::new().read(true).write(true).open(&path).context("cannot open a pipe")
        };
        Ok(Self { go: open(GO)?, said: open(SAID)? })
    }

    /// Nanoseconds.
    fn measure(&self, bed: &Bed, way: Way, bytes: u64, line_bytes: u32) -> Result<u64> {
        let (bytes, line_bytes) = (bytes.to_string(), line_bytes.to_string());
        if way == Way::Cat {
            return self.cat(bed, &bytes, &line_bytes);
        }
        let args = vec!["write", EXCHANGE, &bytes, &line_bytes];
        let pod = pod::manifest("writes", &bed.program(), Some(&bed.exchange()), &[("app", args)]);
        let file = bed.file("writes.yaml", &[pod])?;
        let run = Engine::start_into(&mut bed.run(&bed.root(), &file), Stdio::null())?;
        ensure!(self.hear()? == READY, "a writer is not ready");
        if way == Way::Unread {
            run.signal(Signal::STOP)?;
        }
        let took = self.begin();
        if way == Way::Unread {
            run.signal(Signal::CONT)?;
        }
        run.finish()?;
        took
    }

    fn cat(&self, bed: &Bed, bytes: &str, line_bytes: &str) -> Result<u64> {
        let path = bed.dir().join("cat");
        let mut writer = Command::new(bed.program());
        writer.arg("write").args([bed.exchange().as_os_str()]).args([bytes, line_bytes]);
        let (output, input) = std::io::pipe()?;
        let mut cat = Command::new("cat");
        let cat = Engine::start_into(cat.stdin(output), Stdio::from(File::create(&path)?))?;
        let said = Engine::start_into(&mut writer, Stdio::from(input))?;
        // It holds the end of the pipe that has to be closed for cat to end.
        drop(writer);
        ensure!(self.hear()? == READY, "a writer is not ready");
        let took = self.begin();
        said.finish()?;
        cat.finish()?;
        fs::remove_file(&path)?;
        took
    }

    fn begin(&self) -> Result<u64> {
        (&self.go).write_all(b"!")?;
        Ok(self.hear()?.parse()?)
    }

    /// A writer writes a word at once.
    fn hear(&self) -> Result<String> {
        wait::readable(&self.said, "a writer's word")?;
        let mut word = [0; 32];
        let length = (&self.said).read(&mut word)?;
        Ok(String::from_utf8_lossy(&word[..length]).into_owned())
    }
}
