//! A node in memory: containers are scripts, time is tokio's paused clock.

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use container_config::{
    ContainerConfig, ImageConfig, NodeFacts, ObjectData, ResourceLimits, SandboxConfig, SandboxFacts,
    ServiceAddress, Tmpfs,
};
use explain::redact::{self, Keep};
use explain::replay::{Replayed, replay};
use journal::Record;
use kubelet::{Node, Paths};
use lifecycle::{
    ContainerRecord, Exit, ExitReason, Observation, Observed, Pulled, SandboxSnapshot, SandboxState,
};
use podspec::source::{ObjectKind, TokenProjection};
use podspec::{BootTime, ContainerName, IDENTITY_BYTES, Moment, Pod, PodUid, Volume, VolumeName, WallTime};
use ports::{
    Answer, ClaimedVolume, Clock, ExecIo, ExecResult, ExecSession, FileSystemBytes, ImageError, ImageOnNode,
    ImageRequest, ImageService, LayerProgress, NoObjects, ObjectReader, Observer, PodContext, PortError,
    PullObserver, PullProgress, PullSecret, PullSecretKind, Reclaim, Reclaimed, RuntimeService, SessionError,
    StartContainerError, StartedContainer, Streams, Token, VolumeService,
};
use tokio::sync::Notify;
use tokio::time::Instant;

/// Is not there, and takes 25 seconds to come.
pub(crate) const PULLED_IMAGE: &str = "example.com/pulled:1";

/// What a container does once started.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    /// Exits by itself after this; `None` for never.
    pub(crate) runs: Option<Duration>,
    pub(crate) code: i32,
    /// Exits with 143 this long after its stop signal; `None` ignores it.
    pub(crate) on_term: Option<Duration>,
}

impl Script {
    pub(crate) fn exits(runs: Duration, code: i32) -> Self {
        Self { runs: Some(runs), code, on_term: Some(Duration::ZERO) }
    }

    pub(crate) fn runs_until_told(on_term: Duration) -> Self {
        Self { runs: None, code: 0, on_term: Some(on_term) }
    }

    pub(crate) fn ignores_term() -> Self {
        Self { runs: None, code: 0, on_term: None }
    }
}

struct Sandbox {
    attempt: u32,
    observer: Option<Arc<dyn Observer>>,
    containers: Vec<ContainerRecord>,
}

/// Outlives engines, as shims do.
#[derive(Default)]
pub(crate) struct World {
    scripts: Mutex<BTreeMap<String, Script>>,
    sandboxes: Mutex<BTreeMap<PodUid, Sandbox>>,
    calls: Mutex<Vec<String>>,
    hung: Notify,
    clock_reads: AtomicU64,
    /// How the next commands end; 0 after the last.
    commands_end: Mutex<VecDeque<i32>>,
}

/// One engine's view of the world.
pub(crate) struct FakeNode {
    pub(crate) world: Arc<World>,
    start: Instant,
    facts: NodeFacts,
    /// Of the world's calls, the last that is carried out; its engine is being killed.
    pub(crate) hang_after: usize,
}

impl FakeNode {
    pub(crate) fn new(world: &Arc<World>, start: Instant, hang_after: usize) -> Arc<Self> {
        Arc::new(Self { world: Arc::clone(world), start, facts: NodeFacts::default(), hang_after })
    }

    async fn begin(&self, call: String) {
        self.world.calls().push(call);
        if self.world.calls().len() > self.hang_after {
            self.hang().await;
        }
    }

    /// The engine is killed before it hears that its effect was carried out.
    async fn finish(&self) {
        if self.world.calls().len() == self.hang_after {
            self.hang().await;
        }
    }

    async fn hang(&self) {
        self.world.hung.notify_one();
        std::future::pending::<()>().await;
    }
}

impl World {
    pub(crate) fn script(&self, container: &str, script: Script) {
        self.scripts.lock().unwrap().insert(container.to_owned(), script);
    }

    /// The next commands end so.
    pub(crate) fn commands_end(&self, codes: &[i32]) {
        self.commands_end.lock().unwrap().extend(codes);
    }

