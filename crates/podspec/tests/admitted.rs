//! Manifests that are run: what becomes of them.

use expect_test::expect_file;
use expect_test::{Expect, expect};
use podspec::{AdmittedPod, EnvSource, load_pods};

fn load(text: &str) -> AdmittedPod {
    let mut pods =
        load_pods("pod.yaml", text, || *b"0123456789abcdefghijklmn").unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(pods.len(), 1);
    pods.remove(0).admitted
}

fn warnings(text: &str, expected: &Expect) {
    let lines: String = load(text).warnings.iter().map(|w| format!("{w}\n")).collect();
    expected.assert_eq(&lines);
}

const FULL: &str = include_str!("full.yaml");

#[test]
fn a_full_pod_with_its_defaults() {
    let pod = load(FULL);
    assert!(pod.warnings.is_empty(), "{:?}", pod.warnings);
    let manifest = serde_json::to_string_pretty(&pod.manifest).unwrap();
    expect_file!["full.manifest.json"].assert_eq(&format!("{manifest}\n"));
    expect_file!["full.pod.txt"].assert_eq(&format!("{:#?}\n", pod.pod));
}

#[test]
fn what_is_to_be_confined_by_labels() {
    let is_labelled = |pod: &str, container: &str| {
        let spec = format!(
            "securityContext: {{{pod}}}, containers: [{{name: main, image: app:1, securityContext: {{{container}}}}}]"
        );
        load(&format!("{{kind: Pod, apiVersion: v1, metadata: {{name: web}}, spec: {{{spec}}}}}"))
            .pod
            .spec
            .se_linux
    };
    assert!(is_labelled("seLinuxOptions: {level: \"s0:c0,c1\"}", ""));
    assert!(is_labelled("", "seLinuxOptions: {type: spc_t}"));
    assert!(!is_labelled("seLinuxOptions: {}, seLinuxChangePolicy: Recursive", "seLinuxOptions: {}"));
}

