//! Layers made fit for the layers below them.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, XattrFlags, mknodat, setxattr};

use super::archives::Tar;
use super::bed::Bed;
use crate::layer::settle;

/// Directories end with `/`, opaque ones with `/!`, whiteouts with `-`; the rest are files, or links.
fn layer(bed: &Bed, name: &str, paths: &[&str]) -> PathBuf {
    let root = bed.below(name);
    for path in paths {
        if let Some((link, target)) = path.split_once(" -> ") {
            symlink(target, root.join(link)).unwrap();
        } else if let Some(path) = path.strip_suffix('-') {
            mknodat(CWD, root.join(path), FileType::CharacterDevice, Mode::empty(), 0).unwrap();
        } else if let Some(path) = path.strip_suffix("/!") {
            fs::create_dir(root.join(path)).unwrap();
            setxattr(root.join(path), c"trusted.overlay.opaque", b"y", XattrFlags::empty()).unwrap();
        } else if path.ends_with('/') {
            fs::create_dir(root.join(path)).unwrap();
        } else {
            fs::write(root.join(path), "").unwrap();
        }
    }
    root
}

fn give(path: &Path, mode: u32, owner: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    std::os::unix::fs::chown(path, Some(owner), Some(owner)).unwrap();
    fs::File::open(path).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
    setxattr(path, c"user.note", b"kept", XattrFlags::empty()).unwrap();
}

fn attributes(path: &Path) -> (u32, u32, bool) {
    let found = fs::symlink_metadata(path).unwrap();
    let mut note = [0_u8; 4];
    let has_note = rustix::fs::getxattr(path, c"user.note", &mut note[..]).is_ok();
    assert_eq!(found.mtime(), 0, "{}", path.display());
    (found.mode() & 0o7777, found.uid(), has_note)
}

const DEFAULT: (u32, u32, bool) = (0o755, 0, false);

#[test]
fn directories_without_an_entry_are_as_in_the_topmost_layer_below() {
    let Some(bed) = Bed::of_root() else { return };
    let unpacked = bed.unpack(&Tar::new().file("a/b/c", "").file("new/x", "").end()).unwrap();
    let below = [layer(&bed, "top", &["a/"]), layer(&bed, "bottom", &["a/", "a/b/"])];
    give(&below[0], 0o750, 9);
    give(&below[0].join("a"), 0o711, 1);
    give(&below[1].join("a"), 0o700, 2);
    give(&below[1].join("a/b"), 0o1777, 3);
    settle(&bed.fs(), &unpacked, &below).unwrap();
    assert_eq!(attributes(&bed.fs()), (0o750, 9, true));
    assert_eq!(attributes(&bed.fs().join("a")), (0o711, 1, true));
    assert_eq!(attributes(&bed.fs().join("a/b")), (0o1777, 3, true));
    assert_eq!(attributes(&bed.fs().join("new")), DEFAULT);
}

/// What hides the model, of every kind, on the way to it and in its place.
#[test]
fn what_does_not_show_is_no_model() {
    for (hiding, path) in [
        (&["a-"][..], "a/b/x"),
        (&["a"], "a/b/x"),
        (&["a -> elsewhere", "elsewhere/", "elsewhere/b/"], "a/b/x"),
        (&["a/!"], "a/b/x"),
        (&["a/", "a/b-"], "a/b/x"),
        (&["a/", "a/b -> ../elsewhere", "elsewhere/"], "a/b/x"),
    ] {
        let Some(bed) = Bed::of_root() else { return };
        let unpacked = bed.unpack(&Tar::new().directory("a/").file(path, "").end()).unwrap();
        let below = [layer(&bed, "top", hiding), layer(&bed, "bottom", &["a/", "a/b/"])];
        give(&below[1].join("a"), 0o700, 2);
        give(&below[1].join("a/b"), 0o700, 2);
        settle(&bed.fs(), &unpacked, &below).unwrap();
        assert_eq!(attributes(&bed.fs().join("a/b")), DEFAULT, "{hiding:?}");
    }
}

#[test]
fn a_directory_in_an_opaque_one_is_new() {
    for opaque in [Tar::new().file("a/.wh..wh..opq", ""), Tar::new().file(".wh.a", "")] {
        let Some(bed) = Bed::of_root() else { return };
        let unpacked = bed.unpack(&opaque.file("a/b/x", "").end()).unwrap();
        let below = [layer(&bed, "below", &["a/", "a/b/"])];
        give(&below[0].join("a/b"), 0o700, 2);
        settle(&bed.fs(), &unpacked, &below).unwrap();
        assert_eq!(attributes(&bed.fs().join("a/b")), DEFAULT);
    }
}

#[test]
fn what_replaced_a_directory_stays_as_it_is() {
    let Some(bed) = Bed::of_root() else { return };
    let archive = Tar::new().file("a/b/x", "").file("c/d/x", "").file("a", "now a file").symlink("c/d", "/");
    let unpacked = bed.unpack(&archive.end()).unwrap();
    settle(&bed.fs(), &unpacked, &[]).unwrap();
    assert_eq!(bed.listing(), "a = now a file\nc/\nc/d -> /\n");
}

/// Overlayfs shows a whiteout in a directory of one layer as a file that cannot be opened.
#[test]
fn whiteouts_of_nothing_go_away() {
    let Some(bed) = Bed::of_root() else { return };
    let archive = Tar::new()
        .directory("dir/")
        .file("dir/.wh.there", "")
        .file("dir/.wh.not-there", "")
        .file("dir/.wh.gone", "")
        .file("dir/.wh.dir", "")
        .file("opaque/.wh..wh..opq", "")
        .file("opaque/.wh.there", "")
        .file("new/.wh.x", "")
        .file(".wh.there", "")
        .file(".wh.not-there", "")
        .end();
    let unpacked = bed.unpack(&archive).unwrap();
    let modified = fs::metadata(bed.fs().join("dir")).unwrap().modified().unwrap();
    let top = layer(&bed, "top", &["dir/", "dir/gone-"]);
    let bottom = ["dir/", "dir/there", "dir/gone", "dir/dir/", "opaque/", "opaque/there", "there"];
    settle(&bed.fs(), &unpacked, &[top, layer(&bed, "bottom", &bottom)]).unwrap();
    assert_eq!(bed.listing(), "dir/\ndir/dir gone\ndir/there gone\nnew/\nopaque/ opaque\nthere gone\n");
    assert_eq!(fs::metadata(bed.fs().join("dir")).unwrap().modified().unwrap(), modified);
    bed.check_repack(&archive);
}

/// Which overlayfs does not know.
#[test]
fn an_opaque_root_hides_all_that_shows() {
    let Some(bed) = Bed::of_root() else { return };
    let archive = Tar::new()
        .directory("./")
        .file(".wh..wh..opq", "")
        .file("file", "")
        .file("dir/x", "")
        .file(".wh.b", "")
        .end();
    let unpacked = bed.unpack(&archive).unwrap();
    let modified = fs::metadata(bed.fs()).unwrap().modified().unwrap();
    let below =
        [layer(&bed, "top", &["a", "b", "c-"]), layer(&bed, "bottom", &["dir/", "dir/y", "file", "d/"])];
    settle(&bed.fs(), &unpacked, &below).unwrap();
    assert_eq!(bed.listing(), "a gone\nb gone\nc gone\nd gone\ndir/ opaque\ndir/x = \nfile = \n");
    assert_eq!(fs::metadata(bed.fs()).unwrap().modified().unwrap(), modified);
    bed.check_repack(&archive);
}
