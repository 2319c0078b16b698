//! One container.

use serde_json::Value;

use super::{handler, id, restart_policy, source};
use crate::ids::{ContainerName, VolumeName};
use crate::json::{fields, flag, integer, list, object, text, texts};
use crate::quantity::Quantity;
use crate::spec::{
    AppArmorProfile, Capabilities, Container, ContainerKind, ContainerPort, ExitCodeOperator, OtherResources,
    PortProtocol, ProcessRestartPolicy, PullPolicy, ResizeRestarts, Resources, RestartPolicy, RestartRule,
    RestartRuleAction, SeccompProfile, SecurityContext, SubPath, TerminationMessagePolicy, VolumeMount,
};

/// `pod_context` is the pod's security context; `section` the kind of those in the container's section, where a
/// sidecar is among the init containers.
pub(super) fn lower(container: &Value, pod_context: &Value, section: ContainerKind) -> Container {
    let restart = restart(container);
    let kind = match (section, restart.policy) {
        (ContainerKind::Init, Some(RestartPolicy::Always)) => ContainerKind::Sidecar,
        (section, _) => section,
    };
    let lifecycle = &container["lifecycle"];
    Container {
        name: ContainerName::new(text(container, "name")),
        kind,
        image: text(container, "image").to_owned(),
        pull_policy: pull_policy(text(container, "imagePullPolicy")),
        command: texts(container, "command"),
        args: texts(container, "args"),
        working_dir: Some(text(container, "workingDir").to_owned()).filter(|d| !d.is_empty()),
        env_from: list(container, "envFrom").iter().filter_map(source::variables).collect(),
        env: list(container, "env").iter().map(source::variable).collect(),
        ports: list(container, "ports").iter().filter_map(port).collect(),
        resources: resources(&container["resources"]),
        other_resources: other_resources(&container["resources"]),
        volume_mounts: list(container, "volumeMounts").iter().map(mount).collect(),
        restart,
        startup_probe: object(container, "startupProbe").and_then(handler::probe),
        liveness_probe: object(container, "livenessProbe").and_then(handler::probe),
        readiness_probe: object(container, "readinessProbe").and_then(handler::probe),
        post_start: object(lifecycle, "postStart").and_then(handler::hook),
        pre_stop: object(lifecycle, "preStop").and_then(handler::hook),
        stop_signal: Some(text(lifecycle, "stopSignal").to_owned()).filter(|name| !name.is_empty()),
        termination_message_path: text(container, "terminationMessagePath").to_owned(),
        termination_message_policy: match text(container, "terminationMessagePolicy") {
            "FallbackToLogsOnError" => TerminationMessagePolicy::FallbackToLogsOnError,
            _ => TerminationMessagePolicy::File,
        },
        resize_restarts: resize_restarts(container),
        security: security(&container["securityContext"], pod_context),
        tty: flag(container, "tty"),
        stdin: flag(container, "stdin"),
        stdin_once: flag(container, "stdinOnce"),
        target: Some(text(container, "targetContainerName"))
            .filter(|n| !n.is_empty())
            .map(ContainerName::new),
    }
}

fn restart(container: &Value) -> ProcessRestartPolicy {
    ProcessRestartPolicy {
        policy: restart_policy(text(container, "restartPolicy")),
        rules: list(container, "restartPolicyRules").iter().map(rule).collect(),
    }
}

fn rule(rule: &Value) -> RestartRule {
    let exit_codes = &rule["exitCodes"];
    let code = |value: &Value| value.as_i64().and_then(|code| i32::try_from(code).ok());
    RestartRule {
        action: match text(rule, "action") {
            "RestartAllContainers" => RestartRuleAction::RestartAllContainers,
            _ => RestartRuleAction::Restart,
        },
        operator: match text(exit_codes, "operator") {
            "NotIn" => ExitCodeOperator::NotIn,
            _ => ExitCodeOperator::In,
        },
        values: list(exit_codes, "values").iter().filter_map(code).collect(),
    }
}

pub(super) fn pull_policy(policy: &str) -> PullPolicy {
    match policy {
        "Always" => PullPolicy::Always,
        "Never" => PullPolicy::Never,
        _ => PullPolicy::IfNotPresent,
    }
}

fn port(port: &Value) -> Option<ContainerPort> {
    Some(ContainerPort {
        name: Some(text(port, "name").to_owned()).filter(|n| !n.is_empty()),
        container_port: u16::try_from(integer(port, "containerPort")?).ok()?,
        protocol: match text(port, "protocol") {
            "UDP" => PortProtocol::Udp,
            "SCTP" => PortProtocol::Sctp,
            _ => PortProtocol::Tcp,
        },
        host_port: integer(port, "hostPort").and_then(|n| u16::try_from(n).ok()).filter(|n| *n != 0),
        host_ip: text(port, "hostIP").parse().ok(),
    })
}

