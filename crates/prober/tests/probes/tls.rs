//! HTTPS probes, and hooks over HTTP and HTTPS.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use podspec::{HttpGetAction, HttpScheme};
use prober::{HookSuccess, Outcome, http_get, http_hook};
use rustls::ServerConfig;
use tokio::io::AsyncWriteExt;
use tokio_rustls::TlsAcceptor;

use crate::bed::{SHORT, SOON, Server, closed_port, get, ok, pod, read_head, redirect, with_headers};

fn https(path: &str) -> HttpGetAction {
    HttpGetAction { scheme: HttpScheme::Https, ..get(path) }
}

fn acceptor(protocols: &[&str]) -> TlsAcceptor {
    let certified = rcgen::generate_simple_self_signed(["nobody.invalid".to_owned()]).unwrap();
    let key = rustls_pki_types::PrivatePkcs8KeyDer::from(certified.signing_key.serialize_der());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config =
        config.with_no_client_auth().with_single_cert(vec![certified.cert.der().clone()], key.into());
    let mut config = config.unwrap();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    TlsAcceptor::from(Arc::new(config))
}

/// With a certificate that nobody has reason to trust.
async fn server(answer: impl Into<Vec<u8>>) -> Server {
    let (acceptor, answer) = (acceptor(&[]), answer.into());
    Server::start(move |stream| {
        let (acceptor, answer) = (acceptor.clone(), answer.clone());
        async move {
            let Ok(mut stream) = acceptor.accept(stream).await else { return };
            read_head(&mut stream).await;
            let _ = stream.write_all(&answer).await;
            let _ = stream.shutdown().await;
        }
    })
    .await
}

/// Answers every request with `status` and says what it was asked.
async fn http2_server(status: u16) -> (Server, Arc<Mutex<Vec<::http::Request<()>>>>) {
    let acceptor = acceptor(&["h2"]);
    let requests = Arc::new(Mutex::new(vec![]));
    let seen = requests.clone();
    let server = Server::start(move |stream| {
        let (acceptor, seen) = (acceptor.clone(), seen.clone());
        async move {
            let stream = acceptor.accept(stream).await.unwrap();
            let mut connection = h2::server::handshake(stream).await.unwrap();
            while let Some(Ok((request, mut respond))) = connection.accept().await {
                seen.lock().unwrap().push(request.map(|_| ()));
                let response = ::http::Response::builder().status(status).body(()).unwrap();
                let mut body = respond.send_response(response, false).unwrap();
                body.send_data(Bytes::from_static(b"body"), true).unwrap();
            }
        }
    })
    .await;
    (server, requests)
}

fn failed(server: &Server, reason: &str) -> String {
    format!("Get \"https://127.0.0.1:{}/x\": {reason}", server.port)
}

#[tokio::test]
async fn any_certificate_will_do() {
    let good = server(ok("")).await;
    assert_eq!(http_get(&pod(), &https("/x"), good.port, SOON).await, Outcome::Success);
    let named = HttpGetAction { host: Some("localhost".to_owned()), ..https("/x") };
    assert_eq!(http_get(&pod(), &named, good.port, SOON).await, Outcome::Success);
    let bad = server("HTTP/1.1 500 X\r\nContent-Length: 0\r\n\r\n").await;
    let outcome = http_get(&pod(), &https("/x"), bad.port, SOON).await;
    assert_eq!(outcome, Outcome::Failure("HTTP probe failed with statuscode: 500".to_owned()));
}

#[tokio::test]
async fn a_redirect_may_change_the_scheme() {
    let secure = server(ok("")).await;
    let location = format!("https://127.0.0.1:{}/", secure.port);
    let plain = Server::saying(redirect(&location)).await;
    assert_eq!(http_get(&pod(), &get("/"), plain.port, SOON).await, Outcome::Success);
}

#[tokio::test]
async fn http2_is_spoken_to_who_offers_it() {
    let (server, requests) = http2_server(200).await;
    let own = [("Host", "example.com"), ("X-A", "1"), ("Connection", "keep-alive")];
    let action = HttpGetAction { scheme: HttpScheme::Https, ..with_headers("/a?b", &own) };
    assert_eq!(http_get(&pod(), &action, server.port, SOON).await, Outcome::Success);
    let requests = std::mem::take(&mut *requests.lock().unwrap());
    assert_eq!(requests[0].uri(), "https://example.com/a?b");
    assert_eq!(requests[0].headers()["user-agent"], "kube-probe/1.36");
    assert_eq!(requests[0].headers()["x-a"], "1");
    assert!(!requests[0].headers().contains_key("host"));
    let (server, _) = http2_server(503).await;
    let outcome = http_get(&pod(), &https("/"), server.port, SOON).await;
    assert_eq!(outcome, Outcome::Failure("HTTP probe failed with statuscode: 503".to_owned()));
    let (server, _) = http2_server(304).await;
    let warning = Outcome::Warning("Probe terminated redirects, Response body: body".to_owned());
    assert_eq!(http_get(&pod(), &https("/"), server.port, SOON).await, warning);
}

