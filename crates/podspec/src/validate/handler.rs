//! Probes and hooks.

use serde_json::Value;

use super::{format, invalid, not_negative, one_of, pod::PodFacts};
use crate::field::{FieldError, FieldPath};
use crate::json::{integer, list, object, text};

const HANDLERS: [&str; 5] = ["exec", "httpGet", "tcpSocket", "grpc", "sleep"];

/// What a container of Linux can be stopped with, in the order in which they are printed.
const STOP_SIGNALS: [&str; 65] = [
    "SIGABRT",
    "SIGALRM",
    "SIGBUS",
    "SIGCHLD",
    "SIGCLD",
    "SIGCONT",
    "SIGFPE",
    "SIGHUP",
    "SIGILL",
    "SIGINT",
    "SIGIO",
    "SIGIOT",
    "SIGKILL",
    "SIGPIPE",
    "SIGPOLL",
    "SIGPROF",
    "SIGPWR",
    "SIGQUIT",
    "SIGRTMAX",
    "SIGRTMAX-1",
    "SIGRTMAX-10",
    "SIGRTMAX-11",
    "SIGRTMAX-12",
    "SIGRTMAX-13",
    "SIGRTMAX-14",
    "SIGRTMAX-2",
    "SIGRTMAX-3",
    "SIGRTMAX-4",
    "SIGRTMAX-5",
    "SIGRTMAX-6",
    "SIGRTMAX-7",
    "SIGRTMAX-8",
    "SIGRTMAX-9",
    "SIGRTMIN",
    "SIGRTMIN+1",
    "SIGRTMIN+10",
    "SIGRTMIN+11",
    "SIGRTMIN+12",
    "SIGRTMIN+13",
    "SIGRTMIN+14",
    "SIGRTMIN+15",
    "SIGRTMIN+2",
    "SIGRTMIN+3",
    "SIGRTMIN+4",
    "SIGRTMIN+5",
    "SIGRTMIN+6",
    "SIGRTMIN+7",
    "SIGRTMIN+8",
    "SIGRTMIN+9",
    "SIGSEGV",
    "SIGSTKFLT",
    "SIGSTOP",
    "SIGSYS",
    "SIGTERM",
    "SIGTRAP",
    "SIGTSTP",
    "SIGTTIN",
    "SIGTTOU",
    "SIGURG",
    "SIGUSR1",
    "SIGUSR2",
    "SIGVTALRM",
    "SIGWINCH",
    "SIGXCPU",
    "SIGXFSZ",
];

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
    if let Some(signal) = lifecycle.get("stopSignal").and_then(Value::as_str) {
        stop_signal(signal, facts, &path.child("stopSignal"), errors);
    }
}

fn stop_signal(signal: &str, facts: &PodFacts<'_>, path: &FieldPath, errors: &mut Vec<FieldError>) {
    let supported: &[&str] = match facts.os {
        None => {
            let detail = "may not be set for containers with empty `spec.os.name`";
            let error = FieldError::forbidden(path.clone(), detail);
            errors.push(error.hint("add os: {name: linux} to the pod's spec"));
            return;
        }
        Some("linux") => &STOP_SIGNALS,
        Some("windows") => &["SIGKILL", "SIGTERM"],
        Some(_) => return,
    };
    if !supported.contains(&signal) {
        errors.push(FieldError::not_supported(path.clone(), signal, supported));
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
        "httpGet" => http_get(content, path, errors),
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

fn http_get(content: &Value, path: &FieldPath, errors: &mut Vec<FieldError>) {
    if text(content, "path").is_empty() {
        errors.push(FieldError::required(path.child("path"), ""));
    }
    port(&content["port"], &path.child("port"), errors);
    one_of(errors, &path.child("scheme"), text(content, "scheme"), &["HTTP", "HTTPS"]);
    for header in list(content, "httpHeaders") {
        let name = text(header, "name");
        invalid(errors, &path.child("httpHeaders"), name, format::http_header_name(name));
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
