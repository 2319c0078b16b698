//! How many questions a second.

use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::time::{Duration, Instant};

use hickory_proto::rr::RecordType;

use super::zone;
use crate::forward::Forwarder;
use crate::message;
use crate::name;
use crate::resolvers::Resolvers;
use crate::serve::{Answers, Handled, Way};
use crate::server::listen;

/// `cargo test --release -p dns -- --ignored --nocapture speed`: from a message to its answer, without sockets.
#[test]
#[ignore = "a measurement, for an optimized build on a quiet machine"]
fn time_of_an_answer() {
    const ROUNDS: u32 = 300_000;
    let answers = Answers::new(zone(), Forwarder::new(Resolvers::of(&[])));
    for name in ["web.prod.svc.cluster.local", "www.example.com.prod.svc.cluster.local"] {
        let query = message::query(1, &name::parse(name).unwrap(), RecordType::A, Some(false), false);
        let began = Instant::now();
        for _ in 0..ROUNDS {
            assert!(matches!(answers.handle(&query, Way::Datagram), Handled::Answer(_)));
        }
        println!("{name}: {:?} for an answer", began.elapsed() / ROUNDS);
    }
}

/// `cargo test --release -p dns -- --ignored --nocapture speed`: the server on one thread, a client on another that
/// keeps some questions under way.
#[test]
#[ignore = "a measurement, for an optimized build on a quiet machine"]
fn questions_a_second() {
    const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
    const TIME: Duration = Duration::from_secs(3);
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let answers = Answers::new(zone(), Forwarder::new(Resolvers::of(&[])));
            let listening = listen(&[LOCAL], None).await.unwrap();
            sender.send(listening.port()).unwrap();
            let _running = listening.answer(answers);
            std::future::pending::<()>().await;
        });
    });
    let port = receiver.recv().unwrap();
    let socket = UdpSocket::bind((LOCAL, 0)).unwrap();
    socket.connect((LOCAL, port)).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    for name in ["web.prod.svc.cluster.local", "www.example.com.prod.svc.cluster.local"] {
        let query = message::query(1, &name::parse(name).unwrap(), RecordType::A, Some(false), false);
        for _ in 0..32 {
            socket.send(&query).unwrap();
        }
        let (began, mut answered) = (Instant::now(), 0_u32);
        let mut buffer = [0; 2048];
        while began.elapsed() < TIME {
            socket.recv(&mut buffer).unwrap();
            answered += 1;
            socket.send(&query).unwrap();
        }
        let rate = f64::from(answered) / began.elapsed().as_secs_f64();
        println!("{name}: {rate:.0} questions a second");
        for _ in 0..32 {
            socket.recv(&mut buffer).unwrap();
        }
        assert!(rate > 20_000.0, "{rate}");
    }
}
