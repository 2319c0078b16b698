//! The start of an engine that lasts: every pod that is there is taken over, or left as it is.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use kubelet::{AdoptPodError, Kubelet, Subscription};
use podspec::PodUid;
use ports::PortError;
use runtime::Inherited;
use tokio::sync::{Semaphore, mpsc};

use crate::Node;

/// Takeovers at one time: each is a connection and some files, or waits for a shim that hangs.
const AT_ONCE_MAX: usize = 64;

/// What became of a pod directory that was there.
#[derive(Debug)]
pub struct Inheritance {
    pub pod_dir: PathBuf,
    pub outcome: Outcome,
}

#[derive(Debug)]
pub enum Outcome {
    /// The pod goes on.
    Adopted(Box<Subscription>),
    /// It ended with the engine it was bound to, or was never begun; what could not be removed of it is said.
    Buried(Vec<String>),
    /// Its shim is stopping it, since the engine it was bound to is dead.
    Ending,
    /// It is left as it is, and its processes run on.
    Refused(InheritError),
}

#[derive(Debug, thiserror::Error)]
pub enum InheritError {
    #[error("cannot take over a pod")]
    Claim(#[source] PortError),
    #[error("cannot take over the pod in {}", pod_dir.display())]
    Adopt { pod_dir: PathBuf, source: AdoptPodError },
    #[error("cannot look for pods: {0}")]
    Look(String),
}

/// Takes over, side by side, every pod that earlier engines left under this root. One that cannot be taken
/// over keeps no other from it. What became of each comes as it is known; after the last the channel is closed.
#[must_use]
pub fn inherit(node: &Arc<Node>, kubelet: &Arc<Kubelet<Node>>) -> mpsc::Receiver<Inheritance> {
    let (pod_dirs, errors) = runtime::pod_dirs(node.paths());
    let (sender, receiver) = mpsc::channel(pod_dirs.len() + errors.len() + 1);
    for error in errors {
        let outcome = Outcome::Refused(InheritError::Look(error));
        // There is room for all.
        let _ = sender.try_send(Inheritance { pod_dir: node.paths().pods_dir(), outcome });
    }
    let places = Arc::new(Semaphore::new(AT_ONCE_MAX));
    for pod_dir in pod_dirs {
        let (node, kubelet) = (Arc::clone(node), Arc::clone(kubelet));
        let (sender, places) = (sender.clone(), Arc::clone(&places));
        tokio::spawn(async move {
            let _place = places.acquire().await;
            let outcome = inherit_pod(&node, &kubelet, &pod_dir).await.unwrap_or_else(Outcome::Refused);
            // An error says that nobody asks any more.
            let _ = sender.send(Inheritance { pod_dir, outcome }).await;
        });
    }
    receiver
}

async fn inherit_pod(
    node: &Arc<Node>,
    kubelet: &Kubelet<Node>,
    pod_dir: &Path,
) -> Result<Outcome, InheritError> {
    let (taking, dir) = (Arc::clone(node), pod_dir.to_owned());
    let taken = tokio::task::spawn_blocking(move || taking.runtime.inherit(&dir, &taking.paths)).await;
    let taken = taken.unwrap_or_else(|error| Err(PortError(error.to_string())));
    match taken.map_err(InheritError::Claim)? {
        Inherited::Buried(errors) => {
            if let Some(uid) =
                pod_dir.file_name().and_then(|name| name.to_str()).filter(|_| errors.is_empty())
            {
                node.network.forget(&PodUid::new(uid));
            }
            Ok(Outcome::Buried(errors))
        }
        Inherited::Ending => Ok(Outcome::Ending),
        Inherited::Claimed => match kubelet.adopt_pod(pod_dir).await {
            Ok(adopted) => Ok(Outcome::Adopted(Box::new(adopted))),
            Err(source) => {
                node.runtime.let_go(pod_dir);
                Err(InheritError::Adopt { pod_dir: pod_dir.to_owned(), source })
            }
        },
    }
}
