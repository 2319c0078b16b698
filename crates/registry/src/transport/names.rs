//! Names of hosts: /etc/hosts, then the servers of /etc/resolv.conf, both read anew when they have changed. A static
//! program cannot ask the C library, which loads modules for this.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{LookupIpStrategy, ResolveHosts};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::system_conf::parse_resolv_conf;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

const HOSTS: &str = "/etc/hosts";
const RESOLV_CONF: &str = "/etc/resolv.conf";
const FILE_BYTES_MAX: u64 = 4 << 20;

type Failure = Box<dyn std::error::Error + Send + Sync>;

pub(super) struct Names {
    hosts: PathBuf,
    resolv_conf: PathBuf,
    /// With the text of the file it was made of.
    resolver: Mutex<Option<(Vec<u8>, TokioResolver)>>,
}

impl Default for Names {
    fn default() -> Self {
        Self {
            hosts: PathBuf::from(HOSTS),
            resolv_conf: PathBuf::from(RESOLV_CONF),
            resolver: Mutex::default(),
        }
    }
}

impl Resolve for Names {
    fn resolve(&self, name: Name) -> Resolving {
        let found = self.known(name.as_str());
        Box::pin(async move {
            let addresses: Vec<IpAddr> = match found? {
                Found::Addresses(addresses) => addresses,
                Found::Ask(resolver) => {
                    let lookup = resolver.lookup_ip(name.as_str()).await;
                    let lookup = lookup.map_err(|error| failure(name.as_str(), &error))?;
                    lookup.iter().collect()
                }
            };
            let addresses: Addrs = Box::new(addresses.into_iter().map(|address| SocketAddr::new(address, 0)));
            Ok(addresses)
        })
    }
}

/// There is no such host, and asking again changes nothing.
#[derive(Debug, thiserror::Error)]
#[error("there is no host {0}: neither {HOSTS} nor the servers of {RESOLV_CONF} know it")]
pub(super) struct NoSuchHost(String);

fn failure(name: &str, error: &NetError) -> Failure {
    if error.is_nx_domain() || error.is_no_records_found() {
        return NoSuchHost(name.to_owned()).into();
    }
    format!("the name {name} cannot be resolved: {error}").into()
}

enum Found {
    Addresses(Vec<IpAddr>),
    Ask(Box<TokioResolver>),
}

impl Names {
    fn known(&self, name: &str) -> Result<Found, Failure> {
        // Without the file there are no entries.
        let hosts = read(&self.hosts).unwrap_or_default();
        let addresses = in_hosts(&String::from_utf8_lossy(&hosts), name);
        if !addresses.is_empty() {
            return Ok(Found::Addresses(addresses));
        }
        let bare = name.trim_end_matches('.').to_ascii_lowercase();
        if bare == "localhost" || bare.ends_with(".localhost") {
            return Ok(Found::Addresses(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]));
        }
        self.resolver()
            .map(|resolver| Found::Ask(Box::new(resolver)))
            .map_err(|why| format!("{RESOLV_CONF} says no server to ask for names: {why}").into())
    }

    fn resolver(&self) -> Result<TokioResolver, Failure> {
        let text = read(&self.resolv_conf)?;
        let mut resolver = self.resolver.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, resolver)) = resolver.as_ref().filter(|(own, _)| *own == text) {
            return Ok(resolver.clone());
        }
        let (config, mut options) = parse_resolv_conf(&text)?;
        options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
        options.use_hosts_file = ResolveHosts::Never;
        let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        *builder.options_mut() = options;
        let made = builder.build()?;
        *resolver = Some((text, made.clone()));
        Ok(made)
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    use std::io::Read as _;
    let mut text = Vec::new();
    fs::File::open(path)?.take(FILE_BYTES_MAX).read_to_end(&mut text)?;
    Ok(text)
}

/// `ADDRESS NAME...` in each line (hosts(5)).
fn in_hosts(text: &str, name: &str) -> Vec<IpAddr> {
    let name = name.trim_end_matches('.');
    let mut found = Vec::new();
    for line in text.lines() {
        let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
        let address = words.next().and_then(|word| word.parse().ok());
        if let Some(address) =
            address.filter(|_| words.any(|own| own.trim_end_matches('.').eq_ignore_ascii_case(name)))
            && !found.contains(&address)
        {
            found.push(address);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{Found, Names, in_hosts};

    #[test]
    fn the_file_of_hosts_counts() {
        let text = "127.0.0.1 localhost\n# 9.9.9.9 a.b\n 10.0.0.1\tRegistry.Local reg # old: c\nnonsense a\n::1 reg\n10.0.0.1 reg\n";
        for (name, expected) in [
            ("registry.local", vec!["10.0.0.1"]),
            ("registry.local.", vec!["10.0.0.1"]),
            ("reg", vec!["10.0.0.1", "::1"]),
            ("a.b", vec![]),
            ("a", vec![]),
            ("c", vec![]),
            ("10.0.0.1", vec![]),
        ] {
            let found: Vec<String> = in_hosts(text, name).iter().map(ToString::to_string).collect();
            assert_eq!(found, expected, "{name}");
        }
    }

    #[test]
    fn files_are_read_when_a_name_is_asked_for() {
        let path =
            |name: &str| std::env::temp_dir().join(format!("monopod-names-{name}-{}", std::process::id()));
        let names = Names { hosts: path("hosts"), resolv_conf: path("resolv"), ..Names::default() };
        let error = names.known("a.test").err().unwrap().to_string();
        assert!(error.contains("/etc/resolv.conf says no server"), "{error}");
        fs::write(&names.resolv_conf, "nameserver 127.0.0.1\n").unwrap();
        assert!(matches!(names.known("a.test").unwrap(), Found::Ask(_)));
        fs::write(&names.hosts, "10.0.0.1 a.test\n").unwrap();
        assert!(
            matches!(names.known("a.test").unwrap(), Found::Addresses(addresses) if addresses.len() == 1)
        );
        assert!(matches!(names.known("b.test").unwrap(), Found::Ask(_)));
        fs::write(&names.resolv_conf, "search b.test\n").unwrap();
        let error = names.known("b.test").err().unwrap().to_string();
        assert!(error.contains("no nameservers"), "what was there before does not count: {error}");
        fs::remove_file(&names.hosts).unwrap();
        fs::remove_file(&names.resolv_conf).unwrap();
    }

    #[test]
    fn localhost_is_asked_of_nobody() {
        for name in ["localhost", "LOCALHOST.", "registry.localhost"] {
            let found = Names::default().known(name).unwrap();
            assert!(
                matches!(found, Found::Addresses(addresses) if addresses.iter().all(|address| address.is_loopback()))
            );
        }
    }
}
