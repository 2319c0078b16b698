//! One loop per pod: observe, plan, apply.
//!
//! [`Kubelet`] takes pods in and runs a worker for each. A worker owns everything of its pod that
//! changes; it knows no rule of the lifecycle, which is [`lifecycle::plan`]'s alone, and nothing of
//! the machine, which is behind [`ports`]. What happened is in the pod's journal, and
//! [`events`] reads Kubernetes' events from it.

mod apply;
mod change;
mod checkpoint;
pub mod columns;
pub mod events;
mod handlers;
mod inbox;
mod kubelet;
mod pulls;
mod record;
pub mod render;
pub mod resize;
mod sessions;
mod start;
mod status;
mod worker;

pub use checkpoint::{CheckpointError, load_pod};
pub use kubelet::{AddPodError, AdoptPodError, Kubelet, NoSuchPod, Settings, Subscription, UpdatePodError};
pub use ports::Paths;
pub use pulls::Pulls;
pub use record::{ReadRecordError, read_entries, read_record};
pub use status::PodView;

use container_config::NodeFacts;
use ports::{Clock, ImageService, ObjectReader, RuntimeService, VolumeService};

/// The world a kubelet works on: one implementation of each port.
pub trait Node: Send + Sync + 'static {
    type Runtime: RuntimeService;
    type Images: ImageService;
    type Volumes: VolumeService;
    type Clock: Clock;

    fn runtime(&self) -> &Self::Runtime;
    fn images(&self) -> &Self::Images;
    fn volumes(&self) -> &Self::Volumes;
    fn clock(&self) -> &Self::Clock;
    fn facts(&self) -> &NodeFacts;
    fn objects(&self) -> &dyn ObjectReader;

    /// The text of a seccomp profile of the node's, by its path below the node's directory of them; or why it cannot be
    /// had, naming the file.
    ///
    /// # Errors
    /// Where the node has none.
    fn seccomp_profile(&self, name: &str) -> Result<String, String> {
        Err(format!("{name}: this node has no seccomp profiles"))
    }
}