    /// Calls so far, without those that only ask.
    pub(crate) fn calls(&self) -> MutexGuard<'_, Vec<String>> {
        self.calls.lock().unwrap()
    }

    /// Waits for an effect that will never come back.
    pub(crate) async fn hung(&self) {
        self.hung.notified().await;
    }

    pub(crate) fn clock_reads(&self) -> u64 {
        self.clock_reads.load(Ordering::Relaxed)
    }

    /// The shim dies: its containers with it.
    pub(crate) fn lose_sandbox(&self, uid: &PodUid) {
        self.sandboxes.lock().unwrap().remove(uid);
    }

    fn exit(&self, uid: &PodUid, name: &ContainerName, attempt: u32, code: i32, now: Moment) {
        let mut sandboxes = self.sandboxes.lock().unwrap();
        let Some(sandbox) = sandboxes.get_mut(uid) else { return };
        let Some(record) = sandbox
            .containers
            .iter_mut()
            .find(|record| record.name == *name && record.attempt == attempt && record.exit.is_none())
        else {
            return;
        };
        let exit = Exit {
            code,
            signal: None,
            reason: if code == 0 { ExitReason::Completed } else { ExitReason::Error },
            message: String::new(),
            started: Some(record.started),
            finished: now,
        };
        record.exit = Some(exit.clone());
        if let Some(observer) = &sandbox.observer {
            observer.observe(Observation::ContainerExited { container: name.clone(), attempt, exit });
        }
    }
}

impl Node for FakeNode {
    type Runtime = Self;
    type Images = Self;
    type Volumes = Self;
    type Clock = Self;

    fn runtime(&self) -> &Self {
        self
    }
    fn images(&self) -> &Self {
        self
    }
    fn volumes(&self) -> &Self {
        self
    }
    fn clock(&self) -> &Self {
        self
    }
    fn facts(&self) -> &NodeFacts {
        &self.facts
    }

    fn objects(&self) -> &dyn ObjectReader {
        &FakeObjects
    }
}

/// Of all objects one secret.
#[derive(Debug)]
struct FakeObjects;

impl ObjectReader for FakeObjects {
    fn read<'a>(&'a self, _: &'a str, _: ObjectKind, _: &'a str) -> Answer<'a, Option<Arc<ObjectData>>> {
        Box::pin(async { Ok(None) })
    }

    fn pull_secret<'a>(&'a self, namespace: &'a str, name: &'a str) -> Answer<'a, Option<PullSecret>> {
        let secret = PullSecret {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            uid: "s".to_owned(),
            kind: PullSecretKind::DockerConfigJson,
            bytes: b"s3cret".to_vec(),
        };
        Box::pin(async move {
            match name {
                "damaged" => Err(PortError("damaged".to_owned())),
                _ => Ok(Some(secret).filter(|_| name == "here")),
            }
        })
    }

    fn claim<'a>(&'a self, pod: &'a Pod, claim: &'a str, ephemeral: bool) -> Answer<'a, ClaimedVolume> {
        NoObjects.claim(pod, claim, ephemeral)
    }

    fn services<'a>(&'a self, namespace: &'a str) -> Answer<'a, Vec<ServiceAddress>> {
        NoObjects.services(namespace)
    }

    fn token<'a>(&'a self, pod: &'a Pod, wanted: &'a TokenProjection) -> Answer<'a, Token> {
        NoObjects.token(pod, wanted)
    }
}

impl Clock for FakeNode {
    fn now(&self) -> Moment {
        self.world.clock_reads.fetch_add(1, Ordering::Relaxed);
        let nanos = i64::try_from(self.start.elapsed().as_nanos()).unwrap();
        Moment { boot: BootTime(nanos), wall: WallTime(nanos) }
    }
}

/// Fails unless the checkpoint on disk already says that this effect was issued.
fn checkpoint_has(pod: &PodContext, issued: impl Fn(&Observed) -> bool) {
    let text = fs::read(pod.pod_dir.join("checkpoint.json")).expect("a checkpoint before the first effect");
    let envelope: serde_json::Value = serde_json::from_slice(&text).unwrap();
    let observed: Observed = serde_json::from_value(envelope["record"].clone()).unwrap();
    assert!(issued(&observed), "an effect began that the checkpoint does not know: {observed:?}");
}

