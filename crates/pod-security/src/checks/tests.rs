use serde_json::{Value, json};

use super::{CHECKS, Check, Pod};
use crate::evaluate::{details, evaluate};
use crate::level::{Level, Policy, Version};

/// Which definition, a pod's `spec` (and `annotations`), and what the check has against it.
type Case = (Version, Value, Option<&'static str>);

const LATEST: Version = Version::Latest;
const V: fn(u64) -> Version = Version::Minor;

fn run(name: &str, cases: impl IntoIterator<Item = Case>) {
    let check = CHECKS.iter().find(|check| check.name == name).unwrap();
    for (version, pod, expected) in cases {
        let metadata = json!({"annotations": pod["annotations"]});
        let found = (check.run)(&Pod { metadata: &metadata, spec: &pod["spec"], version });
        let found = found.map(|violation| details(&[violation]));
        assert_eq!(found.as_deref(), expected, "{name} of {version}: {pod}");
    }
}

/// A pod with one container of each kind, with these security contexts: `i`, `a`, `e`.
fn contexts(pod: &Value, init: &Value, app: &Value, ephemeral: &Value) -> Value {
    let container = |name: &str, context: &Value| json!([{"name": name, "securityContext": context}]);
    json!({"spec": {
        "securityContext": pod,
        "initContainers": container("i", init),
        "containers": container("a", app),
        "ephemeralContainers": container("e", ephemeral),
    }})
}

/// All three say the same.
fn all(context: &Value) -> Value {
    contexts(&Value::Null, context, context, context)
}

fn spec(spec: &Value) -> Value {
    json!({"spec": spec})
}

#[test]
fn apparmor() {
    let of = |kind: &str| json!({"appArmorProfile": {"type": kind}});
    let none = json!({});
    let annotated = |annotations: Value| json!({"annotations": annotations, "spec": {}});
    let key = "container.apparmor.security.beta.kubernetes.io/a";
    run(
        "appArmorProfile",
        [
            (LATEST, all(&none), None),
            (LATEST, contexts(&of("RuntimeDefault"), &of("Localhost"), &none, &none), None),
            (
                LATEST,
                contexts(&of("Unconfined"), &none, &none, &none),
                Some("forbidden AppArmor profile (pod must not set AppArmor profile type to \"Unconfined\")"),
            ),
            (
                V(0),
                contexts(&none, &of("Unconfined"), &of(""), &none),
                Some(
                    "forbidden AppArmor profiles (containers \"i\", \"a\" must not set AppArmor profile type to \"\", \
                 \"Unconfined\")",
                ),
            ),
            (LATEST, annotated(json!({key: "runtime/default"})), None),
            (LATEST, annotated(json!({key: "localhost/own"})), None),
            (LATEST, annotated(json!({key: "", "other": "unconfined"})), None),
            (
                LATEST,
                annotated(json!({key: "unconfined"})),
                Some(
                    "forbidden AppArmor profile (annotation must not set AppArmor profile type to \
                 \"container.apparmor.security.beta.kubernetes.io/a=\"unconfined\"\")",
                ),
            ),
        ],
    );
    let mut both = contexts(&of("Unconfined"), &none, &of("Unconfined"), &none);
    both["annotations"] = json!({key: "x", "container.apparmor.security.beta.kubernetes.io/B": "\"y"});
    run(
        "appArmorProfile",
        [(
            LATEST,
            both,
            Some(
                "forbidden AppArmor profiles (pod and container \"a\" and annotations must not set AppArmor profile type to \
             \"Unconfined\", \"container.apparmor.security.beta.kubernetes.io/B=\"\\\"y\"\", \
             \"container.apparmor.security.beta.kubernetes.io/a=\"x\"\")",
            ),
        )],
    );
}

#[test]
fn capabilities_of_the_baseline() {
    let add = |names: &[&str]| json!({"capabilities": {"add": names}});
    let none = json!({});
    let allowed = add(&super::baseline::CAPABILITIES);
    run(
        "capabilities_baseline",
        [
            (LATEST, all(&none), None),
            (LATEST, all(&allowed), None),
            (
                LATEST,
                contexts(&none, &add(&["NET_RAW"]), &none, &none),
                Some(
                    "non-default capabilities (container \"i\" must not include \"NET_RAW\" in \
                 securityContext.capabilities.add)",
                ),
            ),
            // Names are compared as they are.
            (
                V(0),
                contexts(&none, &none, &add(&["chown", "CHOWN", "CAP_CHOWN"]), &add(&["ALL"])),
                Some(
                    "non-default capabilities (containers \"a\", \"e\" must not include \"ALL\", \"CAP_CHOWN\", \"chown\" in \
                 securityContext.capabilities.add)",
                ),
            ),
        ],
    );
}

#[test]
fn host_namespaces() {
    let off = json!({"hostNetwork": false, "hostPID": false, "hostIPC": false});
    let on = json!({"hostIPC": true, "hostPID": true, "hostNetwork": true});
    run(
        "hostNamespaces",
        [
            (LATEST, spec(&json!({})), None),
            (LATEST, spec(&off), None),
            (V(0), spec(&json!({"hostPID": true})), Some("host namespaces (hostPID=true)")),
            (LATEST, spec(&on), Some("host namespaces (hostNetwork=true, hostPID=true, hostIPC=true)")),
        ],
    );
}

#[test]
fn host_paths() {
    let volumes = |kinds: &[&str]| {
        let volume = |(n, kind): (usize, &&str)| json!({"name": format!("v{n}"), *kind: {}});
        spec(&json!({"volumes": kinds.iter().enumerate().map(volume).collect::<Vec<_>>()}))
    };
    run(
        "hostPathVolumes",
        [
            (LATEST, volumes(&["emptyDir", "nfs"]), None),
            (LATEST, volumes(&["emptyDir", "hostPath"]), Some("hostPath volumes (volume \"v1\")")),
            (V(0), volumes(&["hostPath", "hostPath"]), Some("hostPath volumes (volumes \"v0\", \"v1\")")),
            (LATEST, spec(&json!({"volumes": [{"name": "v", "hostPath": null}]})), None),
        ],
    );
    run(
        "restrictedVolumes",
        [
            (LATEST, volumes(&super::restricted::VOLUMES), None),
            (
                LATEST,
                volumes(&["secret", "nfs"]),
                Some("restricted volume types (volume \"v1\" uses restricted volume type \"nfs\")"),
            ),
            (
                V(0),
                volumes(&["scaleIO", "hostPath", "hostPath"]),
                Some(
                    "restricted volume types (volumes \"v0\", \"v1\", \"v2\" use restricted volume types \"hostPath\", \
                 \"scaleIO\")",
                ),
            ),
            (
                LATEST,
                volumes(&["holodeck"]),
                Some("restricted volume types (volume \"v0\" uses restricted volume type \"unknown\")"),
            ),
        ],
    );
    for kind in super::restricted::FORBIDDEN_VOLUMES {
        let found = evaluate(
            Policy { level: Level::Restricted, version: LATEST },
            &Value::Null,
            &volumes(&[kind])["spec"],
        );
        let detail = format!("volume \"v0\" uses restricted volume type \"{kind}\"");
        assert!(found.iter().any(|violation| violation.detail == detail), "{kind}: {found:?}");
    }
}

#[test]
fn host_ports() {
    let ports = |ports: &[i64]| -> Value { ports.iter().map(|port| json!({"hostPort": port})).collect() };
    let pod = |init: &[i64], app: &[i64]| {
        spec(&json!({
            "initContainers": [{"name": "i", "ports": ports(init)}],
            "containers": [{"name": "a", "ports": ports(app)}, {"name": "b", "ports": [{"containerPort": 80}]}],
        }))
    };
    run(
        "hostPorts",
        [
            (LATEST, pod(&[], &[0]), None),
            (LATEST, pod(&[], &[0, 20]), Some("hostPort (container \"a\" uses hostPort 20)")),
            // As texts, in their order.
            (
                V(0),
                pod(&[9, 80], &[80, 100]),
                Some("hostPort (containers \"i\", \"a\" use hostPorts 100, 80, 9)"),
            ),
        ],
    );
}

#[test]
fn hosts_of_probes_and_hooks() {
    let pod = |container: Value| spec(&json!({"containers": [container]}));
    run(
        "hostProbesAndHostLifecycle",
        [
            (LATEST, pod(json!({"name": "a", "livenessProbe": {"httpGet": {"port": 80, "host": ""}}})), None),
            (
                LATEST,
                pod(json!({"name": "a", "lifecycle": {"preStop": {"exec": {"command": ["true"]}}}})),
                None,
            ),
            (
                LATEST,
                pod(json!({"name": "a", "startupProbe": {"tcpSocket": {"host": "127.0.0.1"}}})),
                Some("probe or lifecycle host (container \"a\" uses probe or lifecycle host \"127.0.0.1\")"),
            ),
            (
                V(34),
                spec(&json!({
                    "initContainers": [{"name": "z", "readinessProbe": {"httpGet": {"host": "b"}}}],
                    "containers": [{
                        "name": "a",
                        "livenessProbe": {"tcpSocket": {"host": "c"}},
                        "lifecycle": {"postStart": {"httpGet": {"host": "b"}}, "preStop": {"tcpSocket": {"host": "a"}}},
                    }],
                })),
                Some(
                    "probe or lifecycle host (containers \"a\", \"z\" use probe or lifecycle hosts \"a\", \"b\", \"c\")",
                ),
            ),
        ],
    );
}

#[test]
fn privileged() {
    let (on, off) = (json!({"privileged": true}), json!({"privileged": false}));
    run(
        "privileged",
        [
            (LATEST, all(&off), None),
            (
                LATEST,
                contexts(&off, &off, &off, &on),
                Some("privileged (container \"e\" must not set securityContext.privileged=true)"),
            ),
            (
                V(0),
                contexts(&off, &on, &on, &off),
                Some("privileged (containers \"i\", \"a\" must not set securityContext.privileged=true)"),
            ),
        ],
    );
}

#[test]
fn proc_mounts() {
    let of = |kind: &str| json!({"procMount": kind});
    let none = json!({});
    let default = all(&of("Default"));
    let masked = contexts(&none, &of("Unmasked"), &of("other"), &none);
    let mut in_user_namespace = masked.clone();
    in_user_namespace["spec"]["hostUsers"] = false.into();
    let fault = Some(
        "procMount (containers \"i\", \"a\" must not set securityContext.procMount to \"Unmasked\", \"other\")",
    );
    run(
        "procMount",
        [
            (LATEST, all(&none), None),
            (LATEST, default.clone(), None),
            (LATEST, masked.clone(), fault),
            (V(0), masked.clone(), fault),
            (V(34), in_user_namespace.clone(), fault),
            (V(35), in_user_namespace.clone(), None),
        ],
    );
    run(
        "procMount_restricted",
        [(LATEST, default, None), (LATEST, masked, fault), (V(35), in_user_namespace, fault)],
    );
}

#[test]
fn se_linux() {
    let of = |options: Value| json!({"seLinuxOptions": options});
    let kind = |kind: &str| of(json!({"type": kind}));
    let none = json!({});
    run(
        "seLinuxOptions",
        [
            (LATEST, all(&none), None),
            (
                V(0),
                contexts(&none, &kind("container_t"), &kind("container_init_t"), &kind("container_kvm_t")),
                None,
            ),
            (LATEST, all(&of(json!({"level": "s0", "type": ""}))), None),
            (V(31), all(&kind("container_engine_t")), None),
            (
                V(30),
                contexts(&none, &none, &kind("container_engine_t"), &none),
                Some(
                    "seLinuxOptions (container \"a\" set forbidden securityContext.seLinuxOptions: type \
                 \"container_engine_t\")",
                ),
            ),
            (
                LATEST,
                contexts(&of(json!({"user": "u"})), &none, &none, &none),
                Some(
                    "seLinuxOptions (pod set forbidden securityContext.seLinuxOptions: user may not be set)",
                ),
            ),
            (
                LATEST,
                contexts(&kind("x"), &of(json!({"role": "r"})), &kind("w"), &of(json!({"user": "u"}))),
                Some(
                    "seLinuxOptions (pod and containers \"i\", \"a\", \"e\" set forbidden securityContext.seLinuxOptions: \
                 types \"w\", \"x\"; user may not be set; role may not be set)",
                ),
            ),
        ],
    );
}

#[test]
fn seccomp() {
    let of = |kind: &str| json!({"seccompProfile": {"type": kind}});
    let none = json!({});
    let unconfined = of("Unconfined");
    let fault = "seccompProfile (pod and containers \"i\", \"e\" must not set securityContext.seccompProfile.type to \
                 \"Unconfined\")";
    let unset = "seccompProfile (pod or containers \"i\", \"e\" must set securityContext.seccompProfile.type to \
                 \"RuntimeDefault\" or \"Localhost\")";
    let some = contexts(&none, &none, &of("Localhost"), &none);
    let bad = contexts(&unconfined, &unconfined, &none, &unconfined);
    run(
        "seccompProfile_baseline",
        [
            (LATEST, all(&none), None),
            (V(19), contexts(&of("RuntimeDefault"), &of("Localhost"), &none, &none), None),
            (LATEST, some.clone(), None),
            (LATEST, bad.clone(), Some(fault)),
            // It was an annotation.
            (V(18), bad.clone(), None),
        ],
    );
    let mut windows = some.clone();
    windows["spec"]["os"] = json!({"name": "windows"});
    run(
        "seccompProfile_restricted",
        [
            (LATEST, contexts(&of("RuntimeDefault"), &none, &of("Localhost"), &none), None),
            (LATEST, all(&of("Localhost")), None),
            (V(19), some, Some(unset)),
            (LATEST, bad, Some(fault)),
            // What is wrong is said before what is missing.
            (
                LATEST,
                contexts(&none, &none, &unconfined, &none),
                Some(
                    "seccompProfile (container \"a\" must not set securityContext.seccompProfile.type to \"Unconfined\")",
                ),
            ),
            (V(24), windows.clone(), Some(unset)),
            (V(25), windows, None),
        ],
    );
}

#[test]
fn seccomp_by_annotations() {
    let pod = |annotations: Value| json!({"annotations": annotations, "spec": {"containers": [{"name": "a"}], "initContainers": [{"name": "b"}]}});
    let (of_pod, of_a) =
        ("seccomp.security.alpha.kubernetes.io/pod", "container.seccomp.security.alpha.kubernetes.io/a");
    run(
        "seccompProfile_baseline",
        [
            (V(18), pod(json!({of_pod: "runtime/default", of_a: "localhost/x"})), None),
            (V(0), pod(json!({of_pod: "docker/default"})), None),
            (V(0), pod(json!({"container.seccomp.security.alpha.kubernetes.io/none": "unconfined"})), None),
            (V(19), pod(json!({of_pod: "unconfined"})), None),
            (
                V(18),
                pod(json!({of_pod: "unconfined"})),
                Some(
                    "seccompProfile (forbidden annotation seccomp.security.alpha.kubernetes.io/pod=\"unconfined\")",
                ),
            ),
            (
                V(0),
                pod(json!({of_pod: "", of_a: "x"})),
                Some(
                    "seccompProfile (forbidden annotations container.seccomp.security.alpha.kubernetes.io/a=\"x\", \
                 seccomp.security.alpha.kubernetes.io/pod=\"\")",
                ),
            ),
        ],
    );
}

#[test]
fn sysctls() {
    let pod = |names: &[&str]| {
        let sysctls: Value = names.iter().map(|name| json!({"name": name, "value": "1"})).collect();
        spec(&json!({"securityContext": {"sysctls": sysctls}}))
    };
    run("sysctls", [(LATEST, spec(&json!({})), None)]);
    for (name, since) in super::baseline::SYSCTLS {
        let fault: &str = format!("forbidden sysctls ({name})").leak();
        run("sysctls", [(LATEST, pod(&[name]), None), (V(since), pod(&[name]), None)]);
        if let Some(before) = since.checked_sub(1) {
            run("sysctls", [(V(before), pod(&[name]), Some(fault))]);
        }
    }
    let names = ["vm.swappiness", "kernel.shm_rmid_forced", "kernel.msgmax"];
    run("sysctls", [(LATEST, pod(&names), Some("forbidden sysctls (vm.swappiness, kernel.msgmax)"))]);
}

#[test]
fn windows_host_processes() {
    let of = |on: bool| json!({"windowsOptions": {"hostProcess": on}});
    run(
        "windowsHostProcess",
        [
            (LATEST, contexts(&of(false), &of(false), &json!({"windowsOptions": {}}), &json!({})), None),
            (
                V(0),
                contexts(&of(true), &of(true), &of(true), &of(false)),
                Some(
                    "hostProcess (pod and containers \"i\", \"a\" must not set \
                 securityContext.windowsOptions.hostProcess=true)",
                ),
            ),
        ],
    );
}

#[test]
fn privilege_escalation() {
    let of = |on: bool| json!({"allowPrivilegeEscalation": on});
    let bad = contexts(&Value::Null, &of(true), &of(false), &Value::Null);
    let mut windows = bad.clone();
    windows["spec"]["os"] = json!({"name": "windows"});
    let fault = Some(
        "allowPrivilegeEscalation != false (containers \"i\", \"e\" must set \
         securityContext.allowPrivilegeEscalation=false)",
    );
    run(
        "allowPrivilegeEscalation",
        [
            (LATEST, all(&of(false)), None),
            (V(8), bad.clone(), fault),
            (LATEST, bad, fault),
            (V(24), windows.clone(), fault),
            (V(25), windows, None),
        ],
    );
}

#[test]
fn capabilities_of_the_restricted() {
    let of = |drop: &[&str], add: &[&str]| json!({"capabilities": {"drop": drop, "add": add}});
    let none = json!({});
    let fine = of(&["ALL"], &["NET_BIND_SERVICE"]);
    // To drop each by its name is not enough.
    let bad =
        contexts(&none, &of(&["NET_RAW", "all"], &["CHOWN", "SYS_TIME"]), &none, &of(&["ALL"], &["BPF"]));
    let mut windows = bad.clone();
    windows["spec"]["os"] = json!({"name": "windows"});
    let fault = Some(
        "unrestricted capabilities (containers \"i\", \"a\" must set securityContext.capabilities.drop=[\"ALL\"]; \
         containers \"i\", \"e\" must not include \"BPF\", \"CHOWN\", \"SYS_TIME\" in \
         securityContext.capabilities.add)",
    );
    run(
        "capabilities_restricted",
        [
            (LATEST, all(&fine), None),
            (LATEST, all(&of(&["NET_RAW", "ALL"], &[])), None),
            (
                LATEST,
                contexts(&none, &fine, &none, &fine),
                Some(
                    "unrestricted capabilities (container \"a\" must set securityContext.capabilities.drop=[\"ALL\"])",
                ),
            ),
            (LATEST, bad.clone(), fault),
            (V(22), bad, fault),
            (V(24), windows.clone(), fault),
            (V(25), windows, None),
        ],
    );
}

#[test]
fn non_root() {
    let of = |on: bool| json!({"runAsNonRoot": on});
    let none = json!({});
    let mut own_users = all(&none);
    own_users["spec"]["hostUsers"] = false.into();
    let unset = Some(
        "runAsNonRoot != true (pod or containers \"i\", \"a\", \"e\" must set securityContext.runAsNonRoot=true)",
    );
    run(
        "runAsNonRoot",
        [
            (LATEST, contexts(&of(true), &none, &Value::Null, &none), None),
            (LATEST, all(&of(true)), None),
            (V(0), all(&none), unset),
            (
                LATEST,
                contexts(&none, &none, &of(true), &of(true)),
                Some(
                    "runAsNonRoot != true (pod or container \"i\" must set securityContext.runAsNonRoot=true)",
                ),
            ),
            (
                LATEST,
                contexts(&of(false), &of(true), &of(true), &of(true)),
                Some("runAsNonRoot != true (pod must not set securityContext.runAsNonRoot=false)"),
            ),
            (
                LATEST,
                contexts(&of(true), &of(false), &none, &of(false)),
                Some(
                    "runAsNonRoot != true (containers \"i\", \"e\" must not set securityContext.runAsNonRoot=false)",
                ),
            ),
            (V(34), own_users.clone(), unset),
            (V(35), own_users, None),
        ],
    );
}

#[test]
fn root_by_number() {
    let of = |user: i64| json!({"runAsUser": user});
    let none = json!({});
    let bad = contexts(&of(0), &of(0), &of(1), &none);
    let mut own_users = bad.clone();
    own_users["spec"]["hostUsers"] = false.into();
    let fault = Some("runAsUser=0 (pod and container \"i\" must not set runAsUser=0)");
    run(
        "runAsUser",
        [
            (LATEST, all(&none), None),
            (LATEST, contexts(&of(1000), &of(1), &none, &none), None),
            (V(23), bad, fault),
            (V(34), own_users.clone(), fault),
            (V(35), own_users, None),
        ],
    );
}

/// Which checks a version has: what came, and what gave way to a stricter one.
#[test]
fn each_version_has_its_checks() {
    let names = |level: Level, version: Version| -> Vec<&str> {
        let is_replaced = |check: &Check| {
            level == Level::Restricted && check.replaced_in.is_some_and(|minor| version.has(minor))
        };
        let counts = |check: &&Check| check.level <= level && version.has(check.since) && !is_replaced(check);
        CHECKS.iter().filter(counts).map(|check| check.name).collect()
    };
    for (level, version, left_out) in [
        (Level::Baseline, V(0), vec!["hostProbesAndHostLifecycle"]),
        (Level::Baseline, V(33), vec!["hostProbesAndHostLifecycle"]),
        (Level::Baseline, LATEST, vec![]),
        (
            Level::Restricted,
            V(7),
            vec![
                "hostPathVolumes",
                "hostProbesAndHostLifecycle",
                "allowPrivilegeEscalation",
                "capabilities_restricted",
                "procMount_restricted",
                "runAsUser",
                "seccompProfile_restricted",
            ],
        ),
        (
            Level::Restricted,
            V(22),
            vec![
                "capabilities_baseline",
                "hostPathVolumes",
                "hostProbesAndHostLifecycle",
                "seccompProfile_baseline",
                "procMount_restricted",
                "runAsUser",
            ],
        ),
        (
            Level::Restricted,
            V(35),
            vec!["capabilities_baseline", "hostPathVolumes", "procMount", "seccompProfile_baseline"],
        ),
    ] {
        let of_level = CHECKS.iter().filter(|check| check.level <= level).map(|check| check.name);
        let expected: Vec<&str> = of_level.filter(|name| !left_out.contains(name)).collect();
        assert_eq!(names(level, version), expected, "{level} {version}");
    }
    assert_eq!(names(Level::Restricted, V(36)), names(Level::Restricted, LATEST));
    for level in [Level::Baseline, Level::Restricted] {
        let names: Vec<&str> =
            CHECKS.iter().filter(|check| check.level == level).map(|check| check.name).collect();
        assert!(names.is_sorted(), "{names:?}");
    }
}

#[test]
fn a_pod_is_judged_as_a_whole() {
    let judge =
        |level, version, spec: &Value| details(&evaluate(Policy { level, version }, &json!({}), spec));
    let plain = json!({"containers": [{"name": "main", "image": "i:1"}]});
    assert_eq!(judge(Level::Privileged, LATEST, &json!({"hostNetwork": true})), "");
    assert_eq!(judge(Level::Baseline, LATEST, &plain), "");
    assert_eq!(
        judge(Level::Restricted, LATEST, &plain),
        "allowPrivilegeEscalation != false (container \"main\" must set securityContext.allowPrivilegeEscalation=false), \
         unrestricted capabilities (container \"main\" must set securityContext.capabilities.drop=[\"ALL\"]), \
         runAsNonRoot != true (pod or container \"main\" must set securityContext.runAsNonRoot=true), \
         seccompProfile (pod or container \"main\" must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \
         \"Localhost\")"
    );
    assert_eq!(
        judge(Level::Restricted, V(7), &plain),
        "runAsNonRoot != true (pod or container \"main\" must set securityContext.runAsNonRoot=true)"
    );
    let hardened = json!({
        "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [{
            "name": "main",
            "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
        }],
    });
    for version in (0..=40).map(V).chain([LATEST]) {
        assert_eq!(judge(Level::Restricted, version, &hardened), "", "{version}");
    }
    // Both levels have a word in a restricted namespace; where they are about the same, the stricter one has.
    let mut bold = hardened;
    bold["hostIPC"] = true.into();
    bold["volumes"] = json!([{"name": "v", "hostPath": {"path": "/"}}]);
    assert_eq!(
        judge(Level::Restricted, LATEST, &bold),
        "host namespaces (hostIPC=true), restricted volume types (volume \"v\" uses restricted volume type \"hostPath\")"
    );
    assert_eq!(
        judge(Level::Baseline, LATEST, &bold),
        "host namespaces (hostIPC=true), hostPath volumes (volume \"v\")"
    );
}

/// Nothing of a pod has to be of its type: the checks run before the pod is known to be one.
#[test]
fn anything_can_be_judged() {
    let policy = Policy { level: Level::Restricted, version: LATEST };
    for odd in [
        json!(null),
        json!(1),
        json!([]),
        json!({"containers": {"a": 1}, "volumes": "x", "securityContext": []}),
    ] {
        drop(evaluate(policy, &odd, &odd));
    }
    let odd = json!({"containers": [1, null, {"name": 7, "securityContext": 1, "ports": [null]}], "volumes": [null]});
    assert!(!evaluate(policy, &json!({"annotations": 1}), &odd).is_empty());
}
