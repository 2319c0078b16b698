//! Every verdict, read by an interpreter of the program itself.

use super::bpf::{ENOSYS, EPERM, Verdict};
use super::profile::{Abi, Machine};
use super::program;
use super::syscalls::{ABSENT, Rule, SYSCALLS};
use crate::capabilities::bit;
use crate::config::SockFilter;

const ALLOW: u32 = 0x7fff_0000;
const KILL: u32 = 0x8000_0000;
const NO_CAPABILITIES: u64 = 0;
const ALL_CAPABILITIES: u64 = (1 << 41) - 1;

fn errno(number: u16) -> u32 {
    0x0005_0000 | u32::from(number)
}

/// `struct seccomp_data`, as far as the program may look.
#[derive(Clone, Copy)]
pub(super) struct Call {
    pub(super) arch: u32,
    pub(super) number: u32,
    pub(super) arguments: [u64; 6],
}

fn first(argument: u64) -> [u64; 6] {
    [argument, 0, 0, 0, 0, 0]
}

/// Runs the program as the kernel would; panics where the kernel would refuse to load it.
pub(super) fn run(program: &[SockFilter], call: Call) -> u32 {
    let (mut at, mut accumulator) = (0, 0_u32);
    loop {
        let SockFilter(code, jt, jf, k) = program[at];
        let branch = |taken: bool| usize::from(if taken { jt } else { jf });
        at += 1;
        match code {
            0x20 => {
                accumulator = match k {
                    0 => call.number,
                    4 => call.arch,
                    16..64 if k % 4 == 0 => {
                        let argument = call.arguments[usize::try_from((k - 16) / 8).unwrap()];
                        u32::try_from(if k % 8 == 0 { argument & 0xffff_ffff } else { argument >> 32 })
                            .unwrap()
                    }
                    _ => panic!("load at {k}"),
                }
            }
            0x05 => at += usize::try_from(k).unwrap(),
            0x54 => accumulator &= k,
            0x25 => at += branch(accumulator > k),
            0x15 => at += branch(accumulator == k),
            0x35 => at += branch(accumulator >= k),
            0x45 => at += branch(accumulator & k != 0),
            0x06 => return k,
            _ => panic!("instruction {code:#x}"),
        }
    }
}

fn verdict_of(machine: Machine, abi: Abi, bounding: u64, name: &str, argument: u64) -> u32 {
    let (_, _, numbers) = SYSCALLS.iter().find(|(known, ..)| *known == name).expect("a known name");
    let call =
        Call { arch: abi.audit_arch(), number: u32::from(numbers[abi as usize]), arguments: first(argument) };
    run(&program(machine, bounding), call)
}

fn native(bounding: u64, name: &str, argument: u64) -> u32 {
    verdict_of(Machine::X86_64, Abi::X86_64, bounding, name, argument)
}

const TABLES: [(Machine, Abi); 3] =
    [(Machine::X86_64, Abi::X86_64), (Machine::X86_64, Abi::I386), (Machine::Aarch64, Abi::Aarch64)];

#[test]
fn every_number_has_the_verdict_of_its_rule() {
    for (machine, abi) in TABLES {
        for bounding in [NO_CAPABILITIES, ALL_CAPABILITIES, bit("SYS_ADMIN"), bit("SYS_PTRACE") | bit("BPF")]
        {
            let program = program(machine, bounding);
            let newest =
                SYSCALLS.iter().map(|row| row.2[abi as usize]).filter(|n| *n != ABSENT).max().unwrap();
            for number in 0..1000_u16 {
                let row = SYSCALLS.iter().find(|row| row.2[abi as usize] == number);
                let expected = match row.map(|row| row.1) {
                    Some(Rule::Always | Rule::Personality | Rule::Socket | Rule::NoNamespaces) => ALLOW,
                    Some(Rule::Any(capabilities)) if bounding & capabilities != 0 => ALLOW,
                    Some(Rule::Clone3) if bounding & bit("SYS_ADMIN") != 0 => ALLOW,
                    Some(Rule::Clone3) => errno(ENOSYS),
                    None if number > newest => errno(ENOSYS),
                    Some(Rule::Any(_)) | None => errno(EPERM),
                };
                // An argument of 0 is harmless to every rule.
                let call = Call { arch: abi.audit_arch(), number: u32::from(number), arguments: first(0) };
                assert_eq!(run(&program, call), expected, "{abi:?} {number} {row:?}");
            }
        }
    }
}

