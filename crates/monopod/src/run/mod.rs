//! `monopod run`: the whole engine in the foreground for some pods.

mod format;
mod manifests;
mod output;
mod present;
mod steps;
mod summary;
#[cfg(test)]
mod tests;
mod trouble;

use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use kubelet::{Kubelet, PodView, Subscription};
use lifecycle::Phase;
use node::Node;
use podspec::{Pod, PodUid};
use ports::Clock;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::cli;
use crate::logs::LogFiles;
use crate::outcome::{self, Outcome};
use crate::signals::Signals;
use format::{Format, Style};
use output::{Ended, Output};
use present::Presenter;

pub(crate) use manifests::{read as read_manifests, texts as manifest_texts};
pub(crate) use present::{Lines, LogSource};

/// After a second Ctrl-C: how long what is still to be shown may take once all pods are at rest.
const DRAIN_MAX: Duration = Duration::from_secs(5);

/// Runs the pods to their end.
pub(crate) async fn run(options: &cli::Run, pods: Vec<Pod>, node: Node) -> Result<Outcome> {
    let signals = Signals::install().context("cannot take signals")?;
    let format = Arc::new(Format::new(style(options), &pods));
    let (output, ended) = Output::to(io::stdout()).context("cannot start the thread that writes")?;
    let logs = Arc::new(LogFiles::new().context("cannot watch log files")?);
    let mut run = Run::new(node, logs, format, output);
    for pod in pods {
        if let Err(error) = run.add(pod) {
            run.failures.push(error);
            run.stop();
            break;
        }
    }
    if !run.pods.is_empty() {
        run.node.sweep();
    }
    run.follow(signals, ended).await
}

fn style(options: &cli::Run) -> Style {
    if options.output == cli::OutputFormat::Json {
        return Style::Json;
    }
    let color = io::stdout().is_terminal() && outcome::may_color() && !options.no_color;
    Style::Text { color, timestamps: options.timestamps }
}

struct Run {
    node: Arc<Node>,
    kubelet: Kubelet<Node>,
    logs: Arc<LogFiles>,
    format: Arc<Format>,
    output: Output,
    pods: Vec<Running>,
    presenters: JoinSet<(PodUid, Option<PodView>)>,
    failures: Vec<anyhow::Error>,
    stopping: Stopping,
    /// How long the last lines may take to be written, once stopping is forced.
    drain_max: Duration,
}

struct Running {
    pod: Pod,
    view: watch::Receiver<Option<PodView>>,
    /// The last view, once everything of the pod has been shown and removed.
    ended: Option<PodView>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stopping {
    No,
    InOrder,
    Forced,
}

impl Run {
    fn new(node: Node, logs: Arc<LogFiles>, format: Arc<Format>, output: Output) -> Self {
        let node = Arc::new(node);
        let kubelet = Kubelet::new(Arc::clone(&node), node.paths().clone(), true);
        Self {
            node,
            kubelet,
            logs,
            format,
            output,
            pods: Vec::new(),
            presenters: JoinSet::new(),
            failures: Vec::new(),
            stopping: Stopping::No,
            drain_max: DRAIN_MAX,
        }
    }

    fn add(&mut self, pod: Pod) -> Result<()> {
        let name = format!("pod {}/{}", pod.namespace, pod.name);
        self.node.claim(&pod, true).with_context(|| format!("cannot begin {name}"))?;
        let watched: Subscription = match self.kubelet.add_pod(pod.clone()) {
            Ok(watched) => watched,
            Err(error) => {
                for left in self.node.abandon(&pod, true) {
                    tracing::warn!("something of {name} is left: {left}");
                }
                return Err(anyhow::Error::new(error).context(format!("cannot begin {name}")));
            }
        };
        self.pods.push(Running { pod, view: watched.view.clone(), ended: None });
        let uid = watched.pod.pod.uid.clone();
        let logs = Arc::clone(&self.logs);
        let presenter = Presenter::new(watched, logs, Arc::clone(&self.format), self.output.clone());
        self.presenters.spawn(async move { (uid, presenter.run().await) });
        Ok(())
    }

