//! Pods that are valid and can never run as they are: the field, what is in the way, and the remedy.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::bed::{Bed, SOON};
use crate::pod::{Pod, mount};
use crate::runner::{Test, tests};
use crate::suites::require_root;

pub(crate) const TESTS: &[Test] = tests![
    volume_over_a_file,
    file_over_a_directory,
    volume_below_a_file,
    new_mount_point_in_a_read_only_mount,
    links_in_a_circle_on_the_way_to_a_mount,
    mount_that_escapes_through_a_link_stays_inside,
    mount_over_the_root,
    working_directory_that_is_a_file,
    relative_working_directory,
    command_that_is_not_found,
    command_that_is_not_executable,
    script_without_interpreter,
    host_path_of_another_type,
    host_path_below_a_file,
    image_that_is_not_there,
    run_as_non_root,
    memory_for_nothing,
    probe_of_a_container_that_has_ended,
];

/// Runs a pod whose container cannot start and is not tried again.
fn expect_failed(bed: &Bed, pod: &Pod, parts: &[&str]) -> Result<()> {
    require_root()?;
    let finished = bed.run_pod(pod)?;
    finished.expect_code(1)?.expect_line(parts)?;
    expect_plain(&finished.output())?;
    bed.trace.expect_absent("main start")
}

/// Runs a pod that is tried again for ever, and stops it when it has said why.
fn expect_retried(bed: &Bed, pod: &Pod, parts: &[&str]) -> Result<()> {
    require_root()?;
    let mut engine = bed.start_pod(pod)?;
    engine.wait_output("again", SOON)?;
    let finished = bed.interrupt(engine)?;
    finished.expect_code(0)?.expect_line(parts)?;
    expect_plain(&finished.output())?;
    bed.trace.expect_absent("main start")
}

/// Nobody can do anything with an error number that stands for everything.
fn expect_plain(output: &str) -> Result<()> {
    ensure!(!output.contains("(os error 22)") && !output.contains("panicked"), "{output}");
    Ok(())
}

fn with_volume(volume: Value, fields: &Value) -> Pod {
    Pod::new("impossible").volume(volume).app_with("main", "say start", fields)
}

fn empty_dir_at(path: &str) -> Pod {
    with_volume(json!({"name": "data", "emptyDir": {}}), &json!({"volumeMounts": [mount("data", path)]}))
}

fn host_path(path: &Path) -> Value {
    json!({"name": "host", "hostPath": {"path": path}})
}

fn volume_over_a_file(bed: &Bed) -> Result<()> {
    for path in ["/etc/hostname", "/etc/passwd"] {
        let what = format!("volume \"data\" at {path}");
        expect_failed(
            bed,
            &empty_dir_at(path),
            &["main", &what, "has a file there", "mount it at another path"],
        )?;
    }
    Ok(())
}

fn file_over_a_directory(bed: &Bed) -> Result<()> {
    let file = bed.file("file", "")?;
    let pod = with_volume(host_path(&file), &json!({"volumeMounts": [mount("host", "/etc")]}));
    expect_failed(bed, &pod, &["volume \"host\" at /etc", "has a directory there"])
}

fn volume_below_a_file(bed: &Bed) -> Result<()> {
    expect_failed(
        bed,
        &empty_dir_at("/etc/passwd/x"),
        &["volume \"data\" at /etc/passwd/x", "on the way there"],
    )
}

fn new_mount_point_in_a_read_only_mount(bed: &Bed) -> Result<()> {
    let pod = empty_dir_at("/sys/new");
    expect_failed(bed, &pod, &["volume \"data\" at /sys/new", "read-only", "mount it at one that exists"])?;
    let dir = bed.dir().join("host");
    fs::create_dir(&dir)?;
    let pod = Pod::new("read-only")
        .volume(json!({"name": "data", "emptyDir": {}}))
        .volume(host_path(&dir))
        .app_with(
            "main",
            "say start",
            &json!({"volumeMounts": [
            {"name": "host", "mountPath": "/host", "readOnly": true}, mount("data", "/host/new")]}),
        );
    expect_failed(bed, &pod, &["volume \"data\" at /host/new", "read-only"])
}

fn links_in_a_circle_on_the_way_to_a_mount(bed: &Bed) -> Result<()> {
    let dir = bed.dir().join("host");
    fs::create_dir(&dir)?;
    symlink("circle", dir.join("circle"))?;
    let pod = in_host_directory(&dir, "/host/circle/x");
    expect_failed(bed, &pod, &["volume \"data\" at /host/circle/x", "lead in a circle"])
}

/// An emptyDir mounted at `path`, which is in a directory of the host that is mounted at /host.
fn in_host_directory(dir: &Path, path: &str) -> Pod {
    let mounts = json!({"volumeMounts": [mount("host", "/host"), mount("data", path)]});
    Pod::new("nested").volume(json!({"name": "data", "emptyDir": {}})).volume(host_path(dir)).app_with(
        "main",
        "say start",
        &mounts,
    )
}

/// What the links name is taken in the container, where it is made, and the host is not touched.
fn mount_that_escapes_through_a_link_stays_inside(bed: &Bed) -> Result<()> {
    require_root()?;
    let (dir, outside) = (bed.dir().join("host"), bed.dir().join("outside"));
    fs::create_dir(&dir)?;
    fs::create_dir(&outside)?;
    symlink(&outside, dir.join("absolute"))?;
    symlink("../../../../../../../../../..", dir.join("up"))?;
    for link in ["absolute".to_owned(), format!("up{}", outside.display())] {
        let path = format!("/host/{link}/escaped");
        bed.run_pod(&in_host_directory(&dir, &path))?.expect_code(0)?;
        ensure!(fs::read_dir(&outside)?.count() == 0, "{path} was made on the host");
    }
    ensure!(bed.trace.count("main start") == 2, "{:?}", bed.trace.lines());
    Ok(())
}

