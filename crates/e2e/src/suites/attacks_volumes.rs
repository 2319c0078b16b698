//! Links in volumes and images that lead to the machine, also while a container is being made.

use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::archive::{Layer, docker};
use crate::bed::{Bed, SOON};
use crate::pod::{Pod, both, mount};
use crate::pods::{LONG, Pods};
use crate::runner::{Test, tests};
use crate::suites::require_root;
use crate::wait;

pub(crate) const TESTS: &[Test] = tests![
    a_part_that_is_swapped_for_links,
    an_image_with_links_at_mount_points,
    a_working_directory_among_descriptors,
    a_file_for_the_last_words_that_is_no_file,
];

/// Hundreds of starts.
pub(crate) const SLOW: &[Test] = tests![a_part_that_is_swapped_for_links_all_the_time];

/// What a directory is swapped for: links to the machine's root, or to what could be it.
const LINKS: [&str; 4] = ["/", "../../../../../../../../../../..", "/proc/self/root", "/proc/1/root"];

fn a_part_that_is_swapped_for_links(bed: &Bed) -> Result<()> {
    swapped(bed, 36)
}

fn a_part_that_is_swapped_for_links_all_the_time(bed: &Bed) -> Result<()> {
    swapped(bed, 240)
}

/// A container swaps directories for links as fast as it goes, and others are started on what is below them until so
/// many found something.
fn swapped(bed: &Bed, starts: usize) -> Result<()> {
    require_root()?;
    const VICTIMS: usize = 24;
    let pods = Pods::start_with(bed, &["--max-restart-backoff", "1s"])?;
    let made = format!("made-by-e2e-{}", std::process::id());
    let mut prepare = String::from("cd /data");
    let mut pairs = Vec::new();
    for (at, link) in LINKS.iter().enumerate() {
        prepare.push_str(&format!("; mkdir -p a{at}/etc; touch a{at}/etc/inside; ln -s {link} b{at}"));
        pairs.extend([format!("/data/a{at}"), format!("/data/b{at}")]);
    }
    let data = json!({"volumeMounts": [mount("data", "/data")]});
    let mut args = vec!["swap".to_owned()];
    args.extend(pairs);
    let swapper = json!({"command": ["/e2e"], "args": args, "volumeMounts": [mount("e2e", "/e2e")]});
    let mut pod = Pod::new("swapped")
        .spec(&json!({"restartPolicy": "Always", "terminationGracePeriodSeconds": 1}))
        .volume(json!({"name": "data", "emptyDir": {}}))
        .volume(json!({"name": "other", "emptyDir": {}}))
        .volume(json!({"name": "e2e", "hostPath": {"path": std::env::current_exe()?, "type": "File"}}))
        .init_with("prepare", &prepare, &data)
        .sidecar_with("swapper", "", &both(&data, &swapper));
    for victim in 0..VICTIMS {
        let at = victim % LINKS.len();
        let look =
            "if [ -e /v/inside ]; then mark fine; else mark escaped $(ls -di /v) $(ls /v | head -3); fi";
        // And a mount point of its own below what is swapped, for which directories are made.
        let mounts = json!({"volumeMounts": [
            {"name": "data", "mountPath": "/v", "subPath": format!("a{at}/etc")},
            mount("data", "/data"), mount("other", &format!("/data/a{at}/{made}")),
        ]});
        pod = pod.app_with(&format!("victim-{victim}"), look, &mounts);
    }
    pods.create(&pod)?;
    let found = || pods.history("swapped").0.into_iter().map(|mark| mark.line).collect::<Vec<_>>();
    let fine = |lines: &[String]| lines.iter().filter(|line| line.ends_with(" fine")).count();
    let refused = Cell::new(false);
    // As long as it takes on a busy machine: what is counted is what has to happen.
    wait::until(&format!("{starts} starts on what is swapped"), LONG * 10, || {
        let lines = found();
        refused.set(refused.get() || is_refused(&pods.status("swapped").ok()?));
        (fine(&lines) >= starts || lines.iter().any(|line| line.contains("escaped"))).then_some(())
    })?;
    let lines = found();
    let escaped: Vec<&String> = lines.iter().filter(|line| !line.ends_with(" fine")).collect();
    ensure!(escaped.is_empty(), "{escaped:?}");
    ensure!(refused.get(), "{} starts and nothing refused: nothing was raced", fine(&lines));
    let outside = Path::new("/").join(&made);
    ensure!(!outside.exists(), "{} was made on the machine", outside.display());
    pods.delete("swapped", Some(0))?;
    pods.wait_gone("swapped")?;
    pods.finish()
}

