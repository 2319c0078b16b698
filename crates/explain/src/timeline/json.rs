//! A timeline for programs.
//!
//! One object; fields may be added, none changes its meaning:
//!
//! | field | what it is |
//! |---|---|
//! | `namespace`, `name`, `uid` | of the pod |
//! | `begin`, `end` | RFC 3339, UTC: of what is shown |
//! | `seconds` | between the two, on the clock that goes on while the machine sleeps and that nobody sets |
//! | `cut` | something was before `begin` |
//! | `atRest` | nothing more happens to it |
//! | `lanes` | the pod's, then its containers' in the order of the spec |
//!
//! A lane has `type` (`pod`, `init`, `sidecar`, `app`, `ephemeral`), `container` (absent for the pod), `restarts`, maybe `exitCode` (of the last
//! attempt that ended), `marksLeftOut`, `spans` and `marks`. A span has `kind`, `attempt`, `begin`, `beginSeconds` (since the timeline's), `beginUnknown` (absent when it is known), `end`
//! and `endSeconds` (absent while it goes on), and maybe `detail`. A mark has `kind`, `attempt`, `at`, `seconds`, and maybe `code` (of an
//! exit) and `text`.

use podspec::{ContainerKind, Moment, WallTime};
use serde_json::{Map, Value, json};

use super::{Lane, Mark, Span, Timeline};

#[must_use]
pub fn json(timeline: &Timeline) -> Value {
    let Timeline { namespace, name, uid, begin, end, cut, at_rest, lanes } = timeline;
    json!({
        "namespace": namespace,
        "name": name,
        "uid": uid.as_str(),
        "begin": rfc3339(begin.wall),
        "end": rfc3339(end.wall),
        "seconds": seconds(*begin, *end),
        "cut": cut,
        "atRest": at_rest,
        "lanes": lanes.iter().map(|lane| of_lane(lane, *begin)).collect::<Vec<Value>>(),
    })
}

fn of_lane(lane: &Lane, begin: Moment) -> Value {
    let mut out = Map::new();
    let kind = match &lane.container {
        None => "pod",
        Some((_, ContainerKind::Init)) => "init",
        Some((_, ContainerKind::Sidecar)) => "sidecar",
        Some((_, ContainerKind::App)) => "app",
        Some((_, ContainerKind::Ephemeral)) => "ephemeral",
    };
    out.insert("type".into(), json!(kind));
    if let Some((name, _)) = &lane.container {
        out.insert("container".into(), json!(name.as_str()));
    }
    out.insert("restarts".into(), json!(lane.restarts));
    if let Some(code) = lane.exit_code {
        out.insert("exitCode".into(), json!(code));
    }
    out.insert("marksLeftOut".into(), json!(lane.marks_left_out));
    out.insert("spans".into(), lane.spans.iter().map(|span| of_span(span, begin)).collect());
    out.insert("marks".into(), lane.marks.iter().map(|mark| of_mark(mark, begin)).collect());
    Value::Object(out)
}

fn of_span(span: &Span, begin: Moment) -> Value {
    let mut out = Map::new();
    out.insert("kind".into(), json!(span.kind.name()));
    out.insert("attempt".into(), json!(span.attempt));
    out.insert("begin".into(), json!(rfc3339(span.begin.wall)));
    out.insert("beginSeconds".into(), json!(seconds(begin, span.begin)));
    if span.begin_unknown {
        out.insert("beginUnknown".into(), json!(true));
    }
    if let Some(end) = span.end {
        out.insert("end".into(), json!(rfc3339(end.wall)));
        out.insert("endSeconds".into(), json!(seconds(begin, end)));
    }
    if !span.detail.is_empty() {
        out.insert("detail".into(), json!(span.detail));
    }
    Value::Object(out)
}

fn of_mark(mark: &Mark, begin: Moment) -> Value {
    let mut out = Map::new();
    out.insert("kind".into(), json!(mark.kind.name()));
    out.insert("attempt".into(), json!(mark.attempt));
    out.insert("at".into(), json!(rfc3339(mark.at.wall)));
    out.insert("seconds".into(), json!(seconds(begin, mark.at)));
    if let Some(code) = mark.code {
        out.insert("code".into(), json!(code));
    }
    if !mark.text.is_empty() {
        out.insert("text".into(), json!(mark.text));
    }
    Value::Object(out)
}

/// To the microsecond; negative for what began before.
#[expect(clippy::cast_precision_loss, reason = "microseconds of 285 years fit")]
fn seconds(from: Moment, to: Moment) -> f64 {
    let micros = to.boot.0.saturating_sub(from.boot.0) / 1_000;
    micros as f64 / 1e6
}

fn rfc3339(at: WallTime) -> String {
    let c = at.civil();
    let (date, time) = (
        format!("{:04}-{:02}-{:02}", c.year, c.month, c.day),
        format!("{:02}:{:02}:{:02}", c.hour, c.minute, c.second),
    );
    format!("{date}T{time}.{:06}Z", c.nanosecond / 1_000)
}
