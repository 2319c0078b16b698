//! Devices: which nodes there are, and which devices can be reached by a node of one's own.

use std::fs;
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, OFlags, makedev, mknodat, open, unlink};
use serde_json::{Map, Value, json};

use super::files::describe;
use super::{object, outcome};

/// Kind and number: those every container has, and those that none should reach.
const DEVICES: [(&str, FileType, u32, u32); 17] = [
    ("null", FileType::CharacterDevice, 1, 3),
    ("zero", FileType::CharacterDevice, 1, 5),
    ("full", FileType::CharacterDevice, 1, 7),
    ("random", FileType::CharacterDevice, 1, 8),
    ("urandom", FileType::CharacterDevice, 1, 9),
    ("mem", FileType::CharacterDevice, 1, 1),
    ("port", FileType::CharacterDevice, 1, 4),
    ("kmsg", FileType::CharacterDevice, 1, 11),
    ("tty0", FileType::CharacterDevice, 4, 0),
    ("tty", FileType::CharacterDevice, 5, 0),
    ("console", FileType::CharacterDevice, 5, 1),
    ("ptmx", FileType::CharacterDevice, 5, 2),
    ("tun", FileType::CharacterDevice, 10, 200),
    ("fuse", FileType::CharacterDevice, 10, 229),
    ("kvm", FileType::CharacterDevice, 10, 232),
    ("loop0", FileType::BlockDevice, 7, 0),
    ("disk", FileType::BlockDevice, 254, 0),
];

/// Everything below /dev, with where links lead.
pub(super) fn dev() -> Value {
    let mut found = Map::new();
    visit(Path::new("/dev"), &mut found);
    Value::Object(found)
}

fn visit(directory: &Path, found: &mut Map<String, Value>) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
        let description = match fs::read_link(&path) {
            Ok(target) => format!("link to {}", target.display()),
            Err(_) => describe(&metadata),
        };
        found.insert(path.display().to_string(), json!(description));
        if metadata.is_dir() {
            visit(&path, found);
        }
    }
}

/// Makes a node for each device and opens it, without reading.
pub(super) fn reach() -> Value {
    object(DEVICES.map(|(name, kind, major, minor)| (name.to_owned(), try_device(kind, major, minor))))
}

fn try_device(kind: FileType, major: u32, minor: u32) -> Value {
    const NODE: &str = "/tmp/e2e-probe-node";
    let made = mknodat(CWD, NODE, kind, Mode::from_raw_mode(0o666), makedev(major, minor));
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let opened = |access| outcome(open(NODE, flags | access, Mode::empty()));
    let found = json!({
        "made": outcome(made),
        "read": opened(OFlags::RDONLY),
        "write": opened(OFlags::WRONLY),
    });
    let _ = unlink(NODE);
    found
}
