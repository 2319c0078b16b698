//! Whole configurations as golden text, and each rule as a table.

mod golden;
mod rules;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use podspec::{
    Container, ContainerKind, Pod, PodSpec, PodUid, ProcessRestartPolicy, PullPolicy, Resources,
    RestartPolicy, SecurityContext,
};

use crate::config::{ContainerConfig, ImageConfig, Layer, NodeFacts, SandboxFacts};
use crate::error::ConfigError;

const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1001:App:/srv/app:/bin/sh\nbroken line\n";
const GROUP: &str = "root:x:0:\nwheel:x:10:root,app\napp:x:1001:app\naudio:x:29:pulse,app\n";

fn container(name: &str) -> Container {
    Container {
        name: name.into(),
        kind: ContainerKind::App,
        image: "localhost/host".to_owned(),
        pull_policy: PullPolicy::IfNotPresent,
        command: Some(vec!["sleep".to_owned(), "1".to_owned()]),
        args: None,
        working_dir: None,
        env: Vec::new(),
        ports: Vec::new(),
        resources: Resources::default(),
        volume_mounts: Vec::new(),
        restart: ProcessRestartPolicy::default(),
        startup_probe: None,
        post_start: None,
        pre_stop: None,
        termination_message_path: "/dev/termination-log".to_owned(),
        security: SecurityContext::default(),
        tty: false,
    }
}

fn pod(containers: Vec<Container>) -> Pod {
    Pod {
        namespace: "default".to_owned(),
        name: "web".to_owned(),
        uid: PodUid::new("0b6e1a52"),
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
        spec: PodSpec {
            restart_policy: RestartPolicy::Always,
            termination_grace_period: Duration::from_secs(30),
            active_deadline: None,
            hostname: "web".to_owned(),
            host_network: false,
            share_process_namespace: false,
            init_containers: Vec::new(),
            containers,
            volumes: Vec::new(),
            supplemental_groups: Vec::new(),
            host_aliases: Vec::new(),
        },
    }
}

fn image() -> ImageConfig {
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

fn facts() -> SandboxFacts {
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
        ip: "127.0.0.1".to_owned(),
    }
}

fn node() -> NodeFacts {
    NodeFacts {
        memory_bytes: 16 << 30,
        capabilities: (1 << 41) - 1,
        thermal_throttle_paths: vec!["/sys/devices/system/cpu/cpu0/thermal_throttle".to_owned()],
    }
}

/// The configuration of the only container of a pod.
fn configure(container: &Container, image: &ImageConfig) -> Result<ContainerConfig, ConfigError> {
    crate::container_config(&pod(vec![container.clone()]), container, image, &facts(), &node())
}
