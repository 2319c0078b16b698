//! Where the time of starts goes: what `--trace-start` tells of each of them as JSON, as the medians of one tree.

use std::fmt::Write as _;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::report::Report;
use crate::stats::Stats;
use crate::table::head;

const LEGEND: &str = "\
Steps of one name within another one are a line, with their number and the sum of what they took. Each figure is the
median over all starts by itself, so parts need not add up to the whole; and what is done side by side, as the writes of
an engine that starts, adds up to more than the time that went by.
Starts of a daemon that tells of them (--trace-start), which costs it something: for shares, not to be compared.
";

/// What took less is not shown; it counts in what it is a part of.
const SHOWN_MS_MIN: f64 = 0.01;

/// Of some starts of one kind. Whatever a start did not have counts as nothing there.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub(crate) struct Profile {
    pub(crate) what: String,
    pub(crate) starts: usize,
    /// The median, as all that follows.
    pub(crate) ms: f64,
    /// In the order in which they begin; some are under way at one time.
    pub(crate) steps: Vec<Part>,
    /// While no step was under way.
    pub(crate) between_ms: f64,
}

/// All steps of one name within another step, or of one container.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub(crate) struct Part {
    pub(crate) name: String,
    pub(crate) container: Option<String>,
    /// How many there are of them.
    pub(crate) times: f64,
    pub(crate) ms: f64,
    pub(crate) steps: Vec<Self>,
}

/// One start, as it is told.
#[derive(Clone, PartialEq, Debug, Deserialize)]
pub(crate) struct Start {
    of: Subject,
    /// Of a pod: namespace and name.
    pod: Option<String>,
    complete: Option<bool>,
    ms: f64,
    steps: Vec<Step>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Subject {
    Engine,
    Pod,
}

#[derive(Clone, PartialEq, Debug, Deserialize)]
struct Step {
    step: String,
    container: Option<String>,
    at_ms: f64,
    ms: f64,
    #[serde(default)]
    steps: Vec<Self>,
}

/// All that were measured, with when and where; `None` if none was.
pub(crate) fn text(report: &Report) -> Option<String> {
    let profiles: String = report.profiles.iter().map(|profile| format!("\n{}", profile.text())).collect();
    (!profiles.is_empty()).then(|| format!("{}\n{LEGEND}{profiles}", head(report)))
}

/// The starts among the lines of a log.
pub(crate) fn starts(log: &str) -> Result<Vec<Start>> {
    let mut starts = Vec::new();
    for line in log.lines() {
        let Ok(value) = serde_json::from_str::<serde_json::Value>(line) else { continue };
        if value["type"] == "start" {
            starts.push(serde_json::from_value(value).with_context(|| format!("no start: {line}"))?);
        }
    }
    Ok(starts)
}

impl Start {
    /// Of an engine, or of the pod with this name, all of whose containers have run.
    pub(crate) fn is_of(&self, subject: Subject, pod: &str) -> bool {
        let is_pods = || self.complete == Some(true) && self.pod.as_deref() == Some(pod);
        self.of == subject && (subject == Subject::Engine || is_pods())
    }

    fn between_ms(&self) -> f64 {
        let mut spans: Vec<(f64, f64)> =
            self.steps.iter().map(|step| (step.at_ms, step.at_ms + step.ms)).collect();
        spans.sort_by(|one, other| one.0.total_cmp(&other.0));
        let (mut reached, mut between) = (0.0_f64, 0.0);
        for (began, ended) in spans {
            between += (began.min(self.ms) - reached).max(0.0);
            reached = reached.max(ended);
        }
        between + (self.ms - reached).max(0.0)
    }
}

impl Profile {
    pub(crate) fn of(what: &str, starts: &[Start]) -> Self {
        let steps: Vec<Vec<&Step>> = starts.iter().map(|start| start.steps.iter().collect()).collect();
        Self {
            what: what.to_owned(),
            starts: starts.len(),
            ms: median(starts.iter().map(|start| start.ms)),
            steps: parts(&steps),
            between_ms: median(starts.iter().map(Start::between_ms)),
        }
    }

