//! How a verb fails, and what is said about it: in the server's words, as kubectl prints them.

use std::fmt;
use std::io;
use std::process::ExitCode;

use client::ClientError;
use serde_json::Value;

use crate::outcome::{self, FAILURE, REFUSED};

pub(super) type Result<T> = std::result::Result<T, Failure>;

#[derive(Debug)]
pub(super) enum Failure {
    /// The server said no, or could not be asked. `doing` is what was tried, when that is not plain.
    Api {
        doing: Option<String>,
        error: ClientError,
    },
    /// What the command line or a manifest says cannot be done.
    Refused(String),
    /// Anything else, in words.
    Said(String),
    Other(anyhow::Error),
    /// All was said; what is left is the exit code.
    Code(u8),
    /// Whoever read the output has gone, which is no failure.
    ReaderGone,
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        Self::Api { doing: None, error }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Other(error)
    }
}

impl Failure {
    /// What went wrong with standard output.
    pub(super) fn of_output(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::ReaderGone,
            _ => Self::Other(anyhow::Error::new(error).context("cannot write to standard output")),
        }
    }

    pub(super) fn said(text: impl Into<String>) -> Self {
        Self::Said(text.into())
    }

    pub(super) fn refused(text: impl Into<String>) -> Self {
        Self::Refused(text.into())
    }

    pub(super) fn is_not_found(&self) -> bool {
        matches!(self, Self::Api { error, .. } if error.is_not_found())
    }

    pub(super) fn code(&self) -> u8 {
        match self {
            Self::Refused(_) => REFUSED,
            Self::Code(code) => *code,
            Self::ReaderGone => 0,
            Self::Api { .. } | Self::Said(_) | Self::Other(_) => FAILURE,
        }
    }

    /// Says it on standard error.
    pub(super) fn say(&self) {
        match self {
            Self::Api { doing, error } => {
                outcome::say(format_args!("{}", ServerText { doing: doing.as_deref(), error }));
            }
            Self::Refused(text) | Self::Said(text) => outcome::say(format_args!("error: {text}")),
            Self::Other(error) => outcome::report(error),
            Self::Code(_) | Self::ReaderGone => {}
        }
    }

    pub(super) fn report(self) -> ExitCode {
        self.say();
        ExitCode::from(self.code())
    }
}

/// An error of the API as kubectl words it.
struct ServerText<'a> {
    doing: Option<&'a str>,
    error: &'a ClientError,
}

impl fmt::Display for ServerText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let ClientError::NoEngine { source, .. } = self.error {
            let remedy = match source.kind() {
                io::ErrorKind::PermissionDenied => "run monopod with sudo",
                _ => "start one with `monopod serve`, or name another API with --kubeconfig",
            };
            return write!(f, "error: {}: {source}\nremedy: {remedy}", self.error);
        }
        let ClientError::Status { reason, message, status, .. } = self.error else {
            return write!(f, "error: {}", chain(self.error));
        };
        if reason == "Invalid" && status["details"]["kind"].is_string() {
            return f.write_str(&invalid(status, message));
        }
        let doing = self.doing.map(|doing| format!("{doing}: ")).unwrap_or_default();
        match reason.as_str() {
            "" | "Unknown" => write!(f, "Error from server: {doing}{message}"),
            "Unauthorized" => {
                write!(f, "error: You must be logged in to the server ({message})")
            }
            reason => write!(f, "Error from server ({reason}): {doing}{message}"),
        }
    }
}

/// One line for each cause.
fn invalid(status: &Value, message: &str) -> String {
    let details = &status["details"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let causes: Vec<String> = podspec::json::list(details, "causes")
        .iter()
        .map(|cause| match text(&cause["field"]) {
            field if field.is_empty() => text(&cause["message"]),
            field => format!("{field}: {}", text(&cause["message"])),
        })
        .collect();
    let head = format!("The {} {:?} is invalid", text(&details["kind"]), text(&details["name"]));
    match causes.as_slice() {
        [] => format!("{head}: {message}"),
        [cause] => format!("{head}: {cause}"),
        causes => format!("{head}: \n* {}", causes.join("\n* ")),
    }
}

/// The whole chain of an error, once.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(&format!(": {error}"));
        source = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use client::ClientError;
    use serde_json::{Value, json};

    use super::ServerText;

    fn text(status: Value, doing: Option<&str>) -> String {
        let error = ClientError::Status {
            code: 400,
            reason: status["reason"].as_str().unwrap_or_default().to_owned(),
            message: status["message"].as_str().unwrap_or_default().to_owned(),
            status,
        };
        ServerText { doing, error: &error }.to_string()
    }

    #[test]
    fn the_servers_words_are_printed_as_kubectl_does() {
        let missing = json!({"reason": "NotFound", "message": "pods \"x\" not found"});
        assert_eq!(text(missing, None), "Error from server (NotFound): pods \"x\" not found");
        let bad = json!({"reason": "BadRequest", "message": "unknown field \"spec.x\""});
        let doing = Some("error when applying \"p.yaml\"");
        let wanted =
            "Error from server (BadRequest): error when applying \"p.yaml\": unknown field \"spec.x\"";
        assert_eq!(text(bad, doing), wanted);
        assert_eq!(text(json!({"message": "odd"}), None), "Error from server: odd");
    }

    #[test]
    fn every_cause_of_an_invalid_object_has_a_line() {
        let cause = |field: &str| json!({"field": field, "message": "Required value"});
        let invalid = |causes: &[Value]| {
            json!({"reason": "Invalid", "message": "m",
                "details": {"kind": "Pod", "name": "p", "causes": causes}})
        };
        assert_eq!(
            text(invalid(&[cause("spec.containers")]), None),
            "The Pod \"p\" is invalid: spec.containers: Required value"
        );
        assert_eq!(
            text(invalid(&[cause("a"), cause("b")]), None),
            "The Pod \"p\" is invalid: \n* a: Required value\n* b: Required value"
        );
        assert_eq!(text(invalid(&[]), None), "The Pod \"p\" is invalid: m");
    }
}
