//! crun and runc: where they come from, and one container by one of them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;

use anyhow::{Context, Result, bail, ensure};
use container_config::{ContainerConfig, PidNamespace};
use linux_sys::cgroup::Hierarchies;

use super::mounts::overlay_options;
use super::{Launch, Place, PodFacts, spec};
use crate::outcome::skip;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Runtime {
    Crun,
    Runc,
}

/// A container that has ended.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// `config.json`, for a failure's report.
    pub(crate) bundle: PathBuf,
    /// Of its group, from each hierarchy's root.
    pub(crate) cgroup: PathBuf,
}

/// A mirror that does not answer is asked again so often.
const RETRIES: &str = "Acquire::Retries=3";
const DIRECTORIES: [&str; 5] = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin"];

impl Runtime {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Crun => "crun",
            Self::Runc => "runc",
        }
    }

    /// Of Debian 12. Other versions have other differences.
    fn known_version(self) -> &'static str {
        match self {
            Self::Crun => "1.8.1",
            Self::Runc => "1.1.5",
        }
    }

    /// The program, in the version whose differences are known. Installs Debian's package unless there is
    /// one, or skips the test: its mirrors are not ours to fail on.
    pub(crate) fn require(self) -> Result<PathBuf> {
        static INSTALLING: Mutex<()> = Mutex::new(());
        let _one_at_a_time = INSTALLING.lock();
        if let Some(path) = self.path() {
            return self.check_version(path);
        }
        let apt_get = |args: &[&str]| {
            let mut command = Command::new("apt-get");
            command.args(args).args(["-q", "-y", "-o", RETRIES]).env("DEBIAN_FRONTEND", "noninteractive");
            let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
            status.is_ok_and(|status| status.success())
        };
        let name = self.name();
        if !apt_get(&["update"]) || !apt_get(&["install", "--no-install-recommends", name]) {
            return skip(format!("{name} is not installed, and apt-get cannot install it"));
        }
        let path = self.path().with_context(|| format!("{name} is installed, but not in {DIRECTORIES:?}"))?;
        self.check_version(path)
    }

    fn check_version(self, program: PathBuf) -> Result<PathBuf> {
        let output = Command::new(&program).arg("--version").output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        let version = text.split_whitespace().nth(2).unwrap_or_default();
        let known = self.known_version();
        if version.split('+').next() != Some(known) {
            return skip(format!(
                "{} has version {version}, its differences are known for {known}",
                self.name()
            ));
        }
        Ok(program)
    }

    fn path(self) -> Option<PathBuf> {
        DIRECTORIES.iter().map(|dir| Path::new(dir).join(self.name())).find(|path| path.is_file())
    }

    /// crun refuses a hybrid layout of cgroups whose v2 half has controllers, though the container needs
    /// none of them.
    fn confusing_mounts(self) -> Vec<PathBuf> {
        const V2_HALF: &str = "/sys/fs/cgroup/unified";
        let controllers = fs::read_to_string(Path::new(V2_HALF).join("cgroup.controllers"));
        let is_refused = controllers.is_ok_and(|controllers| !controllers.trim().is_empty());
        if self == Self::Crun && is_refused { vec![PathBuf::from(V2_HALF)] } else { vec![] }
    }

    fn command(self, program: &Path, state: &Path) -> Vec<String> {
        let mut words = vec![program.display().to_string(), "--root".to_owned(), state.display().to_string()];
        if self == Self::Crun {
            words.push("--cgroup-manager=cgroupfs".to_owned());
        }
        words
    }

    /// Runs a container of a pod to its end, with files of its own in the new directory `dir`.
    pub(crate) fn run(self, pod: &PodFacts, config: &ContainerConfig, dir: &Path) -> Result<Outcome> {
        let program = self.require()?;
        let bundle = dir.join("bundle");
        fs::create_dir_all(bundle.join("rootfs"))?;
        let layers = config.root.layers.iter().enumerate();
        let layers: Vec<(PathBuf, PathBuf)> =
            layers.map(|(n, layer)| make_layer(layer, &dir.join(n.to_string()))).collect::<Result<_>>()?;
        let termination_log = dir.join("termination-log");
        fs::write(&termination_log, "")?;
        open_to_all(&termination_log)?;
        let (Some(root), Some((upper, work))) = (config.root.layers.first(), layers.first()) else {
            bail!("a root without layers")
        };
        let group = PathBuf::from(format!("/monopod-e2e-{}-{}", self.name(), std::process::id()));
        let id = dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let hierarchies = Hierarchies::detect()?;
        let place = Place {
            inner_layers: layers[1..].to_vec(),
            termination_log,
            joined: joined(pod, config)?,
            cgroup: group.join(&id),
            cgroup_v2: hierarchies.is_v2(),
            has_sys_resource: has_sys_resource()?,
        };
        fs::write(bundle.join("config.json"), serde_json::to_vec_pretty(&spec(config, &place))?)?;
        let launch = Launch {
            runtime: self.command(&program, &dir.join("state")),
            id,
            root_options: overlay_options(root, upper, work),
            shim_pid: pod.sandbox.shim_pid,
            terminal: config.tty,
            bundle: bundle.clone(),
            unmounted: self.confusing_mounts(),
        };
        let launched = start(&launch, &dir.join("launch.json"));
        let group = hierarchies.tracking_group(group.strip_prefix("/")?);
        let left = group.remove();
        launched?;
        ensure!(left.is_empty(), "cannot remove the cgroups: {left:?}");
        Ok(Outcome { bundle, cgroup: place.cgroup })
    }
}

