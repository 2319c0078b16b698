//! Why a container cannot be configured.

use std::path::PathBuf;

use podspec::ContainerName;
use podspec::source::ObjectKind;

use crate::config::IDS_PER_POD;
use crate::mounts::IMAGE_VOLUMES_MAX;
use crate::objects::not_found;

/// The message is the container's `waiting.message`, the reason its `waiting.reason`.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("container's runAsUser breaks non-root policy (pod: \"{pod}\", container: {container})")]
    RunAsUserIsRoot { pod: String, container: String },
    #[error("container has runAsNonRoot and image will run as root (pod: \"{pod}\", container: {container})")]
    ImageUserIsRoot { pod: String, container: String },
    #[error(
        "container has runAsNonRoot and image has non-numeric user ({user}), cannot verify user is non-root \
         (pod: \"{pod}\", container: {container})"
    )]
    ImageUserNotNumeric { user: String, pod: String, container: String },
    #[error(
        "image user {user:?} is not in the image's /etc/passwd: set securityContext.runAsUser to a number"
    )]
    UnknownImageUser { user: String },
    #[error(
        "image user {user:?} is out of range: user ids are 0 to {max}; set securityContext.runAsUser",
        max = i32::MAX
    )]
    ImageUserOutOfRange { user: String },
    #[error(
        "{what} {id} is none of the pod's own (hostUsers: false), which are 0 to {max}: set {field}, or hostUsers to true",
        max = IDS_PER_POD - 1
    )]
    IdOutOfRange { what: &'static str, id: u32, field: &'static str },
    #[error(
        "no command specified: the image has no entrypoint and no command, so set command in the container"
    )]
    NoCommand,
    #[error("workingDir {path:?} is not an absolute path: begin it with /")]
    RelativeWorkingDir { path: String },
    #[error("{field} contains a NUL byte, which no process can be given: {value:?}")]
    NulByte { field: String, value: String },
    #[error("volumeMount {mount_path} names volume \"{volume}\", which the pod does not have")]
    UnknownVolume { mount_path: String, volume: String },
    #[error(
        "mountPath {mount_path} cannot be used: nothing can be mounted over / or inside /proc; choose another"
    )]
    ForbiddenMountPath { mount_path: String },
    #[error("the image asks for a volume at {path:?}, over its whole root, which no container can have")]
    ForbiddenImageVolume { path: String },
    #[error("the image asks for {found} volumes, the limit is {IMAGE_VOLUMES_MAX}")]
    TooManyImageVolumes { found: usize },
    #[error("missing value for {names}")]
    SubPathWithoutValue { names: String },
    #[error("error SubPath `{path}` must not be an absolute path")]
    AbsoluteSubPath { path: String },
    #[error("unable to provision SubPath `{path}`: must not contain '..'")]
    BackstepsInSubPath { path: String },
    #[error(
        "unknown capability \"{name}\" in securityContext.capabilities: names are as in capabilities(7), \
         without CAP_, or ALL"
    )]
    UnknownCapability { name: String },
    #[error(
        "capability {name} cannot be added: monopod itself does not have it on this machine; \
         drop it from securityContext.capabilities.add, or start monopod with it"
    )]
    UnavailableCapability { name: String },
    #[error("{}", not_found(*kind, name))]
    NoSuchObject { kind: ObjectKind, name: String },
    #[error("couldn't find key {key} in {kind} {namespace}/{name}")]
    NoSuchKey { key: String, kind: &'static str, namespace: String, name: String },
    #[error("couldn't parse env file: {why}")]
    EnvFile { why: String },
    #[error("environment variable key {key:?} not found in file {path:?}")]
    NoSuchEnvKey { key: String, path: PathBuf },
    #[error("env {variable} is not UTF-8 text: mount the object as a volume instead")]
    NotText { variable: String },
    #[error("container {name} not found")]
    NoSuchContainer { name: ContainerName },
    #[error("no container name was given for a resource field")]
    NoContainer,
    #[error("cannot load seccomp profile \"{name}\": {why}")]
    SeccompProfile { name: String, why: String },
    #[error("image stop signal {signal:?} is not a signal's name or number (1 to 64)")]
    UnknownStopSignal { signal: String },
}

impl ConfigError {
    /// The kubelet's reason: what it checks itself is a `CreateContainerConfigError`, what the
    /// runtime refuses is a `CreateContainerError`.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::RunAsUserIsRoot { .. }
            | Self::ImageUserIsRoot { .. }
            | Self::ImageUserNotNumeric { .. }
            | Self::SubPathWithoutValue { .. }
            | Self::AbsoluteSubPath { .. }
            | Self::BackstepsInSubPath { .. }
            | Self::NoSuchObject { .. }
            | Self::NoSuchKey { .. }
            | Self::EnvFile { .. }
            | Self::NoSuchEnvKey { .. }
            | Self::NotText { .. }
            | Self::NoSuchContainer { .. }
            | Self::NoContainer => "CreateContainerConfigError",
            _ => "CreateContainerError",
        }
    }
}
