//! The network of an engine's pods, as the command line wants it.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use ipnet::IpNet;
use kubelet::Paths;
use network::{Ahead, ForeignDrop, Network, Options, Size, Wanted, foreign_drops};
use ports::{NoNetwork, PodNetwork, PortError};

use crate::cli;

/// What an engine wants for its pods.
#[derive(Clone, Debug)]
pub(crate) struct PodNetworkPlan {
    /// Of its record: `serve`, or of a run.
    pub(crate) name: String,
    pub(crate) size: Size,
    pub(crate) ahead: Ahead,
    pub(crate) options: cli::Network,
}

/// What it has.
#[derive(Clone, Debug)]
pub(crate) enum Opened {
    Open(Arc<Network>),
    /// Pods have their loopback, and why.
    None(String),
    /// Pods have their loopback, as was asked for.
    Declined,
}

/// Something with the network that whoever keeps the machine has to see to.
#[derive(Debug)]
pub(crate) struct Trouble {
    /// Of the event about the node.
    pub(crate) reason: &'static str,
    /// What it is about, for the event's name.
    pub(crate) about: String,
    /// With what to do.
    pub(crate) message: String,
}

impl PodNetworkPlan {
    /// A machine that lacks something has pods without a network, unless one was asked for by its ranges.
    pub(crate) async fn open(&self, paths: &Paths) -> Result<Opened> {
        let Self { name, size, ahead, options } = self;
        if options.no_pod_network {
            return Ok(Opened::Declined);
        }
        let wanted =
            Wanted { pods: options.pod_cidr.clone(), services: options.service_cidr.clone(), size: *size };
        let is_asked_for = !wanted.pods.is_empty() || !wanted.services.is_empty();
        let options = Options {
            name: name.clone(),
            wanted,
            ahead: *ahead,
            data_dir: paths.data_dir.clone(),
            pods_dir: paths.pods_dir(),
        };
        let opened = match tokio::task::spawn_blocking(move || Network::open(options)).await? {
            Ok(network) => match network.start().await {
                Ok(()) => Ok(network),
                Err(error) => {
                    warn_all(&network.remove());
                    Err(error)
                }
            },
            Err(error) => Err(error),
        };
        match opened {
            Ok(network) => Ok(Opened::Open(network)),
            Err(error) if is_asked_for => {
                Err(error).context("pods cannot have the network that was asked for")
            }
            Err(error) => Ok(Opened::None(PortError::chain(&error).0)),
        }
    }
}

impl Opened {
    pub(crate) fn as_port(&self) -> Arc<dyn PodNetwork> {
        match self {
            Self::Open(network) => Arc::clone(network) as Arc<dyn PodNetwork>,
            Self::None(_) | Self::Declined => Arc::new(NoNetwork),
        }
    }

    /// Why there are no Services: `missing`, or that there is no network at all.
    pub(crate) fn lacks(&self, missing: &str) -> String {
        match self {
            Self::Open(_) => missing.to_owned(),
            Self::None(why) => alone(why),
            Self::Declined => alone("the engine was started with --no-pod-network"),
        }
    }

    /// Which packet filters of others are in the way of pods.
    pub(crate) fn drops(&self) -> Vec<ForeignDrop> {
        let Self::Open(network) = self else { return Vec::new() };
        foreign_drops(network.ranges()).unwrap_or_else(|error| {
            tracing::debug!("whether packet filters are in the way of pods is not known: {error}");
            Vec::new()
        })
    }

    /// What pods do not have that they would have by default, and what is in their way.
    /// `lacks`: why there are no Services.
    pub(crate) fn troubles(&self, lacks: Option<&str>, drops: Vec<ForeignDrop>) -> Vec<Trouble> {
        match self {
            Self::Open(_) => {}
            Self::None(why) => {
                return vec![Trouble {
                    reason: "NetworkNotReady",
                    about: "pods".to_owned(),
                    message: alone(why),
                }];
            }
            Self::Declined => return Vec::new(),
        }
        let obstructed = |drop: ForeignDrop| Trouble {
            reason: "NetworkObstructed",
            about: format!("{}.{}", drop.table, drop.chain).to_lowercase(),
            message: format!("pods are kept from something: {drop}"),
        };
        let services = lacks.map(|why| Trouble {
            reason: "NetworkNotReady",
            about: "services".to_owned(),
            message: format!("there are no Services, host ports and NetworkPolicies: {why}"),
        });
        services.into_iter().chain(drops.into_iter().map(obstructed)).collect()
    }

    /// The ranges of pods on this node; none without a network.
    pub(crate) fn pod_ranges(&self) -> Vec<IpNet> {
        match self {
            Self::Open(network) => network.ranges().pods.clone(),
            Self::None(_) | Self::Declined => Vec::new(),
        }
    }

    /// The addresses of a machine that speaks from none to the outside.
    pub(crate) fn gateways(&self) -> Vec<IpAddr> {
        match self {
            Self::Open(network) => network.ranges().gateways(),
            Self::None(_) | Self::Declined => Vec::new(),
        }
    }

    /// Removes it from the machine: its pods are gone.
    pub(crate) fn remove(&self) {
        if let Self::Open(network) = self {
            warn_all(&network.remove());
        }
    }
}

/// Removes every network that no engine has; what could not be removed of them is returned.
pub(crate) fn clear(data_dir: &Path) -> Vec<anyhow::Error> {
    network::clear(data_dir).into_iter().map(anyhow::Error::msg).collect()
}

fn alone(why: &str) -> String {
    format!("pods have no network but their own loopback: {why}")
}

fn warn_all(errors: &[String]) {
    for error in errors {
        tracing::warn!("something of the network of the pods is left: {error}");
    }
}
