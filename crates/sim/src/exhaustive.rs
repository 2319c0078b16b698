//! Small worlds, all of them: every order in which events can come to a small pod, each step judged by the
//! checker.
//!
//! A world is a sequence of events. What happens when nothing disturbs is no event of its own: what the
//! engine has begun is done, the oldest first, and then init containers succeed. Everything else is an
//! event: a process ends by itself, a probe fails, time passes until the plan asked to be woken, the pod
//! is deleted; and, out of turn, an effect fails or overtakes another, a process ends before its start was
//! told, the sandbox or the engine dies, or any of the above comes while something is under way.
//! [`Bounds`] says how many of each there may be.
//!
//! States that are reached in several ways are looked at once (`key.rs` says which are the same), so
//! worlds are counted along the graph of states and not walked one by one.

mod budgets;
mod effect;
mod graph;
pub(crate) mod key;
mod machine;
mod orders;
pub mod pods;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use budgets::Budgets;
pub use budgets::Disturbances;
pub use graph::Figures;
use graph::{Model, Search};
pub use orders::Bounds;
use orders::Orders;

use crate::script::Scenario;
use crate::timeline::Timeline;

/// More of them say nothing more.
const FAILURES_MAX: usize = 3;

/// Every order of events within the bounds.
///
/// # Errors
/// The way to the first broken promise.
pub fn orders(pod: &str, bounds: Bounds) -> Result<Figures, String> {
    let scenario = Scenario::parse(pod).map_err(|e| e.to_string())?;
    let outside = scenario.script.events.iter().map(|(_, event)| event).collect();
    let orders = Orders { spec: &scenario.spec, changes: &scenario.changes, outside, bounds };
    search(&orders, bounds.events).map_err(|way| format!("{pod}{way}"))
}

/// Every way in which the pod's processes and hooks can take their time when it is stopped.
///
/// # Errors
/// The way to the first broken promise.
pub fn budgets(pod: &str, disturbances: Disturbances) -> Result<Figures, String> {
    let scenario = Scenario::parse(pod).map_err(|e| e.to_string())?;
    search(&Budgets { spec: &scenario.spec, disturbances }, 0).map_err(|way| format!("{pod}{way}"))
}

fn search<M: Model>(model: &M, depth: usize) -> Result<Figures, String> {
    let mut search = Search::new(model, depth);
    catch_unwind(AssertUnwindSafe(|| search.run())).map_err(|_| replay(model, &search.trail()))
}

/// The timeline of these events, up to the broken promise.
fn replay<M: Model>(model: &M, events: &[M::Event]) -> String {
    let mut timeline = Timeline::default();
    let broken = catch_unwind(AssertUnwindSafe(|| {
        let mut state = model.beginning(&mut timeline);
        model.settle(&mut state, &mut timeline);
        for event in events {
            timeline.event(&format!("{event:?}"));
            state = model.after(&state, event, &mut timeline);
            model.settle(&mut state, &mut timeline);
        }
        model.judge(&state, 0, &mut timeline);
    }));
    let promise = broken.err().map(|payload| match payload.downcast::<String>() {
        Ok(text) => *text,
        Err(payload) => payload.downcast::<&str>().map_or(String::new(), |text| (*text).to_owned()),
    });
    format!("{}broken: {}\n", timeline.take_text(), promise.unwrap_or_default())
}

/// Searches pods on every processor, until all are searched or `FAILURES_MAX` have failed: what was found,
/// and the way to the first broken promise of each pod that has one.
pub fn every(
    pods: &[String],
    one: impl Fn(&str) -> Result<Figures, String> + Sync,
) -> (Figures, Vec<String>) {
    let next = AtomicUsize::new(0);
    let found = Mutex::new((Figures::default(), Vec::new()));
    let work = || {
        while let Some(pod) = pods.get(next.fetch_add(1, Ordering::Relaxed)) {
            let result = one(pod);
            let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
            match result {
                Ok(figures) => found.0 += figures,
                Err(way) => found.1.push(way),
            }
            if found.1.len() >= FAILURES_MAX {
                break;
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
    found.into_inner().unwrap_or_else(PoisonError::into_inner)
}
