//! Files that change all at once: each state has a directory of its own, `..data` is a link to the one that counts,
//! and the names that containers see are links through it. The layout is Kubernetes', for programs know it
//! (<https://kubernetes.io/docs/concepts/configuration/configmap/#mounted-configmaps-are-updated-automatically>).
//!
//! Everything is done relative to directories that are open, and no link is followed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File as FsFile;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use container_config::{File, Files};
use linux_sys::remove_tree::remove_tree;
use podspec::WallTime;
use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Gid, Mode, OFlags, Uid, fchmod, fchown, fstat, mkdirat, openat, readlinkat,
    renameat, symlinkat, unlinkat,
};
use rustix::io::Errno;

use crate::{VolumeError, ownership};

const DATA: &str = "..data";
const DATA_NEW: &str = "..data_tmp";
const DIRECTORY_MODE: u32 = 0o755;
/// Attempts to find a name that is not taken.
const NAMES_MAX: u32 = 100;
/// Directories within one another in a volume; paths of more are refused.
const DEPTH_MAX: usize = 64;

/// Brings the directory at `path`, which is there, to hold `files` and nothing else. They are `group`'s.
pub(crate) fn write(path: &Path, files: &Files, group: Option<u32>) -> Result<(), VolumeError> {
    let files = checked(files)?;
    let failed = |what: &str| {
        let path = path.join(what);
        move |error: Errno| VolumeError::Write { path, source: error.into() }
    };
    let top = open_dir(CWD, path).map_err(failed(""))?;
    let current = current(&top);
    let unchanged = current.as_ref().is_some_and(|name| holds(&top, name, &files, group));
    let name = if unchanged {
        current
    } else {
        let name = new_dir(&top).map_err(failed(DATA))?;
        let made = fill(&top, &name, &files, group).and_then(|()| publish(&top, &name).map_err(failed(DATA)));
        if let Err(error) = made {
            let _ = remove_tree(&path.join(&name));
            return Err(error);
        }
        Some(name)
    };
    link_names(&top, &files).map_err(failed(""))?;
    clean(&top, path, name.as_deref(), &files).map_err(failed(""))
}

/// Files by the parts of their paths, none of which can lead out or is the writer's own.
fn checked(files: &Files) -> Result<BTreeMap<Vec<&str>, &File>, VolumeError> {
    let mut checked = BTreeMap::new();
    for (path, file) in files {
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
        let is_hostile = path.starts_with('/')
            || path.contains('\0')
            || parts.contains(&"..")
            || parts.first().is_none_or(|first| first.starts_with(".."))
            || parts.len() > DEPTH_MAX;
        if is_hostile {
            return Err(VolumeError::HostileName { path: path.clone() });
        }
        checked.insert(parts, file);
    }
    Ok(checked)
}

fn open_dir(dir: impl AsFd, name: impl rustix::path::Arg) -> Result<OwnedFd, Errno> {
    openat(dir, name, OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
}

/// The directory that counts, when there is one of the writer's making.
fn current(top: &OwnedFd) -> Option<String> {
    let name = readlinkat(top, DATA, Vec::new()).ok()?.into_string().ok()?;
    (name.starts_with("..") && name.len() > 2 && !name.contains('/')).then_some(name)
}

/// A new directory, named by the time as Kubernetes does.
fn new_dir(top: &OwnedFd) -> Result<String, Errno> {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let text = WallTime(i64::try_from(since.as_nanos()).unwrap_or(0)).rfc3339_seconds();
    let seconds: String = text.chars().map(|c| if c.is_ascii_digit() { c } else { '_' }).collect();
    let seconds = seconds.trim_end_matches('_');
    for number in 0..NAMES_MAX {
        let name = format!("..{seconds}.{:09}", (since.subsec_nanos() + number) % 1_000_000_000);
        match mkdirat(top, &*name, Mode::from_raw_mode(0o700)) {
            Err(Errno::EXIST) => {}
            made => return made.map(|()| name),
        }
    }
    Err(Errno::EXIST)
}

fn fill(
    top: &OwnedFd,
    name: &str,
    files: &BTreeMap<Vec<&str>, &File>,
    group: Option<u32>,
) -> Result<(), VolumeError> {
    let failed = |parts: &[&str]| {
        let path = PathBuf::from(parts.join("/"));
        move |source: io::Error| VolumeError::Write { path, source }
    };
    let dir = open_dir(top, name).map_err(io::Error::from).map_err(failed(&[name]))?;
    for (parts, file) in files {
        write_file(&dir, parts, file, group).map_err(failed(parts))?;
    }
    // Nobody looks into it before it is whole.
    open_directory_to_all(&dir, group).map_err(io::Error::from).map_err(failed(&[name]))
}

/// First the owner: a change of that may cost bits of the mode.
fn open_directory_to_all(dir: &OwnedFd, group: Option<u32>) -> Result<(), Errno> {
    if let Some(gid) = group {
        fchown(dir, None, Some(Gid::from_raw(gid)))?;
    }
    fchmod(dir, Mode::from_raw_mode(ownership::read_only_directory(DIRECTORY_MODE, group)))
}

fn write_file(dir: &OwnedFd, parts: &[&str], file: &File, group: Option<u32>) -> io::Result<()> {
    let Some((name, above)) = parts.split_last() else { return Err(Errno::NOENT.into()) };
    let mut at = dir.try_clone()?;
    for part in above {
        match mkdirat(&at, *part, Mode::from_raw_mode(DIRECTORY_MODE)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
        at = open_dir(&at, *part)?;
        open_directory_to_all(&at, group)?;
    }
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::WRONLY | OFlags::CLOEXEC;
    let made = openat(&at, *name, flags, Mode::from_raw_mode(0o600))?;
    let mut made = FsFile::from(made);
    made.write_all(&file.content)?;
    if file.uid.is_some() || group.is_some() {
        fchown(&made, file.uid.map(Uid::from_raw), group.map(Gid::from_raw))?;
    }
    fchmod(&made, Mode::from_raw_mode(ownership::read_only_file(file.mode, group)))?;
    Ok(())
}

fn publish(top: &OwnedFd, name: &str) -> Result<(), Errno> {
    match unlinkat(top, DATA_NEW, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => {}
        Err(error) => return Err(error),
    }
    symlinkat(name, top, DATA_NEW)?;
    renameat(top, DATA_NEW, top, DATA)
}

/// A link for the first part of each path.
fn link_names(top: &OwnedFd, files: &BTreeMap<Vec<&str>, &File>) -> Result<(), Errno> {
    for name in names(files) {
        let target = format!("{DATA}/{name}");
        match readlinkat(top, name, Vec::new()) {
            Ok(found) if found.as_bytes() == target.as_bytes() => continue,
            Ok(_) => unlinkat(top, name, AtFlags::empty())?,
            Err(Errno::NOENT) => {}
            // No link: nothing of the writer's.
            Err(error) => return Err(error),
        }
        symlinkat(&*target, top, name)?;
    }
    Ok(())
}

fn names<'a>(files: &BTreeMap<Vec<&'a str>, &File>) -> BTreeSet<&'a str> {
    files.keys().filter_map(|parts| parts.first().copied()).collect()
}

