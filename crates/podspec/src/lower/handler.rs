//! What probes and hooks do.

use serde_json::Value;

use super::seconds;
use crate::json::{integer, list, object, text, texts};
use crate::spec::{
    ExecAction, GrpcAction, HookHandler, HttpGetAction, HttpHeader, HttpScheme, PortRef, Probe, ProbeHandler,
    TcpSocketAction,
};

pub(super) fn probe(probe: &Value) -> Option<Probe> {
    let time = |name, default| seconds(integer(probe, name).unwrap_or(default));
    let count = |name, default| u32::try_from(integer(probe, name).unwrap_or(default)).unwrap_or(0);
    Some(Probe {
        handler: probe_handler(probe)?,
        initial_delay: time("initialDelaySeconds", 0),
        period: time("periodSeconds", 10),
        timeout: time("timeoutSeconds", 1),
        success_threshold: count("successThreshold", 1),
        failure_threshold: count("failureThreshold", 3),
        termination_grace_period: integer(probe, "terminationGracePeriodSeconds").map(seconds),
    })
}

pub(super) fn hook(hook: &Value) -> Option<HookHandler> {
    let sleep = || object(hook, "sleep").map(|sleep| seconds(integer(sleep, "seconds").unwrap_or(0)));
    (object(hook, "exec").map(|action| HookHandler::Exec(exec(action))))
        .or_else(|| object(hook, "httpGet").map(|action| HookHandler::HttpGet(http_get(action))))
        .or_else(|| sleep().map(HookHandler::Sleep))
}

fn probe_handler(probe: &Value) -> Option<ProbeHandler> {
    (object(probe, "exec").map(|action| ProbeHandler::Exec(exec(action))))
        .or_else(|| object(probe, "httpGet").map(|action| ProbeHandler::HttpGet(http_get(action))))
        .or_else(|| object(probe, "tcpSocket").map(|action| ProbeHandler::TcpSocket(tcp_socket(action))))
        .or_else(|| object(probe, "grpc").map(|action| ProbeHandler::Grpc(grpc(action))))
}

fn exec(action: &Value) -> ExecAction {
    ExecAction { command: texts(action, "command").unwrap_or_default() }
}

fn http_get(action: &Value) -> HttpGetAction {
    let header = |header: &Value| HttpHeader {
        name: text(header, "name").to_owned(),
        value: text(header, "value").to_owned(),
    };
    HttpGetAction {
        host: host(action),
        port: port(&action["port"]),
        path: text(action, "path").to_owned(),
        scheme: if text(action, "scheme") == "HTTPS" { HttpScheme::Https } else { HttpScheme::Http },
        headers: list(action, "httpHeaders").iter().map(header).collect(),
    }
}

fn tcp_socket(action: &Value) -> TcpSocketAction {
    TcpSocketAction { host: host(action), port: port(&action["port"]) }
}

fn grpc(action: &Value) -> GrpcAction {
    let number = integer(action, "port").and_then(|port| u16::try_from(port).ok());
    GrpcAction { port: number.unwrap_or(0), service: text(action, "service").to_owned() }
}

fn host(action: &Value) -> Option<String> {
    Some(text(action, "host").to_owned()).filter(|host| !host.is_empty())
}

fn port(port: &Value) -> PortRef {
    match port.as_str() {
        Some(name) => PortRef::Name(name.to_owned()),
        None => PortRef::Number(port.as_i64().and_then(|port| u16::try_from(port).ok()).unwrap_or(0)),
    }
}
