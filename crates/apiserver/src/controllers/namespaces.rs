//! Namespaces: what each of them has, and how one ends
//! (<https://kubernetes.io/docs/concepts/overview/working-with-objects/namespaces/>).

use std::collections::{BTreeMap, BTreeSet};

use apimachinery::Status;
use podspec::json::{list, text};
use serde_json::{Value, json};
use store::{Object, ObjectKey, Store};
use tokio::task::JoinSet;

use super::Settings;
use super::feed::{Feed, Seen, stored_kinds};
use super::write::{edit, kind, log, make, remove, write};
use crate::change::{Change, DeleteOptions, Edit, update};
use crate::kinds::Kind;
use crate::rules::NAMESPACE_FINALIZER;
use crate::{entropy, objects};

const PART: &str = "namespace-controller";
const ACCOUNT: &str = "default";
const CA_MAP: &str = "kube-root-ca.crt";

pub(super) async fn run(settings: Settings) {
    let store = settings.store.clone();
    let mut namespaces = Feed::new(&store, kind("", "namespaces"));
    let mut accounts = Feed::new(&store, kind("", "serviceaccounts"));
    let mut maps = Feed::new(&store, kind("", "configmaps"));
    // Of a namespace that is being emptied: the task ends when it is gone.
    let mut emptying: JoinSet<String> = JoinSet::new();
    let mut names: BTreeSet<String> = BTreeSet::new();
    loop {
        tokio::select! {
            seen = namespaces.next() => {
                let Seen::Present(object, _) = seen else { continue };
                let Ok(namespace) = objects::value(&object) else { continue };
                if !is_ending(&namespace) {
                    furnish(&settings, &object.key.name).await;
                } else if names.insert(object.key.name.clone()) {
                    emptying.spawn(empty(store.clone(), object.key.clone(), object.uid.clone()));
                }
            }
            Some(ended) = emptying.join_next() => {
                if let Ok(name) = ended {
                    names.remove(&name);
                }
            }
            seen = accounts.next() => refurnish(&settings, &seen, ACCOUNT).await,
            seen = maps.next() => refurnish(&settings, &seen, CA_MAP).await,
        }
    }
}

fn is_ending(namespace: &Value) -> bool {
    namespace["metadata"].get("deletionTimestamp").is_some_and(|time| !time.is_null())
}

/// What was removed from a namespace that stays comes back, and a certificate that was changed is the right one again.
async fn refurnish(settings: &Settings, seen: &Seen, name: &str) {
    let (Seen::Gone(object) | Seen::Present(object, Some(_))) = seen else { return };
    if object.key.name != name {
        return;
    }
    let key = objects::key(kind("", "namespaces"), &json!({"metadata": {"name": object.key.namespace}}));
    let namespace = settings.store.get(&key).and_then(|namespace| objects::value(&namespace).ok());
    if namespace.is_some_and(|namespace| !is_ending(&namespace)) {
        furnish(settings, &object.key.namespace).await;
    }
}

/// A default account, and the certificate that its pods trust.
async fn furnish(settings: &Settings, namespace: &str) {
    let store = &settings.store;
    let account = json!({
        "apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"namespace": namespace, "name": ACCOUNT},
    });
    let key = ObjectKey::new(kind("", "serviceaccounts").stored(), namespace, ACCOUNT);
    log(PART, &key, unless_ending(make(store, PART, kind("", "serviceaccounts"), account).await));
    let description = "Contains a CA bundle that can be used to verify the API server of this engine.";
    let map = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {
            "namespace": namespace, "name": CA_MAP, "annotations": {"kubernetes.io/description": description},
        },
        "data": {"ca.crt": settings.ca},
    });
    let maps = kind("", "configmaps");
    let key = ObjectKey::new(maps.stored(), namespace, CA_MAP);
    log(PART, &key, unless_ending(make(store, PART, maps, map).await));
    let Some(held) = store.get(&key) else { return };
    if objects::value(&held).is_ok_and(|map| map["data"]["ca.crt"] == settings.ca) {
        return;
    }
    let ca = settings.ca.clone();
    let renewed = edit(store, maps, key.clone(), held.uid.clone(), move |map| {
        map["data"] = json!({"ca.crt": ca});
        true
    });
    log(PART, &key, renewed.await.map(|_| ()));
}

/// The namespace may have begun to end meanwhile, or be gone.
fn unless_ending(made: Result<(), Status>) -> Result<(), Status> {
    made.or_else(|status| if matches!(status.code, 403 | 404) { Ok(()) } else { Err(status) })
}

