//! Profiles from files: `linux.seccomp` of the OCI runtime specification
//! (<https://github.com/opencontainers/runtime-spec/blob/main/config-linux.md#seccomp>), and what Docker's files have
//! besides (`archMap`, `includes`, `excludes`).
//!
//! Of several rules for a system call those with conditions come first, each in the order of the file; the first that
//! holds counts. Calls of the x32 table fail with ENOSYS whatever the profile says, so that none passes by another number.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::bpf::{
    ALLOW, AND, Code, ENOSYS, EPERM, ERRNO, FIRST_ARGUMENT, JUMP_EQ, JUMP_GE, JUMP_GT, KILL_PROCESS,
    LOAD_WORD, RETURN, link,
};
use super::profile::{Abi, Machine};
use super::syscalls::{ABSENT, OTHER_SYSCALLS, SYSCALLS};
use crate::capabilities;
use crate::config::SockFilter;

/// The kernel's own bound.
const INSTRUCTIONS_MAX: usize = 4096;
const ARGUMENTS: u32 = 6;
/// From here on the numbers are of the x32 table.
const X32: u32 = 0x4000_0000;
/// What every kernel that this program runs on has.
const KERNEL: (u32, u32) = (5, 14);

#[derive(Deserialize, Debug)]
#[serde(rename_all = "camelCase")]
struct Profile {
    default_action: String,
    default_errno_ret: Option<u32>,
    #[serde(default)]
    architectures: Vec<String>,
    #[serde(default)]
    arch_map: Vec<ArchMap>,
    #[serde(default)]
    syscalls: Vec<Rule>,
}

#[derive(Deserialize, Debug)]
#[serde(rename_all = "camelCase")]
struct ArchMap {
    architecture: String,
    #[serde(default)]
    sub_architectures: Option<Vec<String>>,
}

#[derive(Deserialize, Debug)]
#[serde(rename_all = "camelCase")]
struct Rule {
    #[serde(default)]
    names: Vec<String>,
    /// As older files have it.
    name: Option<String>,
    action: String,
    errno_ret: Option<u32>,
    #[serde(default)]
    args: Option<Vec<Condition>>,
    #[serde(default)]
    includes: Option<Filter>,
    #[serde(default)]
    excludes: Option<Filter>,
}

#[derive(Deserialize, Clone, Debug)]
#[serde(rename_all = "camelCase")]
struct Condition {
    index: u32,
    value: u64,
    #[serde(default)]
    value_two: u64,
    op: String,
}

#[derive(Deserialize, Debug, Default)]
#[serde(rename_all = "camelCase")]
struct Filter {
    #[serde(default)]
    caps: Vec<String>,
    #[serde(default)]
    arches: Vec<String>,
    min_kernel: Option<String>,
}

/// All conditions hold: this action.
#[derive(Clone, Debug)]
struct Clause {
    conditions: Vec<Condition>,
    action: u32,
}

pub(super) fn compile(machine: Machine, text: &str, bounding: u64) -> Result<Vec<SockFilter>, String> {
    let profile: Profile = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let default = action(&profile.default_action, profile.default_errno_ret)?;
    let mut sections = Vec::new();
    for abi in profile.abis(machine) {
        let clauses = profile.clauses(machine, abi, bounding)?;
        sections.push(Code { audit_arch: abi.audit_arch(), ranges: ranges(abi, &clauses, default)? });
    }
    let program = link(&sections);
    if program.len() > INSTRUCTIONS_MAX {
        return Err(format!("it makes {} instructions, the kernel takes {INSTRUCTIONS_MAX}", program.len()));
    }
    Ok(program)
}

impl Profile {
    /// The machine's own table, and those of others that the profile names.
    fn abis(&self, machine: Machine) -> Vec<Abi> {
        let (own, of_docker) = match machine {
            Machine::X86_64 => (Abi::X86_64, "SCMP_ARCH_X86_64"),
            Machine::Aarch64 => (Abi::Aarch64, "SCMP_ARCH_AARCH64"),
        };
        let maps = self.arch_map.iter().filter(|map| map.architecture == of_docker);
        let mut named =
            maps.flat_map(|map| map.sub_architectures.iter().flatten()).chain(&self.architectures);
        let has_x86 = named.any(|name| name == "SCMP_ARCH_X86");
        let others = (machine == Machine::X86_64 && has_x86).then_some(Abi::I386);
        [own].into_iter().chain(others).collect()
    }

