use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use registry::{Client, Digest, Hosts, Reference, Repository};
use registry_double::{Double, Fault, OCI_MANIFEST};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _};
use serde_json::json;

use super::cosign::Attachment;
use super::key::PublicKey;
use super::{Policy, SignatureError, cosign};

/// Made by the openssl program, as are the signatures below: `openssl dgst -sha256 -sign`, `openssl pkeyutl -sign -rawin`.
pub(super) const P256_PEM: &str = "-----BEGIN PUBLIC KEY-----\n\
    MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE7YRbc4Pi+x8KeN3BWGfnFuirw5gn\n\
    nRMCsGsrvyCIo+F6Oxseuw7sk5Zu1n0bPJqNbEySslcY5aLhpqUeyQDK8g==\n\
    -----END PUBLIC KEY-----\n";
const ED25519_PEM: &str = "-----BEGIN PUBLIC KEY-----\n\
    MCowBQYDK2VwAyEAI403NbTGguQcxppAwTANHs8KmR70MiqLoQDk7fcbCzo=\n\
    -----END PUBLIC KEY-----\n";
const PAYLOAD: &str = "{\"critical\":{\"identity\":{\"docker-reference\":\"x.io/ns/a\"},\"image\":{\"docker-manifest-digest\":\
    \"sha256:05b3abf2579a5eb66403cd78be557fd860633a1fe2103c7642030defe32c657f\"},\"type\":\"cosign container image \
    signature\"},\"optional\":null}";
const P256_SIGNATURE: &str =
    "MEUCIQCiQFbDF4R+8i/w/x/d4i8/Qrb1Q+cSr0QsOZ6+kSvZugIgfvyNYErWeEXXGku1Z/maROlRBZz9Z0PlX3RJJca4Bko=";
const ED25519_SIGNATURE: &str =
    "dRZyt+FmFTgcFx0AFLM6Hx3SBybS4gtZL6cXmLEfzpeF3GIQMrt8hZrDAyloUbcsWv46Ujhs4eRu8tQUWQIUAQ==";

#[test]
fn signatures_of_openssl_are_verified() {
    let keys = [P256_PEM, ED25519_PEM].map(|pem| PublicKey::from_pem(pem.as_bytes()).unwrap());
    for (signature, key, other) in
        [(P256_SIGNATURE, &keys[0], &keys[1]), (ED25519_SIGNATURE, &keys[1], &keys[0])]
    {
        let signature = STANDARD.decode(signature).unwrap();
        let attachment = Attachment { payload: PAYLOAD.into(), signature };
        let payload = attachment.verify(std::slice::from_ref(key)).unwrap();
        assert_eq!((payload.digest, payload.reference.as_str()), (Digest::of(b"manifest"), "x.io/ns/a"));
        assert!(attachment.verify(&keys).is_ok(), "any key is enough");
        assert_eq!(attachment.verify(std::slice::from_ref(other)), Err(cosign::Flaw::Key));
        let mut changed = attachment.clone();
        changed.payload[60] ^= 1;
        assert_eq!(changed.verify(&keys), Err(cosign::Flaw::Key));
        let mut changed = attachment;
        changed.signature.pop();
        assert_eq!(changed.verify(&keys), Err(cosign::Flaw::Key));
    }
}

enum Signer {
    P256(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl Signer {
    fn p256() -> Self {
        let random = SystemRandom::new();
        let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, document.as_ref(), &random);
        Self::P256(pair.unwrap())
    }

    fn ed25519() -> Self {
        let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        Self::Ed25519(Ed25519KeyPair::from_pkcs8(document.as_ref()).unwrap())
    }

    /// As `keyData` of a policy has it. The head is that of the keys of openssl.
    fn key_data(&self) -> String {
        let (pem, point) = match self {
            Self::P256(pair) => (P256_PEM, pair.public_key().as_ref()),
            Self::Ed25519(pair) => (ED25519_PEM, pair.public_key().as_ref()),
        };
        let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        let mut der = STANDARD.decode(body).unwrap();
        der.truncate(der.len() - point.len());
        der.extend_from_slice(point);
        STANDARD.encode(format!(
            "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
            STANDARD.encode(der)
        ))
    }

    fn sign(&self, payload: &[u8]) -> String {
        STANDARD.encode(match self {
            Self::P256(pair) => pair.sign(&SystemRandom::new(), payload).unwrap().as_ref().to_vec(),
            Self::Ed25519(pair) => pair.sign(payload).as_ref().to_vec(),
        })
    }
}

fn payload(reference: &str, digest: &Digest) -> String {
    json!({"critical": {
        "identity": {"docker-reference": reference},
        "image": {"docker-manifest-digest": digest.to_string()},
        "type": "cosign container image signature"
    }, "optional": {"creator": "a test"}})
    .to_string()
}

/// A registry with signatures in it.
struct Bed {
    double: Double,
    reference: Reference,
    repository: Repository,
    image: Digest,
    index: Digest,
}

const SIMPLE_SIGNING: &str = "application/vnd.dev.cosign.simplesigning.v1+json";

impl Bed {
    fn new() -> Self {
        let double = Double::start();
        let reference = Reference::parse(&format!("{}/ns/a:v1", double.host())).unwrap();
        let client = Client::new(Hosts::new(vec![]), &|_| None).unwrap();
        let repository = client.repository(&reference, vec![]);
        Self { double, reference, repository, image: Digest::of(b"image"), index: Digest::of(b"index") }
    }

