//! The images of the node: those that nobody uses go when the disk fills
//! (<https://kubernetes.io/docs/concepts/architecture/garbage-collection/#container-image-lifecycle>), and the node's
//! object has a list of them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use kubelet::{Kubelet, Node};
use ports::{FileSystemBytes, ImageOnNode, ImageService, PortError, Reclaim, Reclaimed};
use serde_json::{Value, json};
use store::Store;
use tokio::sync::Mutex;

use crate::node_event::{NodeEvent, change, node_event};

/// After a collection that found too little nothing may be left to find: it is tried again as often as a kubelet does.
const FAILED_AGAIN: Duration = Duration::from_secs(5 * 60);
/// As many as a kubelet lists, the largest first, and as many names of each.
const IMAGES_LISTED_MAX: usize = 50;
const NAMES_LISTED_MAX: usize = 5;

/// When images are removed, as a kubelet's flags say.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ImageThresholds {
    /// How full the disk is when unused images begin to go; 100 for never.
    pub high_percent: u8,
    /// And when they no longer do.
    pub low_percent: u8,
    /// How old the ones that go are at least.
    pub age_min: Duration,
}

impl Default for ImageThresholds {
    fn default() -> Self {
        Self { high_percent: 85, low_percent: 80, age_min: Duration::from_secs(120) }
    }
}

impl ImageThresholds {
    /// How full it is, in percent, and how much is to go; `None` while there is room enough.
    fn exceeded(&self, disk: FileSystemBytes) -> Option<(u64, u64)> {
        let (capacity, available) = (u128::from(disk.capacity), u128::from(disk.available));
        let used_percent = 100 - (available * 100).checked_div(capacity)?.min(100);
        if self.high_percent >= 100 || used_percent < u128::from(self.high_percent) {
            return None;
        }
        let wanted = capacity * u128::from(100 - self.low_percent.min(100)) / 100;
        let narrow = |bytes: u128| u64::try_from(bytes).unwrap_or(u64::MAX);
        Some((narrow(used_percent), narrow(wanted.saturating_sub(available))))
    }
}

/// Looks after the images of one node.
pub(crate) struct NodeImages<N: Node> {
    store: Store,
    kubelet: Arc<Kubelet<N>>,
    node_name: String,
    thresholds: ImageThresholds,
    /// Collections go one after the other.
    failures: Mutex<Failures>,
}

#[derive(Debug, Default)]
struct Failures {
    last: Option<Instant>,
    in_a_row: u32,
}

impl<N: Node> NodeImages<N> {
    pub(crate) fn new(
        store: Store,
        kubelet: Arc<Kubelet<N>>,
        node_name: String,
        thresholds: ImageThresholds,
    ) -> Self {
        Self { store, kubelet, node_name, thresholds, failures: Mutex::default() }
    }

    /// After each pull. Until it is dropped.
    pub(crate) async fn follow(&self) {
        loop {
            self.list().await;
            self.kubelet.image_pulled().await;
            self.collect(true).await;
        }
    }

    /// Removes unused images as far as the disk is too full. `at_once`: also when there was too little to remove a
    /// moment ago.
    pub(crate) async fn collect(&self, at_once: bool) {
        let mut failures = self.failures.lock().await;
        if !at_once && failures.last.is_some_and(|last| last.elapsed() < FAILED_AGAIN) {
            return;
        }
        match self.try_collect().await {
            Ok(()) => *failures = Failures::default(),
            Err(PortError(why)) => {
                failures.last = Some(Instant::now());
                failures.in_a_row = failures.in_a_row.saturating_add(1);
                tracing::info!("{why}");
                // One failure may be a moment's.
                if failures.in_a_row > 1 {
                    self.warn("ImageGCFailed", &why).await;
                }
            }
        }
    }

    async fn try_collect(&self) -> Result<(), PortError> {
        let disk = self.kubelet.images().file_system().await?;
        if disk.capacity == 0 {
            let why = "invalid capacity 0 on image filesystem";
            self.warn("InvalidDiskCapacity", why).await;
            return Err(PortError(why.to_owned()));
        }
        let Some((used_percent, bytes)) = self.thresholds.exceeded(disk) else { return Ok(()) };
        let freed = self.reclaim(Some(bytes)).await?.bytes;
        if freed >= bytes {
            return Ok(());
        }
        let why = insufficient(used_percent, disk.capacity, freed);
        self.warn("FreeDiskSpaceFailed", &why).await;
        Err(PortError(why))
    }

    /// Removes every image that nobody uses, before a pod has to go.
    pub(crate) async fn reclaim_all(&self) {
        let _one = self.failures.lock().await;
        if let Err(error) = self.reclaim(None).await {
            tracing::warn!("unused images could not be removed: {error}");
        }
    }

    async fn reclaim(&self, bytes: Option<u64>) -> Result<Reclaimed, PortError> {
        let wanted = Reclaim { bytes, age_min: self.thresholds.age_min };
        let reclaimed = self.kubelet.images().reclaim(wanted).await?;
        if reclaimed.images > 0 {
            tracing::info!("removed {} images of {} bytes", reclaimed.images, reclaimed.bytes);
            self.list().await;
        }
        if reclaimed.errors.is_empty() {
            return Ok(reclaimed);
        }
        let (freed, errors) = (reclaimed.bytes, reclaimed.errors.join(", "));
        let wanted = bytes.unwrap_or(i64::MAX as u64);
        Err(PortError(format!(
            "wanted to free {wanted} bytes, but freed {freed} bytes space with errors in image deletion: [{errors}]"
        )))
    }

