//! Which proxy stands before a host, as `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` say.

use std::net::IpAddr;

use ipnet::IpNet;
use reqwest::Url;

use crate::client::Environment;

#[derive(Default)]
pub(super) struct Proxies {
    http: Option<Url>,
    https: Option<Url>,
    except: Vec<Except>,
}

/// An entry of `NO_PROXY`.
#[derive(PartialEq, Eq, Debug)]
enum Except {
    All,
    Net(IpNet),
    /// This name and what is below it, at this port or all.
    Name {
        suffix: String,
        below_only: bool,
        port: Option<u16>,
    },
}

impl Proxies {
    pub(super) fn new(environment: &Environment<'_>) -> Result<Self, String> {
        // The lower case counts first, as it does for curl and for programs in Go.
        let variable = |lower: &str| {
            let names = [lower.to_owned(), lower.to_uppercase()];
            names.into_iter().find_map(|name| {
                environment(&name).filter(|value| !value.is_empty()).map(|value| (name, value))
            })
        };
        let proxy = |name: &str| variable(name).map(|(name, value)| parse(&name, &value)).transpose();
        let all = proxy("all_proxy")?;
        Ok(Self {
            http: proxy("http_proxy")?.or_else(|| all.clone()),
            https: proxy("https_proxy")?.or(all),
            except: variable("no_proxy")
                .map(|(_, value)| value.split(',').filter_map(except).collect())
                .unwrap_or_default(),
        })
    }

    /// The loopback is never asked through a proxy.
    pub(super) fn of(&self, url: &Url) -> Option<&Url> {
        let proxy = if url.scheme() == "https" { self.https.as_ref() } else { self.http.as_ref() }?;
        let host = url.host_str()?.trim_matches(['[', ']']).trim_end_matches('.').to_ascii_lowercase();
        let address: Option<IpAddr> = host.parse().ok();
        let is_loopback = host == "localhost" || address.is_some_and(|address| address.is_loopback());
        let port = url.port_or_known_default();
        let excepted = self.except.iter().any(|except| match except {
            Except::All => true,
            Except::Net(net) => address.is_some_and(|address| net.contains(&address)),
            Except::Name { suffix, below_only, port: only } => {
                let below = host.strip_suffix(suffix.as_str()).is_some_and(|rest| rest.ends_with('.'));
                (below || (!below_only && host == *suffix)) && only.is_none_or(|only| port == Some(only))
            }
        });
        if is_loopback || excepted { None } else { Some(proxy) }
    }
}

/// The value may have a password in it, so no error repeats it.
fn parse(variable: &str, value: &str) -> Result<Url, String> {
    let with_scheme = if value.contains("://") { value.to_owned() } else { format!("http://{value}") };
    let url =
        Url::parse(&with_scheme).map_err(|error| format!("{variable} is not the URL of a proxy: {error}"))?;
    let known = matches!(url.scheme(), "http" | "https" | "socks4" | "socks4a" | "socks5" | "socks5h");
    if !known || url.host_str().is_none() {
        return Err(format!(
            "{variable} is not the URL of a proxy: give http://HOST:PORT, https:// or socks5://"
        ));
    }
    Ok(url)
}

/// Without its credentials.
pub(super) fn shown(proxy: &Url) -> String {
    let port = proxy.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{}{port}", proxy.scheme(), proxy.host_str().unwrap_or_default())
}

