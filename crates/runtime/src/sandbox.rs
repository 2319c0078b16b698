//! The life of a sandbox: made, taken over from another engine, stopped.

use std::fs;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use container_config::{IdRange, SandboxConfig, SandboxFacts};
use lifecycle::Observation;
use ports::{Attachment, Observer, PodContext};
use shim_protocol::{Netns, ReplyBody, RequestBody, SHIM_LOG_NAME, SandboxLaunch, VERSION};
use tracing::{Instrument, trace_span};

use crate::bury::{bury, recorded_exits, sandbox_record, shim_is_alive};
use crate::client::{Answer, Client, Watched};
use crate::clock;
use crate::dirs;
use crate::error::{CallError, RuntimeError};
use crate::etc;
use crate::service::ShimRuntime;
use crate::users;

/// A sandbox is made and stopped within a fraction of a second; a shim that takes this long hangs.
const SANDBOX_TIMEOUT: Duration = Duration::from_secs(60);
/// A shim has nothing to do but to send what it has in memory, once the loop comes to it.
const ADOPTION_TIMEOUT: Duration = Duration::from_secs(15);
/// A shim that lives and cannot be connected to does not listen yet, or is about to be gone.
const SHIM_CHANGE_MAX: Duration = Duration::from_secs(2);
/// There is no event for "it listens or has ended".
const SHIM_CHANGE_STEP: Duration = Duration::from_millis(10);

impl ShimRuntime {
    pub(crate) async fn create(
        &self,
        pod: &Arc<PodContext>,
        attempt: u32,
        mut config: SandboxConfig,
        observer: Arc<dyn Observer>,
    ) -> Result<SandboxFacts, RuntimeError> {
        trace_span!(target: "start", "directories").in_scope(|| {
            self.claim_pod(pod)?;
            dirs::make_pod_dirs(pod)
        })?;
        if pod.pod.spec.own_users {
            config.users = Some(assign_users(pod).await?);
        }
        let attached = self.attach_pod(pod).instrument(trace_span!(target: "start", "network"));
        let Attachment { netns, addresses } = attached.await?;
        let made = match self.launch(pod, attempt, config, netns, &addresses, observer).await {
            Ok(client) => {
                self.pods().entry(pod.pod.uid.clone()).or_default().client = Some(client);
                let written = trace_span!(target: "start", "write /etc")
                    .in_scope(|| etc::write(pod, &addresses, &self.cluster_dns));
                if written.is_err()
                    && let Err(error) = self.stop(pod).await
                {
                    tracing::warn!(pod = %pod.pod.name, "cannot stop the sandbox: {error}");
                }
                return written;
            }
            Err(failure) => failure,
        };
        let left = blocking(pod, |pod| bury(&pod.pod_dir, &pod.run_dir)).await;
        if left.is_empty() {
            self.release(pod);
        }
        for error in left {
            tracing::warn!(pod = %pod.pod.name, "a sandbox that failed leaves something: {error}");
        }
        Err(made)
    }

    /// Starts a shim and has it make the sandbox.
    async fn launch(
        &self,
        pod: &Arc<PodContext>,
        attempt: u32,
        config: SandboxConfig,
        netns: Option<OwnedFd>,
        addresses: &[IpAddr],
        observer: Arc<dyn Observer>,
    ) -> Result<Arc<Client>, RuntimeError> {
        let launched = trace_span!(target: "start", "spawn shim").in_scope(|| self.launcher.launch(pod));
        let stream = launched.map_err(RuntimeError::Launch)?;
        self.refill();
        let watched = Watched { pod: Arc::clone(pod), attempt, observer };
        let client = Arc::new(Client::start(stream, watched).map_err(RuntimeError::Watch)?);
        let launch = SandboxLaunch {
            version: VERSION,
            pod: pod.pod.clone(),
            attempt,
            netns: match (&netns, &config.users) {
                (Some(_), _) => Netns::Given,
                (None, Some(_)) => Netns::Returned,
                (None, None) => Netns::Made,
            },
            config,
            addresses: addresses.to_vec(),
            pod_dir: pod.pod_dir.clone(),
            run_dir: pod.run_dir.clone(),
            log_dir: pod.log_dir.clone(),
            bound: pod.bound,
        };
        let request = RequestBody::CreateSandbox(Box::new(launch));
        let asked = client.ask(request, netns.into_iter().collect(), None);
        let limit = SANDBOX_TIMEOUT;
        let answer = tokio::time::timeout(limit, asked).await.unwrap_or(Err(CallError::Timeout(limit)));
        match answer {
            Ok(Answer { body: ReplyBody::SandboxCreated { .. }, descriptors, .. }) => {
                if let Some(netns) = descriptors.into_iter().next() {
                    self.network.attach_to(pod, netns).await.map_err(RuntimeError::Network)?;
                }
                Ok(client)
            }
            Ok(Answer { body: ReplyBody::Failed { message }, .. }) => Err(RuntimeError::Create { message }),
            Ok(_) => Err(CallError::Unexpected.into()),
            Err(error) => {
                let said = last_line(&pod.pod_dir.join(SHIM_LOG_NAME));
                Err(RuntimeError::Create { message: format!("{error}: {said}") })
            }
        }
    }

