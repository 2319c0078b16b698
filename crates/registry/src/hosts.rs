//! Which endpoints stand for the host of a reference, by the configuration that is there for containerd, docker
//! and podman. Two questions, and each is answered by the first directory that says something about it:
//!
//! * *Who is asked?* `DIR/HOST/hosts.toml`; when no directory has one for this host, `DIR/_default/hosts.toml`; else the
//!   host itself. HOST is written `x.io_5000_` or `x.io:5000` when there is a port.
//! * *Who is trusted as the one that is asked?* `ca` and `client` of its entry in `hosts.toml`; else `*.crt`, and `NAME.cert` with
//!   `NAME.key`, in `DIR/HOST/`, where HOST is the one that is asked: a mirror's are in a directory of the mirror's.
//!
//! So a `hosts.toml` for containerd does not hide the CA that was put down for docker. The roots of the system are always
//! trusted, too. All is read anew for each pull; what is wrong in it is an error for this one host.

mod certificates;
mod file;
mod url;

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use certificates::{CertificateFiles, is_absent, read_ca, read_identity, read_small, unreadable};
use file::{Entry, HostsFile};
use url::Url;

const HOSTS_TOML_BYTES_MAX: u64 = 256 << 10;
const DEFAULT_DIRECTORY: &str = "_default";
const DOCKER_HUB: &str = "docker.io";
/// Who answers for it.
const DOCKER_HUB_HOST: &str = "registry-1.docker.io";

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
    /// What an earlier one of `dirs` says counts.
    #[must_use]
    pub fn new(dirs: Vec<PathBuf>) -> Self {
        Self { dirs }
    }

    /// The endpoints for the images of `domain`, the host of a reference, in the order in which they are to
    /// be asked: mirrors, then the host itself, which is registry-1.docker.io for docker.io. Reads a few small
    /// files.
    ///
    /// # Errors
    /// When what is configured for this host cannot be used.
    pub fn endpoints(&self, domain: &str) -> Result<Vec<Endpoint>, HostsError> {
        let Some(file) = self.hosts_file(domain)? else {
            return Ok(vec![self.host_itself(domain, None)?]);
        };
        let mirrors = file.mirrors.iter().map(|(url, entry)| self.endpoint(domain, url, entry, true));
        let mut endpoints = mirrors.collect::<Result<Vec<_>, _>>()?;
        endpoints.push(match &file.server {
            Some(server) => self.endpoint(domain, server, &file.own, false)?,
            None => self.host_itself(domain, Some(&file.own))?,
        });
        Ok(endpoints)
    }

    fn host_itself(&self, domain: &str, entry: Option<&Entry>) -> Result<Endpoint, HostsError> {
        let mut endpoint =
            self.endpoint(domain, &Url::of_host(domain), entry.unwrap_or(&Entry::EVERYTHING), false)?;
        endpoint.or_plain_http = is_loopback(domain);
        Ok(endpoint)
    }

    fn endpoint(
        &self,
        domain: &str,
        url: &Url,
        entry: &Entry,
        is_mirror: bool,
    ) -> Result<Endpoint, HostsError> {
        let mut url = url.clone();
        if url.authority == DOCKER_HUB {
            // The name of the host of references, at which no registry answers.
            DOCKER_HUB_HOST.clone_into(&mut url.authority);
        }
        let is_hub = domain == DOCKER_HUB && url.authority == DOCKER_HUB_HOST;
        let namespace = (url.authority != domain && !is_hub).then(|| domain.to_owned());
        Ok(Endpoint {
            url: url.api(entry.override_path),
            can_resolve: entry.can_resolve,
            can_pull: entry.can_pull,
            or_plain_http: false,
            tls: if url.is_tls { self.tls(&url, entry, is_hub)? } else { Tls::default() },
            headers: entry.headers.clone(),
            is_mirror,
            namespace,
            connect_timeout: entry.connect_timeout,
        })
    }

    fn tls(&self, url: &Url, entry: &Entry, is_hub: bool) -> Result<Tls, HostsError> {
        let mut found = None;
        if entry.ca.is_empty() && entry.client.is_none() {
            found = self.certificates(&url.authority)?;
            if found.is_none() && is_hub {
                found = self.certificates(DOCKER_HUB)?;
            }
        }
        let CertificateFiles { ca, client } = found.unwrap_or_default();
        Ok(Tls {
            ca: read_ca(if entry.ca.is_empty() { &ca } else { &entry.ca })?,
            identity: entry.client.as_ref().or(client.as_ref()).map(read_identity).transpose()?,
            skip_verify: entry.skip_verify,
        })
    }

    fn certificates(&self, host: &str) -> Result<Option<CertificateFiles>, HostsError> {
        for directory in self.directories(&spellings(host)) {
            if let Some(found) = certificates::find(&directory)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    fn hosts_file(&self, domain: &str) -> Result<Option<HostsFile>, HostsError> {
        let default = [DEFAULT_DIRECTORY.to_owned()];
        for directory in self.directories(&spellings(domain)).chain(self.directories(&default)) {
            let path = directory.join("hosts.toml");
            if let Some(text) = read_text(&path)? {
                return HostsFile::parse(&path, &text).map(Some);
            }
        }
        Ok(None)
    }

    fn directories(&self, names: &[String]) -> impl Iterator<Item = PathBuf> {
        let directories: Vec<_> =
            self.dirs.iter().flat_map(|dir| names.iter().map(|name| dir.join(name))).collect();
        directories.into_iter()
    }
}

/// `None` when it is not there, or has nothing in it.
fn read_text(path: &Path) -> Result<Option<String>, HostsError> {
    match path.symlink_metadata() {
        Err(error) if is_absent(&error) => return Ok(None),
        Err(error) => return Err(unreadable(path, &error)),
        Ok(_) => {}
    }
    let bytes = read_small(path, HOSTS_TOML_BYTES_MAX)?;
    if bytes.is_empty() {
        return Ok(None);
    }
    let problem = || "is not UTF-8".to_owned();
    let text = String::from_utf8(bytes);
    text.map(Some).map_err(|_| HostsError { path: path.to_owned(), line: None, problem: problem() })
}

/// The names a directory of a host may have; the first wins. None for what is no host, whatever directory
/// that might lead to.
fn spellings(host: &str) -> Vec<String> {
    if !crate::reference::is_domain(host) {
        return vec![];
    }
    let port = host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|b| b.is_ascii_digit()));
    let underscored = port.filter(|(name, _)| !name.starts_with('[') || name.ends_with(']'));
    let underscored = underscored.map(|(name, port)| format!("{name}_{port}_"));
    underscored.into_iter().chain([host.to_owned()]).collect()
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
mod tests;
