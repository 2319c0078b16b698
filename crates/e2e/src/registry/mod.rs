//! Debian's docker-registry, as a process of a test's own, and the programs that put images into it.

mod proxy;
mod push;
mod relay;
mod tools;

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

use crate::bed::{Bed, SOON};
use crate::wait;

pub(crate) use proxy::Proxy;
pub(crate) use push::{artifact, copy, image, text};
pub(crate) use relay::Relay;
pub(crate) use tools::{Tool, call, require};

pub(crate) const USERNAME: &str = "user";
pub(crate) const PASSWORD: &str = "secret";
/// Of [`PASSWORD`], by bcrypt.
const HTPASSWD: &str = "user:$2y$05$74PueYdtSMWfQUOWIx96FepzT86wOktkKghgaIKOivaGaR8GC7bYq\n";
/// In the test's own network namespace every port is free.
pub(crate) const HOST: &str = "127.0.0.1:5000";
/// A name of the registry's certificate that nobody resolves.
pub(crate) const NAME: &str = "registry.test";

#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Setup {
    /// HTTPS, by a certificate whose authority nobody knows.
    pub(crate) tls: bool,
    /// Only for [`USERNAME`].
    pub(crate) private: bool,
}

/// It ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Registry {
    dir: PathBuf,
    program: PathBuf,
    child: Option<Child>,
}

/// A request, of its log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) status: u16,
}

impl Registry {
    /// At [`HOST`]. Skips the test where there is none and none can be had.
    pub(crate) fn start(bed: &Bed, setup: Setup) -> Result<Self> {
        let program = require(Tool::DockerRegistry)?;
        let dir = bed.dir().join("registry");
        fs::create_dir_all(&dir)?;
        let config = config(&dir, setup)?;
        fs::write(dir.join("config.yml"), config.to_string())?;
        let mut registry = Self { dir, program, child: None };
        registry.again()?;
        Ok(registry)
    }

    /// Starts it, after [`Self::kill`].
    pub(crate) fn again(&mut self) -> Result<()> {
        let log = fs::File::options().create(true).append(true).open(self.log_path())?;
        let mut command = Command::new(&self.program);
        command.arg("serve").arg(self.dir.join("config.yml")).stdin(Stdio::null());
        command.stdout(log.try_clone()?).stderr(log);
        // Variables of its own name would change the configuration.
        for (name, _) in
            std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("REGISTRY_"))
        {
            command.env_remove(name);
        }
        let mut child = command.spawn().context("cannot start docker-registry")?;
        let address: SocketAddr = HOST.parse()?;
        let up = wait::until("docker-registry", SOON, || {
            TcpStream::connect(address).is_ok().then_some(()).or_else(|| child.try_wait().ok()?.map(drop))
        });
        let ended = child.try_wait()?;
        self.child = Some(child);
        up?;
        anyhow::ensure!(ended.is_none(), "docker-registry has ended: {}", self.said());
        Ok(())
    }

    /// As a machine that loses power.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            drop(child.kill());
            drop(child.wait());
        }
    }

    /// What trusts it, in PEM.
    pub(crate) fn ca(&self) -> PathBuf {
        self.dir.join("ca.crt")
    }

    /// Everything it was asked, since its first start.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.said().lines().filter_map(asked).collect()
    }

    /// How often a client got something whose path contains `part`.
    pub(crate) fn got(&self, part: &str) -> usize {
        let is_got =
            |asked: &&Asked| asked.method == "GET" && asked.path.contains(part) && asked.status < 300;
        self.asked().iter().filter(is_got).count()
    }

    fn said(&self) -> String {
        fs::read(self.log_path())
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }

    fn log_path(&self) -> PathBuf {
        self.dir.join("log")
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.kill();
    }
}

/// In JSON, which YAML contains.
fn config(dir: &Path, setup: Setup) -> Result<serde_json::Value> {
    let mut http = serde_json::json!({"addr": HOST, "secret": "of one registry alone"});
    if setup.tls {
        let (certificate, key) = certify(dir)?;
        http["tls"] = serde_json::json!({"certificate": certificate, "key": key});
    }
    let mut config = serde_json::json!({
        "version": "0.1",
        "log": {"level": "error", "accesslog": {"disabled": false}},
        "storage": {"filesystem": {"rootdirectory": dir.join("storage")}, "delete": {"enabled": true}},
        "http": http,
    });
    if setup.private {
        let path = dir.join("htpasswd");
        fs::write(&path, HTPASSWD)?;
        config["auth"] = serde_json::json!({"htpasswd": {"realm": "of the test", "path": path}});
    }
    Ok(config)
}

/// A certificate for this machine and for [`NAME`]; its authority is in `ca.crt`.
fn certify(dir: &Path) -> Result<(PathBuf, PathBuf)> {
    let ca_key = KeyPair::generate()?;
    let mut ca = CertificateParams::new(vec![])?;
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    fs::write(dir.join("ca.crt"), ca.self_signed(&ca_key)?.pem())?;
    let issuer = Issuer::new(ca, ca_key);
    let key = KeyPair::generate()?;
    let names = ["127.0.0.1", "localhost", NAME].map(str::to_owned);
    let certificate = CertificateParams::new(names)?.signed_by(&key, &issuer)?;
    let paths = (dir.join("registry.crt"), dir.join("registry.key"));
    fs::write(&paths.0, certificate.pem())?;
    fs::write(&paths.1, key.serialize_pem())?;
    Ok(paths)
}

/// A line such as `127.0.0.1 - - [..] "GET /v2/ HTTP/1.1" 200 2 "" ".."`.
fn asked(line: &str) -> Option<Asked> {
    let (_, rest) = line.split_once("] \"")?;
    let (request, rest) = rest.split_once('"')?;
    let mut words = request.split(' ');
    let status = rest.split_whitespace().next()?.parse().ok()?;
    Some(Asked { method: words.next()?.to_owned(), path: words.next()?.to_owned(), status })
}
