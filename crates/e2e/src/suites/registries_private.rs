//! Registries that ask who one is, and those that are reached in other ways than by their name.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::archive::Layer;
use crate::bed::{Bed, SOON};
use crate::lasting::container;
use crate::pod::Pod;
use crate::pods::Pods;
use crate::registry::{self, HOST, NAME, PASSWORD, Proxy, Registry, Setup, USERNAME};
use crate::runner::{Test, tests};
use crate::suites::images::pod_from;
use crate::suites::require_root;

pub(crate) const TESTS: &[Test] = tests![
    secrets_of_the_pod,
    secrets_of_the_service_account,
    what_a_secret_pulled_is_not_everybodys,
    without_credentials,
    files_of_the_node,
    a_helper_of_the_node,
    an_authority_of_the_files,
    a_mirror_before_a_dead_host,
    through_a_proxy,
];

const PRIVATE: Setup = Setup { tls: false, private: true };
const APP: &str = "127.0.0.1:5000/team/app:1";
const PULLING: &str = "Pulling Pulling image \"127.0.0.1:5000/team/app:1\"";
const THERE: &str = "Pulled Container image \"127.0.0.1:5000/team/app:1\" already present on machine and can be accessed by the pod";

/// A private registry with one image; its digest.
fn private(bed: &Bed) -> Result<(Registry, String)> {
    require_root()?;
    let registry = Registry::start(bed, PRIVATE)?;
    let digest = push(bed)?;
    Ok((registry, digest))
}

fn push(bed: &Bed) -> Result<String> {
    registry::image(bed, "team/app:1", &json!({}), vec![Layer::base()?], &[])
}

fn app(name: &str, fields: &Value) -> Pod {
    pod_from(APP, name, "serve", fields)
}

/// `auths` of a docker configuration.
fn auths(host: &str, password: &str) -> Value {
    json!({"auths": {host: {"username": USERNAME, "password": password}}})
}

fn create_secret(pods: &Pods<'_>, name: &str, config: &Value) -> Result<()> {
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": name},
        "type": "kubernetes.io/dockerconfigjson", "stringData": {".dockerconfigjson": config.to_string()},
    });
    pods.api().post("/api/v1/namespaces/default/secrets", &secret)?.expect(201)?;
    Ok(())
}

fn with_secret(secret: &str) -> Value {
    json!({"imagePullSecrets": [{"name": secret}]})
}

fn secrets_of_the_pod(bed: &Bed) -> Result<()> {
    let (_registry, digest) = private(bed)?;
    let pods = Pods::start(bed)?;
    create_secret(&pods, "wrong", &auths(HOST, "nonsense"))?;
    create_secret(&pods, "right", &auths(HOST, PASSWORD))?;
    // Those that do not fit are tried, and the next one is.
    let spec = json!({"imagePullSecrets": [{"name": "none"}, {"name": "wrong"}, {"name": "right"}]});
    pods.create(&app("reader", &json!({})).spec(&spec))?;
    let status = pods.wait_ready("reader")?;
    let main = container(&status, "main");
    let expected = format!("{HOST}/team/app@{digest}");
    ensure!(main["imageID"] == expected.as_str() && main["image"] == APP, "{main:#}");
    pods.wait_event("reader", PULLING)?;
    let pulled =
        pods.wait_event("reader", "Pulled Successfully pulled image \"127.0.0.1:5000/team/app:1\" in ")?;
    ensure!(pulled.contains(" including waiting). Image size: ") && pulled.ends_with(" bytes."), "{pulled}");
    pods.finish()
}

fn secrets_of_the_service_account(bed: &Bed) -> Result<()> {
    let (_registry, _) = private(bed)?;
    let pods = Pods::start(bed)?;
    create_secret(&pods, "right", &auths(HOST, PASSWORD))?;
    let account = json!({
        "apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "puller"},
        "imagePullSecrets": [{"name": "right"}],
    });
    pods.api().post("/api/v1/namespaces/default/serviceaccounts", &account)?.expect(201)?;
    pods.create(&app("reader", &json!({})).spec(&json!({"serviceAccountName": "puller"})))?;
    pods.wait_ready("reader")?;
    let pod = pods.find("reader")?.context("no pod")?;
    ensure!(pod["spec"]["imagePullSecrets"] == json!([{"name": "right"}]), "{pod:#}");
    pods.finish()
}

