//! `monopod run`: the whole engine in the foreground for some pods.

mod bars;
mod create;
mod format;
mod manifests;
mod output;
mod place;
mod present;
mod steps;
mod summary;
#[cfg(test)]
mod tests;
mod trouble;

use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use apiserver::change::{self, Change, DeleteOptions};
use apiserver::kinds::Kind;
use apiserver::objects;
use kubelet::{PodView, Subscription};
use lifecycle::Phase;
use node::Node;
use podspec::{Pod, PodUid};
use serde_json::Value;
use store::{ChangeKind, Durability, ObjectKey};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::cli;
use crate::engine::{Engine, Live};
use crate::logs::LogFiles;
use crate::outcome::{self, Outcome};
use crate::signals::Signals;
use crate::start_trace::{StartTrace, step};
use bars::Size;
use format::{Format, Style};
use manifests::Manifest;
use output::{Ended, Output};
use place::Place;
use present::Presenter;
use steps::{Step, Tone};

pub(crate) use manifests::{ManifestText, read as read_manifests, texts as manifest_texts};
pub(crate) use present::{Lines, LogSource};

/// After a second Ctrl-C: how long what is still to be shown may take once all pods are at rest.
const DRAIN_MAX: Duration = Duration::from_secs(5);

/// Runs the objects' pods to their end.
pub(crate) async fn run(
    options: &cli::Run,
    objects: Vec<Manifest>,
    node: Node,
    trace: Option<StartTrace>,
) -> Result<Outcome> {
    let signals = Signals::install().context("cannot take signals")?;
    let place = step("make a place for the run").in_scope(|| Place::new(node.paths()))?;
    kubelet::Node::images(&node).prepare(manifests::images(&objects));
    let count = objects.iter().filter(|manifest| manifest.kind.kind == "Pod").count();
    let engine = Engine::start(node, place.plan(options, count, trace)?).await?;
    let revision = engine.store.revision();
    let pods = match create::all(&engine.store, objects).await {
        Ok(pods) => pods,
        Err(refused) => {
            outcome::say(format_args!("error: {refused}"));
            return Ok(Outcome::refused());
        }
    };
    place.tell(&engine.server)?;
    let format = Arc::new(Format::new(style(options), &pods));
    let (output, ended) = output(format.style()).context("cannot start the thread that writes")?;
    let logs = Arc::new(LogFiles::new().context("cannot watch log files")?);
    let kind = Kind::find("", "v1", "pods").context("pods are served")?;
    let changes = engine.store.watch(kind.stored(), None, revision).context("cannot watch pods")?;
    // As many as there are pods: each is begun once.
    let (sender, begun) = mpsc::unbounded_channel();
    let engine = engine
        .go(move |subscription| {
            // Nobody listens when the run is over.
            let _ = sender.send(subscription);
        })
        .await;
    engine.node.sweep();
    let mut run = Run {
        engine,
        kind,
        logs,
        format,
        output,
        pods: pods.into_iter().map(Running::new).collect(),
        presenters: JoinSet::new(),
        removals: JoinSet::new(),
        failures: Vec::new(),
        stopping: Stopping::No,
        drain_max: DRAIN_MAX,
    };
    let output_open = run.follow(signals, begun, changes, ended).await;
    run.conclude(output_open).await
}

/// People at a terminal see bars.
fn output(style: Style) -> io::Result<(Output, Ended)> {
    let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    match style {
        Style::Text { .. } if io::stdout().is_terminal() && !is_dumb => {
            Output::to_terminal(io::stdout(), terminal_size)
        }
        _ => Output::to(io::stdout()),
    }
}

/// What a terminal is that does not say.
const TERMINAL: Size = Size { columns: 80, rows: 24 };

/// Of standard output.
pub(crate) fn terminal_columns() -> usize {
    terminal_size().columns
}