    /// By the numbers of the table.
    fn clauses(
        &self,
        machine: Machine,
        abi: Abi,
        bounding: u64,
    ) -> Result<BTreeMap<u32, Vec<Clause>>, String> {
        let mut clauses: BTreeMap<u32, Vec<Clause>> = BTreeMap::new();
        for rule in &self.syscalls {
            let action = action(&rule.action, rule.errno_ret)?;
            if !rule.applies(machine, bounding) {
                continue;
            }
            let alternatives = rule.alternatives()?;
            for name in rule.names.iter().chain(&rule.name) {
                let number = match numbers(name) {
                    Some(numbers) if numbers[abi as usize] == ABSENT => continue,
                    Some(numbers) => u32::from(numbers[abi as usize]),
                    // It stays as the default has it, which must not be more than was asked for.
                    None if action == ALLOW => continue,
                    None => return Err(format!("system call {name:?} is unknown, and would not be refused")),
                };
                let all = clauses.entry(number).or_default();
                all.extend(
                    alternatives.iter().map(|conditions| Clause { conditions: conditions.clone(), action }),
                );
            }
        }
        for all in clauses.values_mut() {
            all.sort_by_key(|clause| clause.conditions.is_empty());
        }
        Ok(clauses)
    }
}

impl Rule {
    fn applies(&self, machine: Machine, bounding: u64) -> bool {
        let arch = match machine {
            Machine::X86_64 => "amd64",
            Machine::Aarch64 => "arm64",
        };
        let has = |name: &String| {
            capabilities::number(name.strip_prefix("CAP_").unwrap_or(name))
                .is_some_and(|number| bounding & 1 << number != 0)
        };
        let is_in = |arches: &[String]| arches.iter().any(|name| name == arch);
        let old_enough = |version: &String| {
            let mut parts = version.split(['.', '-']).map(|part| part.parse::<u32>().ok());
            let at = |part: Option<Option<u32>>| part.flatten().unwrap_or(0);
            (at(parts.next()), at(parts.next())) <= KERNEL
        };
        let included = self.includes.as_ref().is_none_or(|filter| {
            filter.caps.iter().all(has)
                && (filter.arches.is_empty() || is_in(&filter.arches))
                && filter.min_kernel.as_ref().is_none_or(old_enough)
        });
        let excluded = self.excludes.as_ref().is_some_and(|filter| {
            filter.caps.iter().any(has)
                || is_in(&filter.arches)
                || filter.min_kernel.as_ref().is_some_and(old_enough)
        });
        included && !excluded
    }

    /// Conditions hold together; but of those on one argument, as in runc, any one does.
    fn alternatives(&self) -> Result<Vec<Vec<Condition>>, String> {
        let conditions = self.args.as_deref().unwrap_or_default();
        if let Some(beyond) = conditions.iter().find(|condition| condition.index >= ARGUMENTS) {
            return Err(format!("args[].index {} is not one of the {ARGUMENTS} arguments", beyond.index));
        }
        let is_twice = |(at, condition): (usize, &Condition)| {
            conditions[..at].iter().any(|before| before.index == condition.index)
        };
        Ok(if conditions.iter().enumerate().any(is_twice) {
            conditions.iter().map(|condition| vec![condition.clone()]).collect()
        } else {
            vec![conditions.to_vec()]
        })
    }
}

fn numbers(name: &str) -> Option<[u16; 3]> {
    let known = SYSCALLS.iter().find(|(known, ..)| *known == name).map(|(_, _, numbers)| *numbers);
    known.or_else(|| OTHER_SYSCALLS.iter().find(|(known, _)| *known == name).map(|(_, numbers)| *numbers))
}

/// What the filter returns.
fn action(name: &str, errno: Option<u32>) -> Result<u32, String> {
    let with_data = |action: u32| {
        let data = errno.unwrap_or(u32::from(EPERM));
        u16::try_from(data)
            .map(|data| action | u32::from(data))
            .map_err(|_| format!("errnoRet {data} is too large"))
    };
    match name {
        "SCMP_ACT_KILL" | "SCMP_ACT_KILL_THREAD" => Ok(0),
        "SCMP_ACT_KILL_PROCESS" => Ok(KILL_PROCESS),
        "SCMP_ACT_TRAP" => Ok(0x0003_0000),
        "SCMP_ACT_ERRNO" => with_data(ERRNO),
        "SCMP_ACT_TRACE" => with_data(0x7ff0_0000),
        "SCMP_ACT_LOG" => Ok(0x7ffc_0000),
        "SCMP_ACT_ALLOW" => Ok(ALLOW),
        "SCMP_ACT_NOTIFY" => Err("action SCMP_ACT_NOTIFY is not supported: nobody would answer".to_owned()),
        _ => Err(format!("unknown action {name:?}")),
    }
}

