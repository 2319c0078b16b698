//! One table per rule.

use podspec::{Capabilities, Container, ContainerKind, EnvSource, EnvVar, PodSpec, Resources};

use super::{configure, container, facts, image, mount, node, pod};
use crate::config::{ImageConfig, MountKind, VolumeImages};
use crate::error::ConfigError;
use crate::objects::Objects;
use crate::qos::{QosClass, oom_score_adj, qos_class};

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

fn with(change: impl FnOnce(&mut Container)) -> Container {
    let mut changed = container("main");
    change(&mut changed);
    changed
}

fn env(pairs: &[(&str, &str)]) -> Vec<EnvVar> {
    pairs
        .iter()
        .map(|(name, value)| EnvVar {
            name: (*name).to_owned(),
            source: EnvSource::Value((*value).to_owned()),
        })
        .collect()
}

#[test]
fn command_and_args_replace_entrypoint_and_cmd() {
    let image = ImageConfig { entrypoint: strings(&["/ep"]), cmd: strings(&["c1", "$(A)"]), ..image() };
    let cleared = ImageConfig { entrypoint: strings(&[""]), ..image.clone() };
    for (image, command, args, expected) in [
        (&image, None, None, &["/ep", "c1", "$(A)"][..]),
        (&image, None, Some(&["a", "$(A)"][..]), &["/ep", "a", "1"]),
        (&image, Some(&["cmd", "$$(A)"][..]), None, &["cmd", "$(A)"]),
        (&image, Some(&["cmd"][..]), Some(&["a"][..]), &["cmd", "a"]),
        (&image, Some(&[][..]), Some(&[][..]), &["/ep", "c1", "$(A)"]),
        (&cleared, None, None, &["c1", "$(A)"]),
    ] {
        let container = with(|c| {
            c.command = command.map(strings);
            c.args = args.map(strings);
            c.env = env(&[("A", "1")]);
        });
        assert_eq!(configure(&container, image).unwrap().process.args, strings(expected));
    }
    let nothing = with(|c| c.command = None);
    assert_eq!(configure(&nothing, &super::image()), Err(ConfigError::NoCommand));
}

#[test]
fn later_variables_see_earlier_ones_and_later_sources_win() {
    let image = ImageConfig {
        env: strings(&["PATH=/image", "LANG=C", "HOSTNAME=image", "TERM=dumb", "HOME="]),
        ..image()
    };
    let container = with(|c| {
        c.tty = true;
        c.env = env(&[
            ("B", "$(A)"),
            ("A", "1"),
            ("C", "$(A)$(LANG)"),
            ("A", "2$(A)"),
            ("D", "$(A)"),
            ("LANG", "de"),
        ]);
        c.command = Some(strings(&["echo", "$(A)", "$(HOSTNAME)"]));
    });
    let process = configure(&container, &image).unwrap().process;
    assert_eq!(
        process.env,
        strings(&[
            "PATH=/image",
            "TERM=dumb",
            "HOSTNAME=image",
            "LANG=de",
            "HOME=/root",
            "B=$(A)",
            "A=21",
            "C=1$(LANG)",
            "D=21",
        ])
    );
    assert_eq!(process.args, strings(&["echo", "21", "$(HOSTNAME)"]));
    let probe = crate::probe_command(&strings(&["cat", "$(C)", "$(A)"]), &container);
    assert_eq!(probe, strings(&["cat", "$(A)$(LANG)", "2$(A)"]), "probes see the manifest's values");
}

#[test]
fn defaults_of_the_environment() {
    let bare = ImageConfig { env: Vec::new(), ..ImageConfig::default() };
    let process = configure(&container("main"), &bare).unwrap().process;
    assert_eq!(
        process.env,
        strings(&[
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOSTNAME=web",
            "HOME=/"
        ])
    );
}