fn start(launch: &Launch, file: &Path) -> Result<()> {
    fs::write(file, serde_json::to_vec(launch)?)?;
    let mut command = Command::new(std::env::current_exe()?);
    let output = command.arg("oci").arg(file).stdin(Stdio::null()).output()?;
    let text = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{} {}: {text}", launch.runtime[0], output.status);
    Ok(())
}

/// An upper and a work directory; the upper one has owner and mode of the image's.
fn make_layer(layer: &container_config::Layer, dir: &Path) -> Result<(PathBuf, PathBuf)> {
    use std::os::unix::fs::{MetadataExt, chown};
    let (upper, work) = (dir.join("upper"), dir.join("work"));
    fs::create_dir_all(&upper)?;
    fs::create_dir_all(&work)?;
    let top = layer.lower.first().context("a layer without directories")?.metadata()?;
    chown(&upper, Some(top.uid()), Some(top.gid()))?;
    fs::set_permissions(&upper, top.permissions())?;
    Ok((upper, work))
}

fn open_to_all(file: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    Ok(fs::set_permissions(file, fs::Permissions::from_mode(0o666))?)
}

/// What the pod's containers share.
fn joined(pod: &PodFacts, config: &ContainerConfig) -> Result<Vec<(&'static str, PathBuf)>> {
    let shim = pod.sandbox.shim_pid;
    let of_shim = |kind: &str| PathBuf::from(format!("/proc/{shim}/ns/{kind}"));
    let mut joined = vec![("network", of_shim("net")), ("ipc", of_shim("ipc")), ("uts", of_shim("uts"))];
    if config.pid_namespace == PidNamespace::Pod {
        let children = fs::read_to_string(format!("/proc/{shim}/task/{shim}/children"))?;
        // The pod's init is the first one that the shim started.
        let init = children.split_whitespace().next().context("the shim has no child")?;
        joined.push(("pid", PathBuf::from(format!("/proc/{init}/ns/pid"))));
    }
    Ok(joined)
}

fn has_sys_resource() -> Result<bool> {
    let permitted = linux_sys::credentials::permitted_capabilities()?;
    Ok(permitted & rustix::thread::CapabilitySet::SYS_RESOURCE.bits() != 0)
}
