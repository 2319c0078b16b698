//! The words of a scenario text.

use std::time::Duration;

use lifecycle::BackoffLimits;
use podspec::{
    Container, ExecAction, ExitCodeOperator, HookHandler, Probe, ProbeHandler, PullPolicy, RestartPolicy,
    RestartRule, RestartRuleAction, VolumeMount, VolumeName,
};

use simulation::{Behaviour, ExitScript, Outcome, ProbeResults, ProbeScript, PullScript, StartScript};

pub(crate) fn container_word(
    word: &str,
    container: &mut Container,
    behaviour: &mut Behaviour,
) -> Result<(), String> {
    let (key, value) = key_value(word)?;
    let hook = || Some(HookHandler::Exec(ExecAction { command: vec!["hook".to_owned()] }));
    match key {
        "run" => {
            behaviour.run = list(value, |v| if v == "forever" { Ok(None) } else { duration(v).map(Some) })?;
        }
        "exit" => behaviour.exit = list(value, exit_script)?,
        "term" => (behaviour.term, behaviour.term_exit) = term(value)?,
        "start" => behaviour.start = list(value, start_script)?,
        "pull" => behaviour.pull = list(value, pull_script)?,
        "image-volumes" => container.volume_mounts = list(value, image_mount)?,
        "policy" => container.pull_policy = pull_policy(value)?,
        "image" => value.clone_into(&mut container.image),
        "restart" => container.restart.policy = Some(policy(value)?),
        "rules" => container.restart.rules = list(value, rule)?,
        "poststart" => {
            container.post_start = hook();
            behaviour.post_start = list(value, outcome)?;
        }
        "prestop" => {
            container.pre_stop = hook();
            behaviour.pre_stop = list(value, outcome)?;
        }
        "cpu" => {
            let Amount { request, limit } = amount(value)?;
            (container.resources.cpu_request, container.resources.cpu_limit) = (request, limit);
        }
        "memory" => {
            let Amount { request, limit } = amount(value)?;
            (container.resources.memory_request, container.resources.memory_limit) = (request, limit);
        }
        "resize" => behaviour.resize = list(value, outcome)?,
        "resize-restarts" => {
            container.resize_restarts.cpu = value.split(',').any(|resource| resource == "cpu");
            container.resize_restarts.memory = value.split(',').any(|resource| resource == "memory");
        }
        _ => return probe_word(key, value, container, behaviour),
    }
    Ok(())
}

/// `startup`, `period`, `liveness`, `liveness-period`, ...
/// A volume whose image has its name.
fn image_mount(name: &str) -> Result<VolumeMount, String> {
    Ok(VolumeMount {
        name: VolumeName::new(name),
        mount_path: format!("/{name}"),
        read_only: false,
        recursive_read_only: false,
        sub_path: None,
        receives_mounts: false,
        shares_mounts: false,
    })
}

fn probe_word(
    key: &str,
    value: &str,
    container: &mut Container,
    behaviour: &mut Behaviour,
) -> Result<(), String> {
    let (kind, setting) = match key {
        "startup" | "liveness" | "readiness" => (key, ""),
        _ => key.split_once('-').unwrap_or(("startup", key)),
    };
    let (probe, script) = match kind {
        "startup" => (&mut container.startup_probe, &mut behaviour.startup),
        "liveness" => (&mut container.liveness_probe, &mut behaviour.liveness),
        "readiness" => (&mut container.readiness_probe, &mut behaviour.readiness),
        _ => return Err(format!("unknown key {key:?}")),
    };
    let probe = probe.get_or_insert_with(plain_probe);
    match setting {
        "" => *script = ProbeResults::InTurn(list(value, probe_script)?),
        "period" => probe.period = duration(value)?,
        "delay" => probe.initial_delay = duration(value)?,
        "timeout" => probe.timeout = duration(value)?,
        "successes" => probe.success_threshold = number(value)?,
        "threshold" => probe.failure_threshold = number(value)?,
        "probegrace" => probe.termination_grace_period = Some(duration(value)?),
        _ => return Err(format!("unknown key {key:?}")),
    }
    Ok(())
}

fn plain_probe() -> Probe {
    Probe {
        handler: ProbeHandler::Exec(ExecAction { command: vec!["probe".to_owned()] }),
        initial_delay: Duration::ZERO,
        period: Duration::from_secs(1),
        timeout: Duration::from_secs(1),
        success_threshold: 1,
        failure_threshold: 3,
        termination_grace_period: None,
    }
}

/// Of one resource.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Amount {
    pub(crate) request: Option<u64>,
    pub(crate) limit: Option<u64>,
}

