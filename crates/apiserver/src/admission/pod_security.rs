//! What a namespace allows its pods (PodSecurity,
//! <https://kubernetes.io/docs/concepts/security/pod-security-admission/>).
//!
//! Nobody and no runtime class is exempt, and a namespace without labels allows everything, as where no configuration says
//! otherwise.

use apimachinery::{Status, meta};
use pod_security::{
    Policies, Policy, are_there, denial, evaluate, is_judged_again, warning, warnings_about_existing,
};
use serde_json::Value;
use store::Tx;

use super::{refuse, view};
use crate::request::Attributes;

/// A new pod, as it will be stored.
pub(super) fn admit(
    attributes: &Attributes<'_>,
    namespace: &Value,
    pod: &Value,
) -> Result<Option<String>, Status> {
    let labels = &namespace["metadata"]["labels"];
    if !are_there(labels) {
        return Ok(None);
    }
    let (Policies { enforce, warn }, _) = Policies::of(labels);
    let violations = evaluate(enforce, &pod["metadata"], &pod["spec"]);
    if !violations.is_empty() {
        return Err(refuse(attributes, pod, &denial(enforce, &violations)));
    }
    Ok(if warn == enforce { None } else { said_of(warn, pod) })
}

/// A changed pod: it may be one that would not be taken any more, and stays so until it runs something else.
pub(super) fn admit_change(
    attributes: &Attributes<'_>,
    view: &Tx<'_>,
    pod: &Value,
    old: Option<&Value>,
) -> Result<Option<String>, Status> {
    if old.is_some_and(|old| !is_judged_again(&pod["spec"], &old["spec"])) {
        return Ok(None);
    }
    let name = attributes.namespace;
    let Some(namespace) = view::get(view, "", "namespaces", "", name) else {
        return Err(Status::internal(&format!("failed to lookup namespace \"{name}\"")));
    };
    admit(attributes, &namespace, pod)
}

/// A template is no pod yet: it is warned about, and what is made of it is refused.
pub(super) fn admit_template(attributes: &Attributes<'_>, view: &Tx<'_>, object: &Value) -> Option<String> {
    let namespace = view::get(view, "", "namespaces", "", attributes.namespace)?;
    let labels = &namespace["metadata"]["labels"];
    if !are_there(labels) {
        return None;
    }
    said_of(Policies::of(labels).0.warn, &object["template"])
}

fn said_of(policy: Policy, pod: &Value) -> Option<String> {
    let violations = evaluate(policy, &pod["metadata"], &pod["spec"]);
    (!violations.is_empty()).then(|| warning(policy, &violations))
}

/// Labels have to say something that is known; and who makes them stricter is told of the pods that are there.
pub(super) fn admit_namespace(
    attributes: &Attributes<'_>,
    view: &Tx<'_>,
    namespace: &Value,
    old: Option<&Value>,
) -> Result<Vec<String>, Status> {
    let labels = &namespace["metadata"]["labels"];
    if !are_there(labels) {
        return Ok(Vec::new());
    }
    let (new, errors) = Policies::of(labels);
    let before = old.map(|old| Policies::of(&old["metadata"]["labels"]));
    // What was wrong already is no reason to refuse another change.
    let is_news = before.as_ref().is_none_or(|(_, known)| *known != errors);
    let name = meta::name(namespace);
    if !errors.is_empty() && is_news {
        return Err(Status::invalid(attributes.kind.group, attributes.kind.kind, name, &errors));
    }
    let Some((before, _)) = before else { return Ok(Vec::new()) };
    let (enforce, before) = (new.enforce, before.enforce);
    let is_relaxed = enforce.version == before.version && enforce.level <= before.level;
    if is_relaxed || enforce.forbids_nothing() {
        return Ok(Vec::new());
    }
    let pods = view::list(view, "", "pods", Some(name));
    Ok(warnings_about_existing(name, enforce, &pods))
}
