//! What is kept of pods that are gone, so that they can still be explained.
//!
//! `past/TIME-KIB-UID/` in the data directory: what had been in the pod's directory, the same files under another name. The time is that
//! of the removal, in milliseconds; so the names alone say which go first when there are too many. A directory is made under a name
//! that begins with a dot and then renamed, so that none is ever half there.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use podspec::WallTime;

use crate::file::{CURRENT, PREVIOUS};

pub const KEPT_PODS_MAX: usize = 100;
/// Of all of them, in units of 1024 bytes, each file rounded up to what the disk has for it.
pub const KEPT_KIB_MAX: u64 = 32 << 10;

const DIR: &str = "past";
/// What manifests hold is in there.
const MODE: u32 = 0o700;
/// Entries that are looked at: what is not ours cannot keep a removal busy.
const ENTRIES_MAX: usize = 4_096;

/// A pod that is gone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Kept {
    /// When it was removed.
    pub removed: WallTime,
    pub kib: u64,
    pub uid: String,
    /// As a pod's directory, without what belonged to its containers.
    pub dir: PathBuf,
}

/// Where they are kept.
#[must_use]
pub fn kept_dir(data_dir: &Path) -> PathBuf {
    data_dir.join(DIR)
}

/// Keeps what is said in `records` and the journal of a pod whose directory is about to be removed. A pod without its first record
/// never was one, and is not kept.
///
/// # Errors
/// When the file system refuses. Nothing is kept of the pod then.
pub fn keep(pod_dir: &Path, records: [&str; 2], now: WallTime) -> io::Result<()> {
    let Some((data_dir, uid)) = pod_dir.parent().and_then(Path::parent).zip(pod_dir.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    if !pod_dir.join(records[0]).try_exists()? {
        return Ok(());
    }
    let uid = uid.to_string_lossy();
    let past = kept_dir(data_dir);
    make(&past)?;
    let kept = kept(data_dir)?;
    let unfinished = past.join(format!(".{uid}"));
    remove(&unfinished)?;
    make(&unfinished)?;
    let mut kib = 0;
    for name in records.into_iter().chain([PREVIOUS, CURRENT]) {
        kib += link(&pod_dir.join(name), &unfinished.join(name))?;
    }
    let millis = now.0.max(0) / 1_000_000;
    // Its removal is tried again.
    for same in kept.iter().filter(|kept| kept.uid == uid) {
        remove(&same.dir)?;
    }
    fs::rename(&unfinished, past.join(format!("{millis:013}-{kib}-{uid}")))?;
    let others: Vec<Kept> = kept.into_iter().filter(|kept| kept.uid != uid).collect();
    make_room(&others, kib)
}

/// Everything that is kept, oldest first.
///
/// # Errors
/// When the directory cannot be read; none is no error.
pub fn kept(data_dir: &Path) -> io::Result<Vec<Kept>> {
    let entries = match fs::read_dir(kept_dir(data_dir)) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let paths = entries.take(ENTRIES_MAX).flatten().map(|entry| entry.path());
    let mut kept: Vec<Kept> = paths.filter_map(parse).collect();
    kept.sort();
    Ok(kept)
}

fn parse(dir: PathBuf) -> Option<Kept> {
    let name = dir.file_name()?.to_str()?;
    let mut parts = name.splitn(3, '-');
    let millis: i64 = parts.next()?.parse().ok().filter(|millis| *millis >= 0)?;
    let kib = parts.next()?.parse().ok()?;
    let uid = parts.next().filter(|uid| !uid.is_empty())?.to_owned();
    Some(Kept { removed: WallTime(millis.saturating_mul(1_000_000)), kib, uid, dir })
}

/// The oldest go, until what came last fits.
fn make_room(others: &[Kept], newest_kib: u64) -> io::Result<()> {
    let (mut kib, mut count) = (newest_kib, 1);
    let fits = |kept: &&Kept| {
        kib = kib.saturating_add(kept.kib);
        count += 1;
        kib <= KEPT_KIB_MAX && count <= KEPT_PODS_MAX
    };
    let fitting = others.iter().rev().take_while(fits).count();
    others[..others.len() - fitting].iter().try_for_each(|kept| remove(&kept.dir))
}

fn make(dir: &Path) -> io::Result<()> {
    match fs::DirBuilder::new().mode(MODE).create(dir) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made,
    }
}

/// Returns what it takes of the disk, in KiB; nothing of a file that is not there.
fn link(from: &Path, to: &Path) -> io::Result<u64> {
    const BLOCK_BYTES: u64 = 512;
    match fs::hard_link(from, to) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        // There are file systems that have no second names.
        Err(_) => {
            fs::copy(from, to)?;
        }
    }
    Ok((fs::symlink_metadata(to)?.blocks() * BLOCK_BYTES).div_ceil(1_024))
}

