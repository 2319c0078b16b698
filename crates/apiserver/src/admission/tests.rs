mod pod_security;

use podspec::json::text;
use serde_json::{Value, json};
use store::{Durability, Options, Place, Store};

use crate::change::{Change, DeleteOptions, Edit, create, delete, update};
use crate::kinds::Kind;
use crate::objects::{index_stored, put};
use crate::request::User;

struct Bed {
    store: Store,
}

impl Bed {
    /// An empty namespace `n`, and these objects beside it.
    async fn with(objects: &[(&str, &str, Value)]) -> Self {
        let store = Store::open(Place::Memory, Options { index: index_stored }).unwrap();
        let mut all =
            vec![("", "namespaces", json!({"metadata": {"name": "n"}, "status": {"phase": "Active"}}))];
        all.extend(objects.iter().map(|(group, plural, object)| (*group, *plural, object.clone())));
        let all: Vec<(&'static Kind, Value)> = all
            .into_iter()
            .map(|(group, plural, object)| (Kind::find(group, "v1", plural).unwrap(), object))
            .collect();
        let written = store.write(Durability::Lazy, move |tx| {
            for (kind, mut object) in all {
                put(tx, kind, &mut object);
            }
            Ok::<_, ()>(())
        });
        written.await.unwrap().unwrap();
        Self { store }
    }

    async fn create_as(&self, user: User, group: &str, plural: &str, object: Value) -> Result<Value, String> {
        let kind = Kind::find(group, "v1", plural).unwrap();
        let namespace = if kind.namespaced { text(&object["metadata"], "namespace") } else { "" }.to_owned();
        let name = text(&object["metadata"], "name").to_owned();
        let change = Change { user, ..Change::of_engine("test", kind, &namespace, &name) };
        let made = self.store.write(Durability::Lazy, move |tx| create(tx, &change, object)).await.unwrap();
        made.map(|changed| changed.object).map_err(|status| status.message)
    }

    async fn create_pod(&self, name: &str, spec: Value) -> Result<Value, String> {
        let mut spec = spec;
        if spec.get("containers").is_none() {
            spec["containers"] = json!([{"name": "c", "image": "i:1"}]);
        }
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"namespace": "n", "name": name}, "spec": spec,
        });
        self.create_as(User::admin(), "", "pods", pod).await
    }
}

fn asking(requests: &Value, limits: &Value) -> Value {
    json!({"containers": [{"name": "c", "image": "i:1", "resources": {"requests": requests, "limits": limits}}]})
}

/// <https://kubernetes.io/docs/tasks/configure-pod-container/configure-service-account/#add-imagepullsecrets-to-a-service-account>
#[tokio::test]
async fn a_pod_without_secrets_for_pulling_gets_those_of_its_account() {
    let of = |names: &[&str]| -> Value { names.iter().map(|name| json!({"name": name})).collect() };
    let account = |name: &str, secrets: &[&str]| {
        let account = json!({"metadata": {"namespace": "n", "name": name}, "imagePullSecrets": of(secrets)});
        ("", "serviceaccounts", account)
    };
    let bed = Bed::with(&[account("robot", &["one", "two"]), account("default", &["three"])]).await;
    let robot = json!({"serviceAccountName": "robot"});
    let own = json!({"serviceAccountName": "robot", "imagePullSecrets": of(&["own"])});
    for (name, spec, secrets) in
        [("a", robot, &["one", "two"][..]), ("b", own, &["own"]), ("c", json!({}), &["three"])]
    {
        let pod = bed.create_pod(name, spec).await.unwrap();
        assert_eq!(pod["spec"]["imagePullSecrets"], of(secrets), "{name}");
    }
}

#[tokio::test]
async fn a_plain_pod_gets_what_every_pod_gets() {
    let bed = Bed::with(&[]).await;
    let pod = bed.create_pod("p", json!({})).await.unwrap();
    let spec = &pod["spec"];
    assert_eq!((&spec["serviceAccountName"], &spec["priority"]), (&json!("default"), &json!(0)));
    assert_eq!(spec["preemptionPolicy"], "PreemptLowerPriority");
    let toleration = |key: &str| json!({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300});
    let keys = ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"];
    assert_eq!(spec["tolerations"], json!(keys.map(toleration)));
}

