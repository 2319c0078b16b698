//! JSONPath templates, the part of kubectl's that people use: `{.a.b}`, `['key']`, `[n]`, `[a:b]`, `[*]`, `.*`, `..name`,
//! `[?(@.a=="b")]`, `{range ...}{end}`, `{"text"}`, and text between braces.

use serde_json::Value;

#[derive(Clone, PartialEq, Debug)]
pub(super) struct Template(Vec<Piece>);

#[derive(Clone, PartialEq, Debug)]
enum Piece {
    Text(String),
    Path(Vec<Step>),
    Range(Vec<Step>, Vec<Piece>),
}

#[derive(Clone, PartialEq, Debug)]
enum Step {
    Field(String),
    All,
    Descend(String),
    Index(i64),
    Slice(Option<i64>, Option<i64>),
    Filter(Vec<Step>, Comparison),
}

#[derive(Clone, PartialEq, Debug)]
enum Comparison {
    Exists,
    Is(&'static str, Value),
}

/// Ranges within ranges.
const DEPTH_MAX: usize = 16;
const OPERATORS: [&str; 6] = ["==", "!=", "<=", ">=", "<", ">"];

impl Template {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut parser = Parser { rest: text };
        let pieces = parser.pieces(0)?;
        if parser.rest.is_empty() { Ok(Self(pieces)) } else { Err("{end} without {range}".to_owned()) }
    }

    /// One path, with braces or without, as `--for=jsonpath=` and columns have it.
    pub(super) fn parse_path(text: &str) -> Result<Self, String> {
        let inner = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or(text);
        let dotted = if inner.starts_with(['.', '[', '$']) { inner.to_owned() } else { format!(".{inner}") };
        Ok(Self(vec![Piece::Path(path(&dotted)?)]))
    }

    pub(super) fn render(&self, value: &Value) -> String {
        let mut out = String::new();
        render(&self.0, value, &mut out);
        out
    }

    /// What the paths of the template find.
    pub(super) fn find<'a>(&self, value: &'a Value) -> Vec<&'a Value> {
        let paths = self.0.iter().filter_map(|piece| match piece {
            Piece::Path(steps) => Some(steps),
            _ => None,
        });
        paths.flat_map(|steps| walk(steps, value)).collect()
    }
}

fn render(pieces: &[Piece], value: &Value, out: &mut String) {
    for piece in pieces {
        match piece {
            Piece::Text(text) => out.push_str(text),
            Piece::Path(steps) => {
                let found: Vec<String> = walk(steps, value).into_iter().map(shown).collect();
                out.push_str(&found.join(" "));
            }
            Piece::Range(steps, inner) => {
                for item in walk(steps, value) {
                    render(inner, item, out);
                }
            }
        }
    }
}

/// Texts as they are, all else as JSON.
pub(super) fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

fn walk<'a>(steps: &[Step], value: &'a Value) -> Vec<&'a Value> {
    let mut found = vec![value];
    for step in steps {
        found = found.into_iter().flat_map(|value| take(step, value)).collect();
    }
    found
}

fn take<'a>(step: &Step, value: &'a Value) -> Vec<&'a Value> {
    let items = value.as_array();
    match step {
        Step::Field(name) => value.get(name).into_iter().collect(),
        Step::All => children(value),
        Step::Descend(name) => {
            let mut found = take(&Step::Field(name.clone()), value);
            found.extend(children(value).into_iter().flat_map(|child| take(step, child)));
            found
        }
        Step::Index(at) => items.and_then(|items| items.get(place(*at, items.len()))).into_iter().collect(),
        Step::Slice(from, to) => {
            let Some(items) = items else { return Vec::new() };
            let end = to.map_or(items.len(), |to| place(to, items.len()).min(items.len()));
            let start = from.map_or(0, |from| place(from, items.len())).min(end);
            items[start..end].iter().collect()
        }
        Step::Filter(path, comparison) => {
            let fits = |item: &&Value| compares(walk(path, item).first().copied(), comparison);
            items.into_iter().flatten().filter(fits).collect()
        }
    }
}

fn children(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(items) => items.iter().collect(),
        Value::Object(fields) => fields.values().collect(),
        _ => Vec::new(),
    }
}

