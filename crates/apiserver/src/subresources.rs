//! What lies below an object: its status, its logs, its processes.

use apimachinery::Status;
use http::{Request, Response};

use crate::api::Call;
use crate::body::Body;
use crate::handlers;
use crate::route::Resource;

pub(crate) async fn answer(
    call: &Call<'_>,
    resource: Resource,
    request: Request<Body>,
) -> Result<Response<Body>, Status> {
    let kind = handlers::kind_of(&resource)?;
    let _ = (call, kind, request);
    Err(Status::no_such_path())
}
