//! Requests that are wrong: each is refused with the code and the words that Kubernetes has for it, and changes nothing.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::bed::Bed;
use crate::cluster::Cluster;
use crate::http::Api;
use crate::runner::{Test, tests};
use crate::suites::require_root;

pub(crate) const TESTS: &[Test] = tests![
    fields_that_no_kind_has,
    versions_of_other_times,
    forms_that_are_not_taken,
    selectors_that_do_not_parse,
    patches_that_break_a_pod,
    names_that_are_no_labels,
    bodies_that_are_no_objects,
    urls_that_lead_nowhere,
];

const PODS: &str = "/api/v1/namespaces/default/pods";
const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";
const POD: &str = "/api/v1/namespaces/default/pods/kept";

/// A pod that stays Pending, so that nothing but the test changes it.
fn pod(name: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": { "name": name },
        "spec": {
            "nodeSelector": { "nowhere": "true" },
            "containers": [{ "name": "main", "image": "localhost/host", "command": ["sleep", "1000"] }],
        },
    })
}

/// Runs `test` against a server with the pod `kept`; afterwards the server answers, and what is stored is what was.
fn refusing(bed: &Bed, test: impl FnOnce(&Api, &Cluster<'_>) -> Result<()>) -> Result<()> {
    require_root()?;
    let cluster = Cluster::start_bare(bed)?;
    let api = Api::new(cluster.socket());
    api.post(PODS, &pod("kept"))?.expect(201)?;
    api.post(CONFIG_MAPS, &json!({ "metadata": { "name": "kept" }, "data": { "a": "1" } }))?.expect(201)?;
    let before = stored(&api)?;
    test(&api, &cluster)?;
    api.get("/readyz")?.expect(200)?;
    let after = stored(&api)?;
    ensure!(before == after, "before: {before:#?}\nafter: {after:#?}");
    cluster.finish()
}

/// Pods and ConfigMaps but for what the server writes by itself: status, and versions with it.
fn stored(api: &Api) -> Result<Vec<Value>> {
    let mut found = Vec::new();
    for path in ["/api/v1/pods", CONFIG_MAPS, "/api/v1/namespaces"] {
        let list = api.get(path)?.expect(200)?.json()?;
        for item in list["items"].as_array().context("no items")? {
            let metadata = &item["metadata"];
            found.push(json!([
                metadata["name"],
                metadata["uid"],
                metadata["labels"],
                item["spec"],
                item["data"]
            ]));
        }
    }
    Ok(found)
}

fn fields_that_no_kind_has(bed: &Bed) -> Result<()> {
    refusing(bed, |api, _| {
        let mut odd = pod("odd");
        odd["spec"]["containers"][0]["imagee"] = json!("x");
        let with = |how: &str| api.post(&format!("{PODS}?fieldValidation={how}&dryRun=All"), &odd);
        with("Strict")?
            .refused(400, &["strict decoding error", "unknown field \"spec.containers[0].imagee\""])?;
        let warned = with("Warn")?.expect(201)?;
        ensure!(warned.head.contains("warning: 299 - \"unknown field"), "{}", warned.head);
        ensure!(!warned.body.contains("imagee"), "an unknown field was kept");
        let ignored = with("Ignore")?.expect(201)?;
        ensure!(!ignored.head.contains("warning:"), "{}", ignored.head);
        with("Whatever")?.refused(422, &["fieldValidation", "Whatever"])?;
        let twice = br#"{"metadata":{"name":"a","name":"b"}}"#;
        let strict = format!("{CONFIG_MAPS}?fieldValidation=Strict");
        let json = [("Content-Type", "application/json")];
        api.ask("POST", &strict, &json, twice)?.refused(400, &["duplicate field \"metadata.name\""])?;
        let wrong_type = json!({ "metadata": { "name": "a" }, "data": { "a": 1 } });
        api.post(CONFIG_MAPS, &wrong_type)?.refused(400, &["ConfigMap.data"])
    })
}

fn versions_of_other_times(bed: &Bed) -> Result<()> {
    require_root()?;
    let mut cluster = Cluster::start_bare(bed)?;
    let api = Api::new(cluster.socket());
    let config_map = json!({ "metadata": { "name": "kept" }, "data": { "a": "1" } });
    let mut old = api.post(CONFIG_MAPS, &config_map)?.expect(201)?.json()?;
    let kept = format!("{CONFIG_MAPS}/kept");
    api.send("PATCH", &kept, "merge-patch+json", &json!({ "data": { "a": "2" } }))?.expect(200)?;
    old["data"]["a"] = json!("3");
    api.send("PUT", &kept, "json", &old)?.refused(409, &["the object has been modified"])?;
    let condition = json!({ "preconditions": { "resourceVersion": old["metadata"]["resourceVersion"] } });
    api.send("DELETE", &kept, "json", &condition)?.refused(409, &["Precondition failed: ResourceVersion"])?;
    let condition = json!({ "preconditions": { "uid": "another" } });
    api.send("DELETE", &kept, "json", &condition)?.refused(409, &["Precondition failed: UID"])?;
    ensure!(api.get(&kept)?.expect(200)?.json()?["data"]["a"] == "2", "a refused change was made");
    let future = "resourceVersion=99999999999";
    for query in ["", "watch=true&"] {
        api.get(&format!("{PODS}?{query}{future}"))?.refused(504, &["Too large resource version"])?;
    }
    api.get(&format!("{PODS}?watch=true&resourceVersion=abc"))?.refused(422, &["resourceVersion"])?;
    api.get(&format!("{PODS}?watch=true&resourceVersion=-1"))?.refused(422, &["resourceVersion"])?;
    api.get(&format!("{PODS}?continue=nonsense"))?.refused(400, &["continue"])?;
    // A server knows the changes of its own life only.
    cluster.stop()?.expect_code(0)?;
    cluster.serve()?;
    let watch = api.get(&format!("{PODS}?watch=true&resourceVersion=1&timeoutSeconds=5"))?.expect(200)?;
    let event = watch.json()?;
    ensure!(event["type"] == "ERROR" && event["object"]["code"] == 410, "{event}");
    ensure!(event["object"]["reason"] == "Expired", "{event}");
    api.get("/readyz")?.expect(200)?;
    cluster.finish()
}

fn forms_that_are_not_taken(bed: &Bed) -> Result<()> {
    refusing(bed, |api, _| {
        let body = pod("new").to_string();
        let types = ["text/plain", "application/xml", "application/cbor", "application/json-patch+json", "x"];
        for ty in types {
            let answer = api.ask("POST", PODS, &[("Content-Type", ty)], body.as_bytes())?;
            answer.refused(415, &["accepted media types include: application/json"])?;
        }
        api.send("PATCH", POD, "json", &json!({}))?
            .refused(415, &["application/strategic-merge-patch+json"])?;
        for accept in ["text/html", "application/json;as=Other;v=v1;g=meta.k8s.io", "image/*"] {
            for target in [POD, PODS, "/api"] {
                let answer = api.ask("GET", target, &[("Accept", accept)], b"")?;
                answer.refused(406, &["only the following media types are accepted"])?;
            }
        }
        let protobuf = [("Content-Type", "application/vnd.kubernetes.protobuf")];
        for body in [&b""[..], b"k8s\0", b"k8s\0\xff\xff\xff\xff\xff\xff", b"{}"] {
            api.ask("POST", PODS, &protobuf, body)?.refused(400, &[])?;
        }
        api.ask("POST", POD, &[], b"{}")?.refused(405, &[])?;
        api.ask("BREW", POD, &[], b"")?.refused(405, &[])
    })
}

fn selectors_that_do_not_parse(bed: &Bed) -> Result<()> {
    refusing(bed, |api, _| {
        for text in ["a%20in%20(", "a%20within%20(b)", "%2f%2f", "a=b=c", "a%20in%20(b)%20c", "-a", "!"] {
            let answer = api.get(&format!("{PODS}?labelSelector={text}"))?;
            answer.refused(400, &["unable to parse requirement"]).with_context(|| text.to_owned())?;
        }
        for text in ["spec.nodeName", "a%3e1", "status.other=x"] {
            let answer = api.get(&format!("{PODS}?fieldSelector={text}"))?;
            answer.refused(400, &["selector"]).with_context(|| text.to_owned())?;
        }
        let all = "fieldSelector=status.other%3dx";
        api.ask("DELETE", &format!("{PODS}?{all}"), &[], b"")?.refused(400, &["status.other"])?;
        api.get(&format!("{PODS}?limit=x"))?.refused(400, &["limit"])
    })
}

fn patches_that_break_a_pod(bed: &Bed) -> Result<()> {
    refusing(bed, |api, _| {
        let patch = |form: &str, body: &Value| api.send("PATCH", POD, form, body);
        let merge = |body: &Value| patch("merge-patch+json", body);
        merge(&json!({ "spec": { "containers": null } }))?.refused(422, &["spec.containers"])?;
        merge(&json!({ "spec": { "containers": [] } }))?.refused(422, &["spec.containers"])?;
        merge(&json!({ "spec": { "restartPolicy": "Never" } }))?.refused(422, &["spec"])?;
        merge(&json!({ "spec": { "containers": [{ "name": "main", "image": "" }] } }))?
            .refused(422, &["spec.containers[0].image"])?;
        merge(&json!({ "spec": "none" }))?.refused(400, &["spec"])?;
        merge(&json!({ "metadata": { "name": "other" } }))?.refused(400, &["name"])?;
        merge(&json!({ "metadata": { "uid": "other" } }))?.refused(409, &["UID"])?;
        merge(&json!({ "metadata": { "labels": { "a b": "c" } } }))?.refused(422, &["metadata.labels"])?;
        merge(&json!({ "kind": "Secret" }))?.refused(400, &[])?;
        merge(&json!([1]))?.refused(400, &[])?;
        let json_patch = |operations: &Value| patch("json-patch+json", operations);
        json_patch(&json!([{ "op": "remove", "path": "/spec/nothing" }]))?.refused(422, &[])?;
        json_patch(&json!([{ "op": "test", "path": "/metadata/name", "value": "other" }]))?
            .refused(422, &[])?;
        json_patch(&json!([{ "op": "remove", "path": "/spec/containers/0" }]))?
            .refused(422, &["spec.containers"])?;
        json_patch(&json!([{ "op": "become", "path": "/spec" }]))?.refused(422, &[])?;
        json_patch(&json!({ "op": "remove" }))?.refused(400, &[])?;
        let copies: Vec<Value> = (0..60)
            .map(|n| json!({ "op": "copy", "from": "/metadata/annotations", "path": format!("/metadata/annotations/a{n}") }))
            .collect();
        let mut doubling =
            vec![json!({ "op": "add", "path": "/metadata/annotations", "value": { "a": "b" } })];
        doubling.extend(copies);
        let refused = json_patch(&Value::Array(doubling))?;
        ensure!(matches!(refused.code, 400 | 413 | 422), "{}: {:.300}", refused.code, refused.body);
        let strategic = json!({ "spec": { "containers": [{ "$patch": "delete", "name": "main" }] } });
        patch("strategic-merge-patch+json", &strategic)?.refused(422, &["spec.containers"])?;
        let unknown = json!({ "spec": { "containers": [{ "$patch": "shrink", "name": "main" }] } });
        let refused = patch("strategic-merge-patch+json", &unknown)?;
        ensure!(matches!(refused.code, 400 | 422 | 500), "{}", refused.body);
        let applied = json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "kept" } });
        patch("apply-patch+yaml", &applied)?.refused(422, &["fieldManager"])
    })
}

