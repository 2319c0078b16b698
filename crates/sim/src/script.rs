//! The scenario text.
//!
//! ```text
//! # the rule this scenario is about
//! pod restart=Never grace=30 deadline=60 volumes=2s:fail,ok sandbox=1s stop=1s gates=a,b backoff=1s..10s
//! init    a    run=2s exit=1,0
//! sidecar s    startup=fail,ok period=2s readiness=ok,1s:fail readiness-threshold=1 term=1s
//! app     main run=10s prestop=5s pull=5s:ErrImagePull,ok start=late:2s cpu=100..200 resize-restarts=memory
//! app     web  image-volumes=models,page pull=fail,ok
//! at 5s exit main 3
//! at 7s delete grace=3
//! at 8s lose-sandbox
//! at 9s restart-engine down=5s
//! at action 12 restart-engine down=5s
//! at observation 7 restart-engine
//! at 9s ephemeral d run=3s
//! at 9s image main new-ref
//! at 9s resize main cpu=200..300 memory=64
//! at 9s deadline 30
//! at 9s gate a True
//! at 9s evict
//! at 9s backoff 1s..60s
//! together
//! until 10m
//! show messages
//! ```
//!
//! Lists hold one value per attempt (or per probe, pull, ...); the last one repeats. Without `run` a
//! process runs until it is stopped; `term` says how long it lives after its stop signal. A result is
//! `ok` or `fail`, after a time when it is `5s` or `5s:fail`. Settings of a probe are `liveness-period`,
//! `readiness-delay` and so on; those of the startup probe need no prefix. Of resources, one number is the
//! request and the limit. What is pulled for a container, for its volumes of images and itself, counts together.
//! An engine that dies at the N-th action has begun that one and none after it, and
//! written that it had issued them all; one that dies at the N-th observation had not written that down.

use std::sync::OnceLock;
use std::time::Duration;

use podspec::{
    Container, ContainerKind, ContainerName, IDENTITY_BYTES, PodSpec, PullPolicy, RestartPolicy, Volume,
    VolumeName, VolumeSource,
};

use simulation::{Behaviour, Event, Script};

use crate::changes::{Change, Outside, in_order};
use crate::words::{
    backoff, container_word, duration, exit_script, key_value, list, number, outcome, policy,
};

#[derive(Clone, Debug)]
pub struct Scenario {
    pub spec: PodSpec,
    /// What it is changed to, one after the other.
    pub changes: Vec<PodSpec>,
    /// What the world does.
    pub script: Script,
    pub crashes: Vec<Crash>,
    /// The timeline shows messages of conditions and waiting containers, too.
    pub show_messages: bool,
}

/// The engine dies in the middle of something; `down` later there is a new one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Crash {
    pub point: CrashPoint,
    pub down: Duration,
}

/// Counted from 1, over all engines of the pod.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CrashPoint {
    /// It has begun this action.
    Action(usize),
    /// It has taken this in.
    Observation(usize),
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ScriptError {
    pub line: usize,
    pub what: String,
}

impl std::fmt::Display for ScriptError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "line {}: {}", self.line, self.what)
    }
}

impl std::error::Error for ScriptError {}

