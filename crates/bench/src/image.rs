//! The image that is the same for monopod and its peers: this program, with the libraries it is linked to, if any.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::json;

use crate::layer::{ARCHITECTURE, Hashed, digest, directory, header, link};
use crate::pod::PROGRAM;

/// Its name in every store.
pub(crate) const NAME: &str = "localhost/monopod-bench:1";
/// Where a dynamic linker is looked for and looks, by whatever name.
const LIBRARIES: [&str; 2] = ["usr/lib", "usr/lib64"];

/// Writes it as `docker save` would, and its only layer beside that.
pub(crate) fn archive(program: &Path, to: &Path, layer: &Path) -> Result<()> {
    let failed = || format!("cannot write {}", to.display());
    let diff_id = write_layer(program, layer).with_context(failed)?;
    let config = json!({
        "os": "linux", "architecture": ARCHITECTURE, "config": {"Env": ["PATH=/usr/bin"]},
        "rootfs": {"type": "layers", "diff_ids": [diff_id]},
    });
    let config = config.to_string().into_bytes();
    let config_name = format!("{}.json", hex(&digest(&config)));
    let layer_name = format!("{}.tar", hex(&diff_id));
    let manifest = json!([{"Config": config_name, "RepoTags": [NAME], "Layers": [layer_name]}]);
    let mut tar = tar::Builder::new(BufWriter::new(File::create(to).with_context(failed)?));
    file(&mut tar, &config_name, 0o644, &config)?;
    tar.append_path_with_name(layer, &layer_name)?;
    file(&mut tar, "manifest.json", 0o644, manifest.to_string().as_bytes())?;
    Ok(tar.into_inner()?.flush()?)
}

fn hex(digest: &str) -> &str {
    digest.trim_start_matches("sha256:")
}

/// Its digest.
fn write_layer(program: &Path, to: &Path) -> Result<String> {
    let mut tar = tar::Builder::new(Hashed::new(BufWriter::new(File::create(to)?)));
    let mut directories = BTreeSet::new();
    let libraries = libraries()?;
    let parents = libraries.iter().filter_map(|(path, _)| path.parent());
    for path in LIBRARIES.iter().map(Path::new).chain(parents) {
        directories.extend(path.ancestors().filter(|above| above.starts_with("usr")));
    }
    // What is above another sorts before it.
    for path in &directories {
        directory(&mut tar, &format!("{}/", path.display()))?;
    }
    for name in ["lib", "lib64"] {
        link(&mut tar, name, &format!("usr/{name}"))?;
    }
    for (path, source) in &libraries {
        let name = path.file_name().context("a library without a name")?;
        file(&mut tar, path, 0o755, &fs::read(source)?)?;
        for link_path in LIBRARIES.iter().map(|directory| Path::new(directory).join(name)) {
            if link_path != *path {
                let (link_path, to) = (link_path.display().to_string(), format!("/{}", path.display()));
                link(&mut tar, &link_path, &to)?;
            }
        }
    }
    file(&mut tar, PROGRAM.trim_start_matches('/'), 0o755, &fs::read(program)?)?;
    let (mut written, digest, _) = tar.into_inner()?.finish();
    written.flush()?;
    Ok(digest)
}

/// What this process has mapped, by where it is in the image, and where here. None when it is linked statically.
fn libraries() -> Result<Vec<(PathBuf, PathBuf)>> {
    let maps = fs::read_to_string("/proc/self/maps")?;
    let mapped: BTreeSet<&str> = maps
        .lines()
        .filter_map(|line| Some(&line[line.find('/')?..]))
        .filter(|path| path.contains(".so"))
        .collect();
    let place = |path: &str| {
        let below = Path::new(path.trim_start_matches('/'));
        // `/lib` is a link in the image.
        if below.starts_with("usr") { below.to_owned() } else { Path::new("usr").join(below) }
    };
    Ok(mapped.into_iter().map(|path| (place(path), PathBuf::from(path))).collect())
}

fn file(tar: &mut tar::Builder<impl Write>, path: impl AsRef<Path>, mode: u32, content: &[u8]) -> Result<()> {
    Ok(tar.append_data(&mut header(tar::EntryType::Regular, mode, content.len() as u64), path, content)?)
}
