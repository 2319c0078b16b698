use std::net::TcpListener;

use registry::{Candidate, Kind, Repository, Target};
use registry_double::{Auth, Bearer, Double, Fault, Image, Pushed};

use crate::{HostsDir, basic, brisk, content, digest, node, of, read, secret, tag};

/// A registry and a mirror of it, with an image.
struct Pair {
    mirror: Double,
    origin: Double,
    pushed: Pushed,
    dir: HostsDir,
}

impl Pair {
    fn new(capabilities: &str) -> Self {
        let (mirror, origin) = (Double::start(), Double::start());
        let image = Image::new(vec![registry_double::Layer::new(content(1000))]);
        let pushed = origin.push("app", Some("v1"), &image);
        mirror.push("app", Some("v1"), &image);
        let dir = HostsDir::new();
        dir.hosts(
            "r.test",
            &format!(
                "server = \"{}\"\n[host.\"{}\"]\ncapabilities = [{capabilities}]\n",
                origin.url(),
                mirror.url()
            ),
        );
        Self { mirror, origin, pushed, dir }
    }

    fn repository(&self, candidates: Vec<Candidate>) -> Repository {
        of(&self.dir.client(brisk(), &[]), "r.test", candidates)
    }
}

#[tokio::test]
async fn mirrors_are_asked_first_and_without_credentials() {
    let pair = Pair::new("\"pull\", \"resolve\"");
    let repository = pair.repository(vec![node(basic("ann", "hunter2"))]);
    repository.manifest(&tag("v1")).await.unwrap();
    let layer = &pair.pushed.layers[0];
    read(&repository, &layer.digest, layer.bytes).await.unwrap();
    assert_eq!((pair.mirror.seen().len(), pair.origin.seen().len()), (2, 0));
    assert!(pair.mirror.seen().iter().all(|seen| seen.query == "ns=r.test"), "{:?}", pair.mirror.seen());
    assert_eq!(repository.answered(), Some(Candidate::anonymous()));
}

#[tokio::test]
async fn a_mirror_that_does_not_help_leads_to_the_next() {
    let token = Auth::Bearer(Bearer::of("ann", "hunter2"));
    for (fault, requests) in [
        (Fault::Status(404), 1),
        (Fault::Status(403), 1),
        (Fault::Status(500), 2),
        (Fault::Status(429), 1),
        (Fault::Close, 2),
        (Fault::Redirect("/v2/".to_owned()), 1),
        (Fault::Body("{}".into()), 1),
        (Fault::Status(401), 1),
    ] {
        let pair = Pair::new("\"pull\", \"resolve\"");
        pair.origin.require(token.clone());
        pair.mirror.misbehave("/manifests/", fault.clone());
        let repository = pair.repository(vec![node(basic("ann", "hunter2"))]);
        let manifest = repository.manifest(&tag("v1")).await.unwrap();
        assert_eq!(manifest.digest.to_string(), pair.pushed.manifest.digest);
        assert_eq!(repository.answered(), Some(node(basic("ann", "hunter2"))), "{fault:?}");
        assert_eq!(pair.mirror.requests("/manifests/"), requests, "{fault:?}");
        assert!(pair.mirror.seen().iter().all(|seen| seen.header("authorization").is_none()), "{fault:?}");
    }
}

#[tokio::test]
async fn a_mirror_that_wants_credentials_gets_none() {
    let pair = Pair::new("\"pull\", \"resolve\"");
    pair.mirror.require(Auth::Bearer(Bearer::of("ann", "hunter2")));
    let repository = pair.repository(vec![node(basic("ann", "hunter2"))]);
    repository.manifest(&tag("v1")).await.unwrap();
    assert!(pair.mirror.seen().iter().all(|seen| seen.header("authorization").is_none()));
    assert_eq!((pair.mirror.requests("/token"), pair.origin.requests("/manifests/")), (1, 1));
}

#[tokio::test]
async fn a_mirror_may_not_say_what_a_tag_is() {
    let pair = Pair::new("\"pull\"");
    let repository = pair.repository(Vec::new());
    let manifest = repository.manifest(&tag("v1")).await.unwrap();
    assert_eq!((pair.mirror.seen().len(), pair.origin.seen().len()), (0, 1));
    assert_eq!(
        pair.repository(Vec::new()).manifest(&Target::Digest(manifest.digest)).await.unwrap(),
        manifest
    );
    assert_eq!((pair.mirror.seen().len(), pair.origin.seen().len()), (1, 1));
}

