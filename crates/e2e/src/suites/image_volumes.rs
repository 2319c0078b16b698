//! `VOLUME` of an image: a directory for each container, with what the image has there.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use crate::archive::{Layer, docker};
use crate::bed::{Bed, SOON};
use crate::pod::{Pod, mount};
use crate::pods::Pods;
use crate::runner::{Test, tests};
use crate::suites::user_namespaces::require_id_maps;
use crate::suites::{images, require_root};

pub(crate) const TESTS: &[Test] = tests![
    what_the_image_has_there,
    each_attempt_has_its_own,
    users_of_the_pod,
    volumes_that_cannot_be,
    nothing_of_the_image_leads_out,
];

const IMAGE: &str = "localhost/volumes:1";

/// An image whose programs are the host's, with more of these layers and these volumes.
fn load(bed: &Bed, volumes: &[&str], layers: Vec<Layer>) -> Result<()> {
    let volumes: serde_json::Map<_, _> = volumes.iter().map(|path| ((*path).to_owned(), json!({}))).collect();
    let layers = std::iter::once(Layer::base()?).chain(layers).collect();
    let archive = bed.dir().join("volumes.tar");
    fs::write(&archive, docker(IMAGE, &json!({"Volumes": volumes}), layers)?)?;
    images::run(bed, &["load", archive.to_str().context("the test's directory is no text")?])?
        .expect_code(0)?;
    Ok(())
}

fn pod(name: &str) -> Pod {
    Pod::new(name).volume(json!({"name": "usr", "hostPath": {"path": "/usr", "type": "Directory"}}))
}

fn fields(mounts: &[Value], read_only: bool) -> Value {
    let mounts: Vec<_> = [mount("usr", "/usr")].iter().chain(mounts).cloned().collect();
    json!({"image": IMAGE, "volumeMounts": mounts, "securityContext": {"readOnlyRootFilesystem": read_only}})
}

fn what_the_image_has_there(bed: &Bed) -> Result<()> {
    require_root()?;
    let below = Layer::new()
        .directory_of("data", 0o1770, 1234)?
        .file("data/kept", "below")?
        .file("data/gone", "")?
        .directory("log", 0o755)?
        .file("log/old", "")?
        .directory("real", 0o700)?
        .link("linked", "real")?;
    let above = Layer::new().whiteout("data", "gone")?.file("data/kept", "above")?;
    let volumes = ["/data/", "/made/here", "/log", "/linked", "/sys/fs/cgroup"];
    load(bed, &volumes, vec![below, above])?;
    let script = "for of in /data /made/here /real; do say $(stat -c '%n %a %u:%g' $of); done; say $(cat /data/kept); \
                  say $(ls /data /log); for at in / /data /made /made/here /log /linked; do \
                  echo x 2>/dev/null > $at/new && say wrote $at; done; say $(ls /real); \
                  [ -e /sys/fs/cgroup/cgroup.procs ] || [ -e /sys/fs/cgroup/memory ] && say groups";
    let pod = pod("volumes")
        .volume(json!({"name": "own", "emptyDir": {}}))
        .app_with("main", script, &fields(&[mount("own", "/log")], true))
        .app_with("writable", "say $(stat -c '%n %a %u:%g' /data)", &fields(&[], false));
    bed.run_pod(&pod)?.expect_code(0)?;
    bed.trace.expect_order(&[
        "main /data 1770 1234:1234",
        "main /made/here 755 0:0",
        "main /real 700 0:0",
        "main above",
        "main /data: kept /log:",
        "main wrote /data",
        "main wrote /made/here",
        "main wrote /log",
        "main wrote /linked",
        "main new",
        "main groups",
    ])?;
    bed.trace.expect_absent("main wrote /")?;
    bed.trace.expect_absent("main wrote /made")?;
    bed.trace.expect_order(&["writable /data 1770 1234:1234"])
}

