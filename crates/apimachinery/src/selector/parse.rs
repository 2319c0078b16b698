//! The text form of label selectors.

use podspec::{FieldError, FieldPath, format};

use super::SelectorError;
use super::label::{Operator, Requirement};

/// Bytes of one selector; a URL that is longer would not arrive.
const SELECTOR_BYTES_MAX: usize = 1 << 20;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Token<'a> {
    End,
    Closed,
    Open,
    Comma,
    Not,
    Equals,
    DoubleEquals,
    NotEquals,
    Greater,
    Less,
    /// A key, a value, `in` or `notin`.
    Word(&'a str),
    /// Symbols that are no operator.
    Unknown(&'a str),
}

impl<'a> Token<'a> {
    /// As it stood in the text.
    fn literal(self) -> &'a str {
        match self {
            Self::End => "",
            Self::Closed => ")",
            Self::Open => "(",
            Self::Comma => ",",
            Self::Not => "!",
            Self::Equals => "=",
            Self::DoubleEquals => "==",
            Self::NotEquals => "!=",
            Self::Greater => ">",
            Self::Less => "<",
            Self::Word(text) | Self::Unknown(text) => text,
        }
    }
}

/// Reads a selector from left to right; holds one token that is not consumed yet.
pub(super) struct Parser<'a> {
    rest: &'a str,
    next: Token<'a>,
}

impl<'a> Parser<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        let mut parser = Self { rest: text, next: Token::End };
        parser.advance();
        parser
    }

    pub(super) fn requirements(&mut self) -> Result<Vec<Requirement>, SelectorError> {
        if self.rest.len() > SELECTOR_BYTES_MAX {
            return Err(SelectorError(format!("the selector is longer than {SELECTOR_BYTES_MAX} bytes")));
        }
        let mut requirements = Vec::new();
        loop {
            match self.next {
                Token::End => return Ok(requirements),
                Token::Word(_) | Token::Not => {}
                other => return Err(found(other, "!, identifier, or 'end of string'")),
            }
            let requirement = self.requirement();
            requirements
                .push(requirement.map_err(|e| SelectorError(format!("unable to parse requirement: {e}")))?);
            match self.advance() {
                Token::End => return Ok(requirements),
                Token::Comma if matches!(self.next, Token::Word(_) | Token::Not) => {}
                Token::Comma => return Err(found(self.next, "identifier after ','")),
                other => return Err(found(other, "',' or 'end of string'")),
            }
        }
    }

    fn requirement(&mut self) -> Result<Requirement, SelectorError> {
        let absent = self.next == Token::Not;
        if absent {
            self.advance();
        }
        let key = match self.advance() {
            Token::Word(key) => key,
            other => return Err(found(other, "identifier")),
        };
        let messages = format::qualified_name(key);
        if !messages.is_empty() {
            let error = FieldError::invalid(FieldPath::root(), key, &messages.join("; "));
            // The key of a text has no path, and Kubernetes says so.
            return Err(SelectorError(format!("<nil>{error}")));
        }
        if absent {
            return Requirement::new(key, Operator::DoesNotExist, Vec::new());
        }
        if matches!(self.next, Token::End | Token::Comma) {
            return Requirement::new(key, Operator::Exists, Vec::new());
        }
        let operator = match self.advance() {
            Token::Word("in") => Operator::In,
            Token::Word("notin") => Operator::NotIn,
            Token::Equals => Operator::Equals,
            Token::DoubleEquals => Operator::DoubleEquals,
            Token::NotEquals => Operator::NotEquals,
            Token::Greater => Operator::GreaterThan,
            Token::Less => Operator::LessThan,
            other => return Err(found(other, "in, notin, =, ==, !=, gt, lt")),
        };
        let values = match operator {
            Operator::In | Operator::NotIn => self.values()?,
            _ => vec![self.value()?],
        };
        Requirement::new(key, operator, values)
    }

    /// One value, which may be empty.
    fn value(&mut self) -> Result<String, SelectorError> {
        if matches!(self.next, Token::End | Token::Comma) {
            return Ok(String::new());
        }
        match self.advance() {
            Token::Word(value) => Ok(value.to_owned()),
            other => Err(found(other, "identifier")),
        }
    }

    /// `(a,b,)`: each may be empty.
    fn values(&mut self) -> Result<Vec<String>, SelectorError> {
        match self.advance() {
            Token::Open => {}
            other => return Err(SelectorError(format!("found '{}' expected: '('", other.literal()))),
        }
        let mut values = Vec::new();
        loop {
            match self.next {
                Token::Word(value) => {
                    self.advance();
                    values.push(value.to_owned());
                }
                Token::Comma | Token::Closed => values.push(String::new()),
                other => return Err(found(other, "',', or identifier")),
            }
            match self.advance() {
                Token::Comma => {}
                Token::Closed => return Ok(values),
                other => return Err(found(other, "',' or ')'")),
            }
        }
    }

    /// Returns the token that was next, and reads another.
    fn advance(&mut self) -> Token<'a> {
        let token = self.next;
        let text = self.rest.trim_start_matches([' ', '\t', '\r', '\n']);
        let is_symbol = |c: char| "=!(),><".contains(c);
        let (next, length) = match text.chars().next() {
            None => (Token::End, 0),
            Some(c) if is_symbol(c) => symbol(text),
            Some(_) => {
                let is_end = |c: char| is_symbol(c) || " \t\r\n".contains(c);
                let word = &text[..text.find(is_end).unwrap_or(text.len())];
                (Token::Word(word), word.len())
            }
        };
        self.next = next;
        self.rest = &text[length..];
        token
    }
}

/// The longest operator `text` begins with, and its length.
fn symbol(text: &str) -> (Token<'_>, usize) {
    let operators = [
        ("==", Token::DoubleEquals),
        ("!=", Token::NotEquals),
        ("=", Token::Equals),
        ("!", Token::Not),
        ("(", Token::Open),
        (")", Token::Closed),
        (",", Token::Comma),
        (">", Token::Greater),
        ("<", Token::Less),
    ];
    let found = operators.into_iter().find(|(literal, _)| text.starts_with(literal));
    found.map_or((Token::Unknown(text), text.len()), |(literal, token)| (token, literal.len()))
}

fn found(token: Token<'_>, expected: &str) -> SelectorError {
    SelectorError(format!("found '{}', expected: {expected}", token.literal()))
}
