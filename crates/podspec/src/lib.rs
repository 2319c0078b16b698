//! The Kubernetes Pod as the engine sees it.
//!
//! A manifest goes through four steps, each a module:
//! [`load`] (YAML or JSON text to JSON values), [`defaults`] (what the API server would fill in),
//! [`validate`] (Kubernetes' own rules and wording, all errors at once, plus what this engine does
//! not support yet) and [`lower`] (JSON to the types of [`spec`]).
//! Nothing above this crate reads v1.Pod JSON to decide anything.

pub mod ids;
pub mod quantity;
pub mod spec;
pub mod time;

pub use ids::{ContainerName, PodUid, VolumeName};
pub use spec::{
    Capabilities, Container, ContainerKind, EmptyDirMedium, EnvVar, ExecAction, ExitCodeOperator, HostPathType,
    Pod, PodSpec, PortProtocol, Probe, ProcessRestartPolicy, PullPolicy, Resources, RestartPolicy, RestartRule,
    RestartRuleAction, SecurityContext, Volume, VolumeMount, VolumeSource,
};
pub use time::{BootTime, Moment, WallTime};
