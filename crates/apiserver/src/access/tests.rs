use http::Method;
use serde_json::{Value, json};

use crate::testing::{Answer, Bed};

const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";
const ROBOT: &str = "system:serviceaccount:a:robot";

/// As `kubectl --as`.
async fn call_as(bed: &Bed, user: &str, method: Method, path: &str, body: &Value) -> Answer {
    let headers = [("impersonate-user", user), ("content-type", "application/json")];
    let body = if body.is_null() { String::new() } else { body.to_string() };
    bed.call(method, path, &headers, body).await
}

async fn get_as(bed: &Bed, user: &str, path: &str) -> Answer {
    call_as(bed, user, Method::GET, path, &Value::Null).await
}

/// The robot may read pods of `a`, and the config map `one`.
async fn grant(bed: &Bed) {
    let rules = json!([
        { "apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"] },
        { "apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["one"], "verbs": ["get", "list", "watch"] },
    ]);
    let role = json!({ "metadata": { "name": "reader" }, "rules": rules });
    bed.post(&format!("{RBAC}/namespaces/a/roles"), &role).await.expect(201);
    let binding = json!({
        "metadata": { "name": "reader" },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader" },
        "subjects": [{ "kind": "ServiceAccount", "namespace": "a", "name": "robot" }],
    });
    bed.post(&format!("{RBAC}/namespaces/a/rolebindings"), &binding).await.expect(201);
}

#[tokio::test]
async fn a_binding_holds_from_when_it_is_stored_until_it_is_not() {
    let bed = Bed::new().await;
    let pods = "/api/v1/namespaces/a/pods";
    let message = get_as(&bed, ROBOT, pods).await.failure(403);
    assert_eq!(
        message,
        "pods is forbidden: User \"system:serviceaccount:a:robot\" cannot list resource \"pods\" in API group \"\" in the namespace \"a\""
    );
    grant(&bed).await;
    get_as(&bed, ROBOT, pods).await.expect(200);
    get_as(&bed, ROBOT, "/api/v1/pods").await.failure(403);
    get_as(&bed, "other", pods).await.failure(403);
    call_as(&bed, ROBOT, Method::POST, pods, &crate::testing::pod("p")).await.failure(403);
    get_as(&bed, ROBOT, &format!("{pods}/p/log")).await.failure(403);
    bed.delete(&format!("{RBAC}/namespaces/a/rolebindings/reader"), &json!({})).await.expect(200);
    get_as(&bed, ROBOT, pods).await.failure(403);
}

#[tokio::test]
async fn a_list_of_one_name_is_that_object() {
    let bed = Bed::new().await;
    grant(&bed).await;
    let maps = "/api/v1/namespaces/a/configmaps";
    get_as(&bed, ROBOT, &format!("{maps}/one")).await.failure(404);
    get_as(&bed, ROBOT, &format!("{maps}/two")).await.failure(403);
    get_as(&bed, ROBOT, maps).await.failure(403);
    get_as(&bed, ROBOT, &format!("{maps}?fieldSelector=metadata.name%3Done")).await.expect(200);
    get_as(&bed, ROBOT, &format!("{maps}?fieldSelector=metadata.name%3Dtwo")).await.failure(403);
}

#[tokio::test]
async fn only_who_may_acts_for_others() {
    let bed = Bed::new().await;
    let own =
        call_as(&bed, ROBOT, Method::POST, "/apis/authentication.k8s.io/v1/selfsubjectreviews", &json!({}))
            .await;
    let info = &own.expect(201)["status"]["userInfo"];
    assert_eq!(info["username"], ROBOT);
    assert!(
        info["groups"].as_array().is_some_and(|groups| groups.contains(&json!("system:serviceaccounts:a")))
    );
    let headers = [("impersonate-user", "x"), ("impersonate-group", "system:masters")];
    bed.call(Method::GET, "/api/v1/pods", &headers, "").await.expect(200);
    // One who is nobody cannot become somebody.
    let request = http::Request::builder().uri("/api/v1/pods").header("impersonate-user", "system:admin");
    let request = request.header("impersonate-group", "system:masters").body(crate::body::empty());
    let answer = bed.raw(request.expect("a request"), crate::auth::Peer::Unknown).await;
    assert_eq!(answer.status(), 403);
}

