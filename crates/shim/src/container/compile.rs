//! From a container's configuration to the steps that make it.

use std::ffi::CString;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use container_config::{BindSource, ContainerConfig, Mount, MountKind, MountOptions, Process};
use linux_sys::cgroup::{Group, Hierarchy};
use linux_sys::in_root::Missing;
use linux_sys::mount::{NODEV, NOEXEC, NOSUID, RDONLY, STRICTATIME};
use linux_sys::namespace::Namespaces;
use linux_sys::rlimit::Limit;
use linux_sys::seccomp::Instruction;
use rustix::fs::Gid;

use super::SpawnError;
use super::devices::Node;
use super::error::c_string;
use super::spawn::MAPPED;
use super::stdio;
use super::step::{Bind, NewMount, Overlay, OverlayTarget, Source, Step, V1Hierarchy};
use super::volume::Tree;

/// What the parent made for the steps.
#[derive(Debug)]
pub(super) struct Prepared {
    /// An empty directory.
    pub(super) rootfs: PathBuf,
    /// The upper and the work directory of each of the root's layers.
    pub(super) writable: Vec<(PathBuf, PathBuf)>,
    pub(super) termination_log: PathBuf,
    pub(super) terminal: Option<PreparedTerminal>,
    /// v1: the files to join the group by; empty on v2.
    pub(super) cgroup_files: Vec<OwnedFd>,
    pub(super) group: Group,
    pub(super) cgroup_v2: bool,
    /// The host's, for `/dev` of a privileged container.
    pub(super) devices: Vec<Node>,
    /// For each mount, what was opened for it.
    pub(super) trees: Vec<Option<Tree>>,
    /// For a container in the pod's process namespace.
    pub(super) shared: Option<SharedProcesses>,
    /// Mounts of the namespace that the container's is a copy of are shared with others, who are to keep them.
    pub(super) leaves_shared: bool,
    /// The host's id for the container's root, when its users are not the host's.
    pub(super) first_id: Option<u32>,
}

/// What its process does, and what is done for it.
#[derive(Debug)]
pub(super) struct Compiled {
    pub(super) steps: Vec<Step>,
    /// What concerns `/proc`, when that is not its process's to make ([`super::proc`]).
    pub(super) proc: Option<Vec<Step>>,
}

/// A process namespace that others are in.
#[derive(Debug)]
pub(super) struct SharedProcesses {
    /// Its first process.
    pub(super) init: OwnedFd,
    pub(super) proc: SharedProc,
}

/// The `/proc` of a process namespace that others are in.
#[derive(Debug)]
pub(super) enum SharedProc {
    /// Where the shim has mounted it.
    At(PathBuf),
    /// A copy of its mount, for one container.
    Copy(Option<OwnedFd>),
}

/// When a process becomes one of the container's pid namespace.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Birth {
    /// It is the first one, and nobody sees it; or, on the host's processes, it is where it is to be already.
    First,
    /// Last of all, since others see it. `terminal`: standard input becomes its terminal.
    Last { terminal: bool },
}

#[derive(Debug)]
pub(super) struct PreparedTerminal {
    pub(super) devpts: Option<OwnedFd>,
    pub(super) slave: OwnedFd,
}

/// What containerd gives a container's /dev.
const DEV_SIZE: &str = "65536k";
const DEV_ATTRIBUTES: u64 = STRICTATIME;

