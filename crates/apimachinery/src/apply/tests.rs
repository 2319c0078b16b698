use api_schema::{Schema, Type};
use podspec::WallTime;
use serde_json::{Value, json};

use super::path::Element;
use super::set::FieldSet;
use super::{Writer, apply, track_update};

fn ty(kind: &str) -> &'static Type {
    Schema::get().kind("", "v1", kind).unwrap()
}

fn at(manager: &str, second: i64) -> Writer<'_> {
    Writer {
        manager,
        api_version: "v1",
        subresource: "",
        reset: &["status"],
        now: WallTime::from_unix(second, 0),
    }
}

fn map(name: &str, data: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data})
}

fn pod(spec: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": spec})
}

/// `manager operation time: fields`, one per entry.
fn owners(object: &Value) -> Vec<String> {
    let entries = object["metadata"]["managedFields"].as_array().cloned().unwrap_or_default();
    let text = |entry: &Value, name: &str| entry[name].as_str().unwrap_or("-").to_owned();
    entries
        .iter()
        .map(|entry| {
            let (operation, time) = (text(entry, "operation"), text(entry, "time"));
            let second = time.strip_prefix("1970-01-01T00:00:").unwrap_or(&time).to_owned();
            format!("{} {operation} {second} {}", text(entry, "manager"), entry["fieldsV1"])
        })
        .collect()
}

fn bare(object: &Value) -> Value {
    super::without_managed(object.clone())
}

#[test]
fn fields_v1_is_read_and_written() {
    let fields = json!({
        "f:metadata": {"f:labels": {".": {}, "f:app.kubernetes.io/name": {}}, "f:finalizers": {"v:\"x/y\"": {}}},
        "f:spec": {"f:containers": {
            "k:{\"name\":\"a\"}": {".": {}, "f:image": {}},
            "k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {".": {}},
            "i:3": {},
        }},
    });
    let set = FieldSet::decode(&fields).unwrap();
    let paths: Vec<String> =
        set.paths().iter().map(|path| path.iter().map(ToString::to_string).collect()).collect();
    assert_eq!(
        paths,
        [
            ".metadata.labels",
            ".metadata.finalizers[=\"x/y\"]",
            ".metadata.labels.app.kubernetes.io/name",
            ".spec.containers[containerPort=80,protocol=\"TCP\"]",
            ".spec.containers[name=\"a\"]",
            ".spec.containers[3]",
            ".spec.containers[name=\"a\"].image",
        ]
    );
    let mut written = set.encode();
    // A member with nothing below it needs no dot.
    let port = "k:{\"containerPort\":80,\"protocol\":\"TCP\"}";
    assert_eq!(written["f:spec"]["f:containers"][port].take(), json!({}));
    let mut expected = fields;
    expected["f:spec"]["f:containers"][port].take();
    assert_eq!(written, expected);
}

#[test]
fn fields_v1_of_others_is_taken_with_care() {
    assert_eq!(FieldSet::decode(&json!({"z:new": {"f:a": {}}})), Ok(FieldSet::default()));
    for wrong in [
        json!([]),
        json!({"spec": {}}),
        json!({"f": {}}),
        json!({"": {}}),
        json!({"k:x": {}}),
        json!({"k:[]": {}}),
        json!({"v:": {}}),
        json!({"i:x": {}}),
        json!({"f:a": {"f:b": 1}}),
    ] {
        assert!(FieldSet::decode(&wrong).is_err(), "{wrong}");
    }
}

#[test]
fn sets_are_sets() {
    let set = |texts: &[&str]| super::paths(texts);
    let (a, b) = (set(&["x", "x.y", "z.w"]), set(&["x", "z.v"]));
    assert_eq!(a.difference(&b), set(&["x.y", "z.w"]));
    assert_eq!(a.difference_below(&b), set(&["z.w"]));
    assert_eq!(a.intersection(&b), set(&["x"]));
    assert_eq!(b.union(&a), set(&["x", "x.y", "z.w", "z.v"]));
    assert!(a.difference(&a).is_empty() && a.intersection(&FieldSet::default()).is_empty());
    assert!(a.has(&[Element::field("x"), Element::field("y")]) && !a.has(&[Element::field("z")]));
}

