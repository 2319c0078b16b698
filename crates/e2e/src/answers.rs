//! The program `e2e answers`: a server for probes and hooks of the container it runs in. It answers
//!
//! * HTTP on port 8080, HTTPS on 8443: `/CODE` with that status, `/after/MS` so much later, `/unless/WORD` with 200 until
//!   the pod is told WORD and with 503 then, `/to/PATH` by a redirect to `/PATH`;
//! * TCP on 7070, until the pod is told `closed`;
//! * gRPC health on 9090: SERVING until the pod is told `sick`, and by NOT_SERVING for the service `other`.
//!
//! It marks each request as `http PATH AGENT`, and SIGTERM as `stop`.

use std::fs::OpenOptions;
use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use linux_sys::signal::SignalFd;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::Signal;
use rustls::pki_types::PrivateKeyDer;

use crate::history::now_s;

const LOOK_EVERY: Duration = Duration::from_millis(20);
/// A request that is longer is not one of a probe.
const HEAD_BYTES_MAX: u64 = 16 << 10;
/// In the health protocol.
const SERVING: u8 = 1;
const NOT_SERVING: u8 = 2;

pub(crate) fn run() -> Result<()> {
    let signals = SignalFd::new(&[Signal::TERM.as_raw()])?;
    let http = TcpListener::bind("127.0.0.1:8080").context("8080")?;
    let https = TcpListener::bind("127.0.0.1:8443").context("8443")?;
    let grpc = TcpListener::bind("127.0.0.1:9090").context("9090")?;
    let tcp = TcpListener::bind("127.0.0.1:7070").context("7070")?;
    let tls = Arc::new(certificate()?);
    std::thread::spawn(move || each(&http, answer));
    std::thread::spawn(move || {
        each(&https, move |stream| {
            let connection = rustls::ServerConnection::new(Arc::clone(&tls))?;
            answer(rustls::StreamOwned::new(connection, stream))
        });
    });
    std::thread::spawn(move || while_open(tcp));
    std::thread::spawn(move || health(grpc));
    mark("start")?;
    while signals.next_signal()?.is_none() {
        poll(&mut [PollFd::new(&signals, PollFlags::IN)], None)?;
    }
    mark("stop")
}

fn each(listener: &TcpListener, serve: impl Fn(TcpStream) -> Result<()> + Clone + Send + 'static) {
    for stream in listener.incoming().flatten() {
        let serve = serve.clone();
        std::thread::spawn(move || serve(stream));
    }
}

fn while_open(listener: TcpListener) {
    let closed = || told("closed");
    while !closed() {
        std::thread::sleep(LOOK_EVERY);
    }
    drop(listener);
}

/// One request, then the end.
fn answer(mut stream: impl Read + Write) -> Result<()> {
    let mut lines = BufReader::new((&mut stream).take(HEAD_BYTES_MAX)).lines();
    let first = lines.next().context("no request")??;
    let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut agent = String::new();
    for line in lines.by_ref().map_while(Result::ok).take_while(|line| !line.is_empty()) {
        if let Some((name, value)) = line.split_once(": ")
            && name.eq_ignore_ascii_case("user-agent")
        {
            value.clone_into(&mut agent);
        }
    }
    drop(lines);
    mark(&format!("http {path} {agent}"))?;
    let words: Vec<&str> = path.trim_start_matches('/').splitn(2, '/').collect();
    let (code, location) = match words[..] {
        ["after", ms] => {
            std::thread::sleep(Duration::from_millis(ms.parse().unwrap_or_default()));
            (200, None)
        }
        ["unless", word] => (if told(word) { 503 } else { 200 }, None),
        ["to", path] => (302, Some(path)),
        [code, ..] => (code.parse().unwrap_or(404), None),
        [] => (404, None),
    };
    let location = location.map_or(String::new(), |path| format!("Location: /{path}\r\n"));
    write!(stream, "HTTP/1.1 {code} -\r\n{location}Content-Length: 3\r\nConnection: close\r\n\r\nok\n")?;
    Ok(stream.flush()?)
}

fn certificate() -> Result<rustls::ServerConfig> {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()])?;
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).map_err(anyhow::Error::msg)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config =
        rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(config.with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key)?)
}

fn health(listener: TcpListener) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        listener.set_nonblocking(true)?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        loop {
            let (stream, _) = listener.accept().await?;
            tokio::spawn(async move { check(stream).await });
        }
    })
}

/// The calls of one connection.
async fn check(stream: tokio::net::TcpStream) -> Result<()> {
    let mut connection = h2::server::handshake(stream).await?;
    while let Some(call) = connection.accept().await {
        let (mut request, mut respond) = call?;
        let message = request.body_mut().data().await.transpose()?.unwrap_or_default();
        // A frame of five bytes, and `service` as field 1 of the request.
        let is_other = message.get(7..) == Some(b"other".as_slice());
        let status = if is_other || told("sick") { NOT_SERVING } else { SERVING };
        let response = http::Response::builder().header("content-type", "application/grpc").body(())?;
        let mut body = respond.send_response(response, false)?;
        body.send_data(vec![0, 0, 0, 0, 2, 8, status].into(), false)?;
        let mut trailers = http::HeaderMap::new();
        trailers.insert("grpc-status", http::HeaderValue::from_static("0"));
        body.send_trailers(trailers)?;
        mark("grpc")?;
    }
    Ok(())
}

/// As scripts do it.
fn mark(what: &str) -> Result<()> {
    let name = std::env::var("NAME")?;
    let line = format!("{:.2} {name} {what}\n", now_s()?);
    let mut file = OpenOptions::new().append(true).create(true).open(trace("marks")?)?;
    Ok(file.write_all(line.as_bytes())?)
}

fn told(word: &str) -> bool {
    trace(word).is_ok_and(|path| path.exists())
}

fn trace(what: &str) -> Result<PathBuf> {
    Ok(PathBuf::from(format!("/trace/{}.{what}", std::env::var("POD")?)))
}
