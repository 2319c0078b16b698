//! What of a volume is mounted, and how.

use std::sync::Arc;

use podspec::{Container, PullPolicy, SubPath, Volume, VolumeMount, VolumeSource};

use super::{container, facts, image, mount, node, pod};
use crate::config::{BindSource, ContainerConfig, ImageConfig, ImageSource, MountKind, VolumeImages};
use crate::error::ConfigError;
use crate::objects::Objects;

fn configure(container: &Container, images: &VolumeImages) -> Result<ContainerConfig, ConfigError> {
    let mut pod = pod(vec![container.clone()]);
    let source = VolumeSource::Image { reference: "models:1".to_owned(), pull_policy: PullPolicy::Never };
    pod.spec.volumes = vec![Volume { name: "models".into(), source }];
    crate::container_config(&pod, container, &image(), &facts(), &node(), &Objects::default(), images)
}

fn with(mount: VolumeMount) -> Container {
    let variable = |(name, value): (&str, &str)| podspec::EnvVar {
        name: name.to_owned(),
        source: podspec::EnvSource::Value(value.to_owned()),
    };
    let mut container = container("main");
    container.env =
        [("POD", "web"), ("EMPTY", ""), ("ROOT", "/etc"), ("UP", "a/../..")].map(variable).to_vec();
    container.volume_mounts = vec![mount];
    container
}

fn sub_path(path: SubPath) -> Result<Option<String>, ConfigError> {
    let container = with(VolumeMount { sub_path: Some(path), ..mount("data", "/data") });
    let config = configure(&container, &VolumeImages::new())?;
    let found = config.mounts.into_iter().find(|mount| mount.target == "/data").expect("the mount");
    let MountKind::Bind(source) = found.kind else { panic!("{found:?}") };
    Ok(source.sub_path)
}

#[test]
fn sub_paths_are_expanded_from_the_containers_variables() {
    let literal = |path: &str| sub_path(SubPath::Literal(path.to_owned()));
    let expression = |path: &str| sub_path(SubPath::Expression(path.to_owned()));
    let path = |path: &str| Ok(Some(path.to_owned()));
    let missing = |names: &str| Err(ConfigError::SubPathWithoutValue { names: names.to_owned() });
    for (found, expected) in [
        (literal("a/$(POD)"), path("a/$(POD)")),
        (expression("a/$(POD)"), path("a/web")),
        (expression("$$(POD)"), path("$(POD)")),
        (expression("$(NONE)/$(EMPTY)"), missing("EMPTY, NONE")),
        // The image's variables are not the container's.
        (expression("$(PATH)"), missing("PATH")),
        (expression("$(ROOT)"), Err(ConfigError::AbsoluteSubPath { path: "/etc".to_owned() })),
        (expression("$(UP)"), Err(ConfigError::BackstepsInSubPath { path: "a/../..".to_owned() })),
        (literal("../x"), Err(ConfigError::BackstepsInSubPath { path: "../x".to_owned() })),
        (literal("..x/y.."), path("..x/y..")),
    ] {
        if let Err(error) = &found {
            assert_eq!(error.reason(), "CreateContainerConfigError");
        }
        assert_eq!(found, expected);
    }
    let error = expression("$(B)$(A)").unwrap_err().to_string();
    assert_eq!(error, "missing value for A, B");
}

#[test]
fn mounts_are_as_read_only_and_as_open_as_asked() {
    let bind = |mount: VolumeMount| {
        let config = configure(&with(mount), &VolumeImages::new()).expect("a configuration");
        let found = config.mounts.into_iter().find(|mount| mount.target == "/data").expect("the mount");
        let MountKind::Bind(BindSource { recursive_read_only, receives_mounts, .. }) = found.kind else {
            panic!("{:?}", found.kind)
        };
        (found.options.read_only, recursive_read_only, receives_mounts)
    };
    let plain = mount("data", "/data");
    let with = |read_only, recursive_read_only, receives_mounts| VolumeMount {
        read_only,
        recursive_read_only,
        receives_mounts,
        ..plain.clone()
    };
    assert_eq!(bind(plain.clone()), (false, false, false));
    assert_eq!(bind(with(true, false, false)), (true, false, false));
    assert_eq!(bind(with(true, true, false)), (true, true, false));
    assert_eq!(bind(with(false, false, true)), (false, false, true));
}

#[test]
fn an_image_is_mounted_read_only() {
    let config = Arc::new(ImageConfig { layers: image().layers, ..ImageConfig::default() });
    let images = VolumeImages::from([("models:1".to_owned(), config)]);
    let path = Some(SubPath::Literal("small".to_owned()));
    let container = with(VolumeMount { sub_path: path, ..mount("models", "/models") });
    let found = configure(&container, &images).expect("a configuration").mounts;
    let found = found.into_iter().find(|mount| mount.target == "/models").expect("the mount");
    assert!(found.options.read_only);
    let expected = ImageSource {
        layers: image().layers,
        volume: "models".to_owned(),
        sub_path: Some("small".to_owned()),
    };
    assert_eq!(found.kind, MountKind::Image(expected));
}

