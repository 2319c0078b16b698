//! A certificate authority of its own, and what it has signed.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::RootCertStore;
use rustls::server::WebPkiClientVerifier;
use rustls_pki_types::PrivateKeyDer;

/// What a client needs, in PEM.
#[derive(Clone, Debug)]
pub struct Tls {
    pub ca: String,
    /// Empty where the certificate is its own authority.
    pub client_certificate: String,
    pub client_key: String,
}

/// For `localhost`, 127.0.0.1 and ::1; with `mutual`, only for clients that show the certificate.
pub(crate) fn new(mutual: bool) -> (Tls, Arc<rustls::ServerConfig>) {
    make(mutual).expect("keys and certificates can be made")
}

/// As [`new`], with a certificate that is its own authority.
pub(crate) fn self_signed() -> (Tls, Arc<rustls::ServerConfig>) {
    let make = || -> Result<_, Box<dyn std::error::Error>> {
        let mut params = CertificateParams::new(names())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate()?;
        let certificate = params.self_signed(&key)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::try_from(key.serialize_der())?,
            )?;
        let tls = Tls { ca: certificate.pem(), client_certificate: String::new(), client_key: String::new() };
        Ok((tls, Arc::new(config)))
    };
    make().expect("keys and certificates can be made")
}

fn names() -> Vec<String> {
    ["localhost", "127.0.0.1", "::1"].map(str::to_owned).to_vec()
}

fn make(mutual: bool) -> Result<(Tls, Arc<rustls::ServerConfig>), Box<dyn std::error::Error>> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(rcgen::DnType::CommonName, "registry-double");
    let ca = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;

    let server_key = KeyPair::generate()?;
    let server = CertificateParams::new(names())?.signed_by(&server_key, &ca)?;
    let client_key = KeyPair::generate()?;
    let client = CertificateParams::new(vec!["client".to_owned()])?.signed_by(&client_key, &ca)?;

    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()?;
    let config = if mutual {
        let mut roots = RootCertStore::empty();
        roots.add(ca.der().clone())?;
        config.with_client_cert_verifier(
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build()?,
        )
    } else {
        config.with_no_client_auth()
    };
    let key = PrivateKeyDer::try_from(server_key.serialize_der())?;
    let config = config.with_single_cert(vec![server.der().clone()], key)?;
    let tls = Tls { ca: ca.pem(), client_certificate: client.pem(), client_key: client_key.serialize_pem() };
    Ok((tls, Arc::new(config)))
}
