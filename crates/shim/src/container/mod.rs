//! Making, entering and ending containers.
//!
//! [`Sandbox::enter`] turns this process into the holder of a pod's namespaces; [`spawn`] starts a
//! container in it, [`exec`] one more process in a running container. A [`ContainerConfig`] is
//! compiled to a list of steps first, which the child then carries out between clone and execve.
//!
//! [`ContainerConfig`]: container_config::ContainerConfig

mod error;
mod exec;
mod running;
mod sandbox;
mod spawn;

pub use error::{SandboxError, SpawnError, TeardownError};
pub use exec::{ExecStdio, Executed, exec};
pub use running::Container;
pub use sandbox::{Sandbox, remove_pod_cgroup};
pub use spawn::{Output, SpawnPaths, Spawned, spawn};
