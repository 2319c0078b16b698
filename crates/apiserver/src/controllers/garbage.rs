//! What is owned goes with its owners
//! (<https://kubernetes.io/docs/concepts/architecture/garbage-collection/#owners-dependents>).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use podspec::json::{flag, list, text};
use serde_json::Value;
use store::{Object, ObjectKey, Store};
use tokio::task::JoinSet;

use super::feed::{Seen, merged, stored_kinds};
use super::write::{edit, log, remove, write};
use crate::change::{Change, DeleteOptions, Edit, Propagation, key_of, update};
use crate::kinds::Kind;
use crate::objects;

const PART: &str = "generic-garbage-collector";
const FOREGROUND: &str = "foregroundDeletion";
const ORPHAN: &str = "orphan";

/// Objects that have owners, by the owner's uid.
#[derive(Default)]
struct Graph {
    dependents: BTreeMap<String, BTreeMap<ObjectKey, Dependent>>,
    /// Of each dependent, who owns it.
    owners: BTreeMap<ObjectKey, Vec<String>>,
    /// Owners that wait for their dependents.
    waiting: BTreeMap<String, (&'static Kind, ObjectKey)>,
}

#[derive(Clone)]
struct Dependent {
    kind: &'static Kind,
    uid: String,
    /// The owner waits for it.
    blocks: bool,
}

pub(super) async fn run(store: Store) {
    let mut tasks = JoinSet::new();
    let kinds = stored_kinds().filter(|kind| kind.kind != "Event");
    let mut feed = merged(&store, kinds, &mut tasks);
    let mut graph = Graph::default();
    while let Some((kind, seen)) = feed.recv().await {
        match seen {
            Seen::Present(object, _) => present(&store, &mut graph, kind, &object).await,
            Seen::Gone(object) => gone(&store, &mut graph, &object).await,
            // What went unseen is found out when its dependents are looked at again, as they all are now.
            Seen::Again => {}
        }
    }
}

async fn present(store: &Store, graph: &mut Graph, kind: &'static Kind, object: &Object) {
    let Ok(value) = objects::shared(object) else { return };
    let metadata = &value["metadata"];
    let references = list(metadata, "ownerReferences");
    let lost = graph.record(kind, object, references);
    collect(store, kind, object, &value).await;
    let free = references.iter().filter(|reference| !flag(reference, "blockOwnerDeletion"));
    for owner in lost.into_iter().chain(free.map(|reference| text(reference, "uid").to_owned())) {
        release(store, graph, &owner).await;
    }
    if is_ending(&value) {
        let held = |name: &str| list(metadata, "finalizers").iter().any(|finalizer| finalizer == name);
        if held(ORPHAN) {
            orphan(store, kind, object).await;
        }
        if held(FOREGROUND) {
            graph.waiting.insert(object.uid.clone(), (kind, object.key.clone()));
            delete_dependents(store, &object.key, &object.uid).await;
            release(store, graph, &object.uid).await;
        }
    }
}

async fn gone(store: &Store, graph: &mut Graph, object: &Object) {
    graph.waiting.remove(&object.uid);
    let owners = graph.forget(&object.key);
    for owner in owners {
        release(store, graph, &owner).await;
    }
    for (key, dependent) in graph.of(&object.uid) {
        let Some(held) = store.get(&key).filter(|held| held.uid == dependent.uid) else { continue };
        if let Ok(value) = objects::value(&held) {
            collect(store, dependent.kind, &held, &value).await;
        }
    }
}

impl Graph {
    /// Takes in who owns an object now; returns who does no longer.
    fn record(&mut self, kind: &'static Kind, object: &Object, references: &[Value]) -> Vec<String> {
        let before = self.forget(&object.key);
        let mut owners = Vec::new();
        for reference in references {
            let owner = text(reference, "uid").to_owned();
            let blocks = flag(reference, "blockOwnerDeletion");
            let dependent = Dependent { kind, uid: object.uid.clone(), blocks };
            self.dependents.entry(owner.clone()).or_default().insert(object.key.clone(), dependent);
            owners.push(owner);
        }
        let lost = before.into_iter().filter(|owner| !owners.contains(owner)).collect();
        if !owners.is_empty() {
            self.owners.insert(object.key.clone(), owners);
        }
        lost
    }

