//! What the loop waits for: descriptors by epoll, and one deadline by a timer on the boot clock, which
//! goes on while the machine sleeps.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use cri_log::Stream;
use podspec::BootTime;
use rustix::buffer::spare_capacity;
use rustix::event::epoll;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};

const EVENTS_PER_WAIT: usize = 32;

/// Who owns a descriptor. Keys are never used twice, so an event that was under way when its descriptor
/// was closed finds nobody.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Source {
    Signals,
    Deadline,
    Listener,
    Connection(u32),
    Log(u32, Stream),
    ExecOutput(u32),
    Tap(u32),
}

#[derive(Debug)]
pub(crate) struct Poller {
    epoll: OwnedFd,
    timer: OwnedFd,
    armed: Option<BootTime>,
}

impl Poller {
    pub(crate) fn new() -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let timer = timerfd_create(TimerfdClockId::Boottime, TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK)?;
        let poller = Self { epoll, timer, armed: None };
        poller.add(&poller.timer, Source::Deadline)?;
        Ok(poller)
    }

    /// Waits for input on `descriptor` until it is closed.
    pub(crate) fn add(&self, descriptor: impl AsFd, source: Source) -> io::Result<()> {
        Ok(epoll::add(&self.epoll, descriptor, source.data(), epoll::EventFlags::IN)?)
    }

    /// For a descriptor that goes on to somebody else, whose copy would still be waited for.
    pub(crate) fn forget(&self, descriptor: impl AsFd) {
        // It fails only for what was never added.
        let _ = epoll::delete(&self.epoll, descriptor);
    }

    /// Says whether to wait for room for output too.
    pub(crate) fn want_output(&self, descriptor: impl AsFd, source: Source, wanted: bool) -> io::Result<()> {
        let output = if wanted { epoll::EventFlags::OUT } else { epoll::EventFlags::empty() };
        Ok(epoll::modify(&self.epoll, descriptor, source.data(), epoll::EventFlags::IN | output)?)
    }

    /// What has something to do. Empty after an interruption.
    pub(crate) fn wait(&mut self, deadline: Option<BootTime>) -> io::Result<Vec<Source>> {
        self.arm(deadline)?;
        let mut events = Vec::with_capacity(EVENTS_PER_WAIT);
        match epoll::wait(&self.epoll, spare_capacity(&mut events), None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let sources: Vec<_> = events.into_iter().filter_map(|event| Source::of(event.data)).collect();
        if sources.contains(&Source::Deadline) {
            let _ = rustix::io::read(&self.timer, &mut [0; 8]);
            self.armed = None;
        }
        Ok(sources)
    }

    fn arm(&mut self, deadline: Option<BootTime>) -> io::Result<()> {
        if self.armed == deadline {
            return Ok(());
        }
        // Zero would disarm it; a deadline that has passed is to fire at once.
        let nanos = deadline.map_or(0, |at| at.0.max(1));
        let it_value = Timespec { tv_sec: nanos / 1_000_000_000, tv_nsec: nanos % 1_000_000_000 };
        let once = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value };
        timerfd_settime(&self.timer, TimerfdTimerFlags::ABSTIME, &once)?;
        self.armed = deadline;
        Ok(())
    }
}

impl Source {
    fn data(self) -> epoll::EventData {
        let (kind, key) = match self {
            Self::Signals => (0, 0),
            Self::Deadline => (1, 0),
            Self::Listener => (2, 0),
            Self::Connection(key) => (3, key),
            Self::Log(key, Stream::Stdout) => (4, key),
            Self::Log(key, Stream::Stderr) => (5, key),
            Self::ExecOutput(key) => (6, key),
            Self::Tap(key) => (7, key),
        };
        epoll::EventData::new_u64(kind << 32 | u64::from(key))
    }

    fn of(data: epoll::EventData) -> Option<Self> {
        let data = data.u64();
        let key = u32::try_from(data & u64::from(u32::MAX)).ok()?;
        Some(match data >> 32 {
            0 => Self::Signals,
            1 => Self::Deadline,
            2 => Self::Listener,
            3 => Self::Connection(key),
            4 => Self::Log(key, Stream::Stdout),
            5 => Self::Log(key, Stream::Stderr),
            6 => Self::ExecOutput(key),
            7 => Self::Tap(key),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::net::UnixStream;
    use std::time::Duration;

    use cri_log::Stream;

    use super::{Poller, Source};
    use crate::clock;

    #[test]
    fn sources_survive_the_kernel() {
        let all = [
            Source::Signals,
            Source::Deadline,
            Source::Listener,
            Source::Connection(u32::MAX),
            Source::Log(7, Stream::Stdout),
            Source::Log(7, Stream::Stderr),
            Source::ExecOutput(0),
            Source::Tap(1),
        ];
        for source in all {
            assert_eq!(Source::of(source.data()), Some(source));
        }
    }

    #[test]
    fn wakes_for_input_and_for_a_deadline() {
        let mut poller = Poller::new().unwrap();
        let (mut near, far) = UnixStream::pair().unwrap();
        poller.add(&far, Source::Listener).unwrap();
        near.write_all(b"x").unwrap();
        assert_eq!(poller.wait(None).unwrap(), [Source::Listener]);
        drop(far);
        let deadline = clock::boot().after(Duration::from_millis(5));
        assert_eq!(poller.wait(Some(deadline)).unwrap(), [Source::Deadline]);
        assert!(clock::boot() >= deadline);
        assert_eq!(poller.wait(Some(deadline)).unwrap(), [Source::Deadline], "one that has passed");
    }
}
