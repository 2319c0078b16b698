//! Connections: the engine's socket, TCP, TLS.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::pin::Pin;

use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;

use crate::{ClientError, Kubeconfig};

/// Bytes both ways.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// To an API server, with TLS or without.
pub type Connection = Pin<Box<dyn Duplex>>;

pub(crate) async fn by_socket(path: &Path) -> Result<Connection, ClientError> {
    let failed = |source| ClientError::NoEngine { path: path.to_owned(), source };
    let stream = connect_socket(path).await.map_err(failed)?;
    Ok(Box::pin(stream))
}

/// Paths of sockets are limited to 108 bytes, those of directories are not.
async fn connect_socket(path: &Path) -> io::Result<UnixStream> {
    let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else {
        return UnixStream::connect(path).await;
    };
    let dir = File::open(dir)?;
    let alias: PathBuf = format!("/proc/self/fd/{}", dir.as_raw_fd()).into();
    UnixStream::connect(alias.join(name)).await
}

pub(crate) async fn by_kubeconfig(config: &Kubeconfig) -> Result<Connection, ClientError> {
    let Kubeconfig { host, port, tls, .. } = config;
    let address = format!("{host}:{port}");
    let failed = |source| ClientError::Connect { address: address.clone(), source };
    let tcp = TcpStream::connect((host.as_str(), *port)).await.map_err(failed)?;
    tcp.set_nodelay(true).map_err(failed)?;
    let Some(tls) = tls else { return Ok(Box::pin(tcp)) };
    let name = ServerName::try_from(host.clone()).map_err(|error| failed(io::Error::other(error)))?;
    let stream = TlsConnector::from(tls.clone()).connect(name, tcp).await.map_err(failed)?;
    Ok(Box::pin(stream))
}
