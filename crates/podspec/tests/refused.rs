//! Manifests that are refused, and what is said about them.

use expect_test::{Expect, expect};
use podspec::load_pods;

/// Checks the errors of a whole file.
fn file(text: &str, expected: &Expect) {
    let errors = load_pods("pod.yaml", text, || [7; 24]).expect_err("should be refused");
    expected.assert_eq(&format!("{errors}\n"));
}

/// Checks the errors of a pod whose `spec` has `lines` (in its own indentation) besides one container.
fn spec(lines: &str, expected: &Expect) {
    let indented: String = lines.lines().map(|l| format!("  {l}\n")).collect();
    pod(&format!("  containers:\n  - name: main\n    image: app\n{indented}"), expected);
}

/// Checks the errors of a pod whose one container has `lines` besides name and image.
fn container(lines: &str, expected: &Expect) {
    let indented: String = lines.lines().map(|l| format!("    {l}\n")).collect();
    pod(&format!("  containers:\n  - name: main\n    image: app\n{indented}"), expected);
}

/// As `container`, for an init container beside an app container.
fn init(lines: &str, expected: &Expect) {
    let indented: String = lines.lines().map(|l| format!("    {l}\n")).collect();
    let app = "  containers:\n  - name: main\n    image: app\n";
    pod(&format!("{app}  initContainers:\n  - name: first\n    image: app\n{indented}"), expected);
}

fn pod(spec: &str, expected: &Expect) {
    let text = format!("apiVersion: v1\nkind: Pod\nmetadata:\n  name: web\nspec:\n{spec}");
    let errors = load_pods("pod.yaml", &text, || [7; 24]).expect_err("should be refused");
    let lines: String = errors.0.iter().map(|e| format!("{}: {}\n", e.location.line, e.problem)).collect();
    expected.assert_eq(&lines);
}

