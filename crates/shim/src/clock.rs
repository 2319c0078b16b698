//! The two clocks, in the domain's types.

use linux_sys::clock::{boot_ns, wall_ns};
use podspec::{BootTime, Moment, WallTime};

pub(crate) fn now() -> Moment {
    Moment { boot: boot(), wall: wall() }
}

pub(crate) fn boot() -> BootTime {
    BootTime(boot_ns())
}

pub(crate) fn wall() -> WallTime {
    WallTime(wall_ns())
}
