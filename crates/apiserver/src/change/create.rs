//! A new object.

use apimachinery::{Status, apply, meta};
use serde_json::Value;
use store::Tx;
use tracing::field::Empty;
use tracing::{Span, trace_span};

use super::{Change, Changed, key_of};
use crate::admission;
use crate::entropy;
use crate::kinds::Kind;
use crate::objects::put;
use crate::request::Operation;

/// Names that are drawn before a taken one is reported.
const NAME_DRAWS_MAX: u32 = 8;

/// Of all that it takes to create an object, for who collects where the time of a pod's start goes; none for other kinds.
/// It is to be told of the object by [`tell_created`].
#[must_use]
pub fn creation_span(kind: &Kind) -> Span {
    if kind.group.is_empty() && kind.plural == "pods" {
        trace_span!(target: "start", parent: None, "create", pod = Empty, name = Empty)
    } else {
        Span::none()
    }
}

/// That it was created within the current span.
pub fn tell_created(object: &Value) {
    let span = Span::current();
    if !span.is_disabled() {
        span.record("pod", meta::uid(object));
        span.record("name", format!("{}/{}", meta::namespace(object), meta::name(object)));
    }
}

/// Adds `object`, which has been checked against its schema, within a write.
///
/// # Errors
/// The client's answer; then nothing may be kept.
pub fn create(tx: &mut Tx<'_>, change: &Change, object: Value) -> Result<Changed, Status> {
    add(tx, change, object, false)
}

/// [`create`] of an object that says already who owns its fields, as one that is applied does.
pub(super) fn create_owned(tx: &mut Tx<'_>, change: &Change, object: Value) -> Result<Changed, Status> {
    add(tx, change, object, true)
}

fn add(tx: &mut Tx<'_>, change: &Change, mut object: Value, is_owned: bool) -> Result<Changed, Status> {
    let kind = change.kind;
    if let Some(instead) = kind.rules.refusal() {
        return Err(Status::forbidden(kind.group, kind.plural, meta::name(&object), instead));
    }
    meta::prepare_creation(&mut object, &podspec::uuid(&entropy::identity()), change.now)?;
    let mut change = change.clone();
    name(tx, &mut change, &mut object)?;
    kind.rules.default(&mut object);
    if !is_owned {
        // Before admission: what that adds belongs to nobody, so that no later apply takes it away.
        let api_version = change.stored_kind().api_version();
        object = apply::track_update(change.ty()?, None, object, &change.writer(&api_version));
    }
    kind.rules.prepare_create(&mut object);
    let admitted = trace_span!(target: "start", "admission")
        .in_scope(|| admission::admit(&change.attributes(Operation::Create), tx, &mut object, None))?;
    let mut errors = meta::validate(&object, kind.namespaced, kind.names);
    errors.extend(kind.rules.validate(&object));
    if !errors.is_empty() {
        return Err(Status::invalid(kind.group, kind.kind, meta::name(&object), &errors));
    }
    if tx.get(&change.key()).is_some() {
        return Err(Status::already_exists(kind.group, kind.plural, &change.name));
    }
    let mut warnings = kind.rules.warnings(&object, None);
    warnings.extend(admitted);
    if !change.dry_run {
        put(tx, kind, &mut object);
    }
    Ok(Changed { object, warnings, created: true })
}

/// Draws a name where one is to be generated, and takes the body's where the URL has none.
fn name(tx: &Tx<'_>, change: &mut Change, object: &mut Value) -> Result<(), Status> {
    let kind = change.kind;
    let asked = meta::name(object).to_owned();
    if !change.name.is_empty() && !asked.is_empty() && change.name != asked {
        return Err(Status::bad_request(
            "the name of the object is not the one in the URL: make them the same",
        ));
    }
    if !change.name.is_empty() && asked.is_empty() {
        object["metadata"]["name"] = change.name.as_str().into();
        return Ok(());
    }
    let mut draws = 0;
    while meta::set_generated_name(object, &entropy::identity()) {
        let drawn = key_of(kind, &change.namespace, meta::name(object));
        if tx.get(&drawn).is_none() {
            break;
        }
        draws += 1;
        if draws == NAME_DRAWS_MAX {
            return Err(Status::generated_name_taken(kind.group, kind.plural, meta::generate_name(object)));
        }
        if let Some(metadata) = object["metadata"].as_object_mut() {
            metadata.remove("name");
        }
    }
    meta::name(object).clone_into(&mut change.name);
    Ok(())
}
