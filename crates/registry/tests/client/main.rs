//! The client against a registry on loopback that does as it is told.

mod auth;
mod blobs;
mod endpoints;
mod manifests;
mod storm;
mod transport;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use registry::{
    Candidate, Client, Credential, CredentialSource, Digest, Error, Hosts, Limits, Reference, Repository,
    Target,
};
use registry_double::Double;

/// No test waits longer.
const SOON: Duration = Duration::from_secs(20);

/// A directory of hosts of this test's own, gone with it.
struct HostsDir(PathBuf);

impl HostsDir {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("monopod-client-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, file: &str, text: &str) -> &Self {
        let path = self.0.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self
    }

    fn path(&self, file: &str) -> PathBuf {
        self.0.join(file)
    }

    /// `hosts.toml` of a domain.
    fn hosts(&self, domain: &str, text: &str) -> &Self {
        self.write(&format!("{domain}/hosts.toml"), text)
    }

    fn client(&self, limits: Limits, environment: &[(&str, &str)]) -> Client {
        client(&self.0, limits, environment)
    }
}

impl Drop for HostsDir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// As they are, but without pauses.
fn brisk() -> Limits {
    Limits { backoff: Duration::from_millis(1), ..Limits::default() }
}

/// What comes to a halt does so soon.
fn impatient() -> Limits {
    Limits { stall: Duration::from_millis(300), ..brisk() }
}

fn client(hosts: &Path, limits: Limits, environment: &[(&str, &str)]) -> Client {
    // The machine's authorities are nobody's here, and take a while to read.
    let mut variables = BTreeMap::from([("SSL_CERT_FILE", "/dev/null")]);
    variables.extend(environment.iter().copied());
    let says = |name: &str| variables.get(name).map(|value| (*value).to_owned());
    Client::with_limits(Hosts::new(vec![hosts.to_owned()]), &says, limits).unwrap()
}

/// `app` of the registry, without configuration.
fn repository(double: &Double, limits: Limits) -> Repository {
    of(&client(Path::new("/nonexistent"), limits, &[]), &double.host(), Vec::new())
}

fn of(client: &Client, host: &str, candidates: Vec<Candidate>) -> Repository {
    client.repository(&Reference::parse(&format!("{host}/app")).unwrap(), candidates)
}

fn tag(tag: &str) -> Target {
    Target::Tag(tag.to_owned())
}

fn digest(text: &str) -> Digest {
    Digest::parse(text).unwrap()
}

fn basic(username: &str, password: &str) -> Credential {
    Credential::Basic { username: username.to_owned(), password: password.to_owned() }
}

fn node(credential: Credential) -> Candidate {
    Candidate { credential, source: CredentialSource::Node }
}

fn secret(name: &str, credential: Credential) -> Candidate {
    let source = CredentialSource::Secret {
        namespace: "default".to_owned(),
        name: name.to_owned(),
        uid: "1".to_owned(),
    };
    Candidate { credential, source }
}

/// Many different bytes.
fn content(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|index| u8::try_from(index * index / 255 % 251).unwrap()).collect()
}

/// All of a blob, in time.
async fn read(repository: &Repository, digest_text: &str, bytes: u64) -> Result<Vec<u8>, Error> {
    let read = async {
        let mut blob = repository.blob(digest(digest_text), bytes).await?;
        let mut read = Vec::new();
        while let Some(chunk) = blob.chunk().await? {
            assert!(!chunk.is_empty());
            read.extend_from_slice(&chunk);
            assert!(read.len() as u64 <= bytes, "more was handed out than was promised");
        }
        assert!(blob.chunk().await?.is_none(), "the end stays the end");
        Ok(read)
    };
    tokio::time::timeout(SOON, read).await.expect("a blob comes or fails soon")
}
