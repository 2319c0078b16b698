//! Single files of an image as its containers see them: layers merged, links followed inside the image.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, getxattr, openat, readlinkat, statat};
use rustix::io::Errno;

/// As the kernel follows for one path.
const LINKS_MAX: usize = 40;
const OPAQUE: &str = "trusted.overlay.opaque";

enum Found {
    Directory,
    Link(PathBuf),
    /// A regular file, by the open directory it is in.
    File(OwnedFd, OsString),
    /// What can be no text: a device, a socket, a pipe.
    Other,
}

/// The text of a regular file; empty when there is none at `path`. `layers` are topmost first.
pub(super) fn read_text(layers: &[PathBuf], path: &str, bytes_max: u64) -> io::Result<String> {
    let Some(file) = open(layers, Path::new(path))? else { return Ok(String::new()) };
    let mut bytes = Vec::new();
    file.take(bytes_max + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > bytes_max {
        return Err(io::Error::other(format!("it is longer than {bytes_max} bytes")));
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn open(layers: &[PathBuf], path: &Path) -> io::Result<Option<File>> {
    let mut rest = Vec::new();
    push(&mut rest, path);
    let mut at = PathBuf::new();
    let mut links = 0;
    while let Some(name) = rest.pop() {
        if name == ".." {
            at.pop();
            continue;
        }
        match find(layers, &at.join(&name))? {
            Some(Found::Directory) => at.push(name),
            Some(Found::Link(target)) if links < LINKS_MAX => {
                links += 1;
                if target.is_absolute() {
                    at.clear();
                }
                push(&mut rest, &target);
            }
            Some(Found::File(directory, name)) if rest.is_empty() => {
                let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
                return Ok(Some(openat(directory, name, flags, Mode::empty())?.into()));
            }
            _ => return Ok(None),
        }
    }
    Ok(None)
}

/// Adds the components of `path` to a stack, the first on top.
fn push(rest: &mut Vec<OsString>, path: &Path) {
    let names = path.components().rev().filter_map(|component| match component {
        Component::Normal(name) => Some(name),
        Component::ParentDir => Some(OsStr::new("..")),
        Component::CurDir | Component::RootDir | Component::Prefix(_) => None,
    });
    rest.extend(names.map(OsStr::to_owned));
}

/// What is at `path`, whose directories are known to be ones in the merged tree.
fn find(layers: &[PathBuf], path: &Path) -> io::Result<Option<Found>> {
    for layer in layers {
        match find_in_layer(layer, path)? {
            InLayer::Absent => {}
            InLayer::Hidden => return Ok(None),
            InLayer::Here(found) => return Ok(Some(found)),
        }
    }
    Ok(None)
}

enum InLayer {
    /// Whether there is one is up to the layers below.
    Absent,
    /// The layers below do not count.
    Hidden,
    Here(Found),
}

fn find_in_layer(layer: &Path, path: &Path) -> io::Result<InLayer> {
    let directory_flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut directory = openat(CWD, layer, directory_flags, Mode::empty())?;
    let mut absent = InLayer::Absent;
    let mut names = path.iter().peekable();
    while let Some(name) = names.next() {
        let stat = match statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => return Ok(absent),
            stat => stat?,
        };
        let kind = FileType::from_raw_mode(stat.st_mode);
        let is_last = names.peek().is_none();
        match kind {
            FileType::CharacterDevice if stat.st_rdev == 0 => return Ok(InLayer::Hidden),
            FileType::Directory if is_last => return Ok(InLayer::Here(Found::Directory)),
            FileType::Directory => {
                directory = openat(&directory, name, directory_flags, Mode::empty())?;
                if is_opaque(&directory) {
                    absent = InLayer::Hidden;
                }
            }
            // Below a directory of a layer above, so it does not show.
            _ if !is_last => return Ok(InLayer::Hidden),
            FileType::Symlink => {
                let target = readlinkat(&directory, name, Vec::new())?;
                let target = OsString::from_vec(target.into_bytes());
                return Ok(InLayer::Here(Found::Link(target.into())));
            }
            FileType::RegularFile => return Ok(InLayer::Here(Found::File(directory, name.to_owned()))),
            _ => return Ok(InLayer::Here(Found::Other)),
        }
    }
    Ok(absent)
}

fn is_opaque(directory: &OwnedFd) -> bool {
    let path = format!("/proc/self/fd/{}", directory.as_raw_fd());
    let mut value = [0; 1];
    getxattr(path, OPAQUE, &mut value).is_ok_and(|length| &value[..length] == b"y")
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::{Path, PathBuf};

    use rustix::fs::{CWD, FileType, Mode, XattrFlags, mknodat, setxattr};

    use super::{OPAQUE, read_text};
    use crate::host::tests::Directory;

    /// Layers named by digits; the topmost is the last.
    struct Image {
        directory: Directory,
    }

    impl Image {
        fn at(&self, path: &str) -> PathBuf {
            let path = self.directory.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            path
        }

        fn file(&self, path: &str) {
            fs::write(self.at(path), path).unwrap();
        }

        fn whiteout(&self, path: &str) {
            mknodat(CWD, self.at(path), FileType::CharacterDevice, Mode::empty(), 0).unwrap();
        }

        fn passwd(&self) -> String {
            let mut layers: Vec<PathBuf> =
                fs::read_dir(self.directory.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
            layers.sort_unstable();
            layers.reverse();
            read_text(&layers, "/etc/passwd", 100).unwrap()
        }
    }

    fn image() -> Option<Image> {
        if rustix::process::geteuid().is_root() {
            return Some(Image { directory: Directory::new() });
        }
        println!("Skipped(whiteouts need root)");
        None
    }

    #[test]
    fn the_topmost_layer_that_has_it_counts() {
        let Some(image) = image() else { return };
        image.file("0/etc/passwd");
        image.file("1/etc/other");
        assert_eq!(image.passwd(), "0/etc/passwd");
        image.file("2/etc/passwd");
        assert_eq!(image.passwd(), "2/etc/passwd");
        image.whiteout("3/etc/passwd");
        assert_eq!(image.passwd(), "");
        image.file("4/etc/passwd");
        assert_eq!(image.passwd(), "4/etc/passwd");
        image.whiteout("5/etc");
        assert_eq!(image.passwd(), "");
    }

    #[test]
    fn an_opaque_directory_hides_what_is_below() {
        let Some(image) = image() else { return };
        image.file("0/etc/passwd");
        image.file("1/etc/other");
        setxattr(image.at("1/etc"), OPAQUE, b"y", XattrFlags::empty()).unwrap();
        assert_eq!(image.passwd(), "");
        image.file("2/etc/passwd");
        assert_eq!(image.passwd(), "2/etc/passwd");
    }

    #[test]
    fn links_lead_nowhere_but_into_the_image() {
        let Some(image) = image() else { return };
        let outside = Directory::new();
        fs::create_dir(outside.path().join("etc")).unwrap();
        fs::write(outside.path().join("etc/passwd"), "secret").unwrap();
        image.file("0/usr/share/passwd");
        let link = |target: &Path| {
            let path = image.at("1/etc/passwd");
            let _ = fs::remove_file(&path);
            symlink(target, path).unwrap();
        };
        for inside in ["/usr/share/passwd", "../usr/share/passwd", "../../../../usr/./share/passwd"] {
            link(Path::new(inside));
            assert_eq!(image.passwd(), "0/usr/share/passwd", "{inside}");
        }
        for outside in
            [&outside.path().join("etc/passwd"), Path::new("passwd"), Path::new("/usr"), Path::new("/gone")]
        {
            link(outside);
            assert_eq!(image.passwd(), "", "{}", outside.display());
        }
        // A directory above a link of the layer below.
        symlink(outside.path().join("etc"), image.at("0/etc")).unwrap();
        fs::remove_file(image.at("1/etc/passwd")).unwrap();
        assert_eq!(image.passwd(), "");
        fs::remove_dir(image.at("1/etc")).unwrap();
        assert_eq!(image.passwd(), "", "a link out of the image");
    }

    #[test]
    fn what_is_no_text_is_nothing_and_what_is_too_long_an_error() {
        let Some(image) = image() else { return };
        mknodat(CWD, image.at("0/etc/passwd"), FileType::Fifo, Mode::RUSR, 0).unwrap();
        assert_eq!(image.passwd(), "");
        fs::remove_file(image.at("0/etc/passwd")).unwrap();
        fs::write(image.at("0/etc/passwd"), "x".repeat(101)).unwrap();
        let error = read_text(&[image.at("0")], "/etc/passwd", 100).unwrap_err().to_string();
        assert!(error.contains("longer than 100"), "{error}");
    }
}
