//! A pod on virtual time: the same `observe -> plan -> issue` loop as the kubelet's, in a world that does as it is told.
//!
//! [`World`] is the one such world there is: processes, pulls, probes and hooks behave as a [`Script`] says, and a clock jumps from
//! one event to the next. Whoever decides in it is an [`Engine`].
//!
//! [`run`] plays a pod under [`Assumptions`]: what is stated, what its manifest makes evident, and defaults. What comes of it is a
//! [`journal::Record`] as a kubelet writes it, so that whatever explains what was explains what will be.

mod answers;
mod assumed;
mod assumption;
mod behaviour;
mod derive;
mod engine;
mod recorder;
mod run;
mod script;
mod warning;
mod world;

pub use answers::image_id;
pub use assumed::Assumed;
pub use assumption::{Assumption, Assumptions, Flag, UNTIL, UNTIL_MAX};
pub use behaviour::{Behaviour, ExitScript, Outcome, ProbeResults, ProbeScript, PullScript, StartScript};
pub use engine::{Engine, Settled, moment};
pub use recorder::ENTRIES_MAX;
pub use run::{STEPS_MAX, Simulated, run};
pub use script::{Event, Script};
pub use warning::{Warning, WarningKind};
pub use world::{Ended, World};
