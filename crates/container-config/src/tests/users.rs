//! Pods whose users are their own.

use podspec::{Capabilities, Container};

use super::{container, facts, image, node, pod};
use crate::config::{ContainerConfig, NodeFacts, VolumeImages};
use crate::error::ConfigError;
use crate::objects::Objects;

fn configure(own_users: bool, change: impl FnOnce(&mut Container)) -> Result<ContainerConfig, ConfigError> {
    let mut container = container("main");
    change(&mut container);
    let mut pod = pod(vec![container.clone()]);
    pod.spec.own_users = own_users;
    pod.spec.supplemental_groups = vec![7];
    let node = NodeFacts { capabilities: 0x0400, ..node() };
    crate::container_config(
        &pod,
        &container,
        &image(),
        &facts(),
        &node,
        &Objects::default(),
        &VolumeImages::new(),
    )
}

#[test]
fn ids_beyond_the_pods_are_refused_by_field() {
    for (user, group, field) in [
        (Some(65_536), None, Some("runAsUser")),
        (None, Some(70_000), Some("runAsGroup")),
        (Some(65_535), Some(65_535), None),
    ] {
        let ids = |c: &mut Container| (c.security.run_as_user, c.security.run_as_group) = (user, group);
        match (configure(true, ids), field) {
            (Err(ConfigError::IdOutOfRange { field: found, .. }), Some(field)) => assert_eq!(found, field),
            (found, expected) => assert!(found.is_ok() && expected.is_none(), "{found:?}"),
        }
        assert!(configure(false, ids).is_ok());
    }
    let mut pod = pod(vec![container("main")]);
    (pod.spec.own_users, pod.spec.fs_group) = (true, Some(65_536));
    let refused = crate::user::identity(&pod, &container("main"), &image()).unwrap_err();
    assert!(refused.to_string().contains("supplementary group 65536"), "{refused}");
}

/// What the engine lacks itself is no matter there.
#[test]
fn every_capability_can_be_had_in_the_pods_own_namespace() {
    let admin = |c: &mut Container| {
        c.security.capabilities = Capabilities { add: vec!["SYS_ADMIN".to_owned()], drop: Vec::new() };
    };
    assert!(matches!(configure(false, admin), Err(ConfigError::UnavailableCapability { .. })));
    let sets = configure(true, admin).unwrap().process.capabilities;
    assert_eq!((sets.bounding, sets.effective), (0xa824_25fb, 0xa824_25fb));
}

#[test]
fn an_unmasked_proc_hides_nothing() {
    let masked = configure(true, |_| ()).unwrap();
    assert!(!masked.masked_paths.is_empty() && !masked.readonly_paths.is_empty());
    let whole = configure(true, |c| c.security.unmasked_proc = true).unwrap();
    assert_eq!((whole.masked_paths, whole.readonly_paths), (Vec::new(), Vec::new()));
    assert_eq!(whole.mounts, masked.mounts);
}
