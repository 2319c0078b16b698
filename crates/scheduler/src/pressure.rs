//! Whether a node is short of something, and which of its pods has to go: a kubelet's decision, not the scheduler's
//! (<https://kubernetes.io/docs/concepts/scheduling-eviction/node-pressure-eviction/>).

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use podspec::BootTime;
use podspec::quantity::Quantity;

use crate::model::{Effect, Pod, Taint};

/// How long a condition stays after it was seen last, so that it does not flap.
pub const TRANSITION: Duration = Duration::from_secs(5 * 60);
/// From this priority on a pod is never evicted: the machine needs it.
pub const CRITICAL: i32 = 2_000_000_000;

/// What of the node is looked at. In the order in which it is seen to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Signal {
    MemoryAvailable,
    /// Of the file system that holds the pods.
    NodefsAvailable,
    NodefsInodesFree,
    /// Of the one that holds the images, when it is another.
    ImagefsAvailable,
    ImagefsInodesFree,
    PidAvailable,
}

/// A condition of the node.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Pressure {
    Memory,
    Disk,
    Pid,
}

/// What the node is low on, as messages call it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Starved {
    Memory,
    EphemeralStorage,
    Inodes,
    Pids,
}

/// What is left of what there is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Level {
    pub available: u64,
    pub capacity: u64,
}

/// What was seen of the node; a signal that cannot be seen is not there.
pub type Levels = BTreeMap<Signal, Level>;

/// Below which a signal is met: bytes or a count, or a part of the capacity.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Amount {
    Absolute(u64),
    /// Of 1000.
    Permille(u64),
}

/// When pods are evicted (`evictionHard` of a kubelet).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Thresholds(pub BTreeMap<Signal, Amount>);

#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ThresholdError {
    #[error("{0:?} is not SIGNAL<AMOUNT, as in memory.available<100Mi or nodefs.available<10%")]
    Form(String),
    #[error(
        "{0:?} is no eviction signal: there are memory.available, nodefs.available, nodefs.inodesFree, \
         imagefs.available, imagefs.inodesFree and pid.available"
    )]
    Signal(String),
    #[error("{amount:?} of {signal} is neither an amount above 0 nor a part up to 100%")]
    Amount { signal: Signal, amount: String },
}

impl Signal {
    const ALL: [Self; 6] = [
        Self::MemoryAvailable,
        Self::NodefsAvailable,
        Self::NodefsInodesFree,
        Self::ImagefsAvailable,
        Self::ImagefsInodesFree,
        Self::PidAvailable,
    ];

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::MemoryAvailable => "memory.available",
            Self::NodefsAvailable => "nodefs.available",
            Self::NodefsInodesFree => "nodefs.inodesFree",
            Self::ImagefsAvailable => "imagefs.available",
            Self::ImagefsInodesFree => "imagefs.inodesFree",
            Self::PidAvailable => "pid.available",
        }
    }

    #[must_use]
    pub fn pressure(self) -> Pressure {
        match self {
            Self::MemoryAvailable => Pressure::Memory,
            Self::PidAvailable => Pressure::Pid,
            _ => Pressure::Disk,
        }
    }

    #[must_use]
    pub fn starved(self) -> Starved {
        match self {
            Self::MemoryAvailable => Starved::Memory,
            Self::NodefsAvailable | Self::ImagefsAvailable => Starved::EphemeralStorage,
            Self::NodefsInodesFree | Self::ImagefsInodesFree => Starved::Inodes,
            Self::PidAvailable => Starved::Pids,
        }
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Pressure {
    pub const ALL: [Self; 3] = [Self::Memory, Self::Disk, Self::Pid];

    /// The type of the node's condition.
    #[must_use]
    pub fn condition(self) -> &'static str {
        match self {
            Self::Memory => "MemoryPressure",
            Self::Disk => "DiskPressure",
            Self::Pid => "PIDPressure",
        }
    }

    /// The key of the taint that goes with it.
    #[must_use]
    pub fn taint(self) -> &'static str {
        match self {
            Self::Memory => "node.kubernetes.io/memory-pressure",
            Self::Disk => "node.kubernetes.io/disk-pressure",
            Self::Pid => "node.kubernetes.io/pid-pressure",
        }
    }
}

