//! A pod that is being stopped, and one that has ended.

use journal::Happening;
use lifecycle::{ExitReason, HookState, Observation, StopPodReason, Wait};
use podspec::{Container, ContainerKind};

use super::case::{Case, kind_word};
use super::exit::{self, one_line};
use super::explanation::{Health, Link, Remedy, Trouble};
use super::words;

pub(super) fn stopping(case: &Case<'_>, reason: StopPodReason) -> Trouble {
    let why = stop_reason(case, reason);
    let alive: Vec<&Container> =
        case.spec().all_containers().filter(|c| case.running(&c.name).is_some()).collect();
    let mut trouble = Trouble::new(Health::Progressing, format!("the pod is being stopped: {why}"));
    let mut first = Link::pod(format!("the pod is being stopped: {why}"));
    let deletion = case.record.observed.deletion;
    first.since = deletion.map(|deletion| case.when(deletion.requested.boot));
    first.until = deletion.map(|deletion| case.when(deletion.kill_at)).filter(|when| when.seconds >= 0);
    trouble.chain.push(first);
    let last = alive.iter().find(|c| c.kind != ContainerKind::Sidecar).or(alive.first());
    if let Some(container) = last {
        trouble.cause = format!(
            "the pod is being stopped ({why}) and waits for {} {}",
            kind_word(container),
            container.name
        );
    }
    for container in &alive {
        let Some(link) = link(case, container) else { continue };
        if link.text.contains("SIGTERM") && link.since.is_some_and(|since| since.seconds <= -IGNORED_SECONDS)
        {
            trouble.health = Health::Waiting;
            let name = &container.name;
            let mut remedies = case.remedies_of(name, &["shell-ignores-term"]);
            if remedies.is_empty() {
                remedies.push(Remedy::new(if is_shell(container) {
                    format!("a shell as the first process ignores SIGTERM: begin its last command with exec, or let the script of {name} have `trap 'exit 0' TERM` and wait for what it runs in the background")
                } else {
                    format!("have the program of {name} end on its stop signal, or set lifecycle.stopSignal to one it knows")
                }));
            }
            trouble.remedies.extend(remedies);
        }
        trouble.chain.push(link);
    }
    if alive.is_empty() {
        trouble.chain.push(Link::pod("all containers have ended; what is left is removed"));
    }
    trouble
}

/// A program that means to end does so sooner.
const IGNORED_SECONDS: i64 = 2;

/// What one container that is to end is at.
pub(super) fn link(case: &Case<'_>, container: &Container) -> Option<Link> {
    let name = &container.name;
    let (attempt, _) = case.running(name)?;
    let word = kind_word(container);
    if attempt.kill_sent.is_some() {
        return Some(Link::of(container, format!("{word} {name} has got SIGKILL and is about to be gone")));
    }
    let signal = container.stop_signal.as_deref().unwrap_or("SIGTERM");
    let wait = case.waits(name).find_map(|wait| match wait {
        Wait::Exit { kill_at } => Some(
            Link::of(container, format!("{word} {name} has got its stop signal ({signal}) and has not ended; it is killed when its grace is over"))
                .until(case.when(*kill_at)),
        ),
        Wait::PreStopHook => Some(Link::of(container, format!("the preStop hook of {word} {name} runs; its stop signal comes after it"))),
        Wait::Turn { after } => {
            let after: Vec<&str> = after.iter().map(|name| name.as_str()).collect();
            Some(Link::of(container, format!("{word} {name} waits for its turn: its stop signal comes after the end of {}", after.join(", "))))
        }
        _ => None,
    });
    let mut link = wait?;
    link.since = match (&attempt.stop_signal_sent, &attempt.pre_stop) {
        (Some(sent), _) => Some(case.when(*sent)),
        (None, HookState::Running { since }) => Some(case.when(*since)),
        _ => None,
    };
    Some(link)
}

fn is_shell(container: &Container) -> bool {
    let first = container.command.iter().flatten().next();
    first.is_some_and(|word| {
        ["sh", "bash", "ash", "dash"].contains(&word.rsplit('/').next().unwrap_or_default())
    })
}

