//! What the cases share: an engine's directories, pods from manifests, and an observer to wait on.

use std::cell::RefCell;
use std::fs::{self, File};
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use container_config::{ImageConfig, Layer, NodeFacts, Objects, SandboxFacts, VolumeImages};
use lifecycle::{Exit, Observation};
use linux_sys::cgroup::Hierarchies;
use linux_sys::remove_tree::remove_tree;
use podspec::{ContainerName, Pod};
use ports::{
    ExecIo, ExecResult, ExecSession, Observer, Paths, PodContext, PortError, RuntimeService, SessionError,
    StartContainerError, Streams,
};
use runtime::{Program, ShimRuntime};

/// How long anything may take that a case waits for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Bed {
    pub(crate) root: PathBuf,
    tokio: tokio::runtime::Runtime,
    uids: RefCell<Vec<String>>,
}

impl Bed {
    pub(crate) fn new(name: &str) -> Self {
        Self::at(std::env::temp_dir().join(format!("monopod-sandboxes-{}-{name}", std::process::id())))
    }

    pub(crate) fn at(root: PathBuf) -> Self {
        let image = root.join("image");
        for name in ["etc", "proc", "sys", "dev", "tmp", "run", "usr", "root"] {
            fs::create_dir_all(image.join(name)).unwrap();
        }
        for name in ["bin", "sbin", "lib", "lib64"] {
            // There already in the second process of a case.
            let _ = symlink(format!("usr/{name}"), image.join(name));
        }
        let tokio =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        Self { root, tokio, uids: RefCell::default() }
    }

    /// An engine of its own.
    pub(crate) fn engine(&self) -> Engine<'_> {
        let path = std::env::current_exe().unwrap();
        let program = Program { path, args: vec!["shim".to_owned()] };
        Engine { bed: self, runtime: Arc::new(ShimRuntime::new(program)) }
    }

    pub(crate) fn paths(&self) -> Paths {
        Paths {
            data_dir: self.root.join("var/lib/monopod"),
            run_dir: self.root.join("run/monopod"),
            log_dir: self.root.join("var/log/pods"),
        }
    }

    /// A pod from the part of a manifest below `spec:`.
    pub(crate) fn pod(&self, spec: &str, bound: bool) -> Arc<PodContext> {
        let spec = spec.trim_start_matches('\n').replace('\n', "\n  ");
        let text = format!("apiVersion: v1\nkind: Pod\nmetadata: {{name: p}}\nspec:\n  {spec}\n");
        let random = || {
            let mut bytes = [0; podspec::IDENTITY_BYTES];
            rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty()).unwrap();
            bytes
        };
        let mut pods =
            podspec::load_pods("test", &text, random).unwrap_or_else(|error| panic!("{error}\n{text}"));
        self.context(pods.remove(0).admitted.pod, bound)
    }

    pub(crate) fn context(&self, pod: Pod, bound: bool) -> Arc<PodContext> {
        self.uids.borrow_mut().push(pod.uid.to_string());
        Arc::new(self.paths().context(pod, bound))
    }

    pub(crate) fn wait<T>(&self, future: impl Future<Output = T>) -> T {
        self.tokio.block_on(async { tokio::time::timeout(PATIENCE, future).await.expect("in time") })
    }

    pub(crate) fn enter(&self) -> tokio::runtime::EnterGuard<'_> {
        self.tokio.enter()
    }

    /// Ends whatever a case left, and says what that was.
    pub(crate) fn clean_up(self) -> Vec<String> {
        let mut left = Vec::new();
        for uid in self.uids.borrow().iter() {
            left.extend(self.left_of(uid));
        }
        for uid in self.uids.borrow().iter() {
            for pid in shims_of(&self.paths().pod_run_dir(uid)) {
                let _ = rustix::process::kill_process(
                    rustix::process::Pid::from_raw(pid).unwrap(),
                    rustix::process::Signal::KILL,
                );
            }
            let _ = shim::container::remove_pod_cgroup(&format!("monopod/pod{uid}"));
        }
        let root = self.root.clone();
        self.tokio.shutdown_timeout(PATIENCE);
        left.extend(remove_tree(&root).iter().map(ToString::to_string));
        left
    }

    pub(crate) fn left_of(&self, uid: &str) -> Vec<String> {
        let mut left: Vec<String> = cgroups(uid).iter().map(|path| path.display().to_string()).collect();
        left.extend(shims_of(&self.paths().pod_run_dir(uid)).iter().map(|pid| format!("shim {pid}")));
        let dirs = [self.paths().pods_dir().join(uid), self.paths().pod_run_dir(uid)];
        left.extend(dirs.iter().filter(|dir| dir.exists()).map(|dir| dir.display().to_string()));
        let logs = fs::read_dir(self.paths().log_dir).into_iter().flatten().flatten();
        let logs = logs.filter(|entry| entry.file_name().to_string_lossy().ends_with(uid));
        left.extend(logs.map(|entry| entry.path().display().to_string()));
        left
    }
}