impl Starved {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::EphemeralStorage => "ephemeral-storage",
            Self::Inodes => "inodes",
            Self::Pids => "pids",
        }
    }

    /// An amount of it, as messages write it.
    fn amount(self, amount: u64) -> Quantity {
        match self {
            Self::Memory | Self::EphemeralStorage => Quantity::from_bytes(amount),
            Self::Inodes | Self::Pids => Quantity::from_units(amount),
        }
    }
}

impl Thresholds {
    /// Those of a kubelet that nobody has told otherwise.
    #[cfg(test)]
    fn of_a_kubelet() -> Self {
        Self(BTreeMap::from([
            (Signal::MemoryAvailable, Amount::Absolute(100 << 20)),
            (Signal::NodefsAvailable, Amount::Permille(100)),
            (Signal::NodefsInodesFree, Amount::Permille(50)),
            (Signal::ImagefsAvailable, Amount::Permille(150)),
            (Signal::ImagefsInodesFree, Amount::Permille(50)),
        ]))
    }

    /// `memory.available<100Mi,nodefs.available<10%`; an empty text, or `none`, is no threshold at all.
    ///
    /// # Errors
    /// The first part that is wrong.
    pub fn parse(text: &str) -> Result<Self, ThresholdError> {
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty() && text != "none");
        parts.map(threshold).collect::<Result<_, _>>().map(Self)
    }

    /// The signals that are met now, in the order in which they are seen to.
    #[must_use]
    pub fn met(&self, levels: &Levels) -> Vec<Signal> {
        let is_met = |(signal, amount): &(&Signal, &Amount)| {
            levels.get(signal).is_some_and(|level| level.available < amount.of(level.capacity))
        };
        self.0.iter().filter(is_met).map(|(signal, _)| *signal).collect()
    }
}

impl Amount {
    fn of(self, capacity: u64) -> u64 {
        match self {
            Self::Absolute(amount) => amount,
            Self::Permille(parts) => {
                u64::try_from(u128::from(capacity) * u128::from(parts) / 1_000).unwrap_or(u64::MAX)
            }
        }
    }
}

fn threshold(text: &str) -> Result<(Signal, Amount), ThresholdError> {
    let (name, amount) = text.split_once('<').ok_or_else(|| ThresholdError::Form(text.to_owned()))?;
    let (name, amount) = (name.trim(), amount.trim());
    let signal = Signal::ALL.into_iter().find(|signal| signal.name() == name);
    let signal = signal.ok_or_else(|| ThresholdError::Signal(name.to_owned()))?;
    let wrong = || ThresholdError::Amount { signal, amount: amount.to_owned() };
    let found = match amount.strip_suffix('%') {
        Some(percent) => Quantity::parse(percent).ok().map(|part| Amount::Permille(part.to_milli() / 100)),
        None => Quantity::parse(amount).ok().map(|amount| Amount::Absolute(amount.to_units())),
    };
    let sound = |amount: &Amount| matches!(amount, Amount::Absolute(1..) | Amount::Permille(1..=1_000));
    found.filter(sound).map(|amount| (signal, amount)).ok_or_else(wrong)
}

/// The conditions that were seen, and when last.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Pressures(BTreeMap<Pressure, BootTime>);

impl Pressures {
    /// Takes what is met now; the conditions that hold.
    pub fn see(&mut self, met: &[Signal], now: BootTime) -> Vec<Pressure> {
        self.0.extend(met.iter().map(|signal| (signal.pressure(), now)));
        self.0.retain(|_, seen| now.since(*seen) < TRANSITION);
        self.0.keys().copied().collect()
    }

    /// When the first of them ends, if it is not seen again.
    #[must_use]
    pub fn next_end(&self) -> Option<BootTime> {
        self.0.values().min().map(|seen| seen.after(TRANSITION))
    }
}

