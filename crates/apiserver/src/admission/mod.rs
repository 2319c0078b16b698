//! What depends on other objects: a stock API server's admission plugins, in its order.

mod escalation;
mod limit_range;
mod lint;
mod namespace;
mod pod_security;
mod priority;
pub(crate) mod quota;
mod resize;
mod runtime_class;
mod service;
mod service_account;
mod storage_class;
mod tolerations;
mod view;

#[cfg(test)]
mod tests;

use apimachinery::Status;
use serde_json::Value;
use store::Tx;

use crate::request::{Attributes, Operation};

pub use service_account::mount_tokens;

/// Changes and judges an object that is about to be written, within the write itself: what is read here still holds
/// when it is stored. `object` is defaulted and not validated yet; `old` is what is there now. Of a deletion, `object`
/// is what is to be deleted, and changes are lost. Returns what to warn of.
///
/// # Errors
/// The client's answer.
pub fn admit(
    attributes: &Attributes<'_>,
    view: &Tx<'_>,
    object: &mut Value,
    old: Option<&Value>,
) -> Result<Vec<String>, Status> {
    let mut warnings = Vec::new();
    let namespace = namespace::admit(attributes, view)?;
    if attributes.operation == Operation::Delete {
        return Ok(warnings);
    }
    let creates = attributes.operation == Operation::Create && attributes.subresource.is_none();
    match attributes.kind.kind {
        "Pod" if creates => {
            limit_range::admit(attributes, view, object, true)?;
            service_account::admit(attributes, view, object)?;
            priority::admit(attributes, view, object)?;
            tolerations::admit(object);
            runtime_class::admit(attributes, view, object)?;
            // Limit ranges may have made it another.
            object["status"]["qosClass"] = crate::rules::qos_class(&object["spec"]).into();
            warnings.extend(pod_security::admit(attributes, &namespace, object)?);
            quota::admit(attributes, view, object, None)?;
            warnings.extend(lint::warnings(attributes, view, object, None));
        }
        "Pod" if attributes.subresource == Some("resize") => {
            limit_range::admit(attributes, view, object, false)?;
            resize::admit(attributes, view, object, old)?;
            quota::admit(attributes, view, object, old)?;
            warnings.extend(lint::warnings(attributes, view, object, old));
        }
        "Pod" if matches!(attributes.subresource, None | Some("ephemeralcontainers")) => {
            warnings.extend(pod_security::admit_change(attributes, view, object, old)?);
            if attributes.subresource.is_none() {
                warnings.extend(lint::warnings(attributes, view, object, old));
            }
        }
        "PodTemplate" => {
            warnings.extend(pod_security::admit_template(attributes, view, object));
            if creates {
                quota::admit(attributes, view, object, None)?;
            }
        }
        "Namespace" if attributes.subresource.is_none() => {
            warnings.extend(pod_security::admit_namespace(attributes, view, object, old)?);
        }
        "PersistentVolumeClaim" if creates => {
            storage_class::admit(view, object);
            quota::admit(attributes, view, object, None)?;
        }
        "Service" if attributes.subresource.is_none() => {
            service::admit(attributes, view, object, old)?;
            quota::admit(attributes, view, object, old)?;
        }
        "NetworkPolicy" if creates => {
            let ranges = crate::network::Ranges::read(view);
            ranges.check(attributes.kind, object["metadata"]["name"].as_str().unwrap_or_default())?;
            quota::admit(attributes, view, object, None)?;
        }
        "PriorityClass" => priority::admit_class(attributes, view, object)?,
        "Role" | "ClusterRole" | "RoleBinding" | "ClusterRoleBinding" => {
            escalation::admit(attributes, view, object, old)?;
        }
        _ if creates => quota::admit(attributes, view, object, None)?,
        _ => {}
    }
    Ok(warnings)
}

/// Adds to an object that a client has changed what every one has, before it is compared with the one that is there:
/// a pod that a client replaces by its manifest stays the same.
pub fn complete(attributes: &Attributes<'_>, object: &mut Value) {
    if attributes.kind.kind == "Pod" && attributes.subresource.is_none() {
        tolerations::admit(object);
    }
}

/// The answer of a plugin that says no.
fn refuse(attributes: &Attributes<'_>, object: &Value, why: &str) -> Status {
    let name = match attributes.name {
        "" => object["metadata"]["name"].as_str().unwrap_or_default(),
        name => name,
    };
    Status::forbidden(attributes.kind.group, attributes.kind.plural, name, why)
}
