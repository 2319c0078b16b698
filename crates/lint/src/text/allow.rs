//! Comments that silence a rule: `# monopod:allow latest-tag`, on the line or above it.

use std::collections::{BTreeMap, BTreeSet};

use podspec::Document;
use podspec::load::{Form, Places, Span};

use super::lines::Lines;

const MARK: &str = "monopod:allow";

/// What the comments of a text allow.
#[derive(Debug, Default)]
pub(super) struct Allowed {
    /// By line, counted from 1.
    lines: BTreeMap<usize, BTreeSet<String>>,
    /// Ids that no rule has, and where they stand.
    pub(super) unknown: Vec<(Span, String)>,
}

impl Allowed {
    pub(super) fn read(text: &str, documents: &[Document]) -> Self {
        let mut allowed = Self::default();
        if !text.contains(MARK) {
            return allowed;
        }
        let mut scalars = Vec::new();
        documents.iter().for_each(|document| collect_scalars(&document.places, &mut scalars));
        scalars.sort_unstable();
        let mut above = BTreeSet::new();
        let mut start = 0;
        for (index, line) in text.split_inclusive('\n').enumerate() {
            let comment = comment(line, start, &scalars);
            let is_alone = comment.is_some_and(|at| line[..at].trim().is_empty());
            let ids = comment.map_or_else(Vec::new, |at| ids(line, at));
            for (at, id) in &ids {
                if super::rule(id).is_none() {
                    let start = start + at;
                    allowed.unknown.push((Span::new(start, start + id.len()), id.clone()));
                }
            }
            above.extend(ids.into_iter().map(|(_, id)| id));
            if !is_alone {
                let here = std::mem::take(&mut above);
                if !here.is_empty() {
                    allowed.lines.insert(index + 1, here);
                }
            }
            start += line.len();
        }
        allowed
    }

    /// Whether a rule is silent about what begins at a byte.
    pub(super) fn has(&self, lines: &Lines, byte: usize, rule: &str) -> bool {
        self.lines.get(&lines.line(byte)).is_some_and(|ids| ids.contains(rule))
    }
}

/// Where in a line its comment with the mark begins; what looks like one may be a part of a text.
fn comment(line: &str, start: usize, scalars: &[Span]) -> Option<usize> {
    line.match_indices('#').map(|(at, _)| at).find(|at| {
        let is_comment = line[..*at].chars().next_back().is_none_or(char::is_whitespace);
        is_comment && !is_within(scalars, start + at)
    })
}

fn is_within(scalars: &[Span], byte: usize) -> bool {
    let after = scalars.partition_point(|span| span.range().start <= byte);
    after > 0 && scalars[after - 1].range().contains(&byte)
}

fn collect_scalars(places: &Places, out: &mut Vec<Span>) {
    if places.place.form == Form::Scalar {
        out.push(places.place.value);
    }
    out.extend(places.place.key);
    places.items.iter().chain(places.fields.values()).for_each(|below| collect_scalars(below, out));
}

/// The ids behind the mark, with their places in the line; a comma leads to another one, and what follows the last one is
/// for people.
fn ids(line: &str, comment: usize) -> Vec<(usize, String)> {
    let mut ids = Vec::new();
    let Some(mark) = line[comment..].find(MARK) else { return ids };
    let before = line[comment..comment + mark].trim_start_matches('#');
    let mut at = comment + mark + MARK.len();
    if !before.trim().is_empty() || line[at..].starts_with(|c: char| !c.is_whitespace() && c != ':') {
        return ids;
    }
    loop {
        let rest = &line[at..];
        at += rest.len() - rest.trim_start_matches([' ', '\t', ':']).len();
        let end = line[at..].find([' ', '\t', ',', '\r', '\n']).map_or(line.len(), |length| at + length);
        if end > at {
            ids.push((at, line[at..end].to_owned()));
        }
        let next = &line[end..];
        let behind = next.trim_start_matches([' ', '\t']);
        if !behind.starts_with(',') || end == at {
            return ids;
        }
        at = end + (next.len() - behind.len()) + 1;
    }
}

#[cfg(test)]
mod tests {
    use podspec::load::load_all;

    use super::{Allowed, Lines};

    #[test]
    fn comments_count_on_the_line_or_above_it_and_nowhere_else() {
        let text = "kind: A\napiVersion: v1\n# monopod:allow syntax\n# and so on\na: 1 # monopod:allow: unknown-field, invalid-field as it is\nb: |\n  # monopod:allow syntax\n\
                    c: 'x # monopod:allow syntax'\n# monopod:allow syntax\n\nd: x#monopod:allow syntax\ne: # xmonopod:allow syntax\nf: # monopod:allowed syntax\ng: # monopod:allow nothing,\n";
        let (documents, errors) = load_all("f.yaml", text);
        assert!(errors.is_empty(), "{errors:?}");
        let (lines, allowed) = (Lines::of(text), Allowed::read(text, &documents));
        let silent = |line: &str, rule| {
            let at = text.find(line).unwrap();
            allowed.has(&lines, at, rule)
        };
        assert!(
            silent("a: 1", "syntax") && silent("a: 1", "unknown-field") && silent("a: 1", "invalid-field")
        );
        for line in ["b: ", "c: ", "d: ", "e: ", "f: "] {
            assert!(!silent(line, "syntax"), "{line}");
        }
        let unknown: Vec<_> =
            allowed.unknown.iter().map(|(at, id)| (&text[at.range()], id.as_str())).collect();
        assert_eq!(unknown, [("nothing", "nothing")]);
    }
}
