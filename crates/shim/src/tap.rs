//! Attachments: copies of a container's output for whoever is attached to it, who can hold up nothing.

use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use cri_log::Stream;
use podspec::{BootTime, ContainerName};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use shim_protocol::ReplyBody;

use crate::clock;
use crate::exec::not_running;
use crate::note;
use crate::poll::{Poller, Source};
use crate::supervisor::{Live, Shim};

/// Attachments of one container at one time; each may take two pipes and what waits for them.
const ATTACHMENTS_MAX: usize = 16;
/// What waits for one reader beyond its pipe. One that is further behind is cut off.
const WAITING_BYTES_MAX: usize = 4 << 20;
/// What a reader may leave unread when the container has ended and its shim with it.
const PIPE_BYTES: usize = 1 << 20;
/// How long after a container's end its last output waits for a reader.
const LINGER: Duration = Duration::from_secs(2);

/// One stream of one attachment.
#[derive(Debug)]
pub(crate) struct Tap {
    key: u32,
    pub(crate) stream: Stream,
    pipe: OwnedFd,
    waiting: VecDeque<u8>,
    /// As the poller has it.
    wants_room: bool,
}

/// A tap of a container that has ended.
#[derive(Debug)]
pub(crate) struct LingeringTap {
    tap: Tap,
    until: BootTime,
}

/// Where a live container's standard input comes from.
#[derive(Debug)]
pub(crate) enum Input {
    /// It has none, or its only attachment has it.
    None,
    Pipe(OwnedFd),
    /// Ends with the first attachment, which therefore gets the only writing end there is.
    FirstAttachment(OwnedFd),
    /// Written to the terminal's master.
    Terminal,
}

impl Input {
    fn take(&mut self) -> io::Result<Option<OwnedFd>> {
        match self {
            Self::None | Self::Terminal => Ok(None),
            Self::Pipe(writer) => writer.try_clone().map(Some),
            Self::FirstAttachment(_) => match std::mem::replace(self, Self::None) {
                Self::FirstAttachment(writer) => Ok(Some(writer)),
                _ => Ok(None),
            },
        }
    }
}

impl Tap {
    /// The tap, and the end to read from.
    fn new(key: u32, stream: Stream, poller: &Poller) -> io::Result<(Self, OwnedFd)> {
        let (reader, pipe) = pipe_with(PipeFlags::CLOEXEC)?;
        rustix::io::ioctl_fionbio(&pipe, true)?;
        // Refused beyond the user's share of pipe memory: then it stays as it is.
        let _ = rustix::pipe::fcntl_setpipe_size(&pipe, PIPE_BYTES);
        poller.add(&pipe, Source::Tap(key))?;
        Ok((Self { key, stream, pipe, waiting: VecDeque::new(), wants_room: false }, reader))
    }

    /// False when it is of no more use: nobody reads it, or too slowly.
    pub(crate) fn write(&mut self, mut bytes: &[u8]) -> bool {
        while self.waiting.is_empty() && !bytes.is_empty() {
            match rustix::io::write(&self.pipe, bytes) {
                Ok(written) => bytes = &bytes[written..],
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => break,
                Err(_) => return false,
            }
        }
        if self.waiting.len() + bytes.len() > WAITING_BYTES_MAX {
            note::warning("an attachment reads too slowly and is cut off");
            return false;
        }
        self.waiting.extend(bytes);
        true
    }

    /// As [`Self::write`], of what waits.
    fn flush(&mut self) -> bool {
        while !self.waiting.is_empty() {
            match rustix::io::write(&self.pipe, self.waiting.as_slices().0) {
                Ok(written) => drop(self.waiting.drain(..written)),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return true,
                Err(_) => return false,
            }
        }
        self.waiting.shrink_to_fit();
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        let mut state = [PollFd::new(&self.pipe, PollFlags::OUT)];
        poll(&mut state, Some(&now)).is_err() || !state[0].revents().contains(PollFlags::ERR)
    }

    /// Waits for room as long as something waits for it.
    pub(crate) fn watch(&mut self, poller: &Poller) {
        let wanted = !self.waiting.is_empty();
        if wanted == self.wants_room {
            return;
        }
        self.wants_room = wanted;
        if let Err(error) = poller.want_output(&self.pipe, Source::Tap(self.key), wanted) {
            note::error("cannot wait for an attachment", &error);
        }
    }
}

