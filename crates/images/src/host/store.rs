//! The image on disk: `DIGEST/{rootfs,config.json}`, `current.json`, `lock`.
//!
//! Everything appears whole, by rename, and is made under the lock, so that any number of engines
//! may use one directory. The kernel drops the lock of an engine that dies.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use container_config::ImageConfig;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::fingerprint::Fingerprint;
use super::skeleton::{Entry, EntryKind, Skeleton};
use super::{HostImageError, is_digest, on_host};

/// Of what is being made; whatever has it while the lock is free is left over.
const NEW: &str = ".new";
/// Every user may write to an image's `/tmp`, which is why none but root gets that far on the host.
const STORE_MODE: u32 = 0o700;

#[derive(Debug)]
pub(super) struct Store {
    directory: PathBuf,
}

/// Held while an image is made.
#[derive(Debug)]
pub(super) struct Lock<'s> {
    store: &'s Store,
    _file: File,
}

/// `current.json`
#[derive(Debug, Serialize, Deserialize)]
struct Current {
    fingerprint: Fingerprint,
    digest: String,
}

impl Store {
    pub(super) fn new(directory: PathBuf) -> Self {
        Self { directory }
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(super) fn rootfs(&self, digest: &str) -> PathBuf {
        self.directory.join(digest).join("rootfs")
    }

    pub(super) fn has(&self, digest: &str) -> bool {
        self.rootfs(digest).is_dir()
    }

    /// The image of a host with this fingerprint. A store that was moved or damaged counts as empty.
    pub(super) fn current(&self, fingerprint: &Fingerprint) -> Option<ImageConfig> {
        let current: Current = read_json(&self.directory.join("current.json")).ok()?;
        if current.fingerprint != *fingerprint || !self.has(&current.digest) {
            return None;
        }
        let config = self.config(&current.digest).ok()??;
        let rootfs = config.layers.first()?.lower.first()?;
        (*rootfs == self.rootfs(&current.digest)).then_some(config)
    }

    /// The config of a present image.
    pub(super) fn config(&self, digest: &str) -> Result<Option<ImageConfig>, HostImageError> {
        let path = self.directory.join(digest).join("config.json");
        match read_json(&path) {
            Ok(config) => Ok(Some(config)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(HostImageError::Read { path, source }),
        }
    }

    /// The digest of every image that is here.
    pub(super) fn digests(&self) -> Result<Vec<String>, HostImageError> {
        let failed = |source| HostImageError::List { path: self.directory.clone(), source };
        let entries = match fs::read_dir(&self.directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(failed)?,
        };
        let mut digests = Vec::new();
        for entry in entries {
            let name = entry.map_err(failed)?.file_name().into_string().ok();
            digests.extend(name.filter(|name| is_digest(name) && self.has(name)));
        }
        digests.sort_unstable();
        Ok(digests)
    }

    /// Of the image that was made or looked at last.
    pub(super) fn current_digest(&self) -> Option<String> {
        read_json(&self.directory.join("current.json")).ok().map(|current: Current| current.digest)
    }

    /// Waits for other engines that make the image.
    pub(super) fn lock(&self) -> Result<Lock<'_>, HostImageError> {
        fs::create_dir_all(&self.directory)
            .and_then(|()| fs::set_permissions(&self.directory, Permissions::from_mode(STORE_MODE)))
            .map_err(failed_to_write(&self.directory))?;
        let path = self.directory.join("lock");
        let locked = File::create(&path).and_then(|file| file.lock().map(|()| file));
        let file = locked.map_err(|source| HostImageError::Lock { path, source })?;
        Ok(Lock { store: self, _file: file })
    }
}

impl Lock<'_> {
    /// Removes an image. By another name first, so that no half of it is taken for the whole.
    pub(super) fn remove(&self, digest: &str) -> Result<(), HostImageError> {
        let (image, old) = (self.store.directory.join(digest), self.store.directory.join(NEW));
        remove(&old)?;
        match fs::rename(&image, &old) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            renamed => renamed.map_err(failed_to_write(&image)).and_then(|()| remove(&old)),
        }
    }

    /// Writes the image, unless it is there whole, and makes it the current one.
    pub(super) fn publish(
        &self,
        digest: &str,
        skeleton: &Skeleton,
        config: &ImageConfig,
        fingerprint: &Fingerprint,
    ) -> Result<(), HostImageError> {
        let directory = &self.store.directory;
        let image = directory.join(digest);
        if !is_whole(&image, skeleton, config) {
            let new = directory.join(NEW);
            remove(&new)?;
            remove(&image)?;
            write_rootfs(&new.join("rootfs"), &skeleton.entries)?;
            write_json(&new.join("config.json"), config)?;
            fs::rename(&new, &image).map_err(failed_to_write(&image))?;
        }
        let path = directory.join("current.json");
        let new = directory.join("current.json.new");
        write_json(&new, &Current { fingerprint: fingerprint.clone(), digest: digest.to_owned() })?;
        fs::rename(&new, &path).map_err(failed_to_write(&path))
    }
}

