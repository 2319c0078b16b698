//! The API without its sockets: a request in, an answer out.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use apimachinery::Status;
use futures_util::FutureExt as _;
use http::header::{ACCEPT, ACCEPT_ENCODING, HeaderMap, HeaderName, USER_AGENT};
use http::{Method, Request, Response};
use store::Store;

use crate::auth::{Authenticator, Peer};
use crate::backend::NodeBackend;
use crate::body::Body;
use crate::controllers::StockRoles;
use crate::metrics::Metrics;
use crate::negotiate;
use crate::request::User;
use crate::respond::{self, Style};
use crate::route::{Query, Resource, Target};
use crate::{access, discovery, handlers, pages, subresources};

/// What answers requests.
#[derive(Debug)]
pub struct Api {
    pub(crate) store: Store,
    pub(crate) backend: Arc<dyn NodeBackend>,
    /// The node whose pods the backend runs.
    pub(crate) node_name: String,
    pub(crate) authenticator: Authenticator,
    pub(crate) policies: access::Policies,
    pub(crate) metrics: Metrics,
    pub(crate) documents: discovery::Documents,
    pub(crate) roles: StockRoles,
    /// Becomes true once: watches end then.
    pub(crate) shutdown: tokio::sync::watch::Sender<bool>,
    /// `X.Y.Z`.
    pub(crate) version: &'static str,
}

/// A request whose sender is known and whose target is understood.
pub(crate) struct Call<'a> {
    pub(crate) api: &'a Arc<Api>,
    pub(crate) user: User,
    pub(crate) method: Method,
    pub(crate) query: Query,
    pub(crate) headers: HeaderMap,
    pub(crate) style: Style,
}

impl Call<'_> {
    pub(crate) fn header(&self, name: &HeaderName) -> Option<&str> {
        header(&self.headers, name)
    }

    pub(crate) fn accept(&self) -> Option<&str> {
        self.header(&ACCEPT)
    }
}

fn header<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

impl Api {
    /// Makes the stock roles and their bindings, if nobody has before. Connections wait for it.
    pub async fn make_roles(&self) {
        self.roles.make(&self.store).await;
    }

    /// Answers one request. Never fails: a panic is answered with 500, and the connection goes on.
    pub async fn call(self: Arc<Self>, request: Request<Body>, peer: Peer) -> Response<Body> {
        let begun = Instant::now();
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let mut label = Label::default();
        let answer = AssertUnwindSafe(answer(&self, request, &peer, &mut label)).catch_unwind().await;
        let response = match answer {
            Ok(Ok(response)) => response,
            Ok(Err(status)) => respond::failure(&status),
            Err(_) => respond::failure(&Status::internal("the request made the server panic")),
        };
        let (code, took) = (response.status().as_u16(), begun.elapsed());
        self.metrics.record(label.verb, &label.resource, code, took);
        tracing::debug!(%method, path, code, took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX), user = label.user, "request");
        response
    }
}

/// What metrics and the log call a request.
#[derive(Debug, Default)]
struct Label {
    verb: &'static str,
    resource: String,
    user: String,
}

async fn answer(
    api: &Arc<Api>,
    request: Request<Body>,
    peer: &Peer,
    label: &mut Label,
) -> Result<Response<Body>, Status> {
    let user = api.authenticator.user(request.headers(), peer, &api.store)?;
    user.name.clone_into(&mut label.user);
    let target = Target::of(request.uri().path()).map_err(|error| Status::bad_request(error.to_string()))?;
    let query = Query::parse(request.uri().query().unwrap_or(""))
        .map_err(|error| Status::bad_request(error.to_string()))?;
    let method = if request.method() == Method::HEAD { Method::GET } else { request.method().clone() };
    let user = access::impersonated(api, user, request.headers())?;
    let style = style(request.headers(), &query);
    let headers = request.headers().clone();
    let call = Call { api, user, method, query, headers, style };
    match target {
        Target::Path(path) => {
            label.verb = verb_of_path(&call.method);
            access::check_path(&call, label.verb, &path)?;
            pages::answer(&call, &path)
        }
        Target::Resource(resource) => {
            let is_watch = call.query.flag("watch");
            label.verb = resource.verb(&call.method, is_watch);
            label.resource = labelled(&resource);
            access::check(&call, label.verb, &resource)?;
            // Boxed: handlers hold whole objects over their awaits.
            if resource.subresource.is_empty() {
                Box::pin(handlers::answer(&call, resource, request)).await
            } else {
                Box::pin(subresources::answer(&call, resource, request)).await
            }
        }
    }
}

fn verb_of_path(method: &Method) -> &'static str {
    match *method {
        Method::GET => "get",
        Method::POST => "post",
        Method::PUT => "put",
        Method::PATCH => "patch",
        Method::DELETE => "delete",
        _ => "other",
    }
}

/// Only names that are served, so that clients cannot make metrics grow.
fn labelled(resource: &Resource) -> String {
    let kind = crate::kinds::Kind::find(&resource.group, &resource.version, &resource.plural);
    let Some(kind) = kind else { return "other".to_owned() };
    match kind.subresource(&resource.subresource) {
        Some(subresource) => format!("{}/{}", kind.plural, subresource.name),
        None => kind.plural.to_owned(),
    }
}

fn style(headers: &HeaderMap, query: &Query) -> Style {
    const PEOPLE: [&str; 3] = ["curl", "Wget", "Mozilla/5.0"];
    let agent = header(headers, &USER_AGENT).unwrap_or("");
    let for_people = PEOPLE.iter().any(|program| agent.starts_with(program));
    Style {
        gzip: negotiate::takes_gzip(header(headers, &ACCEPT_ENCODING)),
        pretty: if query.has("pretty") { query.flag("pretty") } else { for_people },
    }
}
