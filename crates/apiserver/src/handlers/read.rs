//! One object.

use apimachinery::Status;
use http::{Response, StatusCode};

use super::form::{Shaper, label, present_bytes};
use crate::api::Call;
use crate::body::Body;
use crate::kinds::Kind;
use crate::negotiate::Form;
use crate::route::Resource;
use crate::{change, respond};

pub(crate) fn get(
    call: &Call<'_>,
    kind: &'static Kind,
    resource: &Resource,
) -> Result<Response<Body>, Status> {
    let shaper = Shaper::of(call, kind)?;
    let key = change::key_of(kind, &resource.namespace, &resource.name);
    let object = call.api.store.get(&key).ok_or_else(|| change::not_found(kind, &resource.name))?;
    if shaper.form == Form::Json && !call.style.pretty {
        let bytes = present_bytes(kind, &object)?.into_owned();
        return Ok(respond::json_bytes(StatusCode::OK, bytes, call.style));
    }
    let value = shaper.one(change::parse(&object)?);
    let mut response = respond::json(StatusCode::OK, &value, call.style);
    label(&mut response, shaper.form);
    Ok(response)
}
