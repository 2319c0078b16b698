//! The memory of a daemon that has nothing to do: what a burst of work took is given back once, soon after it.

use std::time::Duration;

use apiserver::kinds::Kind;
use apiserver::objects;
use linux_sys::memory;
use store::{Store, Watch};
use tokio::time::timeout;

/// So long nothing has to become of any pod. A burst is given back once, and who comes after it waits for no page.
const QUIET: Duration = Duration::from_secs(1);

/// Gives back what the start of this program took, and then what each burst of changes of pods did. An idle daemon has no timer of
/// it. Ends with the store.
pub(crate) async fn follow(store: Store) {
    let Some(pods) = Kind::find("", "v1", "pods") else { return };
    let watch = || store.watch(pods.stored(), None, store.revision());
    let Ok(mut changes) = watch() else { return };
    loop {
        while let Ok(changed) = timeout(QUIET, changes.next()).await {
            if changed.is_err() && !again(&mut changes, watch()) {
                return;
            }
        }
        objects::forget_recent();
        store.rest().await;
        memory::release_heap();
        memory::release_program();
        if changes.next().await.is_err() && !again(&mut changes, watch()) {
            return;
        }
    }
}

/// More changed than the store remembers: from now on, then.
fn again<E>(changes: &mut Watch, anew: Result<Watch, E>) -> bool {
    anew.map(|watch| *changes = watch).is_ok()
}
