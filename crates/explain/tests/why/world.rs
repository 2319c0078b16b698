//! A pod that does as it is told, second by second, and its record.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use explain::why::{Look, Surroundings, text, why_among};
use journal::{Entry, Happening, Listener, Live, LogTail, Record};
use lifecycle::{Action, Exit, ExitReason, Hook, Observation, Observed, ProbeKind, ProbeOutcome, plan};
use podspec::{BootTime, ContainerName, IDENTITY_BYTES, Moment, Pod, PortProtocol, WallTime};

/// 2026-01-01T00:00:00Z.
const BEGAN: i64 = 1_767_225_600;
const SECOND: i64 = 1_000_000_000;

pub(crate) struct World {
    pub(crate) pod: Pod,
    observed: Observed,
    entries: Vec<Entry>,
    decided: Vec<lifecycle::Decision>,
    seconds: i64,
    logs: BTreeMap<ContainerName, Vec<LogTail>>,
    listeners: Vec<Listener>,
    pub(crate) around: Surroundings,
    /// Images, volumes and containers that cannot be had, and what is said of them: `(reason, message)`.
    pub(crate) fails: BTreeMap<&'static str, (&'static str, &'static str)>,
}

impl World {
    /// A pod of this spec, in flow or block style, accepted and brought up as far as it comes by itself.
    pub(crate) fn new(spec: &str) -> Self {
        Self::with(spec, &[])
    }

