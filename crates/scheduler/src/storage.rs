//! Whether a pod has more on the disk than its containers may have: as [`crate::pressure`], a kubelet's decision
//! (<https://kubernetes.io/docs/concepts/storage/ephemeral-storage/#resource-emphemeralstorage-consumption>).

use podspec::quantity::Quantity;
use podspec::{Container, ContainerKind, PodSpec};

/// What a pod has on the disk, in bytes.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct StorageUsage {
    /// The layer and the logs of each container that runs.
    pub containers: Vec<(String, u64)>,
    /// All volumes on the disk that are the pod's own.
    pub volumes: u64,
}

/// What a pod may have.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StorageLimits {
    pod: Quantity,
    /// App containers alone.
    containers: Vec<(String, Quantity)>,
}

impl StorageLimits {
    /// `None` when no container has such a limit.
    #[must_use]
    pub fn of(spec: &PodSpec) -> Option<Self> {
        let limit = |container: &Container| container.other_resources.storage_limit();
        let of_container = |container: &Container| {
            let limit = limit(container).filter(|limit| !limit.is_zero())?;
            Some((container.name.to_string(), limit))
        };
        Some(Self {
            pod: together(spec, limit)?,
            containers: spec.containers.iter().filter_map(of_container).collect(),
        })
    }

    /// Why the pod has to go, if it has to, as a kubelet says it; the space at the end is a kubelet's, too.
    #[must_use]
    pub fn exceeded(&self, usage: &StorageUsage) -> Option<String> {
        let of_containers = usage.containers.iter().map(|(_, bytes)| *bytes);
        let all = of_containers.fold(usage.volumes, u64::saturating_add);
        if Quantity::from_bytes(all) > self.pod {
            let limit = self.pod;
            return Some(format!(
                "Pod ephemeral local storage usage exceeds the total limit of containers {limit}. "
            ));
        }
        let exceeds = |(name, bytes): &(String, u64)| {
            let (_, limit) = self.containers.iter().find(|(limited, _)| limited == name)?;
            (Quantity::from_bytes(*bytes) > *limit)
                .then(|| format!("Container {name} exceeded its local ephemeral storage limit \"{limit}\". "))
        };
        usage.containers.iter().find_map(exceeds)
    }
}

/// App containers and sidecars at once, or an init container with the sidecars before it where that is more. One
/// without a limit adds nothing.
fn together(spec: &PodSpec, limit: impl Fn(&Container) -> Option<Quantity>) -> Option<Quantity> {
    let plus = |sum: Option<Quantity>, more: Option<Quantity>| match (sum, more) {
        (Some(sum), Some(more)) => Some(sum.plus(more)),
        (one, other) => one.or(other),
    };
    let (mut sidecars, mut largest) = (None, None);
    for container in &spec.init_containers {
        let here = plus(sidecars, limit(container));
        largest = largest.max(here);
        if container.kind == ContainerKind::Sidecar {
            sidecars = here;
        }
    }
    spec.containers.iter().map(limit).fold(sidecars, plus).max(largest)
}

#[cfg(test)]
mod tests {
    use podspec::{IDENTITY_BYTES, PodSpec};

    use super::{StorageLimits, StorageUsage};

    /// Of an init container, a sidecar and two app containers; empty: no limit.
    fn spec([init, side, a, b]: [&str; 4]) -> PodSpec {
        let limits = |limit: &str| match limit {
            "" => "{}".to_owned(),
            limit => format!("{{limits: {{ephemeral-storage: {limit}}}}}"),
        };
        let text = format!(
            "{{apiVersion: v1, kind: Pod, metadata: {{name: p}}, spec: {{\
             initContainers: [{{name: side, image: i, restartPolicy: Always, resources: {}}}, \
             {{name: init, image: i, resources: {}}}], \
             containers: [{{name: a, image: i, resources: {}}}, {{name: b, image: i, resources: {}}}]}}}}",
            limits(side),
            limits(init),
            limits(a),
            limits(b),
        );
        podspec::load_pods("test", &text, || [7; IDENTITY_BYTES]).unwrap().remove(0).admitted.pod.spec
    }

    #[test]
    fn the_pod_first_and_then_its_containers() {
        let mib = 1 << 20;
        let of_pod = |limit: &str| {
            Some(format!("Pod ephemeral local storage usage exceeds the total limit of containers {limit}. "))
        };
        let of = |name: &str, limit: &str| {
            Some(format!("Container {name} exceeded its local ephemeral storage limit \"{limit}\". "))
        };
        for (limits, volumes, a, b, expected) in [
            (["", "", "1Mi", ""], 0, mib, 0, None),
            (["", "", "1Mi", ""], 0, mib + 1, 0, of_pod("1Mi")),
            (["", "", "1Mi", ""], 1, mib, 0, of_pod("1Mi")),
            // A container without a limit takes of what the others may.
            (["", "", "1Mi", ""], 0, 0, mib + 1, of_pod("1Mi")),
            (["", "", "1Mi", "1Mi"], 0, mib + 1, 0, of("a", "1Mi")),
            (["", "", "1Mi", "1Mi"], 0, 0, mib + 1, of("b", "1Mi")),
            (["", "", "1Mi", "1Mi"], 0, mib, mib, None),
            (["", "", "1Mi", "1M"], 0, 0, 1_000_001, of("b", "1M")),
            (["", "1Mi", "1Mi", "1Mi"], 3 * mib, 0, 0, None),
            (["", "1Mi", "1Mi", "1Mi"], 3 * mib + 1, 0, 0, of_pod("3Mi")),
            (["5Mi", "1Mi", "1Mi", ""], 6 * mib, 0, 0, None),
            (["5Mi", "1Mi", "1Mi", ""], 6 * mib, 1, 0, of_pod("6Mi")),
            // A limit of nothing is one for the pod, not for the container.
            (["", "", "0", "1Mi"], 0, mib, 0, None),
            (["", "", "0", ""], 0, 1, 0, of_pod("0")),
        ] {
            let usage = StorageUsage { containers: vec![("a".to_owned(), a), ("b".to_owned(), b)], volumes };
            let limited = StorageLimits::of(&spec(limits)).unwrap();
            assert_eq!(limited.exceeded(&usage), expected, "{limits:?} {usage:?}");
        }
        assert_eq!(StorageLimits::of(&spec(["", "", "", ""])), None);
    }
}