    async fn warn(&self, reason: &'static str, message: &str) {
        let event = NodeEvent { is_warning: true, reason, about: "images", message };
        node_event(&self.store, &self.node_name, event).await;
    }

    /// Writes the node's list of images when it is another.
    async fn list(&self) {
        let images = match self.kubelet.images().list().await {
            Ok(images) => images_of_node(images),
            Err(error) => return tracing::warn!("the node's images cannot be listed: {error}"),
        };
        change(&self.store, "nodes", "", &self.node_name, move |node| {
            let mut node = node.filter(|node| node["status"]["images"] != images)?;
            node["status"]["images"] = images;
            Some(node)
        })
        .await;
    }
}

/// `status.images`.
fn images_of_node(mut images: Vec<ImageOnNode>) -> Value {
    images.sort_by(|one, other| other.bytes.cmp(&one.bytes).then_with(|| one.names.cmp(&other.names)));
    let image = |image: ImageOnNode| {
        let names = &image.names[..image.names.len().min(NAMES_LISTED_MAX)];
        json!({"names": names, "sizeBytes": image.bytes})
    };
    images.into_iter().take(IMAGES_LISTED_MAX).map(image).collect()
}

fn insufficient(used_percent: u64, capacity: u64, freed: u64) -> String {
    format!(
        "Insufficient free disk space on the node's image filesystem ({used_percent}% of {} used). Failed to free \
         sufficient space by deleting unused images (freed {freed} bytes). Investigate disk usage, as it could be \
         used by active images, logs, volumes, or other data.",
        with_a_tenth(capacity)
    )
}

/// `100.0 GiB`: always with one.
fn with_a_tenth(bytes: u64) -> String {
    let units = [(1u64 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    match units.into_iter().find(|(size, _)| bytes >= *size) {
        Some((size, unit)) => {
            let tenths = (u128::from(bytes) * 10 + u128::from(size) / 2) / u128::from(size);
            format!("{}.{} {unit}", tenths / 10, tenths % 10)
        }
        None => format!("{bytes} B"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use ports::{FileSystemBytes, ImageOnNode};
    use serde_json::json;

    use super::{IMAGES_LISTED_MAX, ImageThresholds, images_of_node, insufficient, with_a_tenth};

    #[test]
    fn a_disk_above_the_high_threshold_is_emptied_to_the_low_one() {
        let kubelets = ImageThresholds::default();
        let never = ImageThresholds { high_percent: 100, ..kubelets };
        let always = ImageThresholds { high_percent: 0, low_percent: 0, age_min: Duration::ZERO };
        let disk = |capacity, available| FileSystemBytes { capacity, available };
        for (thresholds, disk, expected) in [
            (kubelets, disk(1_000, 160), None),
            // Of a percent that has begun a kubelet counts the whole.
            (kubelets, disk(1_000, 159), Some((85, 41))),
            (kubelets, disk(1_000, 150), Some((85, 50))),
            (kubelets, disk(1_000, 0), Some((100, 200))),
            (kubelets, disk(u64::MAX, 0), Some((100, 3_689_348_814_741_910_323))),
            (kubelets, disk(0, 0), None),
            (kubelets, disk(10, 20), None),
            (never, disk(1_000, 0), None),
            (always, disk(1_000, 1_000), Some((0, 0))),
            (always, disk(1_000, 400), Some((60, 600))),
        ] {
            assert_eq!(thresholds.exceeded(disk), expected, "{thresholds:?} {disk:?}");
        }
    }

    #[test]
    fn what_could_not_be_freed_is_told_in_the_kubelets_words() {
        assert_eq!(
            insufficient(90, 100 << 30, 7),
            "Insufficient free disk space on the node's image filesystem (90% of 100.0 GiB used). Failed to free \
             sufficient space by deleting unused images (freed 7 bytes). Investigate disk usage, as it could be used \
             by active images, logs, volumes, or other data."
        );
        for (bytes, text) in [(0, "0 B"), (1_023, "1023 B"), (1_536, "1.5 KiB"), (u64::MAX, "16777216.0 TiB")]
        {
            assert_eq!(with_a_tenth(bytes), text);
        }
    }

    #[test]
    fn the_node_lists_the_largest() {
        let image = |name: &str, bytes| ImageOnNode { names: vec![name.to_owned()], bytes };
        let names = (0..7).map(|n| format!("a:{n}")).collect();
        let listed = images_of_node(vec![image("c", 1), image("b", 1), ImageOnNode { names, bytes: 9 }]);
        assert_eq!(
            listed,
            json!([
                {"names": ["a:0", "a:1", "a:2", "a:3", "a:4"], "sizeBytes": 9},
                {"names": ["b"], "sizeBytes": 1},
                {"names": ["c"], "sizeBytes": 1},
            ])
        );
        let many: Vec<ImageOnNode> = (0..60).map(|n| image("x", n)).collect();
        let listed = images_of_node(many);
        let listed = listed.as_array().unwrap();
        assert_eq!((listed.len(), &listed[0]["sizeBytes"]), (IMAGES_LISTED_MAX, &json!(59)));
    }
}
