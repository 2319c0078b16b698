//! Images of a real registry, made and put there by the programs that people use.

use std::fs;

use anyhow::{Context, Result, ensure};
use serde_json::json;

use crate::archive::Layer;
use crate::bed::{Bed, SOON};
use crate::pod::{Pod, mount};
use crate::registry::{self, HOST, Registry, Setup, Tool, artifact, call, copy, text};
use crate::runner::{Test, tests};
use crate::suites::images::{LOADED, expect_stored, image, ls, pod_from, run};
use crate::suites::require_root;
use crate::wait;

pub(crate) const TESTS: &[Test] = tests![
    by_tag_and_by_digest,
    all_formats,
    an_index_has_this_machines_image,
    an_image_of_buildah_runs_as_it_says,
    an_image_of_umoci_runs_as_it_says,
    layers_are_fetched_once,
    an_artifact_is_a_volume,
    fifty_pods_are_one_pull,
    engines_share_a_pull,
    a_registry_that_dies_and_comes_back,
];

const PLAIN: Setup = Setup { tls: false, private: false };
const APP: &str = "127.0.0.1:5000/team/app:1";

fn layers() -> Result<Vec<Layer>> {
    Ok(vec![Layer::base()?.file("data/below", "below")?, Layer::new().file("data/above", "above")?])
}

/// What every image here is, by the container's own account.
fn look(name: &str, image: &str) -> Pod {
    pod_from(image, name, "say $(cat /data/below) $(cat /data/above)", &json!({}))
}

fn by_tag_and_by_digest(bed: &Bed) -> Result<()> {
    require_root()?;
    let registry = Registry::start(bed, PLAIN)?;
    let digest = registry::image(bed, "team/app:1", &json!({}), layers()?, &[])?;
    // The pod itself pulls, and the command finds it there.
    bed.run_pod(&look("by-tag", APP))?.expect_code(0)?;
    let blobs = registry.got("/blobs/");
    run(bed, &["pull", APP])?.expect_code(0)?;
    ensure!(registry.got("/blobs/") == blobs, "blobs were fetched again");
    // What has a digest is asked for once.
    let by_digest = format!("{HOST}/team/app@{digest}");
    bed.run_pod(&look("by-digest", &by_digest))?.expect_code(0)?;
    let asked = registry.asked().len();
    bed.run_pod(&look("again", &by_digest))?.expect_code(0)?;
    ensure!(
        registry.asked().len() == asked,
        "the registry was asked for what is there: {:?}",
        registry.asked()
    );
    ensure!(registry.got("/blobs/") == blobs, "blobs were fetched again");
    bed.trace.wait_count("main below above", 3, SOON)?;
    // Another image takes the tag's name, once it is asked for.
    let other = vec![Layer::base()?.file("data/below", "other")?.file("data/above", "image")?];
    registry::image(bed, "team/app:1", &json!({}), other, &[])?;
    bed.run_pod(&look("old", APP))?.expect_code(0)?;
    bed.trace.wait_count("main below above", 4, SOON)?;
    let always = pod_from(
        APP,
        "new",
        "say $(cat /data/below) $(cat /data/above)",
        &json!({"imagePullPolicy": "Always"}),
    );
    bed.run_pod(&always)?.expect_code(0)?;
    bed.trace.expect_order(&["main other image"])
}

fn all_formats(bed: &Bed) -> Result<()> {
    require_root()?;
    let _registry = Registry::start(bed, PLAIN)?;
    let formats: [(&str, &[&str]); 4] = [
        ("schema2", &["--format", "v2s2"]),
        ("oci", &["--format", "oci"]),
        ("zstd", &["--format", "oci", "--dest-compress-format", "zstd"]),
        ("plain", &["--format", "oci", "--dest-decompress"]),
    ];
    for (name, how) in formats {
        registry::image(bed, &format!("formats/{name}:1"), &json!({}), layers()?, how)?;
        bed.run_pod(&look(name, &format!("{HOST}/formats/{name}:1")))
            .and_then(|ended| ended.expect_code(0).map(drop))
            .context(name)?;
    }
    bed.trace.wait_count("main below above", formats.len(), SOON)?;
    // A configuration for Docker and one for OCI, and layers that are there once.
    expect_stored(bed, 2, 2)
}