    pub(crate) fn with(spec: &str, fails: &[(&'static str, (&'static str, &'static str))]) -> Self {
        let text =
            format!("apiVersion: v1\nkind: Pod\nmetadata: {{name: web, namespace: shop}}\nspec: {spec}\n");
        let pod =
            podspec::load_pods("test", &text, || [7; IDENTITY_BYTES]).expect(&text).remove(0).admitted.pod;
        let mut world = Self {
            pod,
            observed: Observed::default(),
            entries: Vec::new(),
            decided: Vec::new(),
            seconds: 0,
            logs: BTreeMap::new(),
            listeners: Vec::new(),
            around: Surroundings::default(),
            fails: fails.iter().copied().collect(),
        };
        world.see(Observation::Accepted);
        world
    }

    fn now(&self) -> Moment {
        let nanos = self.seconds * SECOND;
        Moment { boot: BootTime(1_000 * SECOND + nanos), wall: WallTime(BEGAN * SECOND + nanos) }
    }

    pub(crate) fn see(&mut self, observation: Observation) -> &mut Self {
        let now = self.now();
        self.observed.observe(&self.pod.spec, &observation, now);
        self.note(Happening::Observed(observation));
        self.settle();
        self
    }

    fn note(&mut self, what: Happening) {
        let seq = self.entries.len() as u64 + 1;
        self.entries.push(Entry { seq, at: self.now(), what });
    }

    fn settle(&mut self) {
        for _ in 0..64 {
            let plan = plan(&self.pod.spec, &self.observed, self.now());
            if plan.decisions != self.decided {
                self.decided.clone_from(&plan.decisions);
                self.note(Happening::Decided(plan.decisions));
            }
            if plan.actions.is_empty() {
                return;
            }
            let mut answers = Vec::new();
            for action in plan.actions {
                self.observed.issue(&self.pod.spec, &action, self.now());
                answers.extend(self.answer(&action));
                self.note(Happening::Issued(action));
            }
            for answer in answers {
                let now = self.now();
                self.observed.observe(&self.pod.spec, &answer, now);
                self.note(Happening::Observed(answer));
            }
        }
        panic!("it does not settle");
    }

    fn failure(&self, of: &str) -> Option<(String, String)> {
        self.fails.get(of).map(|(reason, message)| ((*reason).to_owned(), (*message).to_owned()))
    }

    fn answer(&self, action: &Action) -> Option<Observation> {
        Some(match action.clone() {
            Action::SetUpVolumes => match self.failure("volumes") {
                Some((_, message)) => Observation::VolumesFailed { message },
                None => Observation::VolumesReady,
            },
            Action::CreateSandbox { attempt } => match self.failure("sandbox") {
                Some((_, message)) => Observation::SandboxCreateFailed { attempt, message },
                None => Observation::SandboxCreated {
                    attempt,
                    ips: vec![IpAddr::V4(Ipv4Addr::new(10, 88, 0, 2))],
                },
            },
            Action::EnsureImage { container, image, .. } => match self.failure(&image) {
                Some((reason, message)) => Observation::ImageFailed { container, image, reason, message },
                None => Observation::ImageReady {
                    container,
                    image,
                    image_id: "sha256:1".to_owned(),
                    repo_digest: None,
                    pulled: None,
                },
            },
            Action::StartContainer { container, attempt, .. } => match self.failure(container.as_str()) {
                Some((reason, message)) => {
                    Observation::ContainerCreateFailed { container, attempt, reason, message }
                }
                None => Observation::ContainerStarted {
                    container,
                    attempt,
                    id: format!("id{attempt}"),
                    started: self.now(),
                    user: None,
                },
            },
            Action::RemoveContainer { container, attempt } => {
                Observation::ContainerRemoved { container, attempt }
            }
            Action::StopSandbox { attempt } => Observation::SandboxStopped { attempt },
            Action::RemoveVolumes => Observation::VolumesRemoved,
            _ => return None,
        })
    }

    pub(crate) fn after(&mut self, seconds: i64) -> &mut Self {
        for _ in 0..seconds {
            self.seconds += 1;
            self.settle();
        }
        self
    }

    fn number(&self, name: &str) -> u32 {
        let observed = self.observed.containers.get(&ContainerName::new(name));
        observed.and_then(|o| o.current.as_ref()).map_or(0, |attempt| attempt.number)
    }

    pub(crate) fn exits(&mut self, name: &str, code: i32) -> &mut Self {
        self.ends(name, code, ExitReason::Error, "")
    }

    pub(crate) fn ends(&mut self, name: &str, code: i32, reason: ExitReason, message: &str) -> &mut Self {
        let signal = (code > 128 && reason != ExitReason::StartError).then(|| code - 128);
        let reason = if code == 0 { ExitReason::Completed } else { reason };
        let exit =
            Exit { code, signal, reason, message: message.to_owned(), started: None, finished: self.now() };
        let (container, attempt) = (ContainerName::new(name), self.number(name));
        self.see(Observation::ContainerExited { container, attempt, exit })
    }

    pub(crate) fn probe(&mut self, name: &str, probe: ProbeKind, failure: Option<&str>) -> &mut Self {
        let outcome = failure.map_or(ProbeOutcome::Success, |text| ProbeOutcome::Failure(text.to_owned()));
        let (container, attempt) = (ContainerName::new(name), self.number(name));
        self.see(Observation::ProbeFinished { container, attempt, probe, outcome })
    }

    pub(crate) fn hook(&mut self, name: &str, hook: Hook, failure: Option<&str>) -> &mut Self {
        let (container, attempt) = (ContainerName::new(name), self.number(name));
        self.see(Observation::HookFinished { container, attempt, hook, failure: failure.map(str::to_owned) })
    }

    pub(crate) fn delete(&mut self, grace: u64) -> &mut Self {
        self.see(Observation::DeletionRequested { grace: Duration::from_secs(grace) })
    }

    pub(crate) fn says(&mut self, name: &str, lines: &[&str]) -> &mut Self {
        let attempt = self.number(name);
        let lines = lines.iter().map(|line| (*line).to_owned()).collect();
        self.logs.entry(ContainerName::new(name)).or_default().push(LogTail { attempt, lines });
        self
    }

    pub(crate) fn listens(&mut self, name: &str, socket: &str) -> &mut Self {
        let socket: std::net::SocketAddr = socket.parse().unwrap();
        let container = Some(ContainerName::new(name));
        self.listeners.push(Listener {
            protocol: PortProtocol::Tcp,
            address: socket.ip(),
            port: socket.port(),
            container,
        });
        self
    }

    pub(crate) fn record(&self) -> Record {
        Record {
            pod: self.pod.clone(),
            observed: self.observed.clone(),
            entries: self.entries.clone(),
            now: self.now(),
            live: Some(Live { listeners: self.listeners.clone() }),
            logs: self.logs.clone(),
        }
    }

    pub(crate) fn text(&self) -> String {
        self.text_of(None)
    }

    pub(crate) fn text_of(&self, container: Option<&str>) -> String {
        let container = container.map(ContainerName::new);
        let explanation = why_among(&self.record(), container.as_ref(), &self.around);
        text(&explanation, Look { width: 110, color: false })
    }
}
