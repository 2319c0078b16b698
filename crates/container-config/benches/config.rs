//! What it costs to say what a container is made of: each start of one does it once.

use std::hint::black_box;
use std::path::{Path, PathBuf};

use container_config::{
    ImageConfig, Layer, LogLimits, NodeFacts, Objects, SandboxFacts, VolumeImages, container_config,
    sandbox_config, shm_path,
};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use podspec::{IDENTITY_BYTES, Pod};

const POD_DIR: &str = "/pods/0b6e1a52";
const CONTAINERS: &str = "
  - {name: one, image: localhost/host, command: [sleep, infinity], env: [{name: NAME, value: one}]}
  - {name: two, image: localhost/host, command: [sleep, infinity], resources: {limits: {memory: 64Mi}}}
  - {name: three, image: localhost/host, command: [sleep, infinity], volumeMounts: [{name: data, mountPath: /data}]}";

fn configs(criterion: &mut Criterion) {
    let (pod, image, facts, node) = (pod(), image(), facts(), node());
    let mut group = criterion.benchmark_group("config");
    group.throughput(Throughput::Elements(pod.spec.containers.len() as u64));
    group.bench_function("containers of pod b", |bencher| {
        bencher.iter(|| {
            for container in &pod.spec.containers {
                let config = container_config(
                    black_box(&pod),
                    container,
                    &image,
                    &facts,
                    &node,
                    &Objects::default(),
                    &VolumeImages::new(),
                );
                drop(black_box(config.expect("a container that can be started")));
            }
        });
    });
    group.throughput(Throughput::Elements(1));
    group.bench_function("sandbox of pod b", |bencher| {
        bencher.iter(|| {
            sandbox_config(black_box(&pod), Path::new(POD_DIR), Vec::new(), &node).expect("a sandbox")
        });
    });
    group.finish();
}

fn pod() -> Pod {
    let text = format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: b}}\nspec:\n  volumes: [{{name: data, emptyDir: {{}}}}]\n  containers:{CONTAINERS}\n"
    );
    let loaded = podspec::load_pods("bench", &text, || [0; IDENTITY_BYTES]).expect("a pod that can be run");
    loaded.into_iter().next().expect("one pod").admitted.pod
}

fn image() -> ImageConfig {
    ImageConfig {
        id: "localhost/host@sha256:00".to_owned(),
        env: vec!["PATH=/usr/bin:/bin".to_owned()],
        layers: vec![Layer { target: "/".to_owned(), lower: vec![PathBuf::from("/images/host/rootfs")] }],
        passwd: "root:x:0:0:root:/root:/bin/sh\n".to_owned(),
        group: "root:x:0:\n".to_owned(),
        ..ImageConfig::default()
    }
}

fn facts() -> SandboxFacts {
    let file = |name: &str| Path::new(POD_DIR).join(name);
    SandboxFacts {
        hostname: "b".to_owned(),
        etc_hosts: file("etc-hosts"),
        etc_hostname: file("hostname"),
        resolv_conf: file("resolv.conf"),
        shm: shm_path(Path::new(POD_DIR)),
        volumes: [("data".to_owned(), file("volumes/data"))].into(),
        cgroup_v2: true,
        ips: vec!["10.88.0.2".parse().expect("an address")],
    }
}

fn node() -> NodeFacts {
    NodeFacts {
        name: "node".to_owned(),
        addresses: Vec::new(),
        cluster_dns: Vec::new(),
        cpu_milli: 2_000,
        storage_bytes: 64 << 30,
        memory_bytes: 8 << 30,
        capabilities: u64::MAX,
        thermal_throttle_paths: Vec::new(),
        app_armor: false,
        se_linux: false,
        pod_processes_max: None,
        log_limits: LogLimits::default(),
        open_files: None,
    }
}

criterion_group!(benches, configs);
criterion_main!(benches);