#[test]
fn working_dir_of_container_before_image() {
    let image = ImageConfig { working_dir: "/image".to_owned(), ..image() };
    let cwd = |dir: Option<&str>, image: &ImageConfig| {
        configure(&with(|c| c.working_dir = dir.map(str::to_owned)), image).map(|config| config.process.cwd)
    };
    assert_eq!(cwd(Some("/own"), &image).unwrap(), "/own");
    assert_eq!(cwd(Some(""), &image).unwrap(), "/image");
    assert_eq!(cwd(None, &image).unwrap(), "/image");
    assert_eq!(cwd(None, &super::image()).unwrap(), "/");
    assert_eq!(cwd(Some("sub"), &image), Err(ConfigError::RelativeWorkingDir { path: "sub".to_owned() }));
}

#[test]
fn user_and_groups() {
    // image USER, runAsUser, runAsGroup -> uid, gid, groups, HOME
    for (user, run_as_user, run_as_group, expected) in [
        ("", None, None, (0, 0, &[0, 10][..], "/root")),
        ("app", None, None, (1000, 1001, &[10, 29, 1001], "/srv/app")),
        ("app:wheel", None, None, (1000, 1001, &[10, 29, 1001], "/srv/app")),
        ("1000:5", None, None, (1000, 1001, &[10, 29, 1001], "/srv/app")),
        ("4000", None, None, (4000, 0, &[0], "/")),
        ("app", Some(0), None, (0, 0, &[0, 10], "/root")),
        ("", Some(1000), Some(7), (1000, 7, &[7, 10, 29], "/srv/app")),
        ("", Some(4000), Some(7), (4000, 7, &[7], "/")),
        ("", None, Some(7), (0, 7, &[7, 10], "/root")),
    ] {
        let container = with(|c| {
            c.security.run_as_user = run_as_user;
            c.security.run_as_group = run_as_group;
        });
        let image = ImageConfig { user: user.to_owned(), ..image() };
        let process = configure(&container, &image).unwrap().process;
        let home = process.env.iter().find_map(|entry| entry.strip_prefix("HOME=")).unwrap();
        assert_eq!((process.uid, process.gid, process.groups.as_slice(), home), expected, "{user:?}");
    }
    let main = container("main");
    let mut pod = pod(vec![main.clone()]);
    pod.spec.supplemental_groups = vec![3000, 10];
    let config = crate::container_config(
        &pod,
        &main,
        &image(),
        &facts(),
        &node(),
        &Objects::default(),
        &VolumeImages::new(),
    )
    .unwrap();
    assert_eq!(config.process.groups, [0, 10, 3000]);
}

#[test]
fn users_that_cannot_be() {
    let error = |user: &str, change: fn(&mut Container)| {
        let image = ImageConfig { user: user.to_owned(), ..image() };
        let error = configure(&with(change), &image).unwrap_err();
        (error.reason(), error.to_string())
    };
    let non_root = |c: &mut Container| c.security.run_as_non_root = true;
    for (actual, expected) in [
        (
            error("", non_root),
            (
                "CreateContainerConfigError",
                "container has runAsNonRoot and image will run as root \
                 (pod: \"web_default(0b6e1a52)\", container: main)",
            ),
        ),
        (
            error("app", non_root),
            (
                "CreateContainerConfigError",
                "container has runAsNonRoot and image has non-numeric user (app), cannot verify user is \
                 non-root (pod: \"web_default(0b6e1a52)\", container: main)",
            ),
        ),
        (
            error("1000", |c| {
                c.security.run_as_non_root = true;
                c.security.run_as_user = Some(0);
            }),
            (
                "CreateContainerConfigError",
                "container's runAsUser breaks non-root policy \
                 (pod: \"web_default(0b6e1a52)\", container: main)",
            ),
        ),
        (
            error("ghost", |_| ()),
            (
                "CreateContainerError",
                "image user \"ghost\" is not in the image's /etc/passwd: \
                 set securityContext.runAsUser to a number",
            ),
        ),
        (
            error("4294967295", |_| ()),
            (
                "CreateContainerError",
                "image user \"4294967295\" is out of range: user ids are 0 to 2147483647; \
                 set securityContext.runAsUser",
            ),
        ),
    ] {
        assert_eq!((actual.0, actual.1.as_str()), expected);
    }
    let numeric = ImageConfig { user: "1000".to_owned(), ..image() };
    assert!(configure(&with(non_root), &numeric).is_ok());
}