/// The pod's cgroup directories, in any hierarchy.
pub(crate) fn cgroups(uid: &str) -> Vec<PathBuf> {
    let group = Hierarchies::detect().unwrap().tracking_group(format!("monopod/pod{uid}"));
    group.directories().map(|(_, directory)| directory).filter(|directory| directory.exists()).collect()
}

/// Processes that work in a pod's run directory. Zombies have none.
pub(crate) fn shims_of(run_dir: &Path) -> Vec<i32> {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let works_here = |pid: &i32| {
        let cwd = fs::read_link(format!("/proc/{pid}/cwd")).unwrap_or_default();
        // A removed directory is marked so.
        cwd.to_string_lossy().trim_end_matches(" (deleted)") == run_dir.to_string_lossy()
    };
    pids.filter(works_here).collect()
}

/// For a test without an event loop.
pub(crate) fn blocking(descriptor: OwnedFd) -> File {
    rustix::io::ioctl_fionbio(&descriptor, false).unwrap();
    File::from(descriptor)
}

pub(crate) fn read_all(descriptor: OwnedFd) -> String {
    read_to_end(blocking(descriptor))
}

/// A terminal ends with an error.
pub(crate) fn read_to_end(mut file: File) -> String {
    let mut bytes = Vec::new();
    match file.read_to_end(&mut bytes) {
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error()) => {}
        read => drop(read.unwrap()),
    }
    String::from_utf8(bytes).unwrap()
}

pub(crate) fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

pub(crate) struct Engine<'a> {
    pub(crate) bed: &'a Bed,
    pub(crate) runtime: Arc<ShimRuntime>,
}

/// A pod with a sandbox.
pub(crate) struct Running<'a> {
    pub(crate) engine: &'a Engine<'a>,
    pub(crate) pod: Arc<PodContext>,
    pub(crate) facts: SandboxFacts,
    pub(crate) observed: Arc<Observations>,
}

impl Engine<'_> {
    pub(crate) fn create(&self, pod: &Arc<PodContext>) -> Running<'_> {
        self.try_create(pod).unwrap_or_else(|error| panic!("{error}"))
    }

    pub(crate) fn try_create(&self, pod: &Arc<PodContext>) -> Result<Running<'_>, PortError> {
        let config =
            container_config::sandbox_config(&pod.pod, &pod.pod_dir, Vec::new(), &NodeFacts::default())
                .unwrap();
        let observed = Arc::new(Observations::default());
        let observer: Arc<dyn Observer> = Arc::clone(&observed) as _;
        let facts = self.bed.wait(self.runtime.create_sandbox(pod, 0, config, observer))?;
        Ok(Running { engine: self, pod: Arc::clone(pod), facts, observed })
    }

    pub(crate) fn adopt(&self, pod: &Arc<PodContext>) -> Option<Running<'_>> {
        let observed = Arc::new(Observations::default());
        let observer: Arc<dyn Observer> = Arc::clone(&observed) as _;
        let facts = self.bed.wait(self.runtime.adopt_sandbox(pod, observer)).unwrap()?;
        Some(Running { engine: self, pod: Arc::clone(pod), facts, observed })
    }
}

