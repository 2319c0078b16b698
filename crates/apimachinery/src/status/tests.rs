use podspec::{FieldError, FieldPath};
use serde_json::json;

use super::{Cause, Denial, Status, success};

#[test]
fn messages_are_those_clients_match_on() {
    let denial =
        Denial { user: "u", verb: "list", group: "", resource: "pods", namespace: "default", name: "" };
    for (status, code, reason, message) in [
        (Status::not_found("", "pods", "x"), 404, "NotFound", r#"pods "x" not found"#),
        (
            Status::not_found("coordination.k8s.io", "leases", "x"),
            404,
            "NotFound",
            r#"leases.coordination.k8s.io "x" not found"#,
        ),
        (Status::no_such_path(), 404, "NotFound", "the server could not find the requested resource"),
        (Status::already_exists("", "pods", "x"), 409, "AlreadyExists", r#"pods "x" already exists"#),
        (
            Status::generated_name_taken("", "pods", "x-abcde"),
            409,
            "AlreadyExists",
            r#"pods "x-abcde" already exists, the server was not able to generate a unique name for the object"#,
        ),
        (
            Status::modified("", "pods", "x"),
            409,
            "Conflict",
            r#"Operation cannot be fulfilled on pods "x": the object has been modified; please apply your changes to the latest version and try again"#,
        ),
        (
            Status::uid_differs("", "pods", "x", "a", "b"),
            409,
            "Conflict",
            r#"Operation cannot be fulfilled on pods "x": Precondition failed: UID in precondition: a, UID in object meta: b"#,
        ),
        (Status::unauthorized(), 401, "Unauthorized", "Unauthorized"),
        (
            Status::forbidden("", "pods", "x", "exceeded quota: q"),
            403,
            "Forbidden",
            r#"pods "x" is forbidden: exceeded quota: q"#,
        ),
        (
            Status::denied(denial),
            403,
            "Forbidden",
            r#"pods is forbidden: User "u" cannot list resource "pods" in API group "" in the namespace "default""#,
        ),
        (
            Status::denied(Denial { verb: "get", resource: "pods/log", name: "x", ..denial }),
            403,
            "Forbidden",
            r#"pods "x" is forbidden: User "u" cannot get resource "pods/log" in API group "" in the namespace "default""#,
        ),
        (
            Status::denied(Denial {
                group: "rbac.authorization.k8s.io",
                resource: "clusterroles",
                namespace: "",
                ..denial
            }),
            403,
            "Forbidden",
            r#"clusterroles.rbac.authorization.k8s.io is forbidden: User "u" cannot list resource "clusterroles" in API group "rbac.authorization.k8s.io" at the cluster scope"#,
        ),
        (
            Status::path_denied("system:anonymous", "get", "/metrics"),
            403,
            "Forbidden",
            r#"forbidden: User "system:anonymous" cannot get path "/metrics""#,
        ),
        (Status::too_old(1, 5), 410, "Expired", "too old resource version: 1 (5)"),
        (Status::too_new(9, 5), 504, "Timeout", "Timeout: Too large resource version: 9, current: 5"),
        (
            Status::method_not_supported("", "bindings", "list"),
            405,
            "MethodNotAllowed",
            r#"list is not supported on resources of kind "bindings""#,
        ),
        (
            Status::unsupported_media_type(&["application/json", "application/yaml"]),
            415,
            "UnsupportedMediaType",
            "the body of the request was in an unknown format - accepted media types include: application/json, application/yaml",
        ),
        (
            Status::not_acceptable(&["application/json"]),
            406,
            "NotAcceptable",
            "only the following media types are accepted: application/json",
        ),
        (
            Status::request_too_large("limit is 3145728"),
            413,
            "RequestEntityTooLarge",
            "Request entity too large: limit is 3145728",
        ),
        (
            Status::strict_decoding("v1", "Pod", &[r#"unknown field "spec.x""#.to_owned()]),
            400,
            "BadRequest",
            r#"Pod in version "v1" cannot be handled as a Pod: strict decoding error: unknown field "spec.x""#,
        ),
        (Status::internal("disk is full"), 500, "InternalError", "Internal error occurred: disk is full"),
        (Status::service_unavailable("starting"), 503, "ServiceUnavailable", "starting"),
        (Status::too_many_requests("slow down", 3), 429, "TooManyRequests", "slow down"),
    ] {
        assert_eq!((status.code, status.reason, status.message.as_str()), (code, reason, message));
    }
}

#[test]
fn invalid_objects_list_their_errors() {
    let path = |name: &str| FieldPath::root().child("spec").child(name);
    let errors = [
        FieldError::required(path("a"), ""),
        FieldError::invalid(path("b"), "x", "must be y"),
        FieldError::required(path("a"), ""),
    ];
    assert_eq!(Status::invalid("", "Pod", "x", &[]).message, r#"Pod "x" is invalid"#);
    assert_eq!(
        Status::invalid("", "Pod", "x", &errors[..1]).message,
        r#"Pod "x" is invalid: spec.a: Required value"#
    );
    let status = Status::invalid("rbac.authorization.k8s.io", "Role", "x", &errors);
    assert_eq!(
        status.message,
        r#"Role.rbac.authorization.k8s.io "x" is invalid: [spec.a: Required value, spec.b: Invalid value: "x": must be y]"#
    );
    assert_eq!(
        status.to_json(),
        json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": 422,
            "reason": "Invalid", "message": status.message,
            "details": {"name": "x", "group": "rbac.authorization.k8s.io", "kind": "Role", "causes": [
                {"reason": "FieldValueRequired", "message": "Required value", "field": "spec.a"},
                {"reason": "FieldValueInvalid", "message": "Invalid value: \"x\": must be y", "field": "spec.b"},
                {"reason": "FieldValueRequired", "message": "Required value", "field": "spec.a"},
            ]},
        })
    );
}

#[test]
fn causes_name_the_kind_of_error() {
    let path = FieldPath::root().child("a");
    for (error, reason, message) in [
        (
            FieldError::not_supported(path.clone(), "x", &["y"]),
            "FieldValueNotSupported",
            r#"Unsupported value: "x": supported values: "y""#,
        ),
        (FieldError::not_found(path.clone(), "x"), "FieldValueNotFound", r#"Not found: "x""#),
        (FieldError::duplicate(path.clone(), "x"), "FieldValueDuplicate", r#"Duplicate value: "x""#),
        (FieldError::forbidden(path.clone(), "no"), "FieldValueForbidden", "Forbidden: no"),
        (
            FieldError::too_long(path.clone(), 5),
            "FieldValueTooLong",
            "Too long: may not be more than 5 bytes",
        ),
        (
            FieldError::too_many(path.clone(), 6, 5),
            "FieldValueTooMany",
            "Too many: 6: must have at most 5 items",
        ),
        (
            FieldError::type_invalid(path.clone(), &json!(1), "x"),
            "FieldValueTypeInvalid",
            "Invalid value: 1: x",
        ),
        (FieldError::not_yet(path.clone(), "x"), "FieldValueForbidden", "Forbidden: not supported yet: x"),
        (FieldError::unknown(path, None), "FieldValueInvalid", "unknown field \"a\""),
    ] {
        let cause = Cause::of(&error);
        assert_eq!(
            (cause.reason.as_str(), cause.message.as_str(), cause.field.as_str()),
            (reason, message, "a")
        );
    }
}

#[test]
fn details_say_what_and_when_to_come_back() {
    let details = |status: Status| status.to_json()["details"].clone();
    assert_eq!(details(Status::not_found("", "pods", "x")), json!({"name": "x", "kind": "pods"}));
    assert_eq!(
        details(Status::not_found("", "pods", "x").with_uid("u")),
        json!({"name": "x", "kind": "pods", "uid": "u"})
    );
    assert_eq!(details(Status::too_many_requests("m", 3)), json!({"retryAfterSeconds": 3}));
    assert_eq!(
        details(Status::too_new(2, 1)),
        json!({"retryAfterSeconds": 1, "causes": [
            {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}]})
    );
    assert_eq!(details(Status::unauthorized()), json!(null));
    assert_eq!(
        success("", "pods", "x", "u"),
        json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
            "details": {"name": "x", "kind": "pods", "uid": "u"}})
    );
}
