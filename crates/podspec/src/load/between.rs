//! What stands between the tokens of YAML: space, comments, and the signs that lead to a value. The parser has checked all
//! of it already, so nothing here fails; what is not as expected is left where it is.

/// Where a value begins, and what leads to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Lead {
    /// The first of it: dash, `?`, anchor, tag, or the value itself.
    pub(super) first: usize,
    /// Behind the sign that leads to a value: `-` or `:`.
    pub(super) behind: usize,
}

/// From the end of a token to the next one that counts.
pub(super) fn gap(text: &str, from: usize) -> usize {
    let bytes = text.as_bytes();
    let mut at = from;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' => at += 1,
            b'#' => at = line_end(text, at),
            _ => break,
        }
    }
    at
}

/// Up to the line feed that ends the line, or the end of the text.
pub(super) fn line_end(text: &str, from: usize) -> usize {
    let rest = text.as_bytes().get(from..).unwrap_or_default();
    rest.iter().position(|byte| *byte == b'\n').map_or(text.len(), |length| from + length)
}

/// Of an entry of a block list: `from` is behind whatever came before it, or behind what leads to the list.
pub(super) fn dash(text: &str, from: usize, value: usize) -> Lead {
    let mut at = from;
    // A list that begins may have a colon, an anchor and a tag before its first dash.
    loop {
        at = gap(text, at);
        match text.as_bytes().get(at) {
            _ if at >= value => return Lead { first: value, behind: value },
            Some(b'-') => return Lead { first: at, behind: at + 1 },
            Some(b':' | b'?') => at += 1,
            Some(b'&' | b'!') => at = word_end(text, at),
            _ => return Lead { first: value, behind: value },
        }
    }
}

/// Of a mapping's value: `from` is behind its key.
pub(super) fn colon(text: &str, from: usize, value: usize) -> Lead {
    let at = gap(text, from);
    if text.as_bytes().get(at) == Some(&b':') {
        let behind = at + 1;
        Lead { first: gap(text, behind).min(value.max(behind)), behind }
    } else {
        Lead { first: value, behind: value.max(from) }
    }
}

/// Of a key, or of an entry of a list in brackets: `from` is behind whatever came before it.
pub(super) fn comma(text: &str, from: usize, value: usize) -> Lead {
    let mut at = gap(text, from);
    if at < value && text.as_bytes().get(at) == Some(&b',') {
        at = gap(text, at + 1);
    }
    let at = at.min(value);
    Lead { first: at, behind: at }
}

/// Where a block scalar has its `|` or `>`: behind anchor and tag.
pub(super) fn header(text: &str, from: usize) -> usize {
    let mut at = gap(text, from);
    while matches!(text.as_bytes().get(at), Some(b'&' | b'!')) {
        at = gap(text, word_end(text, at));
    }
    at
}

/// Where the content of a block scalar ends, of which the parser says that it ends at `end`: without what indents the line
/// after it, and without empty lines unless they are kept.
pub(super) fn content_end(text: &str, header: usize, end: usize) -> usize {
    let head = text.get(header..line_end(text, header)).unwrap_or_default();
    let content = text.get(header..end).unwrap_or_default();
    let is_kept = head.split('#').next().unwrap_or_default().contains('+');
    let kept = if is_kept { content.trim_end_matches([' ', '\t']) } else { content.trim_end() };
    header + kept.len().max(head.trim_end().len().min(content.len()))
}

fn word_end(text: &str, from: usize) -> usize {
    let rest = text.as_bytes().get(from..).unwrap_or_default();
    rest.iter().position(u8::is_ascii_whitespace).map_or(text.len(), |length| from + length)
}