#[test]
fn capabilities_add_and_drop() {
    const DEFAULT: u64 = 0xa804_25fb;
    let bounding = |add: &[&str], drop: &[&str], available: u64| {
        let asked = Capabilities { add: strings(add), drop: strings(drop) };
        let security = podspec::SecurityContext { capabilities: asked, ..Default::default() };
        crate::capabilities::sets(&security, 0, available).map(|sets| sets.bounding)
    };
    let all = (1 << 41) - 1;
    assert_eq!(bounding(&[], &[], all), Ok(DEFAULT));
    assert_eq!(bounding(&["NET_ADMIN"], &[], all), Ok(DEFAULT | 1 << 12));
    assert_eq!(bounding(&[], &["MKNOD", "chown"], all), Ok(DEFAULT & !(1 << 27) & !1));
    assert_eq!(bounding(&["NET_BIND_SERVICE"], &["ALL"], all), Ok(1 << 10));
    assert_eq!(bounding(&["ALL"], &["SYS_ADMIN"], all), Ok(all & !(1 << 21)));
    assert_eq!(bounding(&["all"], &["all"], all), Ok(0));
    assert_eq!(bounding(&["KILL"], &["KILL"], all), Ok(DEFAULT & !(1 << 5)));
    // What the node lacks is missed in silence only where nobody asked for it by name.
    assert_eq!(bounding(&[], &[], !(1 << 27)), Ok(DEFAULT & !(1 << 27)));
    assert_eq!(bounding(&["ALL"], &[], 0b11), Ok(0b11));
    assert_eq!(
        bounding(&["SYS_RESOURCE"], &[], all & !(1 << 24)),
        Err(ConfigError::UnavailableCapability { name: "SYS_RESOURCE".to_owned() })
    );
    let unknown = |name: &str| Err(ConfigError::UnknownCapability { name: name.to_owned() });
    assert_eq!(bounding(&["CAP_CHOWN"], &[], all), unknown("CAP_CHOWN"));
    assert_eq!(bounding(&[], &["NOPE"], all), unknown("NOPE"));
}

#[test]
fn only_root_starts_with_capabilities() {
    let sets =
        configure(&with(|c| c.security.run_as_user = Some(1000)), &image()).unwrap().process.capabilities;
    assert_eq!((sets.effective, sets.permitted), (0, 0));
    assert_ne!(sets.bounding, 0);
    let root = configure(&container("main"), &image()).unwrap().process.capabilities;
    assert_eq!((root.effective, root.permitted), (root.bounding, root.bounding));
}

#[test]
fn no_new_privileges_only_on_demand() {
    for (asked, expected) in [(None, false), (Some(true), false), (Some(false), true)] {
        let container = with(|c| c.security.allow_privilege_escalation = asked);
        assert_eq!(configure(&container, &image()).unwrap().process.no_new_privileges, expected);
    }
}

#[test]
fn seccomp_unless_unconfined() {
    assert!(!configure(&container("main"), &image()).unwrap().process.seccomp.is_empty());
    let unconfined = with(|c| c.security.seccomp = podspec::SeccompProfile::Unconfined);
    assert!(configure(&unconfined, &image()).unwrap().process.seccomp.is_empty());
}

fn resources(cpu: (u64, u64), memory: (u64, u64)) -> Resources {
    let some = |amount: u64| (amount > 0).then_some(amount);
    Resources {
        cpu_request: some(cpu.0),
        cpu_limit: some(cpu.1),
        memory_request: some(memory.0),
        memory_limit: some(memory.1),
    }
}