/// Another engine may have done it.
fn remove(dir: &Path) -> io::Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::path::{Path, PathBuf};
    use std::time::Instant;

    use podspec::WallTime;

    use super::{KEPT_KIB_MAX, KEPT_PODS_MAX, keep, kept, kept_dir};

    const RECORDS: [&str; 2] = ["pod.json", "checkpoint.json"];

    struct Data(PathBuf);

    impl Data {
        fn new(name: &str) -> Self {
            let dir = std::env::temp_dir().join(format!("monopod-kept-{name}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&dir);
            fs::create_dir_all(dir.join("pods")).unwrap();
            Self(dir)
        }

        fn pod(&self, uid: &str, journal_bytes: usize) -> PathBuf {
            let dir = self.0.join("pods").join(uid);
            fs::create_dir_all(&dir).unwrap();
            fs::write(dir.join("pod.json"), "{}").unwrap();
            fs::write(dir.join("checkpoint.json"), "{}").unwrap();
            fs::write(dir.join("journal.jsonl"), vec![b'x'; journal_bytes]).unwrap();
            fs::write(dir.join("shim.log"), "not kept").unwrap();
            dir
        }

        fn uids(&self) -> Vec<String> {
            kept(&self.0).unwrap().into_iter().map(|kept| kept.uid).collect()
        }
    }

    impl Drop for Data {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn at(ms: i64) -> WallTime {
        WallTime(ms * 1_000_000)
    }

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn what_explains_a_pod_outlives_its_directory() {
        let data = Data::new("outlives");
        let pod = data.pod("1-2", 9_000);
        keep(&pod, RECORDS, at(5)).unwrap();
        fs::remove_dir_all(&pod).unwrap();
        let kept = kept(&data.0).unwrap();
        assert_eq!((kept.len(), kept[0].removed, kept[0].uid.as_str()), (1, at(5), "1-2"));
        assert!(kept[0].kib >= 9, "{kept:?}");
        assert_eq!(names(&kept[0].dir), ["checkpoint.json", "journal.jsonl", "pod.json"]);
        for dir in [kept_dir(&data.0), kept[0].dir.clone()] {
            assert_eq!(fs::metadata(dir).unwrap().permissions().mode() & 0o777, 0o700);
        }
    }

    #[test]
    fn a_removal_that_is_tried_again_keeps_one() {
        let data = Data::new("again");
        let pod = data.pod("uid", 1);
        // A crash had left this.
        fs::create_dir_all(data.0.join("past/.uid/x")).unwrap();
        keep(&pod, RECORDS, at(5)).unwrap();
        keep(&pod, RECORDS, at(6)).unwrap();
        assert_eq!(data.uids(), ["uid"]);
        assert_eq!(kept(&data.0).unwrap()[0].removed, at(6));
        assert_eq!(names(&kept_dir(&data.0)).len(), 1);
        // The pod itself is begun to be removed.
        fs::remove_file(pod.join("pod.json")).unwrap();
        keep(&pod, RECORDS, at(7)).unwrap();
        assert_eq!(kept(&data.0).unwrap()[0].removed, at(6));
    }

    #[test]
    fn the_oldest_go_first_by_number_and_by_size() {
        let data = Data::new("bounded");
        for n in 0..KEPT_PODS_MAX + 5 {
            let n = i64::try_from(n).unwrap();
            keep(&data.pod(&n.to_string(), 1), RECORDS, at(n)).unwrap();
        }
        assert_eq!(data.uids().len(), KEPT_PODS_MAX);
        assert_eq!(data.uids()[0], "5");
        let large = usize::try_from(KEPT_KIB_MAX * 1_024 / 3).unwrap();
        for n in 1_000..1_004 {
            keep(&data.pod(&n.to_string(), large), RECORDS, at(n)).unwrap();
        }
        assert_eq!(data.uids(), ["1002", "1003"]);
        // One that is larger than all may be is kept alone.
        keep(&data.pod("huge", large * 4), RECORDS, at(2_000)).unwrap();
        assert_eq!(data.uids(), ["huge"]);
        let foreign = kept_dir(&data.0).join("what is this");
        fs::create_dir(&foreign).unwrap();
        keep(&data.pod("last", 1), RECORDS, at(3_000)).unwrap();
        assert_eq!(data.uids(), ["last"]);
        assert!(foreign.exists());
    }

    /// Printed, for whoever changes it: `cargo test -p journal -- --nocapture cost`.
    #[test]
    fn the_cost_of_keeping_one_among_many() {
        let data = Data::new("cost");
        let pods: Vec<PathBuf> = (0..300).map(|n| data.pod(&n.to_string(), 20_000)).collect();
        let begin = Instant::now();
        for (n, pod) in (0..).zip(&pods) {
            keep(pod, RECORDS, at(n)).unwrap();
        }
        println!("keeping a pod takes {:?}", begin.elapsed() / 300);
        assert_eq!(data.uids().len(), KEPT_PODS_MAX);
    }
}
