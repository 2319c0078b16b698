//! What redb writes to: a file of ours, or what a test hands in.
//!
//! redb gives up on a medium after its first I/O error and wants to be opened anew. So it gets a [`Lent`] medium: closing that
//! closes nothing, the file and its lock stay ours until the store is closed.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use redb::StorageBackend;

use crate::error::OpenError;

/// A new file is written in full under this suffix before it gets its name.
const NEW_SUFFIX: &str = ".new";

#[derive(Debug)]
pub(crate) struct Medium {
    /// What errors call it.
    pub(crate) name: PathBuf,
    /// It is a file at `name` that can be replaced by a new one.
    pub(crate) is_file: bool,
    backend: Arc<dyn StorageBackend>,
    /// The kernel reports once that it lost writes, and drops them; what is read back later proves nothing.
    sync_failed: Arc<AtomicBool>,
}

impl Medium {
    pub(crate) fn given(backend: Box<dyn StorageBackend>) -> Medium {
        Medium {
            name: PathBuf::from("(given)"),
            is_file: false,
            backend: Arc::from(backend),
            sync_failed: Arc::new(AtomicBool::new(false)),
        }
    }

    /// The locked file, which is created when there is none.
    pub(crate) fn file(path: &Path) -> Result<Medium, OpenError> {
        let io = |source| OpenError::Io { file: path.to_owned(), source };
        let mut options = OpenOptions::new();
        options.read(true).write(true).mode(0o600);
        let file = match options.open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let file = options.create(true).open(path).map_err(io)?;
                sync_directory_of(path).map_err(io)?;
                file
            }
            opened => opened.map_err(io)?,
        };
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(OpenError::Locked { file: path.to_owned() }),
            Err(TryLockError::Error(source)) => return Err(io(source)),
        }
        let (locked, named) = (file.metadata().map_err(io)?, fs::metadata(path).map_err(io)?);
        // Its owner may have replaced it between the open and the lock.
        if (locked.dev(), locked.ino()) != (named.dev(), named.ino()) {
            return Err(OpenError::Locked { file: path.to_owned() });
        }
        // It holds secrets.
        if locked.mode() & 0o077 != 0 {
            file.set_permissions(fs::Permissions::from_mode(0o600)).map_err(io)?;
        }
        Ok(Medium::of(path, file))
    }

    fn of(path: &Path, file: File) -> Medium {
        Medium {
            name: path.to_owned(),
            is_file: true,
            backend: Arc::new(PlainFile(file)),
            sync_failed: Arc::new(AtomicBool::new(false)),
        }
    }

    /// An empty, locked file beside this one. [`Medium::take_place`] makes it the one.
    pub(crate) fn successor(&self) -> io::Result<Medium> {
        let path = self.successor_path();
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
        file.try_lock()?;
        Ok(Medium::of(&self.name, file))
    }

    /// Gives a successor that is complete the name of its predecessor.
    pub(crate) fn take_place(&self) -> io::Result<()> {
        fs::rename(self.successor_path(), &self.name)?;
        sync_directory_of(&self.name)
    }

    fn successor_path(&self) -> PathBuf {
        let mut path = self.name.clone().into_os_string();
        path.push(NEW_SUFFIX);
        PathBuf::from(path)
    }

    pub(crate) fn lend(&self) -> Lent {
        Lent { backend: self.backend.clone(), sync_failed: self.sync_failed.clone() }
    }

    /// Whether a sync has failed since the medium was opened.
    pub(crate) fn lost_writes(&self) -> bool {
        self.sync_failed.load(Ordering::Acquire)
    }

    #[cfg(test)]
    pub(crate) fn pretend_a_sync_failed(&self) {
        self.sync_failed.store(true, Ordering::Release);
    }

    pub(crate) fn bytes(&self) -> io::Result<u64> {
        self.backend.len()
    }

    pub(crate) fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.backend.read(offset, out)
    }

    pub(crate) fn clear(&self) -> io::Result<()> {
        self.backend.set_len(0)
    }
}

impl Drop for Medium {
    fn drop(&mut self) {
        // What had to be on disk was synced; there is nobody to tell.
        let _ = self.backend.close();
    }
}

/// A file's name is on disk only when its directory is.
fn sync_directory_of(path: &Path) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
}

/// The medium while redb has it. Locks are not passed on: the file is locked already.
#[derive(Debug)]
pub(crate) struct Lent {
    backend: Arc<dyn StorageBackend>,
    sync_failed: Arc<AtomicBool>,
}

impl StorageBackend for Lent {
    fn len(&self) -> io::Result<u64> {
        self.backend.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.backend.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.backend.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.backend.sync_data().inspect_err(|_| self.sync_failed.store(true, Ordering::Release))
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.backend.write(offset, data)
    }
}

#[derive(Debug)]
struct PlainFile(File);

impl StorageBackend for PlainFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read_exact_at(out, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write_all_at(data, offset)
    }
}
