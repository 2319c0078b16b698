//! Requests and limits as cgroup values
//! (<https://kubernetes.io/docs/concepts/configuration/manage-resources-containers/>).

use podspec::{Container, ContainerKind, PodSpec, Resources};

use crate::config::{DeviceRule, ResourceLimits};

const SHARES_PER_CPU: u64 = 1024;
const SHARES_MIN: u64 = 2;
const SHARES_MAX: u64 = 262_144;
const PERIOD_US: u64 = 100_000;
/// The kernel's own minimum.
const QUOTA_US_MIN: u64 = 1_000;

/// What a container may use in its pod.
#[must_use]
pub fn resource_limits_in(pod: &PodSpec, container: &Container) -> ResourceLimits {
    let limits = limits(&bounded(pod, container));
    if container.security.privileged { ResourceLimits { devices: Vec::new(), ..limits } } else { limits }
}

/// A container's resources; where it has no limit, it has the pod's own (KEP-2837).
pub(crate) fn bounded(pod: &PodSpec, container: &Container) -> Resources {
    let of_pod = pod.resources.unwrap_or_default();
    let limit = |own: Option<u64>, of_pod| own.filter(|amount| *amount > 0).or(of_pod);
    Resources {
        cpu_limit: limit(container.resources.cpu_limit, of_pod.cpu_limit),
        memory_limit: limit(container.resources.memory_limit, of_pod.memory_limit),
        ..container.resources
    }
}

/// A container that asks for no CPU gets the least weight, not the kernel's default.
fn limits(resources: &Resources) -> ResourceLimits {
    let quota = resources.cpu_limit.filter(|milli| *milli > 0).map(quota_us);
    ResourceLimits {
        cpu_shares: Some(shares(resources.cpu_request.or(resources.cpu_limit).unwrap_or(0))),
        cpu_quota_us: quota,
        cpu_period_us: quota.map(|_| PERIOD_US),
        memory_limit_bytes: resources.memory_limit.filter(|bytes| *bytes > 0),
        processes_max: None,
        // As the kubelet: what is left of a container after an OOM kill is seldom of use.
        oom_ends_all: true,
        devices: device_rules(),
    }
}

fn shares(cpu_milli: u64) -> u64 {
    (cpu_milli.saturating_mul(SHARES_PER_CPU) / 1000).clamp(SHARES_MIN, SHARES_MAX)
}

fn quota_us(cpu_milli: u64) -> u64 {
    (cpu_milli.saturating_mul(PERIOD_US) / 1000).max(QUOTA_US_MIN)
}

/// The limits of the pod's own cgroup: what the pod has of its own, or else the weight its containers
/// asked for together, and the CPU and memory they may use together when every one of them has a limit.
#[must_use]
pub fn pod_resource_limits(pod: &PodSpec) -> ResourceLimits {
    let request = |c: &Container| Some(c.resources.cpu_request.or(c.resources.cpu_limit).unwrap_or(0));
    let own = pod.resources.unwrap_or_default();
    let together_milli = || together(pod, |c| c.resources.cpu_limit.filter(|milli| *milli > 0));
    // The runtime's own comes on top, of what is limited at all.
    let overhead = pod.overhead;
    let with = |own: u64| move |amount: u64| amount.saturating_add(own);
    let limit = own.cpu_limit.filter(|milli| *milli > 0).or_else(together_milli);
    let quota = limit.map(with(overhead.cpu)).map(quota_us);
    let requested = own.cpu_request.or_else(|| together(pod, request));
    ResourceLimits {
        cpu_shares: requested.map(with(overhead.cpu)).map(shares),
        cpu_quota_us: quota,
        cpu_period_us: quota.map(|_| PERIOD_US),
        memory_limit_bytes: pod_memory_limit_bytes(pod).map(with(overhead.memory)),
        processes_max: None,
        // One container's end must not be every other's.
        oom_ends_all: false,
        devices: Vec::new(),
    }
}

