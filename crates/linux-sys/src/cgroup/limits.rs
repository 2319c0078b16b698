//! What a group is limited to, and how v2 counts CPU shares.

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
    /// Out of memory, all processes of the group end and not one of them; v1 cannot.
    pub oom_ends_all: bool,
    /// In order, the last that matches decides; an empty list leaves devices unconfined.
    pub devices: Vec<DeviceRule>,
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
    use super::weight_from_shares;

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
