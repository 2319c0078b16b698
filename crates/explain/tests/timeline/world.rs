//! A pod in a world of this test's own: the plan decides, what is not scripted answers at once or a little later.

use std::collections::BTreeMap;
use std::time::Duration;

use journal::{Entry, Happening, Record};
use lifecycle::{
    Action, Decision, Exit, ExitReason, Observation, Observed, ProbeKind, ProbeOutcome, ProbeVerdict,
    SandboxSnapshot,
};
use podspec::{BootTime, ContainerName, IDENTITY_BYTES, Moment, Pod, WallTime};

pub(crate) const EPOCH_S: i64 = 1_750_000_000;
const UP_S: i64 = 5_000;
/// In milliseconds.
const VOLUMES: u64 = 5;
const SANDBOX: u64 = 20;
const IMAGE: u64 = 1;
const START: u64 = 30;
const TERM: u64 = 500;
const HOOK: u64 = 400;
const PLANS_MAX: usize = 100;

pub(crate) struct World {
    pub(crate) pod: Pod,
    pub(crate) observed: Observed,
    pub(crate) entries: Vec<Entry>,
    now_ms: u64,
    decisions: Vec<Decision>,
    /// By when they are observed, in order.
    coming: BTreeMap<(u64, usize), Observation>,
    count: usize,
    /// Pulls that take longer, or fail.
    pub(crate) pulls: BTreeMap<&'static str, (u64, Option<&'static str>)>,
    /// From when on probes of a container succeed, since it started; and until when.
    pub(crate) ready: BTreeMap<&'static str, (u64, u64)>,
    /// What each attempt ends with, after how long.
    pub(crate) exits: BTreeMap<&'static str, Vec<(u64, i32)>>,
    /// They do not hear their stop signal.
    pub(crate) deaf: Vec<&'static str>,
    started: BTreeMap<ContainerName, u64>,
}

impl World {
    pub(crate) fn new(manifest: &str) -> Self {
        let loaded = podspec::load_pods("pod.yaml", manifest, || [7; IDENTITY_BYTES]).unwrap();
        let mut world = Self {
            pod: loaded.into_iter().next().unwrap().admitted.pod,
            observed: Observed::default(),
            entries: Vec::new(),
            now_ms: 0,
            decisions: Vec::new(),
            coming: BTreeMap::new(),
            count: 0,
            pulls: BTreeMap::new(),
            ready: BTreeMap::new(),
            exits: BTreeMap::new(),
            deaf: Vec::new(),
            started: BTreeMap::new(),
        };
        world.at(0, Observation::Accepted);
        world
    }

    pub(crate) fn at(&mut self, ms: u64, observation: Observation) {
        self.count += 1;
        self.coming.insert((ms, self.count), observation);
    }

    pub(crate) fn moment(ms: u64) -> Moment {
        let nanos = i64::try_from(ms).unwrap() * 1_000_000;
        Moment {
            boot: BootTime(UP_S * 1_000_000_000 + nanos),
            wall: WallTime(EPOCH_S * 1_000_000_000 + nanos),
        }
    }

    pub(crate) fn record(&self) -> Record {
        Record {
            pod: self.pod.clone(),
            observed: self.observed.clone(),
            entries: self.entries.clone(),
            now: Self::moment(self.now_ms),
            live: None,
            logs: BTreeMap::new(),
        }
    }

    /// The newest.
    pub(crate) fn decisions(&self) -> &[Decision] {
        &self.decisions
    }

    /// As an engine that is replaced: it finds what is alive.
    pub(crate) fn restart_engine(&mut self, ms: u64) {
        let containers = self.observed.containers.values().filter_map(|container| {
            let attempt = container.current.as_ref()?;
            let lifecycle::AttemptState::Running { since } = attempt.state else { return None };
            let name = self.observed.containers.iter().find(|(_, c)| *c == container)?.0.clone();
            Some(lifecycle::ContainerRecord {
                name,
                attempt: attempt.number,
                id: attempt.id.clone(),
                started: since,
                user: None,
                stop_signal: String::new(),
                stop_signal_sent: None,
                kill_sent: None,
                exit: None,
            })
        });
        let snapshot = SandboxSnapshot { attempt: 0, ips: Vec::new(), containers: containers.collect() };
        self.at(ms, Observation::Accepted);
        self.at(ms, Observation::Adopted(snapshot));
    }

    /// Plays until then.
    pub(crate) fn run(&mut self, until_ms: u64) {
        loop {
            let wake = self.settle();
            let next = self.coming.keys().next().map(|(at, _)| *at);
            let Some(next) = next.into_iter().chain(wake).min().filter(|next| *next <= until_ms) else {
                break;
            };
            self.now_ms = self.now_ms.max(next);
            while let Some(entry) = self.coming.first_entry().filter(|entry| entry.key().0 <= self.now_ms) {
                let observation = entry.remove();
                self.observe(observation);
            }
        }
        self.now_ms = until_ms;
    }

    fn observe(&mut self, observation: Observation) {
        let at = Self::moment(self.now_ms);
        let stale =
            |name: &ContainerName, attempt: u32| {
                self.observed.containers.get(name).and_then(|c| c.current.as_ref()).is_none_or(|a| {
                    a.number != attempt || matches!(a.state, lifecycle::AttemptState::Exited(_))
                })
            };
        if let Observation::ContainerExited { container, attempt, .. } = &observation
            && stale(container, *attempt)
        {
            return;
        }
        let known = matches!(&observation, Observation::ProbeFinished { container, probe, outcome: ProbeOutcome::Success, .. }
            if self.observed.containers.get(container).and_then(|c| c.current.as_ref())
                .is_some_and(|a| a.probe(*probe).verdict == ProbeVerdict::Success));
        self.observed.observe(&self.pod.spec, &observation, at);
        if !known {
            self.push(Happening::Observed(observation));
        }
    }