#[tokio::test]
async fn a_blob_goes_on_at_another_endpoint() {
    let pair = Pair::new("\"pull\", \"resolve\"");
    let repository = pair.repository(Vec::new());
    let layer = &pair.pushed.layers[0];
    pair.mirror.misbehave_times("/blobs/", 1, Fault::CutAfter(100));
    pair.mirror.misbehave("/blobs/", Fault::Status(404));
    let found = read(&repository, &layer.digest, layer.bytes).await.unwrap();
    assert_eq!(registry_double::digest(&found), layer.digest);
    assert_eq!(pair.origin.seen()[0].header("range"), Some("bytes=100-"));
}

/// Who may use the image is decided by what was needed for any part of it.
#[tokio::test]
async fn what_needed_a_secret_is_not_forgotten() {
    let pair = Pair::new("\"pull\", \"resolve\"");
    let own = secret("own", basic("ann", "hunter2"));
    let repository = pair.repository(vec![own.clone()]);
    pair.mirror.misbehave("/blobs/", Fault::Status(404));
    pair.origin.require(Auth::Bearer(Bearer::of("ann", "hunter2")));
    repository.manifest(&tag("v1")).await.unwrap();
    assert_eq!(repository.answered(), Some(Candidate::anonymous()));
    let layer = &pair.pushed.layers[0];
    read(&repository, &layer.digest, layer.bytes).await.unwrap();
    assert_eq!(repository.answered(), Some(own.clone()));
    pair.origin.misbehave("/manifests/", Fault::Status(404));
    repository.manifest(&tag("v1")).await.unwrap();
    assert_eq!((pair.mirror.requests("/manifests/"), repository.answered()), (2, Some(own)));
}

#[tokio::test]
async fn a_mirror_that_was_wrong_is_asked_last() {
    let pair = Pair::new("\"pull\", \"resolve\"");
    let repository = pair.repository(Vec::new());
    let layer = &pair.pushed.layers[0];
    pair.mirror.misbehave("/blobs/", Fault::Body(vec![0; usize::try_from(layer.bytes).unwrap()].into()));
    let error = read(&repository, &layer.digest, layer.bytes).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Corrupt);
    assert!(error.to_string().contains(&pair.mirror.host()), "{error}");
    read(&repository, &layer.digest, layer.bytes).await.unwrap();
    assert_eq!((pair.mirror.requests("/blobs/"), pair.origin.requests("/blobs/")), (1, 1));
}

#[tokio::test]
async fn all_that_was_tried_is_told() {
    let pair = Pair::new("\"pull\", \"resolve\"");
    pair.mirror.misbehave("/manifests/", Fault::Status(500));
    let error = pair.repository(Vec::new()).manifest(&tag("v2")).await.unwrap_err();
    assert_eq!(error.kind(), Kind::NotFound, "{error}");
    let expected = format!(
        "cannot get the manifest r.test/app:v2: {}/v2: the registry answers 500 Internal Server Error: as the test wants it \
         (DOUBLE); {}/v2: the registry answers 404 Not Found: manifest unknown (MANIFEST_UNKNOWN)",
        pair.mirror.url(),
        pair.origin.url()
    );
    assert_eq!(error.to_string(), expected);
}

#[tokio::test]
async fn where_nobody_listens_nothing_is_available() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let dir = HostsDir::new();
    for host in [format!("127.0.0.1:{port}"), format!("localhost:{port}")] {
        let repository = of(&dir.client(brisk(), &[]), &host, Vec::new());
        let error = repository.manifest(&tag("v1")).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Unavailable, "{error}");
        assert!(error.to_string().contains("Connection refused"), "{error}");
    }
}

#[tokio::test]
async fn hosts_that_cannot_be_used_are_refused() {
    let double = Double::start();
    let dir = HostsDir::new();
    dir.hosts("r.test", "server = 5\n")
        .hosts("s.test", &format!("server = \"{}\"\ncapabilities = [\"push\"]\n", double.url()));
    for (host, says) in [("r.test", "hosts.toml"), ("s.test", "capabilities")] {
        let repository = of(&dir.client(brisk(), &[]), host, Vec::new());
        let error = repository.manifest(&tag("v1")).await.unwrap_err();
        assert!(error.kind() == Kind::Refused && error.to_string().contains(says), "{error}");
    }
    let layer = digest("sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    let error = of(&dir.client(brisk(), &[]), "s.test", Vec::new()).blob(layer, 0).await.unwrap_err();
    assert_eq!((error.kind(), double.seen().len()), (Kind::Refused, 0), "{error}");
}
