//! Control groups, v1 and v2, behind one set of words.
//!
//! A group is a path relative to the root of each hierarchy, as `monopod/poduid/app-0`. On v1 it is
//! a directory in every hierarchy with a controller of [`CONTROLLERS`]; on v2 it is one directory.
//! The hybrid layout (v1 controllers beside a v2 mount without them) is v1 here.
//! <https://docs.kernel.org/admin-guide/cgroup-v2.html>

mod directory;
mod group;
mod limits;
mod mountinfo;
mod usage;
mod v1;
mod v2;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

pub use group::{Entry, Group};
pub use limits::{Limits, Resource, weight_from_shares};
pub use usage::Usage;

/// The v1 controllers whose hierarchies a group is made in.
pub const CONTROLLERS: [&str; 6] = ["cpu", "cpuacct", "cpuset", "memory", "devices", "pids"];

#[derive(Debug, thiserror::Error)]
pub enum CgroupError {
    #[error("cannot read /proc/self/mountinfo")]
    Mountinfo { source: io::Error },
    #[error("no cgroup file system is mounted")]
    NotMounted,
    #[error("cannot create cgroup {}", path.display())]
    Create { path: PathBuf, source: io::Error },
    #[error("cannot write {value:?} to {}", path.display())]
    Write { path: PathBuf, value: String, source: io::Error },
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("cannot load the device rules of cgroup {}", path.display())]
    Devices { path: PathBuf, source: io::Error },
    #[error(
        "this machine has no cgroup controller for devices, without which containers could use all of them: \
         mount the v1 hierarchy \"devices\", or boot with cgroup v2 alone"
    )]
    NoDevices,
    #[error("cannot remove cgroup {}", path.display())]
    Remove { path: PathBuf, source: io::Error },
}

/// One mounted hierarchy.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hierarchy {
    pub mount: PathBuf,
    /// v1: its controllers, or its name as `name=systemd`. Empty on v2.
    pub controllers: Vec<String>,
    v2: bool,
}

/// Where this machine's hierarchies are mounted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hierarchies {
    all: Vec<Hierarchy>,
    v2: bool,
}

impl Hierarchies {
    /// # Errors
    /// When no hierarchy is mounted.
    pub fn detect() -> Result<Self, CgroupError> {
        let text =
            fs::read_to_string("/proc/self/mountinfo").map_err(|source| CgroupError::Mountinfo { source })?;
        Self::from_mountinfo(&text).ok_or(CgroupError::NotMounted)
    }

    /// `None` when no hierarchy is mounted.
    #[must_use]
    pub fn from_mountinfo(text: &str) -> Option<Self> {
        let all = mountinfo::hierarchies(text);
        let has_v2 = all.iter().any(|hierarchy| hierarchy.v2);
        let has_v1 = all.iter().any(Hierarchy::limits_something);
        (!all.is_empty()).then_some(Self { v2: has_v2 && !has_v1, all })
    }

    /// Those in which this process is not in the root group.
    ///
    /// # Errors
    /// When `/proc/self/cgroup` cannot be read.
    pub fn occupied(&self) -> Result<Self, CgroupError> {
        let path = PathBuf::from("/proc/self/cgroup");
        let text = fs::read_to_string(&path).map_err(|source| CgroupError::Read { path, source })?;
        let mut occupied = self.clone();
        occupied
            .all
            .retain(|hierarchy| mountinfo::group_in(&text, hierarchy).is_some_and(|group| group != "/"));
        Ok(occupied)
    }

    /// The v1 hierarchies and the v2 one, if there is one.
    #[must_use]
    pub fn by_version(self) -> (Self, Option<Self>) {
        let (v2, v1): (Vec<_>, Vec<_>) = self.all.into_iter().partition(|hierarchy| hierarchy.v2);
        let v2 = (!v2.is_empty()).then_some(Self { all: v2, v2: self.v2 });
        (Self { all: v1, v2: self.v2 }, v2)
    }

    /// Whether limits are set by v2.
    #[must_use]
    pub fn is_v2(&self) -> bool {
        self.v2
    }

