//! A container's root: the mounts of its configuration, by path.

use std::ffi::CString;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::fd::AsFd;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use container_config::{ContainerConfig, Layer, Mount, MountKind, MountOptions};
use linux_sys::cgroup::Group;
use linux_sys::mount::{Extent, set_attributes};
use rustix::fs::{CWD, FileType, Mode, OFlags, makedev, mknodat, open};
use rustix::mount::{MountFlags, UnmountFlags, mount, mount_bind, mount_bind_recursive, unmount};

const DEVICES: [(&str, u32, u32); 6] =
    [("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)];
const DEVICE_LINKS: [(&str, &str); 6] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("ptmx", "pts/ptmx"),
    ("core", "/proc/kcore"),
];
const READ_ONLY: MountOptions = MountOptions { read_only: true, nosuid: false, nodev: false, noexec: false };

/// The directories that the mounts need.
#[derive(Debug)]
pub(super) struct Root {
    path: PathBuf,
    /// Options of each overlay.
    overlays: Vec<CString>,
    termination_log: PathBuf,
}

pub(super) fn make(dir: &Path, config: &ContainerConfig) -> Result<Root> {
    let (path, termination_log) = (dir.join("rootfs"), dir.join("termination-log"));
    fs::create_dir_all(&path)?;
    fs::write(&termination_log, "")?;
    let overlay = |(at, layer): (usize, &Layer)| -> Result<CString> {
        let (upper, work) = (dir.join(format!("{at}-upper")), dir.join(format!("{at}-work")));
        fs::create_dir(&upper)?;
        fs::create_dir(&work)?;
        let lower: Vec<_> = layer.lower.iter().map(|lower| lower.display().to_string()).collect();
        let (upper, work) = (upper.display(), work.display());
        Ok(CString::new(format!("lowerdir={},upperdir={upper},workdir={work}", lower.join(":")))?)
    };
    let overlays = config.root.layers.iter().enumerate().map(overlay).collect::<Result<_>>()?;
    Ok(Root { path, overlays, termination_log })
}

impl Root {
    /// Makes all mounts and goes there.
    pub(super) fn mount(&self, config: &ContainerConfig, group: &Group, cgroup_v2: bool) -> Result<()> {
        for (layer, options) in config.root.layers.iter().zip(&self.overlays) {
            let target = self.at(&layer.target);
            make_directory(&target)?;
            mount(c"overlay", &target, c"overlay", MountFlags::empty(), options.as_c_str())
                .with_context(|| format!("cannot mount {options:?}"))?;
        }
        for mount in &config.mounts {
            self.mount_one(mount, group, cgroup_v2)
                .with_context(|| format!("cannot mount {:?} at {}", mount.kind, mount.target))?;
        }
        let target = self.at(&config.termination_message_path);
        make_file(&target)?;
        mount_bind(&self.termination_log, &target)?;
        self.hide(config)?;
        rustix::process::chdir(&self.path)?;
        rustix::process::pivot_root(".", ".")?;
        unmount(".", UnmountFlags::DETACH)?;
        Ok(rustix::process::chdir("/")?)
    }

    fn mount_one(&self, new: &Mount, group: &Group, cgroup_v2: bool) -> Result<()> {
        let target = self.at(&new.target);
        let kernel_with = |flags, name: &str, options: &str| -> Result<()> {
            make_directory(&target)?;
            Ok(mount(name, &target, name, flags, &*CString::new(options)?)?)
        };
        let kernel = |name: &str, options: &str| kernel_with(flags(new.options), name, options);
        match &new.kind {
            MountKind::Proc => kernel("proc", ""),
            MountKind::Sysfs => kernel("sysfs", ""),
            MountKind::Mqueue => kernel("mqueue", ""),
            MountKind::Devpts => kernel("devpts", "newinstance,gid=5,mode=620,ptmxmode=666"),
            MountKind::Dev => {
                kernel_with(flags(new.options) | MountFlags::STRICTATIME, "tmpfs", "mode=755,size=65536k")?;
                make_devices(&target)
            }
            MountKind::Cgroup if cgroup_v2 => kernel("cgroup2", ""),
            MountKind::Cgroup => mount_cgroup_v1(&target, new.options, group),
            MountKind::Image(_) | MountKind::OwnImage => bail!("the floor has no image volumes"),
            MountKind::Bind(source) => {
                if source.path.is_dir() {
                    make_directory(&target)?;
                } else {
                    make_file(&target)?;
                }
                if source.recursive {
                    mount_bind_recursive(&source.path, &target)?;
                } else {
                    mount_bind(&source.path, &target)?;
                }
                restrict(&target, new.options, Extent::Mount)
            }
        }
    }

    fn hide(&self, config: &ContainerConfig) -> Result<()> {
        let inert = MountOptions { read_only: true, nosuid: true, nodev: true, noexec: true };
        let mut empty: Option<PathBuf> = None;
        for path in config.masked_paths.iter().map(|path| self.at(path)) {
            match fs::metadata(&path) {
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error.into()),
                Ok(found) if !found.is_dir() => {
                    mount_bind("/dev/null", &path)?;
                    restrict(&path, MountOptions { nosuid: true, ..READ_ONLY }, Extent::Mount)?;
                }
                Ok(_) => match &empty {
                    Some(empty) => mount_bind(empty, &path)?,
                    None => {
                        mount(c"tmpfs", &path, c"tmpfs", flags(inert), None)?;
                        empty = Some(path);
                    }
                },
            }
        }
        for path in config.readonly_paths.iter().map(|path| self.at(path)).filter(|path| path.exists()) {
            mount_bind_recursive(&path, &path)?;
            restrict(&path, READ_ONLY, Extent::Tree)?;
        }
        Ok(())
    }

    fn at(&self, target: &str) -> PathBuf {
        self.path.join(target.trim_start_matches('/'))
    }
}