/// What is newer than a profile that refuses with an error, fails as on a kernel without it, for C libraries then use
/// something older.
fn ranges(
    abi: Abi,
    clauses: &BTreeMap<u32, Vec<Clause>>,
    default: u32,
) -> Result<Vec<(u32, Vec<SockFilter>)>, String> {
    let end = |action| vec![SockFilter(RETURN, 0, 0, action)];
    let mut ranges: Vec<(u32, Vec<SockFilter>)> = Vec::new();
    let mut next = 0;
    for (number, clauses) in clauses {
        if *number > next {
            ranges.push((next, end(default)));
        }
        ranges.push((*number, decide(abi, clauses, default)?));
        next = number + 1;
    }
    let missing = ERRNO | u32::from(ENOSYS);
    let newer = if default & ERRNO == ERRNO && default < ALLOW && next > 0 { missing } else { default };
    ranges.push((next, end(newer)));
    if abi == Abi::X86_64 {
        ranges.push((X32, end(missing)));
    }
    ranges.dedup_by(|later, earlier| later.1 == earlier.1);
    Ok(ranges)
}

fn decide(abi: Abi, clauses: &[Clause], default: u32) -> Result<Vec<SockFilter>, String> {
    let mut code = Vec::new();
    for clause in clauses {
        let mut body = vec![SockFilter(RETURN, 0, 0, clause.action)];
        for condition in clause.conditions.iter().rev() {
            let mut tested = test(abi, condition, body.len())?;
            tested.extend(body);
            body = tested;
        }
        code.extend(body);
    }
    code.push(SockFilter(RETURN, 0, 0, default));
    Ok(code)
}

