//! The pods that are run.

use std::path::Path;

use serde_json::{Value, json};

/// Where the program is in a container.
pub(crate) const PROGRAM: &str = "/bench";
/// Where the exchange directory is in a container.
pub(crate) const EXCHANGE: &str = "/exchange";

/// A pod whose containers run this program, which is the host's file `program`; each is a name and what it
/// does. `exchange` is a directory that they share with the host.
pub(crate) fn manifest(
    name: &str,
    program: &Path,
    exchange: Option<&Path>,
    containers: &[(&str, Vec<&str>)],
) -> Value {
    let mut volumes = vec![json!({"name": "bench", "hostPath": {"path": program, "type": "File"}})];
    let mut mounts = vec![json!({"name": "bench", "mountPath": PROGRAM, "readOnly": true})];
    if let Some(exchange) = exchange {
        volumes.push(json!({"name": "exchange", "hostPath": {"path": exchange, "type": "Directory"}}));
        mounts.push(json!({"name": "exchange", "mountPath": EXCHANGE}));
    }
    let containers = containers.iter().map(|(name, args)| {
        json!({
            "name": name,
            "image": "localhost/host",
            "command": [PROGRAM],
            "args": args,
            "resources": {"requests": {"cpu": "100m"}, "limits": {"memory": "256Mi"}},
            "volumeMounts": mounts,
        })
    });
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {
            "restartPolicy": "Never",
            // The floor makes no mount for it.
            "automountServiceAccountToken": false,
            "terminationGracePeriodSeconds": 10,
            "volumes": volumes,
            "containers": containers.collect::<Vec<_>>(),
        },
    })
}
