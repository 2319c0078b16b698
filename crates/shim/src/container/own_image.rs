//! Volumes that an image asks for (`VOLUME`): what the image has there, in a layer of the attempt's own that stays writable
//! when the root is read-only.
//!
//! It is the image mounted once more, with another upper directory, of which the container gets the parts. So nothing is
//! copied, however much there is, owners and modes are the image's, and it goes with the attempt's directory.

use std::fs::DirBuilder;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

use container_config::Layer;
use linux_sys::in_root::{self, Missing};
use rustix::fs::{Gid, Mode, OFlags, Uid, fchmod, fchown, openat};
use rustix::io::Errno;
use rustix::mount::{MountFlags, mount};

use super::SpawnError;
use super::error::c_string;
use super::explain::explain_ids;
use super::mount_data::MountData;
use super::spawn::{MAPPED, make_layer};
use super::users::{Users, on_host};
use super::volume::{Mapped, Scratch, Tree, clone, open_directory};

/// Of a directory that the image does not have.
const MODE: Mode = Mode::from_raw_mode(0o755);

/// The image of a container with a layer for its volumes; mounted until this value ends, the parts beyond.
pub(super) struct OwnImage<'u> {
    root: OwnedFd,
    users: Option<&'u Users>,
    _scratch: Scratch,
}

impl<'u> OwnImage<'u> {
    /// What is written goes into `directory`, which is made.
    pub(super) fn mount(
        layers: &[Layer],
        directory: &Path,
        users: Option<&'u Users>,
    ) -> Result<Self, SpawnError> {
        let merged = directory.join("merged");
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&merged);
        made.map_err(SpawnError::create::<io::Error>(format!("make {}", merged.display())))?;
        let scratch = Scratch(merged);
        let mut root: Option<OwnedFd> = None;
        for (at, layer) in layers.iter().enumerate() {
            let own = directory.join(at.to_string());
            let (upper, work) = make_layer(layer, &own, users)?;
            let mapped = Mapped { at: own.join(MAPPED), users };
            let inner = c_string(layer.target.as_str(), "a layer's target")?;
            let target = match &root {
                None => open_directory(&scratch.0),
                Some(root) => in_root::open(root.as_fd(), &inner, OFlags::PATH | OFlags::DIRECTORY),
            };
            let mounted =
                target.and_then(|target| mount_overlay(target.as_fd(), layer, (&upper, &work), &mapped));
            mounted.map_err(|errno| failed("mount the image for its volumes")(explain_ids(errno)))?;
            if root.is_none() {
                root =
                    Some(open_directory(&scratch.0).map_err(|errno| failed("open the image")(errno.into()))?);
            }
        }
        let root = root.ok_or_else(|| failed("find a layer in the image")(Errno::NOENT.into()))?;
        Ok(Self { root, users, _scratch: scratch })
    }

    /// What the image has at the path; a directory of the container's root user, when that is nothing.
    pub(super) fn part(&self, path: &str) -> Result<Tree, SpawnError> {
        let inner = c_string(path, "a volume's path")?;
        let found = match in_root::open(self.root.as_fd(), &inner, OFlags::PATH | OFlags::DIRECTORY) {
            Err(Errno::NOENT) => in_root::open_or_make(self.root.as_fd(), &inner, Missing::Directory)
                .and_then(|made| self.own(made.as_fd())),
            found => found,
        };
        found.and_then(|found| clone(found.as_fd())).map_err(|errno| {
            failed(&format!("make the volume {path} that the image asks for"))(match errno {
                Errno::NOTDIR => io::Error::other("there is a file in the image"),
                other => other.into(),
            })
        })
    }

    /// Whatever the umask.
    fn own(&self, made: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let made = openat(made, c".", flags, Mode::empty())?;
        let root = on_host(self.users, 0);
        fchown(&made, Some(Uid::from_raw(root)), Some(Gid::from_raw(root)))?;
        fchmod(&made, MODE)?;
        Ok(made)
    }
}

fn mount_overlay(
    target: BorrowedFd<'_>,
    layer: &Layer,
    (upper, work): (&Path, &Path),
    mapped: &Mapped<'_>,
) -> Result<(), Errno> {
    let lower = layer.lower.iter().map(|lower| mapped.open(lower)).collect::<Result<Vec<_>, _>>()?;
    let (upper, work) = (open_directory(upper)?, open_directory(work)?);
    let mut data = MountData::new();
    data.push(b"lowerdir=")?;
    for (at, lower) in lower.iter().enumerate() {
        data.push(if at == 0 { b"" } else { b":" })?;
        data.push_fd(lower.as_raw_fd())?;
    }
    for (option, directory) in [(&b",upperdir="[..], &upper), (b",workdir=", &work)] {
        data.push(option)?;
        data.push_fd(directory.as_raw_fd())?;
    }
    let mut path = MountData::new();
    path.push_fd(target.as_raw_fd())?;
    mount(c"overlay", path.as_c_str()?, c"overlay", MountFlags::empty(), data.as_c_str()?)
}

fn failed(what: &str) -> impl FnOnce(io::Error) -> SpawnError {
    SpawnError::create::<io::Error>(what)
}
