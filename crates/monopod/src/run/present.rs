//! Shows one pod: its steps in the order of its journal, and between them the lines of its containers.
//!
//! A container's exit is shown after its last line. When the way out is slow this task waits, and
//! nothing else does: entries it misses meanwhile are read back from the journal, lines from the log files.

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::sync::Arc;

use journal::{Entry, Happening};
use kubelet::events::EventSource;
use kubelet::{PodView, Pulls, Subscription};
use lifecycle::{ConditionKind, Observation, Phase};
use podspec::{ContainerName, WallTime};
use ports::PodContext;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::format::{Format, LogLine};
use super::output::Output;
use super::steps::{Step, Steps, Tone};

/// Lines of one attempt are handed over together up to this many bytes.
const BATCH_BYTES_MAX: usize = 128 << 10;

/// Where the lines of containers come from.
pub(crate) trait LogSource: Send + Sync + 'static {
    /// Hands over every line of an attempt, live. Returns once `ended` is true and all there is has
    /// been handed over.
    fn follow(
        &self,
        lines: Lines,
        ended: watch::Receiver<bool>,
    ) -> impl Future<Output = io::Result<()>> + Send;
}

/// One attempt of one container, and the way out for its lines.
#[derive(Debug)]
pub(crate) struct Lines {
    pub(crate) pod: Arc<PodContext>,
    pub(crate) container: ContainerName,
    pub(crate) attempt: u32,
    format: Arc<Format>,
    prefix: String,
    output: Output,
    batch: Vec<u8>,
}

impl Lines {
    /// Takes a line; it is shown at the latest with the next [`Self::flush`].
    pub(crate) async fn line(&mut self, at: WallTime, stderr: bool, text: &[u8]) {
        let (container, attempt) = (&self.container, self.attempt);
        let line = LogLine { at, container, attempt, stderr, text };
        self.format.log(&self.pod.pod, &self.prefix, line, &mut self.batch);
        if self.batch.len() >= BATCH_BYTES_MAX {
            self.flush().await;
        }
    }

    pub(crate) async fn flush(&mut self) {
        if !self.batch.is_empty() {
            self.output.line(std::mem::take(&mut self.batch)).await;
        }
    }
}

#[derive(Debug)]
pub(crate) struct Presenter<L> {
    watched: Subscription,
    logs: Arc<L>,
    format: Arc<Format>,
    output: Output,
    steps: Steps,
    events: EventSource,
    /// By container, of its newest attempt.
    followers: BTreeMap<ContainerName, Follower>,
    shown_seq: u64,
    shown_ready: bool,
    /// That have bars.
    pulls: Pulls,
}

#[derive(Debug)]
struct Follower {
    attempt: u32,
    ended: watch::Sender<bool>,
    /// `None` once it has been waited for.
    task: Option<JoinHandle<()>>,
}

impl<L: LogSource> Presenter<L> {
    pub(crate) fn new(watched: Subscription, logs: Arc<L>, format: Arc<Format>, output: Output) -> Self {
        Self {
            watched,
            logs,
            format,
            output,
            steps: Steps::default(),
            events: EventSource::default(),
            followers: BTreeMap::new(),
            shown_seq: 0,
            shown_ready: false,
            pulls: Pulls::new(),
        }
    }

    /// Runs until the pod is at rest and everything of it has been handed over.
    pub(crate) async fn run(mut self) -> Option<PodView> {
        loop {
            tokio::select! {
                biased;
                entry = self.watched.entries.recv() => match entry {
                    Ok(entry) => self.show_entry(&entry).await,
                    Err(RecvError::Lagged(_)) => self.catch_up().await,
                    Err(RecvError::Closed) => break,
                },
                changed = self.watched.view.changed() => if changed.is_err() { break },
                // The worker has the other end.
                Ok(()) = self.watched.pulls.changed(), if self.output.shows_bars() => {
                    self.show_pulls().await;
                    continue;
                }
            }
            let view = self.watched.view.borrow_and_update().clone();
            let Some(view) = view.filter(|view| view.seq <= self.shown_seq) else { continue };
            self.show_readiness(&view).await;
            if view.at_rest {
                self.finish_followers().await;
                return Some(view);
            }
        }
        self.finish_followers().await;
        self.watched.view.borrow().clone()
    }

