use http::Method;
use serde_json::{Value, json};

use crate::testing::{Bed, config_map, pod};

const MAPS: &str = "/api/v1/namespaces/a/configmaps";
const PODS: &str = "/api/v1/namespaces/a/pods";

fn names(list: &Value) -> Vec<&str> {
    list["items"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|item| item["metadata"]["name"].as_str())
        .collect()
}

#[tokio::test]
async fn an_object_lives_and_ends() {
    let bed = Bed::new().await;
    let made = bed.post(MAPS, &config_map("m", &json!({}))).await.expect(201);
    let metadata = &made["metadata"];
    assert_eq!((&metadata["namespace"], &made["kind"]), (&json!("a"), &json!("ConfigMap")));
    assert!(metadata["uid"].is_string() && metadata["creationTimestamp"].is_string());
    let path = format!("{MAPS}/m");
    assert_eq!(bed.get(&path).await.expect(200), made);
    assert_eq!(
        bed.post(MAPS, &config_map("m", &json!({}))).await.failure(409),
        "configmaps \"m\" already exists"
    );
    let mut changed = made.clone();
    changed["data"]["k"] = "w".into();
    let updated = bed.put(&path, &changed).await.expect(200);
    assert_ne!(updated["metadata"]["resourceVersion"], metadata["resourceVersion"]);
    assert_eq!(updated["metadata"]["uid"], metadata["uid"]);
    let stale = bed.put(&path, &made).await.failure(409);
    assert!(
        stale.starts_with("Operation cannot be fulfilled on configmaps \"m\": the object has been modified"),
        "{stale}"
    );
    // What changes nothing is not written.
    let same = bed.put(&path, &updated).await.expect(200);
    assert_eq!(same, updated);
    let gone = bed.delete(&path, &json!({})).await.expect(200);
    assert_eq!((&gone["status"], &gone["details"]["uid"]), (&json!("Success"), &metadata["uid"]));
    assert_eq!(bed.get(&path).await.failure(404), "configmaps \"m\" not found");
    assert_eq!(bed.put(&path, &config_map("m", &json!({}))).await.failure(404), "configmaps \"m\" not found");
}

#[tokio::test]
async fn a_dry_run_leaves_nothing() {
    let bed = Bed::new().await;
    let revision = bed.api.store.revision();
    bed.post(&format!("{MAPS}?dryRun=All"), &config_map("m", &json!({}))).await.expect(201);
    assert_eq!(bed.get(&format!("{MAPS}/m")).await.code, 404);
    bed.post(&format!("{MAPS}?dryRun=Some"), &config_map("m", &json!({}))).await.failure(422);
    assert_eq!(bed.api.store.revision(), revision);
    bed.post(MAPS, &config_map("m", &json!({}))).await.expect(201);
    bed.delete(&format!("{MAPS}/m"), &json!({ "dryRun": ["All"] })).await.expect(200);
    bed.patch(&format!("{MAPS}/m?dryRun=All"), "merge-patch+json", &json!({ "data": { "k": "w" } }))
        .await
        .expect(200);
    assert_eq!(bed.get(&format!("{MAPS}/m")).await.expect(200)["data"]["k"], "v");
}

