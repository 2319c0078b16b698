//! An archive that somebody else wrote, as files here: nothing outside the destination, no links, no devices.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Component, Path, PathBuf};

use rustix::fs::OFlags;
use tar::{Archive, EntryType};

const PERMISSIONS: u32 = 0o777;
const DIRECTORY_MODE: u32 = 0o755;
/// Said of one archive.
const SKIPPED_MAX: usize = 100;

#[derive(Debug, thiserror::Error)]
pub(super) enum UnpackError {
    #[error("what tar in the container wrote is no archive: {0}")]
    Archive(io::Error),
    #[error("the archive has {0:?}, which was not asked for")]
    Foreign(PathBuf),
    #[error("cannot write {}: {source}", path.display())]
    Write { path: PathBuf, source: io::Error },
}

/// Unpacks what is `root` in the archive to `to`: a directory's content into it, a file as it, or into it when it is a
/// directory. What was left out is returned.
pub(super) fn unpack(archive: &mut impl Read, root: &str, to: &Path) -> Result<Vec<String>, UnpackError> {
    let mut archive = Archive::new(archive);
    let mut skipped = Vec::new();
    let mut skip = |text: String| {
        if skipped.len() < SKIPPED_MAX {
            skipped.push(text);
        }
    };
    for entry in archive.entries().map_err(UnpackError::Archive)? {
        let mut entry = entry.map_err(UnpackError::Archive)?;
        let path = entry.path().map_err(UnpackError::Archive)?.into_owned();
        let kind = entry.header().entry_type();
        let Some(relative) = relative(&path) else {
            skip(format!("{} leads out of the destination and was left out", path.display()));
            continue;
        };
        let Some(inner) = below(&relative, root) else { return Err(UnpackError::Foreign(path)) };
        let target = target(to, &inner, root, kind);
        let failed = |source| UnpackError::Write { path: target.clone(), source };
        if leads_away(to, &target) {
            skip(format!("{} is behind a link and was left out", target.display()));
        } else if kind == EntryType::Directory {
            make_dir(&target).map_err(failed)?;
        } else if kind.is_file() || kind == EntryType::Continuous {
            let mode = entry.header().mode().unwrap_or(0o644);
            if let Some(parent) = target.parent() {
                make_dir(parent).map_err(failed)?;
            }
            let mut options = OpenOptions::new();
            options.write(true).create(true).truncate(true).mode(mode & PERMISSIONS);
            options.custom_flags(i32::try_from(OFlags::NOFOLLOW.bits()).unwrap_or_default());
            let mut file = options.open(&target).map_err(failed)?;
            io::copy(&mut entry, &mut file).map_err(failed)?;
        } else {
            skip(format!("{} is no file or directory and was left out", path.display()));
        }
    }
    Ok(skipped)
}

/// `None` for a path that goes up or begins at the root.
fn relative(path: &Path) -> Option<PathBuf> {
    let mut out = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => out.push(name),
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(out)
}

/// The path within what was asked for; empty for that itself.
fn below(path: &Path, root: &str) -> Option<PathBuf> {
    if root == "." { Some(path.to_owned()) } else { path.strip_prefix(root).ok().map(Path::to_owned) }
}

fn target(to: &Path, inner: &Path, root: &str, kind: EntryType) -> PathBuf {
    let is_whole = inner.as_os_str().is_empty();
    match is_whole {
        false => to.join(inner),
        true if kind != EntryType::Directory && to.is_dir() => to.join(root),
        true => to.to_owned(),
    }
}

/// Whether there is a link between the destination and the target, or as the target.
fn leads_away(to: &Path, target: &Path) -> bool {
    let Ok(inner) = target.strip_prefix(to) else { return true };
    let mut at = to.to_owned();
    inner.components().any(|component| {
        at.push(component);
        at.symlink_metadata().is_ok_and(|found| found.is_symlink())
    })
}

