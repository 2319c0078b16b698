//! What somebody says of how a pod's containers will behave.

use std::time::Duration;

use lifecycle::{BackoffLimits, Hook, ProbeKind};
use podspec::time::{go_duration, parse_go_duration};
use podspec::{Container, ContainerKind, Pod, nearest};

use crate::behaviour::ExitScript;

/// What is not said otherwise.
pub const UNTIL: Duration = Duration::from_secs(600);
/// The longest time that is simulated.
pub const UNTIL_MAX: Duration = Duration::from_secs(7 * 86_400);
/// Attempts that one list tells apart.
const RUNS_MAX: usize = 100;

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Assumptions {
    pub stated: Vec<Assumption>,
    /// Nothing after that is simulated.
    pub until: Duration,
    pub backoff: BackoffLimits,
    /// How long the machine takes to set up volumes, to make a sandbox, and to start a container.
    pub machine: Duration,
}

impl Default for Assumptions {
    fn default() -> Self {
        Self { stated: Vec::new(), until: UNTIL, backoff: BackoffLimits::default(), machine: Duration::ZERO }
    }
}

/// One of them, and the words it was said with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Assumption {
    pub flag: Flag,
    pub text: String,
    /// Of whom; `None` for the pod or for all of its containers.
    pub container: Option<String>,
    pub(crate) what: What,
}

/// What an assumption is about. Its name is that of the command line's flag.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Flag {
    Exit,
    Oom,
    Ready,
    Startup,
    ProbeFails,
    Hook,
    Term,
    Pull,
    Delete,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum What {
    Runs(Vec<Run>),
    /// Its probes of this kind fail until it has run for so long.
    ProbeSucceeds(ProbeKind, Duration),
    /// They fail from then on.
    ProbeFails(ProbeKind, Duration),
    Hook(Hook, Duration, bool),
    Term(Term),
    Pull(Pull),
    Delete {
        at: Duration,
        grace: Option<Duration>,
    },
}

/// One life of a process; without a time it runs until it is stopped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Run {
    pub(crate) lasts: Option<Duration>,
    pub(crate) exit: ExitScript,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Term {
    Ignores,
    EndsAfter(Duration, i32),
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Pull {
    pub(crate) takes: Duration,
    pub(crate) failure: Option<String>,
}

impl Flag {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Exit => "--exit",
            Self::Oom => "--oom",
            Self::Ready => "--ready",
            Self::Startup => "--startup",
            Self::ProbeFails => "--probe-fails",
            Self::Hook => "--hook",
            Self::Term => "--term",
            Self::Pull => "--pull",
            Self::Delete => "--delete",
        }
    }
}

impl Assumption {
    /// Reads what stands after the flag, as `main=1@5s` after `--exit`.
    ///
    /// # Errors
    /// Says what of it cannot be read, and how it is written.
    pub fn parse(flag: Flag, text: &str) -> Result<Self, String> {
        let (container, what) = match flag {
            Flag::Exit => exits(text),
            Flag::Oom => out_of_memory(text),
            Flag::Ready => probe_succeeds(text, ProbeKind::Readiness, "--ready web@2s"),
            Flag::Startup => probe_succeeds(text, ProbeKind::Startup, "--startup web@3s"),
            Flag::ProbeFails => probe_fails(text),
            Flag::Hook => hook(text),
            Flag::Term => term(text),
            Flag::Pull => pull(text),
            Flag::Delete => delete(text),
        }?;
        Ok(Self { flag, text: text.to_owned(), container, what })
    }
}

type Read = Result<(Option<String>, What), String>;

/// `main=1@5s,0@10s`, `main=never`
fn exits(text: &str) -> Read {
    let form = "--exit main=1@5s: CONTAINER=CODE@TIME, and after commas how the next attempts end";
    let (name, list) = container(text, '=', form)?;
    if list == "never" {
        let run = Run { lasts: None, exit: ExitScript::Code(0) };
        return Ok((name, What::Runs(vec![run])));
    }
    let runs: Vec<Run> = list.split(',').map(|item| run(item, form)).collect::<Result<_, _>>()?;
    bounded(runs).map(|runs| (name, What::Runs(runs)))
}

fn run(item: &str, form: &str) -> Result<Run, String> {
    let (code, time) = item.split_once('@').ok_or_else(|| wrong(item, form))?;
    let exit = match code {
        "oom" => ExitScript::Oom(EXIT_SIGKILL),
        code => ExitScript::Code(exit_code(code)?),
    };
    Ok(Run { lasts: Some(duration(time)?), exit })
}

const EXIT_SIGKILL: i32 = 137;

