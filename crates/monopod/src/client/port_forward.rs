//! `monopod port-forward`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::Rc;

use anyhow::Context as _;
use clap::Args;
use podspec::json::{fields, integer, list, text};
use serde_json::Value;
use streams::client::{PortForward as Session, Target};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinSet, LocalSet};

use crate::client::context::{Context, encode, pod_path, with_query};
use crate::client::failure::{Failure, Result};
use crate::client::print;
use crate::client::session::of_stream;
use crate::client::target::{pod_name, service_name};

pub(super) const HELP: &str = "\
Examples:
  monopod port-forward web 8080                     port 8080 here is 8080 of the pod
  monopod port-forward web 8080:80 9090:metrics     a port by its name
  monopod port-forward web :80                      any port that is free here
  monopod port-forward service/web 8080:http        a pod behind a service, by the port of the service
  monopod port-forward web 8080:80 --address 0.0.0.0

It goes on until it is ended, or the pod is.";

/// Connections of one command at the same time.
const CONNECTIONS_MAX: usize = 1_000;

#[derive(Debug, Args)]
pub(crate) struct PortForward {
    /// NAME, pod/NAME, or service/NAME for a pod behind a service
    #[arg(value_name = "POD")]
    pod: String,
    /// REMOTE, LOCAL:REMOTE or :REMOTE; the pod's port by number or name
    #[arg(required = true, value_name = "[LOCAL:]REMOTE")]
    ports: Vec<String>,
    /// Where to listen: addresses, or localhost
    #[arg(long, value_name = "ADDRESS", value_delimiter = ',', default_value = "localhost")]
    address: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Pair {
    /// 0 for any.
    local: u16,
    remote: u16,
}

pub(super) async fn port_forward(options: &PortForward, context: &Context) -> Result<()> {
    let (pod, pairs) = match service_name(&options.pod) {
        Some(service) => behind(options, context, service).await?,
        None => {
            let pod = context.pod(&context.namespace, pod_name(&options.pod)?).await?;
            let pairs = options.ports.iter().map(|port| pair(port, &pod)).collect::<Result<_>>()?;
            (pod, pairs)
        }
    };
    let name = text(&pod["metadata"], "name");
    let phase = text(&pod["status"], "phase");
    if phase != "Running" {
        return Err(Failure::said(format!(
            "unable to forward port because pod is not running. Current status={phase}"
        )));
    }
    let dialed = context.client.dial().await?;
    let path = format!("{}/portforward", pod_path(&context.namespace, name));
    let target = Target { host: dialed.host, path, headers: dialed.headers };
    let session = Rc::new(Session::connect(dialed.io, &target).await.map_err(of_stream)?);
    let local = LocalSet::new();
    local.run_until(serve(options, &pairs, session)).await
}

/// A pod that a service leads to, and the pairs of ports that the service's are there.
async fn behind(options: &PortForward, context: &Context, name: &str) -> Result<(Value, Vec<Pair>)> {
    let namespace = &context.namespace;
    let service = context.get(&format!("/api/v1/namespaces/{namespace}/services/{}", encode(name))).await?;
    let selector = fields(&service["spec"]["selector"]).iter();
    let selector: Vec<String> =
        selector.map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default())).collect();
    if selector.is_empty() {
        return Err(Failure::said(format!(
            "service {name} selects no pods: forward to a pod, or connect to its endpoints"
        )));
    }
    let path = format!("/api/v1/namespaces/{namespace}/pods");
    let listed = context.get(&with_query(&path, &[("labelSelector", &selector.join(","))])).await?;
    let pod = best(list(&listed, "items"));
    let pod = pod.ok_or_else(|| Failure::said(format!("no pod that service {name} selects is running")))?;
    let pairs = options.ports.iter().map(|port| service_pair(port, &service, pod)).collect::<Result<_>>()?;
    Ok((pod.clone(), pairs))
}

