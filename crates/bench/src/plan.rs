//! What the floor makes for a pod: exactly what the engine would.

use std::fs;
use std::io::Read;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use container_config::{
    EtcFiles, ImageConfig, Objects, SandboxFacts, VolumeImages, container_config, etc_files, sandbox_config,
    shm_path,
};
use kubelet::Node as _;
use linux_sys::cgroup::Hierarchies;
use node::{Node, Program};
use podspec::{
    Container, ContainerKind, EmptyDirMedium, IDENTITY_BYTES, Pod, PullPolicy, Volume, VolumeSource,
};
use ports::{ImageRequest, ImageService, NoObserver, Paths};
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::floor::{self, Plan, Role, addresses};

/// What the shim says of a pod without a network.
const IPS: [IpAddr; 1] = [IpAddr::V4(Ipv4Addr::LOCALHOST)];

/// What is the same for all pods.
#[derive(Debug)]
pub(crate) struct Planner {
    node: Node,
    tokio: Runtime,
    is_cgroup_v2: bool,
}

impl Planner {
    /// With the images that are kept at `paths`.
    pub(crate) fn new(paths: &Paths) -> Result<Self> {
        let node = Node::new(paths.clone(), Program::default())?;
        let tokio = tokio::runtime::Builder::new_current_thread().build()?;
        Ok(Self { node, tokio, is_cgroup_v2: Hierarchies::detect()?.is_v2() })
    }

    fn image(&self, container: &Container) -> Result<Arc<ImageConfig>> {
        let request = ImageRequest { image: &container.image, policy: PullPolicy::Never, secrets: &[] };
        Ok(self.tokio.block_on(self.node.images().ensure(&request, Arc::new(NoObserver)))?.0)
    }

    /// Writes the plan of a pod that is made in `dir`, beside it. `number`: among the pods that are there at one time.
    pub(crate) fn write(&self, pod: &Value, number: u16, dir: &Path, hold: bool) -> Result<PathBuf> {
        let mut identity = [0; IDENTITY_BYTES];
        fs::File::open("/dev/urandom").and_then(|mut random| random.read_exact(&mut identity))?;
        let loaded = podspec::load_pods("a pod of the floor", &pod.to_string(), || identity)?;
        let [loaded] = &loaded[..] else { bail!("{} is not one pod", dir.display()) };
        let plan = self.plan(&loaded.admitted.pod, number, dir, hold)?;
        let path = dir.with_extension("json");
        fs::write(&path, serde_json::to_vec(&plan)?)?;
        Ok(path)
    }

    fn plan(&self, pod: &Pod, number: u16, dir: &Path, hold: bool) -> Result<Plan> {
        let spec = &pod.spec;
        let of_host =
            || EtcFiles { hosts: String::new(), hostname: String::new(), resolv_conf: String::new() };
        let EtcFiles { hosts, hostname, resolv_conf } = etc_files(pod, &IPS, &[], of_host);
        let etc = dir.join("etc");
        let volumes: Vec<(String, PathBuf)> =
            spec.volumes.iter().map(|volume| place_of(volume, dir)).collect::<Result<_>>()?;
        let facts = SandboxFacts {
            hostname: spec.hostname.clone(),
            etc_hosts: etc.join("hosts"),
            etc_hostname: etc.join("hostname"),
            resolv_conf: etc.join("resolv.conf"),
            shm: shm_path(dir),
            volumes: volumes.iter().cloned().collect(),
            cgroup_v2: self.is_cgroup_v2,
            ips: IPS.to_vec(),
        };
        let containers = spec.init_containers.iter().chain(&spec.containers).map(|container| {
            let (image, node) = (self.image(container)?, self.node.facts());
            let (objects, images) = (Objects::default(), VolumeImages::new());
            let config = container_config(pod, container, &image, &facts, node, &objects, &images);
            let role = match container.kind {
                ContainerKind::Init => Role::Init,
                ContainerKind::Sidecar => Role::Sidecar,
                ContainerKind::App | ContainerKind::Ephemeral => Role::App,
            };
            Ok(floor::Container { role, config: config.context("cannot configure a container")? })
        });
        Ok(Plan {
            containers: containers.collect::<Result<_>>()?,
            files: vec![
                (facts.etc_hosts.clone(), hosts),
                (facts.etc_hostname.clone(), format!("{hostname}\n")),
                (facts.resolv_conf.clone(), resolv_conf),
            ],
            volumes: volumes.into_iter().map(|(_, path)| path).filter(|path| path.starts_with(dir)).collect(),
            sandbox: sandbox_config(pod, dir, Vec::new(), self.node.facts())?,
            addresses: addresses(number),
            dir: dir.to_owned(),
            hold,
        })
    }
}

/// A volume's name and where it is.
fn place_of(volume: &Volume, dir: &Path) -> Result<(String, PathBuf)> {
    let path = match &volume.source {
        VolumeSource::HostPath { path, .. } => PathBuf::from(path),
        VolumeSource::EmptyDir { medium: EmptyDirMedium::Disk, .. } => {
            dir.join("volumes").join(volume.name.as_str())
        }
        _ => bail!("volume {} is neither a path of the host nor a directory on disk", volume.name),
    };
    Ok((volume.name.to_string(), path))
}
