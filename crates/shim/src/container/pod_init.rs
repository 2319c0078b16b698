//! PID 1 of a process namespace that the containers of a pod share.
//!
//! It reaps, ignores signals from inside, and ends with the shim, which ends everything in the
//! namespace. It has an empty root, no descriptors and no rights: processes of the pod see it, and
//! must find nothing of the host through it.

use linux_sys::namespace::Namespaces;
use linux_sys::process::Child;

use super::child::{self, End, Plan};
use super::step::Step;
use super::{SpawnError, stdio};

pub(super) fn start() -> Result<Child, SpawnError> {
    let steps = vec![
        Step::Reset,
        Step::NewSession,
        Step::NewKeyring,
        Step::Stdio([stdio::null()?, stdio::null()?, stdio::null()?]),
        Step::EmptyRoot,
        Step::PivotRoot,
        Step::LimitBounding(0),
        Step::SetCapabilities { effective: 0, permitted: 0 },
        Step::EndWithParent,
        Step::NoNewPrivileges,
    ];
    let namespaces = Namespaces::MOUNT | Namespaces::PID;
    Ok(child::start(&Plan { steps, end: End::Idle }, namespaces, None)?.child)
}
