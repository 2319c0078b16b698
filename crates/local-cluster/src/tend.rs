//! One task for each pod that is here: what becomes of it goes to the store, and when all is over it is removed.

use std::sync::Arc;
use std::time::Duration;

use journal::Entry;
use kubelet::resize::{ResizeEvents, pending_event};
use kubelet::{Node, PodView, Subscription};
use linux_sys::clock;
use podspec::{BootTime, Moment};
use ports::PodContext;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::watch;
use tracing::{Instrument, trace_span};

use crate::cluster::{Shared, Tended, Wanted};
use crate::events::EventWriter;
use crate::limits;
use crate::notice::Noticer;
use crate::sink::{self, Resizing};
use crate::wishes::Said;

/// Entries of a journal that are told in one write.
const ENTRIES_MAX: usize = 64;
/// A pod whose files cannot be removed is tried again so often.
const REMOVE_AGAIN: Duration = Duration::from_secs(10);

/// Tends a pod until it is gone. `known`: the kubelet has it as the store has it.
pub(crate) fn tend<N: Node>(shared: &Arc<Shared<N>>, subscription: Subscription, known: bool) {
    let (wanted, receiver) = watch::channel(Wanted { known, pending: None });
    let tended = Tended { generation: 0, wanted, finished: false, gates: None, grace: None };
    shared.tended().insert(subscription.pod.pod.uid.clone(), tended);
    tokio::spawn(follow(Arc::clone(shared), subscription, receiver));
}

async fn follow<N: Node>(
    shared: Arc<Shared<N>>,
    mut subscription: Subscription,
    mut wanted: watch::Receiver<Wanted>,
) {
    let pod = Arc::clone(&subscription.pod);
    let mut teller = Teller {
        events: EventWriter::new(&pod),
        resize: ResizeEvents::new(&pod.pod),
        shared: Arc::clone(&shared),
        said: None,
    };
    let mut noticer = Noticer::new(&pod);
    let measured = limits::watch(&shared, &pod.pod.uid);
    let mut journal_open = true;
    // Whether the pod is this task's to remove.
    let ours = loop {
        tokio::select! {
            // What happened is told before what came of it.
            biased;
            entry = subscription.entries.recv(), if journal_open => match entry {
                Ok(entry) => teller.entries(entry, &mut subscription).await,
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
                let wanted = wanted.borrow().clone();
                teller.view(&view, &wanted).await;
                noticer.see(&view);
                if is_over(&view) && shared.settings.removes {
                    break true;
                }
            }
            Ok(()) = wanted.changed() => {
                let wanted = wanted.borrow_and_update().clone();
                let view = subscription.view.borrow().clone();
                teller.wanted(view.as_ref(), &wanted).await;
            }
            () = noticer.due() => {
                if let Some(event) = noticer.look(&shared, &pod).await {
                    teller.events.events(&shared, &[event]).await;
                }
            }
        }
    };
    if let Some(measured) = measured {
        measured.abort();
    }
    while let Ok(entry) = subscription.entries.try_recv() {
        teller.entries(entry, &mut subscription).await;
    }
    if ours {
        remove_files(&shared, &pod).await;
    }
    shared.tended().remove(&pod.pod.uid);
    sink::remove_pod_of(&shared, &pod).await;
}

/// Writes the events and the status of one pod.
struct Teller<N: Node> {
    shared: Arc<Shared<N>>,
    events: EventWriter,
    resize: ResizeEvents,
    /// Of the resize that waits.
    said: Option<Said>,
}

impl<N: Node> Teller<N> {
    /// With those that have come since.
    async fn entries(&mut self, first: Arc<Entry>, subscription: &mut Subscription) {
        let mut entries = vec![first];
        while entries.len() < ENTRIES_MAX
            && let Ok(next) = subscription.entries.try_recv()
        {
            entries.push(next);
        }
        self.events.entries(&self.shared, &entries).await;
    }

    async fn view(&mut self, view: &PodView, wanted: &Wanted) {
        let events = self.resize.see(view, now());
        self.events.events(&self.shared, &events).await;
        self.status(view, wanted).await;
    }

    async fn wanted(&mut self, view: Option<&PodView>, wanted: &Wanted) {
        let said = wanted.pending.as_ref().map(|pending| pending.said.clone());
        let is_new = std::mem::replace(&mut self.said, said.clone()) != said;
        if let Some(pending) = wanted.pending.as_ref().filter(|pending| is_new && !pending.told) {
            let event = pending_event(&pending.pod, pending.said.infeasible, &pending.message, now());
            self.events.events(&self.shared, &[event]).await;
        }
        if let Some(view) = view {
            self.status(view, wanted).await;
        }
    }

    async fn status(&self, view: &PodView, wanted: &Wanted) {
        if wanted.known {
            let span =
                trace_span!(target: "start", parent: None, "tell status", pod = view.pod.pod.uid.as_str());
            let resizing = Resizing { pending: wanted.pending.as_ref(), under_way: self.resize.under_way() };
            sink::write_status(&self.shared, view, &resizing).instrument(span).await;
        }
    }
}

fn now() -> Moment {
    Moment { boot: BootTime(clock::boot_ns()), wall: sink::wall_now() }
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
