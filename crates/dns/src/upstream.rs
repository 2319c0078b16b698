//! One question to one resolver.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Instant;

use hickory_proto::op::ResponseCode;
use rustix::rand::{GetRandomFlags, getrandom};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};

use crate::cache::{Key, Response};
use crate::message;

/// What the resolver says: by datagram, or by stream when that is not enough. It waits as long as it is let.
pub(crate) async fn ask(resolver: SocketAddr, key: &Key) -> io::Result<Response> {
    let answer = by_datagram(resolver, key, Some(key.dnssec)).await?;
    // A resolver that has never heard of EDNS says so.
    let answer = match answer.code() {
        ResponseCode::FormErr | ResponseCode::NotImp => by_datagram(resolver, key, None).await?,
        _ => answer,
    };
    if answer.is_truncated() { by_stream(resolver, key).await } else { Ok(answer) }
}

/// The port of a fresh socket is as much of a secret as the number of the question: nobody can answer in advance.
async fn by_datagram(resolver: SocketAddr, key: &Key, edns: Option<bool>) -> io::Result<Response> {
    let any = if resolver.is_ipv4() {
        (Ipv4Addr::UNSPECIFIED, 0).into()
    } else {
        (Ipv6Addr::UNSPECIFIED, 0).into()
    };
    let socket = UdpSocket::bind::<SocketAddr>(any).await?;
    socket.connect(resolver).await?;
    let id = random_id();
    socket.send(&message::query(id, &key.name, key.kind, edns, key.checking_disabled)).await?;
    let mut buffer = vec![0; message::MESSAGE_BYTES_MAX.into()];
    loop {
        let length = socket.recv(&mut buffer).await?;
        if let Some(response) = answer_to(id, &buffer[..length], key) {
            return Ok(response);
        }
    }
}

async fn by_stream(resolver: SocketAddr, key: &Key) -> io::Result<Response> {
    let mut stream = TcpStream::connect(resolver).await?;
    let id = random_id();
    let query = message::query(id, &key.name, key.kind, Some(key.dnssec), key.checking_disabled);
    let mut framed = u16::try_from(query.len()).unwrap_or(u16::MAX).to_be_bytes().to_vec();
    framed.extend(query);
    stream.write_all(&framed).await?;
    let mut buffer = vec![0; usize::from(stream.read_u16().await?)];
    stream.read_exact(&mut buffer).await?;
    answer_to(id, &buffer, key).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// What is no answer to this question is as if it had not come.
fn answer_to(id: u16, message: &[u8], key: &Key) -> Option<Response> {
    if message.len() < message::HEADER_BYTES || message[..2] != id.to_be_bytes() {
        return None;
    }
    Response::read(message.to_vec(), key, Instant::now())
}

fn random_id() -> u16 {
    let mut bytes = [0; 2];
    // getrandom(2) gives so few bytes whole once the kernel has any, which it had long before this program.
    let _ = getrandom(&mut bytes, GetRandomFlags::empty());
    u16::from_be_bytes(bytes)
}
