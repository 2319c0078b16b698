//! Follows Services, EndpointSlices, NetworkPolicies and pods in the store, and tells the network and DNS of the pods.

mod follow;
mod policy;
mod service;
mod state;
#[cfg(test)]
mod tests;

pub use follow::{ClusterNetwork, Started};
