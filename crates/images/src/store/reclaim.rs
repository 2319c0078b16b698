//! Making room: what nothing needs first, then images that no pod uses, those first that were used longest ago
//! (<https://kubernetes.io/docs/concepts/architecture/garbage-collection/#containers-images>).
//!
//! An image is used when a pod asks for it; when that was is the modification time of `configs/HEX`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, FileTimes};
use std::time::{Duration, SystemTime};

use super::collect::{LivingPods, PodImages};
use super::error::StoreError;
use super::index::Entry;
use super::{Store, chain_ids, files, staging};
use registry::Digest;

/// The time of use is written down as often.
const USE_RESOLUTION: Duration = Duration::from_secs(60);

/// What may go.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PruneOptions {
    /// Images with names, too, if no pod uses them.
    pub images: bool,
    /// Those also that no registry gave, which none may give again.
    pub own: bool,
    /// Of images, none that came or was used within this time.
    pub unused_for: Duration,
    /// Not more images than are needed to free so many bytes.
    pub bytes: Option<u64>,
    /// Only says what would go.
    pub dry_run: bool,
}

/// What is gone.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Pruned {
    /// The names that lead nowhere now.
    pub names: Vec<String>,
    pub images: usize,
    /// Of the files.
    pub bytes: u64,
}

/// An image with names that no pod uses.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Unused {
    image: Digest,
    names: Vec<(String, Entry)>,
    last_used: SystemTime,
    layers: Vec<Digest>,
}

impl Store {
    /// Removes what nothing needs, and unused images as `options` say.
    ///
    /// # Errors
    /// When somebody is adding or saving images, or when the store cannot be read or changed.
    pub fn prune(&self, options: &PruneOptions, pods: LivingPods<'_>) -> Result<Pruned, StoreError> {
        if !self.lock_path().exists() {
            return Ok(Pruned::default());
        }
        let Some(_lock) = self.try_lock()? else { return Err(StoreError::Busy) };
        let living = pods().map_err(|source| StoreError::Pods { source })?;
        // What a pull that died was to need, nothing needs.
        staging::sweep(&self.staging_dir())?;
        let sizes = self.layer_sizes()?;
        let (unused, mut needed) = self.survey(&living)?;
        needed.extend(self.needed_by_pulls()?);
        let unused = if options.images { unused_as(unused, options) } else { (Vec::new(), unused) };
        let (may_go, stay) = unused;
        needed.extend(stay.iter().flat_map(|image| image.layers.iter().copied()));
        let chosen = choose(may_go, &needed, &sizes, options.bytes);
        if options.dry_run {
            needed.extend(chosen.stay.iter().flat_map(|image| image.layers.iter().copied()));
            return Ok(pruned(&chosen.go, freed(&sizes, &needed)));
        }
        let gone = self.take_names(chosen.go, pods)?;
        self.collect_locked(&[], &living_and(&living, &gone.kept))?;
        let left: BTreeSet<Digest> = self.layer_sizes()?.into_keys().collect();
        Ok(pruned(&gone.images, freed(&sizes, &left)))
    }

    /// Removes what makers of images left that died. Blocks for as long as that takes.
    ///
    /// # Errors
    /// When something of it cannot be removed; the next maker tries again.
    pub fn clear_leavings(&self) -> Result<(), StoreError> {
        staging::sweep(&self.staging_dir())
    }

    /// Notes that an image is used, if that was not noted just now. Without success where nothing can be written;
    /// then it looks as if it had not been used.
    pub(crate) fn touch(&self, image: Digest) {
        let path = self.config_path(image);
        let now = SystemTime::now();
        let is_new = fs::metadata(&path)
            .and_then(|found| found.modified())
            .is_ok_and(|noted| now.duration_since(noted).is_ok_and(|age| age < USE_RESOLUTION));
        if !is_new {
            let times = FileTimes::new().set_modified(now);
            let _ = File::options().write(true).open(&path).and_then(|file| file.set_times(times));
        }
    }

