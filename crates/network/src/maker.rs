//! The one thread that makes network namespaces and links in others': the pool of those that wait for a pod.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use linux_sys::namespace::{self, Namespaces};
use rustix::io::Errno;
use tokio::sync::oneshot;

use crate::addresses::{Addresses, Exhausted};
use crate::link::{Link, LinkError, MTU};
use crate::netlink::Netlink;

/// Namespaces that wait for pods.
const READY_MAX: usize = 4;

/// How many namespaces are made before a pod asks for one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ahead {
    /// Some always wait: pods may come at any time.
    Always,
    /// So many in all: these pods come, and others are not expected.
    Once(usize),
}

/// A namespace with the link of a pod in it.
#[derive(Debug)]
pub(crate) struct Ready {
    pub(crate) number: u32,
    pub(crate) addresses: Vec<IpAddr>,
    pub(crate) netns: OwnedFd,
}

#[derive(Debug, thiserror::Error)]
pub enum MakeError {
    #[error(transparent)]
    Exhausted(#[from] Exhausted),
    #[error("cannot make a network namespace{}", hint(source))]
    Namespace { source: io::Error },
    #[error("cannot enter a network namespace")]
    Enter(#[source] io::Error),
    #[error(transparent)]
    Link(#[from] LinkError),
    #[error(
        "the thread that makes network namespaces is gone: see the engine's log, and start the engine again"
    )]
    Gone,
}

fn hint(error: &io::Error) -> &'static str {
    match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::NOSPC) => {
            ": this machine allows no more of them, raise the sysctl user.max_net_namespaces"
        }
        _ => "",
    }
}

/// What all links of a network have in common.
#[derive(Clone, Debug)]
pub(crate) struct Common {
    pub(crate) gateways: Vec<IpAddr>,
    pub(crate) mtu: Arc<AtomicU32>,
}

type Answer<T> = oneshot::Sender<Result<T, MakeError>>;

enum Job {
    Ready {
        answer: Answer<Ready>,
    },
    /// The first that waits.
    First {
        answer: Answer<()>,
    },
    Take {
        answer: Answer<u32>,
    },
    Make {
        number: u32,
        answer: Answer<Ready>,
    },
    Link {
        number: u32,
        netns: OwnedFd,
        answer: Answer<()>,
    },
    Restore {
        number: u32,
        answer: Answer<()>,
    },
    /// The pool has room.
    Fill,
}

#[derive(Debug)]
struct Pool {
    addresses: Addresses,
    ready: VecDeque<Ready>,
}

/// The way to the thread, which ends with it; nothing that waits outlives that.
#[derive(Debug)]
pub(crate) struct Maker {
    pool: Arc<Mutex<Pool>>,
    mtu: Arc<AtomicU32>,
    jobs: Sender<Job>,
}

impl Maker {
    /// In the network namespace of the caller.
    pub(crate) fn start(addresses: Addresses, common: Common, ahead: Ahead) -> io::Result<Self> {
        let pool = Arc::new(Mutex::new(Pool { addresses, ready: VecDeque::new() }));
        let (jobs, incoming) = channel();
        let mtu = Arc::clone(&common.mtu);
        let home = File::open("/proc/thread-self/ns/net")?.into();
        let ahead = match ahead {
            Ahead::Always => usize::MAX,
            Ahead::Once(count) => count,
        };
        let host = Netlink::open()?;
        let mut worker = Worker { home, host, common, pool: Arc::clone(&pool), ahead, is_lost: false };
        thread::Builder::new().name("network".to_owned()).spawn(move || worker.run(&incoming))?;
        Ok(Self { pool, mtu, jobs })
    }

    /// Of the links that are made from now on.
    pub(crate) fn set_mtu(&self, mtu: u32) {
        self.mtu.store(mtu, Ordering::Relaxed);
    }

