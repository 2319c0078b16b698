//! What the engine's network has for Services, as it stands in the store: the ServiceCIDR `kubernetes`. So whoever
//! writes a Service, a client or the engine, sees the same, within the write.

use std::net::{IpAddr, SocketAddr};

use apimachinery::Status;
use ipnet::IpNet;
use podspec::json::{list, text};
use serde_json::{Value, json};
use store::{Store, Tx};

use crate::change::key_of;
use crate::kinds::Kind;
use crate::objects;

/// The name of the one ServiceCIDR that is the engine's.
pub const SERVICE_CIDR: &str = "kubernetes";
/// Who keeps an IPAddress.
pub(crate) const ADDRESS_MANAGED_BY: &str = "ipaddress.kubernetes.io/managed-by";
/// The engine, for Services.
pub(crate) const ADDRESS_MANAGER: &str = "ipallocator.k8s.io";
const READY: &str = "Ready";
/// Where nobody has said what there is, as in a store without an engine.
const NO_NETWORK: &str = "this engine has no network: use the address of a pod, or kubectl port-forward";

/// What an engine's network is to Services and policies.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Network {
    /// Where addresses of Services come from: one range of each family, the preferred one first.
    pub services: Vec<IpNet>,
    /// Why Services and NetworkPolicies would have no effect here, and what to change: they are refused then.
    pub lacks: Option<String>,
    /// What `kube-system/kube-dns` leads to.
    pub dns: Option<ClusterDns>,
}

/// The DNS of pods.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ClusterDns {
    /// The cluster IP of its Service.
    pub service: IpAddr,
    /// Where it listens.
    pub endpoint: SocketAddr,
}

/// What a write may take for a Service.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Ranges {
    pub(crate) services: Vec<IpNet>,
    /// Why there is nothing to take.
    pub(crate) lacks: Option<String>,
}

impl Network {
    /// As it stands in the store; `since` is when it became so.
    #[must_use]
    pub fn to_object(&self, since: &str) -> Value {
        let (status, reason) = match self.lacks {
            Some(_) => ("False", "NotServed"),
            None => ("True", "Served"),
        };
        let cidrs: Vec<String> = self.services.iter().map(ToString::to_string).collect();
        json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "ServiceCIDR", "metadata": {"name": SERVICE_CIDR},
            "spec": {"cidrs": cidrs},
            "status": {"conditions": [{
                "type": READY, "status": status, "reason": reason, "lastTransitionTime": since,
                "message": self.lacks.as_deref().unwrap_or("Kubernetes Service CIDR is ready"),
            }]},
        })
    }
}

/// Whether Services lead anywhere, as the engine has said.
#[must_use]
pub fn is_served(store: &Store) -> bool {
    Ranges::of_store(store).lacks.is_none()
}

impl Ranges {
    /// As the store says in this write.
    pub(crate) fn read(view: &Tx<'_>) -> Self {
        let kind = Kind::find("networking.k8s.io", "v1", "servicecidrs");
        let found = kind.and_then(|kind| view.get(&key_of(kind, "", SERVICE_CIDR)));
        Self::of(found.and_then(|object| objects::value(&object).ok()).as_ref())
    }

    /// As the store says now.
    fn of_store(store: &Store) -> Self {
        let kind = Kind::find("networking.k8s.io", "v1", "servicecidrs");
        let found = kind.and_then(|kind| store.get(&key_of(kind, "", SERVICE_CIDR)));
        Self::of(found.and_then(|object| objects::value(&object).ok()).as_ref())
    }

    fn of(found: Option<&Value>) -> Self {
        let Some(found) = found else {
            return Self { services: Vec::new(), lacks: Some(NO_NETWORK.to_owned()) };
        };
        let cidrs = list(&found["spec"], "cidrs").iter().filter_map(Value::as_str);
        let ready = list(&found["status"], "conditions").iter().find(|known| text(known, "type") == READY);
        let lacks = ready.filter(|ready| text(ready, "status") != "True").map(|why| text(why, "message"));
        Self {
            services: cidrs.filter_map(|cidr| cidr.parse().ok()).collect(),
            lacks: lacks.map(str::to_owned),
        }
    }

    /// What a client is told whose object would have no effect.
    pub(crate) fn check(&self, kind: &Kind, name: &str) -> Result<(), Status> {
        match &self.lacks {
            Some(why) => Err(Status::forbidden(kind.group, kind.plural, name, why)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use store::{Durability, Options, Place, Store};

    use super::{NO_NETWORK, Network, Ranges};
    use crate::kinds::Kind;
    use crate::objects::{index_stored, put};

    async fn read(network: Option<Network>) -> Ranges {
        let store = Store::open(Place::Memory, Options { index: index_stored }).unwrap();
        let kind = Kind::find("networking.k8s.io", "v1", "servicecidrs").unwrap();
        let write = store.write(Durability::Lazy, move |tx| {
            if let Some(network) = network {
                put(tx, kind, &mut network.to_object("2026-01-01T00:00:00Z"));
            }
            Ok::<_, ()>(Ranges::read(tx))
        });
        write.await.unwrap().unwrap()
    }

    #[tokio::test]
    async fn what_the_engine_says_is_what_a_write_sees() {
        let services = vec!["10.201.0.0/16".parse().unwrap(), "fd00::/112".parse().unwrap()];
        let network = Network { services: services.clone(), ..Network::default() };
        assert_eq!(read(Some(network)).await, Ranges { services, lacks: None });
        let lacks = Some("this kernel has no nf_tables: load the module".to_owned());
        let network = Network { lacks: lacks.clone(), ..Network::default() };
        let refused = read(Some(network)).await;
        assert_eq!(refused, Ranges { services: vec![], lacks });
        let kind = Kind::find("", "v1", "services").unwrap();
        let told = refused.check(kind, "web").unwrap_err();
        assert_eq!(
            (told.code, told.message.as_str()),
            (403, "services \"web\" is forbidden: this kernel has no nf_tables: load the module")
        );
        assert_eq!(read(None).await.lacks.as_deref(), Some(NO_NETWORK));
    }

    #[test]
    fn a_client_can_see_why() {
        let network = Network { lacks: Some("no".to_owned()), ..Network::default() };
        let condition = network.to_object("2026-01-01T00:00:00Z")["status"]["conditions"][0].clone();
        assert_eq!(
            condition,
            json!({
                "type": "Ready", "status": "False", "reason": "NotServed", "message": "no",
                "lastTransitionTime": "2026-01-01T00:00:00Z",
            })
        );
    }
}
