//! What a claim is bound to: a directory of this machine that was there before the pod and will be after it.
//!
//! The pod's directory has a link to it where other volumes have their directory, so that every engine finds it
//! again without asking anybody.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::symlink;
use std::path::Path;

use podspec::VolumeSource;
use ports::{ClaimedVolume, ObjectReader, PodContext, PortError};

use crate::{VolumeError, failed_to_make, group, host_path};

/// By place of the volume: what the claim is bound to, or why that is not known.
pub(crate) type Claimed = BTreeMap<usize, Result<ClaimedVolume, String>>;

pub(crate) async fn claimed(pod: &PodContext, objects: &dyn ObjectReader) -> Claimed {
    let mut claimed = Claimed::new();
    for (place, volume) in pod.pod.spec.volumes.iter().enumerate() {
        if let VolumeSource::Claim { claim, ephemeral, .. } = &volume.source {
            let found = objects.claim(&pod.pod, claim, *ephemeral).await;
            claimed.insert(place, found.map_err(|PortError(why)| why));
        }
    }
    claimed
}

/// Links `path` to the volume, whose files become the group's unless the pod only reads them.
pub(crate) fn set_up(
    path: &Path,
    claimed: &ClaimedVolume,
    read_only: bool,
    (group, trusts_root): (Option<u32>, bool),
) -> Result<(), VolumeError> {
    host_path::check(&claimed.path, claimed.kind)?;
    if let Some(group) = group.filter(|_| claimed.takes_group && !read_only) {
        group::give(Path::new(&claimed.path), group, trusts_root)?;
    }
    match fs::read_link(path) {
        Ok(there) if there == Path::new(&claimed.path) => return Ok(()),
        Ok(_) => fs::remove_file(path).map_err(failed_to_make(path))?,
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(source) => return Err(failed_to_make(path)(source)),
    }
    if let Some(volumes) = path.parent() {
        fs::create_dir_all(volumes).map_err(failed_to_make(volumes))?;
    }
    symlink(&claimed.path, path).map_err(|source: io::Error| failed_to_make(path)(source))
}
