//! The pod's last status.

use std::collections::BTreeMap;
use std::sync::Arc;

use lifecycle::{ConditionKind, ConditionSince, PodStatus};
use ports::PodContext;

/// A pod's status as it is shown.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PodView {
    /// The pod that it is the status of, with the resources that it had been granted.
    pub pod: Arc<PodContext>,
    pub status: PodStatus,
    /// Since when each condition is as it is.
    pub conditions: BTreeMap<ConditionKind, ConditionSince>,
    /// Somebody asked for the pod's deletion.
    pub deleting: bool,
    /// Nothing of the pod runs and nothing more will be done for it.
    pub at_rest: bool,
    /// The journal's last entry when this was true.
    pub seq: u64,
}
