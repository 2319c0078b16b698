//! `monopod timeline`.

mod follow;
mod gone;
mod lines;
mod screen;

use std::io::{self, IsTerminal as _};
use std::time::Duration;

use clap::{Args, ValueEnum};
use explain::timeline::{self, Style, Timeline, WIDTH_MIN};
use journal::Record;

use crate::client::context::Context;
use crate::client::failure::{Failure, Result};
use crate::client::{print, record};
use crate::outcome;

pub(super) const HELP: &str = "\
Examples:
  monopod timeline web                      what every container of a pod did, on one axis of time
  monopod timeline web -w                   drawn again as it happens, until the pod is at rest
  monopod timeline web --since 10m -n shop
  monopod timeline web -o svg > web.svg     a picture for browsers and documents, light and dark
  monopod timeline web -o json | jq '.lanes[] | {container, restarts}'
  kubectl get --raw /api/v1/namespaces/default/pods/web/record > web.json; monopod timeline ./web.json
  monopod timeline                          the pods that are gone and can still be shown

It is read from the pod's journal: from its engine, from the pod's directory when the engine has died, or from what is kept of
the last 100 pods that were removed, by name or UID. Ready containers are drawn full, those that only run a little lower;
below each bar are exit codes, restarts, failed probes and signals. Without UTF-8 in LC_ALL, LC_CTYPE or LANG all is ASCII.";

/// Of a terminal that does not say how wide it is, and of what is none.
const WIDTH: usize = 100;
const WIDTH_MAX: usize = 1_000;

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// NAME or pod/NAME, the UID of a pod that is gone, or the file of a record; without, those that are gone are listed
    #[arg(value_name = "POD|FILE")]
    pod: Option<String>,
    /// Go on, until the pod is at rest or gone
    #[arg(short, long)]
    watch: bool,
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    output: Format,
    /// Columns of text; unless given, those of the terminal, or COLUMNS
    #[arg(long, value_name = "COLUMNS", value_parser = parse_width)]
    width: Option<usize>,
    /// Only what happened in the last DURATION, as 90s, 10m, 2h
    #[arg(long, value_name = "DURATION", value_parser = crate::client::parse_duration)]
    since: Option<Duration>,
    /// Nothing but ASCII, whatever the locale
    #[arg(long)]
    ascii: bool,
    /// Whether text is in colour; auto: at a terminal, unless NO_COLOR is set
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    color: Color,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Format {
    Text,
    Svg,
    Json,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Color {
    Auto,
    Always,
    Never,
}

pub(super) async fn timeline(options: &Options, context: &Context) -> Result<()> {
    let Some(pod) = &options.pod else {
        if options.watch || options.output != Format::Text {
            return Err(Failure::refused("-w and -o are about one pod: name it"));
        }
        return gone::list(context);
    };
    if options.watch && options.output != Format::Text {
        return Err(Failure::refused("-w shows text alone: leave -o out"));
    }
    let record = record::meant(context, pod).await?;
    if options.watch {
        return Box::pin(follow::follow(options, context, record)).await;
    }
    print::text(&options.shown(&options.of(&record)))
}

impl Options {
    fn of(&self, record: &Record) -> Timeline {
        let mut timeline = timeline::of(record);
        if let Some(since) = self.since {
            timeline.keep_last(since);
        }
        timeline
    }

    fn shown(&self, timeline: &Timeline) -> String {
        match self.output {
            Format::Text => timeline::text(timeline, self.style()),
            Format::Svg => timeline::svg(timeline),
            Format::Json => format!("{:#}\n", timeline::json(timeline)),
        }
    }

    fn style(&self) -> Style {
        let terminal = screen::columns();
        let width = self.width.or(terminal).or_else(columns_of_environment).unwrap_or(WIDTH);
        let color = match self.color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => io::stdout().is_terminal() && outcome::may_color(),
        };
        Style { width, color, ascii: self.ascii || !knows_unicode(), dated: true }
    }
}

fn parse_width(text: &str) -> std::result::Result<usize, String> {
    match text.parse() {
        Ok(width) if (WIDTH_MIN..=WIDTH_MAX).contains(&width) => Ok(width),
        _ => Err(format!("{text} is not a number from {WIDTH_MIN} to {WIDTH_MAX}")),
    }
}

fn columns_of_environment() -> Option<usize> {
    std::env::var("COLUMNS").ok()?.parse().ok().filter(|columns| *columns > 0)
}

/// As the locale says: the first of these that is set counts.
fn knows_unicode() -> bool {
    let set = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(set);
    locale.is_some_and(|locale| is_utf8(&locale))
}

fn is_utf8(locale: &str) -> bool {
    let codeset = locale.split_once('.').map_or("", |(_, codeset)| codeset);
    let codeset = codeset.split('@').next().unwrap_or_default();
    codeset.eq_ignore_ascii_case("utf-8") || codeset.eq_ignore_ascii_case("utf8")
}

#[cfg(test)]
mod tests {
    use super::{is_utf8, parse_width};

    #[test]
    fn locales() {
        for (locale, expected) in [
            ("C.UTF-8", true),
            ("de_DE.utf8@euro", true),
            ("en_US.ISO-8859-1", false),
            ("C", false),
            ("POSIX", false),
        ] {
            assert_eq!(is_utf8(locale), expected, "{locale}");
        }
    }

    #[test]
    fn widths() {
        assert_eq!(parse_width("20"), Ok(20));
        for wrong in ["", "19", "1001", "-1", "x"] {
            assert!(parse_width(wrong).is_err(), "{wrong}");
        }
    }
}
