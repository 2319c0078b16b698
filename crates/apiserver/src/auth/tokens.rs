//! Tokens of service accounts: JWTs that this server signs and nobody else takes
//! (<https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/>).

use std::sync::Arc;

use apimachinery::meta;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use podspec::{WallTime, uuid};
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, UnparsedPublicKey,
};
use serde_json::{Value, json};
use store::{ObjectKey, Resource, Store};

use crate::entropy;
use crate::request::User;

/// Who signs, and for whom a token is unless it says otherwise.
pub(crate) const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";
/// A longer one is no token of ours.
const TOKEN_BYTES_MAX: usize = 16 * 1024;
const POD_NAME: &str = "authentication.kubernetes.io/pod-name";
const POD_UID: &str = "authentication.kubernetes.io/pod-uid";
const NODE_NAME: &str = "authentication.kubernetes.io/node-name";
const NODE_UID: &str = "authentication.kubernetes.io/node-uid";
const CREDENTIAL: &str = "authentication.kubernetes.io/credential-id";

/// Signs and verifies with one key.
#[derive(Clone)]
pub struct Tokens {
    key: Arc<EcdsaKeyPair>,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokens").finish_non_exhaustive()
    }
}

/// What a token is to say.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TokenRequest {
    pub namespace: String,
    pub account: String,
    pub account_uid: String,
    /// None: the API server itself.
    pub audiences: Vec<String>,
    pub seconds: u64,
    pub bound_to: Option<Binding>,
}

/// The object whose end is the token's end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Binding {
    /// `Pod` or `Secret`.
    pub kind: String,
    pub name: String,
    pub uid: String,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Issued {
    pub token: String,
    pub expires: WallTime,
}

impl Tokens {
    /// `pkcs8` is the private key, as [`Self::generate`] makes one. `None` when it is no such key.
    #[must_use]
    pub fn new(pkcs8: &[u8]) -> Option<Self> {
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8, &SystemRandom::new());
        key.ok().map(|key| Self { key: Arc::new(key) })
    }

    /// A new private key.
    #[must_use]
    pub fn generate() -> Vec<u8> {
        let key = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new());
        key.expect("a key can be generated wherever there are random bytes").as_ref().to_vec()
    }

    #[must_use]
    pub fn issue(&self, request: &TokenRequest, now: WallTime) -> Issued {
        let issued = now.0.div_euclid(1_000_000_000);
        let expires = issued.saturating_add(i64::try_from(request.seconds).unwrap_or(i64::MAX / 4));
        let audiences =
            if request.audiences.is_empty() { vec![ISSUER.to_owned()] } else { request.audiences.clone() };
        let mut about = json!({
            "namespace": request.namespace,
            "serviceaccount": { "name": request.account, "uid": request.account_uid },
        });
        if let Some(Binding { kind, name, uid }) = &request.bound_to {
            about[kind.to_lowercase()] = json!({ "name": name, "uid": uid });
        }
        let claims = json!({
            "aud": audiences,
            "exp": expires,
            "iat": issued,
            "iss": ISSUER,
            "jti": uuid(&entropy::identity()),
            "kubernetes.io": about,
            "nbf": issued,
            "sub": format!("system:serviceaccount:{}:{}", request.namespace, request.account),
        });
        let signed = format!("{}.{}", encode(&json!({ "alg": "ES256", "typ": "JWT" })), encode(&claims));
        let signature = self
            .key
            .sign(&SystemRandom::new(), signed.as_bytes())
            .expect("signing fails only where there are no random bytes");
        let token = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature));
        Issued { token, expires: WallTime::from_unix(expires, 0) }
    }

    /// The claims of a token that this key signed, and that is neither too old nor too young.
    fn claims(&self, token: &str, now: WallTime) -> Option<Value> {
        if token.len() > TOKEN_BYTES_MAX {
            return None;
        }
        let (signed, signature) = token.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        let header: Value = decode(header)?;
        if header["alg"] != "ES256" {
            return None;
        }
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        let public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, self.key.public_key().as_ref());
        public.verify(signed.as_bytes(), &signature).ok()?;
        let claims: Value = decode(claims)?;
        let seconds = now.0.div_euclid(1_000_000_000);
        let is_current = claims["exp"].as_i64()? > seconds && claims["nbf"].as_i64()? <= seconds;
        (claims["iss"] == ISSUER && is_current).then_some(claims)
    }

    /// The user of a token for this server, if the account and what the token is bound to are still there.
    #[must_use]
    pub fn user(&self, token: &str, store: &Store, now: WallTime) -> Option<User> {
        self.review(token, &[ISSUER.to_owned()], store, now).map(|(user, _)| user)
    }

    /// The user of a token for one of these audiences, and those it is for.
    #[must_use]
    pub fn review(
        &self,
        token: &str,
        audiences: &[String],
        store: &Store,
        now: WallTime,
    ) -> Option<(User, Vec<String>)> {
        let claims = self.claims(token, now)?;
        let of_token = claims["aud"].as_array()?;
        let common: Vec<String> = audiences
            .iter()
            .filter(|audience| of_token.iter().any(|of_token| of_token == audience.as_str()))
            .cloned()
            .collect();
        if common.is_empty() {
            return None;
        }
        let about = &claims["kubernetes.io"];
        let namespace = about["namespace"].as_str()?;
        let account = about["serviceaccount"]["name"].as_str()?;
        let uid = about["serviceaccount"]["uid"].as_str()?;
        is_there(store, "serviceaccounts", namespace, account, uid, now)?;
        let mut user = User::service_account(namespace, account, uid);
        for (claim, resource) in [("pod", "pods"), ("secret", "secrets")] {
            let Some(bound) = about.get(claim) else { continue };
            let (name, uid) = (bound["name"].as_str()?, bound["uid"].as_str()?);
            let object = is_there(store, resource, namespace, name, uid, now)?;
            if claim == "pod" {
                say(&mut user, POD_NAME, name.to_owned());
                say(&mut user, POD_UID, uid.to_owned());
                say_node(&mut user, store, &object);
            }
        }
        if let Some(id) = claims["jti"].as_str() {
            say(&mut user, CREDENTIAL, format!("JTI={id}"));
        }
        Some((user, common))
    }
}

fn say(user: &mut User, key: &str, value: String) {
    user.extra.insert(key.to_owned(), vec![value]);
}

/// Where the pod runs that a token is bound to.
fn say_node(user: &mut User, store: &Store, pod: &Value) {
    let Some(name) = pod["spec"]["nodeName"].as_str() else { return };
    say(user, NODE_NAME, name.to_owned());
    if let Some(node) = store.get(&ObjectKey::new(Resource::new("nodes"), "", name)) {
        say(user, NODE_UID, node.uid.clone());
    }
}

/// How long what a token is bound to may be past its deletion's time.
const DELETED_SECONDS_MAX: i64 = 60;

fn is_there(
    store: &Store,
    resource: &'static str,
    namespace: &str,
    name: &str,
    uid: &str,
    now: WallTime,
) -> Option<Value> {
    let object = store.get(&ObjectKey::new(Resource::new(resource), namespace, name))?;
    if object.uid != uid {
        return None;
    }
    let value: Value = serde_json::from_slice(&object.json).ok()?;
    let gone =
        meta::deletion_time(&value).is_some_and(|due| now.0 - due.0 > DELETED_SECONDS_MAX * 1_000_000_000);
    (!gone).then_some(value)
}

fn encode(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

fn decode(text: &str) -> Option<Value> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()
}
