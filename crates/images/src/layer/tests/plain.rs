//! Archives without malice.

use super::archives::Tar;
use super::bed::Bed;

#[test]
fn files_directories_and_links() {
    let Some(bed) = Bed::new() else { return };
    let archive = Tar::new()
        .directory("./")
        .directory("etc/")
        .file("etc/hosts", "localhost")
        .file("./usr/bin/sh", "shell")
        .link("usr/bin/ash", "usr/bin/sh")
        .symlink("bin", "usr/bin")
        .file("empty", "")
        .end();
    let unpacked = bed.unpack(&archive).unwrap();
    assert_eq!(
        bed.listing(),
        "bin -> usr/bin\nempty = \netc/\netc/hosts = localhost\nusr/\nusr/bin/\nusr/bin/ash = shell\n\
         usr/bin/sh = shell\n"
    );
    assert_eq!(unpacked.implied, [std::path::Path::new("usr"), std::path::Path::new("usr/bin")]);
    assert_eq!((unpacked.entries, unpacked.content_bytes), (7, 14));
}

#[test]
fn an_archive_may_lack_its_end_mark_but_not_more() {
    let Some(bed) = Bed::new() else { return };
    let archive = Tar::new().file("a", "content").cut();
    assert_eq!(bed.refusal(&archive[..1000]), "the archive ends within an entry: it is cut off");
    let Some(bed) = Bed::new() else { return };
    bed.unpack(&archive).unwrap();
}

#[test]
fn whiteouts_become_those_of_overlayfs() {
    let Some(bed) = Bed::of_root() else { return };
    let archive = Tar::new().file("a/.wh.b", "").file("c/.wh..wh..opq", "").end();
    bed.unpack(&archive).unwrap();
    assert_eq!(bed.listing(), "a/\na/b gone\nc/ opaque\n");
}

#[test]
fn extended_headers_say_what_plain_ones_cannot() {
    let Some(bed) = Bed::new() else { return };
    let name = "long/".repeat(40) + "name";
    let archive = Tar::new().pax(&[("path", name.as_bytes())]).file("short", "content").end();
    bed.unpack(&archive).unwrap();
    assert_eq!(std::fs::read(bed.fs().join(name)).unwrap(), b"content");
}
