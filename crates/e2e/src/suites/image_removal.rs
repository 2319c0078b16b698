//! Images that nobody uses go when the disk fills, and what the node says of them.

use anyhow::{Context, Result, ensure};
use registry_double::{Double, Image, Layer, Pushed};
use serde_json::{Value, json};

use crate::archive;
use crate::bed::{Bed, SOON};
use crate::lasting::container;
use crate::pod::{Pod, mount};
use crate::pods::Pods;
use crate::runner::{Test, tests};
use crate::suites::images::{load_with, ls, pod_from};
use crate::suites::require_root;
use crate::wait;

pub(crate) const TESTS: &[Test] = tests![
    unused_images_go_when_the_disk_fills,
    unused_images_go_before_a_pod_has_to,
    a_pull_is_told_as_a_kubelet_tells_it,
];

/// Whatever disk this is, it is fuller than that, and never empty enough.
const ALWAYS: [&str; 4] = ["--image-gc-high-threshold", "1", "--image-gc-low-threshold", "0"];
const OF_ANY_AGE: [&str; 2] = ["--minimum-image-ttl-duration", "0s"];

fn push(double: &Double, repository: &str, tag: &str) -> Result<Pushed> {
    let base = archive::Layer::base()?.file("etc/whose", repository)?;
    Ok(double.push(repository, Some(tag), &Image::new(vec![Layer::new(base.into_tar()?)])))
}

fn pod(double: &Double, name: &str, script: &str) -> Pod {
    pod_from(&format!("{}/{name}:1", double.host()), name, script, &json!({}))
}

/// Of registries.
fn names(bed: &Bed) -> Result<Vec<String>> {
    let names = ls(bed)?.into_iter().map(|image| image["name"].as_str().unwrap_or_default().to_owned());
    Ok(names.filter(|name| !name.starts_with("localhost/host")).collect())
}

fn node_events(pods: &Pods<'_>) -> Result<Vec<String>> {
    let events = pods.get("/api/v1/namespaces/default/events")?;
    let of_node = events["items"].as_array().into_iter().flatten();
    let of_node = of_node.filter(|event| event["involvedObject"]["kind"] == "Node");
    let text = |event: &Value, name: &str| event[name].as_str().unwrap_or_default().to_owned();
    Ok(of_node.map(|event| format!("{} {}", text(event, "reason"), text(event, "message"))).collect())
}

fn wait_node_event(pods: &Pods<'_>, begin: &str) -> Result<()> {
    let is_there = || node_events(pods).ok()?.iter().any(|event| event.starts_with(begin)).then_some(());
    wait::until(begin, SOON, is_there).with_context(|| format!("{:?}", node_events(pods)))
}

fn unused_images_go_when_the_disk_fills(bed: &Bed) -> Result<()> {
    require_root()?;
    let double = Double::start();
    for name in ["old", "used", "new"] {
        push(&double, name, "1")?;
    }
    // Nobody could have this one again.
    load_with(bed, "localhost/own:1", &json!({}))?;
    let pods = Pods::start_with(bed, &[&ALWAYS[..], &OF_ANY_AGE, &["--dev"]].concat())?;
    pods.create(&pod(&double, "old", "mark $(cat /etc/whose)"))?;
    pods.wait_ended("old")?;
    pods.wait_mark("old", "main old")?;
    pods.create(&pod(&double, "used", "live"))?;
    pods.wait_ready("used")?;
    pods.delete("old", Some(0))?;
    pods.wait_gone("old")?;
    pods.create(&pod(&double, "new", "live"))?;
    pods.wait_ready("new")?;
    let host = double.host();
    let left = [format!("{host}/new:1"), format!("{host}/used:1"), "localhost/own:1".to_owned()];
    wait::until("what is left", SOON, || (names(bed).ok()? == left).then_some(()))
        .with_context(|| format!("{:?}", names(bed)))?;
    wait_node_event(
        &pods,
        "FreeDiskSpaceFailed Insufficient free disk space on the node's image filesystem (",
    )?;
    // The second time in a row.
    wait_node_event(&pods, "ImageGCFailed Insufficient free disk space on the node's image filesystem (")?;
    let listed = || -> Result<Vec<String>> {
        let nodes = pods.get("/api/v1/nodes")?;
        let images = nodes["items"][0]["status"]["images"].as_array().cloned().unwrap_or_default();
        ensure!(images.iter().all(|image| image["sizeBytes"].as_u64() > Some(0)), "{images:?}");
        let names = images.iter().flat_map(|image| image["names"].as_array().into_iter().flatten());
        let mut names: Vec<String> = names.filter_map(|name| Some(name.as_str()?.to_owned())).collect();
        names.retain(|name| !name.contains('@'));
        names.sort();
        Ok(names)
    };
    wait::until("the node's list", SOON, || (listed().ok()? == left).then_some(()))
        .with_context(|| format!("{:?}", listed()))?;
    pods.finish()
}

