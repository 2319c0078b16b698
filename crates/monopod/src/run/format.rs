//! How a line of `run` looks: for people, aligned and in colour; for machines, one JSON object.
//!
//! The JSON lines (`-o json`) are a contract. Each has `type` and `time` (RFC 3339, UTC):
//!
//! | type | further fields |
//! |---|---|
//! | `step` | `namespace`, `pod`, `container` (absent for the pod as a whole), `step`, `text` |
//! | `log` | `namespace`, `pod`, `container`, `attempt`, `stream` (`stdout`, `stderr`), `line` |
//! | `event` | `namespace`, `pod`, `fieldPath` (absent for the pod), `eventType`, `reason`, `message` |
//! | `summary` | `namespace`, `pod`, `phase`, `reason`, `message`, `containers` (see [`super::summary`]) |
//!
//! Fields may be added; none changes its meaning.

use std::fmt::Write as _;
use std::io::Write as _;

use kubelet::events::{Event, EventType};
use podspec::{ContainerName, Pod, WallTime};
use ports::PullProgress;
use serde_json::{Map, Value, json};

use super::bars::Bar;
use super::steps::{SHOWN_BY_BARS, Step, Tone};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Style {
    Text { color: bool, timestamps: bool },
    Json,
}

/// One line a container wrote, without its newline.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct LogLine<'a> {
    pub(crate) at: WallTime,
    pub(crate) container: &'a ContainerName,
    pub(crate) attempt: u32,
    pub(crate) stderr: bool,
    pub(crate) text: &'a [u8],
}

/// Looks of all pods of one run: the column of names is as wide as the longest.
#[derive(Clone, Debug)]
pub(crate) struct Format {
    style: Style,
    /// Lines say whose pod they are.
    several_pods: bool,
    pod_names: PodNames,
    width: usize,
    /// By pod and container, in the order of the manifests: neighbours differ in colour.
    labels: Vec<String>,
}

const RESET: &str = "\x1b[0m";
const DIM: &str = "\x1b[2m";
const GOOD: &str = "\x1b[32m";
const BAD: &str = "\x1b[31m";
/// Cyan, yellow, magenta, blue and their bright forms: green and red say good and bad.
const PALETTE: [&str; 8] =
    ["\x1b[36m", "\x1b[33m", "\x1b[35m", "\x1b[34m", "\x1b[96m", "\x1b[93m", "\x1b[95m", "\x1b[94m"];

