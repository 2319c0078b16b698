//! What has to be there before a pod can be run, checked while nothing has been begun. What these checks
//! find would otherwise be the reason of a failure that is tried again for ever.

mod machine;
mod place;

use anyhow::Result;
use kubelet::Paths;

/// Fails with the remedy when this process cannot run pods on this machine.
pub(crate) fn check_machine() -> Result<()> {
    machine::check()
}

/// Fails with the remedy when pods cannot be kept where `paths` say.
pub(crate) fn check_place(paths: &Paths) -> Result<()> {
    place::check(paths)
}
