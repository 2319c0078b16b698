//! Whom a pod asks for names
//! (<https://kubernetes.io/docs/concepts/services-networking/dns-pod-service/#pod-s-dns-policy>).

use core::net::IpAddr;

use podspec::{DnsConfig, DnsPolicy, Pod};

/// Of a pod without resolvers of its own.
const NO_RESOLVER: &str = "# This pod has no network beyond its own loopback.\n";
/// What C libraries go by; more is left out, as by the kubelet.
const NAMESERVERS_MAX: usize = 3;
const SEARCHES_MAX: usize = 32;
const SEARCH_BYTES_MAX: usize = 2048;
const DOMAIN_BYTES_MAX: usize = 253;
/// The domain of the cluster's names.
pub const CLUSTER_DOMAIN: &str = "cluster.local";
/// Names with fewer dots are looked for in the search domains first, so that `NAME.NAMESPACE.svc` is one.
const DOTS: &str = "5";

/// What a pod's resolvers lack of what was asked for: the reason and message of an event, as the kubelet words them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DnsWarning {
    pub reason: &'static str,
    pub message: String,
}

#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct Resolvers {
    nameservers: Vec<String>,
    searches: Vec<String>,
    options: Vec<(String, Option<String>)>,
}

/// Whom the pod asks by its policy.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Asks {
    Cluster,
    /// The cluster, which has no DNS.
    Missing,
    Host,
    Nobody,
}

fn asks(pod: &Pod, cluster_dns: &[IpAddr], has_network: bool) -> Asks {
    let spec = &pod.spec;
    let of_cluster = match (has_network, cluster_dns.is_empty()) {
        (false, _) => Asks::Nobody,
        (true, false) => Asks::Cluster,
        (true, true) => Asks::Missing,
    };
    match spec.dns_policy {
        DnsPolicy::Default => Asks::Host,
        DnsPolicy::ClusterFirst if spec.host_network => Asks::Host,
        DnsPolicy::ClusterFirst | DnsPolicy::ClusterFirstWithHostNet => of_cluster,
        DnsPolicy::None => Asks::Nobody,
    }
}

/// The pod's `/etc/resolv.conf`. `cluster_dns` is where pods ask for the cluster's names, `of_host` is the host's, which a pod that only has those has as it is. A pod without a
/// network of its own reaches nobody but whom its `dnsConfig` names.
pub(crate) fn resolv_conf(
    pod: &Pod,
    cluster_dns: &[IpAddr],
    has_network: bool,
    of_host: impl FnOnce() -> String,
) -> String {
    let asks = asks(pod, cluster_dns, has_network);
    let is_empty = pod.spec.dns_config == DnsConfig::default();
    match asks {
        Asks::Nobody if is_empty => NO_RESOLVER.to_owned(),
        Asks::Host | Asks::Missing if is_empty => of_host(),
        _ => resolvers(pod, cluster_dns, asks, of_host).0.text(),
    }
}

/// What is to be said of the pod's resolvers.
#[must_use]
pub fn dns_warnings(
    pod: &Pod,
    cluster_dns: &[IpAddr],
    has_network: bool,
    of_host: impl FnOnce() -> String,
) -> Vec<DnsWarning> {
    let asks = asks(pod, cluster_dns, has_network);
    let mut warnings = Vec::new();
    if asks == Asks::Missing {
        let message = format!(
            "pod: \"{}_{}({})\". kubelet does not have ClusterDNS IP configured and cannot create Pod using \
             \"ClusterFirst\" policy. Falling back to \"Default\" policy.",
            pod.name, pod.namespace, pod.uid
        );
        warnings.push(DnsWarning { reason: "MissingClusterDNS", message });
    }
    warnings.extend(resolvers(pod, cluster_dns, asks, of_host).1);
    warnings
}

/// Within the limits, and what was over them.
fn resolvers(
    pod: &Pod,
    cluster_dns: &[IpAddr],
    asks: Asks,
    of_host: impl FnOnce() -> String,
) -> (Resolvers, Vec<DnsWarning>) {
    let mut resolvers = match asks {
        Asks::Nobody => Resolvers::default(),
        Asks::Host | Asks::Missing => parse(&of_host()),
        Asks::Cluster => of_cluster(&pod.namespace, cluster_dns, &parse(&of_host())),
    };
    resolvers.add(&pod.spec.dns_config);
    let warnings = resolvers.limit();
    (resolvers, warnings)
}

