use std::net::SocketAddr;

use registry::{Client, Hosts, Kind, Limits};
use registry_double::{Double, Fault, Image};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::{HostsDir, SOON, brisk, content, impatient, of, read, repository, tag};

fn with_image(double: Double) -> Double {
    double.push("app", Some("v1"), &Image::new(Vec::new()));
    double
}

#[tokio::test]
async fn authorities_are_those_of_the_host_or_of_the_environment() {
    let double = with_image(Double::start_tls());
    let ca = &double.tls().unwrap().ca;
    let other = Double::start_tls();
    let dir = HostsDir::new();
    dir.write("ca.pem", ca).write("other.pem", &other.tls().unwrap().ca).write("empty.pem", "");
    let path = |name: &str| dir.path(name).to_str().unwrap().to_owned();
    let host = double.host();
    let docker = HostsDir::new();
    docker.write(&format!("{host}/ca.crt"), ca);
    let insecure = HostsDir::new();
    insecure.hosts(&host, &format!("server = \"{}\"\nskip_verify = true\n", double.url()));
    for (dir, variables, expected) in [
        (&dir, [("SSL_CERT_FILE", path("ca.pem"))], Ok(())),
        (&docker, [("SSL_CERT_FILE", path("other.pem"))], Ok(())),
        (&docker, [("SSL_CERT_FILE", path("empty.pem"))], Ok(())),
        (&insecure, [("SSL_CERT_FILE", path("empty.pem"))], Ok(())),
        (
            &dir,
            [("SSL_CERT_FILE", path("other.pem"))],
            Err("nobody who is trusted has signed its certificate"),
        ),
        (&dir, [("SSL_CERT_FILE", path("empty.pem"))], Err("no certificate authorities")),
        (&dir, [("SSL_CERT_FILE", path("missing.pem"))], Err("install ca-certificates, set SSL_CERT_FILE")),
    ] {
        let variables = variables.each_ref().map(|(name, value)| (*name, value.as_str()));
        let result = of(&dir.client(brisk(), &variables), &host, Vec::new()).manifest(&tag("v1")).await;
        match (result, expected) {
            (Ok(_), Ok(())) => {}
            (Err(error), Err(says)) => {
                assert_eq!(error.kind(), Kind::Refused, "{error}");
                assert!(error.to_string().contains(says), "{error}");
            }
            (result, expected) => panic!("{variables:?}: {result:?}, not {expected:?}"),
        }
    }
}

#[tokio::test]
async fn authorities_that_are_installed_later_count() {
    let double = with_image(Double::start_tls());
    let dir = HostsDir::new();
    let file = dir.path("ca.pem");
    let client = dir.client(brisk(), &[("SSL_CERT_FILE", file.to_str().unwrap())]);
    let error = of(&client, &double.host(), Vec::new()).manifest(&tag("v1")).await.unwrap_err();
    assert!(error.to_string().contains("no certificate authorities"), "{error}");
    dir.write("ca.pem", &double.tls().unwrap().ca);
    of(&client, &double.host(), Vec::new()).manifest(&tag("v1")).await.unwrap();
}

#[tokio::test]
async fn a_registry_that_signed_itself_is_taken_where_it_is_configured() {
    let double = with_image(Double::start_self_signed());
    let dir = HostsDir::new();
    dir.write("other.pem", &Double::start_tls().tls().unwrap().ca);
    let client = dir.client(brisk(), &[("SSL_CERT_FILE", dir.path("other.pem").to_str().unwrap())]);
    let error = of(&client, &double.host(), Vec::new()).manifest(&tag("v1")).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Refused, "{error}");
    assert!(error.to_string().contains("nobody who is trusted has signed"), "{error}");
    dir.write(&format!("{}/ca.crt", double.host()), &double.tls().unwrap().ca);
    of(&client, &double.host(), Vec::new()).manifest(&tag("v1")).await.unwrap();
}

#[tokio::test]
async fn a_client_shows_its_certificate_to_its_registry() {
    let double = with_image(Double::start_mutual_tls());
    let tls = double.tls().unwrap();
    let dir = HostsDir::new();
    let host = double.host();
    dir.write(&format!("{host}/ca.crt"), &tls.ca);
    let error = of(&dir.client(brisk(), &[]), &host, Vec::new()).manifest(&tag("v1")).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Refused, "{error}");
    assert!(error.to_string().contains("client certificate"), "{error}");
    dir.write(&format!("{host}/c.cert"), &tls.client_certificate)
        .write(&format!("{host}/c.key"), &tls.client_key);
    of(&dir.client(brisk(), &[]), &host, Vec::new()).manifest(&tag("v1")).await.unwrap();
}

