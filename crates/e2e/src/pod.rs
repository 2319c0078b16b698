//! Shorthand for test pods: JSON manifests whose containers run one shell script each.
//!
//! Every script may use, from [`PROLOGUE`]: `say EVENT` appends `NAME EVENT` to the test's trace;
//! A `$` that the shell is to see twice is written four times: the kubelet's expansion takes two for one.
//! `serve` says `start`, stays, and on SIGTERM says `stop` and exits with 0 (or with its argument).

use serde_json::{Map, Value, json};

const PROLOGUE: &str = r#"
say() { echo "$NAME $*" >> /trace/log; }
serve() { trap 'say stop; exit '"${1:-0}" TERM; say start; sleep 1000000 & wait $!; }
"#;

/// A pod in the making.
#[derive(Clone, Debug)]
pub(crate) struct Pod {
    name: String,
    spec: Map<String, Value>,
    init_containers: Vec<Value>,
    containers: Vec<Value>,
    volumes: Vec<Value>,
}

impl Pod {
    /// A pod with `restartPolicy: Never` and 5 s of grace.
    pub(crate) fn new(name: &str) -> Self {
        let mut spec = Map::new();
        spec.insert("restartPolicy".into(), json!("Never"));
        spec.insert("terminationGracePeriodSeconds".into(), json!(5));
        Self { name: name.into(), spec, init_containers: vec![], containers: vec![], volumes: vec![] }
    }

    /// Sets fields of the pod's spec.
    pub(crate) fn spec(mut self, fields: &Value) -> Self {
        merge(&mut self.spec, fields);
        self
    }

    pub(crate) fn volume(mut self, volume: Value) -> Self {
        self.volumes.push(volume);
        self
    }

    pub(crate) fn init(self, name: &str, script: &str) -> Self {
        self.init_with(name, script, &json!({}))
    }

    /// An init container with further fields.
    pub(crate) fn init_with(mut self, name: &str, script: &str, fields: &Value) -> Self {
        self.init_containers.push(container(name, script, fields));
        self
    }

    pub(crate) fn sidecar(self, name: &str, script: &str) -> Self {
        self.sidecar_with(name, script, &json!({}))
    }

    /// A restartable init container with further fields.
    pub(crate) fn sidecar_with(mut self, name: &str, script: &str, fields: &Value) -> Self {
        let mut sidecar = container(name, script, fields);
        sidecar["restartPolicy"] = json!("Always");
        self.init_containers.push(sidecar);
        self
    }

    pub(crate) fn app(self, name: &str, script: &str) -> Self {
        self.app_with(name, script, &json!({}))
    }

    /// An app container with further fields.
    pub(crate) fn app_with(mut self, name: &str, script: &str, fields: &Value) -> Self {
        self.containers.push(container(name, script, fields));
        self
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The manifest; the containers' trace is the directory `trace_dir` of the host.
    pub(crate) fn manifest(&self, trace_dir: &str) -> Value {
        let mut spec = self.spec.clone();
        let mut volumes =
            vec![json!({"name": "trace", "hostPath": {"path": trace_dir, "type": "Directory"}})];
        volumes.extend(self.volumes.iter().cloned());
        spec.insert("volumes".into(), Value::Array(volumes));
        if !self.init_containers.is_empty() {
            spec.insert("initContainers".into(), Value::Array(self.init_containers.clone()));
        }
        spec.insert("containers".into(), Value::Array(self.containers.clone()));
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": self.name}, "spec": spec})
    }
}

/// A mount of a volume, for `volumeMounts`.
pub(crate) fn mount(volume: &str, path: &str) -> Value {
    json!({"name": volume, "mountPath": path})
}

fn container(name: &str, script: &str, fields: &Value) -> Value {
    let mut container = Map::new();
    container.insert("name".into(), json!(name));
    container.insert("image".into(), json!("localhost/host"));
    container.insert("command".into(), json!(["sh", "-c", format!("{PROLOGUE}{script}")]));
    container.insert("env".into(), json!([{"name": "NAME", "value": name}]));
    container.insert("volumeMounts".into(), json!([mount("trace", "/trace")]));
    merge(&mut container, fields);
    Value::Object(container)
}

/// Sets each field; the elements of `env` and `volumeMounts` are added to those there.
fn merge(into: &mut Map<String, Value>, fields: &Value) {
    for (key, value) in fields.as_object().into_iter().flatten() {
        match (into.get_mut(key), value) {
            (Some(Value::Array(old)), Value::Array(new))
                if matches!(key.as_str(), "env" | "volumeMounts") =>
            {
                old.extend(new.iter().cloned());
            }
            _ => {
                into.insert(key.clone(), value.clone());
            }
        }
    }
}
