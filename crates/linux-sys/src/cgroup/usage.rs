//! What a group has used and uses, from the files of its controllers.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::{CgroupError, Group};

/// A v1 limit from here on is none: the kernel says "unlimited" as the largest number of whole pages.
const UNLIMITED_FROM: u64 = 1 << 62;

/// Of a group and those below it; `None` for what no controller counts.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Usage {
    /// Since the group was made.
    pub cpu_ns: Option<u64>,
    /// Page cache included.
    pub memory_bytes: Option<u64>,
    /// Without the page cache that could be dropped at once.
    pub working_set_bytes: Option<u64>,
    /// Anonymous memory.
    pub rss_bytes: Option<u64>,
    /// Since the group was made, minor ones included.
    pub page_faults: Option<u64>,
    pub major_page_faults: Option<u64>,
    pub swap_bytes: Option<u64>,
    /// `None`: no limit.
    pub memory_limit_bytes: Option<u64>,
    /// Threads count each.
    pub processes: Option<u64>,
}

impl Group {
    /// What the group, with those below it, has used and uses.
    ///
    /// # Errors
    /// When the group does not exist.
    pub fn usage(&self) -> Result<Usage, CgroupError> {
        let mut usage = Usage::default();
        if let Some(directory) = self.directory_with("memory")? {
            usage = if self.is_v2() { memory_v2(&directory)? } else { memory_v1(&directory)? };
        }
        if self.is_v2() {
            // Counted with and without the controller.
            if let Some((_, directory)) = self.directories().next() {
                let micros = line_of(&read(directory.join("cpu.stat"))?, "usage_usec ");
                usage.cpu_ns = micros.map(|micros| micros.saturating_mul(1_000));
            }
        } else if let Some(directory) = self.directory_with("cpuacct")? {
            usage.cpu_ns = number(&read(directory.join("cpuacct.usage"))?);
        }
        if let Some(directory) = self.directory_with("pids")? {
            usage.processes = number(&read(directory.join("pids.current"))?);
        }
        Ok(usage)
    }

    /// What the group, with those below it, uses of memory, page cache included; `None` without a memory
    /// controller.
    ///
    /// # Errors
    /// When the group does not exist.
    pub fn memory_bytes(&self) -> Result<Option<u64>, CgroupError> {
        let Some(directory) = self.directory_with("memory")? else { return Ok(None) };
        let file = if self.is_v2() { "memory.current" } else { "memory.usage_in_bytes" };
        Ok(number(&read(directory.join(file))?))
    }
}

fn memory_v1(directory: &Path) -> Result<Usage, CgroupError> {
    let stat = read(directory.join("memory.stat"))?;
    let bytes = number(&read(directory.join("memory.usage_in_bytes"))?);
    // There only with swap accounting.
    let with_swap = read_optional(directory.join("memory.memsw.usage_in_bytes"))?;
    let limit = number(&read(directory.join("memory.limit_in_bytes"))?);
    Ok(Usage {
        memory_bytes: bytes,
        working_set_bytes: working_set(bytes, line_of(&stat, "total_inactive_file ")),
        rss_bytes: line_of(&stat, "total_rss "),
        page_faults: line_of(&stat, "total_pgfault "),
        major_page_faults: line_of(&stat, "total_pgmajfault "),
        swap_bytes: with_swap.zip(bytes).map(|(both, memory)| both.saturating_sub(memory)),
        memory_limit_bytes: limit.filter(|bytes| *bytes < UNLIMITED_FROM),
        ..Usage::default()
    })
}

fn memory_v2(directory: &Path) -> Result<Usage, CgroupError> {
    let stat = read(directory.join("memory.stat"))?;
    let bytes = number(&read(directory.join("memory.current"))?);
    Ok(Usage {
        memory_bytes: bytes,
        working_set_bytes: working_set(bytes, line_of(&stat, "inactive_file ")),
        rss_bytes: line_of(&stat, "anon "),
        page_faults: line_of(&stat, "pgfault "),
        major_page_faults: line_of(&stat, "pgmajfault "),
        swap_bytes: read_optional(directory.join("memory.swap.current"))?,
        // "max" is no number.
        memory_limit_bytes: number(&read(directory.join("memory.max"))?),
        ..Usage::default()
    })
}

fn working_set(bytes: Option<u64>, inactive_file: Option<u64>) -> Option<u64> {
    bytes.map(|bytes| bytes.saturating_sub(inactive_file.unwrap_or(0)))
}

fn read(path: PathBuf) -> Result<String, CgroupError> {
    fs::read_to_string(&path).map_err(|source| CgroupError::Read { path, source })
}