/// A pod that runs, and what it has of what the node is low on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Candidate {
    pub name: String,
    pub priority: i32,
    /// `None`: it could not be found out.
    pub usage: Option<u64>,
    pub request: u64,
    /// What was requested for the pod as a whole, if it was.
    pub pod_request: Option<u64>,
    pub containers: Vec<Used>,
}

/// A container of a candidate.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Used {
    pub name: String,
    pub usage: u64,
    pub request: u64,
}

/// Who is evicted for `starved`: of those that use more than they have requested (or of which nobody knows) the one of
/// the lowest priority, and among equals the one that is the furthest above its request. The first of `candidates` when
/// even that is the same; `None` when there is nobody who may be evicted.
#[must_use]
pub fn victim(starved: Starved, candidates: &[Candidate]) -> Option<usize> {
    let evictable = candidates.iter().enumerate().filter(|(_, pod)| pod.priority < CRITICAL);
    let order = |pod: &Candidate| {
        let usage = pod.usage.map_or(i128::MAX, i128::from);
        let above = usage.saturating_sub(i128::from(pod.request));
        // Nobody requests processes: there, priority alone comes first.
        let exceeds = starved != Starved::Pids && above > 0;
        (pod.usage.is_some(), !exceeds, pod.priority, Reverse(above))
    };
    evictable.min_by_key(|(_, pod)| order(pod)).map(|(index, _)| index)
}

/// Why `pod` is evicted, as a kubelet says it; the space at its end is a kubelet's, too.
#[must_use]
pub fn message(signal: Signal, thresholds: &Thresholds, levels: &Levels, pod: &Candidate) -> String {
    let starved = signal.starved();
    let (low, amount) = (starved.name(), |amount| starved.amount(amount));
    let mut message = format!("The node was low on resource: {low}. ");
    if let (Some(threshold), Some(level)) = (thresholds.0.get(&signal), levels.get(&signal)) {
        let (quantity, available) = (amount(threshold.of(level.capacity)), amount(level.available));
        message.push_str(&format!("Threshold quantity: {quantity}, available: {available}. "));
    }
    let mut tell = |what: &str, name: &str, usage, request| {
        let (usage, request) = (amount(usage), amount(request));
        message.push_str(&format!(
            "{what} {name} was using {usage}, request is {request}, has larger consumption of {low}. "
        ));
    };
    if let (Starved::Memory, Some(usage), Some(request)) = (starved, pod.usage, pod.pod_request) {
        tell("Pod", &pod.name, usage, request);
    }
    for Used { name, usage, request } in pod.containers.iter().filter(|used| used.usage > used.request) {
        tell("Container", name, *usage, *request);
    }
    message
}

