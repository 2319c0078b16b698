//! What the kernel of this machine takes and gives, in a network namespace of each test's own. Needs root; skipped without.

use std::iter::once;
use std::net::UdpSocket;
use std::process::Command;
use std::time::Duration;

use linux_sys::namespace::{Namespaces, set_loopback_up, unshare};
use nftables::{
    Base, Chain, ChainType, Conntrack, Data, Element, Error, Family, Field, FlowFilter, Hook, Kind, Lookup,
    Nftables, Operation, Policy, Rule, Set, Statement, TableGone, Transaction, Value, Verdict,
};

/// Runs `test` on a thread in a network namespace of its own; its panic is the test's.
fn in_namespace(test: impl FnOnce() + Send + 'static) {
    let thread = std::thread::spawn(move || {
        if let Err(error) = unshare(Namespaces::NET) {
            println!("skipped: cannot make a network namespace: {error}");
            return;
        }
        set_loopback_up().unwrap();
        test();
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

fn transaction(operations: Vec<Operation>) -> Transaction {
    Transaction { table: "t".to_owned(), operations }
}

fn chain(name: &str) -> Operation {
    Operation::AddChain(Chain { name: name.to_owned(), base: None })
}

fn base(name: &str, chain_type: ChainType, hook: Hook, policy: Policy) -> Operation {
    let base = Base { chain_type, hook, priority: -5, policy };
    Operation::AddChain(Chain { name: name.to_owned(), base: Some(base) })
}

fn rule(chain: &str, statements: Vec<Statement>) -> Operation {
    Operation::AddRule { chain: chain.to_owned(), rule: Rule(statements) }
}

fn named(name: &str) -> Lookup {
    Lookup::Named(name.to_owned())
}

fn set(name: &str, key: &[Kind], data: Data, remembers: Option<u32>) -> Set {
    Set { name: name.to_owned(), key: key.to_vec(), data, remembers }
}

fn endpoint(last: u8, port: u16) -> Vec<Value> {
    vec![Value::Ipv4([10, 0, 0, last].into()), Value::Port(port)]
}

/// Every statement there is, in chains where the kernel allows it.
fn everything() -> Vec<Operation> {
    let service = [Field::Destination4, Field::Protocol, Field::DestinationPort];
    let endpoints = [Kind::Ipv4, Kind::Port];
    let remembered = set("remembered", &[Kind::Ipv4], Data::Values(endpoints.to_vec()), Some(1000));
    let minute = Duration::from_secs(60);
    let choice = (0..2).map(|n: u8| Element::values(vec![Value::Number(n.into())], endpoint(n + 2, 8080)));
    let own = || ("remembered".to_owned(), Field::Source4);
    let accept = || Statement::Do(Verdict::Accept);
    vec![
        Operation::AddTable,
        base("pre", ChainType::Nat, Hook::Prerouting, Policy::Accept),
        base("post", ChainType::Nat, Hook::Postrouting, Policy::Accept),
        base("raw", ChainType::Filter, Hook::Prerouting, Policy::Accept),
        base("in", ChainType::Filter, Hook::Input, Policy::Accept),
        base("fwd", ChainType::Filter, Hook::Forward, Policy::Drop),
        chain("svc/a/b"),
        Operation::AddSet(set("services", &service.map(Field::kind), Data::Verdict, None)),
        Operation::AddSet(set("own", &[Kind::Interface, Kind::Ipv6], Data::Nothing, None)),
        Operation::AddSet(remembered),
        Operation::AddElements {
            set: "services".to_owned(),
            elements: vec![Element::verdict(
                vec![Value::Ipv4([10, 1, 0, 9].into()), Value::Protocol(6), Value::Port(80)],
                Verdict::Goto("svc/a/b".to_owned()),
            )],
        },
        rule(
            "pre",
            vec![Statement::Of(Family::Ipv4), Statement::Dispatch(service.to_vec(), named("services"))],
        ),
        rule(
            "svc/a/b",
            vec![
                Statement::Choose(vec![Field::Source4], named("remembered")),
                Statement::ChosenIn(Lookup::Elements(vec![
                    Element::new(endpoint(2, 8080)),
                    Element::new(endpoint(3, 8080)),
                ])),
                Statement::Remember { map: own().0, key: own().1, timeout: minute },
                Statement::DnatToChosen(Family::Ipv4),
            ],
        ),
        rule(
            "svc/a/b",
            vec![
                Statement::Choose(vec![Field::Random(2)], Lookup::Elements(choice.collect())),
                Statement::Forget { map: own().0, key: own().1 },
                Statement::Remember { map: own().0, key: own().1, timeout: minute },
                Statement::DnatToChosen(Family::Ipv4),
            ],
        ),
        rule("raw", vec![Statement::Is(Field::ReversePath, Value::Number(0)), Statement::Do(Verdict::Drop)]),
        rule("svc/a/b", vec![Statement::ChooseOnly(endpoint(2, 80)), Statement::DnatToChosen(Family::Ipv4)]),
        rule(
            "post",
            vec![
                Statement::Of(Family::Ipv4),
                Statement::Within(Field::Source4, "127.0.0.0/8".parse().unwrap()),
                Statement::BeginsNot(Field::OutputInterface, "mp0ac8".to_owned()),
                Statement::Snat([10, 0, 0, 1].into()),
            ],
        ),
        rule("post", vec![Statement::Begins(Field::OutputInterface, "mp".to_owned()), Statement::Masquerade]),
        rule(
            "in",
            vec![
                Statement::IsNot(Field::InputInterface, Value::Interface("lo".to_owned())),
                Statement::Is(Field::DestinationType, Value::Number(2)),
                Statement::HasAny(Field::ConnectionState, 6),
                Statement::Is(Field::Protocol, Value::Protocol(6)),
                Statement::RejectWithReset,
            ],
        ),
        rule(
            "in",
            vec![
                Statement::Of(Family::Ipv6),
                Statement::NotIn(vec![Field::InputInterface, Field::Source6], named("own")),
                Statement::NotWithin(Field::Source6, "fd00::/8".parse().unwrap()),
                Statement::RejectPort,
            ],
        ),
        rule(
            "fwd",
            vec![
                Statement::Is(Field::Protocol, Value::Protocol(17)),
                Statement::In(
                    vec![Field::DestinationPort],
                    Lookup::Ranges(vec![
                        (Value::Port(53), Value::Port(53)),
                        (Value::Port(60), Value::Port(u16::MAX)),
                    ]),
                ),
                accept(),
            ],
        ),
    ]
}

#[test]
fn the_kernel_takes_every_statement() {
    in_namespace(|| {
        let mut nftables = Nftables::open().unwrap();
        nftables.commit(&transaction(everything())).unwrap();
        assert_eq!(nftables.tables().unwrap(), ["t"]);
        let chains = nftables.base_chains().unwrap();
        let texts: Vec<String> = chains
            .iter()
            .map(|c| format!("{} {} {} {} {}", c.family, c.table, c.chain, c.hook, c.refuses))
            .collect();
        assert_eq!(
            texts,
            [
                "inet t pre prerouting false",
                "inet t post postrouting false",
                "inet t raw prerouting false",
                "inet t in input false",
                "inet t fwd forward true",
            ]
        );
        if let Ok(list) = Command::new("nft").args(["-n", "list", "table", "inet", "t"]).output() {
            println!("{}{}", String::from_utf8_lossy(&list.stdout), String::from_utf8_lossy(&list.stderr));
        }
        assert!(nftables.delete_table("t").unwrap());
        assert!(!nftables.delete_table("t").unwrap());
        assert_eq!(nftables.tables().unwrap(), Vec::<String>::new());
    });
}

#[test]
fn a_refused_transaction_names_the_operation_and_changes_nothing() {
    in_namespace(|| {
        let mut nftables = Nftables::open().unwrap();
        let nowhere = rule("a", vec![Statement::Do(Verdict::Goto("nowhere".to_owned()))]);
        let error = nftables
            .commit(&transaction(vec![Operation::AddTable, chain("a"), nowhere, chain("b")]))
            .unwrap_err();
        assert_eq!(error.to_string(), "cannot change table inet t: add rule a goto nowhere");
        assert!(matches!(error, Error::Refused { .. }));
        assert_eq!(nftables.tables().unwrap(), Vec::<String>::new());
        // And the socket is as good as before.
        nftables.commit(&transaction(vec![Operation::AddTable, chain("a")])).unwrap();
        assert_eq!(nftables.tables().unwrap(), ["t"]);
    });
}

#[test]
fn what_was_remembered_is_read_and_put_back() {
    in_namespace(|| {
        let mut nftables = Nftables::open().unwrap();
        let map = set("m", &[Kind::Ipv4], Data::Values(vec![Kind::Ipv4, Kind::Port]), Some(10));
        let minute = Duration::from_secs(60);
        let element = Element {
            timeout: Some((minute, minute / 2)),
            ..Element::values(vec![Value::Ipv4([10, 0, 0, 1].into())], endpoint(2, 80))
        };
        let add = Operation::AddElements { set: "m".to_owned(), elements: vec![element.clone()] };
        nftables
            .commit(&transaction(vec![Operation::AddTable, Operation::AddSet(map.clone()), add]))
            .unwrap();
        let found = nftables.elements("t", &map).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!((&found[0].key, &found[0].datum), (&element.key, &element.datum));
        let (timeout, left) = found[0].timeout.unwrap();
        assert_eq!(timeout, minute);
        assert!(left <= minute / 2 && left > minute / 4, "{left:?}");
    });
}

#[test]
fn many_elements_go_in_one_transaction() {
    in_namespace(|| {
        let mut nftables = Nftables::open().unwrap();
        let map = set("m", &[Kind::Number], Data::Values(vec![Kind::Ipv4, Kind::Port]), Some(100_000));
        let hour = Duration::from_secs(3600);
        let elements = (0..20_000).map(|n| Element {
            timeout: Some((hour, hour)),
            ..Element::values(vec![Value::Number(n)], endpoint(1, 80))
        });
        let add = Operation::AddElements { set: "m".to_owned(), elements: elements.collect() };
        nftables
            .commit(&transaction(vec![Operation::AddTable, Operation::AddSet(map.clone()), add]))
            .unwrap();
        assert_eq!(nftables.elements("t", &map).unwrap().len(), 20_000);
    });
}

#[test]
fn flows_are_found_by_their_port_and_forgotten() {
    in_namespace(|| {
        // Connections are tracked when a rule asks.
        let mut nftables = Nftables::open().unwrap();
        let ask = Statement::HasAny(Field::ConnectionState, 8);
        let operations = vec![
            Operation::AddTable,
            base("in", ChainType::Filter, Hook::Input, Policy::Accept),
            rule("in", vec![ask, Statement::Do(Verdict::Accept)]),
        ];
        nftables.commit(&transaction(operations)).unwrap();
        let (server, client) =
            (UdpSocket::bind("127.0.0.1:53").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
        let other = UdpSocket::bind("127.0.0.1:54").unwrap();
        for at in [&server, &other] {
            client.send_to(b"x", at.local_addr().unwrap()).unwrap();
        }
        let (server6, client6) = (UdpSocket::bind("[::1]:53").unwrap(), UdpSocket::bind("[::1]:0").unwrap());
        client6.send_to(b"x", server6.local_addr().unwrap()).unwrap();
        let mut conntrack = Conntrack::open().unwrap();
        assert_eq!(conntrack.all(|flow| flow.protocol == 17).unwrap().len(), 3);
        assert_eq!(conntrack.all(|flow| flow.destination.is_ipv6()).unwrap().len(), 1);
        assert_eq!(conntrack.all(|flow| flow.protocol == 6).unwrap(), []);
        let mut flows = |port, protocol| {
            let mut found = conntrack.flows(FlowFilter { family: Family::Ipv4, protocol, port }).unwrap();
            found.sort();
            found
        };
        let (udp, tcp) = (17, 6);
        let found = flows(Some(53), udp);
        assert_eq!(found.len(), 1);
        assert_eq!(
            (found[0].source, found[0].destination),
            (client.local_addr().unwrap(), server.local_addr().unwrap())
        );
        assert_eq!(found[0].answers, found[0].destination);
        assert_eq!(flows(None, udp).len(), 2);
        assert_eq!(flows(Some(53), tcp), []);
        Conntrack::open().unwrap().delete(&found[0]).unwrap();
        // It may have ended by itself.
        Conntrack::open().unwrap().delete(&found[0]).unwrap();
        assert_eq!(flows(Some(53), udp), []);
        assert_eq!(flows(None, udp).len(), 1);
    });
}

#[test]
fn the_end_of_a_table_by_others_is_noticed() {
    in_namespace(|| {
        let (mut own, mut other) = (Nftables::open().unwrap(), Nftables::open().unwrap());
        let mut watch = TableGone::watch("t".to_owned()).unwrap();
        let add = transaction(vec![Operation::AddTable]);
        own.commit(&add).unwrap();
        own.delete_table("t").unwrap();
        own.commit(&add).unwrap();
        let foreign = Transaction { table: "u".to_owned(), ..add };
        other.commit(&foreign).unwrap();
        other.delete_table("u").unwrap();
        assert!(!watch.is_gone(own.port()).unwrap());
        // More notifications than it has room for.
        let chains = (0..30_000).map(|number| chain(&format!("{number}-{}", "x".repeat(200))));
        let many = Transaction {
            table: "u".to_owned(),
            operations: once(Operation::AddTable).chain(chains).collect(),
        };
        other.commit(&many).unwrap();
        assert!(!watch.is_gone(own.port()).unwrap());
        other.delete_table("t").unwrap();
        assert!(watch.is_gone(own.port()).unwrap());
        own.commit(&transaction(vec![Operation::AddTable])).unwrap();
        other.delete_table("u").unwrap();
        other.delete_table("t").unwrap();
        assert!(watch.is_gone(own.port()).unwrap());
        assert!(!watch.is_gone(own.port()).unwrap());
    });
}
