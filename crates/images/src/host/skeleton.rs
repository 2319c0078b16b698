//! What the image holds beside the host's programs: a generated file tree.

use std::path::{Path, PathBuf};

use container_config::{ImageConfig, Layer};
use sha2::{Digest as _, Sha256};

use super::HostImageError;
use super::source::{Listed, Source};

/// Goes into every digest and fingerprint; raised when the skeleton or the stored config changes.
pub(super) const FORMAT: u32 = 1;

/// What the image takes of the host; nothing else is visible. A link (merged `/usr`) is made again,
/// a directory becomes a layer.
pub(super) const PROGRAM_DIRECTORIES: [&str; 9] =
    ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store", "/gnu/store"];
/// On NixOS and Guix the way from a fixed path to the programs.
pub(super) const SYSTEM_PROFILE: &str = "/run/current-system";

const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Where distributions keep the certificates of authorities.
const CERTIFICATES: [&str; 2] = ["/etc/ssl/certs", "/etc/pki/tls/certs"];
const CERTIFICATE_FILES: [&str; 3] = ["/etc/ssl/cert.pem", "/etc/ssl/ca-bundle.pem", "/etc/pki/tls/cert.pem"];
/// `certs/java/cacerts` is the deepest that occurs.
const CERTIFICATES_DEPTH_MAX: usize = 2;

const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\n\
                      daemon:x:1:1:daemon:/:/usr/sbin/nologin\n\
                      nobody:x:65534:65534:nobody:/:/usr/sbin/nologin\n";
const GROUP: &str = "root:x:0:\ndaemon:x:1:\ntty:x:5:\nusers:x:100:\nnogroup:x:65534:\nnobody:x:65534:\n";
const NSSWITCH: &str = "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\nnetworks: files\n\
                        protocols: files\nservices: files\n";

/// Path inside the image and mode.
const DIRECTORIES: [(&str, u32); 22] = [
    ("/dev", 0o755),
    ("/etc", 0o755),
    ("/home", 0o755),
    ("/media", 0o755),
    ("/mnt", 0o755),
    ("/opt", 0o755),
    ("/proc", 0o555),
    ("/root", 0o700),
    ("/run", 0o755),
    ("/run/lock", 0o1777),
    ("/srv", 0o755),
    ("/sys", 0o555),
    ("/tmp", 0o1777),
    ("/var", 0o755),
    ("/var/cache", 0o755),
    ("/var/lib", 0o755),
    ("/var/local", 0o755),
    ("/var/log", 0o755),
    ("/var/mail", 0o755),
    ("/var/opt", 0o755),
    ("/var/spool", 0o755),
    ("/var/tmp", 0o1777),
];
const LINKS: [(&str, &str); 3] =
    [("/etc/mtab", "../proc/self/mounts"), ("/var/lock", "/run/lock"), ("/var/run", "/run")];
