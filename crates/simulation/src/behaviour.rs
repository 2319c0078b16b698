//! How the processes of one container behave: what is scripted, and nothing that is decided.

use std::time::Duration;

use lifecycle::ProbeKind;
use podspec::ContainerName;

/// Lists hold one value per attempt (or per probe, pull, ...); the last one repeats. None is empty.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Behaviour {
    pub name: ContainerName,
    /// `None`: runs until stopped.
    pub run: Vec<Option<Duration>>,
    pub exit: Vec<ExitScript>,
    /// Life after the stop signal; `None`: ignores it.
    pub term: Option<Duration>,
    pub term_exit: i32,
    pub start: Vec<StartScript>,
    pub startup: ProbeResults,
    pub liveness: ProbeResults,
    pub readiness: ProbeResults,
    pub resize: Vec<Outcome>,
    pub post_start: Vec<Outcome>,
    pub pre_stop: Vec<Outcome>,
    pub pull: Vec<PullScript>,
}

/// How long something takes and whether it succeeds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Outcome {
    pub takes: Duration,
    pub succeeds: bool,
}

/// What each probe of a kind finds, and how long it takes to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ProbeResults {
    /// One after the other; the last one repeats.
    InTurn(Vec<(Duration, ProbeScript)>),
    /// At once, by how long the process has run: from each time on as is said there. Before the first, it fails.
    Since(Vec<(Duration, ProbeScript)>),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ProbeScript {
    Succeeds,
    Warns,
    Fails,
    /// It cannot be run.
    Errs,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PullScript {
    pub takes: Duration,
    /// The reason it fails with.
    pub failure: Option<String>,
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
    /// The process is made this much later.
    Slow(Duration),
    /// The process is made at once, and reported this much later.
    Late(Duration),
}

impl Behaviour {
    /// It runs until it is stopped, obeys its stop signal at once, and all else succeeds at once.
    #[must_use]
    pub fn plain(name: ContainerName) -> Self {
        Self {
            name,
            run: vec![None],
            exit: vec![ExitScript::Code(0)],
            term: Some(Duration::ZERO),
            term_exit: 143,
            start: vec![StartScript::Ok],
            startup: ProbeResults::succeed(),
            liveness: ProbeResults::succeed(),
            readiness: ProbeResults::succeed(),
            resize: vec![Outcome::AT_ONCE],
            post_start: vec![Outcome::AT_ONCE],
            pre_stop: vec![Outcome::AT_ONCE],
            pull: vec![PullScript { takes: Duration::ZERO, failure: None }],
        }
    }

    #[must_use]
    pub fn probe(&self, kind: ProbeKind) -> &ProbeResults {
        match kind {
            ProbeKind::Startup => &self.startup,
            ProbeKind::Liveness => &self.liveness,
            ProbeKind::Readiness => &self.readiness,
        }
    }

    pub fn probe_mut(&mut self, kind: ProbeKind) -> &mut ProbeResults {
        match kind {
            ProbeKind::Startup => &mut self.startup,
            ProbeKind::Liveness => &mut self.liveness,
            ProbeKind::Readiness => &mut self.readiness,
        }
    }
}

impl Outcome {
    pub const AT_ONCE: Self = Self { takes: Duration::ZERO, succeeds: true };
}

impl ProbeResults {
    #[must_use]
    pub fn succeed() -> Self {
        Self::InTurn(vec![(Duration::ZERO, ProbeScript::Succeeds)])
    }

    /// Of the `n`-th probe, of a process that has run for `running`.
    pub(crate) fn of(&self, n: usize, running: Duration) -> (Duration, ProbeScript) {
        match self {
            Self::InTurn(results) => nth(results, n).unwrap_or((Duration::ZERO, ProbeScript::Succeeds)),
            Self::Since(spans) => {
                let begun = spans.iter().rev().find(|(from, _)| *from <= running);
                (Duration::ZERO, begun.map_or(ProbeScript::Fails, |(_, result)| *result))
            }
        }
    }
}

/// The value for the `n`-th time; the last one repeats.
pub(crate) fn nth<T: Clone>(script: &[T], n: usize) -> Option<T> {
    script.get(n).or(script.last()).cloned()
}