#[tokio::test]
async fn a_client_shows_its_certificate_to_nobody_else() {
    let double = with_image(Double::start_mutual_tls());
    let tls = double.tls().unwrap();
    let (dir, port) = (HostsDir::new(), double.address().port());
    dir.write("ca.pem", &tls.ca)
        .write("client.pem", &tls.client_certificate)
        .write("client.key", &tls.client_key);
    let path = |name: &str| dir.path(name).to_str().unwrap().to_owned();
    dir.hosts(
        "r.test",
        &format!(
            "server = \"https://localhost:{port}\"\nca = {:?}\nclient = [[{:?}, {:?}]]\n",
            path("ca.pem"),
            path("client.pem"),
            path("client.key")
        ),
    );
    let content = content(1000);
    let blob = double.push_blob("app", "", content.clone());
    double.put_file("/storage", content.clone());
    for (host, expected) in [("localhost", Ok(())), ("127.0.0.1", Err("client certificate"))] {
        double.behave();
        double.misbehave("/blobs/", Fault::Redirect(format!("https://{host}:{port}/storage")));
        let repository = of(&dir.client(brisk(), &[]), "r.test", Vec::new());
        match (read(&repository, &blob.digest, blob.bytes).await, expected) {
            (Ok(found), Ok(())) => assert!(found == content),
            (Err(error), Err(says)) => assert!(error.to_string().contains(says), "{error}"),
            (found, expected) => panic!("{host}: {found:?}, not {expected:?}"),
        }
    }
}

#[tokio::test]
async fn plain_http_is_spoken_on_the_loopback_or_where_it_is_configured() {
    let double = with_image(Double::start());
    let port = double.address().port();
    let dir = HostsDir::new();
    let client = dir.client(brisk(), &[]);
    of(&client, &format!("localhost:{port}"), Vec::new()).manifest(&tag("v1")).await.unwrap();
    of(&client, &double.host(), Vec::new()).manifest(&tag("v1")).await.unwrap();
    let error = of(&client, &double.host(), Vec::new()).manifest(&tag("v2")).await.unwrap_err();
    assert!(error.to_string().contains(&format!(": {}/v2: ", double.url())), "{error}");
    dir.hosts("r.test", &format!("server = \"https://{}\"\n", double.host()));
    let error = of(&client, "r.test", Vec::new()).manifest(&tag("v1")).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Refused, "{error}");
    assert!(error.to_string().contains("does not speak TLS"), "{error}");
    dir.hosts("r.test", &format!("server = \"http://{}\"\n", double.host()));
    of(&client, "r.test", Vec::new()).manifest(&tag("v1")).await.unwrap();
}

#[tokio::test]
async fn redirects_are_followed_for_a_while() {
    let double = with_image(Double::start());
    let content = content(1000);
    let blob = double.push_blob("app", "", content.clone());
    double.put_file("/storage/blob", content.clone());
    let secure = Double::start_tls();
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    for (location, expected) in [
        ("/storage/blob".to_owned(), Ok(())),
        (format!("{}/storage/blob", double.url()), Ok(())),
        (format!("/v2/app/blobs/{}", blob.digest), Err((9, "more than 8 times"))),
        (
            format!("{}/storage/blob", secure.url()),
            Err((1, "where the registry redirects to: this machine has no cert")),
        ),
        (format!("http://127.0.0.1:{closed}/x"), Err((5, "where the registry redirects to: cannot connect"))),
        ("ftp://127.0.0.1/x".to_owned(), Err((1, "redirects"))),
    ] {
        double.behave();
        double.misbehave("/blobs/", Fault::Redirect(location.clone()));
        let before = double.requests("/blobs/");
        match (read(&repository(&double, brisk()), &blob.digest, blob.bytes).await, expected) {
            (Ok(found), Ok(())) => assert!(found == content, "{location}"),
            (Err(error), Err((requests, says))) => {
                assert!(error.to_string().contains(says), "{error}");
                assert_eq!(double.requests("/blobs/") - before, requests, "{error}");
            }
            (found, expected) => panic!("{location}: {found:?}, not {expected:?}"),
        }
    }
    // From TLS to plain HTTP.
    let blob = secure.push_blob("app", "", content.clone());
    secure.misbehave("/blobs/", Fault::Redirect(format!("{}/storage/blob", double.url())));
    let dir = HostsDir::new();
    dir.write(&format!("{}/ca.crt", secure.host()), &secure.tls().unwrap().ca);
    let repository = of(&dir.client(brisk(), &[]), &secure.host(), Vec::new());
    let error = read(&repository, &blob.digest, blob.bytes).await.unwrap_err();
    assert!(error.to_string().contains("from https only https is followed"), "{error}");
}

