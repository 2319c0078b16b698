//! Who listens, when nobody answered.

use journal::Listener;
use podspec::{Container, PortProtocol, Probe, ProbeHandler};

use super::case::Case;
use super::explanation::Remedy;

/// What stands against a connection to a port of the pod.
pub(super) struct Unreached {
    /// `it listens on 127.0.0.1:8080 alone`
    pub(super) text: String,
    pub(super) remedy: Remedy,
}

/// The port of a probe that comes by the network.
pub(super) fn port_of(container: &Container, probe: &Probe) -> Option<u16> {
    match &probe.handler {
        ProbeHandler::Exec(_) => None,
        ProbeHandler::HttpGet(action) if action.host.is_none() => container.port(&action.port),
        ProbeHandler::TcpSocket(action) if action.host.is_none() => container.port(&action.port),
        ProbeHandler::Grpc(action) => Some(action.port),
        _ => None,
    }
}

/// `None` where nothing of it is known, or where somebody listens as they should.
pub(super) fn unreached(
    case: &Case<'_>,
    container: &Container,
    port: u16,
    from_outside: bool,
) -> Option<Unreached> {
    let listeners = &case.record.live.as_ref()?.listeners;
    let tcp = || listeners.iter().filter(|listener| listener.protocol == PortProtocol::Tcp);
    let there: Vec<&Listener> = tcp().filter(|listener| listener.port == port).collect();
    if there.iter().any(|listener| !listener.address.is_loopback()) || (!there.is_empty() && !from_outside) {
        return None;
    }
    let name = &container.name;
    if let Some(loopback) = there.first() {
        let whose = whose(loopback);
        return Some(Unreached {
            text: format!(
                "{whose} listens on {} alone, and the connection comes to the pod's address",
                socket(loopback)
            ),
            remedy: Remedy::new(format!(
                "have it listen on 0.0.0.0:{port}, or probe it with a command in the container (exec)"
            )),
        });
    }
    let others: Vec<String> = tcp()
        .filter(|l| l.container.as_ref().is_none_or(|c| c == name))
        .map(|l| format!(":{}", l.port))
        .collect();
    let any: Vec<String> = tcp().map(|l| format!("{} on :{}", whose(l), l.port)).collect();
    let (text, remedy) = match (others.as_slice(), any.as_slice()) {
        ([], []) => (
            format!("nobody in the pod listens on any port, so not on {port}"),
            format!("see why the program of {name} does not open port {port} yet; its log may say"),
        ),
        ([], any) => (
            format!("nobody listens on port {port}; what listens is {}", any.join(", ")),
            format!("have {name} listen on port {port}, or name the port that is meant"),
        ),
        (others, _) => (
            format!("nobody listens on port {port}; {name} listens on {}", others.join(", ")),
            format!("name the port it listens on ({}), or have it listen on {port}", others.join(", ")),
        ),
    };
    Some(Unreached { text, remedy: Remedy::new(remedy) })
}

pub(super) fn holder<'a>(case: &'a Case<'_>, port: u16) -> Option<&'a Listener> {
    case.record.live.as_ref()?.listeners.iter().find(|listener| listener.port == port)
}

fn whose(listener: &Listener) -> String {
    listener
        .container
        .as_ref()
        .map_or_else(|| "a process".to_owned(), |container| format!("container {container}"))
}

pub(super) fn socket(listener: &Listener) -> String {
    std::net::SocketAddr::new(listener.address, listener.port).to_string()
}
