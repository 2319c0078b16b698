//! Volumes that are not mounted as the whole of one directory: a path below one, and the files of an image. Those that an
//! image asks for are in [`super::own_image`].
//!
//! They are opened here, by the shim, and go to the child as mounts by descriptor. Below a volume the kernel resolves
//! every path so that it stays there (`RESOLVE_BENEATH`): whatever the pod does meanwhile to the links in its
//! volume, its container gets what was found, and nothing outside is ever found.

use std::ffi::CString;
use std::fs::DirBuilder;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Component, Path, PathBuf};

use container_config::{BindSource, ContainerConfig, ImageSource, MountKind};
use linux_sys::in_root::{self, Missing};
use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, fchmod, fstat, mkdirat, open, openat, openat2};
use rustix::io::Errno;
use rustix::mount::{MountFlags, OpenTreeFlags, UnmountFlags, mount, open_tree, unmount};

use super::SpawnError;
use super::error::c_string;
use super::explain::explain_ids;
use super::file_system::mount_mapped;
use super::mount_data::MountData;
use super::own_image::OwnImage;
use super::users::Users;

/// A mount that is mounted nowhere yet.
#[derive(Debug)]
pub(super) struct Tree {
    pub(super) mount: OwnedFd,
    /// What it takes to mount it on.
    pub(super) kind: Missing,
}

/// How often a path is resolved anew because something on it was just being moved.
const TRIES_MAX: usize = 1_000;
const MODE_BITS: u32 = 0o7777;

/// For each mount of the container, what has to be opened before there is a process.
pub(super) fn open_trees(
    config: &ContainerConfig,
    attempt_dir: &Path,
    users: Option<&Users>,
) -> Result<Vec<Option<Tree>>, SpawnError> {
    let mut own_image = None;
    let mut tree = |(at, mount): (usize, &container_config::Mount)| match &mount.kind {
        MountKind::Bind(BindSource { path, volume, sub_path: Some(sub_path), .. }) => {
            let named = (volume.as_deref().unwrap_or_default(), config.name.as_str());
            open_sub_path(path, sub_path, named).map(Some)
        }
        // Mounted where the host's paths lead nowhere any more; or a copy of what the shim has, not of a copy of it.
        MountKind::Bind(BindSource { path, shares_mounts, .. })
            if *shares_mounts || users.is_some() && mount.target.starts_with("/proc/") =>
        {
            let failed = || SpawnError::create(format!("use {}", path.display()));
            let found = open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).map_err(failed())?;
            clone(found.as_fd()).map(Some).map_err(failed())
        }
        MountKind::Image(source) => {
            mount_image(source, &attempt_dir.join(format!("volumes/{at}")), users).map(Some)
        }
        MountKind::OwnImage => {
            let image = match own_image.take() {
                Some(image) => image,
                None => OwnImage::mount(&config.root.layers, &attempt_dir.join("volumes/own"), users)?,
            };
            own_image.insert(image).part(&mount.target).map(Some)
        }
        _ => Ok(None),
    };
    config.mounts.iter().enumerate().map(&mut tree).collect()
}

/// Of volume and container, for the error, whose words are the kubelet's.
fn open_sub_path(
    volume: &Path,
    sub_path: &str,
    (volume_name, container): (&str, &str),
) -> Result<Tree, SpawnError> {
    let failed = |what: &str| {
        let what = format!("failed to {what} for volumeMount \"{volume_name}\" of container \"{container}\"");
        move |errno: Errno| SpawnError::Volume { what, source: explain(errno) }
    };
    let prepare = "prepare subPath";
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let volume = open(volume, flags, Mode::empty()).map_err(failed(prepare))?;
    let sub_path = Path::new(sub_path);
    let found = match open_below(volume.as_fd(), sub_path) {
        Err(Errno::NOENT) => {
            make_below(volume.as_fd(), sub_path).map_err(failed("create subPath directory"))?;
            open_below(volume.as_fd(), sub_path)
        }
        found => found,
    };
    found.and_then(|found| clone(found.as_fd())).map_err(failed(prepare))
}

