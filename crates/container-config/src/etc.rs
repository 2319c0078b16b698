//! The files of /etc that a pod's containers share.

use std::fmt::Write;

use podspec::PodSpec;
use podspec::spec::HostAlias;

/// Of a pod without a network of its own.
const NO_RESOLVER: &str = "# This pod has no network beyond its own loopback.\n";

/// The texts of `/etc/hosts` and `/etc/resolv.conf`, and the name in `/etc/hostname`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EtcFiles {
    pub hosts: String,
    pub hostname: String,
    pub resolv_conf: String,
}

/// `ip` is the pod's; `of_host` reads the machine's own files, which a pod on its network has too.
pub fn etc_files(spec: &PodSpec, ip: &str, of_host: impl FnOnce() -> EtcFiles) -> EtcFiles {
    if spec.host_network {
        let EtcFiles { hosts, hostname, resolv_conf } = of_host();
        return EtcFiles { hosts: host_network_hosts(&hosts, &spec.host_aliases), hostname, resolv_conf };
    }
    EtcFiles {
        hosts: pod_hosts(ip, &spec.hostname, &spec.host_aliases),
        hostname: spec.hostname.clone(),
        resolv_conf: NO_RESOLVER.to_owned(),
    }
}

/// <https://kubernetes.io/docs/tasks/network/customize-hosts-file-for-pods/>
fn pod_hosts(ip: &str, hostname: &str, aliases: &[HostAlias]) -> String {
    let own = format!("{ip}\t{hostname}\n");
    let fixed = "# Kubernetes-managed hosts file.\n\
                 127.0.0.1\tlocalhost\n\
                 ::1\tlocalhost ip6-localhost ip6-loopback\n\
                 fe00::0\tip6-localnet\n\
                 fe00::0\tip6-mcastprefix\n\
                 fe00::1\tip6-allnodes\n\
                 fe00::2\tip6-allrouters\n";
    [fixed, &own, &alias_lines(aliases)].concat()
}

fn host_network_hosts(of_host: &str, aliases: &[HostAlias]) -> String {
    ["# Kubernetes-managed hosts file (host network).\n", of_host, &alias_lines(aliases)].concat()
}

fn alias_lines(aliases: &[HostAlias]) -> String {
    let mut text = String::new();
    if !aliases.is_empty() {
        text.push_str("\n# Entries added by HostAliases.\n");
    }
    for alias in aliases {
        // Writing to a String does not fail.
        let _ = writeln!(text, "{}\t{}", alias.ip, alias.hostnames.join("\t"));
    }
    text
}

#[cfg(test)]
mod tests {
    use podspec::spec::HostAlias;

    use super::{host_network_hosts, pod_hosts};

    fn aliases() -> Vec<HostAlias> {
        let alias = |ip: &str, names: &[&str]| HostAlias {
            ip: ip.to_owned(),
            hostnames: names.iter().map(|&name| name.to_owned()).collect(),
        };
        vec![alias("10.1.2.3", &["foo.local", "bar.local"]), alias("10.1.2.4", &["baz"])]
    }

    #[test]
    fn a_pods_hosts_name_itself_and_its_aliases() {
        let expected = "# Kubernetes-managed hosts file.\n\
            127.0.0.1\tlocalhost\n\
            ::1\tlocalhost ip6-localhost ip6-loopback\n\
            fe00::0\tip6-localnet\n\
            fe00::0\tip6-mcastprefix\n\
            fe00::1\tip6-allnodes\n\
            fe00::2\tip6-allrouters\n\
            10.0.0.7\tweb\n\
            \n\
            # Entries added by HostAliases.\n\
            10.1.2.3\tfoo.local\tbar.local\n\
            10.1.2.4\tbaz\n";
        assert_eq!(pod_hosts("10.0.0.7", "web", &aliases()), expected);
        assert!(pod_hosts("10.0.0.7", "web", &[]).ends_with("\n10.0.0.7\tweb\n"));
    }

    #[test]
    fn a_pod_on_the_hosts_network_has_the_hosts_names() {
        let text = host_network_hosts("127.0.0.1 localhost box\n", &aliases()[1..]);
        let expected = "# Kubernetes-managed hosts file (host network).\n127.0.0.1 localhost box\n\
            \n# Entries added by HostAliases.\n10.1.2.4\tbaz\n";
        assert_eq!(text, expected);
    }
}
