//! `index.json`: which names lead to which image.

use std::collections::BTreeMap;
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::error::StoreError;
use super::files;
use registry::Digest;
use registry::Reference;

/// Some ten thousand names.
const INDEX_BYTES_MAX: u64 = 4 << 20;

#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Index {
    /// By full name: `docker.io/library/busybox:1.36`, or with `@sha256:...` in place of the tag.
    pub(crate) names: BTreeMap<String, Entry>,
}

/// What a name stands for.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// The image ID: the digest of its configuration.
    pub(crate) image: Digest,
    /// Of the manifest it came with and of the indexes above that; `REPOSITORY@DIGEST` is one of these.
    #[serde(default)]
    pub(crate) digests: Vec<Digest>,
    /// What a registry answered with when it was asked for this name: one of `digests`. None of an image that was
    /// loaded or imported, which no registry may have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) pulled: Option<Digest>,
}

/// Which file it was that was read: a rename makes it another one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Stamp(Option<(u64, u64, u64, i64, i64)>);

impl Index {
    /// What an image reference of a pod leads to. A digest goes before a tag, as everywhere.
    pub(crate) fn find(&self, reference: &Reference) -> Option<&Entry> {
        let Some(digest) = &reference.digest else { return self.names.get(&reference.to_string()) };
        let digest = Digest::parse(digest)?;
        let of_repository = |(name, entry): (&String, &'_ Entry)| {
            entry.digests.contains(&digest)
                && Reference::parse(name)
                    .is_ok_and(|name| (&name.domain, &name.path) == (&reference.domain, &reference.path))
        };
        self.names.iter().find(|(name, entry)| of_repository((name, entry))).map(|(_, entry)| entry)
    }

    /// The names of an image, in order.
    pub(crate) fn names_of(&self, image: Digest) -> Vec<String> {
        self.names.iter().filter(|(_, entry)| entry.image == image).map(|(name, _)| name.clone()).collect()
    }
}

impl Entry {
    /// What its registry knows an image by that was pulled: `REPOSITORY@DIGEST`, of the index if it was one.
    pub(crate) fn repo_digest(&self, name: &Reference) -> Option<String> {
        let Reference { domain, path, .. } = name;
        self.pulled.map(|digest| format!("{domain}/{path}@{digest}"))
    }
}

impl Stamp {
    pub(super) fn take(path: &Path) -> Result<Self, StoreError> {
        let of =
            |found: &Metadata| (found.dev(), found.ino(), found.size(), found.ctime(), found.ctime_nsec());
        match std::fs::metadata(path) {
            Ok(found) => Ok(Self(Some(of(&found)))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self(None)),
            Err(source) => Err(StoreError::Read { path: path.to_owned(), source }),
        }
    }
}

pub(super) fn read(path: &Path) -> Result<Index, StoreError> {
    let index: Index = files::read_record(path, INDEX_BYTES_MAX)?.unwrap_or_default();
    let is_full_name = |name: &str| Reference::parse(name).is_ok_and(|full| full.to_string() == name);
    match index.names.keys().find(|name| !is_full_name(name)) {
        Some(name) => Err(StoreError::MalformedName { path: path.to_owned(), name: name.clone() }),
        None => Ok(index),
    }
}

/// Changes the index while nobody else does. What `change` leaves as it was is not written.
pub(super) fn update<T>(
    path: &Path,
    lock_path: PathBuf,
    change: impl FnOnce(&mut Index) -> T,
) -> Result<T, StoreError> {
    let locked = File::create(&lock_path).and_then(|file| file.lock().map(|()| file));
    let _lock = locked.map_err(|source| StoreError::Lock { path: lock_path, source })?;
    let before = read(path)?;
    let mut index = before.clone();
    let result = change(&mut index);
    if index != before {
        let text = files::record(path, &index)?;
        if text.len() as u64 > INDEX_BYTES_MAX {
            return Err(StoreError::IndexFull);
        }
        files::replace(path, &path.with_extension("json.new"), &text)?;
    }
    Ok(result)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{Entry, Index, read, update};
    use crate::host::tests::Directory;
    use registry::Digest;
    use registry::Reference;

    fn entry(text: &str) -> Entry {
        Entry { image: Digest::of(text.as_bytes()), digests: vec![Digest::of(b"manifest")], pulled: None }
    }

    #[test]
    fn an_image_is_found_by_its_name_or_by_the_digest_of_its_manifest() {
        let mut index = Index::default();
        index.names.insert("docker.io/library/a:1".into(), entry("a"));
        let find = |text: &str| index.find(&Reference::parse(text).unwrap()).is_some();
        let digest = Digest::of(b"manifest");
        assert!(find("a:1") && find("docker.io/a:1") && find(&format!("a@{digest}")));
        assert!(find(&format!("a:other@{digest}")), "the digest counts, not the tag");
        assert!(!find("a") && !find("b:1") && !find(&format!("b@{digest}")));
        assert!(!find(&format!("a@{}", Digest::of(b""))));
    }

    #[test]
    fn foreign_bytes_are_errors() {
        let directory = Directory::new();
        let path = directory.path().join("index.json");
        assert_eq!(read(&path).unwrap(), Index::default(), "no file, no images");
        let id = Digest::of(b"");
        let deep = format!("{{\"schema\":1,\"names\":{}", "[".repeat(100_000));
        for (text, part) in [
            ("", "is not what monopod wrote"),
            ("[]", "is not what monopod wrote"),
            ("{\"schema\":1}", "is not what monopod wrote"),
            ("{\"schema\":2,\"names\":7}", "has schema version 2, this monopod knows 1"),
            ("{\"schema\":1,\"names\":{\"a\":{\"image\":\"sha256:../x\"}}}", "is not what monopod wrote"),
            (&deep, "is not what monopod wrote"),
            (&format!("{{\"schema\":1,\"names\":{{\"../x\":{{\"image\":\"{id}\"}}}}}}"), "no image name"),
            (&format!("{{\"schema\":1,\"names\":{{\"a\":{{\"image\":\"{id}\"}}}}}}"), "no image name"),
        ] {
            fs::write(&path, text).unwrap();
            let error = read(&path).unwrap_err().to_string();
            assert!(error.contains(part), "{text:.40}: {error}");
        }
        fs::File::create(&path).unwrap().set_len(super::INDEX_BYTES_MAX + 1).unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("is longer than"));
    }

    #[test]
    fn an_update_is_seen_by_the_next_reader() {
        let directory = Directory::new();
        let (path, lock) = (directory.path().join("index.json"), directory.path().join("index.lock"));
        let add = |name: &str| {
            update(&path, lock.clone(), |index| index.names.insert(name.into(), entry(name))).unwrap()
        };
        assert!(add("docker.io/library/a:1").is_none());
        assert!(add("docker.io/library/b:1").is_none());
        assert!(add("docker.io/library/a:1").is_some());
        assert_eq!(read(&path).unwrap().names.len(), 2);
    }
}
