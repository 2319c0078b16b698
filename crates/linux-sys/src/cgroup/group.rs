//! One group: made, limited, joined, killed, counted, removed.

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use super::limits::{Limits, Resource, Write};
use super::{CgroupError, Hierarchy, directory, v1, v2};
use crate::device_filter;

/// How often the processes of a v1 group are listed while killing them: each time more have to be
/// found that were forked meanwhile.
const KILL_ROUNDS_MAX: usize = 256;

/// Where a single-threaded process on v1 moves itself. Through `cgroup.procs` it would first wait for
/// all processors (10 to 20 ms on an idle machine), so that no thread is missed.
const SELF_FILE_V1: &str = "tasks";

/// How a new process gets into a group.
#[derive(Debug)]
pub enum Entry {
    /// v2: the directory, for [`crate::process::clone_child`].
    Directory(OwnedFd),
    /// v1: files to write `0` to, by the process itself.
    Files(Vec<OwnedFd>),
}

/// A group by its path; it may exist or not.
#[derive(Clone, Debug)]
pub struct Group {
    hierarchies: Vec<Hierarchy>,
    path: PathBuf,
    v2: bool,
}

impl Group {
    pub(super) fn new(hierarchies: Vec<Hierarchy>, path: &Path, v2: bool) -> Self {
        Self { hierarchies, path: path.to_owned(), v2 }
    }

    pub(super) fn is_v2(&self) -> bool {
        self.v2
    }

    /// Its directory in each hierarchy, with the hierarchy.
    pub fn directories(&self) -> impl Iterator<Item = (&Hierarchy, PathBuf)> {
        self.hierarchies.iter().map(|hierarchy| (hierarchy, hierarchy.mount.join(&self.path)))
    }

    /// Makes the group and those above it, unless they exist.
    ///
    /// # Errors
    /// For the first hierarchy in which it could not be made; it may exist in others.
    pub fn create(&self) -> Result<(), CgroupError> {
        for hierarchy in &self.hierarchies {
            let cpuset = hierarchy.controllers.iter().any(|name| name == "cpuset");
            directory::create(&hierarchy.mount, &self.path, |parent, child| {
                if cpuset {
                    return v1::inherit_cpuset(parent, child);
                }
                if hierarchy.v2 && self.v2 {
                    return v2::hand_down(parent);
                }
                Ok(())
            })
            .map_err(|source| CgroupError::Create { path: hierarchy.mount.join(&self.path), source })?;
        }
        Ok(())
    }

