//! Correct manifests get no error and no warning, and the broken examples get their own.
#![expect(clippy::disallowed_methods, reason = "a test reads manifests")]

use std::path::{Path, PathBuf};

use expect_test::expect;
use lint::text::{Options, Text, examine};
use lint::{Context, Finding, Severity, check};
use serde_json::{Value, json};

fn workspace() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn manifests(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let mut paths: Vec<PathBuf> =
        paths.filter(|path| path.extension().is_some_and(|ext| ext == "yaml")).collect();
    paths.sort();
    paths
}

/// The pods of a file, and those that its objects make; with what else is in it.
fn pods(path: &Path) -> (Vec<Value>, Context) {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let (documents, errors) = podspec::load::load_all(&path.display().to_string(), &text);
    assert!(errors.is_empty(), "{errors:?}");
    let mut context = Context::default();
    let mut pods = Vec::new();
    for document in documents {
        let object = document.value;
        match object["kind"].as_str().unwrap_or("") {
            "Pod" => pods.push(object),
            "CronJob" => pods.push(object["spec"]["jobTemplate"]["spec"]["template"].clone()),
            // Each claim is a volume of the pods.
            "StatefulSet" => {
                let mut pod = object["spec"]["template"].clone();
                let claims = object["spec"]["volumeClaimTemplates"].as_array().cloned().unwrap_or_default();
                let volumes =
                    pod["spec"].as_object_mut().expect("a spec").entry("volumes").or_insert(json!([]));
                volumes.as_array_mut().expect("a list").extend(claims.iter().map(|claim| {
                    json!({"name": claim["metadata"]["name"], "persistentVolumeClaim": {"claimName": claim["metadata"]["name"]}})
                }));
                context.services.insert(object["spec"]["serviceName"].as_str().unwrap_or("").to_owned());
                pods.push(pod);
            }
            "Deployment" | "DaemonSet" | "Job" | "ReplicaSet" => {
                pods.push(object["spec"]["template"].clone());
            }
            "Service" => {
                context.services.insert(object["metadata"]["name"].as_str().unwrap_or("").to_owned());
            }
            _ => {}
        }
    }
    (pods, context)
}

fn lines(findings: &[Finding]) -> String {
    let line = |f: &Finding| {
        format!("{:?} {} at {}: {}; {}\n", f.rule.severity, f.rule.id, f.path, f.message, f.help)
    };
    findings.iter().map(line).collect()
}

fn complaints(dir: &Path) -> (usize, String) {
    let (mut count, mut complaints) = (0, String::new());
    for path in manifests(dir) {
        let (pods, context) = pods(&path);
        assert!(!pods.is_empty(), "{} has no pod", path.display());
        count += 1;
        for mut pod in pods {
            let findings = check(&pod, &context);
            podspec::fill_in_defaults(&mut pod);
            let filled = check(&pod, &context);
            let said = |findings: &[Finding]| {
                findings
                    .iter()
                    .map(|f| (f.rule.id, f.path.to_string(), f.message.clone()))
                    .collect::<Vec<_>>()
            };
            assert_eq!(said(&findings), said(&filled), "{}: defaults make a difference", path.display());
            let worse: Vec<Finding> =
                findings.into_iter().filter(|finding| finding.rule.severity != Severity::Hint).collect();
            if !worse.is_empty() {
                complaints.push_str(&format!("{}:\n{}", path.display(), lines(&worse)));
            }
        }
    }
    (count, complaints)
}