/// Removes links to what is no more, and earlier states.
fn clean(
    top: &OwnedFd,
    path: &Path,
    current: Option<&str>,
    files: &BTreeMap<Vec<&str>, &File>,
) -> Result<(), Errno> {
    let names = names(files);
    for (name, kind) in entries(top.as_fd())? {
        if name.starts_with("..") {
            if name != DATA && Some(name.as_str()) != current {
                // What cannot be removed goes with the volume.
                let _ = remove_tree(&path.join(&name));
            }
        } else if kind == FileType::Symlink && !names.contains(name.as_str()) {
            unlinkat(top, &*name, AtFlags::empty())?;
        }
    }
    Ok(())
}

/// Names that are no text are nobody's of ours.
fn entries(dir: BorrowedFd<'_>) -> Result<Vec<(String, FileType)>, Errno> {
    let mut entries = Vec::new();
    for entry in Dir::read_from(dir)? {
        let entry = entry?;
        if let Ok(name) = entry.file_name().to_str()
            && name != "."
            && name != ".."
        {
            entries.push((name.to_owned(), entry.file_type()));
        }
    }
    Ok(entries)
}

/// Whether a directory holds these files and no others. What cannot be read is another.
fn holds(top: &OwnedFd, name: &str, files: &BTreeMap<Vec<&str>, &File>, group: Option<u32>) -> bool {
    let mut found = 0;
    let Ok(dir) = open_dir(top, name) else { return false };
    same(&dir, &mut Vec::new(), (files, group), &mut found).unwrap_or(false) && found == files.len()
}

fn same(
    dir: &OwnedFd,
    above: &mut Vec<String>,
    wanted: (&BTreeMap<Vec<&str>, &File>, Option<u32>),
    found: &mut usize,
) -> io::Result<bool> {
    for (name, kind) in entries(dir.as_fd())? {
        above.push(name.clone());
        let is_same = if kind == FileType::Directory {
            above.len() < DEPTH_MAX && same(&open_dir(dir, &*name)?, above, wanted, found)?
        } else {
            *found += 1;
            let parts: Vec<&str> = above.iter().map(String::as_str).collect();
            match wanted.0.get(&parts) {
                Some(file) => has(dir, &name, file, wanted.1)?,
                None => false,
            }
        };
        above.pop();
        if !is_same {
            return Ok(false);
        }
    }
    Ok(true)
}

fn has(dir: &OwnedFd, name: &str, file: &File, group: Option<u32>) -> io::Result<bool> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let opened = openat(dir, name, flags, Mode::empty())?;
    let status = fstat(&opened)?;
    let size = u64::try_from(status.st_size).unwrap_or(u64::MAX);
    let is_alike = FileType::from_raw_mode(status.st_mode) == FileType::RegularFile
        && status.st_mode & 0o7777 == ownership::read_only_file(file.mode, group)
        && group.is_none_or(|gid| gid == status.st_gid)
        && file.uid.is_none_or(|uid| uid == status.st_uid)
        && size == file.content.len() as u64;
    if !is_alike {
        return Ok(false);
    }
    let mut content = Vec::with_capacity(file.content.len());
    FsFile::from(opened).take(size + 1).read_to_end(&mut content)?;
    Ok(content == file.content)
}
