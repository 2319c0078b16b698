//! An IPAddress for each address that a Service has, so that clients can see whose it is
//! (<https://kubernetes.io/docs/reference/networking/virtual-ips/#ip-address-objects>).

use std::collections::BTreeMap;
use std::net::IpAddr;

use podspec::json::{list, text};
use serde_json::{Value, json};
use store::{Object, ObjectKey, Store};
use tokio::task::JoinSet;

use super::feed::{Seen, merged};
use super::write::{kind, log, make, remove};
use crate::change::DeleteOptions;
use crate::kinds::Kind;
use crate::network::{ADDRESS_MANAGED_BY, ADDRESS_MANAGER};
use crate::objects;

const PART: &str = "ipallocator";
const FAMILY: &str = "ipaddress.kubernetes.io/ip-family";

pub(super) async fn run(store: Store) {
    let (services, addresses) = (kind("", "services"), kind("networking.k8s.io", "ipaddresses"));
    let mut tasks = JoinSet::new();
    let mut feed = merged(&store, [services, addresses].into_iter(), &mut tasks);
    loop {
        look(&store, services, addresses).await;
        // One that is made is no news here.
        let is_news = |kind: &Kind, seen: &Seen| kind.kind == "Service" || !matches!(seen, Seen::Present(..));
        let mut news = false;
        while !news {
            let Some((kind, seen)) = feed.recv().await else { return };
            news = is_news(kind, &seen);
        }
        // What is waiting has happened already, and is seen by the same look.
        while feed.try_recv().is_ok() {}
    }
}

async fn look(store: &Store, services: &'static Kind, addresses: &'static Kind) {
    let mut wanted = BTreeMap::new();
    for object in all(store, services) {
        wanted.extend(objects::value(&object).iter().flat_map(of_service));
    }
    for held in all(store, addresses) {
        let is_own = held.labels.get(ADDRESS_MANAGED_BY).is_some_and(|manager| manager == ADDRESS_MANAGER);
        if wanted.remove(&held.key.name).is_none() && is_own {
            let options = DeleteOptions { uid: Some(held.uid.clone()), ..DeleteOptions::default() };
            log(PART, &held.key, remove(store, PART, addresses, &held.key, options).await);
        }
    }
    for (name, address) in wanted {
        let key = ObjectKey::new(addresses.stored(), "", name.as_str());
        log(PART, &key, make(store, PART, addresses, address).await);
    }
}

fn all(store: &Store, kind: &Kind) -> Vec<std::sync::Arc<Object>> {
    store.list(kind.stored(), None, None, None, |_| true).objects
}

/// By their names.
fn of_service(service: &Value) -> Vec<(String, Value)> {
    let metadata = &service["metadata"];
    let ips = list(&service["spec"], "clusterIPs").iter();
    let ips = ips.filter_map(|ip| ip.as_str()?.parse::<IpAddr>().ok());
    let address = |ip: IpAddr| {
        let family = if ip.is_ipv4() { "IPv4" } else { "IPv6" };
        let parent = json!({
            "group": "", "resource": "services", "namespace": text(metadata, "namespace"),
            "name": text(metadata, "name"),
        });
        let object = json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "IPAddress",
            "metadata": {"name": ip.to_string(), "labels": {FAMILY: family, ADDRESS_MANAGED_BY: ADDRESS_MANAGER}},
            "spec": {"parentRef": parent},
        });
        (ip.to_string(), object)
    };
    ips.map(address).collect()
}
