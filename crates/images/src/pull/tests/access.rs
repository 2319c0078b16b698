//! Who may use what was pulled with whose secret.

use podspec::PullPolicy;
use ports::{ImageError, ImageRequest, ImageService as _, NoObserver, PullSecret, PullSecretKind};
use registry_double::{Auth, Bearer};
use serde_json::json;

use super::{Bed, image};

/// For the registry of the bed.
fn secret(bed: &Bed, name: &str, username: &str, password: &str) -> PullSecret {
    let auths = json!({"auths": {bed.double.host(): {"username": username, "password": password}}});
    PullSecret {
        namespace: "default".into(),
        name: name.into(),
        uid: format!("uid-{name}"),
        kind: PullSecretKind::DockerConfigJson,
        bytes: auths.to_string().into_bytes(),
    }
}

/// Whether it was asked for in the registry.
async fn ensure(bed: &Bed, policy: PullPolicy, secrets: &[PullSecret]) -> Result<bool, ImageError> {
    let name = bed.name("a:1");
    let request = ImageRequest { image: &name, policy, secrets };
    let ensured = bed.images.ensure(&request, std::sync::Arc::new(NoObserver)).await;
    ensured.map(|(_, pulled)| pulled.is_some())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_a_secret_gave_is_not_handed_to_who_has_none() {
    use PullPolicy::{Always, IfNotPresent, Never};

    let Some(bed) = Bed::new() else { return };
    bed.double.push("a", Some("1"), &image(&["x"]));
    for auth in [
        Auth::Basic { username: "me".into(), password: "right".into() },
        Auth::Bearer(Bearer::of("me", "right")),
    ] {
        bed.double.require(auth);
        let (right, wrong) = (secret(&bed, "right", "me", "right"), secret(&bed, "wrong", "me", "wrong"));
        let same = secret(&bed, "same", "me", "right");
        for secrets in [&[][..], std::slice::from_ref(&wrong)] {
            assert_eq!(
                ensure(&bed, IfNotPresent, secrets).await.expect_err("no right").reason,
                "ErrImagePull"
            );
        }
        let both = [wrong.clone(), right.clone()];
        assert!(ensure(&bed, IfNotPresent, &both).await.expect("the second is right"));
        for policy in [IfNotPresent, Never] {
            assert!(!ensure(&bed, policy, std::slice::from_ref(&right)).await.expect("on record"));
            assert!(!ensure(&bed, policy, std::slice::from_ref(&same)).await.expect("the same credential"));
        }
        let blobs = bed.double.requests("/blobs/");
        for secrets in [&[][..], std::slice::from_ref(&wrong)] {
            for policy in [IfNotPresent, Always] {
                let error = ensure(&bed, policy, secrets).await.expect_err("the registry refuses");
                assert_eq!(error.reason, "ErrImagePull", "{}", error.message);
            }
            let error = ensure(&bed, Never, secrets).await.expect_err("nobody is asked");
            assert_eq!(error.reason, "ErrImageNeverPull");
            let message = &error.message;
            assert!(message.ends_with("is not present with pull policy of Never"), "{message}");
        }
        // Once the registry gives it to anybody, it is everybody's.
        bed.double.require(Auth::Nobody);
        assert!(ensure(&bed, IfNotPresent, &[]).await.expect("it is asked"));
        assert!(!ensure(&bed, IfNotPresent, &[wrong]).await.expect("everybody's"));
        assert_eq!(bed.double.requests("/blobs/"), blobs, "nothing was fetched again");
        bed.store().remove(&bed.name("a:1"), false, &|| Ok(Vec::new())).expect("removed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_cannot_be_read_is_told_with_the_refusal() {
    let Some(bed) = Bed::new() else { return };
    bed.double.push("a", Some("1"), &image(&["x"]));
    bed.double.require(Auth::Basic { username: "me".into(), password: "right".into() });
    let broken = PullSecret { bytes: b"{".to_vec(), ..secret(&bed, "broken", "", "") };
    let error = ensure(&bed, PullPolicy::IfNotPresent, &[broken]).await.expect_err("no right");
    assert!(error.message.contains("default/broken"), "{}", error.message);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_policy_rejects_is_not_fetched_and_not_named_either() {
    let Some(bed) = Bed::new() else { return };
    let pushed = bed.double.push("good/a", Some("1"), &image(&["x"]));
    bed.double.push("bad/a", Some("1"), &image(&["x"]));
    let bad = bed.name("bad");
    let policy = json!({
        "default": [{"type": "insecureAcceptAnything"}],
        "transports": {"docker": {bad: [{"type": "reject"}]}},
    });
    let path = bed.directory.path().join("policy.json");
    std::fs::write(&path, policy.to_string()).expect("a file");
    let policy = crate::Policy::read(&path).expect("a policy");
    let strict = super::engine(bed.directory.path(), policy);
    for is_there in [false, true] {
        let refused = super::ensure(&strict, &bed.name("bad/a:1"), PullPolicy::IfNotPresent).await;
        let error = refused.expect_err("it is rejected");
        assert_eq!(error.reason, "SignatureValidationFailed", "{}", error.message);
        let blobs = bed.double.requests("/bad/a/blobs/");
        assert!(blobs <= 1, "{is_there}: nothing but a configuration");
        super::ensure(&strict, &bed.name("good/a:1"), PullPolicy::IfNotPresent).await.expect("accepted");
    }
    assert_eq!(bed.double.requests(&pushed.layers[0].digest), 1);
    assert_eq!(bed.store().list(&[]).expect("a list").len(), 1);
}
