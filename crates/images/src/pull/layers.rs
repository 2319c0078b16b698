//! The layers of one image: fetched and unpacked a few at once, each straight into staging.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use ports::{LayerProgress, PullProgress};
use registry::{Digest, Repository};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use super::artifact::FileArchive;
use super::error::PullError;
use super::ladder::{Ladder, Step};
use super::limits::limits;
use super::plan::{Form, PlannedLayer};
use super::stream::{self, Gone};
use super::workshop::Workshop;
use crate::layer;
use crate::store::{Pulling, SettledLayer, StoreError, UnpackedLayer, chain_ids};

/// Of one pull.
const LAYERS_AT_ONCE: usize = 3;

/// What all layers of a pull share.
#[derive(Clone, Debug)]
pub(super) struct Fetching {
    pub(super) repository: Repository,
    pub(super) workshop: Arc<Workshop>,
    /// Of the engine.
    pub(super) places: Arc<Semaphore>,
    pub(super) progress: watch::Sender<PullProgress>,
}

/// The layers of an image.
pub(super) struct Layers<'l> {
    pub(super) planned: &'l [PlannedLayer],
    /// Of each, unless it is an artifact.
    pub(super) diff_ids: Option<&'l [Digest]>,
}

/// Which of them are to be fetched, and which are had otherwise.
#[derive(Debug)]
pub(super) struct Had {
    steps: Vec<Step>,
    /// Of what is to be fetched, compressed.
    pub(super) bytes: u64,
}

impl Layers<'_> {
    /// From now on nobody removes those that are there.
    pub(super) fn had(&self, pulling: &Pulling) -> Result<Had, StoreError> {
        let Some(diff_ids) = self.diff_ids else {
            let bytes = self.planned.iter().fold(0, |sum: u64, layer| sum.saturating_add(layer.bytes));
            return Ok(Had { steps: self.planned.iter().map(|_| Step::Awaited).collect(), bytes });
        };
        let are_there = pulling.hold(&chain_ids(diff_ids))?;
        let mut first = BTreeMap::new();
        let mut had = Had { steps: Vec::with_capacity(diff_ids.len()), bytes: 0 };
        for (number, (diff_id, is_there)) in diff_ids.iter().copied().zip(are_there).enumerate() {
            let step = if is_there {
                Step::Present { diff_id }
            } else if let Some(of) = first.get(&diff_id).copied() {
                Step::Again { diff_id, of }
            } else {
                had.bytes = had.bytes.saturating_add(self.planned[number].bytes);
                Step::Awaited
            };
            first.entry(diff_id).or_insert(number);
            had.steps.push(step);
        }
        Ok(had)
    }
}

impl Fetching {
    /// Fetches what is missing, publishing it as far as it is whole from the bottom. Returns all diff IDs, and the
    /// layers that are not published yet.
    pub(super) async fn run(
        &self,
        layers: &Layers<'_>,
        had: Had,
    ) -> Result<(Vec<Digest>, Vec<SettledLayer>), PullError> {
        self.show(layers, &had);
        let of_pull = Arc::new(Semaphore::new(LAYERS_AT_ONCE));
        let mut fetching = JoinSet::new();
        for (number, planned) in layers.planned.iter().enumerate() {
            if matches!(had.steps[number], Step::Awaited) {
                let (own, of_pull, planned) = (self.clone(), Arc::clone(&of_pull), planned.clone());
                let diff_id = layers.diff_ids.map(|diff_ids| diff_ids[number]);
                fetching.spawn(async move { (number, own.layer(number, &planned, diff_id, &of_pull).await) });
            }
        }
        let mut ladder = Ladder::new(had.steps);
        let mut climbed = self.climb(&mut ladder).await;
        while climbed.is_ok() {
            let Some(fetched) = fetching.join_next().await else { break };
            let (number, fetched) = fetched.map_err(|_| PullError::Cancelled)?;
            climbed = match fetched {
                Ok(unpacked) => {
                    ladder.put(number, unpacked);
                    self.climb(&mut ladder).await
                }
                Err(error) => Err(error),
            };
        }
        fetching.shutdown().await;
        if let Err(error) = climbed {
            self.keep_whole(ladder, &error).await;
            return Err(error);
        }
        ladder.finish().ok_or(PullError::Cancelled)
    }

