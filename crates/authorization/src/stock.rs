//! The roles and bindings that are there from the start, for what is served here
//! (<https://kubernetes.io/docs/reference/access-authn-authz/rbac/#default-roles-and-role-bindings>).

use serde_json::{Value, json};

use crate::aggregation::aggregated_rules;

/// Objects without uid and times.
#[derive(Clone, PartialEq, Debug)]
pub struct Stock {
    pub cluster_roles: Vec<Value>,
    pub cluster_role_bindings: Vec<Value>,
}

const READ: [&str; 3] = ["get", "list", "watch"];
const WRITE: [&str; 5] = ["create", "delete", "deletecollection", "patch", "update"];
const READ_WRITE: [&str; 8] =
    ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];
const RBAC: &str = "rbac.authorization.k8s.io";

/// What a pod's owner works with.
const WORKED_WITH: [&str; 7] = [
    "configmaps",
    "persistentvolumeclaims",
    "pods",
    "replicationcontrollers",
    "secrets",
    "serviceaccounts",
    "services",
];

const HEALTH: [&str; 3] = ["/healthz", "/livez", "/readyz"];

/// In the order of names; aggregated roles have their rules.
#[must_use]
pub fn stock() -> Stock {
    let mut cluster_roles = cluster_roles();
    // `edit` is part of `admin`, and `view` of `edit`.
    for name in ["view", "edit", "admin"] {
        let rules = cluster_roles.iter().find(|role| role["metadata"]["name"] == name);
        let rules = rules.and_then(|role| aggregated_rules(role, &cluster_roles));
        if let Some(role) = cluster_roles.iter_mut().find(|role| role["metadata"]["name"] == name) {
            role["rules"] = rules.unwrap_or(Value::Null);
        }
    }
    let everybody = ["system:authenticated", "system:unauthenticated"];
    let cluster_role_bindings = vec![
        binding("cluster-admin", &["system:masters"]),
        binding("system:basic-user", &["system:authenticated"]),
        binding("system:discovery", &["system:authenticated"]),
        binding("system:monitoring", &["system:monitoring"]),
        binding("system:public-info-viewer", &everybody),
    ];
    Stock { cluster_roles, cluster_role_bindings }
}

/// Those that are sums of others have no rules yet.
fn cluster_roles() -> Vec<Value> {
    vec![
        aggregate("admin", &[]),
        aggregate("edit", &["admin"]),
        aggregate("view", &["edit"]),
        role(
            "cluster-admin",
            &[],
            &json!([
                {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]},
                {"nonResourceURLs": ["*"], "verbs": ["*"]},
            ]),
        ),
        role("system:aggregate-to-admin", &["admin"], &admin()),
        role("system:aggregate-to-edit", &["edit"], &edit()),
        role("system:aggregate-to-view", &["view"], &view()),
        metrics_reader(),
        role(
            "system:auth-delegator",
            &[],
            &json!([
                rule("authentication.k8s.io", &["tokenreviews"], &["create"]),
                rule("authorization.k8s.io", &["subjectaccessreviews"], &["create"]),
            ]),
        ),
        role(
            "system:basic-user",
            &[],
            &json!([
                rule(
                    "authorization.k8s.io",
                    &["selfsubjectaccessreviews", "selfsubjectrulesreviews"],
                    &["create"]
                ),
                rule("authentication.k8s.io", &["selfsubjectreviews"], &["create"]),
            ]),
        ),
        role(
            "system:discovery",
            &[],
            &json!([urls(&[
                "/api",
                "/api/*",
                "/apis",
                "/apis/*",
                "/healthz",
                "/livez",
                "/openapi",
                "/openapi/*",
                "/readyz",
                "/version",
                "/version/",
            ])]),
        ),
        role(
            "system:monitoring",
            &[],
            &json!([
                urls(&[&HEALTH[..], &["/healthz/*", "/livez/*", "/metrics", "/readyz/*"]].concat()),
                rule("", &["nodes/metrics"], &["get"]),
            ]),
        ),
        role(
            "system:public-info-viewer",
            &[],
            &json!([urls(&[&HEALTH[..], &["/version", "/version/"]].concat())]),
        ),
    ]
}

