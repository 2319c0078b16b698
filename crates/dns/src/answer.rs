//! What the zone says to a question: a pure function.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::rdata::{A, AAAA, CNAME, HINFO, NS, PTR, SOA, SRV, TXT};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};
use podspec::PortProtocol;

use crate::name;
use crate::zone::{Endpoint, Held, LeadsTo, Port, Service, Zone};

/// Of every record of the zone, in seconds: as long as what has changed may still be believed.
const TTL: u32 = 5;
/// Which version of the specification the names follow.
const SCHEMA: &str = "1.1.0";
/// Of the records of one port, shared among them.
const WEIGHT: usize = 100;
/// `externalName`s that lead to one another.
const ALIASES_MAX: usize = 8;

#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Answer {
    Records(Records),
    /// After these aliases the rest is whoever knows `name`'s to say.
    Alias {
        aliases: Vec<Record>,
        name: Name,
    },
    /// No name of the zone's.
    Elsewhere,
    Refused,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Records {
    pub(crate) code: ResponseCode,
    pub(crate) answers: Vec<Record>,
    pub(crate) additional: Vec<Record>,
    /// What says how long a name or record that is not there may be remembered as such.
    pub(crate) negative: Vec<Record>,
}

/// Answers to `name`. `turn` says which of several equal records comes first.
pub(crate) fn answer(zone: &Zone, name: &Name, class: DNSClass, wanted: RecordType, turn: usize) -> Answer {
    if class != DNSClass::IN {
        return Answer::Refused;
    }
    let held = zone.read();
    let mut aliases: Vec<Record> = Vec::new();
    let mut name = name.clone();
    loop {
        let looked = Look { zone, held: &held, name: &name, wanted, turn }.look();
        match looked {
            Looked::Found(mut records) => {
                records.answers.splice(0..0, aliases);
                return Answer::Records(records);
            }
            Looked::Alias(target) if aliases.len() < ALIASES_MAX => {
                aliases.push(record(&name, RData::CNAME(CNAME(target.clone()))));
                name = target;
            }
            Looked::Alias(_) => {
                let records = Records { code: ResponseCode::ServFail, ..Records::of(aliases) };
                return Answer::Records(records);
            }
            Looked::Elsewhere if aliases.is_empty() => return Answer::Elsewhere,
            Looked::Elsewhere => return Answer::Alias { aliases, name },
        }
    }
}

enum Looked {
    Found(Records),
    Alias(Name),
    Elsewhere,
}

impl Records {
    fn of(answers: Vec<Record>) -> Self {
        Self { code: ResponseCode::NoError, answers, additional: Vec::new(), negative: Vec::new() }
    }
}

struct Look<'a> {
    zone: &'a Zone,
    held: &'a Held,
    name: &'a Name,
    wanted: RecordType,
    turn: usize,
}

