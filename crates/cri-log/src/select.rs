//! What of a log is printed: the options of `kubectl logs` (`v1.PodLogOptions`).

use podspec::WallTime;

use crate::{Record, Timestamp};

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Selection {
    /// `tailLines`: only the last so many records. Kubernetes counts records, not a container's lines.
    pub tail_lines: Option<u64>,
    /// `sinceTime`: only records from then on.
    pub since: Option<WallTime>,
    /// `limitBytes`: printing stops there, within a line if need be.
    pub limit_bytes: Option<u64>,
    /// `timestamps`: before each line.
    pub timestamps: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Flow {
    Continue,
    /// The limit is reached: nothing more will be printed.
    Done,
}

/// Finds where the last lines of a file begin, from blocks read backwards from its end.
#[derive(Debug)]
pub struct TailScan {
    /// Newlines to skip; the one that ends the last line is not a start.
    newlines_left: u64,
}

impl TailScan {
    #[must_use]
    pub const fn new(tail_lines: u64) -> Self {
        Self { newlines_left: tail_lines.saturating_add(1) }
    }

    /// Looks at the block before all blocks given so far, `offset` being where in the file it begins.
    /// Returns where to read from once that is known; if it never is, from the start.
    pub fn block_before(&mut self, offset: u64, block: &[u8]) -> Option<u64> {
        for newline in memchr::memrchr_iter(b'\n', block) {
            self.newlines_left -= 1;
            if self.newlines_left == 0 {
                return Some(offset + newline as u64 + 1);
            }
        }
        None
    }
}

/// Turns records into what is printed.
#[derive(Debug)]
pub struct Printer {
    since: Option<WallTime>,
    timestamps: bool,
    bytes_left: u64,
    line_start: bool,
}

impl Printer {
    #[must_use]
    pub fn new(selection: &Selection) -> Self {
        Self {
            since: selection.since,
            timestamps: selection.timestamps,
            bytes_left: selection.limit_bytes.unwrap_or(u64::MAX),
            line_start: true,
        }
    }

    /// Gives `put` what is to be seen of `record`, piece by piece.
    pub fn print(&mut self, record: &Record<'_>, mut put: impl FnMut(&[u8])) -> Flow {
        if self.since.is_some_and(|since| record.time < since) {
            return Flow::Continue;
        }
        if self.timestamps && self.line_start {
            self.put(Timestamp::new(record.time).as_bytes(), &mut put);
            self.put(b" ", &mut put);
        }
        self.put(record.text, &mut put);
        if !record.partial {
            self.put(b"\n", &mut put);
        }
        self.line_start = !record.partial;
        if self.bytes_left == 0 { Flow::Done } else { Flow::Continue }
    }

    fn put(&mut self, piece: &[u8], put: &mut impl FnMut(&[u8])) {
        let length = usize::try_from(self.bytes_left).unwrap_or(usize::MAX).min(piece.len());
        self.bytes_left -= length as u64;
        put(&piece[..length]);
    }
}

#[cfg(test)]
mod tests {
    use podspec::WallTime;

    use super::{Flow, Printer, Selection, TailScan};
    use crate::decode;

    const LOG: &str = "2016-10-06T00:17:09.000000001Z stdout F one\n\
                       2016-10-06T00:17:10.000000001Z stderr P tw\n\
                       2016-10-06T00:17:10.000000002Z stderr F o\n\
                       2016-10-06T00:17:11.000000001Z stdout F three\n";

    fn print(selection: Selection) -> (String, Flow) {
        let mut printer = Printer::new(&selection);
        let mut printed = Vec::new();
        let mut flow = Flow::Continue;
        for line in LOG.lines() {
            let record = decode(line.as_bytes()).unwrap();
            flow = printer.print(&record, |piece| printed.extend_from_slice(piece));
            if flow == Flow::Done {
                break;
            }
        }
        (String::from_utf8(printed).unwrap(), flow)
    }

    #[test]
    fn joins_partial_records_and_prints_one_timestamp_a_line() {
        assert_eq!(print(Selection::default()), ("one\ntwo\nthree\n".to_owned(), Flow::Continue));
        let (printed, _) = print(Selection { timestamps: true, ..Selection::default() });
        let expected = "2016-10-06T00:17:09.000000001Z one\n\
                        2016-10-06T00:17:10.000000001Z two\n\
                        2016-10-06T00:17:11.000000001Z three\n";
        assert_eq!(printed, expected);
    }

    #[test]
    fn since_includes_its_own_instant() {
        let since = Some(WallTime::from_unix(1_475_713_030, 1));
        assert_eq!(print(Selection { since, ..Selection::default() }).0, "two\nthree\n");
    }

    #[test]
    fn the_byte_limit_cuts_within_a_line() {
        for (limit, expected) in [(0, ""), (4, "one\n"), (6, "one\ntw"), (8, "one\ntwo\n")] {
            let selection = Selection { limit_bytes: Some(limit), ..Selection::default() };
            assert_eq!(print(selection), (expected.to_owned(), Flow::Done), "limit {limit}");
        }
        let selection = Selection { limit_bytes: Some(15), ..Selection::default() };
        assert_eq!(print(selection), ("one\ntwo\nthree\n".to_owned(), Flow::Continue));
    }

    fn tail(text: &str, lines: u64, block_bytes: usize) -> &str {
        let mut scan = TailScan::new(lines);
        let mut end = text.len();
        while end > 0 {
            let start = end.saturating_sub(block_bytes);
            if let Some(at) = scan.block_before(start as u64, &text.as_bytes()[start..end]) {
                return &text[usize::try_from(at).unwrap()..];
            }
            end = start;
        }
        text
    }

    #[test]
    fn the_tail_is_found_through_any_blocks() {
        for block_bytes in 1..20 {
            for (lines, expected) in [(0, ""), (1, "c\n"), (2, "b\nc\n"), (3, "a\nb\nc\n"), (9, "a\nb\nc\n")]
            {
                assert_eq!(tail("a\nb\nc\n", lines, block_bytes), expected, "{lines} lines");
            }
        }
        assert_eq!(tail("", 3, 4), "");
    }
}
