//! The network of pods: links and addresses, and the rules of Services, host ports and policies
//! (`docs/adr/0012-pods-are-routed-and-rules-follow-the-api.md`).

mod addresses;
mod claim;
mod forwarding;
mod host_port;
mod link;
mod maker;
mod model;
mod netlink;
mod network;
mod ranges;
mod record;
mod route;
mod rules;
mod sweep;
#[cfg(test)]
mod tests;
mod uplinks;

pub use claim::{ClaimError, Claimed, Size, Wanted};
pub use host_port::of as host_ports;
pub use link::LinkError;
pub use maker::{Ahead, MakeError, enter_alone};
pub use model::{Allowed, HostPort, Peers, PodPolicy, PodRules, PortRange, ServiceName, ServicePort};
pub use network::{Network, NetworkError, Options, PolicySource};
pub use ranges::Ranges;
pub use rules::{ForeignDrop, Rules, RulesError, State, Way, foreign_drops};
pub use sweep::clear;