/// A threshold that is always met: unused images first, then a pod.
fn unused_images_go_before_a_pod_has_to(bed: &Bed) -> Result<()> {
    require_root()?;
    let double = Double::start();
    for name in ["old", "used"] {
        push(&double, name, "1")?;
    }
    let mut pods = Pods::start_with(bed, &["--eviction-hard", "none", "--dev"])?;
    pods.create(&pod(&double, "old", "mark $(cat /etc/whose)"))?;
    pods.wait_ended("old")?;
    pods.delete("old", Some(0))?;
    pods.wait_gone("old")?;
    pods.create(&pod(&double, "used", "live"))?;
    pods.wait_ready("used")?;
    ensure!(names(bed)?.len() == 2, "{:?}", names(bed)?);
    pods.serve_again_with(&[&["--eviction-hard", "nodefs.available<100%"], &OF_ANY_AGE[..]].concat())?;
    let status = pods.wait_phase("used", "Failed")?;
    ensure!(status["reason"] == "Evicted", "{status:#}");
    let left = [format!("{}/used:1", double.host())];
    ensure!(names(bed)? == left, "{:?}", names(bed)?);
    wait_node_event(&pods, "EvictionThresholdMet Attempting to reclaim ephemeral-storage")?;
    pods.finish()
}

/// The events in their order, the name and the ID of the image, and the same image again.
fn a_pull_is_told_as_a_kubelet_tells_it(bed: &Bed) -> Result<()> {
    require_root()?;
    let double = Double::start();
    let pushed = push(&double, "team/app", "latest")?;
    let host = double.host();
    let image = format!("{host}/team/app");
    let pods = Pods::start(bed)?;
    let mounted = json!({"volumeMounts": [mount("usr", "/usr"), mount("data", "/data")]});
    let data = json!({"name": "data", "image": {"reference": image, "pullPolicy": "IfNotPresent"}});
    let main = pod_from(&image, "main", "live", &mounted).volume(data);
    pods.create(&main)?;
    let status = pods.wait_ready("main")?;
    let main = container(&status, "main");
    ensure!(main["image"] == format!("{image}:latest"), "{main:#}");
    ensure!(main["imageID"] == format!("{image}@{}", pushed.manifest.digest), "{main:#}");
    let size = "Image size: ";
    pods.wait_event("main", &format!("Pulled Successfully pulled image \"{image}\" in "))?;
    let events = pods.events("main")?;
    let of_images = events.iter().filter(|event| event.starts_with("Pull")).map(String::as_str);
    let of_images: Vec<&str> = of_images.collect();
    let begins = [
        format!("Pulling Pulling image \"{image}\""),
        format!("Pulled Successfully pulled image \"{image}\" in "),
    ];
    ensure!(
        of_images.iter().zip(&begins).all(|(event, begin)| event.starts_with(begin))
            && of_images.iter().any(|event| event.contains(" including waiting). ") && event.contains(size)),
        "{of_images:?}"
    );
    pods.finish()
}
