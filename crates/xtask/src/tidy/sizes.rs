//! A file is one idea and a function fits on a screen. What is over a limit has to be in `allowances.txt`
//! beside this crate's Cargo.toml, with the size it may have; that number only goes down.

use anyhow::Result;

use crate::tidy::allowances::Allowances;
use crate::tidy::{Source, code_lines};

/// Lines of a file before its tests.
const FILE_LINES_MAX: usize = 600;
/// Lines of a function that are neither blank nor comment.
const FUNCTION_LINES_MAX: usize = 70;

pub(super) fn check(sources: &[Source]) -> Result<Vec<String>> {
    let mut allowances = Allowances::load(sources)?;
    let mut complaints = vec![];
    for Source { path, text } in sources.iter().filter(|source| is_program(&source.path)) {
        let lines = code_lines(text).count();
        complaints.extend(allowances.judge(path, lines, FILE_LINES_MAX, "lines before its tests"));
        for (name, lines) in functions(text) {
            let function = format!("{path}::{name}");
            complaints.extend(allowances.judge(&function, lines, FUNCTION_LINES_MAX, "lines"));
        }
    }
    complaints.extend(allowances.unused());
    Ok(complaints)
}

/// Rust code that is shipped or ships it; integration tests may be long tables.
fn is_program(path: &str) -> bool {
    path.ends_with(".rs") && path.contains("/src/") && !path.ends_with("/tests.rs")
}

/// Name and length of each function. Relies on rustfmt: a body ends at the first `}` that stands as far to
/// the left as its `fn`.
fn functions(text: &str) -> Vec<(&str, usize)> {
    let lines: Vec<&str> = code_lines(text).collect();
    let mut found = vec![];
    for (start, line) in lines.iter().enumerate() {
        let Some(name) = function_name(line) else { continue };
        let indent = &line[..line.len() - line.trim_start().len()];
        let rest = &lines[start..];
        let is_end = |line: &&str| line.strip_prefix(indent).is_some_and(ends_function);
        let length = rest.iter().position(is_end).map_or(rest.len(), |end| end + 1);
        let is_code = |line: &&&str| !line.trim().is_empty() && !line.trim_start().starts_with("//");
        found.push((name, rest[..length].iter().filter(is_code).count()));
    }
    found
}

/// Of a line without the function's indentation: its closing brace, the end of its declaration, or all of it.
fn ends_function(line: &str) -> bool {
    line.starts_with('}') || !line.starts_with(' ') && line.ends_with(['}', ';'])
}

fn function_name(line: &str) -> Option<&str> {
    let mut rest = line.trim_start();
    loop {
        let (word, after) = rest.split_once(' ')?;
        match word {
            "fn" => return after.split(['(', '<']).next(),
            "pub" | "const" | "async" | "unsafe" | "extern" | "\"C\"" => rest = after,
            _ if word.starts_with("pub(") => rest = after,
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::functions;

    #[test]
    fn measures_bodies_and_declarations() {
        let text = "trait T {\n    fn declared(\n        &self,\n    ) -> u8;\n    fn short(&self) {}\n}\n\
                    pub(crate) fn long<T>(t: T) {\n    // why\n    if t {\n        x();\n    }\n\n}\n";
        assert_eq!(functions(text), [("declared", 3), ("short", 1), ("long", 5)]);
    }
}
