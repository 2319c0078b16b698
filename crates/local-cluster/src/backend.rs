//! [`NodeBackend`]: what the API server asks of this machine.

use std::fmt;
use std::io;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use apiserver::backend::{
    Answer, BackendError, Connection, ContainerTarget, ExitCode, LogOptions, LogStream, LogStreams, Measured,
    NodeBackend, Page, PodTarget, PodUsage, ProcessIo, TerminalSize, Used,
};
use bytes::Bytes;
use cri_log::{Selection, Stream};
use futures_util::stream;
use kubelet::{Kubelet, Node};
use podspec::{ContainerName, PodUid};
use ports::{ExecIo, SessionError, Streams, Terminal};
use runtime::logs::{LogQuery, LogWatcher};
use store::Store;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep_until, timeout};

use crate::pages;
use crate::stats::Gatherer;
use crate::streams::{Descriptor, copy};
use crate::usage::measure;
use crate::usage::sampler::Sampler;

/// A command has ended and something it started holds its output open: what it wrote is waited for until it has
/// been quiet for so long.
const QUIET: Duration = Duration::from_millis(500);

/// This machine's pods, as the API server needs them.
pub struct Backend<N: Node> {
    kubelet: Arc<Kubelet<N>>,
    logs: LogWatcher,
    store: Store,
    node_name: String,
    data_dir: PathBuf,
    sampler: Sampler,
    inherited: watch::Receiver<bool>,
}

/// Says when the pods of earlier engines are here.
#[derive(Debug)]
pub struct Inheriting(watch::Sender<bool>);

impl Inheriting {
    /// All that there were have been taken over.
    pub fn done(self) {
        self.0.send_replace(true);
    }
}

impl<N: Node> Backend<N> {
    /// `data_dir`: where pods and images are kept. Needs a tokio runtime. What is asked of a pod waits until the pods of earlier engines are here.
    ///
    /// # Errors
    /// When log files cannot be watched.
    pub fn new(
        kubelet: Arc<Kubelet<N>>,
        store: Store,
        node_name: &str,
        data_dir: &Path,
    ) -> io::Result<(Arc<Self>, Inheriting)> {
        let (sender, inherited) = watch::channel(false);
        let node_name = node_name.to_owned();
        let (logs, sampler) = (LogWatcher::new()?, Sampler::default());
        let data_dir = data_dir.to_owned();
        let backend = Self { kubelet, logs, store, node_name, data_dir, sampler, inherited };
        Ok((Arc::new(backend), Inheriting(sender)))
    }

    pub(crate) async fn kubelet(&self) -> &Kubelet<N> {
        // An error says that nobody inherits any more.
        let _ = self.inherited.clone().wait_for(|inherited| *inherited).await;
        &self.kubelet
    }

    fn open_log(&self, target: &ContainerTarget, options: &LogOptions) -> Result<LogStream, BackendError> {
        let uid = PodUid::new(&target.pod.uid);
        let gone = |_| BackendError::NotFound(format!("pods {:?} not found on this node", target.pod.name));
        let pod = self.kubelet.subscribe(&uid).map_err(gone)?.pod;
        let name = ContainerName::new(&target.container);
        let query = query(options);
        let ended = |attempt| self.kubelet.attempt_ended(&uid, &name, attempt);
        let opened = self.logs.open(&pod.log_dir.join(&target.container), &query, ended);
        let log = opened.map_err(|error| log_error(&error, target, options.previous))?;
        Ok(Box::pin(stream::try_unfold(log, async |mut log| Ok(log.next().await?.map(|bytes| (bytes, log))))))
    }
}

