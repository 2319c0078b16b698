//! Why a pod is as it is: from its state to the cause, and what mends it.
//!
//! What the plan decides now says what is waited for; what was observed says what came of it; the rules of `lint` say what was
//! meant. Nothing here knows a rule of the lifecycle.

mod case;
mod complaints;
mod container;
mod exit;
mod explanation;
mod image;
mod manifest;
mod network;
mod notice;
mod stopping;
mod text;
mod unplaced;
mod words;

pub use explanation::{Explanation, Health, Link, LogLines, Remedy, When};
pub use notice::{NOTICE_AFTER, NOTICE_REASON, Notice, endless_inits, notice};
pub use text::{Look, text};
pub use unplaced::unplaced;

use std::collections::BTreeMap;

use journal::Record;
use lifecycle::{SandboxState, Verdict, VolumesState, Wait};
use podspec::ContainerName;

use case::Case;
use exit::one_line;
use explanation::Trouble;

/// What is around the pod, as far as it is known.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Surroundings {
    /// The Services of its namespace, and how many ready endpoints each has.
    pub services: BTreeMap<String, usize>,
    /// There are no others.
    pub complete: bool,
}

/// Explains the pod, or one container of it, from its record alone.
#[must_use]
pub fn why(record: &Record, container: Option<&ContainerName>) -> Explanation {
    why_among(record, container, &Surroundings::default())
}

/// As [`why`], with what is around it.
#[must_use]
pub fn why_among(record: &Record, container: Option<&ContainerName>, around: &Surroundings) -> Explanation {
    let case = Case::new(record, around);
    let trouble = worst(&case, container).unwrap_or_else(|| well(&case, container));
    Explanation {
        pod: format!("{}/{}", record.pod.namespace, record.pod.name),
        container: container.cloned(),
        health: trouble.health,
        cause: trouble.cause,
        chain: trouble.chain,
        logs: trouble.logs,
        remedies: unique(trouble.remedies),
    }
}

fn unique(remedies: Vec<Remedy>) -> Vec<Remedy> {
    let mut kept: Vec<Remedy> = Vec::new();
    for remedy in remedies {
        if !kept.contains(&remedy) {
            kept.push(remedy);
        }
    }
    kept
}

/// What keeps the pod from being as it should.
fn worst(case: &Case<'_>, only: Option<&ContainerName>) -> Option<Trouble> {
    use lifecycle::Phase;
    match case.plan.status.phase {
        Phase::Succeeded => return Some(stopping::ended(case, true)),
        Phase::Failed => return Some(stopping::ended(case, false)),
        Phase::Pending | Phase::Running => {}
    }
    let stop = case.plan.decisions.iter().find_map(|decision| match decision.verdict {
        Verdict::StopPod(reason) => Some(reason),
        _ => None,
    });
    if let Some(reason) = stop {
        return Some(stopping::stopping(case, reason));
    }
    if let Some(trouble) = ground(case) {
        return Some(trouble);
    }
    let containers = case.spec().all_containers().filter(|c| only.is_none_or(|name| *name == c.name));
    let mut troubles: Vec<Trouble> = containers.filter_map(|c| container::trouble(case, c)).collect();
    // Of equally bad ones the first in the order of starts, since the others may wait for it.
    let health = troubles.iter().map(|trouble| trouble.health).max();
    let at = troubles.iter().position(|trouble| Some(trouble.health) == health);
    if let Some(at) = at {
        return Some(troubles.swap_remove(at));
    }
    match only {
        // It waits for another, of which there is something to be said.
        Some(name) if case.attempt(name).is_none() => {
            let mut trouble = worst(case, None)?;
            let waits = Link {
                container: Some(name.clone()),
                ..Link::pod(format!("{name} has not run yet: it waits for what follows"))
            };
            trouble.chain.insert(0, waits);
            Some(trouble)
        }
        Some(_) => None,
        None => gates(case),
    }
}

