//! Making what an entry says in the directory worked in. A later entry replaces an earlier one of the
//! same name; a directory is merged into a directory.

use std::ffi::{CString, OsStr};
use std::fs::File;
use std::os::fd::AsFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, Dir, FileType, Mode, OFlags, Stat, Timestamps, fstat, linkat, mknodat, openat, statat,
    symlinkat, unlinkat,
};
use rustix::io::Errno;

use super::attributes::Attributes;
use super::error::{LayerError, Refusal};
use super::recipe::RecipeWriter;
use super::tree::{Blocked, DIRECTORY, Tree, c_string, failed, set_opaque};

const NEW_FILE: OFlags =
    OFlags::WRONLY.union(OFlags::CREATE).union(OFlags::EXCL).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
const FIFO_MODE: Mode = Mode::from_raw_mode(0o600);

impl Tree {
    /// A new file, to be written and then given its attributes.
    pub(super) fn add_file(
        &mut self,
        name: &[u8],
        mode: u32,
        recipe: &mut RecipeWriter,
    ) -> Result<File, Blocked> {
        // Without setuid before it has its owner. Nobody else gets here: the store is root's.
        let mode = Mode::from_raw_mode(mode & 0o777);
        let fd = self
            .replace(name, "make the file", recipe, |tree, name| openat(tree.top(), name, NEW_FILE, mode))?;
        Ok(fd.into())
    }

    pub(super) fn add_directory(
        &mut self,
        name: &[u8],
        attributes: &Attributes,
        recipe: &mut RecipeWriter,
    ) -> Result<(), Blocked> {
        let name = c_string(name);
        let fd = match self.kind_of(&name)? {
            None => self.make_directory(&name, false)?,
            Some(FileType::Directory) => {
                let opened = openat(self.top(), &name, DIRECTORY, Mode::empty());
                opened.map_err(|error| self.failed("open", &name, error))?
            }
            // Whatever it was, it hid what the layers below have by this name.
            Some(_) => {
                self.clear(&name, recipe)?;
                self.make_directory(&name, true)?
            }
        };
        let path = self.path_of(&name);
        let given = fstat(&fd).map_err(|e| ("look at", e)).and_then(|is| attributes.give(fd.as_fd(), &is));
        given.map_err(|(action, error)| failed(action, path.clone(), error))?;
        self.implied.remove(&path);
        Ok(())
    }

    pub(super) fn set_root(&mut self, attributes: &Attributes) -> Result<(), Blocked> {
        let modified = attributes.modified;
        let root = self.enter_root(Timestamps { last_access: modified, last_modification: modified })?;
        let given = fstat(root).map_err(|error| ("look at", error)).and_then(|is| attributes.give(root, &is));
        given.map_err(|(action, error)| failed(action, PathBuf::from("/"), error))?;
        self.implied.remove(Path::new(""));
        Ok(())
    }

    pub(super) fn add_symlink(
        &mut self,
        name: &[u8],
        target: &[u8],
        attributes: &Attributes,
        recipe: &mut RecipeWriter,
    ) -> Result<(), Blocked> {
        let target = c_string(target);
        self.replace(name, "make the link", recipe, |tree, name| symlinkat(&target, tree.top(), name))?;
        self.give_at(name, attributes, false)
    }

    pub(super) fn add_fifo(
        &mut self,
        name: &[u8],
        attributes: &Attributes,
        recipe: &mut RecipeWriter,
    ) -> Result<(), Blocked> {
        self.replace(name, "make the FIFO", recipe, |tree, name| {
            mknodat(tree.top(), name, FileType::Fifo, FIFO_MODE, 0)
        })?;
        self.give_at(name, attributes, true)
    }

    fn give_at(&self, name: &[u8], attributes: &Attributes, has_mode: bool) -> Result<(), Blocked> {
        let name = c_string(name);
        let given = attributes.give_at(self.top(), &name, has_mode);
        Ok(given.map_err(|(action, error)| self.failed(action, &name, error))?)
    }