fn make_dir(path: &Path) -> io::Result<()> {
    if path.as_os_str().is_empty() || fs::metadata(path).is_ok_and(|found| found.is_dir()) {
        return Ok(());
    }
    DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(path)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    use std::path::PathBuf;
    use std::sync::atomic::{AtomicU32, Ordering};

    use tar::{Builder, EntryType, Header};

    use super::{UnpackError, unpack};
    use crate::client::copy::pack::Source;

    /// A directory that is gone with the test.
    struct Dir(PathBuf);

    impl Dir {
        fn new() -> Self {
            static NEXT: AtomicU32 = AtomicU32::new(0);
            let n = NEXT.fetch_add(1, Ordering::Relaxed);
            let dir = std::env::temp_dir().join(format!("monopod-cp-{}-{n}", std::process::id()));
            fs::create_dir_all(&dir).unwrap();
            Self(dir)
        }
    }

    impl Drop for Dir {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    /// The name goes into the header as it is, however bad.
    fn archive(entries: &[(&str, EntryType, &str)]) -> Vec<u8> {
        let mut builder = Builder::new(Vec::new());
        for (name, kind, content) in entries {
            let mut header = Header::new_gnu();
            header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
            header.set_entry_type(*kind);
            header.set_mode(0o640);
            let is_link = matches!(kind, EntryType::Symlink | EntryType::Link);
            if is_link {
                header.set_link_name_literal(content).unwrap();
            }
            let content = if is_link { "" } else { content };
            header.set_size(content.len() as u64);
            header.set_cksum();
            builder.append(&header, content.as_bytes()).unwrap();
        }
        builder.into_inner().unwrap()
    }

    fn run(
        entries: &[(&str, EntryType, &str)],
        root: &str,
        dir: &Dir,
        to: &str,
    ) -> Result<Vec<String>, UnpackError> {
        unpack(&mut archive(entries).as_slice(), root, &dir.0.join(to))
    }

    #[test]
    fn files_and_directories() {
        let dir = Dir::new();
        let tree = [
            ("a", EntryType::Directory, ""),
            ("a/x", EntryType::Regular, "1"),
            ("a/b/y", EntryType::Regular, "2"),
        ];
        assert!(run(&tree, "a", &dir, "new/out").unwrap().is_empty());
        assert_eq!(fs::read_to_string(dir.0.join("new/out/x")).unwrap(), "1");
        assert_eq!(fs::read_to_string(dir.0.join("new/out/b/y")).unwrap(), "2");
        let one = [("x", EntryType::Regular, "3")];
        run(&one, "x", &dir, "new/out").unwrap();
        assert_eq!(fs::read_to_string(dir.0.join("new/out/x")).unwrap(), "3");
        run(&one, "x", &dir, "renamed").unwrap();
        assert_eq!(fs::metadata(dir.0.join("renamed")).unwrap().permissions().mode() & 0o137, 0);
        let dotted = [("./", EntryType::Directory, ""), ("./z", EntryType::Regular, "4")];
        run(&dotted, ".", &dir, "dotted").unwrap();
        assert_eq!(fs::read_to_string(dir.0.join("dotted/z")).unwrap(), "4");
    }

    #[test]
    fn nothing_leaves_the_destination() {
        let dir = Dir::new();
        fs::create_dir_all(dir.0.join("in")).unwrap();
        symlink(&dir.0, dir.0.join("in/link")).unwrap();
        let evil = [
            ("a/../../escape", EntryType::Regular, "x"),
            ("/escape", EntryType::Regular, "x"),
            ("a/link/escape", EntryType::Regular, "x"),
            ("a/link", EntryType::Regular, "x"),
            ("a/sym", EntryType::Symlink, "/"),
            ("a/hard", EntryType::Link, "/etc/passwd"),
            ("a/null", EntryType::Char, ""),
            ("a/good", EntryType::Regular, "y"),
        ];
        let skipped = run(&evil, "a", &dir, "in").unwrap();
        assert_eq!(skipped.len(), evil.len() - 1, "{skipped:?}");
        assert!(!dir.0.join("escape").exists() && !PathBuf::from("/escape").exists());
        assert_eq!(fs::read_to_string(dir.0.join("in/good")).unwrap(), "y");
        assert_eq!(fs::read_dir(dir.0.join("in")).unwrap().count(), 2);
        let foreign = [("b/x", EntryType::Regular, "x")];
        assert!(matches!(run(&foreign, "a", &dir, "in"), Err(UnpackError::Foreign(_))));
        assert!(unpack(&mut &b"no archive, and long enough to be looked at"[..], "a", &dir.0).is_err());
    }

    #[test]
    fn what_is_packed_can_be_unpacked() {
        let dir = Dir::new();
        fs::create_dir_all(dir.0.join("from/deep/empty")).unwrap();
        fs::write(dir.0.join("from/deep/file"), "content").unwrap();
        let long = "n".repeat(150);
        fs::write(dir.0.join("from").join(&long), "long").unwrap();
        let mut bytes = Vec::new();
        let source = Source::find(&dir.0.join("from")).unwrap();
        assert_eq!(source.name(), "from");
        source.write("other", &mut bytes).unwrap();
        assert!(unpack(&mut bytes.as_slice(), "other", &dir.0.join("to")).unwrap().is_empty());
        assert_eq!(fs::read_to_string(dir.0.join("to/deep/file")).unwrap(), "content");
        assert_eq!(fs::read_to_string(dir.0.join("to").join(long)).unwrap(), "long");
        assert!(dir.0.join("to/deep/empty").is_dir());
        assert!(Source::find(&dir.0.join("missing")).is_err());
    }
}
