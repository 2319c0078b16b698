//! From NetworkPolicies to what is left of a pod's connections: pure functions
//! (<https://kubernetes.io/docs/concepts/services-networking/network-policies/>).

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use apimachinery::LabelSelector;
use ipnet::IpNet;
use network::{Allowed, HostPort, Peers, PodPolicy, PortRange};
use podspec::json::{fields, integer, list, text};
use podspec::spec::ContainerPort;
use podspec::{Pod, PortProtocol};
use serde_json::Value;

use crate::service::protocol;

/// What policies ask of a pod.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct PodFacts {
    pub(crate) namespace: String,
    pub(crate) labels: BTreeMap<String, String>,
    /// None: it has none of its own, or none any more.
    pub(crate) addresses: Vec<IpAddr>,
    pub(crate) ports: Vec<NamedPort>,
    pub(crate) host_ports: Vec<HostPort>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct NamedPort {
    pub(crate) name: String,
    pub(crate) protocol: PortProtocol,
    pub(crate) port: u16,
}

/// Labels of namespaces, by their names.
pub(crate) type Namespaces = BTreeMap<String, BTreeMap<String, String>>;

/// A policy that can be asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Policy {
    namespace: String,
    selects: LabelSelector,
    /// `None`: it says nothing of this direction.
    ingress: Option<Vec<Rule>>,
    egress: Option<Vec<Rule>>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Rule {
    /// Empty: everybody.
    peers: Vec<Peer>,
    /// Empty: every port.
    ports: Vec<Port>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Peer {
    Pods {
        /// `None`: the policy's own.
        namespaces: Option<LabelSelector>,
        pods: LabelSelector,
    },
    Block {
        within: IpNet,
        except: Vec<IpNet>,
    },
    /// What cannot be read is nobody.
    Nobody,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Port {
    Range(PortRange),
    Named(String, PortProtocol),
}

impl PodFacts {
    /// As the store has it. A pod on the machine's network has none of its own addresses.
    pub(crate) fn from_json(pod: &Value) -> Self {
        let (metadata, spec) = (&pod["metadata"], &pod["spec"]);
        let has_own = spec["hostNetwork"] != true && !apiserver::objects::pod_is_over(pod);
        let ips = list(&pod["status"], "podIPs").iter();
        let ips = ips.filter_map(|held| text(held, "ip").parse().ok());
        let containers = ["initContainers", "containers"].iter().flat_map(|name| list(spec, name));
        let ports: Vec<&Value> = containers.flat_map(|container| list(container, "ports")).collect();
        Self {
            namespace: text(metadata, "namespace").to_owned(),
            labels: labels(metadata),
            addresses: ips.filter(|ip: &IpAddr| has_own && !ip.is_loopback()).collect(),
            ports: ports.iter().filter_map(|port| named_port(port)).collect(),
            host_ports: ports.iter().filter_map(|port| host_port(port)).collect(),
        }
    }

    /// The engine's DNS at these addresses, as the pod that it is in other clusters: policies let pods ask for names by its
    /// namespace and labels.
    pub(crate) fn dns(addresses: &[SocketAddr]) -> Self {
        let port = |name: &str, protocol| {
            let port = addresses.first()?.port();
            Some(NamedPort { name: name.to_owned(), protocol, port })
        };
        let ports = [port("dns", PortProtocol::Udp), port("dns-tcp", PortProtocol::Tcp)];
        Self {
            namespace: "kube-system".to_owned(),
            labels: BTreeMap::from([("k8s-app".to_owned(), "kube-dns".to_owned())]),
            addresses: addresses.iter().map(SocketAddr::ip).collect(),
            ports: ports.into_iter().flatten().collect(),
            host_ports: Vec::new(),
        }
    }

    /// Before the store knows of its addresses.
    pub(crate) fn of(pod: &Pod, addresses: &[IpAddr]) -> Self {
        let containers = pod.spec.init_containers.iter().chain(&pod.spec.containers);
        let port = |port: &ContainerPort| {
            let (protocol, number) = (port.protocol, port.container_port);
            Some(NamedPort { name: port.name.clone()?, protocol, port: number })
        };
        Self {
            namespace: pod.namespace.clone(),
            labels: pod.labels.clone(),
            addresses: addresses.to_vec(),
            ports: containers.flat_map(|container| &container.ports).filter_map(port).collect(),
            host_ports: network::host_ports(&pod.spec),
        }
    }
}

fn named_port(port: &Value) -> Option<NamedPort> {
    let number = u16::try_from(integer(port, "containerPort")?).ok()?;
    let name = text(port, "name").to_owned();
    (!name.is_empty()).then(|| NamedPort { name, protocol: protocol(port), port: number })
}

fn host_port(port: &Value) -> Option<HostPort> {
    let number = |name| integer(port, name).and_then(|number| u16::try_from(number).ok());
    let address: Option<IpAddr> = text(port, "hostIP").parse().ok();
    Some(HostPort {
        address: address.filter(|address| !address.is_unspecified()),
        protocol: protocol(port),
        host_port: number("hostPort").filter(|port| *port > 0)?,
        pod_port: number("containerPort")?,
    })
}

pub(crate) fn labels(metadata: &Value) -> BTreeMap<String, String> {
    let text = |(name, value): (&String, &Value)| Some((name.clone(), value.as_str()?.to_owned()));
    fields(&metadata["labels"]).iter().filter_map(text).collect()
}

impl Policy {
    pub(crate) fn from_json(policy: &Value) -> Self {
        let spec = &policy["spec"];
        let types = list(spec, "policyTypes");
        let has = |kind: &str| types.iter().any(|held| held == kind);
        let rules = |name: &str, others: &str| {
            list(spec, name).iter().map(|rule| Rule::from_json(rule, others)).collect::<Vec<_>>()
        };
        let is_egress = has("Egress") || types.is_empty() && !list(spec, "egress").is_empty();
        Self {
            namespace: text(&policy["metadata"], "namespace").to_owned(),
            // A selector of an admitted policy can be read; one that cannot isolates all, rather than none.
            selects: selector(&spec["podSelector"]).unwrap_or_else(LabelSelector::everything),
            ingress: (has("Ingress") || types.is_empty()).then(|| rules("ingress", "from")),
            egress: is_egress.then(|| rules("egress", "to")),
        }
    }

    pub(crate) fn selects(&self, pod: &PodFacts) -> bool {
        self.namespace == pod.namespace && self.selects.matches(&pod.labels)
    }

    /// Whether what it allows others depends on this pod.
    pub(crate) fn names(&self, pod: &PodFacts, namespaces: &Namespaces) -> bool {
        let by_port = |rule: &Rule| rule.ports.iter().any(|port| matches!(port, Port::Named(..)));
        let of_egress = self.egress.iter().flatten().filter(|rule| rule.peers.is_empty());
        let mut peers = self.ingress.iter().chain(&self.egress).flatten().flat_map(|rule| &rule.peers);
        peers.any(|peer| peer.is(pod, &self.namespace, namespaces)) || { of_egress }.any(by_port)
    }

    /// Whether what it allows depends on the labels of namespaces.
    pub(crate) fn names_namespaces(&self) -> bool {
        let mut peers = self.ingress.iter().chain(&self.egress).flatten().flat_map(|rule| &rule.peers);
        peers.any(|peer| matches!(peer, Peer::Pods { namespaces: Some(_), .. }))
    }
}

/// What all policies together leave of the pod's connections.
pub(crate) fn policy_of<'a>(
    pod: &PodFacts,
    policies: impl Iterator<Item = &'a Policy>,
    pods: &[&PodFacts],
    namespaces: &Namespaces,
) -> PodPolicy {
    let mut left = PodPolicy::default();
    for policy in policies.filter(|policy| policy.selects(pod)) {
        let others = Others { policy, pods, namespaces };
        if let Some(rules) = &policy.ingress {
            let allowed = left.ingress.get_or_insert_default();
            allowed.extend(rules.iter().filter_map(|rule| others.ingress(rule, pod)).flatten());
        }
        if let Some(rules) = &policy.egress {
            let allowed = left.egress.get_or_insert_default();
            allowed.extend(rules.iter().flat_map(|rule| others.egress(rule)));
        }
    }
    left
}

struct Others<'a> {
    policy: &'a Policy,
    pods: &'a [&'a PodFacts],
    namespaces: &'a Namespaces,
}