/// A running pod, one that is ready if there is any.
fn best(pods: &[Value]) -> Option<&Value> {
    let is_ready = |pod: &&Value| {
        list(&pod["status"], "conditions")
            .iter()
            .any(|known| text(known, "type") == "Ready" && text(known, "status") == "True")
    };
    let mut running = pods.iter().filter(|pod| {
        text(&pod["status"], "phase") == "Running" && pod["metadata"]["deletionTimestamp"].is_null()
    });
    running.clone().find(is_ready).or_else(|| running.next())
}

/// `[LOCAL:]REMOTE`, where REMOTE is the service's port by number or name.
fn service_pair(text_of_pair: &str, service: &Value, pod: &Value) -> Result<Pair> {
    let refused = || Failure::refused(format!("{text_of_pair:?} is not [LOCAL:]REMOTE, as 8080:80"));
    let (local, remote) =
        text_of_pair.split_once(':').map_or((None, text_of_pair), |(local, remote)| (Some(local), remote));
    let number = |port: &Value| integer(port, "port").unwrap_or_default();
    let of_service = list(&service["spec"], "ports").iter();
    let found = of_service.clone().find(|port| match remote.parse::<i64>() {
        Ok(asked) => number(port) == asked,
        Err(_) => !remote.is_empty() && text(port, "name") == remote,
    });
    let port = found.ok_or_else(|| {
        let has: Vec<String> = of_service.map(|port| number(port).to_string()).collect();
        Failure::refused(format!("the service has no port {remote:?}; it has {}", has.join(", ")))
    })?;
    let own = u16::try_from(number(port)).map_err(|_| refused())?;
    let target = match &port["targetPort"] {
        // Who connects to a pod of a headless service does so without the service's help.
        _ if text(&service["spec"], "clusterIP") == "None" => own,
        Value::String(name) => named_port(pod, name)?,
        target => target.as_u64().and_then(|target| u16::try_from(target).ok()).unwrap_or(own),
    };
    let local = match local {
        None => own,
        Some("") => 0,
        Some(local) => local.parse().map_err(|_| refused())?,
    };
    Ok(Pair { local, remote: target })
}

async fn serve(options: &PortForward, pairs: &[Pair], session: Rc<Session>) -> Result<()> {
    let mut listening = JoinSet::new();
    for pair in pairs {
        let mut bound = Vec::new();
        for (address, is_needed) in addresses(&options.address)? {
            // Both addresses of localhost have the same port.
            let port = bound.first().copied().filter(|_| pair.local == 0).unwrap_or(pair.local);
            let address = SocketAddr::new(address, port);
            match TcpListener::bind(address).await {
                Ok(listener) => {
                    let at = listener.local_addr().context("cannot ask a socket for its address")?;
                    bound.push(at.port());
                    print::line(format_args!("Forwarding from {at} -> {}", pair.remote))?;
                    listening.spawn_local(accept(listener, pair.remote, Rc::clone(&session)));
                }
                Err(_) if !is_needed && !bound.is_empty() => {}
                Err(error) => {
                    return Err(Failure::said(format!("unable to listen on {address}: {error}")));
                }
            }
        }
    }
    session.closed().wait().await;
    Err(Failure::said("lost connection to pod"))
}

