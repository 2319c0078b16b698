//! Variables from files that the pod itself has written.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::bed::{Bed, SOON};
use crate::cluster::Cluster;
use crate::pod::{Pod, mount};
use crate::runner::{Test, tests};
use crate::suites::require_root;

pub(crate) const TESTS: &[Test] = tests![
    written_by_an_init_container,
    read_anew_at_each_start,
    missing_files_and_keys_in_the_status,
    nothing_outside_of_the_volume,
];

fn variable(name: &str, path: &str, key: &str, optional: bool) -> Value {
    let from = json!({"volumeName": "work", "path": path, "key": key, "optional": optional});
    json!({"name": name, "valueFrom": {"fileKeyRef": from}})
}

fn work() -> Value {
    json!({"volumeMounts": [mount("work", "/work")]})
}

/// On disk, and in memory, where only the pod's own mount namespace has the volume. The container does not mount it.
fn written_by_an_init_container(bed: &Bed) -> Result<()> {
    let write = "printf '# settings\\nA='\\''one'\\''\\nB='\\''two\\nlines'\\'' # why\\n' > /work/env";
    let env = json!({"env": [
        variable("A", "env", "A", false),
        variable("B", "env", "B", false),
        variable("NONE", "env", "NONE", true),
        variable("NOWHERE", "nowhere", "A", true),
        {"name": "BOTH", "value": "$(A)-$(B)"},
    ]});
    for (name, medium) in [("disk", ""), ("memory", "Memory")] {
        let pod = Pod::new(name)
            .volume(json!({"name": "work", "emptyDir": {"medium": medium}}))
            .init_with("write", write, &work())
            .app_with("main", "say $POD $BOTH ${NONE-unset} ${NOWHERE-unset}; test ! -e /work", &env);
        bed.run_pod(&pod)?.expect_code(0)?;
        bed.trace.expect_order(&[&format!("main {name} one-two lines unset unset")])?;
    }
    Ok(())
}

fn read_anew_at_each_start(bed: &Bed) -> Result<()> {
    let fields = json!({"env": [variable("N", "n", "N", false)], "volumeMounts": [mount("work", "/work")]});
    let pod = Pod::new("anew")
        .spec(&json!({"restartPolicy": "OnFailure"}))
        .volume(json!({"name": "work", "emptyDir": {}}))
        .init_with("write", "echo \"N='1'\" > /work/n", &work())
        .app_with("main", "say $N; [ $N = 2 ] || { echo \"N='2'\" > /work/n; exit 1; }", &fields);
    bed.run_pod(&pod)?.expect_code(0)?;
    bed.trace.expect_order(&["main 1", "main 2"])
}

fn missing_files_and_keys_in_the_status(bed: &Bed) -> Result<()> {
    require_root()?;
    let cluster = Cluster::start(bed)?;
    let fields = json!({"env": [variable("A", "env", "A", false)]});
    let pod = Pod::new("waits")
        .volume(json!({"name": "work", "emptyDir": {}}))
        .app_with("main", "say $A; serve", &fields)
        .app_with("other", "serve", &work());
    cluster.apply_pod(&pod)?;
    let uid = cluster.output(&["get", "pod", "waits", "-o", "jsonpath={.metadata.uid}"])?;
    let file = bed.root().join(format!("var/lib/monopod/pods/{uid}/volumes/work/env"));
    let message = "jsonpath={.status.containerStatuses[0].state.waiting.reason}: \
                   {.status.containerStatuses[0].state.waiting.message}";
    let shows = |expected: &str| {
        let text = format!("CreateContainerConfigError: {expected}");
        cluster.wait_output(&["get", "pod", "waits", "-o", message], &text, SOON)
    };
    shows(&format!("couldn't parse env file: {} is not there", file.display()))?;
    let write = |text: &str| {
        let script = format!("echo \"{text}\" > /work/env");
        cluster.output(&["exec", "waits", "-c", "other", "--", "sh", "-c", &script])
    };
    write("A=bare")?;
    shows(
        "couldn't parse env file: invalid environment variable format at line 1: \
         value must be enclosed in single quotes",
    )?;
    write("B='x'")?;
    shows(&format!("environment variable key \"A\" not found in file \"{}\"", file.display()))?;
    write("A='came'")?;
    bed.trace.wait("main came", SOON)?;
    cluster.wait_ready("waits")?;
    ensure!(bed.trace.count("other start") == 1);
    cluster.finish()
}

/// Links are resolved within the volume, and a pipe holds up nobody.
fn nothing_outside_of_the_volume(bed: &Bed) -> Result<()> {
    require_root()?;
    let secret = bed.file("secret", "A='secret'")?;
    let prepare = format!(
        "ln -s {} /work/far; ln -s ../../../../../../../../../..{} /work/up; mkfifo /work/pipe; say prepared",
        secret.display(),
        secret.display()
    );
    let pod = Pod::new("inside")
        .volume(json!({"name": "work", "emptyDir": {}}))
        .init_with("prepare", &prepare, &work())
        .app_with(
            "main",
            "say ${FAR-unset} ${UP-unset}",
            &json!({"env": [
                variable("FAR", "far", "A", true), variable("UP", "up", "A", true),
            ]}),
        );
    bed.run_pod(&pod)?.expect_code(0)?;
    bed.trace.expect_order(&["prepare prepared", "main unset unset"])?;

    let cluster = Cluster::start(bed)?;
    let pipe = Pod::new("pipe")
        .volume(json!({"name": "work", "emptyDir": {}}))
        .init_with("prepare", "mkfifo /work/pipe", &work())
        .app_with("main", "say never", &json!({"env": [variable("A", "pipe", "A", false)]}));
    cluster.apply_pod(&pipe)?;
    let message = "jsonpath={.status.containerStatuses[0].state.waiting.message}";
    let expected = "couldn't parse env file: pipe is no file: something else is there";
    cluster.wait_output(&["get", "pod", "pipe", "-o", message], expected, SOON)?;
    cluster.finish()
}
