//! The server on loopback addresses, with resolvers that the test plays.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use hickory_proto::op;
use hickory_proto::rr::RecordType;
use hickory_proto::serialize::binary::{BinDecodable as _, BinDecoder};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};

use super::shown::shown;
use super::zone;
use crate::forward::Forwarder;
use crate::message;
use crate::name;
use crate::resolvers::Resolvers;
use crate::serve::Answers;
use crate::server::{Running, listen};

const LOCAL: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
const SOON: Duration = Duration::from_secs(10);

/// A resolver that answers every question with one address, or by stream alone, or with a code.
#[derive(Clone, Copy)]
enum Plays {
    Address { ttl: u32 },
    OnlyStreams,
    Code(u8),
    Nothing,
    NoEdns,
}

struct Resolver {
    address: SocketAddr,
    asked: Arc<AtomicUsize>,
}

async fn resolver(plays: Plays) -> Resolver {
    let listener = TcpListener::bind((LOCAL, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let socket = UdpSocket::bind(address).await.unwrap();
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = asked.clone();
    tokio::spawn(async move {
        let mut buffer = [0; 2048];
        loop {
            let (length, peer) = socket.recv_from(&mut buffer).await.unwrap();
            if matches!(said(&buffer[..length]), Some((name, _)) if !name.ends_with(".loop.")) {
                counted.fetch_add(1, Ordering::SeqCst);
            }
            if let Some(answer) = response(plays, &buffer[..length], false) {
                socket.send_to(&answer, peer).await.unwrap();
            }
        }
    });
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut query = vec![0; usize::from(stream.read_u16().await.unwrap())];
            stream.read_exact(&mut query).await.unwrap();
            let answer = response(plays, &query, true).unwrap();
            stream.write_u16(answer.len() as u16).await.unwrap();
            stream.write_all(&answer).await.unwrap();
        }
    });
    Resolver { address, asked }
}

/// The name that is asked for, and where the question ends.
fn said(query: &[u8]) -> Option<(String, usize)> {
    let mut decoder = BinDecoder::new(query).clone(12);
    let question = op::Query::read(&mut decoder).ok()?;
    Some((question.name.to_ascii(), decoder.index()))
}

fn response(plays: Plays, query: &[u8], by_stream: bool) -> Option<Vec<u8>> {
    let (_, end) = said(query)?;
    let mut answer = query[..end].to_vec();
    answer[2] |= 0x80;
    answer[6..12].fill(0);
    let ttl = match plays {
        Plays::Nothing => return None,
        Plays::NoEdns if query[11] != 0 => {
            answer[3] |= 1;
            return Some(answer);
        }
        Plays::Code(code) => {
            answer[3] |= code;
            return Some(answer);
        }
        Plays::OnlyStreams if !by_stream => {
            answer[2] |= 2;
            return Some(answer);
        }
        Plays::OnlyStreams | Plays::NoEdns => 60,
        Plays::Address { ttl } => ttl,
    };
    answer[7] = 1;
    answer.extend([0xC0, 0x0C, 0, 1, 0, 1]);
    answer.extend(ttl.to_be_bytes());
    answer.extend([0, 4, 192, 0, 2, 53]);
    if query[11] == 1 {
        answer[11] = 1;
        answer.extend([0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0]);
    }
    Some(answer)
}

struct Server {
    port: u16,
    _running: Running,
}

async fn server(resolvers: &[SocketAddr]) -> Server {
    let listening = listen(&[LOCAL], None).await.unwrap();
    let port = listening.port();
    let answers = Answers::new(zone(), Forwarder::new(Resolvers::of(resolvers)));
    Server { port, _running: listening.answer(answers) }
}

async fn ask(server: &Server, name: &str) -> String {
    let socket = UdpSocket::bind((LOCAL, 0)).await.unwrap();
    let query = message::query(99, &name::parse(name).unwrap(), RecordType::A, None, false);
    socket.send_to(&query, (LOCAL, server.port)).await.unwrap();
    let mut buffer = [0; 2048];
    let length = tokio::time::timeout(SOON, socket.recv(&mut buffer)).await.expect(name).unwrap();
    shown(&buffer[..length])
}

#[tokio::test]
async fn names_of_others_are_asked_for_once() {
    let upstream = resolver(Plays::Address { ttl: 60 }).await;
    let server = server(&[upstream.address]).await;
    let expected = "0 qr rd ra | www.example.com. 60 A 192.0.2.53 |  |";
    assert_eq!(ask(&server, "www.example.com").await, expected);
    let again = ask(&server, "WWW.example.com").await.replace(" 59 ", " 60 ");
    assert_eq!(again.replace("WWW", "www"), expected);
    assert_eq!(upstream.asked.load(Ordering::SeqCst), 1);
    let behind = ask(&server, "outside.prod.svc.cluster.local").await;
    assert!(behind.contains("5 CNAME www.example.com.; www.example.com. "), "{behind}");
    assert!(behind.contains(" A 192.0.2.53"), "{behind}");
    assert_eq!(upstream.asked.load(Ordering::SeqCst), 1, "the target was known");
}