fn except(entry: &str) -> Option<Except> {
    let entry = entry.trim().to_ascii_lowercase();
    if entry.is_empty() {
        return None;
    }
    if entry == "*" {
        return Some(Except::All);
    }
    if let Ok(net) = entry.parse() {
        return Some(Except::Net(net));
    }
    if let Ok(address) = entry.trim_matches(['[', ']']).parse::<IpAddr>() {
        return Some(Except::Net(address.into()));
    }
    let (name, port) = match entry.rsplit_once(':') {
        Some((name, port)) => (name, Some(port.parse().ok()?)),
        None => (entry.as_str(), None),
    };
    if let Ok(address) = name.parse::<IpAddr>() {
        return Some(Except::Name { suffix: address.to_string(), below_only: false, port });
    }
    let bare = name.trim_start_matches('*').trim_start_matches('.');
    Some(Except::Name { suffix: bare.to_owned(), below_only: bare != name, port })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use reqwest::Url;

    use super::Proxies;

    fn proxies(variables: &[(&str, &str)]) -> Result<Proxies, String> {
        let variables: BTreeMap<String, String> =
            variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Proxies::new(&|name| variables.get(name).cloned())
    }

    #[test]
    fn the_environment_says_which_proxy() {
        let both = [("HTTP_PROXY", "http://h:1"), ("HTTPS_PROXY", "https://user:pass@s:2")];
        let all = [("ALL_PROXY", "socks5://a:3")];
        let mixed = [("all_proxy", "socks5h://a"), ("https_proxy", "lower:4"), ("HTTPS_PROXY", "upper:5")];
        let empty = [("https_proxy", ""), ("HTTPS_PROXY", "http://upper:5")];
        for (variables, url, expected) in [
            (&both[..], "https://x.io/v2/", Some("https://user:pass@s:2/")),
            (&both, "http://x.io/v2/", Some("http://h:1/")),
            (&both[..1], "https://x.io/v2/", None),
            (&all, "https://x.io/", Some("socks5://a:3")),
            (&mixed, "https://x.io/", Some("http://lower:4/")),
            (&mixed, "http://x.io/", Some("socks5h://a")),
            (&empty, "https://x.io/", Some("http://upper:5/")),
            (&both, "https://localhost:5000/", None),
            (&both, "https://127.3.0.1/", None),
            (&both, "https://[::1]:5000/", None),
            (&[], "https://x.io/", None),
        ] {
            let found = proxies(variables).unwrap();
            assert_eq!(found.of(&Url::parse(url).unwrap()).map(Url::as_str), expected, "{variables:?} {url}");
        }
    }

    #[test]
    fn no_proxy_excepts() {
        for (no_proxy, url, proxied) in [
            ("", "https://x.io/", true),
            ("*", "https://x.io/", false),
            ("x.io", "https://x.io/", false),
            ("X.io", "https://x.IO/", false),
            ("x.io", "https://a.x.io/", false),
            ("x.io", "https://ax.io/", true),
            (".x.io", "https://a.x.io/", false),
            (".x.io", "https://x.io/", true),
            ("*.x.io", "https://a.x.io/", false),
            ("a.io, x.io ,b.io", "https://x.io/", false),
            ("x.io:443", "https://x.io/", false),
            ("x.io:5000", "https://x.io/", true),
            ("x.io:5000", "https://x.io:5000/", false),
            ("10.0.0.0/8", "https://10.1.2.3:5000/", false),
            ("10.0.0.0/8", "https://11.1.2.3/", true),
            ("10.1.2.3", "https://10.1.2.3/", false),
            ("10.1.2.3:5000", "https://10.1.2.3:5000/", false),
            ("10.1.2.3:5000", "https://10.1.2.3/", true),
            ("fd00::/8", "https://[fd00::1]/", false),
            ("[fd00::1]", "https://[fd00::1]/", false),
            ("x.io:nonsense,,", "https://x.io/", true),
        ] {
            let found = proxies(&[("HTTPS_PROXY", "http://p:1"), ("no_proxy", no_proxy)]).unwrap();
            assert_eq!(found.of(&Url::parse(url).unwrap()).is_some(), proxied, "{no_proxy} {url}");
        }
    }

    #[test]
    fn a_wrong_proxy_is_named_without_its_password() {
        for wrong in ["http://user:hunter2@", "ftp://user:hunter2@x", "http://user:hunter2@x:port"] {
            let error = proxies(&[("https_proxy", wrong)]).err().unwrap();
            assert!(error.contains("https_proxy") && !error.contains("hunter2"), "{error}");
        }
    }
}