/// `main@5s,10s`
fn out_of_memory(text: &str) -> Read {
    let (name, list) = container(text, '@', "--oom main@5s: CONTAINER@TIME")?;
    let run = |time| Ok(Run { lasts: Some(duration(time)?), exit: ExitScript::Oom(EXIT_SIGKILL) });
    let runs: Vec<Run> = list.split(',').map(run).collect::<Result<_, String>>()?;
    bounded(runs).map(|runs| (name, What::Runs(runs)))
}

fn bounded(runs: Vec<Run>) -> Result<Vec<Run>, String> {
    if runs.len() > RUNS_MAX {
        return Err(format!("{} attempts are more than the {RUNS_MAX} that are told apart", runs.len()));
    }
    Ok(runs)
}

fn probe_succeeds(text: &str, kind: ProbeKind, example: &str) -> Read {
    let (name, time) = container(text, '@', &format!("{example}: CONTAINER@TIME"))?;
    Ok((name, What::ProbeSucceeds(kind, duration(time)?)))
}

/// `web=liveness@30s`
fn probe_fails(text: &str) -> Read {
    let form = "--probe-fails web=liveness@30s: CONTAINER=startup|liveness|readiness@TIME";
    let (name, rest) = container(text, '=', form)?;
    let (kind, time) = rest.split_once('@').unwrap_or((rest, "0s"));
    let kind = ProbeKind::ALL.into_iter().find(|known| known.name().eq_ignore_ascii_case(kind));
    let kind = kind.ok_or_else(|| wrong(text, form))?;
    Ok((name, What::ProbeFails(kind, duration(time)?)))
}

/// `main=postStart:2s`, `main=preStop:fail`, `main=preStop:2s:fail`
fn hook(text: &str) -> Read {
    let form =
        "--hook main=postStart:2s: CONTAINER=postStart|preStop:TIME, with :fail at its end where it fails";
    let (name, rest) = container(text, '=', form)?;
    let (hook, how) = rest.split_once(':').ok_or_else(|| wrong(text, form))?;
    let hook = [Hook::PostStart, Hook::PreStop].into_iter().find(|known| known.name() == hook);
    let hook = hook.ok_or_else(|| wrong(text, form))?;
    let (time, succeeds) = match how.rsplit_once(':') {
        None if how == "fail" => ("0s", false),
        None => (how, true),
        Some((time, "fail")) => (time, false),
        Some(_) => return Err(wrong(text, form)),
    };
    Ok((name, What::Hook(hook, duration(time)?, succeeds)))
}

/// `main=2s`, `main=2s:143`, `main=ignores`
fn term(text: &str) -> Read {
    let form = "--term main=2s or main=ignores: how long CONTAINER lives after its stop signal";
    let (name, rest) = container(text, '=', form)?;
    if rest == "ignores" {
        return Ok((name, What::Term(Term::Ignores)));
    }
    let (time, code) = rest.split_once(':').unwrap_or((rest, "0"));
    Ok((name, What::Term(Term::EndsAfter(duration(time)?, exit_code(code)?))))
}

/// `3s`, `main=3s`, `main=ErrImagePull`, `main=3s:ErrImagePull`
fn pull(text: &str) -> Read {
    const REASONS: [&str; 6] = [
        "ErrImagePull",
        "ErrImageNeverPull",
        "InvalidImageName",
        "ImageInspectError",
        "RegistryUnavailable",
        "SignatureValidationFailed",
    ];
    let (name, how) = match text.split_once('=') {
        Some((name, how)) if !name.is_empty() => (Some(name.to_owned()), how),
        Some(_) => return Err(wrong(text, "--pull main=3s: CONTAINER=TIME")),
        None => (None, text),
    };
    let (time, reason) = match how.split_once(':') {
        Some((time, reason)) => (duration(time)?, Some(reason)),
        None if how.starts_with(|c: char| c.is_ascii_digit()) => (duration(how)?, None),
        None => (Duration::ZERO, Some(how)),
    };
    if let Some(reason) = reason.filter(|reason| !REASONS.contains(reason)) {
        let meant = nearest(reason, REASONS.into_iter()).map(|meant| format!(" (did you mean {meant}?)"));
        let known = REASONS.join(", ");
        return Err(format!(
            "{reason:?} is neither a time nor why a pull fails{}: {known}",
            meant.unwrap_or_default()
        ));
    }
    Ok((name, What::Pull(Pull { takes: time, failure: reason.map(str::to_owned) })))
}

/// `60s`, `@60s`, `60s,5s`
fn delete(text: &str) -> Read {
    let text = text.strip_prefix(['@', '=']).unwrap_or(text);
    let (at, grace) = text.split_once(',').map_or((text, None), |(at, grace)| (at, Some(grace)));
    let grace = grace.map(duration).transpose()?;
    Ok((None, What::Delete { at: duration(at)?, grace }))
}

