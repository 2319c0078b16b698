//! What is different between two texts, by lines.

use std::fmt::Write as _;
use std::ops::Range;

/// Bytes of the old text, and those of the new one in their place: whole lines.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Change {
    pub old: Range<usize>,
    pub new: Range<usize>,
}

/// Lines that differ, up to which the smallest difference is looked for. Texts with more are taken for different from the first
/// to the last line that is.
const DIFFERENCES_MAX: usize = 1_000;
/// Lines around a change in a patch.
const CONTEXT_LINES: usize = 3;

/// Every change, in order.
#[must_use]
pub fn changes(old: &str, new: &str) -> Vec<Change> {
    let (old_lines, new_lines) = (lines(old), lines(new));
    let bytes = |starts: &[usize], lines: Range<usize>| starts[lines.start]..starts[lines.end];
    let (old_starts, new_starts) = (starts(&old_lines), starts(&new_lines));
    let of =
        |change: Change| Change { old: bytes(&old_starts, change.old), new: bytes(&new_starts, change.new) };
    changed_lines(&old_lines, &new_lines).into_iter().map(of).collect()
}

/// A unified diff, as `patch` takes it; empty when nothing is different.
#[must_use]
pub fn patch(name: &str, old: &str, new: &str) -> String {
    let (old_lines, new_lines) = (lines(old), lines(new));
    let changes = changed_lines(&old_lines, &new_lines);
    let mut out = String::new();
    let mut rest = changes.as_slice();
    while let Some(first) = rest.first() {
        let is_near = |pair: &[Change]| pair[1].old.start - pair[0].old.end <= 2 * CONTEXT_LINES;
        let count = 1 + rest.windows(2).take_while(|pair| is_near(pair)).count();
        let (hunk, later) = rest.split_at(count);
        rest = later;
        if out.is_empty() {
            let _ = write!(out, "--- {name}\n+++ {name}\n");
        }
        let last = &hunk[count - 1];
        let before = first.old.start.min(CONTEXT_LINES);
        let after = (old_lines.len() - last.old.end).min(CONTEXT_LINES);
        let old_range = first.old.start - before..last.old.end + after;
        let new_range = first.new.start - before..last.new.end + after;
        let _ = writeln!(out, "@@ -{} +{} @@", place(&old_range), place(&new_range));
        let mut at = old_range.start;
        for change in hunk {
            old_lines[at..change.old.start].iter().for_each(|line| write_line(&mut out, ' ', line));
            old_lines[change.old.clone()].iter().for_each(|line| write_line(&mut out, '-', line));
            new_lines[change.new.clone()].iter().for_each(|line| write_line(&mut out, '+', line));
            at = change.old.end;
        }
        old_lines[at..old_range.end].iter().for_each(|line| write_line(&mut out, ' ', line));
    }
    out
}

fn place(lines: &Range<usize>) -> String {
    // Of no lines, the one before is named.
    let start = if lines.is_empty() { lines.start } else { lines.start + 1 };
    format!("{start},{}", lines.len())
}

fn write_line(out: &mut String, sign: char, line: &str) {
    out.push(sign);
    out.push_str(line);
    if !line.ends_with('\n') {
        out.push_str("\n\\ No newline at end of file\n");
    }
}

fn lines(text: &str) -> Vec<&str> {
    text.split_inclusive('\n').collect()
}

fn starts(lines: &[&str]) -> Vec<usize> {
    let ends = lines.iter().scan(0, |at, line| {
        *at += line.len();
        Some(*at)
    });
    std::iter::once(0).chain(ends).collect()
}

/// By numbers of lines, from 0.
fn changed_lines(old: &[&str], new: &[&str]) -> Vec<Change> {
    let start = old.iter().zip(new).take_while(|(a, b)| a == b).count();
    let same = old[start..].iter().rev().zip(new[start..].iter().rev());
    let end = same.take_while(|(a, b)| a == b).count();
    let (old, new) = (&old[start..old.len() - end], &new[start..new.len() - end]);
    if old.is_empty() && new.is_empty() {
        return Vec::new();
    }
    let whole = || vec![Change { old: 0..old.len(), new: 0..new.len() }];
    let mut changes = shortest(old, new).unwrap_or_else(whole);
    for change in &mut changes {
        change.old = change.old.start + start..change.old.end + start;
        change.new = change.new.start + start..change.new.end + start;
    }
    changes
}

/// How far into the old lines one gets, by how many more of the old lines than of the new ones are left behind.
#[derive(Clone)]
struct Reach(Vec<usize>);

impl Reach {
    fn index(diagonal: isize) -> usize {
        diagonal.saturating_add_unsigned(DIFFERENCES_MAX + 1).cast_unsigned()
    }

    fn at(&self, diagonal: isize) -> usize {
        self.0[Self::index(diagonal)]
    }

