//! The files of /etc that a pod's containers share.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use container_config::SandboxFacts;
use linux_sys::cgroup::Hierarchies;
use podspec::spec::HostAlias;
use ports::PodContext;

use crate::error::RuntimeError;

/// Written where the host has none.
const NO_RESOLVER: &str = "# This pod has no network beyond its own loopback.\n";

/// Writes the files and says where they are. The volumes are the kubelet's to add.
pub(crate) fn write(pod: &PodContext, ip: &str) -> Result<SandboxFacts, RuntimeError> {
    let spec = &pod.pod.spec;
    let dir = pod.pod_dir.join("etc");
    fs::create_dir_all(&dir).map_err(|source| RuntimeError::Directory { path: dir.clone(), source })?;
    let hosts = if spec.host_network {
        host_network_hosts(&host_file("/etc/hosts"), &spec.host_aliases)
    } else {
        pod_hosts(ip, &spec.hostname, &spec.host_aliases)
    };
    let hostname = if spec.host_network { host_name() } else { spec.hostname.clone() };
    let resolv_conf = if spec.host_network { host_file("/etc/resolv.conf") } else { NO_RESOLVER.to_owned() };
    let facts = SandboxFacts {
        hostname: hostname.clone(),
        etc_hosts: dir.join("hosts"),
        etc_hostname: dir.join("hostname"),
        resolv_conf: dir.join("resolv.conf"),
        shm: container_config::shm_path(&pod.pod_dir),
        volumes: std::collections::BTreeMap::new(),
        cgroup_v2: Hierarchies::detect().is_ok_and(|hierarchies| hierarchies.is_v2()),
        ip: ip.to_owned(),
    };
    write_file(&facts.etc_hosts, &hosts)?;
    write_file(&facts.etc_hostname, &format!("{hostname}\n"))?;
    write_file(&facts.resolv_conf, &resolv_conf)?;
    Ok(facts)
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

/// Of the machine: a pod on its network answers to its name.
fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// Empty where the host has no such file.
fn host_file(path: &str) -> String {
    fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}

fn write_file(path: &Path, text: &str) -> Result<(), RuntimeError> {
    fs::write(path, text).map_err(|source| RuntimeError::EtcFile { path: path.to_owned(), source })
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
