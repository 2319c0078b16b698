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
use crate::tap::Tap;

/// What one container may have read in one turn of the loop, so that no other waits long.
pub(crate) const TURN_BYTES_MAX: usize = 256 << 10;
/// What is read after a container's end at most: more than its pipe can hold. Whoever still writes then is
/// none of its processes.
pub(crate) const DRAIN_BYTES_MAX: usize = 4 * PIPE_BYTES;
/// A full pipe stops the container; the default of 64 KiB does so often.
const PIPE_BYTES: usize = 256 << 10;
const CHUNK_BYTES: usize = 64 << 10;
/// Records of one turn are written together from this length on: a file system takes a few long writes for
/// less than many short ones. At most those of one more chunk come on top.
const RECORDS_BYTES: usize = 256 << 10;
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
    log: Log,
    stdout: Option<Pipe>,
    stderr: Option<Pipe>,
    is_terminal: bool,
    pub(crate) taps: Vec<Tap>,
}

#[derive(Debug)]
struct Pipe {
    descriptor: OwnedFd,
    encoder: Encoder,
}

#[derive(Debug)]
struct Log {
    file: LogFile,
    /// The first failure to write, until it is taken.
    loss: Option<io::Error>,
    has_lost: bool,
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
        let is_terminal = stderr.is_none();
        let stdout = Some(pipe(stdout, Stream::Stdout)?);
        let stderr = stderr.map(|descriptor| pipe(descriptor, Stream::Stderr)).transpose()?;
        Ok(Self {
            log: Log { file, loss: None, has_lost: false },
            stdout,
            stderr,
            is_terminal,
            taps: Vec::new(),
        })
    }

    /// Reads what is there, at most about `bytes_max`, and writes the records of it.
    pub(crate) fn pump(&mut self, stream: Stream, bytes_max: usize, scratch: &mut Scratch, poller: &Poller) {
        let mut bytes_left = bytes_max;
        while bytes_left > 0 {
            let Some(length) = self.read(stream, scratch, poller) else { break };
            bytes_left = bytes_left.saturating_sub(length);
            if scratch.records.len() >= RECORDS_BYTES {
                self.log.write(&mut scratch.records);
            }
        }
        self.log.write(&mut scratch.records);
    }

    /// One read, and its records. How many bytes came; `None` when there are none now, or never again.
    fn read(
        &mut self,
        stream: Stream,
        Scratch { chunk, records, read_bytes_max }: &mut Scratch,
        poller: &Poller,
    ) -> Option<usize> {
        let slot = match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        };
        let pipe = slot.as_mut()?;
        chunk.clear();
        chunk.reserve(CHUNK_BYTES);
        match rustix::io::read(&pipe.descriptor, spare_capacity(chunk)) {
            // A terminal's master says EIO when the last process on it is gone.
            Ok(0) | Err(Errno::IO) => {}
            Ok(length) => {
                pipe.encoder.push(chunk, Timestamp::new(clock::wall()), records);
                self.taps.retain_mut(|tap| tap.stream != stream || tap.write(chunk));
                *read_bytes_max = length.max(*read_bytes_max);
                return Some(length);
            }
            Err(Errno::INTR) => return Some(0),
            Err(Errno::AGAIN) => return None,
            Err(error) => note::error("cannot read a container's output", &io::Error::from(error)),
        }
        pipe.encoder.finish(Timestamp::new(clock::wall()), records);
        // Who is attached to a terminal has a copy, for which the poller would go on waiting.
        poller.forget(&pipe.descriptor);
        *slot = None;
        None
    }

    pub(crate) fn is_terminal(&self) -> bool {
        self.is_terminal
    }

    /// Copies what comes from now on to them too. A stream that has ended ends them.
    pub(crate) fn tap(&mut self, taps: Vec<Tap>) {
        let (stdout, stderr) = (self.stdout.is_some(), self.stderr.is_some());
        self.taps.extend(taps.into_iter().filter(|tap| match tap.stream {
            Stream::Stdout => stdout,
            Stream::Stderr => stderr,
        }));
    }

    /// A copy of the terminal's master.
    pub(crate) fn terminal(&self) -> io::Result<OwnedFd> {
        match &self.stdout {
            Some(pipe) => pipe.descriptor.try_clone(),
            None => Err(io::Error::other("no process has its terminal open any more")),
        }
    }

    /// To be called after [`Self::pump`].
    pub(crate) fn watch_taps(&mut self, poller: &Poller) {
        self.taps.iter_mut().for_each(|tap| tap.watch(poller));
    }

    /// Gives back what long lines took.
    pub(crate) fn release_memory(&mut self) {
        for pipe in [&mut self.stdout, &mut self.stderr].into_iter().flatten() {
            pipe.encoder.release_memory();
        }
    }

    /// Why output is being lost, said once per attempt.
    pub(crate) fn take_loss(&mut self) -> Option<io::Error> {
        self.log.loss.take()
    }

    /// After the container's end: reads the rest and closes the file. What [`Self::take_loss`] would say, and the taps,
    /// which may have something to say yet.
    pub(crate) fn finish(mut self, scratch: &mut Scratch, poller: &Poller) -> (Option<io::Error>, Vec<Tap>) {
        for stream in [Stream::Stdout, Stream::Stderr] {
            self.pump(stream, DRAIN_BYTES_MAX, scratch, poller);
        }
        // Ends that somebody still holds open.
        for mut pipe in [self.stdout.take(), self.stderr.take()].into_iter().flatten() {
            pipe.encoder.finish(Timestamp::new(clock::wall()), &mut scratch.records);
            poller.forget(&pipe.descriptor);
        }
        self.log.write(&mut scratch.records);
        (self.log.loss, self.taps)
    }
}

impl Log {
    /// Writes whole records and empties the buffer. One line is noted for a fault that may repeat with every
    /// record.
    fn write(&mut self, records: &mut Vec<u8>) {
        if !records.is_empty()
            && let Err(error) = self.file.append(records, clock::wall())
            && !std::mem::replace(&mut self.has_lost, true)
        {
            note::error("cannot write a container's log, and so loses its output", &error);
            self.loss = Some(error);
        }
        records.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use container_config::LogLimits;
    use cri_log::Stream;
    use rustix::pipe::pipe;

    use super::{FEW_BYTES, LogPump, Scratch, TURN_BYTES_MAX};
    use crate::log_file::LogFile;
    use crate::poll::Poller;

    #[test]
    fn only_a_burst_of_output_makes_the_buffers_large() {
        let dir = std::env::temp_dir().join(format!("monopod-pump-{}", std::process::id()));
        let (reader, writer) = pipe().unwrap();
        let log = LogFile::open(&dir, 0, LogLimits::default()).unwrap();
        let poller = Poller::new().unwrap();
        let mut pump = LogPump::new(log, reader, None, 1, &poller).unwrap();
        let mut scratch = Scratch::default();
        let mut output = |bytes: usize| {
            rustix::io::write(&writer, &vec![b'x'; bytes]).unwrap();
            pump.pump(Stream::Stdout, TURN_BYTES_MAX, &mut scratch, &poller);
            scratch.is_large()
        };
        assert!(!output(100));
        assert!(!output(FEW_BYTES));
        assert!(output(FEW_BYTES + 1));
        fs::remove_dir_all(&dir).unwrap();
    }
}
