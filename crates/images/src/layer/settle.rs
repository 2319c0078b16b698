//! Directories that a layer puts files in without an entry of their own are as in the layers below.

use std::ffi::CString;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{CWD, Mode, fgetxattr, fstat, openat};
use rustix::io::Errno;

use super::attributes::{Attributes, OPAQUE, attributes_of};
use super::error::LayerError;
use super::tree::{DIRECTORY, failed};

/// Gives the directories `implied` of the layer in `fs_dir` mode, owner, times and attributes of the
/// directory that is in their place in the layers below, `lower`, the topmost first; where there is
/// none, mode 0755, root, and the epoch.
///
/// No links are followed, in any layer.
///
/// # Errors
/// Names the directory.
#[cfg_attr(not(test), expect(dead_code, reason = "the store, to come, uses it"))]
pub(crate) fn settle(fs_dir: &Path, implied: &[PathBuf], lower: &[PathBuf]) -> Result<(), LayerError> {
    let open = |path: &Path| {
        openat(CWD, path, DIRECTORY, Mode::empty()).map_err(|error| failed("open", path.to_owned(), error))
    };
    let root = open(fs_dir)?;
    let lower: Vec<OwnedFd> = lower.iter().map(|path| open(path)).collect::<Result<_, _>>()?;
    for path in implied {
        settle_one(&root, path, &lower).map_err(|(action, error)| failed(action, path.clone(), error))?;
    }
    Ok(())
}

type Failed = (&'static str, Errno);

fn settle_one(root: &OwnedFd, path: &Path, lower: &[OwnedFd]) -> Result<(), Failed> {
    let look = |error| ("look at", error);
    // What took its place later in the archive has its own attributes.
    let Found::Directory { fd, hides } = find(root, path).map_err(look)? else { return Ok(()) };
    let model = if hides { None } else { model(path, lower).map_err(look)? };
    let attributes = match model {
        Some(model) => attributes_of(&model).map_err(look)?,
        None => Attributes::of_implied(),
    };
    attributes.give(fd.as_fd(), &fstat(&fd).map_err(look)?)
}

/// The directory that shows at `path` when the layers lie over one another.
fn model(path: &Path, lower: &[OwnedFd]) -> Result<Option<OwnedFd>, Errno> {
    for layer in lower {
        match find(layer, path)? {
            Found::Directory { fd, .. } => return Ok(Some(fd)),
            Found::Hidden => return Ok(None),
            Found::Nothing => {}
        }
    }
    Ok(None)
}

enum Found {
    /// `hides`: it, or one above it, hides what the layers below have there.
    Directory {
        fd: OwnedFd,
        hides: bool,
    },
    /// Not there, and nor is what the layers below have.
    Hidden,
    Nothing,
}

fn find(layer: &OwnedFd, path: &Path) -> Result<Found, Errno> {
    let mut fd = openat(layer, c".", DIRECTORY, Mode::empty())?;
    let mut hides = is_opaque(&fd)?;
    for component in path.components() {
        let Component::Normal(name) = component else { return Ok(Found::Hidden) };
        let name = CString::new(name.as_bytes()).map_err(|_| Errno::INVAL)?;
        match openat(&fd, &name, DIRECTORY, Mode::empty()) {
            Ok(next) => fd = next,
            Err(Errno::NOENT) if hides => return Ok(Found::Hidden),
            Err(Errno::NOENT) => return Ok(Found::Nothing),
            // A file, a link, or a whiteout.
            Err(Errno::NOTDIR | Errno::LOOP) => return Ok(Found::Hidden),
            Err(error) => return Err(error),
        }
        hides |= is_opaque(&fd)?;
    }
    Ok(Found::Directory { fd, hides })
}

fn is_opaque(fd: &OwnedFd) -> Result<bool, Errno> {
    let mut value = [0_u8; 1];
    match fgetxattr(fd, OPAQUE, &mut value[..]) {
        Ok(length) => Ok(length == 1 && value == *b"y"),
        Err(Errno::NODATA | Errno::OPNOTSUPP | Errno::RANGE) => Ok(false),
        Err(error) => Err(error),
    }
}
