//! Tests of the whole store. `faulty` is the disk they break.

mod crash;
mod errors;
mod faulty;
mod file;
mod speed;
mod watch;
mod write;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::writer::{BLOCK, COLLECT_MS, Pace};
use crate::{Draft, Index, ObjectKey, Options, Place, Resource, Store};

const PODS: Resource = Resource::new("pods");
const NODES: Resource = Resource::new("nodes");
const USUAL: Pace = Pace { block: BLOCK, collect_ms: COLLECT_MS };

fn pod(name: &str) -> ObjectKey {
    ObjectKey::new(PODS, "default", name)
}

fn draft(key: &ObjectKey, json: impl Into<Vec<u8>>) -> Draft {
    let json = json.into();
    let Index { labels, fields } = read_index(key.resource, &json).unwrap_or_default();
    Draft { key: key.clone(), uid: "u".to_owned(), labels, fields, json }
}

/// Labels of the form `{"metadata":{"labels":{..}}}`, and one field.
fn read_index(_: Resource, json: &[u8]) -> Result<Index, String> {
    #[derive(Default, serde::Deserialize)]
    #[serde(default)]
    struct Object {
        metadata: Metadata,
    }
    #[derive(Default, serde::Deserialize)]
    #[serde(default)]
    struct Metadata {
        labels: std::collections::BTreeMap<String, String>,
    }
    let object: Object = serde_json::from_slice(json).map_err(|error| error.to_string())?;
    Ok(Index { labels: object.metadata.labels, fields: vec![("spec.nodeName", "n".to_owned())] })
}

fn options() -> Options {
    Options { index: read_index }
}

fn memory() -> Store {
    Store::open(Place::Memory, options()).unwrap()
}

fn json(text: &str) -> String {
    format!("{{\"text\":{text:?}}}")
}

fn text_of(object: &crate::Object) -> String {
    let value: serde_json::Value = serde_json::from_slice(&object.json).unwrap();
    value["text"].as_str().unwrap_or_default().to_owned()
}

/// Writes one object and returns its revision.
async fn put(
    store: &Store,
    durability: crate::Durability,
    key: &ObjectKey,
    text: &str,
) -> Result<u64, crate::WriteError> {
    let draft = draft(key, json(text));
    let done = store.write(durability, move |tx| Ok::<_, std::convert::Infallible>(tx.put(draft))).await?;
    Ok(done.unwrap())
}

async fn delete(
    store: &Store,
    durability: crate::Durability,
    key: &ObjectKey,
) -> Result<Option<u64>, crate::WriteError> {
    let key = key.clone();
    let done = store
        .write(durability, move |tx| Ok::<_, std::convert::Infallible>(tx.delete(&key, b"{}".to_vec())))
        .await?;
    Ok(done.unwrap())
}

fn names(store: &Store, resource: Resource) -> Vec<String> {
    store
        .list(resource, None, None, None, |_| true)
        .objects
        .iter()
        .map(|object| object.key.name.clone())
        .collect()
}

/// A directory that goes with the test.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Directory {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("store-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Directory(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join("store.redb")
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn open(path: &Path) -> Store {
    Store::open(Place::File(path.to_owned()), options()).unwrap()
}
