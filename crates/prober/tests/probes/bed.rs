//! A server that does to each connection what a test says, and the pod it is the only port of.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use podspec::{HttpGetAction, HttpHeader, HttpScheme, PortRef};
use prober::{Dial, Pod};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Longer than anything that is not to be waited for.
pub(crate) const SOON: Duration = Duration::from_secs(20);
/// Of probes that are to time out.
pub(crate) const SHORT: Duration = Duration::from_millis(300);

#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) port: u16,
    connections: Arc<AtomicUsize>,
    accepting: JoinHandle<()>,
}

impl Server {
    pub(crate) async fn start<F, W>(serve: F) -> Self
    where
        F: Fn(TcpStream) -> W + Send + 'static,
        W: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let connections = Arc::new(AtomicUsize::new(0));
        let counted = connections.clone();
        let accepting = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                counted.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(serve(stream));
            }
        });
        Self { port, connections, accepting }
    }

    /// Reads the head of each request and answers `answer` of it, then closes.
    pub(crate) async fn answering(answer: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static) -> Self {
        let answer = Arc::new(answer);
        Self::start(move |mut stream| {
            let answer = answer.clone();
            async move {
                let head = read_head(&mut stream).await;
                let _ = stream.write_all(&answer(&head)).await;
                let _ = stream.shutdown().await;
            }
        })
        .await
    }

    /// The same answer to everybody.
    pub(crate) async fn saying(answer: impl Into<Vec<u8>>) -> Self {
        let answer = answer.into();
        Self::answering(move |_| answer.clone()).await
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Until the empty line, or the end.
pub(crate) async fn read_head(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut head = vec![];
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8(head).unwrap()
}

pub(crate) fn ok(body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

pub(crate) fn redirect(location: &str) -> Vec<u8> {
    format!("HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 3\r\n\r\nSee").into_bytes()
}

/// Stands in for a shim.
#[derive(Debug)]
pub(crate) struct Loopback;

impl Dial for Loopback {
    async fn dial(&self, port: u16) -> io::Result<TcpStream> {
        TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await
    }
}

pub(crate) fn pod() -> Pod<Loopback> {
    Pod { ip: IpAddr::V4(Ipv4Addr::LOCALHOST), dial: Loopback }
}

pub(crate) fn get(path: &str) -> HttpGetAction {
    HttpGetAction {
        host: None,
        port: PortRef::Number(1),
        path: path.to_owned(),
        scheme: HttpScheme::Http,
        headers: vec![],
    }
}

pub(crate) fn with_headers(path: &str, headers: &[(&str, &str)]) -> HttpGetAction {
    let header =
        |&(name, value): &(&str, &str)| HttpHeader { name: name.to_owned(), value: value.to_owned() };
    HttpGetAction { headers: headers.iter().map(header).collect(), ..get(path) }
}

/// A port that nobody listens on.
pub(crate) async fn closed_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    listener.local_addr().unwrap().port()
}
