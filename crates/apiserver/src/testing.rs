//! An API over a store in memory, called without sockets.

use std::sync::Arc;

use http::{Method, Request, Response};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use store::{Durability, Options, Place, Store};

use crate::access::Policies;
use crate::api::Api;
use crate::auth::{Authenticator, Peer, Tokens};
use crate::backend::{NoNode, NodeBackend};
use crate::body::{self, Body};
use crate::controllers::StockRoles;
use crate::discovery::Documents;
use crate::kinds::Kind;
use crate::metrics::Metrics;
use crate::network::Network;
use crate::objects;

pub(crate) const NODE: &str = "node-1";

/// The administrator's view of an API with the namespace `a`.
#[derive(Clone)]
pub(crate) struct Bed {
    pub(crate) api: Arc<Api>,
}

pub(crate) struct Answer {
    pub(crate) code: u16,
    pub(crate) headers: http::HeaderMap,
    pub(crate) body: bytes::Bytes,
}

impl Answer {
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {:?}", self.body))
    }

    #[track_caller]
    pub(crate) fn expect(self, code: u16) -> Value {
        assert_eq!(self.code, code, "{}", String::from_utf8_lossy(&self.body));
        self.json()
    }

    /// The message of a failure.
    #[track_caller]
    pub(crate) fn failure(self, code: u16) -> String {
        let status = self.expect(code);
        assert_eq!(status["kind"], "Status");
        assert_eq!(status["code"], code);
        status["message"].as_str().unwrap_or_default().to_owned()
    }
}

impl Bed {
    pub(crate) async fn new() -> Self {
        Self::with(Arc::new(NoNode)).await
    }

    pub(crate) async fn with(backend: Arc<dyn NodeBackend>) -> Self {
        let store = Store::open(Place::Memory, Options { index: objects::index_stored }).expect("memory");
        let tokens = Tokens::new(&Tokens::generate()).expect("a key of its own");
        let api = Api {
            store,
            backend,
            node_name: NODE.to_owned(),
            authenticator: Authenticator { tokens },
            policies: Policies::default(),
            metrics: Metrics::default(),
            documents: Documents::default(),
            roles: StockRoles::default(),
            shutdown: tokio::sync::watch::Sender::new(false),
            version: "1.2.3",
        };
        let bed = Self { api: Arc::new(api) };
        let services = ["10.96.0.0/16", "fd00:10:96::/112"].map(|range| range.parse().expect("a range"));
        bed.network(Network { services: services.to_vec(), ..Network::default() }).await;
        bed.post("/api/v1/namespaces", &json!({ "metadata": { "name": "a" } })).await.expect(201);
        let account = json!({ "metadata": { "name": "default" } });
        bed.post("/api/v1/namespaces/a/serviceaccounts", &account).await.expect(201);
        bed
    }

    /// Says what the engine's network has.
    pub(crate) async fn network(&self, network: Network) {
        let kind = Kind::find("networking.k8s.io", "v1", "servicecidrs").expect("a kind");
        let mut object = network.to_object("2026-01-01T00:00:00Z");
        let written = self
            .api
            .store
            .write(Durability::Lazy, move |tx| Ok::<_, ()>(objects::put(tx, kind, &mut object)));
        written.await.expect("written").expect("kept");
    }

    pub(crate) async fn raw(&self, request: Request<Body>, peer: Peer) -> Response<Body> {
        self.api.clone().call(request, peer).await
    }

    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<bytes::Bytes>,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(path).header("user-agent", "tests/1");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(body::full(body)).expect("a request");
        let (parts, body) = self.raw(request, Peer::Local).await.into_parts();
        let body = body.collect().await.expect("an answer").to_bytes();
        Answer { code: parts.status.as_u16(), headers: parts.headers, body }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, &[], "").await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.call(Method::POST, path, &[("content-type", "application/json")], body.to_string()).await
    }

    pub(crate) async fn put(&self, path: &str, body: &Value) -> Answer {
        self.call(Method::PUT, path, &[("content-type", "application/json")], body.to_string()).await
    }

    pub(crate) async fn delete(&self, path: &str, options: &Value) -> Answer {
        self.call(Method::DELETE, path, &[("content-type", "application/json")], options.to_string()).await
    }

    /// `form`: `merge-patch+json` and the like.
    pub(crate) async fn patch(&self, path: &str, form: &str, body: &Value) -> Answer {
        let content_type = format!("application/{form}");
        self.call(Method::PATCH, path, &[("content-type", &content_type)], body.to_string()).await
    }
}

pub(crate) fn config_map(name: &str, labels: &Value) -> Value {
    json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name, "labels": labels }, "data": { "k": "v" } })
}

pub(crate) fn pod(name: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": { "name": name },
        "spec": { "containers": [{ "name": "c", "image": "i" }] },
    })
}
