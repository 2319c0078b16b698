//! What is a kind's own: defaults, what only the server sets, validation, selectable fields.
//!
//! One static per kind, to stand in the table of kinds. Messages that clients match on are Kubernetes' own.

mod config;
mod edit;
mod endpoints;
pub mod event;
mod ip_address;
mod label_keys;
mod lease;
mod namespace;
mod network_policy;
mod node;
pub mod pod;
mod pod_resize;
mod pod_update;
mod policy;
mod rbac;
mod resource;
mod service;
mod storage;
mod workload;

pub(crate) use edit::{quantity_text, remove, set_default};
pub(crate) use namespace::FINALIZER as NAMESPACE_FINALIZER;
pub(crate) use node::NOT_READY;
pub(crate) use pod::qos_class;
pub(crate) use policy::{SYSTEM_CLASSES, parsed, printed};
pub(crate) use storage::{CLAIM_PROTECTION, DEFAULT_CLASS, VOLUME_PROTECTION, annotation, is_default_class};

pub use config::{CONFIG_MAPS, ConfigMaps, SECRETS, SERVICE_ACCOUNTS, Secrets, ServiceAccounts};
pub use endpoints::{ENDPOINT_SLICES, ENDPOINTS, EndpointSlices, Endpoints};
pub use event::{EVENTS, Events, NEW_EVENTS};
pub use ip_address::{IP_ADDRESSES, IpAddresses};
pub use lease::{LEASES, Leases};
pub use namespace::{NAMESPACES, Namespaces};
pub use network_policy::{NETWORK_POLICIES, NetworkPolicies};
pub use node::{NODES, Nodes};
pub use pod::{PODS, Pods};
pub use policy::{
    LIMIT_RANGES, LimitRanges, PRIORITY_CLASSES, PriorityClasses, RESOURCE_QUOTAS, RUNTIME_CLASSES,
    ResourceQuotas, RuntimeClasses,
};
pub use rbac::{BINDINGS, Bindings, CLUSTER_BINDINGS, CLUSTER_ROLES, ROLES, Roles};
pub use resource::{
    DEVICE_CLASSES, DeviceClasses, RESOURCE_CLAIM_TEMPLATES, RESOURCE_CLAIMS, RESOURCE_SLICES,
    ResourceClaimTemplates, ResourceClaims, ResourceSlices,
};
pub use service::{SERVICES, Services};
pub(crate) use service::{cluster_addresses, drop_of_type, is_headless, is_type, takes_node_ports};
pub use storage::{
    PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, PersistentVolumeClaims, PersistentVolumes, STORAGE_CLASSES,
    StorageClasses,
};
pub use workload::{POD_TEMPLATES, PodTemplates};
