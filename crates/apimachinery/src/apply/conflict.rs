//! Fields of an apply that others own.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::managed::Manager;
use super::path::Element;
use crate::{Cause, Status};

#[derive(Clone, PartialEq, Debug)]
pub(super) struct Conflict {
    pub(super) manager: Manager,
    pub(super) path: Vec<Element>,
}

impl Conflict {
    fn path(&self) -> String {
        self.path.iter().map(ToString::to_string).collect()
    }
}

/// The answer that lists them.
pub(super) fn status(conflicts: &[Conflict]) -> Status {
    let causes = conflicts.iter().map(|conflict| Cause {
        reason: "FieldManagerConflict".to_owned(),
        message: format!("conflict with {}", conflict.manager),
        field: conflict.path(),
    });
    Status::apply_conflict(message(conflicts), causes.collect())
}

fn message(conflicts: &[Conflict]) -> String {
    if let [only] = conflicts {
        return format!("Apply failed with 1 conflict: conflict with {}: {}", only.manager, only.path());
    }
    let mut by_manager: BTreeMap<&Manager, Vec<&Conflict>> = BTreeMap::new();
    for conflict in conflicts {
        by_manager.entry(&conflict.manager).or_default().push(conflict);
    }
    let mut message = format!("Apply failed with {} conflicts: ", conflicts.len());
    for (i, (manager, conflicts)) in by_manager.iter().enumerate() {
        let separator = if i == 0 { "" } else { "\n" };
        // Writing to a string does not fail.
        let _ = write!(message, "{separator}conflicts with {manager}:");
        for conflict in conflicts {
            let _ = write!(message, "\n- {}", conflict.path());
        }
    }
    message
}
