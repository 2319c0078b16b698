//! A small assembler: verdicts over ranges of system call numbers to classic BPF
//! (<https://www.kernel.org/doc/html/latest/userspace-api/seccomp_filter.html>).
//!
//! A binary search takes 8 steps where a list takes hundreds, and ranges make the program short,
//! which is most of what loading it costs.

use crate::config::SockFilter;

/// What a filter says to one system call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    Allow,
    /// Fails with this errno.
    Errno(u16),
    /// Allowed when no bit of the mask is set in the low half of the first argument.
    NoneOf(u32),
    /// Allowed when the low half of the first argument is one of these.
    OneOf(&'static [u32]),
    /// Allowed unless the low half of the first argument is one of these.
    NotOneOf(&'static [u32]),
}

/// From this system call number to the next range's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Range {
    pub(super) start: u32,
    pub(super) verdict: Verdict,
}

/// The verdicts of one system call table. The first range starts at 0, the others ascend.
#[derive(Debug)]
pub(super) struct Section {
    /// `AUDIT_ARCH_*`.
    pub(super) audit_arch: u32,
    pub(super) ranges: Vec<Range>,
}

pub(super) const LOAD_WORD: u16 = 0x20; // BPF_LD | BPF_W | BPF_ABS
const JUMP: u16 = 0x05; // BPF_JMP | BPF_JA
pub(super) const JUMP_EQ: u16 = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
pub(super) const JUMP_GT: u16 = 0x25; // BPF_JMP | BPF_JGT | BPF_K
pub(super) const JUMP_GE: u16 = 0x35; // BPF_JMP | BPF_JGE | BPF_K
const JUMP_SET: u16 = 0x45; // BPF_JMP | BPF_JSET | BPF_K
pub(super) const AND: u16 = 0x54; // BPF_ALU | BPF_AND | BPF_K
pub(super) const RETURN: u16 = 0x06; // BPF_RET | BPF_K

// Offsets in struct seccomp_data.
const NUMBER: u32 = 0;
const ARCH: u32 = 4;
/// The low half of the first argument, on a little-endian machine. All arguments looked at are
/// 32 bits wide in the kernel, which ignores the rest, and so must the filter.
pub(super) const FIRST_ARGUMENT: u32 = 16;

pub(super) const KILL_PROCESS: u32 = 0x8000_0000;
pub(super) const ERRNO: u32 = 0x0005_0000;
pub(super) const ALLOW: u32 = 0x7fff_0000;
pub(super) const EPERM: u16 = 1;
pub(super) const ENOSYS: u16 = 38;

/// The program that ends with this code for each system call of the tables.
pub(super) fn assemble(sections: &[Section]) -> Vec<SockFilter> {
    let coded = |section: &Section| Code {
        audit_arch: section.audit_arch,
        ranges: section.ranges.iter().map(|range| (range.start, decide(range.verdict))).collect(),
    };
    link(&sections.iter().map(coded).collect::<Vec<_>>())
}

/// A section whose verdicts are code already, by where their ranges start; each code ends the program.
#[derive(Debug)]
pub(super) struct Code {
    pub(super) audit_arch: u32,
    pub(super) ranges: Vec<(u32, Vec<SockFilter>)>,
}

/// A process of no known table is killed: its numbers mean something else.
pub(super) fn link(sections: &[Code]) -> Vec<SockFilter> {
    let mut program = vec![SockFilter(LOAD_WORD, 0, 0, ARCH)];
    for section in sections {
        let mut body = vec![SockFilter(LOAD_WORD, 0, 0, NUMBER)];
        body.extend(search(&section.ranges));
        // Bodies are longer than a conditional jump reaches.
        program.push(SockFilter(JUMP_EQ, 1, 0, section.audit_arch));
        program.push(SockFilter(JUMP, 0, 0, length(&body)));
        program.extend(body);
    }
    program.push(SockFilter(RETURN, 0, 0, KILL_PROCESS));
    program
}

/// The number is loaded; each range ends the program.
fn search(ranges: &[(u32, Vec<SockFilter>)]) -> Vec<SockFilter> {
    let (below, above) = match ranges {
        [] => return vec![SockFilter(RETURN, 0, 0, KILL_PROCESS)],
        [(_, only)] => return only.clone(),
        _ => ranges.split_at(ranges.len() / 2),
    };
    let (lower, upper) = (search(below), search(above));
    let pivot = above[0].0;
    let mut code = match u8::try_from(lower.len()) {
        Ok(distance) => vec![SockFilter(JUMP_GE, distance, 0, pivot)],
        Err(_) => vec![SockFilter(JUMP_GE, 0, 1, pivot), SockFilter(JUMP, 0, 0, length(&lower))],
    };
    code.extend(lower);
    code.extend(upper);
    code
}

fn decide(verdict: Verdict) -> Vec<SockFilter> {
    let allow = SockFilter(RETURN, 0, 0, ALLOW);
    let deny = |errno: u16| SockFilter(RETURN, 0, 0, ERRNO | u32::from(errno));
    let load = SockFilter(LOAD_WORD, 0, 0, FIRST_ARGUMENT);
    match verdict {
        Verdict::Allow => vec![allow],
        Verdict::Errno(errno) => vec![deny(errno)],
        Verdict::NoneOf(mask) => vec![load, SockFilter(JUMP_SET, 1, 0, mask), allow, deny(EPERM)],
        Verdict::OneOf(values) => match_values(load, values, deny(EPERM), allow),
        Verdict::NotOneOf(values) => match_values(load, values, allow, deny(EPERM)),
    }
}

fn match_values(
    load: SockFilter,
    values: &[u32],
    otherwise: SockFilter,
    matched: SockFilter,
) -> Vec<SockFilter> {
    let mut code = vec![load];
    for (at, value) in values.iter().enumerate() {
        // Over the other comparisons and `otherwise`; the lists are short.
        let distance = u8::try_from(values.len() - at).unwrap_or(u8::MAX);
        code.push(SockFilter(JUMP_EQ, distance, 0, *value));
    }
    code.extend([otherwise, matched]);
    code
}

/// Programs of more than 4096 instructions the kernel refuses.
fn length(code: &[SockFilter]) -> u32 {
    u32::try_from(code.len()).unwrap_or(u32::MAX)
}
