//! From a container's configuration to the steps that make it.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use container_config::{ContainerConfig, Mount, MountKind, MountOptions, Process};
use linux_sys::cgroup::{Group, Hierarchy};
use linux_sys::in_root::Missing;
use linux_sys::mount::{NODEV, NOEXEC, NOSUID, RDONLY};
use linux_sys::rlimit::Limit;
use linux_sys::seccomp::Instruction;
use rustix::fs::Gid;

use super::SpawnError;
use super::error::c_string;
use super::stdio;
use super::step::{Bind, NewMount, Overlay, OverlayTarget, Step, V1Hierarchy};

/// What the parent made for the steps.
#[derive(Debug)]
pub(super) struct Prepared {
    /// An empty directory.
    pub(super) rootfs: PathBuf,
    /// The upper and the work directory of each of the root's layers.
    pub(super) writable: Vec<(PathBuf, PathBuf)>,
    pub(super) termination_log: PathBuf,
    pub(super) stdio: [OwnedFd; 3],
    pub(super) terminal: Option<PreparedTerminal>,
    /// v1: the files to join the group by; empty on v2.
    pub(super) cgroup_files: Vec<OwnedFd>,
    pub(super) group: Group,
    pub(super) cgroup_v2: bool,
}

#[derive(Debug)]
pub(super) struct PreparedTerminal {
    pub(super) devpts: Option<OwnedFd>,
    pub(super) slave: OwnedFd,
}

/// What containerd gives a container's /dev.
const DEV_SIZE: &str = "65536k";

pub(super) fn compile(config: &ContainerConfig, mut prepared: Prepared) -> Result<Vec<Step>, SpawnError> {
    let mut steps = vec![Step::ResetSignals];
    steps.extend(join(std::mem::take(&mut prepared.cgroup_files)));
    if prepared.cgroup_v2 {
        steps.push(Step::NewCgroupNamespace);
    }
    steps.extend([Step::NewSession, Step::Stdio(prepared.stdio)]);
    if prepared.terminal.is_some() {
        steps.push(Step::ControllingTerminal);
    }
    steps.push(oom_score_adj(&config.process)?);
    steps.extend(overlays(config, &prepared.rootfs, &prepared.writable)?);
    let mut terminal = prepared.terminal;
    for mount in &config.mounts {
        let devpts = terminal
            .as_mut()
            .and_then(|terminal| terminal.devpts.take_if(|_| mount.kind == MountKind::Devpts));
        steps.push(mount_step(mount, devpts, &prepared.group, prepared.cgroup_v2)?);
    }
    if let Some(terminal) = terminal {
        steps.push(Step::Console(terminal.slave));
    }
    steps.extend(termination_message(config, &prepared.termination_log)?);
    for path in &config.masked_paths {
        steps.push(Step::Mask(c_string(path.as_str(), "a masked path")?));
    }
    for path in &config.readonly_paths {
        steps.push(Step::MakeReadOnly(c_string(path.as_str(), "a read-only path")?));
    }
    steps.push(Step::MakeDirectory(c_string(config.process.cwd.as_str(), "the working directory")?));
    if config.root.read_only {
        steps.push(Step::MakeRootReadOnly);
    }
    steps.push(Step::PivotRoot);
    steps.extend(process_steps(&config.process)?);
    Ok(steps)
}

/// The steps of one more process in a container; descriptors are opened by the parent.
pub(super) fn compile_exec(
    process: &Process,
    cgroup_files: Vec<OwnedFd>,
    main_process: OwnedFd,
    stdio: [OwnedFd; 3],
) -> Result<Vec<Step>, SpawnError> {
    let mut steps = vec![Step::ResetSignals];
    steps.extend(join(cgroup_files));
    steps.extend([Step::NewSession, Step::Stdio(stdio), oom_score_adj(process)?]);
    steps.extend([Step::JoinMountAndCgroupNamespaces(main_process), Step::OpenRoot]);
    steps.extend(process_steps(process)?);
    Ok(steps)
}

fn join(files: Vec<OwnedFd>) -> Option<Step> {
    (!files.is_empty()).then_some(Step::JoinCgroup(files))
}

fn oom_score_adj(process: &Process) -> Result<Step, SpawnError> {
    Ok(Step::OomScoreAdj(c_string(process.oom_score_adj.to_string(), "oom_score_adj")?))
}

fn overlays(
    config: &ContainerConfig,
    rootfs: &Path,
    writable: &[(PathBuf, PathBuf)],
) -> Result<Vec<Step>, SpawnError> {
    let mut steps = Vec::new();
    for (layer, (upper, work)) in config.root.layers.iter().zip(writable) {
        let at = if steps.is_empty() {
            OverlayTarget::Root(path(rootfs)?)
        } else {
            OverlayTarget::Inside(c_string(layer.target.as_str(), "a layer's target")?)
        };
        let lower = layer.lower.iter().map(|lower| path(lower)).collect::<Result<_, _>>()?;
        steps.push(Step::Overlay(Overlay { lower, upper: path(upper)?, work: path(work)?, at }));
    }
    Ok(steps)
}

