//! From a container's output to its log file.

use std::io;
use std::os::fd::OwnedFd;

use cri_log::{Encoder, Stream, Timestamp};
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
/// Encoding buffers that grew over this are given back.
const RECORDS_BYTES_KEPT: usize = 256 << 10;

/// Buffers shared by all pumps of a shim.
#[derive(Debug)]
pub(crate) struct Scratch {
    chunk: Vec<u8>,
    records: Vec<u8>,
}

impl Scratch {
    pub(crate) fn new() -> Self {
        Self { chunk: vec![0; CHUNK_BYTES], records: Vec::new() }
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
            let chunk =
                pipe.read(&mut scratch.chunk, Timestamp::new(at), &mut scratch.records, &mut bytes_left);
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
        scratch.records.clear();
        scratch.records.shrink_to(RECORDS_BYTES_KEPT);
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
    fn read(
        &mut self,
        chunk: &mut [u8],
        at: Timestamp,
        records: &mut Vec<u8>,
        bytes_left: &mut usize,
    ) -> Chunk {
        match rustix::io::read(&self.descriptor, &mut *chunk) {
            // A terminal's master says EIO when the last process on it is gone.
            Ok(0) | Err(Errno::IO) => {
                self.encoder.finish(at, records);
                Chunk::End
            }
            Ok(length) => {
                self.encoder.push(&chunk[..length], at, records);
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
