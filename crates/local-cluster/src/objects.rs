//! [`ObjectReader`]: what pods name of the store, and tokens of their accounts.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, OnceLock};

use apiserver::auth::{Binding, TokenRequest, Tokens};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use container_config::ObjectData;
use podspec::Pod;
use podspec::source::{ObjectKind, TokenProjection};
use ports::{Answer, ObjectReader, PortError, Token};
use serde_json::Value;
use store::{Object, ObjectKey, Resource, Store};

use crate::sink::wall_now;

/// The store, and who signs for the API server.
pub struct StoreObjects {
    store: Store,
    tokens: OnceLock<Tokens>,
}

impl StoreObjects {
    #[must_use]
    pub fn new(store: Store) -> Arc<Self> {
        Arc::new(Self { store, tokens: OnceLock::new() })
    }

    /// Tokens are signed by `tokens` from now on; until then there are none. Only the first counts.
    pub fn sign_with(&self, tokens: Tokens) {
        let _ = self.tokens.set(tokens);
    }

    fn issue(&self, pod: &Pod, wanted: &TokenProjection) -> Result<Token, PortError> {
        let get = |resource, name: &str| {
            self.store.get(&ObjectKey::new(Resource::new(resource), &*pod.namespace, name))
        };
        let missing = |resource: &str, name: &str| PortError(format!("{resource} \"{name}\" not found"));
        let tokens =
            self.tokens.get().ok_or_else(|| PortError("the API server has not started yet".to_owned()))?;
        let name = &pod.spec.service_account;
        let account = get("serviceaccounts", name).ok_or_else(|| missing("serviceaccounts", name))?;
        let held = get("pods", &pod.name).filter(|held| held.uid == pod.uid.as_str());
        let held = held.ok_or_else(|| missing("pods", &pod.name))?;
        let request = TokenRequest {
            namespace: pod.namespace.clone(),
            account: name.clone(),
            account_uid: account.uid.clone(),
            audiences: Some(wanted.audience.clone())
                .filter(|audience| !audience.is_empty())
                .into_iter()
                .collect(),
            seconds: wanted.lifetime.as_secs(),
            bound_to: Some(Binding { kind: "Pod".to_owned(), name: pod.name.clone(), uid: held.uid.clone() }),
        };
        let issued = tokens.issue(&request, wall_now());
        Ok(Token { text: issued.token, lifetime: wanted.lifetime })
    }
}

impl ObjectReader for StoreObjects {
    fn read<'a>(
        &'a self,
        namespace: &'a str,
        kind: ObjectKind,
        name: &'a str,
    ) -> Answer<'a, Option<Arc<ObjectData>>> {
        Box::pin(async move {
            let found = self.store.get(&ObjectKey::new(resource_of(kind), namespace, name));
            found.map(|object| content(kind, &object).map(Arc::new)).transpose()
        })
    }

    fn token<'a>(&'a self, pod: &'a Pod, wanted: &'a TokenProjection) -> Answer<'a, Token> {
        Box::pin(async move { self.issue(pod, wanted) })
    }
}

impl fmt::Debug for StoreObjects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreObjects").finish_non_exhaustive()
    }
}

pub(crate) fn resource_of(kind: ObjectKind) -> Resource {
    Resource::new(match kind {
        ObjectKind::ConfigMap => "configmaps",
        ObjectKind::Secret => "secrets",
    })
}

fn content(kind: ObjectKind, object: &Object) -> Result<ObjectData, PortError> {
    let damaged = |why: String| PortError(format!("{} in the store is damaged: {why}", object.key));
    let value: Value = serde_json::from_slice(&object.json).map_err(|error| damaged(error.to_string()))?;
    let texts = |name: &str| {
        let entries = value[name].as_object().into_iter().flatten();
        entries.map(|(key, value)| (key.clone(), value.as_str().unwrap_or_default()))
    };
    let plain = |name| texts(name).map(|(key, text)| (key, text.as_bytes().to_owned())).collect();
    let decoded = |name: &str| -> Result<BTreeMap<String, Vec<u8>>, PortError> {
        let decode = |(key, text): (String, &str)| {
            let bytes = STANDARD.decode(text).map_err(|_| damaged(format!("{name}[{key}] is not base64")))?;
            Ok((key, bytes))
        };
        texts(name).map(decode).collect()
    };
    Ok(match kind {
        ObjectKind::ConfigMap => ObjectData { data: plain("data"), binary: decoded("binaryData")? },
        ObjectKind::Secret => ObjectData { data: decoded("data")?, binary: BTreeMap::new() },
    })
}
