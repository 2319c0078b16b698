//! What a group is limited to, and how v2 counts CPU shares.

use std::fmt;

use crate::device_filter::DeviceRule;

/// `None` leaves the kernel's default.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Limits {
    /// v1 `cpu.shares`, 2 to 262144.
    pub cpu_shares: Option<u64>,
    pub cpu_quota_us: Option<u64>,
    pub cpu_period_us: Option<u64>,
    /// Of memory and swap together.
    pub memory_limit_bytes: Option<u64>,
    pub processes_max: Option<u64>,
    /// Out of memory, all processes of the group end and not one of them; v1 cannot.
    pub oom_ends_all: bool,
    /// In order, the last that matches decides; an empty list leaves devices unconfined.
    pub devices: Vec<DeviceRule>,
}

/// What of [`Limits`] can change while processes are in the group.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Resource {
    Cpu,
    Memory,
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cpu => "CPU",
            Self::Memory => "memory",
        })
    }
}

impl Limits {
    /// Whether `other` lets the group use more memory than this.
    #[must_use]
    pub fn has_less_memory_than(&self, other: &Self) -> bool {
        self.memory_limit_bytes.is_some_and(|own| other.memory_limit_bytes.is_none_or(|limit| own < limit))
    }

    /// Whether `other` lets the group use more of the processors than this.
    #[must_use]
    pub fn has_less_cpu_than(&self, other: &Self) -> bool {
        self.cpu_quota_us.is_some_and(|own| {
            other.cpu_quota_us.is_none_or(|quota| {
                u128::from(own) * u128::from(other.period_us())
                    < u128::from(quota) * u128::from(self.period_us())
            })
        })
    }

    pub(super) fn period_us(&self) -> u64 {
        self.cpu_period_us.unwrap_or(CPU_PERIOD_DEFAULT_US)
    }
}

/// One file to write in a group.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Write {
    /// That has the file.
    pub(super) controller: &'static str,
    pub(super) file: &'static str,
    pub(super) value: String,
    /// Not every kernel has it, and the group works without.
    pub(super) optional: bool,
}

/// The text of a value.
pub(super) struct Value(String);

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self(number.to_string())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl Write {
    pub(super) fn required(controller: &'static str, file: &'static str, value: impl Into<Value>) -> Self {
        Self { controller, file, value: value.into().0, optional: false }
    }

    pub(super) fn optional(controller: &'static str, file: &'static str, value: impl Into<Value>) -> Self {
        Self { controller, file, value: value.into().0, optional: true }
    }
}

/// The kernel's own default.
pub(super) const CPU_PERIOD_DEFAULT_US: u64 = 100_000;
/// And of a group without a request.
pub(super) const SHARES_DEFAULT: u64 = 1024;
const SHARES_MIN: u64 = 2;
const SHARES_MAX: u64 = 262_144;
const WEIGHT_MAX: u64 = 10_000;

/// v2 `cpu.weight` for v1 `cpu.shares`: the curve through (2, 1), (1024, 100) and (262144, 10000) that
/// OCI runtimes use, so that a default-sized request gets the default weight.
/// <https://kubernetes.io/blog/2026/01/30/new-cgroup-v1-to-v2-cpu-conversion-formula/>
#[must_use]
pub fn weight_from_shares(shares: u64) -> u64 {
    if shares <= SHARES_MIN {
        return 1;
    }
    if shares >= SHARES_MAX {
        return WEIGHT_MAX;
    }
    #[expect(clippy::cast_precision_loss, reason = "below 2^53")]
    let log = (shares as f64).log2();
    let exponent = (log * log + 125.0 * log) / 612.0 - 7.0 / 34.0;
    // Rounding must not lift the exact points of the curve.
    let weight = (10_f64.powf(exponent) - 1e-6).ceil();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "1 to 10000")]
    let weight = weight as u64;
    weight.clamp(1, WEIGHT_MAX)
}

#[cfg(test)]
mod tests {
    use super::{Limits, weight_from_shares};

    #[test]
    fn no_limit_is_more_than_any_and_quotas_count_per_period() {
        let memory = |bytes| Limits { memory_limit_bytes: bytes, ..Limits::default() };
        for (own, other, less) in [
            (None, None, false),
            (None, Some(1), false),
            (Some(1), None, true),
            (Some(1), Some(1), false),
            (Some(1), Some(2), true),
            (Some(2), Some(1), false),
        ] {
            assert_eq!(memory(own).has_less_memory_than(&memory(other)), less, "{own:?} {other:?}");
        }
        let cpu = |quota, period| Limits { cpu_quota_us: quota, cpu_period_us: period, ..Limits::default() };
        for (own, other, less) in [
            ((None, None), (Some(1), None), false),
            ((Some(1), None), (None, None), true),
            ((Some(50_000), Some(100_000)), (Some(50_000), None), false),
            ((Some(50_000), Some(100_000)), (Some(30_000), Some(50_000)), true),
            ((Some(50_000), Some(100_000)), (Some(20_000), Some(50_000)), false),
        ] {
            let (own, other) = (cpu(own.0, own.1), cpu(other.0, other.1));
            assert_eq!(own.has_less_cpu_than(&other), less, "{own:?} {other:?}");
        }
    }

    #[test]
    fn shares_follow_the_curve_of_the_oci_runtimes() {
        let pairs = [
            (0, 1),
            (2, 1),
            (102, 17),
            (256, 35),
            (512, 59),
            (1024, 100),
            (2048, 174),
            (262_144, 10_000),
            (1 << 40, 10_000),
        ];
        for (shares, weight) in pairs {
            assert_eq!(weight_from_shares(shares), weight, "{shares} shares");
        }
    }

    #[test]
    fn more_shares_never_weigh_less() {
        let weights: Vec<u64> = (2..=262_144).map(weight_from_shares).collect();
        assert!(weights.is_sorted());
    }
}
