//! What happened to a pod and why, in order.
//!
//! Events, the steps of `monopod run` and explanations are read from it. It is a record, not a source of truth: nothing is
//! decided from it, and a pod goes on when it cannot be written.

mod entry;
mod file;
mod kept;
mod record;

pub use entry::{Entry, Happening, Occasion, Snapshot, is_left_out, says_nothing_new};
pub use file::{GENERATION_BYTES_MAX, Journal, JournalError, Past, read};
pub use kept::{KEPT_KIB_MAX, KEPT_PODS_MAX, Kept, keep, kept, kept_dir};
pub use record::{Listener, Live, LogTail, Record};