#[tokio::test]
async fn namespaces_have_to_be_there_and_stay() {
    let going = json!({"metadata": {"name": "going"}, "status": {"phase": "Terminating"}});
    let bed = Bed::with(&[("", "namespaces", going)]).await;
    let map = |namespace: &str| json!({"metadata": {"namespace": namespace, "name": "m"}});
    for (namespace, message) in [
        ("none", "namespaces \"none\" not found"),
        (
            "going",
            "configmaps \"m\" is forbidden: unable to create new content in namespace going because it is being terminated",
        ),
    ] {
        let made = bed.create_as(User::admin(), "", "configmaps", map(namespace)).await;
        assert_eq!(made.unwrap_err(), message);
    }
    let change = Change::of_engine("test", Kind::find("", "v1", "namespaces").unwrap(), "", "default");
    let default = json!({"metadata": {"name": "default"}, "status": {"phase": "Active"}});
    bed.create_as(User::admin(), "", "namespaces", default).await.unwrap();
    let gone = bed.store.write(Durability::Lazy, move |tx| delete(tx, &change, &DeleteOptions::default()));
    assert_eq!(
        gone.await.unwrap().unwrap_err().message,
        "namespaces \"default\" is forbidden: this namespace may not be deleted"
    );
}

#[tokio::test]
async fn priorities_come_from_classes() {
    let class = |name: &str, value: i64, default: bool| {
        let object = json!({"metadata": {"name": name}, "value": value, "globalDefault": default});
        ("scheduling.k8s.io", "priorityclasses", object)
    };
    let bed = Bed::with(&[class("zero", 0, true)]).await;
    let pod = bed.create_pod("p", json!({})).await.unwrap();
    assert_eq!(pod["spec"]["priorityClassName"], "zero");
    for (spec, message) in [
        (
            json!({"priorityClassName": "none"}),
            "pods \"q\" is forbidden: no PriorityClass with name none was found",
        ),
        (
            json!({"priority": 7}),
            "pods \"q\" is forbidden: the integer value of priority (7) must not be provided in pod spec; priority \
             admission controller computed 0 from the given PriorityClass name",
        ),
    ] {
        assert_eq!(bed.create_pod("q", spec).await.unwrap_err(), message);
    }
    let (_, _, second) = class("other", 5, true);
    assert_eq!(
        bed.create_as(User::admin(), "scheduling.k8s.io", "priorityclasses", second).await.unwrap_err(),
        "priorityclasses.scheduling.k8s.io \"other\" is forbidden: PriorityClass zero is already marked as default. Only \
         one default can exist"
    );
}

#[tokio::test]
async fn what_pods_refer_to_has_to_be_there() {
    let bed = Bed::with(&[]).await;
    assert_eq!(
        bed.create_pod("p", json!({"serviceAccountName": "bot"})).await.unwrap_err(),
        "pods \"p\" is forbidden: error looking up service account n/bot: serviceaccount \"bot\" not found"
    );
    assert_eq!(
        bed.create_pod("p", json!({"runtimeClassName": "vm"})).await.unwrap_err(),
        "pods \"p\" is forbidden: pod rejected: RuntimeClass \"vm\" not found"
    );
}

#[tokio::test]
async fn limit_ranges_fill_in_and_bound() {
    let range = json!({"metadata": {"namespace": "n", "name": "l"}, "spec": {"limits": [{
        "type": "Container", "default": {"cpu": "1"}, "defaultRequest": {"cpu": "500m"}, "max": {"cpu": "2"},
        "min": {"cpu": "100m"},
    }]}});
    let bed = Bed::with(&[("", "limitranges", range)]).await;
    let pod = bed.create_pod("p", json!({})).await.unwrap();
    assert_eq!(
        pod["spec"]["containers"][0]["resources"],
        json!({"requests": {"cpu": "500m"}, "limits": {"cpu": "1"}})
    );
    assert_eq!(
        pod["metadata"]["annotations"]["kubernetes.io/limit-ranger"],
        "LimitRanger plugin set: cpu request for container c; cpu limit for container c"
    );
    assert_eq!(pod["status"]["qosClass"], "Burstable");
    for (requests, limits, message) in [
        (
            json!({"cpu": "50m"}),
            json!({}),
            "pods \"q\" is forbidden: minimum cpu usage per Container is 100m, but request is 50m",
        ),
        (
            json!({"cpu": "1"}),
            json!({"cpu": "3"}),
            "pods \"q\" is forbidden: maximum cpu usage per Container is 2, but limit is 3",
        ),
    ] {
        assert_eq!(bed.create_pod("q", asking(&requests, &limits)).await.unwrap_err(), message);
    }
}

