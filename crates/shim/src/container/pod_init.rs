//! PID 1 of a process namespace that the containers of a pod share.
//!
//! It reaps, ignores signals from inside, and ends with the shim, which ends everything in the
//! namespace. It has an empty root, no descriptors and no rights: processes of the pod see it, and
//! must find nothing of the host through it.

use linux_sys::namespace::Namespaces;
use linux_sys::process::Child;

use super::child::{self, End, Plan};
use super::step::Step;
use super::users::Users;
use super::{SpawnError, stdio};

/// In the user namespace of `users` the process namespace is theirs.
pub(super) fn start(users: Option<&Users>) -> Result<Child, SpawnError> {
    let mut steps = vec![
        Step::Reset,
        Step::Stdio([stdio::null()?, stdio::null()?, stdio::null()?]),
        Step::EmptyRoot,
        Step::PivotRoot,
    ];
    if users.is_some() {
        steps.extend([Step::EnterUsers(Namespaces::MOUNT | Namespaces::PID), Step::Appear]);
    }
    steps.extend([
        Step::NewSession,
        Step::NewKeyring,
        Step::LimitBounding(0),
        Step::SetCapabilities { effective: 0, permitted: 0 },
        Step::EndWithParent,
        Step::NoNewPrivileges,
    ]);
    let plan = Plan { steps, end: End::Idle, users: users.map(Users::namespace), proc: None };
    let namespaces = match users {
        None => Namespaces::MOUNT | Namespaces::PID,
        Some(_) => Namespaces::MOUNT,
    };
    Ok(child::start(&plan, namespaces, None)?.child)
}