#[test]
fn a_creation_by_apply_owns_what_it_says() {
    let applied = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "p", "namespace": "d", "labels": {"a": "b"}, "finalizers": ["x/y"]},
        "spec": {"containers": [{"name": "c", "image": "i", "args": ["1", "2"], "resources": {},
            "ports": [{"containerPort": 80}]}]},
    });
    let object = apply(ty("Pod"), None, &applied, &at("m", 1), false).unwrap();
    assert_eq!(bare(&object), applied);
    let entry = &object["metadata"]["managedFields"][0];
    assert_eq!(
        entry["fieldsV1"],
        json!({
            "f:metadata": {"f:labels": {"f:a": {}}, "f:finalizers": {"v:\"x/y\"": {}}},
            "f:spec": {"f:containers": {"k:{\"name\":\"c\"}": {
                ".": {}, "f:name": {}, "f:image": {}, "f:args": {}, "f:resources": {},
                "f:ports": {"k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {".": {}, "f:containerPort": {}}},
            }}},
        })
    );
    assert_eq!(
        json!([
            entry["manager"],
            entry["operation"],
            entry["apiVersion"],
            entry["fieldsType"],
            entry["time"]
        ]),
        json!(["m", "Apply", "v1", "FieldsV1", "1970-01-01T00:00:01Z"])
    );
}

#[test]
fn applying_again_changes_nothing() {
    let applied = map("m", &json!({"a": "1"}));
    let first = apply(ty("ConfigMap"), None, &applied, &at("m", 1), false).unwrap();
    let second = apply(ty("ConfigMap"), Some(&first), &applied, &at("m", 9), false).unwrap();
    assert_eq!(second, first);
}

#[test]
fn what_is_no_longer_applied_goes_unless_others_own_it() {
    let both = map("m", &json!({"a": "1", "b": "2"}));
    let one = map("m", &json!({"a": "1"}));
    let first = apply(ty("ConfigMap"), None, &both, &at("x", 1), false).unwrap();
    let alone = apply(ty("ConfigMap"), Some(&first), &one, &at("x", 2), false).unwrap();
    assert_eq!(alone["data"], json!({"a": "1"}));
    assert_eq!(owners(&alone), ["x Apply 02Z {\"f:data\":{\"f:a\":{}}}"]);

    let shared = apply(ty("ConfigMap"), Some(&first), &both, &at("y", 2), false).unwrap();
    let kept = apply(ty("ConfigMap"), Some(&shared), &one, &at("x", 3), false).unwrap();
    assert_eq!(kept["data"], json!({"a": "1", "b": "2"}));
    assert_eq!(
        owners(&kept),
        ["y Apply 02Z {\"f:data\":{\"f:a\":{},\"f:b\":{}}}", "x Apply 03Z {\"f:data\":{\"f:a\":{}}}"]
    );
    let gone = apply(ty("ConfigMap"), Some(&kept), &one, &at("y", 4), false).unwrap();
    assert_eq!(gone["data"], json!({"a": "1"}));
}

