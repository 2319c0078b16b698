//! Text to documents: YAML or JSON, several documents, `kind: List`.
//!
//! YAML is read the way kubectl reads it. That is YAML 1.1 where 1.1 and 1.2 differ: `yes`, `no`,
//! `on`, `off`, `y` and `n` are booleans, `0644` is octal, `<<` merges mappings. Three things kubectl
//! lets pass are errors here: duplicate keys, tags outside the core schema, and values JSON does not have
//! (`.inf`, `.nan`).

mod between;
mod document;
mod json;
mod node;
mod place;
mod scalar;
mod yaml;

use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use crate::field::{FieldError, FieldPath};
pub use document::Document;
use document::Kinds;
pub use place::{Form, Found, Origin, Place, Places, Span};

/// The largest text that is read. A pod in Kubernetes is at most 1.5 MiB.
pub const INPUT_BYTES_MAX: usize = 8 << 20;

/// Where in a manifest file something is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Location {
    /// The file, or what the caller calls the text.
    pub source: Arc<str>,
    /// 1-based; 0 when unknown.
    pub line: u32,
    /// 1-based; 0 when unknown.
    pub column: u32,
    /// 1-based, counting empty documents too; 0 when it is about the whole text.
    pub document: usize,
    /// 1-based, in a `List`.
    pub item: Option<usize>,
    /// `metadata.name` or `metadata.generateName`, when the document has one.
    pub pod: Option<String>,
}

/// One thing wrong with a manifest.
#[derive(Clone, PartialEq, Debug)]
pub struct LoadError {
    pub location: Location,
    /// Nothing, at the beginning, when it is about the whole text.
    pub at: Span,
    pub problem: Problem,
}

#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum Problem {
    #[error("{bytes} bytes are more than the {INPUT_BYTES_MAX} that are read")]
    TooLarge { bytes: usize },
    #[error("{0}")]
    Syntax(String),
    #[error(
        "it has {{{{ }}}} or {{% %}} here, as a template has that was not rendered: render it first (as \
         with helm template), or put that in quotes if it is meant as it is"
    )]
    Template,
    #[error("no Pod in it: every document is empty")]
    NoPod,
    #[error("a manifest is a mapping with apiVersion, kind, metadata and spec, not {0}")]
    NotAMapping(&'static str),
    #[error("{field} is missing: write \"{field}: {expected}\"")]
    KindMissing { field: &'static str, expected: &'static str },
    /// `object` is its kind and, if it has one, its name.
    #[error("{object} ({api_version}) is not supported, only Pod and List (v1): {remedy}")]
    WrongKind { object: String, api_version: String, remedy: &'static str },
    #[error("a List has its Pods under items, as a list")]
    NoItems,
    #[error("{0}{hint}", hint = Hint(.0.hint.as_deref()))]
    Field(FieldError),
}

struct Hint<'a>(Option<&'a str>);

impl fmt::Display for Hint<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |hint| write!(f, " ({hint})"))
    }
}

impl std::error::Error for LoadError {}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.location, self.problem)
    }
}

impl fmt::Display for Location {
    /// `pod.yaml:12:3: document 2, item 1, pod "web"`, leaving out what is not known.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source)?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
        }
        if self.column > 0 {
            write!(f, ":{}", self.column)?;
        }
        let mut separator = ": ";
        if self.document > 0 {
            write!(f, "{separator}document {}", self.document)?;
            separator = ", ";
        }
        if let Some(item) = self.item {
            write!(f, "{separator}item {item}")?;
            separator = ", ";
        }
        match &self.pod {
            Some(pod) => write!(f, "{separator}pod \"{pod}\""),
            None => Ok(()),
        }
    }
}

/// Reads every document of `text`, named `source` in errors. Lists are taken apart; what comes back
/// is Pods by kind, and otherwise unchecked.
///
/// Reading goes on after an error, so that one call finds them all.
#[must_use]
pub fn load(source: &str, text: &str) -> (Vec<Document>, Vec<LoadError>) {
    documents(source, text, Kinds::Pods)
}

/// [`load`] of objects of every kind.
#[must_use]
pub fn load_all(source: &str, text: &str) -> (Vec<Document>, Vec<LoadError>) {
    documents(source, text, Kinds::All)
}

fn documents(source: &str, text: &str, kinds: Kinds) -> (Vec<Document>, Vec<LoadError>) {
    let source: Arc<str> = Arc::from(source);
    let whole = Location { source, line: 0, column: 0, document: 0, item: None, pod: None };
    if text.len() > INPUT_BYTES_MAX {
        let problem = Problem::TooLarge { bytes: text.len() };
        return (Vec::new(), vec![LoadError { location: whole, at: Span::default(), problem }]);
    }
    let read =
        if json::looks_like(text) { json::read(text) } else { yaml::read(text, yaml::Offset::default()) };
    let mut errors: Vec<LoadError> = Vec::new();
    let mut documents = Vec::new();
    let empty = read.nodes.is_empty() && read.errors.is_empty();
    let mut template = None;
    for error in read.errors {
        if template == Some(error.document) {
            // One that was not rendered has little else that could be read.
            continue;
        }
        let is_template = looks_like_a_template(text, error.line);
        let problem = if is_template { Problem::Template } else { Problem::Syntax(error.message) };
        template = is_template.then_some(error.document);
        let location =
            Location { line: error.line, column: error.column, document: error.document, ..whole.clone() };
        errors.push(LoadError { location, at: error.at, problem });
    }
    for yaml::One { number, node, extent } in read.nodes {
        let location = Location { document: number, ..whole.clone() };
        document::take_apart(node, extent, location, kinds, &mut documents, &mut errors);
    }
    if empty {
        errors.push(LoadError { location: whole, at: Span::default(), problem: Problem::NoPod });
    }
    (documents, errors)
}

/// Reads a text that holds one document of any kind, and the paths of keys that are there twice (the last one
/// counts).
///
/// # Errors
/// The text of the first thing that is wrong, with its line.
pub fn one(text: &str) -> Result<(Value, Vec<FieldPath>), String> {
    if text.len() > INPUT_BYTES_MAX {
        return Err(Problem::TooLarge { bytes: text.len() }.to_string());
    }
    let mut read = yaml::read(text, yaml::Offset::default());
    if let Some(error) = read.errors.first() {
        return Err(format!("line {}, column {}: {}", error.line, error.column, error.message));
    }
    if read.nodes.len() > 1 {
        return Err(format!("there are {} documents, and one can be taken", read.nodes.len()));
    }
    let Some(yaml::One { node, .. }) = read.nodes.pop() else { return Ok((Value::Null, Vec::new())) };
    let mut duplicates = Vec::new();
    let (value, _) = node.into_json(&FieldPath::root(), &mut duplicates);
    Ok((value, duplicates.into_iter().map(|duplicate| duplicate.path).collect()))
}

/// Whether the line of an error, or the one before, has what templates of Helm, Go or Jinja have and
/// YAML has no use for, outside of quotes.
fn looks_like_a_template(text: &str, line: u32) -> bool {
    let first = usize::try_from(line.saturating_sub(2)).unwrap_or(usize::MAX);
    let is_closed = |before: &str| ['"', '\''].iter().all(|quote| before.matches(*quote).count() % 2 == 0);
    let has_action = |line: &str| {
        let opening = line.find("{{").or_else(|| line.find("{%"));
        opening.is_some_and(|at| is_closed(&line[..at]))
    };
    text.lines().skip(first).take(2).any(has_action)
}
