//! A timeline as a picture: one file that needs nothing else, light or dark as its viewer is, and readable aloud.

use std::fmt::Write as _;

use podspec::Moment;

use super::look::{label, of_mark, of_span, outcome, rank};
use super::scale::{Scale, amount};
use super::{Lane, Mark, MarkKind, Span, SpanKind, Timeline};

const WIDTH: u32 = 1_040;
const MARGIN: u32 = 16;
const LABELS: u32 = 170;
const OUTCOMES: u32 = 190;
const CHART: u32 = WIDTH - 2 * MARGIN - LABELS - OUTCOMES;
const HEAD: u32 = 78;
const ROW: u32 = 38;
const BAR: u32 = 14;
const LEGEND_ROW: u32 = 20;
/// Of a character, about.
const CHARACTER: u32 = 7;
/// However short a span was, in tenths of a unit.
const SPAN_TENTHS_MIN: u32 = 15;
/// A mark may stand so far beside its time, where another has its place.
const MARK_MOVED_MAX: u32 = 20;
const LABEL_CHARS_MAX: usize = 23;
const OUTCOME_CHARS_MAX: usize = 27;

const STYLE: &str = "\
svg{--back:#fff;--ink:#1f2328;--dim:#656d76;--line:#d0d7de;--waiting:#d0d7de;--volumes:#9db7d8;--sandbox:#7fa3d1;\
--pull:#57a8c9;--create:#5b8bd0;--postStart:#a475d6;--startup:#e0b240;--running:#d4963a;--ready:#3fa45b;--backoff:#e8a5a0;\
--turn:#7cc4b4;--preStop:#b28ade;--terminating:#e07b5f;--teardown:#b8bec5;--exited:#c9d0d6;--collapsed:#d9c48e;--bad:#cf222e;\
--good:#1a7f37;font-family:ui-sans-serif,system-ui,sans-serif;font-size:12px}\
@media(prefers-color-scheme:dark){svg{--back:#0d1117;--ink:#e6edf3;--dim:#8d96a0;--line:#30363d;--waiting:#30363d;--volumes:#3c5a80;\
--sandbox:#3f6ba3;--pull:#2f7f9f;--create:#3a69ae;--postStart:#7d4fb0;--startup:#b08825;--running:#a8722a;--ready:#2f8a4a;\
--backoff:#8f4a46;--turn:#3f8577;--preStop:#8560b3;--terminating:#b3563d;--teardown:#484f58;--exited:#3a4149;--collapsed:#7d6c3c;\
--bad:#ff7b72;--good:#56d364}}\
.back{fill:var(--back)}text{fill:var(--ink)}.dim{fill:var(--dim)}.tick{stroke:var(--line);stroke-width:1}.bad{fill:var(--bad)}\
.good{fill:var(--good)}.name{font-size:15px;font-weight:600}.mark{font-size:11px;text-anchor:middle}.tickname{text-anchor:middle}";

/// Of the image alone; ends with a newline.
#[must_use]
pub fn svg(timeline: &Timeline) -> String {
    let rows = u32::try_from(timeline.lanes.len()).unwrap_or(u32::MAX);
    let legend = legend(timeline);
    let legend_rows = legend.last().map_or(0, |item| item.row + 1);
    let below = HEAD.saturating_add(ROW.saturating_mul(rows));
    let height = below.saturating_add(LEGEND_ROW * legend_rows + MARGIN);
    let mut out = String::new();
    let (name, text) = (escaped(&format!("{}/{}", timeline.namespace, timeline.name)), subtitle(timeline));
    let _ = write!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" role=\"img\">\n\
         <title>Timeline of pod {name}</title>\n<desc>{text}</desc>\n<style>{STYLE}{}</style>\n\
         <rect class=\"back\" width=\"{WIDTH}\" height=\"{height}\"/>\n\
         <text class=\"name\" x=\"{MARGIN}\" y=\"28\">{name}</text>\n<text class=\"dim\" x=\"{MARGIN}\" y=\"46\">{text}</text>\n",
        fills()
    );
    let scale = Scale::new(timeline.begin, timeline.end, CHART);
    axis(&mut out, scale, below);
    let mut y = HEAD;
    for lane in &timeline.lanes {
        draw(&mut out, timeline, lane, scale, y);
        y = y.saturating_add(ROW);
    }
    for item in legend {
        let y = below.saturating_add(LEGEND_ROW * item.row + 12);
        let sample = match item.sample {
            Sample::Span(kind) => {
                format!(
                    "<rect class=\"{}\" x=\"{}\" y=\"{}\" width=\"12\" height=\"10\"/>",
                    kind.name(),
                    item.x,
                    y - 9
                )
            }
            Sample::Mark(glyph) => {
                format!("<text class=\"mark\" x=\"{}\" y=\"{y}\">{glyph}</text>", item.x + 6)
            }
        };
        let _ =
            writeln!(out, "{sample}<text class=\"dim\" x=\"{}\" y=\"{y}\">{}</text>", item.x + 18, item.says);
    }
    out.push_str("</svg>\n");
    out
}

