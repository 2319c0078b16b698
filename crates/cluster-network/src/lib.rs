//! Follows Services, EndpointSlices, NetworkPolicies and pods in the store, and tells the network and DNS of the pods.
