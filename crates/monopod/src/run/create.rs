//! The objects of the manifests, into the engine's store before anything runs.

use std::collections::BTreeSet;
use std::time::Duration;

use apimachinery::{Status, meta};
use apiserver::change::{Change, Changed, create, creation_span, tell_created, write_failed};
use apiserver::kinds::Kind;
use podspec::Pod;
use serde_json::{Value, json};
use store::{Durability, ObjectKey, Store};
use tokio::time::timeout;
use tracing::Instrument;

use super::manifests::Manifest;
use crate::outcome;
use crate::start_trace::step;

/// As whom: `metadata.managedFields` says so.
const MANAGER: &str = "monopod-run";
/// How long the controllers may take to furnish a namespace.
const FURNISH_MAX: Duration = Duration::from_secs(10);

/// Creates all in their order; the pods, as they are stored, are returned. What the other objects make worth a warning is
/// said; what a manifest does by itself has been.
///
/// # Errors
/// Why an object is refused, with its place in the files.
pub(super) async fn all(store: &Store, manifests: Vec<Manifest>) -> Result<Vec<Pod>, String> {
    let mut pods = Vec::new();
    let mut furnished = BTreeSet::new();
    let own: BTreeSet<String> = manifests
        .iter()
        .filter(|manifest| manifest.kind.kind == "Namespace")
        .map(|manifest| meta::name(&manifest.object).to_owned())
        .collect();
    for Manifest { location, kind, object } in manifests {
        let refused = |status: Status| format!("{location}: {}", status.message);
        let namespace = meta::namespace(&object).to_owned();
        if kind.namespaced && furnished.insert(namespace.clone()) {
            furnish(store, &namespace, own.contains(&namespace))
                .instrument(step("furnish the namespace"))
                .await
                .map_err(refused)?;
        }
        let Changed { object, mut warnings, .. } =
            add(store, kind, &namespace, object).await.map_err(refused)?;
        if kind.kind == "Pod" {
            // Those were said when the manifests were read, all of them together.
            let known: Vec<String> =
                podspec::warnings_about(&object).iter().map(ToString::to_string).collect();
            warnings.retain(|warning| !known.contains(warning) && !lint::is_warning(warning));
            pods.push(podspec::lower(&object));
        }
        for warning in warnings {
            outcome::say(format_args!("warning: {location}: {warning}"));
        }
    }
    Ok(pods)
}

/// Makes a namespace that the manifests only name, and waits until pods can be created in it.
async fn furnish(store: &Store, namespace: &str, is_declared: bool) -> Result<(), Status> {
    let kind = served("namespaces");
    if !is_declared && store.get(&ObjectKey::new(kind.stored(), "", namespace)).is_none() {
        let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
        add(store, kind, "", object).await?;
    }
    let account = ObjectKey::new(served("serviceaccounts").stored(), namespace, "default");
    // Without it the pods are refused, which says more than could be said here.
    let _ = timeout(FURNISH_MAX, appears(store, account)).await;
    Ok(())
}

async fn appears(store: &Store, key: ObjectKey) {
    let watched = store.watch(key.resource, Some(key.namespace.clone()), store.revision());
    let Ok(mut watch) = watched else { return };
    while store.get(&key).is_none() {
        if watch.next().await.is_err() {
            return;
        }
    }
}

fn served(plural: &str) -> &'static Kind {
    Kind::find("", "v1", plural).expect("every server has it")
}

async fn add(store: &Store, kind: &'static Kind, namespace: &str, object: Value) -> Result<Changed, Status> {
    let mut change = Change::of_engine(MANAGER, kind, namespace, meta::name(&object));
    MANAGER.clone_into(&mut change.manager);
    let created = async {
        let written = store.write(Durability::Lazy, move |tx| create(tx, &change, object)).await;
        let created = written.map_err(|error| write_failed(&error))??;
        tell_created(&created.object);
        Ok(created)
    };
    created.instrument(creation_span(kind)).await
}