fn open_below(volume: BorrowedFd<'_>, path: &Path) -> Result<OwnedFd, Errno> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    for _ in 0..TRIES_MAX {
        match openat2(volume, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), resolve) {
            Err(Errno::AGAIN) => {}
            found => return found,
        }
    }
    Err(Errno::AGAIN)
}

/// Makes the directories that are missing, with the mode of the volume's own.
fn make_below(volume: BorrowedFd<'_>, path: &Path) -> Result<(), Errno> {
    let mode = Mode::from_raw_mode(fstat(volume)?.st_mode & MODE_BITS);
    let mut parent = open_below(volume, Path::new("."))?;
    let mut so_far = PathBuf::new();
    for component in path.components() {
        let Component::Normal(name) = component else { continue };
        so_far.push(name);
        parent = match open_below(volume, &so_far) {
            Err(Errno::NOENT) => make_one(parent.as_fd(), name.as_bytes(), mode)?,
            found => found?,
        };
    }
    Ok(())
}

/// A link in its place is an error, be it one to nothing.
fn make_one(parent: BorrowedFd<'_>, name: &[u8], mode: Mode) -> Result<OwnedFd, Errno> {
    mkdirat(parent, name, mode)?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let made = openat(parent, name, flags, Mode::empty())?;
    // Whatever the umask.
    fchmod(&made, mode)?;
    Ok(made)
}

/// A copy of the mount, cut at what is open, with everything mounted below it.
pub(super) fn clone(found: BorrowedFd<'_>) -> Result<Tree, Errno> {
    let kind = match FileType::from_raw_mode(fstat(found)?.st_mode) {
        FileType::Directory => Missing::Directory,
        _ => Missing::File,
    };
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_EMPTY_PATH
        | OpenTreeFlags::AT_RECURSIVE;
    Ok(Tree { mount: open_tree(found, c"", flags)?, kind })
}

/// Says nothing of what is outside of the volume, be it only whether it is there.
fn explain(errno: Errno) -> io::Error {
    match errno {
        Errno::XDEV => io::Error::other("it leads out of the volume"),
        Errno::LOOP => io::Error::other("links in it lead in a circle"),
        Errno::NOTDIR => io::Error::other("there is a file on the way"),
        Errno::EXIST => io::Error::other("a link to nothing is on the way"),
        Errno::AGAIN => io::Error::other("what is on the way is being moved all the time"),
        other => other.into(),
    }
}

/// Where the image is put together: in this mount namespace alone, and only until it is copied.
pub(super) struct Scratch(pub(super) PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        // Where nothing was mounted, there is nothing to unmount; the namespace ends with this process.
        let _ = unmount(&self.0, UnmountFlags::DETACH);
    }
}

fn mount_image(source: &ImageSource, directory: &Path, users: Option<&Users>) -> Result<Tree, SpawnError> {
    let failed = |what: &str| {
        let what = format!("{what} of volume \"{}\"", source.volume);
        move |errno: Errno| SpawnError::create::<io::Error>(what)(explain_ids(errno))
    };
    // An overlay without anything to write to takes two layers.
    let (empty, merged) = (directory.join("empty"), directory.join("merged"));
    let mapped = Mapped { at: directory.join("mapped"), users };
    for directory in [Some(&empty), Some(&merged), users.map(|_| &mapped.at)].into_iter().flatten() {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(directory);
        made.map_err(SpawnError::create::<io::Error>(format!("make {}", directory.display())))?;
    }
    let (Some(top), below) = (source.layers.first(), source.layers.get(1..).unwrap_or_default()) else {
        return Err(failed("find a layer in the image")(Errno::NOENT));
    };
    let scratch = Scratch(merged);
    let target = open_directory(&scratch.0).map_err(failed("mount the image"))?;
    mount_overlay(target.as_fd(), &top.lower, &empty, &mapped).map_err(failed("mount the image"))?;
    let root = open_directory(&scratch.0).map_err(failed("open the image"))?;
    for layer in below {
        let target = c_string(layer.target.as_str(), "a layer's target")?;
        let target = in_root::open(root.as_fd(), &target, OFlags::PATH | OFlags::DIRECTORY);
        target
            .and_then(|target| mount_overlay(target.as_fd(), &layer.lower, &empty, &mapped))
            .map_err(failed("mount the image"))?;
    }
    let Some(sub_path) = &source.sub_path else {
        return clone(root.as_fd()).map_err(failed("copy the image"));
    };
    let found = open_below(root.as_fd(), Path::new(sub_path)).and_then(|found| clone(found.as_fd()));
    found.map_err(|errno| SpawnError::Create {
        what: format!("find subPath \"{sub_path}\" in the image of volume \"{}\"", source.volume),
        source: explain(errno),
    })
}

