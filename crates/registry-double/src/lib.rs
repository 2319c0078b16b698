//! A registry on loopback for tests: it holds what it is given, counts what it is asked, and misbehaves when told.
//!
//! It runs on a thread of its own and ends when it is dropped. Paths are given in parts: a rule, a gate or a count is of
//! all requests whose path contains the part.

mod auth;
mod content;
mod fault;
mod http;
mod serve;
mod tls;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use tokio::net::TcpListener;
use tokio::runtime;
use tokio::sync::{oneshot, watch};
use tokio_rustls::TlsAcceptor;

pub use auth::{Auth, Bearer};
pub use content::{
    Compression, DOCKER_LIST, DOCKER_MANIFEST, Descriptor, Image, Layer, OCI_INDEX, OCI_MANIFEST, Platform,
    Pushed, digest,
};
pub use fault::{Fault, Gate};
pub use tls::Tls;

use auth::Tokens;
use content::Content;
use fault::{Held, Rule};

/// One request.
#[derive(Clone, Debug)]
pub struct Seen {
    pub method: String,
    pub path: String,
    pub query: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// Of the answer; 0 before there is one.
    pub status: u16,
    /// Of the body, as far as the kernel took them.
    pub bytes_sent: u64,
}

impl Seen {
    fn of(request: &http::Request) -> Self {
        Self {
            method: request.method.clone(),
            path: request.path.clone(),
            query: request.query.clone(),
            headers: request.headers.clone(),
            status: 0,
            bytes_sent: 0,
        }
    }

    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }
}

#[derive(Debug, Default)]
pub(crate) struct State {
    content: Content,
    auth: Auth,
    tokens: Tokens,
    rules: Vec<Rule>,
    held: Vec<Held>,
}

impl State {
    fn fault(&mut self, path: &str) -> Option<Fault> {
        let rule = self.rules.iter_mut().find(|rule| path.contains(&rule.path) && rule.times != Some(0))?;
        if let Some(times) = &mut rule.times {
            *times -= 1;
        }
        Some(rule.fault.clone())
    }
}

#[derive(Debug)]
pub(crate) struct Shared {
    origin: String,
    state: Mutex<State>,
    log: watch::Sender<Vec<Seen>>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of the request.
    fn see(&self, seen: Seen) -> usize {
        let mut number = 0;
        self.log.send_modify(|log| {
            number = log.len();
            log.push(seen);
        });
        number
    }

    fn change(&self, number: usize, change: impl FnOnce(&mut Seen)) {
        self.log.send_modify(|log| change(&mut log[number]));
    }
}

