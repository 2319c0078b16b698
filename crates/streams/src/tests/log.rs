use futures_util::StreamExt as _;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::*;

#[tokio::test]
async fn a_log_is_sent_and_the_socket_closed() {
    for (protocol, is_base64) in [("binary.k8s.io", false), ("base64.binary.k8s.io", true), ("", false)] {
        let bed = Bed::default();
        let io = upgrade_websocket(&bed, "/log", protocol).await.unwrap();
        let mut socket = WebSocketStream::from_raw_socket(io, Role::Client, None).await;
        let mut messages = vec![];
        while let Some(Ok(message)) = soon(socket.next()).await {
            messages.push(message);
        }
        assert!(matches!(messages.pop(), Some(Message::Close(_))));
        let expected = if is_base64 {
            [Message::text(""), Message::text("bGluZSAxCmxpbmUgMgo=")]
        } else {
            [Message::binary(&b""[..]), Message::binary(&b"line 1\nline 2\n"[..])]
        };
        assert_eq!(messages, expected);
        bed.see_gone(1).await;
    }
}

#[tokio::test]
async fn refusals() {
    let bed = Bed::default();
    assert_eq!(
        upgrade_websocket(&bed, "/log", "v4.channel.k8s.io").await.unwrap_err(),
        StatusCode::FORBIDDEN
    );
    assert_eq!(upgrade_spdy(&bed, "/log", "v4.channel.k8s.io").await.unwrap_err(), StatusCode::BAD_REQUEST);
}