fn container<'t>(text: &'t str, separator: char, form: &str) -> Result<(Option<String>, &'t str), String> {
    let (name, rest) = text.split_once(separator).ok_or_else(|| wrong(text, form))?;
    if name.is_empty() || rest.is_empty() {
        return Err(wrong(text, form));
    }
    Ok((Some(name.to_owned()), rest))
}

fn wrong(text: &str, form: &str) -> String {
    format!("{text:?} is not understood: write it as {form}")
}

fn duration(text: &str) -> Result<Duration, String> {
    let read = if text == "0" { Some(Duration::ZERO) } else { parse_go_duration(text) };
    let read = read.ok_or_else(|| format!("{text:?} is no time such as 500ms, 30s or 1m30s"))?;
    if read > UNTIL_MAX {
        return Err(format!("{text} is longer than the {} that are simulated", go_duration(UNTIL_MAX)));
    }
    Ok(read)
}

fn exit_code(text: &str) -> Result<i32, String> {
    let code = text.parse::<u8>().map_err(|_| format!("{text:?} is no exit code: it is from 0 to 255"))?;
    Ok(i32::from(code))
}

impl Assumptions {
    /// What cannot be of any of these pods: a container that none has, a probe or hook that it does not have, and what
    /// was said twice. One line each.
    #[must_use]
    pub fn misfits(&self, pods: &[&Pod]) -> Vec<String> {
        let mut out: Vec<String> = Vec::new();
        for (index, assumption) in self.stated.iter().enumerate() {
            let misfit = self.twice(index).or_else(|| misfit(assumption, pods));
            let Assumption { flag, text, .. } = assumption;
            out.extend(misfit.map(|why| format!("{} {text}: {why}", flag.name())));
        }
        out
    }

    fn twice(&self, index: usize) -> Option<String> {
        let this = &self.stated[index];
        let same = |other: &&Assumption| other.container == this.container && about(other) == about(this);
        let earlier = self.stated[..index].iter().find(same)?;
        let of = this.container.as_ref().map_or(String::new(), |name| format!(" of {name}"));
        let said = format!("{} {}", earlier.flag.name(), earlier.text);
        Some(format!("{said} says that{of} already: say it once"))
    }
}

/// Two that are about the same contradict each other.
fn about(assumption: &Assumption) -> (u8, Option<ProbeKind>, Option<Hook>) {
    match assumption.what {
        What::Runs(_) => (0, None, None),
        What::ProbeSucceeds(kind, _) => (1, Some(kind), None),
        What::ProbeFails(kind, _) => (2, Some(kind), None),
        What::Hook(hook, ..) => (3, None, Some(hook)),
        What::Term(_) => (4, None, None),
        What::Pull(_) => (5, None, None),
        What::Delete { .. } => (6, None, None),
    }
}

fn misfit(assumption: &Assumption, pods: &[&Pod]) -> Option<String> {
    let name = assumption.container.as_deref()?;
    let all = || pods.iter().flat_map(|pod| pod.spec.all_containers());
    let named: Vec<&Container> = all().filter(|container| container.name.as_str() == name).collect();
    if named.is_empty() {
        let mut names: Vec<&str> = all().map(|container| container.name.as_str()).collect();
        names.dedup();
        let meant = nearest(name, names.iter().copied());
        let meant = meant.map(|meant| format!(" (did you mean {meant}?)")).unwrap_or_default();
        return Some(format!("there is no container {name}{meant}; there are {}", names.join(", ")));
    }
    if named.iter().any(|container| fits(assumption, container)) {
        return None;
    }
    let (missing, instead) = match &assumption.what {
        What::ProbeSucceeds(ProbeKind::Readiness, _) => {
            ("readinessProbe", "it is ready as soon as it has started")
        }
        What::ProbeSucceeds(ProbeKind::Startup, _) => ("startupProbe", "it has started as soon as it runs"),
        What::ProbeSucceeds(ProbeKind::Liveness, _) => ("livenessProbe", "nothing asks whether it lives"),
        What::ProbeFails(kind, _) => (probe_field(*kind), "none can fail"),
        What::Hook(hook, ..) => (hook.name(), "give it one in lifecycle"),
        _ => return None,
    };
    let init = named.iter().all(|container| container.kind == ContainerKind::Init);
    let instead = if init { "an init container can have none" } else { instead };
    Some(format!("{name} has no {missing}: {instead}"))
}

fn fits(assumption: &Assumption, container: &Container) -> bool {
    match &assumption.what {
        What::ProbeSucceeds(kind, _) | What::ProbeFails(kind, _) => kind.of(container).is_some(),
        What::Hook(hook, ..) => hook.handler(container).is_some(),
        _ => true,
    }
}

pub(crate) fn probe_field(kind: ProbeKind) -> &'static str {
    match kind {
        ProbeKind::Startup => "startupProbe",
        ProbeKind::Liveness => "livenessProbe",
        ProbeKind::Readiness => "readinessProbe",
    }
}

