//! What was observed: texts that may quote a program, a server or a path.

use lifecycle::{
    Attempt, AttemptState, ContainerObserved, ContainerRecord, Eviction, Exit, Finished, HookState,
    Observation, Observed, ProbeOutcome, PullFailure, PullState, ResizeState, SandboxSnapshot, SandboxState,
    StartError, VolumesState,
};

use super::LEFT_OUT;

/// Said by kernels, registries, HTTP clients and this program: none of them can be anybody's secret.
const PHRASES: &[&str] = &[
    "Pod was rejected",
    "already present on machine",
    "certificate",
    "command timed out",
    "connection refused",
    "connection reset",
    "context deadline exceeded",
    "exec format error",
    "it was cut off at the end of its time",
    "manifest unknown",
    "not found",
    "No such file or directory",
    "no such file or directory",
    "No space left on device",
    "no route to host",
    "Operation not permitted",
    "Permission denied",
    "permission denied",
    "rate limit",
    "service unhealthy",
    "the engine was replaced while they were set up",
    "the pod sandbox ended",
    "timed out",
    "unauthorized",
];

/// Each with the number that follows.
const NUMBERED: [&str; 2] = ["HTTP probe failed with statuscode: ", "exit code "];
/// What has more is no exit code and no status.
const DIGITS_MAX: usize = 3;

/// Keeps of a text the phrases that it has in it. That something was said, or nothing, stays as it was.
pub(super) fn text(said: &mut String) {
    if said.is_empty() {
        return;
    }
    let known: Vec<&str> = PHRASES.iter().copied().filter(|phrase| said.contains(phrase)).collect();
    let mut kept: Vec<&str> = Vec::new();
    for phrase in &known {
        // Of two that say the same the longer one.
        if !known.iter().any(|other| other != phrase && other.contains(phrase)) {
            kept.push(phrase);
        }
    }
    let numbered = NUMBERED.iter().filter_map(|phrase| with_number(said, phrase));
    let kept: Vec<&str> = numbered.chain(kept).collect();
    *said = kept.iter().fold(LEFT_OUT.to_owned(), |text, phrase| format!("{text} {phrase}"));
}

fn with_number<'s>(said: &'s str, phrase: &str) -> Option<&'s str> {
    let begin = said.find(phrase)?;
    let rest = &said[begin + phrase.len()..];
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    (1..=DIGITS_MAX).contains(&digits).then(|| &said[begin..begin + phrase.len() + digits])
}

pub(super) fn observation(observation: &mut Observation) {
    match observation {
        Observation::Evicted { message }
        | Observation::Rejected { message, reason: _ }
        | Observation::VolumesFailed { message }
        | Observation::SandboxCreateFailed { message, attempt: _ }
        | Observation::ImageFailed { message, container: _, image: _, reason: _ }
        | Observation::ContainerCreateFailed { message, container: _, attempt: _, reason: _ }
        | Observation::HookWarned { message, container: _, attempt: _ } => text(message),
        Observation::Adopted(SandboxSnapshot { attempt: _, ips: _, containers }) => {
            containers.iter_mut().for_each(container_record);
        }
        Observation::ContainerExited { exit: ended, container: _, attempt: _ } => exit(ended),
        Observation::HookFinished { failure, container: _, attempt: _, hook: _ }
        | Observation::ContainerResized { failure, container: _, attempt: _, resources: _ } => {
            failure.iter_mut().for_each(text);
        }
        Observation::ProbeFinished { outcome, container: _, attempt: _, probe: _ } => match outcome {
            ProbeOutcome::Success => {}
            ProbeOutcome::Warning(said) | ProbeOutcome::Failure(said) | ProbeOutcome::Error(said) => {
                text(said);
            }
        },
        Observation::Accepted
        | Observation::Configured { backoff: _ }
        | Observation::DeletionRequested { grace: _ }
        | Observation::SpecChanged
        | Observation::ObjectsChanged
        | Observation::GatesChanged { gates: _ }
        | Observation::VolumesReady
        | Observation::VolumesRemoved
        | Observation::SandboxCreated { attempt: _, ips: _ }
        | Observation::SandboxLost { attempt: _ }
        | Observation::SandboxStopped { attempt: _ }
        | Observation::ImagePulling { container: _, image: _ }
        | Observation::ImageProgress { container: _, image: _, progress: _ }
        | Observation::ImageReady { container: _, image: _, image_id: _, repo_digest: _, pulled: _ }
        | Observation::ContainerStarted { container: _, attempt: _, id: _, started: _, user: _ }
        | Observation::ContainerRemoved { container: _, attempt: _ } => {}
    }
}

fn container_record(record: &mut ContainerRecord) {
    let ContainerRecord {
        name: _,
        attempt: _,
        id: _,
        started: _,
        user: _,
        stop_signal: _,
        stop_signal_sent: _,
        kill_sent: _,
        exit: ended,
    } = record;
    ended.iter_mut().for_each(exit);
}

/// Leaves out of what is known of a pod what others said.
pub fn observed(observed: &mut Observed) {
    let Observed {
        accepted: _,
        resumed: _,
        active_deadline: _,
        deadline: _,
        deletion: _,
        eviction,
        rejected: _,
        backoff_limits: _,
        gates: _,
        volumes,
        sandbox,
        run: _,
        initialized: _,
        was_initialized: _,
        conditions: _,
        containers,
        pulls,
        garbage: _,
        removing: _,
        finished,
    } = observed;
    if let Some(Eviction { at: _, message }) = eviction {
        text(message);
    }
    if let VolumesState::Failed { message, at: _, delay: _ } = volumes {
        text(message);
    }
    if let SandboxState::CreateFailed { message, attempt: _, at: _, delay: _ } = sandbox {
        text(message);
    }
    containers.values_mut().for_each(container);
    for pull in pulls.values_mut() {
        match pull {
            PullState::Pulling { after: _, failure: Some(PullFailure { reason: _, message }) }
            | PullState::Failed { message, reason: _, at: _, delay: _ } => text(message),
            PullState::Pulling { after: _, failure: None } => {}
        }
    }
    if let Some(Finished { at: _, succeeded: _, reason: _, message: Some(message) }) = finished {
        text(message);
    }
}

fn container(container: &mut ContainerObserved) {
    let ContainerObserved {
        image_id: _,
        repo_digest: _,
        volume_images: _,
        current,
        previous,
        outgoing,
        start_error,
        backoff: _,
    } = container;
    [current, previous, outgoing].into_iter().flatten().for_each(|held| attempt(held));
    if let Some(StartError { reason: _, message, at: _, delay: _ }) = start_error {
        text(message);
    }
}

fn attempt(attempt: &mut Attempt) {
    let Attempt {
        number: _,
        run: _,
        sandbox: _,
        id: _,
        image_id: _,
        image: _,
        repo_digest: _,
        volume_images: _,
        user: _,
        resources: _,
        of_pod: _,
        state,
        startup: _,
        liveness: _,
        readiness: _,
        superseded: _,
        resize,
        post_start,
        pre_stop,
        stop_signal_sent: _,
        kill_sent: _,
    } = attempt;
    if let AttemptState::Exited(ended) = state {
        exit(ended);
    }
    if let ResizeState::Failed { message, at: _ } = resize {
        text(message);
    }
    for hook in [post_start, pre_stop] {
        if let HookState::Done { at: _, failure: Some(failure) } = hook {
            text(failure);
        }
    }
}

fn exit(exit: &mut Exit) {
    let Exit { code: _, signal: _, reason: _, message, started: _, finished: _ } = exit;
    text(message);
}