/// Whether a container waits because of a volume. Not every such start has an event: a pod may tell only so many.
fn is_refused(status: &Value) -> bool {
    let containers = status["containerStatuses"].as_array().into_iter().flatten();
    let mut whys = containers.filter_map(|container| container["state"]["waiting"]["message"].as_str());
    whys.any(|why| why.contains("volume"))
}

fn load(bed: &Bed, name: &str, layers: Vec<Layer>) -> Result<()> {
    let archive = bed.dir().join("image.tar");
    fs::write(&archive, docker(name, &json!({}), layers)?)?;
    let mut command = Command::new(bed.program());
    command.arg("--root").arg(bed.root()).args(["image", "load"]).arg(&archive).stdin(Stdio::null());
    bed.start(&mut command)?.wait(SOON)?.expect_code(0).map(drop)
}

/// What a container sees from its working directory, and what it can write to.
const LOOK: &str = "
    [ -e ./secret ] && say $POD sees the machine
    [ -e /work/secret ] && say $POD sees the machine by its link
    echo x > ./written; echo x > /work/last
    head -c 1 /proc/keys 2>/dev/null | grep -q . && say $POD reads keys
    (: >> /proc/sys/kernel/core_pattern) 2>/dev/null && say $POD writes to the kernel
    (: >> /sys/kernel/profiling) 2>/dev/null && say $POD writes to sysfs
    say $POD end";

/// Each image has links to a directory of the machine where things are mounted or made. They lead to a directory of that
/// path in the container, which does not have what the machine has there; and the machine's stays as it is.
fn an_image_with_links_at_mount_points(bed: &Bed) -> Result<()> {
    require_root()?;
    let outside = bed.dir().join("outside");
    fs::create_dir(&outside)?;
    fs::write(outside.join("secret"), "")?;
    let to = |name: &str| outside.join(name).display().to_string();
    let cases: [(&str, Vec<(&str, String)>); 4] = [
        (
            "absolute",
            vec![
                ("etc/hosts", to("hosts")),
                ("etc/hostname", to("hostname")),
                ("work", to("")),
                ("mnt", to("mnt")),
            ],
        ),
        ("relative", {
            let up = |name: &str| format!("../../../../../../../../..{}", to(name));
            vec![
                ("etc/hosts", up("hosts")),
                ("etc/resolv.conf", up("resolv")),
                ("work", up("")),
                ("mnt", up("mnt")),
            ]
        }),
        ("kernel", vec![("proc", to("proc")), ("sys", to("sys")), ("dev", to("dev")), ("work", to(""))]),
        (
            "magic",
            vec![
                ("work", format!("/proc/1/root{}", to(""))),
                ("etc/hosts", format!("/proc/self/root{}", to("hosts"))),
            ],
        ),
    ];
    let usr = json!({"name": "usr", "hostPath": {"path": "/usr", "type": "Directory"}});
    let mut started = Vec::new();
    for (name, links) in cases {
        let mut layer = Layer::base()?;
        for (path, target) in &links {
            layer = layer.link(path, target)?;
        }
        let image = format!("localhost/links-{name}:1");
        load(bed, &image, vec![layer])?;
        let fields = json!({
            "image": image, "workingDir": "/work", "terminationMessagePath": "/work/last",
            "volumeMounts": [mount("usr", "/usr"), mount("data", "/mnt/data")],
        });
        let pod = Pod::new(name)
            .volume(usr.clone())
            .volume(json!({"name": "data", "emptyDir": {}}))
            .app_with("main", LOOK, &fields);
        bed.run_pod(&pod)?;
        let end = format!("main {name} end");
        started.extend((bed.trace.count(&end) > 0).then_some(name));
        let names: Vec<PathBuf> =
            fs::read_dir(&outside)?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
        ensure!(names == [outside.join("secret")], "{name}: the machine has {names:?}");
    }
    let seen: Vec<String> = bed.trace.lines().into_iter().filter(|line| !line.ends_with(" end")).collect();
    ensure!(seen.is_empty(), "{seen:?}");
    // A magic link leads nowhere: that one does not start.
    ensure!(started == ["absolute", "relative", "kernel"], "only {started:?} ran");
    Ok(())
}

