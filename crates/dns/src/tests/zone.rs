//! What is answered to which name.

use std::time::Instant;

use hickory_proto::rr::RecordType::{self, A, AAAA, ANY, CNAME, MX, NS, PTR, SRV, TXT};

use super::shown::shown;
use super::zone;
use crate::cache::{Key, Response};
use crate::forward::Forwarder;
use crate::message::{self, Query};
use crate::name;
use crate::resolvers::Resolvers;
use crate::serve::{Answers, Handled, Way};

const SOA: &str = "cluster.local. 5 SOA kube-dns.kube-system.svc.cluster.local. hostmaster.cluster.local.";

fn answers() -> Answers {
    Answers::new(zone(), Forwarder::new(Resolvers::of(&[])))
}

fn ask(answers: &Answers, name: &str, kind: RecordType) -> String {
    let query = message::query(7, &name::parse(name).unwrap(), kind, None, false);
    match answers.handle(&query, Way::Stream) {
        Handled::Answer(answer) => shown(&answer),
        other => format!("{other:?}"),
    }
}

fn found(records: &str, more: &str) -> String {
    format!("0 qr aa rd ra | {records} |  | {more}").trim_end().to_owned()
}

/// The name is there, and has no such record.
fn nothing() -> String {
    format!("0 qr aa rd ra |  | {SOA} |")
}

fn no_name() -> String {
    format!("3 qr aa rd ra |  | {SOA} |")
}

fn check<const N: usize>(cases: [(&str, RecordType, String); N]) {
    for (name, kind, expected) in cases {
        assert_eq!(ask(&answers(), name, kind), expected, "{name} {kind}");
    }
}

#[test]
fn names_of_services() {
    check([
        ("web.prod.svc.cluster.local", A, found("web.prod.svc.cluster.local. 5 A 10.201.0.7", "")),
        ("web.prod.svc.cluster.local", AAAA, found("web.prod.svc.cluster.local. 5 AAAA fd00:1::7", "")),
        ("web.prod.svc.cluster.local", TXT, nothing()),
        (
            "web.prod.svc.cluster.local",
            ANY,
            found("web.prod.svc.cluster.local. 5 HINFO \u{7}RFC8482\u{0}", ""),
        ),
        ("WEB.Prod.svc.CLUSTER.local", A, found("web.prod.svc.cluster.local. 5 A 10.201.0.7", "")),
        (
            "_http._tcp.web.prod.svc.cluster.local",
            SRV,
            found(
                "_http._tcp.web.prod.svc.cluster.local. 5 SRV 0 100 80 web.prod.svc.cluster.local.",
                "web.prod.svc.cluster.local. 5 A 10.201.0.7; web.prod.svc.cluster.local. 5 AAAA fd00:1::7",
            ),
        ),
        ("_http._tcp.web.prod.svc.cluster.local", A, nothing()),
        ("_tcp.web.prod.svc.cluster.local", SRV, nothing()),
        ("_sctp.web.prod.svc.cluster.local", SRV, no_name()),
        ("_http._udp.web.prod.svc.cluster.local", SRV, no_name()),
        ("_._tcp.web.prod.svc.cluster.local", SRV, no_name()),
        (
            "10-200-0-9.web.prod.svc.cluster.local",
            A,
            found("10-200-0-9.web.prod.svc.cluster.local. 5 A 10.200.0.9", ""),
        ),
        ("absent.prod.svc.cluster.local", A, no_name()),
        ("web.absent.svc.cluster.local", A, no_name()),
        (
            "inside.prod.svc.cluster.local",
            A,
            found(
                "inside.prod.svc.cluster.local. 5 CNAME web.prod.svc.cluster.local.; web.prod.svc.cluster.local. 5 A 10.201.0.7",
                "",
            ),
        ),
        ("outside.prod.svc.cluster.local", A, "Wait".to_owned()),
        (
            "outside.prod.svc.cluster.local",
            CNAME,
            found("outside.prod.svc.cluster.local. 5 CNAME www.example.com.", ""),
        ),
    ]);
}

