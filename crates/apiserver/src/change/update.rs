//! A changed object.

use std::fmt;

use apimachinery::{Status, apply, meta};
use serde_json::Value;
use store::Tx;

use super::{Change, Changed, create::create_owned, parse};
use crate::admission;
use crate::objects::{put, remove};
use crate::request::Operation;

/// Of the object that is there, the one that is to be; a patch or the client's own copy.
type Make = Box<dyn FnOnce(&Value) -> Result<(Value, Vec<String>), Status> + Send>;

/// How the new object comes about.
pub enum Edit {
    Replace(Make),
    /// Server-side apply: creates what is not there.
    Apply {
        applied: Value,
        force: bool,
    },
}

impl fmt::Debug for Edit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Replace(_) => f.write_str("Replace"),
            Self::Apply { force, .. } => {
                f.debug_struct("Apply").field("force", force).finish_non_exhaustive()
            }
        }
    }
}

/// Changes an object within a write.
///
/// # Errors
/// The client's answer; then nothing may be kept.
pub fn update(tx: &mut Tx<'_>, change: &Change, edit: Edit) -> Result<Changed, Status> {
    let kind = change.kind;
    let ty = change.ty()?;
    let api_version = change.stored_kind().api_version();
    let Some(old) = tx.get(&change.key()) else {
        return match edit {
            Edit::Apply { applied, .. } if change.subresource.is_none() => apply_new(tx, change, &applied),
            _ => Err(change.not_found()),
        };
    };
    let old = parse(&old)?;
    let (mut new, mut warnings, is_apply) = match edit {
        Edit::Replace(make) => {
            let (new, warnings) = make(&old)?;
            (new, warnings, false)
        }
        Edit::Apply { applied, force } => {
            let writer = change.writer(&api_version);
            (apply::apply(ty, Some(&old), &applied, &writer, force)?, Vec::new(), true)
        }
    };
    check_identity(change, &new, &old)?;
    meta::prepare_update(&mut new, &old);
    kind.rules.default(&mut new);
    if !is_apply {
        // Before admission, as for new objects.
        new = apply::track_update(ty, Some(&old), new, &change.writer(&api_version));
    }
    let attributes = change.attributes(Operation::Update);
    admission::complete(&attributes, &mut new);
    kind.rules.prepare_update(&mut new, &old, change.subresource);
    let admitted = admission::admit(&attributes, tx, &mut new, Some(&old))?;
    let mut errors = meta::validate_update(&new, &old);
    errors.extend(kind.rules.validate_update(&new, &old, change.subresource));
    if !errors.is_empty() {
        return Err(Status::invalid(kind.group, kind.kind, &change.name, &errors));
    }
    warnings.extend(kind.rules.warnings(&new, Some(&old)));
    warnings.extend(admitted);
    if is_same(&new, &old) {
        return Ok(Changed { object: keep(tx, change, &old, old.clone()), warnings, created: false });
    }
    Ok(Changed { object: keep(tx, change, &old, new), warnings, created: false })
}

/// Whether nothing has changed but the times at which managers are said to have written.
fn is_same(new: &Value, old: &Value) -> bool {
    let timeless = |object: &Value| {
        let mut managers = object["metadata"]["managedFields"].clone();
        for manager in managers.as_array_mut().into_iter().flatten() {
            if let Some(manager) = manager.as_object_mut() {
                manager.remove("time");
            }
        }
        managers
    };
    let others = |object: &Value| {
        let mut object = object.clone();
        if let Some(metadata) = object["metadata"].as_object_mut() {
            metadata.remove("managedFields");
        }
        object
    };
    new == old || timeless(new) == timeless(old) && others(new) == others(old)
}

/// Server-side apply of an object that is not there.
fn apply_new(tx: &mut Tx<'_>, change: &Change, applied: &Value) -> Result<Changed, Status> {
    let api_version = change.stored_kind().api_version();
    let object = apply::apply(change.ty()?, None, applied, &change.writer(&api_version), false)?;
    create_owned(tx, change, object)
}

/// What the client says about the object it means.
fn check_identity(change: &Change, new: &Value, old: &Value) -> Result<(), Status> {
    let kind = change.kind;
    let (asked, found) = (meta::uid(new), meta::uid(old));
    if !asked.is_empty() && asked != found {
        return Err(Status::uid_differs(kind.group, kind.plural, &change.name, asked, found));
    }
    let (asked, found) = (meta::resource_version(new), meta::resource_version(old));
    if !asked.is_empty() && asked != found {
        return Err(Status::modified(kind.group, kind.plural, &change.name));
    }
    Ok(())
}

/// Stores what has changed; an object whose last finalizer went while it is being deleted is gone with it.
fn keep(tx: &mut Tx<'_>, change: &Change, old: &Value, mut new: Value) -> Value {
    if change.dry_run {
        return new;
    }
    if is_done(change, &new) {
        remove(tx, change.kind, &mut new);
    } else if new != *old {
        put(tx, change.kind, &mut new);
    }
    new
}

/// Whether nothing holds an object that is being deleted.
fn is_done(change: &Change, object: &Value) -> bool {
    let has_none = |list: &Value| list.as_array().is_none_or(Vec::is_empty);
    let waits = object["metadata"]["deletionGracePeriodSeconds"].as_u64().unwrap_or(0) > 0;
    let held = !has_none(&object["metadata"]["finalizers"])
        || change.kind.kind == "Namespace" && !has_none(&object["spec"]["finalizers"]);
    meta::is_being_deleted(object) && !waits && !held
}