/// `100`, `100..200`, `..200`, `100..`
pub(crate) fn amount(value: &str) -> Result<Amount, String> {
    let (request, limit) = value.split_once("..").unwrap_or((value, value));
    let amount = |text: &str| if text.is_empty() { Ok(None) } else { number(text).map(Some) };
    Ok(Amount { request: amount(request)?, limit: amount(limit)? })
}

/// `1s..10s`: the first delay and the longest.
pub(crate) fn backoff(value: &str) -> Result<BackoffLimits, String> {
    let (initial, max) = value.split_once("..").ok_or("a backoff is FIRST..LONGEST")?;
    Ok(BackoffLimits { initial: duration(initial)?, max: duration(max)? })
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

pub(crate) fn exit_script(value: &str) -> Result<ExitScript, String> {
    match value.strip_prefix("oom") {
        Some("") => Ok(ExitScript::Oom(137)),
        Some(code) => number(code.trim_start_matches(':')).map(ExitScript::Oom),
        None => number(value).map(ExitScript::Code),
    }
}

fn start_script(value: &str) -> Result<StartScript, String> {
    match value.split_once(':').unwrap_or((value, "")) {
        ("ok", _) => Ok(StartScript::Ok),
        ("create-fails", _) => Ok(StartScript::CreateFails),
        ("exec-fails", _) => Ok(StartScript::ExecFails),
        ("slow", time) => duration(time).map(StartScript::Slow),
        ("late", time) => duration(time).map(StartScript::Late),
        (other, _) => Err(format!("unknown start {other:?}")),
    }
}

/// `ok`, `fail`, `5s` or `5s:fail`.
pub(crate) fn outcome(value: &str) -> Result<Outcome, String> {
    let (takes, rest) = timed(value)?;
    match rest {
        "" | "ok" => Ok(Outcome { takes, succeeds: true }),
        "fail" => Ok(Outcome { takes, succeeds: false }),
        other => Err(format!("unknown outcome {other:?}")),
    }
}

fn probe_script(value: &str) -> Result<(Duration, ProbeScript), String> {
    let (takes, rest) = timed(value)?;
    match rest {
        "" | "ok" => Ok((takes, ProbeScript::Succeeds)),
        "fail" => Ok((takes, ProbeScript::Fails)),
        "warn" => Ok((takes, ProbeScript::Warns)),
        "error" => Ok((takes, ProbeScript::Errs)),
        other => Err(format!("unknown probe result {other:?}")),
    }
}

/// `ok`, `5s`, `ErrImagePull` or `5s:ErrImagePull`.
fn pull_script(value: &str) -> Result<PullScript, String> {
    let (takes, rest) = timed(value)?;
    let failure = (!matches!(rest, "" | "ok")).then(|| rest.to_owned());
    Ok(PullScript { takes, failure })
}

/// A leading `5s` or `5s:` and the rest.
fn timed(value: &str) -> Result<(Duration, &str), String> {
    if !value.starts_with(|c: char| c.is_ascii_digit()) {
        return Ok((Duration::ZERO, value));
    }
    let (time, rest) = value.split_once(':').unwrap_or((value, ""));
    Ok((duration(time)?, rest))
}

fn pull_policy(value: &str) -> Result<PullPolicy, String> {
    match value {
        "Always" => Ok(PullPolicy::Always),
        "IfNotPresent" => Ok(PullPolicy::IfNotPresent),
        "Never" => Ok(PullPolicy::Never),
        other => Err(format!("unknown pull policy {other:?}")),
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

pub(crate) fn policy(value: &str) -> Result<RestartPolicy, String> {
    match value {
        "Always" => Ok(RestartPolicy::Always),
        "OnFailure" => Ok(RestartPolicy::OnFailure),
        "Never" => Ok(RestartPolicy::Never),
        other => Err(format!("unknown restart policy {other:?}")),
    }
}

pub(crate) fn list<T>(value: &str, item: impl Fn(&str) -> Result<T, String>) -> Result<Vec<T>, String> {
    value.split(',').map(item).collect()
}

pub(crate) fn key_value(word: &str) -> Result<(&str, &str), String> {
    word.split_once('=').ok_or_else(|| format!("{word:?} is not key=value"))
}

pub(crate) fn number<T: std::str::FromStr>(value: &str) -> Result<T, String> {
    value.parse().map_err(|_| format!("{value:?} is not a number"))
}

/// `3s`, `2m`, `500ms`.
pub(crate) fn duration(value: &str) -> Result<Duration, String> {
    let unit = value.trim_start_matches(|c: char| c.is_ascii_digit());
    let count: u64 = number(value.strip_suffix(unit).unwrap_or_default())?;
    match unit {
        "ms" => Ok(Duration::from_millis(count)),
        "s" => Ok(Duration::from_secs(count)),
        "m" => Ok(Duration::from_secs(count * 60)),
        _ => Err(format!("{value:?} is not a duration")),
    }
}
