//! What a child does between clone and execve, as data.

use std::ffi::{CStr, CString};
use std::fmt;
use std::os::fd::OwnedFd;

use linux_sys::in_root::Missing;
use linux_sys::namespace::Namespaces;
use linux_sys::rlimit::Limit;
use linux_sys::seccomp::Instruction;
use rustix::fs::Gid;

use super::devices::Node;

/// One thing to do. Everything it needs is allocated and, where the shim's view of the files serves,
/// opened already. Its `Display` completes "cannot ...".
#[derive(Debug)]
pub(super) enum Step {
    /// Signals, and for what the steps make the umask.
    Reset,
    /// v1: every file is one group's `cgroup.procs`.
    JoinCgroup(Vec<OwnedFd>),
    NewCgroupNamespace,
    /// Namespaces of the process, whose root becomes this one's.
    JoinNamespaces(OwnedFd, Namespaces),
    /// The pod's user namespace, as its root, and new namespaces of these kinds that are its. What this process had
    /// of rights is then the namespace's alone, and mounts that it had are locked.
    EnterUsers(Namespaces),
    /// Of the user namespace that was joined.
    BeRoot,
    /// What is made in file systems belongs to the user and the group that have this id.
    MakeFilesOf(u32),
    /// The pid namespace of the process, for [`Step::Appear`].
    JoinPidNamespace(OwnedFd),
    /// Ends this process and goes on in a copy, the first of its kind in the pid namespace that was
    /// joined. Whoever in there may trace finds the copy as it is now, so this comes when it is no more
    /// than they are, and has no descriptors but its own. The session and what ends it with the shim it
    /// has to set itself.
    Appear,
    /// As [`Step::Appear`], in a pid namespace that has no process yet; then waits until `/proc` is mounted.
    AppearFirst,
    NewSession,
    /// Without it, the keys of whoever started the engine would be the container's.
    NewKeyring,
    Stdio([OwnedFd; 3]),
    /// Standard input becomes the controlling terminal.
    ControllingTerminal,
    /// Lower values than the current one may be refused; then it stays.
    OomScoreAdj(CString),
    /// What AppArmor is told: `exec` and the name of a profile.
    AppArmor(CString),
    /// The first one is the root.
    Overlay(Overlay),
    /// An empty, read-only root.
    EmptyRoot,
    /// The current root.
    OpenRoot,
    Mount(NewMount),
    /// tmpfs with the standard nodes and links, and these.
    MountDev(NewMount, Vec<Node>),
    /// `/dev/null` of [`Step::MountDev`] becomes standard input.
    InputFromOwnNull,
    /// tmpfs with a directory for each v1 hierarchy, in which the container's own group is mounted.
    MountCgroupV1(NewMount, Vec<V1Hierarchy>),
    /// Made or copied by the parent.
    Attach {
        what: &'static str,
        mount: OwnedFd,
        target: CString,
    },
    Bind(Bind),
    /// The terminal's other end, at `/dev/console`.
    Console(OwnedFd),
    Mask(CString),
    MakeReadOnly(CString),
    MakeDirectory(CString),
    MakeRootReadOnly,
    /// What is mounted here, and [`Step::PivotRoot`] unmounts, stays with those who have it too. What the parent has opened
    /// is not here.
    LeaveShared,
    PivotRoot,
    /// A hard limit above the current one may be refused; then it is the current one.
    ResourceLimit {
        resource: u32,
        limit: Limit,
    },
    Umask(u32),
    ChangeDirectory(CString),
    LimitBounding(u64),
    SetGroups(Vec<Gid>),
    SetGid(u32),
    /// Keeping capabilities.
    SetUid(u32),
    /// And no inheritable ones, with which the ambient ones go too.
    SetCapabilities {
        effective: u64,
        permitted: u64,
    },
    /// What is permitted becomes effective again, for the steps before [`Step::SetCapabilities`].
    RaiseCapabilities,
    /// Ends with the shim.
    EndWithParent,
    NoNewPrivileges,
    LoadSeccomp(Vec<Instruction>),
    CloseOnExec,
}

/// An overlay of image directories below a private writable one.
#[derive(Debug)]
pub(super) struct Overlay {
    /// Topmost first.
    pub(super) lower: Vec<CString>,
    pub(super) upper: CString,
    pub(super) work: CString,
    pub(super) at: OverlayTarget,
    /// Where copies of the lower directories' mounts are mounted that have the pod's ids: overlay takes none that are
    /// mounted nowhere. An existing directory outside.
    pub(super) mapped_at: Option<CString>,
}

#[derive(Debug)]
pub(super) enum OverlayTarget {
    /// An existing directory outside; what is mounted there becomes the root.
    Root(CString),
    Inside(CString),
}