impl RuntimeService for FakeNode {
    async fn create_sandbox(
        &self,
        pod: &Arc<PodContext>,
        attempt: u32,
        _: SandboxConfig,
        observer: Arc<dyn Observer>,
    ) -> Result<SandboxFacts, PortError> {
        checkpoint_has(pod, |observed| observed.sandbox == SandboxState::Creating { attempt });
        self.begin(format!("sandbox {attempt}")).await;
        let sandbox = Sandbox { attempt, observer: Some(observer), containers: Vec::new() };
        let before = self.world.sandboxes.lock().unwrap().insert(pod.pod.uid.clone(), sandbox);
        assert!(before.is_none(), "two sandboxes of one pod");
        self.finish().await;
        Ok(facts())
    }

    async fn adopt_sandbox(
        &self,
        pod: &Arc<PodContext>,
        observer: Arc<dyn Observer>,
    ) -> Result<Option<SandboxFacts>, PortError> {
        let mut sandboxes = self.world.sandboxes.lock().unwrap();
        let Some(sandbox) = sandboxes.get_mut(&pod.pod.uid) else { return Ok(None) };
        observer.observe(Observation::Adopted(SandboxSnapshot {
            attempt: sandbox.attempt,
            ips: facts().ips,
            containers: sandbox.containers.clone(),
        }));
        sandbox.observer = Some(observer);
        Ok(Some(facts()))
    }

    async fn start_container(
        &self,
        pod: &Arc<PodContext>,
        attempt: u32,
        config: ContainerConfig,
    ) -> Result<StartedContainer, StartContainerError> {
        let name = config.name;
        checkpoint_has(pod, |observed| {
            observed.containers[&name].current.as_ref().is_some_and(|current| current.number == attempt)
        });
        self.begin(format!("start {name} {attempt}")).await;
        let record = ContainerRecord {
            name: name.clone(),
            attempt,
            id: format!("{name}-{attempt}"),
            started: self.now(),
            stop_signal: String::new(),
            stop_signal_sent: None,
            kill_sent: None,
            exit: None,
            user: None,
        };
        let started = StartedContainer {
            id: record.id.clone(),
            started: record.started,
            stop_signal: String::new(),
            user: None,
        };
        {
            let mut sandboxes = self.world.sandboxes.lock().unwrap();
            let sandbox = sandboxes.get_mut(&pod.pod.uid).expect("a container in a sandbox");
            let live = |held: &ContainerRecord| held.name == name && held.exit.is_none();
            assert!(!sandbox.containers.iter().any(live), "two live attempts of {name}");
            sandbox.containers.push(record);
        }
        let script = self.world.scripts.lock().unwrap().get(name.as_str()).cloned();
        if let Some(Script { runs: Some(runs), code, .. }) = script {
            self.exit_after(pod, &name, attempt, runs, code);
        }
        self.finish().await;
        Ok(started)
    }

    async fn signal_container(
        &self,
        pod: &Arc<PodContext>,
        container: &ContainerName,
        attempt: u32,
    ) -> Result<(), PortError> {
        self.begin(format!("signal {container} {attempt}")).await;
        let script = self.world.scripts.lock().unwrap().get(container.as_str()).cloned();
        if let Some(after) = script.and_then(|script| script.on_term) {
            self.exit_after(pod, container, attempt, after, 143);
        }
        Ok(())
    }

    async fn kill_container(
        &self,
        pod: &Arc<PodContext>,
        container: &ContainerName,
        attempt: u32,
    ) -> Result<(), PortError> {
        self.begin(format!("kill {container} {attempt}")).await;
        self.exit_after(pod, container, attempt, Duration::ZERO, 137);
        Ok(())
    }

    async fn resize_container(
        &self,
        _: &Arc<PodContext>,
        container: &ContainerName,
        attempt: u32,
        limits: ResourceLimits,
        _: ResourceLimits,
    ) -> Result<(), PortError> {
        self.begin(format!("resize {container} {attempt} {:?}", limits.memory_limit_bytes)).await;
        Ok(())
    }