#[test]
fn cgroup_values() {
    // cpu request, limit -> shares, quota
    for (cpu, expected) in [
        ((0, 0), (2, None)),
        ((1, 0), (2, None)),
        ((2, 0), (2, None)),
        ((3, 0), (3, None)),
        ((100, 0), (102, None)),
        ((1000, 2500), (1024, Some(250_000))),
        ((0, 500), (512, Some(50_000))),
        ((1, 1), (2, Some(1_000))),
        ((1_000_000_000, 0), (262_144, None)),
    ] {
        let container = with(|c| c.resources = resources(cpu, (0, 64 << 20)));
        let limits = configure(&container, &image()).unwrap().resources;
        assert_eq!((limits.cpu_shares.unwrap(), limits.cpu_quota_us), expected, "{cpu:?}");
        assert_eq!(limits.cpu_period_us, expected.1.map(|_| 100_000));
        assert_eq!(limits.memory_limit_bytes, Some(64 << 20));
    }
}

fn spec(init: Vec<Container>, apps: Vec<Container>) -> PodSpec {
    PodSpec { init_containers: init, ..pod(apps).spec }
}

fn sized(kind: ContainerKind, resources: Resources) -> Container {
    with(|c| {
        c.kind = kind;
        c.resources = resources;
    })
}

#[test]
fn qos_classes() {
    use ContainerKind::{App, Init};
    let full = || resources((100, 100), (64, 64));
    let no_requests = Resources { cpu_request: None, memory_request: None, ..full() };
    let burst = resources((100, 200), (64, 64));
    let none = Resources::default();
    let zero = Resources { cpu_limit: Some(0), ..Resources::default() };
    for (init, app, expected) in [
        (None, &none, QosClass::BestEffort),
        (None, &zero, QosClass::BestEffort),
        (None, &full(), QosClass::Guaranteed),
        (None, &no_requests, QosClass::Guaranteed),
        (None, &burst, QosClass::Burstable),
        (None, &Resources { cpu_request: Some(0), ..full() }, QosClass::Burstable),
        (Some(&none), &full(), QosClass::Burstable),
        (Some(&full()), &full(), QosClass::Guaranteed),
        (Some(&full()), &none, QosClass::Burstable),
    ] {
        let init = init.map(|r| sized(Init, *r)).into_iter().collect();
        assert_eq!(qos_class(&spec(init, vec![sized(App, *app)])), expected);
    }
    assert_eq!(QosClass::BestEffort.as_str(), "BestEffort");
}

#[test]
fn resources_of_the_pod_count_alone() {
    let full = resources((100, 100), (64, 64));
    let none = Resources::default();
    let of = |own: Resources, app: Resources| PodSpec {
        resources: Some(own),
        ..spec(vec![], vec![sized(ContainerKind::App, app)])
    };
    for (own, app, expected) in [
        (none, full, QosClass::BestEffort),
        (full, none, QosClass::Guaranteed),
        (Resources { memory_limit: None, ..full }, full, QosClass::Burstable),
        (Resources { cpu_limit: None, memory_limit: None, ..full }, full, QosClass::Burstable),
        (resources((100, 200), (64, 64)), full, QosClass::Burstable),
    ] {
        assert_eq!(qos_class(&of(own, app)), expected, "{own:?}");
    }
    // Its cgroup's values; what the pod says nothing of is as without.
    let values = |pod: &PodSpec| {
        let limits = crate::resources::pod_resource_limits(pod);
        (limits.cpu_shares, limits.cpu_quota_us, limits.memory_limit_bytes)
    };
    let two = resources((1000, 2000), (64, 128));
    assert_eq!(values(&of(two, none)), (Some(1024), Some(200_000), Some(128)));
    assert_eq!(
        values(&of(Resources { cpu_limit: None, ..two }, full)),
        (Some(1024), Some(10_000), Some(128))
    );
    assert_eq!(values(&of(none, full)), (Some(102), Some(10_000), Some(64)));
    // A container's own; a limit of its own counts.
    let of_app = |app: Resources| {
        let pod = of(two, app);
        let limits = crate::resource_limits_in(&pod, &pod.containers[0]);
        (limits.cpu_shares, limits.cpu_quota_us, limits.memory_limit_bytes)
    };
    assert_eq!(of_app(none), (Some(2048), Some(200_000), Some(128)));
    assert_eq!(of_app(full), (Some(102), Some(10_000), Some(64)));
    assert_eq!(of_app(resources((500, 0), (0, 0))), (Some(512), Some(200_000), Some(128)));
}

