//! The network of an engine's pods, as the command line wants it.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use ipnet::IpNet;
use kubelet::Paths;
use network::{Network, Options, Size, Wanted};
use ports::{NoNetwork, PodNetwork, PortError};

use crate::cli;

/// What an engine wants for its pods.
#[derive(Clone, Debug)]
pub(crate) struct PodNetworkPlan {
    /// Of its record: `serve`, or of a run.
    pub(crate) name: String,
    pub(crate) size: Size,
    pub(crate) options: cli::Network,
}

/// What it has.
#[derive(Clone, Debug)]
pub(crate) enum Opened {
    Open(Arc<Network>),
    /// Pods have their loopback, and why.
    None(String),
}

impl PodNetworkPlan {
    /// A machine that lacks something has pods without a network, unless one was asked for by its ranges.
    pub(crate) async fn open(&self, paths: &Paths) -> Result<Opened> {
        let Self { name, size, options } = self;
        if options.no_pod_network {
            return Ok(Opened::None("the engine was started with --no-pod-network".to_owned()));
        }
        let wanted =
            Wanted { pods: options.pod_cidr.clone(), services: options.service_cidr.clone(), size: *size };
        let is_asked_for = !wanted.pods.is_empty() || !wanted.services.is_empty();
        let options = Options {
            name: name.clone(),
            wanted,
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
            Err(error) => {
                let why = PortError::chain(&error).0;
                tracing::warn!("pods have no network but their own loopback: {why}");
                Ok(Opened::None(why))
            }
        }
    }
}

impl Opened {
    pub(crate) fn as_port(&self) -> Arc<dyn PodNetwork> {
        match self {
            Self::Open(network) => Arc::clone(network) as Arc<dyn PodNetwork>,
            Self::None(_) => Arc::new(NoNetwork),
        }
    }

    /// Why there are no Services: `missing`, or that there is no network at all.
    pub(crate) fn lacks(&self, missing: &str) -> String {
        match self {
            Self::Open(_) => missing.to_owned(),
            Self::None(why) => format!("pods have no network but their own loopback: {why}"),
        }
    }

    /// The ranges of pods on this node; none without a network.
    pub(crate) fn pod_ranges(&self) -> Vec<IpNet> {
        match self {
            Self::Open(network) => network.ranges().pods.clone(),
            Self::None(_) => Vec::new(),
        }
    }

    /// The addresses of a machine that speaks from none to the outside.
    pub(crate) fn gateways(&self) -> Vec<IpAddr> {
        match self {
            Self::Open(network) => network.ranges().gateways(),
            Self::None(_) => Vec::new(),
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

fn warn_all(errors: &[String]) {
    for error in errors {
        tracing::warn!("something of the network of the pods is left: {error}");
    }
}