fn an_index_has_this_machines_image(bed: &Bed) -> Result<()> {
    require_root()?;
    let _registry = Registry::start(bed, PLAIN)?;
    let (own, other) = match std::env::consts::ARCH {
        "aarch64" => ("arm64", "amd64"),
        _ => ("amd64", "arm64"),
    };
    let buildah = |args: &[&str]| call(bed, Tool::Buildah, args);
    buildah(&["manifest", "create", "both"])?;
    for (architecture, word) in [(other, "other"), (own, "own")] {
        let files = bed.dir().join(architecture);
        fs::create_dir_all(&files)?;
        fs::write(files.join("below"), word)?;
        fs::write(files.join("above"), architecture)?;
        let name = buildah(&["from", "--arch", architecture, "scratch"])?;
        copy_base(bed, &name)?;
        buildah(&["copy", &name, &text(&files), "/data"])?;
        buildah(&["config", "--arch", architecture, "--os", "linux", &name])?;
        buildah(&["commit", &name, architecture])?;
        buildah(&["manifest", "add", "--arch", architecture, "both", &format!("localhost/{architecture}")])?;
    }
    for (format, tag) in [("oci", "1"), ("v2s2", "2")] {
        let to = format!("docker://{HOST}/team/both:{tag}");
        let how = ["manifest", "push", "--all", "--tls-verify=false", "--format", format, "both", &to];
        buildah(&how)?;
        bed.run_pod(&look(format, &format!("{HOST}/team/both:{tag}")))?.expect_code(0)?;
    }
    bed.trace.wait_count(&format!("main own {own}"), 2, SOON)
}

/// What a container needs to run the host's programs.
fn copy_base(bed: &Bed, container: &str) -> Result<()> {
    let base = bed.dir().join("base");
    if !base.exists() {
        fs::create_dir_all(base.join("etc"))?;
        fs::create_dir_all(base.join("usr"))?;
        fs::write(base.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\napp:x:1234:1234::/:/bin/sh\n")?;
        for name in ["bin", "lib", "lib64"] {
            if let Ok(target) = fs::read_link(format!("/{name}")) {
                std::os::unix::fs::symlink(target, base.join(name))?;
            }
        }
    }
    call(bed, Tool::Buildah, &["copy", container, &text(&base), "/"]).map(drop)
}

/// A pod that says nothing of a process: the image does. With its trace, where it says who it is.
fn as_it_is(bed: &Bed, name: &str, image: &str) -> Result<std::path::PathBuf> {
    let spec = json!({
        "restartPolicy": "Never", "terminationGracePeriodSeconds": 20,
        "containers": [{"name": "main", "image": image, "volumeMounts": [mount("usr", "/usr"), mount("trace", "/trace")]}],
        "volumes": [{"name": "usr", "hostPath": {"path": "/usr"}},
            {"name": "trace", "hostPath": {"path": bed.dir().join("trace")}}],
    });
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec});
    bed.file(&format!("{name}.json"), &pod.to_string())
}

/// Stays until it is told to end as the image says, and then tells where it was and as whom.
const PROCESS: &str = "trap 'echo told $GREETING $(id -u) $(pwd) $1 >> /trace/log; exit 0' USR1; \
     touch /cache/mine || exit 1; echo $(stat -f -c %T /cache) >> /trace/fs; echo up >> /trace/log; while :; do sleep 0.05; done";

fn runs_as_it_says(bed: &Bed, image: &str) -> Result<()> {
    let mut engine = bed.start(bed.run_command().arg(as_it_is(bed, "as-it-is", image)?))?;
    wait::until("the container", SOON, || {
        (bed.trace.count("up") == 1 || !engine.is_running().unwrap_or(false)).then_some(())
    })?;
    let ended = bed.interrupt(engine)?;
    bed.trace.expect_order(&["up", "told hello 1234 /work cmd"]).with_context(|| ended.output())
}

