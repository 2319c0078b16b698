//! The kubelet's port to sandboxes and containers.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use container_config::{ContainerConfig, ResourceLimits, SandboxConfig, SandboxFacts};
use lifecycle::ContainerRecord;
use podspec::{ContainerName, PodUid, VolumeName};
use ports::{
    ExecIo, ExecResult, ExecSession, NoNetwork, Observer, PodContext, PodNetwork, PortError, RuntimeService,
    SessionError, StartContainerError, StartedContainer, Streams,
};
use shim_protocol::{Exec, ExecStdio, ReplyBody, RequestBody};
use tokio::sync::oneshot;

use crate::bury::bury;
use crate::claim::{Claim, claim};
use crate::client::{Answer, Client};
use crate::dial::Home;
use crate::dirs;
use crate::error::{CallError, RuntimeError};
use crate::launch::{Launcher, Program};
use crate::sandbox::blocking;
use crate::session::session_error;

/// More than a shim itself gives a container to be set up; one that takes this long hangs.
const START_TIMEOUT: Duration = Duration::from_secs(150);
/// A kill is a write to a cgroup or a few signals; a shim that takes this long hangs.
const KILL_TIMEOUT: Duration = Duration::from_secs(10);
/// The start of a pod has the processors until then, and of many pods the last one.
const REFILL_DELAY: Duration = Duration::from_millis(250);
const CREATE_CONTAINER_ERROR: &str = "CreateContainerError";
const CREATE_CONTAINER_CONFIG_ERROR: &str = "CreateContainerConfigError";

/// Runs each pod's containers under a shim of its own. Needs a tokio runtime.
#[derive(Debug)]
pub struct ShimRuntime {
    pub(crate) launcher: Arc<Launcher>,
    /// A shim waits for the next pod at all times.
    keeps_ahead: AtomicBool,
    /// One is about to be started.
    is_refilling: Arc<AtomicBool>,
    pub(crate) network: Arc<dyn PodNetwork>,
    /// Of pods on the host's network.
    pub(crate) host_addresses: Vec<IpAddr>,
    pub(crate) cluster_dns: Vec<IpAddr>,
    pub(crate) home: Home,
    pods: Mutex<BTreeMap<PodUid, Entry>>,
}

#[derive(Debug, Default)]
pub(crate) struct Entry {
    pub(crate) claim: Option<Claim>,
    pub(crate) client: Option<Arc<Client>>,
    /// Its sandbox could not be ended wholly.
    unburied: bool,
}

impl ShimRuntime {
    #[must_use]
    pub fn new(program: Program) -> Self {
        Self {
            launcher: Arc::new(Launcher::new(program)),
            keeps_ahead: AtomicBool::new(false),
            is_refilling: Arc::default(),
            network: Arc::new(NoNetwork),
            host_addresses: vec![Ipv4Addr::LOCALHOST.into()],
            cluster_dns: Vec::new(),
            home: Home::default(),
            pods: Mutex::default(),
        }
    }

    /// Before the first pod. Without it pods have nothing but their loopback. `cluster_dns`: whom pods ask for names of
    /// the cluster.
    #[must_use]
    pub fn with_network(
        self,
        network: Arc<dyn PodNetwork>,
        host_addresses: Vec<IpAddr>,
        cluster_dns: Vec<IpAddr>,
    ) -> Self {
        Self { network, host_addresses, cluster_dns, ..self }
    }

    /// Starts the shim of the first pod, beside everything else; `always`: and that of each one after it, when a start is over.
    pub fn start_ahead(&self, always: bool) {
        self.keeps_ahead.store(always, Ordering::Relaxed);
        let launcher = Arc::clone(&self.launcher);
        tokio::task::spawn_blocking(move || start_ahead(&launcher));
    }

    /// Ends a shim that no pod has come for.
    pub fn end_ahead(&self) {
        self.launcher.end_ahead();
    }

    /// One has gone to a pod.
    pub(crate) fn refill(&self) {
        if !self.keeps_ahead.load(Ordering::Relaxed) || self.is_refilling.swap(true, Ordering::Relaxed) {
            return;
        }
        let (launcher, is_refilling) = (Arc::clone(&self.launcher), Arc::clone(&self.is_refilling));
        tokio::spawn(async move {
            tokio::time::sleep(REFILL_DELAY).await;
            is_refilling.store(false, Ordering::Relaxed);
            let _ = tokio::task::spawn_blocking(move || start_ahead(&launcher)).await;
        });
    }

    /// Makes the pod's directory this engine's. To be called before anything else is written there: should
    /// this engine die, [`crate::sweep()`] knows by it that the pod is left over. Idempotent.
    ///
    /// # Errors
    /// When the pod belongs to another living engine.
    pub fn claim(&self, pod: &PodContext) -> Result<(), PortError> {
        self.claim_pod(pod).map_err(|error| PortError::chain(&error))
    }

    /// Takes back [`Self::claim`] of a pod that nothing else was begun of: its directories go.
    /// Returns what could not be removed.
    #[must_use]
    pub fn abandon(&self, pod: &PodContext) -> Vec<String> {
        let left = dirs::remove_pod_dirs(pod);
        self.pods().remove(&pod.pod.uid);
        left
    }

