//! Finds what a test's pods left on the machine: processes, mounts, cgroups, sockets, files.
//!
//! Other engines may run beside the tests, so nothing is counted over the whole machine: a thing is ours
//! when it names the test's directory or the uid of a pod that was made in it.

use std::fs;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use anyhow::{Context, Result};
use rustix::fs::inotify;

/// Where things of an engine could appear outside its root although they should not.
const HOST_DIRS: [&str; 6] =
    ["/tmp", "/run", "/run/netns", "/run/monopod/pods", "/var/lib/monopod/pods", "/var/log/pods"];
const CGROUP_ROOT: &str = "/sys/fs/cgroup";
/// Deeper cgroups than any engine makes are not looked at.
const CGROUP_DEPTH_MAX: usize = 12;
/// Room for some hundred events; they are read again until there are none.
const EVENT_BYTES: usize = 16 << 10;

/// Learns the uid of every pod an engine makes, also of those that are gone again.
#[derive(Debug)]
pub(crate) struct PodWatch {
    inotify: OwnedFd,
    seen: Mutex<Vec<String>>,
}

impl PodWatch {
    pub(crate) fn new(pods_dir: &Path) -> Result<Self> {
        let flags = inotify::CreateFlags::NONBLOCK | inotify::CreateFlags::CLOEXEC;
        let inotify = inotify::init(flags).context("cannot watch for pods")?;
        inotify::add_watch(&inotify, pods_dir, inotify::WatchFlags::CREATE | inotify::WatchFlags::MOVED_TO)
            .with_context(|| format!("cannot watch {}", pods_dir.display()))?;
        Ok(Self { inotify, seen: Mutex::new(vec![]) })
    }

    pub(crate) fn uids(&self) -> Vec<String> {
        let mut seen = self.seen.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut buffer = [std::mem::MaybeUninit::uninit(); EVENT_BYTES];
        let mut reader = inotify::Reader::new(&self.inotify, &mut buffer);
        while let Ok(event) = reader.next() {
            // Whatever is not a uid, such as a temporary name, is too short to tell pods apart by.
            let name = event.file_name().map(|name| name.to_string_lossy().into_owned());
            seen.extend(name.filter(|name| name.len() >= 32));
        }
        seen.clone()
    }
}

/// How the line of a file begins; all other lines are about what only a kernel can hold.
const FILE: &str = "file ";

/// Of what [`find`] found, what is not a file: processes, mounts, cgroups.
pub(crate) fn in_kernel(found: Vec<String>) -> Vec<String> {
    found.into_iter().filter(|line| !line.starts_with(FILE)).collect()
}

/// A line for each thing that is left of the pods `uids`, made by engines of the test in `dir`.
pub(crate) fn find(dir: &Path, root: &Path, uids: &[String]) -> Vec<String> {
    let mut found = processes(dir, uids);
    found.extend(mounts(dir, uids));
    found.extend(cgroups(uids));
    found.extend(files(root));
    found.extend(host_files(uids));
    found
}

/// The machine's network interfaces and named network namespaces: no test may change them.
pub(crate) fn network() -> Vec<String> {
    let mut names: Vec<String> = ["/sys/class/net", "/run/netns"]
        .iter()
        .flat_map(|dir| entries(Path::new(dir)))
        .map(|path| path.display().to_string())
        .collect();
    names.sort();
    names
}

