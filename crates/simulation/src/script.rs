//! All that a world does by itself.

use std::time::Duration;

use lifecycle::BackoffLimits;
use podspec::ContainerName;

use crate::behaviour::{Behaviour, ExitScript, Outcome};

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Script {
    /// One for each container that the pod has or will have.
    pub behaviours: Vec<Behaviour>,
    /// In the order of their times.
    pub events: Vec<(Duration, Event)>,
    /// How this node delays restarts; `None`: it does not say.
    pub backoff: Option<BackoffLimits>,
    /// Nothing happens after that.
    pub until: Duration,
    pub volumes: Vec<Outcome>,
    pub sandbox: Vec<Outcome>,
    /// How long it takes to stop a sandbox, and to remove the volumes.
    pub stop: Duration,
    /// All that happens in one moment is taken in before the next plan, not one by one.
    pub together: bool,
    /// The message of whatever fails.
    pub failure: &'static str,
    /// As on a machine: pulls are told of when they begin, and what runs within a container ends with it.
    pub lifelike: bool,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    Delete {
        grace: Option<Duration>,
    },
    LoseSandbox,
    /// The pod becomes another, which is its engine's to know.
    Change(usize),
    /// `kill -9` of the engine and, `down` later, a new one that adopts the sandbox.
    RestartEngine {
        down: Duration,
    },
    /// Somebody says this of a readiness gate; `None`: takes back what was said.
    Gate {
        gate: String,
        status: Option<String>,
    },
    Evict,
    /// The node delays restarts otherwise from now on.
    Configure(BackoffLimits),
    /// A process ends by itself.
    Exit {
        container: ContainerName,
        exit: ExitScript,
    },
}

impl Script {
    /// Where nothing takes time, nothing fails and nothing comes from outside.
    #[must_use]
    pub fn plain(until: Duration, failure: &'static str) -> Self {
        Self {
            behaviours: Vec::new(),
            events: Vec::new(),
            backoff: None,
            until,
            volumes: vec![Outcome::AT_ONCE],
            sandbox: vec![Outcome::AT_ONCE],
            stop: Duration::ZERO,
            together: false,
            failure,
            lifelike: false,
        }
    }

    #[must_use]
    pub fn behaviour(&self, name: &ContainerName) -> Option<&Behaviour> {
        self.behaviours.iter().find(|b| b.name == *name)
    }
}
