//! Who listens in a pod's network, from `/proc`: which sockets its namespace has, and whose processes hold them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Read};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use journal::Listener;
use linux_sys::cgroup::Hierarchies;
use podspec::{ContainerName, Pod, PortProtocol};

/// What is looked at of a pod's processes, and of what they hold open.
const PROCESSES_MAX: usize = 1_024;
const DESCRIPTORS_MAX: usize = 32_768;
const GROUPS_MAX: usize = 1_024;
const LISTENERS_MAX: usize = 256;
/// Of one table of sockets, which has those of the whole machine where a pod is in its network.
const TABLE_BYTES_MAX: u64 = 4 << 20;

const TABLES: [(&str, PortProtocol, &str); 4] = [
    ("tcp", PortProtocol::Tcp, "0A"),
    ("tcp6", PortProtocol::Tcp, "0A"),
    // A socket of UDP that is not connected.
    ("udp", PortProtocol::Udp, "07"),
    ("udp6", PortProtocol::Udp, "07"),
];

/// Everything that takes connections or datagrams in the pod's network, by port. Of a pod in the machine's network only what its
/// own processes hold. None of a pod without a process.
///
/// # Errors
/// When the pod's processes cannot be found, or their sockets not be read.
pub fn listeners(pod: &Pod) -> io::Result<Vec<Listener>> {
    let processes = processes(pod)?;
    // The first process of a container is in the pod's network, whatever those that it started have done.
    let Some(witness) = processes.keys().next() else { return Ok(Vec::new()) };
    let mut sockets = Vec::new();
    for (table, protocol, state) in TABLES {
        let mut text = Vec::new();
        match File::open(format!("/proc/{witness}/net/{table}")) {
            Ok(file) => file.take(TABLE_BYTES_MAX).read_to_end(&mut text)?,
            // It has ended, or the kernel has no such protocol.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        sockets
            .extend(String::from_utf8_lossy(&text).lines().filter_map(|line| socket(line, protocol, state)));
    }
    let holders = holders(&processes, &sockets.iter().map(|socket| socket.inode).collect());
    let mut listeners: Vec<Listener> = Vec::new();
    for Socket { inode, mut listener } in sockets {
        listener.container = holders.get(&inode).cloned();
        let is_the_pods = !pod.spec.host_network || listener.container.is_some();
        if is_the_pods && !listeners.contains(&listener) {
            listeners.push(listener);
        }
    }
    listeners.sort_by_key(|listener| (listener.port, listener.address));
    listeners.truncate(LISTENERS_MAX);
    Ok(listeners)
}

struct Socket {
    inode: u64,
    listener: Listener,
}

/// `sl local_address rem_address st tx:rx tr:when retrnsmt uid timeout inode`.
fn socket(line: &str, protocol: PortProtocol, wanted: &str) -> Option<Socket> {
    let mut words = line.split_ascii_whitespace().skip(1);
    let (local, _remote, state) = (words.next()?, words.next()?, words.next()?);
    let inode = words.nth(5)?.parse().ok()?;
    if state != wanted {
        return None;
    }
    let (address, port) = local.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let listener = Listener { protocol, address: parse_address(address)?, port, container: None };
    Some(Socket { inode, listener })
}

/// Words of 32 bits as the machine has them in memory.
fn parse_address(text: &str) -> Option<IpAddr> {
    let mut bytes = Vec::with_capacity(16);
    for word in text.as_bytes().chunks(8) {
        let word = u32::from_str_radix(std::str::from_utf8(word).ok()?, 16).ok()?;
        bytes.extend(word.to_ne_bytes());
    }
    match bytes.len() {
        4 => Some(Ipv4Addr::from(<[u8; 4]>::try_from(bytes).ok()?).into()),
        16 => Some(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?).into()),
        _ => None,
    }
}