    pub(crate) fn claim_pod(&self, pod: &PodContext) -> Result<(), RuntimeError> {
        let mut pods = self.pods();
        let entry = pods.entry(pod.pod.uid.clone()).or_default();
        if entry.claim.is_none() {
            entry.claim = Some(claim(&pod.pod_dir, pod.bound)?);
        }
        Ok(())
    }

    /// A shim that does not answer is given up, and the pod's sandbox with it.
    async fn start(
        &self,
        pod: &Arc<PodContext>,
        attempt: u32,
        config: ContainerConfig,
    ) -> Result<StartedContainer, StartContainerError> {
        let request = RequestBody::StartContainer { attempt, config: Box::new(config) };
        let reply = match self.call_or_give_up(pod, request, START_TIMEOUT).await {
            Ok(reply) => reply,
            Err(left) => {
                let said = std::iter::once(CallError::Timeout(START_TIMEOUT).to_string());
                return Err(create_error(said.chain(left).collect::<Vec<_>>().join("; ")));
            }
        };
        match reply {
            Ok(ReplyBody::Started(ContainerRecord { id, started, user, stop_signal, .. })) => {
                Ok(StartedContainer { id, started, user, stop_signal })
            }
            Ok(ReplyBody::StartFailed(exit)) => Err(StartContainerError::Start(exit)),
            Ok(ReplyBody::CreateFailed { message, of_volumes: true }) => {
                let reason = CREATE_CONTAINER_CONFIG_ERROR.to_owned();
                Err(StartContainerError::Create { reason, message })
            }
            Ok(ReplyBody::CreateFailed { message, of_volumes: false }) => Err(create_error(message)),
            Ok(_) => Err(create_error(CallError::Unexpected.to_string())),
            Err(error) => Err(create_error(PortError::chain(&error).0)),
        }
    }

    async fn run_command(&self, pod: &PodContext, exec: Exec) -> Result<ExecResult, RuntimeError> {
        match self.call(pod, RequestBody::Exec(exec)).await? {
            ReplyBody::ExecFinished { exit_code, output, timed_out } => {
                Ok(ExecResult { exit_code, output, timed_out })
            }
            _ => Err(CallError::Unexpected.into()),
        }
    }

