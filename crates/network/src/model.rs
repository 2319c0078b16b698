//! What the network is told: plain data, from which rules are compiled.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ipnet::IpNet;
use podspec::{PodUid, PortProtocol};

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct ServiceName {
    pub namespace: String,
    pub name: String,
}

/// One port of a Service, of one family of addresses or of both: an address leads to the endpoints of its family.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ServicePort {
    /// Its cluster IPs; none for one that is only reached by its node port.
    pub addresses: Vec<IpAddr>,
    pub protocol: PortProtocol,
    pub port: u16,
    pub node_port: Option<u16>,
    /// `sessionAffinity: ClientIP`: how long after its last connection a client is led to the same endpoint.
    pub affinity: Option<Duration>,
    /// Where connections go, evenly. With none they are refused.
    pub endpoints: Vec<SocketAddr>,
}

/// What holds for one pod from before its first container on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PodRules {
    pub uid: PodUid,
    /// Its own, one of each family.
    pub addresses: Vec<IpAddr>,
    pub host_ports: Vec<HostPort>,
    pub policy: PodPolicy,
}

/// `hostPort` of a container's port.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HostPort {
    /// `hostIP`; `None`: every address of this machine.
    pub address: Option<IpAddr>,
    pub protocol: PortProtocol,
    pub host_port: u16,
    pub pod_port: u16,
}

/// What NetworkPolicies leave of a pod's connections. What this machine itself sends to a pod is never held up, nor
/// what belongs to a connection that was let through, nor what a pod sends to itself
/// (<https://kubernetes.io/docs/concepts/services-networking/network-policies/>).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PodPolicy {
    /// Connections to the pod: `None` when no policy isolates it, else those that any entry allows.
    pub ingress: Option<Vec<Allowed>>,
    /// Connections from the pod.
    pub egress: Option<Vec<Allowed>>,
}

/// From or to any of `peers`, on any of `ports` of the one who is connected to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Allowed {
    pub peers: Peers,
    /// Empty: every port of every protocol.
    pub ports: Vec<PortRange>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Peers {
    Any,
    /// Pods, by their addresses.
    Addresses(Vec<IpAddr>),
    /// An `ipBlock`.
    Block {
        within: IpNet,
        except: Vec<IpNet>,
    },
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PortRange {
    pub protocol: PortProtocol,
    /// Inclusive; 1 to 65535 for every port of the protocol.
    pub first: u16,
    pub last: u16,
}
