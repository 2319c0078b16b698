//! Questions that are answered and not kept: reviews of access, of tokens, of oneself.

use apimachinery::{Status, meta};
use authorization::{Decision, Policy, access_request, rules_review, subject_of};
use http::header::CONTENT_TYPE;
use http::{Response, StatusCode};
use podspec::json::{list, text};
use serde_json::{Value, json};

use crate::access::subject;
use crate::api::Call;
use crate::auth::ISSUER;
use crate::body::Body;
use crate::decode::{self, FieldValidation};
use crate::kinds::Kind;
use crate::negotiate;
use crate::request::User;
use crate::respond;
use crate::route::Resource;

pub(crate) fn answer(
    call: &Call<'_>,
    kind: &'static Kind,
    resource: &Resource,
    bytes: &[u8],
) -> Result<Response<Body>, Status> {
    if negotiate::form(call.accept()) != Some(negotiate::Form::Json) {
        return Err(Status::not_acceptable(&[negotiate::OFFERED]));
    }
    let mut decoded = decode::read(negotiate::body_form(call.header(&CONTENT_TYPE)), bytes)?;
    decode::check_kind(&mut decoded.value, &kind.api_version(), kind.kind)?;
    if let Some(ty) = api_schema::Schema::get().kind(kind.group, kind.version, kind.kind) {
        decode::check_schema(ty, &mut decoded, FieldValidation::Ignore)?;
    }
    let mut review = decoded.value;
    if kind.namespaced {
        meta::set_namespace(&mut review, &resource.namespace)?;
    }
    let invalid = |errors: Vec<podspec::FieldError>| Status::invalid(kind.group, kind.kind, "", &errors);
    let spec = &review["spec"];
    let status = match kind.kind {
        "SelfSubjectReview" => json!({ "userInfo": described(&call.user) }),
        "TokenReview" => token(call, spec)?,
        "SelfSubjectRulesReview" => {
            let namespace = text(spec, "namespace");
            if namespace.is_empty() {
                return Err(Status::bad_request("no namespace on request"));
            }
            ask(call, |policy| rules_review(policy, &subject(&call.user), namespace))
        }
        "SelfSubjectAccessReview" => {
            let request = access_request(spec, None).map_err(invalid)?;
            decided(&ask(call, |policy| policy.decide(&subject(&call.user), &request)))
        }
        _ => {
            let local = kind.namespaced.then_some(resource.namespace.as_str());
            let request = access_request(spec, local).map_err(invalid)?;
            let (name, groups) = subject_of(spec).map_err(invalid)?;
            let user = authorization::User { name: &name, groups: &groups };
            decided(&ask(call, |policy| policy.decide(&user, &request)))
        }
    };
    review["status"] = status;
    Ok(respond::json(StatusCode::CREATED, &review, call.style))
}

fn ask<T>(call: &Call<'_>, ask: impl FnOnce(&Policy) -> T) -> T {
    call.api.policies.current(&call.api.store, ask)
}

fn decided(decision: &Decision) -> Value {
    let (allowed, reason) = match decision {
        Decision::Allowed(reason) => (true, reason),
        Decision::Denied(reason) => (false, reason),
    };
    let mut status = json!({ "allowed": allowed });
    if !reason.is_empty() {
        status["reason"] = reason.as_str().into();
    }
    status
}

fn described(user: &User) -> Value {
    let mut info = json!({ "username": user.name, "groups": user.groups });
    if !user.uid.is_empty() {
        info["uid"] = user.uid.as_str().into();
    }
    if !user.extra.is_empty() {
        info["extra"] = json!(user.extra);
    }
    info
}

fn token(call: &Call<'_>, spec: &Value) -> Result<Value, Status> {
    let asked = text(spec, "token");
    if asked.is_empty() {
        return Err(Status::bad_request("token is required for TokenReview in authentication"));
    }
    let audiences: Vec<String> =
        list(spec, "audiences").iter().filter_map(Value::as_str).map(str::to_owned).collect();
    let audiences = if audiences.is_empty() { vec![ISSUER.to_owned()] } else { audiences };
    let tokens = &call.api.authenticator.tokens;
    Ok(match tokens.review(asked, &audiences, &call.api.store, crate::entropy::now()) {
        Some((user, audiences)) => {
            json!({ "authenticated": true, "user": described(&user), "audiences": audiences })
        }
        None => json!({ "user": {}, "error": "invalid bearer token" }),
    })
}
