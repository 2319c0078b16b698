use api_schema::{Schema, Type};
use serde_json::{Value, json};

use super::{json_patch, merge_patch, strategic_merge};

fn pod() -> &'static Type {
    Schema::get().kind("", "v1", "Pod").unwrap()
}

fn cause(status: &crate::Status) -> String {
    status
        .details
        .as_ref()
        .and_then(|d| d.causes.first())
        .map_or(status.message.clone(), |c| c.message.clone())
}

#[test]
fn json_operations() {
    let object = json!({"a": {"b": 1}, "l": ["x", "y"], "t~/": 0, "n": null});
    for (patch, result) in [
        (json!([]), object.clone()),
        (
            json!([{"op": "add", "path": "/a/c", "value": 2}]),
            json!({"a": {"b": 1, "c": 2}, "l": ["x", "y"], "t~/": 0, "n": null}),
        ),
        (
            json!([{"op": "add", "path": "/l/-", "value": "z"}, {"op": "add", "path": "/l/0", "value": "w"}]),
            json!({"a": {"b": 1}, "l": ["w", "x", "y", "z"], "t~/": 0, "n": null}),
        ),
        (
            json!([{"op": "remove", "path": "/l/-1"}, {"op": "remove", "path": "/t~0~1"}]),
            json!({"a": {"b": 1}, "l": ["x"], "n": null}),
        ),
        (
            json!([{"op": "replace", "path": "/l/1", "value": {}}, {"op": "replace", "path": "/new", "value": 1}]),
            json!({"a": {"b": 1}, "l": ["x", {}], "t~/": 0, "n": null, "new": 1}),
        ),
        (
            json!([{"op": "move", "from": "/a/b", "path": "/b"}, {"op": "copy", "from": "/l", "path": "/a/l"}]),
            json!({"a": {"l": ["x", "y"]}, "b": 1, "l": ["x", "y"], "t~/": 0, "n": null}),
        ),
        (
            json!([{"op": "test", "path": "/a", "value": {"b": 1}}, {"op": "test", "path": "/missing"},
                   {"op": "test", "path": "/n", "value": null}, {"op": "replace", "path": "", "value": {}}]),
            json!({}),
        ),
    ] {
        assert_eq!(json_patch(&object, &patch).unwrap(), result, "{patch}");
    }
}

#[test]
fn json_operations_that_do_not_apply() {
    let object = json!({"a": {"b": 1}, "l": ["x", "y"]});
    for (operation, code, message) in [
        (
            json!({"op": "add", "path": "/x/y", "value": 1}),
            422,
            "operation 0: add operation does not apply: doc is missing path: \"/x/y\": missing value",
        ),
        (
            json!({"op": "add", "path": "/l/3", "value": 1}),
            422,
            "operation 0: error in add for path: '/l/3': Unable to access invalid index: 3: invalid index referenced",
        ),
        (
            json!({"op": "add", "path": "/l/x", "value": 1}),
            422,
            "operation 0: error in add for path: '/l/x': value was not a proper array index: 'x'",
        ),
        (
            json!({"op": "remove", "path": "/c"}),
            422,
            "operation 0: error in remove for path: '/c': Unable to remove nonexistent key: c: missing value",
        ),
        (
            json!({"op": "replace", "path": "/l/2", "value": 1}),
            422,
            "operation 0: replace operation does not apply: doc is missing key: /l/2: missing value",
        ),
        (
            json!({"op": "move", "from": "/c", "path": "/d"}),
            422,
            "operation 0: error in move for path: 'c': Unable to remove nonexistent key: c: missing value",
        ),
        (
            json!({"op": "move", "from": "/a", "path": "/a/b/c"}),
            422,
            "operation 0: move operation does not apply: /a/b/c is inside /a",
        ),
        (
            json!({"op": "test", "path": "/a/b", "value": 2}),
            422,
            "operation 0: testing value /a/b failed: test failed",
        ),
        (
            json!({"op": "add", "value": 2}),
            422,
            "operation 0: add operation failed to decode path: missing value",
        ),
        (
            json!({"op": "add", "path": "a", "value": 2}),
            422,
            "operation 0: add operation does not apply: doc is missing path: \"a\": missing value",
        ),
        (json!({"op": "merge", "path": "/a"}), 422, "operation 0: Unexpected kind: merge"),
        (json!({}), 422, "operation 0: Unexpected kind: unknown"),
        (json!(1), 400, "error decoding patch: operation 0 is of type number, not an object"),
    ] {
        let status = json_patch(&object, &json!([operation])).unwrap_err();
        assert_eq!((status.code, cause(&status).as_str()), (code, message), "{operation}");
    }
    assert_eq!(json_patch(&object, &json!({})).unwrap_err().code, 400);
}