    /// One that waits, or else a new one.
    pub(crate) async fn ready(&self) -> Result<Ready, MakeError> {
        if let Some(ready) = lock(&self.pool).ready.pop_front() {
            let _ = self.jobs.send(Job::Fill);
            return Ok(ready);
        }
        self.ask(|answer| Job::Ready { answer }).await
    }

    /// Returns when one waits.
    pub(crate) async fn first(&self) -> Result<(), MakeError> {
        self.ask(|answer| Job::First { answer }).await
    }

    /// A new one with a number that was taken before.
    pub(crate) async fn make(&self, number: u32) -> Result<Ready, MakeError> {
        self.ask(|answer| Job::Make { number, answer }).await
    }

    /// Puts the link of a number that was taken before into a namespace.
    pub(crate) async fn link(&self, number: u32, netns: OwnedFd) -> Result<(), MakeError> {
        self.ask(|answer| Job::Link { number, netns, answer }).await
    }

    /// Puts back what leads to a pod that is there.
    pub(crate) async fn restore(&self, number: u32) -> Result<(), MakeError> {
        self.ask(|answer| Job::Restore { number, answer }).await
    }

    /// A number and its addresses; one that only waits in the pool is to be had, too.
    pub(crate) async fn take(&self) -> Result<(u32, Vec<IpAddr>), MakeError> {
        let number = self.ask(|answer| Job::Take { answer }).await?;
        Ok((number, self.addresses(number)))
    }

    pub(crate) fn addresses(&self, number: u32) -> Vec<IpAddr> {
        lock(&self.pool).addresses.of(number)
    }

    pub(crate) fn free(&self, number: u32) {
        lock(&self.pool).addresses.free(number);
    }

    async fn ask<T>(&self, job: impl FnOnce(Answer<T>) -> Job) -> Result<T, MakeError> {
        let (answer, result) = oneshot::channel();
        self.jobs.send(job(answer)).map_err(|_| MakeError::Gone)?;
        result.await.unwrap_or(Err(MakeError::Gone))
    }
}

fn lock(pool: &Mutex<Pool>) -> std::sync::MutexGuard<'_, Pool> {
    pool.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Worker {
    home: OwnedFd,
    host: Netlink,
    common: Common,
    pool: Arc<Mutex<Pool>>,
    /// So many are made before they are asked for, still.
    ahead: usize,
    /// This thread could not come back.
    is_lost: bool,
}

impl Worker {
    /// Whoever asks comes first, and the pool after.
    fn run(&mut self, jobs: &Receiver<Job>) {
        let mut may_fill = true;
        while !self.is_lost {
            let has_room = self.ahead > 0 && lock(&self.pool).ready.len() < READY_MAX;
            let job = if may_fill && has_room {
                match jobs.try_recv() {
                    Ok(job) => job,
                    Err(TryRecvError::Empty) => {
                        may_fill = self.fill();
                        continue;
                    }
                    Err(TryRecvError::Disconnected) => return,
                }
            } else {
                match jobs.recv() {
                    Ok(job) => job,
                    Err(_) => return,
                }
            };
            may_fill = true;
            self.carry_out(job);
        }
        tracing::error!("the thread that makes network namespaces cannot get back to its own");
    }

    /// Who asked may be gone; what was made for them is then, too.
    fn carry_out(&mut self, job: Job) {
        match job {
            Job::Ready { answer } => {
                let ready = self.ready();
                let _ = answer.send(ready);
            }
            Job::First { answer } => {
                let waiting = !lock(&self.pool).ready.is_empty();
                let first = if waiting { Ok(()) } else { self.make_ahead() };
                let _ = answer.send(first);
            }
            Job::Take { answer } => {
                let _ = answer.send(self.take());
            }
            Job::Make { number, answer } => {
                let made = self.make(number);
                let _ = answer.send(made);
            }
            Job::Link { number, netns, answer } => {
                let linked = self.link_into(number, &netns);
                let _ = answer.send(linked);
            }
            Job::Restore { number, answer } => {
                let link = self.link(number);
                let _ = answer.send(link.restore(&mut self.host).map_err(MakeError::from));
            }
            Job::Fill => {}
        }
    }