#[cfg(test)]
mod tests {
    use podspec::{IDENTITY_BYTES, Pod, load_pods};

    use super::{Assumption, Assumptions, Flag};

    fn pod(containers: &str) -> Pod {
        let text = format!(
            "{{apiVersion: v1, kind: Pod, metadata: {{name: p}}, spec: {{containers: [{containers}]}}}}"
        );
        load_pods("test", &text, || [7; IDENTITY_BYTES]).unwrap().remove(0).admitted.pod
    }

    #[test]
    fn what_is_understood() {
        for (flag, texts) in [
            (Flag::Exit, &["main=1@5s", "main=1@5s,0@10s", "main=never", "main=oom@1m30s", "main=0@0"][..]),
            (Flag::Oom, &["main@5s", "main@5s,10s"]),
            (Flag::Ready, &["web@2s"]),
            (Flag::Startup, &["web@3s"]),
            (Flag::ProbeFails, &["web=liveness@30s", "web=Readiness@1s", "web=startup"]),
            (Flag::Hook, &["main=postStart:2s", "main=preStop:fail", "main=preStop:2s:fail"]),
            (Flag::Term, &["main=2s", "main=2s:143", "main=ignores"]),
            (Flag::Pull, &["3s", "main=3s", "main=ErrImagePull", "ErrImagePull", "main=3s:ErrImagePull"]),
            (Flag::Delete, &["60s", "@60s", "60s,5s", "@0"]),
        ] {
            for text in texts {
                assert!(Assumption::parse(flag, text).is_ok(), "{} {text}", flag.name());
            }
        }
    }

    #[test]
    fn what_is_not_says_how_it_is_written() {
        for (flag, text, said) in [
            (Flag::Exit, "main", "CONTAINER=CODE@TIME"),
            (Flag::Exit, "", "CONTAINER=CODE@TIME"),
            (Flag::Exit, "=1@5s", "CONTAINER=CODE@TIME"),
            (Flag::Exit, "main=1", "\"1\" is not understood"),
            (Flag::Exit, "main=256@5s", "from 0 to 255"),
            (Flag::Exit, "main=-1@5s", "from 0 to 255"),
            (Flag::Exit, "main=1@5", "\"5\" is no time such as"),
            (Flag::Exit, "main=1@99999h", "longer than"),
            (Flag::Exit, "main=1@\u{fc}s", "is no time such as"),
            (Flag::Ready, "web=2s", "--ready web@2s"),
            (Flag::ProbeFails, "web=alive@2s", "startup|liveness|readiness"),
            (Flag::Hook, "main=prestop:2s", "postStart|preStop"),
            (Flag::Hook, "main=preStop:2s:ok", "postStart|preStop"),
            (Flag::Term, "main=never", "is no time such as"),
            (Flag::Pull, "main=ErrImagePul", "did you mean ErrImagePull?"),
            (Flag::Pull, "=3s", "CONTAINER=TIME"),
            (Flag::Delete, "soon", "is no time such as"),
        ] {
            let error = Assumption::parse(flag, text).unwrap_err();
            assert!(error.contains(said), "{} {text}: {error}", flag.name());
        }
        let many = format!("main={}", vec!["1@1s"; 101].join(","));
        assert!(Assumption::parse(Flag::Exit, &many).unwrap_err().contains("more than the 100"));
    }

    #[test]
    fn what_does_not_fit_the_pods_is_named() {
        let pod =
            pod("{name: main, image: i, readinessProbe: {exec: {command: [x]}}}, {name: web, image: i}");
        for (flag, text, said) in [
            (Flag::Exit, "mian=1@5s", "there is no container mian (did you mean main?); there are main, web"),
            (Flag::Ready, "web@1s", "web has no readinessProbe: it is ready as soon as it has started"),
            (Flag::Startup, "main@1s", "main has no startupProbe: it has started as soon as it runs"),
            (Flag::ProbeFails, "main=liveness@1s", "main has no livenessProbe: none can fail"),
            (Flag::Hook, "main=preStop:1s", "main has no preStop: give it one in lifecycle"),
        ] {
            let stated = vec![Assumption::parse(flag, text).unwrap()];
            let misfits = Assumptions { stated, ..Assumptions::default() }.misfits(&[&pod]);
            assert_eq!(misfits, [format!("{} {text}: {said}", flag.name())]);
        }
        let stated = [(Flag::Ready, "main@1s"), (Flag::Exit, "web=1@1s"), (Flag::Oom, "web@2s")];
        let stated = stated.map(|(flag, text)| Assumption::parse(flag, text).unwrap()).to_vec();
        let misfits = Assumptions { stated, ..Assumptions::default() }.misfits(&[&pod]);
        assert_eq!(misfits, ["--oom web@2s: --exit web=1@1s says that of web already: say it once"]);
    }
}