    async fn attach_pod(&self, pod: &PodContext) -> Result<Attachment, RuntimeError> {
        if pod.pod.spec.host_network {
            return Ok(Attachment { netns: None, addresses: self.host_addresses.clone() });
        }
        self.network.attach(pod).await.map_err(RuntimeError::Network)
    }

    /// Nothing of the pod's sandbox is left.
    fn release(&self, pod: &PodContext) {
        if let Err(error) = self.network.release(pod) {
            tracing::warn!(pod = %pod.pod.name, "{error}");
        }
    }

    /// Everything on record is read before anything is changed: what this version does not know is nobody's
    /// to bury. A shim that hangs is killed, and its sandbox is lost; one that refuses is left alone.
    pub(crate) async fn adopt(
        &self,
        pod: &Arc<PodContext>,
        observer: Arc<dyn Observer>,
    ) -> Result<Option<SandboxFacts>, RuntimeError> {
        self.claim_pod(pod)?;
        sandbox_record(&pod.pod_dir).map_err(RuntimeError::Record)?;
        read_exits(pod)?;
        let patience = Instant::now() + SHIM_CHANGE_MAX;
        while shim_is_alive(&pod.pod_dir).map_err(RuntimeError::Watch)? {
            match self.take_over(pod, &observer).await {
                Ok(facts) => return Ok(Some(facts)),
                Err(RuntimeError::Call(error @ CallError::Timeout(_))) => {
                    tracing::error!(pod = %pod.pod.name, "killing the pod's shim, which hangs: {error}");
                    break;
                }
                Err(RuntimeError::Connect { .. } | RuntimeError::Call(CallError::Gone))
                    if Instant::now() < patience =>
                {
                    tokio::time::sleep(SHIM_CHANGE_STEP).await;
                }
                Err(failure) => return Err(failure),
            }
        }
        let errors = blocking(pod, |pod| bury(&pod.pod_dir, &pod.run_dir)).await;
        if !errors.is_empty() {
            return Err(RuntimeError::Leftovers(errors));
        }
        for exit in read_exits(pod)? {
            observer.observe(exit);
        }
        Ok(None)
    }

    /// Connects to a living shim.
    async fn take_over(
        &self,
        pod: &Arc<PodContext>,
        observer: &Arc<dyn Observer>,
    ) -> Result<SandboxFacts, RuntimeError> {
        let stream = dirs::connect(&pod.run_dir)
            .map_err(|source| RuntimeError::Connect { dir: pod.run_dir.clone(), source })?;
        // Which sandbox it is, its shim will say.
        let watched = Watched { pod: Arc::clone(pod), attempt: 0, observer: Arc::clone(observer) };
        let client = Arc::new(Client::start(stream, watched).map_err(RuntimeError::Watch)?);
        match client.call_within(RequestBody::Adopt { version: VERSION }, ADOPTION_TIMEOUT).await? {
            ReplyBody::Adopted { version: VERSION, snapshot } => {
                if !pod.pod.spec.host_network {
                    self.network.adopt(pod).await.map_err(RuntimeError::Network)?;
                }
                let facts = etc::write(pod, &snapshot.ips, &self.cluster_dns)?;
                self.pods().entry(pod.pod.uid.clone()).or_default().client = Some(client);
                Ok(facts)
            }
            ReplyBody::Adopted { version, .. } => Err(RuntimeError::ShimVersion { version }),
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
        let left = blocking(pod, |pod| bury(&pod.pod_dir, &pod.run_dir)).await;
        if left.is_empty() {
            self.release(pod);
        }
        errors.extend(left);
        if errors.is_empty() { Ok(()) } else { Err(RuntimeError::Leftovers(errors)) }
    }
}

async fn assign_users(pod: &Arc<PodContext>) -> Result<IdRange, RuntimeError> {
    let pod_dir = pod.pod_dir.clone();
    let assigned = tokio::task::spawn_blocking(move || users::assign(&pod_dir)).await;
    Ok(assigned.map_err(|_| CallError::Gone)??)
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
fn read_exits(pod: &PodContext) -> Result<Vec<Observation>, RuntimeError> {
    let exits = recorded_exits(&pod.pod_dir, clock::now()).into_iter();
    exits.collect::<Result<_, _>>().map_err(RuntimeError::Record)
}

/// What a dead shim said last.
fn last_line(path: &Path) -> String {
    let text = fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    text.lines().next_back().unwrap_or("it left no message").to_owned()
}
