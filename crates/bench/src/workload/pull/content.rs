//! The image that is pulled: the same bytes every time.

use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result, anyhow};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use crate::layer::{ARCHITECTURE, Hashed, digest, directory, header, link};

pub(super) const LAYERS: usize = 8;
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
/// The sizes of a layer's files, over and over: programs, libraries, and many that are small.
const FILE_KIB: [usize; 12] = [4, 16, 4, 64, 1_024, 4, 16, 256, 4, 32, 8_192, 8];
/// So much of a file is one sort of bytes.
const BLOCK_BYTES: usize = 8 << 10;
const LEVEL: u32 = 6;

/// Two images that have all layers but the last in common, in a directory of blobs by their digests.
#[derive(Debug)]
pub(super) struct Content {
    pub(super) blobs: PathBuf,
    /// Their manifests.
    pub(super) images: [Manifest; 2],
    /// Of the first one's layers, as they are fetched and as they are unpacked.
    pub(super) compressed: u64,
    pub(super) unpacked: u64,
}

#[derive(Clone, Debug)]
pub(super) struct Manifest {
    pub(super) bytes: Vec<u8>,
    pub(super) digest: String,
}

#[derive(Clone, Debug)]
struct Layer {
    digest: String,
    diff_id: String,
    compressed: u64,
    unpacked: u64,
}

impl Content {
    /// Of `bytes` unpacked.
    pub(super) fn make(dir: &Path, bytes: usize) -> Result<Self> {
        let blobs = dir.join("blobs");
        fs::create_dir_all(&blobs).with_context(|| format!("cannot make {}", blobs.display()))?;
        // One more than an image has: the second one's last.
        let layers = in_parallel(LAYERS + 1, |n| layer(&blobs, n, bytes / LAYERS))?;
        let second: Vec<&Layer> = layers[..LAYERS - 1].iter().chain(&layers[LAYERS..]).collect();
        let first: Vec<&Layer> = layers[..LAYERS].iter().collect();
        let sum = |of: fn(&Layer) -> u64| first.iter().copied().map(of).sum();
        Ok(Self {
            compressed: sum(|layer| layer.compressed),
            unpacked: sum(|layer| layer.unpacked),
            images: [manifest(&blobs, &first)?, manifest(&blobs, &second)?],
            blobs,
        })
    }
}

/// As many at a time as there are processors.
fn in_parallel<T: Send>(count: usize, make: impl Fn(usize) -> Result<T> + Sync) -> Result<Vec<T>> {
    let (next, made) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let jobs = std::thread::available_parallelism()?.get();
    std::thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    if n >= count {
                        return;
                    }
                    let one = make(n);
                    made.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push((n, one));
                }
            });
        }
    });
    let mut made = made.into_inner().map_err(|_| anyhow!("a thread that makes layers panicked"))?;
    made.sort_by_key(|(n, _)| *n);
    made.into_iter().map(|(_, one)| one).collect()
}

fn manifest(blobs: &Path, layers: &[&Layer]) -> Result<Manifest> {
    let diff_ids: Vec<&str> = layers.iter().map(|layer| layer.diff_id.as_str()).collect();
    let config = json!({"os": "linux", "architecture": ARCHITECTURE, "config": {"Env": ["PATH=/usr/bin"]},
        "rootfs": {"type": "layers", "diff_ids": diff_ids}});
    let config = config.to_string().into_bytes();
    let config_digest = digest(&config);
    fs::write(blobs.join(&config_digest), &config)?;
    let layers: Vec<Value> = layers
        .iter()
        .map(|layer| json!({"mediaType": LAYER, "digest": layer.digest, "size": layer.compressed}))
        .collect();
    let bytes = json!({
        "schemaVersion": 2, "mediaType": MANIFEST, "layers": layers,
        "config": {"mediaType": CONFIG, "digest": config_digest, "size": config.len()},
    });
    let bytes = bytes.to_string().into_bytes();
    Ok(Manifest { digest: digest(&bytes), bytes })
}

fn layer(blobs: &Path, n: usize, bytes: usize) -> Result<Layer> {
    let path = blobs.join(format!("{n}.new"));
    let file = BufWriter::new(File::create(&path)?);
    let mut tar = tar::Builder::new(Hashed::new(GzEncoder::new(Hashed::new(file), Compression::new(LEVEL))));
    if n == 0 {
        // What a program of the host's needs, whose libraries are mounted.
        directory(&mut tar, "usr/")?;
        for name in ["lib", "lib64"] {
            link(&mut tar, name, &format!("usr/{name}"))?;
        }
    }
    directory(&mut tar, &format!("layer-{n}/"))?;
    let mut random = Random(0x9E37_79B9_7F4A_7C15 ^ (n as u64 + 1));
    let (mut left, mut count) = (bytes, 0);
    while left > 0 {
        let length = (FILE_KIB[count % FILE_KIB.len()] << 10).min(left);
        let content = random.content(length);
        let mut header = header(tar::EntryType::Regular, 0o644, length as u64);
        tar.append_data(&mut header, format!("layer-{n}/{count}"), &content[..])?;
        left -= length;
        count += 1;
    }
    let (gzip, diff_id, unpacked) = tar.into_inner()?.finish();
    let (mut file, digest, compressed) = gzip.finish()?.finish();
    file.flush()?;
    fs::rename(&path, blobs.join(&digest))?;
    Ok(Layer { digest, diff_id, compressed, unpacked })
}

/// xorshift64: half of what it makes is noise, half is text, as programs are.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn content(&mut self, bytes: usize) -> Vec<u8> {
        let mut content = Vec::with_capacity(bytes + BLOCK_BYTES);
        while content.len() < bytes {
            let end = content.len() + BLOCK_BYTES;
            if self.next().is_multiple_of(2) {
                while content.len() < end {
                    content.extend(self.next().to_le_bytes());
                }
            } else {
                while content.len() < end {
                    let word = self.next() % 997;
                    content.extend(format!("word-{word} of a text of {} words\n", word * 31).bytes());
                }
            }
        }
        content.truncate(bytes);
        content
    }
}