    pub(crate) fn text(&self) -> String {
        let mut out = format!("{}: {:.2} ms, median of {} starts\n\n", self.what, self.ms, self.starts);
        // Writing to a String does not fail.
        let _ = writeln!(out, "{:>10}{:>8}", "ms", "%");
        self.steps.iter().for_each(|step| step.write(&mut out, self.ms, 0));
        let _ = writeln!(out, "{}  between these", columns(self.between_ms, self.ms));
        out
    }
}

impl Part {
    fn write(&self, out: &mut String, whole_ms: f64, depth: usize) {
        if self.ms < SHOWN_MS_MIN {
            return;
        }
        let container = self.container.iter().map(|name| format!(" {name}")).collect::<String>();
        let times = if self.times > 1.0 { format!(" {}x", self.times) } else { String::new() };
        let indent = 2 + 2 * depth;
        let _ = writeln!(out, "{}{:indent$}{}{container}{times}", columns(self.ms, whole_ms), "", self.name);
        self.steps.iter().for_each(|step| step.write(out, whole_ms, depth + 1));
    }
}

fn columns(ms: f64, whole_ms: f64) -> String {
    let percent = if whole_ms > 0.0 { ms * 100.0 / whole_ms } else { 0.0 };
    format!("{ms:>10.2}{percent:>8.1}")
}

/// Of the same step of each start, what it is made of.
fn parts(starts: &[Vec<&Step>]) -> Vec<Part> {
    let mut found: Vec<(&str, Option<&str>)> = Vec::new();
    for step in starts.iter().flatten() {
        if !found.contains(&key(step)) {
            found.push(key(step));
        }
    }
    let mut parts: Vec<(f64, Part)> = found.into_iter().map(|of| part(of, starts)).collect();
    parts.sort_by(|(one, _), (other, _)| one.total_cmp(other));
    parts.into_iter().map(|(_, part)| part).collect()
}

/// With when the first of them begins.
fn part(of: (&str, Option<&str>), starts: &[Vec<&Step>]) -> (f64, Part) {
    let own: Vec<Vec<&Step>> =
        starts.iter().map(|steps| steps.iter().copied().filter(|step| key(step) == of).collect()).collect();
    let within: Vec<Vec<&Step>> =
        own.iter().map(|steps| steps.iter().flat_map(|step| &step.steps).collect()).collect();
    let begins = own.iter().filter_map(|steps| steps.iter().map(|step| step.at_ms).reduce(f64::min));
    #[expect(clippy::cast_precision_loss, reason = "some hundreds")]
    let times = own.iter().map(|steps| steps.len() as f64);
    let part = Part {
        name: of.0.to_owned(),
        container: of.1.map(str::to_owned),
        times: median(times),
        ms: median(own.iter().map(|steps| steps.iter().map(|step| step.ms).sum())),
        steps: parts(&within),
    };
    (median(begins), part)
}

fn key(step: &Step) -> (&str, Option<&str>) {
    (&step.step, step.container.as_deref())
}

fn median(samples: impl Iterator<Item = f64>) -> f64 {
    Stats::of(&samples.collect::<Vec<_>>()).median
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::{LEGEND, Profile, Subject, starts, text};
    use crate::report::example;

    const LOG: &str = r#"
{"level":"INFO","message":"not one"}
no JSON
{"type":"start","of":"engine","ms":30.0,"steps":[]}
{"type":"start","of":"pod","pod":"default/a","complete":false,"ms":99.0,"steps":[]}
{"type":"start","of":"pod","pod":"default/b","complete":true,"ms":99.0,"steps":[]}
{"type":"start","of":"pod","pod":"default/a","complete":true,"uid":"1","ms":10.0,"steps":[{"step":"create","at_ms":0.0,"ms":2.0,"steps":[{"step":"write","at_ms":0.5,"ms":0.25},{"step":"write","at_ms":1.0,"ms":0.5}]},{"step":"StartContainer","container":"one","at_ms":4.0,"ms":3.0},{"step":"StartContainer","container":"two","at_ms":7.0,"ms":3.0}]}
{"type":"start","of":"pod","pod":"default/a","complete":true,"uid":"2","ms":20.0,"steps":[{"step":"create","at_ms":0.0,"ms":6.0,"steps":[{"step":"write","at_ms":0.5,"ms":4.0},{"step":"write","at_ms":5.0,"ms":1.0}]},{"step":"tell status","at_ms":5.0,"ms":2.0},{"step":"StartContainer","container":"one","at_ms":8.0,"ms":5.0},{"step":"StartContainer","container":"two","at_ms":15.0,"ms":7.0}]}
{"type":"start","of":"pod","pod":"default/a","complete":true,"uid":"3","ms":12.0,"steps":[{"step":"create","at_ms":0.0,"ms":3.0,"steps":[{"step":"write","at_ms":0.5,"ms":0.5},{"step":"write","at_ms":1.0,"ms":0.5}]},{"step":"tell status","at_ms":3.0,"ms":1.0},{"step":"turn","at_ms":3.0,"ms":0.001},{"step":"StartContainer","container":"one","at_ms":5.0,"ms":3.5},{"step":"StartContainer","container":"two","at_ms":8.5,"ms":3.5}]}
"#;

    #[test]
    fn starts_are_found_among_other_lines() {
        let found = starts(LOG).unwrap();
        assert_eq!(found.len(), 6);
        let of = |subject, pod| found.iter().filter(|start| start.is_of(subject, pod)).count();
        assert_eq!(
            (of(Subject::Engine, ""), of(Subject::Pod, "default/a"), of(Subject::Pod, "a")),
            (1, 3, 0)
        );
        let broken = starts(r#"{"type":"start","of":"pod"}"#).unwrap_err();
        assert!(format!("{broken:#}").contains("missing field"), "{broken:#}");
    }

    #[test]
    fn steps_of_one_name_are_one_line_of_medians() {
        let mut found = starts(LOG).unwrap();
        found.retain(|start| start.is_of(Subject::Pod, "default/a"));
        let profile = Profile::of("apply of pod a", &found);
        expect![[r"
            apply of pod a: 12.00 ms, median of 3 starts

                    ms       %
                  3.00    25.0  create
                  1.00     8.3    write 2x
                  1.00     8.3  tell status
                  3.50    29.2  StartContainer one
                  3.50    29.2  StartContainer two
                  2.00    16.7  between these
        "]]
        .assert_eq(&profile.text());
        assert!(profile.steps.iter().any(|step| step.name == "turn"), "what is not shown is there");
    }

    #[test]
    fn a_file_of_profiles_says_when_and_where() {
        let mut report = example::report();
        assert_eq!(text(&report), None);
        report.profiles.push(Profile::of("run", &[]));
        let text = text(&report).unwrap();
        assert!(text.contains("2026-11-30T20:15:00Z") && text.contains(LEGEND), "{text}");
        assert!(text.ends_with("between these\n") && !text.contains("NaN"), "{text}");
    }
}
