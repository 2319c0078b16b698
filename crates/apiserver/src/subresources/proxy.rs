//! HTTP to a port of a pod, to one behind a service, and to the node's own pages.

mod links;

use std::io;
use std::time::Duration;

use apimachinery::Status;
use http::header::{
    CONNECTION, CONTENT_TYPE, HOST, HeaderMap, HeaderValue, LOCATION, TRANSFER_ENCODING, UPGRADE,
};
use http::uri::PathAndQuery;
use http::{Method, Request, Response, StatusCode, Uri};
use http_body_util::BodyExt as _;
use hyper_util::rt::TokioIo;
use podspec::json::{list, text};
use rustls_pki_types::ServerName;
use serde_json::Value;
use store::{ObjectKey, Resource as Stored};
use tokio_rustls::TlsConnector;

use super::{container, stream};
use crate::api::Call;
use crate::backend::{Connection, PodTarget};
use crate::body::{self, Body};
use crate::change;
use crate::kinds::Kind;
use crate::route::Resource;

/// The other side has to begin its answer within this.
const ANSWER_TIME: Duration = Duration::from_secs(60);

pub(super) async fn answer(
    call: &Call<'_>,
    kind: &'static Kind,
    resource: &Resource,
    request: Request<Body>,
) -> Result<Response<Body>, Status> {
    if call.method == Method::GET && resource.rest.is_empty() && request.uri().path().ends_with("proxy") {
        return redirect(request.uri());
    }
    if kind.kind == "Node" {
        return node(call, kind, resource, request.uri()).await;
    }
    let name = Name::parse(&resource.name)?;
    let (pod, port) = if kind.kind == "Pod" {
        of_pod(call, kind, resource, &name)?
    } else {
        of_service(call, kind, resource, &name)?
    };
    pass(call, pod, port, name.is_https, &resource.rest, request).await
}

/// Relative links of a page need the slash at its end.
fn redirect(uri: &Uri) -> Result<Response<Body>, Status> {
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    let mut response = Response::new(body::empty());
    *response.status_mut() = StatusCode::MOVED_PERMANENTLY;
    let location = HeaderValue::from_str(&format!("{}/{query}", uri.path()));
    let location = location.map_err(|_| Status::bad_request("the path cannot be redirected to"))?;
    response.headers_mut().insert(LOCATION, location);
    Ok(response)
}

async fn node(
    call: &Call<'_>,
    kind: &'static Kind,
    resource: &Resource,
    uri: &Uri,
) -> Result<Response<Body>, Status> {
    let name = resource.name.split(':').find(|part| !matches!(*part, "http" | "https")).unwrap_or("");
    if call.api.store.get(&change::key_of(kind, "", name)).is_none() && name != call.api.node_name {
        return Err(change::not_found(kind, name));
    }
    if name != call.api.node_name {
        return Err(Status::service_unavailable(format!("no kubelet runs on node {name:?}")));
    }
    if call.method != Method::GET {
        return Err(Status::method_not_allowed());
    }
    let query = uri.query().unwrap_or("").to_owned();
    let page = call.api.backend.page(resource.rest.clone(), query).await.map_err(stream::failed)?;
    let mut response = Response::new(body::full(page.body));
    *response.status_mut() = StatusCode::from_u16(page.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(page.content_type));
    Ok(response)
}

/// `NAME`, `NAME:PORT`, `http:NAME:PORT`, `https:NAME:PORT`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Name<'a> {
    pub(super) is_https: bool,
    pub(super) name: &'a str,
    /// A number, or the name of a port; may be empty.
    pub(super) port: &'a str,
}

impl<'a> Name<'a> {
    pub(super) fn parse(text: &'a str) -> Result<Self, Status> {
        let parts: Vec<&str> = text.split(':').collect();
        match parts[..] {
            [name] => Ok(Self { is_https: false, name, port: "" }),
            [name, port] | ["" | "http", name, port] => Ok(Self { is_https: false, name, port }),
            ["https", name, port] => Ok(Self { is_https: true, name, port }),
            _ => Err(Status::bad_request(format!(
                "invalid name {text:?}: use NAME, NAME:PORT, http:NAME:PORT or https:NAME:PORT"
            ))),
        }
    }
}

fn of_pod(
    call: &Call<'_>,
    kind: &'static Kind,
    resource: &Resource,
    name: &Name<'_>,
) -> Result<(PodTarget, u16), Status> {
    let resource = Resource { name: name.name.to_owned(), ..resource.clone() };
    let pod = stream::pod(call, kind, &resource)?;
    container::check_node(&pod, &call.api.node_name)?;
    let port = pod_port(&pod, name.port);
    let port =
        port.ok_or_else(|| Status::bad_request(format!("pod {:?} has no port {:?}", name.name, name.port)))?;
    Ok((container::pod_target(&pod), port))
}

/// By number, by the name that a container gives it, or the first that a container has.
fn pod_port(pod: &Value, asked: &str) -> Option<u16> {
    if let Ok(port) = asked.parse() {
        return Some(port);
    }
    let ports = list(&pod["spec"], "containers").iter().flat_map(|container| list(container, "ports"));
    let mut ports = ports.filter(|port| asked.is_empty() || text(port, "name") == asked);
    match ports.next() {
        Some(port) => port["containerPort"].as_u64().and_then(|port| u16::try_from(port).ok()),
        None => asked.is_empty().then_some(80),
    }
}

