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

/// As `umoci insert` writes them.
#[test]
fn an_archive_may_lack_its_end_mark_and_the_last_padding_but_not_more() {
    let archive = Tar::new().file("a", "content").cut();
    let Some(bed) = Bed::new() else { return };
    assert_eq!(bed.refusal(&archive[..512 + 6]), "the archive ends within a file: it is cut off");
    for length in [512 + 7, 1000, 1024] {
        let Some(bed) = Bed::new() else { return };
        bed.unpack(&archive[..length]).unwrap();
        assert_eq!(bed.listing(), "a = content\n");
        bed.check_repack(&archive[..length]);
    }
    let Some(bed) = Bed::new() else { return };
    let skipped = Tar::new().file(".wh..wh.x", "content").cut();
    assert_eq!(bed.refusal(&skipped[..512 + 6]), "the archive ends within an entry: it is cut off");
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

/// The same file, with a hole, in every format of GNU tar.
#[test]
fn sparse_files() {
    let (start, end) = ([b's'; 512], [b'e'; 512]);
    let mut expected = start.to_vec();
    expected.resize(100_000, 0);
    expected.extend_from_slice(&end);
    expected.resize(200_000, 0);
    let content = [start, end].concat();
    let mut map = b"3\n0\n512\n100000\n512\n200000\n0\n".to_vec();
    map.resize(512, 0);
    let header = super::archives::header(b'S', b"gnu", 0o644);
    let mut gnu = tar::Header::new_gnu();
    gnu.as_mut_bytes()[..257].copy_from_slice(&header.as_bytes()[..257]);
    let fields = gnu.as_gnu_mut().unwrap();
    fields.realsize = *b"00000606500\0";
    let piece = |offset: &[u8; 12], length: &[u8; 12]| (*offset, *length);
    (fields.sparse[0].offset, fields.sparse[0].numbytes) = piece(b"00000000000\0", b"00000001000\0");
    fields.isextended = [1];
    let mut more = tar::GnuExtSparseHeader::new();
    let next = &mut more.sparse[0];
    (next.offset, next.numbytes) = piece(b"00000303240\0", b"00000001000\0");
    let archive = Tar::new()
        .pax(&[
            ("GNU.sparse.size", b"200000"),
            ("GNU.sparse.numblocks", b"3"),
            ("GNU.sparse.offset", b"0"),
            ("GNU.sparse.numbytes", b"512"),
            ("GNU.sparse.offset", b"100000"),
            ("GNU.sparse.numbytes", b"512"),
            ("GNU.sparse.offset", b"200000"),
            ("GNU.sparse.numbytes", b"0"),
        ])
        .file("0.0", &content)
        .pax(&[
            ("GNU.sparse.size", b"200000"),
            ("GNU.sparse.name", b"0.1"),
            ("GNU.sparse.map", b"0,512,100000,512,200000,0"),
        ])
        .file("GNUSparseFile.1/0.1", &content)
        .pax(&[
            ("GNU.sparse.major", b"1"),
            ("GNU.sparse.minor", b"0"),
            ("GNU.sparse.name", b"1.0"),
            ("GNU.sparse.realsize", b"200000"),
        ])
        .file("GNUSparseFile.1/1.0", [map, content.clone()].concat())
        .claiming(sized(gnu, content.len()), more.as_bytes())
        .raw(&content)
        .file("after", "x")
        .end();
    let Some(bed) = Bed::new() else { return };
    let unpacked = bed.unpack(&archive).unwrap();
    for name in ["0.0", "0.1", "1.0", "gnu"] {
        assert!(std::fs::read(bed.fs().join(name)).unwrap() == expected, "{name}");
    }
    assert_eq!(unpacked.content_bytes, 4 * 200_000 + 1);
    assert_eq!(std::fs::read(bed.fs().join("after")).unwrap(), b"x");
}

fn sized(mut header: tar::Header, bytes: usize) -> tar::Header {
    header.set_size(bytes as u64);
    header
}