fn mount_over_the_root(bed: &Bed) -> Result<()> {
    expect_retried(
        bed,
        &empty_dir_at("/"),
        &["CreateContainerError", "mountPath / cannot be used", "choose another"],
    )
}

fn main_with(fields: &Value) -> Pod {
    Pod::new("impossible").app_with("main", "say start", fields)
}

fn working_directory_that_is_a_file(bed: &Bed) -> Result<()> {
    let pod = main_with(&json!({"workingDir": "/etc/passwd"}));
    expect_failed(bed, &pod, &["working directory /etc/passwd", "there is a file", "set workingDir"])
}

fn relative_working_directory(bed: &Bed) -> Result<()> {
    let pod = main_with(&json!({"workingDir": "etc"}));
    expect_retried(bed, &pod, &["workingDir \"etc\" is not an absolute path: begin it with /"])
}

fn command_that_is_not_found(bed: &Bed) -> Result<()> {
    for (command, why) in
        [("/no/such", "no such file"), ("nosuch", "not found in $PATH"), ("", "not found in $PATH")]
    {
        let pod = main_with(&json!({"command": [command]}));
        expect_failed(
            bed,
            &pod,
            &["StartError", &format!("exec {command:?}"), why, "remedy: check command"],
        )?;
    }
    Ok(())
}

fn command_that_is_not_executable(bed: &Bed) -> Result<()> {
    for command in ["/etc/passwd", "/usr"] {
        let pod = main_with(&json!({"command": [command]}));
        expect_failed(bed, &pod, &["exec", command, "permission denied (a directory, not executable"])?;
    }
    Ok(())
}

fn script_without_interpreter(bed: &Bed) -> Result<()> {
    let dir = bed.dir().join("host");
    fs::create_dir(&dir)?;
    for (name, text, why) in [
        ("other", "#!/no/such/interpreter\n", "interpreter or dynamic loader it names is not"),
        ("none", "say start\n", "exec format error"),
    ] {
        let path = dir.join(name);
        fs::write(&path, text)?;
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
        let fields = json!({"command": [format!("/host/{name}")], "volumeMounts": [mount("host", "/host")]});
        expect_failed(bed, &with_volume(host_path(&dir), &fields), &["exec", name, why])?;
    }
    Ok(())
}

fn host_path_of_another_type(bed: &Bed) -> Result<()> {
    let file = bed.file("file", "")?;
    let volume = json!({"name": "host", "hostPath": {"path": file, "type": "Directory"}});
    let pod = with_volume(volume, &json!({"volumeMounts": [mount("host", "/x")]}));
    expect_retried(
        bed,
        &pod,
        &["volume \"host\"", "type check failed", "is not a directory", "remedy: make it"],
    )
}

fn host_path_below_a_file(bed: &Bed) -> Result<()> {
    let file = bed.file("file", "")?;
    let pod = with_volume(host_path(&file.join("x")), &json!({"volumeMounts": [mount("host", "/x")]}));
    expect_retried(bed, &pod, &["volume \"host\"", "Not a directory", "remedy: correct the path"])
}

fn image_that_is_not_there(bed: &Bed) -> Result<()> {
    let image = |image: &str, policy: &str| main_with(&json!({"image": image, "imagePullPolicy": policy}));
    for (pod, parts) in [
        (
            image("registry.invalid/x:1", "Never"),
            ["ErrImageNeverPull", "registry.invalid/x:1", "remedy: pull it"],
        ),
        (image("A::b", "Always"), ["InvalidImageName", "A::b", "remedy: write image as"]),
    ] {
        expect_retried(bed, &pod, &parts)?;
    }
    Ok(())
}

fn run_as_non_root(bed: &Bed) -> Result<()> {
    let pod = main_with(&json!({"securityContext": {"runAsNonRoot": true}}));
    expect_retried(bed, &pod, &["CreateContainerConfigError", "remedy: set securityContext.runAsUser"])
}

/// Where the kernel makes no group at all in so little, and where the process is killed in it.
fn memory_for_nothing(bed: &Bed) -> Result<()> {
    require_root()?;
    let mut engine = bed.start_pod(&main_with(&json!({"resources": {"limits": {"memory": "1Ki"}}})))?;
    engine.wait_output("memory", SOON)?;
    let finished = bed.interrupt(engine)?;
    finished.expect_output("limits.memory")?;
    expect_plain(&finished.output())?;
    bed.trace.expect_absent("main start")
}

/// The probe is not said to have failed for lack of memory, or of anything else.
fn probe_of_a_container_that_has_ended(bed: &Bed) -> Result<()> {
    require_root()?;
    let probe = json!({"startupProbe": {"exec": {"command": ["false"]}, "periodSeconds": 1, "failureThreshold": 100}});
    let names: Vec<String> = (0..8).map(|n| format!("short-{n}")).collect();
    let pod = names.iter().fold(Pod::new("raced"), |pod, name| pod.app_with(name, "true", &probe));
    bed.run_pod(&pod)?.expect_code(0)?.expect_no_output("lack of memory")?.expect_no_output("cannot join")?;
    Ok(())
}
