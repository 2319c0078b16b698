//! One container in words.

use podspec::json::{fields, flag, integer, list, text, texts};
use serde_json::Value;

use super::{Lines, seccomp, time};

pub(super) fn describe(out: &mut Lines, pod: &Value, container: &Value, status: Option<&Value>) {
    out.line(1, &format!("{}:", text(container, "name")));
    if let Some(status) = status {
        out.field(2, "Container ID", text(status, "containerID"));
    }
    out.field(2, "Image", text(container, "image"));
    if let Some(status) = status {
        out.field(2, "Image ID", text(status, "imageID"));
    }
    ports(out, list(container, "ports"), "Port", "containerPort");
    ports(out, list(container, "ports"), "Host Port", "hostPort");
    seccomp(out, 2, &container["securityContext"]["seccompProfile"]);
    for (field, title) in [("command", "Command"), ("args", "Args")] {
        let words = texts(container, field).unwrap_or_default();
        if !words.is_empty() {
            out.line(2, &format!("{title}:"));
        }
        for line in words.iter().flat_map(|word| word.split('\n')) {
            // A tab would be the end of a cell.
            out.line(3, &line.replace('\t', "    "));
        }
    }
    if let Some(status) = status {
        state(out, "State", &status["state"]);
        if status["lastState"]["terminated"].is_object() {
            state(out, "Last State", &status["lastState"]);
        }
        out.field(2, "Ready", if flag(status, "ready") { "True" } else { "False" });
        out.field(2, "Restart Count", &integer(status, "restartCount").unwrap_or_default().to_string());
    }
    resources(out, 2, &container["resources"]);
    for (field, title) in
        [("livenessProbe", "Liveness"), ("readinessProbe", "Readiness"), ("startupProbe", "Startup")]
    {
        if container[field].is_object() {
            out.field(2, title, &probe(&container[field]));
        }
    }
    environment(out, pod, container);
    mounts(out, container);
}

fn ports(out: &mut Lines, ports: &[Value], title: &str, field: &str) {
    let shown = |port: &Value| {
        let name = text(port, "name");
        let name = if name.is_empty() { String::new() } else { format!(" ({name})") };
        format!("{}/{}{name}", integer(port, field).unwrap_or_default(), text(port, "protocol"))
    };
    let shown: Vec<String> = ports.iter().map(shown).collect();
    match shown.as_slice() {
        [] => out.field(2, title, "<none>"),
        [one] => out.field(2, title, one),
        several => out.field(2, &format!("{title}s"), &several.join(", ")),
    }
}

fn state(out: &mut Lines, title: &str, state: &Value) {
    let running = &state["running"];
    let ended = &state["terminated"];
    if running.is_object() {
        out.field(2, title, "Running");
        out.field(3, "Started", &time(running, "startedAt"));
    } else if ended.is_object() {
        out.field(2, title, "Terminated");
        out.some(3, "Reason", text(ended, "reason"));
        out.some(3, "Message", text(ended, "message"));
        out.field(3, "Exit Code", &integer(ended, "exitCode").unwrap_or_default().to_string());
        if let Some(signal) = integer(ended, "signal").filter(|signal| *signal > 0) {
            out.field(3, "Signal", &signal.to_string());
        }
        out.field(3, "Started", &time(ended, "startedAt"));
        out.field(3, "Finished", &time(ended, "finishedAt"));
    } else {
        out.field(2, title, "Waiting");
        out.some(3, "Reason", text(&state["waiting"], "reason"));
    }
}

pub(super) fn resources(out: &mut Lines, level: usize, resources: &Value) {
    for (field, title) in [("limits", "Limits"), ("requests", "Requests")] {
        let amounts = fields(&resources[field]);
        if !amounts.is_empty() {
            out.line(level, &format!("{title}:"));
        }
        for (name, amount) in amounts {
            out.field(level + 1, name, amount.as_str().unwrap_or_default());
        }
    }
}