    /// Sets limits. Returns the controllers that were needed and are not to be had on this machine.
    ///
    /// # Errors
    /// When the kernel refuses a value, and when devices cannot be confined at all.
    pub fn limit(&self, limits: &Limits) -> Result<Vec<&'static str>, CgroupError> {
        let missing = self.write_all(if self.v2 { v2::writes(limits) } else { v1::writes(limits) })?;
        if self.v2 && !limits.devices.is_empty() {
            self.confine_devices(limits)?;
        }
        Ok(missing)
    }

    /// Changes one of the limits that [`Self::limit`] has set, while processes are in the group. Returns what
    /// that does.
    ///
    /// # Errors
    /// When the kernel refuses a value: on v1 a quota above the parent's or below a child's, and a memory limit
    /// below what is used.
    pub fn change(
        &self,
        resource: Resource,
        from: &Limits,
        to: &Limits,
    ) -> Result<Vec<&'static str>, CgroupError> {
        self.write_all(if self.v2 {
            v2::changes(resource, from, to)
        } else {
            v1::changes(resource, from, to)
        })
    }

    /// To be called before the group is removed: on v1 its quota counts against its parent's for some time after
    /// that.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn retire(&self, limits: &Limits) -> Result<(), CgroupError> {
        let without = Limits { cpu_quota_us: None, ..limits.clone() };
        if self.v2 {
            return Ok(());
        }
        self.change(Resource::Cpu, limits, &without).map(drop)
    }

    fn write_all(&self, writes: Vec<Write>) -> Result<Vec<&'static str>, CgroupError> {
        let mut missing = BTreeSet::new();
        for write in writes {
            let Some(directory) = self.directory_with(write.controller)? else {
                if write.controller == "devices" {
                    return Err(CgroupError::NoDevices);
                }
                if !write.optional {
                    missing.insert(write.controller);
                }
                continue;
            };
            write_limit(&directory, &write)?;
        }
        Ok(missing.into_iter().collect())
    }

    pub(super) fn directory_with(&self, controller: &str) -> Result<Option<PathBuf>, CgroupError> {
        if !self.v2 {
            let has = |hierarchy: &Hierarchy| hierarchy.controllers.iter().any(|name| name == controller);
            let found = self.directories().find(|(hierarchy, _)| has(hierarchy));
            return Ok(found.map(|(_, directory)| directory));
        }
        let Some((_, directory)) = self.directories().next() else { return Ok(None) };
        let path = directory.join("cgroup.controllers");
        match fs::read_to_string(&path) {
            Ok(controllers) => Ok(v2::lists(&controllers, controller).then_some(directory)),
            Err(source) => Err(CgroupError::Read { path, source }),
        }
    }

    fn confine_devices(&self, limits: &Limits) -> Result<(), CgroupError> {
        let Some((_, path)) = self.directories().next() else { return Ok(()) };
        let program = device_filter::compile(&limits.devices);
        fs::File::open(&path)
            .and_then(|directory| {
                device_filter::attach(device_filter::load_program(&program)?.as_fd(), directory.as_fd())
            })
            .map_err(|source| CgroupError::Devices { path, source })
    }

    /// Opens what a process needs to join; close on exec.
    ///
    /// # Errors
    /// When the group does not exist.
    pub fn entry(&self) -> Result<Entry, CgroupError> {
        let mut files = Vec::new();
        for (_, directory) in self.directories() {
            let path = if self.v2 { directory } else { directory.join(SELF_FILE_V1) };
            let opened = OpenOptions::new().read(self.v2).write(!self.v2).open(&path);
            let file = opened.map_err(|source| CgroupError::Read { path, source })?;
            if self.v2 {
                return Ok(Entry::Directory(file.into()));
            }
            files.push(file.into());
        }
        Ok(Entry::Files(files))
    }

    /// Makes the group and moves this single-threaded process into it. A parent or the group itself,
    /// while it is empty, may be removed by somebody else meanwhile.
    ///
    /// On v2 this waits for all processors, for 10 to 20 ms.
    ///
    /// # Errors
    /// For the first hierarchy that refuses.
    pub fn enter(&self) -> Result<(), CgroupError> {
        self.add("0")
    }

    /// Like [`Self::enter`], for another process.
    ///
    /// # Errors
    /// For the first hierarchy that refuses.
    pub fn add_process(&self, pid: u32) -> Result<(), CgroupError> {
        self.add(&pid.to_string())
    }

    fn add(&self, pid: &str) -> Result<(), CgroupError> {
        const TRIES_MAX: usize = 16;
        let mut tries = 0;
        loop {
            self.create()?;
            match self.add_once(pid) {
                Err(CgroupError::Write { source, .. })
                    if tries < TRIES_MAX
                        && (source.kind() == io::ErrorKind::NotFound
                            || source.raw_os_error() == Some(libc::ENODEV)) =>
                {
                    tries += 1;
                }
                other => return other,
            }
        }
    }

    fn add_once(&self, pid: &str) -> Result<(), CgroupError> {
        for (hierarchy, directory) in self.directories() {
            let file = if hierarchy.v2 { "cgroup.procs" } else { SELF_FILE_V1 };
            write_file(&directory.join(file), pid)?;
        }
        Ok(())
    }

    /// SIGKILL to every process in the group and the groups below it. They may take a moment to be
    /// gone. Fine when the group does not exist.
    ///
    /// # Errors
    /// When its processes cannot be listed.
    pub fn kill(&self) -> Result<(), CgroupError> {
        for (hierarchy, directory) in self.directories() {
            let path = directory.join("cgroup.kill");
            if hierarchy.v2 && fs::write(path, "1").is_ok() {
                continue;
            }
            kill_listed(&directory).map_err(|source| CgroupError::Read { path: directory, source })?;
        }
        Ok(())
    }

    /// How many processes of the group the out-of-memory killer has ended. 0 without a memory controller.
    ///
    /// # Errors
    /// When the group does not exist.
    pub fn oom_kills(&self) -> Result<u64, CgroupError> {
        let Some(directory) = self.directory_with("memory")? else { return Ok(0) };
        let path = directory.join(if self.v2 { "memory.events" } else { "memory.oom_control" });
        let text = fs::read_to_string(&path).map_err(|source| CgroupError::Read { path, source })?;
        let count = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
        Ok(count.and_then(|count| count.trim().parse().ok()).unwrap_or(0))
    }

    /// Kills what is in the group and removes it, with the groups below it. Idempotent; goes on past errors.
    #[must_use]
    pub fn remove(&self) -> Vec<CgroupError> {
        let removed = self.directories().map(|(_, directory)| {
            let kill = || self.kill().map_err(|error| io::Error::other(error.to_string()));
            directory::remove(&directory, kill)
                .map_err(|source| CgroupError::Remove { path: directory, source })
        });
        removed.filter_map(Result::err).collect()
    }

    /// Removes the group where it is empty; otherwise it is somebody else's to remove.
    pub fn remove_if_empty(&self) {
        for (_, directory) in self.directories() {
            // Not empty, not there, or not ours: all of them are fine.
            let _ = fs::remove_dir(directory);
        }
    }
}

fn write_limit(directory: &Path, write: &Write) -> Result<(), CgroupError> {
    let path = directory.join(write.file);
    if write.optional && !path.exists() {
        return Ok(());
    }
    write_file(&path, &write.value)
}

fn write_file(path: &Path, value: &str) -> Result<(), CgroupError> {
    let written = OpenOptions::new()
        .write(true)
        .open(path)
        .and_then(|mut file| io::Write::write_all(&mut file, value.as_bytes()));
    written.map_err(|source| CgroupError::Write { path: path.to_owned(), value: value.to_owned(), source })
}

/// Lists and kills until no process is found that was not killed already: one with SIGKILL pending
/// cannot fork, so everything is doomed then.
fn kill_listed(directory: &Path) -> io::Result<()> {
    let mut killed = BTreeSet::new();
    for _ in 0..KILL_ROUNDS_MAX {
        let mut found = Vec::new();
        list(directory, &mut found)?;
        found.retain(|pid| killed.insert(*pid));
        if found.is_empty() {
            return Ok(());
        }
        for pid in found.into_iter().filter_map(rustix::process::Pid::from_raw) {
            // It may have ended meanwhile.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
    }
    Err(io::Error::other("processes are forked faster than they can be killed; set a limit on them"))
}

fn list(directory: &Path, pids: &mut Vec<i32>) -> io::Result<()> {
    match fs::read_to_string(directory.join("cgroup.procs")) {
        Ok(text) => pids.extend(text.lines().filter_map(|line| line.parse::<i32>().ok())),
        Err(error) if is_gone(&error) => return Ok(()),
        Err(error) => return Err(error),
    }
    directory::children(directory)?.iter().try_for_each(|child| list(child, pids))
}

/// A group removed while its file was open reads as ENODEV.
fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(libc::ENODEV)
}
