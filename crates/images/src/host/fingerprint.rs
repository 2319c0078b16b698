//! A cheap sign that the host has not changed.

use std::fmt::Write as _;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::on_host;
use super::skeleton::{FORMAT, PROGRAM_DIRECTORIES, SYSTEM_PROFILE};

/// Files and directories copied from: their time of change counts.
const COPIED: [&str; 11] = [
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/etc/alternatives",
    "/etc/ssl/certs",
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/ssl/certs/java/cacerts",
    "/etc/ssl/cert.pem",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/certs",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/pki/tls/cert.pem",
];

/// Of everything the image is made from. Holds for one boot: what was written shortly before a
/// power loss may not be what is on disk, so after it the files are looked at again.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Fingerprint(String);

impl Fingerprint {
    pub(super) fn take(root: &Path) -> Self {
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let mut text = format!("{FORMAT} {}", boot.trim());
        for path in PROGRAM_DIRECTORIES.iter().chain([&SYSTEM_PROFILE]) {
            let path = on_host(root, path);
            let kind = match fs::symlink_metadata(&path) {
                Ok(found) if found.is_symlink() => {
                    fs::read_link(&path).unwrap_or_default().to_string_lossy().into_owned()
                }
                Ok(found) => found.is_dir().to_string(),
                Err(_) => "-".to_owned(),
            };
            text.push(' ');
            text.push_str(&kind);
        }
        for path in COPIED {
            let path = on_host(root, path);
            append(&mut text, fs::symlink_metadata(&path).ok());
            append(&mut text, fs::metadata(&path).ok());
        }
        Self(text)
    }
}

fn append(text: &mut String, found: Option<Metadata>) {
    let written = match found {
        Some(found) => write!(
            text,
            " {}:{}:{}:{}.{}",
            found.dev(),
            found.ino(),
            found.size(),
            found.ctime(),
            found.ctime_nsec()
        ),
        None => write!(text, " -"),
    };
    debug_assert!(written.is_ok(), "a String takes any text");
}
