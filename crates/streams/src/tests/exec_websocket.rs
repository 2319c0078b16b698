use std::io::Cursor;
use std::sync::Mutex;
use std::task::{Context, Poll};

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::io::AsyncWrite;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::*;
use crate::TerminalSize;
use crate::client::{ClientError, ExecStreams, exec as run_exec};
use crate::exec::{Input, Output, Resizer};

/// Keeps what is written.
#[derive(Debug, Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl Kept {
    fn output(&self) -> Option<Output> {
        Some(Box::pin(self.clone()))
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl AsyncWrite for Kept {
    fn poll_write(
        self: std::pin::Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: std::pin::Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: std::pin::Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

async fn client(bed: &Bed, query: &str, streams: ExecStreams) -> Result<ExitReport, ClientError> {
    soon(run_exec(bed.connect(), &target(&format!("/exec?{query}")), streams)).await
}

fn input(bytes: Vec<u8>) -> Option<Input> {
    Some(Box::pin(Cursor::new(bytes)))
}

#[tokio::test]
async fn input_comes_back_and_ends() {
    for bytes in [0, 1, 100, 1_000_000] {
        let stdout = Kept::default();
        let sent = "abcdefghij".repeat(bytes / 10 + 1)[..bytes].to_owned();
        let streams = ExecStreams {
            stdin: input(sent.clone().into()),
            stdout: stdout.output(),
            ..ExecStreams::default()
        };
        let report = client(&Bed::default(), "command=cat&stdin=true&stdout=true", streams).await;
        assert_eq!(report.unwrap(), ExitReport::Success);
        assert_eq!(stdout.text(), sent);
    }
}

#[tokio::test]
async fn both_outputs_and_the_exit_code() {
    let (stdout, stderr) = (Kept::default(), Kept::default());
    let streams = ExecStreams { stdout: stdout.output(), stderr: stderr.output(), ..ExecStreams::default() };
    let report = client(&Bed::default(), "command=both&stdout=true&stderr=true", streams).await;
    assert_eq!(report.unwrap(), ExitReport::ExitCode(3));
    assert_eq!((&*stdout.text(), &*stderr.text()), ("to stdout", "to stderr"));
}

#[tokio::test]
async fn errors_are_told() {
    for (command, expected) in [
        ("fail", "Internal error occurred: error executing command in container: no such file"),
        ("vanish", "Internal error occurred: the session ended without a result"),
    ] {
        let query = format!("command={command}&stdout=true");
        let report = client(&Bed::default(), &query, ExecStreams::default()).await;
        assert_eq!(report.unwrap(), ExitReport::Error(expected.into()));
    }
}

#[tokio::test]
async fn a_refusal_is_told() {
    let result = client(&Bed::default(), "command=cat", ExecStreams::default()).await;
    let Err(ClientError::Refused { status, body }) = result else { panic!("{result:?}") };
    assert_eq!(
        (status, &*body),
        (StatusCode::BAD_REQUEST, &b"you must specify at least 1 of stdin, stdout, stderr"[..])
    );
}

#[tokio::test]
async fn sizes_arrive() {
    let (stdout, (resizer, resizes)) = (Kept::default(), Resizer::pair());
    let streams = ExecStreams { stdout: stdout.output(), resize: Some(resizes), ..ExecStreams::default() };
    resizer.resize(TerminalSize { width: 80, height: 24 });
    let resize = async {
        while stdout.text().is_empty() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        resizer.resize(TerminalSize { width: 99, height: 50 });
    };
    let bed = Bed::default();
    let (report, ()) =
        tokio::join!(client(&bed, "command=sizes&stdout=true&tty=true", streams), soon(resize));
    assert_eq!(report.unwrap(), ExitReport::Success);
    assert_eq!(stdout.text(), "80x24\n99x50\n");
}

#[tokio::test]
async fn a_client_that_does_not_read_stops_the_command() {
    let bed = Bed::default();
    let (mut reader, writer) = duplex(1024);
    let streams = ExecStreams { stdout: Some(Box::pin(writer)), ..ExecStreams::default() };
    let target = target("/exec?command=flood&stdout=true");
    let session = tokio::spawn({
        let io = bed.connect();
        async move { run_exec(io, &target, streams).await }
    });
    assert!(stalled(&bed).await < 4 * 1024 * 1024);
    assert_eq!(read_all(&mut reader).await.len(), 64 * 1024 * 1024);
    assert_eq!(soon(session).await.unwrap().unwrap(), ExitReport::Success);
}

#[tokio::test]
async fn an_output_that_closes_ends_the_session() {
    let bed = Bed::default();
    let (reader, writer) = duplex(1024);
    drop(reader);
    let streams = ExecStreams { stdout: Some(Box::pin(writer)), ..ExecStreams::default() };
    let result = client(&bed, "command=flood&stdout=true", streams).await;
    assert!(matches!(result, Err(ClientError::Output { .. })), "{result:?}");
    bed.see_gone(1).await;
}

async fn raw(bed: &Bed, query: &str, protocol: &str) -> WebSocketStream<TokioIo<Upgraded>> {
    let io = upgrade_websocket(bed, &format!("/exec?{query}"), protocol).await.unwrap();
    WebSocketStream::from_raw_socket(io, Role::Client, None).await
}

#[tokio::test]
async fn every_protocol_begins_with_an_empty_message_and_ends_with_its_report() {
    let status = r#"{"details":{"causes":[{"message":"3","reason":"ExitCode"}]},"message":"command terminated with non-zero exit code: exit status 3","metadata":{},"reason":"NonZeroExitCode","status":"Failure"}"#;
    let text = "command terminated with non-zero exit code: exit status 3";
    for (protocol, is_base64, report) in [
        ("v5.channel.k8s.io", false, status),
        ("v4.channel.k8s.io", false, status),
        ("v4.base64.channel.k8s.io", true, status),
        ("channel.k8s.io", false, text),
        ("base64.channel.k8s.io", true, text),
        ("", false, text),
    ] {
        let mut socket = raw(&Bed::default(), "command=both&stdout=true&stderr=true", protocol).await;
        let codec = crate::websocket::codec::Codec::new(is_base64);
        let mut messages = vec![];
        while let Some(message) = soon(socket.next()).await {
            messages.push(message.unwrap());
        }
        let close = messages.pop().unwrap();
        assert!(matches!(&close, Message::Close(Some(close)) if close.code == 1000.into()), "{close:?}");
        let expected: Vec<Message> = [(1, ""), (1, "to stdout"), (2, "to stderr"), (3, report)]
            .into_iter()
            .map(|(channel, text)| codec.encode(channel, text.as_bytes()))
            .collect();
        assert_eq!(messages, expected, "{protocol}");
    }
}

#[tokio::test]
async fn a_client_that_goes_is_noticed() {
    let bed = Bed::default();
    for count in 1..3 {
        let mut socket = raw(&bed, "command=deaf&stdout=true", "v5.channel.k8s.io").await;
        soon(socket.next()).await.unwrap().unwrap();
        if count == 1 {
            socket.close(None).await.unwrap();
        }
        drop(socket);
        bed.see_gone(count).await;
    }
}

#[tokio::test]
async fn a_vanished_client_is_noticed_while_its_input_waits() {
    let bed =
        Bed { limits: Limits { ping: Duration::from_millis(50), ..Limits::default() }, ..Bed::default() };
    let mut socket = raw(&bed, "command=deaf&stdin=true&stdout=true", "v5.channel.k8s.io").await;
    socket.send(Message::binary(vec![0; 200_000])).await.unwrap();
    drop(socket);
    bed.see_gone(1).await;
}

#[tokio::test]
async fn an_idle_session_ends() {
    let limits =
        Limits { idle: Duration::from_millis(100), ping: Duration::from_millis(20), ..Limits::default() };
    let bed = Bed { limits, ..Bed::default() };
    let _socket = raw(&bed, "command=deaf&stdout=true", "v5.channel.k8s.io").await;
    bed.see_gone(1).await;
}

#[tokio::test]
async fn what_is_no_message_of_the_protocol() {
    let bed = Bed::default();
    // Channels without a reader, an empty message, a close of an output: nothing happens.
    let mut socket = raw(&bed, "command=cat&stdin=true&stdout=true", "v5.channel.k8s.io").await;
    for message in
        [&b""[..], b"\x01x", b"\x09x", b"\xff\x01", b"\x04{", b"\x00hello", b"\xff\x00", b"\x00late"]
    {
        socket.send(Message::binary(message)).await.unwrap();
    }
    let mut output = vec![];
    while let Some(Ok(Message::Binary(bytes))) = soon(socket.next()).await {
        output.extend_from_slice(&bytes);
    }
    assert_eq!(output, b"\x01\x01hello\x03{\"metadata\":{},\"status\":\"Success\"}");
    // A close of no channel, or of two, ends the session.
    for (count, message) in
        [b"\xff".to_vec(), b"\xff\x09".to_vec(), b"\xff\x00\x00".to_vec()].into_iter().enumerate()
    {
        let mut socket = raw(&bed, "command=deaf&stdin=true&stdout=true", "v5.channel.k8s.io").await;
        socket.send(Message::binary(message)).await.unwrap();
        bed.see_gone(count + 1).await;
    }
    // In protocol 4 it is a channel without a reader.
    let mut socket = raw(&bed, "command=cat&stdin=true&stdout=true", "v4.channel.k8s.io").await;
    for message in [&b"\xff\x00"[..], b"\x00still here"] {
        socket.send(Message::binary(message)).await.unwrap();
    }
    assert_eq!(soon(socket.next()).await.unwrap().unwrap().into_data(), "\x01");
    assert_eq!(soon(socket.next()).await.unwrap().unwrap().into_data(), "\x01still here");
}

#[tokio::test]
async fn refused_protocols() {
    let bed = Bed::default();
    let status =
        upgrade_websocket(&bed, "/exec?command=cat&stdout=true", "v9.channel.k8s.io").await.unwrap_err();
    assert_eq!(status, StatusCode::FORBIDDEN);
    let status = upgrade(bed.connect(), "/exec?command=cat&stdout=true", &[]).await.unwrap_err();
    assert_eq!(status, StatusCode::BAD_REQUEST);
}
