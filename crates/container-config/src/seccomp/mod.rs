//! Seccomp profiles (<https://kubernetes.io/docs/reference/node/seccomp/>), as classic BPF programs.
//!
//! The verdicts of `RuntimeDefault` are those of containerd's default profile: an allow-list, some of it bound to
//! capabilities or arguments; EPERM for everything else the profile knows of, ENOSYS for system calls
//! newer than it, so that a C library falls back to older ones.

mod bpf;
mod localhost;
mod profile;
mod syscalls;
#[cfg(test)]
mod tests;

use crate::config::SockFilter;
pub use bpf::Verdict;
use profile::Machine;

#[cfg(target_arch = "x86_64")]
const NATIVE: Machine = Machine::X86_64;
#[cfg(target_arch = "aarch64")]
const NATIVE: Machine = Machine::Aarch64;
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
compile_error!("the seccomp profile has no system call numbers for this architecture");

/// The profile for a process with this bounding set of capabilities, for the machine this program
/// was built for.
pub(crate) fn runtime_default(bounding: u64) -> Vec<SockFilter> {
    program(NATIVE, bounding)
}

/// A profile from a file, for the machine this program was built for.
///
/// # Errors
/// What is wrong with the text.
pub(crate) fn compile(text: &str, bounding: u64) -> Result<Vec<SockFilter>, String> {
    localhost::compile(NATIVE, text, bounding)
}

/// The profile `RuntimeDefault` by the names of the system calls, of which one may be missing from some of the
/// machine's tables: for whoever confines a process by other means. A name that is not here fails
/// with EPERM.
#[must_use]
pub fn runtime_default_verdicts(bounding: u64) -> Vec<(&'static str, Verdict)> {
    profile::by_name(NATIVE, bounding)
}

/// One section per system call table that the machine has.
fn program(machine: Machine, bounding: u64) -> Vec<SockFilter> {
    let sections: Vec<bpf::Section> = machine
        .abis()
        .iter()
        .map(|abi| bpf::Section { audit_arch: abi.audit_arch(), ranges: profile::ranges(*abi, bounding) })
        .collect();
    bpf::assemble(&sections)
}
