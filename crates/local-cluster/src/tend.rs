//! One task for each pod that is here: what becomes of it goes to the store, and when all is over it is removed.

use std::sync::Arc;
use std::time::Duration;

use kubelet::{Node, PodView, Subscription};
use ports::PodContext;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::watch;

use crate::cluster::{Shared, Tended};
use crate::events::EventWriter;
use crate::sink;

/// A pod whose files cannot be removed is tried again so often.
const REMOVE_AGAIN: Duration = Duration::from_secs(10);

/// Tends a pod until it is gone. `generation`: of the spec that the kubelet has.
pub(crate) fn tend<N: Node>(shared: &Arc<Shared<N>>, subscription: Subscription, generation: i64) {
    let (sender, receiver) = watch::channel(generation);
    let uid = subscription.pod.pod.uid.clone();
    shared.tended().insert(uid, Tended { generation: sender });
    tokio::spawn(follow(Arc::clone(shared), subscription, receiver));
}

async fn follow<N: Node>(
    shared: Arc<Shared<N>>,
    mut subscription: Subscription,
    mut generation: watch::Receiver<i64>,
) {
    let pod = Arc::clone(&subscription.pod);
    let mut events = EventWriter::new(&pod);
    let mut journal_open = true;
    // Whether the pod is this task's to remove.
    let ours = loop {
        tokio::select! {
            // What happened is told before what came of it.
            biased;
            entry = subscription.entries.recv(), if journal_open => match entry {
                Ok(entry) => events.write(&shared, &entry).await,
                // They are in the journal; of so many the recorder would tell few.
                Err(RecvError::Lagged(missed)) => tracing::debug!("{missed} entries of {} went by", pod.pod.name),
                Err(RecvError::Closed) => journal_open = false,
            },
            changed = subscription.view.changed() => {
                if changed.is_err() {
                    break false;
                }
                let view = subscription.view.borrow_and_update().clone();
                let Some(view) = view else { continue };
                let known = *generation.borrow();
                sink::write_status(&shared, &pod, &view, known).await;
                if is_over(&view) && shared.settings.removes {
                    break true;
                }
            }
            Ok(()) = generation.changed() => {
                let (view, known) = (subscription.view.borrow().clone(), *generation.borrow_and_update());
                if let Some(view) = view {
                    sink::write_status(&shared, &pod, &view, known).await;
                }
            }
        }
    };
    while let Ok(entry) = subscription.entries.try_recv() {
        events.write(&shared, &entry).await;
    }
    if ours {
        remove_files(&shared, &pod).await;
    }
    shared.tended().remove(&pod.pod.uid);
    sink::remove_pod_of(&shared, &pod).await;
}

fn is_over(view: &PodView) -> bool {
    view.at_rest && view.deleting
}

/// Before the object, which is what makes a later engine look for them.
async fn remove_files<N: Node>(shared: &Arc<Shared<N>>, pod: &PodContext) {
    while let Err(error) = shared.kubelet.remove_pod(&pod.pod.uid).await {
        let name = format!("{}/{}", pod.pod.namespace, pod.pod.name);
        tracing::error!("cannot remove all of pod {name}: {error}; trying again");
        tokio::time::sleep(REMOVE_AGAIN).await;
    }
}