async fn accept(listener: TcpListener, remote: u16, session: Rc<Session>) {
    let mut connections = JoinSet::new();
    loop {
        while connections.len() >= CONNECTIONS_MAX {
            connections.join_next().await;
        }
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    let port = listener.local_addr().map(|at| at.port()).unwrap_or_default();
                    // Who reads it may have gone; the ports are still served.
                    let _ = print::line(format_args!("Handling connection for {port}"));
                    connections.spawn_local(forward(stream, remote, Rc::clone(&session)));
                }
                Err(error) => print::note(format_args!("error: cannot take a connection: {error}")),
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn forward(stream: TcpStream, remote: u16, session: Rc<Session>) {
    match session.forward(remote, stream).await {
        Ok(None) => {}
        Ok(Some(why)) => print::note(format_args!("error: port {remote} of the pod: {why}")),
        // Whoever waits for the session's end says it.
        Err(error) => tracing::debug!("forwarding {remote}: {error}"),
    }
}

/// Each with whether it has to be had.
fn addresses(words: &[String]) -> Result<Vec<(IpAddr, bool)>> {
    let mut out = Vec::new();
    for word in words {
        if word == "localhost" {
            out.push((Ipv4Addr::LOCALHOST.into(), true));
            out.push((Ipv6Addr::LOCALHOST.into(), false));
            continue;
        }
        let address = word.parse();
        let refused = |_| Failure::refused(format!("--address {word:?} is no IP address, and not localhost"));
        out.push((address.map_err(refused)?, true));
    }
    Ok(out)
}

fn pair(text: &str, pod: &Value) -> Result<Pair> {
    let refused = || Failure::refused(format!("{text:?} is not [LOCAL:]REMOTE, as 8080:80"));
    let (local, remote) = text.split_once(':').map_or((None, text), |(local, remote)| (Some(local), remote));
    let remote = match remote.parse() {
        Ok(0) => return Err(refused()),
        Ok(port) => port,
        Err(_) => named_port(pod, remote)?,
    };
    let local = match local {
        None => remote,
        Some("") => 0,
        Some(local) => local.parse().map_err(|_| refused())?,
    };
    Ok(Pair { local, remote })
}

fn named_port(pod: &Value, name: &str) -> Result<u16> {
    let spec = &pod["spec"];
    let containers = list(spec, "containers").iter().chain(list(spec, "initContainers"));
    let mut ports = containers.flat_map(|container| list(container, "ports"));
    let found = ports.find(|port| !name.is_empty() && text(port, "name") == name);
    let number = found.and_then(|port| port["containerPort"].as_u64()).and_then(|port| port.try_into().ok());
    number.ok_or_else(|| {
        Failure::refused(format!("{name:?} is no port, and no container has one of this name"))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Pair, best, pair, service_pair};

    #[test]
    fn ports_of_a_service_are_the_pods_behind_it() {
        let pod = json!({"spec": {"containers": [{"ports": [{"name": "web", "containerPort": 8080}]}]}});
        let mut service = json!({"spec": {"clusterIP": "10.96.0.9", "ports": [
            {"name": "http", "port": 80, "targetPort": "web"}, {"name": "raw", "port": 81, "targetPort": 9000},
        ]}});
        for (text, local, remote) in [
            ("80", 80, 8080),
            ("http", 80, 8080),
            ("5000:http", 5000, 8080),
            (":81", 0, 9000),
            ("1:raw", 1, 9000),
        ] {
            assert_eq!(service_pair(text, &service, &pod).unwrap(), Pair { local, remote }, "{text}");
        }
        for wrong in ["8080", "web", "x:80", ""] {
            assert!(service_pair(wrong, &service, &pod).is_err(), "{wrong}");
        }
        service["spec"]["clusterIP"] = "None".into();
        assert_eq!(service_pair("http", &service, &pod).unwrap(), Pair { local: 80, remote: 80 });
    }

    #[test]
    fn a_pod_that_is_ready_goes_first() {
        let pod = |name: &str, phase: &str, ready: &str| {
            json!({
                "metadata": {"name": name},
                "status": {"phase": phase, "conditions": [{"type": "Ready", "status": ready}]},
            })
        };
        let pods = [pod("a", "Succeeded", "True"), pod("b", "Running", "False"), pod("c", "Running", "True")];
        assert_eq!(best(&pods).unwrap()["metadata"]["name"], "c");
        assert_eq!(best(&pods[..2]).unwrap()["metadata"]["name"], "b");
        assert_eq!(best(&pods[..1]), None);
    }

    #[test]
    fn ports() {
        let pod = json!({"spec": {"containers": [{"ports": [{"name": "http", "containerPort": 80}]}]}});
        for (text, local, remote) in
            [("8080", 8080, 8080), ("8080:80", 8080, 80), (":80", 0, 80), ("http", 80, 80), ("1:http", 1, 80)]
        {
            assert_eq!(pair(text, &pod).unwrap(), Pair { local, remote }, "{text}");
        }
        for wrong in ["", "0", "x", "1:x", "70000", "a:80", "1:2:3"] {
            assert!(pair(wrong, &pod).is_err(), "{wrong}");
        }
    }
}
