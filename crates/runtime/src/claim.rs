//! Whose pod it is: the engine that holds the lock in a pod's directory. It lets go when it dies, which is
//! how another engine under the same root can tell a pod that is left over.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use linux_sys::lock::{Lock, try_exclusive};
use linux_sys::remove_tree::remove_tree;
use shim_protocol::OWNER_LOCK_NAME;

use crate::dirs;

/// What the lock file of a bound pod says.
const BOUND: &str = "bound\n";
/// What that of any other says.
const LASTING: &str = "";

/// Held for as long as the pod is this engine's.
#[derive(Debug)]
pub struct Claim {
    _lock: Lock,
}

#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    #[error("cannot make and lock the pod's directory {}", path.display())]
    Lock { path: PathBuf, source: io::Error },
    #[error("the pod in {} belongs to another engine that is running: stop that one first", path.display())]
    Owned { path: PathBuf },
}

/// Makes the pod's directory unless it exists, and takes it. `bound`: the pod ends with this engine.
///
/// # Errors
/// When it belongs to another living engine. What was made is removed, unless it is that one's now.
pub fn claim(pod_dir: &Path, bound: bool) -> Result<Claim, ClaimError> {
    let failed = |source| ClaimError::Lock { path: pod_dir.to_owned(), source };
    let existed = pod_dir.exists();
    dirs::make(pod_dir, dirs::DATA_DIR_MODE).map_err(failed)?;
    take(pod_dir, bound).inspect_err(|error| {
        if !existed && !matches!(error, ClaimError::Owned { .. }) {
            // The error to report is the first one.
            let _ = remove_tree(pod_dir);
        }
    })
}

fn take(pod_dir: &Path, bound: bool) -> Result<Claim, ClaimError> {
    let failed = |source| ClaimError::Lock { path: pod_dir.to_owned(), source };
    let path = pod_dir.join(OWNER_LOCK_NAME);
    let lock = try_exclusive(&path).map_err(failed)?;
    let lock = lock.ok_or_else(|| ClaimError::Owned { path: pod_dir.to_owned() })?;
    let text = if bound { BOUND } else { LASTING };
    if fs::read_to_string(&path).map_err(failed)? != text {
        // The same file, so that the lock stays.
        fs::write(&path, text).map_err(failed)?;
    }
    Ok(Claim { _lock: lock })
}

/// Every pod's directory has been claimed once.
pub(crate) fn is_a_pods(dir: &Path) -> bool {
    dir.join(OWNER_LOCK_NAME).exists()
}

/// A pod that was found, and whose engine is dead.
#[derive(Debug)]
pub(crate) struct Orphaned {
    pub(crate) claim: Claim,
    pub(crate) bound: bool,
}

/// Takes a pod that was found; nothing in its directory is changed.
///
/// # Errors
/// When it belongs to a living engine.
pub(crate) fn claim_found(pod_dir: &Path) -> Result<Orphaned, ClaimError> {
    let path = pod_dir.join(OWNER_LOCK_NAME);
    let failed = |source| ClaimError::Lock { path: pod_dir.to_owned(), source };
    let lock = try_exclusive(&path).map_err(failed)?;
    let lock = lock.ok_or_else(|| ClaimError::Owned { path: pod_dir.to_owned() })?;
    let bound = fs::read_to_string(&path).map_err(failed)? == BOUND;
    Ok(Orphaned { claim: Claim { _lock: lock }, bound })
}

/// Takes a bound pod whose engine is dead; `None` for every other.
pub(crate) fn claim_abandoned(pod_dir: &Path) -> io::Result<Option<Claim>> {
    let path = pod_dir.join(OWNER_LOCK_NAME);
    match fs::read_to_string(&path) {
        Ok(text) if text == BOUND => Ok(try_exclusive(&path)?.map(|lock| Claim { _lock: lock })),
        Ok(_) => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::thread;

    use super::{ClaimError, claim, claim_abandoned, is_a_pods};

    #[test]
    fn who_comes_second_leaves_the_directory_to_the_first() {
        const ENGINES: usize = 4;
        let dir = std::env::temp_dir().join(format!("monopod-claim-race-{}", std::process::id()));
        for _ in 0..200 {
            let start = Barrier::new(ENGINES);
            let claims: Vec<_> = thread::scope(|scope| {
                let engine = || {
                    start.wait();
                    claim(&dir, true)
                };
                let engines: Vec<_> = (0..ENGINES).map(|_| scope.spawn(engine)).collect();
                engines.into_iter().map(|engine| engine.join().unwrap()).collect()
            });
            assert_eq!(claims.iter().filter(|claim| claim.is_ok()).count(), 1, "{claims:?}");
            assert!(is_a_pods(&dir), "its directory was taken away");
            std::fs::remove_dir_all(&dir).unwrap();
        }
    }

    #[test]
    fn only_a_bound_pod_without_engine_is_abandoned() {
        let dir = std::env::temp_dir().join(format!("monopod-claim-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        assert!(claim_abandoned(&dir).unwrap().is_none(), "never claimed");
        let held = claim(&dir, true).unwrap();
        assert!(claim_abandoned(&dir).unwrap().is_none());
        assert!(matches!(claim(&dir, true), Err(ClaimError::Owned { .. })));
        drop(held);
        assert!(claim_abandoned(&dir).unwrap().is_some());
        drop(claim(&dir, false).unwrap());
        assert!(claim_abandoned(&dir).unwrap().is_none(), "a daemon comes back for it");
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
