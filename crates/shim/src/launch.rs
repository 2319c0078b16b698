//! From a fresh process to a sandbox that serves.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use linux_sys::lock;
use linux_sys::signal::SignalFd;
use rustix::fs::OFlags;
use shim_protocol::{
    Message, Netns, RecordError, Reply, ReplyBody, Request, RequestBody, SHIM_LOCK_NAME, SHIM_LOG_NAME,
    SOCKET_NAME, SandboxLaunch, SandboxRecord, VERSION, write_record,
};

use crate::connection::{Connection, ConnectionError};
use crate::container::{Sandbox, SandboxError};
use crate::note;
use crate::request::open_network;
use crate::supervisor::{Parts, Shim};
use crate::times;

/// SIGHUP, SIGINT, SIGPIPE, SIGTERM and SIGCHLD.
const SIGNALS: [i32; 5] = [1, 2, 13, 15, 17];

#[derive(Debug, thiserror::Error)]
pub(crate) enum LaunchError {
    #[error("cannot take descriptor 0 as the engine's socket")]
    Socket(#[source] io::Error),
    #[error("cannot leave the engine's session")]
    Session(#[source] io::Error),
    #[error("cannot receive the first request")]
    FirstRequest(#[source] ConnectionError),
    #[error("the first request is not to create a sandbox")]
    Protocol,
    #[error("the shim speaks protocol version {VERSION}, the engine {engine}")]
    Version { engine: u32 },
    #[error("cannot go to the pod's run directory {}", path.display())]
    RunDirectory { path: PathBuf, source: io::Error },
    #[error("cannot lock the pod's directory")]
    Lock(#[source] io::Error),
    #[error("another shim holds the pod's sandbox: it has to be stopped first")]
    Locked,
    #[error("cannot listen on {SOCKET_NAME} in the pod's run directory")]
    Listen(#[source] io::Error),
    // Without words of its own: the sandbox error names its step.
    #[error(transparent)]
    Sandbox(SandboxError),
    #[error("the engine sent no network namespace with its request")]
    NoNetns,
    #[error("cannot record the sandbox")]
    Record(#[source] RecordError),
    #[error("cannot supervise the sandbox")]
    Supervise(#[source] io::Error),
}

/// Serves one sandbox from its creation to its end.
pub(crate) fn run() -> Result<(), LaunchError> {
    let mut connection = Connection::new(take_socket().map_err(LaunchError::Socket)?);
    let signals = detach().map_err(LaunchError::Session)?;
    // An engine that died before it asked for anything leaves nothing to do.
    let Some(Request { id, body, timed }) = first_request(&mut connection)? else { return Ok(()) };
    times::begin(timed);
    let made = match body {
        RequestBody::CreateSandbox(launch) => create(*launch, connection.take_descriptor(), signals),
        _ => Err(LaunchError::Protocol),
    };
    let parts = match made {
        Ok(parts) => parts,
        Err(error) => {
            let body = ReplyBody::Failed { message: note::chain(&error) };
            let _ = connection.send(&Message::Reply(Reply { id, body, times: None }), Vec::new());
            return Err(error);
        }
    };
    let netns = returned(&parts.launch).map_err(LaunchError::Supervise)?;
    let mut shim = Shim::new(parts, connection).map_err(LaunchError::Supervise)?;
    times::done("watch");
    shim.reply_with(id, ReplyBody::SandboxCreated { netns: netns.is_some() }, netns.into_iter().collect());
    shim.run().map_err(LaunchError::Supervise)
}

/// Descriptor 0 becomes /dev/null, so that nothing this process starts has the socket.
fn take_socket() -> io::Result<UnixStream> {
    let socket = rustix::stdio::stdin().try_clone_to_owned()?;
    rustix::stdio::dup2_stdin(fs::File::open("/dev/null")?)?;
    Ok(UnixStream::from(socket))
}

/// Signals to the engine's terminal or session do not reach the pod; its orphans become children.
fn detach() -> io::Result<SignalFd> {
    match rustix::process::setsid() {
        // The leader of a session already.
        Ok(_) | Err(rustix::io::Errno::PERM) => {}
        Err(error) => return Err(error.into()),
    }
    // What executes it may be a descriptor, whose number would be its name.
    rustix::thread::set_name(c"monopod-shim")?;
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    SignalFd::new(&SIGNALS)
}

/// `None` when the engine is gone.
fn first_request(connection: &mut Connection) -> Result<Option<Request>, LaunchError> {
    connection.set_nonblocking(false).map_err(LaunchError::Socket)?;
    loop {
        match connection.next_request() {
            Ok(None) => {}
            found => return found.map_err(LaunchError::FirstRequest),
        }
        match connection.receive() {
            Ok(()) => {}
            Err(ConnectionError::Closed) => return Ok(None),
            Err(error) => return Err(LaunchError::FirstRequest(error)),
        }
    }
}

fn create(launch: SandboxLaunch, netns: Option<OwnedFd>, signals: SignalFd) -> Result<Parts, LaunchError> {
    if launch.version != VERSION {
        return Err(LaunchError::Version { engine: launch.version });
    }
    // Without it there is nothing to be said, which is no reason not to begin.
    let _ = note_to(&launch.pod_dir);
    std::env::set_current_dir(&launch.run_dir)
        .map_err(|source| LaunchError::RunDirectory { path: launch.run_dir.clone(), source })?;
    let lock = lock::try_exclusive(&launch.pod_dir.join(SHIM_LOCK_NAME)).map_err(LaunchError::Lock)?;
    let alive = lock.ok_or(LaunchError::Locked)?;
    let listener = listen().map_err(LaunchError::Listen)?;
    times::done("lock and socket");
    let netns = netns.filter(|_| launch.netns == Netns::Given);
    if netns.is_none() && launch.netns == Netns::Given {
        return Err(LaunchError::NoNetns);
    }
    let sandbox = Sandbox::enter_in(&launch.config, netns.as_ref().map(OwnedFd::as_fd)).map_err(|error| {
        abandon(&launch, None);
        LaunchError::Sandbox(error)
    })?;
    if let Err(error) = record(&launch) {
        abandon(&launch, Some(sandbox));
        return Err(error);
    }
    times::done("record");
    Ok(Parts { launch, sandbox, listener, signals, alive })
}

/// Standard error becomes the pod's log of its shim: a process that was started before its pod has none.
fn note_to(pod_dir: &Path) -> io::Result<()> {
    let log = OpenOptions::new()
        .append(true)
        .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
        .open(pod_dir.join(SHIM_LOG_NAME))?;
    Ok(rustix::stdio::dup2_stderr(log)?)
}

/// In the working directory: a full path could be longer than a socket address holds.
fn listen() -> io::Result<UnixListener> {
    // Of a shim that is dead: the lock is ours.
    match fs::remove_file(SOCKET_NAME) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    UnixListener::bind(SOCKET_NAME)
}

fn record(launch: &SandboxLaunch) -> Result<(), LaunchError> {
    let path = SandboxRecord::path(&launch.pod_dir);
    let record = SandboxRecord {
        attempt: launch.attempt,
        shim_pid: rustix::process::getpid().as_raw_pid(),
        cgroup: launch.config.cgroup.clone(),
    };
    write_record(&path, &record).map_err(LaunchError::Record)
}

/// Removes what a sandbox that failed had made.
fn abandon(launch: &SandboxLaunch, sandbox: Option<Sandbox>) {
    let errors = match sandbox {
        Some(sandbox) => sandbox.destroy(),
        None => crate::container::remove_pod_cgroup(&launch.config.cgroup),
    };
    for error in errors {
        note::error("a sandbox that failed leaves something", &error);
    }
    let _ = fs::remove_file(SOCKET_NAME);
}

/// This process's network namespace, if the engine has something to put there.
fn returned(launch: &SandboxLaunch) -> io::Result<Option<OwnedFd>> {
    let is_wanted = launch.netns == Netns::Returned && !launch.config.host_network;
    is_wanted.then(open_network).transpose()
}
