//! From a pod and what was said of it to a world's script: stated first, then what the manifest makes evident, then defaults. Each is
//! told of in words.

use std::time::Duration;

use lifecycle::{BackoffLimits, Hook, ProbeKind};
use podspec::time::go_duration;
use podspec::{Container, ContainerKind, ContainerName, Pod, RestartPolicy};

use crate::assumption::{Assumption, Assumptions, Pull, Run, Term, What, probe_field};
use crate::behaviour::{Behaviour, ExitScript, Outcome, ProbeResults, ProbeScript, PullScript, StartScript};
use crate::derive::{self, Course};
use crate::script::{Event, Script};

/// What fails in a simulation fails for this reason.
const FAILURE: &str = "as assumed";
/// How long an init container takes that does not say.
const INIT_RUNS: Duration = Duration::from_secs(1);
/// And an app container that is to end.
const JOB_RUNS: Duration = Duration::from_secs(10);

/// What is taken for granted of one container, or of the pod when there is none.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Assumed {
    pub container: Option<ContainerName>,
    /// One thing each, as `exits 0 after 1s`.
    pub what: Vec<String>,
}

pub(crate) fn script(pod: &Pod, assumptions: &Assumptions) -> (Script, Vec<Assumed>) {
    let mut script = Script::plain(assumptions.until, FAILURE);
    script.lifelike = true;
    let made = Outcome { takes: assumptions.machine, succeeds: true };
    (script.volumes, script.sandbox) = (vec![made], vec![made]);
    // Who delays as Kubernetes does by default does not say so.
    script.backoff = Some(assumptions.backoff).filter(|backoff| *backoff != BackoffLimits::default());
    let mut assumed = Vec::new();
    for container in pod.spec.all_containers() {
        let stated = Stated { assumptions, name: container.name.as_str() };
        let mut words = Words::default();
        let behaviour = behaviour(pod, container, &stated, &mut words);
        script.behaviours.push(behaviour);
        assumed.push(Assumed { container: Some(container.name.clone()), what: words.0 });
    }
    for assumption in &assumptions.stated {
        if let What::Delete { at, grace } = &assumption.what {
            script.events.push((*at, Event::Delete { grace: *grace }));
            let grace = grace.unwrap_or(pod.spec.termination_grace_period);
            let what = format!("deleted after {}, with a grace of {}", said(*at), said(grace));
            assumed.push(Assumed { container: None, what: vec![what] });
        }
    }
    (script, assumed)
}

struct Stated<'a> {
    assumptions: &'a Assumptions,
    name: &'a str,
}