fn each_attempt_has_its_own(bed: &Bed) -> Result<()> {
    require_root()?;
    load(
        bed,
        &["/data", "/data/below"],
        vec![Layer::new().directory("data", 0o755)?.file("data/old", "old")?],
    )?;
    let script = "say found $(cat /data/old) $(ls /data /data/below); echo new > /data/old; echo > /data/mine; \
                  echo > /data/below/mine; say $(ls /data/below); [ -e /trace/once ] || { echo > /trace/once; exit 1; }";
    let pod = pod("again")
        .spec(&json!({"restartPolicy": "OnFailure"}))
        .app_with("main", script, &fields(&[], false))
        .app_with(
            "beside",
            "until [ -e /trace/once ]; do sleep 0.02; done; say found $(ls /data)",
            &fields(&[], false),
        );
    bed.run_pod(&pod)?.expect_code(0)?;
    let found = "main found old /data: below old /data/below:";
    bed.trace.expect_order(&[found, "main mine", found, "main mine"])?;
    bed.trace.expect_order(&["beside found below old"])?;
    bed.expect_no_pods(SOON)
}

/// Owners are what the pod sees, and what it writes is its own.
fn users_of_the_pod(bed: &Bed) -> Result<()> {
    require_root()?;
    require_id_maps()?;
    load(bed, &["/data", "/made"], vec![Layer::new().directory_of("data", 0o700, 1234)?])?;
    let script =
        "say $(stat -c '%n %a %u:%g' /data /made); echo > /data/new && say $(stat -c %u:%g /data/new)";
    let pod = pod("users").spec(&json!({"hostUsers": false})).app_with("main", script, &fields(&[], true));
    bed.run_pod(&pod)?.expect_code(0)?;
    bed.trace.expect_order(&["main /data 700 1234:1234 /made 755 0:0", "main 0:0"])
}

fn volumes_that_cannot_be(bed: &Bed) -> Result<()> {
    require_root()?;
    let many: Vec<String> = (0..65).map(|n| format!("/{n}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    for (volumes, part) in [
        (&["/file"][..], "there is a file in the image"),
        (&["/"], "over its whole root"),
        (&many, "asks for 65 volumes, the limit is 64"),
    ] {
        load(bed, volumes, vec![Layer::new().file("file", "")?])?;
        let pods = Pods::start(bed)?;
        pods.create(&pod("cannot").app_with("main", "serve", &fields(&[], false)))?;
        let waiting = |status: &Value| status["containerStatuses"][0]["state"]["waiting"].clone();
        let is_refused = |status: &Value| waiting(status)["reason"] == "CreateContainerError";
        let waiting = waiting(&pods.wait("cannot", "CreateContainerError", is_refused)?);
        ensure!(waiting["message"].as_str().is_some_and(|message| message.contains(part)), "{waiting}");
        pods.delete("cannot", Some(0))?;
        pods.wait_gone("cannot")?;
        pods.finish()?;
    }
    Ok(())
}

/// Links lead nowhere but into the image, be it that something is made where one leads.
fn nothing_of_the_image_leads_out(bed: &Bed) -> Result<()> {
    require_root()?;
    let outside = bed.dir().join("outside");
    fs::create_dir(&outside)?;
    let target = outside.to_str().context("the test's directory is no text")?;
    let up = "../".repeat(40);
    let links = Layer::new()
        .link("absolute", target)?
        .link("relative", &format!("{up}{target}"))?
        .link("into", &format!("{target}/made"))?;
    load(bed, &["/absolute", "/relative/deep", "/into"], vec![links])?;
    let script = "for at in /absolute /relative/deep /into; do echo > $at/new && say wrote $at; done";
    bed.run_pod(&pod("links").app_with("main", script, &fields(&[], false)))?.expect_code(0)?;
    bed.trace.expect_order(&["main wrote /absolute", "main wrote /relative/deep", "main wrote /into"])?;
    let found = fs::read_dir(&outside)?.count();
    ensure!(found == 0, "{found} names were made outside of the image");
    Ok(())
}