#[test]
fn conflicts_name_field_and_manager() {
    let first =
        apply(ty("ConfigMap"), None, &map("m", &json!({"a": "1", "b": "2"})), &at("x", 1), false).unwrap();
    let other = map("m", &json!({"a": "9"}));
    let status = apply(ty("ConfigMap"), Some(&first), &other, &at("y", 2), false).unwrap_err();
    assert_eq!((status.code, status.reason), (409, "Conflict"));
    assert_eq!(status.message, "Apply failed with 1 conflict: conflict with \"x\": .data.a");
    assert_eq!(
        status.to_json()["details"]["causes"],
        json!([{"reason": "FieldManagerConflict", "message": "conflict with \"x\"", "field": ".data.a"}])
    );

    let edited = track_update(
        ty("ConfigMap"),
        Some(&first),
        {
            let mut new = first.clone();
            new["data"]["b"] = "3".into();
            new
        },
        &at("edit", 2),
    );
    let both = map("m", &json!({"a": "9", "b": "9"}));
    let status = apply(ty("ConfigMap"), Some(&edited), &both, &at("y", 3), false).unwrap_err();
    assert_eq!(
        status.message,
        "Apply failed with 2 conflicts: conflicts with \"edit\" using v1:\n- .data.b\nconflicts with \"x\":\n- .data.a"
    );

    let forced = apply(ty("ConfigMap"), Some(&edited), &both, &at("y", 4), true).unwrap();
    assert_eq!(forced["data"], json!({"a": "9", "b": "9"}));
    assert_eq!(owners(&forced), ["y Apply 04Z {\"f:data\":{\"f:a\":{},\"f:b\":{}}}"]);
}

#[test]
fn a_subresource_is_a_manager_of_its_own() {
    let live = track_update(ty("Pod"), None, pod(&json!({"nodeName": "n"})), &at("kubectl", 1));
    let status_of = |phase: &str| {
        let mut new = live.clone();
        new["status"] = json!({ "phase": phase });
        new["spec"]["nodeName"] = "other".into();
        new
    };
    let kubelet = Writer { subresource: "status", reset: &["spec"], ..at("kubelet", 2) };
    let object = track_update(ty("Pod"), Some(&live), status_of("Running"), &kubelet);
    assert_eq!(
        owners(&object),
        [
            "kubectl Update 01Z {\"f:spec\":{\".\":{},\"f:nodeName\":{}}}",
            "kubelet Update 02Z {\"f:status\":{\".\":{},\"f:phase\":{}}}"
        ]
    );
    assert_eq!(object["metadata"]["managedFields"][1]["subresource"], "status");

    let mut applied = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}});
    applied["status"] = json!({"phase": "Failed"});
    let status = apply(ty("Pod"), Some(&object), &applied, &Writer { manager: "me", ..kubelet }, false);
    assert_eq!(
        status.unwrap_err().message,
        "Apply failed with 1 conflict: conflict with \"kubelet\" with subresource \"status\" using v1: .status.phase"
    );
    // Through the pod itself, nobody comes to own its status.
    let object = apply(ty("Pod"), Some(&object), &applied, &at("me", 3), false).unwrap();
    assert_eq!(owners(&object).len(), 2);
}

#[test]
fn updates_own_what_they_change() {
    let created = track_update(ty("ConfigMap"), None, map("m", &json!({"a": "1", "b": "2"})), &at("x", 1));
    assert_eq!(owners(&created), ["x Update 01Z {\"f:data\":{\".\":{},\"f:a\":{},\"f:b\":{}}}"]);
    let mut changed = created.clone();
    changed["data"] = json!({"b": "3", "c": "4"});
    let changed = track_update(ty("ConfigMap"), Some(&created), changed, &at("y", 2));
    assert_eq!(
        owners(&changed),
        ["x Update 01Z {\"f:data\":{}}", "y Update 02Z {\"f:data\":{\"f:b\":{},\"f:c\":{}}}",]
    );
    // Times stand still when nothing changes, whoever writes.
    let same = track_update(ty("ConfigMap"), Some(&changed), changed.clone(), &at("y", 3));
    assert_eq!(same, changed);
    // What is not tracked is owned by nobody.
    let mut renewed = changed.clone();
    renewed["metadata"]["resourceVersion"] = "7".into();
    let renewed = track_update(ty("ConfigMap"), Some(&changed), renewed, &at("z", 4));
    assert_eq!(owners(&renewed), owners(&changed));
}

