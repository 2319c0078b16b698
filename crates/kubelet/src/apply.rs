//! Carries out actions. No condition here is on policy or time: an action is complete, so all that is
//! left is to ask `container-config` what a container is made of, call one port, and report what
//! happened as an observation.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use container_config::{
    ContainerConfig, FileContent, ImageConfig, Objects, SandboxFacts, VolumeImages, files_of_variables,
    objects_of_variables,
};
use lifecycle::{Action, Observation};
use podspec::source::FileKey;
use podspec::{Container, ContainerName, SeccompProfile};
use ports::{
    ImageService, Observer, PodContext, PortError, RuntimeService, StartContainerError, StartedContainer,
    VolumeService,
};

use tokio::sync::{Notify, watch};
use tracing::{Instrument, trace_span};

use crate::Node;
use crate::inbox::Inbox;
use crate::pulls::Pulls;

/// As much as a config map holds.
const ENV_FILE_BYTES_MAX: usize = 1 << 20;

/// Shared by the effects of one pod.
#[derive(Debug)]
pub(crate) struct Effects<N: Node> {
    pub(crate) node: Arc<N>,
    /// As it is now.
    pod: Mutex<Arc<PodContext>>,
    pub(crate) inbox: Arc<Inbox<N>>,
    /// Of which its images are being pulled.
    pub(crate) pulls: watch::Sender<Pulls>,
    /// Told of each image that was pulled.
    pub(crate) pulled: Arc<Notify>,
    /// Counts changes of what the pod names.
    changes: AtomicU64,
    /// Of the newest sandbox; absent before there was one.
    facts: Mutex<Option<Arc<SandboxFacts>>>,
}

impl<N: Node> Effects<N> {
    pub(crate) fn new(node: Arc<N>, pod: Arc<PodContext>, inbox: Arc<Inbox<N>>, pulled: Arc<Notify>) -> Self {
        let (pulls, _) = watch::channel(Pulls::new());
        Self {
            node,
            pod: Mutex::new(pod),
            inbox,
            pulls,
            pulled,
            changes: AtomicU64::new(0),
            facts: Mutex::default(),
        }
    }

