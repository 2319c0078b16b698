//! Errors about one field, in the form clients of Kubernetes know
//! (`spec.containers[0].image: Required value`).

use std::fmt;

use serde_json::Value;

/// A path into a manifest: `spec.containers[0].resources.limits[cpu]`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct FieldPath(Vec<Segment>);

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Segment {
    /// A field of an object: `.name`.
    Field(String),
    /// An entry of a list: `[0]`.
    Index(usize),
    /// An entry of a map with free keys: `[cpu]`.
    Key(String),
}

impl FieldPath {
    /// The document itself.
    #[must_use]
    pub fn root() -> Self {
        Self::default()
    }

    #[must_use]
    pub fn child(&self, name: &str) -> Self {
        self.with(Segment::Field(name.to_owned()))
    }

    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        self.with(Segment::Index(index))
    }

    #[must_use]
    pub fn key(&self, key: &str) -> Self {
        self.with(Segment::Key(key.to_owned()))
    }

    #[must_use]
    pub fn segments(&self) -> &[Segment] {
        &self.0
    }

    /// The path around the last segment; the root is its own.
    #[must_use]
    pub fn parent(&self) -> Self {
        Self(self.0[..self.0.len().saturating_sub(1)].to_vec())
    }

    /// The path of what `path` leads to from here.
    #[must_use]
    pub fn join(&self, path: &Self) -> Self {
        Self(self.0.iter().chain(&path.0).cloned().collect())
    }

    /// Whether this is `other` or inside it.
    #[must_use]
    pub fn is_within(&self, other: &Self) -> bool {
        self.0.starts_with(&other.0)
    }

    fn with(&self, segment: Segment) -> Self {
        let mut segments = Vec::with_capacity(self.0.len() + 1);
        segments.extend_from_slice(&self.0);
        segments.push(segment);
        Self(segments)
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, segment) in self.0.iter().enumerate() {
            match segment {
                Segment::Field(name) if i == 0 => f.write_str(name)?,
                Segment::Field(name) => write!(f, ".{name}")?,
                Segment::Index(index) => write!(f, "[{index}]")?,
                Segment::Key(key) => write!(f, "[{key}]")?,
            }
        }
        Ok(())
    }
}

/// What is wrong with a field. All but the last four are Kubernetes' own error types.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FieldErrorKind {
    Required,
    Invalid,
    NotSupported,
    NotFound,
    Duplicate,
    Forbidden,
    TooLong,
    TooMany,
    /// The JSON type is another than the field's.
    TypeInvalid,
    /// The field is not part of v1.Pod.
    UnknownField,
    /// The field is there twice.
    DuplicateField,
    /// Kubernetes knows the field, this engine does not do it yet.
    NotYet,
    /// Kubernetes knows the field, this engine will not do it.
    Refused,
}

/// One error. `Display` is the text Kubernetes' API server would send for it; `hint` is what to do
/// about it, where that is not evident.
#[derive(Clone, PartialEq, Debug)]
pub struct FieldError {
    pub path: FieldPath,
    pub kind: FieldErrorKind,
    pub value: Option<Value>,
    pub detail: String,
    pub hint: Option<String>,
}

impl std::error::Error for FieldError {}

impl FieldError {
    #[must_use]
    pub fn required(path: FieldPath, detail: &str) -> Self {
        Self::new(path, FieldErrorKind::Required, None, detail)
    }

    #[must_use]
    pub fn invalid(path: FieldPath, value: impl Into<Value>, detail: &str) -> Self {
        Self::new(path, FieldErrorKind::Invalid, Some(value.into()), detail)
    }

    #[must_use]
    pub fn not_found(path: FieldPath, value: &str) -> Self {
        Self::new(path, FieldErrorKind::NotFound, Some(value.into()), "")
    }

    #[must_use]
    pub fn duplicate(path: FieldPath, value: impl Into<Value>) -> Self {
        Self::new(path, FieldErrorKind::Duplicate, Some(value.into()), "")
    }

