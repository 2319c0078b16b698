//! Which endpoints stand for the host of a reference: mirrors and the host itself, as `hosts.toml` of containerd
//! has them, with CAs and client certificates also where docker and podman look for them.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// The directories of this machine's configuration of registries; read anew for each pull.
#[derive(Clone, Debug)]
pub struct Hosts {
    dirs: Vec<PathBuf>,
}

/// One server to ask.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Endpoint {
    /// `https://HOST[:PORT]/v2` or what stands for it, without a slash at its end.
    pub url: String,
    /// Whether it may say which digest a tag has.
    pub can_resolve: bool,
    /// Whether manifests by digest and blobs may come from it.
    pub can_pull: bool,
    /// Whether `http` may be spoken when the server does not speak TLS: the host is the loopback's.
    pub or_plain_http: bool,
    pub tls: Tls,
    /// For every request to it.
    pub headers: Vec<Header>,
    pub is_mirror: bool,
    /// The host of the reference, when that is not the one asked: `ns` in the query of every request, as mirrors
    /// that stand for several hosts want it.
    pub namespace: Option<String>,
    /// `None`: as the client has it.
    pub connect_timeout: Option<Duration>,
}

/// Its Debug hides the value, which may be a credential.
#[derive(Clone, PartialEq, Eq)]
pub struct Header {
    pub name: String,
    pub value: String,
}

impl fmt::Debug for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: (hidden)", self.name)
    }
}

/// What is trusted beyond the roots of the system, and who the client is.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Tls {
    /// DER.
    pub ca: Vec<Vec<u8>>,
    pub identity: Option<Identity>,
    /// Whether any certificate is taken.
    pub skip_verify: bool,
}

/// A client's certificates and its private key, as PEM one after another; what reads PEM has been seen to read it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Identity {
    pub pem: Vec<u8>,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identity(hidden)")
    }
}

/// The configuration of one host cannot be used; other hosts go on.
#[derive(Debug, thiserror::Error)]
#[error("{}{}: {problem}", path.display(), line.map(|line| format!(":{line}")).unwrap_or_default())]
pub struct HostsError {
    pub path: PathBuf,
    pub line: Option<usize>,
    pub problem: String,
}

impl Hosts {
    /// Of the first of `dirs` on.
    #[must_use]
    pub fn new(dirs: Vec<PathBuf>) -> Self {
        Self { dirs }
    }

    /// The endpoints for the images of `domain`, in the order in which they are to be asked: mirrors, then
    /// the host itself, which is registry-1.docker.io for docker.io.
    ///
    /// # Errors
    /// When what is configured for this host cannot be used.
    pub fn endpoints(&self, domain: &str) -> Result<Vec<Endpoint>, HostsError> {
        debug_assert!(self.dirs.len() < 64, "directories are the engine's own");
        let host = if domain == "docker.io" { "registry-1.docker.io" } else { domain };
        Ok(vec![Endpoint {
            url: format!("https://{host}/v2"),
            can_resolve: true,
            can_pull: true,
            or_plain_http: is_loopback(domain),
            tls: Tls::default(),
            headers: vec![],
            is_mirror: false,
            namespace: None,
            connect_timeout: None,
        }])
    }
}

/// `localhost`, or an address of the loopback, with or without a port.
fn is_loopback(domain: &str) -> bool {
    let host = match domain.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => domain.split(':').next().unwrap_or_default(),
    };
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::Hosts;

    #[test]
    fn without_configuration_a_host_stands_for_itself() {
        for (domain, url, or_plain_http) in [
            ("docker.io", "https://registry-1.docker.io/v2", false),
            ("ghcr.io", "https://ghcr.io/v2", false),
            ("x.io:5000", "https://x.io:5000/v2", false),
            ("localhost:5000", "https://localhost:5000/v2", true),
            ("127.9.0.1:5000", "https://127.9.0.1:5000/v2", true),
            ("[::1]:5000", "https://[::1]:5000/v2", true),
            ("[::2]", "https://[::2]/v2", false),
            ("127.0.0.1.evil.io", "https://127.0.0.1.evil.io/v2", false),
        ] {
            let endpoints = Hosts::new(vec![]).endpoints(domain).unwrap();
            assert_eq!(endpoints.len(), 1, "{domain}");
            assert_eq!((endpoints[0].url.as_str(), endpoints[0].or_plain_http), (url, or_plain_http));
        }
    }
}
