//! The rules about texts, and those of podspec: its errors, and the warnings that Kubernetes has too.

use podspec::{FieldErrorKind, Problem, WarningTopic};

use crate::rule::{Rule, Severity};

macro_rules! rules {
    ($($name:ident $severity:ident $id:literal $summary:literal;)*) => {
        $(pub(super) static $name: Rule = Rule { id: $id, severity: Severity::$severity, summary: $summary };)*

        /// By id.
        pub static RULES: &[&Rule] = &[$(&$name),*];
    };
}

rules! {
    DUPLICATE_FIELD Error "duplicate-field" "a field is there twice";
    FRACTIONAL_BYTES Warning "fractional-bytes" "an amount of memory is not a whole number of bytes, as 128m";
    HIDDEN_VARIABLE Warning "hidden-variable" "a variable of one name hides another one";
    INVALID_FIELD Error "invalid-field" "a field is missing, or has a value that Kubernetes does not take";
    NOT_A_MANIFEST Error "not-a-manifest" "a document is no Kubernetes object";
    NOT_SUPPORTED Error "not-supported" "Kubernetes knows the field, and monopod does not do what it says";
    REPEATED_PORT_NAME Warning "repeated-port-name" "two ports of a pod have one name";
    SYNTAX Error "syntax" "the text is not valid YAML or JSON";
    UNKNOWN_FIELD Error "unknown-field" "Kubernetes knows no such field here";
    UNKNOWN_PORT_NAME Warning "unknown-port-name" "a probe or hook names a port that the container does not have";
    UNKNOWN_RULE Warning "unknown-rule" "a comment allows a rule that there is not";
}

pub(super) fn of_problem(problem: &Problem) -> &'static Rule {
    match problem {
        Problem::Field(error) => of_error(error.kind),
        Problem::TooLarge { .. } | Problem::Syntax(_) | Problem::Template => &SYNTAX,
        Problem::NoPod
        | Problem::NotAMapping(_)
        | Problem::KindMissing { .. }
        | Problem::WrongKind { .. }
        | Problem::NoItems => &NOT_A_MANIFEST,
    }
}

pub(super) fn of_error(kind: FieldErrorKind) -> &'static Rule {
    match kind {
        FieldErrorKind::UnknownField => &UNKNOWN_FIELD,
        FieldErrorKind::DuplicateField => &DUPLICATE_FIELD,
        FieldErrorKind::NotYet | FieldErrorKind::Refused => &NOT_SUPPORTED,
        _ => &INVALID_FIELD,
    }
}

pub(super) fn of_warning(topic: WarningTopic) -> &'static Rule {
    match topic {
        WarningTopic::HiddenVariable => &HIDDEN_VARIABLE,
        WarningTopic::FractionalBytes => &FRACTIONAL_BYTES,
        WarningTopic::UnknownPortName => &UNKNOWN_PORT_NAME,
        WarningTopic::RepeatedPortName => &REPEATED_PORT_NAME,
    }
}
