use super::*;
use crate::spdy::testing::{Headers, Role, Spdy, SpdyStream};

async fn connect(bed: &Bed, query: &str, protocol: &str) -> Spdy {
    let io = soon(upgrade_spdy(bed, &format!("/exec?{query}"), protocol)).await.unwrap();
    Spdy::start(io, Role::Client, Limits::default()).0
}

async fn open(spdy: &Spdy, kind: &str) -> SpdyStream {
    soon(spdy.open(Headers::from([("streamtype", kind)]))).await.unwrap()
}

#[tokio::test]
async fn every_version() {
    let status = r#"{"details":{"causes":[{"message":"3","reason":"ExitCode"}]},"message":"command terminated with non-zero exit code: exit status 3","metadata":{},"reason":"NonZeroExitCode","status":"Failure"}"#;
    let text = "command terminated with non-zero exit code: exit status 3";
    for (protocol, expected) in [
        ("v5.channel.k8s.io", status),
        ("v4.channel.k8s.io, v3.channel.k8s.io", status),
        ("v3.channel.k8s.io", text),
        ("v2.channel.k8s.io", text),
        ("channel.k8s.io", text),
    ] {
        let spdy = connect(&Bed::default(), "command=both&stdout=true&stderr=true", protocol).await;
        let (error, stdout, stderr) =
            (open(&spdy, "error").await, open(&spdy, "stdout").await, open(&spdy, "stderr").await);
        let (error, stdout, stderr) = tokio::join!(read_all(error), read_all(stdout), read_all(stderr));
        assert_eq!(String::from_utf8(error).unwrap(), expected, "{protocol}");
        assert_eq!((&*stdout, &*stderr), (&b"to stdout"[..], &b"to stderr"[..]));
    }
}

#[tokio::test]
async fn input_comes_back_and_ends() {
    let spdy = connect(&Bed::default(), "command=cat&stdin=true&stdout=true", "v4.channel.k8s.io").await;
    let (error, mut stdin, stdout) =
        (open(&spdy, "error").await, open(&spdy, "stdin").await, open(&spdy, "stdout").await);
    let send = async {
        soon(stdin.write_all(&[b'z'; 1_000_000])).await.unwrap();
        soon(stdin.shutdown()).await.unwrap();
    };
    let ((), output, error) = tokio::join!(send, read_all(stdout), read_all(error));
    assert_eq!(output, [b'z'; 1_000_000]);
    assert_eq!(error, br#"{"metadata":{},"status":"Success"}"#);
}

#[tokio::test]
async fn sizes_arrive() {
    let spdy =
        connect(&Bed::default(), "command=sizes&stdout=true&stderr=true&tty=true", "v4.channel.k8s.io").await;
    let (_error, stdout, mut resize) =
        (open(&spdy, "error").await, open(&spdy, "stdout").await, open(&spdy, "resize").await);
    soon(resize.write_all(b"{\"Width\":99,\"Height\":50}\n")).await.unwrap();
    assert_eq!(read_all(stdout).await, b"99x50\n");
}

#[tokio::test]
async fn a_client_that_does_not_read_stops_the_command() {
    let bed = Bed::default();
    let spdy = connect(&bed, "command=flood&stdout=true", "v4.channel.k8s.io").await;
    let (_error, stdout) = (open(&spdy, "error").await, open(&spdy, "stdout").await);
    assert!(stalled(&bed).await < 4 * 1024 * 1024);
    let (_, input_bytes, _) = spdy.held();
    assert!(input_bytes <= 256 * 1024, "{input_bytes}");
    assert_eq!(read_all(stdout).await.len(), 64 * 1024 * 1024);
}

#[tokio::test]
async fn a_client_that_goes_is_noticed() {
    let bed =
        Bed { limits: Limits { ping: Duration::from_millis(50), ..Limits::default() }, ..Bed::default() };
    let spdy = connect(&bed, "command=deaf&stdin=true&stdout=true", "v4.channel.k8s.io").await;
    let (_error, mut stdin, _stdout) =
        (open(&spdy, "error").await, open(&spdy, "stdin").await, open(&spdy, "stdout").await);
    soon(stdin.write_all(b"never read")).await.unwrap();
    drop(spdy);
    bed.see_gone(1).await;
}

#[tokio::test]
async fn a_client_that_makes_too_few_streams_is_left() {
    let limits = Limits { stream_creation: Duration::from_millis(50), ..Limits::default() };
    let bed = Bed { limits, ..Bed::default() };
    let spdy = connect(&bed, "command=deaf&stdout=true", "v4.channel.k8s.io").await;
    let _stdout = open(&spdy, "stdout").await;
    soon(spdy.closed().wait()).await;
}

#[tokio::test]
async fn a_stream_too_many_is_refused() {
    let spdy = connect(&Bed::default(), "command=deaf&stdout=true", "v4.channel.k8s.io").await;
    let _stdout = open(&spdy, "stdout").await;
    assert!(soon(spdy.open(Headers::from([("streamtype", "stdout")]))).await.is_err());
    assert!(soon(spdy.open(Headers::from([("streamtype", "strange")]))).await.is_err());
    let _error = open(&spdy, "error").await;
}

#[tokio::test]
async fn refused_versions() {
    let bed = Bed::default();
    let path = "/exec?command=cat&stdout=true";
    assert_eq!(upgrade_spdy(&bed, path, "v9.channel.k8s.io").await.unwrap_err(), StatusCode::FORBIDDEN);
    assert_eq!(upgrade_spdy(&bed, path, "").await.unwrap_err(), StatusCode::BAD_REQUEST);
}
