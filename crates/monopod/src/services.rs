//! What stands behind Services, policies and names: the table of rules, and the DNS of the pods.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use apiserver::network as api;
use cluster_network::ClusterNetwork;
use container_config::CLUSTER_DOMAIN;
use dns::{Listening, Zone};
use network::{Network, Ranges, Rules};
use ports::PortError;
use store::Store;

use crate::network::Opened;

/// Which resolvers the machine has.
const RESOLV_CONF: &str = "/etc/resolv.conf";
/// Of `default/kubernetes` where there is no network: the first of the range that most clusters have.
const API_WITHOUT_NETWORK: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 96, 0, 1));

/// What an engine has for them before it knows any.
#[derive(Debug)]
pub(crate) struct Services {
    /// `None`: pods have their loopback alone.
    network: Option<Arc<Network>>,
    ranges: Ranges,
    rules: Option<Rules>,
    /// Why there are no Services.
    lacks: Option<String>,
    dns: Option<Listening>,
}

/// What follows the store; dropped, names are not answered any more, and rules stay as they are.
#[derive(Debug)]
pub(crate) struct Following {
    /// Why there are no Services after all.
    pub(crate) lacks: Option<String>,
    _cluster: ClusterNetwork,
    _dns: Option<dns::Running>,
}

impl Services {
    /// Listens for questions, which wait until it follows. Changes nothing of the machine yet.
    pub(crate) async fn open(opened: &Opened) -> Self {
        let network = match opened {
            Opened::Open(network) => Arc::clone(network),
            Opened::None(_) | Opened::Declined => {
                let ranges = Ranges { pods: Vec::new(), services: Vec::new() };
                return Self { network: None, ranges, rules: None, lacks: Some(opened.lacks("")), dns: None };
            }
        };
        let ranges = network.ranges().clone();
        let (rules, lacks) = match Rules::open(network.table(), &ranges, network.claimed()) {
            Ok(rules) => (Some(rules), None),
            Err(error) => (None, Some(PortError::chain(&error).0)),
        };
        let dns = match Listening::on(&ranges.gateways()).await {
            Ok(listening) => Some(listening),
            Err(error) => {
                tracing::warn!("pods find no names of Services: {}", PortError::chain(&error).0);
                None
            }
        };
        Self { network: Some(network), ranges, rules, lacks, dns }
    }

    /// The engine's own addresses in the network.
    pub(crate) fn gateways(&self) -> Vec<IpAddr> {
        self.ranges.gateways()
    }

    /// Of `default/kubernetes`.
    pub(crate) fn api_address(&self) -> IpAddr {
        self.ranges.api().first().copied().unwrap_or(API_WITHOUT_NETWORK)
    }

    /// Whom pods ask for names: the Service, or where nothing leads to that, what would stand behind it.
    pub(crate) fn cluster_dns(&self) -> Vec<IpAddr> {
        const PORT: u16 = 53;
        match (&self.dns, self.lacks.is_none()) {
            (Some(_), true) => self.ranges.dns().into_iter().take(1).collect(),
            (Some(dns), false) if dns.port() == PORT => self.gateways().into_iter().take(1).collect(),
            _ => Vec::new(),
        }
    }

    /// What the API makes Services of.
    pub(crate) fn to_api(&self) -> api::Network {
        let endpoint = self.gateways().first().copied().zip(self.dns.as_ref());
        let service = self.ranges.dns().first().copied().filter(|_| self.lacks.is_none());
        api::Network {
            services: self.ranges.services.clone(),
            lacks: self.lacks.clone(),
            dns: service.zip(endpoint).map(|(service, (gateway, dns))| api::ClusterDns {
                service,
                endpoint: SocketAddr::new(gateway, dns.port()),
            }),
        }
    }

    /// Puts what the store says in force, answers names, and follows. Before the first pod is begun or taken over.
    pub(crate) async fn follow(self, store: &Store, node_name: &str) -> Option<Following> {
        let network = self.network?;
        let ranges = self.ranges.pods.iter().chain(&self.ranges.services).copied().collect();
        let zone = Zone::new(CLUSTER_DOMAIN, ranges)?;
        let port = self.dns.as_ref().map(Listening::port);
        let at = self.ranges.gateways().into_iter().zip(port.into_iter().cycle());
        let at: Vec<SocketAddr> = at.map(|(gateway, port)| SocketAddr::new(gateway, port)).collect();
        let started = ClusterNetwork::start(store, node_name, &at, zone.clone(), self.rules.clone()).await;
        let lacks = started.failure.map(|error| {
            format!("the kernel refuses the rules of Services and policies: {}", PortError::chain(&error).0)
        });
        if let (None, Some(rules)) = (&lacks, self.rules) {
            network.enforce_by(rules);
            network.follow_policies(started.network.policies());
        }
        let led_here = self.ranges.dns();
        let dns = self.dns.map(|dns| dns.serve(zone, PathBuf::from(RESOLV_CONF), &led_here));
        Some(Following { lacks, _cluster: started.network, _dns: dns })
    }
}
