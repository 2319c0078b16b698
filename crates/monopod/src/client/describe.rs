//! `monopod describe`: a pod or a service, and its events, in words.

mod container;
mod service;
mod volume;

use apimachinery::duration::age;
use clap::Args;
use podspec::WallTime;
use podspec::json::{fields, integer, list, text};
use serde_json::Value;

use crate::client::context::{Context, encode, with_query};
use crate::client::discovery::Discovery;
use crate::client::events::age as seen;
use crate::client::failure::{Failure, Result};
use crate::client::target::{Selector, are_known, targets};
use crate::client::{events, print, tabs};

pub(super) const HELP: &str = "\
Examples:
  monopod describe pod web
  monopod describe pods -l app=web
  monopod describe service web
  monopod describe pod we                     every pod whose name begins so

Other kinds: monopod get TYPE NAME -o yaml";

/// A longer annotation has lines of its own.
const ANNOTATION_CHARS_MAX: usize = 140;
/// It says the same as the pod itself.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

#[derive(Debug, Args)]
pub(crate) struct Describe {
    /// pod NAME..., service/NAME..., or pods alone for all
    #[arg(required = true, value_name = "TYPE[/NAME]")]
    arguments: Vec<String>,
    #[command(flatten)]
    selector: Selector,
    /// With the events about it
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value_t = true, action = clap::ArgAction::Set)]
    show_events: bool,
}

pub(super) async fn describe(options: &Describe, context: &Context) -> Result<()> {
    let discovery = Discovery::ask(context, |known| are_known(known, &options.arguments)).await?;
    let mut found: Vec<(What, Value)> = Vec::new();
    for target in targets(&discovery, &options.arguments)? {
        let what = match (target.kind.group.as_str(), target.kind.plural.as_str()) {
            ("", "pods") => What::Pod,
            ("", "services") => What::Service,
            _ => {
                return Err(Failure::refused(format!(
                    "only pods and services are described; `monopod get {} -o yaml` shows all there is",
                    target.kind.qualified()
                )));
            }
        };
        let objects = match &target.name {
            Some(name) => named(context, &target.kind.path(Some(&context.namespace)), name).await?,
            None => {
                let listed = context.get(&options.selector.path(context, target.kind, &[])).await?;
                list(&listed, "items").to_vec()
            }
        };
        found.extend(objects.into_iter().map(|object| (what, object)));
    }
    if found.is_empty() {
        print::note(format_args!("No resources found in {} namespace.", context.namespace));
    }
    for (at, (what, object)) in found.iter().enumerate() {
        let about = if options.show_events { Some(events::of_object(context, object).await?) } else { None };
        let gap = if at > 0 { "\n\n" } else { "" };
        let said = match what {
            What::Pod => describe_pod(object, about.as_deref(), events::now()),
            What::Service => {
                let slices = slices(context, object).await?;
                service::describe(object, &slices, about.as_deref(), events::now())
            }
        };
        print::text(&format!("{gap}{said}"))?;
    }
    Ok(())
}

#[derive(Clone, Copy)]
enum What {
    Pod,
    Service,
}

/// The object of this name, or else those whose names begin with it.
async fn named(context: &Context, all: &str, name: &str) -> Result<Vec<Value>> {
    match context.get(&format!("{all}/{}", encode(name))).await {
        Ok(object) => Ok(vec![object]),
        Err(missing) if missing.is_not_found() => {
            let listed = context.get(&with_query(all, &[])).await?;
            let begins = |object: &&Value| text(&object["metadata"], "name").starts_with(name);
            let found: Vec<Value> = list(&listed, "items").iter().filter(begins).cloned().collect();
            if found.is_empty() { Err(missing) } else { Ok(found) }
        }
        Err(failure) => Err(failure),
    }
}

