//! Images pulled from a registry made for the purpose, good and bad, into stores of their own.

mod access;
mod cancelled;
mod full;
mod hostile;
mod kinds;
mod reclaimed;
mod shared;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use container_config::ImageConfig;
use lifecycle::Pulled;
use podspec::PullPolicy;
use ports::{ImageError, PullObserver, PullProgress};
use registry::{Client, Hosts, Limits, NodeCredentials};
use registry_double::{Double, Image, Layer};

use crate::host::tests::Directory;
use crate::store::{SharedPods, Store};
use crate::tests::ensure;
use crate::{Images, Policy, Registries};

const SOON: Duration = Duration::from_secs(30);

struct Bed {
    directory: Directory,
    double: Double,
    images: Arc<Images>,
}

impl Bed {
    /// `None`, having said so, where there can be no store.
    fn new() -> Option<Self> {
        let directory = Directory::for_owned_layers()?;
        let images = engine(directory.path(), Policy::accept_anything());
        Some(Self { directory, double: Double::start(), images })
    }

    /// Another engine under the same root.
    fn engine(&self) -> Arc<Images> {
        engine(self.directory.path(), Policy::accept_anything())
    }

    fn store(&self) -> Store {
        Store::new(&self.images_dir())
    }

    fn images_dir(&self) -> PathBuf {
        self.directory.path().join("images")
    }

    /// What a pod calls an image of the registry.
    fn name(&self, of_repository: &str) -> String {
        format!("{}/{of_repository}", self.double.host())
    }

    async fn pull(&self, of_repository: &str) -> Result<(Arc<ImageConfig>, Option<Pulled>), ImageError> {
        ensure(&self.images, &self.name(of_repository), PullPolicy::IfNotPresent).await
    }

    /// `reason: message`
    async fn refusal(&self, of_repository: &str) -> String {
        let error = self.pull(of_repository).await.expect_err("it is refused");
        format!("{}: {}", error.reason, error.message)
    }

    /// Once all is cleared away: the files of the store but what is in layers.
    async fn tree(&self) -> BTreeMap<String, Vec<u8>> {
        self.images.idle().await;
        let mut files = BTreeMap::new();
        let images = self.images_dir();
        collect(&images, &images, &mut files);
        files
    }

    fn layers(&self) -> usize {
        let layers = self.images_dir().join("layers");
        std::fs::read_dir(layers).map_or(0, Iterator::count)
    }
}

fn engine(directory: &Path, policy: Policy) -> Arc<Images> {
    engine_of(directory, policy, 5)
}

fn engine_of(directory: &Path, policy: Policy, pulls_at_once: usize) -> Arc<Images> {
    let limits = Limits { stall: Duration::from_secs(2), ..Limits::default() };
    let client = Client::with_limits(Hosts::new(vec![]), &|_| None, limits).expect("a client");
    let images = Images::new(&directory.join("images"), false);
    let credentials = NodeCredentials::new(BTreeMap::new(), "");
    Arc::new(images.with_registries(
        Registries { client, credentials, policy, pulls_at_once },
        SharedPods::new(|| Ok(Vec::new())),
    ))
}

fn collect(root: &Path, directory: &Path, files: &mut BTreeMap<String, Vec<u8>>) {
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        let name = path.strip_prefix(root).expect("below").display().to_string();
        if path.is_dir() && name != "layers" {
            collect(root, &path, files);
            if !matches!(name.as_str(), "staging" | "pulling" | "configs" | "access") {
                files.insert(name, Vec::new());
            }
        } else if path.is_file() && !name.ends_with("lock") && name != "access/salt" {
            files.insert(name, std::fs::read(&path).expect("a file"));
        }
    }
}

/// What an observer was told.
#[derive(Debug, Default)]
struct Told {
    pulling: Mutex<usize>,
    progress: Mutex<Vec<PullProgress>>,
}

impl PullObserver for Told {
    fn pulling(&self) {
        *self.pulling.lock().expect("nobody panicked") += 1;
    }

    fn progress(&self, progress: &PullProgress) {
        self.progress.lock().expect("nobody panicked").push(progress.clone());
    }
}

/// A layer of one file.
fn layer(name: &str, content: &[u8]) -> Layer {
    Layer::of_files(&[(name, content)])
}

/// An image of a layer for each name, whose file holds the name.
fn image(names: &[&str]) -> Image {
    Image::new(names.iter().map(|name| layer(name, name.as_bytes())).collect())
}

/// Bytes that do not compress.
fn noise(seed: u64, bytes: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    std::iter::repeat_with(&mut next).take(bytes).collect()
}

fn file(config: &ImageConfig, name: &str) -> Option<Vec<u8>> {
    config.layers[0].lower.iter().find_map(|fs| std::fs::read(fs.join(name)).ok())
}
