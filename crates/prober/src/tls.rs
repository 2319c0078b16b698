//! TLS to a server that may be anybody: a container's certificate is its own business.

use std::sync::{Arc, OnceLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::{AlertDescription, ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use crate::error::chain;
use crate::tap::Head;

/// What the two ends agree on when both can speak it.
pub(crate) const HTTP2: &[u8] = b"h2";
const HTTP1: &[u8] = b"http/1.1";

/// For HTTP/1.1 over a connection that leads to a container and nobody else.
#[must_use]
pub fn trusting() -> Arc<ClientConfig> {
    config(false)
}

/// A probe takes HTTP/2 when it is offered, a hook does not.
pub(crate) fn config(speaks_http2: bool) -> Arc<ClientConfig> {
    static PLAIN: OnceLock<Arc<ClientConfig>> = OnceLock::new();
    static WITH_HTTP2: OnceLock<Arc<ClientConfig>> = OnceLock::new();
    if speaks_http2 {
        WITH_HTTP2.get_or_init(|| Arc::new(new_config(&[HTTP2, HTTP1]))).clone()
    } else {
        PLAIN.get_or_init(|| Arc::new(new_config(&[]))).clone()
    }
}

fn new_config(protocols: &[&[u8]]) -> ClientConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider has suites for TLS 1.2 and 1.3")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody));
    let mut config = config.with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    // Each connection stands alone.
    config.resumption = rustls::client::Resumption::disabled();
    config
}

/// Whoever answers is right. That the answer is signed with the certificate's key would prove nothing more, so a
/// certificate that cannot even be read will do.
#[derive(Debug)]
struct Anybody;

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![
            SignatureScheme::RSA_PSS_SHA256,
            SignatureScheme::ECDSA_NISTP256_SHA256,
            SignatureScheme::ED25519,
            SignatureScheme::RSA_PSS_SHA384,
            SignatureScheme::RSA_PSS_SHA512,
            SignatureScheme::RSA_PKCS1_SHA256,
            SignatureScheme::RSA_PKCS1_SHA384,
            SignatureScheme::RSA_PKCS1_SHA512,
            SignatureScheme::ECDSA_NISTP384_SHA384,
            SignatureScheme::ECDSA_NISTP521_SHA512,
        ]
    }
}

/// Why a handshake failed, by what the server sent first. The first is what a hook looks for.
pub(crate) const HTTP_ANSWER: &str = "http: server gave HTTP response to HTTPS client";

pub(crate) fn failure(error: &Error, head: &Head) -> String {
    match error {
        Error::AlertReceived(alert) => format!("remote error: tls: {}", alert_text(*alert)),
        Error::InvalidMessage(_) if head.bytes().starts_with(b"HTTP/") => HTTP_ANSWER.to_owned(),
        Error::InvalidMessage(_) if !head.bytes().starts_with(&[22]) => {
            "tls: first record does not look like a TLS handshake".to_owned()
        }
        error => format!("tls: {}", chain(error)),
    }
}

fn alert_text(alert: AlertDescription) -> String {
    match alert {
        AlertDescription::ProtocolVersion => "protocol version not supported".to_owned(),
        AlertDescription::HandshakeFailure => "handshake failure".to_owned(),
        AlertDescription::InternalError => "internal error".to_owned(),
        AlertDescription::NoApplicationProtocol => "no application protocol".to_owned(),
        AlertDescription::UnrecognisedName => "unrecognized name".to_owned(),
        AlertDescription::CertificateRequired => "certificate required".to_owned(),
        AlertDescription::BadCertificate => "bad certificate".to_owned(),
        other => format!("alert({})", u8::from(other)),
    }
}