    /// A bar for each pull under way.
    async fn show_pulls(&mut self) {
        let pulls = self.watched.pulls.borrow_and_update().clone();
        let pod = &self.watched.pod.pod;
        for (container, progress) in &pulls {
            let bar = self.format.bar(pod, container, progress);
            self.output.bar(format!("{}/{container}", pod.uid), Some(bar)).await;
        }
        for container in self.pulls.keys().filter(|container| !pulls.contains_key(*container)) {
            self.output.bar(format!("{}/{container}", pod.uid), None).await;
        }
        self.pulls = pulls;
    }

    async fn show_entry(&mut self, entry: &Entry) {
        if entry.seq <= self.shown_seq {
            return;
        }
        self.shown_seq = entry.seq;
        let pod = &self.watched.pod.pod;
        for step in self.steps.overtaken_start(pod, entry) {
            self.output.line(self.format.step(pod, &step)).await;
        }
        match &entry.what {
            Happening::Observed(Observation::ContainerExited { container, attempt, .. }) => {
                self.follow(container, *attempt).await;
                self.finish(container).await;
            }
            Happening::Observed(Observation::SandboxLost { .. } | Observation::SandboxStopped { .. }) => {
                self.finish_followers().await;
            }
            _ => {}
        }
        let pod = &self.watched.pod.pod;
        for step in self
            .steps
            .steps(pod, entry)
            .iter()
            .filter(|step| self.format.shows(step, self.output.shows_bars()))
        {
            self.output.line(self.format.step(pod, step)).await;
        }
        for event in self.events.events(pod, entry) {
            if let Some(line) = self.format.event(pod, &event) {
                self.output.line(line).await;
            }
        }
        if let Happening::Observed(Observation::ContainerStarted { container, attempt, .. }) = &entry.what {
            self.follow(container, *attempt).await;
        }
    }

    /// Shows what the journal has of the entries that were missed.
    async fn catch_up(&mut self) {
        match journal::read(&self.watched.pod.pod_dir) {
            Ok(entries) => {
                for entry in entries {
                    self.show_entry(&entry).await;
                }
            }
            Err(error) => {
                tracing::warn!("some steps of pod {} are not shown: {error}", self.watched.pod.pod.name);
            }
        }
    }

    async fn show_readiness(&mut self, view: &PodView) {
        let ready = view.status.conditions.iter().find(|condition| condition.kind == ConditionKind::Ready);
        let ready = ready.is_some_and(|condition| condition.status);
        // A pod on its way out says so itself.
        let ending = view.deleting || view.status.phase != Phase::Running;
        if ready == self.shown_ready || (ending && !ready) {
            return;
        }
        self.shown_ready = ready;
        let (step, text, tone) =
            if ready { ("ready", "ready", Tone::Good) } else { ("not_ready", "not ready", Tone::Plain) };
        let at = view.conditions.get(&ConditionKind::Ready).map(|ready| ready.since).unwrap_or_default();
        let step = Step { at, container: None, step, text: text.to_owned(), tone, repeats: false };
        self.output.line(self.format.step(&self.watched.pod.pod, &step)).await;
    }

    /// Begins to follow an attempt unless it is followed, or has been.
    async fn follow(&mut self, container: &ContainerName, attempt: u32) {
        if self.followers.get(container).is_some_and(|follower| follower.attempt >= attempt) {
            return;
        }
        self.finish(container).await;
        let lines = Lines {
            pod: Arc::clone(&self.watched.pod),
            container: container.clone(),
            attempt,
            format: Arc::clone(&self.format),
            prefix: self.format.log_prefix(&self.watched.pod.pod, container),
            output: self.output.clone(),
            batch: Vec::new(),
        };
        let (ended, receiver) = watch::channel(false);
        let (logs, name) = (Arc::clone(&self.logs), container.clone());
        let task = tokio::spawn(async move {
            if let Err(error) = logs.follow(lines, receiver).await {
                tracing::warn!("the log of container {name} cannot be followed: {error}");
            }
        });
        self.followers.insert(container.clone(), Follower { attempt, ended, task: Some(task) });
    }

    /// Waits until every line of an attempt that has ended has been handed over.
    async fn finish(&mut self, container: &ContainerName) {
        let Some(follower) = self.followers.get_mut(container) else { return };
        follower.ended.send_replace(true);
        if let Some(task) = follower.task.take() {
            // An error says that the task panicked, which it has said itself.
            let _ = task.await;
        }
    }

    async fn finish_followers(&mut self) {
        let names: Vec<ContainerName> = self.followers.keys().cloned().collect();
        for name in names {
            self.finish(&name).await;
        }
    }
}

