//! Records as a worker makes them, of a small world that does what it is told after ten milliseconds.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use journal::{Entry, Happening, Occasion, Record, Snapshot};
use lifecycle::{Action, Exit, ExitReason, Hook, Observation, Observed, ProbeOutcome, plan};
use podspec::{BootTime, IDENTITY_BYTES, Moment, Pod, WallTime};

const ANSWER: Duration = Duration::from_millis(10);
/// Longer than any of these pods lives.
const END: Duration = Duration::from_secs(3_600);

pub(crate) fn moment(after: Duration) -> Moment {
    let nanos = i64::try_from(after.as_nanos()).unwrap();
    Moment { boot: BootTime(nanos), wall: WallTime(1_700_000_000_000_000_000 + nanos) }
}

pub(crate) fn exit(code: i32, message: &str, at: Duration) -> Exit {
    let reason = if code == 0 { ExitReason::Completed } else { ExitReason::Error };
    Exit { code, signal: None, reason, message: message.to_owned(), started: None, finished: moment(at) }
}

pub(crate) fn pod(text: &str) -> Pod {
    podspec::load_pods("test", text, || [7; IDENTITY_BYTES]).expect("a pod").remove(0).admitted.pod
}

pub(crate) struct Recorder {
    pub(crate) pod: Pod,
    pub(crate) entries: Vec<Entry>,
    pub(crate) observed: Observed,
    decisions: Vec<lifecycle::Decision>,
    coming: VecDeque<(Duration, Observation)>,
    pub(crate) now: Duration,
}

impl Recorder {
    pub(crate) fn new(pod: Pod) -> Self {
        let (entries, observed, decisions) = (Vec::new(), Observed::default(), Vec::new());
        let mut recorder =
            Self { pod, entries, observed, decisions, coming: VecDeque::new(), now: Duration::ZERO };
        recorder.snapshot(Occasion::Engine);
        recorder.at(Duration::ZERO, Observation::Accepted);
        recorder
    }

    pub(crate) fn at(&mut self, at: Duration, observation: Observation) {
        self.coming.push_back((at, observation));
    }

    pub(crate) fn snapshot(&mut self, occasion: Occasion) {
        let (pod, observed) = (self.pod.clone(), self.observed.as_recorded());
        let decisions = self.decisions.clone();
        self.note(Happening::Snapshot(Box::new(Snapshot { occasion, pod, observed, decisions })));
    }

    pub(crate) fn note(&mut self, what: Happening) {
        let seq = self.entries.last().map_or(1, |entry| entry.seq + 1);
        self.entries.push(Entry { seq, at: moment(self.now), what });
    }

    /// Lets things happen until nothing is coming, or until then.
    pub(crate) fn run_until(&mut self, until: Duration) {
        let mut wake = None;
        loop {
            self.coming.make_contiguous().sort_by_key(|(at, _)| *at);
            let next = self.coming.front().map(|(at, _)| *at);
            let Some(next) = next.into_iter().chain(wake).min().filter(|next| *next <= until) else { return };
            self.now = self.now.max(next);
            wake = self.turn();
        }
    }

    fn turn(&mut self) -> Option<Duration> {
        let before = self.entries.len();
        while let Some((_, observation)) = self.coming.pop_front_if(|(at, _)| *at <= self.now) {
            self.observed.observe(&self.pod.spec, &observation, moment(self.now));
            self.note(Happening::Observed(observation));
        }
        loop {
            let plan = plan(&self.pod.spec, &self.observed, moment(self.now));
            if plan.decisions != self.decisions {
                self.decisions.clone_from(&plan.decisions);
                self.note(Happening::Decided(plan.decisions.clone()));
            }
            if plan.actions.is_empty() {
                if self.entries.len() > before {
                    self.note(Happening::Settled);
                }
                self.observed.keep_conditions(&plan.status, moment(self.now));
                return plan.wake_after.map(|after| self.now + after).filter(|at| *at < END);
            }
            for action in plan.actions {
                self.observed.issue(&self.pod.spec, &action, moment(self.now));
                if let Some(answer) = self.answer(&action) {
                    self.coming.push_back((self.now + ANSWER, answer));
                }
                if !matches!(action, Action::RunProbe { .. }) {
                    self.note(Happening::Issued(action));
                }
            }
        }
    }