fn terminal_size() -> Size {
    match rustix::termios::tcgetwinsize(io::stdout()) {
        Ok(size) if size.ws_col > 0 && size.ws_row > 0 => {
            Size { columns: size.ws_col.into(), rows: size.ws_row.into() }
        }
        _ => TERMINAL,
    }
}

fn style(options: &cli::Run) -> Style {
    if options.output == cli::OutputFormat::Json {
        return Style::Json;
    }
    let color = io::stdout().is_terminal() && outcome::may_color() && !options.no_color;
    Style::Text { color, timestamps: options.timestamps }
}

struct Run {
    engine: Live,
    kind: &'static Kind,
    logs: Arc<LogFiles>,
    format: Arc<Format>,
    output: Output,
    pods: Vec<Running>,
    presenters: JoinSet<(PodUid, Option<PodView>)>,
    /// What is left of pods that have ended goes beside everything else.
    removals: JoinSet<Result<()>>,
    failures: Vec<anyhow::Error>,
    stopping: Stopping,
    /// How long the last lines may take to be written, once stopping is forced.
    drain_max: Duration,
}

struct Running {
    pod: Pod,
    state: State,
    /// Why it is not begun, as it was last said.
    waits_for: Option<String>,
}

enum State {
    /// Not on this node yet.
    Waiting,
    Begun(watch::Receiver<Option<PodView>>),
    /// With the last view, once everything of the pod has been shown and removed; without one if it never began.
    Ended(Option<Box<PodView>>),
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stopping {
    No,
    InOrder,
    Forced,
}

impl Running {
    fn new(pod: Pod) -> Self {
        Self { pod, state: State::Waiting, waits_for: None }
    }

    fn is_over(&self) -> bool {
        matches!(self.state, State::Ended(_))
    }
}

impl Run {
    /// Until every pod has ended. Returns what is left of the way out, if its reader has not gone.
    async fn follow(
        &mut self,
        mut signals: Signals,
        mut begun: mpsc::UnboundedReceiver<Subscription>,
        mut changes: store::Watch,
        mut ended: Ended,
    ) -> Option<Ended> {
        let mut output_open = true;
        while !self.pods.iter().all(Running::is_over) || !self.presenters.is_empty() {
            tokio::select! {
                // In this order: a pod that has been begun is known as such before what became of it since is looked at.
                biased;
                Some(subscription) = begun.recv() => self.begin(subscription),
                () = signals.next() => self.interrupted().await,
                Some(shown) = self.presenters.join_next() => match shown {
                    Ok((uid, view)) => self.end(&uid, view),
                    // Given up below; anything else would have ended the process.
                    Err(error) => tracing::debug!("{error}"),
                },
                change = changes.next() => match change {
                    Ok(change) => self.see(&change).await,
                    // It fell behind, and what it missed is looked up when it matters.
                    Err(error) => match self.engine.store.watch(self.kind.stored(), None, self.engine.store.revision()) {
                        Ok(again) => changes = again,
                        Err(_) => tracing::warn!("cannot watch pods: {error}"),
                    },
                },
                result = &mut ended, if output_open => {
                    output_open = false;
                    self.output_closed(result.unwrap_or(Ok(()))).await;
                }
                () = drained(&self.pods), if self.stopping == Stopping::Forced => {
                    tracing::warn!("giving up on output that nobody reads");
                    self.presenters.abort_all();
                    self.end_unshown();
                    self.drain_max = Duration::ZERO;
                }
            }
        }
        output_open.then_some(ended)
    }

    /// The kubelet has taken a pod and begins it.
    fn begin(&mut self, watched: Subscription) {
        let uid = watched.pod.pod.uid.clone();
        let state = State::Begun(watched.view.clone());
        match self.pods.iter_mut().find(|running| running.pod.uid == uid) {
            Some(running) => running.state = state,
            // By way of the API.
            None => self.pods.push(Running { state, ..Running::new(watched.pod.pod.clone()) }),
        }
        let logs = Arc::clone(&self.logs);
        let presenter = Presenter::new(watched, logs, Arc::clone(&self.format), self.output.clone());
        self.presenters.spawn(async move { (uid, presenter.run().await) });
    }