impl Others<'_> {
    /// Names of ports are those of the pod that is connected to: this one. `None`: it has no such port.
    fn ingress(&self, rule: &Rule, pod: &PodFacts) -> Option<Vec<Allowed>> {
        let ports: Vec<PortRange> = rule.ports.iter().flat_map(|port| port.of(pod)).collect();
        if ports.is_empty() && !rule.ports.is_empty() {
            return None;
        }
        let peers = self.peers(rule, |_| true).into_iter();
        Some(peers.map(|peers| Allowed { peers, ports: ports.clone() }).collect())
    }

    /// Names of ports are those of each peer, so each may have others.
    fn egress(&self, rule: &Rule) -> Vec<Allowed> {
        let is_range = |port: &Port| match port {
            Port::Range(range) => Some(*range),
            Port::Named(..) => None,
        };
        let ranges: Vec<PortRange> = rule.ports.iter().filter_map(is_range).collect();
        let mut allowed = Vec::new();
        if rule.ports.is_empty() || !ranges.is_empty() {
            let peers = self.peers(rule, |_| true).into_iter();
            allowed.extend(peers.map(|peers| Allowed { peers, ports: ranges.clone() }));
        }
        let mut by_port: Vec<(PortRange, Vec<IpAddr>)> = Vec::new();
        let named = rule.ports.iter().filter(|port| matches!(port, Port::Named(..)));
        for port in named {
            for pod in self.pods.iter().filter(|pod| self.is_peer(rule, pod)) {
                for range in port.of(pod) {
                    match by_port.iter_mut().find(|(known, _)| *known == range) {
                        Some((_, addresses)) => addresses.extend(&pod.addresses),
                        None => by_port.push((range, pod.addresses.clone())),
                    }
                }
            }
        }
        let of_pods = by_port.into_iter().map(|(range, addresses)| Allowed {
            peers: Peers::Addresses(sorted(addresses)),
            ports: vec![range],
        });
        allowed.extend(of_pods);
        allowed
    }

    fn is_peer(&self, rule: &Rule, pod: &PodFacts) -> bool {
        let mut peers = rule.peers.iter();
        rule.peers.is_empty() || peers.any(|peer| peer.is(pod, &self.policy.namespace, self.namespaces))
    }

    fn peers(&self, rule: &Rule, counts: impl Fn(&PodFacts) -> bool) -> Vec<Peers> {
        if rule.peers.is_empty() {
            return vec![Peers::Any];
        }
        let block = |peer: &Peer| match peer {
            Peer::Block { within, except } => Some(Peers::Block { within: *within, except: except.clone() }),
            Peer::Pods { .. } | Peer::Nobody => None,
        };
        let mut peers: Vec<Peers> = rule.peers.iter().filter_map(block).collect();
        let pods = self.pods.iter().filter(|pod| counts(pod) && self.is_peer(rule, pod));
        let addresses = sorted(pods.flat_map(|pod| pod.addresses.iter().copied()).collect());
        if !addresses.is_empty() {
            peers.push(Peers::Addresses(addresses));
        }
        peers
    }
}