/// Where a service leads.
async fn slices(context: &Context, service: &Value) -> Result<Vec<Value>> {
    let metadata = &service["metadata"];
    let path = format!("/apis/discovery.k8s.io/v1/namespaces/{}/endpointslices", text(metadata, "namespace"));
    let of_it = format!("kubernetes.io/service-name={}", text(metadata, "name"));
    let listed = context.get(&with_query(&path, &[("labelSelector", &of_it)])).await?;
    Ok(list(&listed, "items").to_vec())
}

/// Lines, whose cells are aligned at the end.
#[derive(Default)]
struct Lines(String);

impl Lines {
    fn line(&mut self, level: usize, line: &str) {
        self.0.push_str(&"  ".repeat(level));
        self.0.push_str(line);
        self.0.push('\n');
    }

    fn field(&mut self, level: usize, name: &str, value: &str) {
        self.line(level, &format!("{name}:\t{value}"));
    }

    /// Unless there is nothing to say.
    fn some(&mut self, level: usize, name: &str, value: &str) {
        if !value.is_empty() {
            self.field(level, name, value);
        }
    }

    /// Values below one another.
    fn column(&mut self, name: &str, values: impl IntoIterator<Item = String>) {
        let mut name = format!("{name}:");
        let mut is_empty = true;
        for value in values {
            self.line(0, &format!("{}\t{value}", std::mem::take(&mut name)));
            is_empty = false;
        }
        if is_empty {
            self.line(0, &format!("{name}\t<none>"));
        }
    }
}

fn describe_pod(pod: &Value, events: Option<&[Value]>, now: WallTime) -> String {
    let mut out = Lines::default();
    let (spec, status) = (&pod["spec"], &pod["status"]);
    head(&mut out, pod, now);
    for (field, statuses, title) in [
        ("initContainers", "initContainerStatuses", "Init Containers"),
        ("containers", "containerStatuses", "Containers"),
        ("ephemeralContainers", "ephemeralContainerStatuses", "Ephemeral Containers"),
    ] {
        let containers = list(spec, field);
        if !containers.is_empty() {
            out.line(0, &format!("{title}:"));
        }
        for container in containers {
            let of_it = |status: &&Value| status["name"] == container["name"];
            container::describe(&mut out, pod, container, list(status, statuses).iter().find(of_it));
        }
    }
    conditions(&mut out, spec, status);
    volume::describe(&mut out, list(spec, "volumes"));
    out.field(0, "QoS Class", text(status, "qosClass"));
    out.column("Node-Selectors", pairs(&spec["nodeSelector"]));
    out.column("Tolerations", tolerations(spec));
    let spread = list(spec, "topologySpreadConstraints");
    if !spread.is_empty() {
        out.column("Topology Spread Constraints", spread.iter().map(spread_text));
    }
    if let Some(events) = events {
        events_table(&mut out, events, now);
    }
    tabs::align(&out.0)
}

