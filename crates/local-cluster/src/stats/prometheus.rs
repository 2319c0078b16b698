//! `metrics/resource`: counters as Prometheus reads them, under a kubelet's names
//! (<https://kubernetes.io/docs/reference/instrumentation/metrics/>).

use std::fmt::Write as _;

use podspec::WallTime;

use super::{ContainerStats, Figures, NodeStats, PodStats, Stats};

const NANOS_PER_MILLI: i64 = 1_000_000;

/// One metric of all that it is about.
struct Metric {
    name: &'static str,
    help: &'static str,
    kind: &'static str,
    lines: Vec<String>,
}

impl Metric {
    fn new(name: &'static str, help: &'static str, kind: &'static str) -> Self {
        Self { name, help, kind, lines: Vec::new() }
    }

    fn add(&mut self, labels: &str, value: Option<String>, at: Option<WallTime>) {
        let Some(value) = value else { return };
        let at = at.map(|at| format!(" {}", at.0 / NANOS_PER_MILLI)).unwrap_or_default();
        self.lines.push(format!("{}{labels} {value}{at}", self.name));
    }

    fn of_figures(&mut self, labels: &str, figures: Option<&Figures>, value: fn(&Figures) -> Option<String>) {
        self.add(labels, figures.and_then(value), figures.map(|figures| figures.at));
    }
}

pub(crate) fn text(stats: &Stats) -> String {
    let mut out = String::new();
    let metrics =
        of_containers(&stats.pods).into_iter().chain(of_pods(&stats.pods)).chain(of_node(&stats.node));
    for metric in metrics.filter(|metric| !metric.lines.is_empty()) {
        let Metric { name, help, kind, lines } = metric;
        // Writing to a String cannot fail.
        let _ = write!(out, "# HELP {name} {help}\n# TYPE {name} {kind}\n{}\n", lines.join("\n"));
    }
    out
}

fn of_containers(pods: &[PodStats]) -> [Metric; 4] {
    let mut cpu =
        Metric::new("container_cpu_usage_seconds_total", "Processor time a container has used.", "counter");
    let mut memory =
        Metric::new("container_memory_working_set_bytes", "The working set of a container.", "gauge");
    let mut swap = Metric::new("container_swap_usage_bytes", "Swap a container uses.", "gauge");
    let mut start = Metric::new("container_start_time_seconds", "When a container was started.", "gauge");
    for (pod, container) in pods.iter().flat_map(|pod| pod.containers.iter().map(move |of| (pod, of))) {
        let labels = labels(pod, Some(container));
        cpu.of_figures(&labels, container.figures.as_ref(), cpu_seconds);
        memory.of_figures(&labels, container.figures.as_ref(), working_set);
        swap.of_figures(&labels, container.figures.as_ref(), swap_bytes);
        start.add(&labels, Some(seconds(container.started.0)), None);
    }
    [cpu, memory, start, swap]
}

fn of_pods(pods: &[PodStats]) -> [Metric; 3] {
    let mut cpu = Metric::new("pod_cpu_usage_seconds_total", "Processor time a pod has used.", "counter");
    let mut memory = Metric::new("pod_memory_working_set_bytes", "The working set of a pod.", "gauge");
    let mut swap = Metric::new("pod_swap_usage_bytes", "Swap a pod uses.", "gauge");
    for pod in pods {
        let labels = labels(pod, None);
        cpu.of_figures(&labels, pod.figures.as_ref(), cpu_seconds);
        memory.of_figures(&labels, pod.figures.as_ref(), working_set);
        swap.of_figures(&labels, pod.figures.as_ref(), swap_bytes);
    }
    [cpu, memory, swap]
}

fn of_node(node: &NodeStats) -> [Metric; 5] {
    let mut cpu = Metric::new("node_cpu_usage_seconds_total", "Processor time the node has used.", "counter");
    let mut memory = Metric::new("node_memory_working_set_bytes", "The working set of the node.", "gauge");
    let mut swap = Metric::new("node_swap_usage_bytes", "Swap the node uses.", "gauge");
    cpu.of_figures("", node.figures.as_ref(), cpu_seconds);
    memory.of_figures("", node.figures.as_ref(), working_set);
    swap.of_figures("", node.figures.as_ref(), swap_bytes);
    let failed = if node.figures.is_some() { "0" } else { "1" };
    let scrape = |name| {
        let mut error = Metric::new(name, "1 when something could not be measured, else 0.", "gauge");
        error.add("", Some(failed.to_owned()), None);
        error
    };
    [cpu, memory, swap, scrape("resource_scrape_error"), scrape("scrape_error")]
}

fn cpu_seconds(figures: &Figures) -> Option<String> {
    figures.usage.cpu_ns.map(|ns| seconds(i64::try_from(ns).unwrap_or(i64::MAX)))
}

fn working_set(figures: &Figures) -> Option<String> {
    figures.usage.working_set_bytes.map(|bytes| bytes.to_string())
}

fn swap_bytes(figures: &Figures) -> Option<String> {
    figures.usage.swap_bytes.map(|bytes| bytes.to_string())
}

/// Exact, where a float would not be.
fn seconds(nanos: i64) -> String {
    let text = format!("{}.{:09}", nanos.div_euclid(1_000_000_000), nanos.rem_euclid(1_000_000_000));
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Names of objects need no escaping.
fn labels(pod: &PodStats, container: Option<&ContainerStats>) -> String {
    let container = container.map(|of| format!("container=\"{}\",", of.name)).unwrap_or_default();
    format!("{{{container}namespace=\"{}\",pod=\"{}\"}}", pod.namespace, pod.name)
}

#[cfg(test)]
mod tests {
    use super::{seconds, text};
    use crate::stats::tests::stats;

    #[test]
    fn every_metric_has_a_kubelets_name() {
        let text = text(&stats());
        for line in [
            "# TYPE container_cpu_usage_seconds_total counter",
            "container_cpu_usage_seconds_total{container=\"main\",namespace=\"default\",pod=\"web\"} 1.5 60000",
            "container_memory_working_set_bytes{container=\"main\",namespace=\"default\",pod=\"web\"} 4 60000",
            "container_start_time_seconds{container=\"side\",namespace=\"default\",pod=\"web\"} 30",
            "pod_cpu_usage_seconds_total{namespace=\"default\",pod=\"web\"} 1.5 60000",
            "pod_memory_working_set_bytes{namespace=\"default\",pod=\"web\"} 4 60000",
            "node_cpu_usage_seconds_total 2 60000",
            "node_memory_working_set_bytes 40 60000",
            "resource_scrape_error 0",
            "scrape_error 0",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
        assert!(!text.contains("cpu_usage_seconds_total{container=\"side\""), "its group is gone");
        assert!(!text.contains("swap"), "nothing counts it");
    }

    #[test]
    fn seconds_are_exact() {
        for (nanos, expected) in
            [(0, "0"), (1, "0.000000001"), (1_500_000_000, "1.5"), (10_000_000_000, "10")]
        {
            assert_eq!(seconds(nanos), expected);
        }
    }
}