    async fn exec_sync(
        &self,
        _: &Arc<PodContext>,
        container: &ContainerName,
        _: u32,
        command: &[String],
        _: Option<Duration>,
        _: usize,
    ) -> Result<ExecResult, PortError> {
        self.begin(format!("exec {container} {}", command.join(" "))).await;
        let exit_code = self.world.commands_end.lock().unwrap().pop_front().unwrap_or(0);
        Ok(ExecResult { exit_code, output: Vec::new(), timed_out: false })
    }

    async fn exec(
        &self,
        _: &Arc<PodContext>,
        _: &ContainerName,
        _: &[String],
        _: ExecIo,
    ) -> Result<ExecSession, SessionError> {
        unreachable!("no worker asks for it")
    }

    async fn attach(&self, _: &Arc<PodContext>, _: &ContainerName, _: bool) -> Result<Streams, SessionError> {
        unreachable!("no worker asks for it")
    }

    async fn open_volume(&self, _: &Arc<PodContext>, _: &VolumeName) -> Result<OwnedFd, PortError> {
        Err(PortError("there are no volumes".to_owned()))
    }

    async fn dial(
        &self,
        _: &Arc<PodContext>,
        _: &[std::net::IpAddr],
        _: u16,
    ) -> Result<TcpStream, SessionError> {
        unreachable!("no worker asks for it")
    }

    async fn remove_container(
        &self,
        _: &Arc<PodContext>,
        container: &ContainerName,
        attempt: u32,
    ) -> Result<(), PortError> {
        self.begin(format!("remove {container} {attempt}")).await;
        Ok(())
    }

    async fn stop_sandbox(&self, pod: &Arc<PodContext>) -> Result<(), PortError> {
        self.begin("stop sandbox".to_owned()).await;
        self.world.lose_sandbox(&pod.pod.uid);
        self.finish().await;
        Ok(())
    }

    async fn remove_pod(&self, pod: &Arc<PodContext>) -> Result<(), PortError> {
        self.begin("remove pod".to_owned()).await;
        fs::remove_dir_all(&pod.pod_dir).map_err(|error| PortError(error.to_string()))
    }
}

impl FakeNode {
    /// Not an effect of this engine: goes on when it is killed.
    fn exit_after(
        &self,
        pod: &Arc<PodContext>,
        container: &ContainerName,
        attempt: u32,
        after: Duration,
        code: i32,
    ) {
        let (world, start) = (Arc::clone(&self.world), self.start);
        let (uid, name) = (pod.pod.uid.clone(), container.clone());
        tokio::spawn(async move {
            tokio::time::sleep(after).await;
            let nanos = i64::try_from(start.elapsed().as_nanos()).unwrap();
            let now = Moment { boot: BootTime(nanos), wall: WallTime(nanos) };
            world.exit(&uid, &name, attempt, code, now);
        });
    }
}

impl ImageService for FakeNode {
    async fn ensure(
        &self,
        request: &ImageRequest<'_>,
        observer: Arc<dyn PullObserver>,
    ) -> Result<(Arc<ImageConfig>, Option<Pulled>), ImageError> {
        let image = request.image;
        if image != PULLED_IMAGE {
            self.begin(format!("image {image}")).await;
            return Ok((self.inspect(image).await?, None));
        }
        self.begin(format!("pull {image} with {:?}", request.secrets)).await;
        observer.pulling();
        for second in 1..=25 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let layer = |bytes_done| LayerProgress { digest: String::new(), bytes: 50 << 20, bytes_done };
            let layers = vec![layer(50 << 20), layer(second << 21)];
            observer.progress(&PullProgress { image: image.to_owned(), layers });
        }
        let repo_digest = Some("example.com/pulled@sha256:abc".to_owned());
        let config = ImageConfig { repo_digest, ..(*self.inspect("sha256:id").await?).clone() };
        let pulled = Pulled { took: Duration::from_secs(25), waited: Duration::ZERO, bytes: 100 << 20 };
        Ok((Arc::new(config), Some(pulled)))
    }

    async fn inspect(&self, image_id: &str) -> Result<Arc<ImageConfig>, ImageError> {
        if image_id == "missing" {
            let message = "not there".to_owned();
            return Err(ImageError { reason: "ErrImageNeverPull", message });
        }
        Ok(Arc::new(ImageConfig { id: image_id.to_owned(), cmd: vec!["true".into()], ..Default::default() }))
    }

    async fn reclaim(&self, _: Reclaim) -> Result<Reclaimed, PortError> {
        Ok(Reclaimed::default())
    }

    async fn file_system(&self) -> Result<FileSystemBytes, PortError> {
        Ok(FileSystemBytes { capacity: 1 << 30, available: 1 << 30 })
    }

    async fn list(&self) -> Result<Vec<ImageOnNode>, PortError> {
        Ok(Vec::new())
    }
}

