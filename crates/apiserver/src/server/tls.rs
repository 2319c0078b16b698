//! TLS: the server's certificate, and the certificates of clients.

use std::sync::Arc;
use std::time::Duration;

use rustls::RootCertStore;
use rustls::server::WebPkiClientVerifier;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::auth::{Peer, Pki, user_of};

const HANDSHAKE_TIME: Duration = Duration::from_secs(10);

/// `None` when the keys do not fit together.
pub(super) fn acceptor(pki: &Pki) -> Option<TlsAcceptor> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(pki.ca_der()?).ok()?;
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
    // Tokens come without a certificate.
    let verifier = verifier.allow_unauthenticated().build().ok()?;
    let (certificate, key) = pki.server_der()?;
    let builder =
        rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().ok()?;
    let mut config =
        builder.with_client_cert_verifier(verifier).with_single_cert(vec![certificate], key).ok()?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Some(TlsAcceptor::from(Arc::new(config)))
}

/// `None` when there is no connection: the client was too slow, or showed a certificate of others.
pub(super) async fn handshake(
    acceptor: &TlsAcceptor,
    stream: TcpStream,
) -> Option<(TlsStream<TcpStream>, Peer)> {
    let stream = match tokio::time::timeout(HANDSHAKE_TIME, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            tracing::debug!(%error, "a TLS handshake failed");
            return None;
        }
        Err(_) => {
            tracing::debug!("a TLS handshake took too long");
            return None;
        }
    };
    let certificates = stream.get_ref().1.peer_certificates();
    let user = certificates.and_then(<[_]>::first).and_then(user_of);
    let peer = user.map_or(Peer::Unknown, Peer::Certificate);
    Some((stream, peer))
}
