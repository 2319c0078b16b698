//! meta.k8s.io/v1 `Status`: how a server says that it did not do what it was asked to. The messages are
//! the ones clients of Kubernetes match on
//! (<https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/status/>).

use std::fmt;

use podspec::field::quote;
use podspec::{FieldError, FieldErrorKind};
use serde_json::{Map, Value, json};

/// A failed request.
#[derive(Clone, PartialEq, Debug)]
pub struct Status {
    /// The HTTP status code.
    pub code: u16,
    pub reason: &'static str,
    pub message: String,
    pub details: Option<Box<Details>>,
}

/// What a failure is about.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Details {
    pub name: String,
    pub group: String,
    /// The resource (`pods`), or the kind where a body is wrong (`Pod`).
    pub kind: String,
    pub uid: String,
    pub causes: Vec<Cause>,
    /// Zero when the client need not wait.
    pub retry_after_seconds: u32,
}

#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Cause {
    pub reason: String,
    pub message: String,
    /// The field as clients write it: `spec.containers[0].image`.
    pub field: String,
}

/// Who may not do what: the words of an authorizer's denial.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Denial<'a> {
    pub user: &'a str,
    pub verb: &'a str,
    pub group: &'a str,
    /// `pods` or `pods/log`.
    pub resource: &'a str,
    pub namespace: &'a str,
    pub name: &'a str,
}

/// `pods`, or `leases.coordination.k8s.io`: a resource or a kind with its group.
#[must_use]
pub fn qualified(group: &str, name: &str) -> String {
    if group.is_empty() { name.to_owned() } else { format!("{name}.{group}") }
}

impl std::error::Error for Status {}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Status {
    /// No such object.
    #[must_use]
    pub fn not_found(group: &str, resource: &str, name: &str) -> Self {
        let message = format!("{} {} not found", qualified(group, resource), quote(name));
        Self::about(404, "NotFound", message, group, resource, name)
    }

    /// Nothing is served under this path.
    #[must_use]
    pub fn no_such_path() -> Self {
        let message = "the server could not find the requested resource".to_owned();
        Self::new(404, "NotFound", message).with_details(Details::default())
    }

    #[must_use]
    pub fn already_exists(group: &str, resource: &str, name: &str) -> Self {
        let message = format!("{} {} already exists", qualified(group, resource), quote(name));
        Self::about(409, "AlreadyExists", message, group, resource, name)
    }

    /// Every generated name was taken; another attempt draws another.
    #[must_use]
    pub fn generated_name_taken(group: &str, resource: &str, name: &str) -> Self {
        let message = format!(
            "{} {} already exists, the server was not able to generate a unique name for the object",
            qualified(group, resource),
            quote(name)
        );
        Self::about(409, "AlreadyExists", message, group, resource, name).retry_after(1)
    }

    /// The object is not in the state the request takes it to be in; `why` ends the message.
    #[must_use]
    pub fn conflict(group: &str, resource: &str, name: &str, why: &str) -> Self {
        let message =
            format!("Operation cannot be fulfilled on {} {}: {why}", qualified(group, resource), quote(name));
        Self::about(409, "Conflict", message, group, resource, name)
    }

    /// The request carries another resourceVersion than the object has.
    #[must_use]
    pub fn modified(group: &str, resource: &str, name: &str) -> Self {
        Self::conflict(
            group,
            resource,
            name,
            "the object has been modified; please apply your changes to the latest version and try again",
        )
    }

    /// A precondition on the uid does not hold.
    #[must_use]
    pub fn uid_differs(group: &str, resource: &str, name: &str, asked: &str, found: &str) -> Self {
        let why = format!("Precondition failed: UID in precondition: {asked}, UID in object meta: {found}");
        Self::conflict(group, resource, name, &why)
    }

    /// A precondition on the resourceVersion does not hold.
    #[must_use]
    pub fn version_differs(group: &str, resource: &str, name: &str, asked: &str, found: &str) -> Self {
        let why = format!(
            "Precondition failed: ResourceVersion in precondition: {asked}, ResourceVersion in object meta: {found}"
        );
        Self::conflict(group, resource, name, &why)
    }

    /// Fields of an apply belong to others. `message` counts and lists what `causes` say one by one.
    #[must_use]
    pub fn apply_conflict(message: String, causes: Vec<Cause>) -> Self {
        Self::new(409, "Conflict", message).with_details(Details { causes, ..Details::default() })
    }

    /// The body breaks rules of its kind.
    #[must_use]
    pub fn invalid(group: &str, kind: &str, name: &str, errors: &[FieldError]) -> Self {
        let subject = format!("{} {} is invalid", qualified(group, kind), quote(name));
        let mut texts: Vec<String> = Vec::new();
        for text in errors.iter().map(ToString::to_string) {
            if !texts.contains(&text) {
                texts.push(text);
            }
        }
        let message = match &texts[..] {
            [] => subject,
            [only] => format!("{subject}: {only}"),
            _ => format!("{subject}: [{}]", texts.join(", ")),
        };
        let mut status = Self::about(422, "Invalid", message, group, kind, name);
        if let Some(details) = &mut status.details {
            details.causes = errors.iter().map(Cause::of).collect();
        }
        status
    }

