//! A timeline as it grows, a line for each change: for what is no terminal.

use podspec::Moment;

use super::look::{label, of_mark, of_span};
use super::scale::amount;
use super::{Lane, Mark, Span, Timeline};

/// What has been said already.
#[derive(Clone, Debug, Default)]
pub struct Said {
    /// By lane: when the last span began, and how many marks there were.
    lanes: Vec<(Option<i64>, usize)>,
}

/// What is new since the last time, in the order in which it happened, each line with its newline.
pub fn changes(timeline: &Timeline, said: &mut Said) -> String {
    let mut lines: Vec<(Moment, String)> = Vec::new();
    said.lanes.resize(timeline.lanes.len(), (None, 0));
    for (lane, (last, marks)) in timeline.lanes.iter().zip(&mut said.lanes) {
        let all = lane.marks.len() + lane.marks_left_out;
        let fresh = all.saturating_sub(*marks).min(lane.marks.len());
        *marks = all;
        for mark in &lane.marks[lane.marks.len() - fresh..] {
            lines.push((mark.at, line(timeline, lane, mark.at, &of_mark_said(mark))));
        }
        let is_fresh = |span: &&Span| last.is_none_or(|last| span.begin.boot.0 > last);
        for span in lane.spans.iter().filter(is_fresh) {
            lines.push((span.begin, line(timeline, lane, span.begin, &of_span_said(span))));
        }
        *last = lane.spans.last().map(|span| span.begin.boot.0).max(*last);
    }
    lines.sort_by_key(|(at, _)| at.boot);
    lines.into_iter().map(|(_, line)| line).collect()
}

fn line(timeline: &Timeline, lane: &Lane, at: Moment, what: &str) -> String {
    let after = amount(at.boot.since(timeline.begin.boot));
    let who: String = label(lane).chars().map(|c| if c.is_control() { '?' } else { c }).collect();
    format!("{after:>8}  {who}: {what}\n")
}

fn of_span_said(span: &Span) -> String {
    let mut text = of_span(span.kind).says.to_owned();
    if !span.detail.is_empty() {
        text.push_str(&format!(" ({})", span.detail));
    }
    if span.attempt > 0 {
        text.push_str(&format!(", attempt {}", span.attempt));
    }
    text
}

fn of_mark_said(mark: &Mark) -> String {
    let mut text = of_mark(mark.kind).says.to_owned();
    if let Some(code) = mark.code {
        text.push_str(&format!(" {code}"));
    }
    if !mark.text.is_empty() {
        text.push_str(&format!(": {}", mark.text));
    }
    text
}
