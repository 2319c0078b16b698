use registry::{Candidate, Credential, CredentialSource, Kind};
use registry_double::{Auth, Bearer, Double, Fault, Image};

use crate::{HostsDir, basic, brisk, client, content, node, of, read, secret, tag};

fn with_image(auth: Auth) -> Double {
    let double = Double::start();
    double.push("app", Some("v1"), &Image::new(Vec::new()));
    double.require(auth);
    double
}

fn as_of(double: &Double, candidates: Vec<Candidate>) -> registry::Repository {
    of(&client(std::path::Path::new("/nonexistent"), brisk(), &[]), &double.host(), candidates)
}

fn password() -> Auth {
    Auth::Basic { username: "ann".to_owned(), password: "hunter2".to_owned() }
}

#[tokio::test]
async fn a_password_is_told_when_it_is_asked_for() {
    let double = with_image(password());
    let repository = as_of(&double, vec![node(basic("ann", "hunter2"))]);
    assert_eq!(repository.answered(), None);
    repository.manifest(&tag("v1")).await.unwrap();
    assert_eq!(repository.answered(), Some(node(basic("ann", "hunter2"))));
    repository.manifest(&tag("v1")).await.unwrap();
    let told: Vec<bool> = double.seen().iter().map(|seen| seen.header("authorization").is_some()).collect();
    assert_eq!(told, [false, true, true], "once it is known, it is not asked for again");
}

#[tokio::test]
async fn credentials_are_tried_in_their_order() {
    let double = with_image(Auth::Bearer(Bearer::of("ann", "hunter2")));
    let right = secret("right", basic("ann", "hunter2"));
    let candidates = vec![secret("old", basic("ann", "hunter1")), right.clone(), node(basic("bob", "x"))];
    let repository = as_of(&double, candidates);
    repository.manifest(&tag("v1")).await.unwrap();
    assert_eq!(repository.answered(), Some(right));
    let before = double.requests("/token");
    repository.manifest(&tag("v1")).await.unwrap();
    assert_eq!(
        (before, double.requests("/token")),
        (2, 2),
        "it stays with what answered, and its token is kept"
    );
}

#[tokio::test]
async fn nobody_who_may_read_is_told_so_without_what_he_said() {
    for auth in [password(), Auth::Bearer(Bearer::of("ann", "hunter2"))] {
        let double = with_image(auth);
        let wrong = vec![
            secret("old", basic("ann", "hunter1")),
            node(Credential::RegistryToken("hunter3".to_owned())),
        ];
        let repository = as_of(&double, wrong);
        let error = repository.manifest(&tag("v1")).await.unwrap_err();
        let text = format!("{error} {error:?} {repository:?}");
        assert_eq!(error.kind(), Kind::Denied, "{text}");
        assert!(text.contains("with the secret default/old") && text.contains("401 Unauthorized"), "{text}");
        assert!(!text.contains("hunter") && !text.contains("aHVudGVy"), "{text}");
        assert_eq!(repository.answered(), None);
        let error = as_of(&double, Vec::new()).manifest(&tag("v1")).await.unwrap_err();
        assert!(error.to_string().contains(&format!("`docker login {}`", double.host())), "{error}");
    }
}

#[tokio::test]
async fn what_is_missing_is_missing_whoever_else_is_refused() {
    for auth in [password(), Auth::Bearer(Bearer::of("ann", "hunter2"))] {
        let double = with_image(auth);
        let candidates = vec![secret("old", basic("ann", "hunter1")), node(basic("ann", "hunter2"))];
        let error = as_of(&double, candidates).manifest(&tag("v2")).await.unwrap_err();
        assert_eq!(error.kind(), Kind::NotFound, "{error}");
        let text = error.to_string();
        assert!(
            text.contains("with the secret default/old: ")
                && text.ends_with("manifest unknown (MANIFEST_UNKNOWN)"),
            "{text}"
        );
    }
}

#[tokio::test]
async fn who_was_not_asked_for_is_not_who_answered() {
    let double = with_image(Auth::Nobody);
    let repository = as_of(&double, vec![secret("s", basic("ann", "hunter2"))]);
    repository.manifest(&tag("v1")).await.unwrap();
    assert_eq!(repository.answered().unwrap().source, CredentialSource::Anonymous);
    assert!(double.seen().iter().all(|seen| seen.header("authorization").is_none()));
}

#[tokio::test]
async fn everybody_gets_a_token_where_everybody_may_read() {
    let double = with_image(Auth::Bearer(Bearer::default()));
    let repository = as_of(&double, Vec::new());
    repository.manifest(&tag("v1")).await.unwrap();
    assert_eq!(repository.answered(), Some(Candidate::anonymous()));
    let seen = double.seen();
    let token = seen.iter().find(|seen| seen.path == "/token").unwrap();
    assert_eq!(token.query, "scope=repository%3Aapp%3Apull&service=double");
}

