//! Field selectors (<https://kubernetes.io/docs/concepts/overview/working-with-objects/field-selectors/>).

use std::fmt;

use super::SelectorError;

/// Terms that all have to hold.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct FieldSelector {
    terms: Vec<FieldTerm>,
}

/// `field=value` or `field!=value`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FieldTerm {
    /// `status.phase`. Which fields a kind can be selected by is not known here.
    pub field: String,
    pub value: String,
    pub equal: bool,
}

impl FieldSelector {
    /// Reads `metadata.name=x,status.phase!=Running`; `\` escapes `,`, `=` and itself in a value. The empty
    /// text selects everything.
    ///
    /// # Errors
    /// A term has no operator, or a value an escape of something else.
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        let mut terms = Vec::new();
        for part in split(text).into_iter().filter(|part| !part.is_empty()) {
            let at = part.find(['=', '!']).and_then(|_| operator(part));
            let Some((field, equal, value)) = at else {
                return Err(SelectorError(format!("invalid selector: '{text}'; can't understand '{part}'")));
            };
            terms.push(FieldTerm { field: field.to_owned(), value: unescape(value)?, equal });
        }
        Ok(Self { terms })
    }

    /// Every term, in the order of the text; the caller refuses fields that its kind does not have.
    #[must_use]
    pub fn terms(&self) -> &[FieldTerm] {
        &self.terms
    }

    /// Whether it restricts nothing.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        self.terms.is_empty()
    }

    /// The value that `field` has to have, when only one will do.
    #[must_use]
    pub fn exactly(&self, field: &str) -> Option<&str> {
        self.terms.iter().find(|term| term.equal && term.field == field).map(|term| term.value.as_str())
    }

    /// Whether an object is meant, of which `field` says what each field is; one that it does not have is as
    /// an empty text.
    pub fn matches<'a>(&self, field: impl Fn(&str) -> Option<&'a str>) -> bool {
        self.terms.iter().all(|term| (field(&term.field).unwrap_or("") == term.value) == term.equal)
    }
}

impl fmt::Display for FieldSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, term) in self.terms.iter().enumerate() {
            let separator = if i == 0 { "" } else { "," };
            let operator = if term.equal { "=" } else { "!=" };
            write!(f, "{separator}{}{operator}", term.field)?;
            for c in term.value.chars() {
                let escape = if matches!(c, '\\' | ',' | '=') { "\\" } else { "" };
                write!(f, "{escape}{c}")?;
            }
        }
        Ok(())
    }
}

/// The parts between commas that are not escaped.
fn split(text: &str) -> Vec<&str> {
    let mut escaped = false;
    text.split(|c: char| {
        let is_end = c == ',' && !escaped;
        escaped = c == '\\' && !escaped;
        is_end
    })
    .collect()
}

/// Field, whether it has to be equal, and value; at the first operator.
fn operator(part: &str) -> Option<(&str, bool, &str)> {
    part.char_indices().find_map(|(i, _)| {
        let (field, rest) = part.split_at(i);
        let operators = [("!=", false), ("==", true), ("=", true)];
        operators.into_iter().find_map(|(literal, equal)| Some((field, equal, rest.strip_prefix(literal)?)))
    })
}

fn unescape(text: &str) -> Result<String, SelectorError> {
    let invalid = |what: String| SelectorError(format!("invalid field selector: {what}"));
    let mut value = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some(c @ ('\\' | ',' | '=')) => value.push(c),
                Some(other) => return Err(invalid(format!("invalid escape sequence: \\{other}"))),
                None => return Err(invalid("invalid escape sequence: \\".to_owned())),
            },
            ',' | '=' => return Err(invalid(format!("unescaped character in value: {}", u32::from(c)))),
            c => value.push(c),
        }
    }
    Ok(value)
}
