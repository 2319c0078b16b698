//! The sandbox of a pod: namespaces, memory volumes and cgroup, held by this process.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ffi::{CStr, CString};
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

use container_config::{SandboxConfig, Tmpfs, shared_cgroups, shims_cgroup};
use linux_sys::cgroup::{Group, Hierarchies, Limits};
use linux_sys::namespace::{self, Namespaces};
use linux_sys::process::{self, Child, ExitStatus};
use rustix::io::Errno;
use rustix::mount::{
    MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_bind, mount_change, unmount,
};
use rustix::process::Signal;

use super::compile::{SharedProc, SharedProcesses};
use super::resize::{Limited, bounds};
use super::spawn::limits;
use super::users::Users;
use super::{SandboxError, SpawnError, TeardownError, child, pod_init, sysctl};
use crate::times;

/// The namespaces and the cgroup of a pod, held by this process from [`Sandbox::enter`] on.
#[derive(Debug)]
pub struct Sandbox {
    hierarchies: Hierarchies,
    /// Relative to each hierarchy's root.
    cgroup: PathBuf,
    pub(super) pod: Limited,
    /// What the pod's group is to be limited to when its containers let it.
    pub(super) wanted: Limits,
    tmpfs: Vec<PathBuf>,
    shared: Option<Shared>,
    /// `None`: the host's.
    users: Option<Users>,
    /// Containers share mounts in these volumes.
    shared_volumes: RefCell<BTreeSet<PathBuf>>,
    /// Those in which this process had to leave the engine's group.
    left: Hierarchies,
}

/// The process namespace that the pod's containers share.
#[derive(Debug)]
struct Shared {
    init: Child,
    /// Where its `/proc` is mounted.
    proc: PathBuf,
}

impl Sandbox {
    /// Makes this process the holder of a pod's sandbox: namespaces, host name, loopback, memory
    /// volumes, cgroup, and the pod's init when its containers share a process namespace. Once per process.
    ///
    /// # Errors
    /// Names what could not be made; what was made ends with this process, cgroups are removed.
    pub fn enter(config: &SandboxConfig) -> Result<Self, SandboxError> {
        Self::enter_in(config, None)
    }

    /// [`Self::enter`] with a network namespace that is there already, and holds the pod's links.
    ///
    /// # Errors
    /// As there.
    pub fn enter_in(config: &SandboxConfig, netns: Option<BorrowedFd<'_>>) -> Result<Self, SandboxError> {
        occupy_stdio()?;
        // Containers that share a process namespace see the shim's children before they execute.
        process::set_undumpable().map_err(failed("hide this process"))?;
        let hierarchies = Hierarchies::detect()?;
        let left = hierarchies.occupied()?;
        let cgroup = PathBuf::from(&config.cgroup);
        let wanted = bounds(&config.resources);
        let group = hierarchies.group(&cgroup);
        let pod = Limited { of: "the pod".to_owned(), group, limits: wanted.clone() };
        let mut sandbox = Self {
            hierarchies,
            cgroup,
            pod,
            wanted,
            tmpfs: Vec::new(),
            shared: None,
            users: None,
            shared_volumes: RefCell::default(),
            left,
        };
        match sandbox.set_up(config, netns) {
            Ok(()) => Ok(sandbox),
            Err(error) => {
                // The error to report is the first one.
                let _ = sandbox.destroy();
                Err(error)
            }
        }
    }

    fn set_up(&mut self, config: &SandboxConfig, netns: Option<BorrowedFd<'_>>) -> Result<(), SandboxError> {
        times::done("find cgroups");
        leave_engine(self.left.clone(), &self.cgroup)?;
        times::done("leave cgroup");
        self.pod.group.create()?;
        times::done("make cgroup");
        // Controllers that this machine lacks are reported with each container that needs them.
        self.pod.group.limit(&limits(&config.resources))?;
        times::done("limit cgroup");
        self.users = enter_namespaces(config, netns)?;
        for tmpfs in &config.tmpfs {
            mount_tmpfs(tmpfs)?;
            self.tmpfs.push(tmpfs.path.clone());
        }
        times::done("memory volumes");
        if let Some(proc) = &config.shared_proc {
            let init =
                pod_init::start(self.users.as_ref()).map_err(|error| SandboxError::Init(Box::new(error)))?;
            let mounted = mount_proc(init.pidfd.as_fd(), proc);
            self.shared = Some(Shared { init, proc: proc.clone() });
            mounted?;
            times::done("mount /proc");
        }
        Ok(())
    }

    /// The pod's PID 1 when its containers share a process namespace: a child of this process.
    #[must_use]
    pub fn init_pid(&self) -> Option<i32> {
        self.shared.as_ref().map(|shared| shared.init.pid)
    }

