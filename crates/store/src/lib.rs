//! Objects with one resourceVersion, watches and durable writes.
//!
//! Every object is in memory; the disk holds a copy, so reading costs no I/O. One thread owns every change. [`Store::write`] hands it a closure, the thread runs
//! what is queued, makes it durable with one commit, publishes it, and answers. So a revision is published after every lower one, and
//! a reader never sees what a power cut could take away, except for lazy writes, which reach the disk up to [`LAZY_MS`] later.
//!
//! The one number that orders all changes is called *revision* here and resourceVersion on the wire. None is used twice: each belongs
//! to a block that was reserved on disk before its first revision was published.

mod disk;
mod error;
mod medium;
mod object;
mod queue;
mod state;
mod store;
mod tx;
mod watch;
mod writer;

#[cfg(test)]
mod tests;

pub use error::{DiskError, OpenError, WatchError, WriteError};
pub use object::{Change, ChangeKind, Draft, Index, Listing, Object, ObjectKey, Resource};
pub use store::{Durability, IndexFn, Options, Place, Store};
pub use tx::Tx;
pub use watch::Watch;

/// What one object's JSON may take: etcd's limit of a request, which clients know.
pub const OBJECT_BYTES_MAX: usize = 1_572_864;
/// How many objects there may be.
pub const OBJECTS_MAX: usize = 200_000;
/// What all JSON together may take, in memory and so on disk.
pub const STORE_BYTES_MAX: usize = 512 * 1024 * 1024;
/// How many changes of one resource a watch may lag behind.
pub const HISTORY_CHANGES_MAX: usize = 4_096;
/// What the changes of all resources that watches may still ask for may take.
pub const HISTORY_BYTES_MAX: usize = 8 * 1024 * 1024;
/// And once nothing has changed for a while: enough for a client that comes back, and what is older it lists anew.
pub const HISTORY_AT_REST_BYTES_MAX: usize = 1024 * 1024;
/// How long a lazy write may be in memory alone.
pub const LAZY_MS: u64 = 100;
