use registry::{Kind, Target};
use registry_double::{
    DOCKER_LIST, DOCKER_MANIFEST, Double, Fault, Image, Layer, OCI_INDEX, OCI_MANIFEST, Platform,
};

use crate::{brisk, digest, impatient, repository, tag};

fn header(name: &str, value: &str) -> Fault {
    Fault::Header(name.to_owned(), value.to_owned())
}

#[tokio::test]
async fn a_manifest_is_had_by_tag_and_by_digest() {
    let double = Double::start();
    let image = Image::new(vec![Layer::of_files(&[("bin/app", b"app")])]);
    let repository = repository(&double, brisk());
    for (name, image, media_type) in
        [("oci", image.clone(), OCI_MANIFEST), ("docker", image.docker(), DOCKER_MANIFEST)]
    {
        let pushed = double.push("app", Some(name), &image);
        let manifest = repository.manifest(&tag(name)).await.unwrap();
        assert_eq!(manifest.digest.to_string(), pushed.manifest.digest);
        assert_eq!(manifest.media_type, media_type);
        assert_eq!(repository.manifest(&Target::Digest(manifest.digest)).await.unwrap(), manifest);
        for (docker, media_type) in [(false, OCI_INDEX), (true, DOCKER_LIST)] {
            let platforms = [(pushed.manifest.clone(), Platform::default())];
            double.push_index("app", Some("index"), &platforms, docker);
            assert_eq!(repository.manifest(&tag("index")).await.unwrap().media_type, media_type);
        }
    }
    let seen = double.seen();
    let accept = seen.last().unwrap().header("accept").unwrap();
    assert!(
        [OCI_INDEX, OCI_MANIFEST, DOCKER_LIST, DOCKER_MANIFEST].iter().all(|kind| accept.contains(kind)),
        "{accept}"
    );
    assert_eq!(seen.last().unwrap().header("accept-encoding"), Some("identity"));
    assert_eq!(seen.len(), 8, "one request for each");
}