#[tokio::test]
async fn names_are_generated_and_checked() {
    let bed = Bed::new().await;
    let unnamed = json!({ "metadata": { "generateName": "m-" } });
    let made = bed.post(MAPS, &unnamed).await.expect(201);
    let name = made["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    assert!(name.starts_with("m-") && name.len() == 7, "{name}");
    let message = bed.post(MAPS, &config_map("A_B", &json!({}))).await.failure(422);
    assert!(message.contains("metadata.name: Invalid value: \"A_B\""), "{message}");
    let message = bed.post(MAPS, &json!({ "metadata": {} })).await.failure(422);
    assert!(message.contains("metadata.name: Required value"), "{message}");
    let elsewhere = json!({ "metadata": { "name": "m", "namespace": "b" } });
    let message = bed.post(MAPS, &elsewhere).await.failure(400);
    assert_eq!(
        message,
        "the namespace of the provided object does not match the namespace sent on the request"
    );
    let message =
        bed.post("/api/v1/namespaces/none/configmaps", &config_map("m", &json!({}))).await.failure(404);
    assert_eq!(message, "namespaces \"none\" not found");
    let message = bed.put(&format!("{MAPS}/other"), &config_map("m", &json!({}))).await.failure(400);
    assert!(message.contains("does not match the name on the URL"), "{message}");
}

#[tokio::test]
async fn lists_are_selected_and_paged() {
    let bed = Bed::new().await;
    for n in 0..5 {
        let parity = if n % 2 == 0 { "even" } else { "odd" };
        bed.post(MAPS, &config_map(&format!("m{n}"), &json!({ "parity": parity }))).await.expect(201);
    }
    let select = |query: &str| format!("{MAPS}?{query}");
    assert_eq!(names(&bed.get(&select("labelSelector=parity%3Dodd")).await.expect(200)), ["m1", "m3"]);
    assert_eq!(
        names(&bed.get(&select("labelSelector=parity+in+(even)")).await.expect(200)),
        ["m0", "m2", "m4"]
    );
    assert_eq!(names(&bed.get(&select("fieldSelector=metadata.name%3Dm2")).await.expect(200)), ["m2"]);
    assert_eq!(names(&bed.get(&select("fieldSelector=metadata.name!%3Dm2")).await.expect(200)).len(), 4);
    bed.get(&select("labelSelector=a+b+c")).await.failure(400);
    let message = bed.get(&select("fieldSelector=data.k%3Dv")).await.failure(400);
    assert!(message.contains("is not a known field selector"), "{message}");
    let first = bed.get(&select("limit=2")).await.expect(200);
    assert_eq!((names(&first), &first["metadata"]["remainingItemCount"]), (vec!["m0", "m1"], &json!(3)));
    let token = first["metadata"]["continue"].as_str().unwrap_or_default().to_owned();
    let second = bed.get(&select(&format!("limit=2&continue={token}"))).await.expect(200);
    assert_eq!(names(&second), ["m2", "m3"]);
    assert_eq!(second["metadata"]["resourceVersion"], first["metadata"]["resourceVersion"]);
    let token = second["metadata"]["continue"].as_str().unwrap_or_default();
    let last = bed.get(&select(&format!("limit=2&continue={token}"))).await.expect(200);
    assert_eq!((names(&last), last["metadata"].get("continue")), (vec!["m4"], None));
    bed.get(&select("continue=nonsense")).await.failure(400);
    assert_eq!(names(&bed.get("/api/v1/configmaps").await.expect(200)).len(), 5);
    let selected = bed.get(&select("limit=1&labelSelector=parity%3Dodd")).await.expect(200);
    assert_eq!(selected["metadata"].get("remainingItemCount"), None);
}

#[tokio::test]
async fn a_list_is_of_the_version_that_is_asked_for_or_none() {
    let bed = Bed::new().await;
    let now = bed.api.store.revision();
    let ask = |query: String| {
        let bed = bed.clone();
        async move { bed.get(&format!("{MAPS}?{query}")).await }
    };
    ask("resourceVersion=0".to_owned()).await.expect(200);
    ask(format!("resourceVersion={now}&resourceVersionMatch=Exact")).await.expect(200);
    ask(format!("resourceVersion={}&resourceVersionMatch=NotOlderThan", now - 1)).await.expect(200);
    ask(format!("resourceVersion={}&resourceVersionMatch=Exact", now - 1)).await.failure(410);
    ask(format!("resourceVersion={}", now + 100)).await.failure(504);
    ask("resourceVersion=x".to_owned()).await.failure(422);
    ask("resourceVersionMatch=Exact".to_owned()).await.failure(422);
    ask("sendInitialEvents=true".to_owned()).await.failure(422);
    ask("limit=x".to_owned()).await.failure(400);
}

#[tokio::test]
async fn patches_of_every_kind() {
    let bed = Bed::new().await;
    bed.post(MAPS, &config_map("m", &json!({ "x": "1" }))).await.expect(201);
    let path = format!("{MAPS}/m");
    let merged = json!({ "metadata": { "labels": { "x": null, "y": "2" } } });
    let after = bed.patch(&path, "merge-patch+json", &merged).await.expect(200);
    assert_eq!(after["metadata"]["labels"], json!({ "y": "2" }));
    let listed = json!([{ "op": "replace", "path": "/data/k", "value": "w" }]);
    assert_eq!(bed.patch(&path, "json-patch+json", &listed).await.expect(200)["data"]["k"], "w");
    let after =
        bed.patch(&path, "strategic-merge-patch+json", &json!({ "data": { "l": "u" } })).await.expect(200);
    assert_eq!(after["data"], json!({ "k": "w", "l": "u" }));
    let stale = json!({ "metadata": { "resourceVersion": "1" } });
    bed.patch(&path, "merge-patch+json", &stale).await.failure(409);
    bed.patch(&path, "merge-patch+json", &json!({ "metadata": { "name": "n" } })).await.failure(400);
    bed.patch(&path, "json", &json!({})).await.failure(415);
    bed.patch(&format!("{MAPS}/none"), "merge-patch+json", &json!({})).await.failure(404);
    let strict = format!("{path}?fieldValidation=Strict");
    bed.patch(&strict, "merge-patch+json", &json!({ "dataa": {} })).await.failure(400);
}

#[tokio::test]
async fn apply_creates_and_conflicts() {
    let bed = Bed::new().await;
    let path = format!("{MAPS}/m?fieldManager=one");
    let applied =
        json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "m" }, "data": { "k": "v" } });
    bed.patch(&format!("{MAPS}/m"), "apply-patch+yaml", &applied).await.failure(422);
    let made = bed.patch(&path, "apply-patch+yaml", &applied).await.expect(201);
    assert_eq!(made["metadata"]["managedFields"][0]["operation"], "Apply");
    assert_eq!(bed.patch(&path, "apply-patch+yaml", &applied).await.expect(200), made);
    let mut other = applied.clone();
    other["data"]["k"] = "w".into();
    let two = format!("{MAPS}/m?fieldManager=two");
    let conflict = bed.patch(&two, "apply-patch+yaml", &other).await.expect(409);
    assert_eq!(conflict["reason"], "Conflict");
    assert_eq!(conflict["details"]["causes"][0]["field"], ".data.k");
    let forced = bed.patch(&format!("{two}&force=true"), "apply-patch+yaml", &other).await.expect(200);
    assert_eq!(forced["data"]["k"], "w");
    let text = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: yaml\ndata:\n  k: v\n";
    let headers = [("content-type", "application/apply-patch+yaml")];
    bed.call(Method::PATCH, &format!("{MAPS}/yaml?fieldManager=one"), &headers, text).await.expect(201);
}

