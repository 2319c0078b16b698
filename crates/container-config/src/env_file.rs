//! Files of variables (KEP-3721): `NAME='value'` a line, where a value is whatever is between the quotes, over
//! several lines if need be. `#` begins a comment, on a line of its own or after a value.

/// What is wrong with a file, and in which line.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum EnvFileError {
    #[error("invalid environment variable format at line {line}: {what}")]
    Line { line: usize, what: &'static str },
    #[error("invalid environment variable format starting at line {line}: unclosed single quote")]
    Unclosed { line: usize },
}

/// Of the first variable of this name. Nothing after it is looked at, and so may be anything.
pub(crate) fn value(content: &[u8], key: &[u8]) -> Result<Option<Vec<u8>>, EnvFileError> {
    let mut lines = lines(content).enumerate().map(|(at, line)| (at + 1, line));
    while let Some((first, line)) = lines.next() {
        let line = without_blanks(line);
        if line.is_empty() || line.starts_with(b"#") {
            continue;
        }
        let wrong = |what| EnvFileError::Line { line: first, what };
        let (name, written) = split(line, b'=').ok_or_else(|| wrong("missing '='"))?;
        match name.last() {
            None => return Err(wrong("empty variable name")),
            Some(b' ' | b'\t') => return Err(wrong("whitespace before '=' is not allowed")),
            Some(_) => {}
        }
        // As for a shell: the value is empty, and what follows is something else.
        if written.starts_with(b" ") || written.starts_with(b"\t") {
            if name == key {
                return Ok(Some(Vec::new()));
            }
            continue;
        }
        let quoted =
            written.strip_prefix(b"'").ok_or_else(|| wrong("value must be enclosed in single quotes"))?;
        let (mut value, mut last, mut rest) = (Vec::new(), first, quoted);
        let after = loop {
            if let Some((end, after)) = split(rest, b'\'') {
                value.extend_from_slice(end);
                break without_blanks(after);
            }
            value.extend_from_slice(rest);
            value.push(b'\n');
            (last, rest) = lines.next().ok_or(EnvFileError::Unclosed { line: first })?;
        };
        if !after.is_empty() && !after.starts_with(b"#") {
            return Err(EnvFileError::Line { line: last, what: "unexpected content after closing quote" });
        }
        if name == key {
            return Ok(Some(value));
        }
    }
    Ok(None)
}

/// Without their ends, be it `\n` or `\r\n`.
fn lines(content: &[u8]) -> impl Iterator<Item = &[u8]> {
    let lines = content.split_inclusive(|byte| *byte == b'\n');
    lines.map(|line| {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        line.strip_suffix(b"\r").unwrap_or(line)
    })
}

fn without_blanks(text: &[u8]) -> &[u8] {
    let blanks = text.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    &text[blanks..]
}

fn split(text: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let place = text.iter().position(|byte| *byte == at)?;
    Some((&text[..place], &text[place + 1..]))
}

#[cfg(test)]
mod tests {
    use super::value;

    #[test]
    fn values_and_what_is_none() {
        let wrong = |line: usize, what: &str| {
            Err(format!("invalid environment variable format at line {line}: {what}"))
        };
        let unclosed = "invalid environment variable format starting at line 2: unclosed single quote";
        let ok = |text: &str| Ok(Some(text.to_owned()));
        for (content, expected) in [
            ("", Ok(None)),
            ("B='x'", Ok(None)),
            ("A='x'", ok("x")),
            ("A='x'\n", ok("x")),
            ("\n  \t\n# A='no'\n \tA='x' # why\nrubbish", ok("x")),
            ("A='x'\nA='y'", ok("x")),
            ("A=''", ok("")),
            ("A='$B \\n \"q\" #'", ok("$B \\n \"q\" #")),
            ("A='1\n 2\r\n\n3'\t# end", ok("1\n 2\n\n3")),
            ("B='1\nA='\nA='x'", ok("x")),
            ("A= 'x'", ok("")),
            ("B= 'x'\nA='y'", ok("y")),
            ("A='x'\r\n", ok("x")),
            ("export A='x'", Ok(None)),
            ("A", wrong(1, "missing '='")),
            ("B='x'\n='x'", wrong(2, "empty variable name")),
            ("A ='x'", wrong(1, "whitespace before '=' is not allowed")),
            ("A=x", wrong(1, "value must be enclosed in single quotes")),
            ("A=\"x\"", wrong(1, "value must be enclosed in single quotes")),
            ("A=", wrong(1, "value must be enclosed in single quotes")),
            ("A='1\n2'3", wrong(2, "unexpected content after closing quote")),
            ("B='x'\nA='1\n2", Err(unclosed.to_owned())),
        ] {
            let found = value(content.as_bytes(), b"A").map_err(|error| error.to_string());
            let found = found.map(|value| value.map(|value| String::from_utf8(value).unwrap()));
            assert_eq!(found, expected, "{content:?}");
        }
    }
}
