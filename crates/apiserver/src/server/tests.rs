use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::RootCertStore;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use store::{Options, Place, Store};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;

use super::first::First;
use super::{Running, Server, ServerConfig, StartError};
use crate::backend::NoNode;
use crate::objects;

const SOON: Duration = Duration::from_secs(20);

struct Bed {
    directory: PathBuf,
}

impl Bed {
    fn new(name: &str) -> Self {
        let directory = std::env::temp_dir().join(format!("apiserver-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&directory);
        fs::create_dir_all(&directory).expect("a directory");
        Self { directory }
    }

    fn socket(&self) -> PathBuf {
        self.directory.join("api.sock")
    }

    async fn start(&self, socket: &Path, listen: bool) -> Result<Running, StartError> {
        let store = Store::open(Place::Memory, Options { index: objects::index_stored }).expect("memory");
        Server::start(ServerConfig {
            store,
            backend: Arc::new(NoNode),
            listen: listen.then(|| ([127, 0, 0, 1], 0).into()),
            socket: Some(socket.to_owned()),
            pki: Some(self.directory.join("pki")),
            node_name: "node-1".to_owned(),
            node_addresses: Vec::new(),
            service_addresses: vec![[10, 96, 0, 1].into()],
            pod_addresses: Vec::new(),
            version: "1.2.3",
        })
        .await
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// Sends `request` and reads until the server closes, or says nothing more.
async fn exchange(stream: impl AsyncRead + AsyncWrite + Unpin, request: &[u8]) -> String {
    let mut stream = stream;
    // A server that refuses a request may close before all of it is sent.
    let _ = stream.write_all(request).await;
    let mut answer = Vec::new();
    let read = async {
        let mut chunk = [0; 4096];
        while let Ok(count @ 1..) = stream.read(&mut chunk).await {
            answer.extend_from_slice(&chunk[..count]);
        }
    };
    tokio::time::timeout(SOON, read).await.expect("an answer in time");
    String::from_utf8_lossy(&answer).into_owned()
}

fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").into_bytes()
}

async fn on_socket(path: &Path, request: &[u8]) -> String {
    exchange(UnixStream::connect(path).await.expect("a connection"), request).await
}

#[tokio::test]
async fn the_socket_is_its_owners_and_the_owner_is_the_administrator() {
    let bed = Bed::new("socket");
    let socket = bed.socket();
    fs::write(&socket, "what a killed server left").expect("writing");
    let running = bed.start(&socket, false).await.expect("a server");
    assert_eq!(fs::metadata(&socket).expect("a socket").permissions().mode() & 0o777, 0o600);
    let answer = on_socket(&socket, &get("/api/v1/namespaces")).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    let second = bed.start(&socket, false).await;
    assert!(matches!(second, Err(StartError::InUse { .. })), "{second:?}");
    running.shutdown().await;
    assert!(!socket.exists());
    bed.start(&socket, false).await.expect("a server").shutdown().await;
}

#[tokio::test]
async fn a_socket_may_lie_deep() {
    let bed = Bed::new("deep");
    let directory = bed.directory.join("d".repeat(90)).join("e".repeat(90));
    fs::create_dir_all(&directory).expect("a directory");
    let socket = directory.join("api.sock");
    let running = bed.start(&socket, false).await.expect("a server");
    let near = bed.directory.join("near");
    std::os::unix::fs::symlink(&directory, &near).expect("a link");
    assert!(on_socket(&near.join("api.sock"), &get("/version")).await.contains("v1.36.2+monopod.1.2.3"));
    running.shutdown().await;
}

/// A connector that trusts the server's CA, with the administrator's certificate or without.
fn connector(running: &Running, as_admin: bool) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(running.pki.ca.as_bytes()).expect("a CA")).expect("a root");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.expect("versions").with_root_certificates(roots);
    let admin = &running.pki.admin;
    let mut config = if as_admin {
        let certificate =
            CertificateDer::from_pem_slice(admin.certificate.as_bytes()).expect("a certificate");
        let key = PrivateKeyDer::from_pem_slice(admin.key.as_bytes()).expect("a key");
        builder.with_client_auth_cert(vec![certificate], key).expect("an identity")
    } else {
        builder.with_no_client_auth()
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    TlsConnector::from(Arc::new(config))
}

async fn over_tls(
    running: &Running,
    as_admin: bool,
    name: &'static str,
    path: &str,
) -> std::io::Result<String> {
    let stream = TcpStream::connect(running.address.expect("an address")).await?;
    let name = ServerName::try_from(name).expect("a name");
    let stream = connector(running, as_admin).connect(name, stream).await?;
    Ok(exchange(stream, &get(path)).await)
}

#[tokio::test]
async fn tls_knows_the_administrator_and_strangers() {
    let bed = Bed::new("tls");
    let running = bed.start(&bed.socket(), true).await.expect("a server");
    for name in ["localhost", "127.0.0.1", "10.96.0.1", "node-1", "kubernetes.default.svc"] {
        let answer = over_tls(&running, true, name, "/api/v1/namespaces").await.expect("a connection");
        assert!(answer.starts_with("HTTP/1.1 200 OK"), "{name}: {answer}");
    }
    assert!(over_tls(&running, true, "example.com", "/version").await.is_err());
    let version = over_tls(&running, false, "localhost", "/version").await.expect("a connection");
    assert!(version.starts_with("HTTP/1.1 200 OK"), "{version}");
    let pods = over_tls(&running, false, "localhost", "/api/v1/pods").await.expect("a connection");
    assert!(pods.starts_with("HTTP/1.1 403") && pods.contains("system:anonymous"), "{pods}");
    running.shutdown().await;
}

#[tokio::test]
async fn http2_without_tls_on_the_socket() {
    let bed = Bed::new("h2c");
    let running = bed.start(&bed.socket(), false).await.expect("a server");
    let stream = UnixStream::connect(bed.socket()).await.expect("a connection");
    let io = hyper_util::rt::TokioIo::new(stream);
    let executor = hyper_util::rt::TokioExecutor::new();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(executor, io).await.expect("a handshake");
    let connection = tokio::spawn(connection);
    for _ in 0..3 {
        let request = http::Request::builder().uri("http://localhost/api").body(crate::body::empty());
        let response = sender.send_request(request.expect("a request")).await.expect("an answer");
        assert_eq!((response.status().as_u16(), response.version()), (200, http::Version::HTTP_2));
    }
    drop(sender);
    connection.await.expect("its end").expect("a good end");
    running.shutdown().await;
}

#[tokio::test]
async fn hostile_requests_are_refused_and_the_server_goes_on() {
    let bed = Bed::new("hostile");
    let running = bed.start(&bed.socket(), false).await.expect("a server");
    let head = |rest: &str| format!("GET /version HTTP/1.1\r\nHost: localhost\r\n{rest}\r\n").into_bytes();
    let large = head(&format!("X: {}\r\n", "x".repeat(200_000)));
    assert!(on_socket(&bed.socket(), &large).await.starts_with("HTTP/1.1 431"));
    let many: String = (0..500).map(|n| format!("X-{n}: y\r\n")).collect();
    assert!(on_socket(&bed.socket(), &head(&many)).await.starts_with("HTTP/1.1 431"));
    for wrong in [
        &b"nonsense that is no request\r\n\r\n"[..],
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03more of a TLS hello\r\n\r\n",
        b"GET / HTTP/9.9\r\nHost: localhost\r\n\r\n",
    ] {
        let answer = on_socket(&bed.socket(), wrong).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    }
    // It says that it will send 100 MB, and is refused before it has.
    let post = "POST /api/v1/namespaces HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";
    let huge = format!("{post}Content-Length: 104857600\r\n\r\n");
    let answer = on_socket(&bed.socket(), huge.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 413") && answer.contains("RequestEntityTooLarge"), "{answer}");
    let mut chunked = format!("{post}Transfer-Encoding: chunked\r\n\r\n").into_bytes();
    for _ in 0..64 {
        chunked.extend_from_slice(b"10000\r\n");
        chunked.resize(chunked.len() + 0x10000, b' ');
        chunked.extend_from_slice(b"\r\n");
    }
    let answer = on_socket(&bed.socket(), &chunked).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 413"), "{answer}");
    let encoded = get("/api/v1/namespaces/%00%ff/pods");
    assert!(on_socket(&bed.socket(), &encoded).await.starts_with("HTTP/1.1 400"));
    assert!(on_socket(&bed.socket(), &get("/version")).await.starts_with("HTTP/1.1 200"));
    running.shutdown().await;
}

#[tokio::test]
async fn whoever_says_nothing_is_cut_off() {
    const SHORT: Duration = Duration::from_millis(50);
    let (_client, server) = tokio::io::duplex(64);
    let mut buffer = [0; 32];
    let error = First::within(server, SHORT).read(&mut buffer).await.expect_err("nothing came");
    assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
    let (mut client, server) = tokio::io::duplex(64);
    let mut first = First::within(server, SHORT);
    client.write_all(b"GET / HTTP/1.1\r\n").await.expect("writing");
    first.read_exact(&mut buffer[..16]).await.expect("reading");
    client.write_all(b"\r\n").await.expect("writing");
    first.read_exact(&mut buffer[..2]).await.expect("reading");
    // One whose head is there may be silent for long: watches are.
    let silent = tokio::time::timeout(SHORT * 4, first.read(&mut buffer)).await;
    assert!(silent.is_err());
    let (mut client, server) = tokio::io::duplex(64);
    let mut first = First::within(server, SHORT);
    let began = std::time::Instant::now();
    while began.elapsed() < SOON {
        client.write_all(b"x: y\r\n").await.expect("writing");
        if first.read(&mut buffer).await.is_err() {
            return;
        }
        // Nothing more is there: it waits for the next drop or for the deadline.
        let waited = tokio::time::timeout(SHORT / 10, first.read(&mut buffer)).await;
        if let Ok(Err(error)) = waited {
            assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
            return;
        }
    }
    panic!("drops are taken without end");
}