/// As metrics-server's manifests have it.
fn metrics_reader() -> Value {
    let rules = json!([rule("metrics.k8s.io", &["nodes", "pods"], &READ)]);
    role("system:aggregated-metrics-reader", &["view", "edit", "admin"], &rules)
}

fn view() -> Value {
    let core = [
        "bindings",
        "configmaps",
        "endpoints",
        "limitranges",
        "namespaces",
        "namespaces/status",
        "persistentvolumeclaims",
        "persistentvolumeclaims/status",
        "pods",
        "pods/log",
        "pods/record",
        "pods/status",
        "replicationcontrollers",
        "resourcequotas",
        "resourcequotas/status",
        "serviceaccounts",
        "services",
        "services/status",
    ];
    json!([
        rule("", &core, &READ),
        {"apiGroups": ["", "events.k8s.io"], "resources": ["events"], "verbs": READ},
        rule("discovery.k8s.io", &["endpointslices"], &READ),
        rule("apps", &["daemonsets", "deployments", "replicasets", "statefulsets"], &READ),
        rule("batch", &["cronjobs", "jobs"], &READ),
        rule("networking.k8s.io", &["networkpolicies"], &READ),
        rule(
            "resource.k8s.io",
            &["resourceclaims", "resourceclaims/status", "resourceclaimtemplates"],
            &READ,
        ),
    ])
}

fn edit() -> Value {
    let reached = ["pods/attach", "pods/exec", "pods/portforward", "pods/proxy", "secrets", "services/proxy"];
    let streams = ["pods/attach", "pods/exec", "pods/portforward", "pods/proxy", "services/proxy"];
    json!([
        rule("", &reached, &READ),
        rule("", &[&WORKED_WITH[..], &streams].concat(), &WRITE),
        rule("", &["pods/eviction", "serviceaccounts/token"], &["create"]),
        {"apiGroups": ["", "events.k8s.io"], "resources": ["events"], "verbs": WRITE},
        rule("apps", &["daemonsets", "deployments", "replicasets", "statefulsets"], &WRITE),
        rule("batch", &["cronjobs", "jobs"], &WRITE),
        rule("networking.k8s.io", &["networkpolicies"], &WRITE),
        rule("coordination.k8s.io", &["leases"], &READ_WRITE),
        rule("resource.k8s.io", &["resourceclaims", "resourceclaimtemplates"], &WRITE),
    ])
}

fn admin() -> Value {
    json!([
        rule("authorization.k8s.io", &["localsubjectaccessreviews"], &["create"]),
        rule(RBAC, &["rolebindings", "roles"], &READ_WRITE),
    ])
}

fn rule(group: &str, resources: &[&str], verbs: &[&str]) -> Value {
    json!({"apiGroups": [group], "resources": resources, "verbs": verbs})
}

fn urls(urls: &[&str]) -> Value {
    json!({"nonResourceURLs": urls, "verbs": ["get"]})
}

/// A role that is part of others.
fn role(name: &str, part_of: &[&str], rules: &Value) -> Value {
    let mut role = json!({
        "apiVersion": format!("{RBAC}/v1"), "kind": "ClusterRole", "metadata": metadata(name), "rules": rules,
    });
    for whole in part_of {
        role["metadata"]["labels"][aggregate_label(whole)] = "true".into();
    }
    role
}

/// A role that is the sum of others.
fn aggregate(name: &str, part_of: &[&str]) -> Value {
    let mut role = role(name, part_of, &Value::Array(Vec::new()));
    role["aggregationRule"] =
        json!({"clusterRoleSelectors": [{"matchLabels": {aggregate_label(name): "true"}}]});
    role
}

fn aggregate_label(name: &str) -> String {
    format!("{RBAC}/aggregate-to-{name}")
}

