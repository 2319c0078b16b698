//! Findings for people: the lines they are about, with arrows.

use std::fmt::{self, Display, Write as _};
use std::io::IsTerminal as _;

use lint::Severity;
use lint::text::{Lines, Located};
use miette::{
    Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteError, MietteSpanContents,
    SourceCode, SourceSpan, SpanContents, ThemeCharacters, ThemeStyles,
};
use podspec::load::Span;

use super::report::Report;
use crate::outcome;
use crate::run::terminal_columns;

/// Longer lines are shown in part: JSON in one line has megabytes.
const LINE_BYTES_MAX: usize = 500;
/// What is shown of such a line before and behind a place in it.
const AROUND_BYTES: usize = 60;
/// Lines around those that are pointed at.
const CONTEXT_LINES: usize = 1;
const WIDTH_MIN: usize = 40;
const WIDTH_MAX: usize = 120;

/// What the reader can see.
#[derive(Clone, Copy, Debug)]
pub(super) struct Style {
    pub(super) color: bool,
    pub(super) unicode: bool,
    /// `None`: lines are not broken.
    pub(super) columns: Option<usize>,
}

impl Style {
    /// Of standard output, or standard error.
    pub(super) fn of_output(is_error: bool, no_color: bool) -> Self {
        let (stdout, stderr) = (std::io::stdout(), std::io::stderr());
        let is_terminal = if is_error { stderr.is_terminal() } else { stdout.is_terminal() };
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].iter().filter_map(std::env::var_os);
        let locale =
            locale.map(|value| value.to_string_lossy().to_uppercase()).find(|value| !value.is_empty());
        Self {
            color: is_terminal && outcome::may_color() && !no_color,
            unicode: locale.is_some_and(|name| name.contains("UTF-8") || name.contains("UTF8")),
            columns: is_terminal.then(terminal_columns),
        }
    }

    fn handler(self) -> GraphicalReportHandler {
        let characters = if self.unicode { ThemeCharacters::unicode() } else { ThemeCharacters::ascii() };
        let styles = if self.color { ThemeStyles::ansi() } else { ThemeStyles::none() };
        let handler = GraphicalReportHandler::new_themed(GraphicalTheme { characters, styles });
        let handler = handler.with_links(false).with_context_lines(CONTEXT_LINES);
        match self.columns {
            Some(columns) => handler.with_width(columns.clamp(WIDTH_MIN, WIDTH_MAX)),
            None => handler.with_width(usize::MAX >> 1).with_wrap_lines(false),
        }
    }
}

/// Everything that was found, and a line that counts it.
pub(super) fn render(report: &Report, style: Style) -> String {
    let handler = style.handler();
    let mut out = String::new();
    for line in &report.unreadable {
        let _ = writeln!(out, "error: {line}\n");
    }
    for (file, examined) in &report.files {
        let source = Source { name: &file.name, text: &file.text, lines: Lines::of(&file.text) };
        for located in &examined.findings {
            let shown = Shown { located, window: source.window(located), source: &source };
            // Writing to a string fails for what cannot be shown, and then it is said in words.
            if handler.render_report(&mut out, &shown).is_err() {
                let _ = writeln!(out, "{}: {}", file.name, located.message);
            }
            out.push('\n');
        }
        let left_off = examined.counts.values().sum::<usize>().saturating_sub(examined.findings.len());
        if left_off > 0 {
            let _ = writeln!(out, "{}: {left_off} more are not shown\n", file.name);
        }
    }
    let _ = writeln!(out, "{}", report.summary());
    out
}

/// A text, of which lines are shown.
struct Source<'a> {
    name: &'a str,
    text: &'a str,
    lines: Lines,
}

/// The part of a text that is shown for one finding: whole lines, unless they are very long.
#[derive(Clone, Copy)]
struct Window {
    start: usize,
    end: usize,
}

