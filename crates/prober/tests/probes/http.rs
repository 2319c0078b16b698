//! HTTP and TCP probes of servers of every kind.

use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use podspec::{HttpGetAction, HttpScheme, PortRef, TcpSocketAction};
use prober::{Outcome, Pod, http_get, tcp_connect};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::bed::{
    Loopback, SHORT, SOON, Server, closed_port, get, ok, pod, read_head, redirect, with_headers,
};

async fn probe(server: &Server, action: &HttpGetAction) -> Outcome {
    http_get(&pod(), action, server.port, SOON).await
}

async fn probe_shortly(server: &Server, path: &str) -> Outcome {
    http_get(&pod(), &get(path), server.port, SHORT).await
}

fn failed(server: &Server, path: &str, reason: &str) -> Outcome {
    Outcome::Failure(format!("Get \"{}\": {reason}", server.url(path)))
}

fn broken(reason: &str) -> String {
    format!("net/http: HTTP/1.x transport connection broken: {reason}")
}

fn error(message: &str) -> Outcome {
    Outcome::Error(message.to_owned())
}

#[tokio::test]
async fn statuses() {
    for (status, outcome) in [
        (200, Outcome::Success),
        (204, Outcome::Success),
        (299, Outcome::Success),
        (300, Outcome::Warning("Probe terminated redirects, Response body: ".to_owned())),
        (304, Outcome::Warning("Probe terminated redirects, Response body: ".to_owned())),
        (400, Outcome::Failure("HTTP probe failed with statuscode: 400".to_owned())),
        (503, Outcome::Failure("HTTP probe failed with statuscode: 503".to_owned())),
        (999, Outcome::Failure("HTTP probe failed with statuscode: 999".to_owned())),
    ] {
        let server = Server::saying(format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n")).await;
        assert_eq!(probe(&server, &get("/")).await, outcome, "{status}");
    }
    let server = Server::saying("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n").await;
    assert_eq!(probe(&server, &get("/")).await, Outcome::Success);
    let server = Server::saying("HTTP/1.1 101 Switching\r\n\r\n").await;
    let outcome = Outcome::Failure("HTTP probe failed with statuscode: 101".to_owned());
    assert_eq!(probe(&server, &get("/")).await, outcome);
    let server = Server::saying("HTTP/1.0 200 OK\n\nuntil the end").await;
    assert_eq!(probe(&server, &get("/")).await, Outcome::Success);
}

/// The heads of the requests that a probe makes of a server that answers each with `answer`.
async fn heads(
    action: &HttpGetAction,
    answer: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static,
) -> Vec<String> {
    let heads = Arc::new(Mutex::new(vec![]));
    let seen = heads.clone();
    let server = Server::answering(move |head| {
        seen.lock().unwrap().push(head.to_owned());
        answer(head)
    })
    .await;
    assert_eq!(probe(&server, action).await, Outcome::Success);
    let heads = heads.lock().unwrap();
    let own = format!("127.0.0.1:{}", server.port);
    heads.iter().map(|head| head.replace(&own, "POD").replace("\r\n", "\n")).collect()
}

#[tokio::test]
async fn requests() {
    assert_eq!(
        heads(&get("/healthz?a=b#c"), |_| ok("")).await,
        [
            "GET /healthz?a=b HTTP/1.1\nHost: POD\nUser-Agent: kube-probe/1.36\nAccept: */*\nConnection: close\n\n"
        ]
    );
    let own = [
        ("x-custom-header", "one"),
        ("X-Custom-Header", " two "),
        ("user-agent", "mine"),
        ("accept", "text/plain"),
        ("HOST", "example.com"),
        ("Content-Length", "17"),
        ("Transfer-Encoding", "chunked"),
    ];
    assert_eq!(
        heads(&with_headers("x", &own), |_| ok("")).await,
        [
            "GET /x HTTP/1.1\nHost: example.com\nX-Custom-Header: one\nX-Custom-Header: two\nAccept: text/plain\n\
          User-Agent: mine\nConnection: close\n\n"
        ]
    );
    let none = [("User-Agent", ""), ("Accept", ""), ("Host", "")];
    assert_eq!(
        heads(&with_headers("/", &none), |_| ok("")).await,
        ["GET / HTTP/1.1\nHost: POD\nConnection: close\n\n"]
    );
    let wrong = heads(&with_headers("/", &[("Host", "a b")]), |_| ok("")).await;
    assert!(wrong[0].contains("\nHost: \n"), "{wrong:?}");
}

#[tokio::test]
async fn headers_that_nobody_can_send() {
    let server = Server::saying(ok("")).await;
    for (header, reason) in [
        (("a b", "1"), "net/http: invalid header field name \"a b\""),
        (("", "1"), "net/http: invalid header field name \"\""),
        (("x-a", "1\n2"), "net/http: invalid header field value for \"X-A\""),
    ] {
        let outcome = probe(&server, &with_headers("/x", &[header])).await;
        assert_eq!(outcome, failed(&server, "/x", reason));
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn redirects_on_the_same_host_are_followed() {
    let action = with_headers("/a/b?q", &[("Host", "example.com"), ("Authorization", "secret")]);
    let heads = heads(&action, |head| match head.split(' ').nth(1).unwrap() {
        "/a/b?q" => redirect("../c?d#e"),
        "/c?d" => {
            let host = head.lines().find_map(|line| line.strip_prefix("Host: ")).unwrap();
            assert_eq!(host, "example.com");
            ok("")
        }
        other => panic!("{other}"),
    })
    .await;
    assert_eq!(heads.len(), 2);
    assert!(heads[1].starts_with("GET /c?d HTTP/1.1\nHost: example.com\n"), "{}", heads[1]);
    assert!(heads[1].contains("\nReferer: http://POD/a/b?q\n"), "{}", heads[1]);
    assert!(heads[1].contains("\nAuthorization: secret\n"), "{}", heads[1]);
}

#[tokio::test]
async fn an_absolute_redirect_may_go_to_another_port() {
    let other = Server::answering(|head| {
        let host = head.lines().find_map(|line| line.strip_prefix("Host: ")).unwrap();
        if host.starts_with("127.0.0.1:") { ok("") } else { b"HTTP/1.1 500 X\r\n\r\n".to_vec() }
    })
    .await;
    let location = other.url("/");
    let server = Server::answering(move |_| redirect(&location)).await;
    let action = with_headers("/", &[("Host", "example.com")]);
    assert_eq!(probe(&server, &action).await, Outcome::Success);
    assert_eq!(other.connections(), 1);
}

#[tokio::test]
async fn a_redirect_to_another_host_is_a_warning() {
    let warning = Outcome::Warning("Probe terminated redirects, Response body: See".to_owned());
    for location in ["http://192.0.2.1/x", "//localhost/", "mailto:x", "https:///"] {
        let server = Server::saying(redirect(location)).await;
        assert_eq!(probe(&server, &get("/")).await, warning, "{location}");
        assert_eq!(server.connections(), 1);
    }
    let server = Server::saying("HTTP/1.1 302 Found\r\nContent-Length: 3\r\n\r\nSee").await;
    assert_eq!(probe(&server, &get("/")).await, warning);
}

#[tokio::test]
async fn redirects_end() {
    let server = Server::saying(redirect("/loop")).await;
    let outcome = Outcome::Failure("Get \"/loop\": stopped after 10 redirects".to_owned());
    assert_eq!(probe(&server, &get("/")).await, outcome);
    assert_eq!(server.connections(), 10);
    let server = Server::saying(redirect("http://a b/%zz")).await;
    let reason = "failed to parse Location header \"http://a b/%zz\": \
                  parse \"http://a b/%zz\": invalid character \" \" in host name";
    assert_eq!(probe(&server, &get("/x")).await, failed(&server, "/x", reason));
    for (location, reason) in [
        ("ftp://127.0.0.1/x", "unsupported protocol scheme \"ftp\""),
        ("http://127.0.0.1:99999/x", "dial tcp: address 99999: invalid port"),
    ] {
        let server = Server::saying(redirect(location)).await;
        let outcome = Outcome::Failure(format!("Get \"{location}\": {reason}"));
        assert_eq!(probe(&server, &get("/")).await, outcome);
    }
}

#[tokio::test]
async fn servers_that_speak_something_else() {
    for (answer, reason) in [
        ("garbage\r\n\r\n", broken(r#"malformed HTTP response "garbage""#)),
        ("SSH-2.0-x y\r\n\r\n", broken(r#"malformed HTTP status code "y""#)),
        ("HTTP/1.1 abc OK\r\n\r\n", broken(r#"malformed HTTP status code "abc""#)),
        ("HTTX/1.1 200 OK\r\n\r\n", broken(r#"malformed HTTP version "HTTX/1.1""#)),
        (
            "HTTP/1.1 200 OK\r\nbad header\r\n\r\n",
            broken(r#"malformed MIME header: missing colon: "bad header""#),
        ),
        ("HTTP/1.1 20", broken(r#"malformed HTTP status code "20""#)),
        ("HTTP/1.1 200 OK\r\nA: b", broken("unexpected EOF")),
        ("\u{15}\u{3}\u{1}\0\u{2}\u{2}\n", broken(r#"malformed HTTP response "\x15\x03\x01\x00\x02\x02""#)),
        ("", "EOF".to_owned()),
    ] {
        let server = Server::saying(answer).await;
        assert_eq!(probe(&server, &get("/x")).await, failed(&server, "/x", &reason), "{answer:?}");
    }
}

#[tokio::test]
async fn heads_have_a_bound() {
    let server = Server::start(|mut stream| async move {
        read_head(&mut stream).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nA: ").await;
        while stream.write_all(&[b'x'; 4096]).await.is_ok() {}
    })
    .await;
    let reason = broken("net/http: server response headers exceeded 262144 bytes; aborted");
    assert_eq!(probe(&server, &get("/x")).await, failed(&server, "/x", &reason));
}

#[tokio::test]
async fn bodies_are_read_to_a_bound() {
    let server = Server::start(|mut stream| async move {
        read_head(&mut stream).await;
        let _ = stream.write_all(b"HTTP/1.1 302 Found\r\n\r\n").await;
        while stream.write_all(&[b'x'; 4096]).await.is_ok() {}
    })
    .await;
    let body = "x".repeat(10 << 10);
    let warning = Outcome::Warning(format!("Probe terminated redirects, Response body: {body}"));
    assert_eq!(probe(&server, &get("/")).await, warning);
}

#[tokio::test]
async fn a_body_that_breaks_off_is_an_error() {
    let server = Server::saying("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc").await;
    assert_eq!(probe(&server, &get("/")).await, error("unexpected EOF"));
    assert_eq!(server.connections(), 1);
    let server = Server::saying("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n").await;
    assert!(matches!(probe(&server, &get("/")).await, Outcome::Error(_)));
    let server = Server::start(|mut stream| async move {
        read_head(&mut stream).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc").await;
        std::future::pending::<()>().await;
    })
    .await;
    let message = "context deadline exceeded (Client.Timeout or context cancellation while reading body)";
    assert_eq!(probe_shortly(&server, "/").await, error(message));
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn silence_is_a_timeout() {
    let reason = "context deadline exceeded (Client.Timeout exceeded while awaiting headers)";
    let server = Server::start(|stream| async move {
        let _held = stream;
        std::future::pending::<()>().await;
    })
    .await;
    assert_eq!(probe_shortly(&server, "/x").await, failed(&server, "/x", reason));
    assert_eq!(server.connections(), 1);
    let server = Server::start(|mut stream| async move {
        // One byte after another is not an answer either.
        for byte in b"HTTP/1.1 200 OK\r\nX: ".iter().chain(std::iter::repeat(&b'x')) {
            if stream.write_all(&[*byte]).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    assert_eq!(probe_shortly(&server, "/x").await, failed(&server, "/x", reason));
}

#[tokio::test]
async fn nobody_there() {
    let port = closed_port().await;
    let url = format!("http://127.0.0.1:{port}/x");
    let reason = format!("dial tcp 127.0.0.1:{port}: connect: connection refused");
    let outcome = http_get(&pod(), &get("/x"), port, SOON).await;
    assert_eq!(outcome, Outcome::Failure(format!("Get \"{url}\": {reason}")));
    let host = HttpGetAction { host: Some("127.0.0.1".to_owned()), ..get("/x") };
    let outcome = http_get(&pod(), &host, port, SOON).await;
    assert_eq!(outcome, Outcome::Failure(format!("Get \"{url}\": {reason}")));
    let tcp = TcpSocketAction { host: None, port: PortRef::Number(port) };
    assert_eq!(tcp_connect(&pod(), &tcp, port, SOON).await, Outcome::Failure(reason.clone()));
    let tcp = TcpSocketAction { host: Some("127.0.0.1".to_owned()), port: PortRef::Number(port) };
    assert_eq!(tcp_connect(&pod(), &tcp, port, SOON).await, Outcome::Failure(reason));
}

#[tokio::test]
async fn a_reset_is_told_with_both_ends() {
    let server = Server::start(|mut stream| async move {
        read_head(&mut stream).await;
        // Closed with something unread, it is reset.
        stream.set_zero_linger().unwrap();
    })
    .await;
    let Outcome::Failure(text) = probe(&server, &get("/x")).await else { panic!("no failure") };
    let end = format!("->127.0.0.1:{}: read: connection reset by peer", server.port);
    assert!(text.starts_with(&format!("Get \"{}\": read tcp 127.0.0.1:", server.url("/x"))), "{text}");
    assert!(text.ends_with(&end), "{text}");
}

#[tokio::test]
async fn a_pod_is_spoken_of_by_its_address() {
    let server = Server::answering(|head| {
        let is_pod = head.contains("\r\nHost: [fd00::7]:");
        if is_pod { ok("") } else { b"HTTP/1.1 500 X\r\n\r\n".to_vec() }
    })
    .await;
    let ip: IpAddr = "fd00::7".parse().unwrap();
    let pod = Pod { ip, dial: Loopback };
    assert_eq!(http_get(&pod, &get("/"), server.port, SOON).await, Outcome::Success);
    let port = closed_port().await;
    let outcome = http_get(&pod, &get("/"), port, SOON).await;
    let reason = format!("dial tcp [fd00::7]:{port}: connect: connection refused");
    assert_eq!(outcome, Outcome::Failure(format!("Get \"http://[fd00::7]:{port}/\": {reason}")));
}

#[tokio::test]
async fn hosts() {
    let server = Server::saying(ok("")).await;
    let named = |host: &str| HttpGetAction { host: Some(host.to_owned()), ..get("/x") };
    assert_eq!(probe(&server, &named("localhost")).await, Outcome::Success);
    let outcome = http_get(&pod(), &named("a b"), 80, SOON).await;
    let message = "parse \"http://a b:80/x\": invalid character \" \" in host name".to_owned();
    assert_eq!(outcome, Outcome::Error(message));
    let outcome = http_get(&pod(), &get("foo:bar"), 80, SOON).await;
    assert_eq!(outcome, Outcome::Failure("Get \"http:bar\": http: no Host in request URL".to_owned()));
}

#[tokio::test]
async fn tcp() {
    let server = Server::start(|mut stream| async move {
        let _ = stream.read_u8().await;
    })
    .await;
    let action = TcpSocketAction { host: None, port: PortRef::Number(server.port) };
    assert_eq!(tcp_connect(&pod(), &action, server.port, SOON).await, Outcome::Success);
    let action = TcpSocketAction { host: Some("localhost".to_owned()), ..action };
    assert_eq!(tcp_connect(&pod(), &action, server.port, SOON).await, Outcome::Success);
}

/// A way into a pod that leads nowhere.
struct Nowhere;

impl prober::Dial for Nowhere {
    async fn dial(&self, _: u16) -> std::io::Result<tokio::net::TcpStream> {
        std::future::pending().await
    }
}

#[tokio::test]
async fn connecting_takes_no_longer_than_the_timeout() {
    let pod = Pod { ip: "10.0.0.1".parse().unwrap(), dial: Nowhere };
    let tcp = TcpSocketAction { host: None, port: PortRef::Number(81) };
    let outcome = tcp_connect(&pod, &tcp, 81, SHORT).await;
    assert_eq!(outcome, Outcome::Failure("dial tcp 10.0.0.1:81: i/o timeout".to_owned()));
    let action = HttpGetAction { scheme: HttpScheme::Https, ..get("/x") };
    let outcome = http_get(&pod, &action, 81, SHORT).await;
    let reason = "context deadline exceeded (Client.Timeout exceeded while awaiting headers)";
    assert_eq!(outcome, Outcome::Failure(format!("Get \"https://10.0.0.1:81/x\": {reason}")));
}

#[tokio::test]
async fn a_probe_that_is_dropped_closes_its_connection() {
    let (done, mut ended) = tokio::sync::mpsc::channel(1);
    let (begun, mut waiting) = tokio::sync::mpsc::channel(1);
    let server = Server::start(move |mut stream| {
        let (begun, done) = (begun.clone(), done.clone());
        async move {
            read_head(&mut stream).await;
            begun.send(()).await.unwrap();
            let left = stream.read(&mut [0; 16]).await;
            done.send(left.unwrap_or(0)).await.unwrap();
        }
    })
    .await;
    let action = get("/");
    tokio::select! {
        outcome = probe(&server, &action) => panic!("{outcome:?}"),
        _ = waiting.recv() => {}
    }
    let left = tokio::time::timeout(SOON, ended.recv()).await.expect("the connection is closed");
    assert_eq!(left, Some(0));
}

/// The kubelet spawns them.
#[test]
fn futures_can_be_sent() {
    fn is_send(_: impl Send) {}
    let (pod, action) = (pod(), get("/"));
    is_send(http_get(&pod, &action, 1, SOON));
    is_send(prober::http_hook(&pod, &action, 1, None));
    is_send(prober::grpc_health(&pod, &podspec::GrpcAction { port: 1, service: String::new() }, SOON));
}
