use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use http::{Method, Request};
use podspec::WallTime;
use serde_json::json;

use super::{Binding, Kubeconfig, Names, Peer, Pki, TokenRequest, Tokens, write_kubeconfig};
use crate::body;
use crate::entropy;
use crate::request::User;
use crate::testing::{Bed, pod};

/// A directory that goes with the test.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("apiserver-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("a directory");
        Self(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn names(addresses: &[[u8; 4]]) -> Names {
    let addresses = addresses.iter().map(|address| IpAddr::from(*address)).collect();
    Names { node: "node-1".to_owned(), addresses, services: vec![[10, 96, 0, 1].into()] }
}

#[test]
fn keys_last_and_certificates_follow_the_names() {
    let directory = Directory::new("pki");
    let pki = directory.0.join("pki");
    let first = Pki::open(&pki, &names(&[])).expect("keys");
    let second = Pki::open(&pki, &names(&[])).expect("keys");
    assert_eq!((&first.ca, &first.server, &first.admin), (&second.ca, &second.server, &second.admin));
    let moved = Pki::open(&pki, &names(&[[192, 0, 2, 7]])).expect("keys");
    assert_eq!((&first.ca, &first.admin), (&moved.ca, &moved.admin));
    assert_ne!(first.server.certificate, moved.server.certificate);
    assert_eq!(first.server.key, moved.server.key);
    for file in fs::read_dir(&pki).expect("a directory") {
        let mode = file.expect("a file").metadata().expect("its mode").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    // A lost CA makes everything new; an empty file, as a power cut leaves it, is as a lost one.
    fs::write(pki.join("ca.key"), "").expect("writing");
    let renewed = Pki::open(&pki, &names(&[])).expect("keys");
    assert_ne!(renewed.ca, first.ca);
    assert_ne!(renewed.admin.certificate, first.admin.certificate);
    fs::write(pki.join("ca.key"), "no key").expect("writing");
    let error = Pki::open(&pki, &names(&[])).expect_err("damaged").to_string();
    assert!(error.contains("ca.key") && error.contains("remove"), "{error}");
    let file = directory.0.join("kubeconfig");
    let target = Kubeconfig { server: "https://127.0.0.1:6443".to_owned(), name: "monopod".to_owned() };
    write_kubeconfig(&file, &renewed, &target).expect("writing");
    assert_eq!(fs::metadata(&file).expect("a file").permissions().mode() & 0o777, 0o600);
    assert!(fs::read_to_string(&file).expect("a file").contains("server: https://127.0.0.1:6443\n"));
}

#[test]
fn the_administrator_is_who_the_certificate_names() {
    let directory = Directory::new("admin");
    let pki = Pki::open(&directory.0.join("pki"), &names(&[])).expect("keys");
    let certificate = rustls_pki_types::pem::PemObject::from_pem_slice(pki.admin.certificate.as_bytes());
    let user = super::user_of(&certificate.expect("a certificate")).expect("a user");
    assert_eq!((user.name.as_str(), user.is_master()), ("system:admin", true));
}

async fn status_of(bed: &Bed, token: &str) -> u16 {
    let request = Request::builder()
        .method(Method::GET)
        .uri("/apis")
        .header("authorization", format!("Bearer {token}"));
    let request = request.body(body::empty()).expect("a request");
    bed.raw(request, Peer::Unknown).await.status().as_u16()
}

#[tokio::test]
async fn tokens_end_with_their_time_their_account_and_their_pod() {
    let bed = Bed::new().await;
    let accounts = "/api/v1/namespaces/a/serviceaccounts";
    bed.post(accounts, &json!({ "metadata": { "name": "robot" } })).await.expect(201);
    let mut of_robot = pod("p");
    of_robot["spec"]["serviceAccountName"] = "robot".into();
    let pod = bed.post("/api/v1/namespaces/a/pods", &of_robot).await.expect(201);
    let token = async |spec: serde_json::Value| {
        let request = json!({ "spec": spec });
        let answer = bed.post(&format!("{accounts}/robot/token"), &request).await.expect(201);
        answer["status"]["token"].as_str().unwrap_or_default().to_owned()
    };
    let plain = token(json!({})).await;
    let bound = token(json!({ "boundObjectRef": { "kind": "Pod", "apiVersion": "v1", "name": "p", "uid": pod["metadata"]["uid"] } })).await;
    let foreign = token(json!({ "audiences": ["vault"] })).await;
    assert_eq!(status_of(&bed, &plain).await, 200);
    assert_eq!(status_of(&bed, &bound).await, 200);
    assert_eq!(status_of(&bed, &foreign).await, 401);
    let mut forged = plain.clone();
    forged.replace_range(forged.len() - 4.., "AAAA");
    for wrong in [forged.as_str(), "", "a.b.c", "\u{fc}", &"x".repeat(20_000)] {
        let code = status_of(&bed, wrong).await;
        assert!(code == 401 || wrong.is_empty(), "{wrong}");
    }
    bed.delete("/api/v1/namespaces/a/pods/p", &json!({})).await.expect(200);
    assert_eq!(status_of(&bed, &bound).await, 401);
    bed.delete(&format!("{accounts}/robot"), &json!({})).await.expect(200);
    assert_eq!(status_of(&bed, &plain).await, 401);
    let message =
        bed.post(&format!("{accounts}/default/token"), &json!({ "spec": { "expirationSeconds": 5 } })).await;
    assert!(message.failure(422).contains("may not specify a duration less than 10 minutes"));
}

#[tokio::test]
async fn a_token_has_its_time() {
    let bed = Bed::new().await;
    let account = bed.get("/api/v1/namespaces/a/serviceaccounts/default").await.expect(200);
    let tokens = Tokens::new(&Tokens::generate()).expect("a key");
    let request = TokenRequest {
        namespace: "a".to_owned(),
        account: "default".to_owned(),
        account_uid: account["metadata"]["uid"].as_str().unwrap_or_default().to_owned(),
        audiences: Vec::new(),
        seconds: 600,
        bound_to: None,
    };
    let now = entropy::now();
    let issued = tokens.issue(&request, now);
    let later = |seconds: i64| WallTime(now.0 + seconds * 1_000_000_000);
    let user = |at| tokens.user(&issued.token, &bed.api.store, at);
    let account = User::service_account("a", "default", &request.account_uid);
    let mut known = user(now).expect("a user");
    let extra = std::mem::take(&mut known.extra);
    assert_eq!(known, account);
    assert!(extra["authentication.kubernetes.io/credential-id"][0].starts_with("JTI="), "{extra:?}");
    assert_eq!((user(later(601)), user(later(-10))), (None, None));
    let other = Tokens::new(&Tokens::generate()).expect("a key");
    assert_eq!(other.user(&issued.token, &bed.api.store, now), None);
    let gone = Binding { kind: "Pod".to_owned(), name: "p".to_owned(), uid: "u".to_owned() };
    let bound = tokens.issue(&TokenRequest { bound_to: Some(gone), ..request }, now);
    assert_eq!(tokens.user(&bound.token, &bed.api.store, now), None);
}

#[tokio::test]
async fn strangers_get_health_and_version() {
    let bed = Bed::new().await;
    let code = async |path: &str| {
        let request = Request::builder().uri(path).body(body::empty()).expect("a request");
        bed.raw(request, Peer::Unknown).await.status().as_u16()
    };
    for path in ["/version", "/healthz", "/livez", "/readyz", "/readyz/ping"] {
        assert_eq!(code(path).await, 200, "{path}");
    }
    for path in ["/", "/api", "/apis", "/metrics", "/api/v1/pods", "/openapi/v2", "/nothing", "/versions"] {
        assert_eq!(code(path).await, 403, "{path}");
    }
}