    async fn done(&self, pod: &PodContext, request: RequestBody) -> Result<(), RuntimeError> {
        match self.call(pod, request).await? {
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
        match self.call_or_give_up(pod, request, KILL_TIMEOUT).await {
            Ok(Ok(ReplyBody::Done)) => Ok(()),
            Ok(Ok(_)) => Err(CallError::Unexpected.into()),
            Ok(Err(error)) => Err(error),
            Err(left) if left.is_empty() => Ok(()),
            Err(left) => Err(RuntimeError::Leftovers(left)),
        }
    }

    /// Kills a shim that has not answered within `limit`, and what is in its sandbox; the error is what is
    /// left of it then.
    async fn call_or_give_up(
        &self,
        pod: &Arc<PodContext>,
        request: RequestBody,
        limit: Duration,
    ) -> Result<Result<ReplyBody, RuntimeError>, Vec<String>> {
        if let Ok(reply) = tokio::time::timeout(limit, self.call(pod, request)).await {
            return Ok(reply);
        }
        tracing::warn!(pod = %pod.pod.name, "killing the pod's shim: {}", CallError::Timeout(limit));
        Err(blocking(pod, |pod| bury(&pod.pod_dir, &pod.run_dir)).await)
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

    async fn call(&self, pod: &PodContext, request: RequestBody) -> Result<ReplyBody, RuntimeError> {
        self.ask(pod, request, Vec::new(), None).await.map(|answer| answer.body)
    }

    /// A refusal is an error.
    pub(crate) async fn ask(
        &self,
        pod: &PodContext,
        request: RequestBody,
        descriptors: Vec<OwnedFd>,
        ended: Option<oneshot::Sender<i32>>,
    ) -> Result<Answer, RuntimeError> {
        let answer = self.client(pod)?.ask(request, descriptors, ended).await?;
        match answer.body {
            ReplyBody::Failed { message } => Err(RuntimeError::Refused { message }),
            ReplyBody::NotRunning { message } => Err(RuntimeError::NotRunning { message }),
            ReplyBody::ExecFailed(failure) => Err(RuntimeError::Exec(failure)),
            _ => Ok(answer),
        }
    }

    async fn directory_of(&self, pod: &PodContext, volume: &VolumeName) -> Result<OwnedFd, RuntimeError> {
        let request = RequestBody::OpenVolume { volume: volume.clone() };
        let answer = self.ask(pod, request, Vec::new(), None).await?;
        match (answer.body, <[OwnedFd; 1]>::try_from(answer.descriptors)) {
            (ReplyBody::VolumeOpened, Ok([directory])) => Ok(directory),
            _ => Err(CallError::Unexpected.into()),
        }
    }

    pub(crate) fn client(&self, pod: &PodContext) -> Result<Arc<Client>, RuntimeError> {
        let client = self.pods().get(&pod.pod.uid).and_then(|entry| entry.client.clone());
        client.ok_or(RuntimeError::NoSandbox)
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

    async fn resize_container(
        &self,
        pod: &Arc<PodContext>,
        container: &ContainerName,
        attempt: u32,
        limits: ResourceLimits,
        of_pod: ResourceLimits,
    ) -> Result<(), PortError> {
        let request = RequestBody::ResizeContainer { container: container.clone(), attempt, limits, of_pod };
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
            attempt: Some(attempt),
            args: command.to_vec(),
            timeout_ms: timeout.map(|timeout| u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX)),
            stdio: ExecStdio::Capture { limit_bytes: output_bytes_max },
        };
        self.run_command(pod, exec).await.map_err(|error| PortError::chain(&error))
    }

    async fn exec(
        &self,
        pod: &Arc<PodContext>,
        container: &ContainerName,
        command: &[String],
        io: ExecIo,
    ) -> Result<ExecSession, SessionError> {
        self.begin_exec(pod, container, command, io).await.map_err(session_error)
    }

    async fn attach(
        &self,
        pod: &Arc<PodContext>,
        container: &ContainerName,
        stdin: bool,
    ) -> Result<Streams, SessionError> {
        self.begin_attachment(pod, container, stdin).await.map_err(session_error)
    }

    async fn dial(
        &self,
        pod: &Arc<PodContext>,
        addresses: &[IpAddr],
        port: u16,
    ) -> Result<TcpStream, SessionError> {
        self.connect(pod, addresses, port).await.map_err(session_error)
    }

    async fn open_volume(&self, pod: &Arc<PodContext>, volume: &VolumeName) -> Result<OwnedFd, PortError> {
        let opened = self.directory_of(pod, volume).await;
        opened.map_err(|error| PortError::chain(&error))
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
        let stopped = self.stop(pod).await.map_err(|error| PortError::chain(&error));
        self.pods().entry(pod.pod.uid.clone()).or_default().unburied = stopped.is_err();
        stopped
    }

    async fn remove_pod(&self, pod: &Arc<PodContext>) -> Result<(), PortError> {
        let unburied = self.pods().get(&pod.pod.uid).is_some_and(|entry| entry.unburied);
        let errors = blocking(pod, move |pod| {
            let left = if unburied { bury(&pod.pod_dir, &pod.run_dir) } else { Vec::new() };
            // As long as something is left, the pod's directory says where.
            if !left.is_empty() {
                return left;
            }
            dirs::keep_explained(&pod.pod_dir);
            dirs::remove_pod_dirs(pod)
        });
        let errors = errors.await;
        if !errors.is_empty() {
            return Err(PortError::chain(&RuntimeError::Leftovers(errors)));
        }
        self.network.forget(&pod.pod.uid);
        self.pods().remove(&pod.pod.uid);
        Ok(())
    }
}

/// Whoever needs one is told why it cannot be started.
fn start_ahead(launcher: &Launcher) {
    if let Err(error) = launcher.start_ahead() {
        tracing::debug!("no shim waits for a pod: {error}");
    }
}

fn create_error(message: String) -> StartContainerError {
    StartContainerError::Create { reason: CREATE_CONTAINER_ERROR.to_owned(), message }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;
    use std::path::PathBuf;
    use std::sync::Arc;

    use lifecycle::Observation;
    use podspec::IDENTITY_BYTES;
    use ports::{Observer, PodContext};
    use shim_protocol::RequestBody;

    use super::{Entry, START_TIMEOUT, ShimRuntime};
    use crate::client::{Client, Watched};
    use crate::launch::Program;

    #[derive(Debug)]
    struct Nobody;

    impl Observer for Nobody {
        fn observe(&self, _: Observation) {}
    }

    fn pod() -> Arc<PodContext> {
        let text =
            "{apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {containers: [{name: a, image: i}]}}";
        let pod = podspec::load_pods("test", text, || [7; IDENTITY_BYTES]).unwrap().remove(0).admitted.pod;
        let dir = PathBuf::from("/no/such/directory");
        Arc::new(PodContext { pod, pod_dir: dir.clone(), run_dir: dir.clone(), log_dir: dir, bound: true })
    }

    #[tokio::test(start_paused = true)]
    async fn a_shim_that_hangs_is_given_up() {
        let pod = pod();
        let (engine, _shim_that_never_answers) = UnixStream::pair().unwrap();
        let watched = Watched { pod: Arc::clone(&pod), attempt: 0, observer: Arc::new(Nobody) };
        let client = Client::start(engine, watched).unwrap();
        let runtime = ShimRuntime::new(Program::default());
        let entry = Entry { client: Some(Arc::new(client)), ..Entry::default() };
        runtime.pods().insert(pod.pod.uid.clone(), entry);
        let began = tokio::time::Instant::now();
        let outcome = runtime.call_or_give_up(&pod, RequestBody::StopSandbox, START_TIMEOUT).await;
        assert!(began.elapsed() >= START_TIMEOUT);
        assert!(matches!(outcome, Err(left) if left.is_empty()), "nothing of it was there");
    }
}
