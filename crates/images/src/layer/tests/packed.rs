//! Archives of directories.

use std::fs::{self, Permissions};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, XattrFlags, mknodat, setxattr};

use super::bed::Bed;
use crate::layer::pack;
use crate::layer::pack::Packed;

fn packed(directory: &Path) -> Vec<u8> {
    let mut archive = vec![];
    pack(directory, &mut archive).expect("an archive");
    archive
}

fn refusal(directory: &Path) -> String {
    pack(directory, std::io::sink()).expect_err("refused").to_string()
}

fn make(path: &Path, kind: FileType) {
    mknodat(CWD, path, kind, Mode::RWXU, 0).expect("a file");
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

#[test]
fn what_a_plain_header_cannot_say_comes_back_too() {
    let Some(bed) = Bed::of_root() else { return };
    let source = bed.below("source");
    let long = "name".repeat(50);
    let deep = source.join(&long).join(&long);
    fs::create_dir_all(&deep).unwrap();
    let file = deep.join(std::ffi::OsStr::from_bytes(b"odd\xff\n"));
    fs::write(&file, "content").unwrap();
    fs::hard_link(&file, source.join("hard")).unwrap();
    symlink("t".repeat(3000), source.join("link")).unwrap();
    std::os::unix::fs::chown(&file, Some(4_000_000_000), Some(3_000_000)).unwrap();
    fs::set_permissions(&file, Permissions::from_mode(0o6751)).unwrap();
    setxattr(&file, c"user.note", b"one\ntwo\0", XattrFlags::empty()).unwrap();
    setxattr(&file, c"trusted.note", b"not this one", XattrFlags::empty()).unwrap();
    let early = std::time::UNIX_EPOCH - std::time::Duration::from_nanos(1_500_000_001);
    fs::File::open(&file).unwrap().set_modified(early).unwrap();
    make(&source.join("fifo"), FileType::Fifo);
    let archive = packed(&source);
    bed.unpack(&archive).unwrap();
    assert!(packed(&bed.fs()) == archive);
    let found = fs::metadata(bed.fs().join("hard")).unwrap();
    assert_eq!((found.mode() & 0o7777, found.uid(), found.gid()), (0o6751, 4_000_000_000, 3_000_000));
    assert_eq!((found.modified().unwrap(), found.nlink()), (early, 2));
}

#[test]
fn sockets_and_devices_are_left_out_and_counted() {
    let Some(bed) = Bed::of_root() else { return };
    let source = bed.below("source");
    make(&source.join("socket"), FileType::Socket);
    make(&source.join("device"), FileType::CharacterDevice);
    fs::write(source.join("file"), "content").unwrap();
    let packed = pack(&source, std::io::sink()).unwrap();
    assert_eq!(packed, Packed { entries: 2, content_bytes: 7, skipped: 2 });
}

#[test]
fn links_are_not_followed() {
    let Some(bed) = Bed::new() else { return };
    let source = bed.below("source");
    symlink(bed.outside(), source.join("out")).unwrap();
    symlink(bed.outside().join("kept"), source.join("kept")).unwrap();
    let archive = packed(&source);
    bed.unpack(&archive).unwrap();
    let outside = bed.outside().display().to_string();
    assert_eq!(bed.listing(), format!("kept -> {outside}/kept\nout -> {outside}\n"));
    let link = bed.below("other").join("link");
    symlink(&source, &link).unwrap();
    assert!(packed(&link) == archive, "but for the one that was asked for");
}

#[test]
fn names_that_would_mean_a_whiteout_are_refused() {
    let Some(bed) = Bed::new() else { return };
    let source = bed.below("source");
    fs::write(source.join(".wh.file"), "").unwrap();
    let expected =
        "/.wh.file cannot be in an archive: names that begin with `.wh.` mean that a file is removed";
    assert!(refusal(&source).ends_with(expected), "{}", refusal(&source));
}

#[test]
fn a_directory_too_deep_to_be_unpacked_is_refused() {
    let Some(bed) = Bed::new() else { return };
    let source = bed.below("source");
    fs::create_dir_all(source.join("d/".repeat(257))).unwrap();
    assert_eq!(packed(&source).len() % 512, 0);
    fs::write(source.join("d/".repeat(257)).join("file"), "").unwrap();
    assert!(refusal(&source).ends_with("cannot be in an archive: it lies too deep"), "{}", refusal(&source));
}
