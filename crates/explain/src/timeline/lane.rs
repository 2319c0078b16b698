//! A lane being drawn: at most one span is open, and all of it has bounds.

use podspec::{ContainerKind, ContainerName, Moment};

use super::{Lane, Mark, MarkKind, Span, SpanKind};

/// What an observation shows may be put right by the plan that follows it at once.
const PROVISIONAL_NANOS: i64 = 20_000_000;
/// Of a lane; of more the ones in the middle are one.
pub(crate) const SPANS_MAX: usize = 400;
/// Of these, so many from the beginning.
const SPANS_FIRST: usize = 100;
pub(crate) const MARKS_MAX: usize = 800;
const MARKS_FIRST: usize = 200;
const TEXT_CHARS_MAX: usize = 240;

/// What a lane shows at a moment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Shown {
    pub(crate) kind: SpanKind,
    pub(crate) attempt: u32,
    pub(crate) detail: String,
}

impl Shown {
    /// What is waited for makes a span another; of the other kinds the detail is only more about it.
    fn goes_on(&self, span: &Span) -> bool {
        let told_apart = matches!(span.kind, SpanKind::Waiting | SpanKind::Turn | SpanKind::Backoff);
        self.kind == span.kind && self.attempt == span.attempt && (!told_apart || self.detail == span.detail)
    }
}

#[derive(Debug)]
pub(crate) struct Drawing {
    lane: Lane,
    /// The last span is open; an observation alone began it.
    open: Option<Open>,
    /// Where nothing was drawn yet, something may have been.
    cut: bool,
}

#[derive(Clone, Copy, Debug)]
struct Open {
    provisional: bool,
}

impl Drawing {
    pub(crate) fn new(container: Option<(ContainerName, ContainerKind)>, cut: bool) -> Self {
        let lane = Lane {
            container,
            spans: Vec::new(),
            marks: Vec::new(),
            marks_left_out: 0,
            restarts: 0,
            exit_code: None,
        };
        Self { lane, open: None, cut }
    }

    /// From `at` on this is shown. `provisional`: the plan has not spoken yet.
    pub(crate) fn show(&mut self, at: Moment, shown: Option<Shown>, provisional: bool) {
        let at = self.not_before(at);
        if let Some((open, span)) = self.open.zip(self.lane.spans.last_mut()) {
            if shown.as_ref().is_some_and(|shown| shown.goes_on(span)) {
                self.open = Some(Open { provisional: open.provisional && provisional });
                return;
            }
            let lasted = at.boot.0.saturating_sub(span.begin.boot.0);
            if open.provisional && lasted < PROVISIONAL_NANOS {
                let begin = span.begin;
                self.lane.spans.pop();
                self.open = None;
                return self.begin(begin, shown, provisional);
            }
            if lasted == 0 {
                self.lane.spans.pop();
            } else {
                span.end = Some(at);
            }
        }
        self.open = None;
        self.begin(at, shown, provisional);
    }

    fn begin(&mut self, at: Moment, shown: Option<Shown>, provisional: bool) {
        let Some(Shown { kind, attempt, detail }) = shown else { return };
        // What was taken back may have been as the one before it.
        if let Some(last) = self.lane.spans.last_mut()
            && (last.kind, last.attempt, last.end) == (kind, attempt, Some(at))
            && last.detail == detail
        {
            last.end = None;
        } else {
            let detail = one_line(&detail);
            self.lane.spans.push(Span { kind, begin: at, begin_unknown: false, end: None, attempt, detail });
        }
        self.open = Some(Open { provisional });
        self.collapse();
    }

    /// A span whose beginning nobody saw.
    pub(crate) fn ran_before(&mut self, begin: Moment, shown: Shown) {
        if self.cut && self.lane.spans.is_empty() {
            self.begin(begin, Some(shown), false);
            if let Some(span) = self.lane.spans.last_mut() {
                span.begin_unknown = true;
            }
        }
    }

    pub(crate) fn add_detail(&mut self, kind: SpanKind, detail: &str) {
        if let Some(span) = self.lane.spans.last_mut().filter(|span| span.kind == kind) {
            span.detail = one_line(detail);
        }
    }

    pub(crate) fn mark(&mut self, kind: MarkKind, at: Moment, attempt: u32, code: Option<i32>, text: &str) {
        self.lane.exit_code = code.or(self.lane.exit_code);
        let at = self.lane.marks.last().map_or(at, |last| later(last.at, at));
        if kind == MarkKind::Restart {
            self.lane.restarts = self.lane.restarts.max(attempt);
        }
        if self.lane.marks.len() >= MARKS_MAX {
            self.lane.marks.remove(MARKS_FIRST);
            self.lane.marks_left_out += 1;
        }
        self.lane.marks.push(Mark { kind, at, attempt, code, text: one_line(text) });
    }

    /// It had ended before there is anything to draw.
    pub(crate) fn had_exited(&mut self, begin: Moment, code: i32, shown: Shown) {
        self.lane.exit_code = self.lane.exit_code.or(Some(code));
        self.ran_before(begin, shown);
    }

    /// Nothing is known of it yet, though there was something.
    pub(crate) fn is_unknown(&self) -> bool {
        self.cut && self.lane.spans.is_empty()
    }

    pub(crate) fn restarted(&mut self, restarts: u32) {
        self.lane.restarts = self.lane.restarts.max(restarts);
    }

    /// What is shown now.
    pub(crate) fn kind(&self) -> Option<SpanKind> {
        self.open.and(self.lane.spans.last()).map(|span| span.kind)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lane.spans.is_empty()
    }

    pub(crate) fn finish(mut self, end: Moment) -> Lane {
        let end = self.not_before(end);
        if self.open.is_none()
            && let Some(span) = self.lane.spans.last_mut()
        {
            span.end.get_or_insert(end);
        }
        self.lane
    }

    /// Times are only put in order: what is late is drawn where the lane is.
    fn not_before(&self, at: Moment) -> Moment {
        let last = self.lane.spans.last();
        last.map_or(at, |span| later(span.end.unwrap_or(span.begin), at))
    }

    /// The ones in the middle become one span, which takes in one after the other.
    fn collapse(&mut self) {
        let spans = &mut self.lane.spans;
        if spans.len() <= SPANS_MAX {
            return;
        }
        let next = spans.remove(SPANS_FIRST + 1);
        let middle = &mut spans[SPANS_FIRST];
        middle.kind = SpanKind::Collapsed;
        middle.end = next.end;
        middle.detail = attempts(middle.attempt, next.attempt);
    }
}

fn attempts(from: u32, to: u32) -> String {
    if from == to { format!("attempt {from}") } else { format!("attempts {from} to {to}") }
}

fn later(a: Moment, b: Moment) -> Moment {
    if b.boot < a.boot { a } else { b }
}

/// Foreign text, cut at a bound.
pub(crate) fn one_line(text: &str) -> String {
    let mut out = String::new();
    for (count, word) in text.split(|c: char| c.is_whitespace() || c.is_control()).enumerate() {
        if word.is_empty() {
            continue;
        }
        if count > 0 && !out.is_empty() {
            out.push(' ');
        }
        out.push_str(word);
        if out.len() > TEXT_CHARS_MAX {
            break;
        }
    }
    if out.chars().count() > TEXT_CHARS_MAX {
        out = out.chars().take(TEXT_CHARS_MAX - 1).collect();
        out.push('\u{2026}');
    }
    out
}
