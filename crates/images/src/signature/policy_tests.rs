use std::fs;

use registry::Reference;

use super::super::identity::SignedIdentity;
use super::super::tests::P256_PEM;
use super::{Policy, PolicyError, Requirement, Scope};

fn base64(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(text)
}

#[test]
fn the_most_specific_scope_counts() {
    let accept = r#"[{"type":"insecureAcceptAnything"}]"#;
    let digest = format!("sha256:{}", "a".repeat(64));
    let all = [
        "",
        "*.io",
        "*.example.io",
        "r.example.io:5000",
        "r.example.io:5000/ns",
        "r.example.io:5000/ns/a",
        "r.example.io:5000/ns/a:v1",
        "docker.io/library/busybox",
        "x.io",
    ];
    let pinned = format!("r.example.io:5000/ns/a@{digest}");
    let scopes: Vec<_> = all.iter().copied().chain([pinned.as_str()]).collect();
    let policy = |without: &[&str]| {
        let scopes = scopes.iter().filter(|scope| !without.contains(*scope));
        let scopes: Vec<_> = scopes.map(|scope| format!("{scope:?}:{accept}")).collect();
        let text = format!(
            r#"{{"default":[{{"type":"reject"}}],"transports":{{"docker":{{{}}}}}}}"#,
            scopes.join(",")
        );
        Policy::parse(text.as_bytes()).unwrap()
    };
    let image = "r.example.io:5000/ns/a:v1";
    let order = [
        "r.example.io:5000/ns/a:v1",
        "r.example.io:5000/ns/a",
        "r.example.io:5000/ns",
        "r.example.io:5000",
        "*.example.io",
        "*.io",
        "",
    ];
    for (at, scope) in order.iter().enumerate() {
        let policy = policy(&order[..at]);
        let reference = Reference::parse(image).unwrap();
        assert_eq!(
            policy.requirements(&reference).0,
            Scope::Docker((*scope).to_owned()),
            "without {:?}",
            &order[..at]
        );
    }
    assert_eq!(policy(&order).requirements(&Reference::parse(image).unwrap()).0, Scope::Default);
    for (image, scope) in [
        ("busybox", "docker.io/library/busybox"),
        ("x.io/a", "x.io"),
        ("y.x.io/a", "*.io"),
        ("r.example.io:5000/nsx/a", "r.example.io:5000"),
        ("r.example.io:5000/ns/a:v2", "r.example.io:5000/ns/a"),
        ("r.example.io:5001/ns/a:v1", "*.example.io"),
        (format!("r.example.io:5000/ns/a:v1@{digest}").as_str(), pinned.as_str()),
        ("localhost:5000/a", ""),
    ] {
        let reference = Reference::parse(image).unwrap();
        assert_eq!(policy(&[]).requirements(&reference).0, Scope::Docker(scope.to_owned()), "{image}");
    }
}