/// KEP-2535: an image that is there is for those who could have pulled it.
fn what_a_secret_pulled_is_not_everybodys(bed: &Bed) -> Result<()> {
    let (registry, _) = private(bed)?;
    let pods = Pods::start(bed)?;
    create_secret(&pods, "right", &auths(HOST, PASSWORD))?;
    pods.create(&app("owner", &json!({})).spec(&with_secret("right")))?;
    pods.wait_ready("owner")?;
    let asked = registry.asked().len();
    pods.create(&app("other-owner", &json!({})).spec(&with_secret("right")))?;
    pods.wait_ready("other-owner")?;
    pods.wait_event("other-owner", THERE)?;
    ensure!(registry.asked().len() == asked, "the registry was asked for what the secret may have");

    pods.create(&app("stranger", &json!({"imagePullPolicy": "IfNotPresent"})))?;
    waits(&pods, "stranger", "ErrImagePull")?;
    pods.create(&app("never", &json!({"imagePullPolicy": "Never"})))?;
    waits(&pods, "never", "ErrImageNeverPull")?;
    pods.create(&app("never-owner", &json!({"imagePullPolicy": "Never"})).spec(&with_secret("right")))?;
    pods.wait_ready("never-owner")?;
    // The same credentials by another name are as good.
    create_secret(&pods, "again", &auths(HOST, PASSWORD))?;
    let asked = registry.asked().len();
    pods.create(&app("same", &json!({"imagePullPolicy": "Never"})).spec(&with_secret("again")))?;
    pods.wait_ready("same")?;
    ensure!(registry.asked().len() == asked, "the registry was asked though the policy is Never");
    pods.finish()
}

/// Waits for a container that waits so.
fn waits(pods: &Pods<'_>, pod: &str, reason: &str) -> Result<String> {
    let status =
        pods.wait(pod, reason, |status| container(status, "main")["state"]["waiting"]["reason"] == reason)?;
    Ok(container(&status, "main")["state"]["waiting"]["message"].as_str().unwrap_or_default().to_owned())
}

fn without_credentials(bed: &Bed) -> Result<()> {
    let (_registry, _) = private(bed)?;
    let pods = Pods::start(bed)?;
    create_secret(&pods, "wrong", &auths(HOST, "nonsense"))?;
    for (name, spec) in [("without", json!({})), ("wrong", with_secret("wrong"))] {
        pods.create(&app(name, &json!({})).spec(&spec))?;
        let message = waits(&pods, name, "ErrImagePull")?;
        ensure!(message.contains("team/app") && !message.contains("nonsense"), "{message}");
        let message = waits(&pods, name, "ImagePullBackOff")?;
        ensure!(message.starts_with(&format!("Back-off pulling image \"{APP}\"")), "{message}");
        for begin in [
            PULLING,
            "Failed Failed to pull image \"127.0.0.1:5000/team/app:1\": ",
            "Failed Error: ErrImagePull",
            "BackOff Back-off pulling image \"127.0.0.1:5000/team/app:1\"",
            "Failed Error: ImagePullBackOff",
        ] {
            pods.wait_event(name, begin)?;
        }
    }
    // Once the secret is there, the next try has it.
    create_secret(&pods, "late", &auths(HOST, PASSWORD))?;
    pods.create(&app("late", &json!({})).spec(&with_secret("late")))?;
    pods.wait_ready("late")?;
    pods.finish()
}