fn subtitle(timeline: &Timeline) -> String {
    let Timeline { begin, end, cut, at_rest, .. } = timeline;
    let before = if *cut { "; earlier is left out" } else { "" };
    let rest = if *at_rest { "; at rest" } else { "" };
    format!("{} from {}{before}{rest}", amount(end.boot.since(begin.boot)), begin.wall.rfc3339_seconds())
}

fn fills() -> String {
    SpanKind::ALL.iter().fold(String::new(), |mut out, kind| {
        let _ = write!(out, ".{0}{{fill:var(--{0})}}", kind.name());
        out
    })
}

fn axis(out: &mut String, scale: Scale, below: u32) {
    for tick in scale.ticks(70) {
        let x = MARGIN + LABELS + tick.at;
        let _ = writeln!(
            out,
            "<line class=\"tick\" x1=\"{x}\" x2=\"{x}\" y1=\"{}\" y2=\"{}\"/><text class=\"dim tickname\" x=\"{x}\" y=\"{}\">{}</text>",
            HEAD - 8,
            below - 8,
            HEAD - 13,
            tick.label
        );
    }
}

fn draw(out: &mut String, timeline: &Timeline, lane: &Lane, scale: Scale, y: u32) {
    let (name, outcome) = (cut(&label(lane), LABEL_CHARS_MAX), cut(&outcome(lane), OUTCOME_CHARS_MAX));
    let _ = writeln!(
        out,
        "<g><title>{}</title><text x=\"{MARGIN}\" y=\"{}\">{}</text>",
        escaped(&format!("{}: {outcome}", label(lane))),
        y + 11,
        escaped(&name)
    );
    for span in &lane.spans {
        bar(out, timeline, span, scale, y);
    }
    marks(out, timeline, lane, scale, y);
    let x = WIDTH - MARGIN - OUTCOMES + 10;
    let _ = writeln!(out, "<text class=\"dim\" x=\"{x}\" y=\"{}\">{}</text></g>", y + 11, escaped(&outcome));
}

fn bar(out: &mut String, timeline: &Timeline, span: &Span, scale: Scale, y: u32) {
    let end = span.end.unwrap_or(timeline.end);
    let (from, to) = (scale.tenths(span.begin), scale.tenths(end));
    let width = to.saturating_sub(from).max(SPAN_TENTHS_MIN);
    let from = from.min((CHART * 10).saturating_sub(width)) + (MARGIN + LABELS) * 10;
    let (top, height) = match span.kind {
        SpanKind::Exited | SpanKind::Waiting => (y + BAR / 2 - 1, 3),
        _ => (y, BAR),
    };
    let _ = writeln!(
        out,
        "<rect class=\"{}\" x=\"{}\" y=\"{top}\" width=\"{}\" height=\"{height}\"><title>{}</title></rect>",
        span.kind.name(),
        tenths(from),
        tenths(width),
        escaped(&said_of(span, timeline))
    );
}

/// `ready, attempt 2: 12s, from 3s to 15s`.
fn said_of(span: &Span, timeline: &Timeline) -> String {
    let since = |at: Moment| amount(at.boot.since(timeline.begin.boot));
    let mut text = of_span(span.kind).says.to_owned();
    if !span.detail.is_empty() {
        let _ = write!(text, " ({})", span.detail);
    }
    if span.attempt > 0 {
        let _ = write!(text, ", attempt {}", span.attempt);
    }
    let lasted = amount(span.end.unwrap_or(timeline.end).boot.since(span.begin.boot));
    let from = if span.begin_unknown { "before ".to_owned() } else { String::new() } + &since(span.begin);
    match span.end {
        Some(end) => {
            let _ = write!(text, ": {lasted}, from {from} to {}", since(end));
        }
        None => {
            let _ = write!(text, ": {lasted}, from {from}, goes on");
        }
    }
    text
}