pub(super) fn compile(
    config: &ContainerConfig,
    stdio: [OwnedFd; 3],
    mut prepared: Prepared,
) -> Result<Compiled, SpawnError> {
    let mut steps = vec![Step::Reset];
    steps.extend(join(std::mem::take(&mut prepared.cgroup_files)));
    // A privileged one sees the host's, as with containerd.
    if prepared.cgroup_v2 && !config.privileged {
        steps.push(Step::NewCgroupNamespace);
    }
    let birth = match prepared.shared {
        None => Birth::First,
        Some(_) => Birth::Last { terminal: config.tty },
    };
    let first_id = prepared.first_id;
    if first_id.is_none() {
        steps.push(Step::NewKeyring);
    }
    steps.push(Step::Stdio(stdio));
    if birth == Birth::First && first_id.is_none() {
        steps.extend(session(config.tty));
    }
    steps.push(oom_score_adj(&config.process)?);
    steps.extend(app_armor(&config.process)?);
    if prepared.leaves_shared {
        steps.push(Step::LeaveShared);
    }
    steps.extend(overlays(config, &prepared.rootfs, &prepared.writable, first_id.is_some())?);
    steps.extend(first_id.map(Step::MakeFilesOf));
    let mut made = Compiled { steps, proc: (birth == Birth::First && first_id.is_some()).then(Vec::new) };
    let terminal = mounts(config, &mut prepared, &mut made)?;
    if let Some(terminal) = terminal {
        made.steps.push(Step::Console(terminal.slave));
    } else if !config.stdin && config.mounts.iter().any(|mount| mount.kind == MountKind::Dev) {
        made.steps.push(Step::InputFromOwnNull);
    }
    made.steps.extend(termination_message(config, &prepared.termination_log, first_id.is_some())?);
    hide(config, &mut made)?;
    let Compiled { mut steps, proc } = made;
    steps.push(Step::MakeDirectory(c_string(config.process.cwd.as_str(), "the working directory")?));
    if config.root.read_only {
        steps.push(Step::MakeRootReadOnly);
    }
    steps.push(Step::PivotRoot);
    steps.extend(prepared.shared.map(|shared| Step::JoinPidNamespace(shared.init)));
    if first_id.is_some() {
        let cgroups = prepared.cgroup_v2 && !config.privileged;
        steps.extend(enter_users(birth, cgroups));
        if birth == Birth::First {
            steps.extend(session(config.tty));
        }
        // The one before is in the mount namespace that was left.
        steps.push(Step::OpenRoot);
    }
    steps.extend(process_steps(&config.process, birth)?);
    Ok(Compiled { steps, proc })
}

/// The container's mounts, and the terminal whose other end is not mounted yet.
fn mounts(
    config: &ContainerConfig,
    prepared: &mut Prepared,
    made: &mut Compiled,
) -> Result<Option<PreparedTerminal>, SpawnError> {
    let first_id = prepared.first_id;
    let mut terminal = prepared.terminal.take();
    let mut trees = std::mem::take(&mut prepared.trees).into_iter();
    for mount in &config.mounts {
        let tree = trees.next().flatten();
        let devpts = terminal
            .as_mut()
            .and_then(|terminal| terminal.devpts.take_if(|_| mount.kind == MountKind::Devpts));
        let step = match (&mount.kind, &mut prepared.shared) {
            (MountKind::Proc, Some(shared)) => shared_proc(mount, &mut shared.proc)?,
            (MountKind::Bind(_) | MountKind::Image(_) | MountKind::OwnImage, _) => {
                Step::Bind(bind(mount, tree, first_id.is_some())?)
            }
            (MountKind::Dev, _) => dev(mount, std::mem::take(&mut prepared.devices))?,
            (MountKind::Devpts, _) if devpts.is_none() => {
                let devpts = stdio::devpts(attributes(mount.options), first_id.unwrap_or(0))?;
                mount_step(mount, Some(devpts), &prepared.group, prepared.cgroup_v2)?
            }
            _ => mount_step(mount, devpts, &prepared.group, prepared.cgroup_v2)?,
        };
        if made.proc.is_some() && mount.kind == MountKind::Proc {
            made.steps.push(Step::MakeDirectory(c_string(mount.target.as_str(), "a mount path")?));
        }
        made.push(&mount.target, step);
    }
    Ok(terminal)
}

fn hide(config: &ContainerConfig, made: &mut Compiled) -> Result<(), SpawnError> {
    let masked = config.masked_paths.iter().map(|path| (path, Step::Mask as fn(CString) -> Step));
    let read_only =
        config.readonly_paths.iter().map(|path| (path, Step::MakeReadOnly as fn(CString) -> Step));
    for (path, step) in masked.chain(read_only) {
        let step = step(c_string(path.as_str(), "a masked or read-only path")?);
        made.push(path, step);
    }
    Ok(())
}

/// Into the pod's user namespace: what is made from here on is its, such as the mounts, which are copied.
fn enter_users(birth: Birth, cgroups: bool) -> impl Iterator<Item = Step> {
    let mut kinds = Namespaces::MOUNT;
    if birth == Birth::First {
        kinds = kinds | Namespaces::PID;
    }
    if cgroups {
        kinds = kinds | Namespaces::CGROUP;
    }
    let appear = (birth == Birth::First).then_some(Step::AppearFirst);
    [Step::EnterUsers(kinds), Step::NewKeyring].into_iter().chain(appear)
}

