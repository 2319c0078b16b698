//! A simulation as one JSON object: `pods`, a list of objects with
//!
//! * `namespace`, `name`, `phase`, and `ended`: why it goes no further (`atRest`, `nothingToCome`, `until`, `cutShort`), `seconds`: when;
//! * `assumed`: `container` (absent for the pod) and `what`, a list of texts;
//! * `statuses`: `seconds`, `ready`, `status`, `restarts`, as `kubectl get` prints them;
//! * `events`: `seconds`, `type`, `reason`, `object`, `message`, `count`, `lastSeconds`;
//! * `warnings`: `kind`, `seconds` and `container` where there are, `message`;
//! * `timeline`: as `monopod timeline -o json` has it.

use explain::timeline;
use kubelet::events::EventType;
use kubelet::render::phase_text;
use podspec::{BootTime, Moment};
use serde_json::{Value, json};
use simulation::{Ended, Simulated};

use super::{Repeated, events, rows};

pub(super) fn object(simulated: &[Simulated]) -> String {
    let pods: Vec<Value> = simulated.iter().map(pod).collect();
    format!("{:#}\n", json!({ "pods": pods }))
}

fn pod(simulated: &Simulated) -> Value {
    let pod = &simulated.record.pod;
    let ended = match simulated.ended {
        Ended::AtRest => "atRest",
        Ended::NothingToCome => "nothingToCome",
        Ended::Until => "until",
        Ended::Enough | Ended::Steps => "cutShort",
    };
    json!({
        "namespace": pod.namespace,
        "name": pod.name,
        "phase": simulated.statuses.last().map(|(_, status)| phase_text(status.phase)),
        "ended": ended,
        "seconds": seconds(simulated.record.now),
        "assumed": simulated.assumed.iter().map(|assumed| {
            let mut value = json!({ "what": assumed.what });
            if let Some(container) = &assumed.container {
                value["container"] = container.as_str().into();
            }
            value
        }).collect::<Vec<_>>(),
        "statuses": rows(simulated).iter().map(|(at, said)| json!({
            "seconds": seconds(*at),
            "ready": said.ready,
            "status": said.status,
            "restarts": said.restarts,
        })).collect::<Vec<_>>(),
        "events": events(simulated).iter().map(event).collect::<Vec<_>>(),
        "warnings": simulated.warnings.iter().map(|warning| {
            let mut value = json!({ "kind": warning.kind.name(), "message": warning.text });
            if let Some(at) = warning.at {
                value["seconds"] = seconds(at).into();
            }
            if let Some(container) = &warning.container {
                value["container"] = container.as_str().into();
            }
            value
        }).collect::<Vec<_>>(),
        "timeline": timeline::json(&timeline::of(&simulated.record)),
    })
}

fn event(repeated: &Repeated) -> Value {
    let Repeated { event, count, last } = repeated;
    let kind = match event.kind {
        EventType::Normal => "Normal",
        EventType::Warning => "Warning",
    };
    json!({
        "seconds": seconds(event.at),
        "type": kind,
        "reason": event.reason,
        "object": event.field_path.as_deref().unwrap_or("pod"),
        "message": event.message,
        "count": count,
        "lastSeconds": seconds(*last),
    })
}

/// To the millisecond: what is less only tells events apart.
fn seconds(at: Moment) -> f64 {
    at.boot.since(BootTime(0)).as_millis() as f64 / 1_000.0
}