fn names_that_are_no_labels(bed: &Bed) -> Result<()> {
    refusing(bed, |api, _| {
        let long = "a".repeat(254);
        for name in ["Upper", "a_b", "-a", "a-", "a/b", "..", "a b", "\u{e9}", "a\nb", long.as_str()] {
            let answer = api.post(PODS, &pod(name))?;
            answer.refused(422, &["metadata.name"]).with_context(|| name.to_owned())?;
        }
        let none = json!({ "apiVersion": "v1", "kind": "Pod", "metadata": {}, "spec": pod("x")["spec"] });
        api.post(PODS, &none)?.refused(422, &["metadata.name", "name or generateName is required"])?;
        let namespace = |name: &str| json!({ "metadata": { "name": name } });
        for name in ["a.b", "Upper", &"a".repeat(64)] {
            api.post("/api/v1/namespaces", &namespace(name))?.refused(422, &["metadata.name"])?;
        }
        let mut elsewhere = pod("x");
        elsewhere["metadata"]["namespace"] = json!("other");
        api.post(PODS, &elsewhere)?.refused(400, &["namespace"])?;
        api.post("/api/v1/namespaces/nowhere/pods", &pod("x"))?
            .refused(404, &["namespaces \"nowhere\" not found"])
    })
}

fn bodies_that_are_no_objects(bed: &Bed) -> Result<()> {
    refusing(bed, |api, _| {
        let json = [("Content-Type", "application/json")];
        let deep = [vec![b'['; 200_000], vec![b']'; 200_000]].concat();
        let deep_object = format!("{}1{}", "{\"a\":".repeat(100_000), "}".repeat(100_000));
        let bodies: [&[u8]; 10] = [
            b"",
            b"{",
            b"[]",
            b"null",
            b"1",
            b"\"x\"",
            b"\xff\xfe",
            b"{\"a\":\"\xff\"}",
            &deep,
            deep_object.as_bytes(),
        ];
        for body in bodies {
            let answer = api.ask("POST", CONFIG_MAPS, &json, body)?;
            answer
                .refused(400, &[])
                .with_context(|| String::from_utf8_lossy(&body[..body.len().min(20)]).into_owned())?;
        }
        let yaml = [("Content-Type", "application/yaml")];
        let bomb = (0..30).map(|n| format!("a{n}: &a{n} [{}]\n", format!("*a{},", n - 1).repeat(9))).skip(1);
        let bomb = format!("a0: &a0 [x]\n{}", bomb.collect::<String>());
        for body in ["a: b: c", "- 1", &bomb, &"[".repeat(100_000), &"- ".repeat(100_000)] {
            let answer = api.ask("POST", CONFIG_MAPS, &yaml, body.as_bytes())?;
            answer.refused(400, &[]).with_context(|| body[..body.len().min(20)].to_owned())?;
        }
        let merge = [("Content-Type", "application/merge-patch+json")];
        api.ask("PATCH", POD, &merge, &deep)?.refused(400, &[])?;
        let managed = json!({ "metadata": { "name": "x", "managedFields": "y" } });
        api.post(CONFIG_MAPS, &managed)?.refused(400, &["managedFields"])
    })
}