#[tokio::test]
async fn identity_tokens_are_exchanged_and_registry_tokens_are_sent() {
    let bearer =
        Bearer { identity_tokens: vec!["refresh".to_owned()], anonymous: false, ..Bearer::default() };
    let double = with_image(Auth::Bearer(bearer));
    let identity = Credential::IdentityToken { username: "ann".to_owned(), token: "refresh".to_owned() };
    as_of(&double, vec![node(identity)]).manifest(&tag("v1")).await.unwrap();
    assert!(double.seen().iter().any(|seen| seen.path == "/token" && seen.method == "POST"));
    // The first token that was given out.
    let token = node(Credential::RegistryToken("token-1".to_owned()));
    let before = double.requests("/token");
    let repository = as_of(&double, vec![token.clone()]);
    repository.manifest(&tag("v1")).await.unwrap();
    assert_eq!((repository.answered(), double.requests("/token")), (Some(token), before));
}

#[tokio::test]
async fn a_token_that_ends_midway_is_replaced() {
    let double = Double::start();
    let content = content(300_000);
    let blob = double.push_blob("app", "", content.clone());
    for uses in [Some(1), Some(2), None] {
        double.require(Auth::Bearer(Bearer { uses, ..Bearer::of("ann", "hunter2") }));
        double.behave();
        double.misbehave("/blobs/", Fault::CutAfter(100_000));
        let repository = as_of(&double, vec![node(basic("ann", "hunter2"))]);
        let before = double.requests("/token");
        assert!(read(&repository, &blob.digest, blob.bytes).await.unwrap() == content);
        // Three parts, each of which asks with what is left.
        let expected = uses.map_or(1, |uses| 3usize.div_ceil(uses as usize));
        assert_eq!(double.requests("/token") - before, expected, "{uses:?}");
    }
    // In the middle of it all tokens end, and the registry only says that they have.
    double.require(Auth::Bearer(Bearer::of("ann", "hunter2")));
    for told in [true, false] {
        double.behave();
        double.misbehave_times("/blobs/", 1, Fault::CutAfter(200_000));
        let repository = as_of(&double, vec![node(basic("ann", "hunter2"))]);
        double.push("app", Some("v1"), &Image::new(Vec::new()));
        repository.manifest(&tag("v1")).await.unwrap();
        let gate = double.hold_after("/blobs/", 100_000);
        let mut stream = repository.blob(crate::digest(&blob.digest), blob.bytes).await.unwrap();
        let mut found = stream.chunk().await.unwrap().unwrap().to_vec();
        double.expire_tokens();
        if !told {
            double.misbehave_times("/blobs/", 1, Fault::Status(401));
        }
        gate.open();
        while let Some(chunk) = stream.chunk().await.unwrap() {
            found.extend_from_slice(&chunk);
        }
        assert!(found == content, "{told}");
    }
}

#[tokio::test]
async fn a_token_that_is_never_taken_ends_the_attempt() {
    let double = with_image(Auth::Bearer(Bearer { uses: Some(0), ..Bearer::default() }));
    let error = as_of(&double, Vec::new()).manifest(&tag("v1")).await.unwrap_err();
    assert_eq!(
        (error.kind(), double.requests("/token"), double.requests("/manifests/")),
        (Kind::Denied, 1, 2),
        "{error}"
    );
}

#[tokio::test]
async fn what_goes_wrong_at_the_token_service_says_so() {
    let double = with_image(Auth::Bearer(Bearer::default()));
    let answer = |body: &str| Fault::Answer { status: 200, headers: vec![], body: body.to_owned().into() };
    for (fault, kind, says) in [
        (Fault::Status(404), Kind::Denied, "/token answers 404"),
        (Fault::Status(403), Kind::Denied, "/token answers 403"),
        (Fault::Status(503), Kind::Failing, "/token answers 503"),
        (answer("hunter2"), Kind::Corrupt, "/token answers what is no token"),
        (answer("{}"), Kind::Corrupt, "without a token"),
        (answer(&"[".repeat(100_000)), Kind::Corrupt, "what is no token"),
        (answer(&format!("{{\"token\":\"{}\"}}", "x".repeat(100_000))), Kind::Corrupt, "without a token"),
        (Fault::Endless, Kind::Corrupt, "more than 1048576 bytes"),
        (Fault::Redirect("http://127.0.0.1:1/".to_owned()), Kind::Unavailable, "cannot connect"),
    ] {
        double.behave();
        double.misbehave("/token", fault.clone());
        let error = as_of(&double, Vec::new()).manifest(&tag("v1")).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{fault:.80?}: {error}");
        assert!(error.to_string().contains(says) && !error.to_string().contains("hunter"), "{error}");
    }
}