    /// Kills everything in the pod's cgroup, unmounts, and removes the cgroups, this process's own
    /// included. Goes on past errors and returns them all.
    #[must_use]
    pub fn destroy(self) -> Vec<TeardownError> {
        let mut errors = Vec::new();
        if let Some(shared) = &self.shared {
            errors.extend(
                process::pidfd_send_signal(shared.init.pidfd.as_fd(), Signal::KILL.as_raw())
                    .err()
                    .map(|source| TeardownError::Other { what: "end the pod's init".to_owned(), source }),
            );
        }
        errors.extend(self.pod.group.remove().into_iter().map(TeardownError::from));
        // It is in the shims' group, which only then can be removed.
        self.shared.iter().for_each(|shared| child::end(&shared.init));
        let proc = self.shared.iter().map(|shared| &shared.proc);
        for path in proc.chain(self.tmpfs.iter().rev()) {
            if let Err(error) = unmount(path, UnmountFlags::DETACH) {
                errors.push(TeardownError::Other {
                    what: format!("unmount {}", path.display()),
                    source: error.into(),
                });
            }
        }
        // Only to leave the shims' group empty; where the root takes no processes, the last to leave
        // is the end of this one, and another shim removes the group.
        let _ = self.left.tracking_group("").enter();
        remove_shared(&self.hierarchies, &self.cgroup);
        errors
    }

    /// Makes the volume at `path` one whose mounts containers share, for those that are started from now on.
    pub(super) fn share_mounts(&self, path: &Path) -> Result<(), SpawnError> {
        let mut shared = self.shared_volumes.borrow_mut();
        if shared.contains(path) {
            return Ok(());
        }
        let make = || {
            if !self.tmpfs.iter().any(|tmpfs| tmpfs == path) {
                mount_bind(path, path)?;
            }
            // Not with the host as well.
            mount_change(path, MountPropagationFlags::PRIVATE)?;
            mount_change(path, MountPropagationFlags::SHARED)
        };
        make().map_err(SpawnError::create(format!("share the mounts of {}", path.display())))?;
        shared.insert(path.to_owned());
        Ok(())
    }

    /// Some mount of this namespace tells others of what becomes of it.
    pub(super) fn shares_mounts(&self) -> bool {
        !self.shared_volumes.borrow().is_empty()
    }

    /// A container's group.
    pub(super) fn group(&self, name: &str) -> Group {
        self.hierarchies.group(self.cgroup.join(name))
    }

    /// `None`: the host's.
    pub(super) fn users(&self) -> Option<&Users> {
        self.users.as_ref()
    }

    /// The process namespace that the pod's containers share.
    pub(super) fn shared_processes(&self) -> Result<SharedProcesses, SpawnError> {
        let shared = self.shared.as_ref().ok_or_else(|| SpawnError::Create {
            what: "join the pod's process namespace".to_owned(),
            source: io::Error::new(io::ErrorKind::NotFound, "the sandbox was made without one"),
        })?;
        let init = shared.init.pidfd.try_clone();
        let init = init.map_err(SpawnError::create::<io::Error>("refer to the pod's init"))?;
        Ok(SharedProcesses { init, proc: SharedProc::At(shared.proc.clone()) })
    }
}

/// Buries a pod whose shim is dead: kills everything in its cgroup (as `monopod/pod<uid>`), removes
/// it and its parents if they are empty. Idempotent; from any process.
#[must_use]
pub fn remove_pod_cgroup(cgroup: &str) -> Vec<TeardownError> {
    let hierarchies = match Hierarchies::detect() {
        Ok(hierarchies) => hierarchies,
        Err(error) => return vec![error.into()],
    };
    let errors = hierarchies.group(cgroup).remove();
    remove_shared(&hierarchies, Path::new(cgroup));
    errors.into_iter().map(TeardownError::from).collect()
}

fn failed<E: Into<io::Error>>(what: impl Into<String>) -> impl FnOnce(E) -> SandboxError {
    |source| SandboxError::Setup { what: what.into(), source: source.into() }
}

/// Descriptors 0 to 2 of children are set one after the other: none of ours may be among them.
fn occupy_stdio() -> Result<(), SandboxError> {
    loop {
        let null =
            File::options().read(true).write(true).open("/dev/null").map_err(failed("open /dev/null"))?;
        if std::os::fd::AsRawFd::as_raw_fd(&null) > 2 {
            return Ok(());
        }
        std::mem::forget(null);
    }
}

