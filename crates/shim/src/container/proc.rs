//! The `/proc` of a container whose process namespace belongs to the pod's user namespace.
//!
//! It is a mount of that namespace that only a process in it can make; and the container's own first process has no
//! rights on the host any more, and would have to find a `/proc` that nothing is mounted in. So one of the shim's does
//! it, while the first process waits and no other is there to look at it.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use linux_sys::namespace::{self, Namespaces};
use linux_sys::process::{self, Child};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};

use super::SpawnError;
use super::apply::apply;
use super::explain::explain;
use super::file_system::{Root, new_mount};
use super::step::Step;

/// The step's number and the error's.
const REPORT_BYTES: usize = 8;

/// Does the steps in the mount namespace of `first`, the first process of its pid namespace. File systems are those of
/// that namespace; a path is one in the container.
pub(super) fn set_up(first: &Child, steps: &[Step], users: BorrowedFd<'_>) -> Result<(), SpawnError> {
    let failed = || SpawnError::create::<io::Error>("work in the container's process namespace");
    let (reader, writer) = pipe_with(PipeFlags::CLOEXEC).map_err(SpawnError::create("make a pipe"))?;
    let own = File::open("/proc/self/ns/pid").map_err(failed())?;
    namespace::setns(first.pidfd.as_fd(), Namespaces::PID).map_err(io::Error::from).map_err(failed())?;
    let mut reader = Some(reader);
    // Allocates, which a child of a process with one thread may.
    let worker = process::clone_child(Namespaces::NONE, None, || {
        drop(reader.take());
        match work(first.pidfd.as_fd(), steps, users) {
            Ok(()) => 0,
            Err((at, errno)) => {
                let mut report = [0; REPORT_BYTES];
                report[..4].copy_from_slice(&u32::try_from(at).unwrap_or(u32::MAX).to_le_bytes());
                report[4..].copy_from_slice(&errno.raw_os_error().to_le_bytes());
                let _ = rustix::io::write(&writer, &report);
                1
            }
        }
    });
    namespace::setns(own.as_fd(), Namespaces::PID).map_err(io::Error::from).map_err(failed())?;
    drop(writer);
    let worker = worker.map_err(failed())?;
    let mut report = [0; REPORT_BYTES];
    let told = reader.map(|reader| File::from(reader).read_exact(&mut report).is_ok());
    let status = process::wait(worker.pidfd.as_fd()).map_err(failed())?;
    if told == Some(true) {
        let [n0, n1, n2, n3, e0, e1, e2, e3] = report;
        let errno = Errno::from_raw_os_error(i32::from_le_bytes([e0, e1, e2, e3]));
        let step = steps.get(u32::from_le_bytes([n0, n1, n2, n3]) as usize);
        let what =
            step.map_or_else(|| "cannot go to the container".to_owned(), |step| format!("cannot {step}"));
        let source = step.map_or_else(|| errno.into(), |step| explain(step, errno));
        return Err(SpawnError::Start { what, source });
    }
    if status == process::ExitStatus::Code(0) { Ok(()) } else { Err(SpawnError::Killed) }
}

/// The number past every step's is the way there.
fn work(first: BorrowedFd<'_>, steps: &[Step], users: BorrowedFd<'_>) -> Result<(), (usize, Errno)> {
    let on_the_way = |errno| (usize::MAX, errno);
    let mut root = Root::new(0, Some(users));
    let masks = steps.iter().filter(|step| matches!(step, Step::Mask(_))).count();
    root.lend_nulls(masks).map_err(on_the_way)?;
    // Where they are made, nothing has to be visible already.
    let mut made: Vec<Option<OwnedFd>> = Vec::new();
    for (at, step) in steps.iter().enumerate() {
        made.push(match step {
            Step::Mount(new) => {
                let mount = new_mount(new.file_system, &new.options, new.attributes);
                Some(mount.map_err(|errno| (at, errno))?)
            }
            _ => None,
        });
    }
    namespace::setns(first, Namespaces::MOUNT).map_err(on_the_way)?;
    root.open_current().map_err(on_the_way)?;
    for (at, (step, mount)) in steps.iter().zip(made).enumerate() {
        let done = match (step, mount) {
            (Step::Mount(new), Some(mount)) => root.attach(mount.as_fd(), &new.target),
            (step, _) => apply(step, &mut root).map(|_| ()),
        };
        done.map_err(|errno| (at, errno))?;
    }
    Ok(())
}
