//! `hostPort`: which ones a pod has, and that nobody else on the machine has them.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;

use podspec::{PodSpec, PortProtocol};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, socket_with, sockopt};

use crate::HostPort;

/// As in <https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/>.
const EVERY: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)];

#[derive(Debug, thiserror::Error)]
#[error(
    "cannot have port {port} of {} for hostPort: {}",
    address.map_or("this machine".to_owned(), |address| address.to_string()),
    explain(source)
)]
pub(crate) struct HostPortError {
    port: u16,
    address: Option<IpAddr>,
    source: Errno,
}

fn explain(errno: &Errno) -> String {
    match *errno {
        Errno::ADDRINUSE => {
            "a process or another pod has it: end that one (`ss -lntup` shows it), or choose another hostPort"
                .to_owned()
        }
        Errno::ADDRNOTAVAIL => "it is no address of this machine: correct hostIP, or leave it out".to_owned(),
        other => io::Error::from(other).to_string(),
    }
}

/// Those of all containers that run as long as the pod does.
#[must_use]
pub fn of(spec: &PodSpec) -> Vec<HostPort> {
    let containers = spec.init_containers.iter().chain(&spec.containers);
    let ports = containers.flat_map(|container| &container.ports);
    ports
        .filter_map(|port| {
            let address = port.host_ip.filter(|address| !EVERY.contains(address));
            Some(HostPort {
                address,
                protocol: port.protocol,
                host_port: port.host_port?,
                pod_port: port.container_port,
            })
        })
        .collect()
}

/// Takes the ports from everybody else, as long as the descriptors are held. Nobody listens on them.
pub(crate) fn reserve(ports: &[HostPort]) -> Result<Vec<OwnedFd>, HostPortError> {
    let mut held = Vec::new();
    for HostPort { address, protocol, host_port, .. } in ports {
        let kind = match protocol {
            PortProtocol::Tcp => SocketType::STREAM,
            PortProtocol::Udp => SocketType::DGRAM,
            // Many kernels have none, and what they have is led to the pod as well.
            PortProtocol::Sctp => continue,
        };
        let taken = take(kind, *address, *host_port);
        held.push(taken.map_err(|source| HostPortError { port: *host_port, address: *address, source })?);
    }
    Ok(held)
}

/// Without an address: of both families, where the kernel has both.
fn take(kind: SocketType, address: Option<IpAddr>, port: u16) -> Result<OwnedFd, Errno> {
    let socket = |family| socket_with(family, kind, SocketFlags::CLOEXEC, None);
    match address {
        Some(address) => {
            let socket = socket(if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 })?;
            bind(&socket, &SocketAddr::new(address, port)).map(|()| socket)
        }
        None => match socket(AddressFamily::INET6) {
            Ok(both) => {
                sockopt::set_ipv6_v6only(&both, false)?;
                bind(&both, &SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), port)).map(|()| both)
            }
            Err(Errno::AFNOSUPPORT) => {
                let v4 = socket(AddressFamily::INET)?;
                bind(&v4, &SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port)).map(|()| v4)
            }
            Err(error) => Err(error),
        },
    }
}
