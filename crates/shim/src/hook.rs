//! Hooks of a pod whose engine is gone.

use std::fs::File;
use std::io::{self, Seek, Write};
use std::os::fd::OwnedFd;
use std::time::Duration;

use lifecycle::{Hook, Observation};
use podspec::{BootTime, Container, HookHandler, HttpGetAction, PortRef};
use rustix::fs::{MemfdFlags, memfd_create};

use crate::clock;
use crate::supervisor::{ContainerKey, Shim};

/// The hidden command of this program that makes one request
/// (`PORT POD_IP TIMEOUT_MS`, the action on standard input).
const HTTP_HOOK: &str = "http-hook";

/// A hook that does nothing, and when it is over.
#[derive(Debug)]
pub(crate) struct Sleeping {
    pub(crate) until: BootTime,
    pub(crate) then: Observation,
}

impl Shim {
    /// What is observed of it at once: that it could not be begun. A hook that sleeps is left in `sleeping`, the end
    /// of any other is observed when its process ends.
    pub(crate) fn run_hook(
        &mut self,
        key: ContainerKey,
        hook: Hook,
        timeout: Option<Duration>,
        sleeping: &mut Vec<Sleeping>,
    ) -> Option<Observation> {
        let container = self.launch.pod.spec.container(&key.0);
        let failure = match container.and_then(|container| Some((container, hook.handler(container)?))) {
            Some((_, HookHandler::Exec(handler))) => {
                let command = handler.command.clone();
                self.begin_hook(&key, hook, &command, timeout).err()?
            }
            Some((container, HookHandler::HttpGet(action))) => {
                let request = self.request(container, action, timeout);
                request
                    .and_then(|(args, input)| self.begin_http_hook(&key, hook, &args, input, timeout))
                    .err()?
            }
            Some((_, HookHandler::Sleep(time))) => {
                let cut = timeout.filter(|timeout| timeout < time);
                let until = clock::boot().after(cut.unwrap_or(*time));
                let failure = cut.and_then(|_| Hook::failure(0, true, &[]));
                let (container, attempt) = key;
                let then = Observation::HookFinished { container, attempt, hook, failure };
                sleeping.push(Sleeping { until, then });
                return None;
            }
            None => "the container has no such hook".to_owned(),
        };
        let (container, attempt) = key;
        Some(Observation::HookFinished { container, attempt, hook, failure: Some(failure) })
    }

    /// The arguments and the input of the process that makes it. It is made from where this process is, the pod's
    /// network.
    fn request(
        &self,
        container: &Container,
        action: &HttpGetAction,
        timeout: Option<Duration>,
    ) -> Result<(Vec<String>, OwnedFd), String> {
        if let Some(host) = action.host.as_ref().filter(|_| !self.launch.config.host_network) {
            return Err(format!(
                "the engine, which alone could ask {host:?} from the host's network, is gone"
            ));
        }
        let port = container.port(&action.port).ok_or_else(|| match &action.port {
            PortRef::Name(name) => format!("the container has no port named {name}"),
            PortRef::Number(number) => format!("{number} is no port"),
        })?;
        // 0 is none; less than one is no time at all either way.
        let timeout_ms = timeout.map_or(0, |timeout| timeout.as_millis().max(1));
        let ip = self.launch.addresses.first().ok_or("the pod has no address")?.to_string();
        let args = vec![HTTP_HOOK.to_owned(), port.to_string(), ip, timeout_ms.to_string()];
        let input = file_of(action).map_err(|error| format!("cannot write down the request: {error}"))?;
        Ok((args, input))
    }
}

/// A pipe might not hold all of it.
fn file_of(action: &HttpGetAction) -> io::Result<OwnedFd> {
    let mut file = File::from(memfd_create(c"http-hook", MemfdFlags::CLOEXEC)?);
    serde_json::to_writer(&mut file, action)?;
    file.flush()?;
    file.rewind()?;
    Ok(file.into())
}
