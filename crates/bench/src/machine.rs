//! Where, when and what was measured.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use linux_sys::cgroup::Hierarchies;
use linux_sys::clock::wall_ns;
use podspec::WallTime;
use serde::Serialize;

use crate::load::{Load, Reading};

/// Programs that are measured beside monopod, and what they run.
const PEERS: [&str; 4] = ["podman", "crun", "conmon", "skopeo"];

#[derive(Clone, PartialEq, Debug, Serialize)]
pub(crate) struct Machine {
    /// When it began, in UTC.
    pub(crate) date: String,
    pub(crate) kernel: String,
    pub(crate) cpus: usize,
    pub(crate) cpu: String,
    /// Under a hypervisor, so that others can take time that is seen nowhere but as stolen.
    pub(crate) is_virtual: bool,
    pub(crate) memory_mib: u64,
    pub(crate) cgroup: &'static str,
    /// What the bench's directory is on.
    pub(crate) file_system: String,
    /// Of one minute, before and after.
    pub(crate) load: [f64; 2],
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(crate) struct Program {
    pub(crate) name: String,
    /// `None` where it is not installed.
    pub(crate) version: Option<String>,
}

impl Machine {
    /// `dir` is where files are written.
    pub(crate) fn now(dir: &Path) -> Self {
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let of_cpu = |key| cpuinfo.lines().find_map(|line: &str| line.strip_prefix(key)?.split_once(": "));
        let v2 = Hierarchies::detect().is_ok_and(|hierarchies| hierarchies.is_v2());
        Self {
            date: WallTime(wall_ns()).rfc3339_seconds(),
            kernel: rustix::system::uname().release().to_string_lossy().into_owned(),
            cpus: std::thread::available_parallelism().map_or(0, usize::from),
            cpu: of_cpu("model name").map_or("unknown", |(_, model)| model).to_owned(),
            is_virtual: of_cpu("flags")
                .is_some_and(|(_, flags)| flags.split(' ').any(|flag| flag == "hypervisor")),
            memory_mib: memory_mib(&fs::read_to_string("/proc/meminfo").unwrap_or_default()),
            cgroup: if v2 { "v2" } else { "v1" },
            file_system: file_system(&fs::read_to_string("/proc/self/mountinfo").unwrap_or_default(), dir),
            load: Reading::now().until_now().average,
        }
    }

    pub(crate) fn finish(&mut self, load: &Load) {
        self.load = load.average;
    }
}

/// Monopod, and the peers that are installed.
pub(crate) fn programs(monopod: &Path) -> Vec<Program> {
    let program = |name: &str, path: &Path| Program { name: name.to_owned(), version: version(path) };
    let peers = PEERS.iter().map(|name| program(name, Path::new(name)));
    std::iter::once(program("monopod", monopod)).chain(peers).collect()
}

fn version(program: &Path) -> Option<String> {
    let output =
        Command::new(program).arg("--version").stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    said_version(&String::from_utf8_lossy(&output.stdout)).map(str::to_owned)
}

/// `crun version 1.8.1` or `monopod 0.1.0`, and whatever follows.
fn said_version(text: &str) -> Option<&str> {
    let mut words = text.lines().next()?.split_whitespace().skip(1);
    words.find(|word| *word != "version")
}

fn memory_mib(meminfo: &str) -> u64 {
    let total = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:")?.split_whitespace().next());
    total.and_then(|kb| kb.parse::<u64>().ok()).unwrap_or_default() / 1024
}

/// Of the mount that the directory is below; the last one there hides the others.
fn file_system(mountinfo: &str, dir: &Path) -> String {
    let mounts = mountinfo.lines().filter_map(|line| {
        let (head, tail) = line.split_once(" - ")?;
        Some((Path::new(head.split(' ').nth(4)?), tail.split(' ').next()?))
    });
    let around = mounts.filter(|(target, _)| dir.starts_with(target));
    around
        .max_by_key(|(target, _)| target.components().count())
        .map_or("unknown", |(_, kind)| kind)
        .to_owned()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{file_system, memory_mib, said_version, version};

    #[test]
    fn the_kernels_files_are_read() {
        assert_eq!(memory_mib("MemTotal:       2048000 kB\nMemFree: 1 kB\n"), 2_000);
        let mounts = "22 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw\n\
                      23 22 0:5 / /var rw shared:1 - xfs /dev/sdb rw\n\
                      24 22 0:6 / /va rw - tmpfs none rw\n";
        assert_eq!(file_system(mounts, Path::new("/var/lib/bench")), "xfs");
        assert_eq!(file_system(mounts, Path::new("/vat")), "ext4");
        assert_eq!(file_system("", Path::new("/")), "unknown");
    }

    #[test]
    fn versions_are_words() {
        assert_eq!(said_version("crun version 1.8.1\ncommit: f8a0\n"), Some("1.8.1"));
        assert_eq!(said_version("monopod 0.1.0\n"), Some("0.1.0"));
        assert_eq!(said_version("skopeo\n"), None);
        assert_eq!(version(Path::new("/nowhere/podman")), None);
    }
}
