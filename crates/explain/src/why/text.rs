//! An explanation for people: the cause first, then how the pod comes to it, then what mends it.

use podspec::time::human_duration;
use std::fmt::Write as _;
use std::time::Duration;

use super::explanation::{Explanation, Health, Link, When};

/// How it is shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Look {
    /// Columns of the terminal; lines are broken at words.
    pub width: usize,
    pub color: bool,
}

const WIDTH_MIN: usize = 40;
const RED: &str = "\x1b[1;31m";
const YELLOW: &str = "\x1b[1;33m";
const GREEN: &str = "\x1b[1;32m";
const DIM: &str = "\x1b[2m";
const RESET: &str = "\x1b[0m";

/// Ends with a newline.
#[must_use]
pub fn text(explanation: &Explanation, look: Look) -> String {
    let mut out = String::new();
    let (word, color) = match explanation.health {
        Health::Well => ("well", GREEN),
        Health::Ended => ("ended", GREEN),
        Health::Progressing => ("under way", YELLOW),
        Health::Waiting => ("waiting", YELLOW),
        Health::Stuck => ("stuck", RED),
        Health::Failed => ("failed", RED),
    };
    let whose = match &explanation.container {
        Some(container) => format!("{} {container}", explanation.pod),
        None => explanation.pod.clone(),
    };
    let colored =
        |text: &str, color: &str| if look.color { format!("{color}{text}{RESET}") } else { text.to_owned() };
    let _ = writeln!(out, "{} {}", whose, colored(word, color));
    paragraph(&mut out, look, "  ", "  ", &explanation.cause);
    if !explanation.chain.is_empty() {
        out.push('\n');
        for link in &explanation.chain {
            paragraph(&mut out, look, "  - ", "    ", &format!("{}{}", link.text, times(link)));
        }
    }
    if let Some(logs) = &explanation.logs {
        let _ = writeln!(out, "\n  {} said last (attempt {}):", logs.container, logs.attempt);
        for line in &logs.lines {
            let width = look.width.max(WIDTH_MIN) - 4;
            let cut: String = line.chars().take(width).collect();
            let _ = writeln!(out, "    {}", colored(&cut, DIM));
        }
    }
    if !explanation.remedies.is_empty() {
        let head = if explanation.health == Health::Well { "could be better" } else { "remedy" };
        let _ = writeln!(out, "\n  {}:", colored(head, GREEN));
        for remedy in &explanation.remedies {
            let rule = remedy.rule.as_ref().map(|rule| format!(" [{rule}]")).unwrap_or_default();
            paragraph(&mut out, look, "  - ", "    ", &format!("{}{rule}", remedy.text));
        }
    }
    out
}

/// ` (for 12s, since 10:00:00; until 10:00:20, in 8s)`
fn times(link: &Link) -> String {
    let span = |seconds: i64| human_duration(Duration::from_secs(seconds.unsigned_abs()));
    let clock = |when: When| when.time.rfc3339_seconds();
    let since = link.since.map(|when| format!("since {}, for {}", clock(when), span(when.seconds)));
    let until = link.until.map(|when| format!("next at {}, in {}", clock(when), span(when.seconds)));
    match (since, until) {
        (None, None) => String::new(),
        (Some(since), Some(until)) => format!(" ({since}; {until})"),
        (Some(one), None) | (None, Some(one)) => format!(" ({one})"),
    }
}

fn paragraph(out: &mut String, look: Look, first: &str, rest: &str, text: &str) {
    let width = look.width.max(WIDTH_MIN);
    let mut line = first.to_owned();
    let mut begun = false;
    for word in text.split_whitespace() {
        if begun && line.chars().count() + 1 + word.chars().count() > width {
            out.push_str(&line);
            out.push('\n');
            rest.clone_into(&mut line);
            begun = false;
        }
        if begun {
            line.push(' ');
        }
        line.push_str(word);
        begun = true;
    }
    out.push_str(&line);
    out.push('\n');
}
