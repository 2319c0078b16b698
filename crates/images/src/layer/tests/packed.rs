//! Archives of directories.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use super::bed::Bed;
use crate::layer::pack;

pub(super) fn packed(directory: &Path) -> Vec<u8> {
    let mut archive = vec![];
    pack(directory, &mut archive).expect("an archive");
    archive
}

#[test]
fn a_directory_comes_back_as_it_was() {
    let Some(bed) = Bed::new() else { return };
    let source = bed.below("source");
    fs::create_dir(source.join("dir")).unwrap();
    fs::write(source.join("dir/file"), "content").unwrap();
    fs::hard_link(source.join("dir/file"), source.join("again")).unwrap();
    symlink("dir", source.join("link")).unwrap();
    let archive = packed(&source);
    let unpacked = bed.unpack(&archive).unwrap();
    assert_eq!(unpacked.implied, Vec::<std::path::PathBuf>::new());
    assert_eq!(bed.listing(), "again = content\ndir/\ndir/file = content\nlink -> dir\n");
    assert!(packed(&bed.fs()) == archive);
}
