//! The sockets of the API: a unix socket for whoever may open it, and TLS over TCP.

pub(crate) mod connection;
mod first;
mod local;
mod pods;
#[cfg(test)]
mod tests;
mod tls;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use store::Store;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::access::Policies;
use crate::api::Api;
use crate::auth::{Authenticator, Names, Peer, Pki, PkiError};
use crate::backend::NodeBackend;
use crate::controllers::StockRoles;
use crate::discovery::Documents;
use crate::metrics::Metrics;

/// Connections at a time, of each socket: one more waits to be accepted.
const CONNECTIONS_MAX: usize = 4_096;
/// How long requests may go on after a shutdown began.
const SHUTDOWN_TIME: Duration = Duration::from_secs(5);
/// After an error of accept, as when descriptors have run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What a server needs.
#[derive(Debug)]
pub struct ServerConfig {
    pub store: Store,
    pub backend: Arc<dyn NodeBackend>,
    /// For kubectl, with TLS.
    pub listen: Option<SocketAddr>,
    /// For this machine: whoever may open it is the administrator. Replaced when nobody listens on it.
    pub socket: Option<PathBuf>,
    /// Where keys and certificates are kept; they are made anew and kept nowhere without.
    pub pki: Option<PathBuf>,
    pub node_name: String,
    pub node_addresses: Vec<IpAddr>,
    /// Of the Service `default/kubernetes`.
    pub service_addresses: Vec<IpAddr>,
    /// Addresses of this machine on which pods reach it, with TLS.
    pub pod_addresses: Vec<IpAddr>,
    /// `X.Y.Z` of this program.
    pub version: &'static str,
}

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Pki(#[from] PkiError),
    #[error("cannot listen on {address}: choose another address with --listen, or stop what listens there")]
    Listen { address: SocketAddr, source: io::Error },
    #[error("cannot listen on {address} for pods: see whether a program holds every port of the machine")]
    Pods { address: IpAddr, source: io::Error },
    #[error("cannot listen on {}", path.display())]
    Socket { path: PathBuf, source: io::Error },
    #[error("another server answers on {}: stop it first", path.display())]
    InUse { path: PathBuf },
    #[error("cannot set up TLS with the certificates in {}: remove the directory to have new ones made", path.display())]
    Tls { path: PathBuf },
}

/// Starts servers.
#[derive(Debug)]
pub struct Server;

/// A server that runs until it is shut down, or dropped.
#[derive(Debug)]
pub struct Running {
    pub api: Arc<Api>,
    pub pki: Arc<Pki>,
    /// Where TLS is served, with the port that was chosen for port 0.
    pub address: Option<SocketAddr>,
    /// Where TLS is served for pods; all on the same port.
    pub for_pods: Vec<SocketAddr>,
    listeners: JoinSet<()>,
    socket: Option<PathBuf>,
}

impl Server {
    /// Listens; when this returns, requests are answered.
    ///
    /// # Errors
    /// Keys cannot be read or made, or an address cannot be listened on.
    pub async fn start(config: ServerConfig) -> Result<Running, StartError> {
        let names = Names {
            node: config.node_name.clone(),
            addresses: config.node_addresses.iter().chain(&config.pod_addresses).copied().collect(),
            services: config.service_addresses,
        };
        let pki = Arc::new(match &config.pki {
            Some(directory) => Pki::open(directory, &names)?,
            None => Pki::make(&names)?,
        });
        let api = Arc::new(Api {
            store: config.store,
            backend: config.backend,
            node_name: config.node_name,
            authenticator: Authenticator { tokens: pki.tokens.clone() },
            policies: Policies::default(),
            metrics: Metrics::default(),
            documents: Documents::default(),
            roles: StockRoles::default(),
            shutdown: watch::Sender::new(false),
            version: config.version,
        });
        let mut listeners = JoinSet::new();
        let mut streams = Vec::new();
        let mut address = None;
        if let Some(asked) = config.listen {
            let failed = |source| StartError::Listen { address: asked, source };
            let listener = TcpListener::bind(asked).await.map_err(failed)?;
            address = Some(listener.local_addr().map_err(failed)?);
            streams.push(listener);
        }
        let for_pods = pods::listen(&config.pod_addresses, address, &mut streams).await?;
        if !streams.is_empty() {
            let acceptor = tls::acceptor(&pki)
                .ok_or_else(|| StartError::Tls { path: config.pki.clone().unwrap_or_default() })?;
            for listener in streams {
                listeners.spawn(accept_tls(listener, acceptor.clone(), api.clone()));
            }
        }
        if let Some(path) = &config.socket {
            let listener = local::bind(path).await?;
            listeners.spawn(accept_local(listener, api.clone()));
        }
        Ok(Running { api, pki, address, for_pods, listeners, socket: config.socket })
    }
}

