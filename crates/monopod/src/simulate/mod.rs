//! `monopod simulate`: what will happen to the pods of a manifest, without any of it.

mod cli;
mod json;
mod text;

use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use explain::timeline::Style;
use kubelet::columns::{Columns, columns};
use kubelet::events::{Event, EventSource};
use podspec::{Moment, Pod};
use simulation::Simulated;

use crate::cli::OutputFormat;
use crate::{outcome, print, run};
pub(crate) use cli::{HELP, Simulate, respelled};

/// Columns of a text that goes to no terminal.
const WIDTH: usize = 100;

pub(crate) fn simulate(options: &Simulate, namespace: Option<&str>) -> Result<ExitCode> {
    let refused = |why: &dyn std::fmt::Display| {
        outcome::say(format_args!("error: {why}"));
        Ok(ExitCode::from(outcome::REFUSED))
    };
    let manifests = match run::read_manifests(&options.manifests, namespace) {
        Ok(manifests) => manifests,
        Err(error) => return refused(&error),
    };
    let pods = manifests.objects.iter().filter(|manifest| manifest.kind.kind == "Pod");
    let pods: Vec<Pod> = pods.map(|manifest| podspec::lower(&manifest.object)).collect();
    let assumptions = options.assumptions();
    let misfits = assumptions.misfits(&pods.iter().collect::<Vec<_>>());
    if !misfits.is_empty() {
        return refused(&misfits.join("\nerror: "));
    }
    for warning in &manifests.warnings {
        outcome::say(format_args!("warning: {warning}"));
    }
    let simulated: Vec<Simulated> = pods.iter().map(|pod| simulation::run(pod, &assumptions)).collect();
    let out = match options.output {
        OutputFormat::Json => json::object(&simulated),
        OutputFormat::Text => text::text(&simulated, style(options)),
    };
    let failed = simulated.iter().any(Simulated::failed);
    let printed = print(out.as_bytes());
    Ok(if failed { ExitCode::from(outcome::FAILURE) } else { printed })
}

fn style(options: &Simulate) -> Style {
    let stdout = std::io::stdout();
    let size = rustix::termios::tcgetwinsize(&stdout).ok().map(|size| usize::from(size.ws_col));
    Style {
        width: size.filter(|width| *width > 0).unwrap_or(WIDTH),
        color: stdout.is_terminal() && !options.no_color && outcome::may_color(),
        ascii: false,
        dated: false,
    }
}

/// What `kubectl get` says whenever it says something else.
fn rows(simulated: &Simulated) -> Vec<(Moment, Columns)> {
    let deleted = simulated.deleted();
    let mut rows: Vec<(Moment, Columns)> = Vec::new();
    for (at, status) in &simulated.statuses {
        let deleting = deleted.is_some_and(|deleted| deleted.boot <= at.boot);
        // Nanoseconds tell events apart, and nobody else anything.
        let said = columns(&simulated.record.pod.spec, status, deleting, at.after(Duration::from_micros(1)));
        let key = |said: &Columns| {
            let restarts = said.restarts.split(' ').next().unwrap_or_default().to_owned();
            (said.ready.clone(), said.status.clone(), restarts)
        };
        if rows.last().is_none_or(|(_, last)| key(last) != key(&said)) {
            rows.push((*at, said));
        }
    }
    rows
}

/// One event, how often it comes, and when for the last time.
struct Repeated {
    event: Event,
    count: usize,
    last: Moment,
}

/// In the order in which each comes first.
fn events(simulated: &Simulated) -> Vec<Repeated> {
    let mut source = EventSource::default();
    let mut out: Vec<Repeated> = Vec::new();
    let mut places = std::collections::BTreeMap::new();
    for entry in &simulated.record.entries {
        for event in source.events(&simulated.record.pod, entry) {
            let key = (event.reason, event.field_path.clone(), event.message.clone());
            let place = *places.entry(key).or_insert(out.len());
            match out.get_mut(place) {
                Some(repeated) => {
                    repeated.count += 1;
                    repeated.last = event.at;
                }
                None => out.push(Repeated { last: event.at, event, count: 1 }),
            }
        }
    }
    out
}
