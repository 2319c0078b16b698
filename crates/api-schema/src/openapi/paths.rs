//! The operations.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::openapi::definitions::{PATCH, reference, request, response};
use crate::openapi::{Action, Form, Operation};

/// The kind of each path.
type Kinds<'a> = BTreeMap<&'a str, &'static str>;

/// Name, type in JSON, what it does.
type Parameter = (&'static str, &'static str, &'static str);

const PRETTY: Parameter = ("pretty", "string", "Whether the answer is indented.");
const DRY_RUN: Parameter = ("dryRun", "string", "All: do everything but keep the change.");
const WRITE: [Parameter; 3] = [
    DRY_RUN,
    ("fieldManager", "string", "Who makes the change, in metadata.managedFields."),
    (
        "fieldValidation",
        "string",
        "What becomes of unknown and duplicate fields: Ignore, Warn (the default) or Strict.",
    ),
];
const FORCE: Parameter = ("force", "boolean", "Server-side apply takes fields that others own.");
const DELETE: [Parameter; 4] = [
    DRY_RUN,
    ("gracePeriodSeconds", "integer", "How long the object may take to go; 0 is at once."),
    ("orphanDependents", "boolean", "Use propagationPolicy instead."),
    ("propagationPolicy", "string", "What becomes of the objects it owns: Background, Foreground or Orphan."),
];
const LIST: [Parameter; 10] = [
    ("allowWatchBookmarks", "boolean", "A watch may send bookmarks."),
    ("continue", "string", "Where the list before this one ended."),
    ("fieldSelector", "string", "Objects whose fields have these values."),
    ("labelSelector", "string", "Objects whose labels match."),
    ("limit", "integer", "The most objects to list at once."),
    ("resourceVersion", "string", "The version to list or to watch from."),
    ("resourceVersionMatch", "string", "Exact or NotOlderThan."),
    ("sendInitialEvents", "boolean", "A watch begins with the objects there are."),
    ("timeoutSeconds", "integer", "When the call ends."),
    ("watch", "boolean", "Send changes instead of a list."),
];

const BODIES: [&str; 3] = ["application/json", "application/yaml", "application/vnd.kubernetes.protobuf"];
const ANSWERS: [&str; 1] = ["application/json"];
const PATCHES: [&str; 4] = [
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
];

pub(super) fn paths(form: Form, operations: &[Operation]) -> Map<String, Value> {
    let kinds = operations.iter().map(|operation| (operation.path.as_str(), operation.kind)).collect();
    let mut paths = Map::new();
    for operation in operations {
        let item = paths.entry(operation.path.clone()).or_insert_with(|| {
            let named = names_in(&operation.path).map(|name| path_parameter(form, name));
            let parameters: Vec<Value> = named.chain([query_parameter(form, PRETTY)]).collect();
            json!({"parameters": parameters})
        });
        item[operation.method.to_lowercase()] = self::operation(form, operation, &kinds);
    }
    paths
}

/// What stands in braces.
fn names_in(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
}

fn operation(form: Form, operation: &Operation, kinds: &Kinds<'_>) -> Value {
    let Operation { group, version, kind, .. } = *operation;
    let action = operation.action();
    let parameters = actions_parameters(action).into_iter();
    let mut parameters: Vec<Value> = parameters.map(|parameter| query_parameter(form, parameter)).collect();
    let mut described = json!({
        "description": description(operation),
        "operationId": operation_id(operation, kinds),
        "tags": [format!("{}_{version}", tag(group))],
        "x-kubernetes-action": operation.action,
        "x-kubernetes-group-version-kind": {"group": group, "version": version, "kind": kind},
        "responses": responses(form, operation),
    });
    let body = match (request(operation), action) {
        (_, Action::Patch) => Some((reference(form, PATCH), &PATCHES[..])),
        (Some(ty), _) => Some((reference(form, &ty.openapi_name()), &BODIES[..])),
        (None, _) => None,
    };
    if let Some((schema, types)) = body {
        let is_required = !matches!(action, Action::Delete | Action::DeleteCollection);
        match form {
            Form::V2 => {
                described["consumes"] = Value::from(types);
                let body = json!({"in": "body", "name": "body", "required": is_required, "schema": schema});
                parameters.insert(0, body);
            }
            Form::V3 => {
                described["requestBody"] =
                    json!({"content": content(types, &schema), "required": is_required});
            }
        }
    }
    if form == Form::V2 {
        let produces = if response(operation).is_some() { ANSWERS[0] } else { "*/*" };
        described["produces"] = json!([produces]);
    }
    described["parameters"] = Value::Array(parameters);
    described
}

fn actions_parameters(action: Action) -> Vec<Parameter> {
    match action {
        Action::Get | Action::Connect => vec![],
        Action::List | Action::Watch => LIST.to_vec(),
        Action::Post | Action::Put => WRITE.to_vec(),
        Action::Patch => WRITE.into_iter().chain([FORCE]).collect(),
        Action::Delete => DELETE.to_vec(),
        Action::DeleteCollection => {
            let list =
                LIST.into_iter().filter(|(name, ..)| !matches!(*name, "allowWatchBookmarks" | "watch"));
            DELETE.into_iter().chain(list).collect()
        }
    }
}

fn content(types: &[&str], schema: &Value) -> Value {
    types.iter().map(|ty| ((*ty).to_owned(), json!({"schema": schema}))).collect()
}

fn responses(form: Form, operation: &Operation) -> Value {
    let (schema, types) = match response(operation) {
        Some(ty) => (reference(form, &ty.openapi_name()), &ANSWERS[..]),
        None => (json!({"type": "string"}), &["*/*"][..]),
    };
    let answer = |description: &str| match form {
        Form::V2 => json!({"description": description, "schema": schema}),
        Form::V3 => json!({"description": description, "content": content(types, &schema)}),
    };
    let mut responses = json!({"200": answer("OK"), "401": {"description": "Unauthorized"}});
    if matches!(operation.action(), Action::Post | Action::Put | Action::Patch) {
        responses["201"] = answer("Created");
    }
    if matches!(operation.action(), Action::Post | Action::Delete) {
        responses["202"] = answer("Accepted");
    }
    responses
}

fn path_parameter(form: Form, name: &str) -> Value {
    let description = match name {
        "name" => "The object's name.",
        "namespace" => "The object's namespace.",
        _ => "The rest of the path.",
    };
    let parameter = json!({"in": "path", "name": name, "required": true, "description": description});
    typed(form, parameter, "string")
}

fn query_parameter(form: Form, (name, ty, description): Parameter) -> Value {
    typed(form, json!({"in": "query", "name": name, "description": description}), ty)
}

fn typed(form: Form, mut parameter: Value, ty: &str) -> Value {
    match form {
        Form::V2 => {
            parameter["type"] = Value::from(ty);
            parameter["uniqueItems"] = Value::from(true);
        }
        Form::V3 => parameter["schema"] = json!({"type": ty, "uniqueItems": true}),
    }
    parameter
}

fn description(operation: &Operation) -> String {
    let what = match operation.action() {
        Action::Get => "Read",
        Action::List => "List or watch",
        Action::Watch => "Watch",
        Action::Post => "Create",
        Action::Put => "Replace",
        Action::Patch => "Change",
        Action::Delete => "Delete",
        Action::DeleteCollection => "Delete many of",
        Action::Connect => "Connect to",
    };
    format!("{what} {}.", operation.kind)
}

/// `core`, `apps`, `rbacAuthorization`: as the names of operations and tags have it.
fn tag(group: &str) -> String {
    if group.is_empty() {
        return "core".to_owned();
    }
    let group = group.strip_suffix(".k8s.io").unwrap_or(group);
    let mut parts = group.split('.');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |name, part| name + &capital(part))
}

