//! What a pod's next engine needs, in the pod's directory: `pod.json`, the pod as it was taken in, and
//! `checkpoint.json`, what is known of it ([`lifecycle::Observed`]). Adoption needs no manifest.

use std::hash::{DefaultHasher, Hasher as _};
use std::path::{Path, PathBuf};

use lifecycle::Observed;
use podspec::{Moment, Pod};
use shim_protocol::{
    RecordError, checkpoint_path, pod_path, read_dated_record, read_record, record_text, write_record,
    write_record_text,
};

#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    #[error("cannot read back the pod in {}", pod_dir.display())]
    Pod { pod_dir: PathBuf, source: RecordError },
    #[error("cannot read back the state of the pod in {}", pod_dir.display())]
    Observed { pod_dir: PathBuf, source: RecordError },
}

pub(crate) fn save_pod(pod_dir: &Path, pod: &Pod) -> Result<(), RecordError> {
    write_record(&pod_path(pod_dir), pod)
}

/// The pod whose directory this is.
///
/// # Errors
/// When there is no record of it, or one that this version cannot read.
pub fn load_pod(pod_dir: &Path) -> Result<Pod, CheckpointError> {
    read_record(&pod_path(pod_dir))
        .map_err(|source| CheckpointError::Pod { pod_dir: pod_dir.to_owned(), source })
}

/// Which text the checkpoint on disk has: enough to know whether another is to be written, and none of the pod's memory.
#[derive(Debug, Default)]
pub(crate) struct Saved(Option<u64>);

impl Saved {
    pub(crate) fn is_of(&self, observed: &Observed) -> bool {
        record_text(Path::new(""), observed).is_ok_and(|text| self.0 == hash(&text))
    }
}

fn hash(text: &[u8]) -> Option<u64> {
    let mut hasher = DefaultHasher::new();
    hasher.write(text);
    Some(hasher.finish())
}

/// Writes the checkpoint, unless it is the one that was written last. Whether it was written.
pub(crate) fn save_observed(
    pod_dir: &Path,
    observed: &Observed,
    saved: &mut Saved,
) -> Result<bool, RecordError> {
    let path = checkpoint_path(pod_dir);
    let text = record_text(&path, observed)?;
    let hash = hash(&text);
    if saved.0 == hash {
        return Ok(false);
    }
    write_record_text(&path, &text)?;
    saved.0 = hash;
    Ok(true)
}

/// A pod without a checkpoint was never begun: the first one is written before the first effect. Times
/// are on the boot clock of `now`, also those of an earlier boot.
pub(crate) fn load_observed(pod_dir: &Path, now: Moment) -> Result<Observed, CheckpointError> {
    match read_dated_record::<Observed>(&checkpoint_path(pod_dir)) {
        Ok(mut dated) => {
            if !dated.of_this_boot {
                dated.record.rebase(now);
            }
            Ok(dated.record)
        }
        Err(RecordError::Read { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
            Ok(Observed::default())
        }
        Err(source) => Err(CheckpointError::Observed { pod_dir: pod_dir.to_owned(), source }),
    }
}
