use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use podspec::json::{list, text};
use serde_json::{Value, json};
use store::{Durability, ObjectKey, Options, Place, Store};

use super::write::kind;
use super::{Controllers, Settings, StockRoles, bootstrap, bootstrap_services};
use crate::change::{Change, DeleteOptions, Propagation, create, delete};
use crate::kinds::Kind;
use crate::network::{ClusterDns, Network};
use crate::objects::{index_stored, put, value};

/// A condition that does not come by then does not come.
const SOON: Duration = Duration::from_secs(20);
const LOOK_AGAIN: Duration = Duration::from_millis(2);

pub(super) struct Bed {
    pub(super) store: Store,
    _controllers: Controllers,
}

impl Bed {
    pub(super) async fn new() -> Self {
        Self::start(&Self::settings().await)
    }

    /// Of a server whose controllers have yet to start.
    pub(super) async fn settings() -> Settings {
        let store = Store::open(Place::Memory, Options { index: index_stored }).unwrap();
        let address = IpAddr::V4(Ipv4Addr::new(10, 96, 0, 1));
        let settings = Settings {
            claims_dir: std::env::temp_dir().join("monopod-no-claims"),
            store,
            node_name: "here".to_owned(),
            ca: "CERTIFICATE".to_owned(),
            service_address: address,
            network: Network {
                services: vec!["10.96.0.0/16".parse().unwrap(), "fd00:10:96::/112".parse().unwrap()],
                lacks: None,
                dns: Some(ClusterDns {
                    service: IpAddr::V4(Ipv4Addr::new(10, 96, 0, 10)),
                    endpoint: "10.200.0.1:53".parse().unwrap(),
                }),
            },
            endpoints: vec![(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 6443)],
        };
        bootstrap(&settings.store).await.unwrap();
        bootstrap_services(&settings).await.unwrap();
        StockRoles::default().make(&settings.store).await;
        settings
    }

    pub(super) fn start(settings: &Settings) -> Self {
        Self { store: settings.store.clone(), _controllers: Controllers::start(settings) }
    }

    pub(super) fn get(&self, group: &str, plural: &str, namespace: &str, name: &str) -> Option<Value> {
        let key = ObjectKey::new(kind(group, plural).stored(), namespace, name);
        self.store.get(&key).map(|object| value(&object).unwrap())
    }

    pub(super) async fn create(&self, group: &str, plural: &str, object: Value) -> Value {
        let kind = kind(group, plural);
        let metadata = &object["metadata"];
        let change = Change::of_engine("test", kind, text(metadata, "namespace"), text(metadata, "name"));
        let made = self.store.write(Durability::Lazy, move |tx| create(tx, &change, object));
        made.await.unwrap().unwrap().object
    }

    /// As an engine writes it: no admission, no rules.
    pub(super) async fn put(&self, kind: &'static Kind, mut object: Value) {
        let written = self.store.write(Durability::Lazy, move |tx| Ok::<_, ()>(put(tx, kind, &mut object)));
        written.await.unwrap().unwrap();
    }

    pub(super) async fn delete(
        &self,
        group: &str,
        plural: &str,
        namespace: &str,
        name: &str,
        how: Option<Propagation>,
    ) {
        let change = Change::of_engine("test", kind(group, plural), namespace, name);
        let options = DeleteOptions { propagation: how, ..DeleteOptions::default() };
        self.store.write(Durability::Lazy, move |tx| delete(tx, &change, &options)).await.unwrap().unwrap();
    }

    pub(super) async fn until<T>(&self, what: &str, holds: impl Fn(&Self) -> Option<T>) -> T {
        let deadline = tokio::time::Instant::now() + SOON;
        loop {
            if let Some(found) = holds(self) {
                return found;
            }
            assert!(tokio::time::Instant::now() < deadline, "{what} does not come about");
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    pub(super) async fn until_gone(&self, group: &str, plural: &str, namespace: &str, name: &str) {
        let gone = |bed: &Self| bed.get(group, plural, namespace, name).is_none().then_some(());
        self.until(&format!("the end of {plural} {name}"), gone).await;
    }

    /// A node that is ready and has two cpus.
    async fn node(&self, name: &str, taints: Value) {
        let node = json!({
            "apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "uid": name}, "spec": {"taints": taints},
            "status": {
                "allocatable": {"cpu": "2", "memory": "1Gi"},
                "conditions": [{"type": "Ready", "status": "True"}],
            },
        });
        self.put(kind("", "nodes"), node).await;
    }

    async fn pod(&self, name: &str, cpu: &str) -> Value {
        let container = json!({"name": "c", "image": "i:1", "resources": {"requests": {"cpu": cpu}}});
        let metadata = json!({"namespace": "default", "name": name});
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": [container]},
        });
        self.create("", "pods", pod).await
    }

