//! Label selectors.

use std::fmt;

use podspec::field::quote;
use podspec::json::{fields, list, text};
use podspec::{FieldError, FieldPath, format};
use serde_json::Value;

use super::parse::Parser;
use super::{Labels, SelectorError};

/// Requirements that all have to hold, in the order of their keys.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LabelSelector {
    requirements: Vec<Requirement>,
    /// A selector that is not there selects nothing, which no requirement can say.
    nothing: bool,
}

/// What one label has to be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Requirement {
    key: String,
    operator: Operator,
    /// Sorted and distinct.
    values: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Operator {
    Equals,
    DoubleEquals,
    NotEquals,
    In,
    NotIn,
    Exists,
    DoesNotExist,
    GreaterThan,
    LessThan,
}

impl LabelSelector {
    /// Selects everything.
    #[must_use]
    pub fn everything() -> Self {
        Self { requirements: Vec::new(), nothing: false }
    }

    /// Selects nothing.
    #[must_use]
    pub fn nothing() -> Self {
        Self { requirements: Vec::new(), nothing: true }
    }

    /// Reads `app=web,tier in (a,b),!canary`; the empty text selects everything.
    ///
    /// # Errors
    /// The text is no selector, or a key or value of it cannot be a label's.
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        Ok(Self::of(Parser::new(text).requirements()?))
    }

    /// Reads a `metav1.LabelSelector`: `null` selects nothing, an empty one everything.
    ///
    /// # Errors
    /// An operator is unknown, or a key or value cannot be a label's.
    pub fn from_json(selector: &Value) -> Result<Self, SelectorError> {
        if selector.is_null() {
            return Ok(Self::nothing());
        }
        let mut requirements = Vec::new();
        for (key, value) in fields(&selector["matchLabels"]) {
            let value = value.as_str().unwrap_or("").to_owned();
            requirements.push(Requirement::new(key, Operator::Equals, vec![value])?);
        }
        for expression in list(selector, "matchExpressions") {
            let operator = match text(expression, "operator") {
                "In" => Operator::In,
                "NotIn" => Operator::NotIn,
                "Exists" => Operator::Exists,
                "DoesNotExist" => Operator::DoesNotExist,
                other => {
                    return Err(SelectorError(format!(
                        "{} is not a valid label selector operator",
                        quote(other)
                    )));
                }
            };
            let values = list(expression, "values").iter().filter_map(Value::as_str).map(str::to_owned);
            requirements.push(Requirement::new(text(expression, "key"), operator, values.collect())?);
        }
        Ok(Self::of(requirements))
    }

    /// Whether it restricts nothing.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        self.requirements.is_empty() && !self.nothing
    }

    #[must_use]
    pub fn requirements(&self) -> &[Requirement] {
        &self.requirements
    }

    #[must_use]
    pub fn matches(&self, labels: &impl Labels) -> bool {
        !self.nothing && self.requirements.iter().all(|requirement| requirement.matches(labels))
    }

    fn of(mut requirements: Vec<Requirement>) -> Self {
        requirements.sort_by(|a, b| a.key.cmp(&b.key));
        Self { requirements, nothing: false }
    }
}

impl Requirement {
    /// # Errors
    /// Key, operator and values do not go together, or one cannot be a label's.
    pub fn new(key: &str, operator: Operator, mut values: Vec<String>) -> Result<Self, SelectorError> {
        values.sort();
        values.dedup();
        let mut errors = Vec::new();
        let (key_path, values_path) = (FieldPath::root().child("key"), FieldPath::root().child("values"));
        let messages = format::qualified_name(key);
        if !messages.is_empty() {
            errors.push(FieldError::invalid(key_path, key, &messages.join("; ")));
        }
        let listed = || Value::from(values.clone());
        let mut refuse =
            |detail: &str| errors.push(FieldError::invalid(values_path.clone(), listed(), detail));
        match operator {
            Operator::In | Operator::NotIn if values.is_empty() => {
                refuse("for 'in', 'notin' operators, values set can't be empty");
            }
            Operator::Equals | Operator::DoubleEquals | Operator::NotEquals if values.len() != 1 => {
                refuse("exact-match compatibility requires one single value");
            }
            Operator::Exists | Operator::DoesNotExist if !values.is_empty() => {
                refuse("values set must be empty for exists and does not exist");
            }
            Operator::GreaterThan | Operator::LessThan if values.len() != 1 => {
                refuse("for 'Gt', 'Lt' operators, exactly one value is required");
            }
            _ => {}
        }
        for (index, value) in values.iter().enumerate() {
            let path = values_path.index(index);
            let ordered = matches!(operator, Operator::GreaterThan | Operator::LessThan);
            if ordered && value.parse::<i64>().is_err() {
                let detail = "for 'Gt', 'Lt' operators, the value must be an integer";
                errors.push(FieldError::invalid(path.clone(), value.as_str(), detail));
            }
            let messages = format::label_value(value);
            if !messages.is_empty() {
                errors.push(FieldError::invalid(path.key(key), value.as_str(), &messages.join("; ")));
            }
        }
        if errors.is_empty() {
            return Ok(Self { key: key.to_owned(), operator, values });
        }
        Err(SelectorError(together(&errors)))
    }

    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    #[must_use]
    pub fn operator(&self) -> Operator {
        self.operator
    }

    #[must_use]
    pub fn values(&self) -> &[String] {
        &self.values
    }

    #[must_use]
    pub fn matches(&self, labels: &impl Labels) -> bool {
        let value = labels.label(&self.key);
        let listed = value.is_some_and(|value| self.values.iter().any(|v| v == value));
        match self.operator {
            Operator::Equals | Operator::DoubleEquals | Operator::In => listed,
            Operator::NotEquals | Operator::NotIn => !listed,
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
            Operator::GreaterThan => self.compared(value).is_some_and(|(has, asked)| has > asked),
            Operator::LessThan => self.compared(value).is_some_and(|(has, asked)| has < asked),
        }
    }

    /// The label's number and the asked one.
    fn compared(&self, value: Option<&str>) -> Option<(i64, i64)> {
        Some((value?.parse().ok()?, self.values.first()?.parse().ok()?))
    }
}

/// Several errors as one text.
fn together(errors: &[FieldError]) -> String {
    match errors {
        [only] => only.to_string(),
        _ => format!("[{}]", errors.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")),
    }
}

impl fmt::Display for LabelSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, requirement) in self.requirements.iter().enumerate() {
            let separator = if i == 0 { "" } else { "," };
            write!(f, "{separator}{requirement}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (key, values) = (&self.key, self.values.join(","));
        match self.operator {
            Operator::Equals => write!(f, "{key}={values}"),
            Operator::DoubleEquals => write!(f, "{key}=={values}"),
            Operator::NotEquals => write!(f, "{key}!={values}"),
            Operator::In => write!(f, "{key} in ({values})"),
            Operator::NotIn => write!(f, "{key} notin ({values})"),
            Operator::Exists => write!(f, "{key}"),
            Operator::DoesNotExist => write!(f, "!{key}"),
            Operator::GreaterThan => write!(f, "{key}>{values}"),
            Operator::LessThan => write!(f, "{key}<{values}"),
        }
    }
}