impl<'a> Stated<'a> {
    /// Of this container; else of all.
    fn find<T>(&self, what: impl Fn(&'a What) -> Option<T>) -> Option<T> {
        let of = |whose: Option<&str>| {
            let about = |assumption: &&Assumption| assumption.container.as_deref() == whose;
            self.assumptions.stated.iter().filter(about).find_map(|assumption| what(&assumption.what))
        };
        of(Some(self.name)).or_else(|| of(None))
    }
}

/// What is said of a container.
#[derive(Default)]
struct Words(Vec<String>);

impl Words {
    fn say(&mut self, what: String) {
        self.0.push(what);
    }
}

fn behaviour(pod: &Pod, container: &Container, stated: &Stated<'_>, words: &mut Words) -> Behaviour {
    let mut behaviour = Behaviour::plain(container.name.clone());
    if !stated.assumptions.machine.is_zero() {
        behaviour.start = vec![StartScript::Slow(stated.assumptions.machine)];
    }
    pulls(&mut behaviour, stated, words);
    runs(pod, container, stated, words, &mut behaviour);
    terminates(pod, container, stated, words, &mut behaviour);
    for kind in ProbeKind::ALL {
        if kind.of(container).is_some() {
            *behaviour.probe_mut(kind) = probe(kind, stated, words);
        }
    }
    for hook in [Hook::PostStart, Hook::PreStop] {
        if let Some(outcome) = hook_outcome(container, hook, stated, words) {
            match hook {
                Hook::PostStart => behaviour.post_start = vec![outcome],
                Hook::PreStop => behaviour.pre_stop = vec![outcome],
            }
        }
    }
    behaviour
}

fn pulls(behaviour: &mut Behaviour, stated: &Stated<'_>, words: &mut Words) {
    let pull = stated.find(|what| match what {
        What::Pull(pull) => Some(pull),
        _ => None,
    });
    let Some(Pull { takes, failure }) = pull else { return };
    words.say(match failure {
        None => format!("its image is pulled in {}", said(*takes)),
        Some(reason) if takes.is_zero() => format!("its image cannot be had: {reason}"),
        Some(reason) => format!("its image cannot be had: {reason} after {}", said(*takes)),
    });
    behaviour.pull = match failure {
        // It is there afterwards.
        None => vec![
            PullScript { takes: *takes, failure: None },
            PullScript { takes: Duration::ZERO, failure: None },
        ],
        Some(_) => vec![PullScript { takes: *takes, failure: failure.clone() }],
    };
}

fn runs(pod: &Pod, container: &Container, stated: &Stated<'_>, words: &mut Words, behaviour: &mut Behaviour) {
    let runs = stated.find(|what| match what {
        What::Runs(runs) => Some(runs.clone()),
        _ => None,
    });
    let (runs, why) = match (runs, derive::course(container)) {
        (Some(runs), _) => (runs, ""),
        (None, Some(Course::Ends { after, code })) => {
            (vec![Run { lasts: Some(after), exit: ExitScript::Code(code) }], " (by its command)")
        }
        (None, Some(Course::Never)) => {
            (vec![Run { lasts: None, exit: ExitScript::Code(0) }], " (by its command)")
        }
        (None, None) => (vec![Run { lasts: usual(pod, container), exit: ExitScript::Code(0) }], ""),
    };
    let texts: Vec<String> = runs.iter().map(run_text).collect();
    words.say(texts.join(", then ") + why);
    behaviour.run = runs.iter().map(|run| run.lasts).collect();
    behaviour.exit = runs.iter().map(|run| run.exit).collect();
}

/// How long a container runs of which nothing is known.
fn usual(pod: &Pod, container: &Container) -> Option<Duration> {
    let policy = container.restart.policy.unwrap_or(pod.spec.restart_policy);
    match container.kind {
        ContainerKind::Init => Some(INIT_RUNS),
        ContainerKind::App if policy != RestartPolicy::Always => Some(JOB_RUNS),
        _ => None,
    }
}

fn run_text(run: &Run) -> String {
    match (run.lasts, run.exit) {
        (None, _) => "runs until it is stopped".to_owned(),
        (Some(lasts), ExitScript::Code(code)) if lasts.is_zero() => format!("exits {code} at once"),
        (Some(lasts), ExitScript::Code(code)) => format!("exits {code} after {}", said(lasts)),
        (Some(lasts), ExitScript::Oom(_)) => format!("is out of memory after {}", said(lasts)),
    }
}

fn terminates(
    pod: &Pod,
    container: &Container,
    stated: &Stated<'_>,
    words: &mut Words,
    behaviour: &mut Behaviour,
) {
    let term = stated.find(|what| match what {
        What::Term(term) => Some(*term),
        _ => None,
    });
    let signal = container.stop_signal.as_deref().unwrap_or("SIGTERM");
    let (term, why) = match term {
        Some(term) => (term, None),
        None if signal == "SIGKILL" => (Term::EndsAfter(Duration::ZERO, EXIT_SIGKILL), None),
        None => match derive::term(&pod.spec, container).filter(|_| signal == "SIGTERM") {
            Some((term, why)) => (term, Some(why)),
            None => (Term::EndsAfter(Duration::ZERO, 0), None),
        },
    };
    (behaviour.term, behaviour.term_exit) = match term {
        Term::Ignores => (None, 0),
        Term::EndsAfter(after, code) => (Some(after), code),
    };
    let why = why.map(|why| format!(" ({why})")).unwrap_or_default();
    words.say(match term {
        Term::Ignores => format!("ignores {signal}{why}"),
        Term::EndsAfter(after, code) if after.is_zero() => {
            format!("obeys {signal} at once, exit code {code}{why}")
        }
        Term::EndsAfter(after, code) => {
            format!("ends {} after {signal}, exit code {code}{why}", said(after))
        }
    });
}

const EXIT_SIGKILL: i32 = 137;

fn probe(kind: ProbeKind, stated: &Stated<'_>, words: &mut Words) -> ProbeResults {
    let succeeds = stated.find(|what| match what {
        What::ProbeSucceeds(held, from) if *held == kind => Some(*from),
        _ => None,
    });
    let fails = stated.find(|what| match what {
        What::ProbeFails(held, from) if *held == kind => Some(*from),
        _ => None,
    });
    let field = probe_field(kind);
    let mut spans = vec![(succeeds.unwrap_or_default(), ProbeScript::Succeeds)];
    spans.extend(fails.map(|from| (from, ProbeScript::Fails)));
    spans.sort_by_key(|(from, _)| *from);
    words.say(match (succeeds, fails) {
        (None, None) => format!("its {field} succeeds"),
        (Some(from), None) => format!("its {field} succeeds from {} on", said(from)),
        (None, Some(from)) if from.is_zero() => format!("its {field} fails"),
        (None, Some(from)) => format!("its {field} fails from {} on", said(from)),
        (Some(from), Some(until)) => {
            format!("its {field} succeeds from {} on and fails from {} on", said(from), said(until))
        }
    });
    ProbeResults::Since(spans)
}

fn hook_outcome(
    container: &Container,
    hook: Hook,
    stated: &Stated<'_>,
    words: &mut Words,
) -> Option<Outcome> {
    let handler = hook.handler(container)?;
    let outcome = stated.find(|what| match what {
        What::Hook(held, takes, succeeds) if *held == hook => Some((*takes, *succeeds)),
        _ => None,
    });
    let derived = derive::hook(handler);
    let why = if outcome.is_none() && derived.is_some() { " (by its command)" } else { "" };
    let (takes, succeeds) = outcome.or(derived).unwrap_or((Duration::ZERO, true));
    let how = if succeeds { "takes" } else { "fails after" };
    let time = if takes == Duration::MAX { "for ever".to_owned() } else { said(takes) };
    words.say(format!("its {} hook {how} {time}{why}", hook.name()));
    Some(Outcome { takes, succeeds })
}

fn said(time: Duration) -> String {
    go_duration(time)
}