impl Compiled {
    /// A step for what is at `target` in the container.
    fn push(&mut self, target: &str, step: Step) {
        match &mut self.proc {
            Some(proc) if Path::new(target).starts_with("/proc") => proc.push(step),
            _ => self.steps.push(step),
        }
    }
}

/// The steps of one more process in a container; descriptors are opened by the parent.
pub(super) fn compile_exec(
    process: &Process,
    cgroup_files: Vec<OwnedFd>,
    main_process: OwnedFd,
    stdio: [OwnedFd; 3],
    terminal: bool,
    own_users: bool,
) -> Result<Vec<Step>, SpawnError> {
    let mut steps = vec![Step::Reset];
    steps.extend(join(cgroup_files));
    let kinds = Namespaces::MOUNT | Namespaces::CGROUP | Namespaces::PID;
    if own_users {
        steps.extend([Step::Stdio(stdio), oom_score_adj(process)?]);
        steps.extend(app_armor(process)?);
        steps.extend([Step::JoinNamespaces(main_process, Namespaces::USER | kinds), Step::BeRoot]);
        steps.extend([Step::NewKeyring, Step::OpenRoot]);
    } else {
        steps.extend([Step::NewKeyring, Step::Stdio(stdio), oom_score_adj(process)?]);
        steps.extend(app_armor(process)?);
        steps.extend([Step::JoinNamespaces(main_process, kinds), Step::OpenRoot]);
    }
    steps.extend(process_steps(process, Birth::Last { terminal })?);
    Ok(steps)
}

fn session(terminal: bool) -> impl Iterator<Item = Step> {
    [Step::NewSession].into_iter().chain(terminal.then_some(Step::ControllingTerminal))
}

fn join(files: Vec<OwnedFd>) -> Option<Step> {
    (!files.is_empty()).then_some(Step::JoinCgroup(files))
}

fn oom_score_adj(process: &Process) -> Result<Step, SpawnError> {
    Ok(Step::OomScoreAdj(c_string(process.oom_score_adj.to_string(), "oom_score_adj")?))
}

/// While `/proc` is the shim's; it holds from execve on, also for a copy of the process.
fn app_armor(process: &Process) -> Result<Option<Step>, SpawnError> {
    let name = process.app_armor.as_ref();
    name.map(|name| Ok(Step::AppArmor(c_string(format!("exec {name}"), "appArmorProfile")?))).transpose()
}

fn overlays(
    config: &ContainerConfig,
    rootfs: &Path,
    writable: &[(PathBuf, PathBuf)],
    own_users: bool,
) -> Result<Vec<Step>, SpawnError> {
    let mut steps = Vec::new();
    for (layer, (upper, work)) in config.root.layers.iter().zip(writable) {
        let at = if steps.is_empty() {
            OverlayTarget::Root(path(rootfs)?)
        } else {
            OverlayTarget::Inside(c_string(layer.target.as_str(), "a layer's target")?)
        };
        let lower = layer.lower.iter().map(|lower| path(lower)).collect::<Result<_, _>>()?;
        let mapped_at = own_users.then(|| path(&upper.with_file_name(MAPPED))).transpose()?;
        let (upper, work) = (path(upper)?, path(work)?);
        steps.push(Step::Overlay(Overlay { lower, upper, work, at, mapped_at }));
    }
    Ok(steps)
}