fn an_image_of_buildah_runs_as_it_says(bed: &Bed) -> Result<()> {
    require_root()?;
    let _registry = Registry::start(bed, PLAIN)?;
    let buildah = |args: &[&str]| call(bed, Tool::Buildah, args);
    let name = buildah(&["from", "scratch"])?;
    copy_base(bed, &name)?;
    let cache = bed.dir().join("cache");
    fs::create_dir_all(&cache)?;
    buildah(&["copy", "--chown", "1234:1234", &name, &text(&cache), "/cache"])?;
    let entrypoint = json!(["/bin/sh", "-c", PROCESS, "name"]).to_string();
    let config =
        ["config", "--user", "app", "--workingdir", "/work", "--env", "GREETING=hello", "--env", "PATH=/bin"];
    let more =
        ["--stop-signal", "USR1", "--volume", "/cache", "--entrypoint", &entrypoint, "--cmd", "cmd", &name];
    buildah(&[&config[..], &more].concat())?;
    for format in ["oci", "docker"] {
        buildah(&["commit", "--format", format, &name, format])?;
        let to = format!("docker://{HOST}/team/{format}:1");
        buildah(&["push", "--tls-verify=false", format, &to])?;
    }
    runs_as_it_says(bed, &format!("{HOST}/team/oci:1"))
}