#[tokio::test]
async fn bodies_that_cannot_be_taken() {
    let bed = Bed::new().await;
    let json = [("content-type", "application/json")];
    bed.call(Method::POST, MAPS, &json, "{").await.failure(400);
    bed.call(Method::POST, MAPS, &json, "[]").await.failure(400);
    bed.call(Method::POST, MAPS, &json, "{\"metadata\":{\"name\":7}}").await.failure(400);
    bed.call(Method::POST, MAPS, &[("content-type", "text/csv")], "a,b").await.failure(415);
    bed.call(Method::POST, MAPS, &[("content-type", "application/vnd.kubernetes.protobuf")], "{}")
        .await
        .failure(400);
    let deep = format!("{{\"data\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    bed.call(Method::POST, MAPS, &json, deep).await.failure(400);
    let large = vec![b' '; crate::body::BODY_BYTES_MAX + 1];
    let message = bed.call(Method::POST, MAPS, &json, large).await.failure(413);
    assert_eq!(message, "Request entity too large: limit is 3145728");
    let wrong = json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "m" } });
    bed.post(MAPS, &wrong).await.failure(400);
    let wrong = json!({ "apiVersion": "apps/v1", "kind": "ConfigMap", "metadata": { "name": "m" } });
    let message = bed.post(MAPS, &wrong).await.failure(400);
    assert!(message.contains("does not match the expected API version (v1)"), "{message}");
    let yaml = "metadata:\n  name: yaml\ndata:\n  on: 'off'\n";
    let made = bed.call(Method::POST, MAPS, &[("content-type", "application/yaml")], yaml).await;
    assert_eq!(made.expect(201)["metadata"]["name"], "yaml");
}

