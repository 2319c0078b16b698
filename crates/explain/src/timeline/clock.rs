//! One boot clock for entries of several boots.
//!
//! The boot clock begins anew with every boot, and entries stay as they were written. Where a new boot begins is seen from the clocks
//! themselves; entries before it are moved by what the wall clock says lay between.

use journal::{Entry, Happening, Occasion};
use lifecycle::Observation;
use podspec::{BootTime, Moment};

/// Observations may be a little older than the plan before them: they wait in an inbox.
const DISORDER_NANOS: i64 = 1_000_000_000;
/// Within one boot the wall clock is corrected; from one to the next the two part by more than this.
const SKEW_NANOS: i64 = 1_000_000_000;

/// By how much the boot times of each entry are to be moved.
pub(crate) fn shifts(entries: &[Entry], now: Moment) -> Vec<i64> {
    let mut shifts = vec![0; entries.len()];
    let (mut later, mut shift, mut may_be_new) = (now, 0_i64, true);
    for (entry, place) in entries.iter().zip(&mut shifts).rev() {
        if is_new_boot(entry.at, later, may_be_new) {
            let passed = later.wall.0.saturating_sub(entry.at.wall.0).max(0);
            let meant = later.boot.0.saturating_add(shift).saturating_sub(passed);
            shift = meant.saturating_sub(entry.at.boot.0);
        }
        *place = shift;
        later = entry.at;
        may_be_new = is_of_new_engine(&entry.what);
    }
    shifts
}

pub(crate) fn moved(moment: Moment, shift: i64) -> Moment {
    Moment { boot: BootTime(moment.boot.0.saturating_add(shift)), wall: moment.wall }
}

fn is_of_new_engine(what: &Happening) -> bool {
    match what {
        Happening::Observed(Observation::Accepted) => true,
        Happening::Snapshot(snapshot) => snapshot.occasion == Occasion::Engine,
        _ => false,
    }
}

/// `by_engine`: a new engine begins with `later`, so that the machine may have been restarted.
fn is_new_boot(earlier: Moment, later: Moment, by_engine: bool) -> bool {
    let back = earlier.boot.0.saturating_sub(later.boot.0);
    if !by_engine {
        return back > DISORDER_NANOS;
    }
    let skew = |moment: Moment| moment.wall.0.saturating_sub(moment.boot.0);
    back > DISORDER_NANOS || skew(later).saturating_sub(skew(earlier)).saturating_abs() > SKEW_NANOS
}

#[cfg(test)]
mod tests {
    use journal::{Entry, Happening};
    use lifecycle::Observation;
    use podspec::{BootTime, Moment, WallTime};

    use super::shifts;

    fn at(boot_s: i64, wall_s: i64) -> Moment {
        Moment { boot: BootTime(boot_s * 1_000_000_000), wall: WallTime(wall_s * 1_000_000_000) }
    }

    #[test]
    fn entries_of_earlier_boots_are_moved_by_the_wall_clock() {
        let accepted = |at| Entry { seq: 1, at, what: Happening::Observed(Observation::Accepted) };
        let other = |at| Entry { seq: 1, at, what: Happening::Observed(Observation::VolumesReady) };
        let shifts_s = |entries: &[Entry], now| -> Vec<i64> {
            shifts(entries, now).iter().map(|shift| shift / 1_000_000_000).collect()
        };
        let first = [accepted(at(500, 1_000)), other(at(510, 1_010))];
        assert_eq!(shifts_s(&first, at(600, 1_100)), [0, 0]);
        // After a restart of the machine 20 s later, which took 30 s.
        let second = [&first[..], &[accepted(at(40, 1_060)), other(at(41, 1_061))]].concat();
        assert_eq!(shifts_s(&second, at(50, 1_070)), [-520, -520, 0, 0]);
        // Also when the last engine's machine was on for a shorter time than it is now.
        assert_eq!(shifts_s(&first, at(2_000, 1_050)), [1_450, 1_450]);
        // A wall clock that is put right changes nothing.
        let corrected = [accepted(at(500, 1_000)), other(at(510, 90_010)), other(at(511, 5))];
        assert_eq!(shifts_s(&corrected, at(512, 6)), [0, 0, 0]);
        // Nor do observations that were a little late.
        let late = [other(at(500, 1_000)), other(Moment { boot: BootTime(499_900_000_000), ..at(0, 999) })];
        assert_eq!(shifts_s(&late, at(501, 1_001)), [0, 0]);
        let extreme = Moment { boot: BootTime(i64::MAX), wall: WallTime(i64::MIN) };
        shifts(&[other(extreme), accepted(at(0, 0)), other(extreme)], at(1, 1));
    }
}
