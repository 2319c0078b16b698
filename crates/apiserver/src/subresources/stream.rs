//! Exec, attach and port-forward: a request becomes a stream between client and node.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use apimachinery::Status;
use bytes::{Buf as _, Bytes};
use futures_util::StreamExt as _;
use http::{Request, Response};
use hyper::upgrade::OnUpgrade;
use streams::{
    ExecSession, ExecUpgrade, ExitReport, ForwardConnection, ForwardUpgrade, Limits, Refusal, Wanted,
};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::sync::{Semaphore, watch};

use super::container;
use crate::api::{Api, Call};
use crate::backend::{
    BackendError, ContainerTarget, ExitCode, LogStream, PodTarget, ProcessIo, TerminalSize,
};
use crate::body::{self, Body};
use crate::change;
use crate::kinds::Kind;
use crate::route::Resource;

/// Connections at a time of one port-forward.
const FORWARD_CONNECTIONS_MAX: usize = 256;

/// The pod of a request.
pub(super) fn pod(call: &Call<'_>, kind: &Kind, resource: &Resource) -> Result<serde_json::Value, Status> {
    let key = change::key_of(kind, &resource.namespace, &resource.name);
    let object = call.api.store.get(&key).ok_or_else(|| change::not_found(kind, &resource.name))?;
    change::parse(&object)
}

/// Why the node could not, as a client is told before its request became a stream.
pub(super) fn failed(error: BackendError) -> Status {
    match error {
        BackendError::BadRequest(message) => Status::bad_request(message),
        BackendError::NotFound(message) => Status { code: 404, reason: "NotFound", message, details: None },
        BackendError::Internal(message) => Status::internal(&message),
    }
}

/// A request that cannot be upgraded.
pub(super) fn refused(refusal: Refusal) -> Status {
    match refusal.status.as_u16() {
        403 => Status { code: 403, reason: "Forbidden", message: refusal.message, details: None },
        _ => Status::bad_request(refusal.message),
    }
}

/// What is to be done in a container.
enum Job {
    Exec(Vec<String>),
    Attach,
}

pub(super) fn exec(
    call: &Call<'_>,
    kind: &'static Kind,
    resource: &Resource,
    request: Request<Body>,
) -> Result<Response<Body>, Status> {
    let command: Vec<String> = call.query.all("command").map(str::to_owned).collect();
    if command.is_empty() {
        return Err(Status::bad_request("you must specify at least 1 command for the container"));
    }
    join(call, kind, resource, request, Job::Exec(command))
}

pub(super) fn attach(
    call: &Call<'_>,
    kind: &'static Kind,
    resource: &Resource,
    request: Request<Body>,
) -> Result<Response<Body>, Status> {
    join(call, kind, resource, request, Job::Attach)
}

fn join(
    call: &Call<'_>,
    kind: &'static Kind,
    resource: &Resource,
    mut request: Request<Body>,
    job: Job,
) -> Result<Response<Body>, Status> {
    let pod = pod(call, kind, resource)?;
    let query = &call.query;
    let target = container::target(&pod, query.text("container").unwrap_or(""))?;
    container::check_node(&pod, &call.api.node_name)?;
    container::check_running(&pod, &target.container)?;
    let [stdin, stdout, stderr, tty] = ["stdin", "stdout", "stderr", "tty"].map(|name| query.flag(name));
    let wanted = Wanted::new(stdin, stdout, stderr, tty).map_err(refused)?;
    let upgrade = ExecUpgrade::negotiate(&call.headers).map_err(refused)?;
    let response = upgrade.response().map(|()| body::empty());
    let connection = hyper::upgrade::on(&mut request);
    let api = call.api.clone();
    tokio::spawn(async move {
        let accepted = async {
            let io = streams::upgraded(connection).await?;
            upgrade.accept(io, wanted, Limits::default()).await
        };
        match accepted.await {
            Ok(session) => drive(&api, session, target, job).await,
            Err(error) => tracing::debug!(%error, "a client asked for a stream and did not take it"),
        }
    });
    Ok(response)
}