    /// When it was used; the epoch when that is not known.
    pub(super) fn last_used(&self, image: Digest) -> SystemTime {
        let noted = fs::metadata(self.config_path(image)).and_then(|found| found.modified());
        noted.unwrap_or(SystemTime::UNIX_EPOCH)
    }

    /// Every layer, with what it takes of the disk.
    pub(super) fn layer_sizes(&self) -> Result<BTreeMap<Digest, u64>, StoreError> {
        let mut sizes = BTreeMap::new();
        for name in files::list(&self.layers_dir())? {
            let Some(chain) = Digest::from_hex(&name) else { continue };
            let content = self.layer_record(chain)?.map_or(0, |record| record.content_bytes);
            let recipe = fs::metadata(self.layer_recipe(chain)).map_or(0, |found| found.len());
            sizes.insert(chain, content.saturating_add(recipe));
        }
        Ok(sizes)
    }

    /// The images with names that no pod uses, and the layers of all others.
    fn survey(&self, pods: &[PodImages]) -> Result<(Vec<Unused>, BTreeSet<Digest>), StoreError> {
        let mut by_image: BTreeMap<Digest, Vec<(String, Entry)>> = BTreeMap::new();
        for (name, entry) in self.index()?.names {
            by_image.entry(entry.image).or_default().push((name, entry));
        }
        let mut needed = BTreeSet::new();
        for image in pods.iter().flat_map(|pod| &pod.ids).filter_map(|id| Digest::parse(id)) {
            needed.extend(self.chains_of(image)?);
        }
        let mut unused = Vec::new();
        for (image, names) in by_image {
            let layers = self.chains_of(image)?;
            let uses = |pod: &PodImages| pod.has(image) || names.iter().any(|(name, _)| pod.is_from(name));
            if pods.iter().any(uses) {
                needed.extend(layers);
            } else {
                unused.push(Unused { image, names, last_used: self.last_used(image), layers });
            }
        }
        Ok((unused, needed))
    }

    fn chains_of(&self, image: Digest) -> Result<Vec<Digest>, StoreError> {
        Ok(self.oci_config(image)?.map(|config| chain_ids(&config.diff_ids)).unwrap_or_default())
    }

    /// Of a pod that began to use an image meanwhile, it keeps its names.
    fn take_names(&self, images: Vec<Unused>, pods: LivingPods<'_>) -> Result<Taken, StoreError> {
        self.change_index(|index| {
            for (name, _) in images.iter().flat_map(|image| &image.names) {
                index.names.remove(name);
            }
        })?;
        // After the names are gone, so that whoever found one before is seen.
        let now = pods().map_err(|source| StoreError::Pods { source })?;
        let is_used = |image: &Unused| {
            now.iter()
                .any(|pod| pod.has(image.image) || image.names.iter().any(|(name, _)| pod.is_from(name)))
        };
        let (kept, gone): (Vec<Unused>, Vec<Unused>) = images.into_iter().partition(is_used);
        if !kept.is_empty() {
            self.change_index(|index| {
                for (name, entry) in kept.iter().flat_map(|image| &image.names) {
                    index.names.entry(name.clone()).or_insert_with(|| entry.clone());
                }
            })?;
        }
        Ok(Taken { images: gone, kept })
    }
}

struct Taken {
    images: Vec<Unused>,
    kept: Vec<Unused>,
}

struct Chosen {
    go: Vec<Unused>,
    stay: Vec<Unused>,
}

/// Those that may go by their age and where they come from, and the others.
fn unused_as(unused: Vec<Unused>, options: &PruneOptions) -> (Vec<Unused>, Vec<Unused>) {
    let now = SystemTime::now();
    unused.into_iter().partition(|image| {
        let is_old = now.duration_since(image.last_used).is_ok_and(|age| age >= options.unused_for);
        let is_to_be_had_again = image.names.iter().all(|(_, entry)| entry.pulled.is_some());
        is_old && (options.own || is_to_be_had_again)
    })
}

