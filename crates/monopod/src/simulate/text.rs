//! A simulation for people.

use std::fmt::Write as _;
use std::time::Duration;

use explain::timeline::{self, Style};
use kubelet::events::EventType;
use podspec::time::go_duration;
use podspec::{BootTime, Moment};
use simulation::{Ended, Simulated};

use super::{Repeated, events, rows};
use crate::client::align;

/// Lines of one table.
const LINES_MAX: usize = 200;

pub(super) fn text(simulated: &[Simulated], style: Style) -> String {
    let mut out = String::new();
    for (index, pod) in simulated.iter().enumerate() {
        if index > 0 {
            out.push('\n');
        }
        one(pod, style, &mut out);
    }
    out
}

fn one(simulated: &Simulated, style: Style, out: &mut String) {
    assumed(simulated, out);
    out.push('\n');
    out.push_str(&timeline::text(&timeline::of(&simulated.record), style));
    out.push('\n');
    statuses(simulated, out);
    out.push('\n');
    event_table(simulated, out);
    if !simulated.warnings.is_empty() {
        out.push('\n');
    }
    for warning in &simulated.warnings {
        let at = warning.at.map(|at| format!("at {}: ", after(at))).unwrap_or_default();
        let _ = writeln!(out, "warning: {at}{}", warning.text);
    }
}

fn assumed(simulated: &Simulated, out: &mut String) {
    let pod = &simulated.record.pod;
    let _ = writeln!(out, "pod {}/{}, assumed:", pod.namespace, pod.name);
    let mut lines = String::new();
    for assumed in &simulated.assumed {
        let who = assumed.container.as_ref().map_or("the pod is", |name| name.as_str());
        let _ = writeln!(lines, "  {who}\t{}", assumed.what.join("; "));
    }
    out.push_str(&align(&lines));
}

fn statuses(simulated: &Simulated, out: &mut String) {
    let rows = rows(simulated);
    let mut lines = String::from("AFTER\tREADY\tSTATUS\tRESTARTS\n");
    for (at, said) in rows.iter().take(LINES_MAX) {
        let _ = writeln!(lines, "{}\t{}\t{}\t{}", after(*at), said.ready, said.status, said.restarts);
    }
    out.push_str(&align(&lines));
    more(rows.len(), out);
    let end = after(simulated.record.now);
    let _ = match simulated.ended {
        Ended::AtRest => writeln!(out, "after {end} nothing of the pod is left"),
        Ended::NothingToCome => writeln!(out, "after {end} nothing more happens by itself"),
        Ended::Until => writeln!(out, "simulated until {end}"),
        Ended::Enough | Ended::Steps => writeln!(out, "cut short after {end}"),
    };
}

fn event_table(simulated: &Simulated, out: &mut String) {
    let events = events(simulated);
    let mut lines = String::from("AFTER\tTYPE\tREASON\tOBJECT\tMESSAGE\n");
    for Repeated { event, count, last } in events.iter().take(LINES_MAX) {
        let kind = match event.kind {
            EventType::Normal => "Normal",
            EventType::Warning => "Warning",
        };
        let repeated = match count {
            1 => String::new(),
            count => format!(" (x{count} until {})", after(*last)),
        };
        let object = event.field_path.as_deref().unwrap_or("pod");
        let message = event.message.replace(['\n', '\t'], " ");
        let at = after(event.at);
        let _ = writeln!(lines, "{at}{repeated}\t{kind}\t{}\t{object}\t{message}", event.reason);
    }
    out.push_str(&align(&lines));
    more(events.len(), out);
}

fn more(lines: usize, out: &mut String) {
    if let Some(more) = lines.checked_sub(LINES_MAX).filter(|more| *more > 0) {
        let _ = writeln!(out, "and {more} more: -o json has them all");
    }
}

/// Nanoseconds tell events apart, and nobody else anything.
fn after(at: Moment) -> String {
    go_duration(at.boot.since(BootTime(0)) + Duration::from_micros(1))
}
