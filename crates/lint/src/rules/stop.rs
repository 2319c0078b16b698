//! What happens when the pod is stopped: preStop hooks, then SIGTERM, first to the app containers, then to the sidecars from the last to
//! the first, all within one grace period
//! (<https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-termination>).

use std::collections::BTreeMap;

use podspec::FieldPath;
use podspec::json::{integer, text};

use super::volumes::the;
use crate::finding::{Context, Edit, Finding};
use crate::images;
use crate::pod::{Container, Kind, Pod};
use crate::program;
use crate::rule::{GRACE_TOO_SHORT_FOR_SIDECARS, PRESTOP_EXCEEDS_GRACE, SHELL_IGNORES_TERM};
use crate::shell::{self, Call};

/// What a container has after its hook when the grace period is set right.
const AFTER_HOOK_SECONDS: i64 = 30;
/// Waiting that long for a shell bothers nobody.
const SHORT_GRACE_SECONDS: i64 = 5;
/// A loop that sleeps no longer than this looks at its traps in time.
const NAP_SECONDS: i64 = 10;
/// What anybody would still call a time.
const SECONDS_MAX: i64 = 1_000_000;

pub(super) fn check(pod: &Pod<'_>, _: &Context, findings: &mut Vec<Finding>) {
    let grace = pod.grace_seconds();
    for container in pod.containers.iter().filter(|container| container.kind != Kind::Init) {
        if let Some((seconds, path)) = hook(container)
            && seconds >= grace
        {
            findings.push(long_hook(container, seconds, path, grace));
        }
        if let Some(at) = ignores_term(pod, container)
            && grace > SHORT_GRACE_SECONDS
        {
            findings.push(deaf(container, at, grace));
        }
    }
    sidecars(pod, grace, findings);
}

fn long_hook(container: &Container<'_>, seconds: i64, path: FieldPath, grace: i64) -> Finding {
    let message = format!(
        "the preStop hook of {} takes {seconds} s, but all of the stop has {grace} s (terminationGracePeriodSeconds): \
         the container is killed without time to end",
        the(container)
    );
    let wanted = seconds.saturating_add(AFTER_HOOK_SECONDS);
    let help =
        format!("set spec.terminationGracePeriodSeconds to more than the hook takes, such as {wanted}");
    let edit = Edit::Set { path: grace_path(), value: wanted.into() };
    Finding::new(&PRESTOP_EXCEEDS_GRACE, path, message, help)
        .fix(format!("set the grace period to {wanted} s"), vec![edit])
}

fn deaf(container: &Container<'_>, at: usize, grace: i64) -> Finding {
    let word = &container.words[at];
    let message = format!(
        "the shell of {} is its first process and has no trap for TERM, so stopping it takes the whole {grace} s",
        the(container)
    );
    let help = "set a trap (trap 'exit 0' TERM) and wait for what runs in the background, or exec the program that handles TERM";
    let finding = Finding::new(&SHELL_IGNORES_TERM, word.path.clone(), message, help);
    // A shell looks at its traps when what it waits for has ended.
    let naps = container.program.calls.iter().filter(|call| call.program() == "sleep");
    let is_quick = container.program.endless == Some("while true")
        && crate::files::is_ordinary(container)
        && naps.into_iter().all(|nap| sleep_seconds(nap).is_some_and(|seconds| seconds <= NAP_SECONDS));
    if !is_quick {
        return finding;
    }
    let separator = if word.raw.contains('\n') { "\n" } else { "; " };
    let script = format!("trap 'exit 0' TERM{separator}{}", word.raw);
    finding.fix("set a trap for TERM", vec![Edit::Set { path: word.path.clone(), value: script.into() }])
}

/// Which word is the script of a shell that never ends and does nothing on TERM. The kernel delivers no signal to the first process of a
/// process namespace that this has no handler for.
fn ignores_term(pod: &Pod<'_>, container: &Container<'_>) -> Option<usize> {
    let program = &container.program;
    let script = program.script.as_deref()?;
    let is_killed = text(&container.json["lifecycle"], "stopSignal") == "SIGKILL";
    let handles = program.calls.iter().any(|call| call.program() == "trap" || call.is_exec);
    if pod.shares_processes() || is_killed || handles || program.endless.is_none() {
        return None;
    }
    container.words.iter().position(|word| word.text == script)
}

/// How long the preStop hook takes at least, where that is plain.
fn hook(container: &Container<'_>) -> Option<(i64, FieldPath)> {
    let hook = &container.json["lifecycle"]["preStop"];
    let path = container.path.child("lifecycle").child("preStop");
    if let Some(seconds) = integer(&hook["sleep"], "seconds") {
        return Some((seconds.min(SECONDS_MAX), path.child("sleep").child("seconds")))
            .filter(|(seconds, _)| *seconds > 0);
    }
    let program = program::of_action(&hook["exec"], &container.env);
    let seconds = sleeps(&program.calls);
    (seconds > 0).then(|| (seconds, path.child("exec").child("command")))
}