    /// A hard link at `parent`/`name` to what `target` names: not to what that leads to, if it is a link
    /// itself.
    pub(super) fn add_link(
        &mut self,
        target: &[&[u8]],
        (parent, name): (&[&[u8]], &[u8]),
        recipe: &mut RecipeWriter,
    ) -> Result<(), Blocked> {
        let shown: PathBuf = target.iter().map(|component| OsStr::from_bytes(component)).collect();
        let missing = || Blocked::from(Refusal::LinkTargetMissing { target: shown.clone() });
        let directory = || Blocked::from(Refusal::LinkTargetDirectory { target: shown.clone() });
        let Some((target_name, target_parent)) = target.split_last() else { return Err(directory()) };
        let target_name = c_string(target_name);
        // Only looked up, since nothing is to be made on the way.
        let way = c_string(&[&b"."[..]].iter().chain(target_parent).copied().collect::<Vec<_>>().join(&b'/'));
        let opened = linux_sys::in_root::open(self.root(), &way, OFlags::PATH | OFlags::DIRECTORY);
        let opened = opened.map_err(|_| missing())?;
        let stat = statat(&opened, &target_name, AtFlags::SYMLINK_NOFOLLOW).map_err(|_| missing())?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => return Err(directory()),
            // A whiteout.
            FileType::CharacterDevice => return Err(missing()),
            _ => {}
        }
        self.enter(parent)?;
        if self.look_at(&c_string(name))?.is_some_and(|found| found.st_ino == stat.st_ino) {
            return Ok(());
        }
        // Missing too when it was below what the link replaces.
        let link = |tree: &Self, name: &CString| match linkat(
            &opened,
            &target_name,
            tree.top(),
            name,
            AtFlags::empty(),
        ) {
            Err(Errno::NOENT) => Ok(false),
            made => made.map(|()| true),
        };
        if self.replace(name, "make the hard link", recipe, link)? { Ok(()) } else { Err(missing()) }
    }

    /// Hides what the layers below have by this name, but nothing of this layer.
    pub(super) fn add_whiteout(&mut self, name: &[u8]) -> Result<(), Blocked> {
        let name = c_string(name);
        self.check_depth(&name)?;
        let (action, done) = match self.kind_of(&name)? {
            None => {
                self.note_whiteout(&name)?;
                let mode = Mode::empty();
                ("make the whiteout", mknodat(self.top(), &name, FileType::CharacterDevice, mode, 0))
            }
            Some(FileType::Directory) => {
                let fd = openat(self.top(), &name, DIRECTORY, Mode::empty());
                ("make opaque", fd.and_then(|fd| set_opaque(fd.as_fd())))
            }
            Some(_) => return Ok(()),
        };
        Ok(done.map_err(|error| self.failed(action, &name, error))?)
    }

    /// Hides what the layers below have in the directory worked in.
    pub(super) fn hide_below(&mut self) -> Result<(), Blocked> {
        Ok(set_opaque(self.top()).map_err(|error| failed("make opaque", self.path(), error))?)
    }

    /// Removes what the layer has by this name.
    pub(super) fn remove(&mut self, name: &[u8], recipe: &mut RecipeWriter) -> Result<(), Blocked> {
        Ok(self.clear(&c_string(name), recipe)?)
    }

    /// Makes what was not there, or is no longer.
    fn replace<T>(
        &mut self,
        name: &[u8],
        action: &'static str,
        recipe: &mut RecipeWriter,
        make: impl Fn(&Self, &CString) -> Result<T, Errno>,
    ) -> Result<T, Blocked> {
        let name = c_string(name);
        self.check_depth(&name)?;
        let made = match make(self, &name) {
            Err(Errno::EXIST) => {
                self.clear(&name, recipe)?;
                make(self, &name)
            }
            made => made,
        };
        Ok(made.map_err(|error| self.failed(action, &name, error))?)
    }

    fn clear(&mut self, name: &CString, recipe: &mut RecipeWriter) -> Result<(), LayerError> {
        let Some(stat) = self.look_at(name)? else { return Ok(()) };
        let path = self.path_of(name);
        let parent = self.top().try_clone_to_owned();
        let parent =
            parent.map_err(|source| LayerError::File { action: "open", path: path.clone(), source })?;
        Removal { contents: &mut self.contents, recipe }.remove(&parent, name, &stat, &path)
    }
}

/// Removing files whose content the recipe counts on.
struct Removal<'a> {
    contents: &'a mut std::collections::HashMap<u64, u64>,
    recipe: &'a mut RecipeWriter,
}

impl Removal<'_> {
    /// Goes no deeper than directories are made, which is bounded.
    fn remove(
        &mut self,
        parent: &std::os::fd::OwnedFd,
        name: &CString,
        stat: &Stat,
        path: &Path,
    ) -> Result<(), LayerError> {
        let failed_to = |action| move |error| failed(action, path.to_owned(), error);
        if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
            let fd = openat(parent, name, DIRECTORY, Mode::empty()).map_err(failed_to("open"))?;
            for entry in Dir::read_from(&fd).map_err(failed_to("list"))? {
                let entry = entry.map_err(failed_to("list"))?;
                let child = entry.file_name().to_owned();
                if matches!(child.to_bytes(), b"." | b"..") {
                    continue;
                }
                let path = path.join(OsStr::from_bytes(child.to_bytes()));
                let stat = statat(&fd, &child, AtFlags::SYMLINK_NOFOLLOW);
                let stat = stat.map_err(|error| failed("look at", path.clone(), error))?;
                self.remove(&fd, &child, &stat, &path)?;
            }
            return unlinkat(parent, name, AtFlags::REMOVEDIR).map_err(failed_to("remove"));
        }
        if let Some(content) = self.contents.remove(&stat.st_ino) {
            let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let file = openat(parent, name, flags, Mode::empty()).map_err(failed_to("open"))?;
            self.recipe.displace(content, file.into())?;
        }
        unlinkat(parent, name, AtFlags::empty()).map_err(failed_to("remove"))
    }
}