#[test]
fn oom_scores() {
    const NODE: u64 = 1000;
    let app = |request: u64| sized(ContainerKind::App, resources((1, 0), (request, 0)));
    let sidecar = |request: u64| sized(ContainerKind::Sidecar, resources((1, 0), (request, 0)));
    for (request, expected) in [(0, 999), (1, 999), (2, 998), (100, 900), (996, 4), (998, 3), (5000, 3)] {
        let container = app(request);
        assert_eq!(oom_score_adj(&spec(vec![], vec![container.clone()]), &container, NODE), expected);
    }
    let best_effort = container("main");
    assert_eq!(oom_score_adj(&spec(vec![], vec![best_effort.clone()]), &best_effort, NODE), 1000);
    let guaranteed = sized(ContainerKind::App, resources((1, 1), (5, 5)));
    assert_eq!(oom_score_adj(&spec(vec![], vec![guaranteed.clone()]), &guaranteed, NODE), -997);
    // A sidecar is as safe as the app container with the smallest request, at least.
    for (own, expected) in [(0, 800), (100, 800), (500, 500)] {
        let container = sidecar(own);
        let spec = spec(vec![container.clone()], vec![app(300), app(200)]);
        assert_eq!(oom_score_adj(&spec, &container, NODE), expected);
    }
}

/// What the pod asks for beyond its containers is shared out among them, init containers too.
#[test]
fn oom_scores_with_resources_of_the_pod() {
    use ContainerKind::{App, Init, Sidecar};
    let asking = |kind, bytes| sized(kind, resources((1, 0), (bytes, 0)));
    let (app, sidecar) = (asking(App, 100), asking(Sidecar, 0));
    let mut pod = spec(vec![asking(Init, 50), sidecar.clone()], vec![app.clone()]);
    pod.resources = Some(resources((1, 0), (400, 0)));
    assert_eq!(oom_score_adj(&pod, &app, 1000), 800);
    assert_eq!(oom_score_adj(&pod, &sidecar, 1000), 800);
    pod.resources = Some(resources((1, 0), (50, 0)));
    assert_eq!(oom_score_adj(&pod, &app, 1000), 900);
}

#[test]
fn pod_memory_limit_is_the_peak_of_what_runs_at_once() {
    use ContainerKind::{App, Init, Sidecar};
    let sized = |kind, limit| sized(kind, resources((0, 0), (0, limit)));
    let limit = |init: Vec<Container>, apps: Vec<Container>| crate::pod_memory_limit_bytes(&spec(init, apps));
    assert_eq!(limit(vec![], vec![sized(App, 10), sized(App, 5)]), Some(15));
    assert_eq!(limit(vec![], vec![sized(App, 10), sized(App, 0)]), None);
    assert_eq!(limit(vec![sized(Init, 0)], vec![sized(App, 10)]), None);
    assert_eq!(limit(vec![sized(Sidecar, 4)], vec![sized(App, 10)]), Some(14));
    assert_eq!(limit(vec![sized(Sidecar, 4), sized(Init, 20)], vec![sized(App, 10)]), Some(24));
    assert_eq!(limit(vec![sized(Init, 20), sized(Sidecar, 4)], vec![sized(App, 10)]), Some(20));
}