/// Whether every entry is on disk as it was written. Contents are compared by size: this finds what
/// a power loss leaves, which is empty files.
fn is_whole(image: &Path, skeleton: &Skeleton, config: &ImageConfig) -> bool {
    let written = read_json::<ImageConfig>(&image.join("config.json"));
    let rootfs = image.join("rootfs");
    written.is_ok_and(|written| written == *config)
        && skeleton.entries.iter().all(|entry| {
            let path = on_host(&rootfs, &entry.path);
            match &entry.kind {
                EntryKind::Directory { .. } => fs::symlink_metadata(&path).is_ok_and(|found| found.is_dir()),
                EntryKind::Link(target) => fs::read_link(&path).is_ok_and(|found| found == Path::new(target)),
                EntryKind::File(bytes) => fs::symlink_metadata(&path)
                    .is_ok_and(|found| found.is_file() && usize::try_from(found.len()) == Ok(bytes.len())),
            }
        })
}

fn write_rootfs(rootfs: &Path, entries: &[Entry]) -> Result<(), HostImageError> {
    const ROOT_MODE: u32 = 0o755;
    const FILE_MODE: u32 = 0o644;
    // Modes are set and not left to the umask.
    let set_mode = |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode));
    fs::create_dir_all(rootfs).and_then(|()| set_mode(rootfs, ROOT_MODE)).map_err(failed_to_write(rootfs))?;
    for entry in entries {
        let path = on_host(rootfs, &entry.path);
        let written = match &entry.kind {
            EntryKind::Directory { mode } => fs::create_dir(&path).and_then(|()| set_mode(&path, *mode)),
            EntryKind::File(bytes) => fs::write(&path, bytes).and_then(|()| set_mode(&path, FILE_MODE)),
            EntryKind::Link(target) => symlink(target, &path),
        };
        written.map_err(failed_to_write(&path))?;
    }
    Ok(())
}

fn remove(path: &Path) -> Result<(), HostImageError> {
    match linux_sys::remove_tree::remove_tree(path).into_iter().next() {
        Some(error) => Err(HostImageError::Write { path: error.path, source: error.source }),
        None => Ok(()),
    }
}

fn failed_to_write(path: &Path) -> impl Fn(io::Error) -> HostImageError {
    move |source| HostImageError::Write { path: path.to_owned(), source }
}

fn write_json<T: Serialize>(path: &Path, value: &T) -> Result<(), HostImageError> {
    let text = serde_json::to_vec(value).map_err(io::Error::from);
    text.and_then(|text| fs::write(path, text)).map_err(failed_to_write(path))
}

fn read_json<T: DeserializeOwned>(path: &Path) -> io::Result<T> {
    serde_json::from_slice(&fs::read(path)?).map_err(io::Error::from)
}
