//! Pods: READY, STATUS and RESTARTS from the statuses of their containers.

use podspec::WallTime;
use podspec::json::{flag, integer, list, text};
use serde_json::Value;

use super::{AGE, NAME, Printed, age, column, moment, name, or, wide};

pub static PODS: Printed = Printed {
    columns: const {
        &[
            NAME,
            column("Ready", "How many of its app containers and sidecars are ready"),
            column("Status", "Its phase, or what holds it up"),
            column("Restarts", "How often its containers were restarted, and when last"),
            AGE,
            wide("IP", "Its address"),
            wide("Node", "Where it runs"),
            wide("Nominated Node", "Where it will run once what it preempts is gone"),
            wide("Readiness Gates", "How many of its extra conditions of readiness hold"),
        ]
    },
    cells: |pod, now| {
        let summary = Summary::of(pod);
        let status = &pod["status"];
        let ip = list(status, "podIPs").first().map_or("", |ip| text(ip, "ip"));
        vec![
            name(pod),
            summary.ready.into(),
            summary.status.into(),
            summary.restarts.text(now).into(),
            age(pod, now),
            or(ip, "<none>").into(),
            or(text(&pod["spec"], "nodeName"), "<none>").into(),
            or(text(status, "nominatedNodeName"), "<none>").into(),
            gates(pod).into(),
        ]
    },
};

struct Summary {
    ready: String,
    status: String,
    restarts: Restarts,
}

#[derive(Clone, Copy, Default)]
struct Restarts {
    count: i64,
    last: Option<WallTime>,
}

struct Init {
    /// Set while an entry of `initContainers` is not done, or not up.
    reason: Option<String>,
    ready: usize,
    all: Restarts,
    sidecars: Restarts,
}

#[derive(Default)]
struct Apps {
    reason: Option<String>,
    ready: usize,
    running: bool,
    failure: Option<String>,
    restarts: Restarts,
}

impl Summary {
    fn of(pod: &Value) -> Self {
        let (spec, status) = (&pod["spec"], &pod["status"]);
        let init = Init::of(spec, status);
        let mut reason = init.reason.clone().unwrap_or_else(|| of_pod(status));
        let (mut ready, mut restarts) = (init.ready, init.all);
        if init.reason.is_none() || holds(status, "Initialized") {
            let apps = Apps::of(status);
            reason = apps.reason.unwrap_or(reason);
            if reason == "Completed" {
                reason = completed(apps.running && holds(status, "Ready"), apps.failure, apps.running);
            }
            ready += apps.ready;
            restarts = init.sidecars.and(apps.restarts);
        }
        let phase = text(status, "phase");
        if pod["metadata"].get("deletionTimestamp").is_some() {
            if text(status, "reason") == "NodeLost" {
                "Unknown".clone_into(&mut reason);
            } else if !["Succeeded", "Failed"].contains(&phase) {
                "Terminating".clone_into(&mut reason);
            }
        }
        let sidecars = list(spec, "initContainers").iter().filter(|container| is_sidecar(container)).count();
        let total = list(spec, "containers").len() + sidecars;
        Self { ready: format!("{ready}/{total}"), status: reason, restarts }
    }
}

impl Init {
    /// Stops at the first entry that is not done: entries after it are not counted.
    fn of(spec: &Value, status: &Value) -> Self {
        let mut out =
            Self { reason: None, ready: 0, all: Restarts::default(), sidecars: Restarts::default() };
        let specs = list(spec, "initContainers");
        for (index, container) in list(status, "initContainerStatuses").iter().enumerate() {
            let own = specs.iter().find(|spec| text(spec, "name") == text(container, "name"));
            let sidecar = own.is_some_and(is_sidecar);
            out.all = out.all.and(Restarts::of(container));
            if sidecar {
                out.sidecars = out.sidecars.and(Restarts::of(container));
            }
            let state = &container["state"];
            let (terminated, waiting) = (state.get("terminated"), text(&state["waiting"], "reason"));
            if terminated.is_some_and(|exit| integer(exit, "exitCode") == Some(0)) {
                continue;
            }
            if sidecar && flag(container, "started") {
                out.ready += usize::from(flag(container, "ready"));
                continue;
            }
            out.reason = Some(match terminated {
                Some(exit) => format!("Init:{}", exit_text(exit)),
                None if !["", "PodInitializing"].contains(&waiting) => format!("Init:{waiting}"),
                None => format!("Init:{index}/{}", specs.len()),
            });
            break;
        }
        out
    }
}

impl Apps {
    /// From the last container to the first, so that of several that do not run the first one is said.
    fn of(status: &Value) -> Self {
        let mut out = Self::default();
        for container in list(status, "containerStatuses").iter().rev() {
            out.restarts = out.restarts.and(Restarts::of(container));
            let state = &container["state"];
            let waiting = text(&state["waiting"], "reason");
            if !waiting.is_empty() {
                out.reason = Some(waiting.to_owned());
            } else if let Some(exit) = state.get("terminated") {
                let text = exit_text(exit);
                if integer(exit, "exitCode").unwrap_or(0) != 0 {
                    out.failure = Some(text.clone());
                }
                out.reason = Some(text);
            } else if flag(container, "ready") && state.get("running").is_some() {
                out.running = true;
                out.ready += 1;
            }
        }
        out
    }
}

fn of_pod(status: &Value) -> String {
    let gated = |condition: &&Value| {
        text(condition, "type") == "PodScheduled" && text(condition, "reason") == "SchedulingGated"
    };
    if list(status, "conditions").iter().any(|condition| gated(&condition)) {
        return "SchedulingGated".to_owned();
    }
    or(text(status, "reason"), text(status, "phase"))
}

/// One container has completed: what of the pod as a whole?
fn completed(up: bool, failure: Option<String>, running: bool) -> String {
    match failure {
        _ if up => "Running".to_owned(),
        Some(failure) => failure,
        None if running => "NotReady".to_owned(),
        None => "Completed".to_owned(),
    }
}

fn exit_text(exit: &Value) -> String {
    match (text(exit, "reason"), integer(exit, "signal").unwrap_or(0)) {
        ("", 0) => format!("ExitCode:{}", integer(exit, "exitCode").unwrap_or(0)),
        ("", signal) => format!("Signal:{signal}"),
        (reason, _) => reason.to_owned(),
    }
}

fn is_sidecar(container: &Value) -> bool {
    text(container, "restartPolicy") == "Always"
}

fn holds(status: &Value, kind: &str) -> bool {
    let found = list(status, "conditions").iter().find(|condition| text(condition, "type") == kind);
    found.is_some_and(|condition| text(condition, "status") == "True")
}

fn gates(pod: &Value) -> String {
    let gates = list(&pod["spec"], "readinessGates");
    if gates.is_empty() {
        return "<none>".to_owned();
    }
    let open = gates.iter().filter(|gate| holds(&pod["status"], text(gate, "conditionType"))).count();
    format!("{open}/{}", gates.len())
}

impl Restarts {
    fn of(container: &Value) -> Self {
        let last = moment(&container["lastState"]["terminated"]["finishedAt"]);
        Self { count: integer(container, "restartCount").unwrap_or(0), last }
    }

    fn and(self, other: Self) -> Self {
        Self { count: self.count + other.count, last: self.last.max(other.last) }
    }

    fn text(self, now: WallTime) -> String {
        match self.last {
            Some(_) if self.count > 0 => {
                format!("{} ({} ago)", self.count, apimachinery::duration::age(self.last, now))
            }
            _ => self.count.to_string(),
        }
    }
}

#[cfg(test)]
#[path = "pod_tests.rs"]
mod tests;