#[test]
fn a_client_that_knows_no_managed_fields_loses_none() {
    let created = track_update(ty("ConfigMap"), None, map("m", &json!({"a": "1"})), &at("x", 1));
    for given in [json!(null), json!([{"manager": "broken"}])] {
        let mut new = created.clone();
        new["metadata"]["managedFields"] = given;
        assert_eq!(track_update(ty("ConfigMap"), Some(&created), new, &at("y", 2)), created);
    }
    for reset in [json!([]), json!([{}])] {
        let mut new = created.clone();
        new["metadata"]["managedFields"] = reset;
        let untracked = track_update(ty("ConfigMap"), Some(&created), new, &at("y", 2));
        assert_eq!(owners(&untracked), Vec::<String>::new());
        // And stays so until somebody applies.
        let mut edited = untracked.clone();
        edited["data"]["b"] = "2".into();
        let edited = track_update(ty("ConfigMap"), Some(&untracked), edited, &at("y", 3));
        assert_eq!(owners(&edited), Vec::<String>::new());
        let applied = map("m", &json!({"a": "1"}));
        let applied = apply(ty("ConfigMap"), Some(&edited), &applied, &at("z", 4), false).unwrap();
        assert_eq!(
            owners(&applied),
            [
                "z Apply 04Z {\"f:data\":{\"f:a\":{}}}",
                "before-first-apply Update 04Z {\"f:data\":{\".\":{},\"f:a\":{},\"f:b\":{}}}"
            ]
        );
    }
}

#[test]
fn the_oldest_updates_are_merged() {
    let mut live = track_update(ty("ConfigMap"), None, map("m", &json!({"k0": ""})), &at("m00", 0));
    for n in 1..20 {
        let mut new = live.clone();
        new["data"][format!("k{n}")] = "".into();
        let name = format!("m{n:02}");
        live = track_update(ty("ConfigMap"), Some(&live), new, &at(&name, n));
    }
    let owners = owners(&live);
    assert_eq!(owners.len(), 10);
    assert!(owners[0].starts_with("ancient-changes Update 10Z "), "{}", owners[0]);
    assert!(owners[0].contains("f:k10") && owners[0].contains("f:k0"), "{}", owners[0]);
    assert!(owners[1].starts_with("m11 ") && owners[9].starts_with("m19 "));
}

#[test]
fn lists_are_merged_by_their_keys() {
    let port = |number: u16, name: &str| json!({"containerPort": number, "name": name});
    let live = apply(
        ty("Pod"),
        None,
        &pod(&json!({"containers": [
            {"name": "a", "image": "1", "ports": [port(80, "web"), port(81, "adm")]}, {"name": "b", "image": "2"}]})),
        &at("x", 1),
        false,
    )
    .unwrap();
    let sidecar = pod(&json!({"containers": [{"name": "s", "image": "3"}, {"name": "a", "tty": true}]}));
    let object = apply(ty("Pod"), Some(&live), &sidecar, &at("y", 2), false).unwrap();
    let names = |object: &Value| -> Vec<String> {
        let containers = object["spec"]["containers"].as_array().unwrap();
        containers.iter().map(|c| c["name"].as_str().unwrap_or("?").to_owned()).collect()
    };
    assert_eq!(names(&object), ["s", "a", "b"]);
    assert_eq!(object["spec"]["containers"][1]["tty"], true);
    assert_eq!(object["spec"]["containers"][1]["image"], "1");

    // x gives up its container: what y owns of it stays, the rest goes.
    let less = pod(&json!({"containers": [{"name": "b", "image": "2"}]}));
    let object = apply(ty("Pod"), Some(&object), &less, &at("x", 3), false).unwrap();
    assert_eq!(names(&object), ["s", "a", "b"]);
    assert_eq!(object["spec"]["containers"][1], json!({"name": "a", "tty": true}));
    // Nobody but x had b.
    let object = apply(ty("Pod"), Some(&object), &pod(&json!({})), &at("x", 4), false).unwrap();
    assert_eq!(names(&object), ["s", "a"]);
    let object =
        apply(ty("Pod"), Some(&object), &pod(&json!({"nodeName": "n"})), &at("y", 5), false).unwrap();
    assert_eq!(bare(&object), pod(&json!({"nodeName": "n", })), "{object}");
}

