//! Pod sandboxes and containers: starts and adopts shims, speaks to them.
//!
//! [`ShimRuntime`] is the engine's side of the shim protocol: one task per living sandbox reads its
//! connection, and what happens in the pod goes to the pod's observer. A shim whose connection ends without
//! having been asked to is dead or useless; its pod's processes are killed and its sandbox is lost.

mod bury;
mod claim;
mod client;
mod clock;
mod dial;
mod dirs;
mod error;
mod etc;
mod image_use;
mod inherit;
mod launch;
mod listeners;
pub mod logs;
mod sandbox;
mod service;
mod session;
mod sweep;
mod times;
mod users;

pub use claim::{Claim, ClaimError, claim};
pub use etc::host_resolv_conf;
pub use image_use::{ImageUse, image_uses};
pub use inherit::{Inherited, pod_dirs};
pub use launch::Program;
pub use listeners::listeners;
pub use service::ShimRuntime;
pub use sweep::{Cleared, Swept, clear, sweep};
