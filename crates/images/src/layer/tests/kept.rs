//! What of a file's attributes is kept.

use std::fs;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::Path;

use super::archives::{Tar, header};
use super::bed::Bed;

/// mode, uid, gid, seconds, nanoseconds
fn attributes(path: &Path) -> (u32, u32, u32, i64, i64) {
    let found = fs::symlink_metadata(path).unwrap();
    (found.mode() & 0o7777, found.uid(), found.gid(), found.mtime(), found.mtime_nsec())
}

fn xattr(path: &Path, name: &str) -> Option<Vec<u8>> {
    let mut value = vec![0_u8; 1024];
    let length = rustix::fs::lgetxattr(path, name, &mut value[..]).ok()?;
    value.truncate(length);
    Some(value)
}

fn owned(kind: u8, name: &[u8], mode: u32, uid: u64, gid: u64, modified: u64) -> tar::Header {
    let mut header = header(kind, name, mode);
    header.set_uid(uid);
    header.set_gid(gid);
    header.set_mtime(modified);
    header
}

#[test]
fn modes_owners_and_times() {
    let Some(bed) = Bed::of_root() else { return };
    let mut link = owned(b'2', b"link", 0o777, 5, 6, 40);
    link.as_old_mut().linkname[..4].copy_from_slice(b"file");
    let archive = Tar::new()
        .entry(owned(b'5', b"dir/", 0o7751, 1, 2, 10), b"")
        .entry(owned(b'5', b"./", 0o700, 9, 9, 50), b"")
        .entry(owned(b'0', b"dir/setuid", 0o4755, 0, 0, 20), b"x")
        .entry(owned(b'0', b"file", 0o6000, 3, 4, 30), b"x")
        .entry(link, b"")
        .entry(owned(b'6', b"fifo", 0o2622, 7, 8, 60), b"")
        .pax(&[("uid", b"4294967294"), ("gid", b"70000"), ("mtime", b"-1.5")])
        .file("dir/far", "x")
        .pax(&[("mtime", b"1700000000.123456789")])
        .file("dir/late", "x")
        .entry(owned(b'0', b"open", 0o10_0644, 0, 0, 0), b"x")
        .end();
    bed.unpack(&archive).unwrap();
    let at = |path: &str| attributes(&bed.fs().join(path));
    assert_eq!(at(""), (0o700, 9, 9, 50, 0));
    assert_eq!(at("dir"), (0o7751, 1, 2, 10, 0), "whatever was made in it later");
    assert_eq!(at("dir/setuid"), (0o4755, 0, 0, 20, 0));
    assert_eq!(at("file"), (0o6000, 3, 4, 30, 0));
    assert_eq!(at("link"), (0o777, 5, 6, 40, 0));
    assert_eq!(at("fifo"), (0o2622, 7, 8, 60, 0));
    assert_eq!(at("dir/far"), (0o644, 4_294_967_294, 70_000, -2, 500_000_000));
    assert_eq!(at("dir/late").3, 1_700_000_000);
    assert_eq!(at("dir/late").4, 123_456_789);
    assert_eq!(at("open"), (0o644, 0, 0, 0, 0));
    assert!(fs::symlink_metadata(bed.fs().join("fifo")).unwrap().file_type().is_fifo());
}

/// A directory whose group its files would inherit.
#[test]
fn nothing_is_inherited() {
    let Some(bed) = Bed::of_root() else { return };
    let archive = Tar::new()
        .entry(owned(b'5', b"d/", 0o2755, 0, 7, 10), b"")
        .entry(owned(b'5', b"d/e/", 0o755, 0, 0, 10), b"")
        .entry(owned(b'0', b"d/f", 0o644, 0, 0, 10), b"")
        .end();
    bed.unpack(&archive).unwrap();
    assert_eq!(attributes(&bed.fs().join("d/e")), (0o755, 0, 0, 10, 0));
    assert_eq!(attributes(&bed.fs().join("d/f")), (0o644, 0, 0, 10, 0));
}

/// `cap_net_raw=ep`, as in `vfs_cap_data` of version 2.
const CAPABILITY: &[u8] = b"\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0";