impl Look<'_> {
    fn look(&self) -> Looked {
        if let Some(reverse) = reverse(self.name) {
            return self.reverse(&reverse);
        }
        let Some(labels) = self.labels_below() else { return Looked::Elsewhere };
        // No name of an object is anything else than ASCII.
        let texts: Option<Vec<&str>> = labels.iter().map(|label| std::str::from_utf8(label).ok()).collect();
        let Some(texts) = texts else { return self.no_such_name() };
        match texts[..] {
            [] => self.apex(),
            ["dns-version"] => self.some(RecordType::TXT, RData::TXT(TXT::new(vec![SCHEMA.to_owned()]))),
            ["svc" | "pod"] => self.nothing(),
            [namespace, "svc" | "pod"] if self.held.has_namespace(namespace) => self.nothing(),
            [address, namespace, "pod"] if self.held.has_namespace(namespace) => self.pod(address),
            [service, namespace, "svc"] => self.of_service(namespace, service, Service::find),
            [label, service, namespace, "svc"] => {
                self.of_service(namespace, service, |service, look, _| service.find_endpoint(look, label))
            }
            [port, protocol, service, namespace, "svc"] => {
                self.of_service(namespace, service, |service, look, name| {
                    service.find_port(look, name, port, protocol)
                })
            }
            _ => self.no_such_name(),
        }
    }

    /// The labels before the domain's.
    fn labels_below(&self) -> Option<Vec<&[u8]>> {
        let labels: Vec<&[u8]> = self.name.iter().collect();
        let below = labels.len().checked_sub(self.zone.domain.iter().count())?;
        let is_below = labels[below..].iter().copied().eq(self.zone.domain.iter());
        is_below.then(|| labels[..below].to_vec())
    }

    fn of_service(
        &self,
        namespace: &str,
        name: &str,
        find: impl FnOnce(&Service, &Self, &Name) -> Looked,
    ) -> Looked {
        let Some(service) = self.held.service(namespace, name) else { return self.no_such_name() };
        match self.zone.service_name(namespace, name) {
            Some(name) => find(service, self, &name),
            None => self.no_such_name(),
        }
    }

    fn apex(&self) -> Looked {
        let server = &self.zone.server;
        match self.wanted {
            RecordType::SOA => Looked::Found(Records::of(vec![self.soa(&self.zone.domain)])),
            RecordType::NS => {
                let mut records = Records::of(vec![record(self.name, RData::NS(NS(server.clone())))]);
                if let Some(service) = self.held.service("kube-system", "kube-dns") {
                    records.additional = addresses(server, service.cluster_ips().iter());
                }
                Looked::Found(records)
            }
            RecordType::ANY => self.everything(),
            _ => self.nothing(),
        }
    }

    /// `pods insecure`: an address that is written into a name is that name's (specification 2.6).
    fn pod(&self, text: &str) -> Looked {
        let is_v4 = text.matches('-').count() == 3 && !text.contains("--");
        let address: Option<IpAddr> = if is_v4 {
            text.replace('-', ".").parse::<Ipv4Addr>().ok().map(IpAddr::V4)
        } else {
            text.replace('-', ":").parse::<Ipv6Addr>().ok().map(IpAddr::V6)
        };
        match address {
            Some(address) => self.addresses([&address].into_iter()),
            None => self.no_such_name(),
        }
    }

    fn reverse(&self, reverse: &Reverse) -> Looked {
        let absent = |code| {
            let zone = name::parse(reverse.zone).unwrap_or_else(|| self.zone.domain.clone());
            let negative = vec![self.soa(&zone)];
            Looked::Found(Records { code, negative, ..Records::of(Vec::new()) })
        };
        let Some(address) = reverse.address else { return Looked::Elsewhere };
        let names: Vec<&Name> = self.held.names_of(address).collect();
        match (names.is_empty(), self.held.is_ours(address)) {
            (true, true) => absent(ResponseCode::NXDomain),
            (true, false) => Looked::Elsewhere,
            _ if self.wanted == RecordType::PTR => {
                let records = names.iter().map(|&name| record(self.name, RData::PTR(PTR(name.clone()))));
                Looked::Found(Records::of(records.collect()))
            }
            _ if self.wanted == RecordType::ANY => self.everything(),
            _ => absent(ResponseCode::NoError),
        }
    }

    /// The addresses of the family that is asked for.
    fn addresses<'a>(&self, all: impl Iterator<Item = &'a IpAddr>) -> Looked {
        let wanted = |ip: &&IpAddr| match self.wanted {
            RecordType::A => ip.is_ipv4(),
            RecordType::AAAA => ip.is_ipv6(),
            _ => false,
        };
        if self.wanted == RecordType::ANY {
            return self.everything();
        }
        let mut answers = addresses(self.name, all.filter(wanted));
        if answers.is_empty() {
            return self.nothing();
        }
        let first = self.turn % answers.len();
        answers.rotate_left(first);
        Looked::Found(Records::of(answers))
    }

    fn some(&self, of: RecordType, data: RData) -> Looked {
        match self.wanted {
            wanted if wanted == of => Looked::Found(Records::of(vec![record(self.name, data)])),
            RecordType::ANY => self.everything(),
            _ => self.nothing(),
        }
    }

    /// A question for everything is answered with next to nothing (RFC 8482), so nobody is flooded with answers.
    fn everything(&self) -> Looked {
        Looked::Found(Records::of(vec![record(
            self.name,
            RData::HINFO(HINFO::new("RFC8482".to_owned(), String::new())),
        )]))
    }

    fn nothing(&self) -> Looked {
        if self.wanted == RecordType::ANY {
            return self.everything();
        }
        self.negative(ResponseCode::NoError)
    }

    fn no_such_name(&self) -> Looked {
        self.negative(ResponseCode::NXDomain)
    }

    fn negative(&self, code: ResponseCode) -> Looked {
        let negative = vec![self.soa(&self.zone.domain)];
        Looked::Found(Records { code, negative, ..Records::of(Vec::new()) })
    }

    fn soa(&self, owner: &Name) -> Record {
        let Zone { server, contact, .. } = self.zone;
        let serial = self.zone.serial();
        // Nobody transfers the zone; the last is how long a name that is not there may be remembered.
        let soa = SOA::new(server.clone(), contact.clone(), serial, 7_200, 1_800, 86_400, TTL);
        record(owner, RData::SOA(soa))
    }
}

