//! Names: what a pod is called, and whom it asks for others
//! (<https://kubernetes.io/docs/concepts/services-networking/dns-pod-service/>).

use serde_json::Value;

use super::{format, invalid};
use crate::field::{FieldError, FieldPath};
use crate::json::{flag, list, object, text};

pub(crate) const NAMESERVERS_MAX: usize = 3;
pub(crate) const SEARCHES_MAX: usize = 32;
/// With the spaces between them.
pub(crate) const SEARCH_BYTES_MAX: usize = 2048;
const HOSTNAME_BYTES_MAX: usize = 64;

pub(super) fn validate(spec: &Value, path: &FieldPath, errors: &mut Vec<FieldError>) {
    dns_config(object(spec, "dnsConfig"), text(spec, "dnsPolicy"), &path.child("dnsConfig"), errors);
    for name in ["hostname", "subdomain"] {
        let value = text(spec, name);
        if !value.is_empty() {
            invalid(errors, &path.child(name), value, format::dns_label(value));
        }
    }
    if let Some(name) = spec.get("hostnameOverride").and_then(Value::as_str) {
        hostname_override(name, spec, &path.child("hostnameOverride"), errors);
    }
}

fn dns_config(config: Option<&Value>, policy: &str, path: &FieldPath, errors: &mut Vec<FieldError>) {
    let Some(config) = config else {
        if policy == "None" {
            let detail = "must provide `dnsConfig` when `dnsPolicy` is None";
            errors.push(FieldError::required(path.clone(), detail));
        }
        return;
    };
    let (nameservers, searches) = (list(config, "nameservers"), list(config, "searches"));
    if policy == "None" && nameservers.is_empty() {
        let detail = "must provide at least one DNS nameserver when `dnsPolicy` is None";
        errors.push(FieldError::required(path.child("nameservers"), detail));
        return;
    }
    let mut too_much = |name: &str, what: String| {
        errors.push(FieldError::invalid(path.child(name), config[name].clone(), &what));
    };
    if nameservers.len() > NAMESERVERS_MAX {
        too_much("nameservers", format!("must not have more than {NAMESERVERS_MAX} nameservers"));
    }
    if searches.len() > SEARCHES_MAX {
        too_much("searches", format!("must not have more than {SEARCHES_MAX} search paths"));
    }
    let bytes: usize = searches.iter().filter_map(Value::as_str).map(|search| search.len() + 1).sum();
    if bytes > SEARCH_BYTES_MAX + 1 {
        let what = format!(
            "must not have more than {SEARCH_BYTES_MAX} characters (including spaces) in the search list"
        );
        too_much("searches", what);
    }
    for (i, server) in nameservers.iter().filter_map(Value::as_str).enumerate() {
        invalid(errors, &path.child("nameservers").index(i), server, format::ip_address(server));
    }
    for (i, search) in searches.iter().filter_map(Value::as_str).enumerate().filter(|(_, s)| *s != ".") {
        let search = search.strip_suffix('.').unwrap_or(search);
        invalid(errors, &path.child("searches").index(i), search, format::search_domain(search));
    }
    for (i, option) in list(config, "options").iter().enumerate() {
        if text(option, "name").is_empty() {
            errors.push(FieldError::required(path.child("options").index(i), "must not be empty"));
        }
    }
}

/// KEP-4762.
fn hostname_override(name: &str, spec: &Value, path: &FieldPath, errors: &mut Vec<FieldError>) {
    for other in ["setHostnameAsFQDN", "hostNetwork"] {
        if flag(spec, other) {
            let detail = format!("may not be specified when {other} is true");
            errors.push(FieldError::forbidden(path.clone(), &detail));
        }
    }
    if name.len() > HOSTNAME_BYTES_MAX {
        errors.push(FieldError::too_long(path.clone(), HOSTNAME_BYTES_MAX));
    }
    invalid(errors, path, name, format::dns_subdomain(name));
}
