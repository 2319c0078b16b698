//! Other limits for a running container, and for the pod.

use container_config::ResourceLimits;
use shim_protocol::ReplyBody;

use crate::container::{Beside, ResizeError, resize};
use crate::exec::not_running;
use crate::note;
use crate::request::{failed, unknown};
use crate::supervisor::{ContainerKey, Shim};

impl Shim {
    pub(crate) fn resize(
        &mut self,
        key: &ContainerKey,
        limits: &ResourceLimits,
        of_pod: &ResourceLimits,
    ) -> ReplyBody {
        let beside = self.running_beside(Some(key));
        let Some(supervised) = self.containers.get_mut(key) else { return unknown(key) };
        let (Some(live), Some(sandbox)) = (&mut supervised.live, &mut self.sandbox) else {
            return ReplyBody::NotRunning { message: not_running(&key.0) };
        };
        match resize(sandbox, &mut live.container, limits, of_pod, beside) {
            Ok(()) => ReplyBody::Done,
            Err(error) => failed(&note::chain(&error)),
        }
    }

    /// Before a container starts, which may have been resized since the others were begun.
    pub(crate) fn widen_pod(&mut self, of_pod: &ResourceLimits) -> Result<(), ResizeError> {
        self.sandbox.as_mut().map_or(Ok(()), |sandbox| sandbox.widen(of_pod))
    }

    /// After a container has started or ended. What is left undone is done with the next one's.
    pub(crate) fn narrow_pod(&mut self) {
        let running = self.running_beside(None);
        if let Some(sandbox) = &mut self.sandbox
            && let Err(error) = sandbox.narrow(&running)
        {
            note::error("the pod keeps wider limits than it is to have", &error);
        }
    }

    /// Ephemeral containers have no limits, and count for none of the pod's.
    fn running_beside(&self, key: Option<&ContainerKey>) -> Beside {
        let spec = &self.launch.pod.spec;
        let counts =
            |key: &ContainerKey| spec.init_and_app_containers().any(|container| container.name == key.0);
        let others = self.containers.iter().filter(|(other, _)| Some(*other) != key && counts(other));
        let limits = others.filter_map(|(_, supervised)| supervised.live.as_ref());
        Beside {
            limits: limits.map(|live| live.container.limits().clone()).collect(),
            share_memory: spec.resources.is_some_and(|resources| resources.memory_limit.is_some()),
        }
    }
}
