//! A defaulted, validated pod to the engine's types. What could not be represented has been refused
//! before, so every function here is total.

mod container;
mod handler;
mod source;

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use crate::ids::{PodUid, VolumeName};
use crate::json::{fields, flag, integer, list, object, text, texts};
use crate::quantity::Quantity;
use crate::spec::{
    ContainerKind, DnsConfig, DnsPolicy, EmptyDirMedium, HostAlias, HostPathType, Overhead, Pod, PodSpec,
    RestartPolicy, RuntimeClass, Sysctl, Volume, VolumeSource,
};

/// Linux' `HOST_NAME_MAX` less one, as the kubelet has it.
const HOSTNAME_BYTES_MAX: usize = 63;

pub(crate) fn pod(manifest: &Value) -> Pod {
    let metadata = &manifest["metadata"];
    let name = text(metadata, "name").to_owned();
    Pod {
        namespace: text(metadata, "namespace").to_owned(),
        uid: PodUid::new(text(metadata, "uid")),
        generation: integer(metadata, "generation").unwrap_or(1),
        labels: string_map(&metadata["labels"]),
        annotations: string_map(&metadata["annotations"]),
        spec: spec(&manifest["spec"], &name),
        name,
    }
}

fn spec(spec: &Value, pod_name: &str) -> PodSpec {
    let context = &spec["securityContext"];
    let containers =
        |section, kind| list(spec, section).iter().map(|c| container::lower(c, context, kind)).collect();
    PodSpec {
        restart_policy: restart_policy(text(spec, "restartPolicy")).unwrap_or(RestartPolicy::Always),
        termination_grace_period: grace_period(integer(spec, "terminationGracePeriodSeconds")),
        active_deadline: integer(spec, "activeDeadlineSeconds").map(seconds),
        hostname: hostname(spec, pod_name),
        subdomain: Some(text(spec, "subdomain"))
            .filter(|_| override_of(spec).is_none())
            .unwrap_or("")
            .to_owned(),
        hostname_as_fqdn: flag(spec, "setHostnameAsFQDN"),
        dns_policy: dns_policy(text(spec, "dnsPolicy")),
        dns_config: dns_config(&spec["dnsConfig"]),
        host_network: flag(spec, "hostNetwork"),
        host_pid: flag(spec, "hostPID"),
        host_ipc: flag(spec, "hostIPC"),
        own_users: spec.get("hostUsers") == Some(&Value::Bool(false)),
        sysctls: list(context, "sysctls").iter().map(sysctl).collect(),
        app_armor: app_armor(spec),
        se_linux: se_linux(spec),
        share_process_namespace: flag(spec, "shareProcessNamespace"),
        init_containers: containers("initContainers", ContainerKind::Init),
        containers: containers("containers", ContainerKind::App),
        ephemeral_containers: containers("ephemeralContainers", ContainerKind::Ephemeral),
        volumes: list(spec, "volumes").iter().map(|entry| volume(entry, pod_name)).collect(),
        supplemental_groups: list(context, "supplementalGroups").iter().filter_map(id).collect(),
        strict_groups: text(context, "supplementalGroupsPolicy") == "Strict",
        fs_group: context.get("fsGroup").and_then(id),
        fs_group_trusts_root: text(context, "fsGroupChangePolicy") == "OnRootMismatch",
        service_account: text(spec, "serviceAccountName").to_owned(),
        image_pull_secrets: (list(spec, "imagePullSecrets").iter())
            .map(|secret| text(secret, "name").to_owned())
            .filter(|name| !name.is_empty())
            .collect(),
        service_links: spec.get("enableServiceLinks") != Some(&Value::Bool(false)),
        host_aliases: list(spec, "hostAliases").iter().map(host_alias).collect(),
        readiness_gates: (list(spec, "readinessGates").iter())
            .map(|gate| text(gate, "conditionType").to_owned())
            .collect(),
        resources: object(spec, "resources").map(container::resources),
        overhead: overhead(&spec["overhead"]),
        runtime_class: Some(text(spec, "runtimeClassName"))
            .filter(|name| !name.is_empty())
            .map(|name| RuntimeClass { name: name.to_owned(), handler: None }),
        os: object(spec, "os").map(|os| text(os, "name").to_owned()),
    }
}

fn overhead(amounts: &Value) -> Overhead {
    let amount = |name| Quantity::parse(text(amounts, name)).ok();
    Overhead {
        cpu: amount("cpu").map_or(0, Quantity::to_milli),
        memory: amount("memory").map_or(0, Quantity::to_units),
    }
}

/// A negative grace period is one second, as the kubelet takes it.
fn grace_period(period_seconds: Option<i64>) -> Duration {
    let period_seconds = period_seconds.unwrap_or(30);
    if period_seconds < 0 { Duration::from_secs(1) } else { seconds(period_seconds) }
}

fn override_of(spec: &Value) -> Option<&str> {
    spec.get("hostnameOverride").and_then(Value::as_str)
}

fn hostname(spec: &Value, pod_name: &str) -> String {
    let given = Some(text(spec, "hostname")).filter(|name| !name.is_empty());
    let name = override_of(spec).or(given).unwrap_or(pod_name);
    if name.len() <= HOSTNAME_BYTES_MAX {
        return name.to_owned();
    }
    name[..HOSTNAME_BYTES_MAX].trim_end_matches(['-', '.']).to_owned()
}