/// A file system to make and mount.
#[derive(Debug)]
pub(super) struct NewMount {
    pub(super) file_system: &'static CStr,
    pub(super) options: Vec<(&'static CStr, CString)>,
    /// `MOUNT_ATTR_*`.
    pub(super) attributes: u64,
    pub(super) target: CString,
}

#[derive(Debug)]
pub(super) struct V1Hierarchy {
    /// Of its directory, as on the host.
    pub(super) name: CString,
    /// The container's own group on the host.
    pub(super) group: CString,
    /// Names that lead to it: its controllers, when there are several.
    pub(super) links: Vec<CString>,
}

#[derive(Debug)]
pub(super) struct Bind {
    /// For people: a volume's name, or where on the host it is.
    pub(super) what: String,
    pub(super) source: Source,
    pub(super) kind: Missing,
    /// `MOUNT_ATTR_*`, of the uppermost mount.
    pub(super) attributes: u64,
    /// And what is mounted below it is read-only.
    pub(super) all_read_only: bool,
    pub(super) receives_mounts: bool,
    /// What is mounted below it shows up where it is from.
    pub(super) shares_mounts: bool,
    /// Ids of files are the pod's.
    pub(super) maps_ids: bool,
    pub(super) target: CString,
}

#[derive(Debug)]
pub(super) enum Source {
    /// A path as the shim sees it, `recursive` with everything mounted below it.
    Path { path: CString, recursive: bool },
    /// Made by the parent, and mounted nowhere yet.
    Tree(OwnedFd),
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reset => f.write_str("reset signals"),
            Self::NewKeyring => f.write_str("make a session keyring"),
            Self::JoinCgroup(_) => f.write_str("join the container's cgroup"),
            Self::NewCgroupNamespace => f.write_str("make a cgroup namespace"),
            Self::JoinNamespaces(..) => f.write_str("join the container's namespaces"),
            Self::JoinPidNamespace(_) => f.write_str("join the pod's process namespace"),
            Self::EnterUsers(_) => f.write_str("enter the pod's user namespace"),
            Self::BeRoot => f.write_str("be the root of the pod's user namespace"),
            Self::MakeFilesOf(id) => write!(f, "make files of user {id}"),
            Self::Appear | Self::AppearFirst => {
                f.write_str("start in the process namespace; its first process may have ended")
            }
            Self::NewSession => f.write_str("start a session"),
            Self::Stdio(_) => f.write_str("set up standard input and output"),
            Self::ControllingTerminal => f.write_str("set up the terminal"),
            Self::OomScoreAdj(value) => write!(f, "set oom_score_adj to {}", text(value)),
            Self::AppArmor(said) => {
                let said = text(said);
                let name = said.strip_prefix("exec ").unwrap_or(&said);
                write!(f, "confine the process by AppArmor profile {name:?}")
            }
            Self::Overlay(overlay) => match &overlay.at {
                OverlayTarget::Root(_) => f.write_str("mount the root file system"),
                OverlayTarget::Inside(target) => write!(f, "mount overlay at {}", text(target)),
            },
            Self::EmptyRoot => f.write_str("mount an empty root"),
            Self::OpenRoot => f.write_str("open the root"),
            Self::Mount(mount) | Self::MountDev(mount, _) | Self::MountCgroupV1(mount, _) => {
                write!(f, "mount {} at {}", text(mount.file_system), text(&mount.target))
            }
            Self::InputFromOwnNull => f.write_str("open /dev/null"),
            Self::Attach { what, target, .. } => write!(f, "mount {what} at {}", text(target)),
            Self::Bind(bind) => write!(f, "mount {} at {}", bind.what, text(&bind.target)),
            Self::Console(_) => f.write_str("mount the terminal at /dev/console"),
            Self::Mask(path) => write!(f, "hide {}", text(path)),
            Self::MakeReadOnly(path) => write!(f, "make {} read-only", text(path)),
            Self::MakeDirectory(path) => write!(f, "make the working directory {}", text(path)),
            Self::MakeRootReadOnly => f.write_str("make the root file system read-only"),
            Self::LeaveShared => f.write_str("leave the mounts of others"),
            Self::PivotRoot => f.write_str("change the root"),
            Self::ResourceLimit { resource, limit } => {
                write!(f, "set resource limit {resource} to {}:{}", limit.soft, limit.hard)
            }
            Self::Umask(_) => f.write_str("set the umask"),
            Self::ChangeDirectory(path) => write!(f, "change to the working directory {}", text(path)),
            Self::LimitBounding(_) => f.write_str("limit the capability bounding set"),
            Self::SetGroups(_) => f.write_str("set supplementary groups"),
            Self::SetGid(gid) => write!(f, "change to group {gid}"),
            Self::SetUid(uid) => write!(f, "change to user {uid}"),
            Self::SetCapabilities { .. } | Self::RaiseCapabilities => f.write_str("set capabilities"),
            Self::EndWithParent => f.write_str("bind the process to the shim"),
            Self::NoNewPrivileges => f.write_str("set no_new_privs"),
            Self::LoadSeccomp(_) => f.write_str("load the seccomp filter"),
            Self::CloseOnExec => f.write_str("close file descriptors"),
        }
    }
}

fn text(string: &CStr) -> std::borrow::Cow<'_, str> {
    string.to_string_lossy()
}
