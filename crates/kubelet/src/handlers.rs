//! What probes and hooks do: commands in the container, requests to its ports, or nothing for a while.
//! Verdicts are the plan's; here is only how one try went.

use std::io;
use std::time::Duration;

use lifecycle::{Hook, Observation, ProbeKind, ProbeOutcome};
use podspec::time::go_duration;
use podspec::{Container, ContainerName, HookHandler, HttpGetAction, PortRef, ProbeHandler};
use ports::{ExecResult, LOOPBACKS, Observer as _, PortError, RuntimeService, SessionError};
use prober::Dial;
use tokio::net::TcpStream;

use crate::Node;
use crate::apply::{Effects, spec_of};

/// What is kept of a hook's or probe's output, as the kubelet does.
const EXEC_OUTPUT_BYTES_MAX: usize = 10 << 10;

impl<N: Node> Effects<N> {
    pub(crate) async fn run_hook(
        &self,
        container: ContainerName,
        attempt: u32,
        hook: Hook,
        timeout: Option<Duration>,
    ) -> Observation {
        let failure = self.hook_failure(&container, attempt, hook, timeout).await;
        Observation::HookFinished { container, attempt, hook, failure }
    }

    /// `None` when it succeeded.
    async fn hook_failure(
        &self,
        container: &ContainerName,
        attempt: u32,
        hook: Hook,
        timeout: Option<Duration>,
    ) -> Option<String> {
        let pod = self.pod();
        let spec = match spec_of(&pod, container) {
            Ok(spec) => spec,
            Err(message) => return Some(message),
        };
        match hook.handler(spec) {
            Some(HookHandler::Exec(exec)) => {
                // One that is cut off is waited for no longer; it goes on until its container ends.
                let ran = self.exec(container, attempt, &exec.command, None);
                let limit = timeout.unwrap_or(Duration::MAX);
                match tokio::time::timeout(limit, ran).await {
                    Ok(Ok(ran)) => Hook::failure(ran.exit_code, ran.timed_out, &ran.output),
                    Ok(Err(message)) => Some(message),
                    Err(_) => Hook::failure(0, true, &[]),
                }
            }
            Some(HookHandler::HttpGet(action)) => {
                let asked = self.http_hook(spec, action, timeout).await;
                let warning = match asked {
                    Ok(success) => success.fallback?,
                    Err(failure) => return Some(failure),
                };
                let container = container.clone();
                self.inbox.observe(Observation::HookWarned { container, attempt, message: warning });
                None
            }
            Some(HookHandler::Sleep(time)) => {
                let cut = timeout.filter(|timeout| timeout < time);
                tokio::time::sleep(cut.unwrap_or(*time)).await;
                cut.and_then(|_| Hook::failure(0, true, &[]))
            }
            None => Some("the container has no such hook".to_owned()),
        }
    }

    pub(crate) async fn probe(
        &self,
        container: &ContainerName,
        attempt: u32,
        kind: ProbeKind,
        timeout: Duration,
    ) -> ProbeOutcome {
        let pod = self.pod();
        let spec = match spec_of(&pod, container) {
            Ok(spec) => spec,
            Err(message) => return ProbeOutcome::Error(message),
        };
        let Some(probe) = kind.of(spec) else {
            return ProbeOutcome::Error(format!("the container has no {} probe", kind.name()));
        };
        match &probe.handler {
            ProbeHandler::Exec(exec) => {
                let command = container_config::probe_command(&exec.command, spec);
                self.exec_probe(container, attempt, &command, timeout).await
            }
            ProbeHandler::HttpGet(action) => match self.target(spec, &action.port) {
                Ok((pod, port)) => outcome(prober::http_get(&pod, action, port, timeout).await),
                Err(message) => ProbeOutcome::Error(message),
            },
            ProbeHandler::TcpSocket(action) => match self.target(spec, &action.port) {
                Ok((pod, port)) => outcome(prober::tcp_connect(&pod, action, port, timeout).await),
                Err(message) => ProbeOutcome::Error(message),
            },
            ProbeHandler::Grpc(action) => match self.target(spec, &PortRef::Number(action.port)) {
                Ok((pod, _)) => outcome(prober::grpc_health(&pod, action, timeout).await),
                Err(message) => ProbeOutcome::Error(message),
            },
        }
    }

    async fn http_hook(
        &self,
        container: &Container,
        action: &HttpGetAction,
        timeout: Option<Duration>,
    ) -> Result<prober::HookSuccess, String> {
        let (pod, port) = self.target(container, &action.port)?;
        prober::http_hook(&pod, action, port, timeout).await
    }

    /// The pod as requests see it, and the number of the port.
    fn target(
        &self,
        container: &Container,
        port: &PortRef,
    ) -> Result<(prober::Pod<IntoPod<'_, N>>, u16), String> {
        let number = container.port(port).ok_or_else(|| match port {
            PortRef::Name(name) => format!("the container has no port named {name}"),
            PortRef::Number(number) => format!("{number} is no port"),
        })?;
        let ip = *self.pod_ips().first().ok_or("the pod has no address")?;
        Ok((prober::Pod { ip, dial: IntoPod(self) }, number))
    }

    async fn exec_probe(
        &self,
        container: &ContainerName,
        attempt: u32,
        command: &[String],
        timeout: Duration,
    ) -> ProbeOutcome {
        match self.exec(container, attempt, command, Some(timeout)).await {
            Ok(ran) if ran.timed_out => ProbeOutcome::Failure(format!(
                "command timed out: \"{}\" timed out after {}",
                command.join(" "),
                go_duration(timeout)
            )),
            Ok(ran) if ran.exit_code == 0 => ProbeOutcome::Success,
            Ok(ran) => ProbeOutcome::Failure(output_text(&ran)),
            Err(message) => ProbeOutcome::Error(message),
        }
    }

    async fn exec(
        &self,
        container: &ContainerName,
        attempt: u32,
        command: &[String],
        timeout: Option<Duration>,
    ) -> Result<ExecResult, String> {
        self.node
            .runtime()
            .exec_sync(&self.pod(), container, attempt, command, timeout, EXEC_OUTPUT_BYTES_MAX)
            .await
            .map_err(|PortError(message)| message)
    }
}

/// Dials into the pod's network: its addresses, where a kubelet would find a server, and then its loopback.
struct IntoPod<'a, N: Node>(&'a Effects<N>);

impl<N: Node> Dial for IntoPod<'_, N> {
    async fn dial(&self, port: u16) -> io::Result<TcpStream> {
        let Self(effects) = self;
        let mut addresses = effects.pod_ips();
        // Those of the host are a pod's own when its network is the host's.
        addresses.extend(LOOPBACKS.iter().filter(|_| !effects.pod().pod.spec.host_network));
        let dialed = effects.node.runtime().dial(&effects.pod(), &addresses, port).await;
        let socket = dialed.map_err(|error| match error {
            SessionError::Refused(_) => io::ErrorKind::ConnectionRefused.into(),
            error => io::Error::other(error),
        })?;
        TcpStream::from_std(socket)
    }
}

fn outcome(found: prober::Outcome) -> ProbeOutcome {
    match found {
        prober::Outcome::Success => ProbeOutcome::Success,
        prober::Outcome::Warning(text) => ProbeOutcome::Warning(text),
        prober::Outcome::Failure(text) => ProbeOutcome::Failure(text),
        prober::Outcome::Error(message) => ProbeOutcome::Error(message),
    }
}

fn output_text(ran: &ExecResult) -> String {
    String::from_utf8_lossy(&ran.output).trim_end().to_owned()
}
