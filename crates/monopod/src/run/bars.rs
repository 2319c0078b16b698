//! Pulls under way, as bars below the lines of a run: one line for each container.

use std::collections::BTreeMap;
use std::io::{self, Write};

use kubelet::events::binary;
use ports::PullProgress;

/// Of the lines on a terminal; of more pulls only the number is shown.
const SHOWN_MAX: usize = 16;
const CELLS_MIN: usize = 10;
const CELLS_MAX: usize = 30;
/// To the beginning of the line that is so many above, and everything from there on away.
const AWAY: (&str, &str) = ("\x1b[", "A\r\x1b[J");

/// How large the terminal is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Size {
    pub(crate) columns: usize,
    pub(crate) rows: usize,
}

/// One pull.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Bar {
    /// As lines of its container begin.
    pub(crate) prefix: String,
    /// How many columns that takes.
    pub(crate) prefix_columns: usize,
    pub(crate) progress: PullProgress,
}

impl Bar {
    /// In one line of a terminal that is so wide, or as much of it as there is room for.
    fn line(&self, columns: usize) -> String {
        // A terminal may begin the next line when one is full.
        let room = columns.saturating_sub(self.prefix_columns + 1);
        let (done, all) = (self.progress.bytes_done(), self.progress.bytes());
        let amounts = format!("{} of {}", binary(done), binary(all));
        let text = format!("pulling {}  ", self.progress.image);
        let beside = amounts.len() + "[]  ".len();
        let cells = room.saturating_sub(text.len() + beside);
        if cells >= CELLS_MIN {
            return format!("{}{text}{}  {amounts}", self.prefix, cells_of(done, all, cells));
        }
        let cells = room.saturating_sub(beside);
        if cells >= CELLS_MIN {
            return format!("{}{}  {amounts}", self.prefix, cells_of(done, all, cells));
        }
        if room >= amounts.len() { format!("{}{amounts}", self.prefix) } else { String::new() }
    }
}

fn cells_of(done: u64, all: u64, cells: usize) -> String {
    let cells = cells.min(CELLS_MAX);
    let filled = u128::from(done) * cells as u128 / u128::from(all.max(1));
    let filled = usize::try_from(filled).map_or(cells, |filled| filled.min(cells));
    format!("[{}{}]", "#".repeat(filled), "-".repeat(cells - filled))
}

/// What stands below the last line of a terminal.
#[derive(Debug, Default)]
pub(crate) struct Bars {
    /// By what tells containers apart.
    bars: BTreeMap<String, Bar>,
    /// Lines that are there.
    drawn: usize,
}

impl Bars {
    pub(crate) fn set(&mut self, key: String, bar: Option<Bar>) {
        match bar {
            Some(bar) => self.bars.insert(key, bar),
            None => self.bars.remove(&key),
        };
    }

    /// Before anything else is written.
    pub(crate) fn take_away(&mut self, out: &mut impl Write) -> io::Result<()> {
        match std::mem::take(&mut self.drawn) {
            0 => Ok(()),
            drawn => write!(out, "{}{drawn}{}", AWAY.0, AWAY.1),
        }
    }

    /// After that.
    pub(crate) fn draw(&mut self, out: &mut impl Write, size: Size) -> io::Result<()> {
        let shown = SHOWN_MAX.min(size.rows.saturating_sub(2)).min(self.bars.len());
        let more = self.bars.len() - shown;
        for bar in self.bars.values().take(shown) {
            writeln!(out, "{}", bar.line(size.columns))?;
        }
        if more > 0 && shown > 0 {
            writeln!(out, "and {more} more")?;
        }
        self.drawn = if shown > 0 { shown + usize::from(more > 0) } else { 0 };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use ports::{LayerProgress, PullProgress};

    use super::{Bar, Bars, Size};

    fn bar(done: u64) -> Bar {
        let layer = |bytes_done| LayerProgress { digest: String::new(), bytes: 250 << 20, bytes_done };
        let layers = vec![layer(done.min(250) << 20), layer(done.saturating_sub(250) << 20)];
        let progress = PullProgress { image: "example.com/app:1".to_owned(), layers };
        Bar { prefix: "app * ".to_owned(), prefix_columns: 6, progress }
    }

    #[test]
    fn a_bar_takes_one_line_of_any_width() {
        for (columns, line) in [
            (200, "app * pulling example.com/app:1  [#######-----------------------]  120 MiB of 500 MiB"),
            (70, "app * pulling example.com/app:1  [###-----------]  120 MiB of 500 MiB"),
            (60, "app * [#######-----------------------]  120 MiB of 500 MiB"),
            (40, "app * [##---------]  120 MiB of 500 MiB"),
            (30, "app * 120 MiB of 500 MiB"),
            (20, ""),
            (0, ""),
        ] {
            assert_eq!(bar(120).line(columns), line, "{columns}");
        }
        assert!((0..200).all(|columns| bar(120).line(columns).len() < columns.max(1)));
        assert!(bar(0).line(70).ends_with("-]  0 B of 500 MiB"));
        assert!(bar(500).line(70).contains("[##############]  500 MiB of 500 MiB"));
        let nothing = Bar { progress: PullProgress::default(), ..bar(0) };
        assert!(nothing.line(80).contains("[------------------------------]  0 B of 0 B"));
    }

    #[test]
    fn bars_stand_below_what_is_written() {
        let mut bars = Bars::default();
        let mut out = Vec::new();
        let size = Size { columns: 30, rows: 24 };
        for key in ["b", "a"] {
            bars.set(key.to_owned(), Some(bar(120)));
        }
        bars.take_away(&mut out).unwrap();
        bars.draw(&mut out, size).unwrap();
        bars.take_away(&mut out).unwrap();
        out.extend_from_slice(b"app | said\n");
        bars.set("a".to_owned(), None);
        bars.draw(&mut out, size).unwrap();
        bars.set("b".to_owned(), None);
        bars.take_away(&mut out).unwrap();
        bars.draw(&mut out, size).unwrap();
        let line = "app * 120 MiB of 500 MiB\n";
        let expected = format!("{line}{line}\x1b[2A\r\x1b[Japp | said\n{line}\x1b[1A\r\x1b[J");
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn more_than_a_terminal_has_room_for_are_counted() {
        for (rows, shown) in [(10, 8), (100, 16), (2, 0)] {
            let mut bars = Bars::default();
            for n in 0..20 {
                bars.set(format!("{n:02}"), Some(bar(1)));
            }
            let mut out = Vec::new();
            bars.draw(&mut out, Size { columns: 80, rows }).unwrap();
            let text = String::from_utf8(out).unwrap();
            assert_eq!(text.matches("MiB of").count(), shown);
            let more = format!("and {} more\n", 20 - shown);
            assert_eq!(text.ends_with(&more), shown > 0);
        }
    }
}
