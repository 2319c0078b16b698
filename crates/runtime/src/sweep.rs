//! Burying what engines that died left behind.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use ports::{Paths, PortError};

use crate::bury::{bury, bury_unread, shim_is_alive};
use crate::claim::{ClaimError, claim_abandoned, claim_found};
use crate::dirs::{keep_explained, remove, remove_pod_dir};

/// What a sweep did.
#[derive(Debug, Default)]
pub struct Swept {
    /// UIDs of pods of which nothing is left now.
    pub pods: Vec<String>,
    /// What could not be looked at or removed.
    pub errors: Vec<String>,
}

/// Removes the bound pods whose engine and shim are both dead: processes, cgroups, directories, logs. Leaves
/// alone what belongs to a living engine, what a shim is stopping, and the pods of a daemon, which comes
/// back for them. Blocks; engines under the same root may sweep at the same time.
#[must_use]
pub fn sweep(paths: &Paths) -> Swept {
    let mut swept = Swept::default();
    for pod_dir in directories(&paths.pods_dir(), &mut swept.errors) {
        let Some(uid) = pod_dir.file_name().and_then(|name| name.to_str()).map(str::to_owned) else {
            continue;
        };
        match bury_abandoned(&pod_dir, paths) {
            Ok(None) => {}
            Ok(Some(errors)) if errors.is_empty() => swept.pods.push(uid),
            Ok(Some(errors)) => swept.errors.extend(errors),
            Err(error) => swept.errors.push(format!("cannot look at {}: {error}", pod_dir.display())),
        }
    }
    swept
}

/// What a clearance left.
#[derive(Debug, Default)]
pub struct Cleared {
    /// Pods that belong to a living engine.
    pub owned: Vec<PathBuf>,
    /// Pods whose shims are stopping them, since their engine is dead.
    pub ending: Vec<PathBuf>,
    /// What could not be looked at or removed.
    pub errors: Vec<String>,
}

/// Kills and removes every pod without an engine, whatever is on record of it. Blocks.
#[must_use]
pub fn clear(paths: &Paths) -> Cleared {
    let mut cleared = Cleared::default();
    for pod_dir in directories(&paths.pods_dir(), &mut cleared.errors) {
        let errors = match claim_found(&pod_dir) {
            Err(ClaimError::Owned { path }) => {
                cleared.owned.push(path);
                continue;
            }
            Err(error) => vec![PortError::chain(&error).0],
            Ok(orphaned) if orphaned.bound && shim_is_alive(&pod_dir).unwrap_or(false) => {
                cleared.ending.push(pod_dir);
                continue;
            }
            Ok(_claim) => {
                let run_dir = run_dir(&pod_dir, paths);
                let errors = bury_unread(&pod_dir, &run_dir);
                if errors.is_empty() { remove_left(&pod_dir, paths) } else { errors }
            }
        };
        cleared.errors.extend(errors);
    }
    cleared
}

/// `None` for a pod that is somebody's.
fn bury_abandoned(pod_dir: &Path, paths: &Paths) -> io::Result<Option<Vec<String>>> {
    let Some(_claim) = claim_abandoned(pod_dir)? else { return Ok(None) };
    if shim_is_alive(pod_dir)? {
        return Ok(None);
    }
    Ok(Some(bury_left(pod_dir, paths)))
}

/// Buries and removes a pod without engine and shim. The caller holds its claim.
pub(crate) fn bury_left(pod_dir: &Path, paths: &Paths) -> Vec<String> {
    let errors = bury(pod_dir, &run_dir(pod_dir, paths));
    // As long as something is left, the pod's directory says where.
    if !errors.is_empty() {
        return errors;
    }
    keep_explained(pod_dir);
    remove_left(pod_dir, paths)
}

fn run_dir(pod_dir: &Path, paths: &Paths) -> PathBuf {
    paths.pod_run_dir(&pod_dir.file_name().unwrap_or_default().to_string_lossy())
}

/// Found by the pod's UID alone.
fn remove_left(pod_dir: &Path, paths: &Paths) -> Vec<String> {
    let mut errors = Vec::new();
    let suffix = format!("_{}", pod_dir.file_name().unwrap_or_default().to_string_lossy());
    let logs = directories(&paths.log_dir, &mut errors);
    let logs = logs.into_iter().filter(|dir| dir.to_str().is_some_and(|dir| dir.ends_with(&suffix)));
    for path in logs.chain([run_dir(pod_dir, paths)]) {
        errors.extend(remove(&path));
    }
    errors.extend(remove_pod_dir(pod_dir));
    errors
}

/// None when `dir` does not exist. Links are not followed: what they lead to is none of ours.
pub(crate) fn directories(dir: &Path, errors: &mut Vec<String>) -> Vec<PathBuf> {
    match fs::read_dir(dir) {
        Ok(entries) => entries
            .flatten()
            .filter(|entry| entry.file_type().is_ok_and(|found| found.is_dir()))
            .map(|entry| entry.path())
            .collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => {
            errors.push(format!("cannot list {}: {error}", dir.display()));
            Vec::new()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use ports::Paths;

    use super::sweep;

    #[test]
    fn what_a_link_leads_to_is_left_alone() {
        let root = std::env::temp_dir().join(format!("monopod-sweep-{}", std::process::id()));
        let (pods, outside) = (root.join("data/pods"), root.join("outside"));
        fs::create_dir_all(&pods).unwrap();
        fs::create_dir_all(&outside).unwrap();
        fs::write(outside.join("owner.lock"), "bound\n").unwrap();
        symlink(&outside, pods.join("uid")).unwrap();
        let paths =
            Paths { data_dir: root.join("data"), run_dir: root.join("run"), log_dir: root.join("log") };
        let swept = sweep(&paths);
        assert!(swept.pods.is_empty() && swept.errors.is_empty(), "{swept:?}");
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);
        fs::remove_dir_all(root).unwrap();
    }
}
