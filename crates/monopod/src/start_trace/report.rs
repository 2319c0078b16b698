//! Where the time of one start went, for people and as JSON.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::step::{Step, between_ns};

/// What has not taken a twentieth of a millisecond would be shown as 0.0.
const SHOWN_NS_MIN: i64 = 50_000;
/// Where the parts of a step are broken into lines.
const LINE_COLUMNS: usize = 110;
/// Before what a step is made of.
const INDENT: usize = 19;

/// The start of an engine or of a pod.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) subject: Subject,
    pub(super) began_ns: i64,
    pub(super) ended_ns: i64,
    /// In the order in which they began.
    pub(super) steps: Vec<Step>,
}

#[derive(Debug)]
pub(super) enum Subject {
    Engine,
    /// `complete`: every container has run.
    Pod {
        uid: String,
        name: String,
        complete: bool,
    },
}

impl Report {
    /// Several lines, without the last one's end.
    pub(super) fn text(&self) -> String {
        let whole = milliseconds(self.ended_ns - self.began_ns);
        let mut text = match &self.subject {
            Subject::Engine => format!("start of the engine: {whole} ms"),
            Subject::Pod { name, complete: true, .. } => {
                format!("start of pod {name}: {whole} ms from its creation until its last container ran")
            }
            Subject::Pod { name, complete: false, .. } => {
                format!("start of pod {name}: {whole} ms, and not all of its containers have run")
            }
        };
        text.push_str("\n    at ms     took");
        for step in &self.steps {
            let at = milliseconds(step.began_ns - self.began_ns);
            let _ = write!(text, "\n{at:>9}{:>9}  {}", milliseconds(step.took_ns()), step.name);
            if let Some(of) = &step.of {
                let _ = write!(text, " {of}");
            }
            for line in broken(&parts(&step.steps)) {
                let _ = write!(text, "\n{:INDENT$}   {line}", "");
            }
        }
        let between = between_ns(&self.steps, self.began_ns, self.ended_ns);
        let _ = write!(text, "\n{:>18}  between these", milliseconds(between));
        text
    }

    /// One line, without its end.
    pub(super) fn json(&self) -> String {
        let mut report = json!({
            "type": "start",
            "ms": in_milliseconds(self.ended_ns - self.began_ns),
            "steps": self.steps_json(&self.steps),
        });
        match &self.subject {
            Subject::Engine => report["of"] = "engine".into(),
            Subject::Pod { uid, name, complete } => {
                report["of"] = "pod".into();
                report["uid"] = uid.as_str().into();
                report["pod"] = name.as_str().into();
                report["complete"] = (*complete).into();
            }
        }
        report.to_string()
    }

    fn steps_json(&self, steps: &[Step]) -> Value {
        let one = |step: &Step| {
            let mut value = json!({
                "step": step.name,
                "at_ms": in_milliseconds(step.began_ns - self.began_ns),
                "ms": in_milliseconds(step.took_ns()),
            });
            if let Some(of) = &step.of {
                value["container"] = of.as_str().into();
            }
            if !step.steps.is_empty() {
                value["steps"] = self.steps_json(&step.steps);
            }
            value
        };
        steps.iter().map(one).collect()
    }
}

/// Each with what it took, those of one name together, and what they are made of in parentheses.
fn parts(steps: &[Step]) -> Vec<String> {
    let mut names: Vec<&str> = Vec::new();
    for step in steps {
        if !names.contains(&step.name.as_str()) {
            names.push(&step.name);
        }
    }
    let mut parts = Vec::new();
    for name in names {
        let of_name: Vec<&Step> = steps.iter().filter(|step| step.name == name).collect();
        let took: i64 = of_name.iter().map(|step| step.took_ns()).sum();
        if took < SHOWN_NS_MIN {
            continue;
        }
        let times = if of_name.len() > 1 { format!(" {}x", of_name.len()) } else { String::new() };
        let within: Vec<Step> = of_name.iter().flat_map(|step| step.steps.iter().cloned()).collect();
        let within = parts_of(&within);
        parts.push(format!("{name}{times} {}{within}", milliseconds(took)));
    }
    parts
}

fn parts_of(steps: &[Step]) -> String {
    let parts = parts(steps);
    if parts.is_empty() { String::new() } else { format!(" ({})", parts.join(", ")) }
}