/// A registry. It ends when it is dropped.
#[derive(Debug)]
pub struct Double {
    shared: Arc<Shared>,
    address: SocketAddr,
    tls: Option<Tls>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Double {
    /// Plain HTTP on a port of 127.0.0.1.
    #[must_use]
    pub fn start() -> Self {
        Self::run(None)
    }

    /// HTTPS with a certificate of [`Double::tls`]'s authority.
    #[must_use]
    pub fn start_tls() -> Self {
        Self::run(Some(tls::new(false)))
    }

    /// HTTPS with a certificate that is its own authority, as `openssl req -x509` makes one.
    #[must_use]
    pub fn start_self_signed() -> Self {
        Self::run(Some(tls::self_signed()))
    }

    /// HTTPS, only for clients with the certificate of [`Double::tls`].
    #[must_use]
    pub fn start_mutual_tls() -> Self {
        Self::run(Some(tls::new(true)))
    }

    fn run(tls: Option<(Tls, Arc<rustls::ServerConfig>)>) -> Self {
        let listener =
            std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has free ports");
        listener.set_nonblocking(true).expect("a new socket can be set");
        let address = listener.local_addr().expect("a bound socket has an address");
        let (tls, config) = tls.unzip();
        let scheme = if config.is_some() { "https" } else { "http" };
        let shared = Arc::new(Shared {
            origin: format!("{scheme}://{address}"),
            state: Mutex::default(),
            log: watch::Sender::new(Vec::new()),
        });
        let (stop, stopped) = oneshot::channel();
        let serving = Arc::clone(&shared);
        let thread = thread::spawn(move || {
            let runtime =
                runtime::Builder::new_current_thread().enable_all().build().expect("a runtime can be made");
            runtime.block_on(async {
                tokio::select! {
                    () = accept(serving, listener, config.map(TlsAcceptor::from)) => {}
                    _ = stopped => {}
                }
            });
            // Connections are tasks of the runtime and end with it.
        });
        Self { shared, address, tls, stop: Some(stop), thread: Some(thread) }
    }

    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `127.0.0.1:PORT`, the domain of its references.
    #[must_use]
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// `http://127.0.0.1:PORT`, or with `https`.
    #[must_use]
    pub fn url(&self) -> String {
        self.shared.origin.clone()
    }

    /// What clients of a registry with TLS need.
    #[must_use]
    pub fn tls(&self) -> Option<&Tls> {
        self.tls.as_ref()
    }

    pub fn push(&self, repository: &str, tag: Option<&str>, image: &Image) -> Pushed {
        self.shared.lock().content.image(repository, tag, image)
    }

    /// An index (Docker's list with `docker`) of manifests that were pushed.
    pub fn push_index(
        &self,
        repository: &str,
        tag: Option<&str>,
        manifests: &[(Descriptor, Platform)],
        docker: bool,
    ) -> Descriptor {
        self.shared.lock().content.index(repository, tag, manifests, docker)
    }

    /// An artifact of files, each with its title, media type and content.
    pub fn push_artifact(
        &self,
        repository: &str,
        tag: Option<&str>,
        artifact_type: &str,
        files: &[(&str, &str, &[u8])],
    ) -> Descriptor {
        self.shared.lock().content.artifact(repository, tag, artifact_type, files)
    }

    pub fn push_manifest(
        &self,
        repository: &str,
        tag: Option<&str>,
        media_type: &str,
        bytes: impl Into<Bytes>,
    ) -> Descriptor {
        self.shared.lock().content.manifest(repository, tag, media_type, bytes.into())
    }

    pub fn push_blob(&self, repository: &str, media_type: &str, bytes: impl Into<Bytes>) -> Descriptor {
        self.shared.lock().content.blob(repository, media_type, bytes.into())
    }

    /// Something to be redirected to; nobody is asked who they are.
    pub fn put_file(&self, path: &str, bytes: impl Into<Bytes>) {
        self.shared.lock().content.files.insert(path.to_owned(), bytes.into());
    }

    /// Takes a blob away.
    pub fn forget_blob(&self, repository: &str, digest: &str) {
        self.shared.lock().content.blobs.remove(&(repository.to_owned(), digest.to_owned()));
    }

    pub fn require(&self, auth: Auth) {
        self.shared.lock().auth = auth;
    }

    /// No token that was given out is good any more.
    pub fn expire_tokens(&self) {
        self.shared.lock().tokens.expire();
    }

    /// From now on, until [`Double::behave`]. The first rule that fits counts.
    pub fn misbehave(&self, path: &str, fault: Fault) {
        self.rule(path, None, fault);
    }

    /// For so many requests.
    pub fn misbehave_times(&self, path: &str, times: u32, fault: Fault) {
        self.rule(path, Some(times), fault);
    }

    fn rule(&self, path: &str, times: Option<u32>, fault: Fault) {
        self.shared.lock().rules.push(Rule { path: path.to_owned(), times, fault });
    }

    /// Forgets all rules.
    pub fn behave(&self) {
        self.shared.lock().rules.clear();
    }

    /// Answers that begin from now on wait for the gate.
    #[must_use]
    pub fn hold(&self, path: &str) -> Gate {
        self.hold_after(path, 0)
    }

    /// As [`Double::hold`], after so many bytes of the body.
    #[must_use]
    pub fn hold_after(&self, path: &str, after_bytes: u64) -> Gate {
        let (gate, opened) = watch::channel(false);
        self.shared.lock().held.push(Held { path: path.to_owned(), after_bytes, opened });
        Gate(gate)
    }

    /// All requests so far.
    #[must_use]
    pub fn seen(&self) -> Vec<Seen> {
        self.shared.log.borrow().clone()
    }

    /// How many requests there were.
    #[must_use]
    pub fn requests(&self, path: &str) -> usize {
        self.shared.log.borrow().iter().filter(|seen| seen.path.contains(path)).count()
    }

    /// How much of bodies was sent.
    #[must_use]
    pub fn bytes_sent(&self, path: &str) -> u64 {
        self.shared
            .log
            .borrow()
            .iter()
            .filter(|seen| seen.path.contains(path))
            .map(|seen| seen.bytes_sent)
            .sum()
    }

    /// Whether the requests come to satisfy `condition` in time.
    pub async fn wait(&self, within: Duration, condition: impl Fn(&[Seen]) -> bool) -> bool {
        let mut log = self.shared.log.subscribe();
        tokio::time::timeout(within, log.wait_for(|log| condition(log))).await.is_ok()
    }

    /// [`Double::wait`] for those without a runtime.
    ///
    /// # Panics
    /// Within a runtime.
    pub fn wait_blocking(&self, within: Duration, condition: impl Fn(&[Seen]) -> bool) -> bool {
        let runtime =
            runtime::Builder::new_current_thread().enable_time().build().expect("a runtime can be made");
        runtime.block_on(self.wait(within, condition))
    }
}

impl Drop for Double {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            // It may have ended already.
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn accept(shared: Arc<Shared>, listener: std::net::TcpListener, tls: Option<TlsAcceptor>) {
    let listener = TcpListener::from_std(listener).expect("a socket that does not block");
    while let Ok((stream, _)) = listener.accept().await {
        let (shared, tls) = (Arc::clone(&shared), tls.clone());
        tokio::spawn(async move {
            let Some(tls) = tls else { return serve::connection(shared, stream).await };
            // A client that does not trust the certificate goes away.
            if let Ok(stream) = tls.accept(stream).await {
                serve::connection(shared, stream).await;
            }
        });
    }
}
