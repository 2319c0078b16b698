//! Pods on virtual time.
//!
//! A [`Scenario`] is text: a pod in shorthand, how its processes behave, and what happens to it from
//! outside. [`run`] plays it in the world of `simulation`: the same `observe -> plan -> issue` loop as
//! the kubelet's, with an engine that dies where the scenario says. What comes out is a timeline to compare with a golden text. Every step is checked twice: the plan must be at
//! its fixpoint after its actions are issued, and an independent [`checker`] watches for broken
//! promises with other logic than the planner's.

mod changes;
pub mod checker;
mod crash;
mod engine;
pub mod exhaustive;
mod play;
mod quiet;
pub mod random;
mod script;
mod seeds;
mod timeline;
mod words;

pub use play::{Steps, check, run};
pub use script::{Crash, CrashPoint, Scenario, ScriptError};
pub use seeds::{Failure, Seeds, seeds};