pub(super) fn resources(resources: &Value) -> Resources {
    let (requests, limits) = (&resources["requests"], &resources["limits"]);
    let quantity = |list: &Value, name| Quantity::parse(text(list, name)).ok();
    Resources {
        cpu_request: quantity(requests, "cpu").map(Quantity::to_milli),
        cpu_limit: quantity(limits, "cpu").map(Quantity::to_milli),
        memory_request: quantity(requests, "memory").map(Quantity::to_units),
        memory_limit: quantity(limits, "memory").map(Quantity::to_units),
    }
}

fn other_resources(resources: &Value) -> OtherResources {
    let others = |list: &str| {
        let all =
            fields(&resources[list]).iter().filter(|(name, _)| !["cpu", "memory"].contains(&name.as_str()));
        let canonical = |text: &Value| Some(Quantity::parse(text.as_str()?).ok()?.to_string());
        all.filter_map(|(name, amount)| Some((name.clone(), canonical(amount)?))).collect()
    };
    OtherResources { requests: others("requests"), limits: others("limits") }
}

fn mount(mount: &Value) -> VolumeMount {
    let path = |name| Some(text(mount, name).to_owned()).filter(|path| !path.is_empty());
    VolumeMount {
        name: VolumeName::new(text(mount, "name")),
        mount_path: absolute(text(mount, "mountPath")),
        read_only: flag(mount, "readOnly"),
        recursive_read_only: ["Enabled", "IfPossible"].contains(&text(mount, "recursiveReadOnly")),
        sub_path: path("subPathExpr")
            .map(SubPath::Expression)
            .or_else(|| path("subPath").map(SubPath::Literal)),
        receives_mounts: ["HostToContainer", "Bidirectional"].contains(&text(mount, "mountPropagation")),
        shares_mounts: text(mount, "mountPropagation") == "Bidirectional",
    }
}

/// Kubernetes takes a relative mount path as one from the root.
fn absolute(path: &str) -> String {
    if path.starts_with('/') { path.to_owned() } else { format!("/{path}") }
}

fn resize_restarts(container: &Value) -> ResizeRestarts {
    let restarts = |resource| {
        let mut policies = list(container, "resizePolicy").iter();
        policies.any(|policy| {
            text(policy, "resourceName") == resource && text(policy, "restartPolicy") == "RestartContainer"
        })
    };
    ResizeRestarts { cpu: restarts("cpu"), memory: restarts("memory") }
}

/// The container's own settings win over the pod's.
fn security(own: &Value, of_pod: &Value) -> SecurityContext {
    let either = |name| own.get(name).or_else(|| of_pod.get(name));
    let seccomp = either("seccompProfile").map(|profile| match text(profile, "type") {
        "Unconfined" => SeccompProfile::Unconfined,
        "Localhost" => SeccompProfile::Localhost(text(profile, "localhostProfile").to_owned()),
        _ => SeccompProfile::RuntimeDefault,
    });
    let app_armor = either("appArmorProfile").map(|profile| match text(profile, "type") {
        "RuntimeDefault" => AppArmorProfile::RuntimeDefault,
        "Localhost" => AppArmorProfile::Localhost(text(profile, "localhostProfile").to_owned()),
        _ => AppArmorProfile::Unconfined,
    });
    let names = |name| texts(&own["capabilities"], name).unwrap_or_default();
    SecurityContext {
        run_as_user: either("runAsUser").and_then(id),
        run_as_group: either("runAsGroup").and_then(id),
        run_as_non_root: either("runAsNonRoot").and_then(Value::as_bool).unwrap_or(false),
        read_only_root_filesystem: flag(own, "readOnlyRootFilesystem"),
        allow_privilege_escalation: own.get("allowPrivilegeEscalation").and_then(Value::as_bool),
        capabilities: Capabilities {
            add: names("add").iter().map(|n| capability(n)).collect(),
            drop: names("drop").iter().map(|n| capability(n)).collect(),
        },
        privileged: flag(own, "privileged"),
        unmasked_proc: text(own, "procMount") == "Unmasked",
        seccomp: seccomp.unwrap_or_default(),
        app_armor: app_armor.unwrap_or_default(),
    }
}

/// `NET_ADMIN`, however it is written.
fn capability(name: &str) -> String {
    let upper = name.to_ascii_uppercase();
    upper.strip_prefix("CAP_").unwrap_or(&upper).to_owned()
}