    /// The pod as it is now.
    pub(crate) fn pod(&self) -> Arc<PodContext> {
        Arc::clone(&self.pod.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn change_pod(&self, pod: Arc<PodContext>) {
        *self.pod.lock().unwrap_or_else(PoisonError::into_inner) = pod;
    }

    /// Something that the pod names has changed.
    pub(crate) fn objects_changed(&self) {
        self.changes.fetch_add(1, Ordering::SeqCst);
    }

    /// Carries out one action and puts its outcome into the inbox.
    pub(crate) async fn apply(&self, action: Action) {
        let changes = self.changes.load(Ordering::SeqCst);
        let outcome = match action {
            Action::SetUpVolumes => self.set_up_volumes().await,
            Action::CreateSandbox { attempt } => self.create_sandbox(attempt).await,
            Action::EnsureImage { container, image, policy } => {
                self.ensure_image(container, image, policy).await
            }
            Action::StartContainer { container, attempt, run: _, image_id, volume_images } => {
                self.start_container(container, attempt, &image_id, &volume_images).await
            }
            Action::RunHook { container, attempt, hook, timeout } => {
                self.run_hook(container, attempt, hook, timeout).await
            }
            Action::RunProbe { container, attempt, probe, timeout } => {
                let outcome = self.probe(&container, attempt, probe, timeout).await;
                Observation::ProbeFinished { container, attempt, probe, outcome }
            }
            Action::ResizeContainer { container, attempt, resources } => {
                self.resize(container, attempt, resources).await
            }
            Action::SignalContainer { container, attempt } => {
                let sent = self.node.runtime().signal_container(&self.pod(), &container, attempt).await;
                return self.log_failure("send the stop signal", Some(&container), sent);
            }
            Action::KillContainer { container, attempt } => {
                let killed = self.node.runtime().kill_container(&self.pod(), &container, attempt).await;
                return self.log_failure("kill", Some(&container), killed);
            }
            Action::RemoveContainer { container, attempt } => {
                let removed = self.node.runtime().remove_container(&self.pod(), &container, attempt).await;
                self.log_failure("remove an old attempt", Some(&container), removed);
                Observation::ContainerRemoved { container, attempt }
            }
            Action::StopSandbox { attempt } => {
                let stopped = self.node.runtime().stop_sandbox(&self.pod()).await;
                self.log_failure("stop the sandbox", None, stopped);
                Observation::SandboxStopped { attempt }
            }
            Action::RemoveVolumes => {
                let removed = self.node.volumes().tear_down(&self.pod()).await;
                self.log_failure("remove the volumes", None, removed);
                Observation::VolumesRemoved
            }
        };
        let failed =
            matches!(outcome, Observation::VolumesFailed { .. } | Observation::ContainerCreateFailed { .. });
        self.inbox.observe(outcome);
        // It may have read what was there before.
        if failed && self.changes.load(Ordering::SeqCst) != changes {
            self.inbox.observe(Observation::ObjectsChanged);
        }
    }

    /// Of the newest sandbox.
    pub(crate) fn pod_ips(&self) -> Vec<IpAddr> {
        let facts = self.facts.lock().unwrap_or_else(PoisonError::into_inner);
        facts.as_ref().map(|facts| facts.ips.clone()).unwrap_or_default()
    }

    /// Takes over the sandbox of an earlier engine; `false` when there is none alive.
    pub(crate) async fn adopt_sandbox(&self) -> Result<bool, PortError> {
        let observer: Arc<dyn Observer> = Arc::clone(&self.inbox) as Arc<dyn Observer>;
        let facts = self.node.runtime().adopt_sandbox(&self.pod(), observer).await?;
        let alive = facts.is_some();
        if let Some(facts) = facts {
            self.keep_facts(facts);
        }
        Ok(alive)
    }

    async fn set_up_volumes(&self) -> Observation {
        match self.node.volumes().set_up(&self.pod()).await {
            Ok(()) => Observation::VolumesReady,
            Err(PortError(message)) => Observation::VolumesFailed { message },
        }
    }

    async fn create_sandbox(&self, attempt: u32) -> Observation {
        let pod = self.pod();
        let tmpfs = self.node.volumes().tmpfs(&pod);
        let config = match container_config::sandbox_config(&pod.pod, &pod.pod_dir, tmpfs, self.node.facts())
        {
            Ok(config) => config,
            Err(error) => {
                return Observation::SandboxCreateFailed { attempt, message: error.to_string() };
            }
        };
        let observer: Arc<dyn Observer> = Arc::clone(&self.inbox) as Arc<dyn Observer>;
        match self.node.runtime().create_sandbox(&pod, attempt, config, observer).await {
            Ok(facts) => {
                let ips = facts.ips.clone();
                self.keep_facts(facts);
                Observation::SandboxCreated { attempt, ips }
            }
            Err(PortError(message)) => Observation::SandboxCreateFailed { attempt, message },
        }
    }

    /// Completes the runtime's facts with where the volumes are, which it does not know.
    fn keep_facts(&self, mut facts: SandboxFacts) {
        let pod = self.pod();
        facts.volumes = (pod.pod.spec.volumes.iter())
            .map(|volume| (volume.name.to_string(), self.node.volumes().host_path(&pod, volume)))
            .collect();
        *self.facts.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(facts));
    }

    async fn start_container(
        &self,
        container: ContainerName,
        attempt: u32,
        image_id: &str,
        volume_images: &BTreeMap<String, String>,
    ) -> Observation {
        match self.try_start_container(&container, attempt, image_id, volume_images).await {
            Ok(StartedContainer { id, started, user, stop_signal: _ }) => {
                Observation::ContainerStarted { container, attempt, id, started, user }
            }
            Err(StartContainerError::Create { reason, message }) => {
                Observation::ContainerCreateFailed { container, attempt, reason, message }
            }
            Err(StartContainerError::Start(exit)) => {
                Observation::ContainerExited { container, attempt, exit }
            }
        }
    }

    async fn try_start_container(
        &self,
        name: &ContainerName,
        attempt: u32,
        image_id: &str,
        volume_images: &BTreeMap<String, String>,
    ) -> Result<StartedContainer, StartContainerError> {
        let pod = self.pod();
        let config = self.config_of(&pod, name, image_id, volume_images);
        let config = config.instrument(trace_span!(target: "start", "configure")).await?;
        self.node.runtime().start_container(&pod, attempt, config).await
    }

    async fn config_of(
        &self,
        pod: &PodContext,
        name: &ContainerName,
        image_id: &str,
        volume_images: &BTreeMap<String, String>,
    ) -> Result<ContainerConfig, StartContainerError> {
        let container = spec_of(pod, name).map_err(config_error)?;
        let facts = self.facts.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let facts = facts.ok_or_else(|| config_error("the pod has no sandbox".to_owned()))?;
        let image = self.inspect(image_id).await?;
        let mut images_of_volumes = VolumeImages::new();
        for (reference, id) in volume_images {
            images_of_volumes.insert(reference.clone(), self.inspect(id).await?);
        }
        let node = self.node.facts();
        let objects = self.objects_for(pod, container).await.map_err(config_error)?;
        container_config::container_config(
            &pod.pod,
            container,
            &image,
            &facts,
            node,
            &objects,
            &images_of_volumes,
        )
        .map_err(|error| StartContainerError::Create {
            reason: error.reason().to_owned(),
            message: error.to_string(),
        })
    }

    async fn inspect(&self, image_id: &str) -> Result<Arc<ImageConfig>, StartContainerError> {
        self.node.images().inspect(image_id).await.map_err(|error| StartContainerError::Create {
            reason: error.reason.to_owned(),
            message: error.message,
        })
    }

    /// What the container's variables come from, as it is now.
    async fn objects_for(&self, pod: &PodContext, container: &Container) -> Result<Objects, String> {
        let mut objects = Objects::default();
        for object in objects_of_variables(container) {
            let read = self.node.objects().read(&pod.pod.namespace, object.kind, &object.name).await;
            if let Some(data) = read.map_err(|PortError(why)| why)? {
                objects.insert(object.kind, &object.name, data);
            }
        }
        for file in files_of_variables(container) {
            objects.insert_file(file, self.read_file(file).await);
        }
        let services = self.node.objects().services(&pod.pod.namespace).await;
        objects.set_services(services.map_err(|PortError(why)| why)?);
        if let SeccompProfile::Localhost(name) = &container.security.seccomp {
            objects.set_seccomp_profile(self.node.seccomp_profile(name));
        }
        Ok(objects)
    }

    /// Of a volume as the pod's containers see it now.
    async fn read_file(&self, file: &FileKey) -> FileContent {
        let opened = self.node.runtime().open_volume(&self.pod(), &file.volume).await;
        let volume = opened.map_err(|PortError(why)| why)?;
        let read = self.node.volumes().read_file(volume, &file.path, ENV_FILE_BYTES_MAX).await;
        read.map_err(|PortError(why)| why)
    }

    async fn resize(
        &self,
        container: ContainerName,
        attempt: u32,
        resources: podspec::Resources,
    ) -> Observation {
        let pod = self.pod();
        let resized = match spec_of(&pod, &container) {
            Ok(spec) => {
                let limits = container_config::resource_limits_in(&pod.pod.spec, spec);
                let of_pod = container_config::pod_resource_limits(&pod.pod.spec);
                let runtime = self.node.runtime();
                let resized = runtime.resize_container(&pod, &container, attempt, limits, of_pod).await;
                resized.map_err(|PortError(message)| message)
            }
            Err(message) => Err(message),
        };
        Observation::ContainerResized { container, attempt, resources, failure: resized.err() }
    }

    /// For effects whose failure changes nothing: what they were to bring about is observed by itself,
    /// or done once more when the pod is removed.
    fn log_failure(&self, what: &str, container: Option<&ContainerName>, result: Result<(), PortError>) {
        if let Err(error) = result {
            let pod = self.pod();
            let pod = &pod.pod;
            let container = container.map_or("", ContainerName::as_str);
            tracing::warn!(namespace = %pod.namespace, pod = %pod.name, container, "cannot {what}: {error}");
        }
    }
}

pub(crate) fn spec_of<'a>(pod: &'a PodContext, name: &ContainerName) -> Result<&'a Container, String> {
    pod.pod.spec.container(name).ok_or_else(|| format!("the pod has no container {name}"))
}

fn config_error(message: String) -> StartContainerError {
    StartContainerError::Create { reason: "CreateContainerConfigError".to_owned(), message }
}
