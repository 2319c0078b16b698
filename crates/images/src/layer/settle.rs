//! What a layer owes to the layers below: the attributes of directories it has no entry for, and which
//! whiteouts it needs.

use std::collections::BTreeSet;
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Mode, fgetxattr, fstat, futimens, mknodat, openat, statat, unlinkat,
};
use rustix::io::Errno;

use super::attributes::{Attributes, OPAQUE, attributes_of, times_of};
use super::error::LayerError;
use super::tree::{DIRECTORY, failed, set_opaque};
use super::unpack::Unpacked;

/// Makes a layer that was unpacked into `fs_dir` fit the layers below, `lower`, the topmost first.
///
/// * A directory without an entry of its own gets mode, owner, times and attributes of the one in its
///   place in the layers below; where there is none, mode 0755, root, and the epoch.
/// * A whiteout of what the layers below do not have goes away, since overlayfs shows it as a file that
///   cannot be opened when the directory is in one layer only.
/// * An opaque root, which overlayfs does not know, becomes whiteouts and opaque directories.
///
/// No links are followed, in any layer.
///
/// # Errors
/// Names the file.
pub(crate) fn settle(fs_dir: &Path, unpacked: &Unpacked, lower: &[PathBuf]) -> Result<(), LayerError> {
    let open = |path: &Path| {
        openat(CWD, path, DIRECTORY, Mode::empty()).map_err(|error| failed("open", path.to_owned(), error))
    };
    let root = open(fs_dir)?;
    let lower: Vec<OwnedFd> = lower.iter().map(|path| open(path)).collect::<Result<_, _>>()?;
    let layer = Layer { root, lower };
    layer.hide_all().map_err(|error| failed("hide what is below", PathBuf::from("/"), error))?;
    for path in &unpacked.whiteouts {
        layer.whiteout(path).map_err(|error| failed("settle the whiteout", path.clone(), error))?;
    }
    for path in &unpacked.implied {
        layer.implied(path).map_err(|(action, error)| failed(action, path.clone(), error))?;
    }
    Ok(())
}

struct Layer {
    root: OwnedFd,
    /// The topmost first.
    lower: Vec<OwnedFd>,
}

impl Layer {
    fn implied(&self, path: &Path) -> Result<(), (&'static str, Errno)> {
        let look = |error| ("look at", error);
        // What took its place later in the archive has its own attributes.
        let Found::Directory { fd, hides } = find(&self.root, path).map_err(look)? else { return Ok(()) };
        let below = if hides { None } else { self.below(path).map_err(look)? };
        let attributes = match below {
            Some(Shown::Directory(model)) => attributes_of(&model).map_err(look)?,
            Some(Shown::Other) | None => Attributes::of_implied(),
        };
        attributes.give(fd.as_fd(), &fstat(&fd).map_err(look)?)
    }

    fn whiteout(&self, path: &Path) -> Result<(), Errno> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Ok(()) };
        let name = CString::new(name.as_bytes()).map_err(|_| Errno::INVAL)?;
        let Found::Directory { fd, hides } = find(&self.root, parent)? else { return Ok(()) };
        if !hides && self.below(path)?.is_some() || kind_of(&fd, &name)? != Some(FileType::CharacterDevice) {
            return Ok(());
        }
        keeping_times(&fd, || unlinkat(&fd, &name, AtFlags::empty()))
    }

    /// When the root is opaque.
    fn hide_all(&self) -> Result<(), Errno> {
        if !is_opaque(&self.root)? {
            return Ok(());
        }
        let mut names = BTreeSet::new();
        for layer in &self.lower {
            for entry in Dir::read_from(layer)? {
                names.insert(entry?.file_name().to_owned());
            }
        }
        let hide = |name: &CString| match kind_of(&self.root, name)? {
            None => mknodat(&self.root, name, FileType::CharacterDevice, Mode::empty(), 0),
            Some(FileType::Directory) => {
                set_opaque(openat(&self.root, name, DIRECTORY, Mode::empty())?.as_fd())
            }
            Some(_) => Ok(()),
        };
        let names = names.iter().filter(|name| !matches!(name.to_bytes(), b"." | b".."));
        keeping_times(&self.root, || names.into_iter().try_for_each(hide))
    }

    /// What shows at `path` when the layers below lie over one another.
    fn below(&self, path: &Path) -> Result<Option<Shown>, Errno> {
        for layer in &self.lower {
            match find(layer, path)? {
                Found::Directory { fd, .. } => return Ok(Some(Shown::Directory(fd))),
                Found::Other => return Ok(Some(Shown::Other)),
                Found::Hidden => return Ok(None),
                Found::Nothing => {}
            }
        }
        Ok(None)
    }
}

enum Shown {
    Directory(OwnedFd),
    Other,
}

/// What one layer says about a path.
enum Found {
    /// `hides`: it, or one above it, hides what the layers below have there.
    Directory {
        fd: OwnedFd,
        hides: bool,
    },
    Other,
    /// Not there, and nor is what the layers below have.
    Hidden,
    Nothing,
}

fn find(layer: &OwnedFd, path: &Path) -> Result<Found, Errno> {
    let mut fd = openat(layer, c".", DIRECTORY, Mode::empty())?;
    // The root's own mark means nothing to overlayfs.
    let mut hides = false;
    let mut components = path.components();
    while let Some(component) = components.next() {
        let Component::Normal(name) = component else { return Ok(Found::Hidden) };
        let name = CString::new(name.as_bytes()).map_err(|_| Errno::INVAL)?;
        match openat(&fd, &name, DIRECTORY, Mode::empty()) {
            Ok(next) => fd = next,
            Err(Errno::NOENT) if hides => return Ok(Found::Hidden),
            Err(Errno::NOENT) => return Ok(Found::Nothing),
            Err(Errno::NOTDIR | Errno::LOOP) => {
                let is_whiteout = kind_of(&fd, &name)? == Some(FileType::CharacterDevice);
                let is_last = components.next().is_none();
                return Ok(if is_last && !is_whiteout { Found::Other } else { Found::Hidden });
            }
            Err(error) => return Err(error),
        }
        hides |= is_opaque(&fd)?;
    }
    Ok(Found::Directory { fd, hides })
}

fn kind_of(parent: &OwnedFd, name: &CStr) -> Result<Option<FileType>, Errno> {
    match statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(FileType::from_raw_mode(stat.st_mode))),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error),
    }
}

fn is_opaque(fd: &OwnedFd) -> Result<bool, Errno> {
    let mut value = [0_u8; 1];
    match fgetxattr(fd, OPAQUE, &mut value[..]) {
        Ok(length) => Ok(length == 1 && value == *b"y"),
        Err(Errno::NODATA | Errno::OPNOTSUPP | Errno::RANGE) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Changes what is in a directory as if it had always been so.
fn keeping_times(directory: &OwnedFd, change: impl FnOnce() -> Result<(), Errno>) -> Result<(), Errno> {
    let times = times_of(&fstat(directory)?);
    change()?;
    futimens(directory, &times)
}