impl Service {
    fn cluster_ips(&self) -> &[IpAddr] {
        match &self.leads_to {
            LeadsTo::Addresses(addresses) => addresses,
            LeadsTo::Endpoints | LeadsTo::Elsewhere(_) => &[],
        }
    }

    fn find(&self, look: &Look<'_>, name: &Name) -> Looked {
        match &self.leads_to {
            LeadsTo::Elsewhere(target) => match name::parse(target) {
                Some(target) if look.wanted == RecordType::CNAME => {
                    look.some(RecordType::CNAME, RData::CNAME(CNAME(target)))
                }
                Some(_) if look.wanted == RecordType::ANY => look.everything(),
                Some(target) => Looked::Alias(target),
                None => look.no_such_name(),
            },
            LeadsTo::Endpoints if self.endpoints.is_empty() => look.no_such_name(),
            _ if look.wanted == RecordType::SRV => self.ports_found(look, name, |_| true),
            LeadsTo::Addresses(addresses) => look.addresses(addresses.iter()),
            LeadsTo::Endpoints => look.addresses(self.endpoints.iter().map(|endpoint| &endpoint.address)),
        }
    }

    /// An endpoint by its name, or the part of a port's name that has no records.
    fn find_endpoint(&self, look: &Look<'_>, label: &str) -> Looked {
        if let Some(protocol) = label.strip_prefix('_') {
            let has = |port: &Port| !port.name.is_empty() && is_called(port.protocol, protocol);
            return if self.all_ports().any(has) { look.nothing() } else { look.no_such_name() };
        }
        let mut of_label = self.endpoints.iter().filter(|endpoint| endpoint.label() == label).peekable();
        if of_label.peek().is_none() {
            return look.no_such_name();
        }
        look.addresses(of_label.map(|endpoint| &endpoint.address))
    }

    fn find_port(&self, look: &Look<'_>, name: &Name, port: &str, protocol: &str) -> Looked {
        let (Some(port), Some(protocol)) = (port.strip_prefix('_'), protocol.strip_prefix('_')) else {
            return look.no_such_name();
        };
        let is_meant = |found: &Port| {
            !found.name.is_empty() && found.name == port && is_called(found.protocol, protocol)
        };
        if !self.all_ports().any(is_meant) {
            return look.no_such_name();
        }
        match look.wanted {
            RecordType::SRV => self.ports_found(look, name, is_meant),
            _ => look.nothing(),
        }
    }

