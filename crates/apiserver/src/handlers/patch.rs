//! The four kinds of patches.

use apimachinery::{Status, meta, patch as apply_patch};
use bytes::Bytes;
use http::Response;
use http::header::CONTENT_TYPE;
use serde_json::Value;

use super::form::{form, present};
use super::write::{Write, carry_out, respond_changed};
use crate::api::Call;
use crate::body::Body;
use crate::change::{self, Edit};
use crate::decode::{self, Decoded};
use crate::negotiate::{self, BodyForm};
use podspec::{FieldError, FieldErrorKind, FieldPath};

const ACCEPTED: &[&str] = &[
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
];

pub(crate) async fn patch(call: &Call<'_>, write: Write, bytes: Bytes) -> Result<Response<Body>, Status> {
    form(call)?;
    let kind = write.change.kind;
    let change = write.change.clone();
    let edit = match negotiate::body_form(call.header(&CONTENT_TYPE)) {
        Some(BodyForm::ApplyYaml) => applied(call, &write, &bytes)?,
        Some(form @ (BodyForm::JsonPatch | BodyForm::MergePatch | BodyForm::StrategicMergePatch)) => {
            let Decoded { value, complaints } = decode::read_json(&bytes)?;
            Edit::Replace(Box::new(move |old| {
                let patched = patched(form, kind, old, &value)?;
                check_name(&patched, old)?;
                write.object(Decoded { value: patched, complaints })
            }))
        }
        _ => return Err(Status::unsupported_media_type(ACCEPTED)),
    };
    let dry_run = change.dry_run;
    let changed = carry_out(call.api, change, move |tx, change| change::update(tx, change, edit)).await?;
    if changed.created && !dry_run {
        change::tell_created(&changed.object);
    }
    respond_changed(call, kind, changed)
}

fn patched(form: BodyForm, kind: &crate::kinds::Kind, old: &Value, patch: &Value) -> Result<Value, Status> {
    let old = present(kind, old.clone());
    match form {
        BodyForm::JsonPatch => apply_patch::json_patch(&old, patch),
        BodyForm::MergePatch => apply_patch::merge_patch(&old, patch),
        _ => {
            let ty = api_schema::Schema::get().kind(kind.group, kind.version, kind.kind);
            let ty =
                ty.ok_or_else(|| Status::internal(&format!("the schema does not have {}", kind.kind)))?;
            apply_patch::strategic_merge(ty, &old, patch)
        }
    }
}

fn check_name(patched: &Value, old: &Value) -> Result<(), Status> {
    if meta::name(patched) == meta::name(old) {
        return Ok(());
    }
    Err(Status::bad_request(format!(
        "the name of the object ({}) does not match the name on the URL ({})",
        meta::name(patched),
        meta::name(old)
    )))
}

fn applied(call: &Call<'_>, write: &Write, bytes: &Bytes) -> Result<Edit, Status> {
    if !write.names_manager {
        let error = FieldError {
            path: FieldPath::root().child("fieldManager"),
            kind: FieldErrorKind::Required,
            value: None,
            detail: "is required for apply patch".to_owned(),
            hint: None,
        };
        return Err(Status::invalid("meta.k8s.io", "PatchOptions", "", &[error]));
    }
    let force = call.query.bool("force").map_err(|error| Status::bad_request(error.to_string()))?;
    let (mut object, _) = write.object(decode::read_yaml(bytes)?)?;
    let name = meta::name(&object);
    if name.is_empty() {
        object["metadata"]["name"] = write.change.name.as_str().into();
    } else if name != write.change.name {
        return Err(Status::bad_request(format!(
            "the name of the object ({name}) does not match the name on the URL ({})",
            write.change.name
        )));
    }
    Ok(Edit::Apply { applied: object, force: force.unwrap_or(false) })
}
