//! The query of a URL.

use std::fmt;
use std::time::Duration;

/// More pairs than any client sends; `command` of an exec is the only one that repeats.
const PAIRS_MAX: usize = 4096;

/// Names and values in their order; a name may be there more than once.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Query(Vec<(String, String)>);

#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum QueryError {
    #[error("the query is not percent-encoded UTF-8: write % as %25")]
    Encoding,
    #[error("the query has more than {PAIRS_MAX} parameters")]
    TooMany,
    #[error("query parameter {name}: {value:?} is not {expected}")]
    Value { name: String, value: String, expected: Expected },
}

/// What a parameter may be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Expected {
    Bool,
    Number,
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bool => "true or false",
            Self::Number => "a whole number that is not negative",
        })
    }
}

impl Query {
    /// # Errors
    /// It is no query.
    pub fn parse(text: &str) -> Result<Self, QueryError> {
        let mut pairs = Vec::new();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            if pairs.len() == PAIRS_MAX {
                return Err(QueryError::TooMany);
            }
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let decode = |text| percent_decode(text, true).ok_or(QueryError::Encoding);
            pairs.push((decode(name)?, decode(value)?));
        }
        Ok(Self(pairs))
    }

    /// The first of this name; `None` when it is missing or empty.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(n, _)| n == name);
        found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    /// Every value of this name.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(n, _)| n == name)
    }

    /// As Kubernetes reads one: there and neither `false` nor `0` is true.
    #[must_use]
    pub fn flag(&self, name: &str) -> bool {
        let found = self.0.iter().find(|(n, _)| n == name);
        found.is_some_and(|(_, value)| !matches!(value.as_str(), "false" | "0"))
    }

    /// # Errors
    /// It is there and neither true nor false.
    pub fn bool(&self, name: &str) -> Result<Option<bool>, QueryError> {
        match self.text(name) {
            None => Ok(None),
            Some("true" | "1") => Ok(Some(true)),
            Some("false" | "0") => Ok(Some(false)),
            Some(value) => Err(wrong(name, value, Expected::Bool)),
        }
    }

    /// # Errors
    /// It is there and no number, or negative.
    pub fn number(&self, name: &str) -> Result<Option<u64>, QueryError> {
        self.text(name)
            .map(|value| value.parse().map_err(|_| wrong(name, value, Expected::Number)))
            .transpose()
    }

    /// Whole seconds.
    ///
    /// # Errors
    /// As [`Self::number`].
    pub fn seconds(&self, name: &str) -> Result<Option<Duration>, QueryError> {
        Ok(self.number(name)?.map(Duration::from_secs))
    }
}

fn wrong(name: &str, value: &str, expected: Expected) -> QueryError {
    QueryError::Value { name: name.to_owned(), value: value.to_owned(), expected }
}

/// `None` when it is not percent-encoded UTF-8.
pub(super) fn percent_decode(text: &str, plus_is_space: bool) -> Option<String> {
    if !text.contains(['%', '+']) {
        return Some(text.to_owned());
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => hex(rest.next()?)? << 4 | hex(rest.next()?)?,
            b'+' if plus_is_space => b' ',
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}
