//! The kubelet's port to sandboxes and containers.

use std::collections::BTreeMap;
use std::fs;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use container_config::{ContainerConfig, SandboxConfig, SandboxFacts};
use podspec::{ContainerName, PodUid};
use ports::{ExecResult, ExecStreams, Observer, PodContext, PortError, RuntimeService, StartContainerError};
use rustix::fs::{Mode, OFlags};
use shim_protocol::{
    Exec, ExecStdio, ReplyBody, RequestBody, SOCKET_NAME, SandboxLaunch, SandboxRecord, VERSION,
};

use crate::bury::{bury, recorded_exits, sandbox_record, shim_ends_soon, shim_is_alive};
use crate::claim::{Claim, claim};
use crate::client::{Client, Watched};
use crate::dirs;
use crate::error::{CallError, RuntimeError};
use crate::etc;
use crate::launch::{Program, launch};

/// A sandbox is made and stopped within a fraction of a second; a shim that takes this long hangs.
const SANDBOX_TIMEOUT: Duration = Duration::from_secs(60);
const CREATE_CONTAINER_ERROR: &str = "CreateContainerError";

/// Runs each pod's containers under a shim of its own. Needs a tokio runtime.
#[derive(Debug)]
pub struct ShimRuntime {
    program: Program,
    pods: Mutex<BTreeMap<PodUid, Entry>>,
}

#[derive(Debug, Default)]
struct Entry {
    claim: Option<Claim>,
    client: Option<Arc<Client>>,
}

impl ShimRuntime {
    #[must_use]
    pub fn new(program: Program) -> Self {
        Self { program, pods: Mutex::default() }
    }

    /// Makes the pod's directory this engine's. To be called before anything is written there: another
    /// engine's [`crate::sweep`] takes a pod without owner for left over. Idempotent.
    ///
    /// # Errors
    /// When the pod belongs to another living engine.
    pub fn claim(&self, pod: &PodContext) -> Result<(), PortError> {
        self.claim_pod(pod).map_err(|error| PortError::chain(&error))
    }

    fn claim_pod(&self, pod: &PodContext) -> Result<(), RuntimeError> {
        let mut pods = self.pods();
        let entry = pods.entry(pod.pod.uid.clone()).or_default();
        if entry.claim.is_none() {
            entry.claim = Some(claim(&pod.pod_dir, pod.bound)?);
        }
        Ok(())
    }

