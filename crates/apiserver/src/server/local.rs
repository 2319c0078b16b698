//! The unix socket.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::net::{UnixListener, UnixStream};

use super::StartError;

/// What the kernel takes as a socket's path, without the byte that ends it.
const PATH_BYTES_MAX: usize = 107;
/// How long another server may take to answer a connection.
const PROBE_TIME: Duration = Duration::from_millis(500);

/// Listens on `path`, open to its owner alone from the first moment. A socket that nobody listens on is replaced.
pub(super) async fn bind(path: &Path) -> Result<UnixListener, StartError> {
    let failed = |source| StartError::Socket { path: path.to_owned(), source };
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = path.file_name().ok_or_else(|| failed(io::ErrorKind::InvalidInput.into()))?;
    let staged_name = format!(".{}.{}", name.to_string_lossy(), std::process::id());
    let short = Short::of(parent).map_err(failed)?;
    if is_answered(&short.path(name.as_ref(), path)).await {
        return Err(StartError::InUse { path: path.to_owned() });
    }
    let staged = parent.join(&staged_name);
    match fs::remove_file(&staged) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let listener = UnixListener::bind(short.path(Path::new(&staged_name), &staged)).map_err(failed)?;
    // Nobody knows the staged name; the real one appears with its permissions.
    fs::set_permissions(&staged, Permissions::from_mode(0o600)).map_err(failed)?;
    fs::rename(&staged, path).map_err(failed)?;
    Ok(listener)
}

/// A directory by its descriptor, for what would be too long by its name.
struct Short(File);

impl Short {
    fn of(directory: &Path) -> io::Result<Self> {
        File::open(directory).map(Self)
    }

    /// `whole`, or a short path to the same file.
    fn path(&self, name: &Path, whole: &Path) -> PathBuf {
        if whole.as_os_str().as_bytes().len() <= PATH_BYTES_MAX {
            return whole.to_owned();
        }
        Path::new("/proc/self/fd").join(self.0.as_raw_fd().to_string()).join(name)
    }
}

async fn is_answered(path: &Path) -> bool {
    let connected = tokio::time::timeout(PROBE_TIME, UnixStream::connect(path)).await;
    matches!(connected, Ok(Ok(_)) | Err(_))
}

/// Whether root or this server's own user is at the other end.
pub(super) fn is_trusted(stream: &UnixStream) -> bool {
    let own = rustix::process::getuid().as_raw();
    stream.peer_cred().is_ok_and(|peer| peer.uid() == 0 || peer.uid() == own)
}