#[test]
fn groups_of_the_pod_and_of_its_volumes() {
    let groups = |change: &dyn Fn(&mut podspec::PodSpec)| {
        let mut main = container("main");
        main.security.run_as_user = Some(1000);
        let mut pod = pod(vec![main.clone()]);
        change(&mut pod.spec);
        let (objects, images) = (Objects::default(), VolumeImages::new());
        let config = crate::container_config(&pod, &main, &image(), &facts(), &node(), &objects, &images);
        config.expect("a configuration").process.groups
    };
    assert_eq!(groups(&|_| ()), [10, 29, 1001]);
    assert_eq!(groups(&|spec| spec.fs_group = Some(4321)), [10, 29, 1001, 4321]);
    let strict = |spec: &mut podspec::PodSpec| {
        spec.strict_groups = true;
        spec.supplemental_groups = vec![77];
        spec.fs_group = Some(4321);
    };
    assert_eq!(groups(&strict), [77, 1001, 4321]);
}

fn own_volumes(paths: &[&str], mounted: &[&str]) -> Result<Vec<String>, ConfigError> {
    let mut container = container("main");
    container.volume_mounts = mounted.iter().map(|path| mount("data", path)).collect();
    container.security.read_only_root_filesystem = true;
    let image = ImageConfig { volumes: paths.iter().map(|path| (*path).to_owned()).collect(), ..image() };
    let pod = pod(vec![container.clone()]);
    let images = VolumeImages::new();
    let config =
        crate::container_config(&pod, &container, &image, &facts(), &node(), &Objects::default(), &images)?;
    let own = config.mounts.into_iter().filter(|mount| mount.kind == MountKind::OwnImage);
    Ok(own
        .map(|mount| {
            assert!(!mount.options.read_only, "whatever the root is");
            mount.target
        })
        .collect())
}

#[test]
fn an_image_has_its_volumes_where_the_pod_and_the_kernel_have_nothing() {
    for (paths, mounted, expected) in [
        (vec![], vec![], vec![]),
        (vec!["/data"], vec![], vec!["/data"]),
        (vec!["/b/c", "/a", "/b"], vec![], vec!["/a", "/b", "/b/c"]),
        (vec!["data/", "/data/.", "//data"], vec![], vec!["/data"]),
        (vec!["/data", "/log"], vec!["/data/"], vec!["/log"]),
        (vec!["/data/db"], vec!["/data"], vec!["/data/db"]),
        (vec!["/etc"], vec![], vec!["/etc"]),
        (vec!["/sys/fs/cgroup", "/proc", "/proc/1", "/dev/shm", "/dev", "/etc/hosts"], vec![], vec![]),
        (vec!["/process", "/system"], vec![], vec!["/process", "/system"]),
    ] {
        assert_eq!(own_volumes(&paths, &mounted).unwrap(), expected, "{paths:?} {mounted:?}");
    }
    for path in ["/", "", "..", "/a/.."] {
        let error = own_volumes(&["/a", path], &[]).unwrap_err();
        assert_eq!(error, ConfigError::ForbiddenImageVolume { path: path.to_owned() });
        assert_eq!(error.reason(), "CreateContainerError");
    }
    assert!(own_volumes(&["/a\0b"], &[]).is_err());
    let many: Vec<_> = (0..65).map(|n| format!("/{n}")).collect();
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    assert_eq!(own_volumes(&many, &[]), Err(ConfigError::TooManyImageVolumes { found: 65 }));
    assert_eq!(own_volumes(&many[1..], &[]).unwrap().len(), 64);
}

#[test]
fn what_hides_what_is_a_matter_of_depth() {
    let mut container = container("main");
    container.volume_mounts = vec![mount("data", "/etc/app")];
    let image = ImageConfig { volumes: vec!["/etc".to_owned(), "/etc/app/cache".to_owned()], ..image() };
    let pod = pod(vec![container.clone()]);
    let (objects, images) = (Objects::default(), VolumeImages::new());
    let config =
        crate::container_config(&pod, &container, &image, &facts(), &node(), &objects, &images).unwrap();
    let targets: Vec<_> = config.mounts.iter().map(|mount| mount.target.as_str()).skip(6).collect();
    let expected =
        ["/etc", "/etc/hostname", "/etc/hosts", "/etc/resolv.conf", "/dev/shm", "/etc/app", "/etc/app/cache"];
    assert_eq!(targets, expected);
}