/// A mount of it is the pid namespace's in which it was made, so one made here would be the shim's.
fn shared_proc(mount: &Mount, proc: &mut SharedProc) -> Result<Step, SpawnError> {
    let target = c_string(mount.target.as_str(), "a mount path")?;
    Ok(match proc {
        SharedProc::At(source) => Step::Bind(Bind {
            what: "proc".to_owned(),
            source: Source::Path { path: path(source)?, recursive: false },
            kind: Missing::Directory,
            attributes: attributes(mount.options),
            all_read_only: false,
            receives_mounts: false,
            shares_mounts: false,
            maps_ids: false,
            target,
        }),
        SharedProc::Copy(copy) => {
            let mount = copy.take().ok_or_else(|| SpawnError::Create {
                what: "mount /proc twice".to_owned(),
                source: io::ErrorKind::InvalidInput.into(),
            })?;
            Step::Attach { what: "proc", mount, target }
        }
    })
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
            let devpts = devpts.map_or_else(|| stdio::devpts(attributes, 0), Ok)?;
            Step::Attach { what: "devpts", mount: devpts, target }
        }
        MountKind::Dev => dev(mount, Vec::new())?,
        MountKind::Cgroup if cgroup_v2 => Step::Mount(new(c"cgroup2", Vec::new())),
        MountKind::Cgroup => {
            let hierarchies = group
                .directories()
                .filter_map(|(hierarchy, directory)| v1(hierarchy, &directory).transpose());
            let options = vec![(c"mode", option("755")?)];
            Step::MountCgroupV1(new(c"tmpfs", options), hierarchies.collect::<Result<_, _>>()?)
        }
        MountKind::Bind(_) | MountKind::Image(_) | MountKind::OwnImage => {
            Step::Bind(bind(mount, None, false)?)
        }
    })
}

fn dev(mount: &Mount, devices: Vec<Node>) -> Result<Step, SpawnError> {
    let tmpfs = NewMount {
        file_system: c"tmpfs",
        options: vec![(c"mode", option("755")?), (c"size", option(DEV_SIZE)?)],
        attributes: attributes(mount.options) | DEV_ATTRIBUTES,
        target: c_string(mount.target.as_str(), "a mount path")?,
    };
    Ok(Step::MountDev(tmpfs, devices))
}

/// `tree`: what was opened for it, where that is not just a path.
fn bind(mount: &Mount, tree: Option<Tree>, own_users: bool) -> Result<Bind, SpawnError> {
    let volume = |name: &String| format!("volume {name:?}");
    let (what, of_path) = match &mount.kind {
        MountKind::Bind(source) => {
            let what = source.volume.as_ref().map_or_else(|| source.path.display().to_string(), volume);
            (what, Some(source))
        }
        MountKind::Image(source) => (volume(&source.volume), None),
        MountKind::OwnImage => ("a volume of the image".to_owned(), None),
        other => (format!("{other:?}"), None),
    };
    let is_image = matches!(mount.kind, MountKind::Image(_));
    let (source, kind) = match (tree, of_path) {
        (Some(tree), _) => (Source::Tree(tree.mount), tree.kind),
        (None, Some(BindSource { path: from, recursive, sub_path: None, .. })) => {
            (Source::Path { path: path(from)?, recursive: *recursive }, kind_of(from, &mount.target)?)
        }
        (None, _) => {
            let source = io::Error::new(io::ErrorKind::InvalidInput, "nothing was opened for it");
            return Err(SpawnError::Create { what: format!("mount {what}"), source });
        }
    };
    Ok(Bind {
        what,
        source,
        kind,
        attributes: attributes(mount.options),
        all_read_only: is_image || of_path.is_some_and(|source| source.recursive_read_only),
        receives_mounts: of_path.is_some_and(|source| source.receives_mounts),
        // Within a user namespace there is nobody to share with.
        shares_mounts: !own_users && of_path.is_some_and(|source| source.shares_mounts),
        // The layers of an image are mapped below the overlay, which cannot be.
        maps_ids: own_users && !is_image && mount.kind != MountKind::OwnImage,
        target: c_string(mount.target.as_str(), "a mount path")?,
    })
}

