//! How many processors something uses: what its group has used between two readings.
//!
//! Nothing is read while nobody asks. Whoever asks gets the use since somebody asked before, when that was at most
//! [`WINDOW_MAX`] ago; otherwise there is a second reading after [`WINDOW_MIN`], which is what the answer waits for.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use linux_sys::cgroup::{Hierarchies, Usage};
use linux_sys::clock;
use podspec::WallTime;

use super::host::Host;
use crate::sink::wall_now;

/// As long as metrics-server looks back in most clusters; an older reading says too little of what is the case now.
pub(crate) const WINDOW_MAX: Duration = Duration::from_secs(60);
/// Long enough to tell a hundredth of a processor apart, short enough to wait for.
pub(crate) const WINDOW_MIN: Duration = Duration::from_millis(500);
/// Readings that are kept: those of some thousand containers. With more, all of them are made anew.
const READINGS_MAX: usize = 16_384;

/// The group of the whole machine.
pub(crate) const MACHINE: &str = "";

/// One reading of a group.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Reading {
    /// Of the boot clock.
    at_ns: i64,
    pub(crate) at: WallTime,
    pub(crate) usage: Usage,
}

/// A reading, and how many processors were used until then.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Rate {
    pub(crate) reading: Reading,
    pub(crate) window: Duration,
    pub(crate) nanocores: u64,
}

/// What was read last, of each group somebody asked for.
#[derive(Default)]
pub(crate) struct Sampler(Mutex<BTreeMap<String, Reading>>);

impl std::fmt::Debug for Sampler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Sampler").field(&self.held().len()).finish()
    }
}

impl Sampler {
    /// What each group uses, in their order; `None` of one that is gone or that nothing counts.
    pub(crate) async fn rates(&self, groups: Vec<String>) -> Vec<Option<Rate>> {
        self.rates_with(groups, read).await
    }

    async fn rates_with(
        &self,
        groups: Vec<String>,
        read: impl Fn(&[String]) -> Vec<Option<Reading>> + Copy + Send + 'static,
    ) -> Vec<Option<Rate>> {
        let first = blocking(groups.clone(), read).await;
        let bases: Vec<Option<Reading>> = {
            let held = self.held();
            let base = |(group, now): (&String, &Option<Reading>)| {
                let now = (*now)?;
                let held = held.get(group).copied().filter(|held| now.since(held) <= WINDOW_MAX);
                Some(held.unwrap_or(now))
            };
            groups.iter().zip(&first).map(base).collect()
        };
        let ages =
            bases.iter().zip(&first).filter_map(|(base, now)| Some(now.as_ref()?.since(base.as_ref()?)));
        let wait = ages.min().map_or(Duration::ZERO, |youngest| WINDOW_MIN.saturating_sub(youngest));
        let last = if wait.is_zero() {
            first
        } else {
            tokio::time::sleep(wait).await;
            blocking(groups.clone(), read).await
        };
        self.keep(&groups, &last);
        bases.iter().zip(&last).map(|(base, now)| Rate::between(&(*base)?, &(*now)?)).collect()
    }

    fn keep(&self, groups: &[String], readings: &[Option<Reading>]) {
        let mut held = self.held();
        let newest = readings.iter().flatten().map(|reading| reading.at_ns).max();
        let Some(newest) = newest else { return };
        held.retain(|_, reading| elapsed(reading.at_ns, newest) <= WINDOW_MAX);
        if held.len() + groups.len() > READINGS_MAX {
            held.clear();
        }
        let pairs = groups.iter().zip(readings).take(READINGS_MAX);
        held.extend(pairs.filter_map(|(group, reading)| Some((group.clone(), (*reading)?))));
    }

    fn held(&self) -> MutexGuard<'_, BTreeMap<String, Reading>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reading {
    pub(crate) fn now(usage: Usage) -> Self {
        Self { at_ns: clock::boot_ns(), at: wall_now(), usage }
    }

    fn since(&self, earlier: &Self) -> Duration {
        elapsed(earlier.at_ns, self.at_ns)
    }
}

impl Rate {
    /// `None` when processors are not counted, or not again: it is another group of the same name.
    fn between(base: &Reading, now: &Reading) -> Option<Self> {
        let window = now.since(base);
        let used = now.usage.cpu_ns?.checked_sub(base.usage.cpu_ns?)?;
        let nanocores = u128::from(used) * 1_000_000_000 / window.as_nanos().max(1);
        Some(Self { reading: *now, window, nanocores: u64::try_from(nanocores).unwrap_or(u64::MAX) })
    }
}

