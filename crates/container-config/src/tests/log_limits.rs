//! What is kept of the logs of containers.

use super::{container, facts, image, node, pod};
use crate::{ContainerConfig, LogLimits, NodeFacts, Objects, VolumeImages, container_config};

#[test]
fn a_container_has_the_nodes_limits_of_logs_and_the_kubelets_where_none_were_written() {
    let limits = LogLimits { file_bytes_max: 1 << 16, files_max: 2 };
    let node = NodeFacts { log_limits: limits, ..node() };
    let main = container("main");
    let config = container_config(
        &pod(vec![main.clone()]),
        &main,
        &image(),
        &facts(),
        &node,
        &Objects::default(),
        &VolumeImages::new(),
    )
    .unwrap();
    assert_eq!(config.log_limits, limits);
    let mut written = serde_json::to_value(&config).unwrap();
    written.as_object_mut().unwrap().remove("log_limits");
    let read: ContainerConfig = serde_json::from_value(written).unwrap();
    assert_eq!(read.log_limits, LogLimits { file_bytes_max: 10 << 20, files_max: 5 });
}