    fn condition(&self, pod: &str, kind: &str) -> Option<Value> {
        let pod = self.get("", "pods", "default", pod)?;
        list(&pod["status"], "conditions").iter().find(|condition| text(condition, "type") == kind).cloned()
    }

    fn event(&self, pod: &str, reason: &str) -> Option<Value> {
        let events =
            self.store.list(kind("", "events").stored(), Some("default"), None, None, |_| true).objects;
        events
            .iter()
            .map(|event| value(event).unwrap())
            .find(|event| text(event, "reason") == reason && text(&event["involvedObject"], "name") == pod)
    }
}

fn owned(name: &str, owner: &Value, blocks: bool) -> Value {
    let reference = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "name": owner["metadata"]["name"], "uid": owner["metadata"]["uid"],
        "blockOwnerDeletion": blocks,
    });
    json!({"metadata": {"namespace": "default", "name": name, "ownerReferences": [reference]}})
}

#[tokio::test]
async fn what_is_there_from_the_start() {
    let bed = Bed::new().await;
    for name in ["default", "kube-system", "kube-public", "kube-node-lease"] {
        assert_eq!(bed.get("", "namespaces", "", name).unwrap()["status"]["phase"], "Active");
        let map = bed.until("a certificate", |bed| bed.get("", "configmaps", name, "kube-root-ca.crt")).await;
        assert_eq!(map["data"]["ca.crt"], "CERTIFICATE");
        bed.until("an account", |bed| bed.get("", "serviceaccounts", name, "default")).await;
    }
    let service = bed.get("", "services", "default", "kubernetes").unwrap();
    assert_eq!(service["spec"]["clusterIP"], "10.96.0.1");
    let slice = bed.get("discovery.k8s.io", "endpointslices", "default", "kubernetes").unwrap();
    assert_eq!(
        (&slice["endpoints"][0]["addresses"][0], &slice["ports"][0]["port"]),
        (&json!("192.0.2.1"), &json!(6443))
    );
    let dns = bed.get("", "services", "kube-system", "kube-dns").unwrap();
    assert_eq!(
        (&dns["spec"]["clusterIP"], &dns["metadata"]["labels"]["k8s-app"], &dns["spec"]["ports"][1]),
        (
            &json!("10.96.0.10"),
            &json!("kube-dns"),
            &json!({"name": "dns-tcp", "port": 53, "protocol": "TCP", "targetPort": 53})
        )
    );
    let endpoints = bed.get("", "endpoints", "kube-system", "kube-dns").unwrap();
    assert_eq!(endpoints["subsets"][0]["addresses"], json!([{"ip": "10.200.0.1"}]));
    let ranges = bed.get("networking.k8s.io", "servicecidrs", "", "kubernetes").unwrap();
    assert_eq!(ranges["spec"]["cidrs"], json!(["10.96.0.0/16", "fd00:10:96::/112"]));
    let rbac = "rbac.authorization.k8s.io";
    assert!(!list(&bed.get(rbac, "clusterroles", "", "admin").unwrap(), "rules").is_empty());
    assert!(bed.get(rbac, "clusterrolebindings", "", "cluster-admin").is_some());
    let class = bed.get("scheduling.k8s.io", "priorityclasses", "", "system-node-critical").unwrap();
    assert_eq!(class["value"], 2_000_001_000);
    let lease = |bed: &Bed| bed.get("coordination.k8s.io", "leases", "kube-node-lease", "here");
    assert_eq!(bed.until("the lease", lease).await["spec"]["holderIdentity"], "here");
}

