//! Device access on cgroup v2: rules compiled to a `BPF_PROG_TYPE_CGROUP_DEVICE` program.

use std::io;
use std::mem::size_of;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// One rule; of those that match an access, the last one decides.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeviceRule {
    pub allow: bool,
    /// `a`, `b` or `c`.
    pub kind: char,
    /// `None` for any.
    pub major: Option<u32>,
    /// `None` for any.
    pub minor: Option<u32>,
    /// Of `rwm`.
    pub access: String,
}

/// One eBPF instruction as the kernel takes it.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Instruction {
    code: u8,
    /// Destination in the low half, source in the high half.
    registers: u8,
    offset: i16,
    immediate: i32,
}

// linux/bpf.h: struct bpf_cgroup_dev_ctx { u32 access_type, major, minor } with
// access_type = access << 16 | type.
const DEVICE_BLOCK: i32 = 1;
const DEVICE_CHAR: i32 = 2;
const ACCESS_MKNOD: i32 = 1;
const ACCESS_READ: i32 = 2;
const ACCESS_WRITE: i32 = 4;
const ACCESS_ALL: i32 = ACCESS_MKNOD | ACCESS_READ | ACCESS_WRITE;

const RESULT: u8 = 0;
const CONTEXT: u8 = 1;
const TYPE: u8 = 2;
const ACCESS: u8 = 3;
const MAJOR: u8 = 4;
const MINOR: u8 = 5;
const SCRATCH: u8 = 6;

const LOAD_WORD: u8 = 0x61; // BPF_LDX | BPF_MEM | BPF_W
const AND: u8 = 0x54; // BPF_ALU | BPF_AND | BPF_K
const SHIFT_RIGHT: u8 = 0x74; // BPF_ALU | BPF_RSH | BPF_K
const MOVE: u8 = 0xb4; // BPF_ALU | BPF_MOV | BPF_K
const MOVE_REGISTER: u8 = 0xbc; // BPF_ALU | BPF_MOV | BPF_X
const JUMP_EQUAL: u8 = 0x16; // BPF_JMP32 | BPF_JEQ | BPF_K
const JUMP_NOT_EQUAL: u8 = 0x56; // BPF_JMP32 | BPF_JNE | BPF_K
const EXIT: u8 = 0x95; // BPF_JMP | BPF_EXIT

/// The program that decides as `rules` do; what no rule matches is allowed.
#[must_use]
pub fn compile(rules: &[DeviceRule]) -> Vec<Instruction> {
    let mut program = vec![
        load(TYPE, 0),
        instruction(MOVE_REGISTER, ACCESS, TYPE, 0, 0),
        instruction(AND, TYPE, 0, 0, 0xffff),
        instruction(SHIFT_RIGHT, ACCESS, 0, 0, 16),
        load(MAJOR, 4),
        load(MINOR, 8),
    ];
    for rule in rules.iter().rev() {
        program.extend(compile_rule(rule));
        if matches_all(rule) {
            // The verifier refuses code that cannot be reached.
            return program;
        }
    }
    program.extend(verdict(true));
    program
}

fn matches_all(rule: &DeviceRule) -> bool {
    rule.kind == 'a'
        && rule.major.is_none()
        && rule.minor.is_none()
        && access_bits(&rule.access) == ACCESS_ALL
}

