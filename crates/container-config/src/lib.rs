//! What one container is made of: a pure function of the pod, the container, its image's config and
//! the facts of its sandbox. The shim carries it out without a choice left.

mod config;

pub use config::{
    BindSource, CapabilitySets, ContainerConfig, DeviceRule, ImageConfig, Layer, Mount, MountKind, MountOptions,
    PidNamespace, Process, ResourceLimits, Rlimit, Root, SandboxConfig, SandboxFacts, SockFilter, Tmpfs,
};
