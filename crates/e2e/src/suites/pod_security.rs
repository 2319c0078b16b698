//! Pod Security levels, as kubectl tells of them.

use anyhow::{Result, ensure};

use crate::bed::{Bed, SOON};
use crate::cluster::Cluster;
use crate::runner::{Test, tests};
use crate::suites::require_root;

pub(crate) const TESTS: &[Test] =
    tests![restricted_namespaces, labels_warn, a_run_takes_the_labels_of_its_namespaces];

const FAULTS: &str = "allowPrivilegeEscalation != false (container \"main\" must set \
                      securityContext.allowPrivilegeEscalation=false), unrestricted capabilities (container \"main\" must \
                      set securityContext.capabilities.drop=[\"ALL\"]), runAsNonRoot != true (pod or container \"main\" \
                      must set securityContext.runAsNonRoot=true), seccompProfile (pod or container \"main\" must set \
                      securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\")";

const PLAIN: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: plain}
spec:
  restartPolicy: Never
  containers: [{name: main, image: localhost/host, command: [sh, -c, "echo plain"]}]
"#;

const HARDENED: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: hardened}
spec:
  restartPolicy: Never
  securityContext: {runAsNonRoot: true, runAsUser: 1000, seccompProfile: {type: RuntimeDefault}}
  containers:
  - name: main
    image: localhost/host
    command: [sh, -c, "id -u; grep -E 'NoNewPrivs|CapBnd|Seccomp:' /proc/self/status"]
    securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
"#;

const NAMESPACE: &str = "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: tight\n  labels: {pod-security.kubernetes.io/enforce: restricted}\n";

fn restricted_namespaces(bed: &Bed) -> Result<()> {
    require_root()?;
    let cluster = Cluster::start(bed)?;
    cluster.apply(&bed.file("namespace.yaml", NAMESPACE)?)?;
    let apply = |name: &str, text: &str| {
        let path = bed.file(name, text)?;
        cluster.kubectl(["apply", "-n", "tight", "-f", &*path.to_string_lossy()])
    };
    let refused = apply("plain.yaml", PLAIN)?;
    refused.expect_code(1)?.expect_output("Error from server (Forbidden): ")?.expect_output(&format!(
        "pods \"plain\" is forbidden: violates PodSecurity \"restricted:latest\": {FAULTS}"
    ))?;
    let made = apply("hardened.yaml", HARDENED)?;
    made.expect_code(0)?.expect_output("pod/hardened created")?.expect_no_output("Warning")?;
    let phase = ["get", "pod", "-n", "tight", "hardened", "-o", "jsonpath={.status.phase}"];
    cluster.wait_output(&phase, "Succeeded", SOON)?;
    let told = cluster.output(&["logs", "-n", "tight", "hardened"])?;
    let found: Vec<&str> = told.split_whitespace().collect();
    let expected = ["1000", "CapBnd:", "0000000000000000", "NoNewPrivs:", "1", "Seccomp:", "2"];
    ensure!(found == expected, "{told}");
    cluster.finish()
}

fn labels_warn(bed: &Bed) -> Result<()> {
    require_root()?;
    let cluster = Cluster::start(bed)?;
    let label = |label: &str| {
        let label = format!("pod-security.kubernetes.io/{label}");
        cluster.kubectl(["label", "--overwrite", "namespace", "default", &label])
    };
    label("warn=restricted")?.expect_code(0)?.expect_no_output("Warning")?;
    let path = bed.file("plain.yaml", PLAIN)?;
    let made = cluster.kubectl(["apply", "-f", &*path.to_string_lossy()])?;
    made.expect_code(0)?
        .expect_output("pod/plain created")?
        .expect_output(&format!("Warning: would violate PodSecurity \"restricted:latest\": {FAULTS}"))?;
    cluster.wait_output(&["get", "pod", "plain", "-o", "jsonpath={.status.phase}"], "Succeeded", SOON)?;
    label("enforce=restricted")?
        .expect_code(0)?
        .expect_output(
            "Warning: existing pods in namespace \"default\" violate the new PodSecurity enforce level \
             \"restricted:latest\"\n",
        )?
        .expect_output(
            "Warning: plain: allowPrivilegeEscalation != false, unrestricted capabilities, runAsNonRoot != true, \
             seccompProfile\n",
        )?;
    label("enforce=strict")?.expect_code(1)?.expect_output(
        "metadata.labels[pod-security.kubernetes.io/enforce]: Invalid value: \"strict\": must be one of privileged, \
         baseline, restricted",
    )?;
    cluster.finish()
}

fn a_run_takes_the_labels_of_its_namespaces(bed: &Bed) -> Result<()> {
    require_root()?;
    let pod = PLAIN.replace("{name: plain}", "{name: plain, namespace: tight}");
    let run = |namespace: &str| {
        let file = bed.file("all.yaml", &format!("{namespace}---{pod}"))?;
        bed.finish(bed.run_command().arg(file))
    };
    let refused = run(NAMESPACE)?;
    refused.expect_code(2)?.expect_output(&format!(
        "pods \"plain\" is forbidden: violates PodSecurity \"restricted:latest\": {FAULTS}"
    ))?;
    let warned = run(&NAMESPACE.replace("enforce", "warn"))?;
    warned
        .expect_code(0)?
        .expect_line(&["warning: ", &format!("would violate PodSecurity \"restricted:latest\": {FAULTS}")])?
        .expect_line(&["plain", "Completed"])?;
    bed.expect_clean(SOON)
}