#[test]
fn requirements_have_their_keys_and_identities() {
    let directory = crate::host::tests::Directory::new();
    let key = directory.path().join("cosign.pub");
    fs::write(&key, P256_PEM).unwrap();
    let (path, data) = (format!("\"{}\"", key.display()), format!("\"{}\"", base64(P256_PEM)));
    for (members, keys, identity) in [
        (format!("\"keyPath\":{path}"), 1, SignedIdentity::MatchRepoDigestOrExact),
        (
            format!("\"keyPaths\":[{path},{path}],\"signedIdentity\":{{\"type\":\"matchExact\"}}"),
            2,
            SignedIdentity::MatchExact,
        ),
        (
            format!("\"keyData\":{data},\"signedIdentity\":{{\"type\":\"matchRepository\"}}"),
            1,
            SignedIdentity::MatchRepository,
        ),
        (
            format!(
                "\"keyDatas\":[{data}],\"signedIdentity\":{{\"type\":\"exactRepository\",\"dockerRepository\":\"busybox\"}}"
            ),
            1,
            SignedIdentity::ExactRepository("docker.io/library/busybox".into()),
        ),
        (
            format!(
                "\"keyData\":{data},\"signedIdentity\":{{\"type\":\"remapIdentity\",\"prefix\":\"x.io/ns\",\"signedPrefix\":\"y.io\"}}"
            ),
            1,
            SignedIdentity::RemapIdentity { prefix: "x.io/ns".into(), signed_prefix: "y.io".into() },
        ),
    ] {
        let text = format!(r#"{{"default":[{{"type":"sigstoreSigned",{members}}}]}}"#);
        let policy = Policy::parse(text.as_bytes()).unwrap_or_else(|wrong| panic!("{text}: {wrong:?}"));
        let Requirement::Signed(signed) = &policy.default[0] else { panic!("{policy:?}") };
        assert_eq!((signed.keys.len(), &signed.identity), (keys, &identity), "{text}");
    }
}

#[test]
fn what_is_not_known_is_refused_with_its_place() {
    let data = base64(P256_PEM);
    let signed = |members: &str| format!(r#"{{"default":[{{"type":"sigstoreSigned",{members}}}]}}"#);
    let rsa = base64("-----BEGIN PUBLIC KEY-----\nMAAwAA==\n-----END PUBLIC KEY-----\n");
    let twice = base64(&P256_PEM.repeat(2));
    for (text, place, part) in [
        (String::new(), "", "is not JSON"),
        ("[]".into(), "", "is not an object"),
        ("{}".into(), "", "default is not there"),
        (r#"{"default":[]}"#.into(), "default", "has no requirement"),
        (r#"{"default":{}}"#.into(), "default", "is not a list"),
        (r#"{"default":[7]}"#.into(), "default[0]", "is not an object"),
        (r#"{"default":[{}]}"#.into(), "default[0]", "needs type"),
        (r#"{"default":[{"type":"signedBy"}]}"#.into(), "default[0].type", "\"signedBy\" is not known"),
        (r#"{"default":[{"type":"reject","why":""}]}"#.into(), "default[0].why", "is not known here"),
        (r#"{"default":[{"type":"reject"}],"other":1}"#.into(), "other", "known are default, transports"),
        (r#"{"default":[{"type":"reject"}],"default":[{"type":"reject"}]}"#.into(), "", "stands there twice"),
        (
            r#"{"default":[{"type":"reject"}],"transports":{"dir":{}}}"#.into(),
            "transports.dir",
            "registries alone",
        ),
        (signed("\"signedIdentity\":{}"), "default[0]", "one of keyPath"),
        (signed(r#""keyPath":"/a","keyData":"b""#), "default[0]", "and not two"),
        (signed(r#""keyPath":"a""#), "default[0].keyPath", "not an absolute path"),
        (signed(r#""keyPath":"/nonexistent/key""#), "default[0].keyPath", "cannot read /nonexistent/key"),
        (signed(r#""keyPaths":[]"#), "default[0].keyPaths", "has 0 keys"),
        (signed(r#""keyPaths":["/nonexistent/key"]"#), "default[0].keyPaths[0]", "cannot read"),
        (signed(r#""keyData":"???""#), "default[0].keyData", "is not base64"),
        (signed(r#""keyData":"YWJj""#), "default[0].keyData", "no PUBLIC KEY"),
        (signed(&format!(r#""keyData":"{rsa}""#)), "default[0].keyData", "neither P-256 nor Ed25519"),
        (signed(&format!(r#""keyData":"{twice}""#)), "default[0].keyData", "more than one key"),
        (signed(&format!(r#""keyData":"{data}","fulcio":{{}}"#)), "default[0].fulcio", "is not known here"),
        (
            signed(&format!(r#""keyData":"{data}","rekorPublicKeyPath":"/a""#)),
            "default[0].rekorPublicKeyPath",
            "not known",
        ),
    ] {
        refused(&text, place, part);
    }
}

fn refused(text: &str, place: &str, part: &str) {
    let (found, problem) = Policy::parse(text.as_bytes()).expect_err(text);
    assert_eq!(found, place, "{text}: {problem}");
    assert!(problem.contains(part), "{text}: {problem}");
}

#[test]
fn identities_and_scopes_that_are_none_are_refused() {
    let data = base64(P256_PEM);
    let identity = |members: &str| {
        format!(
            r#"{{"default":[{{"type":"sigstoreSigned","keyData":"{data}","signedIdentity":{{{members}}}}}]}}"#
        )
    };
    let scoped = |scope: &str| {
        let accept = r#"[{"type":"insecureAcceptAnything"}]"#;
        format!(r#"{{"default":{accept},"transports":{{"docker":{{"{scope}":{accept}}}}}}}"#)
    };
    let scope_place = |scope: &str| format!("transports.docker[{scope:?}]");
    for (text, place, part) in [
        (identity(r#""type":"matchAll""#), "default[0].signedIdentity.type", "\"matchAll\" is not known"),
        (identity(r#""type":"exactReference""#), "default[0].signedIdentity", "needs dockerReference"),
        (
            identity(r#""type":"exactReference","dockerReference":"x.io/a""#),
            "default[0].signedIdentity.dockerReference",
            "with a tag or a digest",
        ),
        (
            identity(r#""type":"exactRepository","dockerRepository":"x.io/a:v1""#),
            "default[0].signedIdentity.dockerRepository",
            "not a repository alone",
        ),
        (
            identity(r#""type":"remapIdentity","prefix":"x.io/a:v1","signedPrefix":"y.io""#),
            "default[0].signedIdentity.prefix",
            "the beginning of a repository's name",
        ),
        (
            identity(r#""type":"matchExact","prefix":"a""#),
            "default[0].signedIdentity.prefix",
            "is not known here",
        ),
        (scoped("https://x.io"), &scope_place("https://x.io"), "is no scope"),
        (scoped("busybox"), &scope_place("busybox"), "docker.io/library/ written out"),
        (scoped("library/busybox"), &scope_place("library/busybox"), "is no scope"),
        (scoped("*.io/a"), &scope_place("*.io/a"), "is no scope"),
        (scoped("*.io:5000"), &scope_place("*.io:5000"), "is no scope"),
        (scoped("*"), &scope_place("*"), "is no scope"),
        (scoped("x.io/"), &scope_place("x.io/"), "is no scope"),
    ] {
        refused(&text, place, part);
    }
}

#[test]
fn a_file_that_is_not_there_is_fine_unless_it_was_named() {
    let directory = crate::host::tests::Directory::new();
    let path = directory.path().join("policy.json");
    assert_eq!(Policy::read_if_there(&path).unwrap(), Policy::accept_anything());
    assert!(matches!(Policy::read(&path), Err(PolicyError::Read { .. })));
    fs::write(&path, r#"{"default":[{"type":"rejects"}]}"#).unwrap();
    let error = Policy::read_if_there(&path).unwrap_err().to_string();
    assert!(error.starts_with(&format!("{}: default[0].type: \"rejects\"", path.display())), "{error}");
    fs::write(&path, vec![b' '; (1 << 20) + 1]).unwrap();
    assert!(matches!(Policy::read_if_there(&path), Err(PolicyError::Read { .. })));
    fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink("nowhere", &path).unwrap();
    assert!(Policy::read_if_there(&path).is_err(), "a link that leads nowhere is no absent policy");
}
