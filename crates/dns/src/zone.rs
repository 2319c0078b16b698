//! What the cluster's own names lead to: Services, their endpoints and namespaces, each an entry of its own that is
//! exchanged when it changes (<https://github.com/kubernetes/dns/blob/master/docs/specification.md>).

use std::collections::{BTreeSet, HashMap, HashSet};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use hickory_proto::rr::Name;
use ipnet::IpNet;
use podspec::PortProtocol;

use crate::name;

/// A Service, as far as names are concerned.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Service {
    pub leads_to: LeadsTo,
    pub ports: Vec<Port>,
    /// Those that are ready, or all with `publishNotReadyAddresses`.
    pub endpoints: Vec<Endpoint>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LeadsTo {
    /// Its cluster IPs.
    Addresses(Vec<IpAddr>),
    /// A headless Service.
    Endpoints,
    /// An `externalName`.
    Elsewhere(String),
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Port {
    /// Empty for one without a name.
    pub name: String,
    pub protocol: PortProtocol,
    pub port: u16,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Endpoint {
    pub address: IpAddr,
    /// Without one its name is its address with dashes.
    pub hostname: Option<String>,
    pub ports: Vec<Port>,
}

impl Endpoint {
    pub(crate) fn label(&self) -> String {
        let dashed = || self.address.to_string().replace(['.', ':'], "-");
        self.hostname.clone().unwrap_or_else(dashed)
    }
}

/// The names of one cluster. Copies are the same zone.
#[derive(Clone, Debug)]
pub struct Zone {
    pub(crate) domain: Name,
    /// Who answers for it, and whom to write to.
    pub(crate) server: Name,
    pub(crate) contact: Name,
    held: Arc<RwLock<Held>>,
    serial: Arc<AtomicU32>,
}

#[derive(Default, Debug)]
pub(crate) struct Held {
    namespaces: HashMap<String, Services>,
    existing: HashSet<String>,
    reverse: HashMap<IpAddr, BTreeSet<Name>>,
    ranges: Vec<IpNet>,
}

type Services = HashMap<String, Arc<Service>>;

impl Zone {
    /// A zone without names. Addresses in `ranges` are the cluster's, so nobody else is asked for their names.
    ///
    /// `None`: `domain` is no domain.
    #[must_use]
    pub fn new(domain: &str, ranges: Vec<IpNet>) -> Option<Self> {
        let domain = name::parse(domain).filter(|domain| !domain.is_root())?;
        let held = Held { ranges, ..Held::default() };
        let server = name::parse(&format!("kube-dns.kube-system.svc.{domain}"))?;
        let contact = name::under(&domain, "hostmaster")?;
        Some(Self { domain, server, contact, held: Arc::new(RwLock::new(held)), serial: Arc::default() })
    }

    /// What a Service's names lead to from now on; `None` when it is gone. Costs what this Service costs.
    pub fn set_service(&self, namespace: &str, name: &str, service: Option<Service>) {
        let names = |service: &Service| self.reverse_names(namespace, name, service);
        let added = service.as_ref().map(names).unwrap_or_default();
        let mut held = self.write();
        let services = held.namespaces.entry(namespace.to_owned()).or_default();
        let before = match service {
            Some(service) => services.insert(name.to_owned(), Arc::new(service)),
            None => services.remove(name),
        };
        if services.is_empty() {
            held.namespaces.remove(namespace);
        }
        for (address, name) in before.as_deref().map(names).unwrap_or_default() {
            if let Some(known) = held.reverse.get_mut(&address) {
                known.remove(&name);
                if known.is_empty() {
                    held.reverse.remove(&address);
                }
            }
        }
        for (address, name) in added {
            held.reverse.entry(address).or_default().insert(name);
        }
        drop(held);
        self.serial.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether a namespace is there.
    pub fn set_namespace(&self, namespace: &str, exists: bool) {
        let mut held = self.write();
        if exists {
            held.existing.insert(namespace.to_owned());
        } else {
            held.existing.remove(namespace);
        }
    }

    pub(crate) fn read(&self) -> RwLockReadGuard<'_, Held> {
        // Whoever held it has written an entry or has not: both are a zone.
        self.held.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn serial(&self) -> u32 {
        self.serial.load(Ordering::Relaxed)
    }

    /// The name of a Service.
    pub(crate) fn service_name(&self, namespace: &str, name: &str) -> Option<Name> {
        let labels = [name, namespace, "svc"];
        name::of(labels.iter().map(|label| label.as_bytes()).chain(self.domain.iter()))
    }

    fn write(&self) -> RwLockWriteGuard<'_, Held> {
        self.held.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Which addresses lead back to the Service, under which names.
    fn reverse_names(&self, namespace: &str, name: &str, service: &Service) -> Vec<(IpAddr, Name)> {
        let Some(whole) = self.service_name(namespace, name) else { return Vec::new() };
        match &service.leads_to {
            LeadsTo::Addresses(addresses) => addresses.iter().map(|ip| (*ip, whole.clone())).collect(),
            LeadsTo::Endpoints => {
                let name =
                    |endpoint: &Endpoint| Some((endpoint.address, name::under(&whole, &endpoint.label())?));
                service.endpoints.iter().filter_map(name).collect()
            }
            LeadsTo::Elsewhere(_) => Vec::new(),
        }
    }
}

impl Held {
    pub(crate) fn service(&self, namespace: &str, name: &str) -> Option<&Arc<Service>> {
        self.namespaces.get(namespace)?.get(name)
    }

    pub(crate) fn has_namespace(&self, namespace: &str) -> bool {
        self.existing.contains(namespace) || self.namespaces.contains_key(namespace)
    }

    pub(crate) fn names_of(&self, address: IpAddr) -> impl Iterator<Item = &Name> {
        self.reverse.get(&address).into_iter().flatten()
    }

    pub(crate) fn is_ours(&self, address: IpAddr) -> bool {
        self.ranges.iter().any(|range| range.contains(&address))
    }
}