#[tokio::test]
async fn unknown_fields_are_refused_told_or_passed_over() {
    let bed = Bed::new().await;
    let body = |name: &str| json!({ "metadata": { "name": name }, "dataa": {} });
    let strict = bed.post(&format!("{MAPS}?fieldValidation=Strict"), &body("s")).await.failure(400);
    assert!(strict.ends_with("strict decoding error: unknown field \"dataa\""), "{strict}");
    let warned = bed.post(MAPS, &body("w")).await;
    assert_eq!(warned.headers["warning"], "299 - \"unknown field \\\"dataa\\\"\"");
    assert_eq!(warned.expect(201).get("dataa"), None);
    let ignored = bed.post(&format!("{MAPS}?fieldValidation=Ignore"), &body("i")).await;
    assert!(!ignored.headers.contains_key("warning"));
    bed.post(&format!("{MAPS}?fieldValidation=Perhaps"), &body("p")).await.failure(422);
    let twice = "{\"metadata\":{\"name\":\"t\"},\"data\":{\"a\":\"1\",\"a\":\"2\"}}";
    let path = format!("{MAPS}?fieldValidation=Strict");
    let message =
        bed.call(Method::POST, &path, &[("content-type", "application/json")], twice).await.failure(400);
    assert!(message.contains("duplicate field \"data.a\""), "{message}");
}

#[tokio::test]
async fn forms_of_answers() {
    let bed = Bed::new().await;
    bed.post(MAPS, &config_map("m", &json!({}))).await.expect(201);
    let path = format!("{MAPS}/m");
    let ask = |path: String, accept: &'static str| {
        let bed = bed.clone();
        async move { bed.call(Method::GET, &path, &[("accept", accept)], "").await }
    };
    let table = "application/json;as=Table;v=v1;g=meta.k8s.io";
    let listed = ask(MAPS.to_owned(), table).await.expect(200);
    assert_eq!((&listed["kind"], &listed["apiVersion"]), (&json!("Table"), &json!("meta.k8s.io/v1")));
    assert_eq!(listed["columnDefinitions"][0]["name"], "Name");
    assert_eq!(listed["rows"][0]["cells"][0], "m");
    assert_eq!(listed["rows"][0]["object"]["kind"], "PartialObjectMetadata");
    let whole = ask(format!("{path}?includeObject=Object"), table).await.expect(200);
    assert_eq!(whole["rows"][0]["object"]["data"]["k"], "v");
    let partial = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io";
    let listed = ask(MAPS.to_owned(), partial).await.expect(200);
    assert_eq!(
        (&listed["kind"], &listed["items"][0]["data"]),
        (&json!("PartialObjectMetadataList"), &Value::Null)
    );
    assert_eq!(listed["items"][0]["metadata"]["name"], "m");
    ask(path.clone(), "application/yaml").await.failure(406);
    let pretty = bed.get(&format!("{path}?pretty=true")).await;
    assert!(pretty.body.starts_with(b"{\n  "));
    let headers = [("accept-encoding", "gzip")];
    let small = bed.call(Method::GET, MAPS, &headers, "").await;
    assert!(!small.headers.contains_key("content-encoding"));
    let large = json!({ "metadata": { "name": "large" }, "data": { "k": "x".repeat(300_000) } });
    bed.post(MAPS, &large).await.expect(201);
    let packed = bed.call(Method::GET, MAPS, &headers, "").await;
    assert_eq!(packed.headers["content-encoding"], "gzip");
    assert!(packed.body.len() < 10_000);
}

