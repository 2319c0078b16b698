//! Words that must not stay in a commit, and bytes that do not show on every terminal.

use std::path::Path;

use crate::tidy::Source;

/// Split, so that this file does not name them.
const FORBIDDEN: [(&str, &str); 6] =
    [("TO", "DO"), ("FIX", "ME"), ("XX", "X:"), ("db", "g!("), ("to", "do!("), ("unimple", "mented!(")];
/// Text by hand or by machine; only Markdown may draw lines.
const ASCII: [&str; 6] = [".rs", ".toml", ".yaml", ".sh", ".txt", "run"];

pub(super) fn check(sources: &[Source], root: &Path) -> Vec<String> {
    let forbidden: Vec<String> = FORBIDDEN.iter().map(|(head, tail)| format!("{head}{tail}")).collect();
    let checkout = format!("{}/", root.display());
    let mut complaints = vec![];
    for Source { path, text } in sources {
        for (n, line) in text.lines().enumerate() {
            let at = format!("{path}:{}", n + 1);
            for word in forbidden.iter().filter(|word| line.contains(*word)) {
                complaints.push(format!("{at}: `{word}` is not for a commit: do it, or write down why not"));
            }
            if line.contains(&checkout) {
                complaints.push(format!("{at}: names a folder of this machine"));
            }
            if let Some(character) = line.chars().find(|&character| !is_allowed(character, path)) {
                complaints.push(format!("{at}: has {character:?}: write it in ASCII"));
            }
        }
    }
    complaints
}

fn is_allowed(character: char, path: &str) -> bool {
    let is_line_drawing = ('\u{2500}'..='\u{257f}').contains(&character);
    let must_be_ascii = ASCII.iter().any(|suffix| path.ends_with(suffix));
    character.is_ascii()
        || path.ends_with(".md") && is_line_drawing
        || !(must_be_ascii || path.ends_with(".md"))
}
