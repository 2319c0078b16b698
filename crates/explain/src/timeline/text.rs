//! A timeline for a terminal: a line of blocks for each lane, its marks below it, one axis of time above all.

use std::fmt::Write as _;

use podspec::Moment;

use super::look::{Glyph, label, of_mark, of_span, outcome, rank};
use super::scale::{Scale, Tick, amount};
use super::{Lane, Mark, MarkKind, SpanKind, Timeline};

/// Narrower is drawn as if it were this wide.
pub const WIDTH_MIN: usize = 20;
/// Wider is not drawn.
const WIDTH_MAX: usize = 1_000;
/// Below this there is no room to say how each lane stands.
const OUTCOME_FROM: usize = 72;
const CHART_MIN: usize = 8;
const TICKS_APART: u32 = 10;
/// A mark may stand so many columns beside its time, where another has its place.
const MARK_MOVED_MAX: usize = 3;

/// How a text looks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Style {
    /// Columns that no line is wider than, from [`WIDTH_MIN`].
    pub width: usize,
    pub color: bool,
    /// Nothing but ASCII.
    pub ascii: bool,
    /// Says the date and time of the beginning.
    pub dated: bool,
}

/// Ends with a newline.
#[must_use]
pub fn text(timeline: &Timeline, style: Style) -> String {
    let page = Page::new(timeline, style);
    let mut lines = page.head();
    lines.extend(page.axis());
    for lane in &timeline.lanes {
        lines.extend(page.lane(lane));
    }
    lines.extend(page.legend());
    let mut text = String::new();
    for line in lines {
        text.push_str(&line.written(style));
        text.push('\n');
    }
    text
}

struct Page<'a> {
    timeline: &'a Timeline,
    style: Style,
    width: usize,
    labels: usize,
    chart: usize,
    /// 0 for none.
    outcomes: usize,
    scale: Scale,
}

