//! The scenario text.
//!
//! ```text
//! # why this scenario exists
//! pod restart=Never grace=30 deadline=60
//! init    a    run=2s exit=1,0
//! sidecar s    startup=fail,ok term=1s
//! app     main run=10s prestop=5s
//! at 7s delete grace=3
//! at 8s lose-sandbox
//! at 9s restart-engine
//! until 10m
//! ```
//!
//! Lists hold one value per attempt (or per probe, pull, ...); the last one repeats. Without `run` a
//! process runs until it is stopped; `term` says how long it lives after its stop signal.

use std::time::Duration;

use podspec::{
    Container, ContainerKind, ContainerName, ExecAction, ExitCodeOperator, PodSpec, Probe,
    ProcessRestartPolicy, PullPolicy, Resources, RestartPolicy, RestartRule, RestartRuleAction,
    SecurityContext,
};

#[derive(Clone, Debug)]
pub struct Scenario {
    pub spec: PodSpec,
    pub behaviours: Vec<Behaviour>,
    pub events: Vec<(Duration, Event)>,
    /// The timeline ends here at the latest.
    pub until: Duration,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event {
    Delete {
        grace: Option<Duration>,
    },
    LoseSandbox,
    /// `kill -9` of the engine and a new one that adopts the sandbox.
    RestartEngine,
}

/// How the processes of one container behave.
#[derive(Clone, Debug)]
pub struct Behaviour {
    pub name: ContainerName,
    /// `None`: runs until stopped.
    pub run: Vec<Option<Duration>>,
    pub exit: Vec<ExitScript>,
    /// Life after the stop signal; `None`: ignores it.
    pub term: Option<Duration>,
    pub term_exit: i32,
    pub start: Vec<StartScript>,
    pub startup: Vec<bool>,
    pub post_start: Vec<(Duration, bool)>,
    pub pre_stop: Vec<(Duration, bool)>,
    pub pull: Vec<Option<String>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ExitScript {
    Code(i32),
    /// OOM-killed, with this exit code.
    Oom(i32),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StartScript {
    Ok,
    /// No process was made.
    CreateFails,
    /// The program could not be executed.
    ExecFails,
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
            behaviours: Vec::new(),
            events: Vec::new(),
            until: Duration::from_secs(3_600),
        };
        for (index, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default().trim();
            if !line.is_empty() {
                scenario.line(line).map_err(|what| ScriptError { line: index + 1, what })?;
            }
        }
        Ok(scenario)
    }

    #[must_use]
    pub fn behaviour(&self, name: &ContainerName) -> Option<&Behaviour> {
        self.behaviours.iter().find(|b| b.name == *name)
    }

    fn line(&mut self, line: &str) -> Result<(), String> {
        let mut words = line.split_whitespace();
        let first = words.next().unwrap_or_default();
        match first {
            "pod" => words.try_for_each(|word| self.pod_word(word)),
            "until" => {
                self.until = duration(words.next().unwrap_or_default())?;
                Ok(())
            }
            "at" => self.event(words),
            "init" | "sidecar" | "app" => self.container(first, words),
            other => Err(format!("unknown word {other:?}")),
        }
    }

    fn pod_word(&mut self, word: &str) -> Result<(), String> {
        let (key, value) = key_value(word)?;
        match key {
            "restart" => self.spec.restart_policy = policy(value)?,
            "grace" => self.spec.termination_grace_period = Duration::from_secs(number(value)?),
            "deadline" => self.spec.active_deadline = Some(Duration::from_secs(number(value)?)),
            other => return Err(format!("unknown key {other:?}")),
        }
        Ok(())
    }

    fn event<'t>(&mut self, mut words: impl Iterator<Item = &'t str>) -> Result<(), String> {
        let at = duration(words.next().unwrap_or_default())?;
        let event = match words.next() {
            Some("delete") => {
                let grace = words.next().map(|w| key_value(w).and_then(|(_, v)| number(v))).transpose()?;
                Event::Delete { grace: grace.map(Duration::from_secs) }
            }
            Some("lose-sandbox") => Event::LoseSandbox,
            Some("restart-engine") => Event::RestartEngine,
            other => return Err(format!("unknown event {other:?}")),
        };
        self.events.push((at, event));
        Ok(())
    }