    /// The request is well-formed and cannot be carried out, as a JSON patch that does not fit; `message`
    /// says why.
    #[must_use]
    pub fn unprocessable(message: impl Into<String>) -> Self {
        let message = message.into();
        let cause = Cause { reason: "FieldValueInvalid".to_owned(), message, field: "patch".to_owned() };
        let status = Self::new(
            422,
            "Invalid",
            "the server rejected our request due to an error in our request".to_owned(),
        );
        status.with_details(Details { causes: vec![cause], ..Details::default() })
    }

    #[must_use]
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message.into())
    }

    /// The body has unknown or duplicate fields and the client asked for strictness; `errors` as
    /// `unknown field "spec.x"`.
    #[must_use]
    pub fn strict_decoding(version: &str, kind: &str, errors: &[String]) -> Self {
        Self::bad_request(format!(
            "{kind} in version {} cannot be handled as a {kind}: strict decoding error: {}",
            quote(version),
            errors.join(", ")
        ))
    }

    /// `why` ends the message; an empty `resource` stands for a path, an empty `name` for all objects.
    #[must_use]
    pub fn forbidden(group: &str, resource: &str, name: &str, why: &str) -> Self {
        let message = match (resource, name) {
            ("", _) => format!("forbidden: {why}"),
            (_, "") => format!("{} is forbidden: {why}", qualified(group, resource)),
            _ => format!("{} {} is forbidden: {why}", qualified(group, resource), quote(name)),
        };
        Self::about(403, "Forbidden", message, group, resource, name)
    }

    /// No rule allows it.
    #[must_use]
    pub fn denied(denial: Denial<'_>) -> Self {
        let Denial { user, verb, group, resource, namespace, name } = denial;
        let scope = if namespace.is_empty() {
            "at the cluster scope".to_owned()
        } else {
            format!("in the namespace {}", quote(namespace))
        };
        let why = format!(
            "User {} cannot {verb} resource {} in API group {} {scope}",
            quote(user),
            quote(resource),
            quote(group)
        );
        let resource = resource.split('/').next().unwrap_or_default();
        Self::forbidden(group, resource, name, &why)
    }

    /// [`Self::denied`] for a path that is no resource.
    #[must_use]
    pub fn path_denied(user: &str, verb: &str, path: &str) -> Self {
        Self::forbidden("", "", "", &format!("User {} cannot {verb} path {}", quote(user), quote(path)))
    }

    /// Credentials are missing or wrong.
    #[must_use]
    pub fn unauthorized() -> Self {
        Self::new(401, "Unauthorized", "Unauthorized".to_owned())
    }

    /// What was asked for is no longer kept.
    #[must_use]
    pub fn expired(message: impl Into<String>) -> Self {
        Self::new(410, "Expired", message.into())
    }

    /// A watch from before what is kept; `oldest` is the first it could have begun at.
    #[must_use]
    pub fn too_old(version: u64, oldest: u64) -> Self {
        Self::expired(format!("too old resource version: {version} ({oldest})"))
    }

    /// The rest of a paged list is gone.
    #[must_use]
    pub fn continue_expired() -> Self {
        Self::expired(
            "The provided continue parameter is too old to display a consistent list result. You can start a new list \
             without the continue parameter.",
        )
    }

    /// The request waits for a resourceVersion that the store has not reached.
    #[must_use]
    pub fn too_new(version: u64, current: u64) -> Self {
        let mut status =
            Self::timeout(&format!("Too large resource version: {version}, current: {current}"), 1);
        if let Some(details) = &mut status.details {
            details.causes.push(Cause {
                reason: "ResourceVersionTooLarge".to_owned(),
                message: "Too large resource version".to_owned(),
                field: String::new(),
            });
        }
        status
    }

    /// The resource exists and does not know the verb.
    #[must_use]
    pub fn method_not_supported(group: &str, resource: &str, verb: &str) -> Self {
        let message =
            format!("{verb} is not supported on resources of kind {}", quote(&qualified(group, resource)));
        Self::about(405, "MethodNotAllowed", message, group, resource, "")
    }

    /// The path exists and does not know the HTTP method.
    #[must_use]
    pub fn method_not_allowed() -> Self {
        let message = "the server does not allow this method on the requested resource".to_owned();
        Self::new(405, "MethodNotAllowed", message).with_details(Details::default())
    }

    /// `accepted` are the types a body may have.
    #[must_use]
    pub fn unsupported_media_type(accepted: &[&str]) -> Self {
        let message = format!(
            "the body of the request was in an unknown format - accepted media types include: {}",
            accepted.join(", ")
        );
        Self::new(415, "UnsupportedMediaType", message)
    }

    /// `accepted` are the types an answer can have.
    #[must_use]
    pub fn not_acceptable(accepted: &[&str]) -> Self {
        let message = format!("only the following media types are accepted: {}", accepted.join(", "));
        Self::new(406, "NotAcceptable", message)
    }

    #[must_use]
    pub fn request_too_large(why: &str) -> Self {
        Self::new(413, "RequestEntityTooLarge", format!("Request entity too large: {why}"))
    }

    #[must_use]
    pub fn too_many_requests(message: &str, retry_after_seconds: u32) -> Self {
        Self::new(429, "TooManyRequests", message.to_owned())
            .with_details(Details::default())
            .retry_after(retry_after_seconds)
    }

    /// It may yet be done.
    #[must_use]
    pub fn timeout(message: &str, retry_after_seconds: u32) -> Self {
        Self::new(504, "Timeout", format!("Timeout: {message}"))
            .with_details(Details::default())
            .retry_after(retry_after_seconds)
    }

    /// A fault of the server.
    #[must_use]
    pub fn internal(message: &str) -> Self {
        let cause = Cause { message: message.to_owned(), ..Cause::default() };
        Self::new(500, "InternalError", format!("Internal error occurred: {message}"))
            .with_details(Details { causes: vec![cause], ..Details::default() })
    }

    #[must_use]
    pub fn service_unavailable(message: impl Into<String>) -> Self {
        Self::new(503, "ServiceUnavailable", message.into())
    }

    #[must_use]
    pub fn with_details(mut self, details: Details) -> Self {
        self.details = Some(Box::new(details));
        self
    }

    /// Adds a cause to the details.
    #[must_use]
    pub fn with_cause(mut self, cause: Cause) -> Self {
        self.details.get_or_insert_default().causes.push(cause);
        self
    }

    /// Adds the uid of the object to the details.
    #[must_use]
    pub fn with_uid(mut self, uid: &str) -> Self {
        uid.clone_into(&mut self.details.get_or_insert_default().uid);
        self
    }

    /// The body of the answer.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut status = json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "code": self.code,
        });
        if let Some(details) = &self.details {
            status["details"] = details.to_json();
        }
        status
    }

    fn new(code: u16, reason: &'static str, message: String) -> Self {
        Self { code, reason, message, details: None }
    }

    fn about(code: u16, reason: &'static str, message: String, group: &str, kind: &str, name: &str) -> Self {
        Self::new(code, reason, message).with_details(Details {
            name: name.to_owned(),
            group: group.to_owned(),
            kind: kind.to_owned(),
            ..Details::default()
        })
    }

    fn retry_after(mut self, seconds: u32) -> Self {
        self.details.get_or_insert_default().retry_after_seconds = seconds;
        self
    }
}

