//! What one container is made of: a pure function of the pod, the container, its image's config and
//! the facts of its sandbox and node. The shim carries it out without a choice left.
//!
//! Rules are Kubernetes' (the pages are named where they apply); where Kubernetes leaves something to
//! the container runtime, it is as containerd has it.

mod capabilities;
mod command;
mod config;
mod container;
mod dns;
mod downward;
mod env_file;
mod environment;
mod error;
mod etc;
mod expansion;
mod files;
mod mounts;
mod objects;
mod qos;
mod resources;
mod sandbox;
mod seccomp;
mod services;
mod signal;
mod user;

#[cfg(test)]
mod tests;

pub use command::probe_command;
pub use config::{
    BindSource, CapabilitySets, ContainerConfig, DeviceRule, IDS_PER_POD, IdRange, ImageConfig, ImageSource,
    Layer, LogLimits, Mount, MountKind, MountOptions, NodeFacts, PidNamespace, Process, ResourceLimits,
    Rlimit, Root, SandboxConfig, SandboxFacts, SockFilter, Tmpfs, VolumeImages,
};
pub use container::container_config;
pub use dns::{CLUSTER_DOMAIN, DnsWarning, dns_warnings};
pub use error::ConfigError;
pub use etc::{EtcFiles, HostnameTooLong, etc_files, has_network};
pub use files::{File, Files, Tokens, projected_files};
pub use objects::{
    FileContent, ObjectData, Objects, files_of_variables, not_found, objects_of_variables, objects_of_volume,
};
pub use qos::{QosClass, qos_class};
pub use resources::{pod_memory_limit_bytes, pod_resource_limits, pod_resources, resource_limits_in};
pub use sandbox::{SandboxError, pod_cgroup, sandbox_config, shared_cgroups, shims_cgroup, shm_of, shm_path};
pub use seccomp::{Verdict as SyscallVerdict, runtime_default_verdicts};
pub use services::{NamedPort, ServiceAddress};
pub use signal::signal_name;
