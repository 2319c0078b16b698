//! The files of /etc that a pod's containers share.

use core::net::IpAddr;
use std::fmt::Write;

use podspec::Pod;
use podspec::spec::HostAlias;

use crate::dns::{CLUSTER_DOMAIN, resolv_conf};

/// Linux' `__NEW_UTS_LEN`.
const KERNEL_HOSTNAME_BYTES_MAX: usize = 64;

/// The texts of `/etc/hosts` and `/etc/resolv.conf`, and the name in `/etc/hostname`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EtcFiles {
    pub hosts: String,
    pub hostname: String,
    pub resolv_conf: String,
}

/// `ips` are the pod's, `cluster_dns` whom it asks for names of the cluster; `of_host` reads the machine's own files, which
/// a pod on its network has too.
pub fn etc_files(
    pod: &Pod,
    ips: &[IpAddr],
    cluster_dns: &[IpAddr],
    of_host: impl FnOnce() -> EtcFiles,
) -> EtcFiles {
    let spec = &pod.spec;
    let of_host = of_host();
    let resolv_conf = resolv_conf(pod, cluster_dns, has_network(pod, ips), || of_host.resolv_conf);
    if spec.host_network {
        let hosts = host_network_hosts(&of_host.hosts, &spec.host_aliases);
        return EtcFiles { hosts, hostname: of_host.hostname, resolv_conf };
    }
    let names = match fqdn(pod) {
        Some(fqdn) => format!("{fqdn}\t{}", spec.hostname),
        None => spec.hostname.clone(),
    };
    // One that is too long has no sandbox.
    let hostname = kernel_hostname(pod).unwrap_or_else(|_| spec.hostname.clone());
    EtcFiles { hosts: pod_hosts(ips, &names, &spec.host_aliases), hostname, resolv_conf }
}

/// Whether a pod with these addresses reaches anybody but itself.
#[must_use]
pub fn has_network(pod: &Pod, ips: &[IpAddr]) -> bool {
    pod.spec.host_network || ips.iter().any(|ip| !ip.is_loopback())
}

/// The pod's name in the cluster's domain.
fn fqdn(pod: &Pod) -> Option<String> {
    let Pod { spec, namespace, .. } = pod;
    (!spec.subdomain.is_empty())
        .then(|| format!("{}.{}.{namespace}.svc.{CLUSTER_DOMAIN}", spec.hostname, spec.subdomain))
}

/// What the kernel calls the pod's machine.
///
/// # Errors
/// [`HostnameTooLong`], which comes from `setHostnameAsFQDN`.
pub(crate) fn kernel_hostname(pod: &Pod) -> Result<String, HostnameTooLong> {
    match fqdn(pod).filter(|_| pod.spec.hostname_as_fqdn) {
        Some(fqdn) if fqdn.len() > KERNEL_HOSTNAME_BYTES_MAX => Err(HostnameTooLong { fqdn }),
        Some(fqdn) => Ok(fqdn),
        None => Ok(pod.spec.hostname.clone()),
    }
}

/// In the kubelet's words.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "failed to construct FQDN from pod hostname and cluster domain, FQDN {fqdn} is too long \
     ({KERNEL_HOSTNAME_BYTES_MAX} characters is the max, {} characters requested)", fqdn.len()
)]
pub struct HostnameTooLong {
    fqdn: String,
}

/// <https://kubernetes.io/docs/tasks/network/customize-hosts-file-for-pods/>
fn pod_hosts(ips: &[IpAddr], names: &str, aliases: &[HostAlias]) -> String {
    let own: String = ips.iter().map(|ip| format!("{ip}\t{names}\n")).collect();
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
    use core::net::IpAddr;

    use podspec::spec::HostAlias;

    use super::{EtcFiles, etc_files, host_network_hosts, kernel_hostname, pod_hosts};

    fn ips(texts: &[&str]) -> Vec<IpAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

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
        assert_eq!(pod_hosts(&ips(&["10.0.0.7"]), "web", &aliases()), expected);
        assert!(pod_hosts(&ips(&["10.0.0.7"]), "web", &[]).ends_with("\n10.0.0.7\tweb\n"));
        let both = pod_hosts(&ips(&["10.0.0.7", "fd00::7"]), "web", &[]);
        assert!(both.ends_with("\n10.0.0.7\tweb\nfd00::7\tweb\n"), "{both}");
    }

    #[test]
    fn a_pod_on_the_hosts_network_has_the_hosts_names() {
        let text = host_network_hosts("127.0.0.1 localhost box\n", &aliases()[1..]);
        let expected = "# Kubernetes-managed hosts file (host network).\n127.0.0.1 localhost box\n\
            \n# Entries added by HostAliases.\n10.1.2.4\tbaz\n";
        assert_eq!(text, expected);
    }

    fn of_host() -> EtcFiles {
        let text = |text: &str| text.to_owned();
        EtcFiles { hosts: text("127.0.0.1 box\n"), hostname: text("box"), resolv_conf: text("search x\n") }
    }

    #[test]
    fn a_subdomain_makes_a_whole_name() {
        let mut pod = crate::tests::pod(Vec::new());
        (pod.namespace, pod.spec.hostname) = ("prod".to_owned(), "web-0".to_owned());
        pod.spec.hostname_as_fqdn = true;
        assert_eq!(
            etc_files(&pod, &ips(&["10.0.0.7"]), &[], of_host).hostname,
            "web-0",
            "without a subdomain"
        );
        pod.spec.subdomain = "web".to_owned();
        let files = etc_files(&pod, &ips(&["10.0.0.7"]), &[], of_host);
        assert!(
            files.hosts.ends_with("\n10.0.0.7\tweb-0.web.prod.svc.cluster.local\tweb-0\n"),
            "{}",
            files.hosts
        );
        assert_eq!(files.hostname, "web-0.web.prod.svc.cluster.local");
        pod.spec.hostname_as_fqdn = false;
        assert_eq!(etc_files(&pod, &ips(&["10.0.0.7"]), &[], of_host).hostname, "web-0");
        pod.spec.host_network = true;
        assert_eq!(etc_files(&pod, &ips(&["10.0.0.7"]), &[], of_host).hostname, "box");
    }

    #[test]
    fn a_whole_name_has_to_fit_into_the_kernels() {
        let mut pod = crate::tests::pod(Vec::new());
        (pod.namespace, pod.spec.subdomain) = ("prod".to_owned(), "web".to_owned());
        pod.spec.hostname_as_fqdn = true;
        let own = 64 - ".web.prod.svc.cluster.local".len();
        pod.spec.hostname = "a".repeat(own);
        assert_eq!(kernel_hostname(&pod).unwrap().len(), 64);
        pod.spec.hostname.push('a');
        let expected = format!(
            "failed to construct FQDN from pod hostname and cluster domain, FQDN {}.web.prod.svc.cluster.local is \
             too long (64 characters is the max, 65 characters requested)",
            "a".repeat(own + 1)
        );
        assert_eq!(kernel_hostname(&pod).unwrap_err().to_string(), expected);
    }
}