impl<N: Node> NodeBackend for Backend<N> {
    fn logs(&self, container: ContainerTarget, options: LogOptions) -> Answer<'_, LogStream> {
        Box::pin(async move {
            self.kubelet().await;
            self.open_log(&container, &options)
        })
    }

    fn exec(&self, target: ContainerTarget, command: Vec<String>, io: ProcessIo) -> Answer<'_, ExitCode> {
        Box::pin(async move {
            let (uid, name) = (PodUid::new(&target.pod.uid), ContainerName::new(&target.container));
            let wanted = match io.terminal {
                Some(_) => ExecIo::Terminal,
                None => ExecIo::Pipes { stdin: io.stdin.is_some() },
            };
            let session =
                self.kubelet().await.exec(&uid, &name, &command, wanted).await.map_err(session_error)?;
            let exit =
                async { session.exit.await.map_err(|error| BackendError::Internal(error.to_string())) };
            pump_until(session.streams, io, exit).await.map(ExitCode)
        })
    }

    fn attach(&self, target: ContainerTarget, io: ProcessIo) -> Answer<'_, ()> {
        Box::pin(async move {
            let (uid, name) = (PodUid::new(&target.pod.uid), ContainerName::new(&target.container));
            let kubelet = self.kubelet().await;
            let attached = kubelet.attach(&uid, &name, io.stdin.is_some()).await;
            let streams = attached.map_err(session_error)?;
            // The input of such a container ends with its attachment, which sees what comes of it.
            let sees_end = kubelet.subscribe(&uid).is_ok_and(|subscription| {
                let container = subscription.pod.pod.spec.container(&name);
                container.is_some_and(|container| container.stdin_once && !container.tty)
            });
            pump(streams, io, sees_end).await
        })
    }

    fn dial(&self, pod: PodTarget, port: u16) -> Answer<'_, Box<dyn Connection>> {
        Box::pin(async move { connection(self.kubelet().await.dial(&PodUid::new(&pod.uid), port).await) })
    }

    fn dial_address(&self, pod: PodTarget, port: u16) -> Answer<'_, Box<dyn Connection>> {
        let uid = PodUid::new(&pod.uid);
        Box::pin(async move { connection(self.kubelet().await.dial_address(&uid, port).await) })
    }

    fn page(&self, path: String, query: String) -> Answer<'_, Page> {
        Box::pin(async move {
            let gatherer = Gatherer {
                kubelet: self.kubelet().await,
                sampler: &self.sampler,
                node_name: &self.node_name,
                data_dir: &self.data_dir,
            };
            pages::page(&path, &query, &self.store, gatherer).await
        })
    }

    fn pod_usage(&self, pods: Vec<PodTarget>) -> Answer<'_, Vec<Option<PodUsage>>> {
        Box::pin(async move {
            let kubelet = self.kubelet().await;
            Ok(measure::pods(kubelet, &self.sampler, &pods).await)
        })
    }

    fn record(&self, pod: PodTarget) -> Answer<'_, Bytes> {
        Box::pin(async move { self.record_of(&pod.uid, &pod.name).await })
    }

    fn entries(&self, pod: PodTarget, after: u64) -> Answer<'_, LogStream> {
        Box::pin(async move { self.entries_of(&pod.uid, &pod.name, after).await })
    }

    fn node_usage(&self) -> Answer<'_, Measured<Used>> {
        Box::pin(async move { measure::node(&self.sampler).await })
    }
}

impl<N: Node> fmt::Debug for Backend<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Backend").finish_non_exhaustive()
    }
}

fn query(options: &LogOptions) -> LogQuery {
    LogQuery {
        previous: options.previous,
        follow: options.follow,
        stream: match options.stream {
            LogStreams::All => None,
            LogStreams::Stdout => Some(Stream::Stdout),
            LogStreams::Stderr => Some(Stream::Stderr),
        },
        selection: Selection {
            tail_lines: options.tail_lines,
            since: options.since,
            limit_bytes: options.limit_bytes,
            timestamps: options.timestamps,
        },
    }
}

/// In the API server's words, for those who match on them.
fn log_error(error: &io::Error, target: &ContainerTarget, previous: bool) -> BackendError {
    let ContainerTarget { pod, container } = target;
    if error.kind() != io::ErrorKind::NotFound {
        return BackendError::Internal(format!("cannot read the log of container {container:?}: {error}"));
    }
    BackendError::BadRequest(if previous {
        format!("previous terminated container {container:?} in pod {:?} not found", pod.name)
    } else {
        format!("container {container:?} in pod {:?} is waiting to start: ContainerCreating", pod.name)
    })
}

fn connection(dialled: Result<TcpStream, SessionError>) -> Result<Box<dyn Connection>, BackendError> {
    let stream = tokio::net::TcpStream::from_std(dialled.map_err(session_error)?);
    let stream = stream.map_err(|error| BackendError::Internal(error.to_string()))?;
    Ok(Box::new(stream))
}