/// Counted from the end when negative; beyond the end when there is no such place.
fn place(at: i64, len: usize) -> usize {
    let from_end = || i64::try_from(len).ok().and_then(|len| len.checked_add(at));
    let at = if at < 0 { from_end() } else { Some(at) };
    at.and_then(|at| usize::try_from(at).ok()).unwrap_or(usize::MAX)
}

fn compares(found: Option<&Value>, comparison: &Comparison) -> bool {
    let Comparison::Is(operator, wanted) = comparison else { return found.is_some() };
    let Some(found) = found else { return false };
    let order = match (found.as_f64(), wanted.as_f64()) {
        (Some(a), Some(b)) => a.partial_cmp(&b),
        _ => Some(shown(found).cmp(&shown(wanted))),
    };
    order.is_some_and(|order| match *operator {
        "==" => order.is_eq(),
        "!=" => order.is_ne(),
        "<" => order.is_lt(),
        ">" => order.is_gt(),
        "<=" => order.is_le(),
        _ => order.is_ge(),
    })
}

struct Parser<'a> {
    rest: &'a str,
}

impl Parser<'_> {
    /// Up to `{end}` or the end.
    fn pieces(&mut self, depth: usize) -> Result<Vec<Piece>, String> {
        if depth > DEPTH_MAX {
            return Err(format!("more than {DEPTH_MAX} ranges in one another"));
        }
        let mut pieces = Vec::new();
        while !self.rest.is_empty() {
            let Some(open) = self.rest.find('{') else {
                pieces.push(Piece::Text(std::mem::take(&mut self.rest).to_owned()));
                break;
            };
            if open > 0 {
                pieces.push(Piece::Text(self.rest[..open].to_owned()));
            }
            let inner_start = &self.rest[open + 1..];
            let close = closing(inner_start, '}').ok_or("a { without its }")?;
            let inner = inner_start[..close].trim();
            if inner == "end" {
                if depth > 0 {
                    self.rest = &inner_start[close + 1..];
                }
                return if depth > 0 { Ok(pieces) } else { Err("{end} without {range}".to_owned()) };
            }
            self.rest = &inner_start[close + 1..];
            pieces.push(match inner.strip_prefix("range ") {
                Some(over) => Piece::Range(path(over.trim())?, self.pieces(depth + 1)?),
                None if inner.starts_with(['"', '\'']) => Piece::Text(literal(inner)?),
                None => Piece::Path(path(inner)?),
            });
        }
        if depth > 0 { Err("{range} without {end}".to_owned()) } else { Ok(pieces) }
    }
}

/// Where `end` is, outside of quotes.
fn closing(text: &str, end: char) -> Option<usize> {
    let mut quote = None;
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match quote {
            _ if escaped => escaped = false,
            Some(_) if c == '\\' => escaped = true,
            Some(open) if c == open => quote = None,
            None if c == end => return Some(at),
            None if matches!(c, '"' | '\'') => quote = Some(c),
            _ => {}
        }
    }
    None
}

fn literal(text: &str) -> Result<String, String> {
    let quote = text.chars().next().unwrap_or('"');
    let inner = text.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
    let inner = inner.ok_or_else(|| format!("{text} does not end with its quote"))?;
    let mut out = String::new();
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        match (c, if c == '\\' { chars.next() } else { None }) {
            ('\\', Some('n')) => out.push('\n'),
            ('\\', Some('t')) => out.push('\t'),
            ('\\', Some('r')) => out.push('\r'),
            ('\\', Some(other)) => out.push(other),
            (c, _) => out.push(c),
        }
    }
    Ok(out)
}

fn path(text: &str) -> Result<Vec<Step>, String> {
    let mut rest = text.strip_prefix(['$', '@']).unwrap_or(text);
    let mut steps = Vec::new();
    while !rest.is_empty() {
        if let Some(tail) = rest.strip_prefix("..") {
            let (name, tail) = name(tail);
            steps.push(Step::Descend(name));
            rest = tail;
        } else if let Some(tail) = rest.strip_prefix('.') {
            if tail.is_empty() || tail.starts_with('[') {
                rest = tail;
                continue;
            }
            let (name, tail) = name(tail);
            steps.push(if name == "*" { Step::All } else { Step::Field(name) });
            rest = tail;
        } else if let Some(tail) = rest.strip_prefix('[') {
            let close = closing(tail, ']').ok_or_else(|| format!("{text}: a [ without its ]"))?;
            steps.push(bracket(tail[..close].trim())?);
            rest = &tail[close + 1..];
        } else {
            return Err(format!(
                "{text}: a path is like .spec.containers[0].name; {rest:?} is no part of one"
            ));
        }
    }
    Ok(steps)
}