impl<L> Drop for Presenter<L> {
    fn drop(&mut self) {
        for task in self.followers.values().filter_map(|follower| follower.task.as_ref()) {
            task.abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::path::PathBuf;
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use journal::{Entry, Happening, Journal};
    use kubelet::{Pulls, Subscription};
    use lifecycle::{ConditionKind, Exit, ExitReason, Observation, Observed, Phase};
    use podspec::{IDENTITY_BYTES, Moment, WallTime};
    use ports::{LayerProgress, PodContext, PullProgress};
    use tokio::sync::{broadcast, watch};

    use super::{Format, LogSource, Output, PodView, Presenter};
    use crate::run::bars::Size;
    use crate::run::format::Style;
    use crate::run::present::Lines;

    /// Writes a line at once, and the last one only when its container has ended.
    #[derive(Debug)]
    struct Script;

    impl LogSource for Script {
        async fn follow(&self, mut lines: Lines, mut ended: watch::Receiver<bool>) -> io::Result<()> {
            let attempt = lines.attempt;
            lines.line(WallTime(0), false, format!("first of {attempt}").as_bytes()).await;
            lines.flush().await;
            ended.wait_for(|ended| *ended).await.map_err(io::Error::other)?;
            lines.line(WallTime(0), false, format!("last of {attempt}").as_bytes()).await;
            lines.flush().await;
            Ok(())
        }
    }

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn context(pod_dir: PathBuf) -> Arc<PodContext> {
        let text = "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\n\
                    spec: {containers: [{name: app, image: localhost/host}]}\n";
        let pods = podspec::load_pods("test", text, || [7; IDENTITY_BYTES]).unwrap();
        let pod = pods.into_iter().next().unwrap().admitted.pod;
        Arc::new(PodContext { pod, log_dir: pod_dir.clone(), run_dir: pod_dir.clone(), pod_dir, bound: true })
    }

    /// Two attempts; of the second the exit is known before the start.
    fn happenings() -> Vec<Happening> {
        let started = |attempt| Observation::ContainerStarted {
            container: "app".into(),
            attempt,
            id: "id".into(),
            started: Moment::default(),
            user: None,
        };
        let exited = |attempt| {
            let finished = Moment::default().after(Duration::from_millis(5));
            let (reason, message) = (ExitReason::Error, String::new());
            let started = Some(Moment::default());
            let exit = Exit { code: 1, signal: None, reason, message, started, finished };
            Observation::ContainerExited { container: "app".into(), attempt, exit }
        };
        [started(0), exited(0), exited(1), started(1)].map(Happening::Observed).into()
    }

    fn at_rest(pod: &Arc<PodContext>, seq: u64) -> PodView {
        let status = lifecycle::plan(&pod.pod.spec, &Observed::default(), Moment::default()).status;
        PodView {
            pod: Arc::clone(pod),
            status,
            conditions: Default::default(),
            deleting: false,
            at_rest: true,
            seq,
        }
    }

    /// What is shown of [`happenings`] when the presenter may be `behind` entries behind.
    async fn shown(name: &str, behind: usize) -> String {
        let dir = std::env::temp_dir().join(format!("monopod-present-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(&dir).unwrap();
        let pod = context(dir.clone());
        let (mut journal, _) = Journal::open(&dir).unwrap();
        let happenings = happenings().into_iter().map(|what| (Moment::default(), what)).collect();
        let (written, result) = journal.append(happenings);
        result.unwrap();

        let (entries, receiver) = broadcast::channel(behind);
        let (view_sender, view) = watch::channel(None);
        let watched = Subscription {
            pod: Arc::clone(&pod),
            entries: receiver,
            view,
            pulls: watch::channel(Pulls::new()).1,
        };
        for entry in &written {
            let entry: Arc<Entry> = Arc::new(entry.clone());
            entries.send(entry).unwrap();
        }
        view_sender.send_replace(Some(at_rest(&pod, 4)));

        let sink = Sink::default();
        let (output, ended) = Output::to(sink.clone()).unwrap();
        let style = Style::Text { color: false, timestamps: false };
        let format = Arc::new(Format::new(style, [&pod.pod]));
        let presenter = Presenter::new(watched, Arc::new(Script), format, output);
        let presented = tokio::time::timeout(Duration::from_secs(10), presenter.run()).await.unwrap();
        assert!(presented.is_some());
        ended.await.unwrap().unwrap();
        std::fs::remove_dir_all(&dir).unwrap();
        String::from_utf8(std::mem::take(&mut *sink.0.lock().unwrap())).unwrap()
    }

    #[tokio::test]
    async fn an_exit_is_shown_after_the_last_line_and_nothing_is_lost_by_being_slow() {
        let in_time = shown("in-time", 16).await;
        expect_test::expect![[r#"
            app * started
            app | first of 0
            app | last of 0
            app * exited with code 1 after 5ms
            app * started again (restart 1)
            app | first of 1
            app | last of 1
            app * exited with code 1 after 5ms
        "#]]
        .assert_eq(&in_time);
        assert_eq!(shown("late", 1).await, in_time);
    }

    /// Losing readiness is said, unless the pod is on its way out.
    #[tokio::test]
    async fn readiness_is_said_each_time_it_changes() {
        let pod = context(PathBuf::from("/no/such/directory"));
        let (_entries, entries) = broadcast::channel(1);
        let (_views, view) = watch::channel(None);
        let watched =
            Subscription { pod: Arc::clone(&pod), entries, view, pulls: watch::channel(Pulls::new()).1 };
        let sink = Sink::default();
        let (output, ended) = Output::to(sink.clone()).unwrap();
        let style = Style::Text { color: false, timestamps: false };
        let format = Arc::new(Format::new(style, [&pod.pod]));
        let mut presenter = Presenter::new(watched, Arc::new(Script), format, output);
        for (phase, ready, deleting) in [
            (Phase::Pending, false, false),
            (Phase::Running, true, false),
            (Phase::Running, true, false),
            (Phase::Running, false, false),
            (Phase::Running, true, false),
            (Phase::Running, false, true),
            (Phase::Succeeded, false, false),
        ] {
            let mut view = at_rest(&pod, 0);
            view.status.phase = phase;
            view.deleting = deleting;
            let conditions = view.status.conditions.iter_mut();
            conditions.filter(|held| held.kind == ConditionKind::Ready).for_each(|held| held.status = ready);
            presenter.show_readiness(&view).await;
        }
        drop(presenter);
        ended.await.unwrap().unwrap();
        let text = String::from_utf8(std::mem::take(&mut *sink.0.lock().unwrap())).unwrap();
        assert_eq!(text, "web * ready\nweb * not ready\nweb * ready\n");
    }

    /// Bars are shown while pulls are under way, and no longer.
    #[tokio::test]
    async fn pulls_have_bars_on_a_terminal_alone() {
        let pod = context(PathBuf::from("/no/such/directory"));
        let size = || Size { columns: 80, rows: 24 };
        for is_terminal in [true, false] {
            let (pulls, watched) = watch::channel(Pulls::new());
            let (_entries, entries) = broadcast::channel(1);
            let (views, view) = watch::channel(None);
            let watched = Subscription { pod: Arc::clone(&pod), entries, view, pulls: watched };
            let sink = Sink::default();
            let output = match is_terminal {
                true => Output::to_terminal(sink.clone(), size),
                false => Output::to(sink.clone()),
            };
            let (output, ended) = output.unwrap();
            let style = Style::Text { color: false, timestamps: false };
            let format = Arc::new(Format::new(style, [&pod.pod]));
            let presenter = Presenter::new(watched, Arc::new(Script), format, output);
            let shown = tokio::spawn(presenter.run());
            let layers = vec![LayerProgress { digest: String::new(), bytes: 100, bytes_done: 50 }];
            let progress = PullProgress { image: "i".to_owned(), layers };
            pulls.send_replace(Pulls::from([("app".into(), progress)]));
            let text = || String::from_utf8(sink.0.lock().unwrap().clone()).unwrap();
            let bar = "app * pulling i  [###############---------------]  50 B of 100 B\n";
            if is_terminal {
                let shown = async {
                    while text() != bar {
                        tokio::task::yield_now().await;
                    }
                };
                tokio::time::timeout(Duration::from_secs(20), shown).await.expect("a bar");
            }
            pulls.send_replace(Pulls::new());
            views.send_replace(Some(at_rest(&pod, 0)));
            shown.await.unwrap();
            ended.await.unwrap().unwrap();
            let expected = if is_terminal { format!("{bar}\x1b[1A\r\x1b[J") } else { String::new() };
            assert_eq!(text(), expected);
        }
    }
}