#[tokio::test]
async fn questions_about_access_are_answered() {
    let bed = Bed::new().await;
    grant(&bed).await;
    let group = "/apis/authorization.k8s.io/v1";
    let ask = |verb: &str, resource: &str| json!({ "resourceAttributes": { "namespace": "a", "verb": verb, "resource": resource } });
    let own = async |spec: Value| {
        let body = json!({ "spec": spec });
        let answer =
            call_as(&bed, ROBOT, Method::POST, &format!("{group}/selfsubjectaccessreviews"), &body).await;
        answer.expect(201)["status"].clone()
    };
    let allowed = own(ask("list", "pods")).await;
    assert_eq!(allowed["allowed"], true);
    assert!(allowed["reason"].as_str().is_some_and(|why| why.starts_with("RBAC: allowed by RoleBinding")));
    assert_eq!(own(ask("delete", "pods")).await, json!({ "allowed": false }));
    let mut spec = ask("get", "pods");
    spec["user"] = ROBOT.into();
    spec["groups"] = json!([]);
    let about =
        bed.post(&format!("{group}/subjectaccessreviews"), &json!({ "spec": spec })).await.expect(201);
    assert_eq!(about["status"]["allowed"], true);
    bed.post(&format!("{group}/subjectaccessreviews"), &json!({ "spec": {} })).await.failure(422);
    let local = format!("{group}/namespaces/b/localsubjectaccessreviews");
    bed.post(&local, &json!({ "spec": spec })).await.failure(422);
    let rules = json!({ "spec": { "namespace": "a" } });
    let rules = call_as(&bed, ROBOT, Method::POST, &format!("{group}/selfsubjectrulesreviews"), &rules).await;
    assert_eq!(rules.expect(201)["status"]["resourceRules"][0]["verbs"], json!(["get", "list"]));
    get_as(&bed, ROBOT, &format!("{group}/selfsubjectaccessreviews")).await.failure(403);
}

#[tokio::test]
async fn tokens_are_reviewed() {
    let bed = Bed::new().await;
    let request = json!({ "spec": { "audiences": ["vault"] } });
    let issued = bed.post("/api/v1/namespaces/a/serviceaccounts/default/token", &request).await.expect(201);
    let token = issued["status"]["token"].clone();
    let review = async |spec: Value| {
        let path = "/apis/authentication.k8s.io/v1/tokenreviews";
        bed.post(path, &json!({ "spec": spec })).await.expect(201)["status"].clone()
    };
    let known = review(json!({ "token": token, "audiences": ["vault", "other"] })).await;
    assert_eq!((&known["authenticated"], &known["audiences"]), (&json!(true), &json!(["vault"])));
    assert_eq!(known["user"]["username"], "system:serviceaccount:a:default");
    assert_eq!(review(json!({ "token": token })).await["authenticated"], Value::Null);
    assert!(review(json!({ "token": "x" })).await["error"].is_string());
    let table = [("accept", "application/json;as=Table;v=v1;g=meta.k8s.io")];
    let path = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
    bed.call(Method::POST, path, &table, "{}").await.failure(406);
}

#[tokio::test]
async fn a_token_says_which_pod_has_it_and_where() {
    let bed = Bed::new().await;
    let node = bed.post("/api/v1/nodes", &json!({ "metadata": { "name": "node-1" } })).await.expect(201);
    let mut bound = crate::testing::pod("p");
    bound["spec"]["nodeName"] = "node-1".into();
    let bound = bed.post("/api/v1/namespaces/a/pods", &bound).await.expect(201);
    let uid = &bound["metadata"]["uid"];
    let request = json!({ "spec": { "boundObjectRef": { "kind": "Pod", "apiVersion": "v1", "name": "p", "uid": uid } } });
    let issued = bed.post("/api/v1/namespaces/a/serviceaccounts/default/token", &request).await.expect(201);
    let review = json!({ "spec": { "token": issued["status"]["token"] } });
    let review = bed.post("/apis/authentication.k8s.io/v1/tokenreviews", &review).await.expect(201);
    let extra = &review["status"]["user"]["extra"];
    for (key, value) in [
        ("pod-name", &json!("p")),
        ("pod-uid", uid),
        ("node-name", &json!("node-1")),
        ("node-uid", &node["metadata"]["uid"]),
    ] {
        assert_eq!(&extra[format!("authentication.kubernetes.io/{key}")][0], value, "{key}");
    }
}
