use std::path::PathBuf;

use container_config::{
    BindSource, CapabilitySets, ContainerConfig, DeviceRule, Layer, LogLimits, Mount, MountKind,
    MountOptions, PidNamespace, Process, ResourceLimits, Rlimit, Root, SockFilter,
};
use podspec::ContainerName;
use serde_json::{Value, json};

use super::seccomp::{Gap, between};
use super::{Place, spec};

const INERT: MountOptions = MountOptions { read_only: false, nosuid: true, nodev: true, noexec: true };
const CHOWN_AND_KILL: u64 = 0b10_0001;

fn config() -> ContainerConfig {
    let mount = |target: &str, kind, options| Mount { target: target.to_owned(), kind, options };
    let read_only = MountOptions { read_only: true, ..MountOptions::default() };
    let layer = |target: &str, lower: &[&str]| Layer {
        target: target.to_owned(),
        lower: lower.iter().map(PathBuf::from).collect(),
    };
    ContainerConfig {
        name: ContainerName::new("main"),
        process: Process {
            args: vec!["true".to_owned()],
            env: vec!["A=b".to_owned()],
            cwd: "/work".to_owned(),
            uid: 1000,
            gid: 1001,
            groups: vec![4, 1001],
            umask: 0o022,
            capabilities: CapabilitySets { bounding: CHOWN_AND_KILL, effective: 1, permitted: 1 },
            no_new_privileges: true,
            rlimits: vec![Rlimit { resource: 7, soft: 10, hard: 20 }],
            oom_score_adj: -5,
            app_armor: None,
            seccomp: vec![SockFilter(6, 0, 0, 0)],
        },
        root: Root {
            layers: vec![layer("/", &["/image"]), layer("/usr", &["/usr", "/usr2"])],
            read_only: true,
        },
        mounts: vec![
            mount("/proc", MountKind::Proc, INERT),
            mount("/dev/pts", MountKind::Devpts, MountOptions::default()),
            mount(
                "/v",
                MountKind::Bind(BindSource {
                    path: "/volume".into(),
                    recursive: true,
                    ..BindSource::default()
                }),
                read_only,
            ),
        ],
        masked_paths: vec!["/proc/kcore".to_owned()],
        readonly_paths: vec!["/proc/sys".to_owned()],
        privileged: false,
        pid_namespace: PidNamespace::Pod,
        of_pod: ResourceLimits::default(),
        resources: ResourceLimits {
            cpu_shares: Some(512),
            memory_limit_bytes: Some(1 << 20),
            oom_ends_all: true,
            devices: vec![DeviceRule {
                allow: true,
                kind: 'c',
                major: Some(1),
                minor: None,
                access: "rw".to_owned(),
            }],
            ..ResourceLimits::default()
        },
        stop_signal: 15,
        termination_message_path: "/end".to_owned(),
        termination_message_policy: podspec::TerminationMessagePolicy::File,
        stdin: false,
        stdin_once: false,
        log_limits: LogLimits::default(),
        tty: true,
    }
}

fn place() -> Place {
    Place {
        inner_layers: vec![("/upper".into(), "/work".into())],
        termination_log: "/log".into(),
        joined: vec![("network", "/net".into()), ("pid", "/pid".into())],
        cgroup: "/group/main".into(),
        cgroup_v2: true,
        has_sys_resource: false,
    }
}

#[test]
fn a_process_keeps_who_it_is_and_what_it_may() {
    let process = spec(&config(), &place())["process"].clone();
    let expected = json!({
        "terminal": true,
        "user": {"uid": 1000, "gid": 1001, "additionalGids": [4, 1001], "umask": 18},
        "args": ["true"],
        "env": ["A=b"],
        "cwd": "/work",
        "capabilities": {
            "bounding": ["CAP_CHOWN", "CAP_KILL"], "effective": ["CAP_CHOWN"], "permitted": ["CAP_CHOWN"],
        },
        "noNewPrivileges": true,
        "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 10, "hard": 20}],
    });
    assert_eq!(process, expected, "without oomScoreAdj, which could not be set");
    let able = spec(&config(), &Place { has_sys_resource: true, ..place() });
    assert_eq!(able["process"]["oomScoreAdj"], -5);
}

#[test]
fn mounts_keep_their_order_after_the_layers() {
    let spec = spec(&config(), &place());
    let expected = json!([
        {"destination": "/usr", "type": "overlay", "source": "overlay",
         "options": ["lowerdir=/usr:/usr2,upperdir=/upper,workdir=/work", "ro"]},
        {"destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid", "nodev", "noexec"]},
        {"destination": "/dev/pts", "type": "devpts", "source": "devpts",
         "options": ["newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]},
        {"destination": "/v", "type": "bind", "source": "/volume", "options": ["rbind", "rprivate", "ro"]},
        {"destination": "/end", "type": "bind", "source": "/log", "options": ["bind", "rprivate", "rw"]},
    ]);
    assert_eq!(spec["mounts"], expected);
    assert_eq!(spec["root"], json!({"path": "rootfs", "readonly": true}));
}

#[test]
fn namespaces_are_joined_or_new() {
    let linux = spec(&config(), &place())["linux"].clone();
    let expected = json!([
        {"type": "mount"}, {"type": "cgroup"}, {"type": "network", "path": "/net"}, {"type": "pid", "path": "/pid"},
    ]);
    assert_eq!(linux["namespaces"], expected);
    assert_eq!(linux["maskedPaths"], json!(["/proc/kcore"]));
    assert_eq!(linux["readonlyPaths"], json!(["/proc/sys"]));
}

#[test]
fn limits_are_those_of_the_group() {
    let resources = spec(&config(), &place())["linux"]["resources"].clone();
    let expected = json!({
        "devices": [{"allow": true, "type": "c", "major": 1, "access": "rw"}],
        "cpu": {"shares": 512},
        "memory": {"limit": 1_048_576, "swap": 1_048_576},
        "unified": {"memory.oom.group": "1"},
    });
    assert_eq!(resources, expected);
}

#[test]
fn the_filter_has_a_rule_for_what_it_lets_through() {
    let seccomp = spec(&config(), &place())["linux"]["seccomp"].clone();
    let rules = seccomp["syscalls"].as_array().unwrap();
    let of = |name: &str| -> Vec<&Value> {
        rules.iter().filter(|rule| rule["names"].as_array().unwrap().contains(&json!(name))).collect()
    };
    assert_eq!(of("read").len(), 1);
    assert_eq!(of("mount").len(), 0);
    assert_eq!(of("clone3"), [&json!({"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38})]);
    assert_eq!(of("clone")[0]["args"][0]["op"], "SCMP_CMP_MASKED_EQ");
    assert_eq!(of("socket").len(), 3);
    let mut open = config();
    open.process.seccomp.clear();
    assert_eq!(spec(&open, &place())["linux"].get("seccomp"), None);
}

#[test]
fn all_but_some_values_are_gaps_between_them() {
    assert_eq!(between(&[38, 40]), [Gap::Below(38), Gap::Only(39), Gap::Above(40)]);
    assert_eq!(between(&[3]), [Gap::Below(3), Gap::Above(3)]);
    assert_eq!(between(&[]), [Gap::Only(0), Gap::Above(0)]);
}