#[test]
fn capabilities_open_what_needs_them() {
    for (name, capability) in [
        ("mount", "SYS_ADMIN"),
        ("unshare", "SYS_ADMIN"),
        ("setns", "SYS_ADMIN"),
        ("bpf", "BPF"),
        ("bpf", "SYS_ADMIN"),
        ("perf_event_open", "PERFMON"),
        ("syslog", "SYSLOG"),
        ("chroot", "SYS_CHROOT"),
        ("reboot", "SYS_BOOT"),
        ("open_by_handle_at", "DAC_READ_SEARCH"),
        ("init_module", "SYS_MODULE"),
        ("process_madvise", "SYS_PTRACE"),
        ("settimeofday", "SYS_TIME"),
        ("mbind", "SYS_NICE"),
        ("iopl", "SYS_RAWIO"),
    ] {
        assert_eq!(native(NO_CAPABILITIES, name, 0), errno(EPERM), "{name}");
        assert_eq!(native(bit(capability), name, 0), ALLOW, "{name} with {capability}");
    }
    for never in ["keyctl", "add_key", "io_uring_setup", "kexec_load", "swapon", "userfaultfd", "pivot_root"]
    {
        assert!(SYSCALLS.iter().all(|(name, ..)| *name != never), "{never} is in no rule");
    }
}

#[test]
fn clone_makes_no_namespaces() {
    const CLONE_NEWUSER: u64 = 0x1000_0000;
    const CLONE_NEWNET: u64 = 0x4000_0000;
    const THREAD: u64 = 0x003d_0f00;
    for (machine, abi) in TABLES {
        let clone = |bounding, flags| verdict_of(machine, abi, bounding, "clone", flags);
        assert_eq!(clone(NO_CAPABILITIES, THREAD), ALLOW);
        assert_eq!(clone(NO_CAPABILITIES, CLONE_NEWUSER), errno(EPERM));
        assert_eq!(clone(NO_CAPABILITIES, THREAD | CLONE_NEWNET), errno(EPERM));
        assert_eq!(clone(bit("SYS_ADMIN"), CLONE_NEWUSER), ALLOW);
    }
    assert_eq!(native(NO_CAPABILITIES, "clone3", 0), errno(ENOSYS));
    assert_eq!(native(bit("SYS_ADMIN"), "clone3", 0), ALLOW);
}

#[test]
fn personality_keeps_the_memory_layout_random() {
    const ADDR_NO_RANDOMIZE: u64 = 0x4_0000;
    for value in [0, 8, 0x2_0000, 0x2_0008, 0xffff_ffff, u64::MAX] {
        assert_eq!(native(ALL_CAPABILITIES, "personality", value), ALLOW, "{value:#x}");
    }
    for value in [1, ADDR_NO_RANDOMIZE, 0x2_0001] {
        assert_eq!(native(ALL_CAPABILITIES, "personality", value), errno(EPERM), "{value:#x}");
    }
}

#[test]
fn sockets_reach_neither_hypervisor_nor_kernel_crypto() {
    for family in [0, 1, 2, 10, 16, 17, 39, 41, 46] {
        assert_eq!(native(NO_CAPABILITIES, "socket", family), ALLOW, "{family}");
    }
    // The kernel ignores the upper half of the argument.
    for family in [38, 40, 0x1_0000_0028] {
        assert_eq!(native(ALL_CAPABILITIES, "socket", family), errno(EPERM), "{family:#x}");
    }
}

