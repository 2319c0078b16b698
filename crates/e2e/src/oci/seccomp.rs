//! The seccomp profile as a list of rules, which the runtimes compile by libseccomp.

use container_config::{SyscallVerdict, runtime_default_verdicts};
use serde_json::{Value, json};

const EPERM: u16 = 1;

/// For a container with this bounding set of capabilities.
pub(super) fn profile(bounding: u64) -> Value {
    let verdicts = runtime_default_verdicts(bounding);
    let named = |wanted: SyscallVerdict| {
        let same = verdicts.iter().filter(move |(_, verdict)| *verdict == wanted);
        same.map(|(name, _)| *name).collect::<Vec<_>>()
    };
    let mut rules = vec![json!({"names": named(SyscallVerdict::Allow), "action": "SCMP_ACT_ALLOW"})];
    rules.extend(verdicts.iter().flat_map(|(name, verdict)| rule(name, *verdict)));
    json!({"defaultAction": "SCMP_ACT_ERRNO", "architectures": architectures(), "syscalls": rules})
}

fn architectures() -> &'static [&'static str] {
    if cfg!(target_arch = "x86_64") { &["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"] } else { &["SCMP_ARCH_AARCH64"] }
}

/// Every rule looks at one argument once: of several conditions on one argument, runtimes make
/// several rules. What has no rule fails with EPERM.
fn rule(name: &str, verdict: SyscallVerdict) -> Vec<Value> {
    let allow = |condition: Value| json!({"names": [name], "action": "SCMP_ACT_ALLOW", "args": [condition]});
    let first = |op: &str, value: u32| json!({"index": 0, "op": op, "value": value});
    match verdict {
        SyscallVerdict::Allow | SyscallVerdict::Errno(EPERM) => vec![],
        SyscallVerdict::Errno(errno) => {
            vec![json!({"names": [name], "action": "SCMP_ACT_ERRNO", "errnoRet": errno})]
        }
        SyscallVerdict::NoneOf(mask) => {
            vec![allow(json!({"index": 0, "op": "SCMP_CMP_MASKED_EQ", "value": mask, "valueTwo": 0}))]
        }
        SyscallVerdict::OneOf(values) => {
            values.iter().map(|value| allow(first("SCMP_CMP_EQ", *value))).collect()
        }
        SyscallVerdict::NotOneOf(values) => between(values)
            .into_iter()
            .map(|condition| match condition {
                Gap::Below(value) => allow(first("SCMP_CMP_LT", value)),
                Gap::Only(value) => allow(first("SCMP_CMP_EQ", value)),
                Gap::Above(value) => allow(first("SCMP_CMP_GT", value)),
            })
            .collect(),
    }
}

/// A condition on one value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Gap {
    Below(u32),
    Only(u32),
    Above(u32),
}

/// All values but these, which ascend.
pub(super) fn between(values: &[u32]) -> Vec<Gap> {
    let (Some(first), Some(last)) = (values.first(), values.last()) else {
        return vec![Gap::Only(0), Gap::Above(0)];
    };
    let inner = values.windows(2).flat_map(|pair| (pair[0] + 1..pair[1]).map(Gap::Only));
    [Gap::Below(*first)].into_iter().chain(inner).chain([Gap::Above(*last)]).collect()
}