/// Deletes what is in a namespace until nothing is left, and then lets it go.
async fn empty(store: Store, key: ObjectKey, uid: String) -> String {
    let namespace = key.name.clone();
    let mut kinds: Vec<&'static Kind> = stored_kinds().filter(|kind| kind.namespaced).collect();
    // Pods go first, and the rest stays until they are gone: they may need it on their way out.
    kinds.sort_by_key(|kind| kind.kind != "Pod");
    loop {
        let revision = store.revision();
        let mut left: Vec<(&'static Kind, Vec<std::sync::Arc<Object>>)> = Vec::new();
        for kind in &kinds {
            let objects = store.list(kind.stored(), Some(&namespace), None, None, |_| true).objects;
            for object in &objects {
                let ending = objects::value(object).is_ok_and(|object| is_ending(&object));
                let waits = left.first().is_some_and(|(first, _)| first.kind == "Pod") && kind.kind != "Pod";
                if !ending && !waits {
                    let options = DeleteOptions { uid: Some(object.uid.clone()), ..DeleteOptions::default() };
                    log(PART, &object.key, remove(&store, PART, kind, &object.key, options).await);
                }
            }
            let objects = store.list(kind.stored(), Some(&namespace), None, None, |_| true).objects;
            if !objects.is_empty() {
                left.push((kind, objects));
            }
        }
        let conditions = conditions(&left);
        let said = edit(&store, kind("", "namespaces"), key.clone(), uid.clone(), move |namespace| {
            set_conditions(namespace, &conditions, &entropy::now().rfc3339_seconds())
        });
        log(PART, &key, said.await.map(|_| ()));
        let Some((kind, _)) = left.first() else { break };
        // Something of the first kind has to change before there can be nothing left.
        if let Ok(mut watch) = store.watch(kind.stored(), Some(namespace.clone()), revision) {
            // What this loop has deleted itself comes first, and only makes it look again.
            let _ = watch.next().await;
        }
    }
    log(PART, &key, finalize(&store, &key, &uid).await);
    namespace
}

/// Takes away the finalizer that holds an empty namespace.
async fn finalize(store: &Store, key: &ObjectKey, uid: &str) -> Result<(), Status> {
    let mut change = Change::of_engine(PART, kind("", "namespaces"), "", &key.name);
    change.subresource = Some("finalize");
    let (key, uid) = (key.clone(), uid.to_owned());
    write(store, move |tx| {
        if tx.get(&key).is_none_or(|held| held.uid != uid) {
            return Ok(());
        }
        let without = |old: &Value| {
            let mut new = old.clone();
            let held = list(&old["spec"], "finalizers").iter().filter(|held| *held != NAMESPACE_FINALIZER);
            new["spec"]["finalizers"] = held.cloned().collect::<Vec<_>>().into();
            Ok((new, Vec::new()))
        };
        update(tx, &change, Edit::Replace(Box::new(without))).map(|_| ())
    })
    .await
}

/// Type, whether it holds, reason and message.
type Condition = (&'static str, bool, &'static str, String);

fn conditions(left: &[(&'static Kind, Vec<std::sync::Arc<Object>>)]) -> Vec<Condition> {
    let mut finalizers: BTreeMap<String, usize> = BTreeMap::new();
    let values =
        left.iter().flat_map(|(_, objects)| objects).filter_map(|object| objects::value(object).ok());
    for value in values {
        for finalizer in list(&value["metadata"], "finalizers").iter().filter_map(Value::as_str) {
            *finalizers.entry(finalizer.to_owned()).or_default() += 1;
        }
    }
    let instances = |name: &str, objects: usize| format!("{name} has {objects} resource instances");
    let remaining: Vec<String> = left
        .iter()
        .map(|(kind, objects)| instances(&format!("{}.{}", kind.plural, kind.group), objects.len()))
        .collect();
    let waited_for: Vec<String> =
        finalizers.iter().map(|(name, count)| format!("{name} in {count} resource instances")).collect();
    let content = match remaining.as_slice() {
        [] => (false, "ContentRemoved", "All content successfully removed".to_owned()),
        some => (true, "SomeResourcesRemain", format!("Some resources are remaining: {}", some.join(", "))),
    };
    let held = match waited_for.as_slice() {
        [] => (false, "ContentHasNoFinalizers", "All content-preserving finalizers finished".to_owned()),
        some => {
            let message =
                format!("Some content in the namespace has finalizers remaining: {}", some.join(", "));
            (true, "SomeFinalizersRemain", message)
        }
    };
    let fine = |kind, reason, message: &str| (kind, false, reason, message.to_owned());
    vec![
        fine(
            "NamespaceDeletionDiscoveryFailure",
            "ResourcesDiscovered",
            "All resources successfully discovered",
        ),
        fine(
            "NamespaceDeletionGroupVersionParsingFailure",
            "ParsedGroupVersions",
            "All legacy kube types successfully parsed",
        ),
        fine(
            "NamespaceDeletionContentFailure",
            "ContentDeleted",
            "All content successfully deleted, may be waiting on finalization",
        ),
        ("NamespaceContentRemaining", content.0, content.1, content.2),
        ("NamespaceFinalizersRemaining", held.0, held.1, held.2),
    ]
}

/// Whether anything changed.
fn set_conditions(namespace: &mut Value, conditions: &[Condition], now: &str) -> bool {
    let before = list(&namespace["status"], "conditions").to_vec();
    let mut after: Vec<Value> = Vec::new();
    for (kind, holds, reason, message) in conditions {
        let status = if *holds { "True" } else { "False" };
        let held = before.iter().find(|held| text(held, "type") == *kind && text(held, "status") == status);
        let since = held.map_or(now, |held| text(held, "lastTransitionTime"));
        after.push(json!({
            "type": kind, "status": status, "lastTransitionTime": since, "reason": reason, "message": message,
        }));
    }
    let changed = before != after || text(&namespace["status"], "phase") != "Terminating";
    namespace["status"]["phase"] = "Terminating".into();
    namespace["status"]["conditions"] = after.into();
    changed
}
