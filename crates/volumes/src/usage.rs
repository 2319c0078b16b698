//! What an emptyDir on disk holds, and whether it may.

use linux_sys::tree_usage::tree_usage;
use podspec::quantity::Quantity;
use podspec::{EmptyDirMedium, Pod, VolumeSource};
use ports::{PodContext, PortError};

use crate::empty_dir;

/// Of one volume. What its directories take alone is more than most limits by then.
const ENTRIES_MAX: usize = 4_000_000;

/// Whether a volume of the pod has a limit that nothing but a look enforces.
pub(crate) fn is_limited(pod: &Pod) -> bool {
    limits(pod).next().is_some()
}

/// Memory volumes are bounded by their file systems.
fn limits(pod: &Pod) -> impl Iterator<Item = (&podspec::Volume, u64)> {
    pod.spec.volumes.iter().filter_map(|volume| match volume.source {
        VolumeSource::EmptyDir { medium: EmptyDirMedium::Disk, size_limit } => {
            Some((volume, size_limit.filter(|bytes| *bytes > 0)?))
        }
        _ => None,
    })
}

/// Why the pod cannot stay: the first of its volumes that holds more than it may. Blocks.
pub(crate) fn over_limit(pod: &PodContext) -> Result<Option<String>, PortError> {
    for (volume, limit) in limits(&pod.pod) {
        let path = empty_dir::path(&pod.pod_dir, volume);
        let used = tree_usage(&path, ENTRIES_MAX, limit).map_err(|error| {
            PortError(format!("cannot measure volume {} in {}: {error}", volume.name, path.display()))
        })?;
        if used.bytes > limit {
            // The space at its end is a kubelet's.
            let (name, limit) = (&volume.name, canonical(limit));
            return Ok(Some(format!("Usage of EmptyDir volume \"{name}\" exceeds the limit \"{limit}\". ")));
        }
    }
    Ok(None)
}

fn canonical(bytes: u64) -> String {
    let binary = bytes.is_multiple_of(1_024).then(|| Quantity::parse(&format!("{}Ki", bytes / 1_024)).ok());
    binary.flatten().unwrap_or_else(|| Quantity::from_units(bytes)).to_string()
}

#[cfg(test)]
mod tests {
    use super::canonical;

    #[test]
    fn limits_are_said_as_they_are_written() {
        for (bytes, text) in
            [(1 << 20, "1Mi"), (1_000_000, "1M"), (1_536, "1536"), (5 << 30, "5Gi"), (100, "100")]
        {
            assert_eq!(canonical(bytes), text);
        }
    }
}
