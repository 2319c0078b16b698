//! One pull of one image, from its reference to its name in the store.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use ports::{PortError, PullProgress};
use registry::{Candidate, Digest, Repository};
use tokio::sync::watch;

use super::error::PullError;
use super::layers::{Fetching, Had, Layers};
use super::lock::ReferenceLock;
use super::resolve::{Config, Resolved, resolve, target};
use super::workshop::{Open, Workshop};
use super::{Done, Pulls, Wanted, artifact};
use crate::access::Verdict;
use crate::config::Platform;
use crate::store::{Displaced, NewImage, Store, StoreError, chain_ids};

pub(super) struct Pull<'p> {
    pub(super) pulls: &'p Arc<Pulls>,
    pub(super) wanted: &'p Wanted,
    pub(super) progress: watch::Sender<PullProgress>,
    pub(super) begun: Instant,
}

impl Pull<'_> {
    pub(super) async fn run(&self, open: Open) -> Result<Done, PullError> {
        let store = self.pulls.store.clone();
        let directory = blocking(move || store.make_for_pulls()).await??;
        let _lock = ReferenceLock::take(directory, &self.wanted.reference)
            .await
            .map_err(|source| PullError::Lock { source })?;
        // Who waits for the lock takes nobody's turn.
        let _turn = self.pulls.turns.acquire().await.map_err(|_| PullError::Cancelled)?;
        let begun = Instant::now();
        let waited = begun - self.begun;
        // Whoever had the lock may have pulled it.
        let there = if self.wanted.always { None } else { self.there().await? };
        let image = match there {
            Some(image) => image,
            None => self.pull(open).await?,
        };
        Ok(Done { image, waited, took: begun.elapsed() })
    }

    async fn pull(&self, open: Open) -> Result<Digest, PullError> {
        let Wanted { reference, secrets, .. } = self.wanted;
        let (candidates, flaws) = registry::candidates(secrets, &self.pulls.credentials, reference).await;
        for flaw in &flaws {
            tracing::warn!("{reference} is pulled without some credentials: {}", PortError::chain(flaw));
        }
        let repository = self.pulls.client.repository(reference, candidates);
        let top = repository.manifest(&target(reference)?).await;
        let top = top.map_err(|error| PullError::asked_without(error, &flaws))?;
        let asked = top.digest;
        if let Some(digests) = self.known_by(asked).await? {
            self.pulls.policy.check(reference, &digests, &repository).await?;
            if let Some(image) = self.name_again(asked, taken(&repository)).await? {
                return Ok(image);
            }
        }
        let resolved = resolve(&repository, top, &self.wanted.platform).await?;
        self.pulls.policy.check(reference, &resolved.digests, &repository).await?;
        self.fetch(repository, resolved, asked, open).await
    }

    async fn fetch(
        &self,
        repository: Repository,
        resolved: Resolved,
        asked: Digest,
        open: Open,
    ) -> Result<Digest, PullError> {
        let workshop = self.workshop(open).await?;
        let resolved = Arc::new(resolved);
        let to_look = Arc::clone(&resolved);
        let had = workshop.work(move |pulling| layers(&to_look).had(pulling));
        let had = had.await.ok_or(PullError::Cancelled)??;
        self.check_room(&had)?;
        let places = Arc::clone(&self.pulls.places);
        let progress = self.progress.clone();
        let fetching = Fetching { repository, workshop: Arc::clone(&workshop), places, progress };
        let (diff_ids, unpublished) = fetching.run(&layers(&resolved), had).await?;
        let config = match &resolved.config {
            Some(Config { bytes, .. }) => bytes.clone(),
            None => artifact::config(&self.wanted.platform, &diff_ids),
        };
        let (names, digests) = (vec![self.name()], resolved.digests.clone());
        let id = Digest::of(&config);
        let image = NewImage { config, names, digests, pulled: Some(asked) };
        let record = self.record(taken(&fetching.repository));
        let displaced = workshop.work(move |pulling| pulling.finish(&unpublished, &image, record));
        let displaced = displaced.await.ok_or(PullError::Cancelled)??;
        self.collect(displaced).await?;
        Ok(id)
    }

    async fn workshop(&self, open: Open) -> Result<Arc<Workshop>, PullError> {
        let store = self.pulls.store.clone();
        Ok(Arc::new(Workshop::new(blocking(move || store.begin_pull()).await??, open)))
    }

    /// Under the name that was asked for: that of a digest when there is one, whatever the tag.
    fn name(&self) -> String {
        let mut name = self.wanted.reference.clone();
        if name.digest.is_some() {
            name.tag = None;
        }
        name.to_string()
    }

    /// The image of the name, if it is whole, for the platform, and may be used without asking.
    async fn there(&self) -> Result<Option<Digest>, PullError> {
        let (store, wanted) = (self.pulls.store.clone(), self.wanted.clone());
        let found = blocking(move || {
            let index = store.index()?;
            let Some(entry) = index.find(&wanted.reference) else { return Ok(None) };
            let (candidates, _) = registry::of_secrets(&wanted.secrets, &wanted.reference);
            let is_pulled = entry.pulled.is_some();
            let verdict = store.may_use(entry.image, is_pulled, &wanted.reference, &candidates);
            let may_be_used = verdict == Verdict::Allowed && fits(&store, &wanted.platform, entry.image)?;
            Ok::<_, StoreError>(may_be_used.then_some(entry.image))
        });
        Ok(found.await??)
    }

    /// The digests of an image that came with this one among them.
    async fn known_by(&self, asked: Digest) -> Result<Option<Vec<Digest>>, PullError> {
        let store = self.pulls.store.clone();
        let known = blocking(move || {
            let index = store.index()?;
            let known = index.names.into_values().find(|entry| entry.digests.contains(&asked));
            Ok::<_, StoreError>(known.map(|entry| entry.digests))
        });
        Ok(known.await??)
    }

    /// An image that came with this digest, under whatever name, is what would come again. `None` when there is none.
    async fn name_again(&self, asked: Digest, taken: Candidate) -> Result<Option<Digest>, PullError> {
        let record = self.record(taken);
        let (store, name, platform) = (self.pulls.store.clone(), self.name(), self.wanted.platform.clone());
        let named =
            blocking(move || store.name_again(asked, &name, |image| fits(&store, &platform, image), record));
        match named.await?? {
            Some((image, displaced)) => self.collect(displaced).await.map(|()| Some(image)),
            None => Ok(None),
        }
    }

    /// Notes before an image has its name who may use it.
    fn record(&self, taken: Candidate) -> impl FnOnce(Digest) -> Result<(), StoreError> + Send + 'static {
        let (store, reference) = (self.pulls.store.clone(), self.wanted.reference.clone());
        move |image| store.record_access(image, &reference, &taken)
    }

    async fn collect(&self, displaced: Displaced) -> Result<(), PullError> {
        let (store, pods) = (self.pulls.store.clone(), self.pulls.pods.clone());
        blocking(move || store.collect_displaced(&displaced, pods.ask())).await
    }

    fn check_room(&self, had: &Had) -> Result<(), PullError> {
        let path: PathBuf = self.pulls.store.directory().to_owned();
        // Where that cannot be told, writing will.
        let Ok(stat) = rustix::fs::statvfs(&path) else { return Ok(()) };
        let available = stat.f_bavail.saturating_mul(stat.f_frsize);
        if had.bytes > available {
            return Err(PullError::NoRoom { path, wanted: had.bytes, available });
        }
        Ok(())
    }
}

/// What the registry took.
fn taken(repository: &Repository) -> Candidate {
    repository.answered().unwrap_or_else(Candidate::anonymous)
}

fn layers(resolved: &Resolved) -> Layers<'_> {
    let diff_ids = resolved.config.as_ref().map(|config| config.parsed.diff_ids.as_slice());
    Layers { planned: &resolved.layers, diff_ids }
}

/// Whether an image is there, whole, and for the platform.
fn fits(store: &Store, wanted: &Platform, image: Digest) -> Result<bool, StoreError> {
    let Some(config) = store.oci_config(image)? else { return Ok(false) };
    for chain in chain_ids(&config.diff_ids) {
        if store.layer_record(chain)?.is_none() {
            return Ok(false);
        }
    }
    Ok(config.platform.fits(wanted))
}

/// Off the async threads.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, PullError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| PullError::Cancelled)
}