/// Runs the job on the session's streams, until it ends, the client goes, or the server does.
async fn drive(api: &Api, mut session: ExecSession, target: ContainerTarget, job: Job) {
    let (sizes, terminal) = watch::channel(None);
    let resizes = session.resize.take();
    let io = ProcessIo {
        stdin: session.stdin.take().map(|stream| Box::new(stream) as _),
        stdout: session.stdout.take().map(|stream| Box::new(stream) as _),
        stderr: session.stderr.take().map(|stream| Box::new(stream) as _),
        terminal: resizes.is_some().then_some(terminal),
    };
    let follow_size = async {
        let Some(mut resizes) = resizes else { return std::future::pending().await };
        while let Some(size) = resizes.next().await {
            sizes.send_replace(Some(TerminalSize { columns: size.width, rows: size.height }));
        }
        std::future::pending::<()>().await;
    };
    let run = async {
        match job {
            Job::Exec(command) => api.backend.exec(target, command, io).await,
            Job::Attach => api.backend.attach(target, io).await.map(|()| ExitCode(0)),
        }
    };
    let (mut closed, mut shutdown) = (session.closed(), api.shutdown.subscribe());
    let outcome = tokio::select! {
        outcome = run => outcome,
        () = follow_size => return,
        () = closed.wait() => return,
        _ = async { shutdown.wait_for(|down| *down).await.is_ok() } => {
            Err(BackendError::Internal("the server is shutting down".to_owned()))
        }
    };
    session.finish(match outcome {
        Ok(ExitCode(0)) => ExitReport::Success,
        Ok(ExitCode(code)) => ExitReport::ExitCode(code),
        Err(error) => ExitReport::Error(error.to_string()),
    });
}

pub(super) fn forward(
    call: &Call<'_>,
    kind: &'static Kind,
    resource: &Resource,
    mut request: Request<Body>,
) -> Result<Response<Body>, Status> {
    let pod = pod(call, kind, resource)?;
    container::check_node(&pod, &call.api.node_name)?;
    let ports: Vec<&str> = call.query.all("ports").collect();
    let upgrade = ForwardUpgrade::negotiate(&call.headers, &ports).map_err(refused)?;
    let response = upgrade.response().map(|()| body::empty());
    let connection = hyper::upgrade::on(&mut request);
    let (api, target) = (call.api.clone(), container::pod_target(&pod));
    tokio::spawn(forward_all(api, target, upgrade, connection));
    Ok(response)
}

async fn forward_all(api: Arc<Api>, pod: PodTarget, upgrade: ForwardUpgrade, connection: OnUpgrade) {
    let Ok(io) = streams::upgraded(connection).await else { return };
    let mut session = upgrade.accept(io, Limits::default()).await;
    let mut shutdown = api.shutdown.subscribe();
    let places = Arc::new(Semaphore::new(FORWARD_CONNECTIONS_MAX));
    // They end with the client.
    let mut tasks = tokio::task::JoinSet::new();
    loop {
        while tasks.try_join_next().is_some() {}
        let Ok(place) = places.clone().acquire_owned().await else { return };
        let connection = tokio::select! {
            connection = session.next() => connection,
            _ = async { shutdown.wait_for(|down| *down).await.is_ok() } => return,
        };
        let Some(connection) = connection else { return };
        let (api, pod) = (api.clone(), pod.clone());
        tasks.spawn(async move {
            forward_one(&api, pod, connection).await;
            drop(place);
        });
    }
}

async fn forward_one(api: &Api, pod: PodTarget, connection: ForwardConnection) {
    let (name, uid) = (pod.name.clone(), pod.uid.clone());
    match api.backend.dial(pod, connection.port).await {
        Ok(dialed) => {
            if let Err(error) = connection.pump(dialed).await {
                tracing::debug!(%error, pod = name, "a forwarded connection broke");
            }
        }
        Err(error) => connection.fail(&name, &uid, &error.to_string()).await,
    }
}

/// A log as something to read from.
pub(super) struct Chunks {
    log: LogStream,
    chunk: Bytes,
}

impl Chunks {
    pub(super) fn new(log: LogStream) -> Self {
        Self { log, chunk: Bytes::new() }
    }
}

impl AsyncRead for Chunks {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while self.chunk.is_empty() {
            match ready!(self.log.poll_next_unpin(cx)) {
                Some(chunk) => self.chunk = chunk?,
                None => return Poll::Ready(Ok(())),
            }
        }
        let count = self.chunk.len().min(buffer.remaining());
        buffer.put_slice(&self.chunk[..count]);
        self.chunk.advance(count);
        Poll::Ready(Ok(()))
    }
}