    /// The hierarchies that limit something: on v2 one, on v1 those with a controller of [`CONTROLLERS`].
    pub fn limiting(&self) -> impl Iterator<Item = &Hierarchy> {
        self.all.iter().filter(|hierarchy| if self.v2 { hierarchy.v2 } else { hierarchy.limits_something() })
    }

    /// Names a group in the limiting hierarchies, without making it.
    #[must_use]
    pub fn group(&self, path: impl AsRef<Path>) -> Group {
        Group::new(self.limiting().cloned().collect(), path.as_ref(), self.v2)
    }

    /// Names a group in every hierarchy, also those that only keep track (`name=systemd`, the v2
    /// half of a hybrid layout): where a process goes that has to leave its service's groups.
    #[must_use]
    pub fn tracking_group(&self, path: impl AsRef<Path>) -> Group {
        Group::new(self.all.clone(), path.as_ref(), self.v2)
    }
}

impl Hierarchy {
    fn limits_something(&self) -> bool {
        self.controllers.iter().any(|name| CONTROLLERS.contains(&name.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::{CgroupError, Hierarchies, Limits};
    use crate::device_filter::DeviceRule;

    const HYBRID: &str = "\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
36 31 0:38 / /sys/fs/cgroup/freezer rw,relatime - cgroup cgroup rw,freezer
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,name=systemd
41 31 0:39 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
50 31 0:32 /a /mnt/a\\040copy rw,relatime - cgroup cgroup rw,memory
";

    fn mounts<'a>(list: impl Iterator<Item = &'a super::Hierarchy>) -> Vec<&'a str> {
        list.map(|hierarchy| hierarchy.mount.to_str().unwrap()).collect()
    }

    #[test]
    fn a_hybrid_layout_is_v1_and_each_hierarchy_counts_once() {
        let hierarchies = Hierarchies::from_mountinfo(HYBRID).unwrap();
        assert!(!hierarchies.is_v2());
        let limiting = mounts(hierarchies.limiting());
        assert_eq!(limiting, ["/sys/fs/cgroup/cpu,cpuacct", "/sys/fs/cgroup/memory"]);
        assert_eq!(hierarchies.all.len(), 5);
    }

    #[test]
    fn a_v2_mount_alone_is_v2() {
        let text = "29 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
        let hierarchies = Hierarchies::from_mountinfo(text).unwrap();
        assert!(hierarchies.is_v2());
        assert_eq!(mounts(hierarchies.limiting()), ["/sys/fs/cgroup"]);
    }

    #[test]
    fn a_v1_hierarchy_that_only_names_groups_leaves_v2_in_charge() {
        let text = "\
29 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw
30 23 0:27 / /mnt/systemd rw - cgroup cgroup rw,name=systemd
";
        assert!(Hierarchies::from_mountinfo(text).unwrap().is_v2());
    }

    #[test]
    fn a_process_is_found_in_each_hierarchy() {
        let hierarchies = Hierarchies::from_mountinfo(HYBRID).unwrap();
        let text = "9:name=systemd:/user.slice\n4:memory:/\n3:cpu,cpuacct:/a:b\n0::/session\n";
        let groups: Vec<_> =
            hierarchies.all.iter().map(|hierarchy| super::mountinfo::group_in(text, hierarchy)).collect();
        assert_eq!(groups, [Some("/a:b"), Some("/"), None, Some("/user.slice"), Some("/session")]);
    }

    #[test]
    fn rules_for_devices_are_never_passed_over() {
        let rule = DeviceRule { allow: false, kind: 'a', major: None, minor: None, access: "rwm".to_owned() };
        let limits = Limits { devices: vec![rule], ..Limits::default() };
        let group = Hierarchies::from_mountinfo(HYBRID).unwrap().group("monopod-none");
        assert!(matches!(group.limit(&limits), Err(CgroupError::NoDevices)));
    }

    #[test]
    fn nothing_mounted_is_nothing() {
        assert_eq!(Hierarchies::from_mountinfo("22 27 0:21 / /proc rw - proc proc rw\n"), None);
    }
}