#[test]
fn conflicts_in_lists_name_the_keys() {
    let ports = |name: &str| {
        pod(&json!({"containers": [{"name": "a", "ports": [{"containerPort": 80, "name": name}]}]}))
    };
    let live = apply(ty("Pod"), None, &ports("web"), &at("x", 1), false).unwrap();
    let status = apply(ty("Pod"), Some(&live), &ports("www"), &at("y", 2), false).unwrap_err();
    assert_eq!(
        status.message,
        "Apply failed with 1 conflict: conflict with \"x\": \
         .spec.containers[name=\"a\"].ports[containerPort=80,protocol=\"TCP\"].name"
    );
}

#[test]
fn configurations_that_cannot_be_applied() {
    for (applied, message) in [
        (
            json!({"apiVersion": "v2", "kind": "Pod"}),
            "Incorrect version specified in apply patch. Specified patch version: v2, expected: v1",
        ),
        (
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"managedFields": []}}),
            "metadata.managedFields must be nil",
        ),
        (
            pod(&json!({"containers": [{"image": "x"}]})),
            "failed to create typed patch object (/p; /v1, Kind=Pod): .spec.containers: element 0: associative list \
             with keys has an element that omits all key fields [\"name\"] (and doesn't have default values for any \
             key fields)",
        ),
        (
            pod(&json!({"containers": [{"name": "a"}, {"name": "a"}]})),
            "failed to create typed patch object (/p; /v1, Kind=Pod): .spec.containers: duplicate entries for key \
             [name=\"a\"]",
        ),
        (
            pod(&json!({"foo": 1, "hostNetwork": "yes"})),
            "failed to create typed patch object (/p; /v1, Kind=Pod): errors:\n  .spec.foo: field not declared in \
             schema\n  .spec.hostNetwork: expected boolean, got string",
        ),
        (
            pod(&json!({"containers": {}})),
            "failed to create typed patch object (/p; /v1, Kind=Pod): .spec.containers: expected list, got object",
        ),
    ] {
        let status = apply(ty("Pod"), None, &applied, &at("m", 1), false).unwrap_err();
        assert_eq!((status.code, status.message.as_str()), (400, message), "{applied}");
    }
    for hostile in [json!(null), json!([]), json!("x"), json!({"apiVersion": "v1", "metadata": []})] {
        assert_eq!(apply(ty("Pod"), None, &hostile, &at("m", 1), false).unwrap_err().code, 400);
    }
}

#[test]
fn kubectl_takes_over_what_it_applied_itself() {
    let annotation = "kubectl.kubernetes.io/last-applied-configuration";
    let applied = map("m", &json!({"a": "1", "b": "2"}));
    let mut created = applied.clone();
    created["metadata"]["annotations"] = json!({ annotation: format!("{applied}\n") });
    let live = track_update(ty("ConfigMap"), None, created, &at("kubectl-client-side-apply", 1));
    let other = map("m", &json!({"a": "9", "b": "2"}));
    assert_eq!(apply(ty("ConfigMap"), Some(&live), &other, &at("me", 2), false).unwrap_err().code, 409);
    let object = apply(ty("ConfigMap"), Some(&live), &other, &at("kubectl", 2), false).unwrap();
    assert_eq!(object["data"]["a"], "9");
    assert_eq!(object["metadata"]["annotations"][annotation], format!("{other}\n"));

    // What somebody else has changed since is not kubectl's.
    let mut edited = live.clone();
    edited["data"]["a"] = "5".into();
    let edited = track_update(ty("ConfigMap"), Some(&live), edited, &at("edit", 3));
    let status = apply(ty("ConfigMap"), Some(&edited), &other, &at("kubectl", 4), false).unwrap_err();
    assert_eq!(status.message, "Apply failed with 1 conflict: conflict with \"edit\" using v1: .data.a");
}
