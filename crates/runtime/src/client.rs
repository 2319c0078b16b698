//! One connection to a shim: a task that sends requests, hands out replies and reports what happens.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lifecycle::Observation;
use linux_sys::fd_passing;
use ports::{Observer, PodContext, PortError};
use shim_protocol::{
    FrameBuffer, FrameError, Message, ReplyBody, Request, RequestBody, Times, VERSION, encode,
};
use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::sync::{mpsc, oneshot, watch};

use crate::bury::{bury, recorded_exits};
use crate::clock;
use crate::error::{CallError, RuntimeError};
use crate::sandbox::blocking;
use crate::times;

/// Requests waiting to be sent; callers beyond that wait for room.
const REQUESTS_MAX: usize = 64;
const READ_BYTES: usize = 64 << 10;

/// What a connection belongs to.
#[derive(Clone)]
pub(crate) struct Watched {
    pub(crate) pod: Arc<PodContext>,
    pub(crate) attempt: u32,
    pub(crate) observer: Arc<dyn Observer>,
}

/// The callers' end. When the last is dropped, the connection is closed.
#[derive(Debug)]
pub(crate) struct Client {
    /// In boxes, since a channel keeps room for a block of them.
    requests: mpsc::Sender<Box<Outgoing>>,
    /// The connection's end is no loss: there is no sandbox yet, or it was asked to stop.
    end_expected: Arc<AtomicBool>,
    netns: HeldNetns,
    ended: watch::Receiver<bool>,
}

/// The pod's network namespace once somebody has wanted it, until the connection ends: what holds it longer keeps the
/// pod's links and addresses from going.
type HeldNetns = Arc<Mutex<Option<Arc<OwnedFd>>>>;

#[derive(Debug)]
struct Outgoing {
    body: RequestBody,
    descriptors: Vec<OwnedFd>,
    timed: bool,
    reply: oneshot::Sender<Result<Answer, CallError>>,
    /// Told the exit code of the command that the request starts.
    ended: Option<oneshot::Sender<i32>>,
}

/// A reply, and the descriptors that came with it.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) body: ReplyBody,
    pub(crate) descriptors: Vec<OwnedFd>,
    times: Option<Times>,
}

impl Client {
    /// Takes the connection over. Its end counts as a loss from the reply on that says there is a sandbox.
    pub(crate) fn start(stream: std::os::unix::net::UnixStream, watched: Watched) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        let stream = UnixStream::from_std(stream)?;
        let (requests, incoming) = mpsc::channel(REQUESTS_MAX);
        let end_expected = Arc::new(AtomicBool::new(true));
        let (ended_sender, ended) = watch::channel(false);
        let netns = HeldNetns::default();
        let connection = Connection {
            stream,
            watched,
            requests: incoming,
            end_expected: Arc::clone(&end_expected),
            netns: Arc::clone(&netns),
            received: FrameBuffer::default(),
            descriptors: Vec::new(),
            sending: None,
            pending: BTreeMap::new(),
            commands: BTreeMap::new(),
            last_id: 0,
        };
        tokio::spawn(async move {
            connection.run().await;
            let _ = ended_sender.send(true);
        });
        Ok(Self { requests, end_expected, netns, ended })
    }

    pub(crate) async fn call(&self, body: RequestBody) -> Result<ReplyBody, CallError> {
        self.call_with(body, Vec::new()).await
    }

    pub(crate) async fn call_within(
        &self,
        body: RequestBody,
        limit: Duration,
    ) -> Result<ReplyBody, CallError> {
        tokio::time::timeout(limit, self.call(body)).await.unwrap_or(Err(CallError::Timeout(limit)))
    }

    pub(crate) async fn call_with(
        &self,
        body: RequestBody,
        descriptors: Vec<OwnedFd>,
    ) -> Result<ReplyBody, CallError> {
        self.ask(body, descriptors, None).await.map(|answer| answer.body)
    }

    /// `ended` is told the exit code of the command that the request starts; it is dropped when there is none.
    pub(crate) async fn ask(
        &self,
        body: RequestBody,
        descriptors: Vec<OwnedFd>,
        ended: Option<oneshot::Sender<i32>>,
    ) -> Result<Answer, CallError> {
        let (reply, answer) = oneshot::channel();
        let asked = times::wanted(&body).then(clock::now);
        let outgoing = Box::new(Outgoing { body, descriptors, timed: asked.is_some(), reply, ended });
        self.requests.send(outgoing).await.map_err(|_| CallError::Gone)?;
        let answer = answer.await.unwrap_or(Err(CallError::Gone))?;
        if let (Some(asked), Some(times)) = (asked, &answer.times) {
            times::tell(asked.boot, times, clock::now().boot);
        }
        Ok(answer)
    }

    /// The pod's network namespace, for which the shim is asked once.
    pub(crate) async fn netns(&self) -> Result<Arc<OwnedFd>, RuntimeError> {
        if let Some(netns) = &*lock(&self.netns) {
            return Ok(Arc::clone(netns));
        }
        let answer = self.ask(RequestBody::OpenNetwork, Vec::new(), None).await?;
        let netns = match (answer.body, <[OwnedFd; 1]>::try_from(answer.descriptors)) {
            (ReplyBody::NetworkOpened, Ok([netns])) => Arc::new(netns),
            (ReplyBody::Failed { message }, _) => return Err(RuntimeError::Refused { message }),
            _ => return Err(CallError::Unexpected.into()),
        };
        let mut held = lock(&self.netns);
        // The connection lets go of it when it is closed, and not again.
        if self.requests.is_closed() {
            return Err(CallError::Gone.into());
        }
        *held = Some(Arc::clone(&netns));
        Ok(netns)
    }

    pub(crate) fn expect_end(&self) {
        self.end_expected.store(true, Ordering::Release);
    }

    /// Waits until the connection has ended and what follows from it has been observed.
    pub(crate) async fn ended(&self) {
        // An error says that the task is gone, which is as well.
        let _ = self.ended.clone().wait_for(|ended| *ended).await;
    }
}