fn broken(parts: &[String]) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for part in parts {
        match lines.last_mut() {
            Some(line) if line.len() + 2 + part.len() <= LINE_COLUMNS - INDENT => {
                let _ = write!(line, ", {part}");
            }
            Some(line) => {
                line.push(',');
                lines.push(part.clone());
            }
            None => lines.push(part.clone()),
        }
    }
    lines
}

/// With one place: what is less is not the same twice.
fn milliseconds(nanoseconds: i64) -> String {
    format!("{:.1}", in_milliseconds(nanoseconds))
}

/// In whole microseconds.
#[expect(clippy::cast_precision_loss, reason = "a start of a hundred days is no start")]
fn in_milliseconds(nanoseconds: i64) -> f64 {
    (nanoseconds / 1_000) as f64 / 1_000.0
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::{Report, Step, Subject};

    const MS: i64 = 1_000_000;

    fn step(name: &str, of: Option<&str>, began: i64, took: i64, steps: Vec<Step>) -> Step {
        let (began_ns, ended_ns) = (began, began + took);
        Step { name: name.to_owned(), of: of.map(str::to_owned), began_ns, ended_ns, steps }
    }

    fn pod(complete: bool) -> Report {
        let write = step("write", None, 6 * MS, 400_000, vec![step("change", None, 6 * MS, 300_000, vec![])]);
        let again = step("write", None, 7 * MS, 100_000, vec![]);
        let shims = (0..9).map(|n| step(&format!("a step {n}"), None, 9 * MS, (n + 4) * 10_000, vec![]));
        Report {
            subject: Subject::Pod { uid: "17".to_owned(), name: "default/web".to_owned(), complete },
            began_ns: 5 * MS,
            ended_ns: 17 * MS,
            steps: vec![
                step("create", None, 5 * MS, 2 * MS, vec![write, again]),
                step("CreateSandbox", None, 8 * MS, 4 * MS + 123_456, shims.collect()),
                step("StartContainer", Some("app"), 13 * MS, 4 * MS, vec![]),
            ],
        }
    }

    #[test]
    fn a_start_for_people() {
        expect![[r"
            start of pod default/web: 12.0 ms from its creation until its last container ran
                at ms     took
                  0.0      2.0  create
                                  write 2x 0.5 (change 0.3)
                  3.0      4.1  CreateSandbox
                                  a step 1 0.1, a step 2 0.1, a step 3 0.1, a step 4 0.1, a step 5 0.1, a step 6 0.1,
                                  a step 7 0.1, a step 8 0.1
                  8.0      4.0  StartContainer app
                           1.9  between these"]]
        .assert_eq(&pod(true).text());
    }

    #[test]
    fn one_that_did_not_come_to_its_end_says_so() {
        let text = pod(false).text();
        let first = text.lines().next().unwrap();
        assert_eq!(first, "start of pod default/web: 12.0 ms, and not all of its containers have run");
    }

    #[test]
    fn a_start_for_machines() {
        let mut report = pod(true);
        report.steps.truncate(1);
        expect![[r#"{"complete":true,"ms":12.0,"of":"pod","pod":"default/web","steps":[{"at_ms":0.0,"ms":2.0,"step":"create","steps":[{"at_ms":1.0,"ms":0.4,"step":"write","steps":[{"at_ms":1.0,"ms":0.3,"step":"change"}]},{"at_ms":2.0,"ms":0.1,"step":"write"}]}],"type":"start","uid":"17"}"#]]
        .assert_eq(&report.json());
    }

    #[test]
    fn the_engine_has_a_start_too() {
        let report = Report {
            subject: Subject::Engine,
            began_ns: 0,
            ended_ns: 26 * MS,
            steps: vec![step("open the store", None, MS, 2 * MS, vec![])],
        };
        expect![[r"
            start of the engine: 26.0 ms
                at ms     took
                  1.0      2.0  open the store
                          24.0  between these"]]
        .assert_eq(&report.text());
        expect![[r#"{"ms":26.0,"of":"engine","steps":[{"at_ms":1.0,"ms":2.0,"step":"open the store"}],"type":"start"}"#]]
            .assert_eq(&report.json());
    }
}
