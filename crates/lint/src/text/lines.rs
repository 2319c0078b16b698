//! Lines and columns of a text.

use std::ops::Range;

/// Where each line of a text begins.
#[derive(Clone, Debug)]
pub struct Lines {
    starts: Vec<usize>,
    length: usize,
}

/// A place as people count: from 1. Columns are characters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Position {
    pub line: usize,
    pub column: usize,
}

impl Lines {
    #[must_use]
    pub fn of(text: &str) -> Self {
        let behind = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
        Self { starts: std::iter::once(0).chain(behind).collect(), length: text.len() }
    }

    /// Counted from 1.
    #[must_use]
    pub fn line(&self, byte: usize) -> usize {
        self.starts.partition_point(|start| *start <= byte)
    }

    /// What is behind the text is at its end.
    #[must_use]
    pub fn position(&self, text: &str, byte: usize) -> Position {
        let byte = byte.min(self.length);
        let line = self.line(byte);
        let start = self.range(line).start;
        let before = text.get(start..byte).unwrap_or_default();
        Position { line, column: before.trim_start_matches('\u{feff}').chars().count() + 1 }
    }

    /// The bytes of a line, counted from 1, with its end; none of a line that there is not.
    #[must_use]
    pub fn range(&self, line: usize) -> Range<usize> {
        let start = line.checked_sub(1).and_then(|index| self.starts.get(index)).copied();
        let end = self.starts.get(line).copied().unwrap_or(self.length);
        start.map_or(self.length..self.length, |start| start..end)
    }
}

#[cfg(test)]
mod tests {
    use super::{Lines, Position};

    #[test]
    fn every_byte_has_its_line_and_column() {
        let text = "\u{feff}a\nh\u{e9} \u{e9}\r\n\nz";
        let lines = Lines::of(text);
        let at = |byte| {
            let Position { line, column } = lines.position(text, byte);
            (line, column)
        };
        assert_eq!(
            [at(0), at(3), at(4), at(5), at(8), at(99)],
            [(1, 1), (1, 1), (1, 2), (2, 1), (2, 3), (4, 2)]
        );
        assert_eq!(
            [1, 2, 3, 4, 5, 0].map(|line| &text[lines.range(line)]),
            ["\u{feff}a\n", "h\u{e9} \u{e9}\r\n", "\n", "z", "", ""]
        );
    }
}
