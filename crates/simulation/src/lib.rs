//! A pod on virtual time: the same `observe -> plan -> issue` loop as the kubelet's, in a world that does as it is told.
//!
//! [`World`] is the one such world there is: processes, pulls, probes and hooks behave as a [`Script`] says, and a clock jumps from
//! one event to the next. Whoever decides in it is an [`Engine`].

mod answers;
mod behaviour;
mod engine;
mod script;
mod world;

pub use answers::image_id;
pub use behaviour::{Behaviour, ExitScript, Outcome, ProbeResults, ProbeScript, PullScript, StartScript};
pub use engine::{Engine, Settled, moment};
pub use script::{Event, Script};
pub use world::{Ended, World};
