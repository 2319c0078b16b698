//! The life of a sandbox: made, taken over from another engine, stopped.

use std::fs;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use container_config::{SandboxConfig, SandboxFacts};
use ports::{Observer, PodContext};
use rustix::fs::{Mode, OFlags};
use shim_protocol::{ReplyBody, RequestBody, SOCKET_NAME, SandboxLaunch, SandboxRecord, VERSION};

use crate::bury::{bury, recorded_exits, sandbox_record, shim_ends_soon, shim_is_alive};
use crate::client::{Client, Watched};
use crate::dirs;
use crate::error::{CallError, RuntimeError};
use crate::etc;
use crate::launch::launch;
use crate::service::ShimRuntime;

/// A sandbox is made and stopped within a fraction of a second; a shim that takes this long hangs.
const SANDBOX_TIMEOUT: Duration = Duration::from_secs(60);

impl ShimRuntime {
    pub(crate) async fn create(
        &self,
        pod: &Arc<PodContext>,
        attempt: u32,
        config: SandboxConfig,
        observer: Arc<dyn Observer>,
    ) -> Result<SandboxFacts, RuntimeError> {
        self.claim_pod(pod)?;
        dirs::make_pod_dirs(pod)?;
        let stream = launch(&self.program, pod).map_err(RuntimeError::Launch)?;
        let watched = Watched { pod: Arc::clone(pod), attempt, observer };
        let client = Arc::new(Client::start(stream, watched).map_err(RuntimeError::Watch)?);
        let launch = SandboxLaunch {
            version: VERSION,
            pod: pod.pod.clone(),
            attempt,
            config,
            pod_dir: pod.pod_dir.clone(),
            run_dir: pod.run_dir.clone(),
            log_dir: pod.log_dir.clone(),
            bound: pod.bound,
        };
        let request = RequestBody::CreateSandbox(Box::new(launch));
        let failure = match client.call_within(request, SANDBOX_TIMEOUT).await {
            Ok(ReplyBody::SandboxCreated { ip }) => {
                self.pods().entry(pod.pod.uid.clone()).or_default().client = Some(client);
                let written = etc::write(pod, &ip);
                if written.is_err()
                    && let Err(error) = self.stop(pod).await
                {
                    tracing::warn!(pod = %pod.pod.name, "cannot stop the sandbox: {error}");
                }
                return written;
            }
            Ok(ReplyBody::Failed { message }) => RuntimeError::Create { message },
            Ok(_) => CallError::Unexpected.into(),
            Err(error) => {
                let said = last_line(&pod.pod_dir.join("shim.log"));
                RuntimeError::Create { message: format!("{error}: {said}") }
            }
        };
        drop(client);
        for error in blocking(pod, |pod| bury(&pod.pod_dir, &pod.run_dir)).await {
            tracing::warn!(pod = %pod.pod.name, "a sandbox that failed leaves something: {error}");
        }
        Err(failure)
    }

    pub(crate) async fn adopt(
        &self,
        pod: &Arc<PodContext>,
        observer: Arc<dyn Observer>,
    ) -> Result<Option<SandboxFacts>, RuntimeError> {
        self.claim_pod(pod)?;
        let Some(record) = sandbox_record(&pod.pod_dir).map_err(RuntimeError::Record)? else {
            observe_exits(pod, &observer).await;
            return Ok(None);
        };
        if shim_is_alive(&pod.pod_dir).map_err(RuntimeError::Watch)? {
            let failure = match self.take_over(pod, &record, &observer).await {
                Ok(facts) => return Ok(Some(facts)),
                Err(failure) => failure,
            };
            let context = Arc::clone(pod);
            let ends = tokio::task::spawn_blocking(move || shim_ends_soon(&record, &context.pod_dir));
            if !matches!(ends.await, Ok(Ok(true))) {
                return Err(failure);
            }
        }
        let errors = blocking(pod, |pod| bury(&pod.pod_dir, &pod.run_dir)).await;
        observe_exits(pod, &observer).await;
        if errors.is_empty() { Ok(None) } else { Err(RuntimeError::Leftovers(errors)) }
    }

    /// Connects to a living shim.
    async fn take_over(
        &self,
        pod: &Arc<PodContext>,
        record: &SandboxRecord,
        observer: &Arc<dyn Observer>,
    ) -> Result<SandboxFacts, RuntimeError> {
        let stream = connect(&pod.run_dir)
            .map_err(|source| RuntimeError::Connect { dir: pod.run_dir.clone(), source })?;
        let (pod_of, observer) = (Arc::clone(pod), Arc::clone(observer));
        let watched = Watched { pod: pod_of, attempt: record.attempt, observer };
        let client = Arc::new(Client::start(stream, watched).map_err(RuntimeError::Watch)?);
        match client.call_within(RequestBody::Adopt { version: VERSION }, SANDBOX_TIMEOUT).await? {
            ReplyBody::Adopted { version: VERSION, snapshot } => {
                let facts = etc::write(pod, &snapshot.ip)?;
                self.pods().entry(pod.pod.uid.clone()).or_default().client = Some(client);
                Ok(facts)
            }
            ReplyBody::Failed { message } => Err(RuntimeError::Adopt { message }),
            _ => Err(CallError::Unexpected.into()),
        }
    }

    /// By request if the shim still answers, by force if it does not.
    pub(crate) async fn stop(&self, pod: &Arc<PodContext>) -> Result<(), RuntimeError> {
        let client = self.pods().get_mut(&pod.pod.uid).and_then(|entry| entry.client.take());
        let mut errors = Vec::new();
        if let Some(client) = client {
            client.expect_end();
            match client.call_within(RequestBody::StopSandbox, SANDBOX_TIMEOUT).await {
                Ok(ReplyBody::Failed { message }) => errors.push(message),
                Ok(_) => {
                    // The shim is about to exit; its end of file says it has.
                    let _ = tokio::time::timeout(SANDBOX_TIMEOUT, client.ended()).await;
                }
                Err(error) => tracing::warn!(pod = %pod.pod.name, "stopping by force: {error}"),
            }
        }
        errors.extend(blocking(pod, |pod| bury(&pod.pod_dir, &pod.run_dir)).await);
        if errors.is_empty() { Ok(()) } else { Err(RuntimeError::Leftovers(errors)) }
    }
}

/// Work on many files, off the threads that serve connections.
pub(crate) async fn blocking(
    pod: &Arc<PodContext>,
    work: impl FnOnce(&PodContext) -> Vec<String> + Send + 'static,
) -> Vec<String> {
    let pod = Arc::clone(pod);
    let done = tokio::task::spawn_blocking(move || work(&pod)).await;
    done.unwrap_or_else(|error| vec![error.to_string()])
}

/// Exits that a shim recorded and nobody may have been told.
async fn observe_exits(pod: &Arc<PodContext>, observer: &Arc<dyn Observer>) {
    let context = Arc::clone(pod);
    let exits = tokio::task::spawn_blocking(move || recorded_exits(&context.pod_dir)).await;
    for exit in exits.unwrap_or_default() {
        observer.observe(exit);
    }
}

/// Through a short name: the whole path may be longer than a socket address holds.
fn connect(run_dir: &Path) -> std::io::Result<UnixStream> {
    let dir = rustix::fs::open(run_dir, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    UnixStream::connect(format!("/proc/self/fd/{}/{SOCKET_NAME}", dir.as_raw_fd()))
}

/// What a dead shim said last.
fn last_line(path: &Path) -> String {
    let text = fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    text.lines().next_back().unwrap_or("it left no message").to_owned()
}
