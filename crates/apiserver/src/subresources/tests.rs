use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http::Method;
use rustls_pki_types::PrivateKeyDer;
use serde_json::{Value, json};
use streams::ExitReport;
use streams::client::{ExecStreams, PortForward, Target, exec};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream, duplex};
use tokio_rustls::TlsAcceptor;

use super::container;
use super::proxy::Name;
use crate::auth::Peer;
use crate::backend::{
    Answer, BackendError, Connection, ContainerTarget, ExitCode, LogOptions, LogStream, NodeBackend, Page,
    PodTarget, ProcessIo,
};
use crate::testing::{Bed, NODE, pod};

const PODS: &str = "/api/v1/namespaces/a/pods";
const SOON: Duration = Duration::from_secs(10);

/// A node that says what it is asked.
#[derive(Debug)]
struct Echo;

impl NodeBackend for Echo {
    fn logs(&self, container: ContainerTarget, options: LogOptions) -> Answer<'_, LogStream> {
        Box::pin(async move {
            let text = format!("{} {:?} {}\n", container.container, options.tail_lines, options.previous);
            let last = if options.follow { stream::pending().boxed() } else { stream::empty().boxed() };
            Ok(stream::once(async move { Ok(Bytes::from(text)) }).chain(last).boxed())
        })
    }

    fn exec(&self, _: ContainerTarget, command: Vec<String>, io: ProcessIo) -> Answer<'_, ExitCode> {
        Box::pin(async move {
            let failed = |error: std::io::Error| BackendError::Internal(error.to_string());
            let (Some(mut stdin), Some(mut stdout)) = (io.stdin, io.stdout) else {
                return Err(BackendError::BadRequest("no streams".to_owned()));
            };
            let mut said = String::new();
            stdin.read_to_string(&mut said).await.map_err(failed)?;
            let echoed = format!("{} {said}", command.join("+"));
            stdout.write_all(echoed.as_bytes()).await.map_err(failed)?;
            Ok(ExitCode(3))
        })
    }

    fn attach(&self, _: ContainerTarget, _: ProcessIo) -> Answer<'_, ()> {
        Box::pin(std::future::pending())
    }

    fn dial(&self, _: PodTarget, port: u16) -> Answer<'_, Box<dyn Connection>> {
        Box::pin(async move {
            let (near, far) = duplex(4096);
            match port {
                80 => tokio::spawn(answer_http(far)),
                443 => tokio::spawn(async move { answer_http(tls().accept(far).await.unwrap()).await }),
                _ => return Err(BackendError::Internal("connection refused".to_owned())),
            };
            Ok(Box::new(near) as Box<dyn Connection>)
        })
    }

    fn record(&self, pod: PodTarget) -> Answer<'_, Bytes> {
        Box::pin(async move { Ok(format!("{{\"of\":\"{}\"}}", pod.name).into()) })
    }

    fn entries(&self, _: PodTarget, after: u64) -> Answer<'_, LogStream> {
        Box::pin(async move {
            let line = format!("{{\"seq\":{}}}\n", after + 1);
            Ok(stream::once(async move { Ok(Bytes::from(line)) }).boxed())
        })
    }

    fn page(&self, path: String, query: String) -> Answer<'_, Page> {
        Box::pin(async move {
            let body = format!("{path}?{query}").into();
            Ok(Page { status: 200, content_type: "text/plain", body })
        })
    }
}

/// Answers one request with its own first line, and ends.
async fn answer_http(mut stream: impl AsyncRead + AsyncWrite + Unpin) {
    let mut read = Vec::new();
    let mut chunk = [0; 1024];
    while !read.windows(4).any(|end| end == b"\r\n\r\n") {
        match stream.read(&mut chunk).await {
            Ok(count @ 1..) => read.extend_from_slice(&chunk[..count]),
            _ => return,
        }
    }
    let text = String::from_utf8_lossy(&read).into_owned();
    let authorized = text.to_lowercase().contains("authorization:");
    let body = format!("{} {authorized}", text.lines().next().unwrap_or_default());
    let answer =
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
    let _ = stream.write_all(answer.as_bytes()).await;
    let _ = stream.shutdown().await;
}