/// As many as there is room for; each says more in its title.
fn marks(out: &mut String, timeline: &Timeline, lane: &Lane, scale: Scale, y: u32) {
    let mut taken: Vec<(u32, u32)> = Vec::new();
    let mut marks: Vec<&Mark> = lane.marks.iter().filter(|m| m.at.boot >= timeline.begin.boot).collect();
    marks.sort_by_key(|mark| rank(mark.kind));
    for mark in marks {
        let glyph = of_mark(mark.kind);
        let (shown, class) = match (mark.kind, mark.code) {
            (MarkKind::Exit, Some(0)) => ("0".to_owned(), "good"),
            (MarkKind::Exit, Some(code)) => (code.to_string(), "bad"),
            _ => (glyph.unicode.to_string(), if glyph.color.starts_with("31") { "bad" } else { "dim" }),
        };
        let half = CHARACTER * u32::try_from(shown.chars().count()).unwrap_or(1) / 2 + 1;
        let meant = MARGIN + LABELS + scale.place(mark.at);
        let Some(x) = free(&taken, meant, half, mark.kind) else { continue };
        taken.push((x.saturating_sub(half), x + half));
        let at = amount(mark.at.boot.since(timeline.begin.boot));
        let code = mark.code.map(|code| format!(" {code}")).unwrap_or_default();
        let more = if mark.text.is_empty() { String::new() } else { format!(": {}", mark.text) };
        let _ = writeln!(
            out,
            "<text class=\"mark {class}\" x=\"{x}\" y=\"{}\">{shown}<title>{}</title></text>",
            y + BAR + 12,
            escaped(&format!("{}{code} at {at}{more}", glyph.says))
        );
    }
}

/// Where nothing stands yet: where it is meant, or beside it, since an end has its causes before it and what follows behind.
fn free(taken: &[(u32, u32)], meant: u32, half: u32, kind: MarkKind) -> Option<u32> {
    let is_free = |x: &u32| {
        let (from, to) = (x.saturating_sub(half), x + half);
        !taken.iter().any(|(other_from, other_to)| from < *other_to && *other_from < to)
    };
    let mut near = (0..=MARK_MOVED_MAX).map(|by| match kind {
        MarkKind::Signal | MarkKind::Kill | MarkKind::Deletion => meant.saturating_sub(by),
        MarkKind::ProbeFailed | MarkKind::ProbeErrored => meant,
        _ => meant + by,
    });
    near.find(is_free)
}

enum Sample {
    Span(SpanKind),
    Mark(char),
}

struct Item {
    sample: Sample,
    says: &'static str,
    x: u32,
    row: u32,
}

fn legend(timeline: &Timeline) -> Vec<Item> {
    let lanes = || timeline.lanes.iter();
    let spans = (SpanKind::ALL.into_iter())
        .filter(|kind| lanes().any(|lane| lane.spans.iter().any(|span| span.kind == *kind)))
        .map(|kind| (Sample::Span(kind), of_span(kind).says));
    let marks = (MarkKind::ALL.into_iter())
        .filter(|kind| *kind != MarkKind::Exit)
        .filter(|kind| lanes().any(|lane| lane.marks.iter().any(|mark| mark.kind == *kind)))
        .map(|kind| (Sample::Mark(of_mark(kind).unicode), of_mark(kind).says));
    let (mut x, mut row) = (MARGIN, 0);
    let mut items = Vec::new();
    for (sample, says) in spans.chain(marks) {
        let width = 34 + CHARACTER * u32::try_from(says.len()).unwrap_or(0);
        if x + width > WIDTH - MARGIN && x > MARGIN {
            (x, row) = (MARGIN, row + 1);
        }
        items.push(Item { sample, says, x, row });
        x += width;
    }
    items
}

fn tenths(value: u32) -> String {
    match value % 10 {
        0 => (value / 10).to_string(),
        tenth => format!("{}.{tenth}", value / 10),
    }
}

fn cut(text: &str, size: usize) -> String {
    if text.chars().count() <= size {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(size.saturating_sub(1)).collect();
    short.push('\u{2026}');
    short
}

/// As text or in an attribute of XML 1.0, without what that may not hold.
#[must_use]
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\t' | '\n' | '\r' => out.push(' '),
            '\u{20}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'.. => out.push(c),
            _ => out.push('?'),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::escaped;

    #[test]
    fn what_xml_takes_for_its_own_is_escaped() {
        assert_eq!(escaped("a<b>&\"'\u{1}\n\u{e9}"), "a&lt;b&gt;&amp;&quot;&#39;? \u{e9}");
    }
}
