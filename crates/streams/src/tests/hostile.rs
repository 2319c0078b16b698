//! Peers that do not keep to the protocol.

use tokio::io::AsyncWrite;

use super::*;

/// Sends bytes to a SPDY server behind `/forward`, and sees that it ends the connection, or lives on.
async fn send(bed: &Bed, bytes: &[u8], ends: bool) {
    let mut io = upgrade_spdy(bed, "/forward", "portforward.k8s.io").await.unwrap();
    let _ = soon(write(&mut io, bytes)).await;
    if ends {
        let _ = read_all(io).await;
    } else {
        let mut answer = [0; 12];
        soon(io.write_all(b"\x80\x03\0\x06\0\0\0\x04\0\0\0\x01")).await.unwrap();
        loop {
            soon(io.read_exact(&mut answer[..1])).await.unwrap();
            soon(io.read_exact(&mut answer[1..8])).await.unwrap();
            let length = usize::from(answer[7]);
            let mut payload = vec![0; length];
            soon(io.read_exact(&mut payload)).await.unwrap();
            if answer[..4] == *b"\x80\x03\0\x06" {
                break;
            }
        }
    }
}

async fn write(io: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> std::io::Result<()> {
    io.write_all(bytes).await?;
    io.flush().await
}

fn syn_stream(id: u32, encoder: &mut crate::spdy::testing::HeaderEncoder, kind: &str) -> Vec<u8> {
    let request = (id / 4).to_string();
    let headers =
        crate::spdy::testing::Headers::from([("streamtype", kind), ("port", "7"), ("requestid", &*request)]);
    crate::spdy::testing::syn_stream(id, &encoder.encode(&headers))
}

#[tokio::test]
async fn frames_that_end_the_connection() {
    let bed = Bed::default();
    for bytes in [
        &b"\x80\x02\0\x06\0\0\0\x04\0\0\0\x01"[..],
        b"\x80\x03\0\x01\0\xff\xff\xff",
        b"\x80\x03\0\x01\0\0\0\x0c\0\0\0\x01\0\0\0\0\0\0xx",
        b"\x80\x03\0\x06\0\0\0\x05\0\0\0\0\0",
        b"\0\0\0\0\0\0\0\x01x",
    ] {
        send(&bed, bytes, true).await;
    }
}

#[tokio::test]
async fn frames_that_do_not() {
    let bed = Bed::default();
    let mut giant = b"\0\0\0\x07\0\xff\xff\xff".to_vec();
    giant.resize(giant.len() + 0xff_ffff, 0);
    for bytes in [
        &b""[..],
        // Settings, windows, an unknown type, a reset and data of a stream that is not there, data of 16 MiB.
        b"\x80\x03\0\x04\0\0\0\x0c\0\0\0\x01\0\0\0\x04\0\0\0\x05",
        b"\x80\x03\0\x09\0\0\0\x08\0\0\0\x01\x7f\xff\xff\xff",
        b"\x80\x03\x12\x34\0\0\0\x02ab",
        b"\x80\x03\0\x03\0\0\0\x08\0\0\0\x09\0\0\0\x05",
        b"\0\0\0\x09\x01\0\0\x01x",
        &giant,
    ] {
        send(&bed, bytes, false).await;
    }
    let mut encoder = crate::spdy::testing::HeaderEncoder::default();
    // Streams of the server's number, of a number that was, and thousands of halves.
    let mut streams = [syn_stream(2, &mut encoder, "data"), syn_stream(5, &mut encoder, "data")].concat();
    streams.extend(syn_stream(3, &mut encoder, "data"));
    streams.extend((0..1200).flat_map(|n| syn_stream(7 + 2 * n, &mut encoder, "data")));
    send(&bed, &streams, false).await;
}

#[tokio::test]
async fn a_peer_that_does_not_read_its_answers_is_left() {
    let bed = Bed::default();
    let mut io = upgrade_spdy(&bed, "/forward", "portforward.k8s.io").await.unwrap();
    let mut encoder = crate::spdy::testing::HeaderEncoder::default();
    let flood = async {
        for n in 0.. {
            // Streams of the server's numbers: each is answered with a reset.
            if write(&mut io, &syn_stream(2 * n + 2, &mut encoder, "data")).await.is_err() {
                return;
            }
        }
    };
    soon(flood).await;
}

#[tokio::test]
async fn random_bytes_end_or_wait() {
    let bed =
        Bed { limits: Limits { idle: Duration::from_millis(300), ..Limits::default() }, ..Bed::default() };
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for round in 0..200 {
        let length = next() as usize % 300;
        let mut bytes: Vec<u8> = (0..length).map(|_| next() as u8).collect();
        if round % 2 == 0 && bytes.len() > 8 {
            // As far as the payload of a control frame.
            let kind = next() as u8 % 10;
            bytes.splice(..8, [0x80, 3, 0, kind, 0, 0, 0, next() as u8 % 64]);
        }
        let path = if round % 4 < 2 { "/forward" } else { "/exec?command=deaf&stdout=true" };
        let protocol = if round % 4 < 2 { "portforward.k8s.io" } else { "v4.channel.k8s.io" };
        let mut io = upgrade_spdy(&bed, path, protocol).await.unwrap();
        let _ = write(&mut io, &bytes).await;
        let mut io = upgrade_websocket(&bed, path, "v4.channel.k8s.io,SPDY/3.1+portforward.k8s.io").await;
        if let Ok(io) = &mut io {
            let _ = write(io, &bytes).await;
        }
    }
}

#[tokio::test]
async fn a_message_that_says_it_is_too_long_ends_the_socket() {
    let bed = Bed::default();
    let path = "/exec?command=deaf&stdin=true&stdout=true";
    let mut io = upgrade_websocket(&bed, path, "v5.channel.k8s.io").await.unwrap();
    write(&mut io, b"\x82\xff\0\0\0\x01\0\0\0\0abcd").await.unwrap();
    bed.see_gone(1).await;
    // One that is not masked does, too.
    let mut io = upgrade_websocket(&bed, path, "v5.channel.k8s.io").await.unwrap();
    write(&mut io, b"\x82\x02\0x").await.unwrap();
    bed.see_gone(2).await;
}