#[test]
fn syntax() {
    file(
        "kind: Pod\n  apiVersion: v1\n",
        &expect![[r#"
        pod.yaml:2:13: document 1: not valid YAML: mapping values are not allowed in this context
    "#]],
    );
    file(
        "kind: [Pod\n",
        &expect![[r#"
        pod.yaml:1:7: document 1: not valid YAML: unclosed bracket '['
    "#]],
    );
    file(
        "kind: Pod\napiVersion: v1\nspec:\n\tcontainers: []\n",
        &expect![[r#"
        pod.yaml:4:2: document 1: not valid YAML: tabs disallowed within this context (block indentation)
    "#]],
    );
    file(
        "{\"kind\": \"Pod\",\n \"apiVersion\": }\n",
        &expect![[r#"
        pod.yaml:1: document 1: apiVersion is missing: write "apiVersion: v1"
    "#]],
    );
    file(
        "{\"kind\": \"Pod\"",
        &expect![[r#"
        pod.yaml:1:14: not valid JSON: EOF while parsing an object
    "#]],
    );
    file(
        "a: *nowhere\n",
        &expect![[r#"
        pod.yaml:1:4: document 1: not valid YAML: while parsing node, found unknown anchor
    "#]],
    );
    file(
        "a: &x [*x]\n",
        &expect![[r#"
        pod.yaml:1:8: document 1: an alias to something that contains the alias
    "#]],
    );
    file(
        "a: !secret x\n",
        &expect![[r#"
        pod.yaml:1:12: document 1: tag !secret has no place in a manifest
    "#]],
    );
    file(
        "? [a]\n: b\n",
        &expect![[r#"
        pod.yaml:1:5: document 1: a list cannot be a key
    "#]],
    );
    file(
        "a: .inf\n",
        &expect![[r#"
        pod.yaml:1:4: document 1: .inf has no place in a manifest
    "#]],
    );
    file(
        "",
        &expect![[r#"
        pod.yaml: no Pod in it: every document is empty
    "#]],
    );
    file(
        "# nothing\n---\n---\n",
        &expect![[r#"
        pod.yaml: no Pod in it: every document is empty
    "#]],
    );
    file(
        "- a\n",
        &expect![[r#"
        pod.yaml:1: document 1: a manifest is a mapping with apiVersion, kind, metadata and spec, not a list
    "#]],
    );
    file(
        "just text\n",
        &expect![[r#"
        pod.yaml:1: document 1: a manifest is a mapping with apiVersion, kind, metadata and spec, not text
    "#]],
    );
}

#[test]
fn templates() {
    for text in [
        "kind: Pod\napiVersion: v1\nmetadata:\n  name: {{ .Release.Name }}\n",
        "kind: Pod\napiVersion: v1\nmetadata: {name: a}\n{{- with .Values.x }}\nspec: {}\n{{- end }}\n",
        "kind: Pod\napiVersion: v1\nspec:\n  {% if x %}\n  containers: []\n",
        "{{- if .Values.enabled }}\nkind: Pod\n{{- end }}\n",
    ] {
        let errors = load_pods("pod.yaml", text, || [7; 24]).expect_err("should be refused").to_string();
        let said: Vec<&str> =
            errors.lines().filter(|line| line.contains("template has that was not rendered")).collect();
        assert!(said.len() == 1 && errors.lines().count() == 1, "{text}{errors}");
    }
    file(
        "kind: Pod\napiVersion: v1\nmetadata:\n  name: {{ .Release.Name }}\n",
        &expect![[r#"
            pod.yaml:4:26: document 1: it has {{ }} or {% %} here, as a template has that was not rendered: render it first (as with helm template), or put that in quotes if it is meant as it is
        "#]],
    );
    // Quoted, it is text like any other.
    file(
        "kind: Pod\napiVersion: v1\nmetadata: {name: \"{{ x }}\"}\nspec: [\n",
        &expect![[r#"
            pod.yaml:4:7: document 1: not valid YAML: unclosed bracket '['
        "#]],
    );
}

#[test]
fn kinds() {
    file(
        "metadata: {name: a}\n",
        &expect![[r#"
        pod.yaml:1: document 1, pod "a": kind is missing: write "kind: Pod"
    "#]],
    );
    file(
        "kind: Pod\n",
        &expect![[r#"
        pod.yaml:1: document 1: apiVersion is missing: write "apiVersion: v1"
    "#]],
    );
    file(
        "kind: Pod\napiVersion: v2\n",
        &expect![[r#"
        pod.yaml:1: document 1: Pod (v2) is not supported, only Pod and List (v1): write "apiVersion: v1"
    "#]],
    );
    file(
        "kind: Service\napiVersion: v1\nmetadata: {name: db}\n",
        &expect![[r#"
            pod.yaml:1: document 1: Service "db" (v1) is not supported, only Pod and List (v1): remove the document
        "#]],
    );
    file(
        "kind: Job\napiVersion: batch/v1\nmetadata: {name: job}\n",
        &expect![[r#"
            pod.yaml:1: document 1: Job "job" (batch/v1) is not supported, only Pod and List (v1): make a Pod of its spec.template (with a metadata.name)
        "#]],
    );
    file(
        "kind: List\napiVersion: v1\n",
        &expect![[r#"
        pod.yaml:1: document 1: a List has its Pods under items, as a list
    "#]],
    );
    file(
        "kind: List\napiVersion: v1\nitems: [{kind: Secret, apiVersion: v1}, 3]\n",
        &expect![[r#"
        pod.yaml:3: document 1, item 1: Secret (v1) is not supported, only Pod and List (v1): remove the document
        pod.yaml:3: document 1, item 2: a manifest is a mapping with apiVersion, kind, metadata and spec, not a number
    "#]],
    );
    file(
        "kind: 3\napiVersion: v1\n",
        &expect![[r#"
        pod.yaml:1: document 1: kind is missing: write "kind: Pod"
    "#]],
    );
}

#[test]
fn every_error_of_every_document() {
    file(
        "\
apiVersion: v1
kind: Pod
metadata:
  name: Web
spec:
  containers:
  - name: main
---
apiVersion: v1
kind: Pod
metadata: {name: [}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
---
apiVersion: v1
kind: List
items:
- apiVersion: v1
  kind: Pod
  metadata: {name: a}
  spec: {containers: [{name: main, image: app}]}
- apiVersion: v1
  kind: Pod
  metadata: {name: b}
  spec: {}
",
        &expect![[r#"
            pod.yaml:4: document 1, pod "Web": metadata.name: Invalid value: "Web": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')
            pod.yaml:7: document 1, pod "Web": spec.containers[0].image: Required value
            pod.yaml:11:18: document 2: not valid YAML: mismatched bracket '[' closed by '}'
            pod.yaml:13: document 3: ConfigMap "settings" (v1) is not supported, only Pod and List (v1): remove the document
            pod.yaml:27: document 4, item 2, pod "b": spec.containers: Required value
        "#]],
    );
}

#[test]
fn metadata() {
    file(
        "kind: Pod\napiVersion: v1\nspec: {containers: [{name: main, image: app}]}\n",
        &expect![[r#"
        pod.yaml:1: document 1: metadata.name: Required value: name or generateName is required
    "#]],
    );
    file(
        "\
kind: Pod
apiVersion: v1
metadata:
  generateName: -a-
  name: a_b
  namespace: a.b
  labels:
    -x: -y
    a/b/c: d
  annotations:
    a b: c
    container.apparmor.security.beta.kubernetes.io/main: runtime/default
  finalizers: [example.com/wait]
  ownerReferences: [{kind: Job, name: a, uid: b, apiVersion: batch/v1}]
spec: {containers: [{name: main, image: app}]}
",
        &expect![[r#"
            pod.yaml:4: document 1, pod "a_b": metadata.generateName: Invalid value: "-a-": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')
            pod.yaml:5: document 1, pod "a_b": metadata.name: Invalid value: "a_b": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')
            pod.yaml:6: document 1, pod "a_b": metadata.namespace: Invalid value: "a.b": must not contain dots
            pod.yaml:7: document 1, pod "a_b": metadata.labels: Invalid value: "-x": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')
            pod.yaml:7: document 1, pod "a_b": metadata.labels: Invalid value: "-y": a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')
            pod.yaml:7: document 1, pod "a_b": metadata.labels: Invalid value: "a/b/c": a valid label key must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]') with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')
            pod.yaml:10: document 1, pod "a_b": metadata.annotations: Invalid value: "a b": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')
            pod.yaml:12: document 1, pod "a_b": metadata.annotations[container.apparmor.security.beta.kubernetes.io/main]: Forbidden: not supported yet: AppArmor
        "#]],
    );
}

#[test]
fn structure() {
    container(
        "imagee: app2\ncomand: [a]\nzzz: 1\n",
        &expect![[r#"
            9: unknown field "spec.containers[0].imagee" (did you mean "image"?)
            10: unknown field "spec.containers[0].comand" (did you mean "command"?)
            11: unknown field "spec.containers[0].zzz"
        "#]],
    );
    pod(
        "  containers:\n  - name: main\n    imagee: app\n",
        &expect![[r#"
        8: unknown field "spec.containers[0].imagee" (did you mean "image"?)
    "#]],
    );
    container(
        "command: sleep 1\n",
        &expect![[r#"
        9: spec.containers[0].command: Invalid value: "sleep 1": must be a list, not a string (write it as a list: ["..."])
    "#]],
    );
    container(
        "env: [{name: A, value: 8080}, {name: B, value: yes}, {name: C, value: }]\n",
        &expect![[r#"
        9: spec.containers[0].env[0].value: Invalid value: 8080: must be a string, not an integer (write it in quotes)
        9: spec.containers[0].env[1].value: Invalid value: true: must be a string, not a boolean (write it in quotes; yes, no, on, off, y and n are booleans in YAML 1.1)
    "#]],
    );
    container(
        "env: {A: b}\n",
        &expect![[r#"
        9: spec.containers[0].env: Invalid value: {"A":"b"}: must be a list, not an object
    "#]],
    );
    container(
        "ports: [{containerPort: http}, {containerPort: 3000000000}, {containerPort: 80.5}]\n",
        &expect![[r#"
            9: spec.containers[0].ports[0].containerPort: Invalid value: "http": must be a 32-bit integer, not a string
            9: spec.containers[0].ports[1].containerPort: Invalid value: 3000000000: must be a 32-bit integer
            9: spec.containers[0].ports[2].containerPort: Invalid value: 80.5: must be a 32-bit integer, not a number
        "#]],
    );
    container(
        "image: other\nname: other\n",
        &expect![[r#"
        9: duplicate field "spec.containers[0].image"
        10: duplicate field "spec.containers[0].name"
    "#]],
    );
    spec(
        "hostNetwork: \"true\"\nterminationGracePeriodSeconds: 1.5\nnodeSelector: {a: 1}\n",
        &expect![[r#"
            9: spec.hostNetwork: Invalid value: "true": must be a boolean, not a string
            10: spec.terminationGracePeriodSeconds: Invalid value: 1.5: must be a 64-bit integer, not a number
            11: spec.nodeSelector[a]: Invalid value: 1: must be a string, not an integer (write it in quotes)
        "#]],
    );
    spec(
        "volumes: [{name: a, emptydir: {}}]\n",
        &expect![[r#"
        9: unknown field "spec.volumes[0].emptydir" (did you mean "emptyDir"?)
    "#]],
    );
    spec(
        "volumes: [{name: a, emptyDir: {medium: 3, siezLimit: 1}}]\n",
        &expect![[r#"
            9: spec.volumes[0].emptyDir.medium: Invalid value: 3: must be a string, not an integer (write it in quotes)
            9: unknown field "spec.volumes[0].emptyDir.siezLimit" (did you mean "sizeLimit"?)
        "#]],
    );
    pod(
        "  containers: 3\n",
        &expect![[r#"
        6: spec.containers: Invalid value: 3: must be a list, not an integer
    "#]],
    );
    pod(
        "  containers: [3]\n",
        &expect![[r#"
        6: spec.containers[0]: Invalid value: 3: must be an object, not an integer
    "#]],
    );
    pod(
        "  []\n",
        &expect![[r#"
        5: spec: Invalid value: []: must be an object, not a list
    "#]],
    );
}

#[test]
fn names_and_images() {
    pod(
        "  initContainers:
  - {name: main, image: app}
  - {name: a, image: app}
  - {name: a, image: app}
  containers:
  - {name: main, image: app}
  - {name: main, image: ' app'}
  - {name: Main, image: ''}
  - {name: a.b, image: app, imagePullPolicy: Sometimes}
  - {image: app}
",
        &expect![[r#"
            7: spec.initContainers[0].name: Duplicate value: "main"
            9: spec.initContainers[2].name: Duplicate value: "a"
            12: spec.containers[1].image: Invalid value: " app": must not have leading or trailing whitespace
            12: spec.containers[1].name: Duplicate value: "main"
            13: spec.containers[2].name: Invalid value: "Main": a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')
            13: spec.containers[2].image: Required value
            14: spec.containers[3].name: Invalid value: "a.b": must not contain dots
            14: spec.containers[3].imagePullPolicy: Unsupported value: "Sometimes": supported values: "Always", "IfNotPresent", "Never"
            15: spec.containers[4].name: Required value
        "#]],
    );
    pod(
        "  containers: []\n",
        &expect![[r#"
        6: spec.containers: Required value
    "#]],
    );
    pod(
        "  hostname: x\n",
        &expect![[r#"
        5: spec.containers: Required value
    "#]],
    );
}

#[test]
fn volumes_and_mounts() {
    container(
        "volumeMounts: [{name: shared-logs, mountPath: /var/log}]\n",
        &expect![[r#"
        9: spec.containers[0].volumeMounts[0].name: Not found: "shared-logs" (define it under spec.volumes, as "- name: shared-logs" with emptyDir: {})
    "#]],
    );
    pod(
        "  volumes:
  - name: shared-logs
    emptyDir: {}
  containers:
  - name: main
    image: app
    volumeMounts:
    - {name: shared-log, mountPath: /a}
    - {name: data, mountPath: /a}
    - {mountPath: /b}
    - {name: shared-logs}
    - {name: shared-logs, mountPath: /c, subPath: x}
    - {name: shared-logs, mountPath: /d, mountPropagation: Bidirectional, recursiveReadOnly: Enabled}
    - {name: shared-logs, mountPath: /e, mountPropagation: HostToContainer}
    - {name: shared-logs, mountPath: /f, mountPropagation: Both, recursiveReadOnly: Maybe}
",
        &expect![[r#"
            13: spec.containers[0].volumeMounts[0].name: Not found: "shared-log" (did you mean "shared-logs"?)
            14: spec.containers[0].volumeMounts[1].name: Not found: "data" (define it under spec.volumes, as "- name: data" with emptyDir: {})
            14: spec.containers[0].volumeMounts[1].mountPath: Invalid value: "/a": must be unique
            15: spec.containers[0].volumeMounts[2].name: Required value
            15: spec.containers[0].volumeMounts[2].name: Not found: ""
            16: spec.containers[0].volumeMounts[3].mountPath: Required value
            18: spec.containers[0].volumeMounts[5].mountPropagation: Forbidden: Bidirectional mount propagation is available only to privileged containers
            18: spec.containers[0].volumeMounts[5].recursiveReadOnly: Forbidden: may only be specified when readOnly is true
            18: spec.containers[0].volumeMounts[5].recursiveReadOnly: Forbidden: may only be specified when mountPropagation is None or not specified
            20: spec.containers[0].volumeMounts[7].mountPropagation: Unsupported value: "Both": supported values: "Bidirectional", "HostToContainer", "None"
            20: spec.containers[0].volumeMounts[7].recursiveReadOnly: Unsupported value: "Maybe": supported values: "Disabled", "Enabled", "IfPossible"
        "#]],
    );
    spec(
        "\
volumes:
- name: a
  emptyDir: {}
  hostPath: {path: /a}
- name: a
  hostPath: {}
- name: B
  hostPath: {path: /a/../b, type: Folder}
- emptyDir: {}
- name: c
  emptyDir: {sizeLimit: 1Gi}
- name: d
  emptyDir: {medium: HugePages, sizeLimit: -1}
- name: e
  configMap: {name: settings, defaultMode: 0644}
- name: f
  nfs: {server: a, path: /b}
- name: g
  persistentVolumeClaim: {claimName: data, readonly: true}
- name: h
  projected: {sources: [{serviceAccountToken: {path: token}}]}
",
        &expect![[r#"
            12: spec.volumes[0].hostPath: Forbidden: may not specify more than 1 volume type
            13: spec.volumes[1].name: Duplicate value: "a"
            14: spec.volumes[1].hostPath.path: Required value
            15: spec.volumes[2].name: Invalid value: "B": a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')
            16: spec.volumes[2].hostPath.path: Invalid value: "/a/../b": must not contain '..'
            16: spec.volumes[2].hostPath.type: Unsupported value: "Folder": supported values: "", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"
            17: spec.volumes[3].name: Required value
            21: spec.volumes[5].emptyDir.medium: Forbidden: not supported yet: huge pages (remove it, or set it to Memory)
            21: spec.volumes[5].emptyDir.sizeLimit: Forbidden: SizeLimit field must be a valid resource quantity
            25: spec.volumes[7].nfs: Forbidden: a network file system; mount it on the host and use hostPath
            27: unknown field "spec.volumes[8].persistentVolumeClaim.readonly" (did you mean "readOnly"?)
        "#]],
    );
}

#[test]
fn paths_below_volumes_and_images() {
    pod(
        "  volumes:
  - name: data
    emptyDir: {}
  - name: huge
    emptyDir: {medium: HugePages-2Mi}
  - name: image
    image: {}
  - name: models
    image: {reference: 'models:1', pullPolicy: Sometimes}
  - name: both
    image: {reference: 'models:1'}
    emptyDir: {}
  containers:
  - name: main
    image: app
    volumeMounts:
    - {name: data, mountPath: /a, subPath: /etc}
    - {name: data, mountPath: /b, subPath: a/../../b}
    - {name: data, mountPath: /c, subPath: a, subPathExpr: $(B)}
    - {name: data, mountPath: /d, subPathExpr: ../$(B)}
    - {name: data, mountPath: /e, recursiveReadOnly: IfPossible}
    - {name: data, mountPath: /f, readOnly: true, recursiveReadOnly: Enabled, mountPropagation: HostToContainer}
    - {name: data, mountPath: /g, subPath: a/..b, readOnly: true, recursiveReadOnly: Enabled}
    - {name: data, mountPath: /h, mountPropagation: Bidirectional}
",
        &expect![[r#"
            10: spec.volumes[1].emptyDir.medium: Forbidden: not supported yet: huge pages (remove it, or set it to Memory)
            12: spec.volumes[2].image.reference: Required value
            14: spec.volumes[3].image.pullPolicy: Unsupported value: "Sometimes": supported values: "Always", "IfNotPresent", "Never"
            16: spec.volumes[4].image: Forbidden: may not specify more than 1 volume type
            22: spec.containers[0].volumeMounts[0].subPath: Invalid value: "/etc": must be a relative path
            23: spec.containers[0].volumeMounts[1].subPath: Invalid value: "a/../../b": must not contain '..'
            24: spec.containers[0].volumeMounts[2].subPathExpr: Invalid value: "$(B)": subPathExpr and subPath are mutually exclusive
            25: spec.containers[0].volumeMounts[3].subPathExpr: Invalid value: "../$(B)": must not contain '..'
            26: spec.containers[0].volumeMounts[4].recursiveReadOnly: Forbidden: may only be specified when readOnly is true
            27: spec.containers[0].volumeMounts[5].recursiveReadOnly: Forbidden: may only be specified when mountPropagation is None or not specified
            29: spec.containers[0].volumeMounts[7].mountPropagation: Forbidden: Bidirectional mount propagation is available only to privileged containers
        "#]],
    );
}

#[test]
fn environment_and_ports() {
    container(
        "\
env:
- {name: '', value: a}
- {name: A=B, value: a}
- {name: C, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
- {name: D, value: x, valueFrom: {secretKeyRef: {name: a, key: b}}}
envFrom:
- configMapRef: {name: settings}
",
        &expect![[r#"
            10: spec.containers[0].env[0].name: Required value
            11: spec.containers[0].env[1].name: Invalid value: "A=B": a valid environment variable name must consist only of printable ASCII characters other than '='
            13: spec.containers[0].env[3].valueFrom: Invalid value: "": may not be specified when `value` is not empty
        "#]],
    );
    container(
        "\
ports:
- {}
- {containerPort: 0, protocol: ICMP}
- {containerPort: 65536, name: Http}
- {containerPort: 80, name: http}
- {containerPort: 81, name: http}
- {containerPort: 82, hostPort: 8082, hostIP: here}
- {containerPort: 83, name: a--b-c-d-e-f-g-h}
",
        &expect![[r#"
            10: spec.containers[0].ports[0].containerPort: Required value
            11: spec.containers[0].ports[1].containerPort: Required value
            11: spec.containers[0].ports[1].protocol: Unsupported value: "ICMP": supported values: "SCTP", "TCP", "UDP"
            12: spec.containers[0].ports[2].name: Invalid value: "Http": must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)
            12: spec.containers[0].ports[2].containerPort: Invalid value: 65536: must be between 1 and 65535, inclusive
            14: spec.containers[0].ports[4].name: Duplicate value: "http"
            15: spec.containers[0].ports[5].hostIP: Invalid value: "here": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)
            16: spec.containers[0].ports[6].name: Invalid value: "a--b-c-d-e-f-g-h": must be no more than 15 characters
            16: spec.containers[0].ports[6].name: Invalid value: "a--b-c-d-e-f-g-h": must not contain consecutive hyphens
        "#]],
    );
    pod(
        "  hostNetwork: true
  containers:
  - {name: a, image: app, ports: [{containerPort: 80, hostPort: 81}, {containerPort: 8080}]}
  - {name: b, image: app, ports: [{containerPort: 8080}]}
",
        &expect![[r#"
            8: spec.containers[0].ports[0].hostPort: Invalid value: 81: must match `containerPort` when `hostNetwork` is true
            9: spec.containers[1].ports[0].hostPort: Duplicate value: "TCP//8080"
        "#]],
    );
}

#[test]
fn resources() {
    container(
        "\
resources:
  requests: {cpu: 200m, memory: 2Gi, nvidia.com/gpu: 1, ephemeral-storage: 2Gi, a.com/b: 1, requests.a.com/b: 1}
  limits: {cpu: 0.1, memory: 1G, ephemeral-storage: 1Gi, gpu: 1, pods: 1, hugepages-2Mi: 2Mi, a.com/b: 2, a.com/c: 1.5}
  claims: [{name: a}]
",
        &expect![[r#"
            10: spec.containers[0].resources.requests: Invalid value: "1": must be equal to a.com/b limit of 2
            10: spec.containers[0].resources.requests: Invalid value: "200m": must be less than or equal to cpu limit of 100m
            10: spec.containers[0].resources.requests: Invalid value: "2Gi": must be less than or equal to ephemeral-storage limit of 1Gi
            10: spec.containers[0].resources.requests: Invalid value: "2Gi": must be less than or equal to memory limit of 1G
            10: spec.containers[0].resources.requests[requests.a.com/b]: Invalid value: "requests.a.com/b": doesn't follow extended resource name standard
            11: spec.containers[0].resources.limits[a.com/c]: Invalid value: "1500m": must be an integer
            11: spec.containers[0].resources.limits[gpu]: Invalid value: "gpu": must be a standard resource type or fully qualified
            11: spec.containers[0].resources.limits[gpu]: Invalid value: "gpu": must be a standard resource for containers
            11: spec.containers[0].resources.limits[hugepages-2Mi]: Forbidden: not supported yet: huge pages
            11: spec.containers[0].resources.limits[pods]: Invalid value: "pods": must be a standard resource for containers
            11: spec.containers[0].resources.limits: Required value: Limit must be set for non overcommitable resources
            11: spec.containers[0].resources.limits: Required value: Limit must be set for non overcommitable resources
        "#]],
    );
    container(
        "resources: {limits: {cpu: -1, memory: 64MB, Memory: 1}}\n",
        &expect![[r#"
            9: spec.containers[0].resources.limits[memory]: Invalid value: "64MB": quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'
            9: spec.containers[0].resources.limits[Memory]: Invalid value: "Memory": must be a standard resource type or fully qualified
            9: spec.containers[0].resources.limits[Memory]: Invalid value: "Memory": must be a standard resource for containers
            9: spec.containers[0].resources.limits[cpu]: Invalid value: "-1": must be greater than or equal to 0
        "#]],
    );
    container(
        "resources: {limits: {cpu: [1], memory: }}\n",
        &expect![[r#"
        9: spec.containers[0].resources.limits[cpu]: Invalid value: [1]: must be a quantity, not a list
    "#]],
    );
    container(
        "resources: {limts: {cpu: 1}}\n",
        &expect![[r#"
        9: unknown field "spec.containers[0].resources.limts" (did you mean "limits"?)
    "#]],
    );
}

#[test]
fn probes_and_hooks() {
    container(
        "\
startupProbe:
  exec: {command: []}
  periodSeconds: -1
  successThreshold: 2
  terminationGracePeriodSeconds: 0
lifecycle:
  postStart: {}
  preStop:
    exec: {command: [a]}
    sleep: {seconds: 5}
  stopSignal: SIGUSR1
",
        &expect![[r#"
            10: spec.containers[0].startupProbe.exec.command: Required value
            11: spec.containers[0].startupProbe.periodSeconds: Invalid value: -1: must be greater than or equal to 0
            12: spec.containers[0].startupProbe.successThreshold: Invalid value: 2: must be 1
            13: spec.containers[0].startupProbe.terminationGracePeriodSeconds: Invalid value: 0: must be greater than 0
            15: spec.containers[0].lifecycle.postStart: Required value: must specify a handler type
            18: spec.containers[0].lifecycle.preStop.sleep: Forbidden: may not specify more than 1 handler type
            19: spec.containers[0].lifecycle.stopSignal: Forbidden: may not be set for containers with empty `spec.os.name` (add os: {name: linux} to the pod's spec)
        "#]],
    );
    container(
        "\
startupProbe: {httpGet: {path: '', port: 0, scheme: FTP, httpHeaders: [{name: X-A, value: b}, {name: 'X A'}, {}]}}
livenessProbe:
  tcpSocket: {port: http--x, host: example.com}
  grpc: {port: 1}
  successThreshold: 2
readinessProbe: {exec: {command: [a]}, periodsSeconds: 1, terminationGracePeriodSeconds: 5, failureThreshold: -1}
lifecycle:
  preStop: {sleep: {seconds: 31}}
  postStart: {tcpSocket: {port: 1}}
",
        &expect![[r#"
            9: spec.containers[0].startupProbe.httpGet.port: Invalid value: 0: must be between 1 and 65535, inclusive
            9: spec.containers[0].startupProbe.httpGet.scheme: Unsupported value: "FTP": supported values: "HTTP", "HTTPS"
            9: spec.containers[0].startupProbe.httpGet.httpHeaders: Invalid value: "X A": a valid HTTP header must consist of alphanumeric characters or '-' (e.g. 'X-Header-Name', regex used for validation is '[-A-Za-z0-9]+')
            9: spec.containers[0].startupProbe.httpGet.httpHeaders: Invalid value: "": a valid HTTP header must consist of alphanumeric characters or '-' (e.g. 'X-Header-Name', regex used for validation is '[-A-Za-z0-9]+')
            11: spec.containers[0].livenessProbe.tcpSocket.port: Invalid value: "http--x": must not contain consecutive hyphens
            12: spec.containers[0].livenessProbe.grpc: Forbidden: may not specify more than 1 handler type
            13: spec.containers[0].livenessProbe.successThreshold: Invalid value: 2: must be 1
            14: unknown field "spec.containers[0].readinessProbe.periodsSeconds" (did you mean "periodSeconds"?)
            14: spec.containers[0].readinessProbe.failureThreshold: Invalid value: -1: must be greater than or equal to 0
            14: spec.containers[0].readinessProbe.terminationGracePeriodSeconds: Invalid value: 5: must not be set for readinessProbes
            16: spec.containers[0].lifecycle.preStop.sleep: Invalid value: 31: must be non-negative and less than terminationGracePeriodSeconds (30)
            17: spec.containers[0].lifecycle.postStart.tcpSocket: Forbidden: not a hook in Kubernetes either; use exec
        "#]],
    );
    container(
        "\
startupProbe: {grpc: {service: a}}
livenessProbe: {grpc: {port: 65536}, initialDelaySeconds: -1, timeoutSeconds: -1, terminationGracePeriodSeconds: -1}
readinessProbe: {httpGet: {port: 65536, path: null, hst: a}, successThreshold: -1, timeoutSeconds: 2147483648}
lifecycle:
  preStop: {sleep: {seconds: -1}}
  postStart: {httpGet: {port: web}, sleep: {}}
",
        &expect![[r#"
            9: spec.containers[0].startupProbe.grpc.port: Invalid value: 0: must be between 1 and 65535, inclusive
            10: spec.containers[0].livenessProbe.grpc.port: Invalid value: 65536: must be between 1 and 65535, inclusive
            10: spec.containers[0].livenessProbe.initialDelaySeconds: Invalid value: -1: must be greater than or equal to 0
            10: spec.containers[0].livenessProbe.timeoutSeconds: Invalid value: -1: must be greater than or equal to 0
            10: spec.containers[0].livenessProbe.terminationGracePeriodSeconds: Invalid value: -1: must be greater than 0
            11: unknown field "spec.containers[0].readinessProbe.httpGet.hst" (did you mean "host"?)
            11: spec.containers[0].readinessProbe.timeoutSeconds: Invalid value: 2147483648: must be a 32-bit integer
            11: spec.containers[0].readinessProbe.httpGet.port: Invalid value: 65536: must be between 1 and 65535, inclusive
            11: spec.containers[0].readinessProbe.successThreshold: Invalid value: -1: must be greater than or equal to 0
            13: spec.containers[0].lifecycle.preStop.sleep: Invalid value: -1: must be non-negative and less than terminationGracePeriodSeconds (30)
            14: spec.containers[0].lifecycle.postStart.sleep: Forbidden: may not specify more than 1 handler type
        "#]],
    );
    container(
        "livenessProbe: {tcpSocket: {}}\nreadinessProbe: {}\nlifecycle: {preStop: {}}\n",
        &expect![[r#"
            9: spec.containers[0].livenessProbe.tcpSocket.port: Invalid value: 0: must be between 1 and 65535, inclusive
            10: spec.containers[0].readinessProbe: Required value: must specify a handler type
            11: spec.containers[0].lifecycle.preStop: Required value: must specify a handler type
        "#]],
    );
    // With 10 seconds, 10 is not more.
    spec(
        "terminationGracePeriodSeconds: 10\ninitContainers:\n- name: a\n  image: app\n  restartPolicy: Always\n  lifecycle: {preStop: {sleep: {seconds: 11}}, postStart: {sleep: {seconds: 10}}}\n",
        &expect![[r#"
            14: spec.initContainers[0].lifecycle.preStop.sleep: Invalid value: 11: must be non-negative and less than terminationGracePeriodSeconds (10)
        "#]],
    );
    container(
        "lifecycle: {stopSignal: SIGTERM}\nstdin: true\n",
        &expect![[r#"
            9: spec.containers[0].lifecycle.stopSignal: Forbidden: may not be set for containers with empty `spec.os.name` (add os: {name: linux} to the pod's spec)
        "#]],
    );
    init(
        "lifecycle: {postStart: {exec: {command: [a]}}}\nstartupProbe: {exec: {command: [a]}}\nreadinessProbe: {exec: {command: [a]}}\n",
        &expect![[r#"
            12: spec.initContainers[0].lifecycle: Forbidden: may not be set for init containers without restartPolicy=Always (a sidecar has restartPolicy: Always on the container itself)
            13: spec.initContainers[0].startupProbe: Forbidden: may not be set for init containers without restartPolicy=Always (a sidecar has restartPolicy: Always on the container itself)
            14: spec.initContainers[0].readinessProbe: Forbidden: may not be set for init containers without restartPolicy=Always (a sidecar has restartPolicy: Always on the container itself)
        "#]],
    );
    init(
        "restartPolicy: Always\nstartupProbe: {exec: {}}\nlivenessProbe: {exec: {command: [a]}}\n",
        &expect![[r#"
            13: spec.initContainers[0].startupProbe.exec.command: Required value
        "#]],
    );
}

#[test]
fn stop_signals() {
    container(
        "lifecycle: {stopSignal: ''}\n",
        &expect![[r#"
        9: spec.containers[0].lifecycle.stopSignal: Forbidden: may not be set for containers with empty `spec.os.name` (add os: {name: linux} to the pod's spec)
    "#]],
    );
    pod(
        "  os: {name: linux}
  initContainers:
  - {name: a, image: app, lifecycle: {stopSignal: SIGTERM}}
  containers:
  - {name: b, image: app, lifecycle: {stopSignal: SIGNONE}}
  - {name: c, image: app, lifecycle: {stopSignal: TERM}}
  - {name: d, image: app, lifecycle: {stopSignal: 15}}
  - {name: e, image: app, lifecycle: {stopSignal: SIGRTMIN+3}}
",
        &expect![[r#"
            8: spec.initContainers[0].lifecycle: Forbidden: may not be set for init containers without restartPolicy=Always (a sidecar has restartPolicy: Always on the container itself)
            10: spec.containers[0].lifecycle.stopSignal: Unsupported value: "SIGNONE": supported values: "SIGABRT", "SIGALRM", "SIGBUS", "SIGCHLD", "SIGCLD", "SIGCONT", "SIGFPE", "SIGHUP", "SIGILL", "SIGINT", "SIGIO", "SIGIOT", "SIGKILL", "SIGPIPE", "SIGPOLL", "SIGPROF", "SIGPWR", "SIGQUIT", "SIGRTMAX", "SIGRTMAX-1", "SIGRTMAX-10", "SIGRTMAX-11", "SIGRTMAX-12", "SIGRTMAX-13", "SIGRTMAX-14", "SIGRTMAX-2", "SIGRTMAX-3", "SIGRTMAX-4", "SIGRTMAX-5", "SIGRTMAX-6", "SIGRTMAX-7", "SIGRTMAX-8", "SIGRTMAX-9", "SIGRTMIN", "SIGRTMIN+1", "SIGRTMIN+10", "SIGRTMIN+11", "SIGRTMIN+12", "SIGRTMIN+13", "SIGRTMIN+14", "SIGRTMIN+15", "SIGRTMIN+2", "SIGRTMIN+3", "SIGRTMIN+4", "SIGRTMIN+5", "SIGRTMIN+6", "SIGRTMIN+7", "SIGRTMIN+8", "SIGRTMIN+9", "SIGSEGV", "SIGSTKFLT", "SIGSTOP", "SIGSYS", "SIGTERM", "SIGTRAP", "SIGTSTP", "SIGTTIN", "SIGTTOU", "SIGURG", "SIGUSR1", "SIGUSR2", "SIGVTALRM", "SIGWINCH", "SIGXCPU", "SIGXFSZ"
            11: spec.containers[1].lifecycle.stopSignal: Unsupported value: "TERM": supported values: "SIGABRT", "SIGALRM", "SIGBUS", "SIGCHLD", "SIGCLD", "SIGCONT", "SIGFPE", "SIGHUP", "SIGILL", "SIGINT", "SIGIO", "SIGIOT", "SIGKILL", "SIGPIPE", "SIGPOLL", "SIGPROF", "SIGPWR", "SIGQUIT", "SIGRTMAX", "SIGRTMAX-1", "SIGRTMAX-10", "SIGRTMAX-11", "SIGRTMAX-12", "SIGRTMAX-13", "SIGRTMAX-14", "SIGRTMAX-2", "SIGRTMAX-3", "SIGRTMAX-4", "SIGRTMAX-5", "SIGRTMAX-6", "SIGRTMAX-7", "SIGRTMAX-8", "SIGRTMAX-9", "SIGRTMIN", "SIGRTMIN+1", "SIGRTMIN+10", "SIGRTMIN+11", "SIGRTMIN+12", "SIGRTMIN+13", "SIGRTMIN+14", "SIGRTMIN+15", "SIGRTMIN+2", "SIGRTMIN+3", "SIGRTMIN+4", "SIGRTMIN+5", "SIGRTMIN+6", "SIGRTMIN+7", "SIGRTMIN+8", "SIGRTMIN+9", "SIGSEGV", "SIGSTKFLT", "SIGSTOP", "SIGSYS", "SIGTERM", "SIGTRAP", "SIGTSTP", "SIGTTIN", "SIGTTOU", "SIGURG", "SIGUSR1", "SIGUSR2", "SIGVTALRM", "SIGWINCH", "SIGXCPU", "SIGXFSZ"
            12: spec.containers[2].lifecycle.stopSignal: Invalid value: 15: must be a string, not an integer (write it in quotes)
        "#]],
    );
    spec(
        "os: {name: windows}\nresources: {}\ninitContainers: [{name: a, image: app, restartPolicy: Always, lifecycle: {stopSignal: SIGHUP}}]\n",
        &expect![[r#"
            10: spec.resources: Forbidden: may not be set for a windows pod
            11: spec.initContainers[0].lifecycle.stopSignal: Unsupported value: "SIGHUP": supported values: "SIGKILL", "SIGTERM"
        "#]],
    );
}

#[test]
fn readiness_gates() {
    spec(
        "readinessGates: [{conditionType: example.com/ready}, {conditionType: a b}, {}, {conditionTypes: a}, {conditionType: /x}]\n",
        &expect![[r#"
            9: unknown field "spec.readinessGates[3].conditionTypes" (did you mean "conditionType"?)
            9: spec.readinessGates[1].conditionType: Invalid value: "a b": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')
            9: spec.readinessGates[2].conditionType: Invalid value: "": name part must be non-empty
            9: spec.readinessGates[2].conditionType: Invalid value: "": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')
            9: spec.readinessGates[3].conditionType: Invalid value: "": name part must be non-empty
            9: spec.readinessGates[3].conditionType: Invalid value: "": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')
            9: spec.readinessGates[4].conditionType: Invalid value: "/x": prefix part must be non-empty
        "#]],
    );
}

#[test]
fn resize_policies() {
    pod(
        "  restartPolicy: Never
  initContainers:
  - name: first
    image: app
    resizePolicy: [{resourceName: cpu, restartPolicy: NotRequired}, {resourceName: memory, restartPolicy: RestartContainer}]
  - {name: sidecar, image: app, restartPolicy: Always, resizePolicy: [{resourceName: cpu, restartPolicy: RestartContainer}]}
  containers:
  - name: main
    image: app
    resizePolicy:
    - {resourceName: cpu, restartPolicy: NotRequired}
    - {resourceName: cpu, restartPolicy: Sometimes}
    - {resourceName: ephemeral-storage}
    - {restartPolicy: NotRequired}
",
        &expect![[r#"
            10: spec.initContainers[0].resizePolicy: Invalid value: "RestartContainer": must be 'NotRequired' when pod `restartPolicy` is 'Never'
            10: spec.initContainers[0].resizePolicy[1].restartPolicy: Invalid value: "RestartContainer": must not be set to 'RestartContainer' for non-sidecar initContainers
            11: spec.initContainers[1].resizePolicy: Invalid value: "RestartContainer": must be 'NotRequired' when pod `restartPolicy` is 'Never'
            15: spec.containers[0].resizePolicy: Unsupported value: "Sometimes": supported values: "NotRequired", "RestartContainer"
            15: spec.containers[0].resizePolicy: Invalid value: "Sometimes": must be 'NotRequired' when pod `restartPolicy` is 'Never'
            15: spec.containers[0].resizePolicy: Unsupported value: "ephemeral-storage": supported values: "cpu", "memory"
            15: spec.containers[0].resizePolicy: Required value
            15: spec.containers[0].resizePolicy: Invalid value: "": must be 'NotRequired' when pod `restartPolicy` is 'Never'
            15: spec.containers[0].resizePolicy: Required value
            17: spec.containers[0].resizePolicy[1]: Duplicate value: "cpu"
        "#]],
    );
    container(
        "resizePolicy: [{resourceName: memory, restartPolicy: PreferNoRestart}]\n",
        &expect![[r#"
        9: spec.containers[0].resizePolicy: Unsupported value: "PreferNoRestart": supported values: "NotRequired", "RestartContainer"
    "#]],
    );
    init(
        "resizePolicy: [{resourceName: memory, restartPolicy: RestartContainer}]\n",
        &expect![[r#"
        12: spec.initContainers[0].resizePolicy[0].restartPolicy: Invalid value: "RestartContainer": must not be set to 'RestartContainer' for non-sidecar initContainers
    "#]],
    );
}

#[test]
fn resources_of_the_pod() {
    pod(
        "  resources:
    requests: {cpu: '1', memory: 64Mi}
    limits: {cpu: 500m, memory: 128Mi}
    claims: [{name: gpu}]
  initContainers:
  - {name: first, image: app, resources: {limits: {memory: 1Gi}}}
  - {name: sidecar, image: app, restartPolicy: Always, resources: {requests: {cpu: 600m}}}
  containers:
  - {name: main, image: app, resources: {requests: {cpu: 500m}, limits: {cpu: '2'}}}
  - {name: other, image: app, resources: {limits: {memory: 129Mi}}}
",
        &expect![[r#"
            6: spec.resources.containers[0][cpu].limits: Invalid value: "2": must be less than or equal to pod limits of 500m
            6: spec.resources.containers[1][memory].limits: Invalid value: "129Mi": must be less than or equal to pod limits of 128Mi
            7: spec.resources.requests: Invalid value: "1": must be less than or equal to cpu limit of 500m
            7: spec.resources.requests[cpu]: Invalid value: "1": must be greater than or equal to aggregate container requests of 1100m
            7: spec.resources.requests[memory]: Invalid value: "64Mi": must be greater than or equal to aggregate container requests of 1Gi
            9: spec.resources.claims: Forbidden: claims may not be set for Resources at pod-level
        "#]],
    );
    spec(
        "\
resources:
  requests: {cpu: -1, hugepages-2Mi: 2Mi, ephemeral-storage: 1Gi, example.com/gpu: 1}
  limits: {memory: 64MB, pods: 1, gpu: 1, 'a b': 1}
",
        &expect![[r#"
            10: spec.resources.requests[cpu]: Invalid value: "-1": must be greater than or equal to 0
            10: spec.resources.requests[ephemeral-storage]: Unsupported value: "ephemeral-storage": supported values: "cpu", "hugepages-", "memory"
            10: spec.resources.requests[example.com/gpu]: Unsupported value: "example.com/gpu": supported values: "cpu", "hugepages-", "memory"
            10: spec.resources.requests[hugepages-2Mi]: Forbidden: not supported yet: huge pages
            11: spec.resources.limits[memory]: Invalid value: "64MB": quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'
            11: spec.resources.limits[a b]: Invalid value: "a b": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')
            11: spec.resources.limits[gpu]: Invalid value: "gpu": must be a standard resource type or fully qualified
            11: spec.resources.limits[pods]: Unsupported value: "pods": supported values: "cpu", "hugepages-", "memory"
            11: spec.resources.limits: Required value: Limit must be set for non overcommitable resources
        "#]],
    );
    spec(
        "resources: {limts: {cpu: 1}, claims: []}\n",
        &expect![[r#"
        9: unknown field "spec.resources.limts" (did you mean "limits"?)
        9: spec.resources.claims: Forbidden: claims may not be set for Resources at pod-level
    "#]],
    );
}

#[test]
fn restart_policies() {
    spec(
        "restartPolicy: always\n",
        &expect![[r#"
        9: spec.restartPolicy: Unsupported value: "always": supported values: "Always", "OnFailure", "Never"
    "#]],
    );
    container(
        "restartPolicy: Sometimes\n",
        &expect![[r#"
        9: spec.containers[0].restartPolicy: Unsupported value: "Sometimes": supported values: "Always", "Never", "OnFailure"
    "#]],
    );
    container(
        "\
restartPolicyRules:
- {action: Stop}
- {action: Restart, exitCodes: {operator: Is, values: [1]}}
",
        &expect![[r#"
            7: spec.containers[0].restartPolicy: Required value: must specify restartPolicy when restart rules are used
            10: spec.containers[0].restartPolicyRules[0].action: Unsupported value: "Stop": supported values: "Restart", "RestartAllContainers"
            10: spec.containers[0].restartPolicyRules[0].exitCodes: Required value: must be specified
            11: spec.containers[0].restartPolicyRules[1].exitCodes.operator: Unsupported value: "Is": supported values: "In", "NotIn"
        "#]],
    );
    let rules = "{action: Restart, exitCodes: {operator: In, values: [1]}},".repeat(21);
    container(
        &format!("restartPolicy: Never\nrestartPolicyRules: [{rules}]\n"),
        &expect![[r#"
        10: spec.containers[0].restartPolicyRules: Too many: 21: must have at most 20 items
    "#]],
    );
    let values = "1,".repeat(256);
    let rule =
        format!("{{action: RestartAllContainers, exitCodes: {{operator: NotIn, values: [{values}]}}}}");
    init(
        &format!("restartPolicy: Always\nrestartPolicyRules: [{rule}]\n"),
        &expect![[r#"
        13: spec.initContainers[0].restartPolicyRules[0].exitCodes.values: Too many: 256: must have at most 255 items
    "#]],
    );
}

#[test]
fn security() {
    spec(
        "\
securityContext:
  runAsUser: -1
  runAsGroup: 2147483648
  supplementalGroups: [1, -2]
  fsGroup: -1
  sysctls: [{name: net.ipv4.ip_forward, value: '1'}]
  seccompProfile: {type: Localhost}
  supplementalGroupsPolicy: None
  fsGroupChangePolicy: Never
",
        &expect![[r#"
            10: spec.securityContext.runAsUser: Invalid value: -1: must be between 0 and 2147483647, inclusive
            11: spec.securityContext.runAsGroup: Invalid value: 2147483648: must be between 0 and 2147483647, inclusive
            12: spec.securityContext.supplementalGroups[1]: Invalid value: -2: must be between 0 and 2147483647, inclusive
            13: spec.securityContext.fsGroup: Invalid value: -1: must be between 0 and 2147483647, inclusive
            15: spec.securityContext.seccompProfile.localhostProfile: Required value: must be set when seccomp type is Localhost
            16: spec.securityContext.supplementalGroupsPolicy: Unsupported value: "None": supported values: "Merge", "Strict"
            17: spec.securityContext.fsGroupChangePolicy: Unsupported value: "Never": supported values: "Always", "OnRootMismatch"
        "#]],
    );
    container(
        "\
securityContext:
  privileged: true
  allowPrivilegeEscalation: false
  capabilities: {add: [CAP_SYS_ADMIN]}
  runAsUser: 4294967296
  seccompProfile: {type: Default, localhostProfile: a.json}
  procMount: Unmasked
  seLinuxOptions: {level: s0}
  appArmorProfile: {type: RuntimeDefault}
  windowsOptions: {hostProcess: true}
",
        &expect![[r#"
            5: spec.hostNetwork: Invalid value: false: hostNetwork must be true if pod contains any hostProcess containers
            9: spec.containers[0].securityContext: Invalid value: {"allowPrivilegeEscalation":false,"appArmorProfile":{"type":"RuntimeDefault"},"capabilities":{"add":["CAP_SYS_ADMIN"]},"privileged":true,"procMount":"Unmasked","runAsUser":4294967296,"seLinuxOptions":{"level":"s0"},"seccompProfile":{"localhostProfile":"a.json","type":"Default"},"windowsOptions":{"hostProcess":true}}: cannot set `allowPrivilegeEscalation` to false and `privileged` to true
            9: spec.containers[0].securityContext: Invalid value: {"allowPrivilegeEscalation":false,"appArmorProfile":{"type":"RuntimeDefault"},"capabilities":{"add":["CAP_SYS_ADMIN"]},"privileged":true,"procMount":"Unmasked","runAsUser":4294967296,"seLinuxOptions":{"level":"s0"},"seccompProfile":{"localhostProfile":"a.json","type":"Default"},"windowsOptions":{"hostProcess":true}}: cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN
            13: spec.containers[0].securityContext.runAsUser: Invalid value: 4294967296: must be between 0 and 2147483647, inclusive
            14: spec.containers[0].securityContext.seccompProfile.type: Unsupported value: "Default": supported values: "Localhost", "RuntimeDefault", "Unconfined"
            14: spec.containers[0].securityContext.seccompProfile.localhostProfile: Invalid value: {"LocalhostProfile":"a.json","Type":"Default"}: can only be set when seccomp type is Localhost
            15: spec.containers[0].securityContext.procMount: Invalid value: "Unmasked": `hostUsers` must be false to use `Unmasked`
        "#]],
    );
    container(
        "securityContext: {seccompProfile: {}}\n",
        &expect![[r#"
        9: spec.containers[0].securityContext.seccompProfile.type: Required value: type is required when seccompProfile is set
    "#]],
    );
}

#[test]
fn the_pod_as_a_whole() {
    spec(
        "\
activeDeadlineSeconds: 0
hostname: a.b
dnsPolicy: Cluster
hostAliases:
- {ip: 10.0.0.256, hostnames: [a_b]}
- {ip: 010.0.0.1}
- {hostnames: [a]}
os: {name: plan9}
preemptionPolicy: Maybe
tolerations:
- {operator: Equal, value: b}
- {key: a, operator: Exists, value: b, tolerationSeconds: 3, effect: Never}
",
        &expect![[r#"
            9: spec.activeDeadlineSeconds: Invalid value: 0: must be between 1 and 2147483647, inclusive
            10: spec.hostname: Invalid value: "a.b": must not contain dots
            11: spec.dnsPolicy: Unsupported value: "Cluster": supported values: "ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"
            13: spec.hostAliases[0].ip: Invalid value: "10.0.0.256": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)
            13: spec.hostAliases[0].hostnames[0]: Invalid value: "a_b": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')
            14: spec.hostAliases[1].ip: Invalid value: "010.0.0.1": must not have leading 0s
            15: spec.hostAliases[2].ip: Invalid value: "": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)
            16: spec.os: Unsupported value: "plan9": supported values: "linux", "windows"
            17: spec.preemptionPolicy: Unsupported value: "Maybe": supported values: "PreemptLowerPriority", "Never"
            19: spec.tolerations[0].operator: Invalid value: "Equal": operator must be Exists when `key` is empty, which means "match all values and all keys"
            20: spec.tolerations[1].effect: Invalid value: "Never": effect must be 'NoExecute' when `tolerationSeconds` is set
            20: spec.tolerations[1].operator: Invalid value: "b": value must be empty when `operator` is 'Exists'
            20: spec.tolerations[1].effect: Unsupported value: "Never": supported values: "NoSchedule", "PreferNoSchedule", "NoExecute"
        "#]],
    );
    spec(
        "\
activeDeadlineSeconds: 2147483648
dnsPolicy: Default
dnsConfig: {nameservers: [10.0.0.1]}
hostPID: true
hostIPC: true
hostUsers: false
nodeName: node-1
nodeSelector: {disk: ssd}
affinity: {nodeAffinity: {}}
topologySpreadConstraints: [{maxSkew: 1, topologyKey: zone, whenUnsatisfiable: DoNotSchedule}]
schedulerName: mine
serviceAccountName: robot
automountServiceAccountToken: true
imagePullSecrets: [{name: registry}]
priority: 10
priorityClassName: high
readinessGates: [{conditionType: example.com/ready}]
schedulingGates: [{name: example.com/wait}]
resourceClaims: [{name: gpu, resourceClaimName: gpu}]
resources: {limits: {cpu: 1}}
overhead: {cpu: 1}
runtimeClassName: kata
setHostnameAsFQDN: true
hostnameOverride: a
subdomain: b
schedulingGroup: {podGroupName: a}
ephemeralContainers: [{name: debug, image: app}]
os: {name: windows}
",
        &expect![[r#"
            5: spec.HostPID: Forbidden: when `hostUsers` is false
            5: spec.HostIPC: Forbidden: when `hostUsers` is false
            9: spec.activeDeadlineSeconds: Invalid value: 2147483648: must be between 1 and 2147483647, inclusive
            12: spec.hostPID: Forbidden: cannot be set for a windows pod
            13: spec.hostIPC: Forbidden: cannot be set for a windows pod
            14: spec.hostUsers: Forbidden: cannot be set for a windows pod
            28: spec.resources: Forbidden: may not be set for a windows pod
            32: spec.hostnameOverride: Forbidden: may not be specified when setHostnameAsFQDN is true
            34: spec.schedulingGroup: Forbidden: not supported yet: pod groups
            35: spec.ephemeralContainers: Forbidden: cannot be set on create
        "#]],
    );
}

#[test]
fn near_and_apart() {
    spec(
        "affinity:
  podAffinity:
    requiredDuringSchedulingIgnoredDuringExecution:
    - {}
    - topologyKey: a/b/c
      namespaces: [A]
      labelSelector: {matchLabels: {'a b': 'c d'}, matchExpressions: [{key: k, operator: In}, {key: l, operator: Gt, values: ['1']}]}
      namespaceSelector: {matchLabels: {team: a}}
      matchLabelKeys: [k, '-']
      mismatchLabelKeys: [k]
    - {topologyKey: zone, matchLabelKeys: [k], namespaceSelector: {}}
  podAntiAffinity:
    preferredDuringSchedulingIgnoredDuringExecution:
    - weight: 101
      podAffinityTerm: {topologyKey: zone, labelSelector: {matchExpressions: [{key: k, operator: Exists, values: [v]}]}}
",
        &expect![[r#"
            12: spec.affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].topologyKey: Required value: can not be empty
            12: spec.affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].topologyKey: Invalid value: "": name part must be non-empty
            12: spec.affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].topologyKey: Invalid value: "": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')
            13: spec.affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution[1].namespace: Invalid value: "A": a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')
            13: spec.affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution[1].topologyKey: Invalid value: "a/b/c": a valid label key must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]') with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')
            15: spec.affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution[1].labelSelector.matchLabels: Invalid value: "a b": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')
            15: spec.affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution[1].labelSelector.matchLabels: Invalid value: "c d": a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')
            15: spec.affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution[1].labelSelector.matchExpressions[0].values: Required value: must be specified when `operator` is 'In' or 'NotIn'
            15: spec.affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution[1].labelSelector.matchExpressions[1].operator: Invalid value: "Gt": not a valid selector operator
            16: spec.affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution[1].namespaceSelector: Forbidden: not supported yet: namespaces by their labels (name them in namespaces, or select all with {})
            17: spec.affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution[1].matchLabelKeys[1]: Invalid value: "-": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')
            17: spec.affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution[1].matchLabelKeys[0]: Invalid value: "k": exists in both matchLabelKeys and mismatchLabelKeys
            19: spec.affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution[2].matchLabelKeys: Forbidden: must not be specified when labelSelector is not set
            22: spec.affinity.podAntiAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].weight: Invalid value: 101: must be in the range 1-100
            23: spec.affinity.podAntiAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].podAffinityTerm.labelSelector.matchExpressions[0].values: Forbidden: may not be specified when `operator` is 'Exists' or 'DoesNotExist'
        "#]],
    );
    spec(
        "topologySpreadConstraints:
- {}
- {maxSkew: 1, topologyKey: zone, whenUnsatisfiable: Sometimes, nodeAffinityPolicy: Maybe, nodeTaintsPolicy: Honor}
- {maxSkew: 1, topologyKey: rack, whenUnsatisfiable: ScheduleAnyway, minDomains: 0}
- {maxSkew: -1, topologyKey: rack, whenUnsatisfiable: ScheduleAnyway, matchLabelKeys: [k]}
- maxSkew: 1
  topologyKey: zone
  whenUnsatisfiable: DoNotSchedule
  minDomains: 2
  matchLabelKeys: [app]
  labelSelector: {matchLabels: {app: web}, matchExpressions: [{key: app, operator: In, values: [web]}]}
",
        &expect![[r#"
            10: spec.topologySpreadConstraints[0].maxSkew: Invalid value: 0: must be greater than zero
            10: spec.topologySpreadConstraints[0].topologyKey: Required value: can not be empty
            10: spec.topologySpreadConstraints[0].whenUnsatisfiable: Unsupported value: "": supported values: "DoNotSchedule", "ScheduleAnyway"
            11: spec.topologySpreadConstraints[1].whenUnsatisfiable: Unsupported value: "Sometimes": supported values: "DoNotSchedule", "ScheduleAnyway"
            11: spec.topologySpreadConstraints[1].nodeAffinityPolicy: Unsupported value: "Maybe": supported values: "Honor", "Ignore"
            12: spec.topologySpreadConstraints[2].{topologyKey, whenUnsatisfiable}: Duplicate value: "{rack, ScheduleAnyway}"
            12: spec.topologySpreadConstraints[2].minDomains: Invalid value: 0: must be greater than zero
            12: spec.topologySpreadConstraints[2].minDomains: Invalid value: 0: can only use minDomains if whenUnsatisfiable=DoNotSchedule, not ScheduleAnyway
            13: spec.topologySpreadConstraints[3].maxSkew: Invalid value: -1: must be greater than zero
            13: spec.topologySpreadConstraints[3].matchLabelKeys: Forbidden: must not be specified when labelSelector is not set
            14: spec.topologySpreadConstraints[4][0]: Invalid value: "app": exists in both matchLabelKeys and labelSelector
        "#]],
    );
}

/// Of another system all is accepted but what that system has not; a node of this one rejects the pod.
#[test]
fn pods_of_windows() {
    pod(
        "  os: {name: windows}
  hostUsers: true
  hostPID: true
  hostIPC: false
  shareProcessNamespace: false
  securityContext: {runAsUser: 1, sysctls: [], fsGroup: 2, runAsNonRoot: true}
  containers:
  - {name: a, image: app, securityContext: {privileged: false, capabilities: {}, runAsNonRoot: true}}
",
        &expect![[r#"
            7: spec.hostUsers: Forbidden: cannot be set for a windows pod
            8: spec.hostPID: Forbidden: cannot be set for a windows pod
            10: spec.shareProcessNamespace: Forbidden: cannot be set for a windows pod
            11: spec.securityContext.fsGroup: Forbidden: cannot be set for a windows pod
            11: spec.securityContext.runAsUser: Forbidden: cannot be set for a windows pod
            13: spec.containers[0].securityContext.capabilities: Forbidden: cannot be set for a windows pod
            13: spec.containers[0].securityContext.privileged: Forbidden: cannot be set for a windows pod
        "#]],
    );
}

#[test]
fn names_and_resolvers() {
    spec(
        "dnsPolicy: None\n",
        &expect![[r#"
        5: spec.dnsConfig: Required value: must provide `dnsConfig` when `dnsPolicy` is None
    "#]],
    );
    spec(
        "dnsPolicy: None\ndnsConfig: {searches: [a]}\n",
        &expect![[r#"
        10: spec.dnsConfig.nameservers: Required value: must provide at least one DNS nameserver when `dnsPolicy` is None
    "#]],
    );
    spec(
        "\
dnsConfig:
  nameservers: [1.1.1.1, 1.1.1.2, 1.1.1.3, ns.example]
  searches: [_a.b_c.example., ., -a, a b]
  options: [{name: ndots, value: '2'}, {value: x}]
hostNetwork: true
setHostnameAsFQDN: true
hostnameOverride: A.b
subdomain: a.b
",
        &expect![[r#"
            10: spec.dnsConfig.nameservers: Invalid value: ["1.1.1.1","1.1.1.2","1.1.1.3","ns.example"]: must not have more than 3 nameservers
            10: spec.dnsConfig.nameservers[3]: Invalid value: "ns.example": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)
            11: spec.dnsConfig.searches[2]: Invalid value: "-a": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '_', '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?(\._?[a-z0-9]([-_a-z0-9]*[a-z0-9])?)*')
            11: spec.dnsConfig.searches[3]: Invalid value: "a b": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '_', '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?(\._?[a-z0-9]([-_a-z0-9]*[a-z0-9])?)*')
            12: spec.dnsConfig.options[1]: Required value: must not be empty
            15: spec.hostnameOverride: Forbidden: may not be specified when setHostnameAsFQDN is true
            15: spec.hostnameOverride: Forbidden: may not be specified when hostNetwork is true
            15: spec.hostnameOverride: Invalid value: "A.b": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')
            16: spec.subdomain: Invalid value: "a.b": must not contain dots
        "#]],
    );
    let searches = ["a"; 33].join(", ");
    spec(
        &format!("dnsConfig: {{searches: [{searches}]}}\n"),
        &expect![[r#"
        9: spec.dnsConfig.searches: Invalid value: ["a","a","a","a","a","a","a","a","a","a","a","a","a","a","a","a","a","a","a","a","a","a","a","a","a","a","a","a","a","a","a","a","a"]: must not have more than 32 search paths
    "#]],
    );
}

#[test]
fn namespaces_and_parameters_of_the_host() {
    spec(
        "\
hostPID: true
shareProcessNamespace: true
hostNetwork: true
hostIPC: true
securityContext:
  sysctls:
  - {name: kernel.shm_rmid_forced, value: '1'}
  - {name: net/ipv4/ip_local_port_range, value: 1024 65535}
  - {name: kernel.shm_rmid_forced, value: '0'}
  - {name: foo-, value: bar}
  - {name: '', value: '1'}
  - {name: kernel.domainname, value: ok}
  appArmorProfile: {type: Localhost}
",
        &expect![[r#"
            13: spec.securityContext.shareProcessNamespace: Invalid value: true: ShareProcessNamespace and HostPID cannot both be enabled
            15: spec.securityContext.sysctls[0].name: Invalid value: "kernel.shm_rmid_forced": may not be specified when 'hostIPC' is true
            16: spec.securityContext.sysctls[1].name: Invalid value: "net/ipv4/ip_local_port_range": may not be specified when 'hostNetwork' is true
            17: spec.securityContext.sysctls[2].name: Duplicate value: "kernel.shm_rmid_forced"
            17: spec.securityContext.sysctls[2].name: Invalid value: "kernel.shm_rmid_forced": may not be specified when 'hostIPC' is true
            18: spec.securityContext.sysctls[3].name: Invalid value: "foo-": must have at most 253 characters and match regex ^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$
            19: spec.securityContext.sysctls[4].name: Required value
            21: spec.securityContext.appArmorProfile.localhostProfile: Required value: must be set when AppArmor type is Localhost
        "#]],
    );
    spec(
        "\
securityContext:
  seccompProfile: {type: Localhost, localhostProfile: ../../etc/passwd}
  appArmorProfile: {type: RuntimeDefault, localhostProfile: x}
",
        &expect![[r#"
            10: spec.securityContext.seccompProfile.localhostProfile: Invalid value: "../../etc/passwd": must not contain '..'
            11: spec.securityContext.appArmorProfile.localhostProfile: Invalid value: "x": can only be set when AppArmor type is Localhost
        "#]],
    );
}

#[test]
fn mounts_that_are_shared() {
    let rest = "  containers:
  - name: a
    image: app
    securityContext: {privileged: true}
    volumeMounts:
    - {name: empty, mountPath: /a, mountPropagation: Bidirectional}
    - {name: host, mountPath: /b, mountPropagation: Bidirectional}
    - {name: host, mountPath: /c, mountPropagation: HostToContainer}
  volumes:
  - {name: empty, emptyDir: {}}
  - {name: host, hostPath: {path: /}}
";
    pod(
        rest,
        &expect![[r#"
            12: spec.containers[0].volumeMounts[1].mountPropagation: Forbidden: what a container mounts never reaches the host: only mounts in emptyDir volumes, which other containers of the pod see with HostToContainer, can be Bidirectional
        "#]],
    );
    pod(
        &format!("  hostUsers: false\n{rest}"),
        &expect![[r#"
            12: spec.containers[0].volumeMounts[0].mountPropagation: Forbidden: the kernel lets no mount out of the pod's user namespace: set hostUsers to true, or this to HostToContainer
            13: spec.containers[0].volumeMounts[1].mountPropagation: Forbidden: the kernel lets no mount out of the pod's user namespace: set hostUsers to true, or this to HostToContainer
        "#]],
    );
}

#[test]
fn users_of_its_own() {
    spec(
        "\
hostUsers: false
hostNetwork: true
",
        &expect![[r#"
            10: spec.hostNetwork: Forbidden: when `hostUsers` is false
        "#]],
    );
}

#[test]
fn scheduling() {
    spec(
        r#"nodeSelector: {"a b": "c d"}
affinity:
  nodeAffinity:
    requiredDuringSchedulingIgnoredDuringExecution:
      nodeSelectorTerms:
      - matchExpressions:
        - {key: disk, operator: In}
        - {key: disk, operator: Exists, values: [ssd]}
        - {key: cpus, operator: Gt, values: ["1", "2"]}
        - {key: disk, operator: Has}
      - matchFields:
        - {key: metadata.uid, operator: In, values: [a]}
    preferredDuringSchedulingIgnoredDuringExecution:
    - {weight: 0, preference: {}}
schedulingGates: [{name: a/b}, {name: a/b}, {name: ""}]
resourceClaims: [{name: gpu}, {name: gpu, resourceClaimName: x, resourceClaimTemplateName: z}]
preemptionPolicy: Maybe
"#,
        &expect![[r#"
            9: spec.nodeSelector: Invalid value: "a b": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')
            9: spec.nodeSelector: Invalid value: "c d": a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')
            15: spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchExpressions[0].values: Required value: must be specified when `operator` is 'In' or 'NotIn'
            16: spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchExpressions[1].values: Forbidden: may not be specified when `operator` is 'Exists' or 'DoesNotExist'
            17: spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchExpressions[2].values: Required value: must be specified single value when `operator` is 'Lt' or 'Gt'
            18: spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchExpressions[3].operator: Invalid value: "Has": not a valid selector operator
            20: spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[1].matchFields[0].key: Invalid value: "metadata.uid": not a valid field selector key
            22: spec.affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].weight: Invalid value: 0: must be in the range 1-100
            23: spec.schedulingGates[1]: Duplicate value: "a/b"
            23: spec.schedulingGates[2]: Invalid value: "": name part must be non-empty
            23: spec.schedulingGates[2]: Invalid value: "": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')
            24: spec.resourceClaims[0]: Invalid value: "gpu": must specify one of: `resourceClaimName`, `resourceClaimTemplateName`
            24: spec.resourceClaims[1].name: Duplicate value: "gpu"
            24: spec.resourceClaims[1]: Invalid value: "gpu": must specify one of: `resourceClaimName`, `resourceClaimTemplateName`
            25: spec.preemptionPolicy: Unsupported value: "Maybe": supported values: "PreemptLowerPriority", "Never"
        "#]],
    );
}

#[test]
fn files_of_variables_are_in_an_empty_dir() {
    spec(
        r#"initContainers:
- name: first
  image: app
  env:
  - {name: A, valueFrom: {fileKeyRef: {volumeName: host, path: p, key: k}}}
  - {name: B, valueFrom: {fileKeyRef: {volumeName: own, path: p, key: k}}}
volumes:
- {name: host, hostPath: {path: /tmp}}
- {name: own, emptyDir: {}}"#,
        &expect![[r#"
            13: spec.initContainers[0].env[0].valueFrom.fileKeyRef.volumeName: Invalid value: "host": referenced volume must be of type emptyDir
        "#]],
    );
}

#[test]
fn variables_from_elsewhere() {
    container(
        r#"env:
- {name: A, valueFrom: {}}
- {name: B, valueFrom: {configMapKeyRef: {name: A_B, key: "a b"}, secretKeyRef: {key: ..x}}}
- {name: C, valueFrom: {fieldRef: {fieldPath: metadata.labels}}}
- {name: D, valueFrom: {fieldRef: {fieldPath: "metadata.labels['a b']"}}}
- {name: E, valueFrom: {fieldRef: {fieldPath: "spec['a']"}}}
- {name: F, valueFrom: {fieldRef: {fieldPath: status.nothing}}}
- {name: G, valueFrom: {fieldRef: {apiVersion: v2, fieldPath: metadata.name}}}
- {name: H, valueFrom: {fieldRef: {}}}
- {name: I, valueFrom: {resourceFieldRef: {resource: limits.gpu}}}
- {name: J, valueFrom: {resourceFieldRef: {resource: limits.cpu, divisor: 1Mi}}}
- {name: K, valueFrom: {resourceFieldRef: {resource: limits.memory, divisor: 1m}}}
- {name: L, valueFrom: {resourceFieldRef: {resource: limits.hugepages-2Mi}}}
- {name: M, valueFrom: {resourceFieldRef: {}}}
- {name: O, valueFrom: {fileKeyRef: {volumeName: v, path: p, key: k}}}
- {name: P, valueFrom: {fileKeyRef: {}}}
- {name: Q, valueFrom: {fileKeyRef: {volumeName: V_, path: a/../b, key: k=}}}
envFrom:
- {prefix: A=, configMapRef: {name: A_B}, secretRef: {}}
- {}"#,
        &expect![[r#"
            10: spec.containers[0].env[0].valueFrom: Invalid value: "": must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`
            11: spec.containers[0].env[1].valueFrom.configMapKeyRef.name: Invalid value: "A_B": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')
            11: spec.containers[0].env[1].valueFrom.configMapKeyRef.key: Invalid value: "a b": a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')
            11: spec.containers[0].env[1].valueFrom.secretKeyRef.name: Invalid value: "": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')
            11: spec.containers[0].env[1].valueFrom.secretKeyRef.key: Invalid value: "..x": must not start with '..'
            11: spec.containers[0].env[1].valueFrom: Invalid value: "": may not have more than one field specified at a time
            12: spec.containers[0].env[2].valueFrom.fieldRef.fieldPath: Unsupported value: "metadata.labels": supported values: "metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName", "status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs"
            13: spec.containers[0].env[3].valueFrom.fieldRef: Invalid value: "a b": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')
            14: spec.containers[0].env[4].valueFrom.fieldRef.fieldPath: Invalid value: "spec['a']": error converting fieldPath: field label does not support subscript: spec['a']
            15: spec.containers[0].env[5].valueFrom.fieldRef.fieldPath: Invalid value: "status.nothing": error converting fieldPath: field label not supported: status.nothing
            16: spec.containers[0].env[6].valueFrom.fieldRef.fieldPath: Invalid value: "metadata.name": error converting fieldPath: unsupported pod version: v2
            17: spec.containers[0].env[7].valueFrom.fieldRef.fieldPath: Required value
            18: spec.containers[0].env[8].valueFrom.resourceFieldRef.resource: Unsupported value: "limits.gpu": supported values: "limits.cpu", "limits.ephemeral-storage", "limits.memory", "requests.cpu", "requests.ephemeral-storage", "requests.memory"
            19: spec.containers[0].env[9].valueFrom.resourceFieldRef.divisor: Invalid value: "limits.cpu": only divisor's values 1m and 1 are supported with the cpu resource
            20: spec.containers[0].env[10].valueFrom.resourceFieldRef.divisor: Invalid value: "limits.memory": only divisor's values 1, 1k, 1M, 1G, 1T, 1P, 1E, 1Ki, 1Mi, 1Gi, 1Ti, 1Pi, 1Ei are supported with the memory resource
            21: spec.containers[0].env[11].valueFrom.resourceFieldRef.resource: Forbidden: not supported yet: huge pages
            22: spec.containers[0].env[12].valueFrom.resourceFieldRef.resource: Required value
            23: spec.containers[0].env[13].valueFrom.fileKeyRef.volumeName: Not found: "v"
            24: spec.containers[0].env[14].valueFrom.fileKeyRef.key: Required value
            24: spec.containers[0].env[14].valueFrom.fileKeyRef.volumeName: Required value
            24: spec.containers[0].env[14].valueFrom.fileKeyRef.path: Required value
            24: spec.containers[0].env[14].valueFrom.fileKeyRef.volumeName: Not found: ""
            25: spec.containers[0].env[15].valueFrom.fileKeyRef.key: Invalid value: "k=": a valid environment variable name must consist only of printable ASCII characters other than '='
            25: spec.containers[0].env[15].valueFrom.fileKeyRef.volumeName: Invalid value: "V_": a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')
            25: spec.containers[0].env[15].valueFrom.fileKeyRef.path: Invalid value: "a/../b": must not contain '..'
            25: spec.containers[0].env[15].valueFrom.fileKeyRef.volumeName: Not found: "V_"
            26: spec.containers[0].envFrom: Invalid value: "": may not have more than one field specified at a time
            26: spec.containers[0].envFrom: Invalid value: "": must specify one of: `configMapRef` or `secretRef`
            27: spec.containers[0].envFrom[0].prefix: Invalid value: "A=": a valid environment variable name must consist only of printable ASCII characters other than '='
            27: spec.containers[0].envFrom[0].configMapRef.name: Invalid value: "A_B": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')
            27: spec.containers[0].envFrom[0].secretRef.name: Required value
        "#]],
    );
}

#[test]
fn volumes_of_files() {
    spec(
        r#"volumes:
- {name: a, configMap: {defaultMode: 01000, items: [{key: "", path: ""}, {key: k, path: /abs, mode: -1}]}}
- {name: b, secret: {items: [{key: k, path: a/../b}, {key: k, path: ..data}]}}
- {name: c, downwardAPI: {items: [{path: p}, {path: q, fieldRef: {fieldPath: spec.nodeName}, resourceFieldRef: {}}]}}
- {name: d, downwardAPI: {items: [{path: q, resourceFieldRef: {resource: limits.cpu}}]}}
- name: e
  projected:
    sources:
    - {configMap: {}, secret: {name: s, items: [{key: k, path: p}]}}
    - {configMap: {name: s, items: [{key: k, path: p}]}}
    - {serviceAccountToken: {expirationSeconds: 599}}
    - {serviceAccountToken: {path: ../x, expirationSeconds: 4294967297}}
    - {clusterTrustBundle: {name: t, path: q}}
- {name: f, configMap: {name: s}, secret: {secretName: s}}"#,
        &expect![[r#"
            10: spec.volumes[0].configMap.name: Required value
            10: spec.volumes[0].configMap.defaultMode: Invalid value: 512: must be a number between 0 and 0777 (octal), both inclusive
            10: spec.volumes[0].configMap.items[0].key: Required value
            10: spec.volumes[0].configMap.items[0].path: Required value
            10: spec.volumes[0].configMap.items[1].path: Invalid value: "/abs": must be a relative path
            10: spec.volumes[0].configMap.items[1].mode: Invalid value: -1: must be a number between 0 and 0777 (octal), both inclusive
            11: spec.volumes[1].secret.secretName: Required value
            11: spec.volumes[1].secret.items[0].path: Invalid value: "a/../b": must not contain '..'
            11: spec.volumes[1].secret.items[1].path: Invalid value: "..data": must not start with '..'
            12: spec.volumes[2].downwardAPI: Required value: one of fieldRef and resourceFieldRef is required
            12: spec.volumes[2].downwardAPI.fieldRef.fieldPath: Unsupported value: "spec.nodeName": supported values: "metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid"
            12: spec.volumes[2].downwardAPI: Invalid value: "resource": fieldRef and resourceFieldRef can not be specified simultaneously
            13: spec.volumes[3].downwardAPI.resourceFieldRef.containerName: Required value
            15: spec.volumes[4].projected: Invalid value: "s": conflicting duplicate paths
            15: spec.volumes[4].projected.path: Required value
            15: spec.volumes[4].projected.path: Invalid value: "../x": must not contain '..'
            17: spec.volumes[4].projected.sources[0].configMap.name: Required value
            17: spec.volumes[4].projected.sources[0]: Forbidden: may not specify more than 1 volume type per source
            19: spec.volumes[4].projected.sources[2].serviceAccountToken.expirationSeconds: Invalid value: 599: may not specify a duration less than 10 minutes
            20: spec.volumes[4].projected.sources[3].serviceAccountToken.expirationSeconds: Invalid value: 4294967297: may not specify a duration larger than 2^32 seconds
            21: spec.volumes[4].projected.sources[4].clusterTrustBundle: Forbidden: not supported yet: trust bundles
            22: spec.volumes[5].configMap: Forbidden: may not specify more than 1 volume type
        "#]],
    );
}