#[test]
fn extended_attributes() {
    let Some(bed) = Bed::of_root() else { return };
    let records: [(&str, &[u8]); 9] = [
        ("SCHILY.xattr.security.capability", CAPABILITY),
        ("SCHILY.xattr.user.note", b"one\ntwo\0three"),
        ("SCHILY.xattr.user.empty", b""),
        ("SCHILY.xattr.user.overlay.opaque", b"y"),
        ("SCHILY.xattr.trusted.overlay.opaque", b"y"),
        ("SCHILY.xattr.trusted.overlay.redirect", b"/outside"),
        ("SCHILY.xattr.security.selinux", b"label"),
        ("SCHILY.xattr.system.posix_acl_access", b"x"),
        ("LIBARCHIVE.xattr.user.other", b"eA"),
    ];
    let archive = Tar::new()
        .pax(&records)
        .entry(owned(b'0', b"file", 0o755, 3, 4, 20), b"x")
        .pax(&records)
        .directory("dir/")
        .pax(&records)
        .symlink("link", "file")
        .pax(&records)
        .entry(header(b'6', b"fifo", 0o600), b"")
        .file("plain", "")
        .end();
    bed.unpack(&archive).unwrap();
    let at = |path: &str, name: &str| xattr(&bed.fs().join(path), name);
    for path in ["file", "dir"] {
        assert_eq!(at(path, "security.capability").as_deref(), Some(CAPABILITY), "{path}");
        assert_eq!(at(path, "user.note").as_deref(), Some(&b"one\ntwo\0three"[..]), "{path}");
        assert_eq!(at(path, "user.empty").as_deref(), Some(&b""[..]), "{path}");
    }
    for path in ["file", "dir", "link", "fifo", "plain"] {
        for name in
            ["user.overlay.opaque", "trusted.overlay.opaque", "trusted.overlay.redirect", "user.other"]
        {
            assert_eq!(at(path, name), None, "{path} {name}");
        }
    }
    assert_eq!(at("plain", "user.note"), None);
    let mut all = vec![0_u8; 4096];
    let length = rustix::fs::llistxattr(bed.fs().join("file"), &mut all[..]).unwrap();
    let names = String::from_utf8_lossy(&all[..length]).into_owned();
    assert!(!names.contains("posix_acl"), "{names}");
}

#[test]
fn an_attribute_too_large_for_linux_is_an_error() {
    let Some(bed) = Bed::new() else { return };
    let archive = Tar::new().pax(&[("SCHILY.xattr.user.note", &[b'x'; 70_000])]).file("file", "").end();
    assert_eq!(bed.refusal(&archive), r#"cannot set extended attributes of "file""#);
}

/// The old ways of GNU tar to say long names.
#[test]
fn long_names_of_gnu() {
    let Some(bed) = Bed::new() else { return };
    let name = "long/".repeat(30) + "name";
    let archive = Tar::new()
        .entry(header(b'L', b"././@LongLink", 0o644), &[name.as_bytes(), b"\0"].concat())
        .file("short", "x")
        .entry(header(b'L', b"././@LongLink", 0o644), b"link\0ignored")
        .entry(header(b'K', b"././@LongLink", 0o644), &[name.as_bytes(), b"\0"].concat())
        .symlink("short", "short")
        .end();
    bed.unpack(&archive).unwrap();
    assert_eq!(fs::read(bed.fs().join("link")).unwrap(), b"x");
}

#[test]
fn headers_of_every_age() {
    let Some(bed) = Bed::new() else { return };
    let named = |mut header: tar::Header, name: &str| {
        let like = super::archives::header(b'0', name.as_bytes(), 0o644);
        header.as_old_mut().name = like.as_old().name;
        header.as_old_mut().linkflag = *b"0";
        header.set_mode(0o644);
        header.set_uid(like.uid().unwrap());
        header.set_gid(like.gid().unwrap());
        header.set_mtime(1);
        header
    };
    let mut prefixed = named(tar::Header::new_ustar(), "ustar");
    prefixed.as_ustar_mut().unwrap().prefix[..3].copy_from_slice(b"dir");
    // What others have a prefix in are times here.
    let mut gnu = named(tar::Header::new_gnu(), "gnu");
    gnu.as_gnu_mut().unwrap().atime = *b"12345670123\0";
    let archive = Tar::new()
        .entry(named(tar::Header::new_old(), "v7"), b"x")
        .entry(prefixed, b"x")
        .entry(gnu, b"x")
        .end();
    bed.unpack(&archive).unwrap();
    assert_eq!(bed.listing(), "dir/\ndir/ustar = x\ngnu = x\nv7 = x\n");
}
