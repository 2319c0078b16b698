//! Both clocks.

use rustix::time::{ClockId, Timespec, clock_gettime};

const NANOS_PER_SECOND: i64 = 1_000_000_000;

/// Nanoseconds since boot, sleep included.
#[must_use]
pub fn boot_ns() -> i64 {
    nanoseconds(clock_gettime(ClockId::Boottime))
}

/// Nanoseconds since the Unix epoch.
#[must_use]
pub fn wall_ns() -> i64 {
    nanoseconds(clock_gettime(ClockId::Realtime))
}

fn nanoseconds(time: Timespec) -> i64 {
    time.tv_sec.saturating_mul(NANOS_PER_SECOND).saturating_add(time.tv_nsec)
}

#[cfg(test)]
mod tests {
    use super::{boot_ns, wall_ns};

    #[test]
    fn clocks_advance() {
        let (boot, wall) = (boot_ns(), wall_ns());
        assert!(boot_ns() >= boot && boot > 0);
        assert!(wall > boot);
    }
}
