//! What hardens a pod, and has to be asked for.

use std::collections::BTreeSet;

use podspec::json::{integer, list, object, text};
use serde_json::Value;

use super::Pod;
use super::words::{containers, plural, quoted, setters};
use crate::evaluate::Violation;

/// What a volume may be of.
pub(super) const VOLUMES: [&str; 9] = [
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "image",
    "persistentVolumeClaim",
    "projected",
    "secret",
];

pub(super) const FORBIDDEN_VOLUMES: [&str; 21] = [
    "hostPath",
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "gitRepo",
    "nfs",
    "iscsi",
    "glusterfs",
    "rbd",
    "flexVolume",
    "cinder",
    "cephfs",
    "flocker",
    "fc",
    "azureFile",
    "vsphereVolume",
    "quobyte",
    "azureDisk",
    "photonPersistentDisk",
    "portworxVolume",
    "scaleIO",
    "storageos",
];

pub(super) fn privilege_escalation(pod: &Pod<'_>) -> Option<Violation> {
    if pod.version.has(25) && pod.is_of_windows() {
        return None;
    }
    let bad = pod.contexts_where(|context| boolean(context, "allowPrivilegeEscalation") != Some(false));
    let detail = || format!("{} must set securityContext.allowPrivilegeEscalation=false", containers(&bad));
    (!bad.is_empty()).then(|| Violation { reason: "allowPrivilegeEscalation != false", detail: detail() })
}

/// All are to be dropped, and one may be taken back.
pub(super) fn capabilities(pod: &Pod<'_>) -> Option<Violation> {
    if pod.version.has(25) && pod.is_of_windows() {
        return None;
    }
    let drops_all = |context: &Value| list(&context["capabilities"], "drop").iter().any(|name| name == "ALL");
    let keeping = pod.contexts_where(|context| !drops_all(context));
    let mut forbidden = BTreeSet::new();
    let adding = pod.contexts_where(|context| {
        let added = list(&context["capabilities"], "add").iter().filter_map(Value::as_str);
        let added: Vec<&str> = added.filter(|name| *name != "NET_BIND_SERVICE").collect();
        forbidden.extend(&added);
        !added.is_empty()
    });
    let mut faults = Vec::new();
    if !keeping.is_empty() {
        faults.push(format!("{} must set securityContext.capabilities.drop=[\"ALL\"]", containers(&keeping)));
    }
    if !adding.is_empty() {
        let (who, what) = (containers(&adding), quoted(&forbidden));
        faults.push(format!("{who} must not include {what} in securityContext.capabilities.add"));
    }
    (!faults.is_empty()).then(|| Violation { reason: "unrestricted capabilities", detail: faults.join("; ") })
}

pub(super) fn volumes(pod: &Pod<'_>) -> Option<Violation> {
    let is_of = |volume: &Value, kind: &str| object(volume, kind).is_some();
    let bad =
        list(pod.spec, "volumes").iter().filter(|volume| !VOLUMES.iter().any(|kind| is_of(volume, kind)));
    let bad: Vec<&Value> = bad.collect();
    let kind =
        |volume: &&Value| FORBIDDEN_VOLUMES.into_iter().find(|kind| is_of(volume, kind)).unwrap_or("unknown");
    let kinds: BTreeSet<&str> = bad.iter().map(kind).collect();
    let names: Vec<&str> = bad.iter().map(|volume| text(volume, "name")).collect();
    let detail = || {
        let (noun, uses) = (plural(names.len(), "volume", "volumes"), plural(names.len(), "uses", "use"));
        let what = plural(kinds.len(), "restricted volume type", "restricted volume types");
        format!("{noun} {} {uses} {what} {}", quoted(&names), quoted(&kinds))
    };
    (!names.is_empty()).then(|| Violation { reason: "restricted volume types", detail: detail() })
}

/// The pod, or each of its containers, has to say so.
pub(super) fn non_root(pod: &Pod<'_>) -> Option<Violation> {
    const REASON: &str = "runAsNonRoot != true";
    if pod.version.has(35) && pod.has_own_users() {
        return None;
    }
    let said = |context| boolean(context, "runAsNonRoot");
    let of_pod = said(pod.context());
    let refusing = pod.contexts_where(|context| said(context) == Some(false));
    if let Some(setters) = setters(of_pod == Some(false), &refusing) {
        let detail = format!("{setters} must not set securityContext.runAsNonRoot=false");
        return Some(Violation { reason: REASON, detail });
    }
    let silent = pod.contexts_where(|context| of_pod.is_none() && said(context).is_none());
    let detail = || format!("pod or {} must set securityContext.runAsNonRoot=true", containers(&silent));
    (!silent.is_empty()).then(|| Violation { reason: REASON, detail: detail() })
}

pub(super) fn user(pod: &Pod<'_>) -> Option<Violation> {
    if pod.version.has(35) && pod.has_own_users() {
        return None;
    }
    let is_root = |context| integer(context, "runAsUser") == Some(0);
    let setters = setters(is_root(pod.context()), &pod.contexts_where(is_root))?;
    Some(Violation { reason: "runAsUser=0", detail: format!("{setters} must not set runAsUser=0") })
}

fn boolean(context: &Value, name: &str) -> Option<bool> {
    context.get(name).and_then(Value::as_bool)
}
