//! The file that tells kubectl where the server is, and who is asking.

use std::io;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::pki::Pki;
use crate::file;

/// Where a kubeconfig points.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Kubeconfig {
    /// `https://127.0.0.1:6443`.
    pub server: String,
    /// Cluster, user and context are called so.
    pub name: String,
}

/// Writes the administrator's kubeconfig in one step, readable by its owner alone.
///
/// # Errors
/// The file cannot be written.
pub fn write_kubeconfig(path: &Path, pki: &Pki, target: &Kubeconfig) -> io::Result<()> {
    file::replace(path, text(pki, target).as_bytes(), 0o600)
}

fn text(pki: &Pki, target: &Kubeconfig) -> String {
    let Kubeconfig { server, name } = target;
    let encoded = |text: &str| STANDARD.encode(text);
    format!(
        "apiVersion: v1
kind: Config
current-context: {name}
clusters:
- name: {name}
  cluster:
    server: {server}
    certificate-authority-data: {}
contexts:
- name: {name}
  context:
    cluster: {name}
    user: {name}
    namespace: default
users:
- name: {name}
  user:
    client-certificate-data: {}
    client-key-data: {}
",
        encoded(&pki.ca),
        encoded(&pki.admin.certificate),
        encoded(&pki.admin.key),
    )
}
