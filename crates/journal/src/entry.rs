//! What is in a journal.

use lifecycle::{Action, Decision, Observation};
use podspec::Moment;
use serde::{Deserialize, Serialize};

/// One line of the journal. `seq` counts from 1 without gaps over the pod's life, also across engines.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Entry {
    pub seq: u64,
    pub at: Moment,
    #[serde(flatten)]
    pub what: Happening,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Happening {
    Observed(Observation),
    Issued(Action),
    /// All decisions of a plan that decided otherwise than the plan before it.
    Decided(Vec<Decision>),
}