    /// From which diagonal one comes to this one, as that which gets furthest.
    fn came_from(&self, diagonal: isize, differences: isize) -> isize {
        let adds = diagonal == -differences
            || diagonal != differences && self.at(diagonal - 1) < self.at(diagonal + 1);
        if adds { diagonal + 1 } else { diagonal - 1 }
    }
}

/// The fewest lines taken away and added (Myers, "An O(ND) difference algorithm"); `None` where they are too many.
fn shortest(old: &[&str], new: &[&str]) -> Option<Vec<Change>> {
    let mut reach = Reach(vec![0; 2 * DIFFERENCES_MAX + 3]);
    let mut rounds = Vec::new();
    for differences in 0..=(old.len() + new.len()).min(DIFFERENCES_MAX).cast_signed() {
        rounds.push(reach.clone());
        for diagonal in (-differences..=differences).step_by(2) {
            let from = reach.came_from(diagonal, differences);
            let mut old_at = reach.at(from) + usize::from(from < diagonal);
            let Some(mut new_at) = old_at.checked_add_signed(-diagonal) else { continue };
            while old_at < old.len() && new_at < new.len() && old[old_at] == new[new_at] {
                (old_at, new_at) = (old_at + 1, new_at + 1);
            }
            reach.0[Reach::index(diagonal)] = old_at;
            if old_at >= old.len() && new_at >= new.len() {
                return Some(way_back(&rounds, old.len(), new.len()));
            }
        }
    }
    None
}

/// The changes on the way that has reached the end.
fn way_back(rounds: &[Reach], old_length: usize, new_length: usize) -> Vec<Change> {
    let (mut old_at, mut new_at) = (old_length, new_length);
    let mut changes: Vec<Change> = Vec::new();
    for (differences, reach) in rounds.iter().enumerate().skip(1).rev() {
        let diagonal = old_at.cast_signed() - new_at.cast_signed();
        let from = reach.came_from(diagonal, differences.cast_signed());
        let old_before = reach.at(from);
        let new_before = old_before.checked_add_signed(-from).unwrap_or(0);
        // Behind the change all is the same, up to where we are.
        let (old_end, new_end) =
            if from < diagonal { (old_before + 1, new_before) } else { (old_before, new_before + 1) };
        match changes.last_mut() {
            Some(last) if (last.old.start, last.new.start) == (old_end, new_end) => {
                (last.old.start, last.new.start) = (old_before, new_before);
            }
            _ => changes.push(Change { old: old_before..old_end, new: new_before..new_end }),
        }
        (old_at, new_at) = (old_before, new_before);
    }
    changes.reverse();
    changes
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::{changes, patch};

    /// xorshift64*
    fn below(state: &mut u64, bound: u64) -> u64 {
        *state ^= *state >> 12;
        *state ^= *state << 25;
        *state ^= *state >> 27;
        (state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % bound
    }

    #[test]
    fn changes_carried_out_are_the_new_text() {
        let mut state = 7;
        for _ in 0..3_000 {
            let mut text = |lines: u64| -> String {
                let count = below(&mut state, lines);
                let lines: String = (0..count)
                    .map(|_| ["a\n", "b\n", "c\r\n", "\n"][below(&mut state, 4) as usize])
                    .collect();
                if below(&mut state, 4) == 0 { lines + "z" } else { lines }
            };
            let (old, new) = (text(12), text(12));
            let (mut made, mut at) = (String::new(), 0);
            for change in changes(&old, &new) {
                made.push_str(&old[at..change.old.start]);
                made.push_str(&new[change.new]);
                at = change.old.end;
            }
            made.push_str(&old[at..]);
            assert_eq!(made, new, "{old:?}");
        }
    }

    #[test]
    fn differences_are_few_and_many_are_one() {
        let old: String = (0..5_000).map(|n| format!("{n}\n")).collect();
        let new = old.replace("\n7\n", "\n7\nx\n").replace("\n4000\n", "\n");
        assert_eq!(changes(&old, &new).len(), 2);
        let other: String = (0..5_000).map(|n| format!("{n}y\n")).collect();
        assert_eq!(changes(&old, &other).len(), 1);
        assert_eq!(changes(&old, &old).len(), 0);
    }

    #[test]
    fn patches() {
        let old = "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\nk\nlast";
        let new = "a\nB\nc\nd\ne\nf\ng\nh\ni\nj\nk\nnew\nlast\n";
        expect![[r#"
            --- f.yaml
            +++ f.yaml
            @@ -1,5 +1,5 @@
             a
            -b
            +B
             c
             d
             e
            @@ -9,4 +9,5 @@
             i
             j
             k
            -last
            \ No newline at end of file
            +new
            +last
        "#]]
        .assert_eq(&patch("f.yaml", old, new));
        assert_eq!(patch("f", "", "x\n"), "--- f\n+++ f\n@@ -0,0 +1,1 @@\n+x\n");
        assert_eq!(patch("f", "x\n", "x\n"), "");
    }
}