fn of_cluster(namespace: &str, cluster_dns: &[IpAddr], of_host: &Resolvers) -> Resolvers {
    let mut searches = vec![
        format!("{namespace}.svc.{CLUSTER_DOMAIN}"),
        format!("svc.{CLUSTER_DOMAIN}"),
        CLUSTER_DOMAIN.to_owned(),
    ];
    extend(&mut searches, &of_host.searches);
    Resolvers {
        nameservers: cluster_dns.iter().map(ToString::to_string).collect(),
        searches,
        options: vec![("ndots".to_owned(), Some(DOTS.to_owned()))],
    }
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

    fn limit(&mut self) -> Vec<DnsWarning> {
        let mut warnings = Vec::new();
        let mut warn = |message| warnings.push(DnsWarning { reason: "DNSConfigForming", message });
        if self.nameservers.len() > NAMESERVERS_MAX {
            self.nameservers.truncate(NAMESERVERS_MAX);
            warn(format!(
                "Nameserver limits were exceeded, some nameservers have been omitted, the applied nameserver line is: {}",
                self.nameservers.join(" ")
            ));
        }
        let before = self.searches.len();
        self.searches.truncate(SEARCHES_MAX);
        self.searches.retain(|domain| domain.len() <= DOMAIN_BYTES_MAX);
        while self.searches.join(" ").len() > SEARCH_BYTES_MAX {
            self.searches.pop();
        }
        if self.searches.len() < before {
            warn(format!(
                "Search Line limits were exceeded, some search paths have been omitted, the applied search line is: {}",
                self.searches.join(" ")
            ));
        }
        warnings
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
    use core::net::IpAddr;

    use podspec::{DnsConfig, DnsPolicy, Pod};

    use super::{NO_RESOLVER, dns_warnings, resolv_conf};

    const OF_HOST: &str = "# the host's\nnameserver 10.0.0.2\nnameserver 10.0.0.3\nsearch old.example\n\
        search a.example. b.example .\noptions ndots:2 rotate\noptions ndots:3\n";
    const OF_CLUSTER: &str = "search prod.svc.cluster.local svc.cluster.local cluster.local a.example b.example\n\
        nameserver 10.201.0.10\nnameserver fd00:1::a\noptions ndots:5\n";

    fn pod(policy: DnsPolicy, host_network: bool, config: DnsConfig) -> Pod {
        let mut pod = crate::tests::pod(Vec::new());
        (pod.spec.dns_policy, pod.spec.host_network, pod.spec.dns_config) = (policy, host_network, config);
        (pod.namespace, pod.name) = ("prod".to_owned(), "web".to_owned());
        pod
    }

    fn cluster() -> Vec<IpAddr> {
        ["10.201.0.10", "fd00:1::a"].map(|ip| ip.parse().unwrap()).to_vec()
    }

    fn owned(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|&text| text.to_owned()).collect()
    }

    #[test]
    fn policies() {
        use DnsPolicy::{ClusterFirst, ClusterFirstWithHostNet, Default};
        let (some, none) = (cluster(), Vec::new());
        for (policy, host_network, cluster, has_network, expected, is_missing) in [
            (Default, false, &some, true, OF_HOST, false),
            (Default, true, &some, true, OF_HOST, false),
            (ClusterFirst, false, &some, true, OF_CLUSTER, false),
            (ClusterFirst, true, &some, true, OF_HOST, false),
            (ClusterFirstWithHostNet, true, &some, true, OF_CLUSTER, false),
            (ClusterFirstWithHostNet, false, &some, true, OF_CLUSTER, false),
            (ClusterFirst, false, &none, true, OF_HOST, true),
            (ClusterFirst, true, &none, true, OF_HOST, false),
            (ClusterFirstWithHostNet, true, &none, true, OF_HOST, true),
            // A pod without a network has nobody to ask.
            (ClusterFirst, false, &none, false, NO_RESOLVER, false),
            (ClusterFirstWithHostNet, false, &some, false, NO_RESOLVER, false),
        ] {
            let pod = pod(policy, host_network, DnsConfig::default());
            let what = format!("{policy:?} {host_network} {cluster:?} {has_network}");
            assert_eq!(resolv_conf(&pod, cluster, has_network, || OF_HOST.to_owned()), expected, "{what}");
            let warnings = dns_warnings(&pod, cluster, has_network, || OF_HOST.to_owned());
            let reasons: Vec<&str> = warnings.iter().map(|warning| warning.reason).collect();
            assert_eq!(reasons, if is_missing { vec!["MissingClusterDNS"] } else { vec![] }, "{what}");
        }
    }

    #[test]
    fn a_pod_may_ask_whom_it_names_alone() {
        let config = DnsConfig {
            nameservers: owned(&["1.1.1.1"]),
            searches: owned(&["c.example"]),
            options: vec![("ndots".to_owned(), Some("2".to_owned())), ("edns0".to_owned(), None)],
        };
        let pod = pod(DnsPolicy::None, true, config);
        assert_eq!(
            resolv_conf(&pod, &cluster(), true, || panic!("asks for the host's")),
            "search c.example\nnameserver 1.1.1.1\noptions ndots:2 edns0\n"
        );
    }

    #[test]
    fn the_pods_own_are_added() {
        let config = DnsConfig {
            nameservers: owned(&["10.0.0.3", "1.1.1.1", "1.1.1.2"]),
            searches: owned(&["b.example", "c.example"]),
            options: vec![("ndots".to_owned(), Some("7".to_owned())), ("rotate".to_owned(), None)],
        };
        let of_host = pod(DnsPolicy::Default, false, config.clone());
        assert_eq!(
            resolv_conf(&of_host, &cluster(), true, || OF_HOST.to_owned()),
            "search a.example b.example c.example\nnameserver 10.0.0.2\nnameserver 10.0.0.3\n\
             nameserver 1.1.1.1\noptions ndots:7 rotate\n"
        );
        let of_cluster = pod(DnsPolicy::ClusterFirst, false, config);
        assert_eq!(
            resolv_conf(&of_cluster, &cluster(), true, || OF_HOST.to_owned()),
            "search prod.svc.cluster.local svc.cluster.local cluster.local a.example b.example c.example\n\
             nameserver 10.201.0.10\nnameserver fd00:1::a\nnameserver 10.0.0.3\noptions ndots:7 rotate\n"
        );
        let said = dns_warnings(&of_cluster, &cluster(), true, || OF_HOST.to_owned());
        assert_eq!(said.len(), 1);
        assert_eq!(
            said[0].message,
            "Nameserver limits were exceeded, some nameservers have been omitted, the applied nameserver line is: \
             10.201.0.10 fd00:1::a 10.0.0.3"
        );
    }

    #[test]
    fn more_than_resolvers_read_is_left_out() {
        let long = "x".repeat(200);
        let searches = (0..40).map(|i| format!("{i}.{long}")).collect();
        let config = DnsConfig { searches, ..DnsConfig::default() };
        let pod = pod(DnsPolicy::ClusterFirst, false, config);
        let text = resolv_conf(&pod, &[], false, String::new);
        let line = text.strip_prefix("search ").unwrap().trim_end();
        assert!(line.len() <= 2048 && line.split(' ').count() == 10, "{}", line.len());
        let said = dns_warnings(&pod, &[], false, String::new);
        let expected = "Search Line limits were exceeded, some search paths have been omitted, the applied search line is: ";
        assert_eq!(
            (said[0].reason, said[0].message.strip_prefix(expected)),
            ("DNSConfigForming", Some(line))
        );
    }

    #[test]
    fn what_is_missing_is_said_in_the_kubelets_words() {
        let pod = pod(DnsPolicy::ClusterFirst, false, DnsConfig::default());
        let said = dns_warnings(&pod, &[], true, String::new);
        assert_eq!(
            said[0].message,
            format!(
                "pod: \"web_prod({})\". kubelet does not have ClusterDNS IP configured and cannot create Pod using \
                 \"ClusterFirst\" policy. Falling back to \"Default\" policy.",
                pod.uid
            )
        );
    }
}