/// Tests, each of which jumps past the verdict when it fails.
fn compile_rule(rule: &DeviceRule) -> Vec<Instruction> {
    let mut tests = Vec::new();
    let mut past_if = |code: u8, register: u8, value: i32| tests.push((code, register, value));
    match rule.kind {
        'b' => past_if(JUMP_NOT_EQUAL, TYPE, DEVICE_BLOCK),
        'c' => past_if(JUMP_NOT_EQUAL, TYPE, DEVICE_CHAR),
        _ => {}
    }
    if let Some(major) = rule.major {
        past_if(JUMP_NOT_EQUAL, MAJOR, major.cast_signed());
    }
    if let Some(minor) = rule.minor {
        past_if(JUMP_NOT_EQUAL, MINOR, minor.cast_signed());
    }
    let access = access_bits(&rule.access);
    let access_test = (access != ACCESS_ALL).then_some(if rule.allow {
        // Allows only what it names entirely.
        (ACCESS_ALL & !access, JUMP_NOT_EQUAL)
    } else {
        // Denies whatever wants some of it.
        (access, JUMP_EQUAL)
    });
    let access_length = if access_test.is_some() { 3 } else { 0 };
    let length = tests.len() + access_length + 2;
    let mut code = Vec::with_capacity(length);
    let past = |at: usize| i16::try_from(length - at - 1).unwrap_or(i16::MAX);
    for (jump, register, value) in tests {
        code.push(instruction(jump, register, 0, past(code.len()), value));
    }
    if let Some((mask, jump)) = access_test {
        code.push(instruction(MOVE_REGISTER, SCRATCH, ACCESS, 0, 0));
        code.push(instruction(AND, SCRATCH, 0, 0, mask));
        code.push(instruction(jump, SCRATCH, 0, past(code.len()), 0));
    }
    code.extend(verdict(rule.allow));
    code
}

fn access_bits(access: &str) -> i32 {
    access.chars().fold(0, |bits, letter| {
        bits | match letter {
            'r' => ACCESS_READ,
            'w' => ACCESS_WRITE,
            'm' => ACCESS_MKNOD,
            _ => 0,
        }
    })
}

fn verdict(allow: bool) -> [Instruction; 2] {
    [instruction(MOVE, RESULT, 0, 0, i32::from(allow)), instruction(EXIT, 0, 0, 0, 0)]
}

fn load(register: u8, offset: i16) -> Instruction {
    instruction(LOAD_WORD, register, CONTEXT, offset, 0)
}

fn instruction(code: u8, destination: u8, source: u8, offset: i16, immediate: i32) -> Instruction {
    Instruction { code, registers: source << 4 | destination, offset, immediate }
}

const BPF_PROG_LOAD: libc::c_int = 5;
const BPF_PROG_ATTACH: libc::c_int = 8;
const BPF_PROG_TYPE_CGROUP_DEVICE: u32 = 15;
const BPF_CGROUP_DEVICE: u32 = 6;
const BPF_F_ALLOW_MULTI: u32 = 2;

/// The start of `union bpf_attr` for `BPF_PROG_LOAD`; the kernel takes the rest as zeros.
#[repr(C)]
struct LoadAttr {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buf: u64,
}

/// `union bpf_attr` for `BPF_PROG_ATTACH`.
#[repr(C)]
struct AttachAttr {
    target_fd: u32,
    attach_bpf_fd: u32,
    attach_type: u32,
    attach_flags: u32,
}

