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
use podspec::{IDENTITY_BYTES, Pod, PullPolicy, VolumeSource};
use ports::{ImageRequest, ImageService, NoObserver, Paths};
use serde_json::Value;

use crate::floor::{Plan, addresses};

/// What the shim says of a pod without a network.
const IPS: [IpAddr; 1] = [IpAddr::V4(Ipv4Addr::LOCALHOST)];

/// What is the same for all pods.
#[derive(Debug)]
pub(crate) struct Planner {
    node: Node,
    image: Arc<ImageConfig>,
    is_cgroup_v2: bool,
}

impl Planner {
    /// With the images that are kept at `paths`.
    pub(crate) fn new(paths: &Paths) -> Result<Self> {
        let node = Node::new(paths.clone(), Program::default())?;
        let tokio = tokio::runtime::Builder::new_current_thread().build()?;
        let request = ImageRequest { image: "localhost/host", policy: PullPolicy::Never, secrets: &[] };
        let (image, _) = tokio.block_on(node.images().ensure(&request, Arc::new(NoObserver)))?;
        Ok(Self { node, image, is_cgroup_v2: Hierarchies::detect()?.is_v2() })
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
        let volumes = spec.volumes.iter().map(|volume| match &volume.source {
            VolumeSource::HostPath { path, .. } => Ok((volume.name.to_string(), PathBuf::from(path))),
            _ => bail!("volume {} is not a path of the host", volume.name),
        });
        let facts = SandboxFacts {
            hostname: spec.hostname.clone(),
            etc_hosts: etc.join("hosts"),
            etc_hostname: etc.join("hostname"),
            resolv_conf: etc.join("resolv.conf"),
            shm: shm_path(dir),
            volumes: volumes.collect::<Result<_>>()?,
            cgroup_v2: self.is_cgroup_v2,
            ips: IPS.to_vec(),
        };
        let containers = spec.containers.iter().map(|container| {
            container_config(
                pod,
                container,
                &self.image,
                &facts,
                self.node.facts(),
                &Objects::default(),
                &VolumeImages::new(),
            )
            .context("cannot configure a container")
        });
        Ok(Plan {
            containers: containers.collect::<Result<_>>()?,
            files: vec![
                (facts.etc_hosts.clone(), hosts),
                (facts.etc_hostname.clone(), format!("{hostname}\n")),
                (facts.resolv_conf.clone(), resolv_conf),
            ],
            sandbox: sandbox_config(pod, dir, Vec::new(), self.node.facts())?,
            addresses: addresses(number),
            dir: dir.to_owned(),
            hold,
        })
    }
}