fn head(out: &mut Lines, pod: &Value, now: WallTime) {
    let (metadata, spec, status) = (&pod["metadata"], &pod["spec"], &pod["status"]);
    out.field(0, "Name", text(metadata, "name"));
    out.field(0, "Namespace", text(metadata, "namespace"));
    if let Some(priority) = integer(spec, "priority") {
        out.field(0, "Priority", &priority.to_string());
    }
    out.some(0, "Priority Class Name", text(spec, "priorityClassName"));
    out.some(0, "Runtime Class Name", text(spec, "runtimeClassName"));
    out.some(0, "Service Account", text(spec, "serviceAccountName"));
    let node = match text(spec, "nodeName") {
        "" => "<none>".to_owned(),
        node => format!("{node}/{}", text(status, "hostIP")),
    };
    out.field(0, "Node", &node);
    out.some(0, "Start Time", &time(status, "startTime"));
    out.column("Labels", pairs(&metadata["labels"]));
    annotations(out, &metadata["annotations"]);
    let phase = text(status, "phase");
    let deleted = WallTime::parse(text(metadata, "deletionTimestamp").as_bytes());
    match deleted.filter(|_| !matches!(phase, "Failed" | "Succeeded")) {
        Some(deleted) => {
            // It is set ahead, to when the grace ends.
            let lasts = age(Some(deleted.min(now)), now);
            out.field(0, "Status", &format!("Terminating (lasts {lasts})"));
            let grace = integer(metadata, "deletionGracePeriodSeconds").unwrap_or_default();
            out.field(0, "Termination Grace Period", &format!("{grace}s"));
        }
        None => out.field(0, "Status", phase),
    }
    out.some(0, "Reason", text(status, "reason"));
    out.some(0, "Message", text(status, "message"));
    seccomp(out, 0, &spec["securityContext"]["seccompProfile"]);
    out.field(0, "IP", text(status, "podIP"));
    let addresses = list(status, "podIPs");
    if addresses.is_empty() {
        out.field(0, "IPs", "<none>");
    } else {
        out.line(0, "IPs:");
        addresses.iter().for_each(|address| out.field(1, "IP", text(address, "ip")));
    }
    let controls = |owner: &&Value| owner["controller"] == true;
    if let Some(owner) = list(metadata, "ownerReferences").iter().find(controls) {
        out.field(0, "Controlled By", &format!("{}/{}", text(owner, "kind"), text(owner, "name")));
    }
    out.some(0, "NominatedNodeName", text(status, "nominatedNodeName"));
    if !fields(&spec["resources"]).is_empty() {
        out.line(0, "Resources:");
        container::resources(out, 1, &spec["resources"]);
    }
}

fn seccomp(out: &mut Lines, level: usize, profile: &Value) {
    out.some(level, "SeccompProfile", text(profile, "type"));
    out.some(level, "LocalhostProfile", text(profile, "localhostProfile"));
}

fn annotations(out: &mut Lines, annotations: &Value) {
    let shown = fields(annotations).iter().filter(|(key, _)| *key != LAST_APPLIED);
    out.column(
        "Annotations",
        shown.flat_map(|(key, value)| {
            let value = value.as_str().unwrap_or_default().trim_end_matches('\n');
            if key.len() + value.len() + 2 <= ANNOTATION_CHARS_MAX && !value.contains('\n') {
                return vec![format!("{key}: {value}")];
            }
            let lines = value.lines().map(|line| match line.char_indices().nth(ANNOTATION_CHARS_MAX) {
                Some((end, _)) => format!("  {}...", &line[..end]),
                None => format!("  {line}"),
            });
            [format!("{key}:")].into_iter().chain(lines).collect()
        }),
    );
}

fn conditions(out: &mut Lines, spec: &Value, status: &Value) {
    let conditions = list(status, "conditions");
    let gates = list(spec, "readinessGates");
    if !gates.is_empty() {
        out.line(0, "Readiness Gates:");
        out.line(1, "Type\tStatus");
        for gate in gates {
            let found = conditions.iter().find(|condition| condition["type"] == gate["conditionType"]);
            let status = found.map_or("<none>", |condition| text(condition, "status"));
            out.line(1, &format!("{} \t{status}", text(gate, "conditionType")));
        }
    }
    if !conditions.is_empty() {
        out.line(0, "Conditions:");
        out.line(1, "Type\tStatus");
        for condition in conditions {
            out.line(1, &format!("{} \t{}", text(condition, "type"), text(condition, "status")));
        }
    }
}

fn pairs(map: &Value) -> Vec<String> {
    fields(map).iter().map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default())).collect()
}

fn tolerations(spec: &Value) -> Vec<String> {
    let mut tolerations = list(spec, "tolerations").to_vec();
    tolerations.sort_by_cached_key(|toleration| text(toleration, "key").to_owned());
    let shown = |toleration: &Value| {
        let mut out = text(toleration, "key").to_owned();
        match (text(toleration, "value"), text(toleration, "effect")) {
            ("", "") => {}
            ("", effect) => out.push_str(&format!(":{effect}")),
            (value, "") => out.push_str(&format!("={value}")),
            (value, effect) => out.push_str(&format!("={value}:{effect}")),
        }
        if text(toleration, "operator") == "Exists" {
            let gap = if out.is_empty() { "" } else { " " };
            out.push_str(&format!("{gap}op=Exists"));
        }
        if let Some(seconds) = integer(toleration, "tolerationSeconds") {
            out.push_str(&format!(" for {seconds}s"));
        }
        out
    };
    tolerations.iter().map(shown).collect()
}

