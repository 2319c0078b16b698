//! The only crate with unsafe: processes, namespaces, mounts, cgroups, capabilities, seccomp.
//!
//! What `rustix` wraps safely is used from there; here is what it lacks, and the few compositions
//! whose correctness is the point: resolving a path inside a foreign root ([`in_root`]), removing a
//! foreign tree ([`remove_tree`]), cgroups ([`cgroup`]).
//!
//! Needs Linux 5.14: clone3, pidfd, openat2, the mount API with `mount_setattr`, `cgroup.kill`.
//!
//! Functions that say *async-signal-safe* neither allocate nor take locks, so that the child of
//! [`process::clone_child`] may call them.

pub mod cgroup;
pub mod clock;
pub mod close;
pub mod credentials;
pub mod device_filter;
pub mod exec;
pub mod fd_passing;
pub mod in_root;
pub mod inspect;
pub mod lock;
pub mod memory;
pub mod mount;
pub mod namespace;
pub mod process;
pub mod remove_tree;
pub mod rlimit;
pub mod seccomp;
pub mod signal;
pub mod tree_usage;

/// The error of the system call that just failed.
fn last_errno() -> rustix::io::Errno {
    // SAFETY: errno is thread-local and always readable.
    rustix::io::Errno::from_raw_os_error(unsafe { *libc::__errno_location() })
}