impl Running<'_> {
    pub(crate) fn start(&self, name: &str, attempt: u32) {
        self.try_start(name, attempt).unwrap_or_else(|error| panic!("{error:?}"));
    }

    pub(crate) fn try_start(&self, name: &str, attempt: u32) -> Result<String, StartContainerError> {
        let root = &self.engine.bed.root;
        let image = ImageConfig {
            id: "test".to_owned(),
            env: vec!["PATH=/usr/sbin:/usr/bin:/sbin:/bin".to_owned()],
            layers: vec![
                Layer { target: "/".to_owned(), lower: vec![root.join("image")] },
                Layer { target: "/usr".to_owned(), lower: vec![PathBuf::from("/usr")] },
            ],
            ..ImageConfig::default()
        };
        let node = NodeFacts {
            memory_bytes: 1 << 30,
            capabilities: (1 << 40) - 1,
            thermal_throttle_paths: Vec::new(),
            ..NodeFacts::default()
        };
        let container = self.pod.pod.spec.container(&ContainerName::new(name)).unwrap();
        let mut facts = self.facts.clone();
        for volume in &self.pod.pod.spec.volumes {
            let path = match &volume.source {
                podspec::VolumeSource::HostPath { path, .. } => PathBuf::from(path),
                _ => self.pod.pod_dir.join("volumes").join(volume.name.as_str()),
            };
            fs::create_dir_all(&path).unwrap();
            facts.volumes.insert(volume.name.to_string(), path);
        }
        let config = container_config::container_config(
            &self.pod.pod,
            container,
            &image,
            &facts,
            &node,
            &Objects::default(),
            &VolumeImages::new(),
        )
        .unwrap();
        self.engine
            .bed
            .wait(self.engine.runtime.start_container(&self.pod, attempt, config))
            .map(|made| made.id)
    }

    pub(crate) fn signal(&self, name: &str, attempt: u32) {
        let name = ContainerName::new(name);
        self.engine.bed.wait(self.engine.runtime.signal_container(&self.pod, &name, attempt)).unwrap();
    }

    pub(crate) fn kill(&self, name: &str, attempt: u32) {
        let name = ContainerName::new(name);
        self.engine.bed.wait(self.engine.runtime.kill_container(&self.pod, &name, attempt)).unwrap();
    }

    /// Gives a running container what `pod`, this pod as it is now, says of it.
    pub(crate) fn resize(&self, name: &str, pod: &Pod) -> Result<(), PortError> {
        let name = ContainerName::new(name);
        let limits = container_config::resource_limits_in(&pod.spec, pod.spec.container(&name).unwrap());
        let of_pod = container_config::pod_resource_limits(&pod.spec);
        let runtime = &self.engine.runtime;
        self.engine.bed.wait(runtime.resize_container(&self.pod, &name, 0, limits, of_pod))
    }

    /// This pod, changed.
    pub(crate) fn changed(&self, change: impl FnOnce(&mut Pod)) -> Arc<PodContext> {
        let mut context = (*self.pod).clone();
        change(&mut context.pod);
        Arc::new(context)
    }

    pub(crate) fn exec(
        &self,
        name: &str,
        script: &str,
        timeout: Option<Duration>,
        limit: usize,
    ) -> Result<ExecResult, PortError> {
        let command = ["sh", "-c", script].map(str::to_owned);
        let name = ContainerName::new(name);
        let runtime = &self.engine.runtime;
        self.engine.bed.wait(runtime.exec_sync(&self.pod, &name, 0, &command, timeout, limit))
    }

    pub(crate) fn session(&self, name: &str, script: &str, io: ExecIo) -> Result<ExecSession, SessionError> {
        let command = ["sh", "-c", script].map(str::to_owned);
        let name = ContainerName::new(name);
        self.engine.bed.wait(self.engine.runtime.exec(&self.pod, &name, &command, io))
    }

    pub(crate) fn attach(&self, name: &str, stdin: bool) -> Result<Streams, SessionError> {
        let name = ContainerName::new(name);
        self.engine.bed.wait(self.engine.runtime.attach(&self.pod, &name, stdin))
    }

    pub(crate) fn exit_of(&self, name: &str, attempt: u32) -> Exit {
        self.observed.wait_for(|observation| match observation {
            Observation::ContainerExited { container, attempt: of, exit }
                if container.as_str() == name && *of == attempt =>
            {
                Some(exit.clone())
            }
            _ => None,
        })
    }

    pub(crate) fn log_path(&self, name: &str, file: &str) -> PathBuf {
        self.pod.log_dir.join(name).join(file)
    }

    /// The text of a log, as `kubectl logs` prints it.
    pub(crate) fn log(&self, name: &str, attempt: u32) -> String {
        let bytes = fs::read(self.log_path(name, &format!("{attempt}.log"))).unwrap_or_default();
        let mut printer = cri_log::Printer::new(&cri_log::Selection::default());
        let mut printed = Vec::new();
        for line in bytes.split_inclusive(|&byte| byte == b'\n').filter(|line| line.ends_with(b"\n")) {
            let record = cri_log::decode(line).unwrap();
            printer.print(&record, |piece| printed.extend_from_slice(piece));
        }
        String::from_utf8(printed).unwrap()
    }

    pub(crate) fn wait_for_log(&self, name: &str, text: &str) {
        wait_until(text, || self.log(name, 0).contains(text));
    }

    pub(crate) fn uid(&self) -> &str {
        self.pod.pod.uid.as_str()
    }

    pub(crate) fn stop(&self) {
        self.engine.bed.wait(self.engine.runtime.stop_sandbox(&self.pod)).unwrap();
        assert_eq!(cgroups(self.uid()), Vec::<PathBuf>::new());
        wait_until("the shim is gone", || shims_of(&self.pod.run_dir).is_empty());
    }

    /// Stops the sandbox and removes the pod.
    pub(crate) fn end(&self) {
        self.stop();
        self.engine.bed.wait(self.engine.runtime.remove_pod(&self.pod)).unwrap();
    }
}

#[derive(Default)]
pub(crate) struct Observations {
    all: Mutex<Vec<Observation>>,
    more: Condvar,
}

impl Observer for Observations {
    fn observe(&self, observation: Observation) {
        self.all.lock().unwrap().push(observation);
        self.more.notify_all();
    }
}

impl Observations {
    pub(crate) fn wait_for<T>(&self, find: impl Fn(&Observation) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        let mut all = self.all.lock().unwrap();
        loop {
            if let Some(found) = all.iter().find_map(&find) {
                return found;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "waited in vain; observed {all:?}");
            all = self.more.wait_timeout(all, left).unwrap().0;
        }
    }

    pub(crate) fn all(&self) -> Vec<Observation> {
        self.all.lock().unwrap().clone()
    }
}
