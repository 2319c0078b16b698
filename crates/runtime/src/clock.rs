//! The two clocks, in the domain's types.

use linux_sys::clock::{boot_ns, wall_ns};
use podspec::{BootTime, Moment, WallTime};

pub(crate) fn now() -> Moment {
    Moment { boot: BootTime(boot_ns()), wall: WallTime(wall_ns()) }
}
