//! Probes and hooks.

use serde_json::Value;

use super::{format, invalid, not_negative, one_of, pod::PodFacts};
use crate::field::{FieldError, FieldPath};
use crate::json::{integer, list, object, text};

const HANDLERS: [&str; 5] = ["exec", "httpGet", "tcpSocket", "grpc", "sleep"];

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum ProbeKind {
    Liveness,
    Readiness,
    Startup,
}

pub(super) fn probe(
    probe: &Value,
    kind: ProbeKind,
    facts: &PodFacts<'_>,
    path: &FieldPath,
    errors: &mut Vec<FieldError>,
) {
    handler(probe, facts, path, errors);
    for name in
        ["initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"]
    {
        not_negative(errors, &path.child(name), integer(probe, name).unwrap_or(0));
    }
    let grace_path = path.child("terminationGracePeriodSeconds");
    if let Some(seconds) = integer(probe, "terminationGracePeriodSeconds") {
        if seconds <= 0 {
            errors.push(FieldError::invalid(grace_path.clone(), seconds, "must be greater than 0"));
        }
        if kind == ProbeKind::Readiness {
            errors.push(FieldError::invalid(grace_path, seconds, "must not be set for readinessProbes"));
        }
    }
    let count = integer(probe, "successThreshold").unwrap_or(1);
    if kind != ProbeKind::Readiness && count != 1 {
        errors.push(FieldError::invalid(path.child("successThreshold"), count, "must be 1"));
    }
}

pub(super) fn lifecycle(
    lifecycle: &Value,
    facts: &PodFacts<'_>,
    path: &FieldPath,
    errors: &mut Vec<FieldError>,
) {
    for name in ["postStart", "preStop"] {
        if let Some(hook) = object(lifecycle, name) {
            handler(hook, facts, &path.child(name), errors);
        }
    }
    if !text(lifecycle, "stopSignal").is_empty() && facts.os.is_none() {
        let detail = "may not be set for containers with empty `spec.os.name`";
        errors.push(FieldError::forbidden(path.child("stopSignal"), detail));
    }
}

fn handler(holder: &Value, facts: &PodFacts<'_>, path: &FieldPath, errors: &mut Vec<FieldError>) {
    let mut present = HANDLERS.iter().filter_map(|name| object(holder, name).map(|content| (*name, content)));
    let Some((name, content)) = present.next() else {
        errors.push(FieldError::required(path.clone(), "must specify a handler type"));
        return;
    };
    action(name, content, facts, &path.child(name), errors);
    for (other, _) in present {
        errors.push(FieldError::forbidden(path.child(other), "may not specify more than 1 handler type"));
    }
}

fn action(name: &str, content: &Value, facts: &PodFacts<'_>, path: &FieldPath, errors: &mut Vec<FieldError>) {
    match name {
        "exec" if list(content, "command").is_empty() => {
            errors.push(FieldError::required(path.child("command"), ""));
        }
        "httpGet" => {
            port(&content["port"], &path.child("port"), errors);
            one_of(errors, &path.child("scheme"), text(content, "scheme"), &["HTTP", "HTTPS"]);
        }
        "tcpSocket" | "grpc" => port(&content["port"], &path.child("port"), errors),
        "sleep" => {
            let seconds = integer(content, "seconds").unwrap_or(0);
            let Some(grace) = facts.grace_period_seconds else { return };
            if seconds < 0 || seconds > grace {
                let detail =
                    format!("must be non-negative and less than terminationGracePeriodSeconds ({grace})");
                errors.push(FieldError::invalid(path.clone(), seconds, &detail));
            }
        }
        _ => {}
    }
}

fn port(port: &Value, path: &FieldPath, errors: &mut Vec<FieldError>) {
    match port.as_str() {
        Some(name) => invalid(errors, path, name, format::port_name(name)),
        None => {
            let number = port.as_i64().unwrap_or(0);
            invalid(errors, path, number, format::port_number(number));
        }
    }
}
