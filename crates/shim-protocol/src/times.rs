//! What the steps of a request took, in a [`crate::Reply`] to an engine that asked for it ([`crate::Request`]'s `timed`).

use podspec::BootTime;
use serde::{Deserialize, Serialize};

/// One step after the other, without a gap between them.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Times {
    /// When the first one began.
    pub begun: BootTime,
    pub steps: Vec<StepTime>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct StepTime {
    /// For people.
    pub step: String,
    pub nanoseconds: i64,
}
