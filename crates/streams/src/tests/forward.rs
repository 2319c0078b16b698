use futures_util::{SinkExt as _, StreamExt as _};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role as SocketRole;

use super::*;
use crate::client::PortForward;
use crate::spdy::ForwardClient;

async fn tunnel(bed: &Bed) -> Arc<PortForward> {
    Arc::new(soon(PortForward::connect(bed.connect(), &target("/forward"))).await.unwrap())
}

/// Connects to a port, sends, ends, and returns what came and what the server said.
async fn talk(client: &PortForward, port: u16, bytes: &[u8]) -> (Vec<u8>, Option<String>) {
    let (local, remote) = duplex(WIRE_BYTES);
    let (read, mut write) = tokio::io::split(local);
    let send = async {
        let _ = write.write_all(bytes).await;
        let _ = write.shutdown().await;
    };
    let (said, (), came) = tokio::join!(soon(client.forward(port, remote)), send, read_all(read));
    (came, said.unwrap())
}

#[tokio::test]
async fn connections_through_the_tunnel() {
    let bed = Bed::default();
    let client = tunnel(&bed).await;
    assert_eq!(talk(&client, 7, b"echo").await, (b"echo".to_vec(), None));
    assert_eq!(talk(&client, 13, b"").await, (b"hello\n".to_vec(), None));
    assert_eq!(talk(&client, 19, b"").await, (vec![b'y'; 300_000], None));
    let refused = "error forwarding port 1 to pod p, uid u-1: connection refused";
    assert_eq!(talk(&client, 1, b"").await, (vec![], Some(refused.into())));
    assert_eq!(talk(&client, 21, b"question").await, (b"at last".to_vec(), None));
    let big = vec![b'b'; 2_000_000];
    assert!(talk(&client, 7, &big).await.0 == big);
    drop(client);
    bed.see_gone(1).await;
}

#[tokio::test]
async fn many_connections_side_by_side() {
    let bed = Bed::default();
    let client = tunnel(&bed).await;
    let talks = (0..200).map(|n| {
        let client = Arc::clone(&client);
        async move {
            let sent = format!("number {n}").repeat(100).into_bytes();
            assert_eq!(talk(&client, 7, &sent).await, (sent, None));
        }
    });
    futures_util::future::join_all(talks).await;
}

#[tokio::test]
async fn the_server_goes() {
    let bed =
        Bed { limits: Limits { idle: Duration::from_millis(50), ..Limits::default() }, ..Bed::default() };
    let client = tunnel(&bed).await;
    let (_local, remote) = duplex(WIRE_BYTES);
    assert!(soon(client.forward(7, remote)).await.is_err());
    soon(client.closed().wait()).await;
}

#[tokio::test]
async fn plain_spdy() {
    let bed = Bed::default();
    let io = upgrade_spdy(&bed, "/forward", "portforward.k8s.io").await.unwrap();
    let client = ForwardClient::start(io, Limits::default());
    for request in 0..3 {
        let (error, mut data) = soon(client.open(7, request)).await.unwrap();
        soon(data.write_all(b"hello")).await.unwrap();
        let mut back = [0; 5];
        soon(data.read_exact(&mut back)).await.unwrap();
        assert_eq!(&back, b"hello");
        soon(data.shutdown()).await.unwrap();
        assert_eq!(read_all(data).await, b"");
        assert_eq!(read_all(error).await, b"");
    }
    let (error, data) = soon(client.open(2, 4)).await.unwrap();
    assert_eq!(read_all(error).await, b"error forwarding port 2 to pod p, uid u-1: connection refused");
    assert_eq!(read_all(data).await, b"");
    assert!(soon(client.open(0, 5)).await.is_err());
}

#[tokio::test]
async fn streams_that_are_done_with_leave_nothing() {
    let bed = Bed::default();
    let io = upgrade_spdy(&bed, "/forward", "portforward.k8s.io").await.unwrap();
    let client = ForwardClient::start(io, Limits::default());
    // More than a connection may have at one time; ended as kubectl does, and by a reset.
    for request in 0..1500 {
        let (mut error, mut data) = soon(client.open(7, request)).await.unwrap();
        soon(error.shutdown()).await.unwrap();
        soon(data.write_all(b"hello")).await.unwrap();
        if request % 2 == 0 {
            soon(data.shutdown()).await.unwrap();
            assert_eq!(read_all(data).await, b"hello");
        } else {
            data.reset();
        }
        assert_eq!(read_all(error).await, b"");
    }
    assert_eq!(client.held(), (0, 0, 0));
}

#[tokio::test]
async fn a_stuck_connection_holds_no_more_than_its_share() {
    let bed = Bed::default();
    let io = upgrade_spdy(&bed, "/forward", "portforward.k8s.io").await.unwrap();
    let client = ForwardClient::start(io, Limits::default());
    let (_error, mut data) = soon(client.open(9, 0)).await.unwrap();
    let part = vec![0; 64 * 1024];
    let mut sent = 0;
    while timeout(Duration::from_millis(300), data.write_all(&part)).await.is_ok() {
        sent += part.len();
        assert!(sent < 2 * 1024 * 1024);
    }
}

#[tokio::test]
async fn channels_of_a_websocket() {
    for (protocol, is_base64) in
        [("v4.channel.k8s.io", false), ("v4.base64.channel.k8s.io", true), ("", false)]
    {
        let bed = Bed::default();
        let io = upgrade_websocket(&bed, "/forward?ports=7,2&ports=13", protocol).await.unwrap();
        let mut socket = WebSocketStream::from_raw_socket(io, SocketRole::Client, None).await;
        let codec = crate::websocket::codec::Codec::new(is_base64);
        socket.send(codec.encode(0, b"hello")).await.unwrap();
        let mut channels = vec![vec![]; 6];
        while channels[0].len() < 7 || channels[3].len() < 63 || channels[4].len() < 8 {
            let message = soon(socket.next()).await.unwrap().unwrap();
            let (channel, bytes) = codec.decode(message.into_data()).unwrap();
            channels[usize::from(channel)].extend_from_slice(&bytes);
        }
        let refused = b"\x02\x00error forwarding port 2 to pod p, uid u-1: connection refused";
        let expected =
            [&b"\x07\x00hello"[..], b"\x07\x00", b"\x02\x00", refused, b"\x0d\x00hello\n", b"\x0d\x00"];
        assert_eq!(channels, expected);
        socket.close(None).await.unwrap();
        drop(socket);
        bed.see_gone(1).await;
    }
}

#[tokio::test]
async fn a_websocket_of_channels_ends_with_its_connections() {
    let bed = Bed::default();
    let io = upgrade_websocket(&bed, "/forward?ports=2", "v4.channel.k8s.io").await.unwrap();
    let mut socket = WebSocketStream::from_raw_socket(io, SocketRole::Client, None).await;
    let mut last = None;
    while let Some(Ok(message)) = soon(socket.next()).await {
        last = Some(message);
    }
    assert!(matches!(last, Some(Message::Close(_))), "{last:?}");
    bed.see_gone(1).await;
}

#[tokio::test]
async fn refusals() {
    let bed = Bed::default();
    let status = upgrade_websocket(&bed, "/forward", "v4.channel.k8s.io").await.unwrap_err();
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert_eq!(upgrade_spdy(&bed, "/forward", "v4.channel.k8s.io").await.unwrap_err(), StatusCode::FORBIDDEN);
}