fn sorted(mut addresses: Vec<IpAddr>) -> Vec<IpAddr> {
    addresses.sort_unstable();
    addresses.dedup();
    addresses
}

impl Rule {
    fn from_json(rule: &Value, others: &str) -> Self {
        Self {
            peers: list(rule, others).iter().map(Peer::from_json).collect(),
            ports: list(rule, "ports").iter().filter_map(Port::from_json).collect(),
        }
    }
}

impl Peer {
    fn from_json(peer: &Value) -> Self {
        if let Some(block) = peer.get("ipBlock").filter(|block| !block.is_null()) {
            let except = list(block, "except").iter().filter_map(|net| net.as_str()?.parse().ok());
            return match text(block, "cidr").parse() {
                Ok(within) => Self::Block { within, except: except.collect() },
                Err(_) => Self::Nobody,
            };
        }
        let held = |name: &str| peer.get(name).filter(|selector| !selector.is_null());
        let namespaces = held("namespaceSelector").map(selector);
        let pods = held("podSelector").map_or(Some(LabelSelector::everything()), selector);
        match (namespaces, pods) {
            (None, Some(pods)) => Self::Pods { namespaces: None, pods },
            (Some(Some(namespaces)), Some(pods)) => Self::Pods { namespaces: Some(namespaces), pods },
            _ => Self::Nobody,
        }
    }

    fn is(&self, pod: &PodFacts, own: &str, all: &Namespaces) -> bool {
        let Self::Pods { namespaces, pods } = self else { return false };
        let is_in = match namespaces {
            None => pod.namespace == own,
            Some(selector) => all.get(&pod.namespace).is_some_and(|labels| selector.matches(labels)),
        };
        is_in && pods.matches(&pod.labels)
    }
}

impl Port {
    fn from_json(port: &Value) -> Option<Self> {
        let protocol = protocol(port);
        let range = |first, last| Self::Range(PortRange { protocol, first, last });
        match &port["port"] {
            Value::Null => Some(range(1, u16::MAX)),
            Value::String(name) => Some(Self::Named(name.clone(), protocol)),
            held => {
                let first = u16::try_from(held.as_i64()?).ok()?;
                let last = integer(port, "endPort").map_or(Some(first), |last| u16::try_from(last).ok())?;
                Some(range(first, last))
            }
        }
    }

    /// Which ports of `pod` it is.
    fn of(&self, pod: &PodFacts) -> Vec<PortRange> {
        match self {
            Self::Range(range) => vec![*range],
            Self::Named(name, protocol) => {
                let found = pod.ports.iter().filter(|held| (&held.name, held.protocol) == (name, *protocol));
                let range =
                    |held: &NamedPort| PortRange { protocol: *protocol, first: held.port, last: held.port };
                found.map(range).collect()
            }
        }
    }
}

fn selector(value: &Value) -> Option<LabelSelector> {
    if value.is_null() {
        return Some(LabelSelector::everything());
    }
    LabelSelector::from_json(value).ok()
}
