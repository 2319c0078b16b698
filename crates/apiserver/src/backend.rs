//! What the API server asks of the node whose pods it serves: logs, processes, ports, and the node's own pages.

use std::fmt::Debug;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::BoxStream;
use podspec::WallTime;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;

pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, BackendError>> + Send + 'a>>;
/// A log as it is to be sent. Dropped when the client goes away.
pub type LogStream = BoxStream<'static, io::Result<Bytes>>;

/// This machine's part of the cluster. The handlers have seen that the pod is there, is on this node, and has the
/// container; whether it runs at this moment only the node knows.
pub trait NodeBackend: Send + Sync + Debug + 'static {
    /// Fails when the container has no log yet: the text is the client's answer.
    fn logs(&self, container: ContainerTarget, options: LogOptions) -> Answer<'_, LogStream>;

    /// Runs a command to its end. The future is dropped when the client goes away.
    fn exec(&self, container: ContainerTarget, command: Vec<String>, io: ProcessIo) -> Answer<'_, ExitCode>;

    /// Until the container's main process has ended.
    fn attach(&self, container: ContainerTarget, io: ProcessIo) -> Answer<'_, ()>;

    /// A connection to a port of the pod's loopback, from within its network namespace.
    fn dial(&self, pod: PodTarget, port: u16) -> Answer<'_, Box<dyn Connection>>;

    /// A connection to a port of the pod's address or, where nobody listens there, of its loopback.
    fn dial_address(&self, pod: PodTarget, port: u16) -> Answer<'_, Box<dyn Connection>> {
        self.dial(pod, port)
    }

    /// A page of the node, as `nodes/NAME/proxy/PATH` asks for it: `healthz`, `configz`, `pods`, `stats/summary`,
    /// `metrics`. `path` has no slash in front.
    fn page(&self, path: String, query: String) -> Answer<'_, Page>;

    /// What each of these pods uses, in their order; `None` of one that has no running container, or that could
    /// not be measured to its end.
    fn pod_usage(&self, pods: Vec<PodTarget>) -> Answer<'_, Vec<Option<PodUsage>>> {
        let _ = pods;
        refuse()
    }

    /// All that is known of a pod, as the JSON of a `journal::Record`.
    fn record(&self, pod: PodTarget) -> Answer<'_, Bytes> {
        let _ = pod;
        refuse()
    }

    /// The pod's journal from the entry after `after` on, a line of JSON each, until the pod is gone.
    fn entries(&self, pod: PodTarget, after: u64) -> Answer<'_, LogStream> {
        let _ = (pod, after);
        refuse()
    }

    /// What the whole machine uses.
    fn node_usage(&self) -> Answer<'_, Measured<Used>> {
        refuse()
    }
}

/// Something that was observed for `window`, until `at`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Measured<T> {
    pub at: WallTime,
    pub window: Duration,
    pub used: T,
}

/// Running containers by name.
pub type PodUsage = Measured<Vec<(String, Used)>>;

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Used {
    /// Billionths of a processor, on average over the window.
    pub cpu_nanocores: u64,
    /// The working set at its end.
    pub memory_bytes: u64,
}

/// Bytes both ways.
pub trait Connection: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Connection for T {}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PodTarget {
    pub namespace: String,
    pub name: String,
    pub uid: String,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ContainerTarget {
    pub pod: PodTarget,
    /// Of the init, regular or ephemeral containers.
    pub container: String,
}

/// The query of `pods/log`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct LogOptions {
    pub follow: bool,
    /// Of the attempt before this one.
    pub previous: bool,
    /// Each line begins with its time.
    pub timestamps: bool,
    /// No line before this time. `sinceSeconds` has been subtracted from now.
    pub since: Option<WallTime>,
    pub tail_lines: Option<u64>,
    pub limit_bytes: Option<u64>,
    pub stream: LogStreams,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum LogStreams {
    #[default]
    All,
    Stdout,
    Stderr,
}

/// The client's ends. With a terminal there is no `stderr`: both come by `stdout`.
pub struct ProcessIo {
    pub stdin: Option<Box<dyn AsyncRead + Send + Unpin>>,
    pub stdout: Option<Box<dyn AsyncWrite + Send + Unpin>>,
    pub stderr: Option<Box<dyn AsyncWrite + Send + Unpin>>,
    /// The size of the terminal, `None` until the client says one; there when a terminal is asked for.
    pub terminal: Option<watch::Receiver<Option<TerminalSize>>>,
}

impl Debug for ProcessIo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ProcessIo")
            .field("stdin", &self.stdin.is_some())
            .field("stdout", &self.stdout.is_some())
            .field("stderr", &self.stderr.is_some())
            .field("terminal", &self.terminal)
            .finish()
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TerminalSize {
    pub columns: u16,
    pub rows: u16,
}

/// 128 + signal for a signalled process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ExitCode(pub i32);

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Page {
    pub status: u16,
    pub content_type: &'static str,
    pub body: Bytes,
}

/// Why the node could not; the text is the message of the client's Status.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BackendError {
    /// 400: what was asked for cannot be had in this state.
    #[error("{0}")]
    BadRequest(String),
    /// 404
    #[error("{0}")]
    NotFound(String),
    /// 500
    #[error("{0}")]
    Internal(String),
}

/// A cluster without this machine's kubelet: nothing runs. For tests, and for a server that only keeps objects.
#[derive(Debug)]
pub struct NoNode;

fn refuse<T: Send + 'static>() -> Answer<'static, T> {
    Box::pin(std::future::ready(Err(BackendError::Internal("no kubelet runs on this node".to_owned()))))
}

impl NodeBackend for NoNode {
    fn logs(&self, _: ContainerTarget, _: LogOptions) -> Answer<'_, LogStream> {
        refuse()
    }

    fn exec(&self, _: ContainerTarget, _: Vec<String>, _: ProcessIo) -> Answer<'_, ExitCode> {
        refuse()
    }

    fn attach(&self, _: ContainerTarget, _: ProcessIo) -> Answer<'_, ()> {
        refuse()
    }

    fn dial(&self, _: PodTarget, _: u16) -> Answer<'_, Box<dyn Connection>> {
        refuse()
    }

    fn page(&self, _: String, _: String) -> Answer<'_, Page> {
        refuse()
    }
}
