//! Directories without an entry of their own.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::PathBuf;

use super::archives::Tar;
use super::bed::Bed;
use crate::layer::settle;

#[test]
fn they_are_as_in_the_layers_below() {
    let Some(bed) = Bed::of_root() else { return };
    let unpacked = bed.unpack(&Tar::new().file("a/b/c", "").end()).unwrap();
    let below = [bed.below("top"), bed.below("bottom")];
    for (directory, mode) in [(&below[0], 0o711), (&below[1], 0o700)] {
        fs::create_dir(directory.join("a")).unwrap();
        fs::set_permissions(directory.join("a"), Permissions::from_mode(mode)).unwrap();
    }
    fs::create_dir(below[1].join("a/b")).unwrap();
    fs::set_permissions(below[1].join("a/b"), Permissions::from_mode(0o1777)).unwrap();
    std::os::unix::fs::chown(below[1].join("a/b"), Some(3), Some(4)).unwrap();
    settle(&bed.fs(), &unpacked.implied, &below).unwrap();
    let found = |path: &str| {
        let found = fs::symlink_metadata(bed.fs().join(path)).unwrap();
        (found.mode() & 0o7777, found.uid(), found.gid())
    };
    assert_eq!(found("a"), (0o711, 0, 0));
    assert_eq!(found("a/b"), (0o1777, 3, 4));
    let none: [PathBuf; 0] = [];
    settle(&bed.fs(), &unpacked.implied, &none).unwrap();
    assert_eq!(found("a/b"), (0o755, 0, 0));
}