pub(super) fn open_directory(path: &Path) -> Result<OwnedFd, Errno> {
    openat(CWD, path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}

/// Directories are named by descriptor: paths could be too long together, and some bytes in them mean something to
/// overlay.
fn mount_overlay(
    target: BorrowedFd<'_>,
    lower: &[PathBuf],
    empty: &Path,
    mapped: &Mapped<'_>,
) -> Result<(), Errno> {
    let mut lower = lower.iter().map(|layer| mapped.open(layer)).collect::<Result<Vec<_>, _>>()?;
    lower.push(open_directory(empty)?);
    let mut data = MountData::new();
    data.push(b"lowerdir=")?;
    for (at, layer) in lower.iter().enumerate() {
        data.push(if at == 0 { b"" } else { b":" })?;
        data.push_fd(layer.as_raw_fd())?;
    }
    let mut path = MountData::new();
    path.push_fd(target.as_raw_fd())?;
    mount(c"overlay", path.as_c_str()?, c"overlay", MountFlags::RDONLY, data.as_c_str()?)
}

/// Where layers are mounted with a pod's ids until they are in an overlay.
pub(super) struct Mapped<'u> {
    pub(super) at: PathBuf,
    pub(super) users: Option<&'u Users>,
}

impl Mapped<'_> {
    pub(super) fn open(&self, layer: &Path) -> Result<OwnedFd, Errno> {
        let Some(users) = self.users else { return open_directory(layer) };
        let text = |path: &Path| CString::new(path.as_os_str().as_bytes()).map_err(|_| Errno::INVAL);
        mount_mapped(&text(layer)?, &text(&self.at)?, users.namespace())
    }
}

impl Drop for Mapped<'_> {
    fn drop(&mut self) {
        if self.users.is_some() {
            while unmount(&self.at, UnmountFlags::DETACH).is_ok() {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::fd::AsFd;
    use std::os::unix::fs::{MetadataExt as _, symlink};
    use std::path::Path;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use rustix::fs::{CWD, RenameFlags, fstat, renameat_with};

    use super::{make_below, open_below, open_directory};

    /// Directories on the way are swapped for links out of the volume, as fast as it goes.
    #[test]
    fn whatever_is_swapped_nothing_outside_is_found_or_made() {
        const TRIES: usize = 20_000;
        let base = std::env::temp_dir().join(format!("monopod-sub-path-{}", std::process::id()));
        let (volume, outside) = (base.join("volume"), base.join("outside"));
        fs::create_dir_all(volume.join("x/y")).unwrap();
        fs::create_dir_all(outside.join("y")).unwrap();
        symlink("../outside", volume.join("other")).unwrap();
        let inside = fs::metadata(volume.join("x/y")).unwrap().ino();
        let over = Arc::new(AtomicBool::new(false));
        let swapper = {
            let (over, x, other) = (Arc::clone(&over), volume.join("x"), volume.join("other"));
            std::thread::spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    renameat_with(CWD, &x, CWD, &other, RenameFlags::EXCHANGE).unwrap();
                }
            })
        };
        let directory = open_directory(&volume).unwrap();
        let (mut found, mut refused) = (0, 0);
        for number in 0..TRIES {
            match open_below(directory.as_fd(), Path::new("x/y")) {
                Ok(opened) => {
                    assert_eq!(fstat(&opened).unwrap().st_ino, inside);
                    found += 1;
                }
                Err(_) => refused += 1,
            }
            let _ = make_below(directory.as_fd(), Path::new(&format!("x/{}/z", number % 8)));
        }
        over.store(true, Ordering::Relaxed);
        swapper.join().unwrap();
        assert!(found > 0 && refused > 0, "{found} found, {refused} refused: nothing was raced");
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 1, "something was made outside");
        fs::remove_dir_all(&base).unwrap();
    }
}