fn an_image_of_umoci_runs_as_it_says(bed: &Bed) -> Result<()> {
    require_root()?;
    let _registry = Registry::start(bed, PLAIN)?;
    let (layout, bundle) = (text(&bed.dir().join("layout")), bed.dir().join("bundle"));
    let tagged = format!("{layout}:1");
    let umoci = |args: &[&str]| call(bed, Tool::Umoci, args);
    umoci(&["init", "--layout", &layout])?;
    umoci(&["new", "--image", &tagged])?;
    umoci(&["unpack", "--image", &tagged, &text(&bundle)])?;
    let root = bundle.join("rootfs");
    for dir in ["usr", "etc", "cache"] {
        fs::create_dir(root.join(dir))?;
    }
    fs::write(root.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\napp:x:1234:1234::/:/bin/sh\n")?;
    std::os::unix::fs::chown(root.join("cache"), Some(1234), Some(1234))?;
    for name in ["bin", "lib", "lib64"] {
        if let Ok(target) = fs::read_link(format!("/{name}")) {
            std::os::unix::fs::symlink(target, root.join(name))?;
        }
    }
    umoci(&["repack", "--image", &tagged, &text(&bundle)])?;
    let mut config =
        vec!["config", "--image", &tagged, "--config.user", "app", "--config.workingdir", "/work"];
    config.extend([
        "--config.env",
        "GREETING=hello",
        "--config.env",
        "PATH=/bin",
        "--config.stopsignal",
        "SIGUSR1",
    ]);
    config.extend(["--config.volume", "/cache", "--config.cmd", "cmd"]);
    for word in ["/bin/sh", "-c", PROCESS, "name"] {
        config.extend(["--config.entrypoint", word]);
    }
    umoci(&config)?;
    copy(bed, &format!("oci:{tagged}"), "team/umoci:1", &[])?;
    runs_as_it_says(bed, &format!("{HOST}/team/umoci:1"))
}

fn layers_are_fetched_once(bed: &Bed) -> Result<()> {
    require_root()?;
    let registry = Registry::start(bed, PLAIN)?;
    let with = |own: &str| -> Result<Vec<Layer>> {
        let mut all = layers()?;
        all.push(Layer::new().file("own", own)?);
        Ok(all)
    };
    for name in ["one", "two"] {
        registry::image(bed, &format!("team/{name}:1"), &json!({}), with(name)?, &[])?;
    }
    run(bed, &["pull", &format!("{HOST}/team/one:1")])?.expect_code(0)?;
    let before = registry.got("/blobs/");
    ensure!(before == 4, "{before} blobs for three layers and a configuration");
    run(bed, &["pull", &format!("{HOST}/team/two:1")])?.expect_code(0)?;
    let more = registry.got("/blobs/") - before;
    ensure!(more == 2, "{more} blobs for one layer and a configuration");
    expect_stored(bed, 2, 4)?;
    // They leave as they came.
    for name in ["one", "two"] {
        let saved = text(&bed.dir().join("saved.tar"));
        run(bed, &["save", &format!("{HOST}/team/{name}:1"), "-o", &saved])?.expect_code(0)?;
        run(bed, &["rm", &format!("{HOST}/team/{name}:1")])?.expect_code(0)?;
    }
    expect_stored(bed, 0, 0)
}

fn an_artifact_is_a_volume(bed: &Bed) -> Result<()> {
    require_root()?;
    let _registry = Registry::start(bed, PLAIN)?;
    artifact("team/files", "1", &[("model.txt", b"weights"), ("dir/notes.txt", b"notes")])?;
    registry::image(bed, "team/app:1", &json!({}), layers()?, &[])?;
    let reference = format!("{HOST}/team/files:1");
    let volume = json!({"name": "files", "image": {"reference": reference}});
    let script = "say $(cat /files/model.txt) $(cat /files/dir/notes.txt); touch /files/x || say read-only";
    let mounts = json!({"volumeMounts": [mount("usr", "/usr"), mount("files", "/files")]});
    bed.run_pod(&pod_from(APP, "reader", script, &mounts).volume(volume))?.expect_code(0)?;
    bed.trace.expect_order(&["main weights notes", "main read-only"])?;
    // It is no image of a container's.
    let pod = Pod::new("container").app_with("main", "say ran", &json!({"image": reference}));
    bed.run_pod(&pod)?.expect_code(1)?.expect_output("could not be started (StartError)")?;
    bed.trace.expect_absent("main ran")
}

fn fifty_pods_are_one_pull(bed: &Bed) -> Result<()> {
    const PODS: usize = 50;
    require_root()?;
    let registry = Registry::start(bed, PLAIN)?;
    registry::image(bed, "team/app:1", &json!({}), layers()?, &[])?;
    let manifests: Vec<_> =
        (0..PODS).map(|n| bed.manifest(&look(&format!("pod-{n}"), APP))).collect::<Result<_>>()?;
    bed.start(bed.run_command().args(manifests))?.wait(4 * SOON)?.expect_code(0)?;
    bed.trace.wait_count("main below above", PODS, SOON)?;
    // Two layers and a configuration; the tag was asked for once.
    let (blobs, manifests) = (registry.got("/blobs/"), registry.got("/manifests/"));
    ensure!(blobs == 3 && manifests <= 2, "{blobs} blobs and {manifests} manifests");
    Ok(())
}

fn engines_share_a_pull(bed: &Bed) -> Result<()> {
    require_root()?;
    let registry = Registry::start(bed, PLAIN)?;
    let large: String = (0..400_000).map(|n: u32| format!("{:x} ", n.wrapping_mul(2_654_435_761))).collect();
    let layers = vec![
        Layer::base()?.file("data/below", "below")?,
        Layer::new().file("data/above", "above")?.file("l", &large)?,
    ];
    registry::image(bed, "team/app:1", &json!({}), layers, &[])?;
    let mut engines = Vec::new();
    for name in ["one", "two", "three"] {
        engines.push(bed.start_pod(&look(name, APP))?);
    }
    let mut pulls = Vec::new();
    for _ in 0..3 {
        pulls.push(bed.start(&mut image(bed, &["pull", APP]))?);
    }
    for engine in engines {
        engine.wait(4 * SOON)?.expect_code(0)?;
    }
    for pull in pulls {
        pull.wait(LOADED)?.expect_code(0)?;
    }
    let blobs = registry.got("/blobs/");
    ensure!(blobs == 3, "{blobs} blobs for two layers and a configuration");
    expect_stored(bed, 1, 2)
}

/// All that is known of the pull while it goes on is that a layer is being fetched; how much of it has come the test decides.
fn a_registry_that_dies_and_comes_back(bed: &Bed) -> Result<()> {
    require_root()?;
    let mut registry = Registry::start(bed, PLAIN)?;
    let large: String =
        (0..3_000_000).map(|n: u32| format!("{:x} ", n.wrapping_mul(2_654_435_761))).collect();
    let layers = vec![Layer::base()?.file("large", &large)?];
    registry::image(bed, "team/large:1", &json!({}), layers, &["--dest-decompress", "--format", "oci"])?;
    let relay = registry::Relay::start("127.0.0.1:5001", 5_000_000)?;
    let pull = bed.start(&mut image(bed, &["pull", "127.0.0.1:5001/team/large:1"]))?;
    relay.wait_cut(SOON)?;
    registry.kill();
    relay.go_on();
    registry.again()?;
    pull.wait(LOADED)?.expect_code(0)?;
    let partial = registry.asked().iter().filter(|asked| asked.status == 206).count();
    ensure!(partial > 0, "the layer was fetched from its beginning again: {:?}", registry.asked());
    let listed = ls(bed)?;
    ensure!(listed.iter().any(|image| image["name"] == "127.0.0.1:5001/team/large:1"), "{listed:?}");
    Ok(())
}
