//! Loading and what follows from it.

use crate::archive::{ArchiveError, LoadOptions, Loaded, Progress, Source};
use crate::store::{LivingPods, Store};

impl Store {
    /// Loads every image of an archive, or none. Images whose names now lead to others are removed, unless
    /// another name or a living pod needs them.
    ///
    /// # Errors
    /// When something of the archive is not what it should be; then the store is as it was.
    pub fn load(
        &self,
        source: &Source,
        options: &LoadOptions,
        pods: LivingPods<'_>,
        progress: &mut dyn FnMut(&Progress<'_>),
    ) -> Result<Vec<Loaded>, ArchiveError> {
        let (loaded, displaced) = self.load_archive(source, options, progress)?;
        self.collect_displaced(&displaced, pods);
        Ok(loaded)
    }
}