#[test]
fn json_patches_are_bounded() {
    let nop = json!({"op": "test", "path": "/x"});
    let many = |n| Value::Array(vec![nop.clone(); n]);
    assert!(json_patch(&json!({}), &many(super::JSON_PATCH_OPERATIONS_MAX)).is_ok());
    let status = json_patch(&json!({}), &many(super::JSON_PATCH_OPERATIONS_MAX + 1)).unwrap_err();
    assert_eq!(status.code, 413);
    assert_eq!(
        status.message,
        "Request entity too large: The allowed maximum operations in a JSON patch is 10000, got 10001"
    );

    let mut doubling = vec![json!({"op": "add", "path": "/l", "value": ["x".repeat(1_000)]})];
    doubling.resize(40, json!({"op": "copy", "from": "/l", "path": "/l/-"}));
    let status = json_patch(&json!({}), &Value::Array(doubling)).unwrap_err();
    assert!(cause(&status).contains("accumulated size increase of copy"), "{}", cause(&status));

    // Each step puts the whole object into a new one.
    let mut nesting = vec![json!({"op": "add", "path": "/a", "value": {}})];
    for _ in 0..2_000 {
        nesting.push(json!({"op": "add", "path": "/b", "value": {}}));
        nesting.push(json!({"op": "move", "from": "/a", "path": "/b/x"}));
        nesting.push(json!({"op": "move", "from": "/b", "path": "/a"}));
    }
    let status = json_patch(&json!({}), &Value::Array(nesting)).unwrap_err();
    assert!(cause(&status).contains("nested deeper"), "{}", cause(&status));

    // What is large cannot be moved about for long.
    let large = json!({"a": {"l": vec![0; 5_000]}, "b": {}});
    let back_and_forth = [
        json!({"op": "move", "from": "/a", "path": "/b/a"}),
        json!({"op": "move", "from": "/b/a", "path": "/a"}),
    ];
    let moves = back_and_forth.iter().cycle().take(10_000).cloned().collect();
    let status = json_patch(&large, &moves).unwrap_err();
    assert!(cause(&status).contains("moves more than"), "{}", cause(&status));

    // Moving about without nesting is fine.
    let mut about = vec![json!({"op": "add", "path": "/a/b/c/d", "value": {"e": {}}})];
    for _ in 0..300 {
        about.push(json!({"op": "move", "from": "/a/b/c/d", "path": "/d"}));
        about.push(json!({"op": "move", "from": "/d", "path": "/a/b/c/d"}));
    }
    let object = json!({"a": {"b": {"c": {}}}});
    assert_eq!(json_patch(&object, &Value::Array(about)).unwrap()["a"]["b"]["c"]["d"]["e"], json!({}));
}