#[test]
fn the_pods_cgroup_holds_what_its_containers_take_together() {
    use ContainerKind::{App, Init, Sidecar};
    let limits = |init: Vec<Container>, apps: Vec<Container>| {
        let limits = crate::resources::pod_resource_limits(&spec(init, apps));
        assert!(!limits.oom_ends_all, "one container out of memory must not end the others");
        (limits.cpu_shares, limits.cpu_quota_us, limits.memory_limit_bytes)
    };
    let limited = |kind, milli| sized(kind, resources((milli, milli), (64, 64)));
    let requesting = |kind, milli| sized(kind, resources((milli, 0), (0, 0)));
    assert_eq!(limits(vec![], vec![requesting(App, 0)]), (Some(2), None, None));
    assert_eq!(limits(vec![], vec![requesting(App, 500), requesting(App, 1500)]), (Some(2048), None, None));
    assert_eq!(
        limits(vec![limited(Sidecar, 250), limited(Init, 3000)], vec![limited(App, 750)]),
        (Some(3328), Some(325_000), Some(128))
    );
    assert_eq!(
        limits(vec![limited(Sidecar, 250)], vec![limited(App, 750), requesting(App, 1000)]),
        (Some(2048), None, None)
    );
}

#[test]
fn stop_signals() {
    for (image_signal, expected) in [
        ("", Some(15)),
        ("SIGQUIT", Some(3)),
        ("quit", Some(3)),
        ("9", Some(9)),
        ("SIGRTMIN+3", Some(37)),
        ("RTMAX-1", Some(63)),
        ("SIGRTMAX", Some(64)),
        ("SIGPOLL", Some(29)),
        ("SIGSYS", Some(31)),
        ("SIGNOPE", None),
        ("0", None),
        ("65", None),
        ("RTMIN+99", None),
        ("RTMIN-1", None),
    ] {
        let image = ImageConfig { stop_signal: image_signal.to_owned(), ..image() };
        let signal = configure(&container("main"), &image).map(|config| config.stop_signal);
        assert_eq!(signal.ok(), expected, "{image_signal}");
    }
}

#[test]
fn a_stop_signal_of_the_container_goes_before_the_images() {
    for (own, of_image, expected) in [
        (None, "", "SIGTERM"),
        (None, "SIGQUIT", "SIGQUIT"),
        (Some("SIGUSR1"), "SIGQUIT", "SIGUSR1"),
        (Some("SIGRTMIN+3"), "", "SIGRTMIN+3"),
        (Some("SIGTERM"), "9", "SIGTERM"),
    ] {
        let container = with(|c| c.stop_signal = own.map(str::to_owned));
        let image = ImageConfig { stop_signal: of_image.to_owned(), ..image() };
        let config = configure(&container, &image).unwrap();
        assert_eq!(crate::signal_name(config.stop_signal), expected, "{own:?} {of_image}");
    }
}

#[test]
fn signals_have_the_names_of_kubernetes() {
    for (number, name) in [
        (1, "SIGHUP"),
        (29, "SIGIO"),
        (31, "SIGSYS"),
        (32, ""),
        (34, "SIGRTMIN"),
        (35, "SIGRTMIN+1"),
        (49, "SIGRTMIN+15"),
        (50, "SIGRTMAX-14"),
        (63, "SIGRTMAX-1"),
        (64, "SIGRTMAX"),
        (0, ""),
        (-1, ""),
        (65, ""),
    ] {
        assert_eq!(crate::signal_name(number), name, "{number}");
    }
}

fn targets(mounts: &[(&str, &str)]) -> Result<Vec<String>, ConfigError> {
    let container = with(|c| {
        c.volume_mounts = mounts.iter().map(|(name, path)| mount(name, path)).collect();
    });
    Ok(configure(&container, &image())?.mounts.into_iter().map(|mount| mount.target).collect())
}