/// Moves this process out of the engine's groups: what ends the engine must not end its pods. On v2
/// that takes 10 to 20 ms, so a child does it while the sandbox is made.
fn leave_engine(occupied: Hierarchies, pod: &Path) -> Result<(), SandboxError> {
    let shims = shims_cgroup(pod);
    let (v1, v2) = occupied.by_version();
    v1.tracking_group(&shims).enter()?;
    if let Some(v2) = v2 {
        let this = std::process::id();
        // Allocates, which a child of a process with one thread may.
        let mover = process::clone_child(Namespaces::NONE, None, || {
            i32::from(v2.tracking_group(&shims).add_process(this).is_err())
        });
        mover.map_err(failed("leave the engine's cgroup"))?;
    }
    Ok(())
}

fn remove_shared(hierarchies: &Hierarchies, pod: &Path) {
    shared_cgroups(pod).for_each(|group| hierarchies.tracking_group(group).remove_if_empty());
}

fn enter_namespaces(
    config: &SandboxConfig,
    netns: Option<BorrowedFd<'_>>,
) -> Result<Option<Users>, SandboxError> {
    let netns = netns.filter(|_| !config.host_network);
    let mut namespaces = Namespaces::UTS;
    if !config.host_ipc {
        namespaces = namespaces | Namespaces::IPC;
    }
    if !config.host_network && netns.is_none() {
        namespaces = namespaces | Namespaces::NET;
    }
    let users = match config.users {
        None => {
            namespace::unshare(Namespaces::MOUNT | namespaces).map_err(failed("make namespaces"))?;
            None
        }
        Some(range) => {
            namespace::unshare(Namespaces::MOUNT).map_err(failed("make a mount namespace"))?;
            // A parameter of a namespace is its root's to set, and not the host's.
            Some(Users::make(range, namespaces, || sysctl::set(config))?)
        }
    };
    times::done("make namespaces");
    if let Some(netns) = netns {
        namespace::setns(netns, Namespaces::NET).map_err(failed("join the pod's network namespace"))?;
        times::done("join network");
    }
    // What is mounted on the host later shows up here, and never the other way round.
    mount_change(c"/", MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC)
        .map_err(failed("separate the mount namespace"))?;
    times::done("separate mounts");
    if !config.host_network {
        rustix::system::sethostname(config.hostname.as_bytes()).map_err(failed("set the host name"))?;
        namespace::set_loopback_up().map_err(failed("set the loopback interface up"))?;
    }
    if users.is_none() {
        sysctl::set(config)?;
    }
    times::done("host name, loopback, sysctls");
    Ok(users)
}

/// Mounts the `/proc` of the pid namespace of `init`, which takes a process in it: one that is gone before
/// there is any other to look at it.
fn mount_proc(init: BorrowedFd<'_>, path: &Path) -> Result<(), SandboxError> {
    let failed = |source: io::Error| SandboxError::Setup {
        what: format!("mount the pod's /proc at {}", path.display()),
        source,
    };
    fs::create_dir_all(path).map_err(failed)?;
    let own = File::open("/proc/self/ns/pid").map_err(failed)?;
    namespace::setns(init, Namespaces::PID).map_err(|error| failed(error.into()))?;
    // Allocates, which a child of a process with one thread may.
    let mounter = process::clone_child(Namespaces::NONE, None, || {
        let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
        mount(c"proc", path, c"proc", flags, None::<&CStr>).map_or_else(Errno::raw_os_error, |()| 0)
    });
    namespace::setns(own.as_fd(), Namespaces::PID).map_err(|error| failed(error.into()))?;
    match mounter.and_then(|mounter| process::wait(mounter.pidfd.as_fd())).map_err(failed)? {
        ExitStatus::Code(0) => Ok(()),
        ExitStatus::Code(errno) => Err(failed(io::Error::from_raw_os_error(errno))),
        ExitStatus::Signal(_) => Err(failed(io::ErrorKind::Interrupted.into())),
    }
}

fn mount_tmpfs(tmpfs: &Tmpfs) -> Result<(), SandboxError> {
    let failed = |source: io::Error| SandboxError::Setup {
        what: format!("mount a memory volume at {}", tmpfs.path.display()),
        source,
    };
    fs::create_dir_all(&tmpfs.path).map_err(failed)?;
    let size = tmpfs.size_bytes.map(|bytes| format!(",size={bytes}")).unwrap_or_default();
    let group = tmpfs.gid.map(|gid| format!(",gid={gid}")).unwrap_or_default();
    let options = format!("mode={:o}{size}{group}", tmpfs.mode);
    let with = |options: String| {
        let options = CString::new(options)?;
        Ok(mount(c"tmpfs", &tmpfs.path, c"tmpfs", MountFlags::empty(), options.as_c_str())?)
    };
    // The option is of Linux 6.4, and not for user namespaces.
    let unswapped = tmpfs.no_swap.then(|| with(format!("{options},noswap")));
    match unswapped {
        Some(Ok(())) => Ok(()),
        Some(Err(_)) | None => with(options).map_err(failed),
    }
}
