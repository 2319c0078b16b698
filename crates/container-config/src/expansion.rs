//! `$(VAR)` references in `command`, `args`, `env` and exec probes
//! (<https://kubernetes.io/docs/tasks/inject-data-application/define-interdependent-environment-variables/>).

/// Replaces each `$(NAME)` that `lookup` knows. An unknown one stays as it is written; `$$` stands
/// for one `$` and begins no reference; every other `$` is itself.
pub(crate) fn expand<'v>(text: &str, mut lookup: impl FnMut(&str) -> Option<&'v str>) -> String {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        expanded.push_str(&rest[..at]);
        let (piece, after) = read_reference(&rest[at + 1..]);
        match piece {
            Piece::Dollar => expanded.push('$'),
            Piece::Reference(name) => match lookup(name) {
                Some(value) => expanded.push_str(value),
                None => expanded.extend(["$(", name, ")"]),
            },
        }
        rest = after;
    }
    expanded.push_str(rest);
    expanded
}

enum Piece<'t> {
    Dollar,
    Reference(&'t str),
}

/// Reads what follows a `$`; also returns the text after it.
fn read_reference(text: &str) -> (Piece<'_>, &str) {
    if let Some(after) = text.strip_prefix('$') {
        return (Piece::Dollar, after);
    }
    match text.strip_prefix('(').and_then(|inner| inner.split_once(')')) {
        Some((name, after)) => (Piece::Reference(name), after),
        None => (Piece::Dollar, text),
    }
}

#[cfg(test)]
mod tests {
    use super::expand;

    fn known(name: &str) -> Option<&'static str> {
        match name {
            "A" => Some("1"),
            "B" => Some("two words"),
            "EMPTY" => Some(""),
            "DOLLAR" => Some("$(A)"),
            "A$B" => Some("odd"),
            _ => None,
        }
    }

    #[test]
    fn references_follow_kubernetes() {
        for (text, expected) in [
            ("", ""),
            ("plain", "plain"),
            ("$(A)", "1"),
            ("x$(A)y$(B)z", "x1ytwo wordsz"),
            ("$(EMPTY)", ""),
            ("$(UNKNOWN)", "$(UNKNOWN)"),
            ("$()", "$()"),
            // An escape yields the reference itself.
            ("$$(A)", "$(A)"),
            ("$$$(A)", "$1"),
            ("$$$$(A)", "$$(A)"),
            ("$$", "$"),
            ("$$$", "$$"),
            ("price$", "price$"),
            ("$A ${A} $ (A)", "$A ${A} $ (A)"),
            // Unclosed: the `$` is itself, and what follows is read on.
            ("$(A", "$(A"),
            ("$(A $$", "$(A $"),
            ("$(A $(B)", "$(A $(B)"),
            // A name reaches to the first `)`, and values are not expanded again.
            ("$(A$B)", "odd"),
            ("$(DOLLAR)", "$(A)"),
            ("\u{e9}$(A)\u{e9}", "\u{e9}1\u{e9}"),
        ] {
            assert_eq!(expand(text, known), expected, "{text}");
        }
    }
}