    fn name(&self) -> String {
        format!("{}/{}", self.reference.domain, self.reference.path)
    }

    /// Puts payloads with these signatures beside what has the digest.
    fn attach(&self, digest: &Digest, attachments: &[(String, String)]) {
        let layers: Vec<_> = attachments
            .iter()
            .map(|(payload, signature)| {
                let mut layer =
                    self.double.push_blob("ns/a", SIMPLE_SIGNING, payload.clone().into_bytes()).json();
                layer["annotations"] = json!({"dev.cosignproject.cosign/signature": signature});
                layer
            })
            .collect();
        let config = self.double.push_blob("ns/a", "application/vnd.oci.image.config.v1+json", "{}").json();
        let manifest =
            json!({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": layers});
        self.double.push_manifest("ns/a", Some(&cosign::tag_of(digest)), OCI_MANIFEST, manifest.to_string());
    }

    fn sign(&self, signer: &Signer, digest: &Digest, reference: &str) -> (String, String) {
        let payload = payload(reference, digest);
        let signature = signer.sign(payload.as_bytes());
        (payload, signature)
    }

    async fn check(&self, policy: &Policy) -> Result<(), SignatureError> {
        policy.check(&self.reference, &[self.image, self.index], &self.repository).await
    }
}

/// Each requirement of the image demands one of these keys.
fn demanding(requirements: &[&[&Signer]], identity: &str) -> Policy {
    let requirements: Vec<_> = requirements
        .iter()
        .map(|signers| {
            let keys: Vec<_> = signers.iter().map(|signer| signer.key_data()).collect();
            json!({"type": "sigstoreSigned", "keyDatas": keys, "signedIdentity": {"type": identity}})
        })
        .collect();
    let policy = json!({"default": [{"type": "reject"}], "transports": {"docker": {"": requirements}}});
    Policy::parse(policy.to_string().as_bytes()).unwrap()
}

#[tokio::test]
async fn who_demands_nothing_asks_nobody() {
    let bed = Bed::new();
    bed.check(&Policy::accept_anything()).await.unwrap();
    let reject =
        Policy::parse(br#"{"default":[{"type":"insecureAcceptAnything"},{"type":"reject"}]}"#).unwrap();
    let error = bed.check(&reject).await.unwrap_err();
    assert!(matches!(&error, SignatureError::Rejected { scope } if scope == "default"), "{error}");
    assert!(bed.double.seen().is_empty());
}

#[tokio::test]
async fn a_signature_is_found_and_verified() {
    for signer in [Signer::p256(), Signer::ed25519()] {
        let bed = Bed::new();
        let policy = demanding(&[&[&signer]], "matchRepository");
        let error = bed.check(&policy).await.unwrap_err();
        let unsigned = matches!(&error, SignatureError::Unsigned { tags, .. } if tags.len() == 2);
        assert!(
            unsigned && error.to_string().contains(&format!("sha256-{}.sig", bed.index.hex())),
            "{error}"
        );
        // The index was signed, and what is pulled is one of it.
        bed.attach(&bed.index, &[bed.sign(&signer, &bed.index, &bed.name())]);
        bed.check(&policy).await.unwrap();
        let exact = demanding(&[&[&signer]], "matchExact");
        let error = bed.check(&exact).await.unwrap_err().to_string();
        assert!(error.contains("signedIdentity does not accept"), "cosign writes no tag: {error}");
        bed.attach(&bed.image, &[bed.sign(&signer, &bed.image, &format!("{}:v1", bed.name()))]);
        bed.check(&exact).await.unwrap();
    }
}

#[tokio::test]
async fn what_is_not_enough_is_told() {
    let (signer, other) = (Signer::p256(), Signer::ed25519());
    let bed = Bed::new();
    let good = bed.sign(&signer, &bed.image, &bed.name());
    let of_another = bed.sign(&signer, &Digest::of(b"another"), &bed.name());
    let elsewhere = bed.sign(&signer, &bed.image, "evil.io/ns/a");
    let foreign = bed.sign(&other, &bed.image, &bed.name());
    let swapped = (good.0.clone(), foreign.1.clone());
    let no_base64 = (good.0.clone(), "?".to_owned());
    let signed = |text: &str| (text.to_owned(), signer.sign(text.as_bytes()));
    let extended = signed(&good.0.replace("\"type\"", "\"expires\":1,\"type\""));
    let other_type = signed(&good.0.replace("cosign container", "atomic container"));
    let policy = demanding(&[&[&signer]], "matchRepository");
    for (attachments, part) in [
        (vec![&of_another], "one is by a key of the policy, but for sha256:"),
        (vec![&elsewhere], "\"evil.io/ns/a\", which signedIdentity does not accept"),
        (vec![&foreign], "one is not by a key of the policy"),
        (vec![&swapped], "one is not by a key of the policy"),
        (vec![&no_base64], "there is none"),
        (vec![&extended], "what it signs is not a payload of cosign"),
        (vec![&other_type], "what it signs has the type \"atomic container image signature\""),
        (vec![&foreign, &of_another, &elsewhere], "none of those there are is enough"),
        (vec![], "there is none"),
    ] {
        let attachments: Vec<_> = attachments.into_iter().cloned().collect();
        bed.attach(&bed.image, &attachments);
        let error = bed.check(&policy).await.expect_err(part).to_string();
        assert!(error.contains(part), "{error}, not {part}");
    }
    bed.attach(&bed.image, &[foreign.clone(), of_another, good.clone()]);
    bed.check(&policy).await.unwrap();

    let both = demanding(&[&[&signer], &[&other]], "matchRepository");
    bed.check(&both).await.unwrap();
    bed.attach(&bed.image, &[good]);
    assert!(matches!(bed.check(&both).await, Err(SignatureError::Insufficient { .. })), "each demand counts");
    bed.attach(&bed.image, &[foreign]);
    bed.check(&demanding(&[&[&signer, &other]], "matchRepository")).await.unwrap();
}

#[tokio::test]
async fn a_registry_cannot_get_around_a_demand() {
    let signer = Signer::p256();
    let policy = demanding(&[&[&signer]], "matchRepository");
    let bed = Bed::new();
    let (digest, tag) = (bed.image, cosign::tag_of(&bed.image));
    let (payload, signature) = bed.sign(&signer, &digest, &bed.name());
    bed.attach(&digest, &[(payload.clone(), signature.clone())]);
    let manifest_path = format!("manifests/{tag}");
    bed.double.misbehave(&manifest_path, Fault::Status(403));
    let error = bed.check(&policy).await.unwrap_err();
    assert!(matches!(&error, SignatureError::Fetch { .. }), "{error}");
    bed.double.behave();
    bed.check(&policy).await.unwrap();

    // Another payload than the manifest says.
    bed.double.forget_blob("ns/a", &Digest::of(payload.as_bytes()).to_string());
    assert!(matches!(bed.check(&policy).await, Err(SignatureError::Fetch { .. })));

    for (layers, part) in [
        (json!({}), "not the manifest of signatures"),
        (
            json!([{"mediaType": SIMPLE_SIGNING, "digest": digest.to_string(), "size": 1u64 << 40,
                "annotations": {"dev.cosignproject.cosign/signature": signature}}]),
            "too long",
        ),
        (
            json!(vec![
                json!({"mediaType": SIMPLE_SIGNING, "digest": digest.to_string(), "size": 1,
                "annotations": {}});
                1000
            ]),
            "there is none",
        ),
    ] {
        let manifest = json!({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "layers": layers}).to_string();
        bed.double.push_manifest("ns/a", Some(&tag), OCI_MANIFEST, manifest);
        let error = bed.check(&policy).await.expect_err(part).to_string();
        assert!(error.contains(part), "{error}, not {part}");
    }
    let many: Vec<_> = (0..65).map(|_| (payload.clone(), signature.clone())).collect();
    bed.attach(&digest, &many);
    let error = bed.check(&policy).await.unwrap_err().to_string();
    assert!(error.contains("more than 64 signatures"), "{error}");
}
