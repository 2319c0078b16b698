use podspec::{FieldPath, WallTime};
use serde_json::{Value, json};

use super::{
    NameRule, Owner, deletion_time, finalizers, name, owners, prepare_creation, prepare_update,
    set_generated_name, set_namespace, set_resource_version, validate, validate_field_manager,
    validate_update,
};

fn texts(errors: &[podspec::FieldError]) -> Vec<String> {
    errors.iter().map(ToString::to_string).collect()
}

fn object(metadata: &Value) -> Value {
    json!({ "metadata": metadata })
}

#[test]
fn reads_what_is_there_and_survives_what_is_not() {
    let pod = object(&json!({
        "name": "p", "finalizers": ["a/b"], "deletionTimestamp": "1970-01-01T00:00:09Z",
        "ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": "n", "uid": "u", "controller": true}],
    }));
    assert_eq!(name(&pod), "p");
    assert_eq!(finalizers(&pod), ["a/b"]);
    assert_eq!(deletion_time(&pod), Some(WallTime::from_unix(9, 0)));
    let owner = Owner {
        api_version: "v1",
        kind: "Node",
        name: "n",
        uid: "u",
        controller: true,
        blocks_deletion: false,
    };
    assert_eq!(owners(&pod), [owner]);
    for hostile in [json!(null), json!([]), object(&json!([1])), object(&json!({"name": 1, "finalizers": 2}))]
    {
        assert_eq!(name(&hostile), "");
        assert!(finalizers(&hostile).is_empty() && owners(&hostile).is_empty());
        let mut object = hostile.clone();
        prepare_update(&mut object, &pod);
        set_resource_version(&mut object, 1);
        set_generated_name(&mut object, &[0; 24]);
        assert!(prepare_creation(&mut hostile.clone(), "u", WallTime(0)).is_ok());
    }
}

#[test]
fn creations_get_what_only_the_server_sets() {
    let mut pod = object(&json!({"generateName": "web-", "uid": "mine", "generation": 7, "selfLink": "/x",
        "deletionTimestamp": "1970-01-01T00:00:09Z", "deletionGracePeriodSeconds": 1, "labels": {"a": "b"}}));
    prepare_creation(&mut pod, "u", WallTime::from_unix(1, 0)).unwrap();
    assert!(set_generated_name(&mut pod, &[0; 24]));
    set_namespace(&mut pod, "default").unwrap();
    set_resource_version(&mut pod, 42);
    assert_eq!(
        pod["metadata"],
        json!({"generateName": "web-", "name": "web-bbbbb", "namespace": "default", "uid": "u",
            "creationTimestamp": "1970-01-01T00:00:01Z", "resourceVersion": "42", "labels": {"a": "b"}})
    );
    assert!(!set_generated_name(&mut pod, &[1; 24]), "it has a name");
    let status = prepare_creation(&mut pod, "u", WallTime(0)).unwrap_err();
    assert_eq!(status.message, "resourceVersion should not be set on objects to be created");
    let status = set_namespace(&mut pod, "other").unwrap_err();
    assert_eq!(
        status.message,
        "the namespace of the provided object does not match the namespace sent on the request"
    );
}

#[test]
fn names() {
    let subdomain = "a lowercase RFC 1123 subdomain must";
    for (rule, metadata, expected) in [
        (NameRule::DnsSubdomain, json!({"name": "a.b-c"}), vec![]),
        (
            NameRule::DnsSubdomain,
            json!({"name": "A"}),
            vec![format!("metadata.name: Invalid value: \"A\": {subdomain}")],
        ),
        (
            NameRule::DnsLabel,
            json!({"name": "a.b"}),
            vec!["metadata.name: Invalid value: \"a.b\": must not contain dots".into()],
        ),
        (NameRule::PathSegment, json!({"name": "system:node-Proxier"}), vec![]),
        (
            NameRule::PathSegment,
            json!({"name": ".."}),
            vec!["metadata.name: Invalid value: \"..\": may not be '..'".into()],
        ),
        (
            NameRule::PathSegment,
            json!({"name": "a/b%c"}),
            vec![
                "metadata.name: Invalid value: \"a/b%c\": may not contain '/'".into(),
                "metadata.name: Invalid value: \"a/b%c\": may not contain '%'".into(),
            ],
        ),
        (NameRule::DnsSubdomain, json!({"name": "web-x", "generateName": "web-"}), vec![]),
        (
            NameRule::DnsSubdomain,
            json!({"name": "web-x", "generateName": "-"}),
            vec![format!("metadata.generateName: Invalid value: \"-\": {subdomain}")],
        ),
        (
            NameRule::DnsLabel,
            json!({}),
            vec!["metadata.name: Required value: name or generateName is required".into()],
        ),
    ] {
        let found = texts(&validate(&object(&metadata), false, rule));
        assert_eq!(found.len(), expected.len(), "{metadata}: {found:?}");
        assert!(found.iter().zip(&expected).all(|(f, e)| f.starts_with(e)), "{metadata}: {found:?}");
    }
}

