//! Server-side apply: who owns which fields of an object, and what follows from it
//! (<https://kubernetes.io/docs/reference/using-api/server-side-apply/>).

mod check;
mod compare;
mod conflict;
mod last_applied;
mod managed;
mod merge;
mod owned;
mod path;
mod place;
mod set;

use api_schema::{DEPTH_MAX, Type};
use podspec::WallTime;
use podspec::json::text;
use serde_json::{Map, Value};

use crate::{Status, json};
use compare::{Changes, compare, equal};
use conflict::Conflict;
use managed::{Entry, Manager, Managers, Operation};
use owned::{fields_of, with_named, without};
use path::Element;
use place::Place;
use set::FieldSet;

/// The manager of what was there before anything was tracked.
const BEFORE_FIRST_APPLY: &str = "before-first-apply";

/// Fields that nobody owns: what identifies an object and what only the server sets.
const UNTRACKED: [&str; 12] = [
    "apiVersion",
    "kind",
    "metadata",
    "metadata.name",
    "metadata.namespace",
    "metadata.creationTimestamp",
    "metadata.selfLink",
    "metadata.uid",
    "metadata.clusterName",
    "metadata.generation",
    "metadata.managedFields",
    "metadata.resourceVersion",
];

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

impl Writer<'_> {
    fn manager(&self, operation: Operation) -> Manager {
        Manager::new(self.manager, operation, self.api_version, self.subresource)
    }

    fn time(&self) -> Option<String> {
        Some(self.now.rfc3339_seconds())
    }
}

/// The object after `applied`, with `metadata.managedFields` brought up to date. `live` is `None` when there
/// is no such object yet. What is returned equals `live`, times and all, when nothing changes.
///
/// # Errors
/// 409 with a cause for each field that others own and `force` does not take over; 400 when `applied` is of
/// another version, has managedFields or fields and types that the schema does not know, or a list in it
/// lacks keys or has one twice.
pub fn apply(
    ty: &Type,
    live: Option<&Value>,
    applied: &Value,
    writer: &Writer<'_>,
    force: bool,
) -> Result<Value, Status> {
    check(ty, applied, writer)?;
    let empty = Value::Object(Map::new());
    let before = live.unwrap_or(&empty);
    let is_kubectl = writer.manager == last_applied::KUBECTL;
    let mut outcome = try_apply(ty, before, applied, writer, force);
    if let Err(conflicts) = &mut outcome
        && is_kubectl
    {
        let own = last_applied::unchanged_fields(ty, before, writer.api_version);
        conflicts.retain(|conflict| !own.has(&conflict.path));
        if conflicts.is_empty() {
            outcome = try_apply(ty, before, applied, writer, true);
        }
    }
    let mut object = outcome.map_err(|conflicts| conflict::status(&conflicts))?;
    if is_kubectl {
        last_applied::update(&mut object, applied);
    }
    Ok(object)
}

/// What has to hold of a configuration before it is merged.
fn check(ty: &Type, applied: &Value, writer: &Writer<'_>) -> Result<(), Status> {
    if !json::is_within(applied, DEPTH_MAX) {
        return Err(Status::bad_request(format!("the patch is nested deeper than {DEPTH_MAX} levels")));
    }
    let (version, kind) = (text(applied, "apiVersion"), text(applied, "kind"));
    if version != writer.api_version {
        return Err(Status::bad_request(format!(
            "Incorrect version specified in apply patch. Specified patch version: {version}, expected: {}",
            writer.api_version
        )));
    }
    if !applied["metadata"]["managedFields"].is_null() {
        return Err(Status::bad_request("metadata.managedFields must be nil"));
    }
    let errors = check::errors_of(Place::Object(ty), applied);
    if errors.is_empty() {
        return Ok(());
    }
    let (group, version) = version.split_once('/').unwrap_or(("", version));
    let (namespace, name) = (text(&applied["metadata"], "namespace"), text(&applied["metadata"], "name"));
    let errors = match &errors[..] {
        [only] => only.clone(),
        _ => format!("errors:\n  {}", errors.join("\n  ")),
    };
    Err(Status::bad_request(format!(
        "failed to create typed patch object ({namespace}/{name}; {group}/{version}, Kind={kind}): {errors}"
    )))
}

fn try_apply(
    ty: &Type,
    live: &Value,
    applied: &Value,
    writer: &Writer<'_>,
    force: bool,
) -> Result<Value, Vec<Conflict>> {
    let place = Place::Object(ty);
    let ignored = paths(writer.reset);
    // What is stored was decodable when it was written.
    let stored = Managers::decode(&live["metadata"]["managedFields"]).unwrap_or_default();
    let live_object = without_managed(live.clone());
    let mut managers = stored.clone();
    if managers.0.is_empty() {
        managers = managers_before(ty, &live_object, writer);
    }
    let own = writer.manager(Operation::Apply);
    let last = managers.0.get(&own).cloned();
    let fields = fields_of(place, applied).difference_below(&ignored);
    let entry = Entry { api_version: writer.api_version.to_owned(), fields: fields.clone(), time: None };
    managers.0.insert(own.clone(), entry);

    let merged = merge::merge(place, &live_object, applied);
    let object = match &last {
        Some(last) if last.api_version == writer.api_version => {
            prune(place, &merged, &last.fields, &managers)
        }
        _ => merged,
    };
    let changes = compare(place, &live_object, &object);
    disown(&mut managers, &own, &changes.except(&ignored), writer, force)?;

    let fields = fields.difference(&paths(&UNTRACKED));
    let changed = !equal(&live_object, &object) || last.as_ref().is_none_or(|last| last.fields != fields);
    let time = if changed { writer.time() } else { last.and_then(|last| last.time) };
    managers.0.insert(own, Entry { api_version: writer.api_version.to_owned(), fields, time });
    managers.drop_empty();
    if !changed && managers == stored {
        return Ok(live.clone());
    }
    Ok(with_managed(object, &managers))
}