fn elapsed(from_ns: i64, to_ns: i64) -> Duration {
    Duration::from_nanos(u64::try_from(to_ns.saturating_sub(from_ns)).unwrap_or(0))
}

/// Reads groups now; `None` of one that is gone.
pub(crate) fn read(groups: &[String]) -> Vec<Option<Reading>> {
    let hierarchies = Hierarchies::detect().ok();
    let usage = |group: &String| {
        if group == MACHINE {
            return Some(Host::read().usage());
        }
        hierarchies.as_ref()?.group(group).usage().ok()
    };
    groups.iter().map(|group| usage(group).map(Reading::now)).collect()
}

async fn blocking(
    groups: Vec<String>,
    read: impl Fn(&[String]) -> Vec<Option<Reading>> + Send + 'static,
) -> Vec<Option<Reading>> {
    let count = groups.len();
    // An error says that the process is ending.
    tokio::task::spawn_blocking(move || read(&groups)).await.unwrap_or_else(|_| vec![None; count])
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use linux_sys::cgroup::Usage;
    use podspec::WallTime;

    use super::{READINGS_MAX, Rate, Reading, Sampler, WINDOW_MAX, WINDOW_MIN};

    fn reading(at_ms: i64, cpu_ms: u64) -> Reading {
        let usage = Usage { cpu_ns: Some(cpu_ms * 1_000_000), ..Usage::default() };
        Reading { at_ns: at_ms * 1_000_000, at: WallTime(0), usage }
    }

    /// Half a processor, in the time that has really gone by.
    fn half(groups: &[String]) -> Vec<Option<Reading>> {
        let now = linux_sys::clock::boot_ns();
        let usage = Usage { cpu_ns: u64::try_from(now / 2).ok(), ..Usage::default() };
        let reading = Reading { at_ns: now, at: WallTime(0), usage };
        groups.iter().map(|group| (group != "gone").then_some(reading)).collect()
    }

    #[tokio::test]
    async fn the_first_answer_waits_and_later_ones_look_back() {
        let sampler = Sampler::default();
        let groups = vec!["a".to_owned(), "gone".to_owned()];
        let first = sampler.rates_with(groups.clone(), half).await;
        let rate = first[0].unwrap();
        assert!(rate.window >= WINDOW_MIN, "{rate:?}");
        assert!((499_000_000..=501_000_000).contains(&rate.nanocores), "{rate:?}");
        assert_eq!(first[1], None);
        // Asked again at once, there is no shorter window.
        let again = sampler.rates_with(groups, half).await[0].unwrap();
        assert!(again.window >= WINDOW_MIN && again.reading.at_ns > rate.reading.at_ns, "{again:?}");
    }

    #[test]
    fn readings_that_are_too_old_are_dropped_and_there_are_only_so_many() {
        let sampler = Sampler::default();
        let name = |name: &str| [name.to_owned()];
        sampler.keep(&name("old"), &[Some(reading(0, 0))]);
        sampler.keep(&name("new"), &[Some(reading(60_000, 0))]);
        assert_eq!(sampler.held().len(), 2);
        let past = i64::try_from(WINDOW_MAX.as_millis()).unwrap() + 1;
        sampler.keep(&name("newer"), &[Some(reading(past, 0))]);
        assert!(!sampler.held().contains_key("old"));
        let many: Vec<String> = (0..READINGS_MAX + 10).map(|n| n.to_string()).collect();
        sampler.keep(&many, &vec![Some(reading(past, 0)); many.len()]);
        assert!(sampler.held().len() <= READINGS_MAX);
    }

    #[test]
    fn a_counter_that_went_back_is_of_another_group() {
        let rate = |base, now| Rate::between(&base, &now);
        let found = rate(reading(0, 100), reading(2_000, 1_100)).unwrap();
        assert_eq!((found.nanocores, found.window), (500_000_000, Duration::from_secs(2)));
        assert_eq!(rate(reading(0, 100), reading(2_000, 99)), None);
        let mut uncounted = reading(1, 0);
        uncounted.usage.cpu_ns = None;
        assert_eq!(rate(reading(0, 0), uncounted), None);
    }
}