impl VolumeService for FakeNode {
    async fn set_up(&self, _: &Arc<PodContext>) -> Result<(), PortError> {
        self.begin("volumes".to_owned()).await;
        Ok(())
    }

    async fn refresh(&self, _: &Arc<PodContext>) -> Result<Option<Duration>, PortError> {
        Ok(None)
    }

    async fn tear_down(&self, _: &Arc<PodContext>) -> Result<(), PortError> {
        self.begin("remove volumes".to_owned()).await;
        Ok(())
    }

    async fn read_file(&self, _: OwnedFd, _: &str, _: usize) -> Result<Option<Vec<u8>>, PortError> {
        Ok(None)
    }

    fn host_path(&self, pod: &PodContext, volume: &Volume) -> PathBuf {
        pod.pod_dir.join("volumes").join(volume.name.as_str())
    }

    fn tmpfs(&self, _: &PodContext) -> Vec<Tmpfs> {
        Vec::new()
    }
}

fn facts() -> SandboxFacts {
    serde_json::from_value(serde_json::json!({
        "hostname": "pod", "etc_hosts": "/h", "etc_hostname": "/n", "resolv_conf": "/r", "shm": "/s",
        "volumes": {}, "cgroup_v2": true, "ips": ["127.0.0.1"]
    }))
    .unwrap()
}

/// A pod of `(name, restartPolicy of an init container, list)`, in the shorthand of [`pod`].
pub(crate) fn pod(uid: &str, restart_policy: &str, init: &[(&str, bool)], apps: &[&str]) -> Pod {
    let container = |name: &str| serde_json::json!({ "name": name, "image": "img", "command": ["true"] });
    let init = init.iter().map(|(name, sidecar)| {
        let mut container = container(name);
        if *sidecar {
            container["restartPolicy"] = "Always".into();
        }
        container
    });
    let manifest = serde_json::json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": { "name": format!("pod-{uid}") },
        "spec": {
            "restartPolicy": restart_policy, "hostname": "pod",
            "initContainers": init.collect::<Vec<_>>(),
            "containers": apps.iter().map(|name| container(name)).collect::<Vec<_>>(),
        }
    });
    let mut pod = podspec::admit(manifest, &[0; IDENTITY_BYTES]).expect("a pod that can be run").pod;
    pod.uid = PodUid::new(uid);
    pod
}

/// Directories of one test, removed at its end.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("kubelet-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).unwrap();
        Self(dir)
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.0
    }

    pub(crate) fn paths(&self) -> Paths {
        Paths { data_dir: self.0.join("data"), run_dir: self.0.join("run"), log_dir: self.0.join("log") }
    }
}

impl Drop for Scratch {
    /// Whatever a test was about: what its pods decided is decided again.
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let pods = fs::read_dir(self.paths().pods_dir()).into_iter().flatten().flatten();
            pods.for_each(|pod| drop(replays_the_same(&pod.path())));
        }
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Plays the journal of a pod again, and what is left of it without its secrets.
pub(crate) fn replays_the_same(pod_dir: &Path) -> Replayed {
    let entries = journal::read(pod_dir).unwrap();
    let pod = kubelet::load_pod(pod_dir).unwrap();
    let observed = Observed::default();
    let (now, logs) = (Moment::default(), BTreeMap::new());
    let mut record = Record { pod, observed, entries, now, live: None, logs };
    let replayed = replay(&record);
    assert_eq!(replayed.difference, None, "{}", pod_dir.display());
    assert_eq!((replayed.entries, replayed.left_out), (record.entries.len(), 0));
    redact::record(&mut record, Keep::default());
    assert_eq!(replay(&record), replayed);
    let text = serde_json::to_vec(&record).unwrap();
    assert_eq!(serde_json::from_slice::<Record>(&text).unwrap(), record);
    replayed
}