    fn container<'t>(&mut self, kind: &str, mut words: impl Iterator<Item = &'t str>) -> Result<(), String> {
        let name = ContainerName::new(words.next().ok_or("a container needs a name")?);
        let kind = match kind {
            "init" => ContainerKind::Init,
            "sidecar" => ContainerKind::Sidecar,
            _ => ContainerKind::App,
        };
        let mut container = plain_container(&name, kind);
        let mut behaviour = Behaviour::plain(name, kind);
        words.try_for_each(|word| container_word(word, &mut container, &mut behaviour))?;
        self.behaviours.push(behaviour);
        match kind {
            ContainerKind::App => self.spec.containers.push(container),
            ContainerKind::Init | ContainerKind::Sidecar => self.spec.init_containers.push(container),
        }
        Ok(())
    }
}

impl Behaviour {
    fn plain(name: ContainerName, kind: ContainerKind) -> Self {
        let run = if kind == ContainerKind::Init { Some(Duration::from_secs(1)) } else { None };
        Self {
            name,
            run: vec![run],
            exit: vec![ExitScript::Code(0)],
            term: Some(Duration::ZERO),
            term_exit: 143,
            start: vec![StartScript::Ok],
            startup: vec![true],
            post_start: vec![(Duration::ZERO, true)],
            pre_stop: vec![(Duration::ZERO, true)],
            pull: vec![None],
        }
    }
}

fn container_word(word: &str, container: &mut Container, behaviour: &mut Behaviour) -> Result<(), String> {
    let (key, value) = key_value(word)?;
    let hook = || Some(ExecAction { command: vec!["hook".to_owned()] });
    match key {
        "run" => {
            behaviour.run = list(value, |v| if v == "forever" { Ok(None) } else { duration(v).map(Some) })?
        }
        "exit" => behaviour.exit = list(value, exit_script)?,
        "term" => (behaviour.term, behaviour.term_exit) = term(value)?,
        "start" => behaviour.start = list(value, start_script)?,
        "pull" => {
            behaviour.pull = list(value, |v| Ok(if v == "ok" { None } else { Some(v.to_owned()) }))?;
        }
        "image" => value.clone_into(&mut container.image),
        "restart" => container.restart.policy = Some(policy(value)?),
        "rules" => container.restart.rules = list(value, rule)?,
        "poststart" => {
            container.post_start = hook();
            behaviour.post_start = list(value, hook_script)?;
        }
        "prestop" => {
            container.pre_stop = hook();
            behaviour.pre_stop = list(value, hook_script)?;
        }
        "startup" => {
            probe(container);
            behaviour.startup = list(value, |v| Ok(v == "ok"))?;
        }
        "period" => probe(container).period = duration(value)?,
        "delay" => probe(container).initial_delay = duration(value)?,
        "threshold" => probe(container).failure_threshold = number(value)?,
        "probegrace" => probe(container).termination_grace_period = Some(duration(value)?),
        other => return Err(format!("unknown key {other:?}")),
    }
    Ok(())
}

fn probe(container: &mut Container) -> &mut Probe {
    container.startup_probe.get_or_insert_with(|| Probe {
        exec: ExecAction { command: vec!["probe".to_owned()] },
        initial_delay: Duration::ZERO,
        period: Duration::from_secs(1),
        timeout: Duration::from_secs(1),
        success_threshold: 1,
        failure_threshold: 3,
        termination_grace_period: None,
    })
}

fn term(value: &str) -> Result<(Option<Duration>, i32), String> {
    if value == "ignore" {
        return Ok((None, 143));
    }
    match value.split_once(':') {
        Some((after, code)) => Ok((Some(duration(after)?), number(code)?)),
        None => Ok((Some(duration(value)?), 143)),
    }
}

