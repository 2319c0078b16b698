//! The network of pods: links and addresses, and the rules of Services, host ports and policies
//! (`docs/adr/0012-pods-are-routed-and-rules-follow-the-api.md`).

mod model;
mod ranges;

pub use model::{Allowed, HostPort, Peers, PodPolicy, PodRules, PortRange, ServiceName, ServicePort};
pub use ranges::Ranges;