/// The end of a pod whose image comes by what `prepare` does to the engine's command.
fn runs_with(bed: &Bed, image: &str, prepare: impl FnOnce(&mut Command)) -> Result<()> {
    let mut command = bed.run_command();
    // Nothing of whoever runs the test.
    for name in ["DOCKER_CONFIG", "REGISTRY_AUTH_FILE", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR", "SUDO_USER"] {
        command.env_remove(name);
    }
    command.env("HOME", bed.dir().join("home"));
    prepare(&mut command);
    let manifest = bed.manifest(&pod_from(image, "reader", "say ran", &json!({})))?;
    let before = bed.trace.count("main ran");
    let mut engine = bed.start(command.arg(manifest))?;
    crate::wait::until("the container, or an error", SOON, || {
        let is_done =
            bed.trace.count("main ran") > before || engine.output().contains("cannot use its image");
        (is_done || !engine.is_running().unwrap_or(false)).then_some(())
    })?;
    if bed.trace.count("main ran") == before {
        let said = engine.output();
        bed.interrupt(engine)?;
        anyhow::bail!("{said}");
    }
    engine.wait(SOON)?.expect_code(0)?;
    Ok(())
}

fn write(path: PathBuf, text: &str, mode: u32) -> Result<PathBuf> {
    fs::create_dir_all(path.parent().context("no directory")?)?;
    fs::write(&path, text)?;
    fs::set_permissions(&path, Permissions::from_mode(mode))?;
    Ok(path)
}

fn files_of_the_node(bed: &Bed) -> Result<()> {
    require_root()?;
    let registry = Registry::start(bed, Setup { tls: true, private: true })?;
    push(bed)?;
    let certificates = bed.dir().join("certs.d");
    fs::create_dir_all(certificates.join(HOST))?;
    fs::copy(registry.ca(), certificates.join(HOST).join("ca.crt"))?;
    let trusting = |command: &mut Command| _ = command.arg("--registry-config").arg(&certificates);
    let refused = runs_with(bed, APP, trusting);
    let refused = refused.err().context("it ran without credentials")?;
    ensure!(format!("{refused:#}").contains("ErrImagePull"), "{refused:#}");
    let right = auths(HOST, PASSWORD).to_string();
    write(bed.dir().join("home/.docker/config.json"), &right, 0o600)?;
    runs_with(bed, APP, trusting)?;
    // What is there already is there for the node.
    fs::remove_dir_all(bed.dir().join("home"))?;
    runs_with(bed, APP, trusting)?;
    bed.trace.wait_count("main ran", 2, SOON)?;
    let file = write(bed.dir().join("auth.json"), &right, 0o600)?;
    registry::image(bed, "team/other:1", &json!({}), vec![Layer::base()?.file("other", "")?], &[])?;
    runs_with(bed, &format!("{HOST}/team/other:1"), |command| {
        trusting(command);
        command.env("REGISTRY_AUTH_FILE", file);
    })?;
    bed.trace.wait_count("main ran", 3, SOON)
}

fn a_helper_of_the_node(bed: &Bed) -> Result<()> {
    let (_registry, _) = private(bed)?;
    let config = json!({"credHelpers": {HOST: "test"}}).to_string();
    write(bed.dir().join("home/.docker/config.json"), &config, 0o600)?;
    let answer = json!({"ServerURL": HOST, "Username": USERNAME, "Secret": PASSWORD});
    let asked = bed.dir().join("asked");
    let script =
        format!("#!/bin/sh\nread -r server\necho \"$1 $server\" >> {}\necho '{answer}'\n", asked.display());
    write(bed.dir().join("bin/docker-credential-test"), &script, 0o755)?;
    let path = format!("{}:/usr/bin:/bin", bed.dir().join("bin").display());
    runs_with(bed, APP, |command| _ = command.env("PATH", path))?;
    let said = fs::read_to_string(asked)?;
    ensure!(said.lines().all(|line| line == format!("get {HOST}")) && !said.is_empty(), "{said:?}");
    Ok(())
}

