//! From the table of system calls to verdicts over ranges of numbers.

use super::bpf::{ENOSYS, EPERM, Range, Verdict};
use super::syscalls::{ABSENT, Rule, SYS_ADMIN, SYSCALLS};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(not(test), expect(dead_code, reason = "each build knows one machine as its own"))]
pub(super) enum Machine {
    X86_64,
    Aarch64,
}

/// A system call table; the number is its column in [`SYSCALLS`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Abi {
    X86_64 = 0,
    I386 = 1,
    Aarch64 = 2,
}

impl Machine {
    /// 32-bit ARM programs are left out: few aarch64 machines run them.
    pub(super) fn abis(self) -> &'static [Abi] {
        match self {
            Self::X86_64 => &[Abi::X86_64, Abi::I386],
            Self::Aarch64 => &[Abi::Aarch64],
        }
    }
}

impl Abi {
    /// `AUDIT_ARCH_*`.
    pub(super) fn audit_arch(self) -> u32 {
        match self {
            Self::X86_64 => 0xc000_003e,
            Self::I386 => 0x4000_0003,
            Self::Aarch64 => 0xc000_00b7,
        }
    }
}

/// `CLONE_NEW{NS,CGROUP,UTS,IPC,USER,PID,NET}`.
pub(super) const CLONE_NAMESPACES: u32 = 0x7e02_0000;
/// Linux and Linux32, each also with `UNAME26`, and the query.
pub(super) const PERSONALITIES: &[u32] = &[0, 0x8, 0x2_0000, 0x2_0008, 0xffff_ffff];
/// `AF_ALG`, the kernel's crypto, and `AF_VSOCK`, the hypervisor: neither knows of namespaces.
pub(super) const FORBIDDEN_FAMILIES: &[u32] = &[38, 40];

/// From the largest number the profile names, all is newer than the profile. That covers the x32
/// table (numbers from 2^30) too: ENOSYS is what a kernel built without it says.
pub(super) fn ranges(abi: Abi, bounding: u64) -> Vec<Range> {
    let mut named: Vec<(u32, Verdict)> = SYSCALLS
        .iter()
        .filter(|(_, _, numbers)| numbers[abi as usize] != ABSENT)
        .map(|(_, rule, numbers)| (u32::from(numbers[abi as usize]), verdict(*rule, bounding)))
        .collect();
    named.sort_unstable_by_key(|(number, _)| *number);
    let mut ranges = Vec::new();
    let mut next = 0;
    for (number, verdict) in named {
        if number > next {
            extend(&mut ranges, next, Verdict::Errno(EPERM));
        }
        extend(&mut ranges, number, verdict);
        next = number + 1;
    }
    extend(&mut ranges, next, Verdict::Errno(ENOSYS));
    ranges
}

/// What is in one of the machine's tables.
pub(super) fn by_name(machine: Machine, bounding: u64) -> Vec<(&'static str, Verdict)> {
    let is_there = |numbers: &[u16; 3]| machine.abis().iter().any(|abi| numbers[*abi as usize] != ABSENT);
    SYSCALLS
        .iter()
        .filter(|(_, _, numbers)| is_there(numbers))
        .map(|(name, rule, _)| (*name, verdict(*rule, bounding)))
        .collect()
}

fn extend(ranges: &mut Vec<Range>, start: u32, verdict: Verdict) {
    if ranges.last().is_none_or(|last| last.verdict != verdict) {
        ranges.push(Range { start, verdict });
    }
}

fn verdict(rule: Rule, bounding: u64) -> Verdict {
    let administrator = bounding & SYS_ADMIN != 0;
    match rule {
        Rule::Always => Verdict::Allow,
        Rule::Any(capabilities) if bounding & capabilities != 0 => Verdict::Allow,
        Rule::Any(_) => Verdict::Errno(EPERM),
        Rule::NoNamespaces | Rule::Clone3 if administrator => Verdict::Allow,
        Rule::NoNamespaces => Verdict::NoneOf(CLONE_NAMESPACES),
        // Its flags are behind a pointer, where a filter cannot see them: let libraries use clone.
        Rule::Clone3 => Verdict::Errno(ENOSYS),
        Rule::Personality => Verdict::OneOf(PERSONALITIES),
        Rule::Socket => Verdict::NotOneOf(FORBIDDEN_FAMILIES),
    }
}