fn make_devices(dev: &Path) -> Result<()> {
    for (name, major, minor) in DEVICES {
        let mode = Mode::from_raw_mode(0o666);
        mknodat(CWD, dev.join(name), FileType::CharacterDevice, mode, makedev(major, minor))?;
    }
    for (name, to) in DEVICE_LINKS {
        symlink(to, dev.join(name))?;
    }
    Ok(())
}

fn mount_cgroup_v1(target: &Path, options: MountOptions, group: &Group) -> Result<()> {
    let writable = MountOptions { read_only: false, ..options };
    mount(c"tmpfs", target, c"tmpfs", flags(writable), c"mode=755")?;
    for (hierarchy, directory) in group.directories() {
        let Some(name) = hierarchy.mount.file_name().and_then(|name| name.to_str()) else { continue };
        if hierarchy.controllers == ["devices"] {
            continue;
        }
        for link in hierarchy.controllers.iter().filter(|controller| *controller != name) {
            symlink(name, target.join(link))?;
        }
        let target = target.join(name);
        fs::create_dir(&target)?;
        mount_bind(&directory, &target)?;
        restrict(&target, options, Extent::Mount)?;
    }
    restrict(target, options, Extent::Mount)
}

/// Adds to what the mount at `path` may not do.
fn restrict(path: &Path, options: MountOptions, extent: Extent) -> Result<()> {
    let attributes = attributes(options);
    if attributes != 0 {
        let mount = open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
        set_attributes(mount.as_fd(), attributes, extent)?;
    }
    Ok(())
}

fn attributes(options: MountOptions) -> u64 {
    use linux_sys::mount::{NODEV, NOEXEC, NOSUID, RDONLY};
    let bit = |is_set, bit| if is_set { bit } else { 0 };
    bit(options.read_only, RDONLY)
        | bit(options.nosuid, NOSUID)
        | bit(options.nodev, NODEV)
        | bit(options.noexec, NOEXEC)
}

fn flags(options: MountOptions) -> MountFlags {
    let mut flags = MountFlags::empty();
    flags.set(MountFlags::RDONLY, options.read_only);
    flags.set(MountFlags::NOSUID, options.nosuid);
    flags.set(MountFlags::NODEV, options.nodev);
    flags.set(MountFlags::NOEXEC, options.noexec);
    flags
}

fn make_directory(path: &Path) -> Result<()> {
    if !path.exists() {
        fs::create_dir_all(path)?;
    }
    Ok(())
}

fn make_file(path: &Path) -> Result<()> {
    if !path.exists() {
        fs::create_dir_all(path.parent().unwrap_or(path))?;
        File::create(path)?;
    }
    Ok(())
}
