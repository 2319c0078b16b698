//! One HTTP/2 connection over the engine's socket.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::Value;
use tokio::net::UnixStream;

pub(in crate::workload) const JSON: &str = "application/json";
pub(in crate::workload) const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io";

/// Ends with its last clone.
#[derive(Clone, Debug)]
pub(in crate::workload) struct Client(SendRequest<Full<Bytes>>);

impl Client {
    pub(in crate::workload) async fn connect(socket: &Path) -> Result<Self> {
        let stream = UnixStream::connect(socket).await;
        let stream = stream.with_context(|| format!("cannot connect to {}", socket.display()))?;
        let (sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
        // Whatever goes wrong is said to who waits for an answer.
        tokio::spawn(async { drop(connection.await) });
        Ok(Self(sender))
    }

    /// An answer whose body is still to come.
    pub(in crate::workload) async fn ask(
        &self,
        method: Method,
        path: &str,
        accept: &str,
        body: Vec<u8>,
    ) -> Result<Response<Incoming>> {
        self.ask_with(method, path, accept, JSON, body).await
    }

    /// With a body of another type, as patches are.
    pub(in crate::workload) async fn ask_with(
        &self,
        method: Method,
        path: &str,
        accept: &str,
        content: &str,
        body: Vec<u8>,
    ) -> Result<Response<Incoming>> {
        let request = Request::builder().method(method).uri(format!("http://localhost{path}"));
        let request = request.header(ACCEPT, accept).header(CONTENT_TYPE, content);
        let mut sender = self.0.clone();
        sender.ready().await?;
        Ok(sender.send_request(request.body(Full::new(body.into()))?).await?)
    }

    /// The whole answer to GET, which has to be a success.
    pub(in crate::workload) async fn get(&self, path: &str, accept: &str) -> Result<Bytes> {
        let answer = self.ask(Method::GET, path, accept, Vec::new()).await?;
        whole(answer, StatusCode::OK).await.with_context(|| path.to_owned())
    }

    pub(in crate::workload) async fn create(&self, path: &str, object: &Value) -> Result<Bytes> {
        let answer = self.ask(Method::POST, path, JSON, object.to_string().into_bytes()).await?;
        whole(answer, StatusCode::CREATED).await.with_context(|| path.to_owned())
    }
}

async fn whole(answer: Response<Incoming>, expected: StatusCode) -> Result<Bytes> {
    let (head, body) = answer.into_parts();
    let body = body.collect().await?.to_bytes();
    ensure!(head.status == expected, "{}: {}", head.status, String::from_utf8_lossy(&body));
    Ok(body)
}
