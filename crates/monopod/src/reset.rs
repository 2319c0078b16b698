//! `monopod reset`: nothing of monopod is left under the root.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail};
use kubelet::Paths;
use linux_sys::remove_tree::remove_tree;

use crate::network;
use crate::outcome::Outcome;
use crate::serve;

/// How long shims that lost their engine may take to stop their pods: a usual grace period and more.
const STOPPING_MAX: Duration = Duration::from_secs(60);
/// Shims stop by themselves and tell nobody.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Goes on past errors and reports them all.
pub(crate) fn reset(paths: &Paths, keep_images: bool) -> Result<Outcome> {
    if serve::is_running(&paths.data_dir) {
        bail!("nothing was reset: `monopod serve` has {}\nremedy: stop it first", paths.data_dir.display());
    }
    let mut errors = remove_pods(paths)?;
    let mut dirs = Vec::new();
    if errors.is_empty() {
        // A pod's directory says what there is of the pod: it stays until all of that is gone.
        dirs.extend([paths.pods_dir(), journal::kept_dir(&paths.data_dir), paths.run_dir.clone()]);
        dirs.extend(serve::leavings(&paths.data_dir));
        if !keep_images {
            // Containers that could not be ended have their files in it.
            dirs.push(paths.data_dir.join("images"));
        }
    }
    if errors.is_empty() {
        errors.extend(network::clear(&paths.data_dir));
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
        let cleared = runtime::clear(paths);
        if let Some(pod_dir) = cleared.owned.first() {
            bail!(
                "not everything was reset: the pod in {} belongs to another engine that is running\n\
                 remedy: stop the other monopod first",
                pod_dir.display()
            );
        }
        let Some(pod_dir) = cleared.ending.first().filter(|_| cleared.errors.is_empty()) else {
            return Ok(cleared.errors.into_iter().map(|error| anyhow!(error)).collect());
        };
        if Instant::now() > deadline {
            bail!("the shim of the pod in {} does not come to an end", pod_dir.display());
        }
        thread::sleep(LOOK_AGAIN);
    }
}
