//! gRPC probes of servers of every kind.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use ::http::{HeaderMap, HeaderName, HeaderValue, Response};
use bytes::Bytes;
use podspec::GrpcAction;
use prober::{Outcome, grpc_health};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

use crate::bed::{SHORT, SOON, Server, closed_port, pod};

/// How a server answers a call.
#[derive(Clone, Debug)]
struct Answer {
    status: u16,
    headers: Vec<(&'static str, &'static str)>,
    body: Option<Vec<u8>>,
    trailers: Option<Vec<(&'static str, &'static str)>>,
}

const GRPC: (&str, &str) = ("content-type", "application/grpc");
const OK: (&str, &str) = ("grpc-status", "0");

impl Answer {
    fn of(message: &[u8]) -> Self {
        Self { status: 200, headers: vec![GRPC], body: Some(framed(message)), trailers: Some(vec![OK]) }
    }

    /// Nothing but headers.
    fn bare(status: u16, headers: &[(&'static str, &'static str)]) -> Self {
        Self { status, headers: headers.to_vec(), body: None, trailers: None }
    }
}

fn framed(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    [&[0], &length[..], message].concat()
}

fn fields(fields: &[(&'static str, &'static str)]) -> HeaderMap {
    let field = |&(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value));
    fields.iter().map(field).collect()
}

/// What the server was sent.
type Calls = Arc<Mutex<Vec<(::http::Request<()>, Vec<u8>)>>>;

async fn serve(stream: TcpStream, answer: Answer, calls: Calls) {
    let Ok(mut connection) = h2::server::handshake(stream).await else { return };
    while let Some(Ok((request, respond))) = connection.accept().await {
        // Beside the connection, which has to move on for it.
        tokio::spawn(reply(request, respond, answer.clone(), calls.clone()));
    }
}

async fn reply(
    request: ::http::Request<h2::RecvStream>,
    mut respond: h2::server::SendResponse<Bytes>,
    answer: Answer,
    calls: Calls,
) {
    let (parts, mut body) = request.into_parts();
    let mut received = vec![];
    while let Some(Ok(data)) = body.data().await {
        received.extend_from_slice(&data);
    }
    calls.lock().unwrap().push((::http::Request::from_parts(parts, ()), received));
    let mut response = Response::new(());
    *response.status_mut() = answer.status.try_into().unwrap();
    *response.headers_mut() = fields(&answer.headers);
    let is_bare = answer.body.is_none() && answer.trailers.is_none();
    let mut stream = respond.send_response(response, is_bare).unwrap();
    if let Some(body) = answer.body {
        stream.send_data(body.into(), answer.trailers.is_none()).unwrap();
    }
    if let Some(trailers) = answer.trailers {
        stream.send_trailers(fields(&trailers)).unwrap();
    }
}

async fn server(answer: Answer) -> (Server, Calls) {
    let calls = Calls::default();
    let seen = calls.clone();
    (Server::start(move |stream| serve(stream, answer.clone(), seen.clone())).await, calls)
}

async fn probe_of(answer: Answer) -> Outcome {
    let (server, _) = server(answer).await;
    probe(&server, SOON).await
}

async fn probe(server: &Server, timeout: Duration) -> Outcome {
    grpc_health(&pod(), &GrpcAction { port: server.port, service: "db".to_owned() }, timeout).await
}

fn rpc_failed(text: &str) -> Outcome {
    Outcome::Failure(format!("error: health rpc probe failed: rpc error: code = {text}"))
}

fn no_connection(port: u16, within: &str) -> Outcome {
    Outcome::Failure(format!(
        "timeout: failed to connect service \"127.0.0.1:{port}\" within {within}: context deadline exceeded"
    ))
}

