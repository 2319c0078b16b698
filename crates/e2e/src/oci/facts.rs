//! The configuration of a running pod's container, made once more from what is on disk.
//!
//! Its node facts are read here by themselves: were they wrong on one side, the containers differ.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use container_config::{
    ContainerConfig, ImageConfig, NodeFacts, Objects, Rlimit, SandboxFacts, VolumeImages,
};
use linux_sys::cgroup::Hierarchies;
use podspec::{Pod, VolumeSource};
use serde::de::DeserializeOwned;
use serde_json::Value;
use shim_protocol::{SandboxRecord, read_record};

/// A pod whose sandbox is alive.
#[derive(Debug)]
pub(crate) struct PodFacts {
    pub(crate) pod: Pod,
    pub(crate) sandbox: SandboxRecord,
    /// Under the engine's root.
    pub(crate) pod_dir: PathBuf,
    image: ImageConfig,
}

impl PodFacts {
    /// The only pod under `data_dir`.
    pub(crate) fn read(data_dir: &Path) -> Result<Self> {
        let pod_dir = fs::read_dir(data_dir.join("pods"))?.next().context("no pod's directory")??.path();
        let pod = read_record(&pod_dir.join("pod.json"))?;
        let sandbox = read_record(&SandboxRecord::path(&pod_dir))?;
        Ok(Self { pod, sandbox, pod_dir, image: image(data_dir)? })
    }
}

/// Of the pod's app container `name`.
pub(crate) fn container_config(facts: &PodFacts, name: &str) -> Result<ContainerConfig> {
    let containers = &facts.pod.spec.containers;
    let container = containers.iter().find(|container| container.name.as_str() == name);
    let container = container.with_context(|| format!("no container {name}"))?;
    let sandbox = sandbox(facts)?;
    Ok(container_config::container_config(
        &facts.pod,
        container,
        &facts.image,
        &sandbox,
        &node()?,
        &Objects::default(),
        &VolumeImages::new(),
    )?)
}

fn image(data_dir: &Path) -> Result<ImageConfig> {
    let images = data_dir.join("images/host");
    let current: Value = read_json(&images.join("current.json"))?;
    let digest = current["digest"].as_str().context("no digest in current.json")?;
    read_json(&images.join(digest).join("config.json"))
}

fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let text = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_slice(&text).with_context(|| format!("{} is malformed", path.display()))
}

fn sandbox(facts: &PodFacts) -> Result<SandboxFacts> {
    let etc = facts.pod_dir.join("etc");
    let host_path = |source: &VolumeSource, name: &str| match source {
        VolumeSource::EmptyDir { .. }
        | VolumeSource::Projected(_)
        | VolumeSource::Image { .. }
        | VolumeSource::Claim { .. } => facts.pod_dir.join("volumes").join(name),
        VolumeSource::HostPath { path, .. } => PathBuf::from(path),
    };
    let volumes = facts.pod.spec.volumes.iter();
    let volumes = volumes.map(|v| (v.name.to_string(), host_path(&v.source, v.name.as_str())));
    let hostname = fs::read_to_string(etc.join("hostname")).context("cannot read the pod's host name")?;
    Ok(SandboxFacts {
        hostname: hostname.trim().to_owned(),
        etc_hosts: etc.join("hosts"),
        etc_hostname: etc.join("hostname"),
        resolv_conf: etc.join("resolv.conf"),
        shm: container_config::shm_path(&facts.pod_dir),
        volumes: volumes.collect::<BTreeMap<_, _>>(),
        cgroup_v2: Hierarchies::detect()?.is_v2(),
        ips: vec![std::net::Ipv4Addr::LOCALHOST.into()],
    })
}

fn node() -> Result<NodeFacts> {
    const RLIMIT_NOFILE: u32 = 7;
    let status = fs::read_to_string("/proc/self/status")?;
    let set = |name: &str| -> Result<u64> {
        let value = status.lines().find_map(|line| line.strip_prefix(name));
        Ok(u64::from_str_radix(value.with_context(|| format!("no {name}"))?.trim(), 16)?)
    };
    let memory = fs::read_to_string("/proc/meminfo")?;
    let memory_kib = memory.split_whitespace().nth(1).context("no MemTotal")?.parse::<u64>()?;
    let cpus = fs::read_dir("/sys/devices/system/cpu").into_iter().flatten().flatten();
    let mut throttles: Vec<String> = cpus
        .map(|cpu| cpu.path().join("thermal_throttle"))
        .filter(|path| path.is_dir())
        .map(|path| path.display().to_string())
        .collect();
    throttles.sort();
    let open_files = linux_sys::rlimit::read(RLIMIT_NOFILE)?;
    Ok(NodeFacts {
        memory_bytes: memory_kib * 1024,
        capabilities: set("CapPrm:")? & set("CapBnd:")?,
        thermal_throttle_paths: throttles,
        open_files: Some(Rlimit { resource: RLIMIT_NOFILE, soft: open_files.soft, hard: open_files.hard }),
        ..NodeFacts::default()
    })
}
