//! Shorthand for test pods: JSON manifests whose containers run one shell script each.
//!
//! Every script may use, from [`PROLOGUE`]: `say EVENT` appends `NAME EVENT` to the test's trace;
//! A `$` that the shell is to see twice is written four times: the kubelet's expansion takes two for one.
//! `serve` says `start`, stays, and on SIGTERM says `stop` and exits with 0 (or with its argument).
//!
//! Where many pods run side by side, each has a trace of its own, with times: `mark EVENT` and `live` are the same for it,
//! `told WORD` waits until the test has told the pod that word, and `marked LINE N` asks whether LINE was marked N times.

use serde_json::{Map, Value, json};

const PROLOGUE: &str = r#"
say() { echo "$NAME $*" >> /trace/log; }
serve() { trap 'say stop; exit '"${1:-0}" TERM; say start; sleep 1000000 & wait $!; }
live() { trap 'mark stop; exit '"${1:-0}" TERM; mark start; sleep 1000000 & wait $!; }
"#;

/// What commands of probes and hooks may use as well.
const MARKS: &str = r#"
mark() { read -r at rest < /proc/uptime; echo "$at $NAME $*" >> /trace/$POD.marks; }
told() { until [ -e /trace/$POD.$1 ]; do sleep 0.05; done; }
marked() { [ "$(grep -c " $1\$" /trace/$POD.marks)" -ge "$2" ]; }
"#;

/// A pod in the making.
#[derive(Clone, Debug)]
pub(crate) struct Pod {
    name: String,
    metadata: Map<String, Value>,
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
        let mut metadata = Map::new();
        metadata.insert("name".into(), json!(name));
        let (init_containers, containers, volumes) = (vec![], vec![], vec![]);
        Self { name: name.into(), metadata, spec, init_containers, containers, volumes }
    }

    /// Its object stays when it has been deleted and is no more.
    pub(crate) fn kept(mut self) -> Self {
        self.metadata.insert("finalizers".into(), json!(["example.com/kept"]));
        self
    }

    pub(crate) fn labels(mut self, labels: &Value) -> Self {
        self.metadata.insert("labels".into(), labels.clone());
        self
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

    /// With an app that is the program `e2e answers`, with further fields.
    pub(crate) fn answers_with(self, name: &str, fields: &Value) -> Self {
        self.program().app_with(name, "", &both(&answers(), fields))
    }

    /// With a sidecar that is the program `e2e answers`, and has started when it answers.
    pub(crate) fn answers_beside(self, name: &str) -> Self {
        let up =
            probe("startupProbe", &json!({"tcpSocket": {"port": 8080}}), &json!({"failureThreshold": 30}));
        self.program().sidecar_with(name, "", &both(&answers(), &up))
    }

    /// Has this program as a volume.
    fn program(self) -> Self {
        let program = std::env::current_exe().unwrap_or_default();
        self.volume(json!({"name": "e2e", "hostPath": {"path": program, "type": "File"}}))
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
            spec.insert("initContainers".into(), self.named(&self.init_containers));
        }
        spec.insert("containers".into(), self.named(&self.containers));
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": self.metadata, "spec": spec})
    }

    /// The containers, who know their pod's name.
    fn named(&self, containers: &[Value]) -> Value {
        let name = json!({"name": "POD", "value": self.name});
        let with_name = |container: &Value| {
            let mut container = container.clone();
            container["env"].as_array_mut().into_iter().for_each(|env| env.push(name.clone()));
            container
        };
        containers.iter().map(with_name).collect()
    }
}

/// A mount of a volume, for `volumeMounts`.
pub(crate) fn mount(volume: &str, path: &str) -> Value {
    json!({"name": volume, "mountPath": path})
}

/// The fields of a container that is the program `e2e answers`.
fn answers() -> Value {
    json!({"command": ["/e2e", "answers"], "volumeMounts": [mount("e2e", "/e2e")]})
}

/// What runs `script` in a container, for probes and hooks.
pub(crate) fn exec(script: &str) -> Value {
    json!({"exec": {"command": ["sh", "-c", format!("{MARKS}{script}")]}})
}

/// The fields of a container with a probe of this kind each second, which fails the first time; `fields` are set in it.
pub(crate) fn probe(kind: &str, handler: &Value, fields: &Value) -> Value {
    let mut probe = Map::new();
    merge(&mut probe, &json!({"periodSeconds": 1, "failureThreshold": 1}));
    merge(&mut probe, handler);
    merge(&mut probe, fields);
    json!({ kind: probe })
}

/// The fields of a container with these hooks.
pub(crate) fn hooks(hooks: &[(&str, Value)]) -> Value {
    let hooks: Map<String, Value> =
        hooks.iter().map(|(kind, handler)| ((*kind).to_owned(), handler.clone())).collect();
    json!({ "lifecycle": hooks })
}

/// Fields of both.
pub(crate) fn both(one: &Value, other: &Value) -> Value {
    let mut fields = Map::new();
    merge(&mut fields, one);
    merge(&mut fields, other);
    Value::Object(fields)
}

fn container(name: &str, script: &str, fields: &Value) -> Value {
    let mut container = Map::new();
    container.insert("name".into(), json!(name));
    container.insert("image".into(), json!("localhost/host"));
    container.insert("command".into(), json!(["sh", "-c", format!("{PROLOGUE}{MARKS}{script}")]));
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