impl Shim {
    /// The answer, and the descriptors that come with it.
    pub(crate) fn attach(&mut self, container: &ContainerName, stdin: bool) -> (ReplyBody, Vec<OwnedFd>) {
        let keys = (self.next_key(), self.next_key());
        let live =
            self.containers.iter_mut().rev().find(|((name, _), s)| name == container && s.live.is_some());
        let Some(live) = live.and_then(|(_, supervised)| supervised.live.as_mut()) else {
            return (ReplyBody::NotRunning { message: not_running(container) }, Vec::new());
        };
        match live.attach(keys, stdin, &self.poller) {
            Ok(attached) => attached,
            Err(error) => {
                let message = format!("cannot attach to container {:?}: {error}", container.as_str());
                (ReplyBody::Failed { message }, Vec::new())
            }
        }
    }

    pub(crate) fn serve_tap(&mut self, key: u32) {
        let lives = self.containers.values_mut().filter_map(|supervised| supervised.live.as_mut());
        for live in lives {
            live.pump.taps.retain_mut(|tap| tap.key != key || tap.serve(&self.poller));
        }
        // One without anything left to say has said it all.
        self.lingering.retain_mut(|LingeringTap { tap, .. }| {
            tap.key != key || (tap.serve(&self.poller) && !tap.waiting.is_empty())
        });
    }

    /// Of a container that has ended.
    pub(crate) fn linger(&mut self, taps: Vec<Tap>) {
        let until = clock::boot().after(LINGER);
        for mut tap in taps {
            if !tap.waiting.is_empty() {
                tap.watch(&self.poller);
                self.lingering.push(LingeringTap { tap, until });
            }
        }
    }

    pub(crate) fn expire_taps(&mut self) {
        if !self.lingering.is_empty() {
            let now = clock::boot();
            self.lingering.retain(|lingering| lingering.until > now);
        }
    }
}

impl LingeringTap {
    pub(crate) fn until(&self) -> BootTime {
        self.until
    }
}

impl Tap {
    fn serve(&mut self, poller: &Poller) -> bool {
        let stays = self.flush();
        self.watch(poller);
        stays
    }
}

impl Live {
    fn attach(
        &mut self,
        keys: (u32, u32),
        stdin: bool,
        poller: &Poller,
    ) -> io::Result<(ReplyBody, Vec<OwnedFd>)> {
        let is_terminal = matches!(self.input, Input::Terminal) || self.pump.is_terminal();
        let streams = if is_terminal { 1 } else { 2 };
        if self.pump.taps.len() + streams > ATTACHMENTS_MAX * streams {
            return Err(io::Error::other(format!("{ATTACHMENTS_MAX} clients are attached to it")));
        }
        let (out, output) = Tap::new(keys.0, Stream::Stdout, poller)?;
        let mut descriptors = vec![output];
        let mut taps = vec![out];
        let input = if is_terminal {
            descriptors.push(self.pump.terminal()?);
            stdin && matches!(self.input, Input::Terminal)
        } else {
            let (err, errors) = Tap::new(keys.1, Stream::Stderr, poller)?;
            descriptors.push(errors);
            taps.push(err);
            let input = if stdin { self.input.take()? } else { None };
            let has_input = input.is_some();
            descriptors.extend(input);
            has_input
        };
        self.pump.tap(taps);
        Ok((ReplyBody::Attached { terminal: is_terminal, input }, descriptors))
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Read;

    use cri_log::Stream;

    use super::{PIPE_BYTES, Tap, WAITING_BYTES_MAX};
    use crate::poll::Poller;

    #[test]
    fn a_reader_gets_everything_unless_it_is_too_slow() {
        let poller = Poller::new().unwrap();
        let (mut tap, reader) = Tap::new(1, Stream::Stdout, &poller).unwrap();
        let chunk = vec![b'x'; 64 << 10];
        let mut held = 0;
        while held + chunk.len() <= WAITING_BYTES_MAX {
            assert!(tap.write(&chunk), "after {held} bytes");
            held += chunk.len();
        }
        let mut reader = File::from(reader);
        let mut read = vec![0; held];
        let mut filled = 0;
        while filled < held {
            filled += reader.read(&mut read[filled..]).unwrap();
            assert!(tap.flush());
        }
        assert!(tap.waiting.is_empty() && read.iter().all(|byte| *byte == b'x'));
        let most = (WAITING_BYTES_MAX + PIPE_BYTES) / chunk.len() + 2;
        assert!((0..most).any(|_| !tap.write(&chunk)), "it is cut off in the end");
        drop(reader);
        assert!(!tap.flush());
    }
}
