//! What the processors did while a part was measured, and for whom: so that a reader knows how much to trust its figures.
//!
//! Time is counted in the ticks that the kernel gives all of these files in. This program's is that of itself and of all children that
//! were waited for, also by its parent, which whatever outlives an engine is left to ([`crate::reaper`]), and by the first process of a
//! place beside ([`crate::beside`]). What still runs when a part is over counts as others'.

use std::collections::BTreeMap;
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
const STARTED: usize = 19;

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
#[derive(Clone, Debug)]
pub(crate) struct Reading {
    at_ns: i64,
    average: f64,
    processors: Processors,
    own: u64,
    kernel: Threads,
}

/// Ticks by who they are of: its id and when it was made.
type Threads = BTreeMap<(u64, u64), u64>;

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
        let ours = ticks(|reading| reading.own) + grown(&self.kernel, &end.kernel);
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
    let stat = Stat::of("self")?;
    let parent = Stat::of(&stat.field(PARENT).to_string())?;
    Some(with_orphans(&stat, &parent))
}

fn with_orphans(stat: &Stat, parent: &Stat) -> u64 {
    let children = [CHILDREN_USER, CHILDREN_SYSTEM];
    stat.ticks(&[USER, SYSTEM]) + stat.ticks(&children) + parent.ticks(&children)
}

/// Of the threads of the kernel that there are: what they do may be for any program, this one above all.
fn kernel() -> Threads {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let threads = entries.filter_map(|entry| {
        let name = entry.file_name();
        let name = name.to_str()?;
        let id = name.parse().ok()?;
        let stat = Stat::of(name).filter(|stat| stat.field(FLAGS) & PF_KTHREAD != 0)?;
        Some(((id, stat.field(STARTED)), stat.ticks(&[USER, SYSTEM])))
    });
    threads.collect()
}

/// What those that there are have used since then. Of those that have ended meanwhile nothing is known.
fn grown(before: &Threads, after: &Threads) -> u64 {
    let used = |(who, ticks): (_, &u64)| ticks.saturating_sub(before.get(who).copied().unwrap_or_default());
    after.iter().map(used).sum()
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
        CHILDREN_SYSTEM, CHILDREN_USER, FLAGS, Load, PARENT, Processors, Reading, STARTED, SYSTEM, Stat,
        Threads, USER, grown, processors, with_orphans,
    };

    #[test]
    fn the_kernels_lines_are_read() {
        let stat = "cpu  100 10 20 800 30 1 2 37 50 0\ncpu0 1 2 3\n";
        assert_eq!(processors(stat), Some(Processors { busy: 130, steal: 37, all: 1_000 }));
        assert_eq!(processors("cpu 1 2"), None);
        let stat =
            Stat::parse("7 (a) b) (c) S 5 7 7 0 -1 4194560 44 55 0 0 11 12 -1 14 20 0 1 0 3 4").unwrap();
        assert_eq!(stat.field(PARENT), 5);
        assert_eq!(stat.field(FLAGS), 4_194_560);
        assert_eq!(stat.ticks(&[USER, SYSTEM]), 23);
        assert_eq!(stat.ticks(&[CHILDREN_USER, CHILDREN_SYSTEM]), 14);
        assert_eq!(stat.field(STARTED), 3);
    }

    #[test]
    fn what_a_parent_does_itself_is_not_the_benchs() {
        let stat = |[user, system, children_user, children_system]: [u64; 4]| {
            let times = format!("{user} {system} {children_user} {children_system}");
            Stat::parse(&format!("7 (bench) S 5 7 7 0 -1 4194560 44 55 0 0 {times} 20 0 1 0 3")).unwrap()
        };
        assert_eq!(with_orphans(&stat([1, 20, 300, 4_000]), &stat([7, 7, 50_000, 600_000])), 654_321);
    }

    #[test]
    fn a_thread_that_ends_takes_nothing_from_the_others() {
        let threads = |list: &[((u64, u64), u64)]| list.iter().copied().collect::<Threads>();
        let before = threads(&[((2, 0), 10), ((3, 0), 5_000), ((4, 100), 50)]);
        // The second has ended, and the third's id is another's now.
        let after = threads(&[((2, 0), 17), ((4, 900), 3), ((9, 950), 1)]);
        assert_eq!(grown(&before, &after), 11);
        assert_eq!(grown(&before, &before), 0);
    }

    #[test]
    fn what_nobody_here_used_was_for_others() {
        let reading = |at_ns, average, busy, steal, all, own, kernel| Reading {
            at_ns,
            average,
            processors: Processors { busy, steal, all },
            own,
            kernel: Threads::from([((2, 0), kernel)]),
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
