//! What `--for` waits for.

use podspec::json::{list, text};
use serde_json::Value;

use crate::client::jsonpath::{Template, shown};

#[derive(Clone, PartialEq, Debug)]
pub(super) enum Expectation {
    /// `condition=Ready`, `condition=Ready=False`.
    Condition {
        name: String,
        status: String,
    },
    Delete,
    /// There is such an object.
    Create,
    /// `jsonpath={.status.phase}=Running`; any value without one.
    JsonPath {
        path: Template,
        value: Option<String>,
    },
}

impl Expectation {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            None if text.eq_ignore_ascii_case("delete") => Ok(Self::Delete),
            None if text.eq_ignore_ascii_case("create") => Ok(Self::Create),
            Some(("condition", condition)) => {
                let (name, status) = condition.split_once('=').unwrap_or((condition, "True"));
                Ok(Self::Condition { name: name.to_owned(), status: status.to_owned() })
            }
            Some(("jsonpath", rest)) => json_path(rest.trim_matches('\'')),
            _ => Err("use condition=NAME[=STATUS], delete, create, or jsonpath={.path}[=VALUE]".to_owned()),
        }
    }

    /// Whether it is true of an object that is there.
    pub(super) fn is_met(&self, object: &Value) -> bool {
        match self {
            Self::Condition { name, status } => {
                list(&object["status"], "conditions").iter().any(|condition| {
                    text(condition, "type").eq_ignore_ascii_case(name)
                        && text(condition, "status").eq_ignore_ascii_case(status)
                })
            }
            Self::Delete => false,
            Self::Create => true,
            Self::JsonPath { path, value } => {
                let found = path.find(object);
                match value {
                    None => !found.is_empty(),
                    Some(value) => !found.is_empty() && found.iter().all(|found| shown(found) == *value),
                }
            }
        }
    }
}

fn json_path(text: &str) -> Result<Expectation, String> {
    // A filter has signs of equality of its own, within the braces.
    let (path, value) = match text.rfind('}') {
        Some(close) => {
            let (path, rest) = text.split_at(close + 1);
            (path, rest.trim_start_matches('\'').strip_prefix('='))
        }
        None => text.split_once('=').map_or((text, None), |(path, value)| (path, Some(value))),
    };
    let value = value.map(|value| value.trim_matches(['"', '\'']).to_owned());
    Ok(Expectation::JsonPath { path: Template::parse_path(path)?, value })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::Expectation;

    #[test]
    fn expectations() {
        let pod =
            json!({"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "False"}]}});
        for (text, met) in [
            ("condition=Ready", false),
            ("condition=ready=false", true),
            ("condition=Other", false),
            ("delete", false),
            ("create", true),
            ("jsonpath={.status.phase}=Running", true),
            ("jsonpath='{.status.phase}'=Pending", false),
            ("jsonpath={.status.phase}", true),
            ("jsonpath={.status.podIP}", false),
            ("jsonpath={.status.conditions[?(@.type==\"Ready\")].status}=False", true),
        ] {
            assert_eq!(Expectation::parse(text).unwrap().is_met(&pod), met, "{text}");
        }
        for wrong in ["", "ready", "conditions=Ready", "jsonpath={.a[}=x"] {
            assert!(Expectation::parse(wrong).is_err(), "{wrong}");
        }
    }
}