fn lock(netns: &HeldNetns) -> MutexGuard<'_, Option<Arc<OwnedFd>>> {
    netns.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The task's end.
struct Connection {
    stream: UnixStream,
    watched: Watched,
    requests: mpsc::Receiver<Box<Outgoing>>,
    end_expected: Arc<AtomicBool>,
    netns: HeldNetns,
    received: FrameBuffer,
    /// Of messages that have not arrived whole yet.
    descriptors: Vec<OwnedFd>,
    sending: Option<Sending>,
    pending: BTreeMap<u64, oneshot::Sender<Result<Answer, CallError>>>,
    /// Who waits for the end of a command, by the request that started it.
    commands: BTreeMap<u64, oneshot::Sender<i32>>,
    last_id: u64,
}

struct Sending {
    frame: Vec<u8>,
    sent_bytes: usize,
    descriptors: Vec<OwnedFd>,
}

#[derive(Debug, thiserror::Error)]
enum ConnectionError {
    #[error("the shim closed the connection")]
    Closed,
    #[error("cannot use the connection to the shim")]
    Socket(#[from] io::Error),
    #[error("the shim sent what is no message")]
    Frame(#[from] FrameError),
    #[error("the shim sent {found} descriptors for a message that has {expected}")]
    Descriptors { found: usize, expected: usize },
}

impl Connection {
    async fn run(mut self) {
        let Err(error) = self.serve().await else { return };
        // Nobody's any more; another engine may have taken its place.
        if self.requests.is_closed() {
            return;
        }
        // Whoever waits learns it before the burial, which takes a moment.
        let garbled = matches!(error, ConnectionError::Frame(_) | ConnectionError::Descriptors { .. });
        for waiting in std::mem::take(&mut self.pending).into_values() {
            // The caller may have gone.
            let _ = waiting.send(Err(if garbled { CallError::Garbled } else { CallError::Gone }));
        }
        self.requests.close();
        *lock(&self.netns) = None;
        if self.end_expected.load(Ordering::Acquire) {
            return;
        }
        let Watched { pod, attempt, observer } = self.watched;
        tracing::warn!(pod = %pod.pod.name, "sandbox lost: {}", PortError::chain(&error));
        for error in blocking(&pod, |pod| bury(&pod.pod_dir, &pod.run_dir)).await {
            tracing::warn!(pod = %pod.pod.name, "a lost sandbox leaves something: {error}");
        }
        for exit in recorded_exits(&pod.pod_dir, clock::now()) {
            match exit {
                Ok(exit) => observer.observe(exit),
                Err(error) => tracing::warn!("{}", PortError::chain(&error)),
            }
        }
        observer.observe(Observation::SandboxLost { attempt });
    }

    /// Ends with an error, or without when nobody is left to serve.
    async fn serve(&mut self) -> Result<(), ConnectionError> {
        loop {
            let interest = if self.sending.is_some() {
                Interest::READABLE | Interest::WRITABLE
            } else {
                Interest::READABLE
            };
            tokio::select! {
                request = self.requests.recv(), if self.sending.is_none() => match request {
                    Some(request) => self.begin(*request),
                    None => return Ok(()),
                },
                ready = self.stream.ready(interest) => {
                    let ready = ready?;
                    if ready.is_writable() {
                        self.send()?;
                    }
                    if ready.is_readable() || ready.is_read_closed() {
                        self.receive()?;
                    }
                }
            }
        }
    }

    fn begin(&mut self, Outgoing { body, descriptors, timed, reply, ended }: Outgoing) {
        self.last_id += 1;
        match encode(&Request { id: self.last_id, body, timed }) {
            Ok(frame) => {
                self.pending.insert(self.last_id, reply);
                self.commands.extend(ended.map(|ended| (self.last_id, ended)));
                self.sending = Some(Sending { frame, sent_bytes: 0, descriptors });
            }
            // The caller may have gone.
            Err(error) => drop(reply.send(Err(CallError::Encode(error)))),
        }
    }

    fn send(&mut self) -> Result<(), ConnectionError> {
        while let Some(sending) = &mut self.sending {
            let rest = &sending.frame[sending.sent_bytes..];
            let descriptors: Vec<BorrowedFd<'_>> = sending.descriptors.iter().map(AsFd::as_fd).collect();
            let send = || fd_passing::send(self.stream.as_fd(), rest, &descriptors);
            match self.stream.try_io(Interest::WRITABLE, send) {
                Ok(sent_bytes) => {
                    sending.sent_bytes += sent_bytes;
                    // They went with the first byte.
                    sending.descriptors.clear();
                    if sending.sent_bytes == sending.frame.len() {
                        self.sending = None;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn receive(&mut self) -> Result<(), ConnectionError> {
        let mut bytes = vec![0; READ_BYTES];
        let receive = || fd_passing::receive(self.stream.as_fd(), &mut bytes, &mut self.descriptors);
        match self.stream.try_io(Interest::READABLE, receive) {
            Ok(0) => return Err(ConnectionError::Closed),
            Ok(length) => self.received.push(&bytes[..length]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        while let Some(message) = self.received.next_message()? {
            self.take_in(message)?;
        }
        Ok(())
    }

    fn take_in(&mut self, message: Message) -> Result<(), ConnectionError> {
        match message {
            Message::ContainerExited { container, attempt, exit } => {
                self.watched.observer.observe(Observation::ContainerExited { container, attempt, exit });
            }
            Message::ExecEnded { request, exit_code } => {
                if let Some(waiting) = self.commands.remove(&request) {
                    // The caller may have gone.
                    let _ = waiting.send(exit_code);
                }
            }
            Message::OutputLost { container, message, .. } => {
                let pod = &self.watched.pod.pod;
                tracing::warn!(
                    "output of container {container} of pod {}/{} is lost: cannot write its log: {message}",
                    pod.namespace,
                    pod.name
                );
            }
            Message::Reply(reply) => {
                match &reply.body {
                    ReplyBody::SandboxCreated { .. } => self.end_expected.store(false, Ordering::Release),
                    ReplyBody::Adopted { version: VERSION, snapshot } => {
                        self.end_expected.store(false, Ordering::Release);
                        self.watched.attempt = snapshot.attempt;
                        // Here, so that no exit overtakes it.
                        self.watched.observer.observe(Observation::Adopted(snapshot.clone()));
                    }
                    _ => {}
                }
                let expected = reply.body.descriptors();
                if self.descriptors.len() < expected {
                    return Err(ConnectionError::Descriptors { found: self.descriptors.len(), expected });
                }
                let descriptors = self.descriptors.drain(..expected).collect();
                if !matches!(reply.body, ReplyBody::ExecStarted { .. }) {
                    self.commands.remove(&reply.id);
                }
                if let Some(waiting) = self.pending.remove(&reply.id) {
                    // The caller may have gone.
                    let _ = waiting.send(Ok(Answer { body: reply.body, descriptors, times: reply.times }));
                }
            }
        }
        Ok(())
    }
}