#[test]
fn metadata_of_new_objects() {
    let long = "x".repeat(256 << 10);
    for (what, namespaced, metadata, expected) in [
        (
            "good",
            true,
            json!({"namespace": "n", "labels": {"a/b": "C"}, "annotations": {"A/B": "any"}}),
            vec![],
        ),
        ("no namespace", true, json!({}), vec!["metadata.namespace: Required value"]),
        (
            "a namespace that is none",
            true,
            json!({"namespace": "a.b"}),
            vec!["metadata.namespace: Invalid value: \"a.b\": must not contain dots"],
        ),
        (
            "a namespace that may not be",
            false,
            json!({"namespace": "n"}),
            vec!["metadata.namespace: Forbidden: not allowed on this type"],
        ),
        (
            "negative generation",
            false,
            json!({"generation": -1}),
            vec!["metadata.generation: Invalid value: -1: must be greater than or equal to 0"],
        ),
        (
            "labels",
            false,
            json!({"labels": {"/x": "-"}}),
            vec![
                "metadata.labels: Invalid value: \"/x\": prefix part must be non-empty",
                "metadata.labels: Invalid value: \"-\": a valid label must be",
            ],
        ),
        (
            "annotations",
            false,
            json!({"annotations": {"a": long}}),
            vec!["metadata.annotations: Too long: may not be more than 262144 bytes"],
        ),
        (
            "an owner of nothing",
            false,
            json!({"ownerReferences": [{}]}),
            vec![
                "metadata.ownerReferences.apiVersion: Invalid value: \"\": version must not be empty",
                "metadata.ownerReferences.kind: Invalid value: \"\": must not be empty",
                "metadata.ownerReferences.name: Invalid value: \"\": must not be empty",
                "metadata.ownerReferences.uid: Invalid value: \"\": must not be empty",
            ],
        ),
        (
            "an event as owner",
            false,
            json!({"ownerReferences": [{"apiVersion": "v1", "kind": "Event", "name": "n", "uid": "u"}]}),
            vec!["metadata.ownerReferences: Invalid value: {"],
        ),
        (
            "two controllers",
            false,
            json!({"ownerReferences": [
                {"apiVersion": "apps/v1", "kind": "A", "name": "n", "uid": "u", "controller": true},
                {"apiVersion": "apps/v1", "kind": "B", "name": "m", "uid": "v", "controller": true}]}),
            vec!["metadata.ownerReferences: Invalid value: ["],
        ),
        (
            "finalizers",
            false,
            json!({"finalizers": ["orphan", "foregroundDeletion", "mine", "a/b/c"]}),
            vec![
                "metadata.finalizers: Invalid value: \"a/b/c\": a valid label key",
                "metadata.finalizers: Invalid value: [\"orphan\",\"foregroundDeletion\",\"mine\",\"a/b/c\"]: \
                 finalizer orphan and foregroundDeletion cannot be both set",
                "metadata.finalizers[2]: Invalid value: \"mine\": name is neither a standard finalizer name nor is \
                 it fully qualified",
            ],
        ),
        (
            "managedFields",
            false,
            json!({"managedFields": [{"operation": "Replace", "fieldsType": "FieldsV2", "manager": "a\tb"}]}),
            vec![
                "metadata.managedFields[0].operation: Invalid value: \"Replace\": must be `Apply` or `Update`",
                "metadata.managedFields[0].fieldsType: Invalid value: \"FieldsV2\": must be `FieldsV1`",
                "metadata.managedFields[0].manager: Invalid value: \"a\\tb\": invalid character U+0009 (at position 1)",
            ],
        ),
    ] {
        let mut metadata = metadata;
        metadata["name"] = "x".into();
        let found = texts(&validate(&object(&metadata), namespaced, NameRule::DnsSubdomain));
        assert_eq!(found.len(), expected.len(), "{what}: {found:?}");
        assert!(found.iter().zip(&expected).all(|(f, e)| f.starts_with(e)), "{what}: {found:?}");
    }
    let manager = texts(&validate_field_manager(&"m".repeat(129), &FieldPath::root().child("fieldManager")));
    assert_eq!(manager, ["fieldManager: Too long: may not be more than 128 bytes"]);
}

#[test]
fn updates_keep_what_they_must() {
    let old =
        object(&json!({"name": "x", "namespace": "n", "uid": "u", "resourceVersion": "5", "generation": 2,
        "creationTimestamp": "1970-01-01T00:00:01Z", "deletionTimestamp": "1970-01-01T00:00:09Z",
        "deletionGracePeriodSeconds": 30, "finalizers": ["a/b"]}));
    let mut new =
        object(&json!({"name": "x", "generation": 9, "creationTimestamp": null, "finalizers": ["a/b"]}));
    prepare_update(&mut new, &old);
    assert_eq!(new, old);
    assert_eq!(texts(&validate_update(&new, &old)), Vec::<String>::new());

    for (field, value, expected) in [
        ("name", json!("y"), "metadata.name: Invalid value: \"y\": field is immutable"),
        ("namespace", json!("m"), "metadata.namespace: Invalid value: \"m\": field is immutable"),
        ("uid", json!("v"), "metadata.uid: Invalid value: \"v\": field is immutable"),
        (
            "resourceVersion",
            json!(""),
            "metadata.resourceVersion: Invalid value: \"\": must be specified for an update",
        ),
        ("generation", json!(1), "metadata.generation: Invalid value: 1: must not be decremented"),
        (
            "deletionGracePeriodSeconds",
            json!(1),
            "metadata.deletionGracePeriodSeconds: Invalid value: 1: field is immutable",
        ),
        (
            "finalizers",
            json!(["a/b", "c/d", "b/c"]),
            "metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, found new \
             finalizers []string{\"b/c\", \"c/d\"}",
        ),
    ] {
        let mut changed = old.clone();
        changed["metadata"][field] = value;
        assert_eq!(texts(&validate_update(&changed, &old)), [expected]);
    }
}
