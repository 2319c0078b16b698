//! What this machine is, as a Node object says it.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};
use std::path::Path;

use rustix::fs::statvfs;
use rustix::system::uname;

/// Facts of the machine; they do not change while it runs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Machine {
    /// The host name in lower case: the node's name.
    pub name: String,
    /// IPv4 first; a pod on the host's network has them, too.
    pub addresses: Vec<IpAddr>,
    /// Those of its pods; none until somebody has said which.
    pub pod_ranges: Vec<String>,
    pub cpus: u64,
    pub memory_bytes: u64,
    /// Of the file system that holds the pods.
    pub storage_bytes: u64,
    pub kernel: String,
    /// `amd64`, `arm64`: as Go names it.
    pub architecture: &'static str,
    pub os_image: String,
    pub machine_id: String,
    pub system_uuid: String,
    pub boot_id: String,
}

impl Machine {
    /// `data_dir`: where pods are kept; it has to exist.
    ///
    /// # Errors
    /// When the kernel does not say what it has.
    pub fn read(data_dir: &Path) -> io::Result<Self> {
        let uname = uname();
        let storage = statvfs(data_dir)?;
        Ok(Self {
            name: node_name(&uname.nodename().to_string_lossy()),
            addresses: outward_addresses(),
            pod_ranges: Vec::new(),
            cpus: std::thread::available_parallelism()?.get() as u64,
            memory_bytes: memory_bytes(&fs::read_to_string("/proc/meminfo")?),
            storage_bytes: storage.f_blocks.saturating_mul(storage.f_frsize),
            kernel: uname.release().to_string_lossy().into_owned(),
            architecture: go_architecture(std::env::consts::ARCH),
            os_image: pretty_name(&text("/etc/os-release")).unwrap_or_else(|| "Linux".to_owned()),
            machine_id: text("/etc/machine-id"),
            system_uuid: text("/sys/class/dmi/id/product_uuid"),
            boot_id: text("/proc/sys/kernel/random/boot_id"),
        })
    }
}

/// What a file says; nothing when it is not there, as in a container.
fn text(path: &str) -> String {
    fs::read_to_string(path).map(|text| text.trim().to_owned()).unwrap_or_default()
}

/// A host name that is no DNS subdomain has what is wrong left out; one of nothing else is `localhost`.
fn node_name(host: &str) -> String {
    let kept = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.');
    let name: String = host.to_ascii_lowercase().chars().filter(kept).collect();
    let name = name.trim_matches(['-', '.']);
    if name.is_empty() { "localhost".to_owned() } else { name.to_owned() }
}

/// The addresses this machine would speak from to others: the kernel is asked for a route to one that is
/// nobody's (RFC 5737, RFC 3849), and nothing is sent. Without a route it is loopback.
fn outward_addresses() -> Vec<IpAddr> {
    let asked = |own: IpAddr, other: IpAddr| {
        let socket = UdpSocket::bind((own, 0)).ok()?;
        socket.connect((other, 9)).ok()?;
        Some(socket.local_addr().ok()?.ip())
    };
    let v4 = asked(Ipv4Addr::UNSPECIFIED.into(), Ipv4Addr::new(192, 0, 2, 1).into());
    let v6 = asked(Ipv6Addr::UNSPECIFIED.into(), Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into());
    let found: Vec<IpAddr> = v4.into_iter().chain(v6).collect();
    if found.is_empty() { vec![Ipv4Addr::LOCALHOST.into()] } else { found }
}

/// `MemTotal:       24612345 kB`
fn memory_bytes(meminfo: &str) -> u64 {
    let kib = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:")?.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) * 1_024
}

fn pretty_name(os_release: &str) -> Option<String> {
    let value = os_release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
    Some(value.trim_matches('"').to_owned())
}

fn go_architecture(arch: &'static str) -> &'static str {
    match arch {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::{Machine, memory_bytes, node_name, pretty_name};

    #[test]
    fn host_names_become_node_names() {
        for (host, name) in
            [("Box", "box"), ("my_box.lan.", "mybox.lan"), ("", "localhost"), ("_", "localhost")]
        {
            assert_eq!(node_name(host), name, "{host}");
        }
    }

    #[test]
    fn files_of_the_machine_are_read() {
        assert_eq!(memory_bytes("MemFree: 1 kB\nMemTotal:       2048 kB\n"), 2 << 20);
        let release = "ID=debian\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n";
        assert_eq!(pretty_name(release).as_deref(), Some("Debian GNU/Linux 12 (bookworm)"));
    }

    #[test]
    fn this_machine_can_be_read() {
        let machine = Machine::read(std::path::Path::new("/tmp")).unwrap();
        assert!(machine.cpus > 0 && machine.memory_bytes > 0 && machine.storage_bytes > 0);
        assert!(!machine.name.is_empty() && !machine.kernel.is_empty());
    }
}