#[tokio::test]
async fn a_service_that_serves() {
    let (server, calls) = server(Answer::of(b"\x08\x01")).await;
    assert_eq!(probe(&server, SOON).await, Outcome::Success);
    let calls = calls.lock().unwrap();
    let (request, message) = &calls[0];
    assert_eq!(request.method(), "POST");
    assert_eq!(*request.uri(), *format!("http://127.0.0.1:{}/grpc.health.v1.Health/Check", server.port));
    for (name, value) in [
        ("content-type", "application/grpc"),
        ("te", "trailers"),
        ("user-agent", "kube-probe/1.36"),
        ("grpc-timeout", "20000000u"),
    ] {
        assert_eq!(request.headers()[name], value);
    }
    assert_eq!(message, b"\0\0\0\0\x04\x0a\x02db");
}

#[tokio::test]
async fn services_that_do_not() {
    for (message, status) in [
        (&b""[..], "UNKNOWN"),
        (b"\x08\x02", "NOT_SERVING"),
        (b"\x08\x03", "SERVICE_UNKNOWN"),
        (b"\x08\x07", "7"),
    ] {
        let failure = Outcome::Failure(format!("service unhealthy (responded with \"{status}\")"));
        assert_eq!(probe_of(Answer::of(message)).await, failure);
    }
}

#[tokio::test]
async fn servers_without_the_service() {
    let text = "error: this server does not implement the grpc health protocol (grpc.health.v1.Health): ";
    let headers = [GRPC, ("grpc-status", "12"), ("grpc-message", "unknown service grpc.health.v1.Health")];
    let failure = Outcome::Failure(format!("{text}unknown service grpc.health.v1.Health"));
    assert_eq!(probe_of(Answer::bare(200, &headers)).await, failure);
    let failure = Outcome::Failure(format!(
        "{text}unexpected HTTP status code received from server: 404 (Not Found); \
         transport: received unexpected content-type \"text/plain\""
    ));
    assert_eq!(probe_of(Answer::bare(404, &[("content-type", "text/plain")])).await, failure);
}

#[tokio::test]
async fn calls_that_fail() {
    let with_trailers = |trailers: &[(&'static str, &'static str)]| Answer {
        trailers: Some(trailers.to_vec()),
        ..Answer::of(b"\x08\x01")
    };
    for (answer, text) in [
        (
            Answer::bare(200, &[GRPC, ("grpc-status", "5"), ("grpc-message", "unknown%20service")]),
            "NotFound desc = unknown service",
        ),
        (with_trailers(&[("grpc-status", "14"), ("grpc-message", "later")]), "Unavailable desc = later"),
        (with_trailers(&[("grpc-status", "99")]), "Code(99) desc = "),
        (with_trailers(&[]), "Unknown desc = "),
        (
            with_trailers(&[("grpc-status", "x")]),
            "Unknown desc = transport: malformed grpc-status: strconv.ParseInt: parsing \"x\": invalid syntax",
        ),
        (
            Answer { trailers: None, ..Answer::of(b"\x08\x01") },
            "Internal desc = server closed the stream without sending trailers",
        ),
        (
            Answer::bare(503, &[]),
            "Unavailable desc = unexpected HTTP status code received from server: 503 (Service Unavailable); \
             malformed header: missing HTTP content-type",
        ),
        (
            Answer::bare(200, &[GRPC, OK]),
            "Internal desc = cardinality violation: received no response message from non-server-streaming RPC",
        ),
        (
            Answer { body: Some([framed(b"\x08\x01"), framed(b"\x08\x01")].concat()), ..Answer::of(b"") },
            "Internal desc = cardinality violation: expected <EOF> for non server-streaming RPCs, but received \
             another message",
        ),
        (
            Answer::of(b"\x08"),
            "Internal desc = grpc: failed to unmarshal the received message: proto: cannot parse invalid \
             wire-format data",
        ),
        (
            Answer { body: Some(vec![0, 0, 0]), ..Answer::of(b"") },
            "Internal desc = cardinality violation: received no response message from non-server-streaming RPC",
        ),
        (
            Answer { body: Some(vec![0, 0, 0, 0, 4, 8, 1]), ..Answer::of(b"") },
            "Internal desc = unexpected EOF",
        ),
        (
            Answer { body: Some(vec![1, 0, 0, 0, 0]), ..Answer::of(b"") },
            "Internal desc = grpc: compressed flag set with identity or empty encoding",
        ),
        (
            Answer { body: Some(vec![0, 255, 255, 255, 255]), ..Answer::of(b"") },
            "ResourceExhausted desc = grpc: received message larger than max (4294967295 vs. 65536)",
        ),
    ] {
        assert_eq!(probe_of(answer.clone()).await, rpc_failed(text), "{answer:?}");
    }
    let late = Answer::bare(200, &[GRPC, ("grpc-status", "4")]);
    let failure = Outcome::Failure("timeout: health rpc did not complete within 20s".to_owned());
    assert_eq!(probe_of(late).await, failure);
}