fn spread_text(constraint: &Value) -> String {
    format!(
        "{}:{} when max skew {} is exceeded",
        text(constraint, "topologyKey"),
        text(constraint, "whenUnsatisfiable"),
        integer(constraint, "maxSkew").unwrap_or_default()
    )
}

fn events_table(out: &mut Lines, events: &[Value], now: WallTime) {
    if events.is_empty() {
        return out.field(0, "Events", "<none>");
    }
    out.line(0, "Events:");
    out.line(1, "Type\tReason\tAge\tFrom\tMessage");
    out.line(1, "----\t------\t----\t----\t-------");
    for event in events {
        let from = match text(&event["source"], "component") {
            "" => text(event, "reportingComponent"),
            component => component,
        };
        let about = text(&event["involvedObject"], "fieldPath");
        let about = if about.is_empty() { String::new() } else { format!("{about}: ") };
        let message = text(event, "message").trim().replace('\n', " ");
        let (kind, reason) = (text(event, "type"), text(event, "reason"));
        out.line(1, &format!("{kind}\t{reason}\t{}\t{from}\t{about}{message}", seen(event, now)));
    }
}

/// As mail has it: `Mon, 01 Jan 2024 00:00:00 +0000`.
fn time(value: &Value, field: &str) -> String {
    const DAY_NANOS: i64 = 24 * 60 * 60 * 1_000_000_000;
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let Some(time) = WallTime::parse(text(value, field).as_bytes()) else { return String::new() };
    let day = time.0.div_euclid(DAY_NANOS).rem_euclid(7);
    let stamp = time.rfc3339_seconds();
    let month = stamp[5..7].parse::<usize>().unwrap_or(1).clamp(1, 12);
    let weekday = DAYS[usize::try_from(day).unwrap_or_default()];
    format!("{weekday}, {} {} {} {} +0000", &stamp[8..10], MONTHS[month - 1], &stamp[..4], &stamp[11..19])
}

#[cfg(test)]
mod tests {
    use podspec::WallTime;
    use serde_json::{Value, json};

    use super::{describe_pod, time};

    #[test]
    fn times() {
        assert_eq!(time(&json!({"t": "1970-01-01T00:00:00Z"}), "t"), "Thu, 01 Jan 1970 00:00:00 +0000");
        assert_eq!(time(&json!({"t": "2024-02-29T23:59:58Z"}), "t"), "Thu, 29 Feb 2024 23:59:58 +0000");
        assert_eq!(time(&json!({"t": "2026-11-29T09:00:00Z"}), "t"), "Sun, 29 Nov 2026 09:00:00 +0000");
        assert_eq!(time(&json!({}), "t"), "");
    }

    /// The text was written by hand from what kubectl prints.
    #[test]
    fn everything_of_a_pod_is_said() {
        let pod: Value = serde_json::from_str(include_str!("describe/pod.json")).unwrap();
        let events = [json!({
            "type": "Warning", "reason": "BackOff", "message": "Back-off\n", "count": 3,
            "firstTimestamp": "2024-01-01T00:00:00Z", "lastTimestamp": "2024-01-01T00:09:00Z",
            "source": {"component": "kubelet"}, "involvedObject": {"fieldPath": "spec.containers{main}"},
        })];
        let now = WallTime::parse(b"2024-01-01T00:10:00Z").unwrap();
        let text = describe_pod(&pod, Some(&events), now);
        let trimmed: Vec<&str> = text.lines().map(str::trim_end).collect();
        let golden: Vec<&str> = include_str!("describe/pod.txt").lines().collect();
        assert_eq!(trimmed.join("\n"), golden.join("\n"));
        assert!(describe_pod(&json!({}), Some(&[]), now).contains("Events:"));
    }
}