#[test]
fn names_of_headless_services() {
    let db = "db.prod.svc.cluster.local.";
    let db_0 = format!("db-0.{db}");
    let db_6 = format!("10-200-0-6.{db}");
    check([
        ("db-0.db.prod.svc.cluster.local", A, found(&format!("{db_0} 5 A 10.200.0.5"), "")),
        ("db-0.db.prod.svc.cluster.local", AAAA, found(&format!("{db_0} 5 AAAA fd00:1::5"), "")),
        ("10-200-0-5.db.prod.svc.cluster.local", A, no_name()),
        ("10-200-0-6.db.prod.svc.cluster.local", A, found(&format!("{db_6} 5 A 10.200.0.6"), "")),
        ("10-200-0-6.db.prod.svc.cluster.local", AAAA, nothing()),
        (
            "_peer._tcp.db.prod.svc.cluster.local",
            SRV,
            found(
                &format!("_peer._tcp.{db} 5 SRV 0 50 2380 {db_0}; _peer._tcp.{db} 5 SRV 0 50 2380 {db_6}"),
                &format!("{db_0} 5 A 10.200.0.5; {db_0} 5 AAAA fd00:1::5; {db_6} 5 A 10.200.0.6"),
            ),
        ),
        ("nobody.prod.svc.cluster.local", A, no_name()),
    ]);
}

#[test]
fn addresses_have_names() {
    let db = "db.prod.svc.cluster.local.";
    let db_0 = format!("db-0.{db}");
    check([
        (
            "7.0.201.10.in-addr.arpa",
            PTR,
            found("7.0.201.10.in-addr.arpa. 5 PTR web.prod.svc.cluster.local.", ""),
        ),
        ("5.0.200.10.in-addr.arpa", PTR, found(&format!("5.0.200.10.in-addr.arpa. 5 PTR {db_0}"), "")),
        ("9.0.200.10.in-addr.arpa", PTR, no_name().replace("cluster.local. 5 SOA", "in-addr.arpa. 5 SOA")),
        ("7.0.201.10.in-addr.arpa", A, nothing().replace("cluster.local. 5 SOA", "in-addr.arpa. 5 SOA")),
        ("1.1.1.1.in-addr.arpa", PTR, "Wait".to_owned()),
        ("0.200.10.in-addr.arpa", PTR, "Wait".to_owned()),
        (
            "7.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.1.0.0.0.0.0.d.f.ip6.arpa",
            PTR,
            found(
                "7.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.1.0.0.0.0.0.d.f.ip6.arpa. 5 PTR web.prod.svc.cluster.local.",
                "",
            ),
        ),
    ]);
}

#[test]
fn names_of_pods_and_of_the_zone_itself() {
    check([
        (
            "10-200-0-77.prod.pod.cluster.local",
            A,
            found("10-200-0-77.prod.pod.cluster.local. 5 A 10.200.0.77", ""),
        ),
        ("10-200-0-77.prod.pod.cluster.local", AAAA, nothing()),
        (
            "fd00-1--5.prod.pod.cluster.local",
            AAAA,
            found("fd00-1--5.prod.pod.cluster.local. 5 AAAA fd00:1::5", ""),
        ),
        ("10-200-0-777.prod.pod.cluster.local", A, no_name()),
        ("10-200-0-77.absent.pod.cluster.local", A, no_name()),
        ("dns-version.cluster.local", TXT, found("dns-version.cluster.local. 5 TXT 1.1.0", "")),
        (
            "cluster.local",
            NS,
            found(
                "cluster.local. 5 NS kube-dns.kube-system.svc.cluster.local.",
                "kube-dns.kube-system.svc.cluster.local. 5 A 10.201.0.10",
            ),
        ),
        ("cluster.local", A, nothing()),
        ("svc.cluster.local", A, nothing()),
        ("empty.svc.cluster.local", A, nothing()),
        ("absent.svc.cluster.local", A, no_name()),
        ("www.example.com.prod.svc.cluster.local", A, no_name()),
        ("www.example.com", A, "Wait".to_owned()),
        ("cluster.local.example.com", A, "Wait".to_owned()),
    ]);
}

#[test]
fn aliases_in_a_circle_end() {
    let text = ask(&answers(), "round.prod.svc.cluster.local", A);
    assert!(text.starts_with("2 qr aa"), "{text}");
    assert_eq!(text.matches("CNAME").count(), 8);
}