/// Who owns an object that nobody was tracked for.
fn managers_before(ty: &Type, live: &Value, writer: &Writer<'_>) -> Managers {
    let empty = Value::Object(Map::new());
    let fields = compare(Place::Object(ty), &empty, live).written();
    let fields = fields.difference_below(&paths(writer.reset)).difference(&paths(&UNTRACKED));
    let mut managers = Managers::default();
    if !fields.is_empty() {
        let manager =
            Manager::new(BEFORE_FIRST_APPLY, Operation::Update, writer.api_version, writer.subresource);
        let api_version = writer.api_version.to_owned();
        managers.0.insert(manager, Entry { api_version, fields, time: writer.time() });
    }
    managers
}

/// Removes what the manager applied last time and nobody owns now.
fn prune(place: Place<'_>, merged: &Value, last: &FieldSet, managers: &Managers) -> Value {
    let last = with_named(place, last);
    let owned = managers.0.values().fold(FieldSet::default(), |all, entry| all.union(&entry.fields));
    let in_merged = with_named(place, &fields_of(place, merged));
    let fields_in = |object: &Value| with_named(place, &fields_of(place, object));
    let kept = fields_in(&without(place, merged, &last)).union(&with_named(place, &owned));
    let pruned = without(place, merged, &in_merged.difference(&kept));
    // Only what was its own: below a list's item that goes, others may have fields without owning the item.
    without(place, merged, &in_merged.difference(&fields_in(&pruned)).intersection(&last))
}

/// Takes from all managers but `own` what the change writes or removes; what it writes is a conflict unless
/// it is forced.
fn disown(
    managers: &mut Managers,
    own: &Manager,
    changes: &Changes,
    writer: &Writer<'_>,
    force: bool,
) -> Result<(), Vec<Conflict>> {
    let written = changes.written();
    let others = || {
        |(manager, entry): &(&Manager, &mut Entry)| *manager != own && entry.api_version == writer.api_version
    };
    let mut conflicts = Vec::new();
    for (manager, entry) in managers.0.iter_mut().filter(others()) {
        let taken = entry.fields.intersection(&written).paths();
        conflicts.extend(taken.into_iter().map(|path| Conflict { manager: manager.clone(), path }));
    }
    if !force && !conflicts.is_empty() {
        return Err(conflicts);
    }
    for (_, entry) in managers.0.iter_mut().filter(others()) {
        entry.fields = entry.fields.difference(&written).difference(&changes.removed);
    }
    Ok(())
}

/// `new` as it is to be stored instead of `old`, written by any verb but apply, with
/// `metadata.managedFields` brought up to date: what differs belongs to the writer alone. `old` is `None`
/// for a creation. managedFields of `new` count when they are well-formed; none are as those of `old`, and an
/// empty list, or one of an empty entry, ends the tracking.
#[must_use]
pub fn track_update(ty: &Type, old: Option<&Value>, new: Value, writer: &Writer<'_>) -> Value {
    let mut managers = managers_of_update(old, &new, writer);
    let new = without_managed(new);
    if managers.0.is_empty() && old.is_some() {
        // Nobody was tracked, so that nobody is.
        return new;
    }
    let before = old.map_or_else(|| Value::Object(Map::new()), |old| without_managed(old.clone()));
    let ignored = paths(writer.reset);
    let changes = compare(Place::Object(ty), &before, &new).except(&ignored);
    for entry in managers.0.values_mut().filter(|entry| entry.api_version == writer.api_version) {
        entry.fields = entry.fields.difference(&changes.written()).difference(&changes.removed);
    }
    managers.drop_empty();
    let fields = changes.written().difference(&paths(&UNTRACKED));
    if !fields.is_empty() {
        let entry = managers.0.entry(writer.manager(Operation::Update)).or_insert_with(|| Entry {
            api_version: writer.api_version.to_owned(),
            fields: FieldSet::default(),
            time: None,
        });
        entry.fields = std::mem::take(&mut entry.fields).union(&fields);
        entry.time = writer.time();
    }
    managers.cap_updaters();
    with_managed(new, &managers)
}

fn managers_of_update(old: Option<&Value>, new: &Value, writer: &Writer<'_>) -> Managers {
    let of = |object: &Value| Managers::decode(&object["metadata"]["managedFields"]);
    let of_old = || old.and_then(|old| of(old).ok()).unwrap_or_default();
    if !writer.subresource.is_empty() {
        return of_old();
    }
    let given = &new["metadata"]["managedFields"];
    let resets = given.as_array().is_some_and(|entries| match &entries[..] {
        [] => true,
        [only] => only.as_object().is_some_and(Map::is_empty),
        _ => false,
    });
    if resets {
        return Managers::default();
    }
    match of(new) {
        Ok(managers) if !managers.0.is_empty() => managers,
        _ => of_old(),
    }
}

/// The set of paths whose names dots part.
fn paths(texts: &[&str]) -> FieldSet {
    let mut set = FieldSet::default();
    for text in texts {
        set.insert(&text.split('.').map(Element::field).collect::<Vec<_>>());
    }
    set
}

fn without_managed(mut object: Value) -> Value {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
    }
    object
}

fn with_managed(mut object: Value, managers: &Managers) -> Value {
    let metadata = object.get_mut("metadata").and_then(Value::as_object_mut);
    if let Some(metadata) = metadata.filter(|_| !managers.0.is_empty()) {
        metadata.insert("managedFields".to_owned(), managers.encode());
    }
    object
}

#[cfg(test)]
mod tests;
