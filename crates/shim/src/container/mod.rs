//! Making, entering and ending containers.
//!
//! [`Sandbox::enter`] turns this process into the holder of a pod's namespaces; [`spawn()`] starts a
//! container in it, [`exec()`] one more process in a running container. A [`ContainerConfig`] is
//! compiled to a list of steps first, which the child then carries out in order between clone and
//! execve; the first that fails is reported by what it was to do.
//!
//! [`ContainerConfig`]: container_config::ContainerConfig

mod apply;
mod child;
mod compile;
mod devices;
mod error;
mod exec;
mod explain;
mod file_system;
mod inside;
mod mount_data;
mod own_image;
mod pod_init;
mod proc;
mod program;
mod resize;
mod running;
mod sandbox;
mod spawn;
mod spent;
mod stdio;
mod step;
mod sysctl;
mod users;
mod volume;

pub use error::{SandboxError, SpawnError, TeardownError};
pub use exec::{ExecStdio, Executed, exec, execute_self};
pub use resize::{Beside, ResizeError, resize};
pub use running::Container;
pub use sandbox::{Sandbox, remove_pod_cgroup};
pub use spawn::{Output, SpawnPaths, Spawned, spawn};
