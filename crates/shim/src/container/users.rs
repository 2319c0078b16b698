//! The users of a pod that are none of the host's (`hostUsers: false`, KEP-127).
//!
//! The shim stays the host's root, and makes everything that a container is mounted from, by mounts that have the ids
//! of files shown as the pod's. What the pod's processes are in belongs to its user namespace: network, IPC and host
//! name, which the shim joins; and of each container the mounts and the processes. A container's process makes the
//! mounts as the host's root, and gets them as a copy that the kernel has locked
//! (`mount_namespaces(7)`): nobody in the pod uncovers what one of them covers.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use container_config::IdRange;
use linux_sys::namespace::{self, Namespaces};
use linux_sys::process::{self, Child};
use rustix::fs::{Gid, Uid};
use rustix::io::Errno;

use super::{SandboxError, child};

#[derive(Debug)]
pub(super) struct Users {
    first: u32,
    namespace: OwnedFd,
}

/// What an id is shown as that nobody has; of the host's root namespace.
const NOBODY: u32 = 65_534;
/// Of what the child says: [`DONE`], or what failed and, on another line, why.
const ANSWER_BYTES_MAX: usize = 4096;
const DONE: &[u8] = b"\n";

impl Users {
    /// Makes a user namespace and `others` in it, which this process joins. `set_up` is done by their root.
    pub(super) fn make(
        range: IdRange,
        others: Namespaces,
        set_up: impl FnOnce() -> Result<(), SandboxError>,
    ) -> Result<Self, SandboxError> {
        let (ours, theirs) = UnixStream::pair().map_err(failed("make a socket"))?;
        let mut ours = Some(ours);
        // Allocates, which a child of a process with one thread may.
        let holder = process::clone_child(Namespaces::USER, None, || {
            // Only the parent may keep the socket from ending.
            drop(ours.take());
            hold(theirs, others, set_up)
        });
        let holder = holder.map_err(explain).map_err(failed("make a user namespace"))?;
        let made = ours
            .ok_or_else(|| io::ErrorKind::NotConnected.into())
            .map_err(failed("make a user namespace"))
            .and_then(|socket| Self::of(&holder, range, others, socket));
        child::end(&holder);
        made
    }

    /// Those of a process that has nothing yet, and waits for it.
    fn of(
        holder: &Child,
        range: IdRange,
        others: Namespaces,
        mut socket: UnixStream,
    ) -> Result<Self, SandboxError> {
        for kind in ["uid_map", "gid_map"] {
            let IdRange { first, count } = range;
            fs::write(format!("/proc/{}/{kind}", holder.pid), format!("0 {first} {count}\n")).map_err(
                failed(format!("give the pod ids {first} to {}", first.saturating_add(count.max(1) - 1))),
            )?;
        }
        let namespace = File::open(format!("/proc/{}/ns/user", holder.pid));
        let namespace = namespace.map_err(failed("refer to the pod's user namespace"))?.into();
        let mut answer = [0; ANSWER_BYTES_MAX];
        let length = socket
            .write_all(DONE)
            .and_then(|()| socket.read(&mut answer))
            .map_err(failed("set up the pod's namespaces"))?;
        let answer = &answer[..length];
        if answer != DONE {
            let text = String::from_utf8_lossy(answer);
            let (what, why) =
                text.split_once('\n').unwrap_or(("set up the pod's namespaces", "it was killed"));
            return Err(failed(what)(io::Error::other(why.to_owned())));
        }
        namespace::setns(holder.pidfd.as_fd(), others)
            .map_err(io::Error::from)
            .map_err(failed("join the pod's namespaces"))?;
        Ok(Self { first: range.first, namespace })
    }

    pub(super) fn namespace(&self) -> BorrowedFd<'_> {
        self.namespace.as_fd()
    }

    /// The host's id for the pod's `0`.
    pub(super) fn first(&self) -> u32 {
        self.first
    }
}

/// The host's id for one of a file that an image has: nobody's for those beyond the pod's.
pub(super) fn on_host(users: Option<&Users>, id: u32) -> u32 {
    match users {
        None => id,
        Some(users) if id < container_config::IDS_PER_POD => users.first.saturating_add(id),
        Some(_) => NOBODY,
    }
}

/// In the child. Its namespaces belong to the root it has become: so do the files that are in one from the start.
fn hold(
    mut socket: UnixStream,
    others: Namespaces,
    set_up: impl FnOnce() -> Result<(), SandboxError>,
) -> i32 {
    let is_mapped = socket.read(&mut [0]).is_ok_and(|length| length > 0);
    if !is_mapped {
        return 1;
    }
    let made = be_root().and_then(|()| namespace::unshare(others)).map_err(io::Error::from);
    let answer = match made.map_err(failed("make namespaces")).and_then(|()| set_up()) {
        Ok(()) => DONE.to_vec(),
        Err(SandboxError::Setup { what, source }) => format!("{what}\n{source}").into_bytes(),
        Err(other) => format!("set up the pod's namespaces\n{other}").into_bytes(),
    };
    // Until the parent has joined what would otherwise be gone.
    i32::from(socket.write_all(&answer).and_then(|()| socket.read(&mut [0])).is_err())
}

/// Of the user namespace that this thread is in; without other groups. Async-signal-safe.
pub(super) fn be_root() -> Result<(), Errno> {
    rustix::thread::set_thread_groups(&[])?;
    rustix::thread::set_thread_gid(Gid::ROOT)?;
    rustix::thread::set_thread_uid(Uid::ROOT)
}

fn failed(what: impl Into<String>) -> impl FnOnce(io::Error) -> SandboxError {
    |source| SandboxError::Setup { what: what.into(), source }
}

fn explain(error: io::Error) -> io::Error {
    match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::NOSPC | Errno::USERS) => {
            io::Error::other("this machine allows no more of them: raise the sysctl user.max_user_namespaces")
        }
        Some(Errno::INVAL) => io::Error::other("this kernel has none (CONFIG_USER_NS)"),
        _ => error,
    }
}
