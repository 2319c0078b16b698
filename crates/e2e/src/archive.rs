//! Archives of images, made for a test.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tar::{Builder, EntryType, Header};

use crate::outcome::skip;

/// The tar of one layer in the making.
pub(crate) struct Layer(Builder<Vec<u8>>);

impl Layer {
    pub(crate) fn new() -> Self {
        Self(Builder::new(Vec::new()))
    }

    /// What a container needs to run the host's shell: `/usr` is to be mounted from the host. Skips the
    /// test where the host's programs are not all there.
    pub(crate) fn base() -> Result<Self> {
        let mut layer = Self::new().directory("usr", 0o755)?.directory("etc", 0o755)?;
        layer = layer.file("etc/passwd", "root:x:0:0:root:/root:/bin/sh\napp:x:1234:1234::/:/bin/sh\n")?;
        for name in ["bin", "lib", "lib64"] {
            match fs::read_link(Path::new("/").join(name)) {
                Ok(target) => layer = layer.link(name, &target.to_string_lossy())?,
                Err(_) if name == "lib64" => {}
                Err(_) => return skip(format!("/{name} is not a link into /usr")),
            }
        }
        Ok(layer)
    }

    pub(crate) fn file(self, path: &str, text: &str) -> Result<Self> {
        self.entry(path, EntryType::Regular, 0o644, None, text.as_bytes())
    }

    pub(crate) fn program(self, path: &str, bytes: &[u8]) -> Result<Self> {
        self.entry(path, EntryType::Regular, 0o755, None, bytes)
    }

    pub(crate) fn directory(self, path: &str, mode: u32) -> Result<Self> {
        self.directory_of(path, mode, 0)
    }

    /// Of the user and the group with this id.
    pub(crate) fn directory_of(mut self, path: &str, mode: u32, id: u32) -> Result<Self> {
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::Directory);
        header.set_mode(mode);
        header.set_uid(id.into());
        header.set_gid(id.into());
        header.set_size(0);
        self.0.append_data(&mut header, path, &b""[..]).with_context(|| format!("cannot add {path}"))?;
        Ok(self)
    }

    pub(crate) fn link(self, path: &str, target: &str) -> Result<Self> {
        self.entry(path, EntryType::Symlink, 0o777, Some(target), b"")
    }

    pub(crate) fn hard_link(self, path: &str, target: &str) -> Result<Self> {
        self.entry(path, EntryType::Link, 0o644, Some(target), b"")
    }

    /// Its path hides nothing that is in the same layer.
    pub(crate) fn whiteout(self, directory: &str, name: &str) -> Result<Self> {
        self.file(&format!("{directory}/.wh.{name}"), "")
    }

    pub(crate) fn opaque(self, directory: &str) -> Result<Self> {
        self.directory(directory, 0o755)?.whiteout(directory, ".wh..opq")
    }

    pub(crate) fn into_tar(self) -> Result<Vec<u8>> {
        Ok(self.0.into_inner()?)
    }

    fn entry(
        mut self,
        path: &str,
        kind: EntryType,
        mode: u32,
        link: Option<&str>,
        bytes: &[u8],
    ) -> Result<Self> {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_size(bytes.len() as u64);
        let added = match link {
            Some(target) => self.0.append_link(&mut header, path, target),
            None => self.0.append_data(&mut header, path, bytes),
        };
        added.with_context(|| format!("cannot add {path}"))?;
        Ok(self)
    }
}

/// A Docker archive of one image for this machine, whose configuration has `process` as its `config`.
pub(crate) fn docker(name: &str, process: &Value, layers: Vec<Layer>) -> Result<Vec<u8>> {
    let mut archive = Layer::new();
    let (mut files, mut diff_ids) = (vec![], vec![]);
    for (n, layer) in layers.into_iter().enumerate() {
        let bytes = layer.0.into_inner()?;
        let file = format!("{n}/layer.tar");
        diff_ids.push(format!("sha256:{}", hex(&bytes)));
        archive = archive.program(&file, &bytes)?;
        files.push(file);
    }
    let config = json!({
        "os": "linux", "architecture": architecture(), "config": process,
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    });
    let config = config.to_string();
    let config_file = format!("{}.json", hex(config.as_bytes()));
    let manifest = json!([{"Config": config_file, "RepoTags": [name], "Layers": files}]);
    let archive = archive.file(&config_file, &config)?.file("manifest.json", &manifest.to_string())?;
    Ok(archive.0.into_inner()?)
}

fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn hex(bytes: &[u8]) -> String {
    format!("{:x}", Sha256::digest(bytes))
}

/// A static program that exits with code 42: an ELF header, one segment and three instructions. Skips
/// the test on other processors than it is written for.
pub(crate) fn static_program() -> Result<Vec<u8>> {
    const BASE: u64 = 0x40_0000;
    const HEADERS_BYTES: u64 = 64 + 56;
    let (machine, code): (u16, &[u8]) = match std::env::consts::ARCH {
        // mov edi, 42; mov eax, 60 (exit); syscall
        "x86_64" => (62, &[0xbf, 42, 0, 0, 0, 0xb8, 60, 0, 0, 0, 0x0f, 0x05]),
        // mov x0, 42; mov x8, 93 (exit); svc 0
        "aarch64" => (183, &[0x40, 0x05, 0x80, 0xd2, 0xa8, 0x0b, 0x80, 0xd2, 0x01, 0, 0, 0xd4]),
        other => return skip(format!("no program for {other}")),
    };
    let length = HEADERS_BYTES + code.len() as u64;
    let mut elf = b"\x7fELF\x02\x01\x01".to_vec();
    elf.resize(16, 0);
    // Type, machine, version.
    elf.extend([2_u16.to_le_bytes(), machine.to_le_bytes(), 1_u16.to_le_bytes(), [0; 2]].concat());
    // Entry, program headers, section headers.
    elf.extend([(BASE + HEADERS_BYTES).to_le_bytes(), 64_u64.to_le_bytes(), [0; 8]].concat());
    // Flags, then sizes and counts of headers.
    elf.extend([0; 4]);
    elf.extend([64_u16, 56, 1, 64, 0, 0].map(u16::to_le_bytes).concat());
    // One segment to load, which can be read and executed.
    elf.extend([1_u32.to_le_bytes(), 5_u32.to_le_bytes()].concat());
    elf.extend([0, BASE, BASE, length, length, 0x1000].map(u64::to_le_bytes).concat());
    elf.extend(code);
    Ok(elf)
}