    async fn create(
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

    async fn adopt(
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

    async fn start(
        &self,
        pod: &PodContext,
        attempt: u32,
        config: ContainerConfig,
    ) -> Result<String, StartContainerError> {
        let request = RequestBody::StartContainer { attempt, config: Box::new(config) };
        match self.call(pod, request, Vec::new()).await {
            Ok(ReplyBody::Started(record)) => Ok(record.id),
            Ok(ReplyBody::StartFailed(exit)) => Err(StartContainerError::Start(exit)),
            Ok(ReplyBody::CreateFailed { message }) => Err(create_error(message)),
            Ok(_) => Err(create_error(CallError::Unexpected.to_string())),
            Err(error) => Err(create_error(PortError::chain(&error).0)),
        }
    }

    async fn run_command(
        &self,
        pod: &PodContext,
        exec: Exec,
        descriptors: Vec<OwnedFd>,
    ) -> Result<ExecResult, RuntimeError> {
        match self.call(pod, RequestBody::Exec(exec), descriptors).await? {
            ReplyBody::ExecFinished { exit_code, output, timed_out } => {
                Ok(ExecResult { exit_code, output, timed_out })
            }
            _ => Err(CallError::Unexpected.into()),
        }
    }

    async fn done(&self, pod: &PodContext, request: RequestBody) -> Result<(), RuntimeError> {
        match self.call(pod, request, Vec::new()).await? {
            ReplyBody::Done => Ok(()),
            _ => Err(CallError::Unexpected.into()),
        }
    }

    async fn forget_and_remove(
        &self,
        pod: &Arc<PodContext>,
        container: &ContainerName,
        attempt: u32,
    ) -> Result<(), RuntimeError> {
        let request = RequestBody::RemoveContainer { container: container.clone(), attempt };
        match self.done(pod, request).await {
            // Without a shim there is nobody who could still use the files.
            Ok(()) | Err(RuntimeError::NoSandbox | RuntimeError::Call(CallError::Gone)) => {}
            Err(error) => return Err(error),
        }
        let container = container.clone();
        let errors = blocking(pod, move |pod| dirs::remove_attempt(pod, &container, attempt)).await;
        if errors.is_empty() { Ok(()) } else { Err(RuntimeError::Leftovers(errors)) }
    }

    /// By request if the shim still answers, by force if it does not.
    async fn stop(&self, pod: &Arc<PodContext>) -> Result<(), RuntimeError> {
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

    /// A refusal is an error.
    async fn call(
        &self,
        pod: &PodContext,
        request: RequestBody,
        descriptors: Vec<OwnedFd>,
    ) -> Result<ReplyBody, RuntimeError> {
        let client = self.pods().get(&pod.pod.uid).and_then(|entry| entry.client.clone());
        let client = client.ok_or(RuntimeError::NoSandbox)?;
        match client.call_with(request, descriptors).await? {
            ReplyBody::Failed { message } => Err(RuntimeError::Refused { message }),
            reply => Ok(reply),
        }
    }

    fn pods(&self) -> MutexGuard<'_, BTreeMap<PodUid, Entry>> {
        self.pods.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RuntimeService for ShimRuntime {
    async fn create_sandbox(
        &self,
        pod: &Arc<PodContext>,
        attempt: u32,
        config: SandboxConfig,
        observer: Arc<dyn Observer>,
    ) -> Result<SandboxFacts, PortError> {
        self.create(pod, attempt, config, observer).await.map_err(|error| PortError::chain(&error))
    }

    async fn adopt_sandbox(
        &self,
        pod: &Arc<PodContext>,
        observer: Arc<dyn Observer>,
    ) -> Result<Option<SandboxFacts>, PortError> {
        self.adopt(pod, observer).await.map_err(|error| PortError::chain(&error))
    }

    async fn start_container(
        &self,
        pod: &Arc<PodContext>,
        attempt: u32,
        config: ContainerConfig,
    ) -> Result<String, StartContainerError> {
        self.start(pod, attempt, config).await
    }

    async fn signal_container(
        &self,
        pod: &Arc<PodContext>,
        container: &ContainerName,
        attempt: u32,
    ) -> Result<(), PortError> {
        let request = RequestBody::SignalContainer { container: container.clone(), attempt };
        self.done(pod, request).await.map_err(|error| PortError::chain(&error))
    }

    async fn kill_container(
        &self,
        pod: &Arc<PodContext>,
        container: &ContainerName,
        attempt: u32,
    ) -> Result<(), PortError> {
        let request = RequestBody::KillContainer { container: container.clone(), attempt };
        self.done(pod, request).await.map_err(|error| PortError::chain(&error))
    }

    async fn exec_sync(
        &self,
        pod: &Arc<PodContext>,
        container: &ContainerName,
        attempt: u32,
        command: &[String],
        timeout: Option<Duration>,
        output_bytes_max: usize,
    ) -> Result<ExecResult, PortError> {
        let exec = Exec {
            container: container.clone(),
            attempt,
            args: command.to_vec(),
            timeout_ms: timeout.map(|timeout| u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX)),
            stdio: ExecStdio::Capture { limit_bytes: output_bytes_max },
        };
        self.run_command(pod, exec, Vec::new()).await.map_err(|error| PortError::chain(&error))
    }

    async fn exec(
        &self,
        pod: &Arc<PodContext>,
        container: &ContainerName,
        attempt: u32,
        command: &[String],
        streams: ExecStreams,
    ) -> Result<ExecResult, PortError> {
        let exec = Exec {
            container: container.clone(),
            attempt,
            args: command.to_vec(),
            timeout_ms: None,
            stdio: ExecStdio::Passed,
        };
        let descriptors = vec![streams.stdin, streams.stdout, streams.stderr];
        self.run_command(pod, exec, descriptors).await.map_err(|error| PortError::chain(&error))
    }

    async fn remove_container(
        &self,
        pod: &Arc<PodContext>,
        container: &ContainerName,
        attempt: u32,
    ) -> Result<(), PortError> {
        self.forget_and_remove(pod, container, attempt).await.map_err(|error| PortError::chain(&error))
    }

    async fn stop_sandbox(&self, pod: &Arc<PodContext>) -> Result<(), PortError> {
        self.stop(pod).await.map_err(|error| PortError::chain(&error))
    }

    async fn remove_pod(&self, pod: &Arc<PodContext>) -> Result<(), PortError> {
        let errors = blocking(pod, dirs::remove_pod_dirs).await;
        self.pods().remove(&pod.pod.uid);
        if errors.is_empty() { Ok(()) } else { Err(PortError::chain(&RuntimeError::Leftovers(errors))) }
    }
}

/// Work on many files, off the threads that serve connections.
async fn blocking(
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

fn create_error(message: String) -> StartContainerError {
    StartContainerError::Create { reason: CREATE_CONTAINER_ERROR.to_owned(), message }
}

/// What a dead shim said last.
fn last_line(path: &Path) -> String {
    let text = fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    text.lines().next_back().unwrap_or("it left no message").to_owned()
}
