//! The labels of a namespace.

use podspec::json::fields;
use podspec::{FieldError, FieldPath};
use serde_json::Value;

use crate::level::{Level, Policy, Version};

const PREFIX: &str = "pod-security.kubernetes.io/";
const ENFORCE: &str = "pod-security.kubernetes.io/enforce";
const ENFORCE_VERSION: &str = "pod-security.kubernetes.io/enforce-version";
const AUDIT: &str = "pod-security.kubernetes.io/audit";
const AUDIT_VERSION: &str = "pod-security.kubernetes.io/audit-version";
const WARN: &str = "pod-security.kubernetes.io/warn";
const WARN_VERSION: &str = "pod-security.kubernetes.io/warn-version";

/// Whether `labels` have anything to say: without, nothing is forbidden.
#[must_use]
pub fn are_there(labels: &Value) -> bool {
    fields(labels).keys().any(|name| name.starts_with(PREFIX))
}

/// What a namespace asks of its pods. There is no third for `audit`: nothing here keeps audit records, so its labels are
/// checked and no more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Policies {
    /// What violates it is refused.
    pub enforce: Policy,
    /// What violates it is warned about.
    pub warn: Policy,
}

impl Policies {
    /// The policies of `metadata.labels`, and what is wrong with these. A label to enforce that cannot be read counts as the
    /// strictest, one to warn as none. Who enforces and does not say what to warn about is warned by the same policy,
    /// which a pod template feels: it is never refused.
    #[must_use]
    pub fn of(labels: &Value) -> (Self, Vec<FieldError>) {
        let mut read = Reader { labels, errors: Vec::new() };
        let (none, latest) = (Policy::NONE.level, Policy::NONE.version);
        let level = read.label(ENFORCE, Level::parse);
        let is_enforced = matches!(level, Some(Ok(_)));
        let enforce = Policy {
            level: level.map_or(none, |level| level.unwrap_or(Level::Restricted)),
            version: read.label(ENFORCE_VERSION, Version::parse).and_then(Result::ok).unwrap_or(latest),
        };
        read.label(AUDIT, Level::parse);
        read.label(AUDIT_VERSION, Version::parse);
        let level = read.label(WARN, Level::parse);
        let version = read.label(WARN_VERSION, Version::parse).map(|version| version.unwrap_or(latest));
        let warn = match level {
            None if is_enforced && enforce.level > none => {
                Policy { level: enforce.level, version: version.unwrap_or(enforce.version) }
            }
            level => Policy {
                level: level.and_then(Result::ok).unwrap_or(none),
                version: version.unwrap_or(latest),
            },
        };
        (Self { enforce, warn }, read.errors)
    }
}

struct Reader<'a> {
    labels: &'a Value,
    errors: Vec<FieldError>,
}

impl Reader<'_> {
    /// `None` when there is no such label.
    fn label<T>(
        &mut self,
        name: &str,
        parse: fn(&str) -> Result<T, &'static str>,
    ) -> Option<Result<T, &'static str>> {
        let text = self.labels.get(name)?.as_str().unwrap_or_default();
        let parsed = parse(text);
        if let Err(detail) = parsed {
            let path = FieldPath::root().child("metadata").child("labels").key(name);
            self.errors.push(FieldError::invalid(path, text, detail));
        }
        Some(parsed)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn labels(of: &[(&str, &str)]) -> Value {
        of.iter().map(|(name, value)| (format!("{PREFIX}{name}"), json!(value))).collect()
    }

    #[test]
    fn each_mode_has_its_policy() {
        const NONE: &str = "privileged:latest";
        for (given, enforce, warn) in [
            (&[][..], NONE, NONE),
            (&[("enforce", "baseline")], "baseline:latest", "baseline:latest"),
            (
                &[("enforce", "restricted"), ("enforce-version", "v1.24")],
                "restricted:v1.24",
                "restricted:v1.24",
            ),
            (
                &[("enforce", "restricted"), ("enforce-version", "v1.24"), ("warn-version", "v1.3")],
                "restricted:v1.24",
                "restricted:v1.3",
            ),
            (&[("enforce", "baseline"), ("warn", "privileged")], "baseline:latest", NONE),
            (&[("enforce", "privileged"), ("enforce-version", "v1.9")], "privileged:v1.9", NONE),
            (&[("enforce-version", "v1.9")], "privileged:v1.9", NONE),
            (&[("warn", "restricted"), ("warn-version", "v1.30")], NONE, "restricted:v1.30"),
            (&[("audit", "restricted"), ("audit-version", "v1.30")], NONE, NONE),
        ] {
            let (policies, errors) = Policies::of(&labels(given));
            assert_eq!(
                (policies.enforce.to_string(), policies.warn.to_string()),
                (enforce.into(), warn.into())
            );
            assert_eq!(errors, [], "{given:?}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_said_and_enforced_strictly() {
        let (policies, errors) = Policies::of(&labels(&[
            ("enforce", "strict"),
            ("enforce-version", "v2.0"),
            ("audit", "x"),
            ("audit-version", "1.25"),
            ("warn", "Baseline"),
            ("warn-version", ""),
        ]));
        let privileged = Policy::NONE;
        let restricted = Policy { level: Level::Restricted, version: Version::Latest };
        assert_eq!(policies, Policies { enforce: restricted, warn: privileged });
        let level = "must be one of privileged, baseline, restricted";
        let version = "must be \"latest\" or \"v1.x\"";
        assert_eq!(
            errors.iter().map(ToString::to_string).collect::<Vec<_>>(),
            [
                format!("metadata.labels[{ENFORCE}]: Invalid value: \"strict\": {level}"),
                format!("metadata.labels[{ENFORCE_VERSION}]: Invalid value: \"v2.0\": {version}"),
                format!("metadata.labels[{AUDIT}]: Invalid value: \"x\": {level}"),
                format!("metadata.labels[{AUDIT_VERSION}]: Invalid value: \"1.25\": {version}"),
                format!("metadata.labels[{WARN}]: Invalid value: \"Baseline\": {level}"),
                format!("metadata.labels[{WARN_VERSION}]: Invalid value: \"\": {version}"),
            ]
        );
        // An unreadable level to enforce is no reason to warn of pods that are refused anyway.
        let (policies, _) = Policies::of(&labels(&[("enforce", "strict")]));
        assert_eq!(policies, Policies { enforce: restricted, warn: privileged });
    }

    #[test]
    fn other_labels_say_nothing() {
        assert!(
            !are_there(&Value::Null) && !are_there(&json!({"a": "b", "kubernetes.io/metadata.name": "n"}))
        );
        assert!(are_there(&labels(&[("warn", "baseline")])));
    }
}
