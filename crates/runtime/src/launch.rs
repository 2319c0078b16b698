//! Starting a shim's process.

use std::ffi::CString;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use linux_sys::process::pidfd_open;
use ports::PodContext;
use rustix::fs::OFlags;
use rustix::io::Errno;
use shim_protocol::SHIM_LOG_NAME;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Beyond this a new shim starts the file again; one shim writes a bounded number of lines.
const SHIM_LOG_BYTES_MAX: u64 = 1 << 20;

/// glibc keeps small freed blocks for each thread, scattered over pages that it then cannot give back. A shim
/// allocates little and lives long.
const ALLOCATOR: (&str, &str) = ("GLIBC_TUNABLES", "glibc.malloc.tcache_count=0");

/// What to run as a shim.
#[derive(Clone, Debug)]
pub struct Program {
    pub path: PathBuf,
    pub args: Vec<String>,
}

impl Default for Program {
    /// This program's own `shim` command, also when its file has been replaced.
    fn default() -> Self {
        Self { path: PathBuf::from("/proc/self/exe"), args: vec!["shim".to_owned()] }
    }
}

/// Starts shims of one program.
#[derive(Debug)]
pub(crate) struct Launcher {
    program: Program,
    /// Kept, because to close it is to wait for all processors.
    lent: OnceLock<OwnedFd>,
    ahead: Mutex<Ahead>,
}

#[derive(Debug, Default)]
struct Ahead {
    waiting: Option<Waiting>,
    /// None is started any more.
    has_ended: bool,
}

/// A shim that has not heard of a pod yet: it has nothing, and ends with this.
#[derive(Debug)]
struct Waiting(Option<Started>);

#[derive(Debug)]
struct Started {
    /// The other end of its descriptor 0.
    stream: UnixStream,
    child: Child,
}

impl Launcher {
    pub(crate) fn new(program: Program) -> Self {
        Self { program, lent: OnceLock::new(), ahead: Mutex::default() }
    }

    /// The connection to a new shim, whose process is reaped when it ends: to the one that waits, or else it is started now.
    pub(crate) fn launch(&self, pod: &PodContext) -> io::Result<UnixStream> {
        let log = shim_log(pod)?;
        let waiting = self.ahead().waiting.take();
        let Started { stream, child } = match waiting.and_then(Waiting::begin) {
            // It opens its log by itself.
            Some(started) => started,
            None => self.start(Stdio::from(log))?,
        };
        reap(child)?;
        Ok(stream)
    }

    /// One waits when this returns, if that has not ended.
    pub(crate) fn start_ahead(&self) -> io::Result<()> {
        let mut ahead = self.ahead();
        if ahead.waiting.is_none() && !ahead.has_ended {
            ahead.waiting = Some(Waiting(Some(self.start(Stdio::null())?)));
        }
        Ok(())
    }

    /// None waits from here on.
    pub(crate) fn end_ahead(&self) {
        let mut ahead = self.ahead();
        ahead.has_ended = true;
        ahead.waiting = None;
    }

    fn ahead(&self) -> MutexGuard<'_, Ahead> {
        self.ahead.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn start(&self, stderr: Stdio) -> io::Result<Started> {
        let (stream, theirs) = UnixStream::pair()?;
        let lent = self.lent()?;
        // Neither pre_exec nor a directory, which a static C library knows only how to set after a fork:
        // the engine's memory is not copied to start a process.
        let child = Command::new(format!("/proc/self/fd/{}", lent.as_raw_fd()))
            .arg0("monopod")
            .args(&self.program.args)
            .env_clear()
            .env(ALLOCATOR.0, ALLOCATOR.1)
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            .stderr(stderr)
            .spawn()?;
        Ok(Started { stream, child })
    }

    fn lent(&self) -> io::Result<&OwnedFd> {
        match self.lent.get() {
            Some(lent) => Ok(lent),
            None => {
                let lent = lend(&self.program.path)?;
                Ok(self.lent.get_or_init(|| lent))
            }
        }
    }
}

impl Waiting {
    /// `None` for one that somebody has killed.
    fn begin(mut self) -> Option<Started> {
        let lives = self.0.as_mut().is_some_and(|started| matches!(started.child.try_wait(), Ok(None)));
        self.0.take_if(|_| lives)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(Started { mut child, .. }) = self.0.take() {
            // Both fail only when it is gone.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A container can have `/proc/self/exe` executed, which is then the shim's program. Through this copy of
/// its mount nobody can write to it, also when no process of it is left to keep the file busy. There is no
/// other way to start a shim: a program that no mount of this namespace holds could be written to.
fn lend(path: &Path) -> io::Result<OwnedFd> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    linux_sys::mount::lend(&path).map_err(|error| match error {
        Errno::INVAL => io::Error::other(
            "its program is in no mount of this mount namespace: start monopod by the path of its file",
        ),
        error => error.into(),
    })
}

fn shim_log(pod: &PodContext) -> io::Result<File> {
    let file = OpenOptions::new()
        .create(true)
        .append(true)
        .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
        .open(pod.pod_dir.join(SHIM_LOG_NAME))?;
    if file.metadata()?.len() > SHIM_LOG_BYTES_MAX {
        file.set_len(0)?;
    }
    Ok(file)
}

/// Takes the child's exit when its descriptor says there is one.
#[expect(
    deprecated,
    reason = "the successor is unsafe because a foreign type may change its descriptor; an OwnedFd cannot"
)]
fn reap(mut child: Child) -> io::Result<()> {
    let pid = i32::try_from(child.id()).map_err(io::Error::other)?;
    let ended = AsyncFd::with_interest(pidfd_open(pid)?, Interest::READABLE)?;
    tokio::spawn(async move {
        if let Err(error) = ended.readable().await {
            tracing::warn!(pid, "cannot wait for a shim: {error}");
        }
        if let Err(error) = child.wait() {
            tracing::warn!(pid, "cannot reap a shim: {error}");
        }
    });
    Ok(())
}