/// The last three are there to be mounted over.
const FILES: [(&str, &str); 6] = [
    ("/etc/passwd", PASSWD),
    ("/etc/group", GROUP),
    ("/etc/nsswitch.conf", NSSWITCH),
    ("/etc/hostname", ""),
    ("/etc/hosts", ""),
    ("/etc/resolv.conf", ""),
];

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Entry {
    /// Absolute inside the image.
    pub(super) path: String,
    pub(super) kind: EntryKind,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum EntryKind {
    Directory {
        mode: u32,
    },
    /// Mode 0644.
    File(Vec<u8>),
    Link(String),
}

#[derive(Debug)]
pub(super) struct Skeleton {
    /// Each after the directory it is in.
    pub(super) entries: Vec<Entry>,
    /// The host's directories, by the path they have in the image.
    host: Vec<(String, PathBuf)>,
    path: String,
}

impl Skeleton {
    pub(super) fn of(source: &Source) -> Result<Self, HostImageError> {
        let mut skeleton = Self { entries: Vec::new(), host: Vec::new(), path: DEFAULT_PATH.to_owned() };
        for (path, mode) in DIRECTORIES {
            skeleton.add(path, EntryKind::Directory { mode });
        }
        for (path, target) in LINKS {
            skeleton.add(path, EntryKind::Link(target.to_owned()));
        }
        for (path, text) in FILES {
            skeleton.add(path, EntryKind::File(text.as_bytes().to_vec()));
        }
        skeleton.add_programs(source);
        skeleton.add_loader_files(source)?;
        skeleton.add_local_time(source)?;
        skeleton.add_alternatives(source)?;
        skeleton.add_certificates(source)?;
        Ok(skeleton)
    }

    /// Over everything the image holds or names.
    pub(super) fn digest(&self) -> String {
        let mut hash = Sha256::new();
        let mut field = |bytes: &[u8]| {
            hash.update(u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_le_bytes());
            hash.update(bytes);
        };
        field(&FORMAT.to_le_bytes());
        field(self.path.as_bytes());
        for (target, directory) in &self.host {
            field(target.as_bytes());
            field(directory.as_os_str().as_encoded_bytes());
        }
        for entry in &self.entries {
            field(entry.path.as_bytes());
            match &entry.kind {
                EntryKind::Directory { mode } => field(&mode.to_le_bytes()),
                EntryKind::File(bytes) => {
                    field(b"file");
                    field(bytes);
                }
                EntryKind::Link(target) => {
                    field(b"link");
                    field(target.as_bytes());
                }
            }
        }
        format!("{:x}", hash.finalize())
    }

    /// The image config, with the skeleton at `rootfs`.
    pub(super) fn config(&self, id: String, rootfs: &Path) -> ImageConfig {
        let mut layers = vec![Layer { target: "/".to_owned(), lower: vec![rootfs.to_owned()] }];
        let layer = |(target, directory): &(String, PathBuf)| Layer {
            target: target.clone(),
            lower: vec![directory.clone()],
        };
        layers.extend(self.host.iter().map(layer));
        ImageConfig {
            id,
            env: vec![format!("PATH={}", self.path)],
            working_dir: "/".to_owned(),
            layers,
            passwd: PASSWD.to_owned(),
            group: GROUP.to_owned(),
            ..ImageConfig::default()
        }
    }

    pub(super) fn host_directories(&self) -> impl Iterator<Item = &Path> {
        self.host.iter().map(|(_, directory)| directory.as_path())
    }

    fn add(&mut self, path: &str, kind: EntryKind) {
        self.entries.push(Entry { path: path.to_owned(), kind });
    }

    /// With the directories above it, as far as they are not there.
    fn add_directory(&mut self, path: &str) {
        let above = path.match_indices('/').map(|(at, _)| &path[..at]).filter(|above| !above.is_empty());
        for directory in above.chain([path]) {
            if self.entries.iter().all(|entry| entry.path != directory) {
                self.add(directory, EntryKind::Directory { mode: 0o755 });
            }
        }
    }

    fn add_programs(&mut self, source: &Source) {
        for path in PROGRAM_DIRECTORIES {
            if let Some(target) = source.link(path) {
                self.add(path, EntryKind::Link(target));
            } else if source.is_directory(path) {
                self.add_directory(path);
                self.host.push((path.to_owned(), source.on_host(path)));
            }
        }
        let profile = source.link(SYSTEM_PROFILE);
        if let Some(target) = profile.filter(|target| is_in_image(target)) {
            self.add(SYSTEM_PROFILE, EntryKind::Link(target));
            // NixOS has its programs in the first, Guix in the second.
            self.path = format!("{SYSTEM_PROFILE}/sw/bin:{SYSTEM_PROFILE}/profile/bin:{DEFAULT_PATH}");
        }
    }

    /// glibc's cache of libraries; musl's search path.
    fn add_loader_files(&mut self, source: &Source) -> Result<(), HostImageError> {
        self.add_file(source, "/etc/ld.so.cache")?;
        for entry in source.list("/etc")? {
            if let Listed::Other { name } = entry
                && name.starts_with("ld-musl-")
                && name.ends_with(".path")
            {
                self.add_file(source, &format!("/etc/{name}"))?;
            }
        }
        Ok(())
    }

    fn add_local_time(&mut self, source: &Source) -> Result<(), HostImageError> {
        match source.link("/etc/localtime").filter(|target| is_in_image(&absolute("/etc", target))) {
            Some(target) => self.add("/etc/localtime", EntryKind::Link(target)),
            None => self.add_file(source, "/etc/localtime")?,
        }
        Ok(())
    }

    /// Debian's and Red Hat's links from `/usr/bin` come by here on their way back to `/usr`.
    fn add_alternatives(&mut self, source: &Source) -> Result<(), HostImageError> {
        const DIRECTORY: &str = "/etc/alternatives";
        self.add_directory(DIRECTORY);
        for entry in source.list(DIRECTORY)? {
            if let Listed::Link { name, target } = entry
                && is_in_image(&target)
            {
                self.add(&format!("{DIRECTORY}/{name}"), EntryKind::Link(target));
            }
        }
        Ok(())
    }

    fn add_certificates(&mut self, source: &Source) -> Result<(), HostImageError> {
        for directory in CERTIFICATES {
            self.add_certificate_directory(source, directory, CERTIFICATES_DEPTH_MAX)?;
        }
        for path in CERTIFICATE_FILES {
            self.add_file(source, path)?;
        }
        Ok(())
    }

    /// Links within the directory or into the image stay links; what others lead to is copied.
    fn add_certificate_directory(
        &mut self,
        source: &Source,
        directory: &str,
        depth: usize,
    ) -> Result<(), HostImageError> {
        let entries = source.list(directory)?;
        if !entries.is_empty() {
            self.add_directory(directory);
        }
        for entry in entries {
            match entry {
                Listed::Link { name, target } if !target.contains('/') || is_in_image(&target) => {
                    self.add(&format!("{directory}/{name}"), EntryKind::Link(target));
                }
                Listed::Link { name, .. } | Listed::Other { name } => {
                    self.add_file(source, &format!("{directory}/{name}"))?;
                }
                Listed::Directory { name } if depth > 1 => {
                    self.add_certificate_directory(source, &format!("{directory}/{name}"), depth - 1)?;
                }
                Listed::Directory { .. } => {}
            }
        }
        Ok(())
    }

    fn add_file(&mut self, source: &Source, path: &str) -> Result<(), HostImageError> {
        if let Some(bytes) = source.public_file(path)? {
            if let Some((directory, _)) = path.rsplit_once('/') {
                self.add_directory(directory);
            }
            self.add(path, EntryKind::File(bytes));
        }
        Ok(())
    }
}

/// Whether an absolute path leads into one of the host's directories.
fn is_in_image(target: &str) -> bool {
    PROGRAM_DIRECTORIES
        .iter()
        .any(|directory| target.strip_prefix(directory).is_some_and(|rest| rest.starts_with('/')))
        && !target.split('/').any(|part| part == "..")
}

/// The target of a link in `directory`, as far as a leading `../` goes.
fn absolute(directory: &str, target: &str) -> String {
    match target.strip_prefix("../") {
        Some(rest) => format!("{}/{rest}", directory.rsplit_once('/').map_or("", |(above, _)| above)),
        None => target.to_owned(),
    }
}