impl Scenario {
    /// # Errors
    /// Names the line and word that cannot be read.
    pub fn parse(text: &str) -> Result<Self, ScriptError> {
        let mut scenario = Self {
            spec: empty_pod(),
            changes: Vec::new(),
            script: Script::plain(Duration::from_secs(3_600), "scripted"),
            crashes: Vec::new(),
            show_messages: false,
        };
        let mut outside = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default().trim();
            if !line.is_empty() {
                let read = scenario.line(line, &mut outside);
                read.map_err(|what| ScriptError { line: index + 1, what })?;
            }
        }
        (scenario.script.events, scenario.changes) = in_order(&scenario.spec, outside);
        Ok(scenario)
    }

    /// Nothing is to happen to a container that the pod does not have.
    pub(crate) fn names_only_its_own(&self) -> bool {
        self.script.events.iter().all(|(_, event)| match event {
            Event::Exit { container, .. } => self.script.behaviour(container).is_some(),
            _ => true,
        })
    }

    fn line(&mut self, line: &str, outside: &mut Vec<(Duration, Outside)>) -> Result<(), String> {
        let mut words = line.split_whitespace();
        let first = words.next().unwrap_or_default();
        match first {
            "pod" => words.try_for_each(|word| self.pod_word(word)),
            "until" => {
                self.script.until = duration(words.next().unwrap_or_default())?;
                Ok(())
            }
            "together" => {
                self.script.together = true;
                Ok(())
            }
            "show" => {
                self.show_messages = true;
                Ok(())
            }
            "at" => self.event(words, outside),
            "init" | "sidecar" | "app" => {
                let container = self.container(first, words)?;
                match container.kind {
                    ContainerKind::App => self.spec.containers.push(container),
                    _ => self.spec.init_containers.push(container),
                }
                Ok(())
            }
            other => Err(format!("unknown word {other:?}")),
        }
    }

    fn pod_word(&mut self, word: &str) -> Result<(), String> {
        let (key, value) = key_value(word)?;
        match key {
            "restart" => self.spec.restart_policy = policy(value)?,
            "grace" => self.spec.termination_grace_period = Duration::from_secs(number(value)?),
            "deadline" => self.spec.active_deadline = Some(Duration::from_secs(number(value)?)),
            "volumes" => self.script.volumes = list(value, outcome)?,
            "gates" => self.spec.readiness_gates = list(value, |gate| Ok(gate.to_owned()))?,
            "backoff" => self.script.backoff = Some(backoff(value)?),
            "stop" => self.script.stop = duration(value)?,
            "sandbox" => self.script.sandbox = list(value, outcome)?,
            other => return Err(format!("unknown key {other:?}")),
        }
        Ok(())
    }

    fn event<'t>(
        &mut self,
        mut words: impl Iterator<Item = &'t str>,
        outside: &mut Vec<(Duration, Outside)>,
    ) -> Result<(), String> {
        let at = words.next().unwrap_or_default();
        if let "action" | "observation" = at {
            self.crashes.push(crash(at, words)?);
            return Ok(());
        }
        let at = duration(at)?;
        let what = words.next().ok_or("what happens then?")?;
        if what == "ephemeral" {
            let container = Box::new(self.container(what, words)?);
            outside.push((at, Outside::Change(Change::Ephemeral(container))));
            return Ok(());
        }
        if let Some(change) = Change::parse(what, &mut words)? {
            outside.push((at, Outside::Change(change)));
            return Ok(());
        }
        let mut value = || words.next().map(|w| key_value(w).map(|(_, v)| v)).transpose();
        let event = match what {
            "delete" => {
                let grace = value()?.map(number).transpose()?;
                Event::Delete { grace: grace.map(Duration::from_secs) }
            }
            "lose-sandbox" => Event::LoseSandbox,
            "evict" => Event::Evict,
            "backoff" => Event::Configure(backoff(words.next().unwrap_or_default())?),
            "restart-engine" => {
                Event::RestartEngine { down: value()?.map(duration).transpose()?.unwrap_or_default() }
            }
            "gate" => {
                let gate = words.next().ok_or("which gate?")?.to_owned();
                Event::Gate { gate, status: words.next().filter(|said| *said != "-").map(str::to_owned) }
            }
            "exit" => Event::Exit {
                container: ContainerName::new(words.next().ok_or("who exits?")?),
                exit: exit_script(words.next().ok_or("with which code?")?)?,
            },
            other => return Err(format!("unknown event {other:?}")),
        };
        outside.push((at, Outside::Event(event)));
        Ok(())
    }

    fn container<'t>(
        &mut self,
        kind: &str,
        mut words: impl Iterator<Item = &'t str>,
    ) -> Result<Container, String> {
        let name = ContainerName::new(words.next().ok_or("a container needs a name")?);
        let kind = match kind {
            "init" => ContainerKind::Init,
            "sidecar" => ContainerKind::Sidecar,
            "ephemeral" => ContainerKind::Ephemeral,
            _ => ContainerKind::App,
        };
        let mut container = plain_container(&name, kind);
        let mut behaviour = plain_behaviour(name, kind);
        words.try_for_each(|word| container_word(word, &mut container, &mut behaviour))?;
        self.script.behaviours.push(behaviour);
        for mount in &container.volume_mounts {
            let volume = image_volume(&mount.name);
            if !self.spec.volumes.contains(&volume) {
                self.spec.volumes.push(volume);
            }
        }
        Ok(container)
    }
}

/// `7 restart-engine down=5s`, after `action` or `observation`.
fn crash<'t>(point: &str, mut words: impl Iterator<Item = &'t str>) -> Result<Crash, String> {
    let count = number(words.next().unwrap_or_default())?;
    let point = if point == "action" { CrashPoint::Action(count) } else { CrashPoint::Observation(count) };
    if words.next() != Some("restart-engine") {
        return Err("only the engine dies in the middle of something".to_owned());
    }
    let down = words.next().map(|word| key_value(word).and_then(|(_, down)| duration(down))).transpose()?;
    Ok(Crash { point, down: down.unwrap_or_default() })
}

/// What an init container does is done in a second.
fn plain_behaviour(name: ContainerName, kind: ContainerKind) -> Behaviour {
    let run = if kind == ContainerKind::Init { Some(Duration::from_secs(1)) } else { None };
    Behaviour { run: vec![run], ..Behaviour::plain(name) }
}

fn empty_pod() -> PodSpec {
    PodSpec { containers: Vec::new(), ..bare_pod() }
}

fn plain_container(name: &ContainerName, kind: ContainerKind) -> Container {
    let mut container = bare_pod().containers.remove(0);
    container.name = name.clone();
    container.kind = kind;
    container.image = name.to_string();
    container.restart.policy = (kind == ContainerKind::Sidecar).then_some(RestartPolicy::Always);
    container
}

/// Of an image of its own name.
fn image_volume(name: &VolumeName) -> Volume {
    let source = VolumeSource::Image { reference: name.to_string(), pull_policy: PullPolicy::IfNotPresent };
    Volume { name: name.clone(), source }
}

/// One container, and the defaults of every field.
fn bare_pod() -> PodSpec {
    static POD: OnceLock<PodSpec> = OnceLock::new();
    let pod = POD.get_or_init(|| {
        let text =
            "{apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {containers: [{name: c, image: i}]}}";
        let loaded = podspec::load_pods("sim", text, || [0; IDENTITY_BYTES]).expect("a pod that can be run");
        loaded.into_iter().next().expect("one pod").admitted.pod.spec
    });
    pod.clone()
}
