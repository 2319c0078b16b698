//! What the cases share: a sandbox, a root made of the host's /usr, and ways to look at the outcome.

use std::cell::RefCell;
use std::fs::{self, File};
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use container_config::{
    BindSource, CapabilitySets, ContainerConfig, Layer, LogLimits, Mount, MountKind, MountOptions,
    PidNamespace, Process, ResourceLimits, Root, SandboxConfig, Tmpfs,
};
use linux_sys::cgroup::Hierarchies;
use linux_sys::process::{ExitStatus, wait};
use podspec::ContainerName;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use shim::container::{
    Beside, Container, ExecStdio, Executed, Output, Sandbox, SpawnError, SpawnPaths, Spawned, TeardownError,
    exec, resize, spawn,
};

/// What the default set of containerd has, by number.
pub(crate) const DEFAULT_CAPABILITIES: u64 = 0xa804_25fb;
pub(crate) const NONE: MountOptions =
    MountOptions { read_only: false, nosuid: false, nodev: false, noexec: false };
const INERT: MountOptions = MountOptions { read_only: false, nosuid: true, nodev: true, noexec: true };
pub(crate) const EXIT_SKIPPED: i32 = 77;
/// How long anything may take that a case waits for.
const PATIENCE: Timespec = Timespec { tv_sec: 20, tv_nsec: 0 };

#[derive(Debug)]
pub(crate) struct Bed {
    sandbox: RefCell<Option<Sandbox>>,
    pub(crate) directory: PathBuf,
    /// The pod's.
    pub(crate) cgroup: String,
    attempts: RefCell<u32>,
}

pub(crate) fn directory_of(pid: u32) -> PathBuf {
    std::env::temp_dir().join(format!("monopod-container-{pid}"))
}

pub(crate) fn cgroup_of(pid: u32) -> String {
    format!("monopod-test-{pid}/pod")
}

/// Cgroup directories of a case, in any hierarchy.
pub(crate) fn groups_of(pid: u32) -> Vec<PathBuf> {
    let hierarchies = Hierarchies::detect().unwrap();
    let group = hierarchies.tracking_group(format!("monopod-test-{pid}"));
    group.directories().map(|(_, directory)| directory).filter(|directory| directory.exists()).collect()
}

impl Bed {
    pub(crate) fn new() -> Self {
        let directory = directory_of(std::process::id());
        let root = directory.join("image");
        for name in ["etc", "proc", "sys", "dev", "tmp", "run", "usr", "root"] {
            fs::create_dir_all(root.join(name)).unwrap();
        }
        for name in ["bin", "sbin", "lib", "lib64"] {
            symlink(format!("usr/{name}"), root.join(name)).unwrap();
        }
        let cgroup = cgroup_of(std::process::id());
        Self { sandbox: RefCell::new(None), directory, cgroup, attempts: RefCell::new(0) }
    }

    pub(crate) fn sandbox_config(&self) -> SandboxConfig {
        SandboxConfig {
            hostname: "bed".to_owned(),
            host_network: false,
            host_ipc: false,
            users: None,
            sysctls: Vec::new(),
            shared_proc: None,
            tmpfs: vec![Tmpfs {
                path: self.directory.join("memory"),
                size_bytes: Some(1 << 20),
                mode: 0o1777,
                gid: None,
                no_swap: false,
            }],
            cgroup: self.cgroup.clone(),
            resources: ResourceLimits::default(),
        }
    }

    pub(crate) fn enter(&self) {
        self.enter_with(&self.sandbox_config());
    }

    pub(crate) fn enter_with(&self, config: &SandboxConfig) {
        *self.sandbox.borrow_mut() = Some(Sandbox::enter(config).unwrap());
    }

    pub(crate) fn destroy(&self) -> Vec<TeardownError> {
        self.sandbox.borrow_mut().take().map(Sandbox::destroy).unwrap_or_default()
    }