/// Those used longest ago, until with what nothing needs `bytes` are freed.
fn choose(
    mut images: Vec<Unused>,
    needed: &BTreeSet<Digest>,
    sizes: &BTreeMap<Digest, u64>,
    bytes: Option<u64>,
) -> Chosen {
    images.sort_by_key(|image| (image.last_used, image.image));
    let mut users: BTreeMap<Digest, usize> = BTreeMap::new();
    for layer in images.iter().flat_map(|image| image.layers.iter().collect::<BTreeSet<_>>()) {
        *users.entry(*layer).or_default() += 1;
    }
    let size = |layer: &Digest| sizes.get(layer).copied().unwrap_or_default();
    let is_needless = |layer: &&Digest| !needed.contains(layer) && !users.contains_key(layer);
    let mut freed: u64 = sizes.keys().filter(is_needless).map(size).sum();
    let mut chosen = Chosen { go: Vec::new(), stay: Vec::new() };
    for image in images {
        if bytes.is_some_and(|bytes| freed >= bytes) {
            chosen.stay.push(image);
            continue;
        }
        for layer in image.layers.iter().collect::<BTreeSet<_>>() {
            let left = users.entry(*layer).or_default();
            *left = left.saturating_sub(1);
            if *left == 0 && !needed.contains(layer) {
                freed += size(layer);
            }
        }
        chosen.go.push(image);
    }
    chosen
}

fn freed(sizes: &BTreeMap<Digest, u64>, left: &BTreeSet<Digest>) -> u64 {
    sizes.iter().filter(|(layer, _)| !left.contains(layer)).map(|(_, bytes)| bytes).sum()
}

fn pruned(gone: &[Unused], bytes: u64) -> Pruned {
    let names = gone.iter().flat_map(|image| &image.names).map(|(name, _)| name.clone()).collect();
    Pruned { names, images: gone.len(), bytes }
}

/// Pods as they are, and one that has these images.
fn living_and(living: &[PodImages], kept: &[Unused]) -> Vec<PodImages> {
    let ids = kept.iter().map(|image| image.image.to_string()).collect();
    living.iter().cloned().chain([PodImages { ids, ..PodImages::default() }]).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::time::{Duration, SystemTime};

    use registry::Digest;

    use super::{Unused, choose};

    fn digest(name: &str) -> Digest {
        Digest::of(name.as_bytes())
    }

    /// `name:seconds:layer,layer`
    fn images(text: &str) -> Vec<Unused> {
        let image = |text: &str| {
            let mut parts = text.split(':');
            let (name, seconds, layers) = (parts.next()?, parts.next()?, parts.next()?);
            Some(Unused {
                image: digest(name),
                names: Vec::new(),
                last_used: SystemTime::UNIX_EPOCH + Duration::from_secs(seconds.parse().ok()?),
                layers: layers.split(',').map(digest).collect(),
            })
        };
        text.split(' ').filter_map(image).collect()
    }

    #[test]
    fn those_used_longest_ago_go_until_it_is_enough() {
        // Layers of ten bytes each, base shared by a and b, x needed by nothing, n needed by a pod.
        let sizes: BTreeMap<Digest, u64> =
            ["base", "a", "b", "c", "x", "n"].map(|layer| (digest(layer), 10)).into();
        let needed = BTreeSet::from([digest("n")]);
        let all = "a:3:base,a b:1:base,b,b c:2:c,n";
        for (bytes, gone) in [
            (Some(0), ""),
            (Some(10), ""),
            (Some(11), "b"),
            (Some(20), "b"),
            (Some(21), "b c"),
            (Some(31), "b c a"),
            (Some(50), "b c a"),
            (None, "b c a"),
        ] {
            let chosen = choose(images(all), &needed, &sizes, bytes);
            let expected: Vec<Digest> = gone.split(' ').filter(|name| !name.is_empty()).map(digest).collect();
            let found: Vec<Digest> = chosen.go.iter().map(|image| image.image).collect();
            assert_eq!(found, expected, "{bytes:?}");
            assert_eq!(chosen.go.len() + chosen.stay.len(), 3);
        }
    }
}