/// A number or a name.
fn port(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn probe(probe: &Value) -> String {
    let number = |name: &str| integer(probe, name).unwrap_or_default();
    let what = if probe["exec"].is_object() {
        format!("exec [{}]", texts(&probe["exec"], "command").unwrap_or_default().join(" "))
    } else if probe["httpGet"].is_object() {
        let get = &probe["httpGet"];
        let scheme = text(get, "scheme").to_lowercase();
        format!("http-get {scheme}://{}:{}{}", text(get, "host"), port(&get["port"]), text(get, "path"))
    } else if probe["tcpSocket"].is_object() {
        format!("tcp-socket {}:{}", text(&probe["tcpSocket"], "host"), port(&probe["tcpSocket"]["port"]))
    } else if probe["grpc"].is_object() {
        format!("grpc <pod>:{} {}", port(&probe["grpc"]["port"]), text(&probe["grpc"], "service"))
    } else {
        "unknown".to_owned()
    };
    format!(
        "{what} delay={}s timeout={}s period={}s #success={} #failure={}",
        number("initialDelaySeconds"),
        number("timeoutSeconds"),
        number("periodSeconds"),
        number("successThreshold"),
        number("failureThreshold")
    )
}

fn environment(out: &mut Lines, pod: &Value, container: &Value) {
    let sources = list(container, "envFrom");
    if !sources.is_empty() {
        out.line(2, "Environment Variables from:");
    }
    for source in sources {
        let (kind, of) = match source.get("configMapRef") {
            Some(of) => ("ConfigMap", of),
            None => ("Secret", &source["secretRef"]),
        };
        let prefix = match text(source, "prefix") {
            "" => String::new(),
            prefix => format!(" with prefix '{prefix}'"),
        };
        out.line(3, &format!("{}\t{kind}{prefix}\tOptional: {}", text(of, "name"), flag(of, "optional")));
    }
    let variables = list(container, "env");
    if variables.is_empty() {
        return out.field(2, "Environment", "<none>");
    }
    out.line(2, "Environment:");
    for variable in variables {
        let mut name = format!("{}:", text(variable, "name"));
        for line in value_of(pod, container, variable).split('\n') {
            out.line(3, &format!("{}\t{line}", std::mem::take(&mut name)));
        }
    }
}

fn value_of(pod: &Value, container: &Value, variable: &Value) -> String {
    let from = &variable["valueFrom"];
    let key_of = |reference: &Value, what: &str| {
        let (key, name) = (text(reference, "key"), text(reference, "name"));
        format!("<set to the key '{key}' {what} '{name}'>\tOptional: {}", flag(reference, "optional"))
    };
    if from["fieldRef"].is_object() {
        let (version, path) = (text(&from["fieldRef"], "apiVersion"), text(&from["fieldRef"], "fieldPath"));
        return format!("{} ({version}:{path})", pod_field(pod, path));
    }
    if from["resourceFieldRef"].is_object() {
        let resource = text(&from["resourceFieldRef"], "resource");
        return format!("{} ({resource})", amount(container, resource));
    }
    if from["secretKeyRef"].is_object() {
        return key_of(&from["secretKeyRef"], "in secret");
    }
    if from["configMapKeyRef"].is_object() {
        return key_of(&from["configMapKeyRef"], "of config map");
    }
    if from["fileKeyRef"].is_object() {
        let file = &from["fileKeyRef"];
        let (key, path, volume) = (text(file, "key"), text(file, "path"), text(file, "volumeName"));
        return format!("<set to the key '{key}' of file '{path}' in volume '{volume}'>");
    }
    text(variable, "value").replace('\t', "    ")
}

/// `metadata.labels['a']` and dotted paths.
fn pod_field<'a>(pod: &'a Value, path: &str) -> &'a str {
    let (path, key) = match path.split_once("['") {
        Some((path, key)) => (path, key.strip_suffix("']")),
        None => (path, None),
    };
    let found = path.split('.').chain(key).fold(pod, |value, name| &value[name]);
    found.as_str().unwrap_or_default()
}

fn amount(container: &Value, resource: &str) -> String {
    let (of, name) = resource.split_once('.').unwrap_or((resource, ""));
    match container["resources"][of][name].as_str() {
        Some(amount) => amount.to_owned(),
        None if of == "limits" => "node allocatable".to_owned(),
        None => "0".to_owned(),
    }
}

fn mounts(out: &mut Lines, container: &Value) {
    let mut mounts = list(container, "volumeMounts").to_vec();
    mounts.sort_by_cached_key(|mount| text(mount, "mountPath").to_owned());
    if mounts.is_empty() {
        out.field(2, "Mounts", "<none>");
    } else {
        out.line(2, "Mounts:");
    }
    for mount in &mounts {
        let how = if flag(mount, "readOnly") { "ro" } else { "rw" };
        let path = match text(mount, "subPath") {
            "" => String::new(),
            path => format!(",path={path:?}"),
        };
        out.line(3, &format!("{} from {} ({how}{path})", text(mount, "mountPath"), text(mount, "name")));
    }
    let devices = list(container, "volumeDevices");
    if !devices.is_empty() {
        out.line(2, "Devices:");
    }
    for device in devices {
        out.line(3, &format!("{} from {}", text(device, "devicePath"), text(device, "name")));
    }
}