/// The processes in the pod's groups, and whose they are.
fn processes(pod: &Pod) -> io::Result<BTreeMap<u32, ContainerName>> {
    let hierarchies = Hierarchies::detect().map_err(io::Error::other)?;
    let group = hierarchies.group(container_config::pod_cgroup(&pod.uid));
    let Some((_, directory)) = group.directories().next() else { return Ok(BTreeMap::new()) };
    let mut processes = BTreeMap::new();
    for entry in entries(&directory)? {
        let name = entry.file_name();
        let name = name
            .to_str()
            .and_then(|name| name.rsplit_once('-'))
            .map(|(name, _attempt)| ContainerName::new(name));
        let Some(name) = name.filter(|name| pod.spec.container(name).is_some()) else { continue };
        // A container may have groups of its own.
        let mut left = vec![entry.path()];
        let mut seen = 0;
        while let Some(group) = left.pop() {
            let text = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
            let pids = text.lines().filter_map(|line| line.parse().ok());
            processes.extend(pids.take(PROCESSES_MAX).map(|pid: u32| (pid, name.clone())));
            seen += 1;
            if seen < GROUPS_MAX {
                left.extend(entries(&group)?.into_iter().map(|entry| entry.path()));
            }
        }
    }
    while processes.len() > PROCESSES_MAX {
        processes.pop_last();
    }
    Ok(processes)
}

/// The groups in a group; none when it is gone.
fn entries(directory: &Path) -> io::Result<Vec<fs::DirEntry>> {
    let read = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        read => read?,
    };
    let is_group = |entry: &fs::DirEntry| entry.file_type().is_ok_and(|ty| ty.is_dir());
    Ok(read.flatten().filter(is_group).take(GROUPS_MAX).collect())
}

/// Which container holds each of the sockets, by inode. What nobody is found to hold was started by nobody's container: it is left
/// out.
fn holders(processes: &BTreeMap<u32, ContainerName>, wanted: &BTreeSet<u64>) -> BTreeMap<u64, ContainerName> {
    let mut holders = BTreeMap::new();
    let mut looked_at = 0;
    for (pid, container) in processes {
        if holders.len() == wanted.len() || looked_at >= DESCRIPTORS_MAX {
            break;
        }
        // It may have ended meanwhile.
        let Ok(descriptors) = fs::read_dir(format!("/proc/{pid}/fd")) else { continue };
        for descriptor in descriptors.flatten().take(DESCRIPTORS_MAX - looked_at) {
            looked_at += 1;
            let Ok(target) = fs::read_link(descriptor.path()) else { continue };
            let inode = target
                .to_str()
                .and_then(|text| text.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok());
            if let Some(inode) = inode.filter(|inode| wanted.contains(inode)) {
                holders.entry(inode).or_insert_with(|| container.clone());
            }
        }
    }
    holders
}

#[cfg(test)]
mod tests {
    use podspec::PortProtocol;

    use super::socket;

    #[test]
    fn lines_of_the_kernels_tables() {
        let read = |line: &str, state: &str| {
            let found = socket(line, PortProtocol::Tcp, state)?;
            Some(format!("{}:{} {}", found.listener.address, found.listener.port, found.inode))
        };
        let rest =
            "00000000:00000000 00:00000000 00000000     0        0 12345 1 0000000000000000 100 0 0 10 0";
        for (local, remote, state, expected) in [
            ("0100007F:1F90", "00000000:0000", "0A", Some("127.0.0.1:8080 12345")),
            ("00000000:0050", "00000000:0000", "0A", Some("0.0.0.0:80 12345")),
            (
                "00000000000000000000000001000000:1F90",
                "00000000000000000000000000000000:0000",
                "0A",
                Some("::1:8080 12345"),
            ),
            ("0100007F:1F90", "0100007F:D431", "01", None),
            ("0100007F:XX", "00000000:0000", "0A", None),
        ] {
            let line = format!("   0: {local} {remote} {state} {rest}");
            assert_eq!(read(&line, "0A").as_deref(), expected, "{line}");
        }
        for line in [
            "",
            "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode",
            "0: a",
        ] {
            assert_eq!(read(line, "0A"), None);
        }
    }
}
