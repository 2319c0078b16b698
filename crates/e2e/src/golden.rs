//! Texts written by hand from Kubernetes' rules, with holes for what differs from run to run.

use anyhow::{Result, bail};

/// Stands for anything on its line, also for nothing.
const HOLE: &str = "{}";

/// Fails with the first line that differs. Runs of blanks count as one, since columns are as wide as their
/// widest cell.
pub(crate) fn expect(golden: &str, found: &str) -> Result<()> {
    let (mut expected, mut lines) = (golden.trim_end().lines(), found.trim_end().lines());
    for number in 1.. {
        let (wanted, line) = (expected.next(), lines.next());
        match (wanted, line) {
            (None, None) => break,
            (Some(wanted), Some(line)) if fits(&one_blank(wanted), &one_blank(line)) => {}
            _ => bail!(
                "line {number}: expected {:?}, found {:?}, in\n{found}",
                wanted.unwrap_or("the end"),
                line.unwrap_or("the end")
            ),
        }
    }
    Ok(())
}

fn one_blank(line: &str) -> String {
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn fits(pattern: &str, text: &str) -> bool {
    match pattern.split_once(HOLE) {
        None => pattern == text,
        Some((head, tail)) => text.strip_prefix(head).is_some_and(|rest| {
            let ends = rest.char_indices().map(|(at, _)| at).chain([rest.len()]);
            ends.into_iter().any(|at| fits(tail, &rest[at..]))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::expect;

    #[test]
    fn holes_take_anything_on_their_line() {
        expect("NAME  AGE\npod {}s\n", "NAME   AGE\npod    12s\n").unwrap();
        expect("{} a {}", "x a y").unwrap();
        expect("a{}", "a").unwrap();
        assert!(expect("pod {}s", "pod 12m").is_err());
        assert!(expect("a\nb", "a").is_err());
        assert!(expect("a", "a\nb").is_err());
    }
}
