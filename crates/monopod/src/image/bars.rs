//! How far a pull is: bars where somebody is watching, else a line for each layer that is done.

use std::collections::BTreeSet;
use std::io::{IsTerminal as _, Write as _, stderr};
use std::sync::{Mutex, PoisonError};

use ports::{PullObserver, PullProgress};
use rustix::termios::tcgetwinsize;

use super::table::size;
use crate::outcome::say;

/// Where the terminal does not say.
const COLUMNS: usize = 80;
/// Layers that are shown at once; those that are done go first.
const LINES_MAX: usize = 16;
const DIGEST_DIGITS: usize = 12;
const BAR_MAX: usize = 40;
/// ANSI: to the beginning of the line so many up, and clear from there on.
const UP: &str = "\r\x1b[";
const CLEAR: &str = "A\x1b[J";

#[derive(Debug)]
pub(super) struct Bars {
    /// `None`: say nothing.
    shown: Option<Mutex<Shown>>,
}

#[derive(Debug, Default)]
struct Shown {
    is_terminal: bool,
    lines: usize,
    done: BTreeSet<String>,
}

impl Bars {
    pub(super) fn new() -> Self {
        let is_terminal = stderr().is_terminal() && crate::outcome::may_color();
        Self { shown: Some(Mutex::new(Shown { is_terminal, ..Shown::default() })) }
    }

    pub(super) fn none() -> Self {
        Self { shown: None }
    }

    /// Takes the bars away.
    pub(super) fn finish(&self) {
        if let Some(shown) = &self.shown {
            shown.lock().unwrap_or_else(PoisonError::into_inner).draw(&[]);
        }
    }
}

impl PullObserver for Bars {
    fn pulling(&self) {}

    fn progress(&self, progress: &PullProgress) {
        let Some(shown) = &self.shown else { return };
        let mut shown = shown.lock().unwrap_or_else(PoisonError::into_inner);
        if shown.is_terminal {
            let columns = tcgetwinsize(stderr()).map_or(0, |size| usize::from(size.ws_col));
            shown.draw(&lines(progress, if columns == 0 { COLUMNS } else { columns }));
            return;
        }
        for layer in progress.layers.iter().filter(|layer| layer.bytes_done >= layer.bytes) {
            if shown.done.insert(layer.digest.clone()) {
                say(format_args!("{}: {}", short(&layer.digest), size(layer.bytes)));
            }
        }
    }
}

impl Shown {
    /// In place of what was drawn before. Without success where nobody is there any more.
    fn draw(&mut self, lines: &[String]) {
        let mut text = String::new();
        if self.lines > 0 {
            text = format!("{UP}{}{CLEAR}", self.lines);
        }
        for line in lines {
            text.push_str(line);
            text.push('\n');
        }
        self.lines = lines.len();
        let mut out = stderr().lock();
        let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    }
}

/// A line for each layer under way, as wide as the terminal at most, and one for the whole.
fn lines(progress: &PullProgress, columns: usize) -> Vec<String> {
    let is_under_way = |layer: &&ports::LayerProgress| layer.bytes_done < layer.bytes;
    let under_way: Vec<_> = progress.layers.iter().filter(is_under_way).collect();
    let shown = under_way.iter().take(LINES_MAX);
    let mut lines: Vec<String> =
        shown.map(|layer| line(&short(&layer.digest), layer.bytes_done, layer.bytes, columns)).collect();
    let (done, all) = (progress.layers_done(), progress.layers.len());
    let total = format!("{done} of {all} layers");
    lines.push(line(&total, progress.bytes_done(), progress.bytes(), columns));
    lines
}

fn line(what: &str, done: u64, all: u64, columns: usize) -> String {
    let amounts = format!("{:>7} of {:<7}", size(done.min(all)), size(all));
    let head = format!("{what:<16} ");
    // One column stays free, so that no terminal wraps.
    let room = columns.saturating_sub(head.len() + amounts.len() + 4).min(BAR_MAX);
    let line = if room < 4 {
        format!("{head}{}", amounts.trim())
    } else {
        let share = if all == 0 { 1.0 } else { done.min(all) as f64 / all as f64 };
        // Between nothing and all of it.
        let full = (share * room as f64) as usize;
        format!("{head}[{}{}] {amounts}", "=".repeat(full), " ".repeat(room - full.min(room)))
    };
    line.trim_end().chars().take(columns.saturating_sub(1)).collect()
}

fn short(digest: &str) -> String {
    digest.rsplit(':').next().unwrap_or_default().chars().take(DIGEST_DIGITS).collect()
}

#[cfg(test)]
mod tests {
    use ports::{LayerProgress, PullProgress};

    use super::lines;

    #[test]
    fn bars_are_as_wide_as_there_is_room() {
        let layer = |digit: char, bytes_done| LayerProgress {
            digest: format!("sha256:{}", digit.to_string().repeat(64)),
            bytes: 10_000_000,
            bytes_done,
        };
        let layers = vec![layer('a', 10_000_000), layer('b', 2_500_000), layer('c', 0)];
        let progress = PullProgress { image: "a".into(), layers };
        expect_test::expect![[r#"
            bbbbbbbbbbbb     [==========                              ]   2.5MB of 10.0MB
            cccccccccccc     [                                        ]      0B of 10.0MB
            1 of 3 layers    [================                        ]  12.5MB of 30.0MB"#]]
        .assert_eq(&lines(&progress, 80).join("\n"));
        expect_test::expect![[r#"
            bbbbbbbbbbbb     [==       ]   2.5MB of 10.0MB
            cccccccccccc     [         ]      0B of 10.0MB
            1 of 3 layers    [===      ]  12.5MB of 30.0MB"#]]
        .assert_eq(&lines(&progress, 48).join("\n"));
        for columns in 0..200 {
            assert!(lines(&progress, columns).iter().all(|line| line.len() < columns.max(1)), "{columns}");
        }
        let many = PullProgress { layers: (0..127).map(|_| layer('a', 0)).collect(), ..progress };
        assert_eq!(lines(&many, 80).len(), super::LINES_MAX + 1);
        assert_eq!(lines(&PullProgress::default(), 80).len(), 1);
    }
}
