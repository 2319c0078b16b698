//! Starting a container.

use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use container_config::{ContainerConfig, Layer, MountKind, PidNamespace, ResourceLimits};
use linux_sys::cgroup::{Entry, Group, Limits};
use linux_sys::device_filter::DeviceRule;
use linux_sys::namespace::Namespaces;
use podspec::ContainerName;

use super::child::{self, End, Plan, Ready};
use super::compile::{
    Compiled, Prepared, PreparedTerminal, SharedProc, SharedProcesses, attributes, compile,
};
use super::program::Program;
use super::resize::{Limited, bounds};
use super::stdio::{self, Stdio, Terminal};
use super::users::{Users, on_host};
use super::volume::{Tree, open_trees};
use super::{Container, Sandbox, SpawnError, devices, inside};
use crate::times;

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SpawnPaths {
    /// Exists; gets `rootfs`, `layers/N/{upper,work}`, `termination-log`, and `volumes` for images that are mounted.
    pub attempt_dir: PathBuf,
    pub attempt: u32,
}

/// Where to read what the container writes. Blocking descriptors, closed on exec.
#[derive(Debug)]
pub enum Output {
    Pipes {
        stdout: OwnedFd,
        stderr: OwnedFd,
    },
    /// The master of the container's terminal.
    Pty(OwnedFd),
}

#[derive(Debug)]
pub struct Spawned {
    pub container: Container,
    pub output: Output,
    /// Where to write what the container reads, when its standard input is a pipe.
    pub input: Option<OwnedFd>,
    /// What was asked and could not be had, without being fatal, for the log.
    pub warnings: Vec<String>,
}

/// Beside a layer's `upper`: where the layers of the image are mounted with the pod's ids.
pub(super) const MAPPED: &str = "mapped";
const TERMINATION_LOG: &str = "termination-log";

/// Starts a container: returns when its program has been executed. Its main process is a child of
/// this process, to be reaped by the caller.
///
/// # Errors
/// [`SpawnError::Start`] and the like once there was a process, the others before. In all cases process and
/// cgroup are gone; files in the attempt's directory stay.
pub fn spawn(
    sandbox: &Sandbox,
    config: &ContainerConfig,
    paths: &SpawnPaths,
    target: Option<&Container>,
) -> Result<Spawned, SpawnError> {
    let shared = match &config.pid_namespace {
        PidNamespace::Container | PidNamespace::Host => None,
        PidNamespace::Pod => Some(sandbox.shared_processes()?),
        PidNamespace::Of(name) => Some(processes_of(name, target)?),
    };
    let program = Program::new(&config.process.args, &config.process.env)?;
    let writable = make_files(config, &paths.attempt_dir, sandbox.users())?;
    times::done("directories");
    let users = sandbox.users();
    share_volumes(sandbox, config)?;
    let trees = open_trees(config, &paths.attempt_dir, users)?;
    times::done("open volumes");
    let group = sandbox.group(&format!("{}-{}", config.name, paths.attempt));
    let started = start(sandbox, config, paths, program, (writable, trees), shared, &group);
    if started.is_err() {
        // The error to report is the first one; a group that stays is removed with the pod's.
        let _ = group.remove();
    }
    let (Ready { child, mut warnings }, (output, input), missing) = started?;
    warnings.extend(
        missing
            .iter()
            .map(|name| format!("no cgroup controller {name} on this machine: its limits do not hold")),
    );
    let limited = Limited {
        of: format!("container {:?}", config.name.as_str()),
        group,
        limits: bounds(&config.resources),
    };
    let first_id = users.map(Users::first);
    let container = Container { main: child, limited, first_id, process: config.process.clone() };
    Ok(Spawned { container, output, input, warnings })
}

/// Those that the container shares mounts of with others, whoever of them comes first.
fn share_volumes(sandbox: &Sandbox, config: &ContainerConfig) -> Result<(), SpawnError> {
    let volumes = config.mounts.iter().filter_map(|mount| match &mount.kind {
        MountKind::Bind(source) if source.of_pod => Some(source),
        _ => None,
    });
    // From a user namespace nothing comes out.
    let mut shared = volumes.filter(|source| source.receives_mounts && sandbox.users().is_none());
    shared.try_for_each(|source| sandbox.share_mounts(&source.path))
}

