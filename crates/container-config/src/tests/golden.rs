//! Whole configurations, without the seccomp program.

use expect_test::{ExpectFile, expect_file};
use podspec::{EnvSource, EnvVar, Resources, VolumeMount};

use super::{container, facts, image, mount, node, pod};
use crate::config::{ImageConfig, VolumeImages};
use crate::objects::Objects;

fn check(pod: &podspec::Pod, image: &ImageConfig, expected: &ExpectFile) {
    let container = &pod.spec.containers[0];
    let mut config = crate::container_config(
        pod,
        container,
        image,
        &facts(),
        &node(),
        &Objects::default(),
        &VolumeImages::new(),
    )
    .expect("a configuration");
    config.process.seccomp.clear();
    expected.assert_eq(&serde_json::to_string_pretty(&config).expect("JSON"));
}

#[test]
fn a_plain_container() {
    check(&pod(vec![container("main")]), &image(), &expect_file!["golden/plain.json"]);
}

#[test]
fn a_hardened_container_with_volumes() {
    let mut main = container("main");
    main.args = Some(vec!["--port=$(PORT)".to_owned()]);
    main.command = None;
    main.env = vec![EnvVar { name: "PORT".to_owned(), source: EnvSource::Value("8080".to_owned()) }];
    main.resources = Resources {
        cpu_request: Some(250),
        cpu_limit: Some(500),
        memory_request: Some(64 << 20),
        memory_limit: Some(128 << 20),
    };
    main.volume_mounts = vec![VolumeMount { read_only: true, ..mount("data", "/var/lib/app") }];
    main.security.run_as_user = Some(1000);
    main.security.run_as_non_root = true;
    main.security.read_only_root_filesystem = true;
    main.security.allow_privilege_escalation = Some(false);
    main.security.capabilities.drop = vec!["ALL".to_owned()];
    let mut pod = pod(vec![main]);
    pod.spec.share_process_namespace = true;
    pod.spec.supplemental_groups = vec![2000];
    let image = ImageConfig {
        entrypoint: vec!["/bin/server".to_owned()],
        working_dir: "/srv".to_owned(),
        stop_signal: "SIGQUIT".to_owned(),
        ..image()
    };
    check(&pod, &image, &expect_file!["golden/hardened.json"]);
}