    fn forget(&mut self, key: &ObjectKey) -> Vec<String> {
        let owners = self.owners.remove(key).unwrap_or_default();
        for owner in &owners {
            if let Some(dependents) = self.dependents.get_mut(owner) {
                dependents.remove(key);
                if dependents.is_empty() {
                    self.dependents.remove(owner);
                }
            }
        }
        owners
    }

    fn of(&self, owner: &str) -> Vec<(ObjectKey, Dependent)> {
        let found = self.dependents.get(owner).into_iter().flatten();
        found.map(|(key, dependent)| (key.clone(), dependent.clone())).collect()
    }
}

fn is_ending(object: &Value) -> bool {
    object["metadata"].get("deletionTimestamp").is_some_and(|time| !time.is_null())
}

/// Whether it is being deleted, and its dependents before it.
fn is_waiting(object: &Value) -> bool {
    is_ending(object) && list(&object["metadata"], "finalizers").iter().any(|held| held == FOREGROUND)
}

/// What is known of an owner.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Owner {
    There,
    /// It is there, and waits for its dependents.
    Waiting,
    Gone,
    /// Of a kind that is not served: nobody can say.
    Unknown,
}

fn owner(store: &Store, namespace: &str, reference: &Value) -> Owner {
    let (api_version, name) = (text(reference, "apiVersion"), text(reference, "kind"));
    let found = Kind::all().iter().find(|kind| kind.kind == name && kind.api_version() == api_version);
    let Some(kind) = found.filter(|kind| kind.is_stored()) else { return Owner::Unknown };
    let held = store.get(&key_of(kind, namespace, text(reference, "name")));
    let Some(held) = held.filter(|held| held.uid == text(reference, "uid")) else { return Owner::Gone };
    let waits = objects::value(&held).is_ok_and(|owner| is_waiting(&owner));
    if waits { Owner::Waiting } else { Owner::There }
}

/// Deletes an object that has owners and of which none is left; takes away the references to those that are gone
/// where others are.
async fn collect(store: &Store, kind: &'static Kind, object: &Object, value: &Value) {
    let references = list(&value["metadata"], "ownerReferences");
    // It may have been let go since it was known to have an owner.
    if references.is_empty() || is_ending(value) {
        return;
    }
    let owners: Vec<Owner> =
        references.iter().map(|reference| owner(store, &object.key.namespace, reference)).collect();
    if owners.iter().any(|owner| matches!(owner, Owner::There | Owner::Unknown)) {
        let gone: BTreeSet<String> = references
            .iter()
            .zip(&owners)
            .filter(|(_, owner)| **owner == Owner::Gone)
            .map(|(reference, _)| text(reference, "uid").to_owned())
            .collect();
        if !gone.is_empty() {
            log(PART, &object.key, disown(store, kind, object, gone).await);
        }
        return;
    }
    let foreground = owners.contains(&Owner::Waiting);
    let blocks = references.iter().any(|reference| flag(reference, "blockOwnerDeletion"));
    if foreground && blocks && is_in_circle(store, object) {
        // It changes with this, and is looked at again.
        log(PART, &object.key, unblock(store, kind, object).await);
        return;
    }
    let propagation = if foreground { Propagation::Foreground } else { Propagation::Background };
    // One that has changed since is looked at again when its watch says so.
    let options = DeleteOptions {
        uid: Some(object.uid.clone()),
        resource_version: Some(object.revision.to_string()),
        propagation: Some(propagation),
        ..DeleteOptions::default()
    };
    log(PART, &object.key, remove(store, PART, kind, &object.key, options).await);
}

/// Whether what it owns is being deleted and waits for its own dependents, maybe for this one's owner: as in
/// Kubernetes, that may be so without a circle, and then an owner is only gone a little sooner.
fn is_in_circle(store: &Store, object: &Object) -> bool {
    dependents(store, &object.key, &object.uid).iter().any(|(_, value, _)| is_waiting(value))
}

/// Its owners no longer wait for it.
async fn unblock(store: &Store, kind: &'static Kind, object: &Object) -> Result<(), apimachinery::Status> {
    let changed = edit(store, kind, object.key.clone(), object.uid.clone(), |object| {
        let references = object["metadata"]["ownerReferences"].as_array_mut();
        for reference in references.into_iter().flatten() {
            reference["blockOwnerDeletion"] = false.into();
        }
        true
    });
    changed.await.map(|_| ())
}

