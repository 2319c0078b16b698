//! Collects the spans of starts, those whose target is `start`: a layer of the log that writes nothing.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use linux_sys::clock;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use super::step::Step;

/// Pods that are created and have not been started; beyond that the oldest is forgotten.
const PODS_MAX: usize = 4_096;
/// Steps that are kept of one pod, of the engine, or within one step.
const STEPS_MAX: usize = 512;

/// Clones are the same.
#[derive(Clone, Debug)]
pub(super) struct Collector(Arc<Mutex<Collected>>);

#[derive(Debug)]
struct Collected {
    /// `None` once they have been taken.
    engine: Option<Vec<Step>>,
    pods: BTreeMap<String, OfPod>,
}

/// What was done of the start of one pod.
#[derive(Debug)]
pub(super) struct OfPod {
    /// With its namespace.
    pub(super) name: String,
    /// In the order of their ends.
    pub(super) steps: Vec<Step>,
}

/// A span that has not ended.
#[derive(Debug)]
struct Open {
    fields: Fields,
    began_ns: i64,
    steps: Vec<Step>,
}

#[derive(Debug, Default)]
struct Fields {
    /// The uid; only of a span that is in no other.
    pod: Option<String>,
    name: Option<String>,
    of: Option<String>,
    step: Option<String>,
    /// It is a part of the engine's own start.
    engine: bool,
    from_ns: i64,
    until_ns: i64,
}

impl Collector {
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(Collected { engine: Some(Vec::new()), pods: BTreeMap::new() })))
    }

    /// What it took to start the engine; once.
    pub(super) fn take_engine(&self) -> Option<Vec<Step>> {
        self.collected().engine.take()
    }

    /// What has been done of a pod's start; nothing more is collected of it.
    pub(super) fn take_pod(&self, uid: &str) -> Option<OfPod> {
        self.collected().pods.remove(uid)
    }

    /// Every pod that has not been taken.
    pub(super) fn pods(&self) -> Vec<String> {
        self.collected().pods.keys().cloned().collect()
    }

    fn collected(&self) -> MutexGuard<'_, Collected> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Collected {
    fn add(&mut self, fields: Fields, step: Step) {
        if fields.engine {
            self.engine.iter_mut().for_each(|steps| push(steps, step.clone()));
            return;
        }
        let Some(uid) = fields.pod else { return };
        // What names its pod is the beginning of it.
        if let Some(name) = fields.name
            && !self.pods.contains_key(&uid)
        {
            self.make_room();
            self.pods.insert(uid.clone(), OfPod { name, steps: Vec::new() });
        }
        if let Some(pod) = self.pods.get_mut(&uid) {
            push(&mut pod.steps, step);
        }
    }

    fn make_room(&mut self) {
        if self.pods.len() < PODS_MAX {
            return;
        }
        let began = |pod: &OfPod| pod.steps.first().map(|step| step.began_ns);
        let oldest = self.pods.iter().min_by_key(|(_, pod)| began(pod)).map(|(uid, _)| uid.clone());
        oldest.into_iter().for_each(|uid| _ = self.pods.remove(&uid));
    }
}

fn push(steps: &mut Vec<Step>, step: Step) {
    if steps.len() < STEPS_MAX {
        steps.push(step);
    }
}

impl<S> Layer<S> for Collector
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        span.extensions_mut().insert(Open { fields, began_ns: clock::boot_ns(), steps: Vec::new() });
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        if let Some(open) = span.extensions_mut().get_mut::<Open>() {
            values.record(&mut open.fields);
        }
    }

    /// A step that has been measured by somebody else.
    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let Some(span) = context.event_span(event) else { return };
        let mut fields = Fields::default();
        event.record(&mut fields);
        let (began_ns, ended_ns) = (fields.from_ns, fields.until_ns);
        let step = Step { name: fields.named("event"), of: fields.of, began_ns, ended_ns, steps: Vec::new() };
        if let Some(open) = span.extensions_mut().get_mut::<Open>() {
            push(&mut open.steps, step);
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let Some(span) = context.span(&id) else { return };
        let Some(Open { mut fields, began_ns, steps }) = span.extensions_mut().remove::<Open>() else {
            return;
        };
        let (name, of) = (fields.named(span.name()), fields.of.take());
        let step = Step { name, of, began_ns, ended_ns: clock::boot_ns(), steps };
        match span.parent() {
            Some(parent) => {
                if let Some(open) = parent.extensions_mut().get_mut::<Open>() {
                    push(&mut open.steps, step);
                }
            }
            None => self.collected().add(fields, step),
        }
    }
}

impl Fields {
    fn named(&mut self, otherwise: &str) -> String {
        self.step.take().unwrap_or_else(|| otherwise.to_owned())
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        let held = match field.name() {
            "pod" => &mut self.pod,
            "name" => &mut self.name,
            "of" => &mut self.of,
            "step" => &mut self.step,
            _ => return,
        };
        *held = Some(value.to_owned());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        match field.name() {
            "from_ns" => self.from_ns = value,
            "until_ns" => self.until_ns = value,
            _ => {}
        }
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        if field.name() == "engine" {
            self.engine = value;
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn fmt::Debug) {}
}

#[cfg(test)]
mod tests {
    use tracing::field::Empty;
    use tracing::subscriber::with_default;
    use tracing::{trace, trace_span};
    use tracing_subscriber::layer::SubscriberExt;
    use tracing_subscriber::registry;

    use super::{Collector, Step};

    fn names(steps: &[Step]) -> Vec<&str> {
        steps.iter().map(|step| step.name.as_str()).collect()
    }

    #[test]
    fn spans_are_the_steps_of_their_pod() {
        let collector = Collector::new();
        with_default(registry().with(collector.clone()), || {
            trace_span!("turn", pod = "1").in_scope(|| {});
            let create = trace_span!("create", pod = Empty, name = Empty);
            create.in_scope(|| {
                trace_span!("write").in_scope(|| trace_span!("change").in_scope(|| {}));
            });
            create.record("pod", "1");
            create.record("name", "default/web");
            drop(create);
            trace_span!("StartContainer", pod = "1", of = "app").in_scope(|| {
                trace!(step = "execve", from_ns = 3_i64, until_ns = 7_i64);
            });
            trace_span!("turn", pod = "2").in_scope(|| {});
        });
        assert_eq!(collector.pods(), ["1"], "a pod begins with its name");
        let pod = collector.take_pod("1").unwrap();
        assert_eq!((pod.name.as_str(), names(&pod.steps)), ("default/web", vec!["create", "StartContainer"]));
        let create = &pod.steps[0];
        assert_eq!((names(&create.steps), names(&create.steps[0].steps)), (vec!["write"], vec!["change"]));
        assert!(create.began_ns <= create.steps[0].began_ns && create.steps[0].ended_ns <= create.ended_ns);
        let start = &pod.steps[1];
        assert_eq!((start.of.as_deref(), names(&start.steps)), (Some("app"), vec!["execve"]));
        assert_eq!(start.steps[0].took_ns(), 4);
        assert!(collector.take_pod("1").is_none());
    }

    #[test]
    fn the_engine_has_steps_of_its_own_until_they_are_taken() {
        let collector = Collector::new();
        with_default(registry().with(collector.clone()), || {
            trace_span!("step", engine = true, step = "open the store").in_scope(|| {});
            trace_span!("write").in_scope(|| {});
            assert_eq!(names(&collector.take_engine().unwrap()), ["open the store"]);
            trace_span!("step", engine = true, step = "late").in_scope(|| {});
        });
        assert_eq!(collector.take_engine(), None);
    }
}
