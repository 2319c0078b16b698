//! Whom a pod asks for names
//! (<https://kubernetes.io/docs/concepts/services-networking/dns-pod-service/#pod-s-dns-policy>).

use podspec::{DnsConfig, DnsPolicy, PodSpec};

/// Of a pod without resolvers of its own.
const NO_RESOLVER: &str = "# This pod has no network beyond its own loopback.\n";
/// What C libraries go by; more is left out, as by the kubelet.
const NAMESERVERS_MAX: usize = 3;
const SEARCHES_MAX: usize = 32;
const SEARCH_BYTES_MAX: usize = 2048;
const DOMAIN_BYTES_MAX: usize = 253;

#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct Resolvers {
    nameservers: Vec<String>,
    searches: Vec<String>,
    options: Vec<(String, Option<String>)>,
}

/// The pod's `/etc/resolv.conf`. `of_host` is the host's, which a pod that only has those has as it is.
///
/// There is no cluster DNS, so `ClusterFirst` is as `Default` on the host's network, and nobody's resolvers elsewhere.
pub(crate) fn resolv_conf(spec: &PodSpec, of_host: impl FnOnce() -> String) -> String {
    let has_hosts = match spec.dns_policy {
        DnsPolicy::Default => true,
        DnsPolicy::ClusterFirst | DnsPolicy::ClusterFirstWithHostNet => spec.host_network,
        DnsPolicy::None => false,
    };
    let is_empty = spec.dns_config == DnsConfig::default();
    if !has_hosts && is_empty {
        return NO_RESOLVER.to_owned();
    }
    let of_host = if has_hosts { of_host() } else { String::new() };
    if is_empty {
        return of_host;
    }
    let mut resolvers = parse(&of_host);
    resolvers.add(&spec.dns_config);
    resolvers.limit();
    resolvers.text()
}

/// As resolvers read it: servers add up, of the rest the last line counts.
fn parse(text: &str) -> Resolvers {
    let mut found = Resolvers::default();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        match words.next() {
            Some("nameserver") => found.nameservers.extend(words.next().map(str::to_owned)),
            Some("search") => {
                let domains = words.filter(|domain| *domain != ".");
                found.searches = domains.map(|d| d.strip_suffix('.').unwrap_or(d).to_owned()).collect();
            }
            Some("options") => {
                for word in words {
                    let (name, value) = word.split_once(':').map_or((word, None), |(n, v)| (n, Some(v)));
                    found.set(name, value);
                }
            }
            _ => {}
        }
    }
    found
}

impl Resolvers {
    fn add(&mut self, config: &DnsConfig) {
        extend(&mut self.nameservers, &config.nameservers);
        extend(&mut self.searches, &config.searches);
        for (name, value) in &config.options {
            self.set(name, value.as_deref());
        }
    }

    fn set(&mut self, name: &str, value: Option<&str>) {
        let value = value.filter(|value| !value.is_empty()).map(str::to_owned);
        match self.options.iter_mut().find(|(known, _)| known == name) {
            Some(option) => option.1 = value,
            None => self.options.push((name.to_owned(), value)),
        }
    }

    fn limit(&mut self) {
        self.nameservers.truncate(NAMESERVERS_MAX);
        self.searches.truncate(SEARCHES_MAX);
        self.searches.retain(|domain| domain.len() <= DOMAIN_BYTES_MAX);
        while self.searches.join(" ").len() > SEARCH_BYTES_MAX {
            self.searches.pop();
        }
    }

    fn text(&self) -> String {
        let option = |(name, value): &(String, Option<String>)| match value {
            Some(value) => format!("{name}:{value}"),
            None => name.clone(),
        };
        let options: Vec<String> = self.options.iter().map(option).collect();
        let mut text = String::new();
        if !self.searches.is_empty() {
            text.push_str(&format!("search {}\n", self.searches.join(" ")));
        }
        for server in &self.nameservers {
            text.push_str(&format!("nameserver {server}\n"));
        }
        if !options.is_empty() {
            text.push_str(&format!("options {}\n", options.join(" ")));
        }
        text
    }
}

fn extend(all: &mut Vec<String>, more: &[String]) {
    for one in more {
        if !all.contains(one) {
            all.push(one.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use podspec::{DnsConfig, DnsPolicy, PodSpec};

    use super::{NO_RESOLVER, resolv_conf};

    const OF_HOST: &str = "# the host's\nnameserver 10.0.0.2\nnameserver 10.0.0.3\nsearch old.example\n\
        search a.example. b.example .\noptions ndots:2 rotate\noptions ndots:3\n";

    fn spec(policy: DnsPolicy, host_network: bool, config: DnsConfig) -> PodSpec {
        let mut spec = crate::tests::pod(Vec::new()).spec;
        (spec.dns_policy, spec.host_network, spec.dns_config) = (policy, host_network, config);
        spec
    }

    fn owned(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|&text| text.to_owned()).collect()
    }

    #[test]
    fn policies() {
        use DnsPolicy::{ClusterFirst, ClusterFirstWithHostNet, Default, None};
        for (policy, host_network, expected) in [
            (Default, false, OF_HOST),
            (Default, true, OF_HOST),
            (ClusterFirst, false, NO_RESOLVER),
            (ClusterFirst, true, OF_HOST),
            (ClusterFirstWithHostNet, true, OF_HOST),
            (ClusterFirstWithHostNet, false, NO_RESOLVER),
        ] {
            let spec = spec(policy, host_network, DnsConfig::default());
            assert_eq!(resolv_conf(&spec, || OF_HOST.to_owned()), expected, "{policy:?} {host_network}");
        }
        let config = DnsConfig {
            nameservers: owned(&["1.1.1.1"]),
            searches: owned(&["c.example"]),
            options: vec![("ndots".to_owned(), Some("2".to_owned())), ("edns0".to_owned(), Option::None)],
        };
        assert_eq!(
            resolv_conf(&spec(None, true, config), || panic!("asks for the host's")),
            "search c.example\nnameserver 1.1.1.1\noptions ndots:2 edns0\n"
        );
    }

    #[test]
    fn the_pods_own_are_added_to_the_hosts() {
        let config = DnsConfig {
            nameservers: owned(&["10.0.0.3", "1.1.1.1", "1.1.1.2"]),
            searches: owned(&["b.example", "c.example"]),
            options: vec![("ndots".to_owned(), Some("7".to_owned())), ("rotate".to_owned(), None)],
        };
        let spec = spec(DnsPolicy::Default, false, config);
        assert_eq!(
            resolv_conf(&spec, || OF_HOST.to_owned()),
            "search a.example b.example c.example\nnameserver 10.0.0.2\nnameserver 10.0.0.3\n\
             nameserver 1.1.1.1\noptions ndots:7 rotate\n"
        );
    }

    #[test]
    fn more_than_resolvers_read_is_left_out() {
        let long = "x".repeat(200);
        let searches = (0..40).map(|i| format!("{i}.{long}")).collect();
        let config = DnsConfig { searches, ..DnsConfig::default() };
        let text = resolv_conf(&spec(DnsPolicy::ClusterFirst, false, config), String::new);
        let line = text.strip_prefix("search ").unwrap().trim_end();
        assert!(line.len() <= 2048 && line.split(' ').count() == 10, "{}", line.len());
    }
}
