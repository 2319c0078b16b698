//! The kubelet's port to sandboxes and containers.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use container_config::{ContainerConfig, SandboxConfig, SandboxFacts};
use lifecycle::ContainerRecord;
use podspec::{ContainerName, PodUid};
use ports::{
    ExecResult, ExecStreams, Observer, PodContext, PortError, RuntimeService, StartContainerError,
    StartedContainer,
};
use shim_protocol::{Exec, ExecStdio, ReplyBody, RequestBody};

use crate::bury::bury;
use crate::claim::{Claim, claim};
use crate::client::Client;
use crate::dirs;
use crate::error::{CallError, RuntimeError};
use crate::launch::Program;
use crate::sandbox::blocking;

/// A kill is a write to a cgroup or a few signals; a shim that takes this long hangs.
const KILL_TIMEOUT: Duration = Duration::from_secs(10);
const CREATE_CONTAINER_ERROR: &str = "CreateContainerError";

/// Runs each pod's containers under a shim of its own. Needs a tokio runtime.
#[derive(Debug)]
pub struct ShimRuntime {
    pub(crate) program: Program,
    pods: Mutex<BTreeMap<PodUid, Entry>>,
}

#[derive(Debug, Default)]
pub(crate) struct Entry {
    pub(crate) claim: Option<Claim>,
    pub(crate) client: Option<Arc<Client>>,
}

impl ShimRuntime {
    #[must_use]
    pub fn new(program: Program) -> Self {
        Self { program, pods: Mutex::default() }
    }

    /// Makes the pod's directory this engine's. To be called before anything else is written there: should
    /// this engine die, [`crate::sweep()`] knows by it that the pod is left over. Idempotent.
    ///
    /// # Errors
    /// When the pod belongs to another living engine.
    pub fn claim(&self, pod: &PodContext) -> Result<(), PortError> {
        self.claim_pod(pod).map_err(|error| PortError::chain(&error))
    }

    pub(crate) fn claim_pod(&self, pod: &PodContext) -> Result<(), RuntimeError> {
        let mut pods = self.pods();
        let entry = pods.entry(pod.pod.uid.clone()).or_default();
        if entry.claim.is_none() {
            entry.claim = Some(claim(&pod.pod_dir, pod.bound)?);
        }
        Ok(())
    }

    async fn start(
        &self,
        pod: &PodContext,
        attempt: u32,
        config: ContainerConfig,
    ) -> Result<StartedContainer, StartContainerError> {
        let request = RequestBody::StartContainer { attempt, config: Box::new(config) };
        match self.call(pod, request, Vec::new()).await {
            Ok(ReplyBody::Started(ContainerRecord { id, started, .. })) => {
                Ok(StartedContainer { id, started })
            }
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

    /// The last resort has to work: a shim that hangs is killed, and its containers with it. That it is
    /// gone is observed as the loss of the sandbox.
    async fn kill(
        &self,
        pod: &Arc<PodContext>,
        container: &ContainerName,
        attempt: u32,
    ) -> Result<(), RuntimeError> {
        let request = RequestBody::KillContainer { container: container.clone(), attempt };
        if let Ok(killed) = tokio::time::timeout(KILL_TIMEOUT, self.done(pod, request)).await {
            return killed;
        }
        tracing::warn!(pod = %pod.pod.name, "killing the pod's shim: {}", CallError::Timeout(KILL_TIMEOUT));
        let errors = blocking(pod, |pod| bury(&pod.pod_dir, &pod.run_dir)).await;
        if errors.is_empty() { Ok(()) } else { Err(RuntimeError::Leftovers(errors)) }
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

    pub(crate) fn pods(&self) -> MutexGuard<'_, BTreeMap<PodUid, Entry>> {
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
    ) -> Result<StartedContainer, StartContainerError> {
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
        self.kill(pod, container, attempt).await.map_err(|error| PortError::chain(&error))
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

fn create_error(message: String) -> StartContainerError {
    StartContainerError::Create { reason: CREATE_CONTAINER_ERROR.to_owned(), message }
}
