//! Answers as bytes, read back; and the server on this machine's loopback.

mod shown;
mod sockets;
mod speed;
mod zone;

use std::net::IpAddr;

use podspec::PortProtocol;

use crate::zone::{Endpoint, LeadsTo, Port, Service, Zone};

pub(super) fn port(name: &str, protocol: PortProtocol, port: u16) -> Port {
    Port { name: name.to_owned(), protocol, port }
}

pub(super) fn ips(texts: &[&str]) -> Vec<IpAddr> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn endpoint(address: &str, hostname: Option<&str>, ports: &[Port]) -> Endpoint {
    let (address, hostname) = (address.parse().unwrap(), hostname.map(str::to_owned));
    Endpoint { address, hostname, ports: ports.to_vec() }
}

/// One Service of each sort, in the namespace `prod`.
pub(super) fn zone() -> Zone {
    use PortProtocol::{Tcp, Udp};
    let ranges = ["10.200.0.0/16", "10.201.0.0/16", "fd00:1::/64"].map(|range| range.parse().unwrap());
    let zone = Zone::new("cluster.local", ranges.to_vec()).unwrap();
    for namespace in ["prod", "empty", "kube-system"] {
        zone.set_namespace(namespace, true);
    }
    let web = Service {
        leads_to: LeadsTo::Addresses(ips(&["10.201.0.7", "fd00:1::7"])),
        ports: vec![port("http", Tcp, 80), port("dns", Udp, 53), port("", Tcp, 99)],
        endpoints: vec![endpoint("10.200.0.9", None, &[port("http", Tcp, 8080)])],
    };
    let ports = [port("peer", Tcp, 2380)];
    let db = Service {
        leads_to: LeadsTo::Endpoints,
        ports: ports.to_vec(),
        endpoints: vec![
            endpoint("10.200.0.5", Some("db-0"), &ports),
            endpoint("10.200.0.6", None, &ports),
            endpoint("fd00:1::5", Some("db-0"), &ports),
        ],
    };
    let nobody = Service { leads_to: LeadsTo::Endpoints, ports: Vec::new(), endpoints: Vec::new() };
    let elsewhere = |to: &str| Service {
        leads_to: LeadsTo::Elsewhere(to.to_owned()),
        ports: Vec::new(),
        endpoints: Vec::new(),
    };
    zone.set_service("prod", "web", Some(web));
    zone.set_service("prod", "db", Some(db));
    zone.set_service("prod", "nobody", Some(nobody));
    zone.set_service("prod", "outside", Some(elsewhere("www.example.com")));
    zone.set_service("prod", "inside", Some(elsewhere("web.prod.svc.cluster.local.")));
    zone.set_service("prod", "round", Some(elsewhere("round.prod.svc.cluster.local")));
    let dns = Service {
        leads_to: LeadsTo::Addresses(ips(&["10.201.0.10"])),
        ports: Vec::new(),
        endpoints: Vec::new(),
    };
    zone.set_service("kube-system", "kube-dns", Some(dns));
    zone
}
