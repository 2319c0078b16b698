//! What an engine finds when it starts: whose each pod is.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use podspec::PodUid;
use ports::{Paths, PortError};
use shim_protocol::pod_path;

use crate::bury::shim_is_alive;
use crate::claim::{ClaimError, claim_found, is_a_pods};
use crate::service::ShimRuntime;
use crate::sweep::{bury_left, directories};

/// A process that an engine was starting when it was killed has its locks until it executes.
const LOCKS_LINGER: Duration = Duration::from_millis(100);

/// What became of a pod that was there.
#[derive(Debug)]
pub enum Inherited {
    /// It is this engine's now, to be adopted or let go.
    Claimed,
    /// It ended with its engine, or was never begun: nothing is left of it but what is said here.
    Buried(Vec<String>),
    /// Its shim is stopping it, since the engine it was bound to is dead.
    Ending,
}

/// The directories of all pods that are there, and what could not be looked at.
#[must_use]
pub fn pod_dirs(paths: &Paths) -> (Vec<PathBuf>, Vec<String>) {
    let mut errors = Vec::new();
    (directories(&paths.pods_dir(), &mut errors), errors)
}

impl ShimRuntime {
    /// Takes the pod in `pod_dir`, or what is left of it. Blocks.
    ///
    /// # Errors
    /// When it belongs to a living engine; nothing of it is touched then.
    pub fn inherit(&self, pod_dir: &Path, paths: &Paths) -> Result<Inherited, PortError> {
        if !is_a_pods(pod_dir) {
            // Made by an engine that was killed before it could lock it.
            return match fs::remove_dir(pod_dir) {
                Ok(()) => Ok(Inherited::Buried(Vec::new())),
                Err(_) => Err(PortError(format!(
                    "{} is no pod's directory, for it was never locked: move it away",
                    pod_dir.display()
                ))),
            };
        }
        let found = claim_found(pod_dir).or_else(|error| match error {
            ClaimError::Owned { .. } => {
                thread::sleep(LOCKS_LINGER);
                claim_found(pod_dir)
            }
            error => Err(error),
        });
        let orphaned = found.map_err(|error| PortError::chain(&error))?;
        let alive = shim_is_alive(pod_dir)
            .map_err(|error| PortError(format!("cannot look at {}: {error}", pod_dir.display())))?;
        if orphaned.bound && alive {
            return Ok(Inherited::Ending);
        }
        if !alive && (orphaned.bound || !pod_path(pod_dir).exists()) {
            return Ok(Inherited::Buried(bury_left(pod_dir, paths)));
        }
        self.pods().entry(uid_of(pod_dir)).or_default().claim = Some(orphaned.claim);
        Ok(Inherited::Claimed)
    }

    /// Lets go of a claimed pod that is not this engine's after all. Its processes run on.
    pub fn let_go(&self, pod_dir: &Path) {
        self.pods().remove(&uid_of(pod_dir));
    }
}

fn uid_of(pod_dir: &Path) -> PodUid {
    PodUid::new(&pod_dir.file_name().unwrap_or_default().to_string_lossy())
}
