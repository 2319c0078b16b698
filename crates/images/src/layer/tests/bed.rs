//! A directory to unpack into, and what is around it.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use crate::host::tests::Directory;
use crate::layer::{LayerError, Limits, Unpacked, repack, unpack};

// statfs(2) f_type.
const TMPFS: i64 = 0x0102_1994;

pub(super) struct Bed {
    directory: Directory,
}

impl Bed {
    /// `None`, having said so, where tests of layers cannot run.
    pub(super) fn new() -> Option<Self> {
        Some(Self::on(Directory::for_layers()?))
    }

    fn on(directory: Directory) -> Self {
        let bed = Self { directory };
        fs::create_dir(bed.fs()).expect("a directory");
        fs::create_dir(bed.outside()).expect("a directory");
        fs::write(bed.outside().join("kept"), "kept").expect("a file");
        bed
    }

    /// As [`Self::new`], for tests that make whiteouts, owners, or `trusted` attributes.
    pub(super) fn of_root() -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            println!("Skipped(needs root, for whiteouts and owners)");
            return None;
        }
        Self::new()
    }

    /// As [`Self::of_root`], in memory where that can be: for tests that unpack thousands of archives.
    pub(super) fn in_memory() -> Option<Self> {
        let memory = Path::new("/dev/shm");
        let is_there = rustix::fs::statfs(memory).is_ok_and(|found| found.f_type == TMPFS);
        let bed = Self::of_root()?;
        Some(if is_there { Self::on(Directory::below(memory)) } else { bed })
    }

    pub(super) fn fs(&self) -> PathBuf {
        self.directory.path().join("fs")
    }

    pub(super) fn recipe(&self) -> PathBuf {
        self.directory.path().join("recipe")
    }

    /// A new directory of this name.
    pub(super) fn below(&self, name: &str) -> PathBuf {
        let path = self.directory.path().join("below").join(name);
        fs::create_dir_all(&path).expect("a directory");
        path
    }

    pub(super) fn outside(&self) -> PathBuf {
        self.directory.path().join("outside")
    }

    /// Before unpacking once more.
    pub(super) fn clear(&self) {
        assert!(linux_sys::remove_tree::remove_tree(&self.fs()).is_empty());
        fs::create_dir(self.fs()).expect("a directory");
        for name in ["recipe", "recipe.displaced"] {
            let _ = fs::remove_file(self.directory.path().join(name));
        }
    }

    /// Unpacks and, when that works, checks that the archive can be made again.
    pub(super) fn unpack(&self, archive: &[u8]) -> Result<Unpacked, LayerError> {
        self.unpack_within(archive, &Limits::default())
    }

    pub(super) fn unpack_within(&self, archive: &[u8], limits: &Limits) -> Result<Unpacked, LayerError> {
        let result = unpack(archive, &self.fs(), &self.recipe(), limits);
        self.check_outside();
        if let Ok(unpacked) = &result {
            assert_eq!(self.check_repack(archive), unpacked.diff_id);
            assert_eq!(unpacked.size_bytes, archive.len() as u64);
        }
        result
    }

    /// Returns the diff ID.
    pub(super) fn check_repack(&self, archive: &[u8]) -> String {
        let mut again = vec![];
        let diff_id = repack(&self.fs(), &self.recipe(), &mut again).expect("an archive");
        assert!(again == archive, "another archive");
        diff_id
    }

    /// The text of the error.
    pub(super) fn refusal(&self, archive: &[u8]) -> String {
        self.unpack(archive).expect_err("refused").to_string()
    }

    /// What was made: a line for each path, in order.
    pub(super) fn listing(&self) -> String {
        let mut text = String::new();
        list(&self.fs(), &self.fs(), &mut text);
        text
    }

    pub(super) fn check_outside(&self) {
        let names = |path: &Path| {
            let entries = fs::read_dir(path).expect("a directory");
            let mut names: Vec<_> = entries.map(|entry| entry.expect("an entry").file_name()).collect();
            names.sort();
            names
        };
        assert_eq!(names(&self.outside()), ["kept"]);
        assert_eq!(fs::read(self.outside().join("kept")).expect("a file"), b"kept");
        let kept = fs::metadata(self.outside().join("kept")).expect("a file");
        assert_eq!((kept.nlink(), kept.mode() & 0o777), (1, 0o644), "{kept:?}");
        for name in names(self.directory.path()) {
            assert!(
                ["below", "fs", "outside", "recipe", "recipe.displaced"].iter().any(|n| name == *n),
                "{name:?}"
            );
        }
    }
}

fn list(root: &Path, directory: &Path, text: &mut String) {
    let entries = fs::read_dir(directory).expect("a directory");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    for path in paths {
        let found = fs::symlink_metadata(&path).expect("a file");
        let name = path.strip_prefix(root).expect("below").display().to_string();
        let kind = found.file_type();
        let what = if kind.is_dir() {
            if is_opaque(&path) { "/ opaque".to_owned() } else { "/".to_owned() }
        } else if kind.is_symlink() {
            format!(" -> {}", fs::read_link(&path).expect("a link").display())
        } else if kind.is_file() {
            format!(" = {}", String::from_utf8_lossy(&fs::read(&path).expect("a file")))
        } else if kind.is_char_device() {
            assert_eq!(found.rdev(), 0);
            " gone".to_owned()
        } else {
            assert!(kind.is_fifo());
            " |".to_owned()
        };
        writeln!(text, "{name}{what}").expect("text");
        if kind.is_dir() {
            list(root, &path, text);
        }
    }
}

pub(super) fn is_opaque(path: &Path) -> bool {
    let mut value = [0_u8; 8];
    rustix::fs::lgetxattr(path, c"trusted.overlay.opaque", &mut value[..])
        .is_ok_and(|length| value[..length] == *b"y")
}