/// Descriptors of the runtime, as a working directory, lead to the machine's directories (CVE-2024-21626).
fn a_working_directory_among_descriptors(bed: &Bed) -> Result<()> {
    require_root()?;
    const DESCRIPTORS: u32 = 16;
    let secret = bed.file("secret", "")?;
    let up = "../".repeat(12);
    let look = format!("[ -e {up}{0} ] && say escaped; [ -e {0} ] && say escaped; say in", secret.display());
    let numbers = (3..DESCRIPTORS).map(|number| number.to_string());
    let pod = numbers.fold(Pod::new("descriptors"), |pod, number| {
        let at = |path: String| json!({"workingDir": path});
        pod.app_with(&format!("self-{number}"), &look, &at(format!("/proc/self/fd/{number}"))).app_with(
            &format!("one-{number}"),
            &look,
            &at(format!("/proc/1/fd/{number}")),
        )
    });
    // And one that can be worked in, so that it is known what they would say.
    let pod = pod.app_with("fine", &look, &json!({"workingDir": "/proc/self"}));
    bed.start_pod(&pod)?.wait(SOON * 2)?;
    let lines = bed.trace.lines();
    let escaped: Vec<&String> = lines.iter().filter(|line| line.ends_with(" escaped")).collect();
    ensure!(escaped.is_empty(), "{escaped:?}");
    ensure!(bed.trace.count("fine in") == 1, "{lines:?}");
    Ok(())
}

/// What a container leaves where its last words are to be: the engine neither waits for it, nor reads where it leads, nor
/// takes more than it has room for.
fn a_file_for_the_last_words_that_is_no_file(bed: &Bed) -> Result<()> {
    require_root()?;
    let pods = Pods::start(bed)?;
    let secret = bed.file("secret", "the machine's")?;
    let last = "/dev/termination-log";
    let replace = |with: &str| format!("umount {last} 2>/dev/null; rm -f {last} 2>/dev/null; {with}; exit 1");
    let cases = [
        ("link", replace(&format!("ln -s {} {last}", secret.display()))),
        ("fifo", replace(&format!("mkfifo {last}"))),
        ("device", replace(&format!("mknod {last} c 1 5"))),
        ("endless", format!("truncate -s 1T {last}; exit 1")),
        ("full", format!("head -c 200000000 /dev/zero | tr '\\0' x >> {last}; exit 1")),
    ];
    for (name, script) in &cases {
        // With the right to unmount what is there.
        let able = json!({"securityContext": {"capabilities": {"add": ["SYS_ADMIN"]}}});
        pods.create(&Pod::new(name).app_with("main", script, &able))?;
    }
    for (name, _) in &cases {
        let status = pods.wait_phase(name, "Failed")?;
        let ended = &status["containerStatuses"][0]["state"]["terminated"];
        let message = ended["message"].as_str().unwrap_or_default();
        ensure!(message.len() <= 4096, "{name}: {} bytes", message.len());
        ensure!(!message.contains("machine"), "{name}: {message}");
        pods.delete(name, Some(0))?;
        pods.wait_gone(name).with_context(|| (*name).to_owned())?;
    }
    pods.finish()
}
