//! Following a container's log: from its first record through rotations and restarts, without polling and
//! without losing a line.
//!
//! One [`LogWatcher`] serves a whole engine: the kernel allows few inotify instances per user. It opens
//! every file of a followed container as soon as it appears, so that a follower that is slow still has the
//! parts that rotation has removed by the time it gets to them.

mod directory;
mod follower;
mod stream;
mod tail;
mod watcher;

pub use follower::{Finish, LogChunk, LogFollower};
pub use stream::{LogQuery, LogStream};
pub use tail::tails;
pub use watcher::LogWatcher;
