//! The end of an object, which may take its time.

use apimachinery::{Status, meta};
use serde_json::{Value, json};
use store::Tx;

use super::{Change, parse};
use crate::admission;
use crate::kinds::Kind;
use crate::objects::{pod_is_over, put, remove};
use crate::request::Operation;

/// What becomes of an object's dependents.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Propagation {
    /// They are deleted once it is gone.
    Background,
    /// It waits for them.
    Foreground,
    /// They stay.
    Orphan,
}

/// `metav1.DeleteOptions`, as far as a change is concerned.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct DeleteOptions {
    pub grace_seconds: Option<i64>,
    pub propagation: Option<Propagation>,
    /// Preconditions.
    pub uid: Option<String>,
    pub resource_version: Option<String>,
}

#[derive(Clone, PartialEq, Debug)]
pub enum Deleted {
    /// It is no more; this is the last that was seen of it.
    Gone(Value),
    /// Something holds it, a grace period or a finalizer.
    Pending(Value),
}

const FOREGROUND: &str = "foregroundDeletion";
const ORPHAN: &str = "orphan";

/// Deletes an object, or begins to, within a write.
///
/// # Errors
/// The client's answer; then nothing may be kept.
pub fn delete(tx: &mut Tx<'_>, change: &Change, options: &DeleteOptions) -> Result<Deleted, Status> {
    let kind = change.kind;
    let old = parse(&*tx.get(&change.key()).ok_or_else(|| change.not_found())?)?;
    check_preconditions(change, options, &old)?;
    let mut judged = old.clone();
    admission::admit(&change.attributes(Operation::Delete), tx, &mut judged, Some(&old))?;
    let mut object = old.clone();
    let grace = grace_seconds(kind, &object, options.grace_seconds);
    propagate(&mut object, options.propagation);
    let is_held = is_held(kind, &object);
    if grace == 0 && !is_held {
        if !change.dry_run {
            remove(tx, kind, &mut object);
        }
        return Ok(Deleted::Gone(object));
    }
    mark(kind, &mut object, change, grace);
    if object != old && !change.dry_run {
        put(tx, kind, &mut object);
    }
    Ok(Deleted::Pending(object))
}

fn check_preconditions(change: &Change, options: &DeleteOptions, old: &Value) -> Result<(), Status> {
    let Kind { group, plural, .. } = *change.kind;
    let found = meta::uid(old);
    if let Some(asked) = options.uid.as_deref().filter(|asked| *asked != found) {
        return Err(Status::uid_differs(group, plural, &change.name, asked, found));
    }
    let found = meta::resource_version(old);
    if let Some(asked) = options.resource_version.as_deref().filter(|asked| *asked != found) {
        return Err(Status::version_differs(group, plural, &change.name, asked, found));
    }
    Ok(())
}

/// Only pods take their time, and only those that a node may have begun.
fn grace_seconds(kind: &Kind, object: &Value, asked: Option<i64>) -> i64 {
    if kind.kind != "Pod" {
        return 0;
    }
    let spec = &object["spec"];
    let of_spec = spec["terminationGracePeriodSeconds"].as_i64().unwrap_or(30);
    let is_bound = spec["nodeName"].as_str().is_some_and(|node| !node.is_empty());
    match asked.unwrap_or(of_spec) {
        0 => 0,
        _ if !is_bound || pod_is_over(object) => 0,
        // What is said of no time at all would be taken for "at once, without asking the node".
        seconds if seconds < 0 => 1,
        seconds => seconds,
    }
}

fn is_held(kind: &Kind, object: &Value) -> bool {
    let has_some = |list: &Value| list.as_array().is_some_and(|list| !list.is_empty());
    has_some(&object["metadata"]["finalizers"])
        || kind.kind == "Namespace" && has_some(&object["spec"]["finalizers"])
}

/// Says by finalizers what is to become of the dependents; the garbage collector takes them away again.
fn propagate(object: &mut Value, propagation: Option<Propagation>) {
    let Some(propagation) = propagation else { return };
    let wanted = match propagation {
        Propagation::Background => None,
        Propagation::Foreground => Some(FOREGROUND),
        Propagation::Orphan => Some(ORPHAN),
    };
    let mut finalizers = meta::finalizers(object);
    finalizers.retain(|finalizer| finalizer != FOREGROUND && finalizer != ORPHAN);
    finalizers.extend(wanted.map(str::to_owned));
    let Some(metadata) = object["metadata"].as_object_mut() else { return };
    if finalizers.is_empty() {
        metadata.remove("finalizers");
    } else {
        metadata.insert("finalizers".to_owned(), finalizers.into());
    }
}

/// Sets when the object is due to be gone. A second deletion can only bring that forward.
fn mark(kind: &Kind, object: &mut Value, change: &Change, grace: i64) {
    let metadata = &mut object["metadata"];
    if !metadata["deletionTimestamp"].is_null() {
        let before = metadata["deletionGracePeriodSeconds"].as_i64().unwrap_or(0);
        if grace >= before {
            return;
        }
    } else if let Some(generation) = metadata["generation"].as_i64().filter(|generation| *generation > 0) {
        metadata["generation"] = (generation + 1).into();
    }
    let seconds = std::time::Duration::from_secs(grace.unsigned_abs());
    let due = change.now.0.saturating_add(i64::try_from(seconds.as_nanos()).unwrap_or(i64::MAX));
    metadata["deletionTimestamp"] = json!(podspec::WallTime(due).rfc3339_seconds());
    metadata["deletionGracePeriodSeconds"] = grace.into();
    if kind.kind == "Namespace" {
        object["status"]["phase"] = "Terminating".into();
    }
}
