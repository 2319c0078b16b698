//! Kubeconfig files (<https://kubernetes.io/docs/concepts/configuration/organize-cluster-access-kubeconfig/>): the
//! current context with certificates or a token. Credentials by a program (`exec`) are refused by name.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::Value;

use crate::KubeconfigError;

/// Where an API is and how to be known there.
#[derive(Clone, Debug)]
pub struct Kubeconfig {
    /// Of a server that is `unix:///path`; then the rest says nothing.
    pub(crate) socket: Option<PathBuf>,
    pub(crate) host: String,
    pub(crate) port: u16,
    /// `None` for plain HTTP.
    pub(crate) tls: Option<Arc<ClientConfig>>,
    pub(crate) token: Option<String>,
    /// Of the context; `None` when it names none.
    pub namespace: Option<String>,
}

impl Kubeconfig {
    /// Reads the file's current context.
    ///
    /// # Errors
    /// When the file cannot be read, or its current context is not complete, or asks for what is not supported.
    pub fn read(path: &Path) -> Result<Self, KubeconfigError> {
        let read = |path: &Path| {
            fs::read(path).map_err(|source| KubeconfigError::Read { path: path.to_owned(), source })
        };
        let wrong = |message: String| KubeconfigError::Content { path: path.to_owned(), message };
        let text = String::from_utf8(read(path)?).map_err(|_| wrong("it is not UTF-8 text".to_owned()))?;
        let (file, _) = podspec::load::one(&text).map_err(&wrong)?;
        let context = &chosen(&file, "contexts", &file["current-context"], path)?["context"];
        let cluster = &chosen(&file, "clusters", &context["cluster"], path)?["cluster"];
        let user = &chosen(&file, "users", &context["user"], path)?["user"];
        for program in ["exec", "auth-provider"] {
            if !user[program].is_null() {
                return Err(wrong(format!(
                    "credentials by {program} are not supported: use a token or a certificate"
                )));
            }
        }
        let namespace = || context["namespace"].as_str().filter(|name| !name.is_empty()).map(str::to_owned);
        let url = cluster["server"].as_str().unwrap_or("");
        if let Some(socket) = url.strip_prefix("unix://") {
            let (socket, namespace) = (Some(socket.into()), namespace());
            return Ok(Self { socket, host: String::new(), port: 0, tls: None, token: None, namespace });
        }
        let (secure, host, port) = server(url).map_err(wrong)?;
        let pem = Pem { path, dir: path.parent().unwrap_or(Path::new(".")) };
        let tls = if secure { Some(tls(&pem, cluster, user)?) } else { None };
        let text = |value: &Value| value.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        let token = match text(&user["tokenFile"]) {
            Some(file) => Some(String::from_utf8_lossy(&read(&pem.dir.join(file))?).trim().to_owned()),
            None => text(&user["token"]),
        };
        Ok(Self { socket: None, host, port, tls, token, namespace: namespace() })
    }
}

fn chosen<'a>(file: &'a Value, list: &str, name: &Value, path: &Path) -> Result<&'a Value, KubeconfigError> {
    let name = name.as_str().unwrap_or("");
    let mut entries = file[list].as_array().into_iter().flatten();
    entries.find(|entry| entry["name"] == name).ok_or_else(|| KubeconfigError::Content {
        path: path.to_owned(),
        message: format!("{list} has no entry {name:?}, which the current context names"),
    })
}

/// `https://host:port`, maybe with a path, which no server of ours has.
fn server(url: &str) -> Result<(bool, String, u16), String> {
    let wrong =
        || format!("server {url:?} is no URL such as https://127.0.0.1:6443 or unix:///run/monopod/api.sock");
    let uri: http::Uri = url.parse().map_err(|_| wrong())?;
    let secure = match uri.scheme_str() {
        Some("https") => true,
        Some("http") => false,
        _ => return Err(wrong()),
    };
    if !matches!(uri.path(), "" | "/") {
        return Err(format!("server {url:?} has a path, which is not supported"));
    }
    let host = uri.host().ok_or_else(wrong)?.trim_matches(['[', ']']).to_owned();
    let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
    Ok((secure, host, port))
}

/// Where certificates and keys are: in the file as base64, or in files beside it.
struct Pem<'a> {
    path: &'a Path,
    dir: &'a Path,
}

impl Pem<'_> {
    fn bytes(&self, section: &Value, field: &'static str) -> Result<Option<Vec<u8>>, KubeconfigError> {
        if let Some(data) = section[format!("{field}-data")].as_str() {
            let decoded = STANDARD.decode(data.trim());
            return decoded.map(Some).map_err(|_| self.wrong(field, "base64 text"));
        }
        let Some(file) = section[field].as_str() else { return Ok(None) };
        let path: PathBuf = self.dir.join(file);
        fs::read(&path).map(Some).map_err(|source| KubeconfigError::Read { path, source })
    }

    fn wrong(&self, field: &'static str, what: &'static str) -> KubeconfigError {
        KubeconfigError::Pem { path: self.path.to_owned(), field, what }
    }

    fn certificates(
        &self,
        section: &Value,
        field: &'static str,
    ) -> Result<Vec<CertificateDer<'static>>, KubeconfigError> {
        let Some(bytes) = self.bytes(section, field)? else { return Ok(Vec::new()) };
        let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
        read.map_err(|_| self.wrong(field, "certificate"))
    }
}

fn tls(pem: &Pem<'_>, cluster: &Value, user: &Value) -> Result<Arc<ClientConfig>, KubeconfigError> {
    let failed = |source| KubeconfigError::Tls { path: pem.path.to_owned(), source };
    if cluster["insecure-skip-tls-verify"] == true {
        let message = "insecure-skip-tls-verify is not supported: name the certificate-authority".to_owned();
        return Err(KubeconfigError::Content { path: pem.path.to_owned(), message });
    }
    let mut roots = RootCertStore::empty();
    for certificate in pem.certificates(cluster, "certificate-authority")? {
        roots.add(certificate).map_err(failed)?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(failed)?.with_root_certificates(roots);
    let chain = pem.certificates(user, "client-certificate")?;
    let config = match pem.bytes(user, "client-key")? {
        Some(bytes) if !chain.is_empty() => {
            let key =
                PrivateKeyDer::from_pem_slice(&bytes).map_err(|_| pem.wrong("client-key", "private key"))?;
            builder.with_client_auth_cert(chain, key).map_err(failed)?
        }
        _ => builder.with_no_client_auth(),
    };
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests {
    use super::server;

    #[test]
    fn servers_are_urls() {
        assert_eq!(server("https://127.0.0.1:6443").unwrap(), (true, "127.0.0.1".to_owned(), 6443));
        assert_eq!(server("https://[::1]").unwrap(), (true, "::1".to_owned(), 443));
        assert_eq!(server("http://box:8001/").unwrap(), (false, "box".to_owned(), 8001));
        for wrong in ["", "127.0.0.1:6443", "ftp://x", "https://x/y"] {
            assert!(server(wrong).is_err(), "{wrong}");
        }
    }
}
