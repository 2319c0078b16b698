use expect_test::expect;
use http::Method;
use serde_json::Value;

use crate::kinds::Kind;
use crate::objects;
use crate::testing::Bed;

const V2: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
const V2_BETA1: &str = "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList";

async fn ask(bed: &Bed, path: &str, accept: &str) -> Value {
    bed.call(Method::GET, path, &[("accept", accept)], "").await.expect(200)
}

#[tokio::test]
async fn one_group_at_a_time() {
    let bed = Bed::new().await;
    let groups = ask(&bed, "/apis", "application/json").await;
    let names: Vec<&str> = groups["groups"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|group| group["name"].as_str())
        .collect();
    expect!["apps, events.k8s.io, authentication.k8s.io, authorization.k8s.io, batch, networking.k8s.io, rbac.authorization.k8s.io, storage.k8s.io, scheduling.k8s.io, coordination.k8s.io, node.k8s.io, discovery.k8s.io, resource.k8s.io, metrics.k8s.io"]
        .assert_eq(&names.join(", "));
    expect![[r#"{"kind":"APIGroup","apiVersion":"v1","name":"apps","preferredVersion":{"groupVersion":"apps/v1","version":"v1"},"versions":[{"groupVersion":"apps/v1","version":"v1"}]}"#]]
        .assert_eq(&sorted(&ask(&bed, "/apis/apps", "application/json").await));
    let core = ask(&bed, "/api/v1", "application/json").await;
    assert_eq!((&core["kind"], &core["groupVersion"]), (&"APIResourceList".into(), &"v1".into()));
    let of = |name: &str| {
        core["resources"].as_array().into_iter().flatten().find(|entry| entry["name"] == name).cloned()
    };
    expect![[r#"{"kind":"Pod","name":"pods","categories":["all"],"namespaced":true,"shortNames":["po"],"singularName":"pod","verbs":["create","delete","deletecollection","get","list","patch","update","watch"]}"#]]
        .assert_eq(&sorted(&of("pods").unwrap_or_default()));
    expect![[r#"{"kind":"Eviction","name":"pods/eviction","group":"policy","namespaced":true,"singularName":"","verbs":["create"],"version":"v1"}"#]]
        .assert_eq(&sorted(&of("pods/eviction").unwrap_or_default()));
}

/// On one line: kind, apiVersion and name first, then by name.
fn sorted(value: &Value) -> String {
    let Some(object) = value.as_object() else { return value.to_string() };
    let rank =
        |name: &str| ["kind", "apiVersion", "name"].iter().position(|first| *first == name).unwrap_or(3);
    let mut fields: Vec<(&String, &Value)> = object.iter().collect();
    fields.sort_by_key(|(name, _)| (rank(name), name.as_str()));
    let fields: Vec<String> =
        fields.iter().map(|(name, value)| format!("\"{name}\":{}", plain(value))).collect();
    format!("{{{}}}", fields.join(","))
}

/// Objects inside by name, whatever order they are kept in.
fn plain(value: &Value) -> String {
    match value {
        Value::Object(_) => {
            let mut fields: Vec<(&String, &Value)> = value.as_object().into_iter().flatten().collect();
            fields.sort_by_key(|(name, _)| name.as_str());
            let fields: Vec<String> =
                fields.iter().map(|(name, value)| format!("\"{name}\":{}", plain(value))).collect();
            format!("{{{}}}", fields.join(","))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(plain).collect::<Vec<_>>().join(",")),
        other => other.to_string(),
    }
}

#[tokio::test]
async fn all_at_once_in_the_version_that_is_asked_for() {
    let bed = Bed::new().await;
    for (accept, version) in [(V2, "v2"), (V2_BETA1, "v2beta1")] {
        let accept = format!("{accept},application/json");
        let answer = bed.call(Method::GET, "/apis", &[("accept", &accept)], "").await;
        assert!(answer.headers["content-type"].to_str().unwrap_or("").contains(&format!("v={version};")));
        let list = answer.expect(200);
        assert_eq!(list["apiVersion"], format!("apidiscovery.k8s.io/{version}"));
        assert_eq!(list["items"].as_array().map(Vec::len), Some(14));
    }
    let core = ask(&bed, "/api", V2).await;
    assert_eq!(core["items"].as_array().map(Vec::len), Some(1));
    let version = &core["items"][0]["versions"][0];
    assert_eq!((&version["version"], &version["freshness"]), (&"v1".into(), &"Current".into()));
    let entry =
        version["resources"].as_array().into_iter().flatten().find(|entry| entry["resource"] == "nodes");
    expect![[r#"{"resource":"nodes","responseKind":{"group":"","kind":"Node","version":"v1"},"scope":"Cluster","shortNames":["no"],"singularResource":"node","subresources":[{"responseKind":{"group":"","kind":"NodeProxyOptions","version":"v1"},"subresource":"proxy","verbs":["create","delete","get","patch","update"]},{"responseKind":{"group":"","kind":"Node","version":"v1"},"subresource":"status","verbs":["get","patch","update"]}],"verbs":["create","delete","deletecollection","get","list","patch","update","watch"]}"#]]
        .assert_eq(&sorted(entry.unwrap_or(&Value::Null)));
    bed.call(Method::GET, "/apis", &[("accept", "text/html")], "").await.failure(406);
}

#[tokio::test]
async fn documents_describe_what_is_served() {
    let bed = Bed::new().await;
    let index = ask(&bed, "/openapi/v3", "application/json").await;
    let url = index["paths"]["api/v1"]["serverRelativeURL"].as_str().unwrap_or_default();
    assert!(url.starts_with("/openapi/v3/api/v1?hash="), "{url}");
    let document = ask(&bed, url, "application/json").await;
    assert!(document["paths"]["/api/v1/namespaces/{namespace}/pods/{name}"]["patch"].is_object());
    bed.get("/openapi/v3/apis/none/v1").await.failure(404);
    assert!(ask(&bed, "/openapi/v2", "application/json").await["definitions"].is_object());
    let version = ask(&bed, "/version", "application/json").await;
    assert_eq!(version["gitVersion"], "v1.36.2+monopod.1.2.3");
    assert_eq!((&version["major"], &version["minor"]), (&"1".into(), &"36".into()));
}

#[test]
fn every_kind_has_a_schema_and_a_place_of_its_own() {
    for kind in Kind::all() {
        let ty = api_schema::Schema::get().kind(kind.group, kind.version, kind.kind);
        assert!(ty.is_some(), "{} of {}/{} has no schema", kind.kind, kind.group, kind.version);
        assert!(
            kind.verbs.is_sorted_by_key(|verb| verb.name()),
            "{} has its verbs in another order",
            kind.kind
        );
        let expected = if kind.group == "events.k8s.io" || !(kind.is_stored() || kind.is_measured()) {
            kind.plural.to_owned()
        } else {
            kind.qualified()
        };
        assert_eq!(kind.resource, expected);
        if kind.is_stored() {
            assert!(objects::kind_of(kind.stored()).is_some_and(|found| found.kind == kind.kind));
        }
    }
}

#[tokio::test]
async fn health_is_asked_by_probes_and_people() {
    let bed = Bed::new().await;
    for path in ["/healthz", "/livez", "/readyz", "/readyz/store"] {
        assert_eq!(&bed.get(path).await.body[..], b"ok", "{path}");
    }
    let text = bed.get("/readyz?verbose").await;
    assert_eq!(&text.body[..], b"[+]ping ok\n[+]store ok\nreadyz check passed\n");
    bed.get("/readyz/nothing").await.failure(404);
    let metrics = bed.get("/metrics").await;
    let metrics = String::from_utf8_lossy(&metrics.body).into_owned();
    for line in [
        "monopod_build_info{version=\"1.2.3\"} 1",
        "apiserver_request_total{verb=\"create\",resource=\"namespaces\",code=\"201\"} 1",
    ] {
        assert!(metrics.contains(line), "{metrics}");
    }
}