#[tokio::test]
async fn the_document_says_what_it_is_before_its_header() {
    let double = Double::start();
    let repository = repository(&double, brisk());
    let docker = format!(r#"{{"schemaVersion":2,"mediaType":"{DOCKER_MANIFEST}"}}"#);
    let long = format!(r#"{{"schemaVersion":2,"mediaType":"{}"}}"#, "x".repeat(300));
    for (document, header_says, expected) in [
        (docker.as_str(), "application/json", DOCKER_MANIFEST),
        (docker.as_str(), OCI_INDEX, DOCKER_MANIFEST),
        (r#"{"schemaVersion":2}"#, OCI_MANIFEST, OCI_MANIFEST),
        (r#"{"schemaVersion":2,"mediaType":""}"#, OCI_INDEX, OCI_INDEX),
        ("{\"schemaVersion\":2,\"mediaType\":\"a\\nb\"}", OCI_INDEX, OCI_INDEX),
        (&long, OCI_INDEX, OCI_INDEX),
        (r#"{"schemaVersion":2}"#, "application/vnd.oci.image.index.v1+json; charset=utf-8", OCI_INDEX),
        (r#"{"schemaVersion":2,"manifests":[]}"#, "application/json", OCI_INDEX),
        (r#"{"schemaVersion":2,"manifests":[]}"#, "text/plain", OCI_INDEX),
        (r#"{"schemaVersion":2,"config":{}}"#, "application/octet-stream", OCI_MANIFEST),
    ] {
        double.push_manifest("app", Some("x"), header_says, document.to_owned());
        assert_eq!(
            repository.manifest(&tag("x")).await.unwrap().media_type,
            expected,
            "{document} {header_says}"
        );
    }
}

#[tokio::test]
async fn what_is_no_such_manifest_is_refused() {
    let double = Double::start();
    let pushed = double.push("app", Some("v1"), &Image::new(Vec::new()));
    let other = double.push_manifest("app", None, OCI_MANIFEST, r#"{"schemaVersion":2,"x":1}"#);
    let big = format!(r#"{{"schemaVersion":2,"x":"{}"}}"#, "x".repeat(5 << 20));
    let deep = "[".repeat(200_000);
    let signed = r#"{"schemaVersion":1,"name":"app"}"#;
    let body = |text: &str| Fault::Body(text.to_owned().into());
    let by_tag = tag("v1");
    let by_digest = Target::Digest(digest(&pushed.manifest.digest));
    for (target, fault, kind, says) in [
        (&by_tag, body("<html>"), Kind::Corrupt, "the registry says sha256"),
        (&by_tag, header("docker-content-digest", &other.digest), Kind::Corrupt, "the registry says sha256"),
        (
            &by_tag,
            header("docker-content-digest", "sha256:../../x"),
            Kind::Corrupt,
            "the registry says sha256",
        ),
        (&by_digest, body(r#"{"schemaVersion":2,"x":1}"#), Kind::Corrupt, "what came has the digest"),
        (&by_digest, Fault::Truncate(10), Kind::Corrupt, "what came has the digest"),
        (&by_digest, body(&big), Kind::Corrupt, "more than 4194304 bytes"),
        (&by_tag, Fault::Endless, Kind::Corrupt, "more than 4194304 bytes"),
        (&by_tag, header("content-encoding", "gzip"), Kind::Corrupt, "encoded (gzip)"),
        (&by_tag, Fault::Status(204), Kind::Corrupt, "what came"),
        (&by_tag, Fault::Status(403), Kind::Denied, "403 Forbidden: as the test wants it (DOUBLE)"),
        (&by_tag, Fault::Status(404), Kind::NotFound, "404 Not Found"),
        (&by_tag, Fault::Status(400), Kind::Denied, "400 Bad Request"),
    ] {
        double.misbehave("/manifests/", fault.clone());
        let error = repository(&double, brisk()).manifest(target).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{fault:.60?}: {error}");
        let text = error.to_string();
        assert!(text.contains(says) && text.contains(&double.host()) && text.contains("/app"), "{text}");
        assert!(text.len() < 1000, "{text}");
        double.behave();
    }
    for wrong in ["", "../../../v2/x", "a/b", "a?b", ".a"] {
        let error = repository(&double, brisk()).manifest(&tag(wrong)).await.unwrap_err();
        assert!(error.kind() == Kind::Refused && error.to_string().contains("is no tag"), "{error}");
    }
    for (document, kind, says) in [
        (signed, Kind::Unsupported, "schema 1"),
        (&deep, Kind::Corrupt, "not a manifest"),
        ("[]", Kind::Corrupt, "not a manifest"),
        ("", Kind::Corrupt, "not a manifest"),
        (
            r#"{"mediaType":"application/vnd.docker.distribution.manifest.v1+prettyjws"}"#,
            Kind::Unsupported,
            "schema 1",
        ),
        (r#"{"mediaType":5}"#, Kind::Corrupt, "not a manifest"),
    ] {
        double.push_manifest("app", Some("x"), OCI_MANIFEST, document.to_owned());
        let error = repository(&double, brisk()).manifest(&tag("x")).await.unwrap_err();
        assert!(error.kind() == kind && error.to_string().contains(says), "{:?} {error}", error.kind());
    }
}

#[tokio::test]
async fn what_passes_is_tried_again_and_what_does_not_is_told() {
    let double = Double::start();
    double.push("app", Some("v1"), &Image::new(Vec::new()));
    let later = |seconds: &str| Fault::Answer {
        status: 429,
        headers: vec![("retry-after".to_owned(), seconds.to_owned())],
        body: r#"{"errors":[{"code":"TOOMANYREQUESTS","message":"slow down"}]}"#.into(),
    };
    for (fault, times, expected) in [
        (Fault::Status(500), 4, Ok(5)),
        (Fault::Status(502), 5, Err((5, "502 Bad Gateway"))),
        (later("0"), 4, Ok(5)),
        (later("3600"), 5, Err((1, "slow down (TOOMANYREQUESTS) (to be asked again in 3600 s)"))),
        (Fault::Close, 4, Ok(5)),
        (Fault::Close, 5, Err((5, "cut"))),
        (Fault::CutAfter(10), 1, Ok(2)),
        (Fault::CutAfter(10), 5, Err((5, "cut"))),
        (Fault::Hang, 1, Ok(2)),
        (Fault::Hang, 5, Err((5, "no byte came for 0.3 s"))),
        (Fault::HangAfter(10), 1, Ok(2)),
    ] {
        double.behave();
        double.misbehave_times("/manifests/", times, fault.clone());
        let before = double.requests("/manifests/");
        let result = repository(&double, impatient()).manifest(&tag("v1")).await;
        let requests = double.requests("/manifests/") - before;
        match expected {
            Ok(expected) => {
                assert!(result.is_ok(), "{fault:?} {times}: {result:?}");
                assert_eq!(requests, expected, "{fault:?} {times}");
            }
            Err((expected, says)) => {
                let error = result.unwrap_err();
                assert_eq!((error.kind(), requests), (Kind::Failing, expected), "{fault:?} {times}: {error}");
                assert!(error.to_string().contains(says), "{error}");
            }
        }
    }
}
