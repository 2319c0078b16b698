use container_config::SandboxConfig;

use super::{SandboxError, TeardownError};

/// The namespaces and the cgroup of a pod, held by this process from [`Sandbox::enter`] on.
#[derive(Debug)]
pub struct Sandbox {}

impl Sandbox {
    /// Makes this process the holder of a pod's sandbox: namespaces, host name, loopback, memory
    /// volumes, cgroup, and the pod's init when its containers share a process namespace. Once per process.
    ///
    /// # Errors
    /// Names what could not be made; what was made ends with this process, except cgroups.
    pub fn enter(_config: &SandboxConfig) -> Result<Self, SandboxError> {
        unimplemented!()
    }

    /// The pod's PID 1 when its containers share a process namespace: a child of this process.
    #[must_use]
    pub fn init_pid(&self) -> Option<i32> {
        unimplemented!()
    }

    /// What this machine does not have and the sandbox does without, for the log.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        unimplemented!()
    }

    /// Kills everything in the pod's cgroup, unmounts, and removes the cgroups, this process's own
    /// included. Goes on past errors and returns them all.
    #[must_use]
    pub fn destroy(self) -> Vec<TeardownError> {
        unimplemented!()
    }
}

/// Buries a pod whose shim is dead: kills everything in its cgroup (as `monopod/pod<uid>`), removes
/// it and its parents if they are empty. Idempotent; from any process.
#[must_use]
pub fn remove_pod_cgroup(_cgroup: &str) -> Vec<TeardownError> {
    unimplemented!()
}
