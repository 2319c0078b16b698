//! `monopod reset`: nothing of monopod is left under the root.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail};
use kubelet::Paths;
use linux_sys::remove_tree::remove_tree;
use runtime::{ClaimError, claim};

use crate::outcome::Outcome;

/// How long shims that lost their engine may take to stop their pods: a usual grace period and more.
const STOPPING_MAX: Duration = Duration::from_secs(60);
/// Shims stop by themselves and tell nobody.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Goes on past errors and reports them all.
pub(crate) fn reset(paths: &Paths, keep_images: bool) -> Result<Outcome> {
    let mut errors = remove_pods(paths)?;
    let mut dirs = Vec::new();
    if errors.is_empty() {
        // A pod's directory says what there is of the pod: it stays until all of that is gone.
        dirs.extend([paths.pods_dir(), paths.run_dir.clone()]);
    }
    if !keep_images {
        dirs.push(paths.data_dir.join("images"));
    }
    errors.extend(dirs.iter().flat_map(|dir| remove_tree(dir)).map(anyhow::Error::new));
    // Somebody else's files may be in it.
    let _ = fs::remove_dir(&paths.data_dir);
    Ok(Outcome::of(false, errors))
}

/// Removes every pod without an engine; what could not be removed of them is returned.
fn remove_pods(paths: &Paths) -> Result<Vec<anyhow::Error>> {
    let deadline = Instant::now() + STOPPING_MAX;
    loop {
        let swept = runtime::sweep(paths);
        let left = pod_dirs(&paths.pods_dir())?;
        if left.is_empty() || !swept.errors.is_empty() {
            return Ok(swept.errors.into_iter().map(|error| anyhow!(error)).collect());
        }
        for pod_dir in &left {
            refuse_owned(pod_dir)?;
        }
        if Instant::now() > deadline {
            bail!("the shim of the pod in {} does not come to an end", left[0].display());
        }
        thread::sleep(LOOK_AGAIN);
    }
}

/// A pod without any owner is marked as left over, for the next sweep.
fn refuse_owned(pod_dir: &Path) -> Result<()> {
    match claim(pod_dir, true) {
        Err(error @ ClaimError::Owned { .. }) => {
            Err(anyhow::Error::new(error).context("not everything was reset: stop the other monopod first"))
        }
        Err(error) => Err(error.into()),
        Ok(_) => Ok(()),
    }
}

/// Links are not followed: what they lead to is none of ours.
fn pod_dirs(pods_dir: &Path) -> io::Result<Vec<PathBuf>> {
    match fs::read_dir(pods_dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        entries => {
            let is_directory = |entry: &fs::DirEntry| entry.file_type().is_ok_and(|found| found.is_dir());
            let entries = entries?.filter(|entry| entry.as_ref().map_or(true, is_directory));
            entries.map(|entry| entry.map(|entry| entry.path())).collect()
        }
    }
}
