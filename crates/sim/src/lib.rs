//! Pods on virtual time.
//!
//! A [`Scenario`] is text: a pod in shorthand, how its processes behave, and what happens to it from
//! outside. [`run`] plays it: the same `observe -> plan -> issue` loop as the kubelet's, with a world
//! that answers each action as the script says and a clock that jumps to the next event. What comes
//! out is a timeline to compare with a golden text. Every step is checked twice: the plan must be at
//! its fixpoint after its actions are issued, and an independent [`checker`] watches for broken
//! promises with other logic than the planner's.

mod answers;
mod changes;
pub mod checker;
mod crash;
mod engine;
pub mod exhaustive;
mod quiet;
pub mod random;
mod script;
mod seeds;
mod timeline;
mod words;
mod world;

pub use script::{Behaviour, Crash, CrashPoint, Event, Scenario, ScriptError};
pub use seeds::{Failure, Seeds, seeds};
pub use world::{Steps, check, run};
