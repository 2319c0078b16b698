//! What programs written with `kube` do. KUBECONFIG names the server.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use futures::{AsyncBufReadExt, StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::{
    Api, AttachParams, DeleteParams, ListParams, LogParams, Patch, PatchParams, PostParams, WatchEvent,
    WatchParams,
};
use kube::runtime::wait::{await_condition, conditions};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Client, ResourceExt};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

const NAME: &str = "rust-kube";
const SOON: Duration = Duration::from_secs(30);

/// It answers on port 8080, and writes a last line when a file says that it is enough.
const SCRIPT: &str = r#"
mkdir -p /tmp/www; echo forwarded > /tmp/www/page; echo first
/usr/bin/python3 -m http.server 8080 --bind 127.0.0.1 --directory /tmp/www > /dev/null 2>&1 &
until [ -e /tmp/enough ]; do sleep 0.05; done
kill $!; echo last
"#;
/// Ends when it answers.
const LISTENS: [&str; 3] = ["sh", "-c", r#"until grep -q ":1F90 " /proc/net/tcp; do sleep 0.05; done"#];

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let client = Client::try_default().await?;
    step("version");
    let version = client.apiserver_version().await?;
    ensure!(version.git_version.starts_with("v1.36"), "{version:?}");

    step("list");
    let pods: Api<Pod> = Api::default_namespaced(client.clone());
    let listed = pods.list(&ListParams::default().limit(1)).await?;
    ensure!(listed.items.is_empty());
    let nodes = Api::<Node>::all(client).list(&ListParams::default()).await?;
    ensure!(nodes.items.len() == 1, "{nodes:?}");
    let since = listed.metadata.resource_version.context("no resourceVersion")?;
    let watching = tokio::spawn(watch(pods.clone(), since));
    let by_list = tokio::spawn(follow(pods.clone(), watcher::Config::default()));
    let by_stream = tokio::spawn(follow(pods.clone(), watcher::Config::default().streaming_lists()));

    step("create");
    let pod: Pod = serde_json::from_value(json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": NAME, "labels": {"client": "kube"}},
        "spec": {
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 2,
            "containers": [{"name": "main", "image": "localhost/host", "command": ["sh", "-c", SCRIPT]}],
        },
    }))?;
    let created = pods.create(&PostParams::default(), &pod).await?;
    ensure!(created.uid().is_some() && phase(&created) == "Pending", "{created:?}");
    refused(pods.create(&PostParams::default(), &pod).await, 409, "AlreadyExists")?;
    refused(pods.get("missing").await, 404, "NotFound")?;
    ensure!(pods.get_opt("missing").await?.is_none());

    step("wait");
    timeout(SOON, await_condition(pods.clone(), NAME, conditions::is_pod_running())).await??;

    step("patch");
    patch(&pods).await?;
    step("exec");
    exec(&pods).await?;
    step("port-forward");
    forward(&pods).await?;
    step("logs");
    logs(&pods).await?;

    step("delete");
    pods.delete(NAME, &DeleteParams::default()).await?;
    let kinds = timeout(SOON, watching).await???;
    ensure!(kinds.first() == Some(&"ADDED") && kinds.last() == Some(&"DELETED"), "{kinds:?}");
    ensure!(kinds.contains(&"MODIFIED"), "{kinds:?}");
    timeout(SOON, by_list).await??.context("the watcher that lists")?;
    timeout(SOON, by_stream).await??.context("the watcher that streams")?;
    refused(pods.delete(NAME, &DeleteParams::default()).await, 404, "NotFound")?;
    step("done");
    Ok(())
}

fn step(name: &str) {
    println!("{name}");
}

fn phase(pod: &Pod) -> &str {
    pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default()
}

/// The error has to be a typed one.
fn refused<T>(result: kube::Result<T>, code: u16, reason: &str) -> Result<()> {
    match result {
        Err(kube::Error::Api(status)) if status.code == code && status.reason == reason => Ok(()),
        Err(error) => bail!("{code} {reason} was expected, not {error:?}"),
        Ok(_) => bail!("{code} {reason} was expected"),
    }
}

/// What happens to the pod, until it is gone.
async fn watch(pods: Api<Pod>, since: String) -> Result<Vec<&'static str>> {
    let mut events = pods.watch(&WatchParams::default().timeout(60), &since).await?.boxed();
    let mut kinds = vec![];
    while let Some(event) = events.try_next().await? {
        match event {
            WatchEvent::Added(_) => kinds.push("ADDED"),
            WatchEvent::Modified(_) => kinds.push("MODIFIED"),
            WatchEvent::Deleted(_) => {
                kinds.push("DELETED");
                break;
            }
            WatchEvent::Bookmark(_) => {}
            WatchEvent::Error(status) => bail!("{status:?}"),
        }
    }
    Ok(kinds)
}