fn an_authority_of_the_files(bed: &Bed) -> Result<()> {
    require_root()?;
    let registry = Registry::start(bed, Setup { tls: true, private: false })?;
    push(bed)?;
    let refused = runs_with(bed, APP, |_| {});
    let refused = format!("{:#}", refused.err().context("a certificate of nobody was believed")?);
    ensure!(refused.contains("certificate"), "{refused}");
    // As docker and podman have it.
    let of_docker = bed.dir().join("docker");
    fs::create_dir_all(of_docker.join(HOST))?;
    fs::copy(registry.ca(), of_docker.join(HOST).join("ca.crt"))?;
    runs_with(bed, APP, |command| _ = command.arg("--registry-config").arg(&of_docker))?;
    // As containerd has it, for another image.
    let other = format!("{HOST}/team/other:1");
    registry::image(bed, "team/other:1", &json!({}), vec![Layer::base()?.file("other", "")?], &[])?;
    let of_containerd = bed.dir().join("containerd");
    let hosts = format!(
        "server = \"https://{HOST}\"\n[host.\"https://{HOST}\"]\nca = \"{}\"\n",
        registry.ca().display()
    );
    write(of_containerd.join(HOST).join("hosts.toml"), &hosts, 0o644)?;
    runs_with(bed, &other, |command| _ = command.arg("--registry-config").arg(&of_containerd))?;
    // And without looking, when that is wanted.
    let third = format!("{HOST}/team/third:1");
    registry::image(bed, "team/third:1", &json!({}), vec![Layer::base()?.file("third", "")?], &[])?;
    let hosts = format!("[host.\"https://{HOST}\"]\nskip_verify = true\n");
    write(of_containerd.join(HOST).join("hosts.toml"), &hosts, 0o644)?;
    runs_with(bed, &third, |command| _ = command.arg("--registry-config").arg(&of_containerd))?;
    bed.trace.wait_count("main ran", 3, SOON)
}

fn a_mirror_before_a_dead_host(bed: &Bed) -> Result<()> {
    require_root()?;
    let registry = Registry::start(bed, Setup::default())?;
    push(bed)?;
    // Nobody listens there, nor is the first mirror one.
    let dead = "127.0.0.1:5999";
    let dir = bed.dir().join("hosts");
    let hosts = format!(
        "server = \"http://{dead}\"\n[host.\"http://127.0.0.1:5998\"]\ncapabilities = [\"pull\", \"resolve\"]\n\
         [host.\"http://{HOST}\"]\ncapabilities = [\"pull\", \"resolve\"]\n"
    );
    write(dir.join(dead).join("hosts.toml"), &hosts, 0o644)?;
    let image = format!("{dead}/team/app:1");
    runs_with(bed, &image, |command| _ = command.arg("--registry-config").arg(&dir))?;
    ensure!(registry.got("/blobs/") == 2, "{:?}", registry.asked());
    // Without it, there is no registry at all.
    let other = format!("{dead}/team/other:1");
    let unavailable = runs_with(bed, &other, |_| {}).err().context("nobody answered, and it ran")?;
    ensure!(format!("{unavailable:#}").contains("RegistryUnavailable"), "{unavailable:#}");
    Ok(())
}

fn through_a_proxy(bed: &Bed) -> Result<()> {
    require_root()?;
    let registry = Registry::start(bed, Setup { tls: true, private: false })?;
    push(bed)?;
    let proxy = Proxy::start("127.0.0.1:3128")?;
    let dir = bed.dir().join("docker");
    fs::create_dir_all(dir.join(NAME))?;
    fs::copy(registry.ca(), dir.join(NAME).join("ca.crt"))?;
    let image = format!("{NAME}/team/app:1");
    runs_with(bed, &image, |command| {
        command.arg("--registry-config").arg(&dir).env("HTTPS_PROXY", "http://127.0.0.1:3128");
    })?;
    ensure!(proxy.asked().iter().all(|asked| *asked == format!("{NAME}:443")), "{:?}", proxy.asked());
    ensure!(!proxy.asked().is_empty(), "the proxy was not asked");
    Ok(())
}