#[tokio::test]
async fn a_proxy_stands_before_what_is_not_excepted() {
    let double = with_image(Double::start());
    let dir = HostsDir::new();
    // A name that nobody resolves but the proxy.
    dir.hosts("r.test", "server = \"http://r.test\"\n");
    let proxy = format!("http://user:hunter2@{}", double.host());
    let client = dir.client(brisk(), &[("HTTP_PROXY", &proxy)]);
    of(&client, "r.test", Vec::new()).manifest(&tag("v1")).await.unwrap();
    let seen = double.seen().remove(0);
    assert_eq!(seen.header("host"), Some("r.test"));
    assert_eq!(seen.header("proxy-authorization"), Some("Basic dXNlcjpodW50ZXIy"));
    let error =
        Client::new(Hosts::new(Vec::new()), &|_| Some("http://user:hunter2@".to_owned())).unwrap_err();
    assert!(error.kind() == Kind::Refused && !error.to_string().contains("hunter"), "{error}");
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let client = dir.client(brisk(), &[("ALL_PROXY", &format!("http://user:hunter2@127.0.0.1:{port}"))]);
    let error = of(&client, "r.test", Vec::new()).manifest(&tag("v1")).await.unwrap_err();
    assert!(error.kind() == Kind::Unavailable && !format!("{error} {error:?}").contains("hunter"), "{error}");
    assert!(error.to_string().ends_with(&format!("(through the proxy http://127.0.0.1:{port})")), "{error}");
}

/// A proxy for one connection: it answers `CONNECT` and passes on to `target`. Gives what it was asked.
async fn tunnel(listener: TcpListener, target: SocketAddr, answer: &'static str) -> String {
    let (mut client, _) = listener.accept().await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await.unwrap());
    }
    client.write_all(format!("HTTP/1.1 {answer}\r\n\r\n").as_bytes()).await.unwrap();
    if answer.starts_with("200") {
        let mut server = TcpStream::connect(target).await.unwrap();
        // It ends when one of them hangs up.
        let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
    }
    String::from_utf8(head).unwrap()
}

#[tokio::test]
async fn tls_goes_through_a_proxy_from_end_to_end() {
    let double = with_image(Double::start_tls());
    let dir = HostsDir::new();
    dir.hosts("r.test:5000", "server = \"https://r.test:5000\"\nskip_verify = true\n");
    for (answer, expected) in
        [("200 OK", None), ("407 Proxy Authentication Required", Some(Kind::Unavailable))]
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = format!("http://user:hunter2@{}", listener.local_addr().unwrap());
        let limits = Limits { attempts: 1, ..brisk() };
        let client = dir.client(limits, &[("https_proxy", &proxy), ("no_proxy", "s.test,r.test:443")]);
        let asked = tokio::spawn(tunnel(listener, double.address(), answer));
        let result = of(&client, "r.test:5000", Vec::new()).manifest(&tag("v1")).await;
        drop(client);
        let asked = tokio::time::timeout(SOON, asked).await.unwrap().unwrap();
        assert!(asked.starts_with("CONNECT r.test:5000 HTTP/1.1\r\n"), "{asked}");
        assert!(asked.to_lowercase().contains("proxy-authorization: basic"), "{asked}");
        match expected {
            None => assert!(result.is_ok(), "{result:?}"),
            Some(kind) => {
                let error = result.unwrap_err();
                assert_eq!(error.kind(), kind, "{error}");
                assert!(!format!("{error} {error:?}").contains("hunter"), "{error}");
            }
        }
    }
    assert!(double.seen().iter().all(|seen| seen.header("proxy-authorization").is_none()));
}

#[tokio::test]
async fn heads_have_bounds() {
    let double = with_image(Double::start());
    for (name, value) in [("x-long", "x".repeat(2 << 20)), ("x-many", "x".to_owned())] {
        let headers = if name == "x-many" { 1000 } else { 1 };
        let headers = (0..headers).map(|number| (format!("{name}-{number}"), value.clone())).collect();
        double.behave();
        double.misbehave("/manifests/", Fault::Answer { status: 200, headers, body: "{}".into() });
        let error = repository(&double, impatient()).manifest(&tag("v1")).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Failing, "{error}");
        assert!(error.to_string().len() < 1000, "{error}");
    }
}