async fn disown(
    store: &Store,
    kind: &'static Kind,
    object: &Object,
    owners: BTreeSet<String>,
) -> Result<(), apimachinery::Status> {
    let changed = edit(store, kind, object.key.clone(), object.uid.clone(), move |object| {
        let metadata = &mut object["metadata"];
        let left: Vec<Value> = list(metadata, "ownerReferences")
            .iter()
            .filter(|reference| !owners.contains(text(reference, "uid")))
            .cloned()
            .collect();
        let changed = left.len() < list(metadata, "ownerReferences").len();
        match (left.is_empty(), metadata.as_object_mut()) {
            (true, Some(metadata)) => drop(metadata.remove("ownerReferences")),
            _ => metadata["ownerReferences"] = left.into(),
        }
        changed
    });
    changed.await.map(|_| ())
}

/// Everything that has this owner, read from the store: what the watches of other kinds have yet to say counts as well.
fn dependents(store: &Store, owner: &ObjectKey, uid: &str) -> Vec<(Arc<Object>, Value, Dependent)> {
    let namespace = (!owner.namespace.is_empty()).then_some(owner.namespace.as_str());
    let kinds =
        stored_kinds().filter(|kind| kind.kind != "Event" && (kind.namespaced || namespace.is_none()));
    let mut found = Vec::new();
    for kind in kinds {
        let names = |object: &Object| object.json.windows(uid.len()).any(|part| part == uid.as_bytes());
        for object in store.list(kind.stored(), namespace, None, None, names).objects {
            let Ok(value) = objects::value(&object) else { continue };
            let references = list(&value["metadata"], "ownerReferences").iter();
            let Some(reference) = references.clone().find(|reference| text(reference, "uid") == uid) else {
                continue;
            };
            let blocks = flag(reference, "blockOwnerDeletion");
            let dependent = Dependent { kind, uid: object.uid.clone(), blocks };
            found.push((object, value, dependent));
        }
    }
    found
}

async fn delete_dependents(store: &Store, owner: &ObjectKey, uid: &str) {
    for (object, value, dependent) in dependents(store, owner, uid) {
        collect(store, dependent.kind, &object, &value).await;
    }
}

/// Lets an owner go that waited for its dependents, when none of those that block it is left.
async fn release(store: &Store, graph: &Graph, owner: &str) {
    let Some((kind, key)) = graph.waiting.get(owner) else { return };
    if !dependents(store, key, owner).iter().any(|(_, _, dependent)| dependent.blocks) {
        log(PART, key, without_finalizer(store, kind, key, owner, FOREGROUND).await);
    }
}

/// Its dependents stay, as nobody's.
async fn orphan(store: &Store, kind: &'static Kind, object: &Object) {
    for (held, _, dependent) in dependents(store, &object.key, &object.uid) {
        let owners = BTreeSet::from([object.uid.clone()]);
        log(PART, &held.key, disown(store, dependent.kind, &held, owners).await);
    }
    log(PART, &object.key, without_finalizer(store, kind, &object.key, &object.uid, ORPHAN).await);
}

/// An object whose last finalizer goes while it is being deleted is gone with it.
pub(super) async fn without_finalizer(
    store: &Store,
    kind: &'static Kind,
    key: &ObjectKey,
    uid: &str,
    finalizer: &'static str,
) -> Result<(), apimachinery::Status> {
    let change = Change::of_engine(PART, kind, &key.namespace, &key.name);
    let (key, uid) = (key.clone(), uid.to_owned());
    write(store, move |tx| {
        if tx.get(&key).is_none_or(|held| held.uid != uid) {
            return Ok(());
        }
        let without = move |old: &Value| {
            let mut new = old.clone();
            let left = list(&old["metadata"], "finalizers").iter().filter(|held| *held != finalizer);
            new["metadata"]["finalizers"] = left.cloned().collect::<Vec<_>>().into();
            Ok((new, Vec::new()))
        };
        update(tx, &change, Edit::Replace(Box::new(without))).map(|_| ())
    })
    .await
}
