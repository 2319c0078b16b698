//! Images from registries into the store (docs/adr/0013-images-are-pulled-straight-into-layers.md).

mod artifact;
mod error;
mod flight;
mod image;
mod ladder;
mod layers;
mod limits;
mod lock;
mod plan;
mod resolve;
mod stream;
mod workshop;

use std::sync::Arc;
use std::time::{Duration, Instant};

use ports::PullProgress;
use registry::{Client, Digest, NodeCredentials, Reference, SecretData};
use tokio::sync::{Semaphore, watch};

pub use error::PullError;
pub use plan::ManifestError;

use crate::Registries;
use crate::config::Platform;
use crate::signature::Policy;
use crate::store::{SharedPods, Store};
use flight::{Flight, Flights, Unwanted};
use image::Pull;

/// Of all pulls of an engine.
const LAYERS_AT_ONCE: usize = 6;

/// What is to be pulled. Those who want the same share one pull.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Wanted {
    pub(crate) reference: Reference,
    /// The registry is asked also when the store has an image of this name.
    pub(crate) always: bool,
    pub(crate) platform: Platform,
    /// Of whoever asks; what the node has comes after them.
    pub(crate) secrets: Vec<SecretData>,
}

/// What came of a pull.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Done {
    /// Its ID.
    pub(crate) image: Digest,
    /// Before it began, for others.
    pub(crate) waited: Duration,
    pub(crate) took: Duration,
}

type Outcome = Result<Done, Arc<PullError>>;

/// The pulls of one engine.
#[derive(Debug)]
pub(crate) struct Pulls {
    store: Store,
    client: Client,
    credentials: NodeCredentials,
    policy: Policy,
    pods: SharedPods,
    /// Of whole pulls; `places` are those of layers.
    turns: Semaphore,
    places: Arc<Semaphore>,
    flights: Flights<Wanted, PullProgress, Outcome>,
}

impl Pulls {
    pub(crate) fn new(store: Store, registries: Registries, pods: SharedPods) -> Self {
        let Registries { client, credentials, policy, pulls_at_once } = registries;
        let turns = Semaphore::new(pulls_at_once.clamp(1, Semaphore::MAX_PERMITS));
        let places = Arc::new(Semaphore::new(LAYERS_AT_ONCE));
        Self { store, client, credentials, policy, pods, turns, places, flights: Flights::new() }
    }

    /// Pulls an image, or waits for whoever does; tells `show` how far it is, at most every `pause`. A pull that
    /// nobody waits for any more is given up.
    pub(crate) async fn pull(
        self: &Arc<Self>,
        wanted: Wanted,
        pause: Duration,
        show: impl Fn(&PullProgress),
    ) -> Outcome {
        let own = Arc::clone(self);
        let flight =
            self.flights.join(wanted.clone(), move |progress, unwanted| own.run(wanted, progress, unwanted));
        tokio::select! {
            biased;
            outcome = flight.result() => {
                show_last(&flight, show);
                outcome.unwrap_or_else(|_| Err(Arc::new(PullError::Cancelled)))
            }
            never = follow(flight.progress.clone(), pause, &show) => match never {},
        }
    }

    /// Waits until none is under way, and all they left is cleared away.
    pub(crate) async fn idle(&self) {
        self.flights.idle().await;
    }

    async fn run(
        self: Arc<Self>,
        wanted: Wanted,
        progress: watch::Sender<PullProgress>,
        unwanted: Unwanted,
    ) -> Outcome {
        let begun = Instant::now();
        let (open, closed) = workshop::open();
        let pull = Pull { pulls: &self, wanted: &wanted, progress, begun };
        let outcome = tokio::select! {
            outcome = pull.run(open) => outcome,
            () = unwanted.wait() => Err(PullError::Cancelled),
        };
        // Those that unpack end by themselves, now that nothing comes any more.
        closed.wait().await;
        outcome.map_err(|error| Arc::new(error.on(self.store.directory().to_owned())))
    }
}

fn show_last(flight: &Flight<PullProgress, Outcome>, show: impl Fn(&PullProgress)) {
    let progress = flight.progress.borrow().clone();
    if !progress.layers.is_empty() {
        show(&progress);
    }
}

async fn follow(
    mut progress: watch::Receiver<PullProgress>,
    pause: Duration,
    show: impl Fn(&PullProgress),
) -> std::convert::Infallible {
    while progress.changed().await.is_ok() {
        let now = progress.borrow_and_update().clone();
        show(&now);
        tokio::time::sleep(pause).await;
    }
    // The result is next.
    std::future::pending().await
}

#[cfg(test)]
mod tests;