/// Unique among all operations (`createCoreV1NamespacedPodBinding`); clients are generated with these names.
fn operation_id(operation: &Operation, kinds: &Kinds<'_>) -> String {
    let Operation { version, kind, ref path, .. } = *operation;
    let action = operation.action();
    let path = path.replacen("/watch/", "/", 1);
    // A subresource is named after the kind it is of, and after that one's group.
    let (of, subresource) = path.split_once("/{name}/").map_or((None, ""), |(of, rest)| (Some(of), rest));
    let owner = of.and_then(|of| kinds.get(format!("{of}/{{name}}").as_str()));
    let owner = capital(owner.copied().unwrap_or(kind));
    let subresource: String = subresource
        .split('/')
        .map(|part| capital(if part == "{path}" { "withPath" } else { part }))
        .collect();
    let group = match path.trim_start_matches('/').split('/').nth(1) {
        Some(group) if path.starts_with("/apis/") => group,
        _ => "",
    };
    let is_namespaced = path.contains("/namespaces/{namespace}/");
    let in_namespaces = path.rsplit_once('/').is_some_and(|(root, plural)| {
        kinds.contains_key(format!("{root}/namespaces/{{namespace}}/{plural}").as_str())
    });
    let verb = match action {
        Action::Get => "read",
        Action::List => "list",
        Action::Watch => "watch",
        Action::Post => "create",
        Action::Put => "replace",
        Action::Patch => "patch",
        Action::Delete | Action::DeleteCollection => "delete",
        Action::Connect => "connect",
    };
    let group = capital(&tag(group));
    let version = capital(version);
    let method =
        if action == Action::Connect { capital(&operation.method.to_lowercase()) } else { String::new() };
    let collection = if action == Action::DeleteCollection { "Collection" } else { "" };
    let namespaced = if is_namespaced { "Namespaced" } else { "" };
    let list = if operation.action == "watchlist" { "List" } else { "" };
    let everywhere = if in_namespaces { "ForAllNamespaces" } else { "" };
    format!("{verb}{group}{version}{method}{collection}{namespaced}{owner}{subresource}{list}{everywhere}")
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_ascii_uppercase().to_string() + letters.as_str()).unwrap_or_default()
}
