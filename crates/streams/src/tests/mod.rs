//! Client against server, over a connection within the process.

mod exec_spdy;
mod exec_websocket;
mod forward;
mod hostile;
mod log;

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, HOST, UPGRADE};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{Empty, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, copy, duplex};
use tokio::time::timeout;

use crate::client::Target;
use crate::{
    ExecSession, ExecUpgrade, ExitReport, ForwardSession, ForwardUpgrade, Limits, LogUpgrade, Refusal,
    Wanted, upgraded,
};

/// What is waited for has to come by then.
const SOON: Duration = Duration::from_secs(10);
/// What the connection between client and server holds.
const WIRE_BYTES: usize = 64 * 1024;

async fn soon<T>(what: impl Future<Output = T>) -> T {
    timeout(SOON, what).await.expect("within 10 s")
}

/// A server, and what its backend has done.
#[derive(Debug, Clone, Default)]
struct Bed {
    /// Bytes of the flood that were taken.
    written: Arc<AtomicUsize>,
    /// Sessions that were told that the client has gone.
    gone: Arc<AtomicUsize>,
    limits: Limits,
}

impl Bed {
    /// A connection to the server.
    fn connect(&self) -> DuplexStream {
        let (client, io) = duplex(WIRE_BYTES);
        let bed = self.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let response = answer(bed.clone(), request);
                async move { Ok::<_, Infallible>(response) }
            });
            let server = hyper::server::conn::http1::Builder::new();
            let _ = server.serve_connection(TokioIo::new(io), service).with_upgrades().await;
        });
        client
    }

    async fn see_gone(&self, count: usize) {
        soon(async {
            while self.gone.load(Ordering::Relaxed) < count {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        })
        .await;
    }
}

fn answer(bed: Bed, mut request: Request<Incoming>) -> Response<Full<Bytes>> {
    let on = hyper::upgrade::on(&mut request);
    let query = request.uri().query().unwrap_or_default().to_owned();
    let result = match request.uri().path() {
        "/exec" => exec(bed, on, request.headers(), &query),
        "/forward" => forward(bed, on, request.headers(), &query),
        _ => log(bed, on, request.headers()),
    };
    match result {
        Ok(response) => response.map(|()| Full::default()),
        Err(refusal) => {
            let mut response = Response::new(Full::from(refusal.message));
            *response.status_mut() = refusal.status;
            response
        }
    }
}

type On = hyper::upgrade::OnUpgrade;

fn exec(bed: Bed, on: On, headers: &HeaderMap, query: &str) -> Result<Response<()>, Refusal> {
    let has = |flag: &str| query.contains(&format!("{flag}=true"));
    let wanted = Wanted::new(has("stdin"), has("stdout"), has("stderr"), has("tty"))?;
    let upgrade = ExecUpgrade::negotiate(headers)?;
    let response = upgrade.response();
    let command =
        query.split('&').find_map(|pair| pair.strip_prefix("command=")).unwrap_or_default().to_owned();
    tokio::spawn(async move {
        let io = upgraded(on).await.unwrap();
        if let Ok(session) = upgrade.accept(io, wanted, bed.limits).await {
            run(&bed, session, &command).await;
        }
    });
    Ok(response)
}

async fn run(bed: &Bed, mut session: ExecSession, command: &str) {
    let mut closed = session.closed();
    match command {
        "cat" => {
            let (mut stdin, mut stdout) = (session.stdin.take().unwrap(), session.stdout.take().unwrap());
            copy(&mut stdin, &mut stdout).await.unwrap();
            session.finish(ExitReport::Success);
        }
        "both" => {
            session.stdout.take().unwrap().write_all(b"to stdout").await.unwrap();
            session.stderr.take().unwrap().write_all(b"to stderr").await.unwrap();
            session.finish(ExitReport::ExitCode(3));
        }
        "fail" => {
            session.finish(ExitReport::Error("error executing command in container: no such file".into()));
        }
        "vanish" => drop(session),
        "sizes" => {
            let (mut resize, mut stdout) = (session.resize.take().unwrap(), session.stdout.take().unwrap());
            while let Some(size) = resize.next().await {
                stdout.write_all(format!("{}x{}\n", size.width, size.height).as_bytes()).await.unwrap();
                if size.width == 99 {
                    break;
                }
            }
            drop(stdout);
            session.finish(ExitReport::Success);
        }
        "flood" => {
            let mut stdout = session.stdout.take().unwrap();
            let part = vec![b'x'; 1024 * 1024];
            while bed.written.load(Ordering::Relaxed) < 64 * part.len()
                && stdout.write_all(&part).await.is_ok()
            {
                bed.written.fetch_add(part.len(), Ordering::Relaxed);
            }
            drop(stdout);
            session.finish(ExitReport::Success);
        }
        "deaf" => closed.wait().await,
        _ => panic!("no command {command:?}"),
    }
    if closed.is_closed() {
        bed.gone.fetch_add(1, Ordering::Relaxed);
    }
}