/// Cells with their colours.
#[derive(Clone, Debug, Default)]
struct Line(Vec<(char, &'static str)>);

impl<'a> Page<'a> {
    fn new(timeline: &'a Timeline, style: Style) -> Self {
        let width = style.width.clamp(WIDTH_MIN, WIDTH_MAX);
        let longest = |of: fn(&Lane) -> String| {
            timeline.lanes.iter().map(|lane| of(lane).chars().count()).max().unwrap_or(0)
        };
        let labels = longest(label).min(width / 3);
        let outcomes = if width < OUTCOME_FROM { 0 } else { longest(outcome).min(width * 3 / 10) };
        let beside = labels + 1 + if outcomes > 0 { outcomes + 1 } else { 0 };
        let chart = width.saturating_sub(beside).max(CHART_MIN);
        let length = u32::try_from(chart).unwrap_or(u32::MAX);
        let scale = Scale::new(timeline.begin, timeline.end, length);
        Self { timeline, style, width, labels, chart, outcomes, scale }
    }

    fn head(&self) -> Vec<Line> {
        let Timeline { namespace, name, begin, end, at_rest, cut, .. } = self.timeline;
        let mut text = format!("{namespace}/{name}  {}", amount(end.boot.since(begin.boot)));
        if self.style.dated {
            let _ = write!(text, "  from {}", begin.wall.rfc3339_seconds());
        }
        if *cut {
            text.push_str("  (earlier is left out)");
        }
        text.push_str(if *at_rest { "  at rest" } else { "" });
        wrapped(&text, self.width, "1")
    }

    fn axis(&self) -> Vec<Line> {
        let ticks = self.scale.ticks(TICKS_APART);
        let mut names = self.margin("");
        let mut ruler = self.margin("");
        let (line, tick) = if self.style.ascii { ('-', '+') } else { ('\u{2500}', '\u{252c}') };
        let mut cells = vec![(line, "2"); self.chart];
        let mut free = 0;
        for Tick { at, label } in ticks {
            let at = at as usize;
            if let Some(cell) = cells.get_mut(at) {
                cell.0 = tick;
            }
            let size = label.chars().count();
            // The last one has its end at the end.
            let from = at.min(self.chart.saturating_sub(size));
            if from >= free && from + size <= self.chart {
                names.pad(self.labels + 1 + from);
                names.push(&label, "2");
                free = from + size + 1;
            }
        }
        ruler.0.extend(cells);
        vec![names, ruler]
    }

    fn lane(&self, lane: &Lane) -> Vec<Line> {
        let mut line = self.margin(&label(lane));
        line.0.extend(self.cells(lane));
        if self.outcomes > 0 {
            let tint = if lane.container.is_none() { "1" } else { "" };
            line.push(" ", "");
            line.push(&cut(&outcome(lane), self.outcomes, self.style.ascii), tint);
        }
        let mut lines = vec![line];
        lines.extend(self.marks(lane));
        lines
    }

    /// The longest first, so that short ones stay visible.
    fn cells(&self, lane: &Lane) -> Vec<(char, &'static str)> {
        let mut cells = vec![(' ', ""); self.chart];
        let mut spans: Vec<(usize, usize, SpanKind)> = (lane.spans.iter())
            .filter(|span| span.end.is_none_or(|end| end.boot >= self.timeline.begin.boot))
            .map(|span| {
                let (from, to) = (self.column(span.begin), self.edge(span.end.unwrap_or(self.timeline.end)));
                (from, to.clamp(from + 1, self.chart), span.kind)
            })
            .collect();
        spans.sort_by_key(|(from, to, _)| std::cmp::Reverse(to - from));
        for (from, to, kind) in spans {
            let glyph = of_span(kind);
            cells[from..to].fill((self.glyph(&glyph), glyph.color));
        }
        cells
    }

    /// Below the cells that they happened in, as far as there is room.
    fn marks(&self, lane: &Lane) -> Option<Line> {
        let mut cells = vec![(' ', ""); self.chart];
        let mut marks: Vec<&Mark> = lane.marks.iter().collect();
        marks.sort_by_key(|mark| rank(mark.kind));
        let mut is_any = false;
        for mark in marks {
            let (said, color) = self.said(mark);
            let size = said.chars().count();
            let meant = self.column(mark.at).min(self.chart.saturating_sub(size));
            let Some(from) = free(&cells, meant, size, mark) else { continue };
            for (cell, said) in cells[from..].iter_mut().zip(said.chars()) {
                *cell = (said, color);
            }
            is_any = true;
        }
        let mut line = self.margin("");
        line.0.extend(cells);
        is_any.then_some(line)
    }

    fn said(&self, mark: &Mark) -> (String, &'static str) {
        let glyph = of_mark(mark.kind);
        match (mark.kind, mark.code) {
            (MarkKind::Exit, Some(code)) => (code.to_string(), if code == 0 { "32" } else { "31;1" }),
            _ => (self.glyph(&glyph).to_string(), glyph.color),
        }
    }

    fn legend(&self) -> Vec<Line> {
        let lanes = || self.timeline.lanes.iter();
        let mut items: Vec<(String, &'static str, &'static str)> = Vec::new();
        for kind in SpanKind::ALL {
            if lanes().any(|lane| lane.spans.iter().any(|span| span.kind == kind)) {
                let glyph = of_span(kind);
                items.push((self.glyph(&glyph).to_string(), glyph.color, glyph.says));
            }
        }
        for kind in MarkKind::ALL {
            if lanes().any(|lane| lane.marks.iter().any(|mark| mark.kind == kind)) {
                let glyph = of_mark(kind);
                let shown =
                    if kind == MarkKind::Exit { "0-255".to_owned() } else { self.glyph(&glyph).to_string() };
                items.push((shown, glyph.color, glyph.says));
            }
        }
        let mut lines = vec![Line::default()];
        for (shown, color, says) in items {
            let mut item = Line::default();
            item.push(&shown, color);
            item.push(" ", "");
            item.push(says, "");
            let last = lines.last_mut().filter(|line| line.0.len() + 2 + item.0.len() <= self.width);
            match last {
                Some(line) if !line.0.is_empty() => {
                    line.push("  ", "");
                    line.0.extend(item.0);
                }
                _ => {
                    item.0.truncate(self.width);
                    lines.push(item);
                }
            }
        }
        lines
    }

    fn margin(&self, label: &str) -> Line {
        let mut line = Line::default();
        line.push(&cut(label, self.labels, self.style.ascii), "");
        line.pad(self.labels + 1);
        line
    }

    /// In which cell it happened.
    fn column(&self, at: Moment) -> usize {
        (self.scale.place(at) as usize).min(self.chart - 1)
    }

    fn edge(&self, at: Moment) -> usize {
        self.scale.place(at) as usize
    }

    fn glyph(&self, glyph: &Glyph) -> char {
        if self.style.ascii { glyph.ascii } else { glyph.unicode }
    }
}

/// Where so many cells are free, next to the one that is meant.
fn free(cells: &[(char, &str)], meant: usize, size: usize, mark: &Mark) -> Option<usize> {
    let is_number = mark.code.is_some();
    let near = (0..=MARK_MOVED_MAX).map(|by| match mark.kind {
        // An end has its causes before it, and what follows from it behind.
        MarkKind::Signal | MarkKind::Kill | MarkKind::Deletion => meant.checked_sub(by),
        MarkKind::ProbeFailed | MarkKind::ProbeErrored if by > 0 => None,
        _ => meant.checked_add(by),
    });
    near.flatten().find(|from| {
        let is_free =
            cells.get(*from..from + size).is_some_and(|cells| cells.iter().all(|cell| cell.0 == ' '));
        // Two numbers side by side would be read as one.
        let around = from.saturating_sub(1)..(from + size + 1).min(cells.len());
        is_free && !(is_number && cells[around].iter().any(|cell| cell.0.is_ascii_digit()))
    })
}

impl Line {
    fn push(&mut self, text: &str, color: &'static str) {
        self.0.extend(text.chars().map(|c| (c, color)));
    }

    fn pad(&mut self, to: usize) {
        if self.0.len() < to {
            self.0.resize(to, (' ', ""));
        }
    }

    fn written(&self, style: Style) -> String {
        let cells = &self.0[..self.0.iter().rposition(|(c, _)| *c != ' ').map_or(0, |last| last + 1)];
        let mut text = String::new();
        let mut held = "";
        for (c, color) in cells {
            let color = if style.color { *color } else { "" };
            if color != held {
                if !held.is_empty() {
                    text.push_str("\x1b[0m");
                }
                if !color.is_empty() {
                    let _ = write!(text, "\x1b[{color}m");
                }
                held = color;
            }
            text.push(if style.ascii { ascii(*c) } else { printable(*c) });
        }
        if !held.is_empty() {
            text.push_str("\x1b[0m");
        }
        text
    }
}

/// Names of pods and containers are ASCII; a record may be anybody's, and what is wide or moves the cursor would break lines.
fn printable(c: char) -> char {
    let ours =
        matches!(c, '\u{b7}' | '\u{394}' | '\u{2026}' | '\u{21ba}' | '\u{21bb}' | '\u{2500}'..='\u{259f}');
    if ours || c.is_ascii_graphic() || c == ' ' { c } else { '?' }
}

fn ascii(c: char) -> char {
    if c.is_ascii_graphic() || c == ' ' { c } else { '?' }
}

fn cut(text: &str, size: usize, ascii: bool) -> String {
    if text.chars().count() <= size {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(size.saturating_sub(1)).collect();
    short.push(if ascii { '~' } else { '\u{2026}' });
    short
}

/// Between words where it can be.
fn wrapped(text: &str, width: usize, color: &'static str) -> Vec<Line> {
    let mut lines = vec![Line::default()];
    for word in text.split("  ") {
        let word: Vec<char> = word.chars().collect();
        let fits = |line: &Line| line.0.is_empty() || line.0.len() + 2 + word.len() <= width;
        if !lines.last().is_some_and(fits) {
            lines.push(Line::default());
        }
        if let Some(line) = lines.last_mut().filter(|line| !line.0.is_empty()) {
            line.push("  ", color);
        }
        for piece in word.chunks(width) {
            if lines.last().is_some_and(|line| line.0.len() + piece.len() > width) {
                lines.push(Line::default());
            }
            if let Some(line) = lines.last_mut() {
                line.0.extend(piece.iter().map(|c| (*c, color)));
            }
        }
    }
    lines
}
