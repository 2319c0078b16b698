//! The Services that lead to the engine itself, and where addresses of all Services come from.

use std::net::IpAddr;

use apimachinery::Status;
use serde_json::{Value, json};
use store::{ObjectKey, Store};
use tokio::task::JoinSet;

use super::Settings;
use super::feed::{Seen, merged};
use super::write::{kind, log, write};
use crate::entropy;
use crate::kinds::Kind;
use crate::network::ClusterDns;
use crate::objects;

const PART: &str = "apiserver";
/// The port of `default/kubernetes`.
const PORT: u16 = 443;
const DNS_PORT: u16 = 53;
/// Namespaces and names of the Services.
const NAMES: [(&str, &str); 2] = [("default", "kubernetes"), ("kube-system", "kube-dns")];

/// Makes what is not there as it should be.
pub(super) async fn make(settings: &Settings) -> Result<(), Status> {
    network(settings).await?;
    own_service(&settings.store, &kubernetes(settings)).await?;
    match &settings.network.dns {
        Some(dns) => own_service(&settings.store, &kube_dns(dns)).await,
        None => Ok(()),
    }
}

/// Makes again what somebody deletes.
pub(super) async fn run(settings: Settings) {
    let kinds = [kind("", "services"), kind("", "endpoints"), kind("discovery.k8s.io", "endpointslices")];
    let mut tasks = JoinSet::new();
    let mut feed = merged(&settings.store, kinds.into_iter(), &mut tasks);
    let (namespace, name) = NAMES[0];
    // What went before anybody looked is told by nobody.
    log(PART, &ObjectKey::new(kind("", "services").stored(), namespace, name), make(&settings).await);
    while let Some((_, seen)) = feed.recv().await {
        let Seen::Gone(object) = seen else { continue };
        let name = (object.key.namespace.as_str(), object.key.name.as_str());
        if NAMES.contains(&name) {
            log(PART, &object.key, make(&settings).await);
        }
    }
}

/// What addresses of Services are taken from, or why there are none.
async fn network(settings: &Settings) -> Result<(), Status> {
    let wanted = |since: &str| settings.network.to_object(since);
    let kind = kind("networking.k8s.io", "servicecidrs");
    let held = settings.store.get(&objects::key(kind, &wanted("")));
    let held = held.map(|held| crate::change::parse(&held)).transpose()?;
    let since = held.map(|held| held["status"]["conditions"][0].clone()).unwrap_or_default();
    let now = entropy::now().rfc3339_seconds();
    let since = match since["status"] == wanted("")["status"]["conditions"][0]["status"] {
        true => since["lastTransitionTime"].as_str().unwrap_or(&now),
        false => &now,
    };
    set(&settings.store, kind, wanted(since)).await
}

/// A Service of the server's own, whose endpoints are not pods.
struct Own {
    namespace: &'static str,
    name: &'static str,
    labels: Value,
    address: IpAddr,
    /// Name, protocol, port and the port of the endpoints.
    ports: Vec<(&'static str, &'static str, u16, u16)>,
    endpoints: Vec<IpAddr>,
}

/// `default/kubernetes`: the API.
fn kubernetes(settings: &Settings) -> Own {
    let port = settings.endpoints.first().map_or(PORT, |(_, port)| *port);
    Own {
        namespace: NAMES[0].0,
        name: NAMES[0].1,
        labels: json!({"component": "apiserver", "provider": "kubernetes"}),
        address: settings.service_address,
        ports: vec![("https", "TCP", PORT, port)],
        endpoints: settings.endpoints.iter().map(|(address, _)| *address).collect(),
    }
}

/// `kube-system/kube-dns`: the engine's DNS.
fn kube_dns(dns: &ClusterDns) -> Own {
    let port = dns.endpoint.port();
    Own {
        namespace: NAMES[1].0,
        name: NAMES[1].1,
        labels: json!({"k8s-app": "kube-dns", "kubernetes.io/name": "monopod"}),
        address: dns.service,
        ports: vec![("dns", "UDP", DNS_PORT, port), ("dns-tcp", "TCP", DNS_PORT, port)],
        endpoints: vec![dns.endpoint.ip()],
    }
}

/// The Service, and where it leads.
async fn own_service(store: &Store, own: &Own) -> Result<(), Status> {
    let Own { namespace, name, .. } = own;
    let ip = own.address.to_string();
    let family = if own.address.is_ipv4() { "IPv4" } else { "IPv6" };
    let port = |(name, protocol, port, target): &(&str, &str, u16, u16)| json!({"name": name, "port": port, "protocol": protocol, "targetPort": target});
    let service = json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": name, "namespace": namespace, "labels": own.labels},
        "spec": {
            "type": "ClusterIP", "clusterIP": ip, "clusterIPs": [ip], "ipFamilies": [family],
            "ipFamilyPolicy": "SingleStack", "internalTrafficPolicy": "Cluster", "sessionAffinity": "None",
            "ports": own.ports.iter().map(port).collect::<Vec<_>>(),
        },
        "status": {"loadBalancer": {}},
    });
    set(store, kind("", "services"), service).await?;
    let addresses: Vec<String> = own.endpoints.iter().map(ToString::to_string).collect();
    let port = |(name, protocol, _, target): &(&str, &str, u16, u16)| json!({"name": name, "port": target, "protocol": protocol});
    let ports: Vec<Value> = own.ports.iter().map(port).collect();
    let subsets = if addresses.is_empty() {
        json!([])
    } else {
        let addresses: Vec<Value> = addresses.iter().map(|ip| json!({"ip": ip})).collect();
        json!([{"addresses": addresses, "ports": ports}])
    };
    let mirrored = json!({"endpointslice.kubernetes.io/skip-mirror": "true"});
    let endpoints = json!({
        "apiVersion": "v1", "kind": "Endpoints",
        "metadata": {"name": name, "namespace": namespace, "labels": mirrored},
        "subsets": subsets,
    });
    set(store, kind("", "endpoints"), endpoints).await?;
    let endpoint = |ip: &String| json!({"addresses": [ip], "conditions": {"ready": true}});
    // Of what family its endpoints are, which may be another than that of the service's address.
    let of = own.endpoints.first().map_or(family, |ip| if ip.is_ipv4() { "IPv4" } else { "IPv6" });
    let slice = json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": of,
        "metadata": {
            "name": name, "namespace": namespace, "labels": {"kubernetes.io/service-name": name}, "generation": 1,
        },
        "endpoints": addresses.iter().map(endpoint).collect::<Vec<_>>(),
        "ports": ports,
    });
    set(store, kind("discovery.k8s.io", "endpointslices"), slice).await
}

/// Writes an object of the server's own; nothing is written when it is so already.
async fn set(store: &Store, kind: &'static Kind, mut object: Value) -> Result<(), Status> {
    write(store, move |tx| {
        let held = tx.get(&objects::key(kind, &object));
        let held = held.map(|held| crate::change::parse(&held)).transpose()?;
        let (uid, created) = match &held {
            Some(held) => (held["metadata"]["uid"].clone(), held["metadata"]["creationTimestamp"].clone()),
            None => {
                let uid = podspec::uuid(&entropy::identity());
                (uid.into(), entropy::now().rfc3339_seconds().into())
            }
        };
        object["metadata"]["uid"] = uid;
        object["metadata"]["creationTimestamp"] = created;
        if let Some(held) = &held {
            object["metadata"]["resourceVersion"] = held["metadata"]["resourceVersion"].clone();
        }
        if held.as_ref() != Some(&object) {
            objects::put(tx, kind, &mut object);
        }
        Ok(())
    })
    .await
}
