//! NoExecute taints: when pods that are on a node have to go
//! (<https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/#taint-based-evictions>).

use crate::model::{Effect, Taint, Toleration};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Eviction {
    Never,
    /// This long after the taints were first seen with the pod there.
    After {
        seconds: u64,
    },
}

/// What the taints of its node mean for a pod. A taint that nothing tolerates means now.
#[must_use]
pub fn eviction(taints: &[Taint], tolerations: &[Toleration]) -> Eviction {
    let mut soonest = None;
    for taint in taints.iter().filter(|taint| taint.effect == Effect::NoExecute) {
        // As Kubernetes has it: the first toleration that matches is the one that counts.
        let Some(toleration) = tolerations.iter().find(|toleration| toleration.tolerates(taint)) else {
            return Eviction::After { seconds: 0 };
        };
        if let Some(seconds) = toleration.seconds {
            let seconds = u64::try_from(seconds).unwrap_or(0);
            soonest = Some(soonest.map_or(seconds, |other: u64| other.min(seconds)));
        }
    }
    soonest.map_or(Eviction::Never, |seconds| Eviction::After { seconds })
}
