//! Images of the store, as pods ask for them.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use container_config::ImageConfig;
use ports::{FileSystemBytes, ImageOnNode};

use crate::filesystem::unfit_for_layers;
use crate::store::{Index, Stamp, Store, StoreError};
use registry::Digest;
use registry::Reference;

#[derive(Debug)]
pub(crate) struct StoredImages {
    store: Store,
    seen: Mutex<Option<Seen>>,
}

/// What was read of the store; valid as long as its index is the same file.
#[derive(Debug)]
struct Seen {
    stamp: Stamp,
    index: Arc<Index>,
    /// By image and `REPOSITORY@DIGEST`; as many as the index has names, at most.
    configs: BTreeMap<(Digest, Option<String>), Arc<ImageConfig>>,
}

impl StoredImages {
    pub(crate) fn new(store: Store) -> Self {
        Self { store, seen: Mutex::new(None) }
    }

    /// The image a reference leads to, if this engine has read it and the index is the same. Costs a
    /// `stat` or two; does not block.
    pub(crate) fn unchanged(&self, reference: &Reference) -> Option<Arc<ImageConfig>> {
        let stamp = self.store.index_stamp().ok()?;
        let (image, config) = self.read_seen(|seen| {
            let entry = (seen.stamp == stamp).then(|| seen.index.find(reference))??;
            let config = seen.configs.get(&(entry.image, entry.repo_digest(reference)))?;
            Some((entry.image, Arc::clone(config)))
        })?;
        self.store.touch(image);
        Some(config)
    }

    /// The image a reference leads to.
    pub(crate) fn find(&self, reference: &Reference) -> Result<Option<Arc<ImageConfig>>, StoreError> {
        // Before the index is read: one that changes meanwhile is read again.
        let stamp = self.store.index_stamp()?;
        let seen = self.read_seen(|seen| (seen.stamp == stamp).then(|| Arc::clone(&seen.index)));
        let index = match seen {
            Some(index) => index,
            None => self.see(stamp)?,
        };
        let Some(entry) = index.find(reference) else { return Ok(None) };
        self.store.touch(entry.image);
        let key = (entry.image, entry.repo_digest(reference));
        if let Some(config) = self.read_seen(|seen| seen.configs.get(&key).cloned()) {
            return Ok(Some(config));
        }
        let Some(config) = self.read(entry.image, key.1.clone())? else {
            let what = "the configuration".to_owned();
            return Err(StoreError::Lost { what, image: entry.image });
        };
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(seen) = seen.as_mut().filter(|seen| Arc::ptr_eq(&seen.index, &index)) {
            seen.configs.insert(key, Arc::clone(&config));
        }
        Ok(Some(config))
    }

    /// An image by its ID, which may have lost its name since.
    pub(crate) fn inspect(&self, image: Digest) -> Result<Option<Arc<ImageConfig>>, StoreError> {
        let seen = self.read_seen(|seen| {
            let mut known = seen.configs.range((image, None)..);
            known.next().filter(|((known, _), _)| *known == image).map(|(_, config)| Arc::clone(config))
        });
        if seen.is_some() {
            return Ok(seen);
        }
        let index = self.store.index()?;
        let of_image = index.names.iter().filter(|(_, entry)| entry.image == image);
        let mut digests =
            of_image.filter_map(|(name, entry)| entry.repo_digest(&Reference::parse(name).ok()?));
        self.read(image, digests.next())
    }

    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    /// Where the store is or will be.
    pub(crate) fn file_system(&self) -> io::Result<FileSystemBytes> {
        let mut directory = self.store.directory();
        let stat = loop {
            match (rustix::fs::statvfs(directory), directory.parent()) {
                (Err(rustix::io::Errno::NOENT), Some(parent)) => directory = parent,
                (stat, _) => break stat?,
            }
        };
        let bytes = |blocks: u64| blocks.saturating_mul(stat.f_frsize);
        Ok(FileSystemBytes { capacity: bytes(stat.f_blocks), available: bytes(stat.f_bavail) })
    }

    /// The images that have names, without the built-in one, which takes no room.
    pub(crate) fn on_node(&self) -> Result<Vec<ImageOnNode>, StoreError> {
        let mut images: BTreeMap<String, ImageOnNode> = BTreeMap::new();
        for listed in self.store.list(&[])? {
            let Some(bytes) = listed.size_bytes else { continue };
            let image = images.entry(listed.id).or_insert(ImageOnNode { names: Vec::new(), bytes });
            image.names.extend(listed.repo_digest.filter(|digest| *digest != listed.name));
            image.names.push(listed.name);
        }
        for image in images.values_mut() {
            image.names.sort_by_key(|name| (!name.contains('@'), name.clone()));
            image.names.dedup();
        }
        Ok(images.into_values().collect())
    }

    fn read(
        &self,
        image: Digest,
        repo_digest: Option<String>,
    ) -> Result<Option<Arc<ImageConfig>>, StoreError> {
        let Some(config) = self.store.image_config(image)? else { return Ok(None) };
        let directory = self.store.directory();
        match unfit_for_layers(directory) {
            Some(file_system) => Err(StoreError::UnfitFileSystem { path: directory.to_owned(), file_system }),
            None => Ok(Some(Arc::new(ImageConfig { repo_digest, ..config }))),
        }
    }

    fn read_seen<T>(&self, look: impl FnOnce(&Seen) -> Option<T>) -> Option<T> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).as_ref().and_then(look)
    }

    fn see(&self, stamp: Stamp) -> Result<Arc<Index>, StoreError> {
        let index = Arc::new(self.store.index()?);
        let seen = Seen { stamp, index: Arc::clone(&index), configs: BTreeMap::new() };
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(seen);
        Ok(index)
    }
}