/// Has the kernel check and load a program.
///
/// # Errors
/// `EPERM` without `CAP_BPF`; `EINVAL` where device programs are not built in.
pub fn load_program(program: &[Instruction]) -> io::Result<OwnedFd> {
    let attr = LoadAttr {
        prog_type: BPF_PROG_TYPE_CGROUP_DEVICE,
        insn_cnt: u32::try_from(program.len()).map_err(|_| io::ErrorKind::InvalidInput)?,
        insns: program.as_ptr() as u64,
        license: c"Apache-2.0".as_ptr() as u64,
        log_level: 0,
        log_size: 0,
        log_buf: 0,
    };
    let fd = bpf(BPF_PROG_LOAD, &attr)?;
    // SAFETY: BPF_PROG_LOAD returns a new descriptor (closed on exec), which nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Confines the cgroup whose directory is `cgroup`; the program lives as long as the group.
///
/// # Errors
/// `bpf(2)`'s.
pub fn attach(program: BorrowedFd<'_>, cgroup: BorrowedFd<'_>) -> io::Result<()> {
    let attr = AttachAttr {
        target_fd: cgroup.as_raw_fd().cast_unsigned(),
        attach_bpf_fd: program.as_raw_fd().cast_unsigned(),
        attach_type: BPF_CGROUP_DEVICE,
        attach_flags: BPF_F_ALLOW_MULTI,
    };
    bpf(BPF_PROG_ATTACH, &attr).map(|_| ())
}

fn bpf<T>(command: libc::c_int, attr: &T) -> io::Result<libc::c_int> {
    // SAFETY: the attributes are borrowed for the call and their size is given; the pointers in them
    // are to memory that the callers keep alive.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_ref(attr), size_of::<T>()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result as libc::c_int) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(allow: bool, kind: char, major: Option<u32>, minor: Option<u32>, access: &str) -> DeviceRule {
        DeviceRule { allow, kind, major, minor, access: access.to_owned() }
    }

    /// Runs a program as the kernel would, on one access.
    fn run(program: &[Instruction], kind: i32, access: i32, major: u32, minor: u32) -> bool {
        let context = [(access << 16 | kind).cast_unsigned(), major, minor];
        let mut registers = [0_u32; 11];
        let mut at = 0;
        loop {
            let Instruction { code, registers: pair, offset, immediate } = program[at];
            let (to, from) = (usize::from(pair & 15), usize::from(pair >> 4));
            let value = immediate.cast_unsigned();
            let mut jump = false;
            match code {
                LOAD_WORD => registers[to] = context[usize::try_from(offset).unwrap() / 4],
                AND => registers[to] &= value,
                SHIFT_RIGHT => registers[to] >>= value,
                MOVE => registers[to] = value,
                MOVE_REGISTER => registers[to] = registers[from],
                JUMP_EQUAL => jump = registers[to] == value,
                JUMP_NOT_EQUAL => jump = registers[to] != value,
                EXIT => return registers[usize::from(RESULT)] == 1,
                other => panic!("unknown code {other:#x}"),
            }
            at += 1;
            if jump {
                at += usize::try_from(offset).unwrap();
            }
        }
    }

    fn default_rules() -> Vec<DeviceRule> {
        vec![
            rule(false, 'a', None, None, "rwm"),
            rule(true, 'c', None, None, "m"),
            rule(true, 'c', Some(1), Some(3), "rwm"),
            rule(true, 'c', Some(136), None, "rw"),
            rule(false, 'c', Some(136), Some(9), "w"),
        ]
    }

    #[test]
    fn the_last_matching_rule_decides() {
        let program = compile(&default_rules());
        let allowed = |kind, access, major, minor| run(&program, kind, access, major, minor);
        assert!(allowed(DEVICE_CHAR, ACCESS_READ | ACCESS_WRITE, 1, 3));
        assert!(!allowed(DEVICE_CHAR, ACCESS_READ, 1, 1));
        assert!(allowed(DEVICE_CHAR, ACCESS_MKNOD, 1, 1));
        assert!(!allowed(DEVICE_CHAR, ACCESS_MKNOD | ACCESS_READ, 1, 1));
        assert!(!allowed(DEVICE_BLOCK, ACCESS_MKNOD, 8, 0));
        assert!(allowed(DEVICE_CHAR, ACCESS_READ | ACCESS_WRITE, 136, 5));
        assert!(!allowed(DEVICE_CHAR, ACCESS_READ | ACCESS_WRITE, 136, 9));
        assert!(allowed(DEVICE_CHAR, ACCESS_READ, 136, 9));
    }

    #[test]
    fn what_no_rule_matches_is_allowed() {
        assert!(run(&compile(&[]), DEVICE_BLOCK, ACCESS_WRITE, 8, 0));
        let one = compile(&[rule(false, 'b', Some(8), None, "w")]);
        assert!(!run(&one, DEVICE_BLOCK, ACCESS_WRITE, 8, 1));
        assert!(run(&one, DEVICE_BLOCK, ACCESS_READ, 8, 1));
    }

    #[test]
    fn the_kernel_accepts_the_program() {
        for rules in [Vec::new(), default_rules(), vec![rule(true, 'a', None, None, "rwm")]] {
            match load_program(&compile(&rules)) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                    println!("Skipped(no CAP_BPF)");
                }
                Err(error) => panic!("{rules:?}: {error}"),
            }
        }
    }
}