fn stop_reason(case: &Case<'_>, reason: StopPodReason) -> String {
    match reason {
        StopPodReason::Deleted => "somebody deleted it".to_owned(),
        StopPodReason::Completed => "its containers have ended".to_owned(),
        StopPodReason::InitFailed => {
            "an init container failed, and restartPolicy does not restart it".to_owned()
        }
        StopPodReason::DeadlineExceeded => {
            let deadline = case
                .spec()
                .active_deadline
                .map(|time| format!(" of {} s", time.as_secs()))
                .unwrap_or_default();
            format!("its activeDeadlineSeconds{deadline} are over")
        }
        StopPodReason::Evicted => {
            let message =
                case.record.observed.eviction.as_ref().map_or("", |eviction| eviction.message.as_str());
            format!("it was evicted: {}", one_line(message))
        }
        StopPodReason::SandboxLost => {
            "its sandbox is gone, and a pod with restartPolicy Never gets no other".to_owned()
        }
    }
}

/// How it ended.
pub(super) fn ended(case: &Case<'_>, succeeded: bool) -> Trouble {
    let observed = &case.record.observed;
    let finished = observed.finished.as_ref();
    let at = finished.map(|finished| case.when(finished.at.boot));
    let health = if succeeded { Health::Ended } else { Health::Failed };
    let mut trouble = Trouble::new(
        health,
        if succeeded {
            "the pod has succeeded: every container ended with exit code 0"
        } else {
            "the pod has failed"
        },
    );
    let mut head = Link::pod(if succeeded { "the pod has succeeded" } else { "the pod has failed" });
    head.since = at;
    trouble.chain.push(head);
    let rejected = case.record.entries.iter().find_map(|entry| match &entry.what {
        Happening::Observed(Observation::Rejected { reason, message }) => Some((reason.as_str(), message)),
        _ => None,
    });
    if observed.rejected {
        let said = rejected.map(|(reason, message)| format!("{reason}: {}", one_line(message)));
        let said = said.or_else(|| finished.and_then(|f| f.message.clone()));
        trouble.cause = format!(
            "this node did not take the pod: {}",
            said.unwrap_or_else(|| "the reason is not on record".to_owned())
        );
        trouble.remedies.push(Remedy::new("change what the message names, and make the pod again: a pod that was rejected is never tried again"));
        return trouble;
    }
    if let Some(finished) = finished.filter(|finished| finished.reason.is_some()) {
        let (reason, message) =
            (finished.reason.as_deref().unwrap_or_default(), finished.message.as_deref().unwrap_or_default());
        trouble.cause = format!("the pod has failed ({reason}): {}", one_line(message));
        trouble.remedies.push(Remedy::new(match reason {
            "DeadlineExceeded" => "give it a longer activeDeadlineSeconds, or see why it took so long".to_owned(),
            "Evicted" => "free what the machine is short of, or limit what the pod takes (sizeLimit, ephemeral-storage, memory)".to_owned(),
            _ => "see the message".to_owned(),
        }));
    }
    for container in case.spec().init_and_app_containers() {
        let Some((attempt, exit)) = case.last_exit(&container.name) else { continue };
        let meaning = exit::meaning(container, attempt, exit, case.stopped(&container.name, attempt.number));
        let bad = exit.code != 0 || exit.reason == ExitReason::OOMKilled;
        // With which exit code a sidecar ends counts for nothing.
        let counts = container.kind != ContainerKind::Sidecar;
        trouble.chain.push(
            Link::of(container, format!("{} {}: {meaning}", kind_word(container), container.name))
                .since(case.when(exit.finished.boot)),
        );
        let named = finished.is_some_and(|finished| finished.reason.is_some());
        if bad && counts && trouble.logs.is_none() && !succeeded {
            trouble.logs = words::lines(case, &container.name, Some(attempt.number));
            if !named {
                trouble.cause =
                    format!("the pod has failed: {} {}: {meaning}", kind_word(container), container.name);
                trouble.remedies = super::complaints::remedies_of_lines(
                    case,
                    container,
                    trouble.logs.as_ref().map(|logs| logs.lines.as_slice()),
                );
                if trouble.remedies.is_empty() {
                    trouble.remedies.push(super::container::of_exit(case, container, exit.code, exit.reason));
                }
            }
        }
    }
    trouble
}