fn session_error(error: SessionError) -> BackendError {
    match error {
        SessionError::NotRunning(message) => BackendError::NotFound(message),
        SessionError::Execute { message, .. } => BackendError::BadRequest(message),
        SessionError::Refused(message) | SessionError::Failed(message) => BackendError::Internal(message),
    }
}

/// Copies between client and process until `exit`, and then until what was written before it has been passed on.
async fn pump_until(
    streams: Streams,
    io: ProcessIo,
    exit: impl Future<Output = Result<i32, BackendError>>,
) -> Result<i32, BackendError> {
    let last_progress = Mutex::new(Instant::now());
    let progress = || *lock(&last_progress) = Instant::now();
    let input_ended = Notify::new();
    let (mut input, mut output) = copies(streams, io, &progress, &input_ended)?;
    tokio::pin!(exit);
    let mut output_open = true;
    loop {
        tokio::select! {
            () = &mut input => {}
            () = &mut output, if output_open => output_open = false,
            code = &mut exit => {
                progress();
                if output_open {
                    drain(output, &last_progress).await;
                }
                return code;
            }
        }
    }
}

/// Copies between client and process until the process says no more; also until the client does, unless it is to see
/// what comes of the end of the input.
async fn pump(streams: Streams, io: ProcessIo, sees_end: bool) -> Result<(), BackendError> {
    let input_ended = Notify::new();
    let (mut input, mut output) = copies(streams, io, &|| (), &input_ended)?;
    tokio::select! {
        () = &mut input => {}
        () = &mut output => {}
        () = input_ended.notified(), if !sees_end => {
            // An answer to the last of it is still seen.
            let _ = timeout(QUIET, output).await;
        }
    }
    Ok(())
}

type Copying<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// The client's input and the sizes of its terminal, which never end; and the process's output, until it ends.
fn copies<'a>(
    streams: Streams,
    io: ProcessIo,
    progress: &'a (impl Fn() + Send + Sync),
    input_ended: &'a Notify,
) -> Result<(Copying<'a>, Copying<'a>), BackendError> {
    let failed = |error: io::Error| BackendError::Internal(format!("cannot speak to the process: {error}"));
    let stdin = streams.stdin.map(Descriptor::new).transpose().map_err(failed)?;
    let mut stdout = Descriptor::new(streams.stdout).map_err(failed)?;
    let mut stderr = streams.stderr.map(Descriptor::new).transpose().map_err(failed)?;
    let input = async move {
        let copy_input = async {
            if let (Some(mut from), Some(to)) = (io.stdin, stdin) {
                copy(&mut from, Some(to), || ()).await;
                input_ended.notify_one();
            }
        };
        tokio::join!(copy_input, follow_size(io.terminal, streams.terminal));
    };
    let output = async move {
        let copy_errors = async {
            if let Some(stderr) = &mut stderr {
                copy(stderr, io.stderr, progress).await;
            }
        };
        tokio::join!(copy(&mut stdout, io.stdout, progress), copy_errors);
    };
    Ok((Box::pin(input), Box::pin(output)))
}

async fn drain(mut output: Copying<'_>, last_progress: &Mutex<Instant>) {
    loop {
        let quiet_at = *lock(last_progress) + QUIET;
        tokio::select! {
            () = &mut output => return,
            () = sleep_until(quiet_at) => {
                if *lock(last_progress) + QUIET <= Instant::now() {
                    return;
                }
            }
        }
    }
}

fn lock(moment: &Mutex<Instant>) -> MutexGuard<'_, Instant> {
    moment.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Never ends.
async fn follow_size(sizes: Option<watch::Receiver<Option<TerminalSize>>>, terminal: Option<Terminal>) {
    if let (Some(mut sizes), Some(terminal)) = (sizes, terminal) {
        loop {
            if let Some(TerminalSize { columns, rows }) = *sizes.borrow_and_update() {
                // A terminal that is gone has no size.
                let _ = terminal.resize(columns, rows);
            }
            if sizes.changed().await.is_err() {
                break;
            }
        }
    }
    std::future::pending::<()>().await;
}
