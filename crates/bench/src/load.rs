//! What the processors did while a part was measured, and for whom: so that a reader knows how much to trust its figures.
//!
//! Time is counted in the ticks that the kernel gives all of these files in. This program's is that of itself and of all children that
//! were waited for, also by its ancestors, since whatever outlives an engine is left to one of them, and they do nothing else meanwhile.

use std::fs;

use linux_sys::clock::boot_ns;
use serde::Serialize;

/// `linux/sched.h`
const PF_KTHREAD: u64 = 0x0020_0000;
/// Of /proc/PID/stat, counted from the state, which follows the name.
const PARENT: usize = 1;
const FLAGS: usize = 6;
const USER: usize = 11;
const SYSTEM: usize = 12;
const CHILDREN_USER: usize = 13;
const CHILDREN_SYSTEM: usize = 14;
/// More ancestors than any process has.
const ANCESTORS_MAX: usize = 100;

/// While something went on. Shares are of all processors together.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub(crate) struct Load {
    pub(crate) seconds: f64,
    /// Load average of one minute, before and after.
    pub(crate) average: [f64; 2],
    /// Programs of anybody, and the kernel for them.
    pub(crate) busy_percent: f64,
    /// Of that, neither what was measured nor threads of the kernel.
    pub(crate) others_percent: f64,
    /// What the machine below a virtual one took.
    pub(crate) steal_percent: f64,
}

/// What the kernel says at one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reading {
    at_ns: i64,
    average: f64,
    processors: Processors,
    own: u64,
    kernel: u64,
}

/// The first line of /proc/stat.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
struct Processors {
    busy: u64,
    steal: u64,
    all: u64,
}

impl Reading {
    pub(crate) fn now() -> Self {
        let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
        Self {
            at_ns: boot_ns(),
            average: average(),
            processors: processors(&stat).unwrap_or_default(),
            own: own().unwrap_or_default(),
            kernel: kernel(),
        }
    }

    /// From this moment until now.
    pub(crate) fn until_now(&self) -> Load {
        self.until(&Self::now())
    }

    #[expect(clippy::cast_precision_loss, reason = "below 2^53")]
    fn until(&self, end: &Self) -> Load {
        let ticks = |of: fn(&Self) -> u64| of(end).saturating_sub(of(self));
        let all = ticks(|reading| reading.processors.all).max(1);
        let percent = |ticks: u64| ticks as f64 * 100.0 / all as f64;
        let busy = ticks(|reading| reading.processors.busy);
        let ours = ticks(|reading| reading.own) + ticks(|reading| reading.kernel);
        Load {
            seconds: (end.at_ns - self.at_ns) as f64 / 1e9,
            average: [self.average, end.average],
            busy_percent: percent(busy),
            others_percent: percent(busy.saturating_sub(ours)),
            steal_percent: percent(ticks(|reading| reading.processors.steal)),
        }
    }
}

/// Of one minute.
fn average() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().and_then(|load| load.parse().ok()).unwrap_or_default()
}

/// Interrupts are nobody's: time, but not busy.
fn processors(stat: &str) -> Option<Processors> {
    let words = stat.lines().next()?.split_whitespace().skip(1);
    let ticks: Vec<u64> = words.map_while(|word| word.parse().ok()).collect();
    // Guests are in the time of users already.
    let [user, nice, system, idle, wait, irq, softirq, steal, ..] = ticks[..] else { return None };
    Some(Processors {
        busy: user + nice + system,
        steal,
        all: user + nice + system + idle + wait + irq + softirq + steal,
    })
}

fn own() -> Option<u64> {
    let mut stat = Stat::of("self")?;
    let mut ticks = stat.ticks(&[USER, SYSTEM, CHILDREN_USER, CHILDREN_SYSTEM]);
    for _ in 0..ANCESTORS_MAX {
        let Some(parent) = Stat::of(&stat.field(PARENT).to_string()) else { break };
        ticks += parent.ticks(&[CHILDREN_USER, CHILDREN_SYSTEM]);
        stat = parent;
    }
    Some(ticks)
}

/// Of the threads of the kernel that there are: what they do may be for any program, this one above all.
fn kernel() -> u64 {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let stats = entries.filter_map(|entry| {
        let name = entry.file_name();
        let name = name.to_str().filter(|name| name.starts_with(|first: char| first.is_ascii_digit()))?;
        Stat::of(name)
    });
    stats.filter(|stat| stat.field(FLAGS) & PF_KTHREAD != 0).map(|stat| stat.ticks(&[USER, SYSTEM])).sum()
}

/// The fields of /proc/PID/stat behind the name.
#[derive(Debug)]
struct Stat(Vec<u64>);

impl Stat {
    /// `None` when it has just ended.
    fn of(process: &str) -> Option<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{process}/stat")).ok()?)
    }

    /// The name has spaces and parentheses as it likes. What is no natural number is none of the fields above.
    fn parse(text: &str) -> Option<Self> {
        let (_, fields) = text.rsplit_once(") ")?;
        Some(Self(fields.split_whitespace().map(|field| field.parse().unwrap_or_default()).collect()))
    }

    fn field(&self, at: usize) -> u64 {
        self.0.get(at).copied().unwrap_or_default()
    }

    fn ticks(&self, fields: &[usize]) -> u64 {
        fields.iter().map(|at| self.field(*at)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::{
        CHILDREN_SYSTEM, CHILDREN_USER, FLAGS, Load, PARENT, Processors, Reading, SYSTEM, Stat, USER,
        processors,
    };

    #[test]
    fn the_kernels_lines_are_read() {
        let stat = "cpu  100 10 20 800 30 1 2 37 50 0\ncpu0 1 2 3\n";
        assert_eq!(processors(stat), Some(Processors { busy: 130, steal: 37, all: 1_000 }));
        assert_eq!(processors("cpu 1 2"), None);
        let stat = Stat::parse("7 (a) b) (c) S 5 7 7 0 -1 4194560 44 55 0 0 11 12 -1 14 20 0 1 0 3").unwrap();
        assert_eq!(stat.field(PARENT), 5);
        assert_eq!(stat.field(FLAGS), 4_194_560);
        assert_eq!(stat.ticks(&[USER, SYSTEM]), 23);
        assert_eq!(stat.ticks(&[CHILDREN_USER, CHILDREN_SYSTEM]), 14);
    }

    #[test]
    fn what_nobody_here_used_was_for_others() {
        let reading = |at_ns, average, busy, steal, all, own, kernel| Reading {
            at_ns,
            average,
            processors: Processors { busy, steal, all },
            own,
            kernel,
        };
        let before = reading(1_000_000_000, 0.5, 1_000, 0, 10_000, 400, 50);
        let after = reading(3_500_000_000, 1.25, 1_250, 5, 10_500, 590, 60);
        let load = Load {
            seconds: 2.5,
            average: [0.5, 1.25],
            busy_percent: 50.0,
            others_percent: 10.0,
            steal_percent: 1.0,
        };
        assert_eq!(before.until(&after), load);
        // Ticks are counted one way for all and another way for each.
        assert_eq!(before.until(&reading(2, 0.0, 1_010, 0, 10_100, 420, 50)).others_percent, 0.0);
        assert!(Reading::now().until_now().seconds >= 0.0);
    }
}
