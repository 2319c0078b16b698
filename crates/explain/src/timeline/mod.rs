//! A pod's life as lanes of spans and marks: one lane for the pod, and one for each container in the order of the spec.
//!
//! [`of`] makes a [`Timeline`] from a record; [`text`], [`svg`] and [`json`] show one. What a span is called is read from the plan's
//! decisions; what it lasted, from the entries around them.

mod changes;
mod clock;
mod container;
mod fold;
mod json;
mod lane;
mod look;
mod pod;
mod scale;
mod svg;
mod text;

use podspec::{ContainerKind, ContainerName, Moment, PodUid};

pub use changes::{Said, changes};
pub use fold::of;
pub use json::json;
pub use svg::{escaped, svg};
pub use text::{Style, WIDTH_MIN, text};

/// What happened to one pod. Times are on the boot clock of the record's end, also those of earlier boots; the wall clock beside them
/// is as it was read then, and is for people.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Timeline {
    pub namespace: String,
    pub name: String,
    pub uid: PodUid,
    /// Of what is shown.
    pub begin: Moment,
    /// The record's moment, or the last thing that happened where nothing more will.
    pub end: Moment,
    /// There was something before `begin`.
    pub cut: bool,
    /// Nothing more happens to it.
    pub at_rest: bool,
    /// The pod's first.
    pub lanes: Vec<Lane>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Lane {
    /// `None` for the pod itself.
    pub container: Option<(ContainerName, ContainerKind)>,
    /// In order; none overlaps another.
    pub spans: Vec<Span>,
    /// In order.
    pub marks: Vec<Mark>,
    /// Marks that there were more of than are kept.
    pub marks_left_out: usize,
    /// How often the container was started again.
    pub restarts: u32,
    /// Of the last attempt that ended.
    pub exit_code: Option<i32>,
}

/// Something that lasted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Span {
    pub kind: SpanKind,
    pub begin: Moment,
    /// It began before that; nobody knows when.
    pub begin_unknown: bool,
    /// `None` while it goes on.
    pub end: Option<Moment>,
    /// Of the container, or of the sandbox: the one that runs or is being prepared.
    pub attempt: u32,
    /// On one line; may be empty.
    pub detail: String,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum SpanKind {
    /// For what is in the detail; nothing of it runs.
    Waiting,
    /// The pod's volumes are set up.
    Volumes,
    /// The pod's sandbox is made.
    Sandbox,
    /// Its image is looked for, and pulled.
    Pull,
    Create,
    PostStart,
    /// It runs, and its startup probe has not succeeded yet.
    Startup,
    /// It runs. A container that can be ready is not.
    Running,
    Ready,
    /// It failed and is tried again later.
    Backoff,
    /// The pod is being stopped, and this container's turn comes after that of others.
    Turn,
    PreStop,
    /// It is being stopped.
    Terminating,
    /// Sandbox and volumes are removed.
    Teardown,
    Exited,
    /// Of many attempts those in the middle, as one.
    Collapsed,
}

/// Something that happened at once.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mark {
    pub kind: MarkKind,
    pub at: Moment,
    pub attempt: u32,
    /// Of an exit.
    pub code: Option<i32>,
    /// On one line.
    pub text: String,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum MarkKind {
    Exit,
    OutOfMemory,
    Restart,
    ProbeFailed,
    /// It could not be run.
    ProbeErrored,
    /// The container was told to stop.
    Signal,
    /// With SIGKILL.
    Kill,
    HookFailed,
    ImageFailed,
    CreateFailed,
    VolumesFailed,
    SandboxFailed,
    SandboxLost,
    /// Somebody asked for the pod's deletion.
    Deletion,
    Evicted,
    Rejected,
    DeadlineExceeded,
    /// The pod became another.
    Changed,
    Resized,
    ResizeFailed,
    /// A new engine took the pod over.
    EngineRestarted,
}

impl Timeline {
    /// Only what happened in the last `duration`.
    pub fn keep_last(&mut self, duration: std::time::Duration) {
        let span = i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX);
        let from = self.end.boot.0.saturating_sub(span);
        if from <= self.begin.boot.0 {
            return;
        }
        let back = self.end.boot.0.saturating_sub(from);
        self.begin = Moment {
            boot: podspec::BootTime(from),
            wall: podspec::WallTime(self.end.wall.0.saturating_sub(back)),
        };
        self.cut = true;
        for lane in &mut self.lanes {
            lane.spans.retain(|span| span.end.is_none_or(|end| end.boot.0 > from));
            lane.marks.retain(|mark| mark.at.boot.0 >= from);
        }
    }

    /// Something is under way, so that it looks otherwise a second later.
    #[must_use]
    pub fn is_under_way(&self) -> bool {
        !self.at_rest
    }
}

impl SpanKind {
    pub const ALL: [Self; 16] = [
        Self::Waiting,
        Self::Volumes,
        Self::Sandbox,
        Self::Pull,
        Self::Create,
        Self::PostStart,
        Self::Startup,
        Self::Running,
        Self::Ready,
        Self::Backoff,
        Self::Turn,
        Self::PreStop,
        Self::Terminating,
        Self::Teardown,
        Self::Exited,
        Self::Collapsed,
    ];

    /// Its name in JSON, and the class in SVG.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Volumes => "volumes",
            Self::Sandbox => "sandbox",
            Self::Pull => "pull",
            Self::Create => "create",
            Self::PostStart => "postStart",
            Self::Startup => "startup",
            Self::Running => "running",
            Self::Ready => "ready",
            Self::Backoff => "backoff",
            Self::Turn => "turn",
            Self::PreStop => "preStop",
            Self::Terminating => "terminating",
            Self::Teardown => "teardown",
            Self::Exited => "exited",
            Self::Collapsed => "collapsed",
        }
    }
}

impl MarkKind {
    pub const ALL: [Self; 21] = [
        Self::Exit,
        Self::OutOfMemory,
        Self::Restart,
        Self::ProbeFailed,
        Self::ProbeErrored,
        Self::Signal,
        Self::Kill,
        Self::HookFailed,
        Self::ImageFailed,
        Self::CreateFailed,
        Self::VolumesFailed,
        Self::SandboxFailed,
        Self::SandboxLost,
        Self::Deletion,
        Self::Evicted,
        Self::Rejected,
        Self::DeadlineExceeded,
        Self::Changed,
        Self::Resized,
        Self::ResizeFailed,
        Self::EngineRestarted,
    ];

    /// Its name in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Exit => "exit",
            Self::OutOfMemory => "outOfMemory",
            Self::Restart => "restart",
            Self::ProbeFailed => "probeFailed",
            Self::ProbeErrored => "probeErrored",
            Self::Signal => "signal",
            Self::Kill => "kill",
            Self::HookFailed => "hookFailed",
            Self::ImageFailed => "imageFailed",
            Self::CreateFailed => "createFailed",
            Self::VolumesFailed => "volumesFailed",
            Self::SandboxFailed => "sandboxFailed",
            Self::SandboxLost => "sandboxLost",
            Self::Deletion => "deletion",
            Self::Evicted => "evicted",
            Self::Rejected => "rejected",
            Self::DeadlineExceeded => "deadlineExceeded",
            Self::Changed => "changed",
            Self::Resized => "resized",
            Self::ResizeFailed => "resizeFailed",
            Self::EngineRestarted => "engineRestarted",
        }
    }
}
