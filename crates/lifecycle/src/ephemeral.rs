//! Ephemeral containers start as soon as there is a sandbox, beside whatever the others do, and once: nothing waits for
//! them, nothing is decided by how they end.
//!
//! <https://kubernetes.io/docs/concepts/workloads/pods/ephemeral-containers/>

use crate::decision::Verdict;
use crate::plan::Draft;
use crate::start;
use crate::view::View;

pub(crate) fn advance(view: &View<'_>, draft: &mut Draft) {
    for container in &view.spec.ephemeral_containers {
        match view.attempt(container) {
            None => drop(start::step(view, container, draft)),
            Some(attempt) if attempt.alive() => {}
            Some(_) => draft.decide(Some(container), Verdict::Leave),
        }
    }
}