#[tokio::test]
async fn a_message_that_is_as_long_as_it_may_be() {
    let rest = 65_536 - 2 - 4;
    let mut message = vec![0x08, 1, 0x12];
    message.extend([(rest & 0x7f | 0x80) as u8, (rest >> 7 & 0x7f | 0x80) as u8, (rest >> 14) as u8]);
    message.resize(65_536, 0);
    assert_eq!(probe_of(Answer::of(&message)).await, Outcome::Success);
}

#[tokio::test]
async fn a_stream_that_is_reset() {
    let server = Server::start(|stream| async move {
        let mut connection = h2::server::handshake(stream).await.unwrap();
        while let Some(Ok((_, mut respond))) = connection.accept().await {
            respond.send_reset(h2::Reason::ENHANCE_YOUR_CALM);
        }
    })
    .await;
    let text = "ResourceExhausted desc = stream terminated by RST_STREAM with error code: ENHANCE_YOUR_CALM";
    assert_eq!(probe(&server, SOON).await, rpc_failed(text));
}

#[tokio::test]
async fn a_connection_that_ends() {
    let server = Server::start(|stream| async move {
        let mut connection = h2::server::handshake(stream).await.unwrap();
        let _ = connection.accept().await;
    })
    .await;
    let outcome = probe(&server, SOON).await;
    assert_eq!(outcome, rpc_failed("Unavailable desc = error reading from server: EOF"));
}

#[tokio::test]
async fn silence_is_a_timeout() {
    let server = Server::start(|stream| async move {
        let mut connection = h2::server::handshake(stream).await.unwrap();
        let mut held = vec![];
        while let Some(Ok(call)) = connection.accept().await {
            held.push(call);
        }
    })
    .await;
    let failure = Outcome::Failure("timeout: health rpc did not complete within 300ms".to_owned());
    assert_eq!(probe(&server, SHORT).await, failure);
    let server = Server::start(|stream| async move {
        let _held = stream;
        std::future::pending::<()>().await;
    })
    .await;
    assert_eq!(probe(&server, SHORT).await, no_connection(server.port, "300ms"));
}

#[tokio::test]
async fn servers_that_speak_something_else() {
    for answer in [&b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"[..], b"garbage", b"", &[0; 4096]]
    {
        let server = Server::saying(answer).await;
        assert_eq!(probe(&server, SHORT).await, no_connection(server.port, "300ms"), "{answer:?}");
    }
}

/// As it does while a container starts.
#[tokio::test]
async fn a_server_may_come_up_within_the_timeout() {
    let port = closed_port().await;
    let action = GrpcAction { port, service: String::new() };
    assert_eq!(grpc_health(&pod(), &action, SHORT).await, no_connection(port, "300ms"));
    let late = async {
        tokio::time::sleep(SHORT).await;
        let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        serve(stream, Answer::of(b"\x08\x01"), Calls::default()).await;
    };
    let pod = pod();
    tokio::select! {
        outcome = grpc_health(&pod, &action, SOON) => assert_eq!(outcome, Outcome::Success),
        () = late => panic!("the server ended first"),
    }
}

#[tokio::test]
async fn a_flood_of_frames_ends_the_probe() {
    let server = Server::start(|mut stream| async move {
        // Settings, and then more of them than anybody has to acknowledge.
        while stream.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0].repeat(100)).await.is_ok() {}
    })
    .await;
    let outcome = probe(&server, SHORT).await;
    assert!(matches!(outcome, Outcome::Failure(_)), "{outcome:?}");
}