/// What the pod needs before its first container.
fn ground(case: &Case<'_>) -> Option<Trouble> {
    let observed = &case.record.observed;
    match &observed.volumes {
        VolumesState::Failed { message, at, delay } => {
            let text = one_line(message);
            let mut trouble =
                Trouble::new(Health::Stuck, format!("the pod's volumes cannot be set up: {text}"));
            trouble.chain.push(
                Link::pod(format!("volumes: {text}"))
                    .since(case.when(at.boot))
                    .until(case.when(at.boot.after(*delay))),
            );
            trouble.remedies.extend(container::missing_object(message));
            if trouble.remedies.is_empty() {
                trouble
                    .remedies
                    .push(Remedy::new("mend what the message names; it is tried again by itself"));
            }
            return Some(trouble);
        }
        VolumesState::Ready => {}
        _ => return Some(under_way(case, "the pod's volumes are being set up", &Wait::Volumes)),
    }
    match &observed.sandbox {
        SandboxState::CreateFailed { message, at, delay, .. } => {
            let text = one_line(message);
            let mut trouble =
                Trouble::new(Health::Stuck, format!("the pod's sandbox cannot be made: {text}"));
            trouble.chain.push(
                Link::pod(format!("sandbox: {text}"))
                    .since(case.when(at.boot))
                    .until(case.when(at.boot.after(*delay))),
            );
            trouble.remedies.push(Remedy::new("mend what the message names; it is tried again by itself"));
            Some(trouble)
        }
        SandboxState::Lost { at, .. } => {
            let mut trouble = Trouble::new(
                Health::Waiting,
                "the pod's sandbox is gone with all its processes, and is made anew",
            );
            trouble.chain.push(
                Link::pod("the process that held the pod together was killed, or the machine was restarted")
                    .since(case.when(at.boot)),
            );
            Some(trouble)
        }
        SandboxState::Ready { .. } => None,
        _ => Some(under_way(case, "the pod's sandbox is being made", &Wait::Sandbox)),
    }
}

fn under_way(case: &Case<'_>, text: &str, wait: &Wait) -> Trouble {
    let mut trouble = Trouble::new(Health::Progressing, text);
    let mut link = Link::pod(text);
    link.since = case.since(|decision| matches!(&decision.verdict, Verdict::Wait(found) if found == wait));
    trouble.chain.push(link);
    trouble
}

/// Everything of the pod is ready, and somebody else has not said so.
fn gates(case: &Case<'_>) -> Option<Trouble> {
    let observed = &case.record.observed;
    let closed = case
        .spec()
        .readiness_gates
        .iter()
        .find(|gate| observed.gates.get(*gate).is_none_or(|status| status != "True"))?;
    let is =
        observed.gates.get(closed).map_or("nobody has set it".to_owned(), |status| format!("it is {status}"));
    let mut trouble = Trouble::new(
        Health::Waiting,
        format!("the pod is not ready: condition {closed} of its readiness gates is not True: {is}"),
    );
    let since = observed
        .conditions
        .get(&lifecycle::ConditionKind::Ready)
        .map(|condition| case.when(condition.since.boot));
    trouble.chain.push(Link {
        since,
        ..Link::pod("all containers are ready; the pod is when every readiness gate is True, too")
    });
    trouble.remedies.push(Remedy::new(format!(
        "whoever owns {closed} has to set it in status.conditions; or take it out of spec.readinessGates"
    )));
    Some(trouble)
}

fn well(case: &Case<'_>, only: Option<&ContainerName>) -> Trouble {
    let mut trouble = Trouble::new(Health::Well, "nothing is wrong");
    for container in case.spec().all_containers().filter(|c| only.is_none_or(|name| *name == c.name)) {
        let name = &container.name;
        let word = case::kind_word(container);
        if let Some((attempt, since)) = case.running(name) {
            let ready = case.status(name).is_some_and(|status| status.ready);
            let again = match attempt.number {
                0 => String::new(),
                1 => ", restarted once".to_owned(),
                times => format!(", restarted {times} times"),
            };
            let ready = if ready { " and is ready" } else { "" };
            trouble.chain.push(
                Link::of(container, format!("{word} {name} runs{ready}{again}")).since(case.when(since.boot)),
            );
            if let Some((before, exit)) =
                case.last_exit(name).filter(|(before, _)| before.number != attempt.number)
            {
                let meaning = exit::meaning(container, before, exit, case.stopped(name, before.number));
                trouble.chain.push(
                    Link::of(container, format!("before that {meaning}"))
                        .since(case.when(exit.finished.boot)),
                );
            }
        } else if let Some((_, exit)) = case.last_exit(name) {
            trouble.chain.push(
                Link::of(container, format!("{word} {name} has ended with exit code {}", exit.code))
                    .since(case.when(exit.finished.boot)),
            );
        } else {
            trouble.chain.push(Link::of(container, format!("{word} {name} has not run yet")));
        }
    }
    let warnings = case.findings.iter().filter(|finding| finding.rule.severity == lint::Severity::Warning);
    trouble.remedies = warnings
        .map(|finding| Remedy {
            text: format!("{} ({})", finding.message, finding.help),
            ..Remedy::of(finding)
        })
        .collect();
    trouble
}