/// The name at the beginning; `\.` is a dot in it.
fn name(text: &str) -> (String, &str) {
    let mut name = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => name.extend(chars.next().map(|(_, c)| c)),
            '.' | '[' => return (name, &text[at..]),
            c => name.push(c),
        }
    }
    (name, "")
}

fn bracket(inner: &str) -> Result<Step, String> {
    if inner == "*" {
        return Ok(Step::All);
    }
    if let Some(filter) = inner.strip_prefix("?(").and_then(|rest| rest.strip_suffix(')')) {
        return self::filter(filter.trim());
    }
    if inner.starts_with(['\'', '"']) {
        return Ok(Step::Field(literal(inner)?));
    }
    let number = |text: &str| text.trim().parse::<i64>().map_err(|_| format!("[{inner}] is not supported"));
    let bound = |text: &str| if text.trim().is_empty() { Ok(None) } else { number(text).map(Some) };
    match inner.split_once(':') {
        Some((from, to)) => Ok(Step::Slice(bound(from)?, bound(to)?)),
        None => Ok(Step::Index(number(inner)?)),
    }
}

fn filter(text: &str) -> Result<Step, String> {
    let found = text.char_indices().find_map(|(at, _)| {
        OPERATORS.iter().find(|operator| text[at..].starts_with(**operator)).map(|o| (at, *o))
    });
    let Some((at, operator)) = found else { return Ok(Step::Filter(path(text)?, Comparison::Exists)) };
    let wanted = text[at + operator.len()..].trim();
    let wanted = if wanted.starts_with(['\'', '"']) {
        Value::String(literal(wanted)?)
    } else {
        serde_json::from_str(wanted)
            .map_err(|_| format!("{wanted:?} is no value to compare with: quote it"))?
    };
    Ok(Step::Filter(path(text[..at].trim())?, Comparison::Is(operator, wanted)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::Template;

    #[test]
    fn templates() {
        let pod = json!({
            "metadata": {"name": "web", "labels": {"app.io/x": "y"}},
            "spec": {"containers": [{"name": "a", "image": "i"}, {"name": "b", "image": "j"}]},
            "status": {"conditions": [{"type": "Ready", "status": "True"}], "n": 3},
        });
        for (template, expected) in [
            ("{.spec.containers[*].name}", "a b"),
            ("{$.spec.containers[0].name}", "a"),
            ("{.spec.containers[-1].name}", "b"),
            ("{.spec.containers[0:1].name}", "a"),
            ("{.spec.containers[5].name}", ""),
            ("name: {.metadata.name}!", "name: web!"),
            ("{.metadata.labels.app\\.io/x}", "y"),
            ("{.metadata.labels['app.io/x']}", "y"),
            ("{.status.conditions[?(@.type==\"Ready\")].status}", "True"),
            ("{.status.conditions[?(@.type!='Ready')].status}", ""),
            ("{.spec.containers[?(@.image)].name}", "a b"),
            ("{range .spec.containers[*]}{.name}={.image}{\"\\n\"}{end}", "a=i\nb=j\n"),
            ("{..image}", "i j"),
            ("{.status.n}", "3"),
            ("{.metadata.labels}", "{\"app.io/x\":\"y\"}"),
            ("{.nothing.here}", ""),
        ] {
            assert_eq!(Template::parse(template).unwrap().render(&pod), expected, "{template}");
        }
        assert_eq!(Template::parse_path(".metadata.name").unwrap().render(&pod), "web");
        assert_eq!(Template::parse_path("{.metadata.name}").unwrap().render(&pod), "web");
    }

    #[test]
    fn what_is_no_template_is_refused() {
        for wrong in
            ["{", "{.a", "{.a[}", "{range .a}x", "{end}", "{.a[x]}", "{\"a}", "{a b}", "{.a[?(@.b==c)]}"]
        {
            assert!(Template::parse(wrong).is_err(), "{wrong}");
        }
        let deep = "{range .a}".repeat(1000);
        assert!(Template::parse(&deep).is_err());
    }
}