fn exit_script(value: &str) -> Result<ExitScript, String> {
    match value.strip_prefix("oom") {
        Some("") => Ok(ExitScript::Oom(137)),
        Some(code) => number(code.trim_start_matches(':')).map(ExitScript::Oom),
        None => number(value).map(ExitScript::Code),
    }
}

fn start_script(value: &str) -> Result<StartScript, String> {
    match value {
        "ok" => Ok(StartScript::Ok),
        "create-fails" => Ok(StartScript::CreateFails),
        "exec-fails" => Ok(StartScript::ExecFails),
        other => Err(format!("unknown start {other:?}")),
    }
}

fn hook_script(value: &str) -> Result<(Duration, bool), String> {
    match value.strip_suffix(":fail") {
        Some(after) => Ok((duration(after)?, false)),
        None => Ok((duration(value)?, true)),
    }
}

/// `42:Restart` or `!0:RestartAllContainers`; several codes with `+`.
fn rule(value: &str) -> Result<RestartRule, String> {
    let (codes, action) = value.split_once(':').ok_or("a rule is CODES:ACTION")?;
    let action = match action {
        "Restart" => RestartRuleAction::Restart,
        "RestartAllContainers" => RestartRuleAction::RestartAllContainers,
        other => return Err(format!("unknown action {other:?}")),
    };
    let (operator, codes) = match codes.strip_prefix('!') {
        Some(codes) => (ExitCodeOperator::NotIn, codes),
        None => (ExitCodeOperator::In, codes),
    };
    let values = codes.split('+').map(number).collect::<Result<_, _>>()?;
    Ok(RestartRule { action, operator, values })
}

fn policy(value: &str) -> Result<RestartPolicy, String> {
    match value {
        "Always" => Ok(RestartPolicy::Always),
        "OnFailure" => Ok(RestartPolicy::OnFailure),
        "Never" => Ok(RestartPolicy::Never),
        other => Err(format!("unknown restart policy {other:?}")),
    }
}

fn list<T>(value: &str, item: impl Fn(&str) -> Result<T, String>) -> Result<Vec<T>, String> {
    value.split(',').map(item).collect()
}

fn key_value(word: &str) -> Result<(&str, &str), String> {
    word.split_once('=').ok_or_else(|| format!("{word:?} is not key=value"))
}

fn number<T: std::str::FromStr>(value: &str) -> Result<T, String> {
    value.parse().map_err(|_| format!("{value:?} is not a number"))
}

/// `3s`, `2m`, `500ms`.
fn duration(value: &str) -> Result<Duration, String> {
    let unit = value.trim_start_matches(|c: char| c.is_ascii_digit());
    let count: u64 = number(value.strip_suffix(unit).unwrap_or_default())?;
    match unit {
        "ms" => Ok(Duration::from_millis(count)),
        "s" => Ok(Duration::from_secs(count)),
        "m" => Ok(Duration::from_secs(count * 60)),
        _ => Err(format!("{value:?} is not a duration")),
    }
}

fn empty_pod() -> PodSpec {
    PodSpec {
        restart_policy: RestartPolicy::Always,
        termination_grace_period: Duration::from_secs(30),
        active_deadline: None,
        hostname: "p".to_owned(),
        host_network: false,
        share_process_namespace: false,
        init_containers: Vec::new(),
        containers: Vec::new(),
        volumes: Vec::new(),
        supplemental_groups: Vec::new(),
        host_aliases: Vec::new(),
    }
}

fn plain_container(name: &ContainerName, kind: ContainerKind) -> Container {
    let policy = (kind == ContainerKind::Sidecar).then_some(RestartPolicy::Always);
    Container {
        name: name.clone(),
        kind,
        image: "image".to_owned(),
        pull_policy: PullPolicy::IfNotPresent,
        command: None,
        args: None,
        working_dir: None,
        env: Vec::new(),
        ports: Vec::new(),
        resources: Resources::default(),
        volume_mounts: Vec::new(),
        restart: ProcessRestartPolicy { policy, rules: Vec::new() },
        startup_probe: None,
        post_start: None,
        pre_stop: None,
        termination_message_path: "/dev/termination-log".to_owned(),
        security: SecurityContext::default(),
        tty: false,
    }
}