    /// What becomes of a pod that has not been begun.
    async fn see(&mut self, change: &store::Change) {
        let known = self.pods.iter_mut().find(|running| running.pod.uid.as_str() == change.object.uid);
        let Ok(object) = objects::value(&change.object) else { return };
        let Some(running) = known else {
            if change.kind != ChangeKind::Deleted {
                self.pods.push(Running::new(podspec::lower(&object)));
            }
            return;
        };
        if !matches!(running.state, State::Waiting) {
            return;
        }
        if change.kind == ChangeKind::Deleted {
            running.state = State::Ended(None);
            return;
        }
        let status = &object["status"];
        if status["phase"] == "Failed" {
            let name = format!("{}/{}", running.pod.namespace, running.pod.name);
            let why = status["message"].as_str().unwrap_or("the node does not take it");
            self.failures.push(anyhow!("cannot begin pod {name}: {why}"));
            running.state = State::Ended(None);
            return;
        }
        let waits_for = unscheduled(status);
        if waits_for.is_some() && running.waits_for != waits_for {
            running.waits_for = waits_for;
            let line = waiting(&self.format, running, self.engine.now());
            self.output.line(line).await;
        }
    }

    /// The first time in order, within each pod's grace; after that at once.
    async fn interrupted(&mut self) {
        if self.stopping == Stopping::No {
            self.stop().await;
            if io::stderr().is_terminal() {
                outcome::say(format_args!("stopping all pods in order; Ctrl-C again forces"));
            }
            return;
        }
        self.stopping = Stopping::Forced;
        self.delete_all(Some(0)).await;
    }

    async fn stop(&mut self) {
        if self.stopping == Stopping::No {
            self.stopping = Stopping::InOrder;
            self.delete_all(None).await;
        }
    }

    /// `grace_seconds`: instead of each pod's own.
    async fn delete_all(&mut self, grace_seconds: Option<i64>) {
        let living = self.pods.iter().filter(|running| !running.is_over());
        let keys: Vec<(PodUid, String, String)> = living
            .map(|Running { pod, .. }| (pod.uid.clone(), pod.namespace.clone(), pod.name.clone()))
            .collect();
        for (uid, namespace, name) in keys {
            let change = Change::of_engine("monopod-run", self.kind, &namespace, &name);
            let options = DeleteOptions {
                grace_seconds,
                uid: Some(uid.as_str().to_owned()),
                ..DeleteOptions::default()
            };
            let deleted =
                self.engine.store.write(Durability::Lazy, move |tx| change::delete(tx, &change, &options));
            // An error says that it is gone from the API already; the kubelet is told below.
            if !matches!(deleted.await, Ok(Ok(_))) {
                let grace = u64::try_from(grace_seconds.unwrap_or(0)).unwrap_or(0);
                let _ = self.engine.kubelet.delete_pod(&uid, Duration::from_secs(grace));
            }
        }
        self.end_gone();
    }

    /// Pods that were never begun end when they are gone.
    fn end_gone(&mut self) {
        for running in &mut self.pods {
            let key = ObjectKey::new(self.kind.stored(), &*running.pod.namespace, &*running.pod.name);
            let gone = self.engine.store.get(&key).is_none_or(|held| held.uid != running.pod.uid.as_str());
            if gone && matches!(running.state, State::Waiting) {
                running.state = State::Ended(None);
            }
        }
    }

    /// Whoever reads the output has gone: as good as Ctrl-C. Any other trouble is a failure.
    async fn output_closed(&mut self, result: io::Result<()>) {
        match result {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                self.failures.push(anyhow::Error::new(error).context("cannot write to standard output"));
            }
            _ => {}
        }
        self.stop().await;
    }