/// As somebody of whom nobody has heard.
fn tls() -> TlsAcceptor {
    let own = rcgen::generate_simple_self_signed(["nobody".to_owned()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(own.signing_key.serialize_der().into());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.unwrap().with_no_client_auth().with_single_cert(vec![own.cert.der().clone()], key);
    TlsAcceptor::from(Arc::new(config.unwrap()))
}

/// A bed with the running pod `p` on its node.
async fn bed() -> Bed {
    let bed = Bed::with(Arc::new(Echo)).await;
    let mut running = pod("p");
    running["spec"]["nodeName"] = NODE.into();
    bed.post(PODS, &running).await.expect(201);
    let status = json!({ "status": { "phase": "Running", "containerStatuses": [{
        "name": "c", "image": "i", "imageID": "", "ready": true, "restartCount": 0, "containerID": "monopod://1",
        "state": { "running": { "startedAt": "2026-01-01T00:00:00Z" } },
    }] } });
    bed.patch(&format!("{PODS}/p/status"), "strategic-merge-patch+json", &status).await.expect(200);
    bed
}

/// A connection to the server, as the administrator.
fn connect(bed: &Bed) -> DuplexStream {
    let (near, far) = duplex(64 * 1024);
    tokio::spawn(crate::server::connection::serve(far, Peer::Local, bed.api.clone()));
    near
}

fn target(path: &str) -> Target {
    Target { host: "localhost".to_owned(), path: path.to_owned(), headers: http::HeaderMap::new() }
}

#[tokio::test]
async fn a_command_is_run_and_its_end_is_told() {
    let bed = bed().await;
    let path = format!("{PODS}/p/exec?command=sh&command=-c&stdin=true&stdout=true&stderr=true");
    let (output, mut read) = duplex(1024);
    let streams = ExecStreams {
        stdin: Some(Box::pin(&b"typed"[..])),
        stdout: Some(Box::pin(output)),
        ..ExecStreams::default()
    };
    let ended =
        tokio::time::timeout(SOON, exec(connect(&bed), &target(&path), streams)).await.expect("in time");
    assert_eq!(ended.expect("a report"), ExitReport::ExitCode(3));
    let mut said = String::new();
    read.read_to_string(&mut said).await.expect("its output");
    assert_eq!(said, "sh+-c typed");
    for (query, why) in [
        ("command=ls", "you must specify at least 1 of stdin, stdout, stderr"),
        ("stdout=true", "you must specify at least 1 command for the container"),
        ("command=ls&stdout=true&container=none", "container none is not valid for pod p"),
        ("command=ls&stdout=true", "upgrade"),
    ] {
        let message = bed.get(&format!("{PODS}/p/exec?{query}")).await.failure(400);
        assert!(message.to_lowercase().contains(why), "{message}");
    }
}

#[tokio::test]
async fn streams_end_with_the_server() {
    let bed = bed().await;
    let path = format!("{PODS}/p/attach?stdout=true");
    let streams = ExecStreams { stdout: Some(Box::pin(tokio::io::sink())), ..ExecStreams::default() };
    let (connection, target) = (connect(&bed), target(&path));
    let attached = tokio::spawn(async move { exec(connection, &target, streams).await });
    tokio::time::sleep(Duration::from_millis(100)).await;
    bed.api.shutdown.send_replace(true);
    let ended = tokio::time::timeout(SOON, attached).await.expect("in time").expect("no panic");
    assert!(matches!(ended, Ok(ExitReport::Error(why)) if why.contains("shutting down")));
}

#[tokio::test]
async fn ports_are_forwarded() {
    let bed = bed().await;
    let session = PortForward::connect(connect(&bed), &target(&format!("{PODS}/p/portforward"))).await;
    let session = session.expect("a session");
    let (mut near, far) = duplex(4096);
    let forwarded = session.forward(80, far);
    let asked = async {
        near.write_all(b"GET /x HTTP/1.1\r\n\r\n").await.expect("writing");
        let mut answer = String::new();
        near.read_to_string(&mut answer).await.expect("reading");
        answer
    };
    let (forwarded, answer) =
        tokio::time::timeout(SOON, async { tokio::join!(forwarded, asked) }).await.expect("in time");
    assert!(answer.ends_with("GET /x HTTP/1.1 false"), "{answer}");
    assert_eq!(forwarded.expect("an end"), None);
    let (_near, far) = duplex(16);
    let refused =
        tokio::time::timeout(SOON, session.forward(81, far)).await.expect("in time").expect("an answer");
    assert!(refused.is_some_and(
        |why| why.contains("error forwarding port 81 to pod p") && why.contains("connection refused")
    ));
}

#[tokio::test]
async fn logs_in_the_words_of_the_query() {
    let bed = bed().await;
    let log = |query: &str| format!("{PODS}/p/log?{query}");
    let answer = bed.get(&log("tailLines=5")).await;
    assert_eq!((answer.code, &answer.body[..]), (200, &b"c Some(5) false\n"[..]));
    assert_eq!(answer.headers["content-type"], "text/plain");
    for query in [
        "tailLines=-1",
        "limitBytes=0",
        "sinceSeconds=0",
        "sinceTime=noon",
        "stream=None",
        "tailLines=x",
        "sinceSeconds=1&sinceTime=2026-01-01T00:00:00Z",
        "tailLines=1&stream=Stdout",
    ] {
        let message = bed.get(&log(query)).await.failure(422);
        assert!(message.starts_with("PodLogOptions \"\" is invalid: "), "{message}");
    }
    let message = bed.get(&log("previous=true")).await.failure(400);
    assert_eq!(message, "previous terminated container \"c\" in pod \"p\" not found");
    bed.post(PODS, &pod("q")).await.expect(201);
    let unassigned = bed.get(&format!("{PODS}/q/log")).await;
    assert_eq!((unassigned.code, unassigned.body.len()), (200, 0));
    bed.get(&format!("{PODS}/none/log")).await.failure(404);
}

#[tokio::test]
async fn the_record_of_a_pod_and_what_follows() {
    let bed = bed().await;
    let record = bed.get(&format!("{PODS}/p/record")).await;
    assert_eq!((record.code, &record.body[..]), (200, &b"{\"of\":\"p\"}"[..]));
    assert_eq!(record.headers["content-type"], "application/json");
    for (query, line) in [("watch=true", "{\"seq\":1}\n"), ("watch=true&after=41", "{\"seq\":42}\n")] {
        let entries = bed.get(&format!("{PODS}/p/record?{query}")).await;
        assert_eq!((entries.code, &entries.body[..]), (200, line.as_bytes()));
        assert_eq!(entries.headers["content-type"], "application/x-ndjson");
    }
    let message = bed.get(&format!("{PODS}/p/record?watch=true&after=-1")).await.failure(400);
    assert_eq!(message, "query parameter after: \"-1\" is not the number of an entry");
    bed.get(&format!("{PODS}/none/record")).await.failure(404);
    bed.post(PODS, &pod("q")).await.expect(201);
    let message = bed.get(&format!("{PODS}/q/record")).await.failure(400);
    assert_eq!(message, "pod q does not have a host assigned");
}

#[test]
fn which_container_has_a_log() {
    let status = |state: Value, last: Value| {
        json!({
            "metadata": { "name": "p" },
            "status": { "containerStatuses": [{ "name": "c", "state": state, "lastState": last }] },
        })
    };
    let ended = json!({ "terminated": { "containerID": "monopod://1" } });
    let waiting = |reason: &str| json!({ "waiting": { "reason": reason } });
    let rows = [
        (status(json!({ "running": {} }), json!({})), false, ""),
        (status(ended.clone(), json!({})), false, ""),
        (status(waiting("CrashLoopBackOff"), ended.clone()), false, ""),
        (status(waiting("CrashLoopBackOff"), ended), true, ""),
        (
            status(json!({ "running": {} }), json!({})),
            true,
            "previous terminated container \"c\" in pod \"p\" not found",
        ),
        (
            status(waiting("PodInitializing"), json!({})),
            false,
            "container \"c\" in pod \"p\" is waiting to start: PodInitializing",
        ),
        (
            status(waiting("ErrImagePull"), json!({})),
            false,
            "container \"c\" in pod \"p\" is waiting to start: image can't be pulled",
        ),
        (
            status(waiting("ImagePullBackOff"), json!({})),
            false,
            "container \"c\" in pod \"p\" is waiting to start: trying and failing to pull image",
        ),
        (status(json!({ "terminated": {} }), json!({})), false, "container \"c\" in pod \"p\" is terminated"),
        (
            status(json!({}), json!({})),
            false,
            "container \"c\" in pod \"p\" is waiting to start - no logs yet",
        ),
        (json!({ "metadata": { "name": "p" } }), false, "container \"c\" in pod \"p\" is not available"),
    ];
    for (pod, previous, expected) in rows {
        let said = container::check_log(&pod, "c", previous).err().map(|status| status.message);
        assert_eq!(said.unwrap_or_default(), expected, "{pod}");
    }
}

#[test]
fn which_container_is_meant() {
    let pod = |regular: &[&str]| {
        let named = |names: &[&str]| names.iter().map(|name| json!({ "name": name })).collect::<Vec<_>>();
        json!({ "metadata": { "name": "p" }, "spec": { "containers": named(regular), "initContainers": named(&["i"]) } })
    };
    let chosen = |pod: &Value, asked: &str| container::target(pod, asked).map(|target| target.container);
    assert_eq!(chosen(&pod(&["a"]), "").ok().as_deref(), Some("a"));
    assert_eq!(chosen(&pod(&["a", "b"]), "i").ok().as_deref(), Some("i"));
    let refused = chosen(&pod(&["a", "b"]), "").expect_err("two to choose from");
    assert_eq!(refused.message, "a container name must be specified for pod p, choose one of: [i a b]");
}

#[tokio::test]
async fn pods_are_bound_once_and_evicted() {
    let bed = bed().await;
    bed.post(PODS, &pod("q")).await.expect(201);
    let binding = json!({ "target": { "kind": "Node", "name": NODE } });
    bed.post(&format!("{PODS}/q/binding"), &binding).await.expect(201);
    let bound = bed.get(&format!("{PODS}/q")).await.expect(200);
    assert_eq!(bound["spec"]["nodeName"], NODE);
    assert_eq!(
        (&bound["status"]["conditions"][0]["type"], &bound["status"]["conditions"][0]["status"]),
        (&json!("PodScheduled"), &json!("True"))
    );
    let again = bed.post(&format!("{PODS}/q/binding"), &binding).await.failure(409);
    assert!(again.ends_with("pod q is already assigned to node \"node-1\""), "{again}");
    bed.post(&format!("{PODS}/q/binding"), &json!({ "target": { "name": "" } })).await.failure(400);
    bed.post(PODS, &pod("r")).await.expect(201);
    let eviction = json!({ "apiVersion": "policy/v1", "kind": "Eviction", "metadata": { "name": "r" } });
    bed.post(&format!("{PODS}/r/eviction"), &eviction).await.expect(201);
    assert_eq!(bed.get(&format!("{PODS}/r")).await.code, 404);
    bed.post(&format!("{PODS}/r/eviction"), &eviction).await.failure(404);
}

#[tokio::test]
async fn a_status_is_written_apart() {
    let bed = bed().await;
    let path = format!("{PODS}/p/status");
    let both = json!({ "metadata": { "labels": { "x": "y" } }, "spec": { "activeDeadlineSeconds": 5 }, "status": { "message": "said" } });
    let after = bed.patch(&path, "merge-patch+json", &both).await.expect(200);
    assert_eq!(
        (&after["status"]["message"], after["spec"].get("activeDeadlineSeconds")),
        (&json!("said"), None)
    );
    let after = bed
        .patch(&format!("{PODS}/p"), "merge-patch+json", &json!({ "status": { "message": "other" } }))
        .await;
    assert_eq!(after.expect(200)["status"]["message"], "said");
    bed.call(Method::POST, &path, &[], "").await.failure(405);
}

#[tokio::test]
async fn pages_behind_pods_and_nodes() {
    let bed = bed().await;
    let proxied = bed
        .call(Method::GET, &format!("{PODS}/p:80/proxy/a/b?c=d"), &[("authorization", "Basic x")], "")
        .await;
    assert_eq!(&proxied.body[..], b"GET /a/b?c=d HTTP/1.1 false");
    for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS] {
        let proxied = bed.call(method.clone(), &format!("{PODS}/https:p:443/proxy/"), &[], "").await;
        assert_eq!(String::from_utf8_lossy(&proxied.body), format!("{method} / HTTP/1.1 false"));
    }
    bed.call(Method::OPTIONS, &format!("{PODS}/p/status"), &[], "").await.failure(405);
    let moved = bed.get(&format!("{PODS}/p/proxy")).await;
    assert_eq!(
        (moved.code, &moved.headers["location"]),
        (301, &http::HeaderValue::from_static("/api/v1/namespaces/a/pods/p/proxy/"))
    );
    let message = bed.get(&format!("{PODS}/p:81/proxy/")).await.failure(503);
    assert!(message.contains("connection refused"), "{message}");
    let node = bed.get("/api/v1/nodes/node-1:10250/proxy/stats/summary?only=cpu").await;
    assert_eq!(&node.body[..], b"stats/summary?only=cpu");
    bed.get("/api/v1/nodes/none/proxy/pods").await.failure(404);
    assert_eq!(Name::parse("http:p:web").ok(), Some(Name { is_https: false, name: "p", port: "web" }));
    assert_eq!(Name::parse("https:p:443").ok(), Some(Name { is_https: true, name: "p", port: "443" }));
    assert!(Name::parse("ftp:p:21").is_err());
}