#[test]
fn foreign_tables_are_refused() {
    let x86 = program(Machine::X86_64, ALL_CAPABILITIES);
    let call = |arch, number| Call { arch, number, arguments: first(0) };
    // x32: the table of x86-64 with bit 30 set.
    assert_eq!(run(&x86, call(Abi::X86_64.audit_arch(), 0x4000_0000)), errno(ENOSYS));
    assert_eq!(run(&x86, call(Abi::Aarch64.audit_arch(), 0)), KILL);
    let arm = program(Machine::Aarch64, ALL_CAPABILITIES);
    assert_eq!(run(&arm, call(Abi::X86_64.audit_arch(), 0)), KILL);
}

#[test]
fn programs_are_short_and_loadable() {
    for bounding in [NO_CAPABILITIES, ALL_CAPABILITIES] {
        for machine in [Machine::X86_64, Machine::Aarch64] {
            let program = program(machine, bounding);
            assert!(program.len() < 500, "{} instructions", program.len());
            for (at, SockFilter(code, jt, jf, k)) in program.iter().enumerate() {
                let furthest = match code {
                    0x05 => usize::try_from(*k).unwrap(),
                    0x15 | 0x35 | 0x45 => usize::from(*jt.max(jf)),
                    _ => continue,
                };
                assert!(at + 1 + furthest < program.len(), "jump out of the program at {at}");
            }
            assert_eq!(program.last().unwrap().0, 0x06, "ends with a return");
        }
    }
}

/// A sample of the table against the C library's, for the machine of this build.
#[test]
fn numbers_are_those_of_the_c_library() {
    let abi = if cfg!(target_arch = "x86_64") { Abi::X86_64 } else { Abi::Aarch64 };
    macro_rules! check {
        ($($name:ident $number:ident)*) => {
            $(
                let row = SYSCALLS.iter().find(|(name, ..)| *name == stringify!($name)).unwrap();
                assert_eq!(i64::from(row.2[abi as usize]), libc::$number, stringify!($name));
            )*
        };
    }
    check!(
        read SYS_read write SYS_write close SYS_close fstat SYS_fstat newfstatat SYS_newfstatat
        lseek SYS_lseek mmap SYS_mmap mprotect SYS_mprotect munmap SYS_munmap brk SYS_brk
        rt_sigaction SYS_rt_sigaction rt_sigreturn SYS_rt_sigreturn ioctl SYS_ioctl pread64 SYS_pread64
        writev SYS_writev sendfile SYS_sendfile fcntl SYS_fcntl ftruncate SYS_ftruncate
        truncate SYS_truncate statfs SYS_statfs fadvise64 SYS_fadvise64 clone SYS_clone execve SYS_execve
        exit SYS_exit wait4 SYS_wait4 kill SYS_kill socket SYS_socket bind SYS_bind mount SYS_mount
        umount2 SYS_umount2 renameat SYS_renameat getrlimit SYS_getrlimit prlimit64 SYS_prlimit64
        getrandom SYS_getrandom seccomp SYS_seccomp bpf SYS_bpf statx SYS_statx rseq SYS_rseq
        clone3 SYS_clone3 close_range SYS_close_range openat2 SYS_openat2 faccessat2 SYS_faccessat2
        futex_waitv SYS_futex_waitv personality SYS_personality ptrace SYS_ptrace setns SYS_setns
        unshare SYS_unshare landlock_restrict_self SYS_landlock_restrict_self
        memfd_secret SYS_memfd_secret set_mempolicy_home_node SYS_set_mempolicy_home_node
        sync_file_range SYS_sync_file_range accept4 SYS_accept4 recvmmsg SYS_recvmmsg
    );
}

#[test]
fn names_have_the_verdicts_of_their_numbers() {
    let verdicts = super::runtime_default_verdicts(bit("SYS_PTRACE"));
    let of = |name: &str| verdicts.iter().find(|(known, _)| *known == name).map(|(_, verdict)| *verdict);
    assert_eq!(of("read"), Some(Verdict::Allow));
    assert_eq!(of("kcmp"), Some(Verdict::Allow));
    assert_eq!(of("mount"), Some(Verdict::Errno(EPERM)));
    assert_eq!(of("clone3"), Some(Verdict::Errno(ENOSYS)));
    assert_eq!(of("keyctl"), None);
    assert_eq!(of("stat64").is_some(), cfg!(target_arch = "x86_64"), "a call of the i386 table alone");
}
