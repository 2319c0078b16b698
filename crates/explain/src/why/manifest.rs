//! A pod as the rules of `lint` look at one: as much of v1.Pod as they read, from the pod as it is in force.

use podspec::{
    Container, ContainerKind, Pod, PortProtocol, PortRef, Probe, ProbeHandler, RestartPolicy, SubPath,
    VolumeSource,
};
use podspec::{EnvSource, HookHandler};
use serde_json::{Map, Value, json};

pub(super) fn of(pod: &Pod) -> Value {
    let spec = &pod.spec;
    let all = |containers: &[Container]| containers.iter().map(container).collect::<Vec<_>>();
    let volumes: Vec<Value> = spec
        .volumes
        .iter()
        .filter(|volume| !is_added(volume.name.as_str()))
        .map(|volume| {
            let source = match &volume.source {
                VolumeSource::EmptyDir { .. } => json!({"emptyDir": {}}),
                VolumeSource::HostPath { path, .. } => json!({"hostPath": {"path": path}}),
                VolumeSource::Projected(_) => json!({"projected": {}}),
                VolumeSource::Claim { claim, .. } => json!({"persistentVolumeClaim": {"claimName": claim}}),
                VolumeSource::Image { reference, .. } => json!({"image": {"reference": reference}}),
            };
            let mut volume = object(&[("name", json!(volume.name.as_str()))]);
            volume.extend(source.as_object().cloned().unwrap_or_default());
            Value::Object(volume)
        })
        .collect();
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": pod.name, "namespace": pod.namespace},
        "spec": {
            "restartPolicy": policy(spec.restart_policy),
            "terminationGracePeriodSeconds": spec.termination_grace_period.as_secs(),
            "hostNetwork": spec.host_network,
            "hostPID": spec.host_pid,
            "shareProcessNamespace": spec.share_process_namespace,
            "hostname": spec.hostname,
            "initContainers": all(&spec.init_containers),
            "containers": all(&spec.containers),
            "volumes": volumes,
        },
    })
}

/// The token of the service account, which admission mounts in every container and nobody wrote.
fn is_added(volume: &str) -> bool {
    volume.starts_with("kube-api-access-")
}

fn object(fields: &[(&str, Value)]) -> Map<String, Value> {
    fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
}

fn policy(policy: RestartPolicy) -> &'static str {
    match policy {
        RestartPolicy::Always => "Always",
        RestartPolicy::OnFailure => "OnFailure",
        RestartPolicy::Never => "Never",
    }
}

fn container(container: &Container) -> Value {
    let mounts = container.volume_mounts.iter().filter(|mount| !is_added(mount.name.as_str())).map(|mount| {
        let mut fields = object(&[
            ("name", json!(mount.name.as_str())),
            ("mountPath", json!(mount.mount_path)),
            ("readOnly", json!(mount.read_only)),
        ]);
        match &mount.sub_path {
            Some(SubPath::Literal(path)) => fields.insert("subPath".to_owned(), json!(path)),
            Some(SubPath::Expression(path)) => fields.insert("subPathExpr".to_owned(), json!(path)),
            None => None,
        };
        Value::Object(fields)
    });
    let ports = container.ports.iter().map(|port| {
        let protocol = match port.protocol {
            PortProtocol::Tcp => "TCP",
            PortProtocol::Udp => "UDP",
            PortProtocol::Sctp => "SCTP",
        };
        json!({"name": port.name, "containerPort": port.container_port, "protocol": protocol})
    });
    let env = container.env.iter().filter_map(|variable| match &variable.source {
        EnvSource::Value(value) => Some(json!({"name": variable.name, "value": value})),
        _ => None,
    });
    let mut fields = object(&[
        ("name", json!(container.name.as_str())),
        ("image", json!(container.image)),
        ("volumeMounts", mounts.collect()),
        ("ports", ports.collect()),
        ("env", env.collect()),
    ]);
    let mut some =
        |name: &str, value: Option<Value>| value.and_then(|value| fields.insert(name.to_owned(), value));
    some("command", container.command.as_ref().map(|words| json!(words)));
    some("args", container.args.as_ref().map(|words| json!(words)));
    some("workingDir", container.working_dir.as_ref().map(|dir| json!(dir)));
    let own = match container.kind {
        ContainerKind::Sidecar => Some(RestartPolicy::Always),
        _ => container.restart.policy,
    };
    some("restartPolicy", own.map(|own| json!(policy(own))));
    some("startupProbe", container.startup_probe.as_ref().map(probe));
    some("livenessProbe", container.liveness_probe.as_ref().map(probe));
    some("readinessProbe", container.readiness_probe.as_ref().map(probe));
    let hooks = [("postStart", &container.post_start), ("preStop", &container.pre_stop)];
    let hooks: Map<String, Value> = hooks
        .into_iter()
        .filter_map(|(name, hook)| Some((name.to_owned(), handler(hook.as_ref()?))))
        .collect();
    some("lifecycle", (!hooks.is_empty()).then_some(Value::Object(hooks)));
    Value::Object(fields)
}

fn probe(probe: &Probe) -> Value {
    match &probe.handler {
        ProbeHandler::Exec(exec) => json!({"exec": {"command": exec.command}}),
        ProbeHandler::HttpGet(action) => {
            json!({"httpGet": {"host": action.host, "port": port(&action.port), "path": action.path}})
        }
        ProbeHandler::TcpSocket(action) => {
            json!({"tcpSocket": {"host": action.host, "port": port(&action.port)}})
        }
        ProbeHandler::Grpc(action) => json!({"grpc": {"port": action.port}}),
    }
}

fn handler(hook: &HookHandler) -> Value {
    match hook {
        HookHandler::Exec(exec) => json!({"exec": {"command": exec.command}}),
        HookHandler::HttpGet(action) => {
            json!({"httpGet": {"host": action.host, "port": port(&action.port), "path": action.path}})
        }
        HookHandler::Sleep(time) => json!({"sleep": {"seconds": time.as_secs()}}),
    }
}

fn port(port: &PortRef) -> Value {
    match port {
        PortRef::Number(number) => json!(number),
        PortRef::Name(name) => json!(name),
    }
}
