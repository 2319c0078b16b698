//! What a load balancer says of a Service.

use podspec::json::{list, text};
use podspec::{FieldError, format};
use serde_json::Value;

use crate::rules::edit::{invalid, path, set_default};

const MODES: [&str; 2] = ["Proxy", "VIP"];

pub(super) fn default(service: &mut Value) {
    let ingress = service["status"]["loadBalancer"].get_mut("ingress").and_then(Value::as_array_mut);
    for entry in ingress.into_iter().flatten() {
        if let Some(entry) = entry.as_object_mut()
            && entry.get("ip").is_some_and(|ip| ip != "")
        {
            set_default(entry, "ipMode", "VIP");
        }
    }
}

pub(super) fn validate(service: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let at = path(&["status", "loadBalancer", "ingress"]);
    let ingress = list(&service["status"]["loadBalancer"], "ingress");
    if text(&service["spec"], "type") != "LoadBalancer" {
        if !ingress.is_empty() {
            errors.push(FieldError::forbidden(at, "may only be used when `spec.type` is 'LoadBalancer'"));
        }
        return errors;
    }
    for (index, entry) in ingress.iter().enumerate() {
        let at = at.index(index);
        let (ip, host, mode) = (text(entry, "ip"), text(entry, "hostname"), text(entry, "ipMode"));
        if !ip.is_empty() {
            invalid(&mut errors, &at.child("ip"), ip, format::ip_address(ip));
        }
        match (ip.is_empty(), mode) {
            (_, "") => {}
            (true, _) => {
                let message = "may not be specified when `ip` is not set";
                errors.push(FieldError::forbidden(at.child("ipMode"), message));
            }
            (false, mode) if !MODES.contains(&mode) => {
                errors.push(FieldError::not_supported(at.child("ipMode"), mode, &MODES));
            }
            (false, _) => {}
        }
        if !host.is_empty() {
            invalid(&mut errors, &at.child("hostname"), host, format::dns_subdomain(host));
            if format::ip_address(host).is_empty() {
                let message = "must be a DNS name, not an IP address";
                errors.push(FieldError::invalid(at.child("hostname"), host, message));
            }
        }
    }
    errors
}