fn urls_that_lead_nowhere(bed: &Bed) -> Result<()> {
    refusing(bed, |api, _| {
        for path in ["/api/v1/%zz", "/api/v1/namespaces/%ff/pods", "/api/v1/namespaces/default/pods/%"] {
            api.get(path)?.refused(400, &["percent"]).with_context(|| path.to_owned())?;
        }
        for path in [
            "/api/v1/../../etc/passwd",
            "/api/v1/namespaces/../pods",
            "/api/v1/namespaces//pods",
            "/api/v1/namespaces/%2e%2e/pods",
        ] {
            api.get(path)?.refused(400, &["segment"]).with_context(|| path.to_owned())?;
        }
        let not_found =
            ["/etc/passwd", "/api/v2", "/api/v1/nothing", "/apis/a/b/c", "/../../etc/passwd", "/%2e%2e/x"];
        for path in not_found {
            api.get(path)?.refused(404, &[]).with_context(|| path.to_owned())?;
        }
        let odd = ["a%00b", "a%2fb", "%e2%80%ae", "a%0d%0aX:y"];
        for name in odd {
            api.get(&format!("{PODS}/{name}"))?
                .refused(404, &["not found"])
                .with_context(|| name.to_owned())?;
            let answer = api.ask("DELETE", &format!("{PODS}/{name}"), &[], b"")?;
            answer.refused(404, &["not found"])?;
        }
        let many = "a=b&".repeat(5_000);
        api.get(&format!("{PODS}?{many}"))?.refused(400, &["parameters"])?;
        api.get(&format!("{PODS}?labelSelector=%zz"))?.refused(400, &["percent"])?;
        for size in [70_000, 1_000_000] {
            let huge = format!("GET {PODS}?x={} HTTP/1.1\r\nHost: localhost\r\n\r\n", "y".repeat(size));
            let answer = api.raw(huge.as_bytes())?;
            ensure!(answer.as_ref().is_none_or(|answer| matches!(answer.code, 414 | 431)), "{answer:?}");
        }
        Ok(())
    })
}
