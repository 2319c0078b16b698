//! Classes of runtimes, and what they take beside the containers.

use super::{container, node, pod};

/// On top of what is limited, and of what the containers ask for.
#[test]
fn the_pods_cgroup_has_room_for_its_runtime() {
    let limits = |cpu: (u64, u64), memory: u64| {
        let some = |amount: u64| (amount > 0).then_some(amount);
        let mut main = container("main");
        (main.resources.cpu_request, main.resources.cpu_limit) = (some(cpu.0), some(cpu.1));
        main.resources.memory_limit = some(memory);
        let mut pod = pod(vec![main]);
        pod.spec.overhead = podspec::Overhead { cpu: 250, memory: 32 };
        let limits = crate::resources::pod_resource_limits(&pod.spec);
        (limits.cpu_shares, limits.cpu_quota_us, limits.memory_limit_bytes)
    };
    assert_eq!(limits((750, 1000), 64), (Some(1024), Some(125_000), Some(96)));
    assert_eq!(limits((0, 0), 0), (Some(256), None, None));
}

#[test]
fn runtimes_by_their_handlers() {
    let made = |class: Option<(&str, Option<&str>)>| {
        let mut pod = pod(vec![container("main")]);
        pod.spec.runtime_class = class.map(|(name, handler)| podspec::RuntimeClass {
            name: name.to_owned(),
            handler: handler.map(str::to_owned),
        });
        let made = crate::sandbox_config(&pod, std::path::Path::new("/pod"), Vec::new(), &node());
        made.map(drop).map_err(|error| error.to_string())
    };
    for class in [None, Some(("a", Some("monopod"))), Some(("a", Some("runc"))), Some(("a", Some("crun")))] {
        assert_eq!(made(class), Ok(()), "{class:?}");
    }
    assert_eq!(
        made(Some(("secure", Some("kata")))).unwrap_err(),
        "no runtime for \"kata\" is configured: the built-in one is called monopod, runc, crun"
    );
    assert_eq!(
        made(Some(("gone", None))).unwrap_err(),
        "failed to get RuntimeClass \"gone\": runtimeclass.node.k8s.io \"gone\" not found"
    );
}
