//! The account that a pod acts as
//! (<https://kubernetes.io/docs/tasks/configure-pod-container/configure-service-account/>).

use std::sync::atomic::{AtomicBool, Ordering};

use apimachinery::Status;
use podspec::json::{flag, list, text};
use serde_json::{Value, json};
use store::Tx;

use super::{refuse, view};
use crate::entropy;
use crate::request::Attributes;

const DEFAULT: &str = "default";
const MOUNT_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
const VOLUME_PREFIX: &str = "kube-api-access-";
/// An hour, and a little more so that a renewal never comes too late.
const TOKEN_SECONDS: i64 = 3_607;
/// No vowels, so that no words come out.
const SUFFIX_ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
const SUFFIX_BYTES: usize = 5;

static MOUNTED: AtomicBool = AtomicBool::new(false);

/// Whether new pods get a volume with their account's token. Off until said otherwise: the node has to make projected
/// volumes.
pub fn mount_tokens(mounted: bool) {
    MOUNTED.store(mounted, Ordering::Relaxed);
}

pub(super) fn admit(attributes: &Attributes<'_>, view: &Tx<'_>, pod: &mut Value) -> Result<(), Status> {
    let named = text(&pod["spec"], "serviceAccountName").to_owned();
    let name = if named.is_empty() { DEFAULT.to_owned() } else { named };
    pod["spec"]["serviceAccountName"] = name.as_str().into();
    // The old name of the field, which clients still read.
    pod["spec"]["serviceAccount"] = name.as_str().into();
    let account = match view::get(view, "", "serviceaccounts", attributes.namespace, &name) {
        Some(account) => account,
        // Each namespace gets one; in a new one it may be a moment away.
        None if name == DEFAULT => json!({}),
        None => {
            let namespace = attributes.namespace;
            let why = format!(
                "error looking up service account {namespace}/{name}: serviceaccount \"{name}\" not found"
            );
            return Err(refuse(attributes, pod, &why));
        }
    };
    if MOUNTED.load(Ordering::Relaxed) && wants_token(&account, &pod["spec"]) {
        mount(&mut pod["spec"], &suffix());
    }
    let secrets = list(&account, "imagePullSecrets");
    if list(&pod["spec"], "imagePullSecrets").is_empty() && !secrets.is_empty() {
        pod["spec"]["imagePullSecrets"] = secrets.into();
    }
    Ok(())
}

/// The pod's own word counts before the account's.
fn wants_token(account: &Value, spec: &Value) -> bool {
    let name = "automountServiceAccountToken";
    let said = |of: &Value| of.get(name).is_some_and(Value::is_boolean).then(|| flag(of, name));
    said(spec).or_else(|| said(account)).unwrap_or(true)
}

/// Adds the volume and mounts it wherever nothing is mounted in its place.
pub(super) fn mount(spec: &mut Value, suffix: &str) {
    let volumes = list(spec, "volumes").iter();
    let held = volumes.map(|volume| text(volume, "name")).find(|name| name.starts_with(VOLUME_PREFIX));
    let (volume, is_new) = match held {
        Some(name) => (name.to_owned(), false),
        None => (format!("{VOLUME_PREFIX}{suffix}"), true),
    };
    let mut mounted = false;
    for section in ["initContainers", "containers"] {
        for container in spec.get_mut(section).and_then(Value::as_array_mut).into_iter().flatten() {
            let taken =
                list(container, "volumeMounts").iter().any(|mount| text(mount, "mountPath") == MOUNT_PATH);
            if taken {
                continue;
            }
            let mount = json!({"name": volume, "readOnly": true, "mountPath": MOUNT_PATH});
            push(container, "volumeMounts", mount);
            mounted = true;
        }
    }
    if mounted && is_new {
        push(spec, "volumes", volume_of(&volume));
    }
}

fn push(owner: &mut Value, name: &str, item: Value) {
    match owner.get_mut(name).and_then(Value::as_array_mut) {
        Some(items) => items.push(item),
        None => owner[name] = json!([item]),
    }
}

fn volume_of(name: &str) -> Value {
    let namespace = json!({"apiVersion": "v1", "fieldPath": "metadata.namespace"});
    json!({
        "name": name,
        "projected": {
            "defaultMode": 0o644,
            "sources": [
                {"serviceAccountToken": {"expirationSeconds": TOKEN_SECONDS, "path": "token"}},
                {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
                {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": namespace}]}},
            ],
        },
    })
}

fn suffix() -> String {
    let letter = |byte: u8| char::from(SUFFIX_ALPHABET[usize::from(byte) % SUFFIX_ALPHABET.len()]);
    entropy::bytes::<SUFFIX_BYTES>().into_iter().map(letter).collect()
}
