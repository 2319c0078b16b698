//! An answer, as data.

use lint::Finding;
use podspec::{BootTime, Container, ContainerName, Moment, WallTime};
use serde::{Serialize, Serializer};

/// Why a pod is as it is.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    /// `NAMESPACE/NAME`.
    pub pod: String,
    /// When one container was asked about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container: Option<ContainerName>,
    pub health: Health,
    /// The cause, in one line.
    pub cause: String,
    /// From the pod to the cause.
    pub chain: Vec<Link>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logs: Option<LogLines>,
    /// What mends it, the best first.
    pub remedies: Vec<Remedy>,
}

/// Better first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    /// Nothing is wrong.
    Well,
    /// It has ended as it should.
    Ended,
    /// It is being started or stopped, and nothing is in the way.
    Progressing,
    /// It waits for something that may come, or may not.
    Waiting,
    /// It will not go on by itself as it should.
    Stuck,
    /// It has ended as it should not.
    Failed,
}

/// One step from the pod to the cause.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Link {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container: Option<ContainerName>,
    pub text: String,
    /// Since when it is so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<When>,
    /// When it is tried again, or comes to an end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<When>,
}

/// A moment, and how far it is from when the explanation was made.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct When {
    #[serde(serialize_with = "rfc3339")]
    pub time: WallTime,
    /// From now; negative for what has been.
    pub seconds: i64,
}

impl Link {
    pub(super) fn pod(text: impl Into<String>) -> Self {
        Self { container: None, text: text.into(), since: None, until: None }
    }

    pub(super) fn of(container: &Container, text: impl Into<String>) -> Self {
        Self { container: Some(container.name.clone()), ..Self::pod(text) }
    }

    pub(super) fn since(self, since: When) -> Self {
        Self { since: Some(since), ..self }
    }

    /// What is over already is no time to wait for.
    pub(super) fn until(self, until: When) -> Self {
        Self { until: Some(until).filter(|until| until.seconds >= 0), ..self }
    }
}

impl Remedy {
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), rule: None }
    }

    pub(super) fn of(finding: &Finding) -> Self {
        Self { text: format!("{}: {}", finding.path, finding.help), rule: Some(finding.rule.id.to_owned()) }
    }
}

impl When {
    /// By the boot clock, which nobody sets.
    #[must_use]
    pub fn of(boot: BootTime, now: Moment) -> Self {
        let nanos = boot.0.saturating_sub(now.boot.0);
        let time = WallTime(now.wall.0.saturating_add(nanos));
        Self { time, seconds: nanos.div_euclid(1_000_000_000) }
    }
}

fn rfc3339<S: Serializer>(time: &WallTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&time.rfc3339_seconds())
}

/// What a container said that has to do with it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct LogLines {
    pub container: ContainerName,
    pub attempt: u32,
    pub lines: Vec<String>,
}

/// One thing to do.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Remedy {
    pub text: String,
    /// The rule of `monopod lint` that finds it, too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
}

/// What is wrong in one place, before it is known whether that is the worst.
pub(super) struct Trouble {
    pub(super) health: Health,
    pub(super) cause: String,
    pub(super) chain: Vec<Link>,
    pub(super) logs: Option<LogLines>,
    pub(super) remedies: Vec<Remedy>,
    /// It will not end by itself, and nothing has to be waited for to know that.
    pub(super) certain: bool,
}

impl Trouble {
    pub(super) fn new(health: Health, cause: impl Into<String>) -> Self {
        let (chain, remedies) = (Vec::new(), Vec::new());
        Self { health, cause: cause.into(), chain, logs: None, remedies, certain: false }
    }
}