#[tokio::test]
async fn a_namespace_gets_its_things_back_and_ends_empty() {
    let bed = Bed::new().await;
    bed.create("", "namespaces", json!({"metadata": {"name": "n"}})).await;
    let account = bed.until("an account", |bed| bed.get("", "serviceaccounts", "n", "default")).await;
    bed.delete("", "serviceaccounts", "n", "default", None).await;
    let again = |bed: &Bed| {
        bed.get("", "serviceaccounts", "n", "default")
            .filter(|held| held["metadata"]["uid"] != account["metadata"]["uid"])
    };
    bed.until("another account", again).await;
    let certificate = |bed: &Bed| Some(bed.get("", "configmaps", "n", "kube-root-ca.crt")?["data"].clone());
    let right = bed.until("the certificate", certificate).await;
    let mut wrong = bed.get("", "configmaps", "n", "kube-root-ca.crt").unwrap();
    wrong["data"] = json!({"ca.crt": ""});
    bed.put(kind("", "configmaps"), wrong).await;
    bed.until("the right one", |bed| (certificate(bed)? == right).then_some(())).await;
    let held = json!({"metadata": {"namespace": "n", "name": "held", "finalizers": ["example.com/f"]}});
    bed.create("", "configmaps", held).await;
    bed.delete("", "namespaces", "", "n", None).await;
    let told = |bed: &Bed| {
        let namespace = bed.get("", "namespaces", "", "n")?;
        let conditions = list(&namespace["status"], "conditions").iter();
        let waits = conditions.filter(|condition| text(condition, "type") == "NamespaceFinalizersRemaining");
        let message = waits.map(|condition| text(condition, "message").to_owned()).next()?;
        message.contains("example.com/f").then_some(message)
    };
    assert_eq!(
        bed.until("what it waits for", told).await,
        "Some content in the namespace has finalizers remaining: example.com/f in 1 resource instances"
    );
    let mut held = bed.get("", "configmaps", "n", "held").unwrap();
    held["metadata"]["finalizers"] = json!([]);
    let uid = held["metadata"]["uid"].as_str().unwrap().to_owned();
    let key = ObjectKey::new(kind("", "configmaps").stored(), "n", "held");
    super::garbage::without_finalizer(&bed.store, kind("", "configmaps"), &key, &uid, "example.com/f")
        .await
        .unwrap();
    bed.until_gone("", "namespaces", "", "n").await;
    assert!(bed.get("", "serviceaccounts", "n", "default").is_none());
}

#[tokio::test]
async fn pods_leave_a_namespace_first() {
    let bed = Bed::new().await;
    bed.create("", "namespaces", json!({"metadata": {"name": "n"}})).await;
    let pod = json!({
        "metadata": {"namespace": "n", "name": "p", "finalizers": ["example.com/f"]},
        "spec": {"containers": [{"name": "c", "image": "i"}]},
    });
    let pod = bed.create("", "pods", pod).await;
    bed.create("", "configmaps", json!({"metadata": {"namespace": "n", "name": "m"}})).await;
    bed.delete("", "namespaces", "", "n", None).await;
    let told = |bed: &Bed| {
        let namespace = bed.get("", "namespaces", "", "n")?;
        (!list(&namespace["status"], "conditions").is_empty()).then_some(())
    };
    bed.until("what it waits for", told).await;
    assert!(bed.get("", "configmaps", "n", "m").is_some());
    assert!(!bed.get("", "pods", "n", "p").unwrap()["metadata"]["deletionTimestamp"].is_null());
    let key = ObjectKey::new(kind("", "pods").stored(), "n", "p");
    let uid = pod["metadata"]["uid"].as_str().unwrap();
    super::garbage::without_finalizer(&bed.store, kind("", "pods"), &key, uid, "example.com/f")
        .await
        .unwrap();
    bed.until_gone("", "namespaces", "", "n").await;
    assert!(bed.get("", "configmaps", "n", "m").is_none());
}

#[tokio::test]
async fn a_circle_of_owners_ends() {
    let bed = Bed::new().await;
    let secrets = kind("", "secrets");
    let mut made = Vec::new();
    for name in ["a", "b", "c"] {
        let object = json!({"metadata": {"namespace": "default", "name": name}});
        made.push(bed.create("", "secrets", object).await);
    }
    for index in 0..3 {
        let (owner, mut object) = (&made[(index + 2) % 3], made[index].clone());
        let reference = owned("x", owner, true)["metadata"]["ownerReferences"][0].clone();
        object["metadata"]["ownerReferences"] = json!([reference]);
        object["metadata"]["ownerReferences"][0]["kind"] = "Secret".into();
        bed.put(secrets, object).await;
    }
    bed.delete("", "secrets", "default", "a", Some(Propagation::Foreground)).await;
    for name in ["a", "b", "c"] {
        bed.until_gone("", "secrets", "default", name).await;
    }
}

