//! The object store as source and status sink of this machine's pods.
//!
//! What a kubelet does with an API server, done with the store of the same process: pods that are bound to this
//! node are begun (`source`), changed and ended; what becomes of them is written back as status and events
//! (`tend`); and the node itself is kept there as an object ([`node_object`]). Nothing here decides anything
//! about a pod: that is `lifecycle::plan`'s.

mod backend;
mod cluster;
pub mod correlate;
mod events;
mod images;
mod limits;
pub mod machine;
pub mod merge;
mod node_event;
pub mod node_object;
mod notice;
mod objects;
mod pages;
mod placement;
mod pressure;
mod random;
pub mod record;
mod sink;
mod source;
mod stats;
mod streams;
mod tend;
mod updates;
mod usage;
mod wishes;

pub use backend::{Backend, Inheriting};
pub use cluster::{Begin, LocalCluster, Settings};
pub use images::ImageThresholds;
pub use machine::Machine;
pub use node_event::{NodeEvent, node_event};
pub use objects::StoreObjects;
pub use pressure::{PressureSettings, PressureWatch};
pub use scheduler::pressure::Thresholds;
pub use sink::write_node;
