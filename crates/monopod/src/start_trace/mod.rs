//! `--trace-start`: where the time of starts goes, the engine's and each pod's. What makes up a start are spans whose target is
//! `start`, wherever they are; without the flag nobody collects them, and none is made.

mod collect;
mod report;
mod step;

use std::time::Duration;

use kubelet::{PodView, Subscription};
use lifecycle::ContainerState;
use linux_sys::clock;
use tracing::Span;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::registry::LookupSpan;

use crate::cli::LogFormat;
use crate::outcome;
use collect::{Collector, OfPod};
use report::{Report, Subject};
use step::Step;

/// Of the spans of starts.
pub(crate) const TARGET: &str = "start";
/// A pod that has not run all its containers by then is told of as it is: one of its init containers may take as long as it likes.
const START_MAX: Duration = Duration::from_secs(600);
const START_CONTAINER: &str = "StartContainer";

/// Clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct StartTrace {
    collector: Collector,
    format: LogFormat,
    /// When the program began.
    began_ns: i64,
}

/// A part of the engine's own start.
pub(crate) fn step(step: &str) -> Span {
    tracing::trace_span!(target: TARGET, parent: None, "step", engine = true, step)
}

impl StartTrace {
    pub(crate) fn new(format: LogFormat, began_ns: i64) -> Self {
        Self { collector: Collector::new(), format, began_ns }
    }

    /// What collects, as a part of the log.
    pub(crate) fn layer<S>(&self) -> impl Layer<S> + use<S>
    where
        S: tracing::Subscriber + for<'a> LookupSpan<'a>,
    {
        self.collector.clone().with_filter(Targets::new().with_target(TARGET, LevelFilter::TRACE))
    }

    /// The engine is there, and has begun the pods it knew.
    pub(crate) fn tell_engine(&self) {
        let Some(steps) = self.collector.take_engine() else { return };
        let ended_ns = clock::boot_ns();
        self.tell(&Report { subject: Subject::Engine, began_ns: self.began_ns, ended_ns, steps });
    }

    /// Tells of the pod when all its containers have run. Within a tokio runtime.
    pub(crate) fn follow(&self, subscription: Subscription) {
        let trace = self.clone();
        let Subscription { pod, mut view, .. } = subscription;
        tokio::spawn(async move {
            let is_over = |view: &PodView| view.at_rest || have_run(view);
            let over = view.wait_for(|view| view.as_ref().is_some_and(is_over));
            // Without a worker nothing more becomes of it, and it has been told of.
            let _ = tokio::time::timeout(START_MAX, over).await;
            let complete = view.borrow().as_ref().is_some_and(have_run);
            trace.tell_pod(pod.pod.uid.as_str(), complete);
        });
    }

    /// Tells of the pods that have not come to it.
    pub(crate) fn tell_rest(&self) {
        for uid in self.collector.pods() {
            self.tell_pod(&uid, false);
        }
    }

    fn tell_pod(&self, uid: &str, complete: bool) {
        let Some(OfPod { name, steps }) = self.collector.take_pod(uid) else { return };
        if let Some(report) = report_of(uid, name, steps, complete) {
            self.tell(&report);
        }
    }

    fn tell(&self, report: &Report) {
        match self.format {
            LogFormat::Text => outcome::say(format_args!("{}", report.text())),
            LogFormat::Json => outcome::say(format_args!("{}", report.json())),
        }
    }
}

/// From the creation to the end of the last start of a container, with what had begun by then.
fn report_of(uid: &str, name: String, mut steps: Vec<Step>, complete: bool) -> Option<Report> {
    steps.sort_by_key(|step| step.began_ns);
    let began_ns = steps.first()?.began_ns;
    let starts = steps.iter().filter(|step| step.name == START_CONTAINER);
    let last = starts.map(|step| step.ended_ns).max().filter(|_| complete);
    let ended_ns = last.or_else(|| steps.iter().map(|step| step.ended_ns).max())?;
    steps.retain(|step| step.began_ns < ended_ns);
    Some(Report { subject: Subject::Pod { uid: uid.to_owned(), name, complete }, began_ns, ended_ns, steps })
}

/// Every container runs or has run.
fn have_run(view: &PodView) -> bool {
    let mut containers = view.status.init_containers.iter().chain(&view.status.containers);
    containers.all(|container| {
        !matches!(container.state, ContainerState::Waiting { .. }) || container.last_state.is_some()
    })
}

#[cfg(test)]
mod tests {
    use super::step::Step;
    use super::{START_CONTAINER, report_of};

    fn step(name: &str, began_ns: i64, ended_ns: i64) -> Step {
        Step { name: name.to_owned(), of: None, began_ns, ended_ns, steps: Vec::new() }
    }

    #[test]
    fn a_start_ends_with_the_last_container() {
        let steps = vec![
            step(START_CONTAINER, 5, 9),
            step("create", 1, 3),
            step("tell status", 8, 12),
            step("turn", 9, 10),
        ];
        let report = report_of("1", "default/web".to_owned(), steps.clone(), true).unwrap();
        assert_eq!((report.began_ns, report.ended_ns), (1, 9));
        let names: Vec<&str> = report.steps.iter().map(|step| step.name.as_str()).collect();
        assert_eq!(names, ["create", START_CONTAINER, "tell status"]);
        let report = report_of("1", "default/web".to_owned(), steps, false).unwrap();
        assert_eq!((report.ended_ns, report.steps.len()), (12, 4));
        assert!(report_of("1", String::new(), Vec::new(), true).is_none());
    }
}
