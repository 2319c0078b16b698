//! The host's device nodes, for a privileged container.

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use super::SpawnError;
use super::error::c_string;

/// A node, or a directory for some, below `/dev`.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) path: CString,
    /// With the type.
    pub(super) mode: u32,
    pub(super) owner: (u32, u32),
    pub(super) device: u64,
}

/// A machine with thousands of disks has less.
const NODES_MAX: usize = 65_536;
const DEPTH_MAX: usize = 8;
/// The container has its own, or they are somebody's files.
const LEFT_OUT: [&str; 7] = ["pts", "shm", "fd", "mqueue", ".lxc", ".lxd-mounts", ".udev"];

/// Parents before what is in them. Links are left out, as containerd does.
pub(super) fn of_host(dev: &Path) -> Result<Vec<Node>, SpawnError> {
    let mut nodes = Vec::new();
    walk(dev, Path::new(""), 0, &mut nodes)
        .map_err(SpawnError::create::<io::Error>(format!("list the devices in {}", dev.display())))?;
    let directory = |node: &Node| node.mode & 0o170_000 == 0o040_000;
    // A directory without nodes would only tell what else the host has.
    let needed = |at: usize| {
        let mut within = nodes[at].path.as_bytes().to_vec();
        within.push(b'/');
        nodes[at + 1..].iter().any(|node| !directory(node) && node.path.as_bytes().starts_with(&within))
    };
    let kept: Vec<bool> = (0..nodes.len()).map(|at| !directory(&nodes[at]) || needed(at)).collect();
    let mut kept = kept.into_iter();
    nodes.retain(|_| kept.next().unwrap_or(false));
    Ok(nodes)
}

fn walk(dev: &Path, below: &Path, depth: usize, nodes: &mut Vec<Node>) -> io::Result<()> {
    for entry in fs::read_dir(dev.join(below))? {
        let entry = entry?;
        let name = entry.file_name();
        // One that is gone meanwhile is no device of the host.
        let Ok(metadata) = entry.metadata() else { continue };
        let path: PathBuf = below.join(&name);
        let (kind, is_directory) = (metadata.file_type(), metadata.is_dir());
        let is_ours = depth == 0 && (LEFT_OUT.iter().any(|left| name == *left) || name == "console");
        if is_ours || !(is_directory || kind.is_char_device() || kind.is_block_device()) {
            continue;
        }
        if nodes.len() >= NODES_MAX || depth >= DEPTH_MAX {
            return Err(io::Error::other(format!("more than {NODES_MAX}, or deeper than {DEPTH_MAX}")));
        }
        let text = c_string(path.as_os_str().as_bytes(), "a device's path").map_err(io::Error::other)?;
        nodes.push(Node {
            path: text,
            mode: metadata.mode(),
            owner: (metadata.uid(), metadata.gid()),
            device: metadata.rdev(),
        });
        if is_directory {
            walk(dev, &path, depth + 1, nodes)?;
        }
    }
    Ok(())
}
