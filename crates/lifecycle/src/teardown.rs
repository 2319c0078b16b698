//! After the last container: the sandbox goes, then the volumes; then the pod is at rest.

use crate::action::Action;
use crate::decision::{Verdict, Wait};
use crate::observed::{SandboxState, VolumesState};
use crate::phase;
use crate::plan::Draft;
use crate::view::View;

pub(crate) fn tear_down(view: &View<'_>, draft: &mut Draft) {
    draft.decide(None, Verdict::Finish { succeeded: phase::outcome(view).succeeded });
    if sandbox_gone(view, draft) && volumes_gone(view, draft) {
        draft.at_rest = true;
    }
}

fn sandbox_gone(view: &View<'_>, draft: &mut Draft) -> bool {
    match view.observed.sandbox {
        SandboxState::Absent
        | SandboxState::CreateFailed { .. }
        | SandboxState::Lost { .. }
        | SandboxState::Stopped { .. } => return true,
        SandboxState::Ready { attempt, .. } if view.observed.garbage.is_empty() => {
            draft.act(Action::StopSandbox { attempt });
        }
        // It has old attempts to remove yet.
        SandboxState::Ready { .. } | SandboxState::Creating { .. } | SandboxState::Stopping { .. } => {
            draft.decide(None, Verdict::Wait(Wait::Sandbox));
        }
    }
    false
}

fn volumes_gone(view: &View<'_>, draft: &mut Draft) -> bool {
    match view.observed.volumes {
        VolumesState::Absent | VolumesState::Removed => return true,
        VolumesState::Ready | VolumesState::Failed { .. } => draft.act(Action::RemoveVolumes),
        VolumesState::SettingUp | VolumesState::TearingDown => {
            draft.decide(None, Verdict::Wait(Wait::Volumes));
        }
    }
    false
}
