//! Whole configurations as golden text, and each rule as a table.

mod expansion;
mod golden;
mod log_limits;
mod rules;
mod runtime;
mod sources;
mod users;
mod volumes;

use std::collections::BTreeMap;
use std::path::PathBuf;

use podspec::{Container, IDENTITY_BYTES, Pod, PodUid, VolumeMount};

use crate::config::{ContainerConfig, ImageConfig, Layer, NodeFacts, SandboxFacts, VolumeImages};
use crate::error::ConfigError;
use crate::objects::Objects;

const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1001:App:/srv/app:/bin/sh\nbroken line\n";
const GROUP: &str = "root:x:0:\nwheel:x:10:root,app\napp:x:1001:app\naudio:x:29:pulse,app\n";

pub(crate) fn container(name: &str) -> Container {
    admitted(name).spec.containers.remove(0)
}

pub(crate) fn pod(containers: Vec<Container>) -> Pod {
    let mut pod = admitted("main");
    pod.uid = PodUid::new("0b6e1a52");
    pod.spec.containers = containers;
    pod
}

/// With the defaults of every field.
fn admitted(container: &str) -> Pod {
    let text = format!(
        "{{apiVersion: v1, kind: Pod, metadata: {{name: web}}, spec: {{containers: [\
         {{name: {container}, image: localhost/host, command: [sleep, '1']}}]}}}}"
    );
    let loaded = podspec::load_pods("test", &text, || [0; IDENTITY_BYTES]).expect("a pod that can be run");
    loaded.into_iter().next().expect("one pod").admitted.pod
}

fn mount(volume: &str, path: &str) -> VolumeMount {
    VolumeMount {
        name: volume.into(),
        mount_path: path.to_owned(),
        read_only: false,
        recursive_read_only: false,
        sub_path: None,
        receives_mounts: false,
        shares_mounts: false,
    }
}

pub(crate) fn image() -> ImageConfig {
    ImageConfig {
        id: "localhost/host@sha256:00".to_owned(),
        env: vec!["PATH=/usr/bin:/bin".to_owned()],
        layers: vec![
            Layer { target: "/".to_owned(), lower: vec![PathBuf::from("/images/host/rootfs")] },
            Layer { target: "/usr".to_owned(), lower: vec![PathBuf::from("/usr")] },
        ],
        passwd: PASSWD.to_owned(),
        group: GROUP.to_owned(),
        ..ImageConfig::default()
    }
}

pub(crate) fn facts() -> SandboxFacts {
    let file = |name: &str| PathBuf::from("/pods/0b6e1a52").join(name);
    SandboxFacts {
        hostname: "web".to_owned(),
        etc_hosts: file("etc-hosts"),
        etc_hostname: file("hostname"),
        resolv_conf: file("resolv.conf"),
        shm: crate::shm_path(&PathBuf::from("/pods/0b6e1a52")),
        volumes: BTreeMap::from([
            ("data".to_owned(), file("volumes/data")),
            ("cache".to_owned(), file("volumes/cache")),
        ]),
        cgroup_v2: true,
        ips: vec![core::net::Ipv4Addr::LOCALHOST.into()],
    }
}

pub(crate) fn node() -> NodeFacts {
    NodeFacts {
        name: "box".to_owned(),
        addresses: vec!["192.0.2.7".parse().unwrap()],
        cluster_dns: Vec::new(),
        cpu_milli: 4_000,
        storage_bytes: 100 << 30,
        memory_bytes: 16 << 30,
        capabilities: (1 << 41) - 1,
        thermal_throttle_paths: vec!["/sys/devices/system/cpu/cpu0/thermal_throttle".to_owned()],
        app_armor: false,
        se_linux: false,
        pod_processes_max: None,
        log_limits: crate::LogLimits::default(),
        open_files: Some(crate::Rlimit { resource: 7, soft: 1_024, hard: 524_288 }),
    }
}

/// The configuration of the only container of a pod.
fn configure(container: &Container, image: &ImageConfig) -> Result<ContainerConfig, ConfigError> {
    crate::container_config(
        &pod(vec![container.clone()]),
        container,
        image,
        &facts(),
        &node(),
        &Objects::default(),
        &VolumeImages::new(),
    )
}