fn of_service(
    call: &Call<'_>,
    kind: &'static Kind,
    resource: &Resource,
    name: &Name<'_>,
) -> Result<(PodTarget, u16), Status> {
    let store = &call.api.store;
    let object = store.get(&change::key_of(kind, &resource.namespace, name.name));
    let service = change::parse(&*object.ok_or_else(|| change::not_found(kind, name.name))?)?;
    let ports = list(&service["spec"], "ports");
    let is_asked = |port: &&Value| {
        text(port, "name") == name.port
            || port["port"].as_u64().is_some_and(|port| port.to_string() == name.port)
    };
    let port =
        if name.port.is_empty() && ports.len() == 1 { ports.first() } else { ports.iter().find(is_asked) };
    let none =
        || Status::service_unavailable(format!("no endpoints available for service {:?}", resource.name));
    let port_name = text(port.ok_or_else(none)?, "name");
    let endpoints =
        store.get(&ObjectKey::new(Stored::new("endpoints"), resource.namespace.as_str(), name.name));
    let endpoints = change::parse(&*endpoints.ok_or_else(none)?)?;
    for subset in list(&endpoints, "subsets") {
        let port = list(subset, "ports").iter().find(|port| text(port, "name") == port_name);
        let port = port.and_then(|port| port["port"].as_u64()).and_then(|port| u16::try_from(port).ok());
        let pod = list(subset, "addresses").iter().find_map(|address| {
            let target = &address["targetRef"];
            let key = ObjectKey::new(Stored::new("pods"), resource.namespace.as_str(), text(target, "name"));
            change::parse(&*store.get(&key)?).ok()
        });
        if let (Some(pod), Some(port)) = (pod, port) {
            container::check_node(&pod, &call.api.node_name)?;
            return Ok((container::pod_target(&pod), port));
        }
    }
    Err(none())
}

/// Sends the request on, and the answer back.
async fn pass(
    call: &Call<'_>,
    pod: PodTarget,
    port: u16,
    is_https: bool,
    path: &str,
    request: Request<Body>,
) -> Result<Response<Body>, Status> {
    let unreachable = |error: &dyn std::fmt::Display| {
        Status::service_unavailable(format!("error trying to reach port {port} of the pod: {error}"))
    };
    let host = format!("{}:{port}", pod.name);
    let query = request.uri().query().map(|query| format!("?{query}")).unwrap_or_default();
    let own_path =
        request.uri().path().strip_suffix(path).unwrap_or_default().trim_end_matches('/').to_owned();
    let target = format!("/{path}{query}").parse::<PathAndQuery>();
    let target =
        target.map_err(|error| Status::bad_request(format!("the path cannot be sent on: {error}")))?;
    let name = pod.name.clone();
    let connection = call.api.backend.dial_address(pod, port).await.map_err(|error| unreachable(&error))?;
    let connection = if is_https {
        secure(connection, name).await.map_err(|error| unreachable(&error))?
    } else {
        connection
    };
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(connection))
        .await
        .map_err(|error| unreachable(&error))?;
    // Ends when the answer has been read, or the other side goes.
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a proxied connection broke");
        }
    });
    let (mut parts, body) = request.into_parts();
    parts.uri = Uri::from(target);
    parts.version = http::Version::HTTP_11;
    parts.extensions.clear();
    strip(&mut parts.headers);
    // Whoever is asked must not come to know how its clients are known here.
    parts.headers.remove(http::header::AUTHORIZATION);
    if let Ok(host) = HeaderValue::from_str(&host) {
        parts.headers.insert(HOST, host);
    }
    let sent = tokio::time::timeout(ANSWER_TIME, sender.send_request(Request::from_parts(parts, body))).await;
    let answer = sent.map_err(|_| unreachable(&"no answer in time"))?.map_err(|error| unreachable(&error))?;
    let mut answer = answer.map(|body| body.map_err(io::Error::other).boxed_unsync());
    strip(answer.headers_mut());
    Ok(links::rewrite(answer, &own_path, &host))
}

/// TLS with whoever answers: nothing says which certificate a pod should have, and the connection leads to no other.
async fn secure(connection: Box<dyn Connection>, name: String) -> io::Result<Box<dyn Connection>> {
    let name = ServerName::try_from(name).map_err(io::Error::other)?;
    let connecting = TlsConnector::from(prober::trusting_tls()).connect(name, connection);
    let connected = tokio::time::timeout(ANSWER_TIME, connecting).await.map_err(io::Error::from)??;
    Ok(Box::new(connected))
}

/// Removes what is about the connection, not about the message.
fn strip(headers: &mut HeaderMap) {
    let named: Vec<String> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|name| name.trim().to_owned())
        .collect();
    for name in named {
        headers.remove(name.as_str());
    }
    for name in [CONNECTION, TRANSFER_ENCODING, UPGRADE] {
        headers.remove(name);
    }
    for name in ["keep-alive", "proxy-connection", "te", "trailer"] {
        headers.remove(name);
    }
}