/// The answer to a deletion that is complete, which is a `Status` too.
#[must_use]
pub fn success(group: &str, resource: &str, name: &str, uid: &str) -> Value {
    let details = Details {
        name: name.to_owned(),
        group: group.to_owned(),
        kind: resource.to_owned(),
        uid: uid.to_owned(),
        ..Details::default()
    };
    json!({
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "details": details.to_json(),
    })
}

impl Details {
    fn to_json(&self) -> Value {
        let mut json = Map::new();
        set(&mut json, "name", &self.name);
        set(&mut json, "group", &self.group);
        set(&mut json, "kind", &self.kind);
        set(&mut json, "uid", &self.uid);
        if !self.causes.is_empty() {
            json.insert("causes".to_owned(), self.causes.iter().map(Cause::to_json).collect());
        }
        if self.retry_after_seconds > 0 {
            json.insert("retryAfterSeconds".to_owned(), self.retry_after_seconds.into());
        }
        Value::Object(json)
    }
}

impl Cause {
    /// What is wrong with one field.
    #[must_use]
    pub fn of(error: &FieldError) -> Self {
        let field = error.path.to_string();
        let text = error.to_string();
        let message = text.strip_prefix(&format!("{field}: ")).unwrap_or(&text).to_owned();
        Self { reason: cause_reason(error.kind).to_owned(), message, field }
    }

    fn to_json(&self) -> Value {
        let mut json = Map::new();
        set(&mut json, "reason", &self.reason);
        set(&mut json, "message", &self.message);
        set(&mut json, "field", &self.field);
        Value::Object(json)
    }
}

/// `metav1.CauseType` of an error of a field.
#[must_use]
pub fn cause_reason(kind: FieldErrorKind) -> &'static str {
    match kind {
        FieldErrorKind::Required => "FieldValueRequired",
        FieldErrorKind::Invalid | FieldErrorKind::UnknownField => "FieldValueInvalid",
        FieldErrorKind::NotSupported => "FieldValueNotSupported",
        FieldErrorKind::NotFound => "FieldValueNotFound",
        FieldErrorKind::Duplicate | FieldErrorKind::DuplicateField => "FieldValueDuplicate",
        FieldErrorKind::Forbidden | FieldErrorKind::NotYet | FieldErrorKind::Refused => "FieldValueForbidden",
        FieldErrorKind::TooLong => "FieldValueTooLong",
        FieldErrorKind::TooMany => "FieldValueTooMany",
        FieldErrorKind::TypeInvalid => "FieldValueTypeInvalid",
    }
}

fn set(json: &mut Map<String, Value>, name: &str, text: &str) {
    if !text.is_empty() {
        json.insert(name.to_owned(), text.into());
    }
}

#[cfg(test)]
mod tests;
