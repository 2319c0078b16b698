//! A request's body as an object of its kind, and what its query says about the change.

use api_schema::{Issue, Type};
use apimachinery::Status;
use podspec::{FieldError, FieldErrorKind, FieldPath};
use serde_json::Value;

use crate::negotiate::BodyForm;
use crate::route::Query;

/// What becomes of fields that the kind does not have, and of those that are there twice.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum FieldValidation {
    Ignore,
    Warn,
    Strict,
}

const ACCEPTED: &[&str] = &["application/json", "application/yaml", "application/vnd.kubernetes.protobuf"];

/// An object and what to warn of.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Decoded {
    pub(crate) value: Value,
    /// `unknown field "spec.x"`.
    pub(crate) complaints: Vec<String>,
}

/// Reads a body in one of the forms of whole objects, as far as it is JSON, YAML or protobuf at all.
pub(crate) fn read(form: Option<BodyForm>, body: &[u8]) -> Result<Decoded, Status> {
    match form {
        Some(BodyForm::Json) => read_json(body),
        Some(BodyForm::Yaml) => read_yaml(body),
        Some(BodyForm::Protobuf) => {
            let value = api_schema::protobuf::decode(body);
            let value = value.map_err(|error| Status::bad_request(error.to_string()))?;
            Ok(Decoded { value, complaints: Vec::new() })
        }
        _ => Err(Status::unsupported_media_type(ACCEPTED)),
    }
}

pub(crate) fn read_json(body: &[u8]) -> Result<Decoded, Status> {
    let (value, twice) =
        api_schema::read_json(body).map_err(|error| Status::bad_request(error.to_string()))?;
    let complaints = twice.iter().map(|path| format!("duplicate field \"{path}\"")).collect();
    Ok(Decoded { value, complaints })
}

/// JSON is YAML; and most of what is called YAML is sent as JSON.
pub(crate) fn read_yaml(body: &[u8]) -> Result<Decoded, Status> {
    if body.trim_ascii_start().starts_with(b"{") {
        return read_json(body);
    }
    let text = std::str::from_utf8(body).map_err(|error| {
        Status::bad_request(format!("the body is no UTF-8 after {} bytes", error.valid_up_to()))
    })?;
    let (value, twice) = podspec::load::one(text)
        .map_err(|error| Status::bad_request(format!("the body is no YAML: {error}")))?;
    let complaints = twice.iter().map(|path| format!("duplicate field \"{path}\"")).collect();
    Ok(Decoded { value, complaints })
}

/// Makes sure that a body is of the kind that its URL takes; one that does not say is.
pub(crate) fn check_kind(value: &mut Value, api_version: &str, kind: &str) -> Result<(), Status> {
    let Some(object) = value.as_object_mut() else {
        let message = format!("the body has to be a {kind} in version \"{api_version}\", as an object");
        return Err(Status::bad_request(message));
    };
    for (field, expected) in [("apiVersion", api_version), ("kind", kind)] {
        let found = object.get(field).and_then(Value::as_str).unwrap_or("");
        if found.is_empty() {
            object.insert(field.to_owned(), expected.into());
        }
    }
    let text = |field: &str| object.get(field).and_then(Value::as_str).unwrap_or("").to_owned();
    let (found_version, found_kind) = (text("apiVersion"), text("kind"));
    if found_version != api_version {
        return Err(Status::bad_request(format!(
            "the API version in the data ({found_version}) does not match the expected API version ({api_version})"
        )));
    }
    if found_kind != kind {
        return Err(Status::bad_request(format!(
            "the body is a {found_kind} in version \"{found_version}\"; this path takes a {kind}"
        )));
    }
    Ok(())
}

/// Checks a value against its schema and brings it into its form. Returns what to warn of.
pub(crate) fn check_schema(
    ty: &Type,
    decoded: &mut Decoded,
    validation: FieldValidation,
) -> Result<Vec<String>, Status> {
    let mut complaints = std::mem::take(&mut decoded.complaints);
    let issues = api_schema::check(ty, &mut decoded.value);
    let version = ty.package.version;
    if let Some(wrong) = issues.iter().find(|issue| !issue.is_unknown()) {
        return Err(Status::bad_request(format!(
            "{kind} in version \"{version}\" cannot be handled as a {kind}: {wrong}",
            kind = ty.name
        )));
    }
    complaints.extend(issues.iter().map(Issue::to_string));
    match validation {
        FieldValidation::Ignore => Ok(Vec::new()),
        FieldValidation::Warn => Ok(complaints),
        FieldValidation::Strict if complaints.is_empty() => Ok(complaints),
        FieldValidation::Strict => Err(Status::strict_decoding(version, ty.name, &complaints)),
    }
}

/// What a query says about a change: `fieldValidation`, `dryRun`, `fieldManager`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct WriteOptions {
    pub(crate) validation: FieldValidation,
    pub(crate) dry_run: bool,
    pub(crate) manager: Option<String>,
}

impl WriteOptions {
    /// `options` is the kind that errors name: `CreateOptions`.
    pub(crate) fn of(query: &Query, options: &str) -> Result<Self, Status> {
        let mut errors = Vec::new();
        let validation = match query.text("fieldValidation") {
            Some("Ignore") => FieldValidation::Ignore,
            Some("Strict") => FieldValidation::Strict,
            None | Some("Warn") => FieldValidation::Warn,
            Some(other) => {
                errors.push(unsupported("fieldValidation", other, &["Ignore", "Strict", "Warn"]));
                FieldValidation::Warn
            }
        };
        let dry_run: Vec<&str> = query.all("dryRun").filter(|value| !value.is_empty()).collect();
        errors.extend(
            dry_run.iter().filter(|value| **value != "All").map(|v| unsupported("dryRun", v, &["All"])),
        );
        let manager = query.text("fieldManager").map(str::to_owned);
        if let Some(manager) = &manager {
            let path = FieldPath::root().child("fieldManager");
            errors.extend(apimachinery::meta::validate_field_manager(manager, &path));
        }
        if errors.is_empty() {
            Ok(Self { validation, dry_run: !dry_run.is_empty(), manager })
        } else {
            Err(Status::invalid("meta.k8s.io", options, "", &errors))
        }
    }
}

/// The name that stands for a client that names no field manager: its program's.
pub(crate) fn manager_of(user_agent: Option<&str>) -> String {
    const CHARS_MAX: usize = 128;
    let program = user_agent.unwrap_or("").split('/').next().unwrap_or("");
    let program: String = program.chars().filter(|c| !c.is_control()).take(CHARS_MAX).collect();
    if program.is_empty() { "unknown".to_owned() } else { program }
}

fn unsupported(field: &str, value: &str, supported: &[&str]) -> FieldError {
    let list: Vec<String> = supported.iter().map(|value| format!("\"{value}\"")).collect();
    FieldError {
        path: FieldPath::root().child(field),
        kind: FieldErrorKind::NotSupported,
        value: Some(value.into()),
        detail: format!("supported values: {}", list.join(", ")),
        hint: None,
    }
}