fn dns_policy(policy: &str) -> DnsPolicy {
    match policy {
        "ClusterFirstWithHostNet" => DnsPolicy::ClusterFirstWithHostNet,
        "Default" => DnsPolicy::Default,
        "None" => DnsPolicy::None,
        _ => DnsPolicy::ClusterFirst,
    }
}

fn dns_config(config: &Value) -> DnsConfig {
    let option = |option: &Value| {
        let value = option.get("value").and_then(Value::as_str).map(str::to_owned);
        (text(option, "name").to_owned(), value)
    };
    DnsConfig {
        nameservers: texts(config, "nameservers").unwrap_or_default(),
        searches: texts(config, "searches").unwrap_or_default(),
        options: list(config, "options").iter().map(option).collect(),
    }
}

fn app_armor(spec: &Value) -> bool {
    any_context(spec, |context| {
        object(context, "appArmorProfile").is_some_and(|profile| text(profile, "type") != "Unconfined")
    })
}

fn se_linux(spec: &Value) -> bool {
    any_context(spec, |context| context["seLinuxOptions"].as_object().is_some_and(|label| !label.is_empty()))
}

/// Of the security contexts of the pod and its containers.
fn any_context(spec: &Value, says: impl Fn(&Value) -> bool) -> bool {
    let containers = ["initContainers", "containers", "ephemeralContainers"];
    let containers = containers.iter().flat_map(|section| list(spec, section));
    std::iter::once(spec).chain(containers).any(|owner| says(&owner["securityContext"]))
}

fn sysctl(sysctl: &Value) -> Sysctl {
    Sysctl { name: sysctl_name(text(sysctl, "name")), value: text(sysctl, "value").to_owned() }
}

/// `net/ipv4/conf/eth0.1/forwarding` is `net.ipv4.conf.eth0/1.forwarding`.
pub(crate) fn sysctl_name(name: &str) -> String {
    if name.chars().find(|c| ['.', '/'].contains(c)) != Some('/') {
        return name.to_owned();
    }
    let swap = |c| match c {
        '.' => '/',
        '/' => '.',
        other => other,
    };
    name.chars().map(swap).collect()
}

fn claimed(volume: &Value, pod_name: &str) -> Option<VolumeSource> {
    if object(volume, "ephemeral").is_some() {
        let claim = crate::claim_of_ephemeral(pod_name, text(volume, "name"));
        return Some(VolumeSource::Claim { claim, read_only: false, ephemeral: true });
    }
    let claim = object(volume, "persistentVolumeClaim")?;
    Some(VolumeSource::Claim {
        claim: text(claim, "claimName").to_owned(),
        read_only: flag(claim, "readOnly"),
        ephemeral: false,
    })
}

fn volume(volume: &Value, pod_name: &str) -> Volume {
    if let Some(source) = claimed(volume, pod_name) {
        return Volume { name: VolumeName::new(text(volume, "name")), source };
    }
    if let Some(projected) = source::volume(volume) {
        let name = VolumeName::new(text(volume, "name"));
        return Volume { name, source: VolumeSource::Projected(projected) };
    }
    if let Some(image) = object(volume, "image") {
        let source = VolumeSource::Image {
            reference: text(image, "reference").to_owned(),
            pull_policy: container::pull_policy(text(image, "pullPolicy")),
        };
        return Volume { name: VolumeName::new(text(volume, "name")), source };
    }
    let source = match (object(volume, "hostPath"), object(volume, "emptyDir")) {
        (Some(host_path), _) => VolumeSource::HostPath {
            path: text(host_path, "path").to_owned(),
            kind: HostPathType::parse(text(host_path, "type")),
        },
        (None, empty_dir) => {
            let field = |name| empty_dir.map_or("", |e| text(e, name));
            let medium =
                if field("medium") == "Memory" { EmptyDirMedium::Memory } else { EmptyDirMedium::Disk };
            // A limit of 0 is none.
            let limit = Quantity::parse(field("sizeLimit")).ok().filter(|q| !q.is_zero());
            VolumeSource::EmptyDir { medium, size_limit: limit.map(Quantity::to_units) }
        }
    };
    Volume { name: VolumeName::new(text(volume, "name")), source }
}

fn host_alias(alias: &Value) -> HostAlias {
    HostAlias { ip: text(alias, "ip").to_owned(), hostnames: texts(alias, "hostnames").unwrap_or_default() }
}

fn restart_policy(policy: &str) -> Option<RestartPolicy> {
    match policy {
        "Always" => Some(RestartPolicy::Always),
        "OnFailure" => Some(RestartPolicy::OnFailure),
        "Never" => Some(RestartPolicy::Never),
        _ => None,
    }
}

fn string_map(map: &Value) -> BTreeMap<String, String> {
    let entries = fields(map).iter();
    entries.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}

fn seconds(count: i64) -> Duration {
    Duration::from_secs(u64::try_from(count).unwrap_or(0))
}

/// A user or group id.
fn id(value: &Value) -> Option<u32> {
    value.as_i64().and_then(|id| u32::try_from(id).ok())
}
