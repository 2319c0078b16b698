//! From a container's output to its log file.

use std::io;
use std::os::fd::OwnedFd;

use cri_log::{Encoder, Stream, Timestamp};
use rustix::buffer::spare_capacity;
use rustix::io::Errno;

use crate::clock;
use crate::log_file::LogFile;
use crate::note;
use crate::poll::{Poller, Source};

/// What one container may have read in one turn of the loop, so that no other waits long.
pub(crate) const TURN_BYTES_MAX: usize = 256 << 10;
/// What is read after a container's end at most: more than its pipe can hold. Whoever still writes then is
/// none of its processes.
pub(crate) const DRAIN_BYTES_MAX: usize = 4 * PIPE_BYTES;
/// A full pipe stops the container; the default of 64 KiB does so often.
const PIPE_BYTES: usize = 256 << 10;
const CHUNK_BYTES: usize = 64 << 10;
/// Reads up to this length cost no memory that is worth giving back.
const FEW_BYTES: usize = 8 << 10;

/// Buffers shared by all pumps of a shim. Only as much of them takes memory as was ever filled.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    chunk: Vec<u8>,
    records: Vec<u8>,
    read_bytes_max: usize,
}

impl Scratch {
    /// Whether it takes more memory than a container needs that writes a line now and then.
    pub(crate) fn is_large(&self) -> bool {
        self.read_bytes_max > FEW_BYTES
    }
}

/// Both streams of one attempt and the file they go to.
#[derive(Debug)]
pub(crate) struct LogPump {
    file: LogFile,
    stdout: Option<Pipe>,
    stderr: Option<Pipe>,
    /// The first failure to write, until it is taken.
    loss: Option<io::Error>,
    has_lost: bool,
}

#[derive(Debug)]
struct Pipe {
    descriptor: OwnedFd,
    encoder: Encoder,
}

enum Chunk {
    Records,
    NothingNow,
    End,
}

impl LogPump {
    /// Takes the read ends over; `stderr` is `None` for a terminal, which has one stream.
    pub(crate) fn new(
        file: LogFile,
        stdout: OwnedFd,
        stderr: Option<OwnedFd>,
        key: u32,
        poller: &Poller,
    ) -> io::Result<Self> {
        let pipe = |descriptor: OwnedFd, stream| -> io::Result<Pipe> {
            rustix::io::ioctl_fionbio(&descriptor, true)?;
            // Refused to a terminal, and beyond the user's share of pipe memory: then it stays as it is.
            let _ = rustix::pipe::fcntl_setpipe_size(&descriptor, PIPE_BYTES);
            poller.add(&descriptor, Source::Log(key, stream))?;
            Ok(Pipe { descriptor, encoder: Encoder::new(stream) })
        };
        let stdout = Some(pipe(stdout, Stream::Stdout)?);
        let stderr = stderr.map(|descriptor| pipe(descriptor, Stream::Stderr)).transpose()?;
        Ok(Self { file, stdout, stderr, loss: None, has_lost: false })
    }

    /// Reads what is there, at most `bytes_max`.
    pub(crate) fn pump(&mut self, stream: Stream, bytes_max: usize, scratch: &mut Scratch) {
        let slot = match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        };
        let Some(pipe) = slot else { return };
        let mut bytes_left = bytes_max;
        while bytes_left > 0 {
            let at = clock::wall();
            scratch.records.clear();
            let chunk = pipe.read(scratch, Timestamp::new(at), &mut bytes_left);
            if !scratch.records.is_empty()
                && let Err(error) = self.file.append(&scratch.records, at)
            {
                lost(&mut self.loss, &mut self.has_lost, error);
            }
            match chunk {
                Chunk::Records => {}
                Chunk::NothingNow => break,
                Chunk::End => {
                    *slot = None;
                    break;
                }
            }
        }
    }

    /// Gives back what long lines took.
    pub(crate) fn release_memory(&mut self) {
        for pipe in [&mut self.stdout, &mut self.stderr].into_iter().flatten() {
            pipe.encoder.release_memory();
        }
    }

    /// Why output is being lost, said once per attempt.
    pub(crate) fn take_loss(&mut self) -> Option<io::Error> {
        self.loss.take()
    }

    /// After the container's end: reads the rest and closes the file. What [`Self::take_loss`] would say.
    pub(crate) fn finish(mut self, scratch: &mut Scratch) -> Option<io::Error> {
        for stream in [Stream::Stdout, Stream::Stderr] {
            self.pump(stream, DRAIN_BYTES_MAX, scratch);
        }
        // Ends that somebody still holds open.
        for mut pipe in [self.stdout.take(), self.stderr.take()].into_iter().flatten() {
            let at = clock::wall();
            scratch.records.clear();
            pipe.encoder.finish(Timestamp::new(at), &mut scratch.records);
            if let Err(error) = self.file.append(&scratch.records, at) {
                lost(&mut self.loss, &mut self.has_lost, error);
            }
        }
        self.loss
    }
}

/// One line for a fault that may repeat with every record.
fn lost(loss: &mut Option<io::Error>, has_lost: &mut bool, error: io::Error) {
    if !std::mem::replace(has_lost, true) {
        note::error("cannot write a container's log, and so loses its output", &error);
        *loss = Some(error);
    }
}

impl Pipe {
    fn read(&mut self, scratch: &mut Scratch, at: Timestamp, bytes_left: &mut usize) -> Chunk {
        let Scratch { chunk, records, read_bytes_max } = scratch;
        chunk.clear();
        chunk.reserve(CHUNK_BYTES);
        match rustix::io::read(&self.descriptor, spare_capacity(chunk)) {
            // A terminal's master says EIO when the last process on it is gone.
            Ok(0) | Err(Errno::IO) => {
                self.encoder.finish(at, records);
                Chunk::End
            }
            Ok(length) => {
                self.encoder.push(chunk, at, records);
                *read_bytes_max = length.max(*read_bytes_max);
                *bytes_left = bytes_left.saturating_sub(length);
                Chunk::Records
            }
            Err(Errno::INTR) => Chunk::Records,
            Err(Errno::AGAIN) => Chunk::NothingNow,
            Err(error) => {
                note::error("cannot read a container's output", &io::Error::from(error));
                self.encoder.finish(at, records);
                Chunk::End
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use cri_log::Stream;
    use rustix::pipe::pipe;

    use super::{FEW_BYTES, LogPump, Scratch, TURN_BYTES_MAX};
    use crate::log_file::LogFile;
    use crate::poll::Poller;

    #[test]
    fn only_a_burst_of_output_makes_the_buffers_large() {
        let dir = std::env::temp_dir().join(format!("monopod-pump-{}", std::process::id()));
        let (reader, writer) = pipe().unwrap();
        let log = LogFile::open(&dir, 0).unwrap();
        let mut pump = LogPump::new(log, reader, None, 1, &Poller::new().unwrap()).unwrap();
        let mut scratch = Scratch::default();
        let mut output = |bytes: usize| {
            rustix::io::write(&writer, &vec![b'x'; bytes]).unwrap();
            pump.pump(Stream::Stdout, TURN_BYTES_MAX, &mut scratch);
            scratch.is_large()
        };
        assert!(!output(100));
        assert!(!output(FEW_BYTES));
        assert!(output(FEW_BYTES + 1));
        fs::remove_dir_all(&dir).unwrap();
    }
}
