//! A new token of a service account.

use apimachinery::Status;
use http::{Request, Response, StatusCode};
use podspec::json::{list, text};
use podspec::{FieldError, FieldErrorKind, FieldPath};
use serde_json::{Value, json};
use store::{ObjectKey, Resource as Stored};

use crate::api::Call;
use crate::auth::{Binding, ISSUER, TokenRequest};
use crate::body::Body;
use crate::change;
use crate::kinds::Kind;
use crate::respond;
use crate::route::Resource;

const SECONDS_DEFAULT: i64 = 3_600;
const SECONDS_MIN: i64 = 600;
const SECONDS_MAX: i64 = 1 << 32;
/// A token goes with every request: it should stay small.
const AUDIENCES_MAX: usize = 64;

pub(super) async fn issue(
    call: &Call<'_>,
    kind: &'static Kind,
    resource: &Resource,
    request: Request<Body>,
) -> Result<Response<Body>, Status> {
    let mut body = super::pod::read_as(call, kind, resource, request).await?;
    let key = change::key_of(kind, &resource.namespace, &resource.name);
    let account = call.api.store.get(&key).ok_or_else(|| change::not_found(kind, &resource.name))?;
    let seconds = body["spec"]["expirationSeconds"].as_i64().unwrap_or(SECONDS_DEFAULT);
    check(&body["spec"], seconds)?;
    let audiences: Vec<String> =
        list(&body["spec"], "audiences").iter().filter_map(Value::as_str).map(str::to_owned).collect();
    let bound_to = bound(call, &resource.namespace, &resource.name, &body["spec"]["boundObjectRef"])?;
    let request = TokenRequest {
        namespace: resource.namespace.clone(),
        account: resource.name.clone(),
        account_uid: account.uid.clone(),
        audiences: audiences.clone(),
        seconds: seconds.unsigned_abs(),
        bound_to,
    };
    let now = crate::entropy::now();
    let issued = call.api.authenticator.tokens.issue(&request, now);
    let audiences = if audiences.is_empty() { vec![ISSUER.to_owned()] } else { audiences };
    body["spec"]["audiences"] = json!(audiences);
    body["spec"]["expirationSeconds"] = seconds.into();
    body["status"] =
        json!({ "token": issued.token, "expirationTimestamp": issued.expires.rfc3339_seconds() });
    body["metadata"] = json!({
        "name": resource.name,
        "namespace": resource.namespace,
        "creationTimestamp": now.rfc3339_seconds(),
    });
    Ok(respond::json(StatusCode::CREATED, &body, call.style))
}

fn check(spec: &Value, seconds: i64) -> Result<(), Status> {
    let error = |field: &str, value: Value, detail: &str| FieldError {
        path: FieldPath::root().child("spec").child(field),
        kind: FieldErrorKind::Invalid,
        value: Some(value),
        detail: detail.to_owned(),
        hint: None,
    };
    let mut errors = Vec::new();
    if seconds < SECONDS_MIN {
        errors.push(error(
            "expirationSeconds",
            seconds.into(),
            "may not specify a duration less than 10 minutes",
        ));
    }
    if seconds > SECONDS_MAX {
        errors.push(error(
            "expirationSeconds",
            seconds.into(),
            "may not specify a duration larger than 2^32 seconds",
        ));
    }
    if list(spec, "audiences").len() > AUDIENCES_MAX {
        let detail = format!("may not have more than {AUDIENCES_MAX} entries");
        errors.push(error("audiences", Value::Null, &detail));
    }
    if errors.is_empty() {
        return Ok(());
    }
    Err(Status::invalid("authentication.k8s.io", "TokenRequest", "", &errors))
}

/// The object that the token is to end with.
fn bound(
    call: &Call<'_>,
    namespace: &str,
    account: &str,
    reference: &Value,
) -> Result<Option<Binding>, Status> {
    if !reference.is_object() {
        return Ok(None);
    }
    let (kind, name, asked) = (text(reference, "kind"), text(reference, "name"), text(reference, "uid"));
    let resource = match kind {
        "Pod" => "pods",
        "Secret" => "secrets",
        _ => {
            let message = format!(
                "cannot bind token for serviceaccount to object kind {kind:?}: name a Pod or a Secret"
            );
            return Err(Status::bad_request(message));
        }
    };
    let found = call.api.store.get(&ObjectKey::new(Stored::new(resource), namespace, name));
    let found = found.ok_or_else(|| Status::not_found("", resource, name))?;
    if !asked.is_empty() && asked != found.uid {
        let why = format!(
            "the UID in the bound object reference ({asked}) does not match the UID in record. The object might have been deleted and then recreated"
        );
        return Err(Status::conflict("", resource, name, &why));
    }
    if kind == "Pod" {
        let pod = change::parse(&found)?;
        let of_pod = text(&pod["spec"], "serviceAccountName");
        if of_pod != account {
            let why = format!(
                "cannot bind token for serviceaccount {account:?} to pod running with different serviceaccount name."
            );
            return Err(Status::forbidden("", "serviceaccounts", account, &why));
        }
    }
    Ok(Some(Binding { kind: kind.to_owned(), name: name.to_owned(), uid: found.uid.clone() }))
}