/// The examples of RFC 7386, appendix A, whose patch is an object.
#[test]
fn merge_patches() {
    for (object, patch, result) in [
        (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
        (json!({"a": "b"}), json!({"b": "c"}), json!({"a": "b", "b": "c"})),
        (json!({"a": "b"}), json!({"a": null}), json!({})),
        (json!({"a": "b", "b": "c"}), json!({"a": null}), json!({"b": "c"})),
        (json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"})),
        (json!({"a": "c"}), json!({"a": ["b"]}), json!({"a": ["b"]})),
        (json!({"a": {"b": "c"}}), json!({"a": {"b": "d", "c": null}}), json!({"a": {"b": "d"}})),
        (json!({"a": [{"b": "c"}]}), json!({"a": [1]}), json!({"a": [1]})),
        (json!({"e": null}), json!({"a": 1}), json!({"e": null, "a": 1})),
        (json!([1, 2]), json!({"a": "b", "c": null}), json!({"a": "b"})),
        (json!({}), json!({"a": {"bb": {"ccc": null}}}), json!({"a": {"bb": {}}})),
    ] {
        assert_eq!(merge_patch(&object, &patch).unwrap(), result, "{object} {patch}");
    }
    let status = merge_patch(&json!({}), &json!(["c"])).unwrap_err();
    assert_eq!(status.code, 400);
}

fn nested(levels: usize) -> Value {
    (0..levels).fold(json!({}), |inner, _| json!({ "a": inner }))
}

#[test]
fn deep_patches_are_refused() {
    assert!(merge_patch(&json!({}), &nested(100)).is_ok());
    assert_eq!(merge_patch(&json!({}), &nested(200)).unwrap_err().code, 400);
    assert_eq!(strategic_merge(pod(), &json!({}), &nested(200)).unwrap_err().code, 400);
}

fn containers(list: &Value) -> Value {
    json!({"spec": {"containers": list}})
}

#[test]
fn strategic_lists_of_objects() {
    let object = json!([
        {"name": "a", "image": "1", "env": [{"name": "X", "value": "x"}, {"name": "Y", "value": "y"}]},
        {"name": "b", "image": "2", "command": ["c", "d"]},
    ]);
    for (what, patch, result) in [
        (
            "merged by key, scalars replaced",
            json!([{"name": "b", "image": "3", "command": ["e"]}]),
            json!([object[0], {"name": "b", "image": "3", "command": ["e"]}]),
        ),
        (
            "nested lists are merged, too; what is named comes as named, what is not keeps its place",
            json!([{"name": "a", "env": [{"name": "Y", "value": "z"}, {"name": "Z", "value": "n"}]}]),
            json!([
                {"name": "a", "image": "1", "env": [
                    {"name": "X", "value": "x"}, {"name": "Y", "value": "z"}, {"name": "Z", "value": "n"}]},
                object[1],
            ]),
        ),
        (
            "what is added comes before what the patch does not name",
            json!([{"name": "c", "image": "4"}, {"name": "b"}]),
            json!([{"name": "c", "image": "4"}, object[0], object[1]]),
        ),
        ("one is deleted", json!([{"name": "a", "$patch": "delete"}]), json!([object[1]])),
        ("all are replaced", json!([{"name": "c"}, {"$patch": "replace"}]), json!([{"name": "c"}])),
        (
            "null removes, and is nothing in what is new",
            json!([{"name": "b", "command": null}, {"name": "c", "image": null, "env": null}]),
            json!([object[0], {"name": "b", "image": "2"}, {"name": "c"}]),
        ),
    ] {
        let merged = strategic_merge(pod(), &containers(&object), &containers(&patch)).unwrap();
        assert_eq!(merged, containers(&result), "{what}");
    }
}

#[test]
fn strategic_order() {
    let object = containers(&json!([{"name": "a"}, {"name": "s"}, {"name": "b"}]));
    for (order, patch, result) in [
        (["b", "a"], json!(null), vec!["s", "b", "a"]),
        (["a", "b"], json!(null), vec!["a", "s", "b"]),
        (["c", "a"], json!([{"name": "c", "image": "1"}]), vec!["c", "a", "s", "b"]),
    ] {
        let named: Vec<Value> = order.iter().map(|name| json!({ "name": name })).collect();
        let mut spec = json!({ "$setElementOrder/containers": named });
        if !patch.is_null() {
            spec["containers"] = patch;
        }
        let merged = strategic_merge(pod(), &object, &json!({ "spec": spec })).unwrap();
        let names: Vec<&str> = merged["spec"]["containers"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|c| c["name"].as_str())
            .collect();
        assert_eq!(names, result, "{order:?}");
    }
}

#[test]
fn strategic_scalars_maps_and_directives() {
    for (what, object, patch, result) in [
        (
            "finalizers are a set",
            json!({"metadata": {"finalizers": ["a/1", "b/1"]}}),
            json!({"metadata": {"finalizers": ["b/1", "c/1"]}}),
            json!({"metadata": {"finalizers": ["a/1", "b/1", "c/1"]}}),
        ),
        (
            "and some of them go",
            json!({"metadata": {"finalizers": ["a/1", "b/1"]}}),
            json!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["a/1"]}}),
            json!({"metadata": {"finalizers": ["b/1"]}}),
        ),
        (
            "as kubectl edit sends it",
            json!({"metadata": {"finalizers": ["a/1", "b/1"]}}),
            json!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["a/1"],
                "$setElementOrder/finalizers": ["c/1", "b/1"], "finalizers": ["c/1"]}}),
            json!({"metadata": {"finalizers": ["c/1", "b/1"]}}),
        ),
        (
            "labels are merged, null removes",
            json!({"metadata": {"labels": {"a": "1", "b": "2"}}}),
            json!({"metadata": {"labels": {"a": null, "c": "3"}}}),
            json!({"metadata": {"labels": {"b": "2", "c": "3"}}}),
        ),
        (
            "a map is replaced",
            json!({"metadata": {"labels": {"a": "1", "b": "2"}}}),
            json!({"metadata": {"labels": {"$patch": "replace", "c": "3"}}}),
            json!({"metadata": {"labels": {"c": "3"}}}),
        ),
        (
            "or emptied",
            json!({"metadata": {"labels": {"a": "1"}}}),
            json!({"metadata": {"labels": {"$patch": "delete"}}}),
            json!({"metadata": {"labels": {}}}),
        ),
        (
            "a volume has one source",
            json!({"spec": {"volumes": [{"name": "v", "hostPath": {"path": "/"}}]}}),
            json!({"spec": {"volumes": [{"name": "v", "$retainKeys": ["name", "emptyDir"], "emptyDir": {}}]}}),
            json!({"spec": {"volumes": [{"name": "v", "emptyDir": {}}]}}),
        ),
        (
            "a list without a strategy is replaced",
            json!({"spec": {"tolerations": [{"key": "a"}]}}),
            json!({"spec": {"tolerations": [{"key": "b"}]}}),
            json!({"spec": {"tolerations": [{"key": "b"}]}}),
        ),
        (
            "directives in what is new are no fields",
            json!({}),
            json!({"spec": {"containers": [{"name": "a", "$patch": "delete"}, {"name": "b"}],
                "$setElementOrder/containers": [{"name": "b"}]}}),
            json!({"spec": {"containers": [{"name": "b"}]}}),
        ),
    ] {
        assert_eq!(strategic_merge(pod(), &object, &patch).unwrap(), result, "{what}");
    }
}