#[test]
fn headless_answers_take_turns() {
    let answers = answers();
    let endpoints = super::ips(&["10.200.0.5", "10.200.0.6"]);
    let first = |text: String| text.split(" A ").nth(1).unwrap().split(';').next().unwrap().trim().to_owned();
    let seen: std::collections::BTreeSet<String> =
        (0..4).map(|_| first(ask(&answers, "db.prod.svc.cluster.local", A)).replace(" |", "")).collect();
    let expected = endpoints.iter().map(ToString::to_string).collect();
    assert_eq!(seen, expected);
}

#[test]
fn what_changes_is_answered_at_once() {
    let zone = zone();
    let answers = Answers::new(zone.clone(), Forwarder::new(Resolvers::of(&[])));
    assert!(ask(&answers, "5.0.200.10.in-addr.arpa", PTR).contains("db-0"));
    zone.set_service("prod", "db", None);
    assert!(ask(&answers, "5.0.200.10.in-addr.arpa", PTR).starts_with('3'));
    assert!(ask(&answers, "db.prod.svc.cluster.local", A).starts_with('3'));
    zone.set_namespace("empty", false);
    assert!(ask(&answers, "empty.svc.cluster.local", A).starts_with('3'));
}

#[test]
fn letters_come_back_as_they_were() {
    let mut query = message::query(7, &name::parse("web.prod.svc.cluster.local").unwrap(), A, None, false);
    query[13] = b'W';
    query[20] = b'D';
    let Handled::Answer(answer) = answers().handle(&query, Way::Datagram) else { panic!("no answer") };
    assert_eq!(answer[12..query.len()], query[12..]);
    assert!(shown(&answer).contains("A 10.201.0.7"));
}

#[test]
fn what_does_not_fit_is_asked_for_again() {
    use crate::zone::{Endpoint, LeadsTo, Service};
    let zone = zone();
    let endpoint = |last: u8| Endpoint {
        address: std::net::IpAddr::from([10, 200, 1, last]),
        hostname: None,
        ports: Vec::new(),
    };
    let many = Service {
        leads_to: LeadsTo::Endpoints,
        ports: Vec::new(),
        endpoints: (0..200).map(endpoint).collect(),
    };
    zone.set_service("prod", "many", Some(many));
    let answers = Answers::new(zone, Forwarder::new(Resolvers::of(&[])));
    let name = name::parse("many.prod.svc.cluster.local").unwrap();
    for (edns, way, bytes_max, is_cut) in [
        (None, Way::Datagram, 512, true),
        (Some(false), Way::Datagram, 1_232, true),
        (None, Way::Stream, 65_535, false),
    ] {
        let query = message::query(7, &name, A, edns, false);
        let Handled::Answer(answer) = answers.handle(&query, way) else { panic!("no answer") };
        let text = shown(&answer);
        assert!(answer.len() <= bytes_max && answer.len() + 16 > bytes_max.min(3_200), "{}", answer.len());
        assert_eq!(text.contains(" tc "), is_cut, "{text}");
        assert_eq!(text.contains("OPT"), edns.is_some());
    }
}

#[test]
fn what_is_no_query_is_refused_or_ignored() {
    let good =
        message::query(0x1234, &name::parse("web.prod.svc.cluster.local").unwrap(), A, Some(false), false);
    let changed = |at: usize, value: u8| {
        let mut query = good.clone();
        query[at] = value;
        query
    };
    let last = good.len();
    for (query, expected) in [
        (good[..11].to_vec(), "Ignored"),
        (changed(2, 0x81), "Ignored"),
        (changed(2, 0x29), "4 qr rd ra |  |  |"),
        (changed(5, 0), "1 qr rd ra |  |  |"),
        (changed(5, 2), "1 qr rd ra |  |  |"),
        (changed(12, 0x80), "1 qr rd ra |  |  |"),
        (good[..30].to_vec(), "1 qr rd ra |  |  |"),
        // A version of EDNS that is not there yet.
        (changed(last - 5, 1), "0 qr rd ra |  |  | OPT"),
        // A class that is not the internet's.
        (changed(last - 12, 3), "5 qr rd ra |  |  | OPT"),
    ] {
        let text = match answers().handle(&query, Way::Datagram) {
            Handled::Answer(answer) => {
                assert_eq!(answer[..2], query[..2]);
                shown(&answer)
            }
            other => format!("{other:?}"),
        };
        assert_eq!(text, expected, "{query:02x?}");
    }
}

