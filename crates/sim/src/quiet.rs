//! Broken promises that are looked for by the thousand, and not told of one by one.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

thread_local! {
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

static HOOK: Once = Once::new();

/// What it panics with is returned and not printed.
pub(crate) fn quietly<R>(what: impl FnOnce() -> R) -> Result<R, Box<dyn Any + Send>> {
    HOOK.call_once(|| {
        let loud = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !is_quiet() {
                loud(info);
            }
        }));
    });
    QUIET.set(true);
    let result = catch_unwind(AssertUnwindSafe(what));
    QUIET.set(false);
    result
}

pub(crate) fn is_quiet() -> bool {
    QUIET.get()
}