    async fn climb(&self, ladder: &mut Ladder) -> Result<(), PullError> {
        let mut own = std::mem::take(ladder);
        let climbed = self.workshop.work(move |pulling| {
            let climbed = own.climb(pulling);
            (own, climbed)
        });
        let (own, climbed) = climbed.await.ok_or(PullError::Cancelled)?;
        *ladder = own;
        Ok(climbed?)
    }

    /// What is whole stays for the next pull, unless there is no room for it.
    async fn keep_whole(&self, mut ladder: Ladder, error: &PullError) {
        if super::limits::is_full(error) {
            return;
        }
        let published = self.workshop.work(move |pulling| ladder.publish(pulling)).await;
        if let Some(Err(error)) = published {
            tracing::warn!("layers of a pull that failed are lost: {}", ports::PortError::chain(&error));
        }
    }

    async fn layer(
        &self,
        number: usize,
        planned: &PlannedLayer,
        diff_id: Option<Digest>,
        of_pull: &Semaphore,
    ) -> Result<UnpackedLayer, PullError> {
        // Neither is ever closed.
        let _of_pull = of_pull.acquire().await.map_err(|_| PullError::Cancelled)?;
        let _place = self.places.acquire().await.map_err(|_| PullError::Cancelled)?;
        let (sender, reader) = stream::stream();
        let to_unpack = planned.clone();
        let unpacking = self.workshop.work(move |pulling| unpack(pulling, reader, &to_unpack, diff_id));
        let fetching = async {
            let mut blob = self.repository.blob(planned.digest, planned.bytes).await?;
            while let Some(chunk) = blob.chunk().await? {
                let bytes = chunk.len() as u64;
                if sender.send(chunk).await == Err(Gone) {
                    // It says why itself.
                    return Ok(());
                }
                self.progress.send_modify(|progress| progress.layers[number].bytes_done += bytes);
            }
            let _ = sender.end().await;
            Ok::<_, PullError>(())
        };
        let (fetched, unpacked) = tokio::join!(fetching, unpacking);
        fetched?;
        unpacked.ok_or(PullError::Cancelled)?
    }

    /// What is there is done.
    fn show(&self, layers: &Layers<'_>, had: &Had) {
        let shown = layers.planned.iter().zip(&had.steps).map(|(layer, step)| LayerProgress {
            digest: layer.digest.to_string(),
            bytes: layer.bytes,
            bytes_done: if matches!(step, Step::Awaited) { 0 } else { layer.bytes },
        });
        let shown = shown.collect();
        self.progress.send_modify(|progress| progress.layers = shown);
    }
}

/// Off the async threads.
fn unpack(
    pulling: &Pulling,
    mut reader: stream::Reader,
    planned: &PlannedLayer,
    diff_id: Option<Digest>,
) -> Result<UnpackedLayer, PullError> {
    let digest = planned.digest;
    let failed = |source| PullError::Layer { digest, source };
    let limits = limits(planned.bytes);
    let unpacked = match &planned.form {
        Form::Archive => {
            let plain =
                layer::decompress(&mut reader).map_err(|source| PullError::Decompress { digest, source })?;
            pulling.unpack(diff_id, &limits, plain).map_err(failed)?
        }
        Form::File { name } => {
            let archive = FileArchive::new(name, planned.bytes, &mut reader)
                .map_err(|source| PullError::Decompress { digest, source })?;
            pulling.unpack(diff_id, &limits, archive).map_err(failed)?
        }
    };
    // What stands behind the compressed stream is part of the blob.
    io::copy(&mut reader, &mut io::sink()).map_err(|source| PullError::Decompress { digest, source })?;
    Ok(unpacked)
}
