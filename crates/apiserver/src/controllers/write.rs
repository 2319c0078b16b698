//! Writes of controllers.

use apimachinery::Status;
use serde_json::Value;
use store::{Durability, ObjectKey, Store, Tx};

use crate::change::{Change, DeleteOptions, create, delete, write_failed};
use crate::kinds::Kind;
use crate::objects;

/// A kind that is part of every server.
///
/// # Panics
/// When it is not.
pub(super) fn kind(group: &str, plural: &str) -> &'static Kind {
    Kind::find(group, "v1", plural).expect("the table of kinds has it")
}

pub(super) async fn write<T: Send + 'static>(
    store: &Store,
    change: impl FnOnce(&mut Tx<'_>) -> Result<T, Status> + Send + 'static,
) -> Result<T, Status> {
    store.write(Durability::Lazy, change).await.map_err(|error| write_failed(&error))?
}

/// Creates an object as a client would; one that is there stays.
pub(super) async fn make(
    store: &Store,
    part: &str,
    kind: &'static Kind,
    object: Value,
) -> Result<(), Status> {
    let text = |name: &str| object["metadata"][name].as_str().unwrap_or_default().to_owned();
    let change = Change::of_engine(part, kind, &text("namespace"), &text("name"));
    if store.get(&change.key()).is_some() {
        return Ok(());
    }
    let made = write(store, move |tx| create(tx, &change, object).map(|_| ())).await;
    made.or_else(|status| if status.code == 409 { Ok(()) } else { Err(status) })
}

/// Changes an object that is there and has this uid; `edit` says whether it did.
pub(super) async fn edit(
    store: &Store,
    kind: &'static Kind,
    key: ObjectKey,
    uid: String,
    edit: impl FnOnce(&mut Value) -> bool + Send + 'static,
) -> Result<bool, Status> {
    write(store, move |tx| {
        let Some(held) = tx.get(&key).filter(|held| held.uid == uid) else { return Ok(false) };
        let mut object = crate::change::parse(&held)?;
        let changed = edit(&mut object);
        if changed {
            objects::put(tx, kind, &mut object);
        }
        Ok(changed)
    })
    .await
}

/// Deletes an object of this uid; one that is gone is no error.
pub(super) async fn remove(
    store: &Store,
    part: &str,
    kind: &'static Kind,
    key: &ObjectKey,
    options: DeleteOptions,
) -> Result<(), Status> {
    let change = Change::of_engine(part, kind, &key.namespace, &key.name);
    let removed = write(store, move |tx| delete(tx, &change, &options).map(|_| ())).await;
    removed.or_else(|status| if matches!(status.code, 404 | 409) { Ok(()) } else { Err(status) })
}

/// What a controller could not do is tried again when something changes.
pub(super) fn log(part: &str, what: &ObjectKey, result: Result<(), Status>) {
    if let Err(status) = result {
        tracing::warn!("{part}: {what}: {}", status.message);
    }
}