#[tokio::test]
async fn dependents_go_with_their_owners() {
    let bed = Bed::new().await;
    let owner = |name: &str| json!({"metadata": {"namespace": "default", "name": name}});
    let (a, b) =
        (bed.create("", "configmaps", owner("a")).await, bed.create("", "configmaps", owner("b")).await);
    let child = bed.create("", "secrets", owned("child", &a, false)).await;
    let mut grandchild = owned("grandchild", &child, false);
    grandchild["metadata"]["ownerReferences"][0]["kind"] = "Secret".into();
    bed.create("", "secrets", grandchild).await;
    let mut shared = owned("shared", &a, false);
    let other = owned("x", &b, false)["metadata"]["ownerReferences"][0].clone();
    shared["metadata"]["ownerReferences"].as_array_mut().unwrap().push(other);
    bed.create("", "secrets", shared).await;
    bed.delete("", "configmaps", "default", "a", Some(Propagation::Background)).await;
    bed.until_gone("", "secrets", "default", "child").await;
    bed.until_gone("", "secrets", "default", "grandchild").await;
    let one = |bed: &Bed| {
        let shared = bed.get("", "secrets", "default", "shared")?;
        (list(&shared["metadata"], "ownerReferences").len() == 1).then_some(())
    };
    bed.until("one owner", one).await;
    // An owner that is gone already.
    bed.create("", "secrets", owned("late", &a, false)).await;
    bed.until_gone("", "secrets", "default", "late").await;
}

#[tokio::test]
async fn owners_wait_or_let_go() {
    let bed = Bed::new().await;
    let owner = |name: &str| json!({"metadata": {"namespace": "default", "name": name}});
    let waits = bed.create("", "configmaps", owner("waits")).await;
    let mut held = owned("held", &waits, true);
    held["metadata"]["finalizers"] = json!(["example.com/f"]);
    let held = bed.create("", "secrets", held).await;
    let known = |bed: &Bed| bed.get("", "secrets", "default", "held");
    bed.until("the dependent", known).await;
    bed.delete("", "configmaps", "default", "waits", Some(Propagation::Foreground)).await;
    let ending = |bed: &Bed| {
        let held = bed.get("", "secrets", "default", "held")?;
        (!held["metadata"]["deletionTimestamp"].is_null()).then_some(())
    };
    bed.until("the dependent's end", ending).await;
    assert!(bed.get("", "configmaps", "default", "waits").is_some());
    let (secrets, uid) = (kind("", "secrets"), held["metadata"]["uid"].as_str().unwrap());
    let key = ObjectKey::new(secrets.stored(), "default", "held");
    super::garbage::without_finalizer(&bed.store, secrets, &key, uid, "example.com/f").await.unwrap();
    bed.until_gone("", "configmaps", "default", "waits").await;

    let lets_go = bed.create("", "configmaps", owner("lets-go")).await;
    bed.create("", "secrets", owned("orphan", &lets_go, true)).await;
    bed.delete("", "configmaps", "default", "lets-go", Some(Propagation::Orphan)).await;
    bed.until_gone("", "configmaps", "default", "lets-go").await;
    let orphan = |bed: &Bed| {
        let orphan = bed.get("", "secrets", "default", "orphan")?;
        list(&orphan["metadata"], "ownerReferences").is_empty().then_some(orphan)
    };
    assert!(bed.until("an orphan", orphan).await["metadata"]["deletionTimestamp"].is_null());
}