fn forward(bed: Bed, on: On, headers: &HeaderMap, query: &str) -> Result<Response<()>, Refusal> {
    let ports: Vec<&str> = query.split('&').filter_map(|pair| pair.strip_prefix("ports=")).collect();
    let upgrade = ForwardUpgrade::negotiate(headers, &ports)?;
    let response = upgrade.response();
    tokio::spawn(async move {
        let io = upgraded(on).await.unwrap();
        serve_ports(&bed, upgrade.accept(io, bed.limits).await).await;
    });
    Ok(response)
}

/// Port 7 echoes, port 9 reads nothing, port 13 closes after a greeting, port 19 sends 300 kB and closes, port 21 answers long after
/// its client has ended its side, and nothing listens elsewhere.
async fn serve_ports(bed: &Bed, mut session: ForwardSession) {
    while let Some(connection) = session.next().await {
        tokio::spawn(async move {
            let (pod, mut other) = duplex(WIRE_BYTES);
            match connection.port {
                7 => {
                    tokio::spawn(async move {
                        let (mut read, mut write) = tokio::io::split(other);
                        let _ = copy(&mut read, &mut write).await;
                        let _ = write.shutdown().await;
                    });
                }
                9 => {
                    tokio::spawn(async move {
                        tokio::time::sleep(SOON).await;
                        drop(other);
                    });
                }
                13 => {
                    tokio::spawn(async move { other.write_all(b"hello\n").await });
                }
                21 => {
                    tokio::spawn(async move {
                        let _ = other.read_to_end(&mut vec![]).await;
                        tokio::time::sleep(Duration::from_millis(1500)).await;
                        other.write_all(b"at last").await
                    });
                }
                19 => {
                    tokio::spawn(async move { other.write_all(&[b'y'; 300_000]).await });
                }
                _ => return connection.fail("p", "u-1", "connection refused").await,
            }
            let _ = connection.pump(pod).await;
        });
    }
    bed.gone.fetch_add(1, Ordering::Relaxed);
}

fn log(bed: Bed, on: On, headers: &HeaderMap) -> Result<Response<()>, Refusal> {
    let upgrade = LogUpgrade::negotiate(headers)?;
    let response = upgrade.response();
    tokio::spawn(async move {
        let io = upgraded(on).await.unwrap();
        upgrade.send(io, &b"line 1\nline 2\n"[..], bed.limits).await;
        bed.gone.fetch_add(1, Ordering::Relaxed);
    });
    Ok(response)
}

fn target(path: &str) -> Target {
    Target { host: "localhost".into(), path: path.into(), headers: HeaderMap::new() }
}

/// Upgrades with these headers.
async fn upgrade(
    io: DuplexStream,
    path: &str,
    headers: &[(&str, &str)],
) -> Result<TokioIo<Upgraded>, StatusCode> {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(io)).await.unwrap();
    tokio::spawn(connection.with_upgrades());
    let mut request = Request::get(path).header(HOST, "localhost").header(CONNECTION, "Upgrade");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = sender.send_request(request.body(Empty::<Bytes>::new()).unwrap()).await.unwrap();
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Err(response.status());
    }
    Ok(TokioIo::new(hyper::upgrade::on(response).await.unwrap()))
}

/// Upgrades to SPDY.
async fn upgrade_spdy(bed: &Bed, path: &str, protocol: &str) -> Result<TokioIo<Upgraded>, StatusCode> {
    let headers = [(UPGRADE.as_str(), "SPDY/3.1"), ("x-stream-protocol-version", protocol)];
    upgrade(bed.connect(), path, &headers).await
}

/// Upgrades to a WebSocket with this subprotocol, or none.
async fn upgrade_websocket(bed: &Bed, path: &str, protocol: &str) -> Result<TokioIo<Upgraded>, StatusCode> {
    let mut headers = vec![
        (UPGRADE.as_str(), "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    if !protocol.is_empty() {
        headers.push(("sec-websocket-protocol", protocol));
    }
    upgrade(bed.connect(), path, &headers).await
}

async fn read_all(mut from: impl tokio::io::AsyncRead + Unpin) -> Vec<u8> {
    let mut bytes = vec![];
    soon(from.read_to_end(&mut bytes)).await.unwrap();
    bytes
}

/// Waits until what the backend has written stands still, and returns it.
async fn stalled(bed: &Bed) -> usize {
    let mut seen = usize::MAX;
    loop {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let now = bed.written.load(Ordering::Relaxed);
        if now == seen {
            return now;
        }
        seen = now;
    }
}