/// The number in a file that not every kernel has.
fn read_optional(path: PathBuf) -> Result<Option<u64>, CgroupError> {
    match fs::read_to_string(&path) {
        Ok(text) => Ok(number(&text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(CgroupError::Read { path, source }),
    }
}

fn number(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}

/// The number on the line that begins with `name`.
fn line_of(text: &str, name: &str) -> Option<u64> {
    number(text.lines().find_map(|line| line.strip_prefix(name))?)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use super::Usage;
    use crate::cgroup::Hierarchies;

    /// Hierarchies of plain files, in a directory of the test's own.
    struct Fixture(PathBuf);

    impl Fixture {
        fn new(name: &str, files: &[(&str, &str)]) -> Self {
            let root = std::env::temp_dir().join(format!("monopod-usage-{name}-{}", std::process::id()));
            for (path, text) in files {
                let path = root.join(path);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, text).unwrap();
            }
            Self(root)
        }

        fn usage(&self, mountinfo: &str) -> Result<Usage, crate::cgroup::CgroupError> {
            let mountinfo = mountinfo.replace("ROOT", self.0.to_str().unwrap());
            Hierarchies::from_mountinfo(&mountinfo).unwrap().group("monopod/podu/a-0").usage()
        }
    }

    impl Drop for Fixture {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    const V2: &str = "29 23 0:26 / ROOT rw shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
    const V1: &str = "\
32 31 0:29 / ROOT/cpuacct rw - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / ROOT/memory rw - cgroup cgroup rw,memory
36 31 0:33 / ROOT/pids rw - cgroup cgroup rw,pids
";

    /// As a Debian 12 kernel writes them.
    const V2_FILES: &[(&str, &str)] = &[
        ("monopod/podu/a-0/cgroup.controllers", "cpu memory pids\n"),
        (
            "monopod/podu/a-0/cpu.stat",
            "usage_usec 1500042\nuser_usec 1000000\nsystem_usec 500042\nnr_periods 3\nnr_throttled 1\n",
        ),
        ("monopod/podu/a-0/memory.current", "10485760\n"),
        ("monopod/podu/a-0/memory.max", "max\n"),
        ("monopod/podu/a-0/memory.swap.current", "4096\n"),
        (
            "monopod/podu/a-0/memory.stat",
            "anon 4194304\nfile 6291456\nkernel 12288\ninactive_anon 0\nactive_anon 4194304\n\
             inactive_file 2097152\nactive_file 4194304\npgfault 321\npgmajfault 2\n",
        ),
        ("monopod/podu/a-0/pids.current", "7\n"),
    ];

    #[test]
    fn v2_counts_all_in_one_directory() {
        let usage = Fixture::new("v2", V2_FILES).usage(V2).unwrap();
        let expected = Usage {
            cpu_ns: Some(1_500_042_000),
            memory_bytes: Some(10 << 20),
            working_set_bytes: Some(8 << 20),
            rss_bytes: Some(4 << 20),
            page_faults: Some(321),
            major_page_faults: Some(2),
            swap_bytes: Some(4_096),
            memory_limit_bytes: None,
            processes: Some(7),
        };
        assert_eq!(usage, expected);
    }

    #[test]
    fn v2_counts_processor_time_without_controllers_and_nothing_else() {
        let files =
            [("monopod/podu/a-0/cgroup.controllers", "\n"), ("monopod/podu/a-0/cpu.stat", "usage_usec 5\n")];
        let usage = Fixture::new("v2-bare", &files).usage(V2).unwrap();
        assert_eq!(usage, Usage { cpu_ns: Some(5_000), ..Usage::default() });
    }

    #[test]
    fn v1_counts_in_each_hierarchy() {
        let files = [
            ("cpuacct/monopod/podu/a-0/cpuacct.usage", "123456789\n"),
            ("memory/monopod/podu/a-0/memory.usage_in_bytes", "1048576\n"),
            ("memory/monopod/podu/a-0/memory.limit_in_bytes", "2097152\n"),
            ("memory/monopod/podu/a-0/memory.memsw.usage_in_bytes", "1052672\n"),
            (
                "memory/monopod/podu/a-0/memory.stat",
                "cache 1\nrss 2\npgfault 3\ninactive_file 4\ntotal_rss 409600\ntotal_pgfault 99\n\
                 total_pgmajfault 1\ntotal_inactive_file 2097152\n",
            ),
            ("pids/monopod/podu/a-0/pids.current", "2\n"),
        ];
        let usage = Fixture::new("v1", &files).usage(V1).unwrap();
        let expected = Usage {
            cpu_ns: Some(123_456_789),
            memory_bytes: Some(1 << 20),
            // The kernel adds up what it counts in batches: more can be inactive than there is.
            working_set_bytes: Some(0),
            rss_bytes: Some(409_600),
            page_faults: Some(99),
            major_page_faults: Some(1),
            swap_bytes: Some(4_096),
            memory_limit_bytes: Some(2 << 20),
            processes: Some(2),
        };
        assert_eq!(usage, expected);
    }

    #[test]
    fn v1_says_no_limit_as_a_number_and_swap_only_where_it_is_counted() {
        let files = [
            ("cpuacct/monopod/podu/a-0/cpuacct.usage", "1\n"),
            ("memory/monopod/podu/a-0/memory.usage_in_bytes", "1\n"),
            ("memory/monopod/podu/a-0/memory.limit_in_bytes", "9223372036854771712\n"),
            ("memory/monopod/podu/a-0/memory.stat", ""),
            ("pids/monopod/podu/a-0/pids.current", "1\n"),
        ];
        let usage = Fixture::new("v1-unlimited", &files).usage(V1).unwrap();
        assert_eq!((usage.memory_limit_bytes, usage.swap_bytes), (None, None));
        assert_eq!(usage.working_set_bytes, Some(1));
    }

    #[test]
    fn a_group_that_is_gone_has_no_numbers() {
        for mountinfo in [V1, V2] {
            assert!(Fixture::new("none", &[]).usage(mountinfo).is_err());
        }
    }
}