#[tokio::test]
async fn servers_without_tls() {
    for (answer, reason) in [
        ("HTTP/1.1 400 Bad Request\r\n\r\n", "http: server gave HTTP response to HTTPS client"),
        ("garbage garbage\r\n", "tls: first record does not look like a TLS handshake"),
        ("\u{15}\u{3}\u{3}\0\u{2}\u{2}\u{28}", "remote error: tls: handshake failure"),
        ("", "EOF"),
    ] {
        let server = Server::start(move |mut stream| async move {
            // Nobody of a pod reads a whole request before it says that this is not one.
            let _ = stream.readable().await;
            let _ = stream.try_read(&mut [0; 4096]);
            let _ = stream.write_all(answer.as_bytes()).await;
            let _ = stream.shutdown().await;
        })
        .await;
        let outcome = http_get(&pod(), &https("/x"), server.port, SOON).await;
        assert_eq!(outcome, Outcome::Failure(failed(&server, reason)), "{answer:?}");
    }
    let silent = Server::start(|stream| async move {
        let _held = stream;
        std::future::pending::<()>().await;
    })
    .await;
    let outcome = http_get(&pod(), &https("/x"), silent.port, SHORT).await;
    let reason = "context deadline exceeded (Client.Timeout exceeded while awaiting headers)";
    assert_eq!(outcome, Outcome::Failure(failed(&silent, reason)));
}

#[tokio::test]
async fn a_hook_takes_any_answer() {
    for answer in [
        ok(""),
        b"HTTP/1.1 500 X\r\n\r\n".to_vec(),
        redirect("http://192.0.2.1/"),
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc".to_vec(),
    ] {
        let server = Server::answering(move |head| {
            assert!(head.contains("\r\nUser-Agent: kube-lifecycle/1.36\r\n"), "{head}");
            assert!(!head.contains("\r\nConnection:"), "{head}");
            answer.clone()
        })
        .await;
        let done = http_hook(&pod(), &get("/"), server.port, Some(SOON)).await;
        assert_eq!(done, Ok(HookSuccess::default()));
    }
    let secure = server(ok("")).await;
    assert_eq!(http_hook(&pod(), &https("/"), secure.port, None).await, Ok(HookSuccess::default()));
}

#[tokio::test]
async fn a_hook_fails_without_an_answer() {
    let port = closed_port().await;
    let failure = http_hook(&pod(), &get("/x"), port, None).await.unwrap_err();
    let reason = format!("dial tcp 127.0.0.1:{port}: connect: connection refused");
    assert_eq!(failure, format!("Get \"http://127.0.0.1:{port}/x\": {reason}"));
    let server = Server::start(|stream| async move {
        let _held = stream;
        std::future::pending::<()>().await;
    })
    .await;
    let failure = http_hook(&pod(), &get("/x"), server.port, Some(SHORT)).await.unwrap_err();
    assert_eq!(failure, format!("Get \"{}\": context deadline exceeded", server.url("/x")));
    let server = Server::saying(redirect("/loop")).await;
    let failure = http_hook(&pod(), &get("/x"), server.port, None).await.unwrap_err();
    assert_eq!(failure, "Get \"/loop\": stopped after 10 redirects");
}

/// Answers in clear whoever speaks TLS, and whoever does not.
async fn plain_server(heads: Arc<Mutex<Vec<String>>>, is_kind: bool) -> Server {
    Server::start(move |mut stream| {
        let heads = heads.clone();
        async move {
            let mut first = [0];
            let _ = stream.peek(&mut first).await;
            if first == [22] {
                let _ = stream.try_read(&mut [0; 4096]);
                let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
            } else if is_kind {
                let head = read_head(&mut stream).await;
                heads.lock().unwrap().push(head);
                let _ = stream.write_all(&ok("")).await;
            }
            let _ = stream.shutdown().await;
        }
    })
    .await
}

#[tokio::test]
async fn a_hook_falls_back_to_http() {
    let heads = Arc::new(Mutex::new(vec![]));
    let server = plain_server(heads.clone(), true).await;
    let own = [("Authorization", "secret"), ("X-A", "1")];
    let action = HttpGetAction { scheme: HttpScheme::Https, ..with_headers("/x", &own) };
    let done = http_hook(&pod(), &action, server.port, Some(SOON)).await.unwrap();
    let message = format!(
        "request to HTTPS lifecycle hook 127.0.0.1:{} got HTTP response, retry with HTTP succeeded",
        server.port
    );
    assert_eq!(done.fallback, Some(message));
    let heads = heads.lock().unwrap();
    assert!(heads[0].contains("\r\nX-A: 1\r\n") && !heads[0].contains("secret"), "{}", heads[0]);
}

#[tokio::test]
async fn a_fallback_that_fails_is_told_by_the_first_failure() {
    let server = plain_server(Arc::default(), false).await;
    let failure = http_hook(&pod(), &https("/x"), server.port, Some(SOON)).await.unwrap_err();
    assert_eq!(failure, failed(&server, "http: server gave HTTP response to HTTPS client"));
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn a_hook_lasts_as_long_as_its_answer() {
    let (end, ended) = tokio::sync::watch::channel(false);
    let server = Server::start(move |mut stream| {
        let mut ended = ended.clone();
        async move {
            read_head(&mut stream).await;
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\nworking").await.unwrap();
            ended.wait_for(|ended| *ended).await.unwrap();
        }
    })
    .await;
    let (pod, action) = (pod(), get("/"));
    let mut hook = Box::pin(http_hook(&pod, &action, server.port, None));
    let early = tokio::time::timeout(SHORT, &mut hook).await;
    assert!(early.is_err(), "{early:?}");
    end.send(true).unwrap();
    assert_eq!(hook.await, Ok(HookSuccess::default()));
}