#[test]
fn correct_manifests_are_clean() {
    let (count, complaints) = complaints(&PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/corpus"));
    assert!(complaints.is_empty(), "{complaints}");
    assert!(count >= 60, "the corpus has {count} manifests");
}

/// The same as `monopod lint` sees it: objects with their templates, and what podspec says of them.
#[test]
fn correct_manifests_are_clean_as_texts() {
    let mut complaints = String::new();
    for path in manifests(&PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/corpus")) {
        let text = std::fs::read_to_string(&path).expect("a text");
        let examined = examine(&[Text { name: "", text: &text }], &Options::default()).remove(0);
        for found in examined.findings.iter().filter(|found| found.rule.severity != Severity::Hint) {
            complaints.push_str(&format!(
                "{}: {} {}: {}\n",
                path.display(),
                found.rule.id,
                found.path,
                found.message
            ));
        }
    }
    assert!(complaints.is_empty(), "{complaints}");
}

/// What is called correct can be run.
#[test]
fn correct_manifests_are_valid() {
    let mut complaints = String::new();
    for path in manifests(&PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/corpus")) {
        for mut pod in pods(&path).0 {
            pod["apiVersion"] = "v1".into();
            pod["kind"] = "Pod".into();
            if pod["metadata"]["name"].is_null() {
                pod["metadata"]["name"] = "of-a-template".into();
            }
            for error in podspec::admit(pod, &[0; podspec::IDENTITY_BYTES]).err().unwrap_or_default() {
                complaints.push_str(&format!("{}: {error}\n", path.display()));
            }
        }
    }
    assert!(complaints.is_empty(), "{complaints}");
}

#[test]
fn examples_are_clean() {
    let (count, complaints) = complaints(&workspace().join("examples"));
    assert!(complaints.is_empty(), "{complaints}");
    assert!(count >= 7);
}

fn found_in(dir: &str) -> String {
    let mut out = String::new();
    for path in manifests(&workspace().join(dir)) {
        let (pods, context) = pods(&path);
        out.push_str(&format!("{}\n", path.file_name().unwrap_or_default().to_string_lossy()));
        for mut pod in pods {
            let mut rounds = 0;
            loop {
                let findings = check(&pod, &context);
                for line in lines(&findings).lines().filter(|line| rounds == 0 || !line.starts_with("Hint")) {
                    out.push_str(&format!("  {line}\n"));
                }
                let Some(fix) =
                    findings.into_iter().filter(|f| f.rule.severity != Severity::Hint).find_map(|f| f.fix)
                else {
                    break;
                };
                out.push_str(&format!("  fix: {}\n", fix.title));
                fix.apply(&mut pod).expect("a fix fits what it was made for");
                rounds += 1;
                assert!(rounds < 10, "fixes of {} do not end", path.display());
            }
        }
    }
    out
}

#[test]
fn broken_examples() {
    expect![[r#"
        name-instead-of-localhost.yaml
          Warning container-name-as-host at spec.containers[0].command[2]: the container "client" uses the name of the sidecar "web" as a host name, but containers have no names in DNS; use localhost:8080: the containers of a pod share one network, and only a Service of this name would be found
          fix: use localhost instead of web
        paths-do-not-meet.yaml
          Error paths-do-not-meet at spec.containers[0].volumeMounts[0].mountPath: the container "reader" reads /var/log/app.log, which is in no volume: the init container "writer" writes /data/app.log in the volume "shared-logs", which the container "reader" sees as /logs/app.log; read /logs/app.log, or mount the volume at /var/log in the container "reader"
          fix: mount shared-logs at /var/log in reader
        pod-level-restart-policy.yaml
          Error sidecar-as-init at spec.initContainers[0]: init container "log-shipper" never ends (tail -f), so no container after it will start; a sidecar needs restartPolicy: Always on the container itself; the pod's restartPolicy does not make one
          fix: make log-shipper a sidecar
        port-conflict.yaml
          Error port-conflict at spec.containers[1].ports[0]: the container "first" and the container "second" both have port 8080, and the containers of a pod share one network: the second to listen on it fails; let one of them listen on another port, and declare that one; the declaration alone changes nothing
        volume-not-defined.yaml
          Error volume-not-defined at spec.containers[0].volumeMounts[0].name: the pod defines no volume "shared-logs", which the container "main" mounts; define it in spec.volumes, beside containers: {name: shared-logs, emptyDir: {}}
          fix: define the volume shared-logs as an emptyDir
        volume-not-mounted.yaml
          Error volume-not-mounted at spec.containers[0].command[1]: the container "reader" reads /var/log/app.log, which is in the volume "shared-logs" of the init container "writer", but does not mount that volume; mount the volume "shared-logs" at /var/log in the container "reader" too
          fix: mount shared-logs at /var/log in reader
    "#]].assert_eq(&found_in("examples/broken"));
}

#[test]
fn common_causes() {
    expect![[r#"
        name-instead-of-localhost.yaml
          Warning container-name-as-host at spec.containers[0].command[2]: the container "main" uses the name of the container "sidecar" as a host name, but containers have no names in DNS; use localhost:8080: the containers of a pod share one network, and only a Service of this name would be found
          Hint latest-tag at spec.containers[1].image: the image "app:latest" of the container "sidecar" has the tag latest; name a version: what latest is changes between two starts, and it is looked up at each
          fix: use localhost instead of sidecar
        sidecar-as-init.yaml
          Hint latest-tag at spec.initContainers[0].image: the image "filebeat:latest" of the init container "log-shipper" has the tag latest; name a version: what latest is changes between two starts, and it is looked up at each
          Hint latest-tag at spec.containers[0].image: the image "app:latest" of the container "main-app" has the tag latest; name a version: what latest is changes between two starts, and it is looked up at each
          Error sidecar-as-init at spec.initContainers[0]: init container "log-shipper" never ends (the image is of filebeat), so no container after it will start; a sidecar needs restartPolicy: Always on the container itself; the pod's restartPolicy does not make one
          fix: make log-shipper a sidecar
        volume-not-defined.yaml
          Hint latest-tag at spec.containers[0].image: the image "app:latest" of the container "main" has the tag latest; name a version: what latest is changes between two starts, and it is looked up at each
          Hint latest-tag at spec.containers[1].image: the image "filebeat:latest" of the container "sidecar" has the tag latest; name a version: what latest is changes between two starts, and it is looked up at each
          Error volume-not-defined at spec.containers[0].volumeMounts[0].name: the pod defines no volume "shared-logs", which the container "main" mounts; define it in spec.volumes, beside containers: {name: shared-logs, emptyDir: {}}
          Error volume-not-defined at spec.containers[1].volumeMounts[0].name: the pod defines no volume "shared-logs", which the container "sidecar" mounts; define it in spec.volumes, beside containers: {name: shared-logs, emptyDir: {}}
          fix: define the volume shared-logs as an emptyDir
        volume-not-mounted.yaml
          Hint latest-tag at spec.containers[0].image: the image "app:latest" of the container "main" has the tag latest; name a version: what latest is changes between two starts, and it is looked up at each
          Hint latest-tag at spec.containers[1].image: the image "filebeat:latest" of the container "sidecar" has the tag latest; name a version: what latest is changes between two starts, and it is looked up at each
          Warning volume-not-shared at spec.containers[1]: the container "sidecar" runs filebeat and mounts nothing, so it sees none of the files that the container "main" writes to the volume "shared-logs"; mount the volume in the container "sidecar" too: volumes are shared by those who mount them
          fix: mount shared-logs at /var/log in sidecar
        wait-for-db.yaml
          Hint latest-tag at spec.containers[0].image: the image "app:latest" of the container "main-app" has the tag latest; name a version: what latest is changes between two starts, and it is looked up at each
        wrong-mount-path.yaml
          Error paths-do-not-meet at spec.containers[1].volumeMounts[0].mountPath: the container "sidecar-container" reads /var/log/app.log, which is in no volume: the container "main-container" writes /var/log/app.log in the volume "shared-logs", which the container "sidecar-container" sees as /logs/app.log; read /logs/app.log, or mount the volume at /var/log in the container "sidecar-container"
          Hint shell-ignores-term at spec.containers[0].command[2]: the shell of the container "main-container" is its first process and has no trap for TERM, so stopping it takes the whole 30 s; set a trap (trap 'exit 0' TERM) and wait for what runs in the background, or exec the program that handles TERM
          Hint shell-ignores-term at spec.containers[1].command[2]: the shell of the container "sidecar-container" is its first process and has no trap for TERM, so stopping it takes the whole 30 s; set a trap (trap 'exit 0' TERM) and wait for what runs in the background, or exec the program that handles TERM
          fix: mount shared-logs at /var/log in sidecar-container
    "#]].assert_eq(&found_in("crates/e2e/common-causes"));
}
