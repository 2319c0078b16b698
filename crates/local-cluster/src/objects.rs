//! [`ObjectReader`]: what pods name of the store, and tokens of their accounts.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, OnceLock};

use apiserver::auth::{Binding, TokenRequest, Tokens};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use container_config::{NamedPort, ObjectData, ServiceAddress};
use podspec::json::{list, text};
use podspec::source::{ObjectKind, TokenProjection};
use podspec::{HostPathType, Pod, PortProtocol};
use ports::{Answer, ClaimedVolume, ObjectReader, PortError, PullSecret, PullSecretKind, Token};
use serde_json::Value;
use store::{Object, ObjectKey, Resource, Store};

use crate::sink::wall_now;

/// The Service of the API, by namespace and name.
const API: (&str, &str) = ("default", "kubernetes");

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

    fn claimed(&self, pod: &Pod, claim: &str, ephemeral: bool) -> Result<ClaimedVolume, PortError> {
        let get = |resource, namespace: &str, name: &str| {
            let found = self.store.get(&ObjectKey::new(Resource::new(resource), namespace, name));
            let found = found.ok_or_else(|| PortError(format!("{resource} \"{name}\" not found")))?;
            apiserver::objects::value(&found)
                .map_err(|error| PortError(format!("{} in the store is damaged: {error}", found.key)))
        };
        let held = get("persistentvolumeclaims", &pod.namespace, claim)?;
        let owners = list(&held["metadata"], "ownerReferences");
        if ephemeral && !owners.iter().any(|owner| text(owner, "uid") == pod.uid.as_str()) {
            let (namespace, name) = (&pod.namespace, &pod.name);
            return Err(PortError(format!(
                "PVC {namespace}/{claim} was not created for pod {namespace}/{name} (pod is not owner)"
            )));
        }
        let volume = match text(&held["status"], "phase") {
            "Bound" => get("persistentvolumes", "", text(&held["spec"], "volumeName"))?,
            _ => return Err(PortError("PVC is not bound".to_owned())),
        };
        let (host_path, local) = (&volume["spec"]["hostPath"], &volume["spec"]["local"]);
        Ok(match local.is_object() {
            true => ClaimedVolume {
                path: text(local, "path").to_owned(),
                kind: HostPathType::Directory,
                takes_group: true,
            },
            false => ClaimedVolume {
                path: text(host_path, "path").to_owned(),
                kind: HostPathType::parse(text(host_path, "type")),
                takes_group: false,
            },
        })
    }

    fn services_of(&self, namespace: &str) -> Vec<ServiceAddress> {
        if !apiserver::network::is_served(&self.store) {
            return Vec::new();
        }
        let services = Resource::new("services");
        let mut found = self.store.list(services, Some(namespace), None, None, |_| true).objects;
        let (of_api, api) = API;
        if namespace != of_api {
            found.extend(self.store.get(&ObjectKey::new(services, of_api, api)));
        }
        found.iter().filter_map(|object| address(&apiserver::objects::value(object).ok()?)).collect()
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

/// `None` for a Service without an address of its own.
fn address(service: &Value) -> Option<ServiceAddress> {
    let (metadata, spec) = (&service["metadata"], &service["spec"]);
    let port = |port: &Value| {
        Some(NamedPort {
            name: text(port, "name").to_owned(),
            protocol: match text(port, "protocol") {
                "UDP" => PortProtocol::Udp,
                "SCTP" => PortProtocol::Sctp,
                _ => PortProtocol::Tcp,
            },
            port: u16::try_from(port["port"].as_u64()?).ok()?,
        })
    };
    Some(ServiceAddress {
        namespace: text(metadata, "namespace").to_owned(),
        name: text(metadata, "name").to_owned(),
        address: Some(text(spec, "clusterIP")).filter(|ip| !["", "None"].contains(ip))?.to_owned(),
        ports: list(spec, "ports").iter().filter_map(port).collect(),
    })
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

    fn pull_secret<'a>(&'a self, namespace: &'a str, name: &'a str) -> Answer<'a, Option<PullSecret>> {
        Box::pin(async move {
            let found = self.store.get(&ObjectKey::new(Resource::new("secrets"), namespace, name));
            found.map_or(Ok(None), |object| pull_secret(&object, namespace, name))
        })
    }

    fn claim<'a>(&'a self, pod: &'a Pod, claim: &'a str, ephemeral: bool) -> Answer<'a, ClaimedVolume> {
        Box::pin(async move { self.claimed(pod, claim, ephemeral) })
    }

    fn services<'a>(&'a self, namespace: &'a str) -> Answer<'a, Vec<ServiceAddress>> {
        Box::pin(async move { Ok(self.services_of(namespace)) })
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

fn pull_secret(object: &Object, namespace: &str, name: &str) -> Result<Option<PullSecret>, PortError> {
    let value = apiserver::objects::value(object)
        .map_err(|error| PortError(format!("{} in the store is damaged: {error}", object.key)))?;
    let (kind, key) = match text(&value, "type") {
        "kubernetes.io/dockerconfigjson" => (PullSecretKind::DockerConfigJson, ".dockerconfigjson"),
        "kubernetes.io/dockercfg" => (PullSecretKind::DockerCfg, ".dockercfg"),
        _ => return Ok(None),
    };
    let mut data = content(ObjectKind::Secret, object)?.data;
    let secret = |bytes| PullSecret {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        uid: object.uid.clone(),
        kind,
        bytes,
    };
    Ok(data.remove(key).filter(|bytes| !bytes.is_empty()).map(secret))
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

#[cfg(test)]
mod tests {
    use apiserver::auth::Tokens;
    use apiserver::kinds::Kind;
    use apiserver::network::Network;
    use apiserver::objects;
    use podspec::source::{ObjectKind, TokenProjection};
    use podspec::{IDENTITY_BYTES, PortProtocol};
    use ports::{ObjectReader as _, PullSecretKind};
    use serde_json::{Value, json};
    use store::{Durability, Options, Place, Store};

    use super::StoreObjects;

    async fn put(store: &Store, plural: &str, object: Value) {
        let kind = Kind::all().iter().find(|kind| kind.plural == plural).unwrap();
        let mut object = object;
        let written =
            store.write(Durability::Lazy, move |tx| Ok::<_, ()>(objects::put(tx, kind, &mut object)));
        written.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn objects_are_read_as_they_are_now() {
        let store = Store::open(Place::Memory, Options { index: objects::index_stored }).unwrap();
        let reader = StoreObjects::new(store.clone());
        assert_eq!(reader.read("a", ObjectKind::ConfigMap, "c").await, Ok(None));
        let metadata = |name: &str| json!({"namespace": "a", "name": name, "uid": "u"});
        let map = json!({"metadata": metadata("c"), "data": {"x": "1"}, "binaryData": {"y": "/wA="}});
        put(&store, "configmaps", map).await;
        let found = reader.read("a", ObjectKind::ConfigMap, "c").await.unwrap().unwrap();
        assert_eq!((found.data["x"].as_slice(), found.binary["y"].as_slice()), (&b"1"[..], &b"\xff\0"[..]));
        assert_eq!(reader.read("b", ObjectKind::ConfigMap, "c").await, Ok(None));
        put(&store, "secrets", json!({"metadata": metadata("s"), "data": {"pw": "czNjcmV0"}})).await;
        let found = reader.read("a", ObjectKind::Secret, "s").await.unwrap().unwrap();
        assert_eq!(found.data["pw"], b"s3cret");
        assert!(!format!("{found:?}").contains("s3cret"));
        put(&store, "secrets", json!({"metadata": metadata("bad"), "data": {"pw": "!"}})).await;
        let error = reader.read("a", ObjectKind::Secret, "bad").await.unwrap_err();
        assert!(error.0.contains("data[pw] is not base64"), "{error}");
    }

    #[tokio::test]
    async fn secrets_for_pulling_have_their_type_and_its_value() {
        let store = Store::open(Place::Memory, Options { index: objects::index_stored }).unwrap();
        let reader = StoreObjects::new(store.clone());
        let json = "kubernetes.io/dockerconfigjson";
        for (name, ty, data) in [
            ("json", json, json!({".dockerconfigjson": "e30="})),
            ("cfg", "kubernetes.io/dockercfg", json!({".dockercfg": "e30="})),
            ("opaque", "Opaque", json!({".dockerconfigjson": "e30="})),
            ("other-key", json, json!({".dockercfg": "e30="})),
            ("empty", json, json!({".dockerconfigjson": ""})),
        ] {
            let metadata = json!({"namespace": "a", "name": name, "uid": name});
            put(&store, "secrets", json!({"metadata": metadata, "type": ty, "data": data})).await;
        }
        let read = async |name: &str| reader.pull_secret("a", name).await.unwrap();
        for (name, kind) in [("json", PullSecretKind::DockerConfigJson), ("cfg", PullSecretKind::DockerCfg)] {
            let secret = read(name).await.unwrap();
            assert_eq!((secret.kind, secret.bytes.as_slice(), secret.uid.as_str()), (kind, &b"{}"[..], name));
            assert_eq!((secret.namespace.as_str(), secret.name.as_str()), ("a", name));
        }
        for name in ["opaque", "other-key", "empty", "none"] {
            assert_eq!(read(name).await, None, "{name}");
        }
    }

    #[tokio::test]
    async fn services_are_those_of_the_namespace_and_the_api_where_there_are_any() {
        let store = Store::open(Place::Memory, Options { index: objects::index_stored }).unwrap();
        let reader = StoreObjects::new(store.clone());
        let service = |namespace: &str, name: &str, ip: &str| {
            let ports = json!([{"name": "p", "port": 53, "protocol": "UDP"}]);
            json!({"metadata": {"namespace": namespace, "name": name}, "spec": {"clusterIP": ip, "ports": ports}})
        };
        for (namespace, name, ip) in [
            ("a", "db", "10.0.0.2"),
            ("a", "headless", "None"),
            ("a", "named", ""),
            ("b", "other", "10.0.0.3"),
            ("default", "kubernetes", "10.0.0.1"),
            ("default", "web", "10.0.0.4"),
        ] {
            put(&store, "services", service(namespace, name, ip)).await;
        }
        let names = async |namespace: &str| -> Vec<String> {
            let found = reader.services(namespace).await.unwrap();
            found.into_iter().map(|service| service.name).collect()
        };
        assert!(names("a").await.is_empty());
        let ranges = Network::default().to_object("2026-01-01T00:00:00Z");
        put(&store, "servicecidrs", ranges).await;
        assert_eq!(names("a").await, ["db", "kubernetes"]);
        assert_eq!(names("default").await, ["kubernetes", "web"]);
        let db = reader.services("a").await.unwrap().remove(0);
        assert_eq!((db.address.as_str(), db.ports[0].protocol), ("10.0.0.2", PortProtocol::Udp));
    }

    #[tokio::test]
    async fn a_token_needs_the_account_and_the_pod() {
        let store = Store::open(Place::Memory, Options { index: objects::index_stored }).unwrap();
        let reader = StoreObjects::new(store.clone());
        let text = "{apiVersion: v1, kind: Pod, metadata: {name: p}, \
                    spec: {serviceAccountName: robot, containers: [{name: a, image: i}]}}";
        let admitted = podspec::load_pods("test", text, || [7; IDENTITY_BYTES]).unwrap().remove(0).admitted;
        let lifetime = std::time::Duration::from_secs(600);
        let wanted = TokenProjection { audience: "vault".to_owned(), lifetime, path: "token".to_owned() };
        let asked = async || reader.token(&admitted.pod, &wanted).await.map_err(|error| error.0);
        assert!(asked().await.unwrap_err().contains("has not started yet"));
        reader.sign_with(Tokens::new(&Tokens::generate()).unwrap());
        assert_eq!(asked().await.unwrap_err(), "serviceaccounts \"robot\" not found");
        let account = json!({"metadata": {"namespace": "default", "name": "robot", "uid": "r"}});
        put(&store, "serviceaccounts", account).await;
        assert_eq!(asked().await.unwrap_err(), "pods \"p\" not found");
        put(&store, "pods", admitted.manifest.clone()).await;
        let token = asked().await.unwrap();
        assert_eq!(token.lifetime, lifetime);
        assert_eq!(token.text.split('.').count(), 3);
        assert!(!format!("{token:?}").contains(&token.text));
    }
}