/// Every record's name is a chain of pointers through all before it.
#[test]
fn chains_of_pointers_are_not_followed_for_long() {
    let mut query = message::query(7, &name::parse("web.prod.svc.cluster.local").unwrap(), A, None, false);
    let mut before = 12_u16;
    for _ in 0..1_000 {
        let at = query.len() as u16;
        query.extend((0xC000 | before).to_be_bytes());
        query.extend([0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 192, 0, 2, 1]);
        before = at;
    }
    let shown_with = |records: u16, bytes: usize| {
        let mut query = query[..bytes].to_vec();
        query[10..12].copy_from_slice(&records.to_be_bytes());
        let Handled::Answer(answer) = answers().handle(&query, Way::Stream) else { panic!("no answer") };
        shown(&answer)
    };
    assert_eq!(shown_with(1_000, query.len()), "1 qr rd ra |  |  |");
    assert!(shown_with(8, query.len() - 992 * 16).contains("A 10.201.0.7"));
}

/// Nothing that comes from a pod makes the engine panic, and an answer is never longer than it may be.
#[test]
fn any_bytes_are_survived() {
    let answers = answers();
    let good = message::query(
        7,
        &name::parse("_peer._tcp.db.prod.svc.cluster.local").unwrap(),
        SRV,
        Some(true),
        false,
    );
    let mut random = random();
    for round in 0..200_000 {
        let mut bytes = if round % 2 == 0 { good.clone() } else { vec![0; random() as usize % 80] };
        let changes = if round % 2 == 0 { random() % 6 } else { bytes.len() as u64 };
        for _ in 0..changes {
            let at = random() as usize % bytes.len().max(1);
            bytes[at] = random() as u8;
        }
        bytes.truncate(bytes.len() - random() as usize % (bytes.len() / 4 + 1));
        if let Handled::Answer(answer) = answers.handle(&bytes, Way::Datagram) {
            assert!(answer.len() <= 1_232 && answer.len() >= 12);
        }
    }
}

/// Nor does what comes from a resolver.
#[test]
fn any_response_is_survived() {
    let name = name::parse("www.example.com").unwrap();
    let key = Key { name: name.clone(), kind: MX, dnssec: false, checking_disabled: false };
    let asked = message::query(7, &name, MX, Some(false), false);
    let mut good = message::query(7, &name, MX, None, false);
    good[2] |= 0x80;
    good[7] = 2;
    good.extend(b"\xC0\x0C\x00\x0F\x00\x01\x00\x00\x00\x3C\x00\x07\x00\x0A\x02mx\xC0\x0C");
    good.extend(b"\xC0\x0C\x00\x06\x00\x01\x00\x00\x00\x3C\x00\x1A\xC0\x0C\x01a\xC0\x0C");
    good.extend([0; 20]);
    assert!(Response::read(good.clone(), &key, Instant::now()).is_some());
    let query = Query::read(&asked).unwrap();
    let mut random = random();
    let mut read = 0;
    for _ in 0..100_000 {
        let mut bytes = good.clone();
        for _ in 0..random() % 4 {
            let at = 33 + random() as usize % (bytes.len() - 33);
            bytes[at] = random() as u8;
        }
        bytes.truncate(bytes.len() - random() as usize % 8);
        let Some(response) = Response::read(bytes, &key, Instant::now()) else { continue };
        read += 1;
        let said = response.message(Instant::now()).unwrap();
        assert!(said.answers.len() <= 2);
        let bytes_max = 40 + random() as usize % 80;
        let relayed = query.relay(said).encode(&query, bytes_max as u16);
        assert!(relayed.len() <= bytes_max.max(33 + 11), "{} {bytes_max}", relayed.len());
    }
    assert!(read > 1_000, "{read}");
}

/// The same numbers each time.
fn random() -> impl FnMut() -> u64 {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    }
}
