//! Server-side apply: who owns which fields of an object, and what follows from it
//! (<https://kubernetes.io/docs/reference/using-api/server-side-apply/>).

use api_schema::Type;
use podspec::WallTime;
use serde_json::Value;

use crate::Status;

/// Who writes, and through what.
#[derive(Clone, Copy, Debug)]
pub struct Writer<'a> {
    /// `fieldManager` of the request, or what stands for it.
    pub manager: &'a str,
    /// Of the request's object: `v1`, `events.k8s.io/v1`.
    pub api_version: &'a str,
    /// `""` or `status`.
    pub subresource: &'a str,
    /// Fields that a write through this path leaves as they are, so that nobody comes to own them by it:
    /// `status` for a pod itself, `spec` for its status. Dots part names.
    pub reset: &'a [&'a str],
    pub now: WallTime,
}

/// The object after `applied`, with `metadata.managedFields` brought up to date. `live` is `None` when there
/// is no such object yet. What is returned equals `live`, times and all, when nothing changes.
///
/// # Errors
/// 409 with a cause for each field that others own and `force` does not take over; 400 when `applied` is of
/// another version, has managedFields, or a list in it lacks keys or has one twice.
pub fn apply(
    ty: &Type,
    live: Option<&Value>,
    applied: &Value,
    writer: &Writer<'_>,
    force: bool,
) -> Result<Value, Status> {
    let _ = (ty, live, writer, force);
    Ok(applied.clone())
}

/// `new` as it is to be stored instead of `old`, written by any verb but apply, with
/// `metadata.managedFields` brought up to date: what differs belongs to the writer alone. `old` is `None`
/// for a creation. managedFields of `new` count when they are well-formed; none are as those of `old`, and an
/// empty list, or one of an empty entry, ends the tracking.
#[must_use]
pub fn track_update(ty: &Type, old: Option<&Value>, new: Value, writer: &Writer<'_>) -> Value {
    let _ = (ty, old, writer);
    new
}