impl Source<'_> {
    /// Everything where the lines have a usual length; otherwise the surroundings of the place alone.
    fn window(&self, located: &Located) -> Window {
        let whole = Window { start: 0, end: self.text.len() };
        let spans = std::iter::once(located.at).chain(located.related.iter().map(|related| related.at));
        let is_usual = |span: Span| {
            let line = self.lines.line(span.range().start);
            let near = line.saturating_sub(CONTEXT_LINES)..=line + CONTEXT_LINES;
            near.into_iter().all(|line| self.lines.range(line).len() <= LINE_BYTES_MAX)
        };
        if spans.into_iter().all(is_usual) {
            return whole;
        }
        let at = located.at.range();
        let line = self.lines.range(self.lines.line(at.start));
        let start = at.start.saturating_sub(AROUND_BYTES).max(line.start);
        let end = at.end.min(at.start + LINE_BYTES_MAX).saturating_add(AROUND_BYTES).min(line.end);
        Window { start: boundary(self.text, start), end: boundary(self.text, end) }
    }
}

fn boundary(text: &str, byte: usize) -> usize {
    (0..=byte.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

struct Shown<'a> {
    located: &'a Located,
    window: Window,
    source: &'a Source<'a>,
}

impl Shown<'_> {
    fn label(&self, words: Option<String>, span: Span, is_primary: bool) -> Option<LabeledSpan> {
        let Window { start, end } = self.window;
        let range = span.range();
        if range.start < start || range.start > end {
            return None;
        }
        let span = (range.start, range.end.min(end).saturating_sub(range.start));
        Some(match is_primary {
            true => LabeledSpan::new_primary_with_span(words, span),
            false => LabeledSpan::new_with_span(words, span),
        })
    }
}

impl SourceCode for Shown<'_> {
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        lines_before: usize,
        lines_after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let Source { name, text, lines } = self.source;
        let (first, last) =
            (lines.line(span.offset()), lines.line(span.offset() + span.len().saturating_sub(1)));
        let start = lines.range(first.saturating_sub(lines_before).max(1)).start.max(self.window.start);
        let end = lines.range(last.saturating_add(lines_after)).end.min(self.window.end);
        let data = text.get(start..end.max(start)).ok_or(MietteError::OutOfBounds)?;
        let whole = SourceSpan::from((start, data.len()));
        // Asked for nothing around it, it is where the place itself is.
        let is_alone = lines_before == 0 && lines_after == 0;
        let position = lines.position(text, if is_alone { span.offset() } else { start });
        let (line, column) = (position.line - 1, position.column - 1);
        let count = data.lines().count();
        let name = name.to_string();
        Ok(Box::new(MietteSpanContents::new_named(name, data.as_bytes(), whole, line, column, count)))
    }
}

impl fmt::Debug for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.located, f)
    }
}

impl Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.located.message)
    }
}

impl std::error::Error for Shown<'_> {}

impl Diagnostic for Shown<'_> {
    fn code<'a>(&'a self) -> Option<Box<dyn Display + 'a>> {
        let rule = self.located.rule;
        Some(Box::new(format!("{}[{}]", word(rule.severity), rule.id)))
    }

    fn severity(&self) -> Option<miette::Severity> {
        Some(match self.located.rule.severity {
            Severity::Error => miette::Severity::Error,
            Severity::Warning => miette::Severity::Warning,
            Severity::Hint => miette::Severity::Advice,
        })
    }

    fn help<'a>(&'a self) -> Option<Box<dyn Display + 'a>> {
        let help = self.located.help.as_deref();
        let fix = self.located.fix.as_ref().map(|fix| format!("--fix can do it: {}", fix.title));
        let lines: Vec<&str> = help.into_iter().chain(fix.as_deref()).collect();
        (!lines.is_empty()).then(|| Box::new(lines.join("\n")) as Box<dyn Display>)
    }

    fn url<'a>(&'a self) -> Option<Box<dyn Display + 'a>> {
        Some(Box::new(format!("monopod lint --explain {}", self.located.rule.id)))
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(self)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let path = &self.located.path;
        let words = (!path.segments().is_empty()).then(|| path.to_string());
        let primary = self.label(words, self.located.at, true);
        let related = self.located.related.iter();
        let others = related.filter_map(|related| self.label(Some(related.words.clone()), related.at, false));
        Some(Box::new(primary.into_iter().chain(others)))
    }
}

pub(super) fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Hint => "hint",
    }
}
