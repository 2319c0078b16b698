//! Archives that claim, repeat or cut what no archive should.

use tar::Header;

use super::archives::{Tar, header};
use super::bed::Bed;
use crate::layer::{LayerError, Limits, Refusal};

const LIMITS: Limits = Limits {
    entries_max: 100,
    archive_bytes_max: 1 << 20,
    content_bytes_max: 1 << 19,
    noted_bytes_max: 10_000,
};

fn failure(archive: &[u8]) -> Option<LayerError> {
    let bed = Bed::new()?;
    Some(bed.unpack_within(archive, &LIMITS).expect_err("an error"))
}

fn check_refused(archive: &[u8], expected: &Refusal) {
    match failure(archive) {
        Some(LayerError::Refused { why, .. }) => assert_eq!(why, *expected),
        None => {}
        other => panic!("{other:?}"),
    }
}

fn sized(size: &[u8; 12]) -> Header {
    let mut header = header(b'0', b"file", 0o644);
    header.as_old_mut().size = *size;
    header
}

#[test]
fn sizes() {
    let too_large = Refusal::ContentTooLarge { max: LIMITS.content_bytes_max };
    for (size, why) in [
        // Two to the 33rd, less one.
        (b"77777777777\0", too_large.clone()),
        // 8 EiB, less one.
        (b"\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff", too_large.clone()),
        // 8 EiB; and what is five bytes when counted in 64 bits.
        (b"\x80\0\0\0\x80\0\0\0\0\0\0\0", Refusal::Size),
        (b"\x80\0\0\x01\0\0\0\0\0\0\0\x05", Refusal::Size),
        // One byte less than none, in two ways.
        (b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", Refusal::Size),
        (b"-0000000001\0", Refusal::Size),
        (b"0x10\0\0\0\0\0\0\0\0", Refusal::Size),
    ] {
        check_refused(&Tar::new().claiming(sized(size), b"x").end(), &why);
    }
    for (size, why) in [
        ("9223372036854775807", too_large),
        ("18446744073709551616", Refusal::Extension),
        ("-1", Refusal::Extension),
    ] {
        check_refused(&Tar::new().pax(&[("size", size.as_bytes())]).file("file", "").end(), &why);
    }
}

#[test]
fn all_files_together() {
    let half = vec![0; 300_000];
    let archive = Tar::new().file("one", &half).file("two", &half).end();
    check_refused(&archive, &Refusal::ContentTooLarge { max: LIMITS.content_bytes_max });
}

/// Whatever is compressed best: what is not content counts too.
#[test]
fn an_archive_without_end() {
    use std::io::Read as _;
    let Some(bed) = Bed::new() else { return };
    let archive = Tar::new().file("one", "x").end();
    let endless = archive.chain(std::io::repeat(0));
    let error = crate::layer::unpack(endless, &bed.fs(), &bed.recipe(), &LIMITS).unwrap_err();
    assert_eq!(error.to_string(), "the archive has more than 1048576 bytes, which is the limit");
}

#[test]
fn entries_without_end() {
    for one in [Tar::new().directory("d/"), Tar::new().pax(&[]), Tar::new().file(".wh.a", "")] {
        let Some(bed) = Bed::of_root() else { return };
        let archive = one.cut().repeat(101);
        let error = bed.unpack_within(&archive, &LIMITS).unwrap_err();
        assert_eq!(error.to_string(), "the archive has more than 100 entries, which is the limit");
    }
}

/// One entry may need as many directories as its name is long, with names that are longer at each.
#[test]
fn paths_without_end() {
    let component = "n".repeat(200);
    let directories = format!("{component}/").repeat(9);
    let whiteouts = |n: u32| Tar::new().file(format!(".wh.{n}{}", &component[..90]), "").cut();
    for archive in [
        Tar::new().pax(&[("path", (directories + "x").as_bytes())]).file("short", "").cut(),
        (0..120).flat_map(whiteouts).collect(),
    ] {
        let Some(bed) = Bed::of_root() else { return };
        let limits = Limits { entries_max: 1000, noted_bytes_max: 8000, ..LIMITS };
        let error = bed.unpack_within(&archive, &limits).unwrap_err().to_string();
        assert!(error.starts_with("the archive has too many whiteouts, or too many directories"), "{error}");
    }
}

#[test]
fn extended_headers() {
    let too_large = Refusal::ExtensionTooLarge { max: 1 << 20 };
    for kind in [b'x', b'g', b'L', b'K'] {
        let mut claims = header(kind, b"long", 0o644);
        claims.set_size(1 << 40);
        check_refused(&Tar::new().claiming(claims.clone(), b"x").end(), &too_large);
        claims.as_old_mut().size = *b"-0000000001\0";
        check_refused(&Tar::new().claiming(claims, b"x").end(), &Refusal::Size);
    }
    for data in [
        &b"x"[..],
        b"99 path=a\n",
        b"9 path=a",
        b"0 path=a\n",
        b"10 mtime=x\n",
        b"8 uid=-1\n",
        b"11 mtime=1e9\n",
        b"26 SCHILY.xattr.user.\0=x\n\n",
    ] {
        let archive = Tar::new().entry(header(b'x', b"x", 0o644), data).file("file", "").end();
        check_refused(&archive, &Refusal::Extension);
    }
    let nothing =
        Tar::new().pax(&[("path", b"a"), ("path", b""), ("comment", b"\n=\n")]).file("file", "x").end();
    let Some(bed) = Bed::new() else { return };
    bed.unpack(&nothing).unwrap();
    assert_eq!(bed.listing(), "file = x\n");
}

#[test]
fn fields() {
    let field = |change: fn(&mut Header)| {
        let mut header = header(b'0', b"file", 0o644);
        change(&mut header);
        Tar::new().entry(header, b"").end()
    };
    let wrong = |field| Refusal::Field { field };
    check_refused(&field(|header| header.as_old_mut().uid = *b"notanid\0"), &wrong("uid"));
    // "As it is" to the kernel.
    check_refused(&field(|header| header.set_uid(u64::from(u32::MAX))), &wrong("uid"));
    check_refused(&field(|header| header.set_gid(1 << 32)), &wrong("gid"));
    check_refused(&field(|header| header.as_old_mut().mode = *b"rw-r--r-"), &wrong("mode"));
    check_refused(&field(|header| header.as_old_mut().mtime = *b"yesterday\0\0\0"), &wrong("mtime"));
    check_refused(&field(|header| header.as_old_mut().linkflag = *b"Z"), &Refusal::Kind { kind: b'Z' });
    check_refused(&field(|header| header.as_old_mut().linkflag = *b"V"), &Refusal::Kind { kind: b'V' });
}

#[test]
fn what_is_no_header() {
    let good = Tar::new().file("a", "x");
    for (archive, expected) in [
        (
            good.clone().raw(&[b'x'; 512]).end(),
            "what stands at byte 1024 of the archive is no tar header: its checksum is malformed",
        ),
        (
            good.raw(&[b'0'; 512]).end(),
            "what stands at byte 1024 of the archive is no tar header: its checksum is wrong",
        ),
        (b"#!/bin/sh\n".to_vec(), "the archive ends within a header: it is cut off"),
    ] {
        let Some(error) = failure(&archive) else { return };
        assert_eq!(error.to_string(), expected);
    }
}

#[test]
fn archives_that_are_cut_off() {
    let long = format!("{}/", "long".repeat(50)).repeat(5) + "x";
    let archive = Tar::new().pax(&[("path", long.as_bytes())]).file("x", [b'x'; 1000]).cut();
    let length = archive.len();
    for (length, within) in [
        (100, "a header"),
        (512, "an extended header"),
        (1000, "an extended header"),
        (length - 2048 - 512, "an extended header"),
        (length - 2048, "an extended header"),
        (length - 1024 - 1, "a header"),
        (length - 1024, "a file"),
        (length - 100, "a file"),
        (length - 25, "a file"),
    ] {
        let Some(error) = failure(&archive[..length]) else { return };
        assert_eq!(error.to_string(), format!("the archive ends within {within}: it is cut off"), "{length}");
    }
}

/// What stands behind the end has no meaning, to anybody, but is part of the archive.
#[test]
fn what_follows_the_end() {
    let hidden = Tar::new().file("hidden", "x").end();
    let mut archive = Tar::new().file("a", "x").end();
    archive.extend_from_slice(&hidden);
    archive.extend_from_slice(b"garbage");
    let Some(bed) = Bed::new() else { return };
    bed.unpack(&archive).unwrap();
    assert_eq!(bed.listing(), "a = x\n");
}

#[test]
fn nothing_at_all() {
    for archive in [&[][..], &[0; 512], &[0; 1024], &[0; 10240], &[0; 1]] {
        let Some(bed) = Bed::new() else { return };
        let unpacked = bed.unpack_within(archive, &LIMITS);
        assert_eq!(unpacked.is_ok(), archive.len() != 1, "{}", archive.len());
    }
}

/// Only regular files have content, whatever the header says; what would be content is a header.
#[test]
fn sizes_of_what_has_no_content() {
    let Some(bed) = Bed::new() else { return };
    let mut directory = header(b'5', b"d/", 0o755);
    directory.set_size(512);
    let mut link = header(b'2', b"l", 0o777);
    link.set_size(1 << 40);
    link.as_old_mut().linkname[0] = b'd';
    let archive = Tar::new().claiming(directory, b"").claiming(link, b"").file("d/a", "x").end();
    bed.unpack(&archive).unwrap();
    assert_eq!(bed.listing(), "d/\nd/a = x\nl -> d\n");
}

#[test]
fn files_that_end_with_a_slash_are_directories() {
    let Some(bed) = Bed::new() else { return };
    let archive =
        Tar::new().entry(header(0, b"old/", 0o755), b"").file("new/", "content").file("old/x", "x").end();
    bed.unpack(&archive).unwrap();
    assert_eq!(bed.listing(), "new/\nold/\nold/x = x\n");
}

#[test]
fn maps_of_sparse_files() {
    let sparse = |records: &[(&str, &[u8])]| Tar::new().pax(records).file("f", "content").end();
    let mapped =
        |size: &str, map: &[u8]| sparse(&[("GNU.sparse.size", size.as_bytes()), ("GNU.sparse.map", map)]);
    check_refused(&mapped("10", b"0,8"), &Refusal::Sparse);
    check_refused(&mapped("10", b"0,7,1"), &Refusal::Sparse);
    check_refused(&mapped("10", b"4,7"), &Refusal::Sparse);
    check_refused(&mapped("10", b"4,3,0,4"), &Refusal::Sparse);
    check_refused(&mapped("10", b"18446744073709551615,7"), &Refusal::Sparse);
    check_refused(&mapped("10", b"0,-7"), &Refusal::Extension);
    check_refused(&mapped("10", &b"0,0,".repeat(70_000)), &Refusal::Extension);
    let too_large = Refusal::ContentTooLarge { max: LIMITS.content_bytes_max };
    check_refused(&mapped("9223372036854775807", b"0,7"), &too_large);
    check_refused(&sparse(&[("GNU.sparse.size", b"10")]), &Refusal::Sparse);
    check_refused(&sparse(&[("GNU.sparse.map", b"0,7")]), &Refusal::Sparse);
    check_refused(&sparse(&[("GNU.sparse.major", b"2"), ("GNU.sparse.realsize", b"10")]), &Refusal::Sparse);
    // Its map is to be in the content, which is too short for one, or no map.
    let inside: [(&str, &[u8]); 2] = [("GNU.sparse.major", b"1"), ("GNU.sparse.realsize", b"10")];
    check_refused(&sparse(&inside), &Refusal::Sparse);
    check_refused(&Tar::new().pax(&inside).file("f", [b'1'; 1024]).end(), &Refusal::Sparse);
    check_refused(&Tar::new().pax(&inside).file("f", b"9999999999\n".repeat(100)).end(), &Refusal::Sparse);
    // Blocks of a map that never end, and a header that is none of GNU's.
    let mut gnu = Header::new_gnu();
    gnu.as_old_mut().linkflag = *b"S";
    gnu.as_old_mut().name[0] = b'f';
    check_refused(&Tar::new().entry(header(b'S', b"f", 0o644), b"").end(), &Refusal::Sparse);
    for block in [0, b'1'] {
        gnu.as_gnu_mut().expect("one").isextended = [1];
        gnu.set_mtime(0);
        gnu.set_uid(0);
        gnu.set_gid(0);
        gnu.set_mode(0o644);
        let mut blocks = vec![block; 512 * 20];
        blocks.iter_mut().skip(504).step_by(512).for_each(|flag| *flag = 1);
        check_refused(&Tar::new().entry(gnu.clone(), b"").raw(&blocks).end(), &Refusal::Sparse);
    }
}