/// What the pod says of itself counts, whatever its containers say.
#[tokio::test]
async fn ranges_and_quotas_see_the_resources_of_the_pod() {
    let quota = json!({
        "metadata": {"namespace": "n", "name": "q"},
        "spec": {"hard": {"requests.cpu": "1", "limits.memory": "1Gi"}},
    });
    let range = json!({"metadata": {"namespace": "n", "name": "l"}, "spec": {"limits": [
        {"type": "Pod", "max": {"cpu": "2"}},
    ]}});
    let bed = Bed::with(&[("", "resourcequotas", quota), ("", "limitranges", range)]).await;
    let spec = |own: Value| {
        let mut spec = asking(&json!({"cpu": "10m"}), &json!({}));
        spec["resources"] = own;
        spec
    };
    let pod = bed.create_pod("p", spec(json!({"limits": {"cpu": "2", "memory": "1Mi"}}))).await.unwrap();
    assert_eq!(pod["spec"]["resources"]["requests"], json!({"cpu": "10m", "memory": "1Mi"}));
    assert_eq!(pod["status"]["qosClass"], "Burstable");
    for (own, message) in [
        (
            json!({"limits": {"cpu": "3"}}),
            "pods \"q\" is forbidden: maximum cpu usage per Pod is 2, but limit is 3",
        ),
        (
            json!({"requests": {"cpu": "1"}, "limits": {"cpu": "1"}}),
            "pods \"q\" is forbidden: exceeded quota: q, requested: requests.cpu=1, used: requests.cpu=10m, limited: \
             requests.cpu=1",
        ),
        (
            json!({"limits": {"cpu": "1", "memory": "1Gi"}}),
            "pods \"q\" is forbidden: exceeded quota: q, requested: limits.memory=1Gi, used: limits.memory=1Mi, \
             limited: limits.memory=1Gi",
        ),
    ] {
        assert_eq!(bed.create_pod("q", spec(own)).await.unwrap_err(), message);
    }
}

#[tokio::test]
async fn quotas_bound_a_namespace() {
    let quota = json!({
        "metadata": {"namespace": "n", "name": "q"},
        "spec": {"hard": {"pods": "2", "requests.cpu": "1", "configmaps": "1"}},
    });
    let bed = Bed::with(&[("", "resourcequotas", quota)]).await;
    let spec = |cpu: &str| asking(&json!({"cpu": cpu}), &json!({}));
    assert_eq!(
        bed.create_pod("p", json!({})).await.unwrap_err(),
        "pods \"p\" is forbidden: failed quota: q: must specify requests.cpu for: c"
    );
    bed.create_pod("p", spec("600m")).await.unwrap();
    assert_eq!(
        bed.create_pod("r", spec("500m")).await.unwrap_err(),
        "pods \"r\" is forbidden: exceeded quota: q, requested: requests.cpu=500m, used: requests.cpu=600m, limited: \
         requests.cpu=1"
    );
    bed.create_pod("r", spec("100m")).await.unwrap();
    assert_eq!(
        bed.create_pod("s", spec("100m")).await.unwrap_err(),
        "pods \"s\" is forbidden: exceeded quota: q, requested: pods=1, used: pods=2, limited: pods=2"
    );
    let map = |name: &str| json!({"metadata": {"namespace": "n", "name": name}});
    bed.create_as(User::admin(), "", "configmaps", map("a")).await.unwrap();
    assert_eq!(
        bed.create_as(User::admin(), "", "configmaps", map("b")).await.unwrap_err(),
        "configmaps \"b\" is forbidden: exceeded quota: q, requested: configmaps=1, used: configmaps=1, limited: \
         configmaps=1"
    );
}