#[tokio::test]
async fn pods_are_placed_or_told_why_not() {
    let bed = Bed::new().await;
    bed.pod("first", "1500m").await;
    let message = |pod: &'static str| {
        move |bed: &Bed| {
            bed.condition(pod, "PodScheduled").map(|condition| text(&condition, "message").to_owned())
        }
    };
    assert_eq!(bed.until("a reason", message("first")).await, "no nodes available to schedule pods");
    bed.node("here", json!([])).await;
    let node = |pod: &'static str| {
        move |bed: &Bed| {
            let pod = bed.get("", "pods", "default", pod)?;
            pod["spec"]["nodeName"].as_str().map(str::to_owned)
        }
    };
    assert_eq!(bed.until("a node", node("first")).await, "here");
    let event = bed.until("an event", |bed| bed.event("first", "Scheduled")).await;
    assert_eq!(text(&event, "message"), "Successfully assigned default/first to here");
    assert_eq!(bed.condition("first", "PodScheduled").unwrap()["status"], "True");
    bed.pod("second", "1").await;
    assert_eq!(
        bed.until("a reason", message("second")).await,
        "0/1 nodes are available: 1 Insufficient cpu. preemption: 0/1 nodes are available: 1 No preemption victims found \
         for incoming pod."
    );
    bed.until("an event", |bed| bed.event("second", "FailedScheduling")).await;
    let mut done = bed.get("", "pods", "default", "first").unwrap();
    done["status"]["phase"] = "Succeeded".into();
    bed.put(kind("", "pods"), done).await;
    assert_eq!(bed.until("a node", node("second")).await, "here");
}

/// They are somebody else's to bind.
#[tokio::test]
async fn pods_of_other_schedulers_are_left_alone() {
    let bed = Bed::new().await;
    bed.node("here", json!([])).await;
    let spec = json!({"containers": [{"name": "c", "image": "i:1"}], "schedulerName": "theirs"});
    let metadata = json!({"namespace": "default", "name": "theirs"});
    bed.create("", "pods", json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}))
        .await;
    // Later, and so looked at later.
    bed.pod("ours", "1").await;
    let placed =
        |bed: &Bed| bed.get("", "pods", "default", "ours")?["spec"]["nodeName"].as_str().map(str::to_owned);
    assert_eq!(bed.until("a node", placed).await, "here");
    let theirs = bed.get("", "pods", "default", "theirs").unwrap();
    assert!(
        theirs["spec"]["nodeName"].is_null() && bed.condition("theirs", "PodScheduled").is_none(),
        "{theirs:#}"
    );
}

#[tokio::test]
async fn taints_drive_pods_away() {
    let bed = Bed::new().await;
    bed.node("there", json!([])).await;
    bed.pod("p", "1").await;
    let placed = |bed: &Bed| {
        let pod = bed.get("", "pods", "default", "p")?;
        pod["spec"]["nodeName"].is_string().then_some(())
    };
    bed.until("a node", placed).await;
    bed.node("there", json!([{"key": "k", "effect": "NoExecute"}])).await;
    let going = |bed: &Bed| {
        let pod = bed.get("", "pods", "default", "p")?;
        (!pod["metadata"]["deletionTimestamp"].is_null()).then_some(())
    };
    bed.until("its end", going).await;
    assert_eq!(bed.condition("p", "DisruptionTarget").unwrap()["reason"], "DeletionByTaintManager");
    bed.until("an event", |bed| bed.event("p", "TaintManagerEviction")).await;
}

/// No kubelet is there to end it.
#[tokio::test]
async fn pods_on_strange_nodes_are_gone_after_their_grace() {
    let bed = Bed::new().await;
    bed.node("there", json!([])).await;
    let container = json!({"name": "c", "image": "i:1"});
    let spec = json!({"containers": [container], "terminationGracePeriodSeconds": 1});
    let pod = json!({"metadata": {"namespace": "default", "name": "p"}, "spec": spec});
    bed.create("", "pods", pod).await;
    let placed = |bed: &Bed| {
        let pod = bed.get("", "pods", "default", "p")?;
        pod["spec"]["nodeName"].is_string().then_some(())
    };
    bed.until("a node", placed).await;
    bed.delete("", "pods", "default", "p", None).await;
    assert!(bed.get("", "pods", "default", "p").is_some());
    bed.until_gone("", "pods", "default", "p").await;
}

