//! Which API is spoken to, and in which namespace.

use client::{Client, Kubeconfig, Parts};
use http::header::{ACCEPT, HeaderName};
use http::{Method, StatusCode};
use kubelet::Paths;
use serde_json::Value;

use crate::cli::Global;
use crate::client::failure::{Failure, Result, chain};
use crate::client::print;
use crate::serve::SOCKET;

const DEFAULT_NAMESPACE: &str = "default";

#[derive(Debug)]
pub(super) struct Context {
    pub(super) client: Client,
    pub(super) namespace: String,
    /// Of `-n`, to which objects of a manifest have to keep.
    pub(super) explicit_namespace: Option<String>,
    /// Where pods of this machine are, when no other API is named.
    pub(super) paths: Option<Paths>,
    /// How often `-v` was given.
    pub(super) verbose: u8,
}

impl Context {
    /// The engine's socket, unless a kubeconfig is named on the command line; the environment is not asked.
    pub(super) fn new(global: &Global, paths: &Paths) -> Result<Self> {
        let (client, chosen) = match &global.kubeconfig {
            None => (Client::local(&paths.run_dir.join(SOCKET)), None),
            Some(file) => {
                let config = Kubeconfig::read(file)
                    .map_err(|error| Failure::refused(format!("--kubeconfig: {}", chain(&error))))?;
                let chosen = config.namespace.clone();
                (Client::remote(config), chosen)
            }
        };
        let explicit_namespace = global.namespace.clone();
        let namespace = explicit_namespace.clone().or(chosen).unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned());
        let paths = global.kubeconfig.is_none().then(|| paths.clone());
        Ok(Self { client, namespace, explicit_namespace, paths, verbose: global.verbose })
    }

    pub(super) async fn get(&self, path: &str) -> Result<Value> {
        Ok(self.send(Method::GET, path, None, None).await?.1)
    }

    pub(super) async fn get_as(&self, path: &str, accept: &str) -> Result<Value> {
        Ok(self.send(Method::GET, path, None, Some(accept)).await?.1)
    }

    /// Sends JSON of a content type; what the server warns of is said at once.
    pub(super) async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<(&str, &Value)>,
        accept: Option<&str>,
    ) -> Result<(StatusCode, Value)> {
        let body = body.map(|(content_type, value)| (content_type, value.to_string().into_bytes()));
        let accept: Option<(HeaderName, &str)> = accept.map(|accept| (ACCEPT, accept));
        let answer = self.client.send(method, path, body, accept.as_slice()).await?;
        for warning in &answer.warnings {
            print::warning(warning);
        }
        Ok((answer.code, answer.value))
    }

    pub(super) async fn stream(&self, path: &str) -> Result<Parts> {
        Ok(self.client.stream(path).await?)
    }

    /// A pod of the namespace.
    pub(super) async fn pod(&self, namespace: &str, name: &str) -> Result<Value> {
        self.get(&pod_path(namespace, name)).await
    }
}

pub(super) fn pod_path(namespace: &str, name: &str) -> String {
    format!("/api/v1/namespaces/{}/pods/{}", encode(namespace), encode(name))
}

/// The text as a part of a path or query.
pub(super) fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// `path?name=value&..`, without those that have no value.
pub(super) fn with_query(path: &str, query: &[(&str, &str)]) -> String {
    let pairs: Vec<String> = query
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| format!("{name}={}", encode(value)))
        .collect();
    if pairs.is_empty() { path.to_owned() } else { format!("{path}?{}", pairs.join("&")) }
}

#[cfg(test)]
mod tests {
    use super::{encode, with_query};

    #[test]
    fn queries_are_encoded() {
        assert_eq!(encode("a=b,c!=d e/\u{e9}"), "a%3Db%2Cc%21%3Dd%20e%2F%C3%A9");
        let query = [("labelSelector", "a=b"), ("fieldSelector", ""), ("watch", "true")];
        assert_eq!(with_query("/api/v1/pods", &query), "/api/v1/pods?labelSelector=a%3Db&watch=true");
        assert_eq!(with_query("/x", &[]), "/x");
    }
}