#[test]
fn deeper_mounts_come_later_and_volumes_take_the_place_of_defaults() {
    const KERNEL: [&str; 6] = ["/proc", "/dev", "/dev/pts", "/dev/mqueue", "/sys", "/sys/fs/cgroup"];
    const FILES: [&str; 4] = ["/etc/hostname", "/etc/hosts", "/etc/resolv.conf", "/dev/shm"];
    assert_eq!(targets(&[]).unwrap(), [&KERNEL[..], &FILES].concat());
    assert_eq!(
        targets(&[("data", "/a/b/c"), ("cache", "/a//b/"), ("data", "/a"), ("data", "rel")]).unwrap(),
        [&KERNEL[..], &["/a", "/rel"], &FILES, &["/a/b", "/a/b/c"]].concat()
    );
    assert_eq!(
        targets(&[("data", "/dev/shm"), ("cache", "/etc/hosts")]).unwrap(),
        [&KERNEL[..], &["/etc/hostname", "/etc/resolv.conf", "/dev/shm", "/etc/hosts"]].concat()
    );
    assert_eq!(
        targets(&[("data", "/dev")]).unwrap(),
        [&["/proc", "/sys", "/sys/fs/cgroup", "/dev"][..], &FILES].concat(),
        "the pod's /dev/shm is mounted in the volume"
    );
}

#[test]
fn mounts_that_cannot_be() {
    let forbidden = |path: &str| Err(ConfigError::ForbiddenMountPath { mount_path: path.to_owned() });
    for path in ["/", "/proc", "/proc/sys/kernel", "/x/../proc/1"] {
        assert_eq!(targets(&[("data", path)]), forbidden(path));
    }
    assert!(targets(&[("data", "/proc/meminfo")]).is_ok());
    assert_eq!(
        targets(&[("ghost", "/x")]),
        Err(ConfigError::UnknownVolume { mount_path: "/x".to_owned(), volume: "ghost".to_owned() })
    );
}

#[test]
fn a_read_only_root_makes_the_pods_files_read_only_and_volumes_not() {
    let container = with(|c| {
        c.security.read_only_root_filesystem = true;
        c.volume_mounts = vec![mount("data", "/data")];
    });
    let config = configure(&container, &image()).unwrap();
    assert!(config.root.read_only);
    let writable: Vec<&str> = config
        .mounts
        .iter()
        .filter(|mount| matches!(mount.kind, MountKind::Bind(_)) && !mount.options.read_only)
        .map(|mount| mount.target.as_str())
        .collect();
    assert_eq!(writable, ["/data", "/dev/shm"]);
}

#[test]
fn what_cannot_be_a_c_string_is_refused() {
    let refused = |change: fn(&mut Container), field: &str| {
        let error = configure(&with(change), &image()).unwrap_err();
        assert!(matches!(&error, ConfigError::NulByte { field: named, .. } if named == field), "{error}");
    };
    refused(|c| c.command = Some(vec!["a\0b".to_owned()]), "command");
    refused(|c| c.env = env(&[("A", "\0")]), "env");
    refused(|c| c.working_dir = Some("/\0".to_owned()), "workingDir");
}

#[test]
fn the_sandbox_has_one_shm_beside_the_memory_volumes() {
    let memory = crate::Tmpfs {
        path: "/pods/u/volumes/m".into(),
        size_bytes: Some(1 << 20),
        mode: 0o1777,
        gid: None,
        no_swap: true,
    };
    let node = crate::NodeFacts { pod_processes_max: Some(99), ..node() };
    let sandbox =
        crate::sandbox_config(&pod(vec![]), "/pods/u".as_ref(), vec![memory.clone()], &node).unwrap();
    assert_eq!(sandbox.resources.processes_max, Some(99));
    assert_eq!(sandbox.cgroup, "monopod/pod0b6e1a52");
    let shm = crate::Tmpfs {
        path: "/pods/u/shm".into(),
        size_bytes: Some(64 << 20),
        mode: 0o1777,
        gid: None,
        no_swap: false,
    };
    assert_eq!(sandbox.tmpfs, [memory, shm]);
}