/// The sum of what is slept one after another for sure.
fn sleeps(calls: &[Call]) -> i64 {
    let sure = calls.iter().filter(|call| !call.is_repeated && !call.in_background && !call.may_be_skipped);
    sure.filter_map(sleep_seconds).fold(0, |sum, seconds| sum.saturating_add(seconds).min(SECONDS_MAX))
}

fn sleep_seconds(call: &Call) -> Option<i64> {
    let is_sleep = call.program() == "sleep" && call.words.len() == 2;
    let word = call.arguments().next().filter(|_| is_sleep)?;
    seconds_of(word)
}

/// `5`, `0.5`, `5s`, `2m`
fn seconds_of(word: &str) -> Option<i64> {
    let (number, unit) = match word.strip_suffix(['s', 'm', 'h']) {
        Some(number) => (number, &word[number.len()..]),
        None => (word, "s"),
    };
    let number = number.split('.').next()?.parse::<i64>().ok().filter(|number| *number >= 0)?;
    let unit = match unit {
        "m" => 60,
        "h" => 3_600,
        _ => 1,
    };
    Some(number.saturating_mul(unit).min(SECONDS_MAX))
}

fn grace_path() -> FieldPath {
    Pod::path().child("terminationGracePeriodSeconds")
}

/// The app containers may use all of the time, so that nothing is left to a sidecar that has something to do.
fn sidecars(pod: &Pod<'_>, grace: i64, findings: &mut Vec<Finding>) {
    let sidecars: Vec<(&Container<'_>, i64)> = (pod.containers.iter())
        .filter(|container| container.kind == Kind::Sidecar)
        .filter_map(|container| Some((container, time_to_end(container)?)))
        .collect();
    let Some((first, _)) = sidecars.iter().max_by_key(|(_, seconds)| *seconds) else { return };
    let apps = || pod.containers.iter().filter(|container| container.kind == Kind::App);
    let deaf = apps().find_map(|app| Some((app, ignores_term(pod, app)?)));
    if let Some((app, at)) = deaf {
        let message = format!(
            "{} does nothing on TERM and so uses up the whole {grace} s: {} gets its TERM when they are over, and is killed before it \
             has done what is left to do",
            the(app),
            the(first)
        );
        let help = format!("let {} end on TERM: set a trap, or exec the program that handles it", the(app));
        findings.push(
            Finding::new(&GRACE_TOO_SHORT_FOR_SIDECARS, app.words[at].path.clone(), message, help)
                .related(first.path.clone(), "stopped after all app containers"),
        );
        return;
    }
    let longest = apps().filter_map(|app| Some((app, hook(app)?))).max_by_key(|(_, (seconds, _))| *seconds);
    let (before, app) = match &longest {
        Some((app, (seconds, _))) => (*seconds, Some(*app)),
        None => (0, None),
    };
    let together = sidecars.iter().fold(before, |sum, (_, seconds)| sum.saturating_add(*seconds));
    // With a hook that is too long by itself, that is what has to be said.
    if together <= grace || before >= grace {
        return;
    }
    let others = app.map_or("the other sidecars".to_owned(), |app| {
        format!("the preStop hook of {} ({before} s)", the(app))
    });
    let message = format!(
        "{} is stopped after {others}, and needs {} s: together that is {together} s of a grace period of {grace} s",
        the(first),
        sidecars.iter().map(|(_, seconds)| seconds).max().unwrap_or(&0)
    );
    let wanted = together.saturating_add(SHORT_GRACE_SECONDS);
    let help = format!("all of them share spec.terminationGracePeriodSeconds: set it to {wanted}");
    let mut finding = Finding::new(&GRACE_TOO_SHORT_FOR_SIDECARS, first.path.clone(), message, help);
    if let Some((app, (_, path))) = longest {
        finding = finding.related(path, format!("{} takes its time here", the(app)));
    }
    let edit = Edit::Set { path: grace_path(), value: wanted.into() };
    findings.push(finding.fix(format!("set the grace period to {wanted} s"), vec![edit]));
}

/// For how many seconds a sidecar evidently goes on after its TERM; 0 where it has something to do, but not known how long. `None` where
/// it has nothing to do.
fn time_to_end(sidecar: &Container<'_>) -> Option<i64> {
    let flags = ["--max-sigterm-delay", "--drain-time-s"];
    let words: Vec<&str> = sidecar.words.iter().map(|word| word.text.as_str()).collect();
    for (i, word) in words.iter().enumerate() {
        let (name, value) = word.split_once('=').unwrap_or((word, words.get(i + 1).copied().unwrap_or("")));
        if flags.contains(&name) {
            return seconds_of(value);
        }
    }
    let trap = sidecar.program.calls.iter().find(|call| {
        call.program() == "trap"
            && call.arguments().skip(1).any(|signal| ["TERM", "SIGTERM", "15"].contains(&signal))
    });
    if let Some(action) = trap.and_then(|trap| trap.arguments().next()) {
        let calls = shell::parse(action, &BTreeMap::new()).calls;
        let ends = |call: &Call| ["exit", "kill", "echo", ":", "true"].contains(&call.program());
        return (!calls.iter().all(ends) || calls.is_empty()).then(|| sleeps(&calls));
    }
    (images::log_shipper(sidecar.image).is_some() && !sidecar.has_command()).then_some(0)
}