    async fn follow(mut self, mut signals: Signals, mut ended: Ended) -> Result<Outcome> {
        let mut output_open = true;
        while !self.presenters.is_empty() {
            tokio::select! {
                Some(shown) = self.presenters.join_next() => match shown {
                    Ok((uid, view)) => self.end(&uid, view).await,
                    // Given up below; anything else would have ended the process.
                    Err(error) => tracing::debug!("{error}"),
                },
                () = signals.next() => self.interrupted(),
                result = &mut ended, if output_open => {
                    output_open = false;
                    self.output_closed(result.unwrap_or(Ok(())));
                }
                () = drained(&self.pods), if self.stopping == Stopping::Forced => {
                    tracing::warn!("giving up on output that nobody reads");
                    self.presenters.abort_all();
                    self.end_unshown().await;
                    self.drain_max = Duration::ZERO;
                }
            }
        }
        self.summarize(ended, output_open).await
    }

    /// The first time in order, within each pod's grace; after that at once.
    fn interrupted(&mut self) {
        if self.stopping == Stopping::No {
            self.stop();
            if io::stderr().is_terminal() {
                outcome::say(format_args!("stopping all pods in order; Ctrl-C again forces"));
            }
            return;
        }
        self.stopping = Stopping::Forced;
        self.delete_all(|_| Duration::ZERO);
    }

    fn stop(&mut self) {
        if self.stopping == Stopping::No {
            self.stopping = Stopping::InOrder;
            self.delete_all(|pod| pod.spec.termination_grace_period);
        }
    }

    fn delete_all(&self, grace: impl Fn(&Pod) -> Duration) {
        for running in self.pods.iter().filter(|running| running.ended.is_none()) {
            // An error says that it is gone already.
            let _ = self.kubelet.delete_pod(&running.pod.uid, grace(&running.pod));
        }
    }

    /// Whoever reads the output has gone: as good as Ctrl-C. Any other trouble is a failure.
    fn output_closed(&mut self, result: io::Result<()>) {
        match result {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                self.failures.push(anyhow::Error::new(error).context("cannot write to standard output"));
            }
            _ => {}
        }
        self.stop();
    }

    /// Everything of the pod has been shown: what is left of it goes.
    async fn end(&mut self, uid: &PodUid, view: Option<PodView>) {
        let Some(running) = self.pods.iter_mut().find(|running| running.pod.uid == *uid) else { return };
        running.ended = view.or_else(|| running.view.borrow().clone());
        if let Err(error) = self.kubelet.remove_pod(uid).await {
            let name = format!("{}/{}", running.pod.namespace, running.pod.name);
            self.failures.push(anyhow::Error::new(error).context(format!("cannot remove all of pod {name}")));
        }
    }

    async fn end_unshown(&mut self) {
        let left: Vec<PodUid> = (self.pods.iter())
            .filter(|running| running.ended.is_none())
            .map(|running| running.pod.uid.clone())
            .collect();
        for uid in left {
            self.end(&uid, None).await;
        }
    }

    async fn summarize(mut self, ended: Ended, output_open: bool) -> Result<Outcome> {
        let now = kubelet::Node::clock(&*self.node).now();
        let views: Vec<(&Pod, &PodView)> =
            (self.pods.iter()).filter_map(|running| Some((&running.pod, running.ended.as_ref()?))).collect();
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
            if output_open { ended.await.unwrap_or(Ok(())) } else { Ok(()) }
        });
        if let Ok(Err(error)) = written.await
            && error.kind() != io::ErrorKind::BrokenPipe
        {
            self.failures.push(anyhow::Error::new(error).context("cannot write to standard output"));
        }
        Ok(Outcome::of(failed, self.failures))
    }
}

/// Comes when every pod has been at rest for [`DRAIN_MAX`].
async fn drained(pods: &[Running]) {
    for running in pods {
        let mut view = running.view.clone();
        // An error says that the pod's worker is gone.
        let _ = view.wait_for(|view| view.as_ref().is_some_and(|view| view.at_rest)).await;
    }
    tokio::time::sleep(DRAIN_MAX).await;
}