#[test]
fn strategic_patches_that_are_wrong() {
    let object = json!({"metadata": {"finalizers": ["a/1"], "labels": {"a": "1"}},
        "spec": {"containers": [{"name": "a"}], "volumes": [{"name": "v"}]}});
    for (patch, message) in [
        (
            json!({"spec": {"containers": [{"image": "x"}]}}),
            "map: map[image:x] does not contain declared merge key: name",
        ),
        (
            json!({"spec": {"containers": [{"$patch": "delete"}]}}),
            "map: map[$patch:delete] does not contain declared merge key: name",
        ),
        (json!({"spec": {"containers": ["x"]}}), "list element types are not identical: [[map[name:a]] [x]]"),
        (
            json!({"spec": {"$patch": "merge", "x": 1}}),
            "unknown patch type: merge in map: map[$patch:merge x:1]",
        ),
        (
            json!({"spec": {"containers": [{"$patch": "merge"}]}}),
            "merging lists cannot yet be specified in the patch",
        ),
        (json!({"spec": {"$retainKeys": ["a"], "b": 1}}), "invalid patch format of retainKeys"),
        (json!({"spec": {"$retainKeys": 1}}), "invalid patch format of retainKeys"),
        (json!({"metadata": {"$deleteFromPrimitiveList": []}}), "invalid patch format of primitive list"),
        (
            json!({"metadata": {"$deleteFromPrimitiveList/finalizers": 1}}),
            "invalid patch format of primitive list",
        ),
        (json!({"metadata": {"$setElementOrder": []}}), "invalid patch format of setElementOrder list"),
        (
            json!({"metadata": {"$setElementOrder/finalizers": "a"}}),
            "expected a []interface {}, but received a string",
        ),
        (
            json!({"metadata": {"$setElementOrder/finalizers": ["a/1"], "finalizers": ["b/1"]}}),
            "The order in patch list:\n[b/1]\n doesn't match $setElementOrder list:\n[a/1]\n",
        ),
        (json!({"metadata": {"finalizers": [["a"]]}}), "list element types are not identical: [[a/1] [[a]]]"),
    ] {
        let status = strategic_merge(pod(), &object, &patch).unwrap_err();
        assert_eq!((status.code, status.message.as_str()), (400, message), "{patch}");
    }
}