    /// Records of the ports that are meant, and the addresses of what they lead to.
    fn ports_found(&self, look: &Look<'_>, name: &Name, is_meant: impl Fn(&Port) -> bool) -> Looked {
        let mut found: Vec<(Name, u16, Vec<IpAddr>)> = Vec::new();
        if let LeadsTo::Endpoints = self.leads_to {
            for endpoint in &self.endpoints {
                let Some(target) = name::under(name, &endpoint.label()) else { continue };
                for port in endpoint.ports.iter().filter(|port| is_meant(port)) {
                    match found.iter_mut().find(|(known, number, _)| (known, *number) == (&target, port.port))
                    {
                        Some((_, _, addresses)) => addresses.push(endpoint.address),
                        None => found.push((target.clone(), port.port, vec![endpoint.address])),
                    }
                }
            }
        } else {
            let meant = self.ports.iter().filter(|port| is_meant(port));
            found.extend(meant.map(|port| (name.clone(), port.port, self.cluster_ips().to_vec())));
        }
        if found.is_empty() {
            return look.nothing();
        }
        let weight = u16::try_from((WEIGHT / found.len()).max(1)).unwrap_or(1);
        let mut records = Records::of(Vec::with_capacity(found.len()));
        for (target, port, ips) in found {
            let more = addresses(&target, ips.iter());
            records.additional.extend(
                more.into_iter().filter(|more| !records.additional.contains(more)).collect::<Vec<_>>(),
            );
            records.answers.push(record(look.name, RData::SRV(SRV::new(0, weight, port, target))));
        }
        Looked::Found(records)
    }

    fn all_ports(&self) -> impl Iterator<Item = &Port> {
        let is_headless = self.leads_to == LeadsTo::Endpoints;
        let of_endpoints: &[Endpoint] = if is_headless { &self.endpoints } else { &[] };
        let own: &[Port] = if is_headless { &[] } else { &self.ports };
        own.iter().chain(of_endpoints.iter().flat_map(|endpoint| &endpoint.ports))
    }
}

fn is_called(protocol: PortProtocol, text: &str) -> bool {
    let name = match protocol {
        PortProtocol::Tcp => "tcp",
        PortProtocol::Udp => "udp",
        PortProtocol::Sctp => "sctp",
    };
    name == text
}

fn record(owner: &Name, data: RData) -> Record {
    Record::from_rdata(owner.clone(), TTL, data)
}

fn addresses<'a>(owner: &Name, all: impl Iterator<Item = &'a IpAddr>) -> Vec<Record> {
    let data = |ip: &IpAddr| match *ip {
        IpAddr::V4(ip) => RData::A(A(ip)),
        IpAddr::V6(ip) => RData::AAAA(AAAA(ip)),
    };
    all.map(|ip| record(owner, data(ip))).collect()
}

struct Reverse {
    zone: &'static str,
    /// `None`: part of one.
    address: Option<IpAddr>,
}

/// The address that a name below `in-addr.arpa` or `ip6.arpa` is of.
fn reverse(name: &Name) -> Option<Reverse> {
    let labels: Vec<&[u8]> = name.iter().collect();
    match labels[..] {
        [ref digits @ .., b"in-addr", b"arpa"] => {
            let octet = |label: &&[u8]| std::str::from_utf8(label).ok()?.parse::<u8>().ok();
            let octets: Option<Vec<u8>> = digits.iter().rev().map(octet).collect();
            let address = octets.and_then(|octets| <[u8; 4]>::try_from(octets).ok()).map(IpAddr::from);
            Some(Reverse { zone: "in-addr.arpa", address })
        }
        [ref digits @ .., b"ip6", b"arpa"] => {
            let digit = |label: &&[u8]| match label {
                [digit] => char::from(*digit).to_digit(16),
                _ => None,
            };
            let digits: Option<Vec<u32>> = digits.iter().rev().map(digit).collect();
            let whole = digits.filter(|digits| digits.len() == 32);
            let number = |digits: Vec<u32>| digits.iter().fold(0, |sum, digit| sum << 4 | u128::from(*digit));
            Some(Reverse { zone: "ip6.arpa", address: whole.map(|digits| IpAddr::V6(number(digits).into())) })
        }
        _ => None,
    }
}