fn option(value: &str) -> Result<CString, SpawnError> {
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

fn termination_message(
    config: &ContainerConfig,
    file: &Path,
    own_users: bool,
) -> Result<Option<Step>, SpawnError> {
    if config.termination_message_path.is_empty() {
        return Ok(None);
    }
    Ok(Some(Step::Bind(Bind {
        what: "the file for the termination message".to_owned(),
        source: Source::Path { path: path(file)?, recursive: false },
        kind: Missing::File,
        attributes: 0,
        all_read_only: false,
        receives_mounts: false,
        shares_mounts: false,
        maps_ids: own_users,
        target: c_string(config.termination_message_path.as_str(), "terminationMessagePath")?,
    })))
}

/// Inside the container, from the shim's rights to the program's.
fn process_steps(process: &Process, birth: Birth) -> Result<Vec<Step>, SpawnError> {
    let mut steps = vec![
        Step::ChangeDirectory(c_string(process.cwd.as_str(), "the working directory")?),
        Step::Umask(process.umask),
    ];
    // After the last step that opens a file: this process still has the shim's, perhaps more than the
    // container may have. Before capabilities are given up, for raising a limit takes one.
    steps.extend(process.rlimits.iter().map(|rlimit| Step::ResourceLimit {
        resource: rlimit.resource,
        limit: Limit { soft: rlimit.soft, hard: rlimit.hard },
    }));
    steps.extend(identity_steps(process, birth));
    if let Birth::Last { terminal } = birth {
        steps.push(Step::Appear);
        steps.extend(session(terminal));
        steps.push(Step::EndWithParent);
    }
    steps.push(Step::CloseOnExec);
    Ok(steps)
}

/// Changing the user clears what [`Step::EndWithParent`] sets. Without no_new_privs only
/// `CAP_SYS_ADMIN` may load a filter, so then it comes before capabilities are given up.
fn identity_steps(process: &Process, birth: Birth) -> Vec<Step> {
    let sets = process.capabilities;
    let mut steps = vec![
        Step::LimitBounding(sets.bounding),
        Step::SetGroups(process.groups.iter().map(|gid| Gid::from_raw(*gid)).collect()),
        Step::SetGid(process.gid),
        Step::SetUid(process.uid),
    ];
    if birth == Birth::First {
        steps.push(Step::EndWithParent);
    }
    let capabilities = Step::SetCapabilities { effective: sets.effective, permitted: sets.permitted };
    let instruction = |filter: &container_config::SockFilter| Instruction {
        code: filter.0,
        jt: filter.1,
        jf: filter.2,
        k: filter.3,
    };
    let program: Vec<Instruction> = process.seccomp.iter().map(instruction).collect();
    let seccomp = (!program.is_empty()).then_some(Step::LoadSeccomp(program));
    if process.no_new_privileges {
        steps.push(capabilities);
        steps.push(Step::NoNewPrivileges);
        steps.extend(seccomp);
    } else {
        steps.push(Step::RaiseCapabilities);
        steps.extend(seccomp);
        steps.push(capabilities);
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

fn path(path: &Path) -> Result<CString, SpawnError> {
    use std::os::unix::ffi::OsStrExt;
    c_string(path.as_os_str().as_bytes(), "a path")
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::fd::OwnedFd;
    use std::path::PathBuf;

    use container_config::{
        BindSource, CapabilitySets, ContainerConfig, Layer, LogLimits, Mount, MountKind, MountOptions,
        PidNamespace, Process, ResourceLimits, Root, SockFilter,
    };
    use linux_sys::cgroup::Hierarchies;
    use podspec::ContainerName;

    use super::{Compiled, Prepared, SharedProc, SharedProcesses, compile, compile_exec};
    use crate::container::step::Step;

    const INERT: MountOptions = MountOptions { read_only: true, nosuid: true, nodev: true, noexec: true };
    const V1: &str = "\
32 31 0:29 / /cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
36 31 0:33 / /cgroup/devices rw - cgroup cgroup rw,devices
";
    const V2: &str = "29 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";

    fn null() -> OwnedFd {
        File::open("/dev/null").unwrap().into()
    }

    fn config() -> ContainerConfig {
        let mount = |target: &str, kind| Mount { target: target.to_owned(), kind, options: INERT };
        ContainerConfig {
            name: ContainerName::new("app"),
            process: Process {
                args: vec!["true".to_owned()],
                env: Vec::new(),
                cwd: "/work".to_owned(),
                uid: 1000,
                gid: 1001,
                groups: vec![7],
                umask: 0o022,
                capabilities: CapabilitySets::default(),
                no_new_privileges: true,
                rlimits: Vec::new(),
                oom_score_adj: 5,
                app_armor: None,
                seccomp: vec![SockFilter(6, 0, 0, 0)],
            },
            root: Root {
                layers: ["/", "/usr"]
                    .map(|target| Layer { target: target.to_owned(), lower: vec![PathBuf::from("/")] })
                    .to_vec(),
                read_only: true,
            },
            mounts: vec![
                mount("/proc", MountKind::Proc),
                mount("/sys/fs/cgroup", MountKind::Cgroup),
                mount(
                    "/data",
                    MountKind::Bind(BindSource {
                        path: PathBuf::from("/dev/null"),
                        recursive: true,
                        ..BindSource::default()
                    }),
                ),
            ],
            masked_paths: vec!["/proc/kcore".to_owned()],
            readonly_paths: vec!["/proc/sys".to_owned()],
            privileged: false,
            pid_namespace: PidNamespace::Container,
            resources: ResourceLimits::default(),
            of_pod: ResourceLimits::default(),
            stop_signal: 15,
            termination_message_path: "/dev/termination-log".to_owned(),
            termination_message_policy: podspec::TerminationMessagePolicy::File,
            tty: false,
            stdin: false,
            stdin_once: false,
            log_limits: LogLimits::default(),
        }
    }

    fn steps(config: &ContainerConfig, mountinfo: &str) -> Vec<Step> {
        compiled(config, mountinfo, None).steps
    }

    fn compiled(config: &ContainerConfig, mountinfo: &str, first_id: Option<u32>) -> Compiled {
        let hierarchies = Hierarchies::from_mountinfo(mountinfo).unwrap();
        let cgroup_v2 = hierarchies.is_v2();
        let layer = |number| (PathBuf::from(format!("/u{number}")), PathBuf::from(format!("/w{number}")));
        let prepared = Prepared {
            rootfs: PathBuf::from("/rootfs"),
            writable: vec![layer(0), layer(1)],
            termination_log: PathBuf::from("/log"),
            terminal: None,
            cgroup_files: if cgroup_v2 { Vec::new() } else { vec![null()] },
            group: hierarchies.group("monopod/pod1/app-0"),
            cgroup_v2,
            devices: Vec::new(),
            trees: Vec::new(),
            leaves_shared: false,
            first_id,
            shared: (config.pid_namespace == PidNamespace::Pod)
                .then(|| SharedProcesses { init: null(), proc: SharedProc::At(PathBuf::from("/pod/proc")) }),
        };
        compile(config, [null(), null(), null()], prepared).unwrap()
    }

    fn names(steps: &[Step]) -> Vec<String> {
        steps.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_container_is_made_in_this_order() {
        let expected = [
            "reset signals",
            "join the container's cgroup",
            "make a session keyring",
            "set up standard input and output",
            "start a session",
            "set oom_score_adj to 5",
            "mount the root file system",
            "mount overlay at /usr",
            "mount proc at /proc",
            "mount tmpfs at /sys/fs/cgroup",
            "mount /dev/null at /data",
            "mount the file for the termination message at /dev/termination-log",
            "hide /proc/kcore",
            "make /proc/sys read-only",
            "make the working directory /work",
            "make the root file system read-only",
            "change the root",
            "change to the working directory /work",
            "set the umask",
            "limit the capability bounding set",
            "set supplementary groups",
            "change to group 1001",
            "change to user 1000",
            "bind the process to the shim",
            "set capabilities",
            "set no_new_privs",
            "load the seccomp filter",
            "close file descriptors",
        ];
        assert_eq!(names(&steps(&config(), V1)), expected);
    }

    #[test]
    fn a_profile_is_named_while_proc_is_the_shims() {
        let mut config = config();
        config.process.app_armor = Some("mine".to_owned());
        let exec = compile_exec(&config.process, vec![null()], null(), [null(), null(), null()], false, true);
        for (steps, before) in [
            (compiled(&config, V1, None).steps, "mount the root file system"),
            (compiled(&config, V1, Some(65_536)).steps, "mount the root file system"),
            (exec.unwrap(), "join the container's namespaces"),
        ] {
            let steps = names(&steps);
            let at = |name: &str| steps.iter().position(|step| step == name).unwrap();
            assert!(at("confine the process by AppArmor profile \"mine\"") < at(before), "{steps:?}");
        }
    }

    #[test]
    fn the_pods_own_root_comes_last_and_finds_no_way_back() {
        let Compiled { steps, proc } = compiled(&config(), V2, Some(65_536));
        let steps = names(&steps);
        let at = |name: &str| steps.iter().position(|step| step == name).unwrap();
        assert!(at("mount the root file system") < at("make files of user 65536"));
        assert!(at("make files of user 65536") < at("mount cgroup2 at /sys/fs/cgroup"));
        assert!(at("mount /dev/null at /data") < at("change the root"));
        let last = [
            "change the root",
            "enter the pod's user namespace",
            "make a session keyring",
            "start in the process namespace; its first process may have ended",
            "start a session",
            "open the root",
            "change to the working directory /work",
        ];
        assert_eq!(steps[at("change the root")..][..last.len()], last);
        assert!(steps.contains(&"make the working directory /proc".to_owned()));
        let expected = ["mount proc at /proc", "hide /proc/kcore", "make /proc/sys read-only"];
        assert_eq!(names(&proc.unwrap()), expected);
        let mut shared = config();
        shared.pid_namespace = PidNamespace::Pod;
        let Compiled { steps, proc } = compiled(&shared, V1, Some(65_536));
        assert!(proc.is_none());
        let steps = names(&steps);
        let at = |name: &str| steps.iter().position(|step| step == name).unwrap();
        assert!(at("join the pod's process namespace") < at("enter the pod's user namespace"));
    }

    #[test]
    fn on_v2_a_namespace_takes_the_place_of_joining() {
        let steps = names(&steps(&config(), V2));
        assert!(steps.contains(&"make a cgroup namespace".to_owned()));
        assert!(steps.contains(&"mount cgroup2 at /sys/fs/cgroup".to_owned()));
        assert!(!steps.contains(&"join the container's cgroup".to_owned()));
    }

    #[test]
    fn without_no_new_privs_the_filter_comes_before_capabilities_are_given_up() {
        let mut config = config();
        config.process.no_new_privileges = false;
        let steps = steps(&config, V1);
        let is_load = |step: &Step| matches!(step, Step::LoadSeccomp(_));
        let load = steps.iter().position(is_load).unwrap();
        let give_up = steps.iter().position(|step| matches!(step, Step::SetCapabilities { .. })).unwrap();
        assert!(load < give_up);
        assert!(!steps.iter().any(|step| matches!(step, Step::NoNewPrivileges)));
    }

    #[test]
    fn v1_hierarchies_keep_their_names_and_device_rules_stay_out() {
        let steps = steps(&config(), V1);
        let hierarchies = steps.iter().find_map(|step| match step {
            Step::MountCgroupV1(_, hierarchies) => Some(hierarchies),
            _ => None,
        });
        let [only] = hierarchies.unwrap().as_slice() else { panic!("{steps:?}") };
        assert_eq!(only.name.to_str(), Ok("cpu,cpuacct"));
        assert_eq!(only.group.to_str(), Ok("/cgroup/cpu,cpuacct/monopod/pod1/app-0"));
        assert_eq!(only.links, [c"cpu".to_owned(), c"cpuacct".to_owned()]);
    }

    #[test]
    fn a_further_process_joins_before_it_gives_up_rights() {
        let steps =
            compile_exec(&config().process, vec![null()], null(), [null(), null(), null()], false, false)
                .unwrap();
        let at = |name: &str| names(&steps).iter().position(|step| step == name).unwrap();
        assert!(at("join the container's cgroup") < at("join the container's namespaces"));
        assert!(at("join the container's namespaces") < at("open the root"));
        assert!(at("open the root") < at("limit the capability bounding set"));
    }

    #[test]
    fn others_see_a_process_only_when_it_has_given_up_everything() {
        let mut config = config();
        config.pid_namespace = PidNamespace::Pod;
        config.tty = true;
        let exec =
            compile_exec(&config.process, vec![null()], null(), [null(), null(), null()], false, false)
                .unwrap();
        let exec = names(&exec);
        let start = names(&steps(&config, V1));
        let appear = "start in the process namespace; its first process may have ended";
        let bound = "bind the process to the shim";
        let last = |steps: &[String], count| steps[steps.len() - count..].to_vec();
        assert_eq!(last(&exec, 4), [appear, "start a session", bound, "close file descriptors"]);
        let expected = [appear, "start a session", "set up the terminal", bound, "close file descriptors"];
        assert_eq!(last(&start, 5), expected);
        assert!(start.contains(&"mount proc at /proc".to_owned()));
        for steps in [&start, &exec] {
            assert_eq!(steps.iter().filter(|step| *step == "start a session" || *step == bound).count(), 2);
            assert!(steps.iter().any(|step| step == "join the pod's process namespace"
                || step == "join the container's namespaces"));
        }
    }
}