    fn settle(&mut self) -> Option<u64> {
        for _ in 0..PLANS_MAX {
            let now = Self::moment(self.now_ms);
            let plan = lifecycle::plan(&self.pod.spec, &self.observed, now);
            if plan.decisions != self.decisions {
                self.decisions.clone_from(&plan.decisions);
                self.push(Happening::Decided(plan.decisions));
            }
            if plan.actions.is_empty() {
                return plan
                    .wake_after
                    .map(|after| self.now_ms + u64::try_from(after.as_millis()).unwrap().max(1));
            }
            for action in plan.actions {
                self.observed.issue(&self.pod.spec, &action, now);
                self.answer(&action);
                if !matches!(action, Action::RunProbe { .. }) {
                    self.push(Happening::Issued(action));
                }
            }
        }
        panic!("the plan does not settle");
    }

    fn push(&mut self, what: Happening) {
        let seq = self.entries.last().map_or(1, |last| last.seq + 1);
        self.entries.push(Entry { seq, at: Self::moment(self.now_ms), what });
    }

    fn after(&mut self, ms: u64, observation: Observation) {
        self.at(self.now_ms + ms, observation);
    }

    fn answer(&mut self, action: &Action) {
        match action.clone() {
            Action::SetUpVolumes => self.after(VOLUMES, Observation::VolumesReady),
            Action::CreateSandbox { attempt } => {
                self.after(SANDBOX, Observation::SandboxCreated { attempt, ips: Vec::new() });
            }
            Action::EnsureImage { container, image, .. } => self.pull(container, image),
            Action::StartContainer { container, attempt, .. } => self.start(container, attempt),
            Action::RunHook { container, attempt, hook, .. } => {
                self.after(HOOK, Observation::HookFinished { container, attempt, hook, failure: None });
            }
            Action::RunProbe { container, attempt, probe, .. } => self.probe(container, attempt, probe),
            Action::SignalContainer { container, attempt } => {
                if !self.deaf.contains(&container.as_str()) {
                    self.exit(container, attempt, TERM, 143);
                }
            }
            Action::KillContainer { container, attempt } => self.exit(container, attempt, 2, 137),
            Action::RemoveContainer { container, attempt } => {
                self.after(1, Observation::ContainerRemoved { container, attempt });
            }
            Action::StopSandbox { attempt } => self.after(SANDBOX, Observation::SandboxStopped { attempt }),
            Action::RemoveVolumes => self.after(VOLUMES, Observation::VolumesRemoved),
            Action::ResizeContainer { container, attempt, resources } => {
                let failure = None;
                self.after(VOLUMES, Observation::ContainerResized { container, attempt, resources, failure });
            }
        }
    }

    fn pull(&mut self, container: ContainerName, image: String) {
        let (ms, failure) = self.pulls.get(container.as_str()).copied().unwrap_or((IMAGE, None));
        if ms > IMAGE {
            self.after(0, Observation::ImagePulling { container: container.clone(), image: image.clone() });
        }
        if let Some(message) = failure {
            let (reason, message) = ("ErrImagePull".to_owned(), message.to_owned());
            self.after(ms, Observation::ImageFailed { container, image, reason, message });
            return;
        }
        let took = Duration::from_millis(ms);
        let pulled =
            (ms > IMAGE).then_some(lifecycle::Pulled { took, waited: Duration::ZERO, bytes: 31_000_000 });
        let image_id = "sha256:1".to_owned();
        self.after(ms, Observation::ImageReady { container, image, image_id, repo_digest: None, pulled });
    }

    fn start(&mut self, container: ContainerName, attempt: u32) {
        let at = self.now_ms + START;
        self.started.insert(container.clone(), at);
        if let Some((ms, code)) =
            self.exits.get(container.as_str()).and_then(|exits| exits.get(attempt as usize)).copied()
        {
            self.exit(container.clone(), attempt, START + ms, code);
        }
        let (id, started) = (format!("{container}-{attempt}"), Self::moment(at));
        self.after(START, Observation::ContainerStarted { container, attempt, id, started, user: None });
    }

    fn exit(&mut self, container: ContainerName, attempt: u32, ms: u64, code: i32) {
        let finished = Self::moment(self.now_ms + ms);
        let started = self.started.get(&container).map(|ms| Self::moment(*ms));
        let signal = (code > 128).then(|| code - 128);
        let reason = if code == 0 { ExitReason::Completed } else { ExitReason::Error };
        let exit = Exit { code, signal, reason, message: String::new(), started, finished };
        self.after(ms, Observation::ContainerExited { container, attempt, exit });
    }

    fn probe(&mut self, container: ContainerName, attempt: u32, probe: ProbeKind) {
        let since = self.now_ms - self.started.get(&container).copied().unwrap_or(0).min(self.now_ms);
        let (from, to) = self.ready.get(container.as_str()).copied().unwrap_or((0, u64::MAX));
        let outcome = if (from..to).contains(&since) {
            ProbeOutcome::Success
        } else {
            ProbeOutcome::Failure("connection refused".to_owned())
        };
        self.after(3, Observation::ProbeFinished { container, attempt, probe, outcome });
    }
}