impl Running {
    /// Takes no more connections, ends watches, lets other requests end, and returns when all have, or soon.
    pub async fn shutdown(mut self) {
        self.api.shutdown.send_replace(true);
        let ended = async { while self.listeners.join_next().await.is_some() {} };
        // Whoever has not ended by now is cut off.
        let _ = tokio::time::timeout(SHUTDOWN_TIME, ended).await;
        if let Some(path) = self.socket.take() {
            remove_socket(&path);
        }
    }
}

/// The file of a socket outlives it; what cannot be removed is replaced by the next server.
fn remove_socket(path: &Path) {
    if let Err(error) = std::fs::remove_file(path) {
        tracing::debug!(path = %path.display(), %error, "cannot remove the socket");
    }
}

async fn accept_tls(listener: TcpListener, acceptor: tokio_rustls::TlsAcceptor, api: Arc<Api>) {
    let mut connections = JoinSet::new();
    let mut shutdown = api.shutdown.subscribe();
    loop {
        reap(&mut connections).await;
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = is_down(&mut shutdown) => break,
        };
        match accepted {
            Ok((stream, _)) => {
                // Small answers go out at once.
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(%error, "cannot set TCP_NODELAY");
                }
                let (acceptor, api) = (acceptor.clone(), api.clone());
                connections.spawn(async move {
                    if let Some((stream, peer)) = tls::handshake(&acceptor, stream).await {
                        api.make_roles().await;
                        connection::serve(stream, peer, api).await;
                    }
                });
            }
            Err(error) => pause(&error).await,
        }
    }
    while connections.join_next().await.is_some() {}
}

async fn accept_local(listener: UnixListener, api: Arc<Api>) {
    let mut connections = JoinSet::new();
    let mut shutdown = api.shutdown.subscribe();
    loop {
        reap(&mut connections).await;
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = is_down(&mut shutdown) => break,
        };
        match accepted {
            Ok((stream, _)) if local::is_trusted(&stream) => {
                let api = api.clone();
                connections.spawn(async move {
                    api.make_roles().await;
                    connection::serve(stream, Peer::Local, api).await;
                });
            }
            Ok(_) => tracing::warn!("a connection of another user to the unix socket was closed"),
            Err(error) => pause(&error).await,
        }
    }
    while connections.join_next().await.is_some() {}
}

/// Returns once the server is to end.
async fn is_down(shutdown: &mut watch::Receiver<bool>) {
    // An error is that nobody is left who could say so, which is the same.
    let _ = shutdown.wait_for(|down| *down).await;
}

/// Forgets connections that have ended; waits for one when there are too many.
async fn reap(connections: &mut JoinSet<()>) {
    while connections.try_join_next().is_some() {}
    while connections.len() >= CONNECTIONS_MAX {
        connections.join_next().await;
    }
}

async fn pause(error: &io::Error) {
    tracing::warn!(%error, "cannot accept a connection");
    tokio::time::sleep(ACCEPT_PAUSE).await;
}
