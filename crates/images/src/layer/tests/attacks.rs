//! Archives that try to get out. [`Bed`] looks at what is around after each.

use super::archives::{Tar, header};
use super::bed::Bed;
use crate::layer::{LayerError, Refusal};

/// What `expected` says comes of each archive: the listing, or the error.
fn check(cases: impl IntoIterator<Item = (&'static str, Tar, &'static str)>) {
    for (case, archive, expected) in cases {
        let Some(bed) = Bed::of_root() else { return };
        let found = match bed.unpack(&archive.end()) {
            Ok(_) => bed.listing(),
            Err(error) => format!("{error}\n"),
        };
        assert_eq!(found.trim_end_matches('\n'), expected, "{case}");
    }
}

fn check_refused(archive: Tar, expected: &Refusal) {
    let Some(bed) = Bed::new() else { return };
    match bed.unpack(&archive.end()) {
        Err(LayerError::Refused { why, .. }) => assert_eq!(why, *expected),
        other => panic!("{other:?}"),
    }
}

#[test]
fn names_that_lead_out() {
    let bytes = |name: &[u8]| Tar::new().pax(&[("path", name)]).file("short", "x");
    check([
        ("up", Tar::new().file("../outside/x", "x"), r#"entry "../outside/x": its name leads up with `..`"#),
        (
            "further down",
            Tar::new().file("a/../../x", ""),
            r#"entry "a/../../x": its name leads up with `..`"#,
        ),
        ("at the end", Tar::new().directory("a/.."), r#"entry "a/..": its name leads up with `..`"#),
        ("absolute", Tar::new().file("/etc/x", "x"), "etc/\netc/x = x"),
        ("absolute twice", Tar::new().file("//etc//./x", "x"), "etc/\netc/x = x"),
        ("in an extended header", bytes(b"../x"), r#"entry "../x": its name leads up with `..`"#),
        ("with a NUL", bytes(b"a\0/../../x"), r#"entry "a\0/../../x": its name has a NUL"#),
        ("with a newline", bytes(b"a\nb"), "a\nb = x"),
        ("not UTF-8", bytes(b"a\xff"), "a\u{fffd} = x"),
        ("device file", Tar::new().file("dev/null", "x"), "dev/\ndev/null = x"),
    ]);
}

#[test]
fn links_are_followed_inside_the_layer_only() {
    let to = |target: &str| Tar::new().symlink("l", target);
    check([
        ("absolute", to("/outside").file("l/x", "x"), "l -> /outside\noutside/\noutside/x = x"),
        (
            "up",
            to("../../../../outside").file("l/x", "x"),
            "l -> ../../../../outside\noutside/\noutside/x = x",
        ),
        (
            "proc",
            to("/proc/self/root/outside").file("l/x", "x"),
            "l -> /proc/self/root/outside\nproc/\nproc/self/\nproc/self/root/\nproc/self/root/outside/\n\
          proc/self/root/outside/x = x",
        ),
        (
            "merged usr",
            Tar::new().directory("usr/lib/").symlink("lib", "usr/lib").file("lib/x", "x"),
            "lib -> usr/lib\nusr/\nusr/lib/\nusr/lib/x = x",
        ),
        (
            "in two steps",
            Tar::new().symlink("a", "..").symlink("b", "a/../outside").file("b/x", "x"),
            "a -> ..\nb -> a/../outside\noutside/\noutside/x = x",
        ),
        (
            "in a circle",
            Tar::new().symlink("a", "b").symlink("b", "a").file("a/x", "x"),
            r#"entry "a/x": its links lead in a circle"#,
        ),
        (
            "to a file",
            Tar::new().file("f", "").symlink("l", "f").file("l/x", ""),
            r#"entry "l/x": "f" is not a directory"#,
        ),
        ("to the root", to("/").file("l/l/x", "x"), "l -> /\nx = x"),
        ("of no target", to(""), r#"entry "l": it is a link to nothing"#),
        ("whiteout below", to("/d").file("l/.wh.x", ""), "d/\nd/x gone\nl -> /d"),
        ("opaque below", to("../d").file("l/.wh..wh..opq", ""), "d/ opaque\nl -> ../d"),
    ]);
}

/// What is written to is never what was there.
#[test]
fn nothing_is_written_through_what_is_in_the_way() {
    let link = || Tar::new().symlink("l", "../outside/kept");
    check([
        ("link", link().file("l", "x"), "l = x"),
        ("link that hangs", Tar::new().symlink("l", "../outside/new").file("l", "x"), "l = x"),
        ("link by directory", link().directory("l"), "l/ opaque"),
        ("link by link", link().symlink("l", "other"), "l -> other"),
        ("hard link to a link", link().link("h", "l").file("h", "x"), "h = x\nl -> ../outside/kept"),
        (
            "hard link to a link, below",
            Tar::new().symlink("l", "../outside").link("h", "l").file("h/y", "y"),
            "h -> ../outside\nl -> ../outside\noutside/\noutside/y = y",
        ),
        ("hard link", Tar::new().file("a", "a").link("b", "a").file("b", "b"), "a = a\nb = b"),
        ("first of hard links", Tar::new().file("a", "a").link("b", "a").file("a", "new"), "a = new\nb = a"),
        (
            "link in place of a directory",
            Tar::new().file("d/x", "x").symlink("d", "../outside").file("d/y", "y"),
            "d -> ../outside\noutside/\noutside/y = y",
        ),
        ("whiteout", Tar::new().file(".wh.a", "").file("a", "x"), "a = x"),
        ("below a whiteout", Tar::new().file(".wh.a", "").file("a/x", "x"), "a/ opaque\na/x = x"),
        ("FIFO", Tar::new().entry(header(b'6', b"p", 0o600), b"").file("p", "x"), "p = x"),
    ]);
}

#[test]
fn hard_links_stay_inside_the_layer() {
    check([
        (
            "up",
            Tar::new().link("h", "../outside/kept"),
            r#"entry "h": it links to "../outside/kept", which leads out of the archive"#,
        ),
        (
            "absolute",
            Tar::new().link("h", "/etc/passwd"),
            r#"entry "h": it links to "etc/passwd", which is not in this layer"#,
        ),
        (
            "by a link",
            Tar::new().symlink("l", "../outside").link("h", "l/kept"),
            r#"entry "h": it links to "l/kept", which is not in this layer"#,
        ),
        (
            "by an absolute link",
            Tar::new().symlink("l", "/").file("f", "x").link("h", "l/f"),
            "f = x\nh = x\nl -> /",
        ),
        (
            "directory",
            Tar::new().directory("d").link("h", "d"),
            r#"entry "h": it links to "d", which is a directory"#,
        ),
        ("root", Tar::new().link("h", "/"), r#"entry "h": it links to "", which is a directory"#),
        ("nothing", Tar::new().link("h", ""), r#"entry "h": it is a link to nothing"#),
        (
            "later",
            Tar::new().link("h", "f").file("f", ""),
            r#"entry "h": it links to "f", which is not in this layer"#,
        ),
        ("itself", Tar::new().file("f", "x").link("f", "f"), "f = x"),
        ("itself again", Tar::new().file("f", "x").link("g", "f").link("f", "g"), "f = x\ng = x"),
        (
            "whiteout",
            Tar::new().file(".wh.w", "").link("h", "w"),
            r#"entry "h": it links to "w", which is not in this layer"#,
        ),
        (
            "below what it replaces",
            Tar::new().file("d/f", "x").link("d", "d/f"),
            r#"entry "d": it links to "d/f", which is not in this layer"#,
        ),
        (
            "root by a link",
            Tar::new().file("f", "x").link("./", "f"),
            r#"entry "./": it would replace the root directory by something else"#,
        ),
    ]);
}

#[test]
fn the_root_stays_a_directory() {
    for archive in [
        Tar::new().entry(header(b'0', b".", 0o644), b"x"),
        Tar::new().symlink("/", "/outside"),
        Tar::new().symlink("./", "../outside"),
        Tar::new().entry(header(b'6', b".//", 0o600), b""),
        Tar::new().entry(header(b'3', b".", 0o600), b""),
    ] {
        check_refused(archive, &Refusal::Root);
    }
    check_refused(Tar::new().file("", ""), &Refusal::NoName);
}

#[test]
fn whiteouts_name_one_file_of_their_directory() {
    for name in [".wh.", "a/.wh.", "a/.wh..", ".wh..", "a/.wh...", "/.wh../"] {
        check_refused(Tar::new().file(name, ""), &Refusal::Whiteout);
    }
    check_refused(Tar::new().file(".wh.a/b", ""), &Refusal::BelowWhiteout);
    check_refused(Tar::new().file(".wh..wh.plnk/../../x", ""), &Refusal::Upwards);
    let aufs = Tar::new().file(".wh..wh.aufs", "x").directory(".wh..wh.plnk/").file(".wh..wh.plnk/1.2", "x");
    check([
        ("three dots", Tar::new().file("a/.wh....", ""), "a/\na/... gone"),
        ("of a whiteout", Tar::new().file("a/.wh..wh.b", ""), ""),
        ("a directory", Tar::new().directory(".wh.a/"), "a gone"),
        ("a link", Tar::new().symlink(".wh.a", "../outside"), "a gone"),
        ("a link to nothing", Tar::new().link(".wh.a", ".wh..wh.aufs"), "a gone"),
        ("with content", Tar::new().file(".wh.a", "content"), "a gone"),
        ("twice", Tar::new().file(".wh.a", "").file(".wh.a", ""), "a gone"),
        ("of aufs", aufs, ""),
    ]);
}

/// Whiteouts are for the layers below, wherever in the archive they stand.
#[test]
fn whiteouts_and_what_has_their_name() {
    let whiteout = || Tar::new().file(".wh.a", "");
    let opaque = |tar: Tar| tar.file("a/.wh..wh..opq", "");
    check([
        ("before a file", whiteout().file("a", "x"), "a = x"),
        ("after a file", Tar::new().file("a", "x").file(".wh.a", ""), "a = x"),
        ("before a directory", whiteout().directory("a/").file("a/x", "x"), "a/ opaque\na/x = x"),
        (
            "after a directory",
            Tar::new().directory("a/").file("a/x", "x").file(".wh.a", ""),
            "a/ opaque\na/x = x",
        ),
        ("before a directory without an entry", whiteout().file("a/x", "x"), "a/ opaque\na/x = x"),
        ("before a link", whiteout().symlink("a", "b"), "a -> b"),
        ("after a link", Tar::new().symlink("a", "b").file(".wh.a", ""), "a -> b"),
        ("opaque first", opaque(Tar::new()).directory("a/").file("a/x", "x"), "a/ opaque\na/x = x"),
        ("opaque last", opaque(Tar::new().directory("a/").file("a/x", "x")), "a/ opaque\na/x = x"),
        ("below a file", Tar::new().file("a", "x").file("a/.wh.b", "").file("a/.wh..wh..opq", ""), "a = x"),
        ("below what becomes a file", Tar::new().file("a/.wh.b", "").file("a", "x"), "a = x"),
        ("opaque root", Tar::new().file("a", "x").file(".wh..wh..opq", ""), "a = x"),
    ]);
}

#[test]
fn later_entries_replace_earlier_ones() {
    let tree =
        || Tar::new().file("d/e/x", "x").file("d/y", "y").symlink("d/l", "../../outside").link("h", "d/e/x");
    check([
        ("file by file", Tar::new().file("a", "one").file("a", "two").file("a", "three"), "a = three"),
        ("file by the same", Tar::new().file("a", "same").file("a", "same"), "a = same"),
        ("file by an empty one", Tar::new().file("a", "one").file("a", ""), "a = "),
        (
            "file by directory",
            Tar::new().file("a", "x").directory("a/").file("a/b", "y"),
            "a/ opaque\na/b = y",
        ),
        ("directory by file", tree().file("d", "file"), "d = file\nh = x"),
        ("directory by link", tree().symlink("d", "/outside"), "d -> /outside\nh = x"),
        ("directory by hard link", tree().link("d", "h"), "d = x\nh = x"),
        (
            "directory by directory",
            tree().directory("d/"),
            "d/\nd/e/\nd/e/x = x\nd/l -> ../../outside\nd/y = y\nh = x",
        ),
        ("directory by device", tree().entry(header(b'3', b"d", 0o600), b""), "h = x"),
        (
            "and back",
            tree().file("d", "file").file("d", "again").directory("d").file("d/z", "z"),
            "d/ opaque\nd/z = z\nh = x",
        ),
        ("file above", Tar::new().file("a", "x").file("a/b", "y"), r#"entry "a/b": "a" is not a directory"#),
    ]);
}

#[test]
fn devices_are_not_made() {
    let device = |kind, name: &[u8]| Tar::new().entry(header(kind, name, 0o666), b"");
    check([
        ("character", device(b'3', b"dev/null"), "dev/"),
        ("block", device(b'4', b"dev/sda"), "dev/"),
        ("by the name of a file", Tar::new().file("a", "x").entry(header(b'3', b"a", 0o666), b""), ""),
        ("FIFO", device(b'6', b"p"), "p |"),
    ]);
}

#[test]
fn names_are_as_long_as_linux_takes() {
    let named = |name: &str| Tar::new().pax(&[("path", name.as_bytes())]).file("short", "x");
    let component = "n".repeat(255);
    let path = format!("{component}/").repeat(16);
    for name in [&component, &path[..4094], &("d/".repeat(256) + "x")] {
        let Some(bed) = Bed::new() else { return };
        bed.unpack(&named(name).end()).unwrap();
    }
    for (name, why) in [
        (component + "n", Refusal::NameTooLong),
        (path[..4095].to_owned(), Refusal::PathTooLong),
        ("d/".repeat(257) + "x", Refusal::TooDeep),
        ("d/".repeat(100_000), Refusal::PathTooLong),
    ] {
        check_refused(named(&name), &why);
    }
}

/// Each link is short, and the way by all of them is not.
#[test]
fn links_do_not_make_longer_ways() {
    let Some(bed) = Bed::new() else { return };
    let deep = "d/".repeat(200);
    let archive = Tar::new()
        .pax(&[("path", deep.as_bytes())])
        .directory("short")
        .pax(&[("linkpath", deep.as_bytes())])
        .symlink("l", "short")
        .pax(&[("path", format!("l/{deep}x").as_bytes())])
        .file("short", "x")
        .end();
    assert!(bed.refusal(&archive).ends_with(": it lies more than 256 directories deep"));
}