#[tokio::test]
async fn a_refresh_token_is_not_sent_on() {
    let other = Double::start();
    let bearer =
        Bearer { identity_tokens: vec!["hunter2".to_owned()], anonymous: false, ..Bearer::default() };
    let double = with_image(Auth::Bearer(bearer));
    double.misbehave("/token", Fault::Redirect(format!("{}/token", other.url())));
    let identity = Credential::IdentityToken { username: "ann".to_owned(), token: "hunter2".to_owned() };
    let error = as_of(&double, vec![node(identity)]).manifest(&tag("v1")).await.unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("redirects a request with a credential in it") && !text.contains("hunter"),
        "{text}"
    );
    assert!(other.seen().iter().all(|seen| seen.method == "GET"), "what everybody asks may be redirected");
}

/// The registry is configured without verification; its token service, another host, is not.
#[tokio::test]
async fn what_is_configured_for_a_registry_is_not_for_its_token_service() {
    let (double, tokens) = (Double::start_tls(), Double::start_tls());
    double.push("app", Some("v1"), &Image::new(Vec::new()));
    let port = double.address().port();
    let realm = Some(format!("{}/token", tokens.url()));
    double.require(Auth::Bearer(Bearer { realm, ..Bearer::of("ann", "hunter2") }));
    tokens.require(Auth::Bearer(Bearer::of("ann", "hunter2")));
    let dir = HostsDir::new();
    let server = format!("server = \"https://localhost:{port}\"\n");
    dir.hosts("r.test", &format!("{server}skip_verify = true\n[header]\nx-own = \"hunter4\"\n"));
    let repository = of(&dir.client(brisk(), &[]), "r.test", vec![node(basic("ann", "hunter2"))]);
    let error = repository.manifest(&tag("v1")).await.unwrap_err();
    assert_eq!((error.kind(), tokens.seen().len()), (Kind::Refused, 0), "{error}");
    // With its authority it is spoken to, and hears only what is for it.
    dir.write("ca.pem", &tokens.tls().unwrap().ca);
    let client = dir.client(brisk(), &[("SSL_CERT_FILE", dir.path("ca.pem").to_str().unwrap())]);
    let repository = of(&client, "r.test", vec![node(basic("ann", "hunter2"))]);
    assert_eq!(
        repository.manifest(&tag("v1")).await.unwrap_err().kind(),
        Kind::Denied,
        "tokens of somebody else"
    );
    let seen = tokens.seen().remove(0);
    assert!(
        seen.path == "/token" && seen.header("authorization").is_some() && seen.header("x-own").is_none(),
        "{seen:?}"
    );
    assert!(double.seen().iter().all(|seen| seen.header("x-own") == Some("hunter4")));
}

#[tokio::test]
async fn credentials_go_to_nobody_else() {
    let other = Double::start();
    let double = Double::start();
    let blob_content = content(1000);
    let blob = double.push_blob("app", "", blob_content.clone());
    other.put_file("/storage/blob", blob_content.clone());
    double.require(password());
    let dir = HostsDir::new();
    let hosts = format!("server = \"{}\"\n[header]\nx-own = \"hunter4\"\n", double.url());
    dir.hosts(&double.host(), &hosts);
    let repository = of(&dir.client(brisk(), &[]), &double.host(), vec![node(basic("ann", "hunter2"))]);
    double.push("app", Some("v1"), &Image::new(Vec::new()));
    repository.manifest(&tag("v1")).await.unwrap();
    double.misbehave("/blobs/", Fault::Redirect(format!("{}/storage/blob?signed=hunter3", other.url())));
    assert!(read(&repository, &blob.digest, blob.bytes).await.unwrap() == blob_content);
    let told = double.seen().last().unwrap().clone();
    assert!(told.header("authorization").is_some() && told.header("x-own") == Some("hunter4"));
    let seen = other.seen();
    assert_eq!((seen.len(), seen[0].query.as_str()), (1, "signed=hunter3"));
    assert!(seen[0].header("authorization").is_none() && seen[0].header("x-own").is_none(), "{seen:?}");
    // What storage says is told without what was signed.
    other.misbehave("/storage", Fault::Status(403));
    let error = read(&repository, &blob.digest, blob.bytes).await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains("where the registry redirects to") && !text.contains("hunter"), "{text}");
    // Nor is it told who asks when it wants to know.
    other.behave();
    let challenge = format!("Bearer realm=\"{}/token\"", other.url());
    let challenge = ("www-authenticate".to_owned(), challenge);
    other.misbehave("/storage", Fault::Answer { status: 401, headers: vec![challenge], body: "".into() });
    assert_eq!(read(&repository, &blob.digest, blob.bytes).await.unwrap_err().kind(), Kind::Denied);
    assert!(other.seen().iter().all(|seen| seen.header("authorization").is_none()));
}