/// What a pod is told that comes while the node is short of something, in a kubelet's words; `None`: it may stay. One
/// that the machine needs may, and while only memory is short one that has requested some, or tolerates that.
#[must_use]
pub fn refusal(pressures: &[Pressure], pod: &Pod, is_best_effort: bool) -> Option<String> {
    let tolerates = |pressure: &Pressure| {
        let taint =
            Taint { key: pressure.taint().to_owned(), value: String::new(), effect: Effect::NoSchedule };
        pod.tolerations.iter().any(|toleration| toleration.tolerates(&taint))
    };
    let stays = match pressures {
        [] => true,
        [Pressure::Memory] => !is_best_effort || tolerates(&Pressure::Memory),
        _ => false,
    };
    if stays || pod.priority >= CRITICAL {
        return None;
    }
    let names: Vec<&str> = pressures.iter().map(|pressure| pressure.condition()).collect();
    Some(format!("The node had condition: [{}]. ", names.join(" ")))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use podspec::BootTime;

    use crate::model::{Pod, Toleration};

    use super::{
        Amount, CRITICAL, Candidate, Level, Levels, Pressure, Pressures, Signal, Starved, TRANSITION,
        Thresholds, Used, message, refusal, victim,
    };

    fn levels(levels: &[(Signal, u64, u64)]) -> Levels {
        levels
            .iter()
            .map(|(signal, available, capacity)| {
                (*signal, Level { available: *available, capacity: *capacity })
            })
            .collect()
    }

    fn pod(name: &str, priority: i32, usage: Option<u64>, request: u64) -> Candidate {
        Candidate {
            name: name.to_owned(),
            priority,
            usage,
            request,
            pod_request: None,
            containers: Vec::new(),
        }
    }

    #[test]
    fn thresholds_are_met_below_and_not_at() {
        let thresholds = Thresholds::of_a_kubelet();
        let mib = 1 << 20;
        for (seen, expected) in [
            (&[(Signal::MemoryAvailable, 100 * mib, 1 << 34)][..], &[][..]),
            (&[(Signal::MemoryAvailable, 100 * mib - 1, 1 << 34)], &[Signal::MemoryAvailable]),
            (&[(Signal::NodefsAvailable, 100, 1_000)], &[]),
            (&[(Signal::NodefsAvailable, 99, 1_000)], &[Signal::NodefsAvailable]),
            (&[(Signal::NodefsInodesFree, 49, 1_000)], &[Signal::NodefsInodesFree]),
            (&[(Signal::ImagefsAvailable, 149, 1_000)], &[Signal::ImagefsAvailable]),
            // Nobody has set one.
            (&[(Signal::PidAvailable, 0, 1_000)], &[]),
            // Memory first, whatever else there is.
            (
                &[(Signal::NodefsAvailable, 0, 1_000), (Signal::MemoryAvailable, 0, 1)],
                &[Signal::MemoryAvailable, Signal::NodefsAvailable],
            ),
            (&[], &[]),
        ] {
            assert_eq!(thresholds.met(&levels(seen)), expected, "{seen:?}");
        }
    }

    #[test]
    fn thresholds_are_read_as_a_kubelet_reads_them() {
        let parsed =
            Thresholds::parse("memory.available<1Gi, nodefs.available<12.5%,pid.available<1k").unwrap();
        let expected = BTreeMap::from([
            (Signal::MemoryAvailable, Amount::Absolute(1 << 30)),
            (Signal::NodefsAvailable, Amount::Permille(125)),
            (Signal::PidAvailable, Amount::Absolute(1_000)),
        ]);
        assert_eq!(parsed.0, expected);
        for none in ["", "none"] {
            assert_eq!(Thresholds::parse(none).unwrap(), Thresholds::default());
        }
        for (text, said) in [
            ("memory.available", "SIGNAL<AMOUNT"),
            ("memory.free<1", "no eviction signal"),
            ("memory.available<0", "above 0"),
            ("memory.available<x", "above 0"),
            ("nodefs.available<101%", "up to 100%"),
            ("nodefs.available<0%", "up to 100%"),
            ("nodefs.available<-5%", "up to 100%"),
        ] {
            let error = Thresholds::parse(text).unwrap_err().to_string();
            assert!(error.contains(said), "{text}: {error}");
        }
    }

    #[test]
    fn a_condition_stays_for_a_while() {
        let mut pressures = Pressures::default();
        let at = |seconds: u64| BootTime(0).after(Duration::from_secs(seconds));
        assert_eq!(pressures.see(&[], at(0)), []);
        let both = [Signal::NodefsAvailable, Signal::MemoryAvailable];
        assert_eq!(pressures.see(&both, at(10)), [Pressure::Memory, Pressure::Disk]);
        assert_eq!(pressures.next_end(), Some(at(10 + TRANSITION.as_secs())));
        assert_eq!(pressures.see(&[Signal::ImagefsInodesFree], at(200)), [Pressure::Memory, Pressure::Disk]);
        assert_eq!(pressures.see(&[], at(310)), [Pressure::Disk]);
        assert_eq!(pressures.see(&[], at(500)), []);
        assert_eq!(pressures.next_end(), None);
    }

    #[test]
    fn the_pod_that_is_above_its_request_goes_first_then_the_lowest_priority_then_the_largest() {
        for (candidates, expected) in [
            (vec![], None),
            (vec![pod("only", 0, Some(1), 5)], Some("only")),
            (vec![pod("within", -5, Some(5), 5), pod("above", 100, Some(6), 5)], Some("above")),
            (vec![pod("high", 10, Some(900), 5), pod("low", 1, Some(6), 5)], Some("low")),
            (vec![pod("small", 1, Some(10), 5), pod("large", 1, Some(100), 90)], Some("large")),
            (vec![pod("far-below", 1, Some(10), 90), pod("near", 1, Some(80), 90)], Some("near")),
            (vec![pod("first", 1, Some(10), 0), pod("second", 1, Some(10), 0)], Some("first")),
            // Nobody knows what it uses.
            (vec![pod("known", 1, Some(1_000), 0), pod("unknown", 5, None, 0)], Some("unknown")),
            (vec![pod("critical", CRITICAL, Some(1_000), 0), pod("other", 5, Some(0), 9)], Some("other")),
            (vec![pod("critical", CRITICAL, Some(1_000), 0)], None),
        ] {
            let found = victim(Starved::Memory, &candidates).map(|index| candidates[index].name.as_str());
            assert_eq!(found, expected, "{candidates:?}");
        }
        let processes =
            [pod("many", 5, Some(1_000), 0), pod("low", 1, Some(2), 0), pod("lower", 1, Some(3), 0)];
        assert_eq!(victim(Starved::Pids, &processes), Some(2));
    }

    #[test]
    fn messages_are_a_kubelets() {
        let thresholds = Thresholds::of_a_kubelet();
        let used = |name: &str, usage, request| Used { name: name.to_owned(), usage, request };
        let mut web = pod("web", 0, Some(80 << 20), 20 << 20);
        web.containers =
            vec![used("main", 60 << 20, 0), used("side", 19 << 20, 20 << 20), used("log", 1_048_577, 0)];
        let low = levels(&[(Signal::MemoryAvailable, 51_200 << 10, 1 << 34)]);
        assert_eq!(
            message(Signal::MemoryAvailable, &thresholds, &low, &web),
            "The node was low on resource: memory. Threshold quantity: 100Mi, available: 50Mi. Container main was \
             using 60Mi, request is 0, has larger consumption of memory. Container log was using 1048577, request \
             is 0, has larger consumption of memory. "
        );
        web.pod_request = Some(64 << 20);
        let told = message(Signal::MemoryAvailable, &thresholds, &Levels::new(), &web);
        assert!(
            told.starts_with(
                "The node was low on resource: memory. Pod web was using 80Mi, request is 64Mi, has larger \
                 consumption of memory. Container main"
            ),
            "{told}"
        );
        let full = levels(&[(Signal::NodefsAvailable, 1_000, 1 << 40)]);
        assert_eq!(
            message(Signal::NodefsAvailable, &thresholds, &full, &pod("web", 0, None, 0)),
            "The node was low on resource: ephemeral-storage. Threshold quantity: 109951162777, available: 1k. "
        );
    }

    #[test]
    fn pods_that_come_under_pressure_are_refused_as_a_kubelet_does() {
        let (memory, both) = ([Pressure::Memory], [Pressure::Memory, Pressure::Disk]);
        let toleration = Toleration { key: String::new(), value: None, effect: None, seconds: None };
        let plain = Pod::default();
        let tolerant = Pod { tolerations: vec![toleration], ..Pod::default() };
        let critical = Pod { priority: CRITICAL, ..Pod::default() };
        for (pressures, pod, best_effort, refused) in [
            (&[][..], &plain, true, false),
            (&memory[..], &plain, true, true),
            (&memory[..], &plain, false, false),
            (&memory[..], &tolerant, true, false),
            (&both[..], &tolerant, false, true),
            (&[Pressure::Disk][..], &tolerant, false, true),
            (&both[..], &critical, true, false),
        ] {
            assert_eq!(refusal(pressures, pod, best_effort).is_some(), refused, "{pressures:?} {pod:?}");
        }
        assert_eq!(
            refusal(&both, &plain, true).as_deref(),
            Some("The node had condition: [MemoryPressure DiskPressure]. ")
        );
    }
}
