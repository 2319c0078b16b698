//! A timeline that goes on.

use std::time::Duration;

use explain::timeline::{self, Said};
use journal::{Entry, Happening, Record};
use podspec::Moment;
use tokio::time::{Instant, sleep_until};

use super::Options;
use super::lines::Lines;
use super::screen::{self, Screen};
use crate::client::context::{Context, pod_path};
use crate::client::failure::{Failure, Result};
use crate::client::{print, record};
use crate::signals::Signals;

/// Between two drawings, however much happens.
const APART_MIN: Duration = Duration::from_millis(100);
/// While something is under way.
const APART_MAX: Duration = Duration::from_secs(1);
/// More are read anew from where they are bounded.
const ENTRIES_MAX: usize = 50_000;

pub(super) async fn follow(options: &Options, context: &Context, record: Record) -> Result<()> {
    let signals = Signals::install().map_err(|error| Failure::Other(error.into()))?;
    let terminal = screen::is_there();
    let screen = terminal.then(Screen::begin).transpose().map_err(Failure::of_output)?;
    let view = View { options, screen, said: Said::default() };
    let mut following =
        Following { context, obtained: Instant::now(), read: record.now, record, signals, view };
    following.run().await
}

struct Following<'a> {
    context: &'a Context,
    record: Record,
    /// When that was read, here and on its machine.
    obtained: Instant,
    read: Moment,
    signals: Signals,
    view: View<'a>,
}

enum Next {
    Entry(Box<Entry>),
    /// The pod is gone, or whoever told of it.
    End,
    Draw,
    Interrupted,
}

impl Following<'_> {
    async fn run(&mut self) -> Result<()> {
        let mut lines = self.stream().await?;
        let mut due = Instant::now();
        let mut drawn = Instant::now();
        let mut is_over = lines.is_none();
        loop {
            if is_over || Instant::now() >= due {
                let under_way = self.draw()?;
                if is_over || !under_way {
                    return Ok(());
                }
                drawn = Instant::now();
                due = drawn + APART_MAX;
            }
            let Some(open) = &mut lines else { return Ok(()) };
            let next = tokio::select! {
                line = open.next() => match line? {
                    Some(line) => Next::Entry(Box::new(parse(&line)?)),
                    None => Next::End,
                },
                () = sleep_until(due) => Next::Draw,
                () = self.signals.next() => Next::Interrupted,
            };
            match next {
                Next::Entry(entry) => {
                    self.take_in(*entry);
                    due = due.min(drawn + APART_MIN);
                    if self.record.entries.len() > ENTRIES_MAX {
                        self.again().await;
                    }
                }
                Next::End => {
                    lines = self.stream().await?;
                    is_over = lines.is_none() || self.is_another().await;
                    if is_over {
                        self.again().await;
                    }
                }
                Next::Draw => {}
                Next::Interrupted => return Ok(()),
            }
        }
    }

    /// `None` where no engine tells how it goes on.
    async fn stream(&self) -> Result<Option<Lines>> {
        let pod = &self.record.pod;
        let after = self.record.entries.last().map_or(0, |entry| entry.seq);
        let path = format!("{}/record?watch=true&after={after}", pod_path(&pod.namespace, &pod.name));
        match self.context.stream(&path).await {
            Ok(parts) => Ok(Some(Lines::new(parts))),
            Err(failure) if record::may_be_elsewhere(&failure) => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// Whether the name is that of another pod by now.
    async fn is_another(&self) -> bool {
        let found = record::obtain(self.context, &self.record.pod.name).await;
        found.is_ok_and(|found| found.pod.uid != self.record.pod.uid)
    }

    /// As it was last, wherever that is. What cannot be read any more leaves what is known.
    async fn again(&mut self) {
        if let Ok(found) = record::obtain(self.context, self.record.pod.uid.as_str()).await {
            (self.record, self.obtained) = (found, Instant::now());
            self.read = self.record.now;
        }
    }

    /// As its engine did.
    fn take_in(&mut self, entry: Entry) {
        let Record { pod, observed, entries, .. } = &mut self.record;
        if entries.last().is_some_and(|last| last.seq >= entry.seq) {
            return;
        }
        match &entry.what {
            Happening::Observed(observation) => observed.observe(&pod.spec, observation, entry.at),
            Happening::Issued(action) => observed.issue(&pod.spec, action, entry.at),
            Happening::Changed(changed) => pod.clone_from(changed),
            Happening::Snapshot(snapshot) => observed.clone_from(&snapshot.observed),
            Happening::Decided(_) | Happening::Settled => {}
        }
        entries.push(entry);
    }

    /// Whether it goes on.
    fn draw(&mut self) -> Result<bool> {
        self.record.now = self.read.after(self.obtained.elapsed());
        self.view.draw(&self.record)
    }
}

fn parse(line: &[u8]) -> Result<Entry> {
    serde_json::from_slice(line).map_err(|error| {
        Failure::said(format!("the engine's journal cannot be read, as that of another version: {error}"))
    })
}

struct View<'a> {
    options: &'a Options,
    /// At a terminal.
    screen: Option<Screen>,
    said: Said,
}

impl View<'_> {
    fn draw(&mut self, record: &Record) -> Result<bool> {
        let timeline = self.options.of(record);
        match &mut self.screen {
            Some(screen) => {
                let text = timeline::text(&timeline, self.options.style());
                screen.draw(&text).map_err(Failure::of_output)?;
            }
            None => print::text(&timeline::changes(&timeline, &mut self.said))?,
        }
        Ok(!timeline.at_rest)
    }
}