/// What controllers build on: it lists, watches, and starts again by itself.
async fn follow(pods: Api<Pod>, config: watcher::Config) -> Result<()> {
    let mut running = false;
    let mut events = watcher(pods, config).default_backoff().boxed();
    while let Some(event) = events.try_next().await? {
        match event {
            watcher::Event::Apply(pod) | watcher::Event::InitApply(pod) => {
                running |= phase(&pod) == "Running"
            }
            watcher::Event::Delete(_) => {
                ensure!(running, "the pod was never seen to run");
                return Ok(());
            }
            watcher::Event::Init | watcher::Event::InitDone => {}
        }
    }
    bail!("the watcher ended")
}

async fn patch(pods: &Api<Pod>) -> Result<()> {
    let labels = json!({"metadata": {"labels": {"tier": "a"}}});
    for patch in [Patch::Merge(&labels), Patch::Strategic(&labels)] {
        let patched = pods.patch(NAME, &PatchParams::default(), &patch).await?;
        ensure!(patched.labels()["tier"] == "a", "{patched:?}");
    }
    let applied = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"labels": {"owner": "kube"}}});
    pods.patch(NAME, &PatchParams::apply("client"), &Patch::Apply(&applied)).await?;
    let conflicting = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"labels": {"owner": "other"}}});
    let conflict = pods.patch(NAME, &PatchParams::apply("another"), &Patch::Apply(&conflicting)).await;
    refused(conflict, 409, "Conflict")?;
    let mut pod = pods.get(NAME).await?;
    pod.labels_mut().insert("tier".to_owned(), "b".to_owned());
    let replaced = pods.replace(NAME, &PostParams::default(), &pod).await?;
    ensure!(replaced.labels()["tier"] == "b" && replaced.labels()["owner"] == "kube", "{replaced:?}");
    refused(pods.replace(NAME, &PostParams::default(), &pod).await, 409, "Conflict")
}

async fn exec(pods: &Api<Pod>) -> Result<()> {
    let said = run(pods, ["sh", "-c", "echo out; echo err >&2; exit 3"], "").await?;
    ensure!(said == ("out\n".to_owned(), "err\n".to_owned(), "3".to_owned()), "{said:?}");
    let said = run(pods, ["sh", "-c", "echo got $(cat)"], "hello\n").await?;
    ensure!(said == ("got hello\n".to_owned(), String::new(), "0".to_owned()), "{said:?}");
    Ok(())
}

/// Standard output, standard error and the exit status of a command.
async fn run<const N: usize>(
    pods: &Api<Pod>,
    command: [&str; N],
    input: &str,
) -> Result<(String, String, String)> {
    let mut running = pods.exec(NAME, command, &AttachParams::default().stdin(!input.is_empty())).await?;
    if let Some(mut stdin) = running.stdin() {
        stdin.write_all(input.as_bytes()).await?;
        stdin.shutdown().await?;
    }
    let (mut out, mut err) = (String::new(), String::new());
    let (mut stdout, mut stderr) =
        (running.stdout().context("no stdout")?, running.stderr().context("no stderr")?);
    let status = running.take_status().context("no status")?;
    let (read_out, read_err, status) = timeout(SOON, async {
        futures::join!(stdout.read_to_string(&mut out), stderr.read_to_string(&mut err), status)
    })
    .await?;
    read_out?;
    read_err?;
    let status = status.context("no status came")?;
    let causes = status.details.and_then(|details| details.causes).unwrap_or_default();
    let code = causes.into_iter().find(|cause| cause.reason.as_deref() == Some("ExitCode"));
    let succeeded = status.status.as_deref() == Some("Success");
    let code = if succeeded { Some("0".to_owned()) } else { code.and_then(|cause| cause.message) };
    Ok((out, err, code.context("no exit code")?))
}

async fn forward(pods: &Api<Pod>) -> Result<()> {
    run(pods, LISTENS, "").await?;
    let mut forwarded = pods.portforward(NAME, &[8080]).await?;
    let mut stream = forwarded.take_stream(8080).context("no stream")?;
    stream.write_all(b"GET /page HTTP/1.0\r\n\r\n").await?;
    let mut page = String::new();
    timeout(SOON, stream.read_to_string(&mut page)).await??;
    ensure!(page.contains("forwarded"), "{page}");
    drop(stream);
    forwarded.abort();
    Ok(())
}

async fn logs(pods: &Api<Pod>) -> Result<()> {
    ensure!(pods.logs(NAME, &LogParams::default()).await? == "first\n");
    let mut lines = pods.log_stream(NAME, &LogParams { follow: true, ..LogParams::default() }).await?.lines();
    let first = timeout(SOON, lines.try_next()).await??;
    ensure!(first.as_deref() == Some("first"), "{first:?}");
    run(pods, ["touch", "/tmp/enough"], "").await?;
    let rest: Vec<String> = timeout(SOON, lines.try_collect()).await??;
    ensure!(rest == ["last"], "{rest:?}");
    Ok(())
}