#[tokio::test]
async fn many_who_wait_are_one_question() {
    let upstream = resolver(Plays::Address { ttl: 0 }).await;
    let server = Arc::new(server(&[upstream.address]).await);
    let forwarder = Arc::new(Forwarder::new(Resolvers::of(&[upstream.address])));
    let name = name::parse("many.example.com").unwrap();
    let key = crate::cache::Key { name, kind: RecordType::A, dnssec: false, checking_disabled: false };
    let all = (0..50).map(|_| {
        let (forwarder, key) = (forwarder.clone(), key.clone());
        tokio::spawn(async move { forwarder.resolve(&key).await.is_ok() })
    });
    for one in all.collect::<Vec<_>>() {
        assert!(one.await.unwrap());
    }
    assert_eq!(upstream.asked.load(Ordering::SeqCst), 1);
    // What holds for no time is asked for again.
    ask(&server, "many.example.com").await;
    ask(&server, "many.example.com").await;
    assert_eq!(upstream.asked.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn another_resolver_is_asked_when_one_is_of_no_use() {
    let silent = resolver(Plays::Nothing).await;
    let refuses = resolver(Plays::Code(5)).await;
    let closed = UdpSocket::bind((LOCAL, 0)).await.unwrap().local_addr().unwrap();
    let good = resolver(Plays::Address { ttl: 60 }).await;
    for others in [vec![silent.address], vec![refuses.address], vec![closed]] {
        let server = server(&[others[0], good.address]).await;
        let answer = ask(&server, "www.example.com").await;
        assert!(answer.contains("A 192.0.2.53"), "{others:?}: {answer}");
    }
    let server = server(&[refuses.address]).await;
    assert!(ask(&server, "www.example.com").await.starts_with("5 qr"));
}

#[tokio::test]
async fn without_resolvers_a_failure_comes_soon() {
    let silent = resolver(Plays::Nothing).await;
    let server = server(&[silent.address]).await;
    let began = Instant::now();
    assert!(ask(&server, "a.example.com").await.starts_with("2 qr"));
    assert!(began.elapsed() < Duration::from_secs(5), "clients would have given up");
    // It is known to be silent now.
    let began = Instant::now();
    assert!(ask(&server, "b.example.com").await.starts_with("2 qr"));
    assert!(began.elapsed() < Duration::from_millis(500), "{:?}", began.elapsed());
    assert!(ask(&server, "web.prod.svc.cluster.local").await.contains("A 10.201.0.7"));
}

#[tokio::test]
async fn streams_and_old_resolvers_are_understood() {
    for plays in [Plays::OnlyStreams, Plays::NoEdns] {
        let upstream = resolver(plays).await;
        let server = server(&[upstream.address]).await;
        let answer = ask(&server, "www.example.com").await;
        assert!(answer.contains("60 A 192.0.2.53") && !answer.contains(" tc"), "{answer}");
    }
}

/// The resolver is this server itself: that is noticed, and nothing goes round.
#[tokio::test]
async fn circles_are_found() {
    let relay = UdpSocket::bind((LOCAL, 0)).await.unwrap();
    let server = server(&[relay.local_addr().unwrap()]).await;
    let to = SocketAddr::new(LOCAL, server.port);
    let rounds = Arc::new(AtomicUsize::new(0));
    let counted = rounds.clone();
    tokio::spawn(async move {
        let back = UdpSocket::bind((LOCAL, 0)).await.unwrap();
        let mut buffer = [0; 2048];
        loop {
            let length = relay.recv(&mut buffer).await.unwrap();
            counted.fetch_add(1, Ordering::SeqCst);
            back.send_to(&buffer[..length], to).await.unwrap();
        }
    });
    assert!(ask(&server, "www.example.com").await.starts_with("2 qr"));
    let began = Instant::now();
    assert!(ask(&server, "other.example.com").await.starts_with("2 qr"));
    assert!(began.elapsed() < Duration::from_millis(500), "{:?}", began.elapsed());
    assert!(rounds.load(Ordering::SeqCst) < 10, "{rounds:?}");
}

#[tokio::test]
async fn a_stream_carries_many_questions() {
    let upstream = resolver(Plays::Address { ttl: 60 }).await;
    let server = server(&[upstream.address]).await;
    let mut stream = TcpStream::connect((LOCAL, server.port)).await.unwrap();
    let mut sent = Vec::new();
    for id in 0..100_u16 {
        let name =
            if id % 2 == 0 { format!("x{id}.example.com") } else { "web.prod.svc.cluster.local".to_owned() };
        let query = message::query(id, &name::parse(&name).unwrap(), RecordType::A, None, false);
        sent.extend((query.len() as u16).to_be_bytes());
        sent.extend(query);
    }
    stream.write_all(&sent).await.unwrap();
    let mut ids = Vec::new();
    for _ in 0..100 {
        let length = tokio::time::timeout(SOON, stream.read_u16()).await.unwrap().unwrap();
        let mut answer = vec![0; usize::from(length)];
        stream.read_exact(&mut answer).await.unwrap();
        assert!(shown(&answer).starts_with("0 qr"));
        ids.push(u16::from_be_bytes([answer[0], answer[1]]));
    }
    ids.sort_unstable();
    assert!(ids.into_iter().eq(0..100));
}

#[tokio::test]
async fn one_client_does_not_have_all_streams() {
    let server = server(&[]).await;
    let mut streams = Vec::new();
    for _ in 0..32 {
        streams.push(TcpStream::connect((LOCAL, server.port)).await.unwrap());
    }
    let query =
        message::query(1, &name::parse("web.prod.svc.cluster.local").unwrap(), RecordType::A, None, false);
    let mut framed = (query.len() as u16).to_be_bytes().to_vec();
    framed.extend(query);
    // The last is served, so all before it have been accepted.
    let last = streams.last_mut().unwrap();
    last.write_all(&framed).await.unwrap();
    last.read_u16().await.unwrap();
    let mut one_more = TcpStream::connect((LOCAL, server.port)).await.unwrap();
    let read = tokio::time::timeout(SOON, one_more.read(&mut [0; 1])).await.unwrap();
    assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
}