/// Goes on behind the `body` instructions that follow it unless the condition holds. An argument is 64 bits wide, of
/// the i386 table 32.
fn test(abi: Abi, condition: &Condition, body: usize) -> Result<Vec<SockFilter>, String> {
    let low = FIRST_ARGUMENT + 8 * condition.index;
    let halves = |value: u64| ((value >> 32) as u32, (value & 0xffff_ffff) as u32);
    let (is_masked, value) = match condition.op.as_str() {
        "SCMP_CMP_MASKED_EQ" => (true, condition.value_two),
        _ => (false, condition.value),
    };
    let (upper, lower) = halves(value);
    let masks = halves(condition.value);
    // What the low halves say, when the high ones are the same: the jump, and whether it holds when taken.
    let (jump, holds) = match condition.op.as_str() {
        "SCMP_CMP_EQ" | "SCMP_CMP_MASKED_EQ" => (JUMP_EQ, true),
        "SCMP_CMP_NE" => (JUMP_EQ, false),
        "SCMP_CMP_GT" => (JUMP_GT, true),
        "SCMP_CMP_GE" => (JUMP_GE, true),
        "SCMP_CMP_LE" => (JUMP_GT, false),
        "SCMP_CMP_LT" => (JUMP_GE, false),
        other => return Err(format!("unknown operator {other:?}")),
    };
    let body = u8::try_from(body).map_err(|_| "a rule has too many conditions".to_owned())?;
    let either = |yes: u8, no: u8| if holds { (yes, no) } else { (no, yes) };
    let mut end = vec![SockFilter(LOAD_WORD, 0, 0, low)];
    end.extend(is_masked.then_some(SockFilter(AND, 0, 0, masks.1)));
    let (taken, passed) = either(0, body);
    end.push(SockFilter(jump, taken, passed, lower));
    if abi == Abi::I386 {
        return Ok(end);
    }
    let rest = if is_masked { 3 } else { 2 };
    let mut code = vec![SockFilter(LOAD_WORD, 0, 0, low + 4)];
    code.extend(is_masked.then_some(SockFilter(AND, 0, 0, masks.0)));
    let (to_body, beyond) = (rest, rest + body);
    if jump == JUMP_EQ {
        // Other high halves: not the same.
        let otherwise = if holds { beyond } else { to_body };
        code.push(SockFilter(JUMP_EQ, 0, otherwise, upper));
    } else {
        let (greater, less) = either(to_body, beyond);
        code.push(SockFilter(JUMP_GT, greater + 1, 0, upper));
        code.push(SockFilter(JUMP_EQ, 0, less, upper));
    }
    code.extend(end);
    Ok(code)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Call, run};
    use super::{ALLOW, Abi, ERRNO, KILL_PROCESS, Machine, compile, numbers};
    use crate::capabilities::bit;

    const EPERM: u32 = ERRNO | 1;
    const ENOSYS: u32 = ERRNO | 38;

    fn verdict(profile: &str, bounding: u64, abi: Abi, name: &str, arguments: [u64; 6]) -> u32 {
        let program = compile(Machine::X86_64, profile, bounding).unwrap_or_else(|why| panic!("{why}"));
        let number = u32::from(numbers(name).unwrap()[abi as usize]);
        run(&program, Call { arch: abi.audit_arch(), number, arguments })
    }

    fn native(profile: &str, name: &str, arguments: [u64; 6]) -> u32 {
        verdict(profile, 0, Abi::X86_64, name, arguments)
    }

    fn conditional(op: &str, value: u64, two: u64) -> String {
        format!(
            r#"{{"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"],
                "syscalls": [{{"names": ["write"], "action": "SCMP_ACT_ERRNO",
                "args": [{{"index": 2, "value": {value}, "valueTwo": {two}, "op": "SCMP_CMP_{op}"}}]}}]}}"#
        )
    }

    #[test]
    fn a_list_of_what_is_forbidden() {
        let profile = r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
            {"names": ["mkdir", "mkdirat", "keyctl"], "action": "SCMP_ACT_ERRNO"},
            {"name": "kexec_load", "action": "SCMP_ACT_KILL_PROCESS"},
            {"names": ["chmod"], "action": "SCMP_ACT_ERRNO", "errnoRet": 13}]}"#;
        for (name, expected) in [
            ("mkdir", EPERM),
            ("mkdirat", EPERM),
            ("keyctl", EPERM),
            ("kexec_load", KILL_PROCESS),
            ("chmod", ERRNO | 13),
            ("rmdir", ALLOW),
            ("read", ALLOW),
        ] {
            assert_eq!(native(profile, name, [0; 6]), expected, "{name}");
        }
        let program = compile(Machine::X86_64, profile, 0).unwrap();
        let call = |arch, number| run(&program, Call { arch, number, arguments: [0; 6] });
        let x32_mkdir = 0x4000_0000 | 83;
        assert_eq!(call(Abi::X86_64.audit_arch(), x32_mkdir), ENOSYS, "by its number of another table");
        assert_eq!(
            call(Abi::I386.audit_arch(), 39),
            KILL_PROCESS,
            "of a table that the profile does not name"
        );
        assert_eq!(call(Abi::X86_64.audit_arch(), 900), ALLOW);
    }

    #[test]
    fn a_list_of_what_is_allowed() {
        let profile = r#"{"defaultAction": "SCMP_ACT_ERRNO", "architectures": ["SCMP_ARCH_X86"], "syscalls": [
            {"names": ["read", "openat2", "no_such_call"], "action": "SCMP_ACT_ALLOW"}]}"#;
        assert_eq!(native(profile, "read", [0; 6]), ALLOW);
        assert_eq!(native(profile, "write", [0; 6]), EPERM);
        assert_eq!(native(profile, "faccessat2", [0; 6]), ENOSYS, "newer than all that it names");
        assert_eq!(verdict(profile, 0, Abi::I386, "read", [0; 6]), ALLOW);
        assert_eq!(verdict(profile, 0, Abi::I386, "write", [0; 6]), EPERM);
    }

    #[test]
    fn operators_compare_whole_arguments() {
        const HIGH: u64 = 1 << 32;
        for (op, value, two, matching, other) in [
            ("EQ", HIGH | 5, 0, &[HIGH | 5][..], &[5, HIGH, 0, (2 * HIGH) | 5][..]),
            ("NE", HIGH | 5, 0, &[5, HIGH], &[HIGH | 5]),
            ("GT", HIGH | 5, 0, &[HIGH | 6, 2 * HIGH], &[HIGH | 5, HIGH, 6, u64::from(u32::MAX)]),
            ("GE", HIGH | 5, 0, &[HIGH | 5, HIGH | 6, 2 * HIGH], &[HIGH | 4, 6]),
            ("LT", HIGH | 5, 0, &[HIGH | 4, 6, 0], &[HIGH | 5, 2 * HIGH]),
            ("LE", HIGH | 5, 0, &[HIGH | 5, HIGH, 6], &[HIGH | 6, 2 * HIGH]),
            ("MASKED_EQ", HIGH | 0xf0, 0x10, &[0x1f, 0x10], &[HIGH | 0x10, 0x20, 0]),
        ] {
            let profile = conditional(op, value, two);
            for argument in matching {
                assert_eq!(
                    native(&profile, "write", [7, 7, *argument, 7, 7, 7]),
                    EPERM,
                    "{op} {argument:#x}"
                );
            }
            for argument in other {
                assert_eq!(
                    native(&profile, "write", [5, 5, *argument, 5, 5, 5]),
                    ALLOW,
                    "{op} {argument:#x}"
                );
            }
        }
        let of_i386 =
            |argument| verdict(&conditional("GT", 5, 0), 0, Abi::I386, "write", [0, 0, argument, 0, 0, 0]);
        assert_eq!((of_i386(6), of_i386(5)), (EPERM, ALLOW));
    }

    #[test]
    fn conditions_hold_together_and_of_one_argument_either_does() {
        let with = |args: &str| {
            format!(
                r#"{{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [
                    {{"names": ["personality"], "action": "SCMP_ACT_ALLOW", "args": [{args}]}},
                    {{"names": ["personality"], "action": "SCMP_ACT_KILL_PROCESS"}}]}}"#
            )
        };
        let eq = |index, value| format!(r#"{{"index": {index}, "value": {value}, "op": "SCMP_CMP_EQ"}}"#);
        let both = with(&format!("{}, {}", eq(0, 1), eq(1, 2)));
        assert_eq!(native(&both, "personality", [1, 2, 0, 0, 0, 0]), ALLOW);
        assert_eq!(native(&both, "personality", [1, 3, 0, 0, 0, 0]), KILL_PROCESS);
        let either = with(&format!("{}, {}", eq(0, 1), eq(0, 2)));
        assert_eq!(native(&either, "personality", [2, 0, 0, 0, 0, 0]), ALLOW);
        assert_eq!(native(&either, "personality", [3, 0, 0, 0, 0, 0]), KILL_PROCESS);
    }

    #[test]
    fn rules_of_dockers_files_go_by_capabilities_and_machine() {
        let profile = r#"{"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 1,
            "archMap": [{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86", "SCMP_ARCH_X32"]},
                {"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": null}],
            "syscalls": [
            {"names": ["ptrace"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "4.8"}},
            {"names": ["mount"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_SYS_ADMIN"]}},
            {"names": ["clone"], "action": "SCMP_ACT_ALLOW", "excludes": {"caps": ["CAP_SYS_ADMIN"]}},
            {"names": ["modify_ldt"], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["amd64", "x32", "x86"]}},
            {"names": ["swapon"], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["s390x"]}},
            {"names": ["statx"], "action": "SCMP_ACT_ALLOW", "args": null}]}"#;
        let admin = bit("SYS_ADMIN");
        for (name, bounding, expected) in [
            ("ptrace", 0, ALLOW),
            ("mount", 0, EPERM),
            ("mount", admin, ALLOW),
            ("clone", 0, ALLOW),
            ("clone", admin, EPERM),
            ("modify_ldt", 0, ALLOW),
            ("swapon", 0, EPERM),
            ("statx", 0, ALLOW),
        ] {
            assert_eq!(verdict(profile, bounding, Abi::X86_64, name, [0; 6]), expected, "{name} {bounding}");
        }
        assert_eq!(verdict(profile, 0, Abi::I386, "ptrace", [0; 6]), ALLOW);
    }

    #[test]
    fn what_cannot_be_done_is_refused() {
        for (profile, part) in [
            ("", "EOF"),
            ("[]", "invalid"),
            (r#"{"syscalls": []}"#, "defaultAction"),
            (r#"{"defaultAction": "ALLOW"}"#, "unknown action \"ALLOW\""),
            (
                r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["nope"], "action": "SCMP_ACT_ERRNO"}]}"#,
                "system call \"nope\" is unknown",
            ),
            (
                r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["read"], "action": "SCMP_ACT_NOTIFY"}]}"#,
                "SCMP_ACT_NOTIFY",
            ),
            (
                r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["read"], "action": "SCMP_ACT_ERRNO",
                    "args": [{"index": 6, "value": 0, "op": "SCMP_CMP_EQ"}]}]}"#,
                "index 6",
            ),
            (r#"{"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 65536}"#, "65536"),
        ] {
            let why = compile(Machine::X86_64, profile, 0).unwrap_err();
            assert!(why.contains(part), "{why}");
        }
    }
}
