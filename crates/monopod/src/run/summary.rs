//! What became of each container, at the end of a run.
//!
//! In JSON, each entry of `containers` has `name`, `kind` (`init`, `sidecar`, `app`), `state`
//! (`Running`, `Terminated`, `Waiting`), `reason`, `exitCode` (absent unless it ended), `restarts` and
//! `seconds` (how long its last attempt ran; absent if there was none).

use std::time::Duration;

use kubelet::PodView;
use kubelet::render::{phase_text, reason_text};
use lifecycle::{ContainerState, ContainerStatus};
use podspec::{ContainerKind, Moment, Pod};
use serde_json::{Map, Value, json};

use super::format::{PodNames, json_line};
use super::steps::short_duration;

/// One line of JSON for a pod.
pub(crate) fn json_summary(pod: &Pod, view: &PodView, now: Moment) -> Vec<u8> {
    json_line("summary", now.wall, pod, None, |out| {
        out.insert("phase".into(), json!(phase_text(view.status.phase)));
        out.insert("reason".into(), json!(view.status.reason));
        out.insert("message".into(), json!(view.status.message));
        let containers: Vec<Value> = rows(pod, view, now).iter().map(Row::json).collect();
        out.insert("containers".into(), json!(containers));
    })
}

/// The table for people, a line per container.
pub(crate) fn table(pods: &[(&Pod, &PodView)], now: Moment) -> String {
    let names = PodNames::of(pods.iter().map(|(pod, _)| *pod));
    let header = ["POD", "CONTAINER", "KIND", "STATE", "EXIT CODE", "RESTARTS", "RAN"].map(str::to_owned);
    let mut lines = vec![header];
    for (pod, view) in pods {
        lines.extend(rows(pod, view, now).iter().map(|row| row.cells(names.name(pod))));
    }
    aligned(&lines)
}

struct Row {
    name: String,
    kind: &'static str,
    state: &'static str,
    reason: String,
    exit_code: Option<i32>,
    restarts: u32,
    ran: Option<Duration>,
}

/// In spec order: init containers and sidecars, then app containers.
fn rows(pod: &Pod, view: &PodView, now: Moment) -> Vec<Row> {
    let statuses = || view.status.all_containers();
    (pod.spec.all_containers())
        .filter_map(|container| {
            let status = statuses().find(|status| status.name == container.name)?;
            let kind = match container.kind {
                ContainerKind::Init => "init",
                ContainerKind::Sidecar => "sidecar",
                ContainerKind::App => "app",
                ContainerKind::Ephemeral => "ephemeral",
            };
            Some(Row::new(status, kind, now))
        })
        .collect()
}

impl Row {
    fn new(status: &ContainerStatus, kind: &'static str, now: Moment) -> Self {
        let (state, reason, exit) = match &status.state {
            ContainerState::Waiting { reason, .. } => ("Waiting", reason.clone(), status.last_state.as_ref()),
            ContainerState::Running { .. } => ("Running", "Running".to_owned(), None),
            ContainerState::Terminated(exit) => {
                ("Terminated", reason_text(exit.reason).to_owned(), Some(exit))
            }
        };
        let ran = match &status.state {
            ContainerState::Running { since } => Some(now.boot.since(since.boot)),
            _ => exit.and_then(|exit| Some(exit.finished.boot.since(exit.started?.boot))),
        };
        Self {
            name: status.name.to_string(),
            kind,
            state,
            reason,
            exit_code: exit.map(|exit| exit.code),
            restarts: status.restart_count,
            ran,
        }
    }

    fn cells(&self, pod_name: String) -> [String; 7] {
        [
            pod_name,
            self.name.clone(),
            self.kind.to_owned(),
            self.reason.clone(),
            self.exit_code.map_or_else(|| "-".to_owned(), |code| code.to_string()),
            self.restarts.to_string(),
            self.ran.map_or_else(|| "-".to_owned(), short_duration),
        ]
    }

    fn json(&self) -> Value {
        let mut out = Map::new();
        out.insert("name".into(), json!(self.name));
        out.insert("kind".into(), json!(self.kind));
        out.insert("state".into(), json!(self.state));
        out.insert("reason".into(), json!(self.reason));
        if let Some(code) = self.exit_code {
            out.insert("exitCode".into(), json!(code));
        }
        out.insert("restarts".into(), json!(self.restarts));
        if let Some(ran) = self.ran {
            out.insert("seconds".into(), json!(ran.as_millis() as f64 / 1_000.0));
        }
        Value::Object(out)
    }
}

/// Columns as wide as their widest cell, three spaces apart, as kubectl prints tables.
fn aligned<const COLUMNS: usize>(lines: &[[String; COLUMNS]]) -> String {
    let widths: Vec<usize> =
        (0..COLUMNS).map(|column| lines.iter().map(|line| line[column].len()).max().unwrap_or(0)).collect();
    let mut out = String::new();
    for line in lines {
        let mut text = String::new();
        for (cell, width) in line.iter().zip(&widths) {
            text.push_str(&format!("{cell:width$}   "));
        }
        out.push_str(text.trim_end());
        out.push('\n');
    }
    out
}