#[tokio::test]
async fn pods_take_their_time_to_go() {
    let bed = Bed::new().await;
    // Nobody has begun it: it is gone at once.
    bed.post(PODS, &pod("p")).await.expect(201);
    let gone = bed.delete(&format!("{PODS}/p"), &json!({})).await.expect(200);
    assert_eq!(gone["kind"], "Pod");
    assert_eq!(bed.get(&format!("{PODS}/p")).await.code, 404);
    let mut bound = pod("q");
    bound["spec"]["nodeName"] = "node-1".into();
    bed.post(PODS, &bound).await.expect(201);
    let path = format!("{PODS}/q");
    let marked = bed.delete(&path, &json!({})).await.expect(200);
    let metadata = &marked["metadata"];
    assert_eq!((&metadata["deletionGracePeriodSeconds"], &metadata["generation"]), (&json!(30), &json!(2)));
    let sooner = bed.delete(&path, &json!({ "gracePeriodSeconds": 5 })).await.expect(200);
    assert_eq!(sooner["metadata"]["deletionGracePeriodSeconds"], 5);
    let later = bed.delete(&format!("{path}?gracePeriodSeconds=90"), &json!({})).await.expect(200);
    assert_eq!(later["metadata"], sooner["metadata"]);
    let wrong = json!({ "preconditions": { "uid": "other" } });
    let message = bed.delete(&path, &wrong).await.failure(409);
    assert!(message.contains("Precondition failed: UID in precondition: other"), "{message}");
    let right = json!({ "gracePeriodSeconds": 0, "preconditions": { "uid": metadata["uid"] } });
    bed.delete(&path, &right).await.expect(200);
    assert_eq!(bed.get(&path).await.code, 404);
}

#[tokio::test]
async fn a_replaced_pod_keeps_the_tolerations_of_every_pod() {
    let bed = Bed::new().await;
    let path = format!("{PODS}/p");
    let made = bed.post(PODS, &pod("p")).await.expect(201);
    for (tolerations, generation, count) in
        [(json!([]), 1, 2), (json!([{"key": "k", "operator": "Exists"}]), 2, 3)]
    {
        let mut changed = made.clone();
        changed["spec"]["tolerations"] = tolerations;
        changed["metadata"]["resourceVersion"] = "".into();
        let changed = bed.put(&path, &changed).await.expect(200);
        assert_eq!(changed["metadata"]["generation"], generation);
        assert_eq!(changed["spec"]["tolerations"].as_array().unwrap().len(), count);
    }
}

#[tokio::test]
async fn finalizers_hold_an_object() {
    let bed = Bed::new().await;
    let mut held = config_map("m", &json!({}));
    held["metadata"]["finalizers"] = json!(["example.com/hold"]);
    bed.post(MAPS, &held).await.expect(201);
    let path = format!("{MAPS}/m");
    let pending = bed.delete(&path, &json!({})).await.expect(200);
    assert!(pending["metadata"]["deletionTimestamp"].is_string());
    bed.patch(&path, "merge-patch+json", &json!({ "metadata": { "finalizers": ["example.com/more"] } }))
        .await
        .failure(422);
    bed.patch(&path, "merge-patch+json", &json!({ "metadata": { "finalizers": null } })).await.expect(200);
    assert_eq!(bed.get(&path).await.code, 404);
    bed.post(MAPS, &config_map("m", &json!({}))).await.expect(201);
    let orphaned = bed.delete(&path, &json!({ "propagationPolicy": "Orphan" })).await.expect(200);
    assert_eq!(orphaned["metadata"]["finalizers"], json!(["orphan"]));
    bed.delete(&path, &json!({ "propagationPolicy": "Never" })).await.failure(400);
}

#[tokio::test]
async fn collections_are_deleted_by_selection() {
    let bed = Bed::new().await;
    for n in 0..4 {
        let side = if n < 2 { "left" } else { "right" };
        bed.post(MAPS, &config_map(&format!("m{n}"), &json!({ "side": side }))).await.expect(201);
    }
    let gone = bed.delete(&format!("{MAPS}?labelSelector=side%3Dleft"), &json!({})).await.expect(200);
    assert_eq!(names(&gone), ["m0", "m1"]);
    assert_eq!(names(&bed.get(MAPS).await.expect(200)), ["m2", "m3"]);
    bed.delete(MAPS, &json!({})).await.expect(200);
    assert!(names(&bed.get(MAPS).await.expect(200)).is_empty());
    bed.delete("/api/v1/namespaces", &json!({})).await.failure(405);
}