#[tokio::test]
async fn nobody_grants_what_they_do_not_hold() {
    let rbac = "rbac.authorization.k8s.io";
    let rule = |verb: &str| json!([{"verbs": [verb], "apiGroups": [""], "resources": ["pods"]}]);
    let role =
        |name: &str, verb: &str| json!({"metadata": {"namespace": "n", "name": name}, "rules": rule(verb)});
    let subject = json!([{"kind": "User", "name": "jane", "apiGroup": rbac}]);
    let binding = |name: &str, role: &str| {
        json!({
            "metadata": {"namespace": "n", "name": name}, "subjects": subject,
            "roleRef": {"kind": "Role", "name": role, "apiGroup": rbac},
        })
    };
    let bed = Bed::with(&[
        (rbac, "roles", role("reader", "get")),
        (rbac, "roles", role("writer", "create")),
        (rbac, "rolebindings", binding("own", "reader")),
    ])
    .await;
    let jane = || User::in_groups("jane", &[]);
    bed.create_as(jane(), rbac, "roles", role("same", "get")).await.unwrap();
    bed.create_as(jane(), rbac, "rolebindings", binding("same", "reader")).await.unwrap();
    let lacking = "user \"jane\" (groups=[]) is attempting to grant RBAC permissions not currently held:\n\
                   {APIGroups:[\"\"], Resources:[\"pods\"], Verbs:[\"create\"]}";
    assert_eq!(
        bed.create_as(jane(), rbac, "roles", role("more", "create")).await.unwrap_err(),
        format!("roles.{rbac} \"more\" is forbidden: {lacking}")
    );
    assert_eq!(
        bed.create_as(jane(), rbac, "rolebindings", binding("more", "writer")).await.unwrap_err(),
        format!("rolebindings.{rbac} \"more\" is forbidden: {lacking}")
    );
    bed.create_as(User::admin(), rbac, "roles", role("more", "create")).await.unwrap();
}

#[test]
fn a_token_is_mounted_where_nothing_is() {
    let taken = json!([{"name": "own", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}]);
    let mut spec = json!({"containers": [{"name": "a"}, {"name": "b", "volumeMounts": taken}]});
    super::service_account::mount(&mut spec, "xxxxx");
    let mount = json!([{
        "name": "kube-api-access-xxxxx", "readOnly": true,
        "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount",
    }]);
    assert_eq!(
        (&spec["containers"][0]["volumeMounts"], &spec["containers"][1]["volumeMounts"]),
        (&mount, &taken)
    );
    assert_eq!(spec["volumes"][0]["projected"]["sources"][0]["serviceAccountToken"]["path"], "token");
    let once = spec.clone();
    super::service_account::mount(&mut spec, "yyyyy");
    assert_eq!(spec, once);
}

/// What a resize takes more counts for quotas, and what its node has bounds it.
#[tokio::test]
async fn a_resize_is_bounded_by_quotas_and_its_node() {
    let quota = json!({
        "metadata": {"namespace": "n", "name": "q"}, "spec": {"hard": {"cpu": "800m", "memory": "1Gi"}},
    });
    let node = json!({
        "metadata": {"name": "here"}, "status": {"allocatable": {"cpu": "2", "memory": "512Mi", "pods": "9"}},
    });
    let bed = Bed::with(&[("", "resourcequotas", quota), ("", "nodes", node)]).await;
    for name in ["p", "q"] {
        let mut spec = asking(&json!({"cpu": "300m", "memory": "300Mi"}), &json!({}));
        spec["nodeName"] = "here".into();
        bed.create_pod(name, spec).await.unwrap();
    }
    let resize = async |requests: Value| {
        let kind = Kind::find("", "v1", "pods").unwrap();
        let change = Change { subresource: Some("resize"), ..Change::of_engine("test", kind, "n", "p") };
        let edit = Edit::Replace(Box::new(move |old| {
            let mut new = old.clone();
            new["spec"]["containers"][0]["resources"]["requests"] = requests;
            Ok((new, Vec::new()))
        }));
        let written = bed.store.write(Durability::Lazy, move |tx| update(tx, &change, edit)).await.unwrap();
        written.map(|changed| changed.object).map_err(|status| {
            let causes: Vec<String> = status
                .details
                .map_or_else(Vec::new, |details| details.causes)
                .into_iter()
                .map(|cause| cause.reason)
                .collect();
            (status.message, causes.join(" "))
        })
    };
    for (requests, message, cause) in [
        (
            json!({"cpu": "600m", "memory": "400Mi"}),
            "pods \"p\" is forbidden: exceeded quota: q, requested: cpu=300m, used: cpu=600m, limited: cpu=800m",
            "",
        ),
        (
            json!({"cpu": "3", "memory": "600Mi"}),
            "pods \"p\" is forbidden: node didn't have enough allocatable resources: cpu, requested: 3000, \
             allocatable: 2000; memory, requested: 629145600, allocatable: 536870912",
            "NodeCapacity",
        ),
    ] {
        assert_eq!(resize(requests).await.unwrap_err(), (message.to_owned(), cause.to_owned()));
    }
    let resized = resize(json!({"cpu": "500m", "memory": "200Mi"})).await.unwrap();
    assert_eq!(resized["metadata"]["generation"], 2);
}