    /// Everything of the pod has been shown: what is left of it goes.
    fn end(&mut self, uid: &PodUid, view: Option<PodView>) {
        let Some(running) = self.pods.iter_mut().find(|running| running.pod.uid == *uid) else { return };
        let last = match &running.state {
            State::Begun(view) => view.borrow().clone(),
            State::Waiting | State::Ended(_) => None,
        };
        running.state = State::Ended(view.or(last).map(Box::new));
        let (kubelet, uid) = (Arc::clone(&self.engine.kubelet), uid.clone());
        let name = format!("{}/{}", running.pod.namespace, running.pod.name);
        self.removals.spawn(async move {
            let removed = kubelet.remove_pod(&uid).await;
            removed.with_context(|| format!("cannot remove all of pod {name}"))
        });
    }

    fn end_unshown(&mut self) {
        let left: Vec<PodUid> = (self.pods.iter())
            .filter(|running| !running.is_over())
            .map(|running| running.pod.uid.clone())
            .collect();
        for uid in left {
            self.end(&uid, None);
        }
    }

    async fn conclude(mut self, ended: Option<Ended>) -> Result<Outcome> {
        let now = self.engine.now();
        let views: Vec<(&Pod, &PodView)> = (self.pods.iter())
            .filter_map(|running| match &running.state {
                State::Ended(Some(view)) => Some((&running.pod, &**view)),
                _ => None,
            })
            .collect();
        let failed = views.iter().any(|(_, view)| view.status.phase == Phase::Failed && !view.deleting);
        let lines = match self.format.style() {
            Style::Json => {
                views.iter().flat_map(|(pod, view)| summary::json_summary(pod, view, now)).collect()
            }
            // Nothing was begun: the errors say why.
            Style::Text { .. } if views.is_empty() => Vec::new(),
            Style::Text { .. } => format!("\n{}", summary::table(&views, now)).into_bytes(),
        };
        let limit = if self.stopping == Stopping::Forced { self.drain_max } else { Duration::MAX };
        let output = self.output;
        let written = timeout(limit, async move {
            output.line(lines).await;
            drop(output);
            match ended {
                Some(ended) => ended.await.unwrap_or(Ok(())),
                None => Ok(()),
            }
        });
        if let Ok(Err(error)) = written.await
            && error.kind() != io::ErrorKind::BrokenPipe
        {
            self.failures.push(anyhow::Error::new(error).context("cannot write to standard output"));
        }
        let ((), removed) = tokio::join!(self.engine.shut_down(), self.removals.join_all());
        self.failures.extend(removed.into_iter().filter_map(Result::err));
        Ok(Outcome::of(failed, self.failures))
    }
}

/// Why the scheduler has found no place for a pod.
fn unscheduled(status: &Value) -> Option<String> {
    let conditions = status["conditions"].as_array()?;
    let held = conditions.iter().find(|c| c["type"] == "PodScheduled" && c["status"] == "False")?;
    Some(held["message"].as_str().or_else(|| held["reason"].as_str())?.to_owned())
}

fn waiting(format: &Format, running: &Running, at: podspec::Moment) -> Vec<u8> {
    let why = running.waits_for.as_deref().unwrap_or_default();
    let step = Step {
        at,
        container: None,
        step: "unscheduled",
        text: format!("has no place: {why}"),
        tone: Tone::Bad,
        repeats: false,
    };
    format.step(&running.pod, &step)
}

/// Comes when every pod has been at rest for [`DRAIN_MAX`].
async fn drained(pods: &[Running]) {
    for running in pods {
        if let State::Begun(view) = &running.state {
            // An error says that the pod's worker is gone.
            let _ = view.clone().wait_for(|view| view.as_ref().is_some_and(|view| view.at_rest)).await;
        }
    }
    tokio::time::sleep(DRAIN_MAX).await;
}