#[tokio::test]
async fn events_are_the_same_in_two_groups() {
    let bed = Bed::new().await;
    let event = json!({
        "metadata": { "name": "e" },
        "involvedObject": { "kind": "Pod", "namespace": "a", "name": "p", "uid": "u" },
        "reason": "Started", "message": "said", "type": "Normal",
    });
    bed.post("/api/v1/namespaces/a/events", &event).await.expect(201);
    let new = "/apis/events.k8s.io/v1/namespaces/a/events";
    let seen = bed.get(&format!("{new}/e")).await.expect(200);
    assert_eq!(
        (&seen["apiVersion"], &seen["note"], &seen["regarding"]["name"]),
        (&json!("events.k8s.io/v1"), &json!("said"), &json!("p"))
    );
    let listed = bed.get(&format!("{new}?fieldSelector=regarding.name%3Dp")).await.expect(200);
    assert_eq!(listed["items"][0]["note"], "said");
    let labelled = json!({ "metadata": { "labels": { "x": "y" } } });
    let patched = bed.patch(&format!("{new}/e"), "merge-patch+json", &labelled).await.expect(200);
    assert_eq!((&patched["metadata"]["labels"]["x"], &patched["note"]), (&json!("y"), &json!("said")));
    let core = bed.get("/api/v1/namespaces/a/events?fieldSelector=involvedObject.uid%3Du").await.expect(200);
    assert_eq!(
        (&core["items"][0]["message"], &core["items"][0]["apiVersion"]),
        (&json!("said"), &json!("v1"))
    );
}

#[tokio::test]
async fn paths_and_methods_that_are_not_there() {
    let bed = Bed::new().await;
    for path in
        ["/nothing", "/api/v2/pods", "/apis/none/v1/things", "/api/v1/things", "/api/v1/namespaces/a/nodes"]
    {
        assert_eq!(
            bed.get(path).await.failure(404),
            "the server could not find the requested resource",
            "{path}"
        );
    }
    bed.get("/api/v1/namespaces/a/pods/%zz").await.failure(400);
    bed.get("/api/v1/pods?limit=%").await.failure(400);
    bed.call(Method::PUT, MAPS, &[], "").await.failure(405);
    bed.call(Method::POST, "/api/v1/configmaps", &[], "").await.failure(405);
    bed.call(Method::POST, "/version", &[], "").await.failure(405);
    bed.get(&format!("{PODS}/p/nothing")).await.failure(404);
    let message =
        bed.post("/apis/apps/v1/namespaces/a/deployments", &json!({ "metadata": { "name": "d" } })).await;
    assert!(message.failure(403).contains("this engine runs Pods"));
    assert_eq!(names(&bed.get("/apis/apps/v1/deployments").await.expect(200)), [""; 0]);
}

#[tokio::test]
async fn a_lease_is_replaced_by_who_has_seen_it() {
    let bed = Bed::new().await;
    let leases = "/apis/coordination.k8s.io/v1/namespaces/a/leases";
    let lease = json!({ "metadata": { "name": "l" }, "spec": { "holderIdentity": "one" } });
    let mut made = bed.post(leases, &lease).await.expect(201);
    let message = bed.put(&format!("{leases}/l"), &lease).await.failure(422);
    assert!(
        message.contains("metadata.resourceVersion") && message.contains("must be specified for an update"),
        "{message}"
    );
    made["spec"]["holderIdentity"] = "two".into();
    bed.put(&format!("{leases}/l"), &made).await.expect(200);
}

#[tokio::test]
async fn namespaces_end_when_nothing_holds_them() {
    let bed = Bed::new().await;
    let path = "/api/v1/namespaces/a";
    let ending = bed.delete(path, &json!({})).await.expect(200);
    assert_eq!(ending["status"]["phase"], "Terminating");
    let message = bed.post(MAPS, &config_map("m", &json!({}))).await.failure(403);
    assert!(message.contains("because it is being terminated"), "{message}");
    let mut emptied = ending.clone();
    emptied["spec"]["finalizers"] = json!([]);
    bed.put(&format!("{path}/finalize"), &emptied).await.expect(200);
    assert_eq!(bed.get(path).await.failure(404), "namespaces \"a\" not found");
}