    pub(crate) fn config(&self, args: &[&str]) -> ContainerConfig {
        let owned = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let caps = DEFAULT_CAPABILITIES;
        ContainerConfig {
            name: ContainerName::new("app"),
            process: Process {
                args: owned(args),
                env: owned(&["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "COLOUR=blue"]),
                cwd: "/".to_owned(),
                uid: 0,
                gid: 0,
                groups: Vec::new(),
                umask: 0o022,
                capabilities: CapabilitySets { bounding: caps, effective: caps, permitted: caps },
                no_new_privileges: false,
                rlimits: Vec::new(),
                oom_score_adj: 0,
                app_armor: None,
                seccomp: Vec::new(),
            },
            root: Root {
                layers: vec![
                    Layer { target: "/".to_owned(), lower: vec![self.directory.join("image")] },
                    Layer { target: "/usr".to_owned(), lower: vec![PathBuf::from("/usr")] },
                ],
                read_only: false,
            },
            mounts: kernel_mounts(),
            masked_paths: owned(&[
                "/proc/version",
                "/proc/acpi",
                "/proc/scsi",
                "/sys/firmware",
                "/proc/none/such",
            ]),
            readonly_paths: owned(&["/proc/sys", "/proc/sysrq-trigger"]),
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

    pub(crate) fn shell(&self, script: &str) -> ContainerConfig {
        self.config(&["/bin/sh", "-c", script])
    }

    pub(crate) fn spawn(&self, config: &ContainerConfig) -> Result<Spawned, SpawnError> {
        let attempt = self.attempts.replace_with(|attempt| *attempt + 1);
        let attempt_dir = self.attempt_dir(attempt);
        fs::create_dir_all(&attempt_dir).unwrap();
        let sandbox = self.sandbox.borrow();
        spawn(sandbox.as_ref().unwrap(), config, &SpawnPaths { attempt_dir, attempt }, None)
    }

    pub(crate) fn attempt_dir(&self, attempt: u32) -> PathBuf {
        self.directory.join(format!("containers/{attempt}"))
    }

    /// Runs a container to its end.
    pub(crate) fn run(&self, config: &ContainerConfig) -> Finished {
        finish(self.spawn(config).unwrap_or_else(|error| panic!("{}", chain(&error))))
    }

    pub(crate) fn run_shell(&self, script: &str) -> Finished {
        self.run(&self.shell(script))
    }

    /// Why a container did not start.
    pub(crate) fn refuse(&self, config: &ContainerConfig) -> String {
        chain(&self.spawn(config).expect_err("it started"))
    }

    pub(crate) fn resize(
        &self,
        container: &mut Container,
        limits: &ResourceLimits,
        of_pod: &ResourceLimits,
        beside: Beside,
    ) -> Result<(), String> {
        let mut sandbox = self.sandbox.borrow_mut();
        resize(sandbox.as_mut().unwrap(), container, limits, of_pod, beside).map_err(|error| chain(&error))
    }

    pub(crate) fn exec(&self, container: &Container, args: &[&str]) -> Result<Executed, SpawnError> {
        let args: Vec<String> = args.iter().map(|text| (*text).to_owned()).collect();
        exec(container, &args, ExecStdio::Capture)
    }

    pub(crate) fn run_exec(&self, container: &Container, script: &str) -> (String, ExitStatus) {
        let executed = self.exec(container, &["sh", "-c", script]).unwrap();
        (read(executed.output.unwrap()), wait(executed.pidfd.as_fd()).unwrap())
    }

    pub(crate) fn init_pid(&self) -> Option<i32> {
        self.sandbox.borrow().as_ref().and_then(Sandbox::init_pid)
    }
}

#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) status: ExitStatus,
}

impl Finished {
    /// The output of a container that succeeded.
    pub(crate) fn ok(self) -> String {
        assert_eq!(self.status, ExitStatus::Code(0), "{self:?}");
        assert_eq!(self.stderr, "");
        self.stdout
    }
}

pub(crate) fn finish(spawned: Spawned) -> Finished {
    let (stdout, stderr) = match spawned.output {
        Output::Pipes { stdout, stderr } => {
            let stdout = read(stdout);
            (stdout, read(stderr))
        }
        Output::Pty(master) => (read(master), String::new()),
    };
    wait_end(spawned.container.pidfd());
    let status = wait(spawned.container.pidfd()).unwrap();
    let errors = spawned.container.remove_cgroup();
    assert!(errors.is_empty(), "{errors:?}");
    Finished { stdout, stderr, status }
}

/// A terminal's master ends with EIO.
pub(crate) fn read(fd: OwnedFd) -> String {
    let mut file = File::from(fd);
    let (mut text, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        wait_end(file.as_fd());
        match file.read(&mut buffer) {
            Ok(0) | Err(_) => return String::from_utf8_lossy(&text).into_owned(),
            Ok(bytes) => text.extend_from_slice(&buffer[..bytes]),
        }
    }
}

/// The first line that a running container wrote.
pub(crate) fn read_line(output: &Output) -> String {
    let Output::Pipes { stdout, .. } = output else { panic!("no pipes") };
    let mut text = Vec::new();
    loop {
        wait_end(stdout.as_fd());
        let mut byte = [0];
        match rustix::io::read(stdout, &mut byte).unwrap() {
            1 if byte != *b"\n" => text.push(byte[0]),
            _ => return String::from_utf8_lossy(&text).into_owned(),
        }
    }
}

/// Ends a case that this machine cannot run.
pub(crate) fn skip(reason: &str) -> ! {
    println!("Skipped({reason})");
    std::process::exit(EXIT_SKIPPED)
}

/// On v2, whether a controller can be had at all.
pub(crate) fn has_controller(name: &str) -> bool {
    let hierarchies = Hierarchies::detect().unwrap();
    let root = hierarchies.limiting().next().unwrap().mount.join("cgroup.controllers");
    !hierarchies.is_v2() || fs::read_to_string(root).unwrap().split_whitespace().any(|found| found == name)
}

/// Until it is readable.
pub(crate) fn wait_end(fd: std::os::fd::BorrowedFd<'_>) {
    let ready = poll(&mut [PollFd::new(&fd, PollFlags::IN)], Some(&PATIENCE)).unwrap();
    assert_eq!(ready, 1, "waited in vain");
}

pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    text
}

pub(crate) fn bind(source: &Path, target: &str, options: MountOptions) -> Mount {
    let source = BindSource { path: source.to_owned(), recursive: true, ..BindSource::default() };
    Mount { target: target.to_owned(), kind: MountKind::Bind(source), options }
}

fn kernel_mounts() -> Vec<Mount> {
    let mount = |target: &str, kind, options| Mount { target: target.to_owned(), kind, options };
    let read_only = MountOptions { read_only: true, ..INERT };
    vec![
        mount("/proc", MountKind::Proc, INERT),
        mount("/dev", MountKind::Dev, MountOptions { nosuid: true, ..NONE }),
        mount("/dev/pts", MountKind::Devpts, MountOptions { nosuid: true, noexec: true, ..NONE }),
        mount("/dev/mqueue", MountKind::Mqueue, INERT),
        mount("/sys", MountKind::Sysfs, read_only),
        mount("/sys/fs/cgroup", MountKind::Cgroup, read_only),
    ]
}