/// What the pod has as a whole: of its own, or else what its containers ask for and may use together; a limit only
/// where every one of them has one.
#[must_use]
pub fn pod_resources(pod: &PodSpec) -> Resources {
    let own = pod.resources.unwrap_or_default();
    let asked = |amount: fn(&Resources) -> Option<u64>| {
        let any = pod.init_and_app_containers().any(|c| amount(&c.resources).is_some());
        any.then(|| together(pod, |c| Some(amount(&c.resources).unwrap_or(0)))).flatten()
    };
    let cpu_limit = || together(pod, |c| c.resources.cpu_limit.filter(|milli| *milli > 0));
    Resources {
        cpu_request: own.cpu_request.or_else(|| asked(|resources| resources.cpu_request)),
        cpu_limit: own.cpu_limit.or_else(cpu_limit),
        memory_request: own.memory_request.or_else(|| asked(|resources| resources.memory_request)),
        memory_limit: own.memory_limit.or_else(|| together_bytes(pod)),
    }
}

/// What the pod's containers may use of memory together, when the pod or every one of them has a limit.
#[must_use]
pub fn pod_memory_limit_bytes(pod: &PodSpec) -> Option<u64> {
    let own = pod.resources.and_then(|own| own.memory_limit).filter(|bytes| *bytes > 0);
    own.or_else(|| together_bytes(pod))
}

fn together_bytes(pod: &PodSpec) -> Option<u64> {
    together(pod, |c| c.resources.memory_limit.filter(|bytes| *bytes > 0))
}

/// The most the pod's containers take at one time: its app containers and sidecars at once, or an
/// init container beside the sidecars started before it. `None` when one has no amount.
pub(crate) fn together(pod: &PodSpec, amount: impl Fn(&Container) -> Option<u64>) -> Option<u64> {
    let mut sidecars = 0_u64;
    let mut peak = 0_u64;
    for container in &pod.init_containers {
        let own = amount(container)?;
        if container.kind == ContainerKind::Sidecar {
            sidecars = sidecars.saturating_add(own);
            peak = peak.max(sidecars);
        } else {
            peak = peak.max(sidecars.saturating_add(own));
        }
    }
    let apps = pod.containers.iter().try_fold(sidecars, |sum, c| Some(sum.saturating_add(amount(c)?)))?;
    Some(peak.max(apps))
}

/// Nothing but the standard devices; any node may be made, as making one gives no access.
fn device_rules() -> Vec<DeviceRule> {
    let rule = |allow, kind, major, minor, access: &str| DeviceRule {
        allow,
        kind,
        major,
        minor,
        access: access.to_owned(),
    };
    let mut rules = vec![
        rule(false, 'a', None, None, "rwm"),
        rule(true, 'c', None, None, "m"),
        rule(true, 'b', None, None, "m"),
    ];
    // null, zero, full, random, urandom, tty, ptmx
    for (major, minor) in [(1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 2)] {
        rules.push(rule(true, 'c', Some(major), Some(minor), "rwm"));
    }
    // /dev/pts/*
    rules.push(rule(true, 'c', Some(136), None, "rwm"));
    rules
}

#[cfg(test)]
mod tests {
    use podspec::{IDENTITY_BYTES, Resources};

    use super::pod_resources;

    #[test]
    fn a_pod_has_what_its_containers_have_together() {
        let of = |own: &str, first: &str, side: &str, app: &str| {
            let text = format!(
                "{{apiVersion: v1, kind: Pod, metadata: {{name: p}}, spec: {{resources: {own}, initContainers: [\
                 {{name: side, image: i, restartPolicy: Always, resources: {side}}}, {{name: first, image: i, \
                 resources: {first}}}], containers: [{{name: app, image: i, resources: {app}}}, {{name: b, image: i}}]}}}}"
            );
            let loaded = podspec::load_pods("test", &text, || [7; IDENTITY_BYTES]).unwrap().remove(0);
            pod_resources(&loaded.admitted.pod.spec)
        };
        let none = "{}";
        assert_eq!(of("null", none, none, none), Resources::default());
        // Limits of some are no limit of all.
        let (side, first) = ("{requests: {cpu: 100m}}", "{requests: {cpu: 250m}, limits: {memory: 1Mi}}");
        let app = "{requests: {cpu: 100m, memory: 2Mi}}";
        let together =
            Resources { cpu_request: Some(350), memory_request: Some(2 << 20), ..Resources::default() };
        assert_eq!(of("null", first, side, app), together);
        let own = "{requests: {cpu: 1}, limits: {cpu: 2}}";
        let expected = Resources { cpu_request: Some(1_000), cpu_limit: Some(2_000), ..together };
        assert_eq!(of(own, first, side, app), expected);
    }
}
