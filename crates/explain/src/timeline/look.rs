//! How kinds of spans and marks look and what they are called, in all that shows them.

use super::{Lane, MarkKind, SpanKind};
use podspec::ContainerKind;

/// A glyph for terminals that know Unicode, and one for others; one for each kind, so that colour only helps.
pub(crate) struct Glyph {
    pub(crate) unicode: char,
    pub(crate) ascii: char,
    /// The parameters of SGR.
    pub(crate) color: &'static str,
    pub(crate) says: &'static str,
}

pub(crate) fn of_span(kind: SpanKind) -> Glyph {
    let (unicode, ascii, color, says) = match kind {
        SpanKind::Waiting => ('\u{b7}', '.', "2", "waiting"),
        SpanKind::Volumes => ('\u{2596}', 'v', "34", "volumes"),
        SpanKind::Sandbox => ('\u{2597}', 's', "34", "sandbox"),
        SpanKind::Pull => ('\u{2581}', '~', "36", "image"),
        SpanKind::Create => ('\u{2582}', '+', "34", "creating"),
        SpanKind::PostStart => ('\u{2583}', 'p', "35", "postStart"),
        SpanKind::Startup => ('\u{2584}', 'u', "33", "startup probe"),
        SpanKind::Running => ('\u{2586}', '=', "33", "running"),
        SpanKind::Ready => ('\u{2588}', '#', "32", "ready"),
        SpanKind::Backoff => ('\u{254c}', ':', "31", "backing off"),
        SpanKind::Turn => ('\u{2593}', 'w', "36", "stops after others"),
        SpanKind::PreStop => ('\u{2592}', 'h', "35", "preStop"),
        SpanKind::Terminating => ('\u{2591}', '%', "31", "terminating"),
        SpanKind::Teardown => ('\u{259d}', 'd', "2", "clearing up"),
        SpanKind::Exited => ('\u{2500}', '-', "2", "exited"),
        SpanKind::Collapsed => ('\u{2571}', '/', "33", "many attempts"),
    };
    Glyph { unicode, ascii, color, says }
}

/// `None` for an exit, which shows its code.
pub(crate) fn of_mark(kind: MarkKind) -> Glyph {
    let (unicode, ascii, color, says) = match kind {
        MarkKind::Exit => ('0', '0', "1", "exit code"),
        MarkKind::OutOfMemory => ('M', 'M', "31;1", "out of memory"),
        MarkKind::Restart => ('\u{21bb}', 'R', "33", "restart"),
        MarkKind::ProbeFailed => ('!', '!', "31", "probe failed"),
        MarkKind::ProbeErrored => ('?', '?', "31", "probe could not be run"),
        MarkKind::Signal => ('T', 'T', "33", "stop signal"),
        MarkKind::Kill => ('K', 'K', "31;1", "SIGKILL"),
        MarkKind::HookFailed => ('H', 'H', "31", "hook failed"),
        MarkKind::ImageFailed => ('I', 'I', "31", "image failed"),
        MarkKind::CreateFailed => ('C', 'C', "31", "could not be created"),
        MarkKind::VolumesFailed => ('V', 'V', "31", "volumes failed"),
        MarkKind::SandboxFailed => ('S', 'S', "31", "sandbox failed"),
        MarkKind::SandboxLost => ('L', 'L', "31;1", "sandbox lost"),
        MarkKind::Deletion => ('D', 'D', "33;1", "deletion requested"),
        MarkKind::Evicted => ('E', 'E', "31;1", "evicted"),
        MarkKind::Rejected => ('X', 'X', "31;1", "rejected"),
        MarkKind::DeadlineExceeded => ('A', 'A', "31;1", "deadline exceeded"),
        MarkKind::Changed => ('\u{394}', 'c', "36", "pod changed"),
        MarkKind::Resized => ('z', 'z', "36", "resized"),
        MarkKind::ResizeFailed => ('Z', 'Z', "31", "could not be resized"),
        MarkKind::EngineRestarted => ('\u{21ba}', 'N', "36", "new engine"),
    };
    Glyph { unicode, ascii, color, says }
}

/// Which of two marks in one place is shown: the lower.
pub(crate) fn rank(kind: MarkKind) -> u8 {
    match kind {
        MarkKind::OutOfMemory | MarkKind::SandboxLost | MarkKind::Evicted | MarkKind::Rejected => 0,
        MarkKind::Exit | MarkKind::DeadlineExceeded => 1,
        MarkKind::Kill | MarkKind::Deletion => 2,
        MarkKind::Signal | MarkKind::EngineRestarted => 3,
        MarkKind::HookFailed
        | MarkKind::ImageFailed
        | MarkKind::CreateFailed
        | MarkKind::VolumesFailed
        | MarkKind::SandboxFailed
        | MarkKind::ResizeFailed => 4,
        MarkKind::Changed | MarkKind::Resized | MarkKind::Restart => 5,
        MarkKind::ProbeFailed | MarkKind::ProbeErrored => 6,
    }
}

/// `pod`, `init NAME`, `sidecar NAME`, `NAME`.
pub(crate) fn label(lane: &Lane) -> String {
    match &lane.container {
        None => "pod".to_owned(),
        Some((name, ContainerKind::Init)) => format!("init {name}"),
        Some((name, ContainerKind::Sidecar)) => format!("sidecar {name}"),
        Some((name, ContainerKind::App)) => name.to_string(),
        Some((name, ContainerKind::Ephemeral)) => format!("ephemeral {name}"),
    }
}

/// How it stands at the end: `ready, 2 restarts`.
pub(crate) fn outcome(lane: &Lane) -> String {
    let state = match lane.spans.last() {
        None if lane.marks.iter().any(|mark| mark.kind == MarkKind::Rejected) => "rejected".to_owned(),
        None => "never started".to_owned(),
        Some(span) if lane.container.is_none() => match (span.end, span.kind) {
            (Some(_), SpanKind::Teardown | SpanKind::Terminating) => "gone".to_owned(),
            (_, kind) => of_span(kind).says.to_owned(),
        },
        Some(span) => match (span.kind, lane.exit_code) {
            (SpanKind::Exited, Some(code)) => format!("exited {code}"),
            (SpanKind::Backoff, _) if !span.detail.is_empty() => {
                span.detail.split(' ').next().unwrap_or_default().to_owned()
            }
            (SpanKind::Waiting, _) if span.end.is_some() => "never started".to_owned(),
            (kind, _) => of_span(kind).says.to_owned(),
        },
    };
    match lane.restarts {
        0 => state,
        1 => format!("{state}, 1 restart"),
        many => format!("{state}, {many} restarts"),
    }
}
