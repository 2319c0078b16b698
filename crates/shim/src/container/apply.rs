//! Carries out one step. Async-signal-safe: the child neither allocates nor takes locks.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use linux_sys::namespace::{self, Namespaces};
use linux_sys::rlimit::{self, Limit};
use linux_sys::{credentials, exec, seccomp, signal};
use rustix::fs::{Gid, Mode, OFlags, Uid, open};
use rustix::io::{Errno, write};
use rustix::process::Signal;

use super::file_system::{self, Root};
use super::step::Step;
use super::users;

/// What became of a step that did not fail.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Outcome {
    Done,
    /// Not permitted on this machine, and not needed to go on.
    Tolerated(Errno),
}

pub(super) const STDERR_FD: u32 = 2;

pub(super) fn apply(step: &Step, root: &mut Root<'_>) -> Result<Outcome, Errno> {
    match step {
        Step::OomScoreAdj(value) => return set_oom_score_adj(value),
        Step::ResourceLimit { resource, limit } => return set_resource_limit(*resource, *limit),
        Step::Overlay(overlay) => root.mount_overlay(overlay),
        Step::EmptyRoot => root.mount_empty(),
        Step::OpenRoot => root.open_current(),
        Step::Mount(new) => root.mount(new),
        Step::MountDev(new, nodes) => root.mount_dev(new, nodes),
        Step::InputFromOwnNull => root.input_from_own_null(),
        Step::MountCgroupV1(new, hierarchies) => root.mount_cgroup_v1(new, hierarchies),
        Step::Attach { mount, target, .. } => root.attach(mount.as_fd(), target),
        Step::Bind(bind) => root.bind(bind),
        Step::Console(terminal) => root.mount_console(terminal.as_fd()),
        Step::Mask(path) => root.mask(path),
        Step::MakeReadOnly(path) => root.make_read_only(path),
        Step::MakeDirectory(path) => root.make_directory(path),
        Step::MakeRootReadOnly => root.make_overlays_read_only(),
        Step::LeaveShared => file_system::leave_shared(),
        Step::PivotRoot => root.pivot(),
        Step::ChangeDirectory(path) => root.change_directory(path),
        Step::EnterUsers(kinds) => enter_users(root.users()?, *kinds),
        process => apply_to_process(process),
    }?;
    Ok(Outcome::Done)
}

/// The steps that have nothing to do with the root.
fn apply_to_process(step: &Step) -> Result<(), Errno> {
    match step {
        Step::Reset => {
            signal::reset();
            rustix::process::umask(Mode::empty());
            Ok(())
        }
        Step::JoinCgroup(groups) => join_cgroup(groups),
        Step::NewCgroupNamespace => namespace::unshare(Namespaces::CGROUP),
        Step::JoinNamespaces(process, kinds) => namespace::setns(process.as_fd(), *kinds),
        Step::BeRoot => users::be_root(),
        Step::MakeFilesOf(id) => credentials::make_files_of(*id, *id),
        Step::JoinPidNamespace(process) => namespace::setns(process.as_fd(), Namespaces::PID),
        Step::AppArmor(said) => change_profile(said),
        Step::NewSession => rustix::process::setsid().map(|_| ()),
        Step::NewKeyring => match credentials::new_session_keyring() {
            Err(Errno::NOSYS) => Ok(()),
            other => other,
        },
        Step::Stdio(files) => set_stdio(files),
        Step::ControllingTerminal => rustix::process::ioctl_tiocsctty(rustix::stdio::stdin()),
        Step::Umask(mask) => {
            rustix::process::umask(Mode::from_raw_mode(*mask));
            Ok(())
        }
        Step::LimitBounding(keep) => credentials::limit_bounding(*keep),
        Step::SetGroups(groups) => rustix::thread::set_thread_groups(groups),
        Step::SetGid(gid) => rustix::thread::set_thread_gid(Gid::from_raw(*gid)),
        Step::SetUid(uid) => {
            rustix::thread::set_keep_capabilities(true)?;
            rustix::thread::set_thread_uid(Uid::from_raw(*uid))
        }
        Step::SetCapabilities { effective, permitted } => {
            credentials::set_capabilities(*effective, *permitted)
        }
        Step::RaiseCapabilities => {
            let permitted = credentials::permitted_capabilities()?;
            credentials::set_capabilities(permitted, permitted)
        }
        Step::EndWithParent => rustix::process::set_parent_process_death_signal(Some(Signal::KILL)),
        Step::NoNewPrivileges => rustix::thread::set_no_new_privs(true),
        Step::LoadSeccomp(program) => seccomp::load(program),
        Step::CloseOnExec => exec::close_on_exec_from(STDERR_FD + 1),
        _ => Err(Errno::INVAL),
    }
}

fn enter_users(users: BorrowedFd<'_>, kinds: Namespaces) -> Result<(), Errno> {
    namespace::setns(users, Namespaces::USER)?;
    users::be_root()?;
    namespace::unshare(kinds)
}

/// Kernels from 5.8 on have a directory for each of their security modules. A profile that is not there is `NOENT`.
fn change_profile(said: &CStr) -> Result<(), Errno> {
    let open = |path| open(path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty());
    let file = match open(c"/proc/self/attr/apparmor/exec") {
        Err(Errno::NOENT) => open(c"/proc/self/attr/exec").map_err(|_| Errno::OPNOTSUPP)?,
        other => other?,
    };
    write(&file, said.to_bytes()).map(|_| ())
}

fn join_cgroup(groups: &[OwnedFd]) -> Result<(), Errno> {
    groups.iter().try_for_each(|group| write(group, b"0").map(|_| ()))
}

fn set_stdio([stdin, stdout, stderr]: &[OwnedFd; 3]) -> Result<(), Errno> {
    rustix::stdio::dup2_stdin(stdin)?;
    rustix::stdio::dup2_stdout(stdout)?;
    rustix::stdio::dup2_stderr(stderr)
}

/// Less than the current value needs `CAP_SYS_RESOURCE`.
fn set_oom_score_adj(value: &CStr) -> Result<Outcome, Errno> {
    let file = open(c"/proc/self/oom_score_adj", OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
    match write(&file, value.to_bytes()) {
        Ok(_) => Ok(Outcome::Done),
        Err(error @ (Errno::ACCESS | Errno::PERM)) => Ok(Outcome::Tolerated(error)),
        Err(error) => Err(error),
    }
}

/// More than the current hard limit needs `CAP_SYS_RESOURCE`.
fn set_resource_limit(resource: u32, limit: Limit) -> Result<Outcome, Errno> {
    match rlimit::set(resource, limit) {
        Err(Errno::PERM) => {
            let hard = limit.hard.min(rlimit::read(resource)?.hard);
            rlimit::set(resource, Limit { soft: limit.soft.min(hard), hard })?;
            Ok(Outcome::Tolerated(Errno::PERM))
        }
        other => other.map(|()| Outcome::Done),
    }
}