fn mount_step(
    mount: &Mount,
    devpts: Option<OwnedFd>,
    group: &Group,
    cgroup_v2: bool,
) -> Result<Step, SpawnError> {
    let target = c_string(mount.target.as_str(), "a mount path")?;
    let attributes = attributes(mount.options);
    let new = |file_system, options| NewMount { file_system, options, attributes, target: target.clone() };
    Ok(match &mount.kind {
        MountKind::Proc => Step::Mount(new(c"proc", Vec::new())),
        MountKind::Sysfs => Step::Mount(new(c"sysfs", Vec::new())),
        MountKind::Mqueue => Step::Mount(new(c"mqueue", Vec::new())),
        MountKind::Devpts => {
            let devpts = devpts.map_or_else(|| stdio::devpts(attributes), Ok)?;
            Step::Attach { mount: devpts, target }
        }
        MountKind::Dev => {
            let options = vec![(c"mode", option("755")?), (c"size", option(DEV_SIZE)?)];
            Step::MountDev(new(c"tmpfs", options))
        }
        MountKind::Tmpfs { size_bytes, mode } => {
            let mut options = vec![(c"mode", option(&format!("{mode:o}"))?)];
            if let Some(bytes) = size_bytes {
                options.push((c"size", option(&bytes.to_string())?));
            }
            Step::Mount(new(c"tmpfs", options))
        }
        MountKind::Cgroup if cgroup_v2 => Step::Mount(new(c"cgroup2", Vec::new())),
        MountKind::Cgroup => {
            let hierarchies = group
                .directories()
                .filter_map(|(hierarchy, directory)| v1(hierarchy, &directory).transpose());
            let options = vec![(c"mode", option("755")?)];
            Step::MountCgroupV1(new(c"tmpfs", options), hierarchies.collect::<Result<_, _>>()?)
        }
        MountKind::Bind(source) => Step::Bind(Bind {
            source: path(&source.path)?,
            recursive: source.recursive,
            kind: kind_of(&source.path, &mount.target)?,
            attributes,
            target,
        }),
    })
}

fn option(value: &str) -> Result<std::ffi::CString, SpawnError> {
    c_string(value, "a mount option")
}

/// Device rules are nobody's to look at.
fn v1(hierarchy: &Hierarchy, directory: &Path) -> Result<Option<V1Hierarchy>, SpawnError> {
    let Some(name) = hierarchy.mount.file_name().and_then(|name| name.to_str()) else { return Ok(None) };
    if hierarchy.controllers == ["devices"] {
        return Ok(None);
    }
    let links = hierarchy.controllers.iter().filter(|controller| *controller != name);
    let links = links.map(|controller| c_string(controller.as_str(), "a controller's name"));
    Ok(Some(V1Hierarchy {
        name: c_string(name, "a hierarchy's name")?,
        group: path(directory)?,
        links: links.collect::<Result<_, _>>()?,
    }))
}

/// What has to be there to mount the source on.
fn kind_of(source: &Path, target: &str) -> Result<Missing, SpawnError> {
    let metadata = source
        .metadata()
        .map_err(SpawnError::create::<io::Error>(format!("mount {} at {target}", source.display())))?;
    Ok(if metadata.is_dir() { Missing::Directory } else { Missing::File })
}

fn termination_message(config: &ContainerConfig, file: &Path) -> Result<Option<Step>, SpawnError> {
    if config.termination_message_path.is_empty() {
        return Ok(None);
    }
    Ok(Some(Step::Bind(Bind {
        source: path(file)?,
        recursive: false,
        kind: Missing::File,
        attributes: 0,
        target: c_string(config.termination_message_path.as_str(), "terminationMessagePath")?,
    })))
}

/// Inside the container, from the shim's rights to the program's.
fn process_steps(process: &Process) -> Result<Vec<Step>, SpawnError> {
    let limits = process.rlimits.iter().map(|rlimit| Step::ResourceLimit {
        resource: rlimit.resource,
        limit: Limit { soft: rlimit.soft, hard: rlimit.hard },
    });
    let mut steps: Vec<Step> = limits.collect();
    steps.push(Step::ChangeDirectory(c_string(process.cwd.as_str(), "the working directory")?));
    steps.push(Step::Umask(process.umask));
    steps.extend(identity_steps(process));
    steps.push(Step::CloseOnExec);
    Ok(steps)
}

/// Changing the user clears what [`Step::EndWithParent`] sets. Without no_new_privs only
/// `CAP_SYS_ADMIN` may load a filter, so then it comes before capabilities are given up.
fn identity_steps(process: &Process) -> Vec<Step> {
    let sets = process.capabilities;
    let mut steps = vec![
        Step::LimitBounding(sets.bounding),
        Step::SetGroups(process.groups.iter().map(|gid| Gid::from_raw(*gid)).collect()),
        Step::SetGid(process.gid),
        Step::SetUid(process.uid),
        Step::EndWithParent,
    ];
    let capabilities = [
        Step::SetCapabilities {
            effective: sets.effective,
            permitted: sets.permitted,
            inheritable: sets.inheritable,
        },
        Step::SetAmbient(sets.ambient),
    ];
    let instruction = |filter: &container_config::SockFilter| Instruction {
        code: filter.0,
        jt: filter.1,
        jf: filter.2,
        k: filter.3,
    };
    let program: Vec<Instruction> = process.seccomp.iter().map(instruction).collect();
    let seccomp = (!program.is_empty()).then_some(Step::LoadSeccomp(program));
    if process.no_new_privileges {
        steps.extend(capabilities);
        steps.push(Step::NoNewPrivileges);
        steps.extend(seccomp);
    } else {
        steps.push(Step::RaiseCapabilities);
        steps.extend(seccomp);
        steps.extend(capabilities);
    }
    steps
}

pub(super) fn attributes(options: MountOptions) -> u64 {
    let bits = [
        (options.read_only, RDONLY),
        (options.nosuid, NOSUID),
        (options.nodev, NODEV),
        (options.noexec, NOEXEC),
    ];
    bits.into_iter().filter(|(is_set, _)| *is_set).fold(0, |sum, (_, bit)| sum | bit)
}

fn path(path: &Path) -> Result<std::ffi::CString, SpawnError> {
    use std::os::unix::ffi::OsStrExt;
    c_string(path.as_os_str().as_bytes(), "a path")
}
