//! Whom TLS trusts, and who it says we are.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustls::{CertificateError, ClientConfig};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::trust::Trust;
use crate::client::Environment;
use crate::error::Problem;
use crate::hosts::{Identity, Tls};

const FILE: &str = "SSL_CERT_FILE";
const DIR: &str = "SSL_CERT_DIR";

/// The machine's certificate authorities, read when they are needed first; anew while there are none.
pub(super) struct Roots {
    /// From the environment, instead of where systems have them.
    file: Option<PathBuf>,
    dir: Option<PathBuf>,
    found: Mutex<Option<Found>>,
}

struct Found {
    certificates: Arc<Vec<CertificateDer<'static>>>,
    /// What went wrong.
    why: String,
}

impl Roots {
    pub(super) fn new(environment: &Environment<'_>) -> Self {
        let path = |name| environment(name).filter(|path| !path.is_empty()).map(PathBuf::from);
        Self { file: path(FILE), dir: path(DIR), found: Mutex::default() }
    }

    fn found(&self) -> MutexGuard<'_, Option<Found>> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn certificates(&self) -> Arc<Vec<CertificateDer<'static>>> {
        if let Some(found) = self.found().as_ref().filter(|found| !found.certificates.is_empty()) {
            return Arc::clone(&found.certificates);
        }
        let (file, dir) = (self.file.clone(), self.dir.clone());
        let read = tokio::task::spawn_blocking(move || match (&file, &dir) {
            (None, None) => rustls_native_certs::load_native_certs(),
            (file, dir) => rustls_native_certs::load_certs_from_paths(file.as_deref(), dir.as_deref()),
        });
        let read = read.await.unwrap_or_default();
        let certificates = Arc::new(read.certs);
        let why: Vec<String> = read.errors.iter().take(2).map(ToString::to_string).collect();
        *self.found() = Some(Found { certificates: Arc::clone(&certificates), why: why.join("; ") });
        certificates
    }

    /// What to say when the machine had no authorities at all.
    pub(super) fn missing(&self) -> Option<String> {
        let found = self.found();
        let Found { why, .. } = found.as_ref().filter(|found| found.certificates.is_empty())?;
        let why = if why.is_empty() { String::new() } else { format!(" ({why})") };
        Some(format!(
            "this machine has no certificate authorities{why}: install ca-certificates, set {FILE}, or give the \
             registry's own as `ca` in hosts.toml"
        ))
    }
}

pub(super) async fn config(tls: &Tls, roots: &Roots) -> Result<ClientConfig, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS cannot be set up: {error}"))?;
    let trust = if tls.skip_verify {
        Trust::anyone(provider)
    } else {
        Trust::new(provider, &roots.certificates().await, &tls.ca)?
    };
    let builder = builder.dangerous().with_custom_certificate_verifier(Arc::new(trust));
    let mut config = match &tls.identity {
        None => builder.with_no_client_auth(),
        Some(identity) => {
            let (certificates, key) = parts(identity)?;
            let wrong = |error| format!("the client's certificate and key cannot be used: {error}");
            builder.with_client_auth_cert(certificates, key).map_err(wrong)?
        }
    };
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

fn parts(identity: &Identity) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), String> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&identity.pem).collect();
    let certificates =
        certificates.map_err(|error| format!("the client's certificate cannot be read: {error}"))?;
    let key = PrivateKeyDer::from_pem_slice(&identity.pem);
    let key = key.map_err(|error| format!("the client's private key cannot be read: {error}"))?;
    Ok((certificates, key))
}

/// What a failed handshake means to whoever configured it.
pub(super) fn problem(error: &rustls::Error, roots: &Roots) -> Problem {
    match error {
        rustls::Error::InvalidMessage(_) => Problem::PlainHttp,
        // The others are of an authority with the same name as one that is trusted, and of one that signed itself.
        rustls::Error::InvalidCertificate(
            CertificateError::UnknownIssuer | CertificateError::BadSignature | CertificateError::Other(_),
        ) => Problem::Untrusted(roots.missing().unwrap_or_else(|| {
            "nobody who is trusted has signed its certificate: give the registry's authority as `ca` in hosts.toml, or \
             in certs.d/HOST/ca.crt"
                .to_owned()
        })),
        rustls::Error::AlertReceived(alert) => Problem::Untrusted(format!(
            "the server refuses the TLS connection ({alert:?}): it may want a client certificate, `client` in hosts.toml"
        )),
        other => Problem::Untrusted(format!("its certificate is not taken: {other}")),
    }
}
