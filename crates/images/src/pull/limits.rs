//! How much a layer may become, and whether there is room for what is fetched.

use std::error::Error;
use std::io;

use crate::layer::Limits;

/// Of a layer uncompressed, whatever its size is compressed.
const EXPANDED_BYTES_MIN: u64 = 1 << 30;
/// Uncompressed by compressed. Programs and texts stay below 20; gzip could do 1000, zstd more than 10,000. More than
/// this is mostly zeroes, and would fill the disk out of a download that nobody notices.
const EXPANSION_MAX: u64 = 200;

/// Of a layer of so many bytes compressed.
pub(super) fn limits(compressed_bytes: u64) -> Limits {
    let default = Limits::default();
    let expanded = compressed_bytes.saturating_mul(EXPANSION_MAX).max(EXPANDED_BYTES_MIN);
    Limits {
        archive_bytes_max: default.archive_bytes_max.min(expanded),
        // Content is larger only by the holes of sparse files, which take no room.
        ..default
    }
}

/// Whether an error says that the disk is full.
pub(super) fn is_full(error: &(dyn Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
        if matches!(kind, Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)) {
            return true;
        }
        cause = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::{is_full, limits};
    use crate::layer::{LayerError, Limits};
    use crate::store::StoreError;

    #[test]
    fn small_layers_may_expand_to_a_gib_and_large_ones_by_a_factor() {
        for (compressed, expanded) in [
            (0, 1 << 30),
            (1 << 20, 1 << 30),
            (1 << 30, 200 << 30),
            (u64::MAX, Limits::default().archive_bytes_max),
        ] {
            assert_eq!(limits(compressed).archive_bytes_max, expanded, "{compressed}");
        }
    }

    #[test]
    fn a_full_disk_is_told_from_other_errors_however_deep() {
        let error = |kind: io::ErrorKind| StoreError::Unpack {
            source: LayerError::File { action: "write", path: "a".into(), source: kind.into() },
        };
        assert!(is_full(&error(io::ErrorKind::StorageFull)) && is_full(&error(io::ErrorKind::QuotaExceeded)));
        assert!(!is_full(&error(io::ErrorKind::PermissionDenied)));
    }
}
