//! What a cluster does by itself: places pods, empties namespaces, collects garbage, keeps what is always there.
//!
//! Each controller is a task over watches of the store; none asks at intervals. What it writes is observed again after a
//! power cut, so it is written lazily.

mod addresses;
mod aggregation;
mod claims;
mod endpoints;
mod events;
mod feed;
mod garbage;
mod lease;
mod namespaces;
mod nodes;
mod own;
mod pods;
mod quotas;
pub mod recorder;
mod scheduling;
mod stock;
mod taints;
mod write;

#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::path::PathBuf;

use apimachinery::Status;
use store::Store;
use tokio::task::JoinSet;

use crate::network::Network;

/// What the controllers have to know.
#[derive(Clone, Debug)]
pub struct Settings {
    pub store: Store,
    /// The node that has a kubelet.
    pub node_name: String,
    /// Where the directories of claims are made.
    pub claims_dir: PathBuf,
    /// The certificate that clients inside pods trust, as PEM: `kube-root-ca.crt`.
    pub ca: String,
    /// The ClusterIP of `default/kubernetes`.
    pub service_address: IpAddr,
    /// What there is for Services, or why there is nothing.
    pub network: Network,
    /// Where the API is reached, for the endpoints of `default/kubernetes`; none: only by the unix socket.
    pub endpoints: Vec<(IpAddr, u16)>,
}

/// The controllers; dropped, they end.
#[derive(Debug)]
pub struct Controllers {
    tasks: JoinSet<()>,
}

/// Makes what pods need from the start: namespaces, priority classes, `default/kubernetes`. What is there stays.
///
/// # Errors
/// The store cannot be written.
pub async fn bootstrap(settings: &Settings) -> Result<(), Status> {
    stock::make_basics(settings).await
}

/// Makes the stock roles and their bindings, which only clients need that are not the administrator.
///
/// # Errors
/// The store cannot be written.
pub async fn bootstrap_roles(store: &Store) -> Result<(), Status> {
    stock::make_roles(store).await
}

impl Controllers {
    /// Needs a tokio runtime, and what [`bootstrap`] makes.
    #[must_use]
    pub fn start(settings: &Settings) -> Self {
        let mut tasks = JoinSet::new();
        tasks.spawn(namespaces::run(settings.clone()));
        tasks.spawn(garbage::run(settings.store.clone()));
        tasks.spawn(scheduling::run(settings.store.clone()));
        tasks.spawn(nodes::run(settings.store.clone()));
        tasks.spawn(taints::run(settings.store.clone()));
        tasks.spawn(endpoints::run(settings.store.clone()));
        tasks.spawn(events::run(settings.store.clone()));
        tasks.spawn(pods::run(settings.store.clone(), settings.node_name.clone()));
        tasks.spawn(lease::run(settings.store.clone(), settings.node_name.clone()));
        tasks.spawn(quotas::run(settings.store.clone()));
        tasks.spawn(addresses::run(settings.store.clone()));
        tasks.spawn(aggregation::run(settings.store.clone()));
        tasks.spawn(claims::run(settings.clone()));
        tasks.spawn(own::run(settings.clone()));
        Self { tasks }
    }

    /// Ends them; what is being written is written.
    pub async fn stop(mut self) {
        self.tasks.shutdown().await;
    }
}