#[test]
fn a_small_pod_with_its_defaults() {
    let pod = load(
        "{kind: Pod, apiVersion: v1, metadata: {generateName: web-}, spec: {containers: [{name: main, image: app}]}}",
    );
    let manifest = serde_json::to_string_pretty(&pod.manifest).unwrap();
    expect![[r#"
        {
          "apiVersion": "v1",
          "kind": "Pod",
          "metadata": {
            "generateName": "web-",
            "name": "web-56789",
            "namespace": "default",
            "uid": "30313233-3435-4637-b839-616263646566"
          },
          "spec": {
            "containers": [
              {
                "image": "app",
                "imagePullPolicy": "Always",
                "name": "main",
                "resources": {},
                "terminationMessagePath": "/dev/termination-log",
                "terminationMessagePolicy": "File"
              }
            ],
            "dnsPolicy": "ClusterFirst",
            "enableServiceLinks": true,
            "restartPolicy": "Always",
            "schedulerName": "default-scheduler",
            "securityContext": {},
            "terminationGracePeriodSeconds": 30
          }
        }
    "#]]
    .assert_eq(&format!("{manifest}\n"));
}

/// What a cluster adds to a pod keeps it from being run only where it asks for something.
#[test]
fn a_pod_from_a_cluster() {
    let pod = load(include_str!("from-cluster.yaml"));
    let metadata = serde_json::to_string(&pod.manifest["metadata"]).unwrap();
    expect![[r#"{"annotations":{"cni.example.com/podIP":"10.244.1.7/32"},"labels":{"app":"web"},"name":"web","namespace":"default","uid":"30313233-3435-4637-b839-616263646566"}"#]].assert_eq(&metadata);
    assert!(pod.manifest.get("status").is_none());
}

/// A defaulted manifest is one that is accepted again, and stays as it is.
#[test]
fn admission_is_idempotent() {
    let first = load(FULL);
    let again = load(&serde_json::to_string(&first.manifest).unwrap());
    assert_eq!(first, again);
}

#[test]
fn json_texts() {
    let text = "{\"kind\":\"Pod\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"a\"},\"spec\":\n\t{\"containers\":[{\"name\":\"main\",\"image\":\"app\",\"args\":[\"\\ud83d\\ude00\\/\"]}]}}";
    assert_eq!(load(text).pod.spec.containers[0].args.as_deref(), Some(["\u{1f600}/".to_owned()].as_slice()));
    let two = format!("{text}{text}\n{text}");
    assert_eq!(load_pods("-", &two, || [0; 24]).unwrap().len(), 3);
}

#[test]
fn yaml_of_kubectl() {
    let pod = load(
        "\
kind: Pod
apiVersion: v1
metadata: {name: a, labels: {on: x, 1: 'y', 010: z}}
x: &defaults {image: app, imagePullPolicy: Never}
spec:
  containers:
  - <<: {image: app, imagePullPolicy: Never}
    name: main
    tty: on
    imagePullPolicy: Always
    env:
    - {name: A, value: 2001-01-01}
    - {name: B, value: 1:30}
    - {name: C, value: ~}
    args: [!!str 1, 'yes', \"0644\"]
    resources: {limits: {cpu: 1, memory: 64e6}}
    securityContext: {runAsUser: 0o17}
  activeDeadlineSeconds: 1e2
"
        .replace("x: &defaults {image: app, imagePullPolicy: Never}\n", "")
        .as_str(),
    );
    let container = &pod.pod.spec.containers[0];
    let labels: Vec<_> = pod.pod.labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
    assert_eq!(labels, ["1=y", "8=z", "true=x"]);
    assert!(container.tty);
    assert_eq!(container.pull_policy, podspec::PullPolicy::Always);
    assert_eq!(
        container.env.iter().map(|e| e.source.clone()).collect::<Vec<_>>(),
        ["2001-01-01", "1:30", ""].map(|value| EnvSource::Value(value.to_owned()))
    );
    assert_eq!(container.args.as_deref().unwrap(), ["1", "yes", "0644"]);
    assert_eq!(container.resources.memory_limit, Some(64_000_000));
    assert_eq!(container.security.run_as_user, Some(15));
    assert_eq!(pod.pod.spec.active_deadline.unwrap().as_secs(), 100);
}

/// What a pod with limits of its own asks for: what its containers do, or else the limit.
#[test]
fn requests_of_the_pod() {
    for (own, containers, expected) in [
        ("{}", "[{name: a, image: b, resources: {requests: {cpu: 1}}}]", "{}"),
        ("{limits: {}}", "[{name: a, image: b, resources: {requests: {cpu: 1}}}]", "{\"limits\":{}}"),
        (
            "{requests: {cpu: 2}}",
            "[{name: a, image: b, resources: {requests: {cpu: 1, memory: 1Mi}}}]",
            "{\"requests\":{\"cpu\":\"2\"}}",
        ),
        (
            "{limits: {cpu: 2, memory: 8Mi}}",
            "[{name: a, image: b}]",
            "{\"limits\":{\"cpu\":\"2\",\"memory\":\"8Mi\"},\"requests\":{\"cpu\":\"2\",\"memory\":\"8Mi\"}}",
        ),
        (
            "{limits: {cpu: 2}, requests: {}}",
            "[{name: a, image: b, resources: {limits: {cpu: 500m}}}, {name: c, image: b, resources: {requests: {cpu: 0.3, memory: 1Mi}}}]",
            "{\"limits\":{\"cpu\":\"2\"},\"requests\":{\"cpu\":\"800m\",\"memory\":\"1Mi\"}}",
        ),
    ] {
        let pod = load(&format!(
            "{{kind: Pod, apiVersion: v1, metadata: {{name: a}}, spec: {{resources: {own}, containers: {containers}}}}}"
        ));
        let resources = serde_json::to_string(&pod.manifest["spec"]["resources"]).unwrap();
        assert_eq!(resources, expected, "{own} {containers}");
    }
}

#[test]
fn host_names() {
    let named = |name: &str| {
        let text = format!(
            "{{kind: Pod, apiVersion: v1, metadata: {{name: {name}}}, spec: {{containers: [{{name: a, image: b}}]}}}}"
        );
        load(&text).pod.spec.hostname
    };
    assert_eq!(named("a.b"), "a.b");
    assert_eq!(
        named(&format!("{}-.{}", "a".repeat(61), "b".repeat(9)).replace("-.", "-1.")),
        "a".repeat(61) + "-1"
    );
    assert_eq!(named(&format!("{}.b", "a".repeat(62))), "a".repeat(62));
}

#[test]
fn doubtful_pods_are_run_with_a_warning() {
    warnings(
        "\
kind: Pod
apiVersion: v1
metadata: {name: web}
spec:
  restartPolicy: Always
  terminationGracePeriodSeconds: -1
  initContainers:
  - {name: log-shipper, image: app, command: [sh, -c, 'tail -n+1 -F /var/log/app.log']}
  - {name: idle, image: app, command: [sleep, infinity]}
  - {name: wait-for-db, image: app, command: [sh, -c, 'until nc -z db 5432; do sleep 1; done']}
  - {name: sidecar, image: app, restartPolicy: Always, command: [tail, -F, /var/log/app.log]}
  - {name: bounded, image: app, command: [tail, --pid=7, -f, /x]}
  - {name: own-command, image: filebeat}
  containers:
  - name: main
    image: app
    command: [sleep, infinity]
    env: [{name: A, value: a}, {name: A, value: $(A)b}, {name: A, value: c}]
    resources: {limits: {memory: 128m}}
    ports: [{name: web, containerPort: 80}]
    livenessProbe: {httpGet: {port: web}}
    readinessProbe: {tcpSocket: {port: http}}
    lifecycle: {preStop: {httpGet: {port: web-2}}, postStart: {httpGet: {port: 80}}}
  - {name: second, image: app, ports: [{name: web, containerPort: 81}], startupProbe: {grpc: {port: 1}}}
",
        &expect![[r#"
            spec.containers[0].env[2]: hides previous definition of "A", which may be dropped when using apply
            spec.containers[0].resources.limits[memory]: fractional byte value "128m" is invalid, must be an integer
            spec.containers[0].resources.requests[memory]: fractional byte value "128m" is invalid, must be an integer
            spec.containers[0].readinessProbe.tcpSocket.port: none of the container's ports has the name "http"
            spec.containers[0].lifecycle.preStop.httpGet.port: none of the container's ports has the name "web-2"
            spec.containers[1].ports[0]: duplicate port name "web" with spec.containers[0].ports[0], services and probes that select ports by name will use spec.containers[0].ports[0]
        "#]],
    );
}

/// An annotation of a whole manifest, as `kubectl apply` leaves, in every way to write it.
#[test]
fn long_texts() {
    let long = "word ".repeat(20_000);
    let json = format!(
        "{{\"kind\":\"Pod\",\"apiVersion\":\"v1\",\"metadata\":{{\"name\":\"a\",\"annotations\":{{\"x\":\"{long}\"}}}},\"spec\":{{\"containers\":[{{\"name\":\"a\",\"image\":\"b\",\"args\":[\"{long}\"]}}]}}}}"
    );
    let yaml = format!(
        "kind: Pod\napiVersion: v1\nmetadata:\n  name: a\n  annotations:\n    x: '{long}'\nspec:\n  containers:\n  \
         - name: a\n    image: b\n    args:\n    - \"{long}\"\n"
    );
    for text in [json, yaml] {
        let pod = load(&text).pod;
        assert_eq!(pod.annotations["x"], long);
        assert_eq!(pod.spec.containers[0].args.as_deref(), Some(std::slice::from_ref(&long)));
    }
}