fn processes(dir: &Path, uids: &[String]) -> Vec<String> {
    let mount_ns = fs::read_link("/proc/self/ns/mnt").ok();
    let dir = prefix(dir);
    let ours = |process: &Path| -> Option<&'static str> {
        let text = |name: &str| fs::read_to_string(process.join(name)).unwrap_or_default();
        let exe = fs::read_link(process.join("exe")).ok();
        if exe.is_some_and(|exe| exe.to_string_lossy().starts_with(&dir)) {
            return Some("its program");
        }
        let cgroup = text("cgroup");
        if uids.iter().any(|uid| cgroup.contains(uid)) {
            return Some("its cgroup");
        }
        // In our own mount namespace every process would show a mount that leaked there.
        let foreign = fs::read_link(process.join("ns/mnt")).ok() != mount_ns;
        (foreign && text("mountinfo").contains(&dir)).then_some("its mounts")
    };
    let is_process =
        |path: &PathBuf| path.file_name().is_some_and(|name| name.as_encoded_bytes()[0].is_ascii_digit());
    entries(Path::new("/proc"))
        .filter(is_process)
        .filter_map(|process| ours(&process).map(|why| describe_process(&process, why)))
        .collect()
}

fn describe_process(process: &Path, why: &str) -> String {
    let text = |name: &str| fs::read_to_string(process.join(name)).unwrap_or_default().replace('\0', " ");
    let state = text("status").lines().find(|line| line.starts_with("State:")).unwrap_or_default().to_owned();
    let pid = process.file_name().unwrap_or_default().to_string_lossy().into_owned();
    format!("process {pid} ({}) {state}, known by {why}", text("cmdline").trim())
}

fn mounts(dir: &Path, uids: &[String]) -> Vec<String> {
    let dir = prefix(dir);
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    table
        .lines()
        .filter(|line| line.contains(&dir) || uids.iter().any(|uid| line.contains(uid)))
        .map(|line| format!("mount {line}"))
        .collect()
}

/// `FILE VALUE` for each of `files` in the cgroups of the pods `uids` and below.
pub(crate) fn cgroup_values(uids: &[String], files: &[&str]) -> Vec<String> {
    let pods = cgroup_dirs(uids);
    let dirs = pods.iter().flat_map(|pod| std::iter::once(pod.clone()).chain(entries(pod)));
    dirs.flat_map(|dir| {
        let value = |file: &&str| {
            fs::read_to_string(dir.join(file)).ok().map(|text| format!("{file} {}", text.trim()))
        };
        files.iter().filter_map(value).collect::<Vec<_>>()
    })
    .collect()
}

fn cgroups(uids: &[String]) -> Vec<String> {
    cgroup_dirs(uids).iter().map(|dir| format!("cgroup {}", dir.display())).collect()
}

/// The topmost directories, in every hierarchy, that name one of `uids`.
fn cgroup_dirs(uids: &[String]) -> Vec<PathBuf> {
    let mut found = vec![];
    let mut to_visit = vec![(PathBuf::from(CGROUP_ROOT), 0)];
    while let Some((dir, depth)) = to_visit.pop() {
        for child in entries(&dir).filter(|path| path.is_dir() && !path.is_symlink()) {
            let name = child.file_name().unwrap_or_default().to_string_lossy();
            if uids.iter().any(|uid| name.contains(uid)) {
                found.push(child);
            } else if depth < CGROUP_DEPTH_MAX {
                to_visit.push((child, depth + 1));
            }
        }
    }
    found
}

/// Of a root, only what belongs to no pod may stay: images, empty directories, locks.
fn files(root: &Path) -> Vec<String> {
    ["var/lib/monopod/pods", "var/log/pods", "run/monopod/pods"]
        .iter()
        .flat_map(|dir| entries(&root.join(dir)))
        .map(|path| format!("{FILE}{}", path.display()))
        .collect()
}

fn host_files(uids: &[String]) -> Vec<String> {
    HOST_DIRS
        .iter()
        .flat_map(|dir| entries(Path::new(dir)))
        .filter(|path| uids.iter().any(|uid| path.to_string_lossy().contains(uid)))
        .map(|path| format!("{FILE}{} outside the root", path.display()))
        .collect()
}

/// With its last slash, so that `/tmp/x/1` is not found in `/tmp/x/10`.
fn prefix(dir: &Path) -> String {
    format!("{}/", dir.display())
}

fn entries(dir: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path())
}