impl Format {
    pub(crate) fn new<'a>(style: Style, pods: impl IntoIterator<Item = &'a Pod>) -> Self {
        let pods: Vec<&Pod> = pods.into_iter().collect();
        let several_pods = pods.len() > 1;
        let pod_names = PodNames::of(pods.iter().copied());
        let mut format = Self { style, several_pods, pod_names, width: 0, labels: Vec::new() };
        for pod in pods {
            format.labels.push(format.label(pod, None));
            for container in pod.spec.all_containers() {
                format.labels.push(format.label(pod, Some(&container.name)));
            }
        }
        format.width = format.labels.iter().map(String::len).max().unwrap_or(0);
        format
    }

    pub(crate) fn style(&self) -> Style {
        self.style
    }

    /// Machines get every step, people none that only says the last one again, nor what a bar shows.
    pub(crate) fn shows(&self, step: &Step, bars: bool) -> bool {
        self.style == Style::Json || !(step.repeats || bars && SHOWN_BY_BARS.contains(&step.step))
    }

    pub(crate) fn bar(&self, pod: &Pod, container: &ContainerName, progress: &PullProgress) -> Bar {
        let prefix = self.name(pod, Some(container), '*');
        let label = self.label(pod, Some(container)).chars().count();
        let prefix_columns = label.max(self.width) + " * ".len();
        Bar { prefix, prefix_columns, progress: progress.clone() }
    }

    pub(crate) fn step(&self, pod: &Pod, step: &Step) -> Vec<u8> {
        let Style::Text { color, .. } = self.style else {
            return json_line("step", step.at.wall, pod, step.container.as_ref(), |out| {
                out.insert("step".into(), json!(step.step));
                out.insert("text".into(), json!(step.text));
            });
        };
        let mut line = self.prefix(step.at.wall, pod, step.container.as_ref(), '*');
        let tint = match step.tone {
            Tone::Plain => DIM,
            Tone::Good => GOOD,
            Tone::Bad => BAD,
        };
        let text = on_one_line(&step.text);
        if color {
            let _ = write!(line, "{tint}{text}{RESET}");
        } else {
            line.push_str(&text);
        }
        line.push('\n');
        line.into_bytes()
    }

    /// What all lines of a container begin with, after the time: for [`Self::log`].
    pub(crate) fn log_prefix(&self, pod: &Pod, container: &ContainerName) -> String {
        self.name(pod, Some(container), '|')
    }

    /// Appends a line. Containers may write millions of them a second, so nothing is made anew for each.
    pub(crate) fn log(&self, pod: &Pod, prefix: &str, log: LogLine<'_>, out: &mut Vec<u8>) {
        let Style::Text { timestamps, .. } = self.style else {
            let line = json_line("log", log.at, pod, Some(log.container), |out| {
                out.insert("attempt".into(), json!(log.attempt));
                out.insert("stream".into(), json!(if log.stderr { "stderr" } else { "stdout" }));
                out.insert("line".into(), json!(String::from_utf8_lossy(log.text)));
            });
            return out.extend_from_slice(&line);
        };
        if timestamps {
            // A vector takes everything.
            let _ = write!(out, "{} ", log.at);
        }
        out.extend_from_slice(prefix.as_bytes());
        out.extend_from_slice(log.text);
        out.push(b'\n');
    }

    /// Events are for machines: people see the steps.
    pub(crate) fn event(&self, pod: &Pod, event: &Event) -> Option<Vec<u8>> {
        if self.style != Style::Json {
            return None;
        }
        Some(json_line("event", event.at.wall, pod, None, |out| {
            if let Some(path) = &event.field_path {
                out.insert("fieldPath".into(), json!(path));
            }
            let kind = match event.kind {
                EventType::Normal => "Normal",
                EventType::Warning => "Warning",
            };
            out.insert("eventType".into(), json!(kind));
            out.insert("reason".into(), json!(event.reason));
            out.insert("message".into(), json!(event.message));
        }))
    }

    /// `TIME NAME | `, padded to the common width.
    fn prefix(&self, at: WallTime, pod: &Pod, container: Option<&ContainerName>, separator: char) -> String {
        let name = self.name(pod, container, separator);
        match self.style {
            Style::Text { timestamps: true, .. } => format!("{at} {name}"),
            _ => name,
        }
    }

    /// `NAME | `, padded to the common width.
    fn name(&self, pod: &Pod, container: Option<&ContainerName>, separator: char) -> String {
        let Style::Text { color, .. } = self.style else { return String::new() };
        let label = self.label(pod, container);
        let width = self.width;
        if color {
            let index = self.labels.iter().position(|held| *held == label).unwrap_or(0);
            let tint = PALETTE[index % PALETTE.len()];
            format!("{tint}{label:width$} {separator}{RESET} ")
        } else {
            format!("{label:width$} {separator} ")
        }
    }

    fn label(&self, pod: &Pod, container: Option<&ContainerName>) -> String {
        match container {
            Some(container) if self.several_pods => format!("{}/{container}", self.pod_names.name(pod)),
            Some(container) => container.to_string(),
            None => self.pod_names.name(pod),
        }
    }
}

/// What tells the pods of a run apart: their names, and their namespaces where those differ.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum PodNames {
    Bare,
    WithNamespace,
}

impl PodNames {
    pub(crate) fn of<'a>(pods: impl IntoIterator<Item = &'a Pod>) -> Self {
        let mut namespaces = pods.into_iter().map(|pod| &pod.namespace);
        let first = namespaces.next();
        if namespaces.all(|namespace| Some(namespace) == first) { Self::Bare } else { Self::WithNamespace }
    }

    pub(crate) fn name(self, pod: &Pod) -> String {
        match self {
            Self::Bare => pod.name.clone(),
            Self::WithNamespace => format!("{}/{}", pod.namespace, pod.name),
        }
    }
}

/// A message may be a container's: it has no say over the terminal, and may have several lines.
fn on_one_line(text: &str) -> String {
    let text = text.replace('\n', "; ");
    text.chars().map(|c| if c.is_control() && c != '\t' { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// One JSON object with what all have in common.
pub(crate) fn json_line(
    kind: &str,
    at: WallTime,
    pod: &Pod,
    container: Option<&ContainerName>,
    more: impl FnOnce(&mut Map<String, Value>),
) -> Vec<u8> {
    let mut out = Map::new();
    out.insert("type".into(), json!(kind));
    out.insert("time".into(), json!(at.to_string()));
    out.insert("namespace".into(), json!(pod.namespace));
    out.insert("pod".into(), json!(pod.name));
    if let Some(container) = container {
        out.insert("container".into(), json!(container.as_str()));
    }
    more(&mut out);
    let mut line = Value::Object(out).to_string().into_bytes();
    line.push(b'\n');
    line
}

#[cfg(test)]
mod tests {
    use super::on_one_line;

    #[test]
    fn a_containers_message_has_no_say_over_the_terminal() {
        assert_eq!(on_one_line("a\nb\tc"), "a; b\tc");
        assert_eq!(on_one_line("x\x1b[2J\ry\0\u{9b}1m"), "x\u{fffd}[2J\u{fffd}y\u{fffd}\u{fffd}1m");
    }
}
