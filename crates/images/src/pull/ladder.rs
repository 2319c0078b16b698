//! Layers that were unpacked in any order get their places in order, from the bottom.

use std::path::PathBuf;

use registry::Digest;

use crate::store::{Pulling, SettledLayer, StoreError, UnpackedLayer, chain_id};

/// So many bytes are brought to disk together: a pull that dies has lost no more, beside the layers it was at.
const PUBLISH_BYTES: u64 = 64 << 20;

/// What is known of one layer.
#[derive(Debug)]
pub(super) enum Step {
    /// The store has it.
    Present {
        diff_id: Digest,
    },
    /// On its way.
    Awaited,
    Unpacked(UnpackedLayer),
    /// The same archive as that of a layer further down.
    Again {
        diff_id: Digest,
        of: usize,
    },
    /// It has its place: in the store, or among those that are ready for it.
    Done,
}

#[derive(Debug, Default)]
pub(super) struct Ladder {
    steps: Vec<Step>,
    /// How many are done.
    height: usize,
    /// The files of those that are done, the bottom first.
    below: Vec<PathBuf>,
    diff_ids: Vec<Digest>,
    parent: Option<Digest>,
    /// They have their places and are not in the store yet, with their numbers.
    ready: Vec<(usize, SettledLayer)>,
}

impl Ladder {
    /// From the bottom.
    pub(super) fn new(steps: Vec<Step>) -> Self {
        Self { steps, height: 0, below: vec![], diff_ids: vec![], parent: None, ready: vec![] }
    }

    /// A layer that was awaited is here.
    pub(super) fn put(&mut self, number: usize, layer: UnpackedLayer) {
        self.steps[number] = Step::Unpacked(layer);
    }

    /// Goes up as far as the layers that are here allow, and publishes them when they are many bytes.
    pub(super) fn climb(&mut self, pulling: &Pulling) -> Result<(), StoreError> {
        while self.step(pulling)? {}
        let bytes: u64 = self.ready.iter().map(|(_, layer)| layer.content_bytes).sum();
        if bytes >= PUBLISH_BYTES { self.publish(pulling) } else { Ok(()) }
    }

    /// Whether there was one to be done.
    fn step(&mut self, pulling: &Pulling) -> Result<bool, StoreError> {
        let number = self.height;
        let Some(step) = self.steps.get_mut(number) else { return Ok(false) };
        let unpacked = match step {
            Step::Awaited | Step::Done => return Ok(false),
            Step::Present { diff_id } => {
                let diff_id = *diff_id;
                self.done(diff_id, None, pulling);
                return Ok(true);
            }
            Step::Again { diff_id, of } => pulling.unpack_again(*diff_id, &self.below[*of])?,
            Step::Unpacked(_) => match std::mem::replace(step, Step::Done) {
                Step::Unpacked(unpacked) => unpacked,
                _ => return Ok(false),
            },
        };
        let diff_id = unpacked.diff_id();
        let lower: Vec<PathBuf> = self.below.iter().rev().cloned().collect();
        let settled = unpacked.settle(self.parent, &lower)?;
        self.done(diff_id, Some(settled), pulling);
        Ok(true)
    }

    fn done(&mut self, diff_id: Digest, settled: Option<SettledLayer>, pulling: &Pulling) {
        let chain = chain_id(self.parent, diff_id);
        self.below.push(settled.as_ref().map_or_else(|| pulling.layer_fs(chain), SettledLayer::fs_dir));
        self.ready.extend(settled.map(|settled| (self.height, settled)));
        self.diff_ids.push(diff_id);
        self.parent = Some(chain);
        self.steps[self.height] = Step::Done;
        self.height += 1;
    }

    /// Puts what is ready into the store.
    pub(super) fn publish(&mut self, pulling: &Pulling) -> Result<(), StoreError> {
        let ready = std::mem::take(&mut self.ready);
        let layers: Vec<SettledLayer> = ready.iter().map(|(_, layer)| layer.clone()).collect();
        pulling.publish(&layers)?;
        for (number, layer) in ready {
            self.below[number] = pulling.layer_fs(layer.chain);
        }
        Ok(())
    }

    /// The diff IDs, and the layers that are not in the store yet; `None` unless all are done.
    pub(super) fn finish(self) -> Option<(Vec<Digest>, Vec<SettledLayer>)> {
        let is_done = self.height == self.steps.len();
        is_done.then(|| (self.diff_ids, self.ready.into_iter().map(|(_, layer)| layer).collect()))
    }
}
