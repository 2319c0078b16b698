//! `metav1.ListOptions`: which objects, and from when.

use std::time::Duration;

use apimachinery::{FieldSelector, LabelSelector, Status};
use podspec::{FieldError, FieldErrorKind, FieldPath};
use store::Object;

use crate::kinds::Kind;
use crate::route::Query;
use crate::rules::event;

/// Which objects a request is about.
#[derive(Clone, Debug)]
pub(crate) struct Selection {
    labels: LabelSelector,
    fields: FieldSelector,
}

/// How an answer's resourceVersion relates to the one asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum VersionMatch {
    Exact,
    NotOlderThan,
}

#[derive(Clone, Debug)]
pub(crate) struct ListOptions {
    pub(crate) selection: Selection,
    /// `None`: unset. Zero: any.
    pub(crate) version: Option<u64>,
    pub(crate) version_match: Option<VersionMatch>,
    pub(crate) limit: Option<usize>,
    pub(crate) continue_token: Option<String>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) bookmarks: bool,
    pub(crate) send_initial_events: Option<bool>,
}

impl Selection {
    fn of(query: &Query, kind: &Kind) -> Result<Self, Status> {
        let labels = LabelSelector::parse(query.text("labelSelector").unwrap_or(""));
        let labels =
            labels.map_err(|error| Status::bad_request(format!("unable to parse requirement: {error}")))?;
        let text = query.text("fieldSelector").unwrap_or("");
        let mut fields =
            FieldSelector::parse(text).map_err(|error| Status::bad_request(error.to_string()))?;
        if kind.group == "events.k8s.io" {
            fields = renamed(&fields);
        }
        let known: Vec<&str> =
            kind.rules.fields(&serde_json::Value::Null).iter().map(|(name, _)| *name).collect();
        for term in fields.terms() {
            let is_metadata =
                term.field == "metadata.name" || term.field == "metadata.namespace" && kind.namespaced;
            if !is_metadata && !known.contains(&term.field.as_str()) {
                let message = format!(
                    "Unable to find \"{}\" that match label selector \"{}\", field selector \"{text}\": \"{}\" is not a known field selector: only \"metadata.name\"{}",
                    kind.qualified(),
                    query.text("labelSelector").unwrap_or(""),
                    term.field,
                    known.iter().fold(", \"metadata.namespace\"".to_owned(), |list, name| format!(
                        "{list}, \"{name}\""
                    )),
                );
                return Err(Status::bad_request(message));
            }
        }
        Ok(Self { labels, fields })
    }

    pub(crate) fn is_everything(&self) -> bool {
        self.labels.is_everything() && self.fields.is_everything()
    }

    /// The one name that is meant, when only one is.
    pub(crate) fn name(&self) -> Option<&str> {
        self.fields.exactly("metadata.name")
    }

    pub(crate) fn matches(&self, object: &Object) -> bool {
        self.labels.matches(&object.labels)
            && self.fields.matches(|field| match field {
                "metadata.name" => Some(&*object.key.name),
                "metadata.namespace" => Some(&*object.key.namespace),
                _ => object.fields.iter().find(|(name, _)| *name == field).map(|(_, value)| value.as_str()),
            })
    }
}

/// Field names of `events.k8s.io` as those of the core group, in which events are stored.
fn renamed(fields: &FieldSelector) -> FieldSelector {
    let terms = fields.terms().iter().map(|term| {
        let operator = if term.equal { "=" } else { "!=" };
        let value = term.value.replace('\\', "\\\\").replace(',', "\\,").replace('=', "\\=");
        format!("{}{operator}{value}", event::selector_to_core(&term.field))
    });
    let text: Vec<String> = terms.collect();
    FieldSelector::parse(&text.join(",")).unwrap_or_else(|_| fields.clone())
}

impl ListOptions {
    pub(crate) fn of(query: &Query, kind: &Kind) -> Result<Self, Status> {
        let bad = |error: crate::route::QueryError| Status::bad_request(error.to_string());
        let mut errors = Vec::new();
        let version = match query.text("resourceVersion").map(str::parse) {
            None => None,
            Some(Ok(version)) => Some(version),
            Some(Err(_)) => {
                let text = query.text("resourceVersion").unwrap_or("");
                let error = error(
                    "resourceVersion",
                    FieldErrorKind::Invalid,
                    Some(text),
                    "it has to be a number that this server gave",
                );
                return Err(invalid(&[error]));
            }
        };
        let version_match = match query.text("resourceVersionMatch") {
            None => None,
            Some("Exact") => Some(VersionMatch::Exact),
            Some("NotOlderThan") => Some(VersionMatch::NotOlderThan),
            Some(other) => {
                let supported = "supported values: \"Exact\", \"NotOlderThan\"";
                errors.push(error(
                    "resourceVersionMatch",
                    FieldErrorKind::NotSupported,
                    Some(other),
                    supported,
                ));
                None
            }
        };
        let options = Self {
            selection: Selection::of(query, kind)?,
            version,
            version_match,
            limit: query
                .number("limit")
                .map_err(bad)?
                .and_then(|n| usize::try_from(n).ok())
                .filter(|n| *n > 0),
            continue_token: query.text("continue").map(str::to_owned),
            timeout: query.seconds("timeoutSeconds").map_err(bad)?,
            bookmarks: query.flag("allowWatchBookmarks"),
            send_initial_events: query.bool("sendInitialEvents").map_err(bad)?,
        };
        options.check(query.flag("watch"), &mut errors);
        if errors.is_empty() { Ok(options) } else { Err(invalid(&errors)) }
    }

    fn check(&self, is_watch: bool, errors: &mut Vec<FieldError>) {
        let forbidden = |field, detail| error(field, FieldErrorKind::Forbidden, None, detail);
        if self.send_initial_events.is_some() {
            if !is_watch {
                errors.push(forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list"));
            }
            if self.version_match != Some(VersionMatch::NotOlderThan) {
                let detail = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan";
                errors.push(forbidden("resourceVersionMatch", detail));
            }
            if !self.bookmarks && self.send_initial_events == Some(true) {
                let detail = "sendInitialEvents needs allowWatchBookmarks, whose bookmark ends them";
                errors.push(forbidden("allowWatchBookmarks", detail));
            }
            return;
        }
        if self.version_match.is_none() {
            return;
        }
        if is_watch {
            errors.push(forbidden(
                "resourceVersionMatch",
                "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
            ));
        } else if self.version.is_none() {
            errors.push(forbidden(
                "resourceVersionMatch",
                "resourceVersionMatch is forbidden unless resourceVersion is provided",
            ));
        } else if self.continue_token.is_some() {
            errors.push(forbidden(
                "resourceVersionMatch",
                "resourceVersionMatch is forbidden when continue is provided",
            ));
        } else if self.version == Some(0) && self.version_match == Some(VersionMatch::Exact) {
            errors.push(forbidden(
                "resourceVersionMatch",
                "resourceVersionMatch \"Exact\" is forbidden for resourceVersion \"0\"",
            ));
        }
    }
}

fn invalid(errors: &[FieldError]) -> Status {
    Status::invalid("meta.k8s.io", "ListOptions", "", errors)
}

fn error(field: &str, kind: FieldErrorKind, value: Option<&str>, detail: &str) -> FieldError {
    let path = FieldPath::root().child(field);
    FieldError { path, kind, value: value.map(Into::into), detail: detail.to_owned(), hint: None }
}
