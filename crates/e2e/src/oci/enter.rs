//! `e2e oci FILE`: runs one container by another runtime in the mount namespace of a pod's shim, where
//! everything that a container's configuration names is at its place. A process of its own, as
//! a process with threads cannot change its mount namespace. What it mounts goes with it.

use std::fs::{self, File};
use std::io::{self, Read, pipe};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use anyhow::{Context, Result, bail, ensure};
use linux_sys::namespace::{Namespaces, setns, unshare};
use linux_sys::process::{ExitStatus, pidfd_open, pidfd_send_signal, wait};
use linux_sys::{fd_passing, signal};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_change, unmount};
use rustix::process::{Signal, getpid, set_child_subreaper};
use serde::{Deserialize, Serialize};

/// How long a container may run: it only looks around.
const RUN_MAX: Timespec = Timespec { tv_sec: 60, tv_nsec: 0 };

/// One container to run. Paths are on the host.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Launch {
    /// The runtime and its global options.
    pub(crate) runtime: Vec<String>,
    pub(crate) id: String,
    /// Holds `config.json` and the empty `rootfs`.
    pub(crate) bundle: PathBuf,
    /// Of the overlay at `rootfs`, for mount(2).
    pub(crate) root_options: String,
    /// Whose mount namespace to start from.
    pub(crate) shim_pid: i32,
    pub(crate) terminal: bool,
    /// Mounts of the host that the runtime must not see, where they are.
    pub(crate) unmounted: Vec<PathBuf>,
}

/// Runs the container that `file` describes to its end, and fails unless that was a success.
pub(crate) fn launch(file: &Path) -> Result<()> {
    let launch: Launch = serde_json::from_slice(&fs::read(file)?).context("not a container to launch")?;
    // What a runtime leaves as it was has to be what it would be for a shim.
    signal::reset();
    // The container's process is to be this one's child, to wait for, when the runtime has made it.
    set_child_subreaper(Some(getpid())).context("cannot become a subreaper")?;
    enter(launch.shim_pid)?;
    for path in &launch.unmounted {
        unmount(path, UnmountFlags::DETACH).with_context(|| format!("cannot unmount {}", path.display()))?;
    }
    let rootfs = launch.bundle.join("rootfs");
    let data = std::ffi::CString::new(launch.root_options.clone())?;
    mount("overlay", &rootfs, "overlay", MountFlags::empty(), data.as_c_str())
        .with_context(|| format!("cannot mount {}", rootfs.display()))?;
    let result = run(&launch);
    // Also after a failure; a container that is gone is fine.
    let deleted = command(&launch, &["delete", "--force"]).arg(&launch.id).stderr(Stdio::null()).status();
    let status = result?;
    ensure!(deleted?.success(), "cannot delete the container");
    ensure!(status == ExitStatus::Code(0), "the container ended with {status:?}");
    Ok(())
}

fn enter(shim_pid: i32) -> Result<()> {
    let shim = pidfd_open(shim_pid).context("the shim is gone")?;
    setns(shim.as_fd(), Namespaces::MOUNT).context("cannot enter the shim's mount namespace")?;
    unshare(Namespaces::MOUNT).context("cannot make a mount namespace")?;
    mount_change("/", MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC)
        .context("cannot separate the mount namespace")
}

fn command(launch: &Launch, verb: &[&str]) -> Command {
    let mut command = Command::new(&launch.runtime[0]);
    command.args(&launch.runtime[1..]).args(verb).stdin(Stdio::null());
    // With a user to change to, the new process is forked and not spawned by the C library, which
    // would leave the signals it keeps for itself ignored.
    command.uid(0);
    command
}

fn run(launch: &Launch) -> Result<ExitStatus> {
    let pid_file = launch.bundle.join("pid");
    let mut create = command(launch, &["create", "--bundle"]);
    create.arg(&launch.bundle).arg("--pid-file").arg(&pid_file);
    if launch.terminal {
        let socket = launch.bundle.join("console");
        let listener = UnixListener::bind(&socket).context("cannot make the console's socket")?;
        create.arg("--console-socket").arg(&socket);
        thread::spawn(move || terminal(&listener));
    } else {
        create.stdout(pass_on()?);
        create.stderr(pass_on()?);
    }
    let created = create.arg(&launch.id).status().context("cannot start the runtime")?;
    // Its copies of the pipes would keep them open.
    drop(create);
    ensure!(created.success(), "cannot create the container: {created}");
    let pid = fs::read_to_string(&pid_file)?.trim().parse()?;
    let container = pidfd_open(pid)?;
    let started = command(launch, &["start"]).arg(&launch.id).status()?;
    ensure!(started.success(), "cannot start the container: {started}");
    if poll(&mut [PollFd::new(&container, PollFlags::IN)], Some(&RUN_MAX))? == 0 {
        pidfd_send_signal(container.as_fd(), Signal::KILL.as_raw())?;
        bail!("the container still ran after {} s", RUN_MAX.tv_sec);
    }
    Ok(wait(container.as_fd())?)
}

/// The write end of a new pipe, whose output is shown on this process's standard error.
fn pass_on() -> Result<Stdio> {
    let (mut reader, writer) = pipe()?;
    thread::spawn(move || io::copy(&mut reader, &mut io::stderr()));
    Ok(writer.into())
}

/// Takes the terminal's master and reads it, until its last other end is closed.
fn terminal(listener: &UnixListener) -> io::Result<()> {
    let (socket, _) = listener.accept()?;
    let mut fds: Vec<OwnedFd> = Vec::new();
    let mut name = [0; 4096];
    fd_passing::receive(socket.as_fd(), &mut name, &mut fds)?;
    for master in fds {
        let mut bytes = [0; 4096];
        let mut master = File::from(master);
        while let Ok(1..) = master.read(&mut bytes) {}
    }
    Ok(())
}