    #[must_use]
    pub fn forbidden(path: FieldPath, detail: &str) -> Self {
        Self::new(path, FieldErrorKind::Forbidden, None, detail)
    }

    /// `supported` in the order to print it.
    #[must_use]
    pub fn not_supported(path: FieldPath, value: &str, supported: &[&str]) -> Self {
        let list = supported.iter().map(|s| quote(s)).collect::<Vec<_>>().join(", ");
        Self::new(
            path,
            FieldErrorKind::NotSupported,
            Some(value.into()),
            &format!("supported values: {list}"),
        )
    }

    #[must_use]
    pub fn too_long(path: FieldPath, bytes_max: usize) -> Self {
        Self::new(path, FieldErrorKind::TooLong, None, &format!("may not be more than {bytes_max} bytes"))
    }

    #[must_use]
    pub fn too_many(path: FieldPath, count: usize, max: usize) -> Self {
        let detail = format!("must have at most {max} items");
        Self::new(path, FieldErrorKind::TooMany, Some(count.into()), &detail)
    }

    #[must_use]
    pub fn type_invalid(path: FieldPath, value: &Value, detail: &str) -> Self {
        Self::new(path, FieldErrorKind::TypeInvalid, Some(value.clone()), detail)
    }

    #[must_use]
    pub fn not_yet(path: FieldPath, missing: &str) -> Self {
        Self::new(path, FieldErrorKind::NotYet, None, &format!("not supported yet: {missing}"))
    }

    #[must_use]
    pub fn refused(path: FieldPath, reason: &str) -> Self {
        Self::new(path, FieldErrorKind::Refused, None, reason)
    }

    /// `meant` is the name it was probably meant to be; it becomes the detail, which is not printed.
    #[must_use]
    pub fn unknown(path: FieldPath, meant: Option<&str>) -> Self {
        let error = Self::new(path, FieldErrorKind::UnknownField, None, meant.unwrap_or(""));
        match meant {
            Some(name) => error.hint(format!("did you mean \"{name}\"?")),
            None => error,
        }
    }

    #[must_use]
    pub fn duplicate_field(path: FieldPath) -> Self {
        Self::new(path, FieldErrorKind::DuplicateField, None, "")
    }

    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    fn new(path: FieldPath, kind: FieldErrorKind, value: Option<Value>, detail: &str) -> Self {
        Self { path, kind, value, detail: detail.to_owned(), hint: None }
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = &self.path;
        match self.kind {
            FieldErrorKind::UnknownField => return write!(f, "unknown field \"{path}\""),
            FieldErrorKind::DuplicateField => return write!(f, "duplicate field \"{path}\""),
            kind => write!(f, "{path}: {}", kind.label())?,
        }
        match &self.value {
            Some(Value::String(text)) => write!(f, ": {}", quote(text))?,
            Some(value) => write!(f, ": {value}")?,
            None => {}
        }
        if self.detail.is_empty() { Ok(()) } else { write!(f, ": {}", self.detail) }
    }
}

impl FieldErrorKind {
    fn label(self) -> &'static str {
        match self {
            Self::Required => "Required value",
            Self::Invalid | Self::TypeInvalid | Self::UnknownField | Self::DuplicateField => "Invalid value",
            Self::NotSupported => "Unsupported value",
            Self::NotFound => "Not found",
            Self::Duplicate => "Duplicate value",
            Self::Forbidden | Self::NotYet | Self::Refused => "Forbidden",
            Self::TooLong => "Too long",
            Self::TooMany => "Too many",
        }
    }
}

/// A string as Go's `%q` prints it, which is what clients compare with.
#[must_use]
pub fn quote(text: &str) -> String {
    use fmt::Write as _;
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{b}' => out.push_str("\\v"),
            '\u{c}' => out.push_str("\\f"),
            c if u32::from(c) < 0x80 && c.is_control() => drop(write!(out, "\\x{:02x}", u32::from(c))),
            c if c.is_control() => drop(write!(out, "\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
