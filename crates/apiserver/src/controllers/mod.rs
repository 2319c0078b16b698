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
use tokio::sync::OnceCell;
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

/// Makes what every cluster has, whatever its network: namespaces, classes of priority and storage. What is there stays.
///
/// # Errors
/// The store cannot be written.
pub async fn bootstrap(store: &Store) -> Result<(), Status> {
    stock::make_basics(store).await
}

/// Makes the Services that lead to the engine itself, and says where addresses of Services come from. After [`bootstrap`].
///
/// # Errors
/// The store cannot be written.
pub async fn bootstrap_services(settings: &Settings) -> Result<(), Status> {
    own::make(settings).await
}

/// The stock roles and their bindings, which only clients need: they are made when the first comes.
#[derive(Debug, Default)]
pub(crate) struct StockRoles(OnceCell<()>);

impl StockRoles {
    /// Returns when they are there. A failure is in the log, and whoever comes next tries again.
    pub(crate) async fn make(&self, store: &Store) {
        if let Err(status) = self.0.get_or_try_init(|| stock::make_roles(store)).await {
            tracing::error!("the stock roles are not all there: {}", status.message);
        }
    }
}

impl Controllers {
    /// Needs a tokio runtime, and what [`bootstrap`] and [`bootstrap_services`] make.
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