    fn ready(&mut self) -> Result<Ready, MakeError> {
        let waiting = lock(&self.pool).ready.pop_front();
        if let Some(ready) = waiting {
            return Ok(ready);
        }
        self.make_new()
    }

    fn make_new(&mut self) -> Result<Ready, MakeError> {
        let number = lock(&self.pool).addresses.take()?;
        self.ahead = self.ahead.saturating_sub(1);
        let made = self.make(number);
        if made.is_err() {
            lock(&self.pool).addresses.free(number);
        }
        made
    }

    fn make_ahead(&mut self) -> Result<(), MakeError> {
        let ready = self.make_new()?;
        lock(&self.pool).ready.push_back(ready);
        Ok(())
    }

    fn take(&self) -> Result<u32, MakeError> {
        let mut pool = lock(&self.pool);
        match pool.addresses.take() {
            Ok(number) => Ok(number),
            Err(exhausted) => Ok(pool.ready.pop_back().ok_or(exhausted)?.number),
        }
    }

    /// `false` when there is no use in going on before something happens.
    fn fill(&mut self) -> bool {
        match self.make_ahead() {
            Ok(()) => true,
            Err(error) => {
                // Whoever needs one is told the same.
                tracing::debug!("no network namespace for the pool: {error}");
                false
            }
        }
    }

    fn make(&mut self, number: u32) -> Result<Ready, MakeError> {
        unshare()?;
        let opened = opened();
        self.go_home()?;
        let (netns, mut pod) = opened.map_err(MakeError::Enter)?;
        let link = self.link(number);
        link.make(&mut self.host, &mut pod, netns.as_fd())?;
        Ok(Ready { number, addresses: link.addresses, netns })
    }

    fn link_into(&mut self, number: u32, netns: &OwnedFd) -> Result<(), MakeError> {
        enter(netns)?;
        let opened = Netlink::open();
        self.go_home()?;
        let mut pod = opened.map_err(MakeError::Enter)?;
        Ok(self.link(number).make(&mut self.host, &mut pod, netns.as_fd())?)
    }

    fn go_home(&mut self) -> Result<(), MakeError> {
        enter(&self.home).inspect_err(|_| self.is_lost = true)
    }

    fn link(&self, number: u32) -> Link {
        let Common { gateways, mtu } = &self.common;
        let addresses = lock(&self.pool).addresses.of(number);
        Link { addresses, gateways: gateways.clone(), mtu: mtu.load(Ordering::Relaxed) }
    }
}

/// Makes a network namespace with a link that is of no network, as starts are measured beside it, and leaves this thread in it. The
/// gateways are addresses of the namespace that it leaves.
///
/// # Errors
/// As for the link of a pod.
pub fn enter_alone(addresses: Vec<IpAddr>, gateways: Vec<IpAddr>) -> Result<(), MakeError> {
    let home: OwnedFd = File::open("/proc/thread-self/ns/net").map_err(MakeError::Enter)?.into();
    let mut host = Netlink::open().map_err(MakeError::Enter)?;
    unshare()?;
    let (netns, mut pod) = opened().map_err(MakeError::Enter)?;
    enter(&home)?;
    Link { addresses, gateways, mtu: MTU }.make(&mut host, &mut pod, netns.as_fd())?;
    enter(&netns)
}

fn unshare() -> Result<(), MakeError> {
    namespace::unshare(Namespaces::NET).map_err(|errno| MakeError::Namespace { source: errno.into() })
}

fn enter(netns: &OwnedFd) -> Result<(), MakeError> {
    namespace::setns(netns.as_fd(), Namespaces::NET).map_err(|errno| MakeError::Enter(errno.into()))
}

/// The namespace this thread is in, and a connection to it.
fn opened() -> io::Result<(OwnedFd, Netlink)> {
    Ok((File::open("/proc/thread-self/ns/net")?.into(), Netlink::open()?))
}