#[tokio::test]
async fn quotas_say_what_is_used() {
    let bed = Bed::new().await;
    let quota = json!({
        "metadata": {"namespace": "default", "name": "q"},
        "spec": {"hard": {"pods": "5", "requests.cpu": "3", "count/secrets": "2"}},
    });
    bed.create("", "resourcequotas", quota).await;
    let used = |expected: Value| {
        move |bed: &Bed| {
            let quota = bed.get("", "resourcequotas", "default", "q")?;
            (quota["status"]["used"] == expected).then_some(())
        }
    };
    bed.until("nothing used", used(json!({"count/secrets": "0", "pods": "0", "requests.cpu": "0"}))).await;
    bed.pod("p", "500m").await;
    bed.create("", "secrets", json!({"metadata": {"namespace": "default", "name": "s"}})).await;
    bed.until("more used", used(json!({"count/secrets": "1", "pods": "1", "requests.cpu": "500m"}))).await;
    bed.delete("", "secrets", "default", "s", None).await;
    bed.until("less used", used(json!({"count/secrets": "0", "pods": "1", "requests.cpu": "500m"}))).await;
}

#[tokio::test]
async fn sums_of_roles_follow_them() {
    let bed = Bed::new().await;
    let rbac = "rbac.authorization.k8s.io";
    let rule = json!({"verbs": ["get"], "apiGroups": ["example.com"], "resources": ["things"]});
    let role = json!({
        "metadata": {"name": "more", "labels": {format!("{rbac}/aggregate-to-view"): "true"}}, "rules": [rule],
    });
    bed.create(rbac, "clusterroles", role).await;
    for name in ["view", "edit", "admin"] {
        let has = |bed: &Bed| {
            let role = bed.get(rbac, "clusterroles", "", name)?;
            list(&role, "rules").contains(&rule).then_some(())
        };
        bed.until("the new rule", has).await;
    }
}

#[tokio::test]
async fn nodes_without_a_word_get_no_pods() {
    let bed = Bed::new().await;
    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "mute"}});
    bed.create("", "nodes", node).await;
    let tainted = |bed: &Bed| {
        let node = bed.get("", "nodes", "", "mute")?;
        list(&node["spec"], "taints").first().map(|taint| text(taint, "key").to_owned())
    };
    assert_eq!(bed.until("a taint", tainted).await, "node.kubernetes.io/not-ready");
}

#[tokio::test]
async fn events_do_not_outlast_their_namespace() {
    let bed = Bed::new().await;
    let event =
        |namespace: &str| json!({"metadata": {"namespace": namespace, "name": "e", "uid": "u"}, "count": 1});
    bed.put(kind("", "events"), event("gone")).await;
    bed.until_gone("", "events", "gone", "e").await;
    bed.put(kind("", "events"), event("default")).await;
    assert!(bed.get("", "events", "default", "e").is_some());
}

/// What has to go goes, and what is in its place stays.
#[tokio::test]
async fn important_pods_take_the_place_of_others() {
    let bed = Bed::new().await;
    let class = json!({"metadata": {"name": "high"}, "value": 1000});
    bed.create("scheduling.k8s.io", "priorityclasses", class).await;
    bed.node("there", json!([])).await;
    bed.pod("low", "2").await;
    let placed = |name: &'static str| {
        move |bed: &Bed| {
            let pod = bed.get("", "pods", "default", name)?;
            pod["spec"]["nodeName"].is_string().then_some(pod)
        }
    };
    bed.until("a node", placed("low")).await;
    let container = json!({"name": "c", "image": "i:1", "resources": {"requests": {"cpu": "1"}}});
    let high = json!({
        "metadata": {"namespace": "default", "name": "high"},
        "spec": {"containers": [container], "priorityClassName": "high"},
    });
    bed.create("", "pods", high).await;
    let going = |bed: &Bed| {
        bed.get("", "pods", "default", "low").filter(|low| !low["metadata"]["deletionTimestamp"].is_null())
    };
    bed.until("the end of the lesser", going).await;
    bed.until("an event", |bed| bed.event("low", "Preempted")).await;
    assert_eq!(bed.condition("low", "DisruptionTarget").unwrap()["reason"], "PreemptionByScheduler");
    let nominated = |bed: &Bed| {
        let high = bed.get("", "pods", "default", "high")?;
        (high["status"]["nominatedNodeName"] == "there").then_some(())
    };
    bed.until("the nomination", nominated).await;
    let key = ObjectKey::new(kind("", "pods").stored(), "default", "low");
    let options = DeleteOptions { grace_seconds: Some(0), ..DeleteOptions::default() };
    super::write::remove(&bed.store, "test", kind("", "pods"), &key, options).await.unwrap();
    assert!(bed.until("a node", placed("high")).await["status"].get("nominatedNodeName").is_none());
}