    fn answer(&self, action: &Action) -> Option<Observation> {
        let ended = |container: &podspec::ContainerName, attempt: u32, code| Observation::ContainerExited {
            container: container.clone(),
            attempt,
            exit: exit(code, "", self.now + ANSWER),
        };
        Some(match action.clone() {
            Action::SetUpVolumes => Observation::VolumesReady,
            Action::CreateSandbox { attempt } => {
                Observation::SandboxCreated { attempt, ips: vec!["10.1.0.2".parse().unwrap()] }
            }
            Action::EnsureImage { container, image, .. } => Observation::ImageReady {
                container,
                image_id: format!("sha256:{image}"),
                image,
                repo_digest: None,
                pulled: None,
            },
            Action::StartContainer { container, attempt, .. } => Observation::ContainerStarted {
                id: format!("{container}-{attempt}"),
                container,
                attempt,
                started: moment(self.now + ANSWER),
                user: None,
            },
            Action::RunHook { container, attempt, hook, .. } => {
                let failure = matches!(hook, Hook::PreStop).then(|| "exit code 3: password is x".to_owned());
                Observation::HookFinished { container, attempt, hook, failure }
            }
            Action::RunProbe { container, attempt, probe, .. } => {
                Observation::ProbeFinished { container, attempt, probe, outcome: ProbeOutcome::Success }
            }
            Action::ResizeContainer { container, attempt, resources } => {
                Observation::ContainerResized { container, attempt, resources, failure: None }
            }
            Action::SignalContainer { container, attempt } => ended(&container, attempt, 143),
            Action::KillContainer { container, attempt } => ended(&container, attempt, 137),
            Action::RemoveContainer { container, attempt } => {
                Observation::ContainerRemoved { container, attempt }
            }
            Action::StopSandbox { attempt } => Observation::SandboxStopped { attempt },
            Action::RemoveVolumes => Observation::VolumesRemoved,
        })
    }

    pub(crate) fn record(&self) -> Record {
        Record {
            pod: self.pod.clone(),
            observed: self.observed.as_recorded(),
            entries: self.entries.clone(),
            now: moment(self.now),
            live: None,
            logs: BTreeMap::new(),
        }
    }
}

const POD: &str = "\
apiVersion: v1
kind: Pod
metadata: {name: web, annotations: {note: token-in-annotation}}
spec:
  restartPolicy: Always
  initContainers:
  - {name: init, image: prepare, command: [sh, -c, 'echo hunter2']}
  - name: side
    image: side
    restartPolicy: Always
    startupProbe: {exec: {command: [test, -e, /ready]}, periodSeconds: 1}
    lifecycle: {preStop: {exec: {command: [flush, --key, hunter2]}}}
  containers:
  - name: main
    image: app
    env: [{name: PASSWORD, value: hunter2}]
    livenessProbe: {httpGet: {port: 80, path: '/alive?key=hunter2'}, periodSeconds: 5, failureThreshold: 2}
    readinessProbe: {tcpSocket: {port: 80}, periodSeconds: 2}
    resources: {limits: {cpu: 100m}}
";

/// A pod that starts, fails, is restarted with a backoff, is given other resources and deleted.
pub(crate) fn eventful() -> Record {
    let seconds = Duration::from_secs;
    let mut recorder = Recorder::new(pod(POD));
    let ended = |container: &str, attempt, code, at| Observation::ContainerExited {
        container: container.into(),
        attempt,
        exit: exit(code, "the password was hunter2", at),
    };
    recorder.at(seconds(2), ended("init", 0, 0, seconds(2)));
    recorder.at(seconds(10), ended("main", 0, 1, seconds(10)));
    recorder.at(seconds(20), ended("main", 1, 1, seconds(20)));
    let failed = ProbeOutcome::Failure("HTTP probe failed with statuscode: 503: hunter2".to_owned());
    for at in [41, 46] {
        let (container, probe) = ("main".into(), lifecycle::ProbeKind::Liveness);
        let outcome = failed.clone();
        recorder.at(seconds(at), Observation::ProbeFinished { container, attempt: 2, probe, outcome });
    }
    recorder.run_until(seconds(60));
    recorder.snapshot(Occasion::Generation);
    recorder.pod.generation = 2;
    recorder.pod.spec.containers[0].resources.cpu_limit = Some(200);
    recorder.note(Happening::Changed(Box::new(recorder.pod.clone())));
    recorder.at(seconds(61), Observation::SpecChanged);
    recorder.run_until(seconds(70));
    recorder.at(seconds(71), Observation::DeletionRequested { grace: seconds(5) });
    recorder.run_until(seconds(100));
    recorder.record()
}