type Started = (Ready, (Output, Option<OwnedFd>), Vec<&'static str>);

fn start(
    sandbox: &Sandbox,
    config: &ContainerConfig,
    paths: &SpawnPaths,
    program: Program,
    (writable, trees): (Vec<(PathBuf, PathBuf)>, Vec<Option<Tree>>),
    shared: Option<SharedProcesses>,
    group: &Group,
) -> Result<Started, SpawnError> {
    let users = sandbox.users();
    group.create()?;
    times::done("make cgroup");
    let missing = group.limit(&limits(&config.resources))?;
    let (cgroup_files, cgroup_directory) = match group.entry()? {
        Entry::Files(files) => (files, None),
        Entry::Directory(directory) => (Vec::new(), Some(directory)),
    };
    times::done("limit cgroup");
    let (Stdio { child: stdio, output, input }, terminal) = stdio_of(config, users)?;
    let prepared = Prepared {
        rootfs: paths.attempt_dir.join("rootfs"),
        writable,
        trees,
        termination_log: paths.attempt_dir.join(TERMINATION_LOG),
        terminal,
        cgroup_files,
        group: group.clone(),
        cgroup_v2: cgroup_directory.is_some(),
        devices: if config.privileged { devices::of_host(Path::new("/dev"))? } else { Vec::new() },
        shared,
        first_id: users.map(Users::first),
        leaves_shared: sandbox.shares_mounts(),
    };
    let Compiled { steps, proc } = compile(config, stdio, prepared)?;
    let plan = Plan { steps, end: End::Execute(program), users: users.map(Users::namespace), proc };
    let cgroup = cgroup_directory.as_ref().map(AsFd::as_fd);
    let namespaces = match config.pid_namespace {
        PidNamespace::Container if users.is_none() => Namespaces::MOUNT | Namespaces::PID,
        // Made when it is the pod's root that makes it.
        PidNamespace::Container => Namespaces::MOUNT,
        PidNamespace::Pod | PidNamespace::Of(_) | PidNamespace::Host => Namespaces::MOUNT,
    };
    times::done("compile");
    let ready = child::start(&plan, namespaces, cgroup)?;
    Ok((ready, (output, input), missing))
}

fn processes_of(name: &ContainerName, target: Option<&Container>) -> Result<SharedProcesses, SpawnError> {
    let failed = || format!("join the process namespace of container {:?}", name.as_str());
    let target = target.ok_or_else(|| SpawnError::Create {
        what: failed(),
        source: io::Error::new(io::ErrorKind::NotFound, "it is not running"),
    })?;
    let init = target.main.pidfd.try_clone().map_err(SpawnError::create::<io::Error>(failed()))?;
    let proc = SharedProc::Copy(Some(inside::proc_of(target.pidfd())?));
    Ok(SharedProcesses { init, proc })
}

fn stdio_of(
    config: &ContainerConfig,
    users: Option<&Users>,
) -> Result<(Stdio, Option<PreparedTerminal>), SpawnError> {
    let first = users.map_or(0, Users::first);
    let uid = first.saturating_add(config.process.uid);
    if !config.tty {
        return Ok((stdio::pipes(uid, config.stdin)?, None));
    }
    let devpts = config.mounts.iter().find(|mount| mount.kind == MountKind::Devpts);
    let options = devpts.map(|mount| mount.options).ok_or_else(|| SpawnError::Create {
        what: "open a terminal".to_owned(),
        source: io::Error::new(io::ErrorKind::InvalidInput, "the container has no /dev/pts"),
    })?;
    let Terminal { stdio, devpts, slave } = stdio::terminal(uid, attributes(options), first)?;
    Ok((stdio, Some(PreparedTerminal { devpts: Some(devpts), slave })))
}

pub(super) fn limits(resources: &ResourceLimits) -> Limits {
    let device = |rule: &container_config::DeviceRule| DeviceRule {
        allow: rule.allow,
        kind: rule.kind,
        major: rule.major,
        minor: rule.minor,
        access: rule.access.clone(),
    };
    Limits {
        cpu_shares: resources.cpu_shares,
        cpu_quota_us: resources.cpu_quota_us,
        cpu_period_us: resources.cpu_period_us,
        memory_limit_bytes: resources.memory_limit_bytes,
        processes_max: resources.processes_max,
        oom_ends_all: resources.oom_ends_all,
        devices: resources.devices.iter().map(device).collect(),
    }
}

/// The directories of the root, and the file of the termination message. Returns the upper and the
/// work directory of each layer.
fn make_files(
    config: &ContainerConfig,
    attempt_dir: &Path,
    users: Option<&Users>,
) -> Result<Vec<(PathBuf, PathBuf)>, SpawnError> {
    let rootfs = attempt_dir.join("rootfs");
    make_directory(&rootfs)?;
    let log = attempt_dir.join(TERMINATION_LOG);
    let failed = || format!("make {}", log.display());
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(&log)
        .map_err(SpawnError::create::<io::Error>(failed()))?;
    // Whatever user the container has may write to it.
    fs::set_permissions(&log, Permissions::from_mode(0o666))
        .map_err(SpawnError::create::<io::Error>(failed()))?;
    config
        .root
        .layers
        .iter()
        .enumerate()
        .map(|(at, layer)| make_layer(layer, &attempt_dir.join(format!("layers/{at}")), users))
        .collect()
}

/// The merged directory has the owner and mode of its upper one, so those are the image's.
pub(super) fn make_layer(
    layer: &Layer,
    directory: &Path,
    users: Option<&Users>,
) -> Result<(PathBuf, PathBuf), SpawnError> {
    let (upper, work) = (directory.join("upper"), directory.join("work"));
    make_directory(&upper)?;
    make_directory(&work)?;
    if users.is_some() {
        make_directory(&directory.join(MAPPED))?;
    }
    if let Some(top) = layer.lower.first() {
        let failed = || SpawnError::create::<io::Error>(format!("use image directory {}", top.display()));
        let metadata = top.metadata().map_err(failed())?;
        let (uid, gid) = (on_host(users, metadata.uid()), on_host(users, metadata.gid()));
        chown(&upper, Some(uid), Some(gid)).map_err(failed())?;
        fs::set_permissions(&upper, Permissions::from_mode(metadata.mode() & 0o7777)).map_err(failed())?;
    }
    Ok((upper, work))
}

fn make_directory(path: &Path) -> Result<(), SpawnError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(SpawnError::create::<io::Error>(format!("make {}", path.display())))
}
