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
    pub client_certificate: String,
    pub client_key: String,
}

/// For `localhost`, 127.0.0.1 and ::1; with `mutual`, only for clients that show the certificate.
pub(crate) fn new(mutual: bool) -> (Tls, Arc<rustls::ServerConfig>) {
    make(mutual).expect("keys and certificates can be made")
}

fn make(mutual: bool) -> Result<(Tls, Arc<rustls::ServerConfig>), Box<dyn std::error::Error>> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(rcgen::DnType::CommonName, "registry-double");
    let ca = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;

    let names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).to_vec();
    let server_key = KeyPair::generate()?;
    let server = CertificateParams::new(names)?.signed_by(&server_key, &ca)?;
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