fn binding(role: &str, groups: &[&str]) -> Value {
    let subject = |group: &&str| json!({"apiGroup": RBAC, "kind": "Group", "name": group});
    json!({
        "apiVersion": format!("{RBAC}/v1"), "kind": "ClusterRoleBinding", "metadata": metadata(role),
        "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": role},
        "subjects": groups.iter().map(subject).collect::<Vec<_>>(),
    })
}

fn metadata(name: &str) -> Value {
    json!({
        "name": name,
        "labels": {"kubernetes.io/bootstrapping": "rbac-defaults"},
        "annotations": {"rbac.authorization.kubernetes.io/autoupdate": "true"},
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::stock;
    use crate::policy::{Policy, PolicyKind};
    use crate::request::{Request, User};

    /// What the stock roles let their holders do in a namespace that they are bound in.
    #[test]
    fn what_each_role_may_do() {
        let stock = stock();
        let mut policy = Policy::default();
        stock.cluster_roles.iter().for_each(|role| policy.insert(PolicyKind::ClusterRole, role));
        for binding in &stock.cluster_role_bindings {
            policy.insert(PolicyKind::ClusterRoleBinding, binding);
        }
        for role in ["view", "edit", "admin"] {
            let subjects = json!([{"kind": "User", "name": role}]);
            let binding = json!({
                "metadata": {"namespace": "n", "name": role}, "roleRef": {"kind": "ClusterRole", "name": role},
                "subjects": subjects,
            });
            policy.insert(PolicyKind::RoleBinding, &binding);
        }
        for (verb, resource, subresource, who) in [
            ("get", "pods", "", "view edit admin"),
            ("get", "pods", "log", "view edit admin"),
            ("get", "pods", "record", "view edit admin"),
            ("get", "secrets", "", "edit admin"),
            ("create", "pods", "", "edit admin"),
            ("create", "pods", "exec", "edit admin"),
            ("create", "serviceaccounts", "token", "edit admin"),
            ("update", "pods", "status", ""),
            ("update", "resourcequotas", "", ""),
            ("get", "nodes", "", ""),
        ] {
            let may = |name: &&str| {
                let request =
                    Request::Resource { verb, group: "", resource, subresource, namespace: "n", name: "x" };
                policy.decide(&User { name, groups: &[] }, &request).is_allowed()
            };
            let found: Vec<&str> = ["view", "edit", "admin"].into_iter().filter(may).collect();
            assert_eq!(found.join(" "), who, "{verb} {resource}/{subresource}");
        }
        let usage = |namespace| Request::Resource {
            verb: "list",
            group: "metrics.k8s.io",
            resource: "pods",
            subresource: "",
            namespace,
            name: "",
        };
        let viewer = User { name: "view", groups: &[] };
        assert!(policy.decide(&viewer, &usage("n")).is_allowed());
        assert!(!policy.decide(&viewer, &usage("m")).is_allowed());
    }

    #[test]
    fn strangers_see_health_and_version_alone() {
        let stock = stock();
        let mut policy = Policy::default();
        stock.cluster_roles.iter().for_each(|role| policy.insert(PolicyKind::ClusterRole, role));
        for binding in &stock.cluster_role_bindings {
            policy.insert(PolicyKind::ClusterRoleBinding, binding);
        }
        let (stranger, member) = (["system:unauthenticated".to_owned()], ["system:authenticated".to_owned()]);
        for (path, by_stranger, by_member) in [
            ("/healthz", true, true),
            ("/version", true, true),
            ("/api", false, true),
            ("/apis/apps/v1", false, true),
            ("/openapi/v3", false, true),
            ("/metrics", false, false),
        ] {
            let may = |groups| {
                policy.decide(&User { name: "x", groups }, &Request::Url { verb: "get", path }).is_allowed()
            };
            assert_eq!((may(&stranger), may(&member)), (by_stranger, by_member), "{path}");
        }
    }
}
