//! What is told after which change, and no more than that.

use network::PodRules;
use serde_json::json;

use super::{endpoint, pod, policy, service, shown, shown_policy, slice};
use crate::policy::PodFacts;
use crate::state::{Kind, State, Telling};

fn told(state: &mut State) -> Vec<String> {
    let one = |telling: Telling| match telling {
        Telling::Service(name, ports) => format!("{}: {}", name.name, shown(&ports)),
        Telling::Names(name, names) => match names {
            Some(names) => format!("{} names {}", name.name, names.endpoints.len()),
            None => format!("{} names gone", name.name),
        },
        Telling::Namespace(name, exists) => format!("{name} {exists}"),
        Telling::Pod(PodRules { uid, policy, .. }) => format!("{uid}: {}", shown_policy(&policy)),
        Telling::NoPod(uid) => format!("{uid} gone"),
    };
    state.tellings().into_iter().map(one).collect()
}

fn namespace(name: &str, team: &str) -> serde_json::Value {
    json!({"metadata": {"name": name, "labels": {"team": team}}})
}

/// Two Services with an endpoint each, three pods.
fn state() -> State {
    let mut state = State::new("box", vec![PodFacts::dns(&["10.200.0.1:53".parse().unwrap()])]);
    let ready = json!({"ready": true});
    for name in ["prod", "infra"] {
        state.present(Kind::Namespaces, &namespace(name, name));
    }
    for (name, ip) in [("web", "10.200.0.1"), ("db", "10.200.0.2")] {
        state.present(Kind::Services, &service(name, json!({})));
        state.present(Kind::Slices, &slice(&format!("{name}-1"), name, json!([endpoint(ip, ready.clone())])));
        state.present(Kind::Pods, &pod("prod", name, ip, json!({"app": name})));
    }
    state.present(Kind::Pods, &pod("infra", "probe", "10.200.0.3", json!({"app": "probe"})));
    state
}

#[test]
fn all_is_told_at_first_and_nothing_again() {
    let mut state = state();
    assert_eq!(
        told(&mut state),
        [
            "infra true",
            "prod true",
            "db names 1",
            "db: 10.201.0.7 Tcp 80 -> 10.200.0.2:8080",
            "web names 1",
            "web: 10.201.0.7 Tcp 80 -> 10.200.0.1:8080",
        ]
    );
    assert!(told(&mut state).is_empty());
    state.present(Kind::Services, &service("web", json!({})));
    state.present(Kind::Namespaces, &namespace("prod", "prod"));
    state.present(Kind::Pods, &pod("prod", "web", "10.200.0.1", json!({"app": "web"})));
    assert!(told(&mut state).is_empty(), "nothing is different");
}

#[test]
fn one_endpoint_is_one_service() {
    let mut state = state();
    told(&mut state);
    let two = json!([
        endpoint("10.200.0.2", json!({"ready": true})),
        endpoint("10.200.0.7", json!({"ready": true}))
    ]);
    state.present(Kind::Slices, &slice("db-1", "db", two));
    assert_eq!(told(&mut state), ["db names 2", "db: 10.201.0.7 Tcp 80 -> 10.200.0.2:8080 10.200.0.7:8080"]);
    state.gone(Kind::Slices, "prod", "db-1");
    assert_eq!(told(&mut state), ["db names 0", "db: 10.201.0.7 Tcp 80 ->"]);
    state.gone(Kind::Services, "prod", "db");
    assert_eq!(told(&mut state), ["db names gone", "db: "]);
    // A slice that becomes another Service's.
    state.present(Kind::Slices, &slice("web-1", "db", json!([])));
    assert_eq!(told(&mut state), ["web names 0", "web: 10.201.0.7 Tcp 80 ->"]);
}

#[test]
fn one_pod_is_those_that_name_it() {
    let mut state = state();
    told(&mut state);
    let from = |labels| json!([{"from": [{"podSelector": labels}]}]);
    let of_web = json!({"podSelector": {"matchLabels": {"app": "db"}}, "ingress": from(json!({"matchLabels": {"app": "web"}}))});
    state.present(Kind::Policies, &policy("db", of_web));
    assert_eq!(told(&mut state), ["uid-db: ingress 10.200.0.1"]);
    state.present(Kind::Pods, &pod("prod", "another", "10.200.0.9", json!({"app": "other"})));
    assert!(told(&mut state).is_empty());
    state.present(Kind::Pods, &pod("prod", "another", "10.200.0.9", json!({"app": "web"})));
    assert_eq!(told(&mut state), ["uid-db: ingress 10.200.0.1+10.200.0.9"]);
    let mut over = pod("prod", "another", "10.200.0.9", json!({"app": "web"}));
    over["status"]["phase"] = "Failed".into();
    state.present(Kind::Pods, &over);
    assert_eq!(told(&mut state), ["uid-db: ingress 10.200.0.1"]);
    state.gone(Kind::Pods, "prod", "db");
    assert_eq!(told(&mut state), ["uid-db gone"]);
    state.gone(Kind::Policies, "prod", "db");
    assert!(told(&mut state).is_empty());
}

#[test]
fn labels_of_namespaces_count() {
    let mut state = state();
    let spec = json!({"podSelector": {"matchLabels": {"app": "db"}}, "ingress": [{"from": [
        {"namespaceSelector": {"matchLabels": {"team": "ops"}}},
    ]}]});
    state.present(Kind::Policies, &policy("db", spec));
    told(&mut state);
    state.present(Kind::Namespaces, &namespace("infra", "ops"));
    assert_eq!(told(&mut state), ["uid-db: ingress 10.200.0.3"]);
    state.gone(Kind::Namespaces, "", "infra");
    assert_eq!(told(&mut state), ["infra false", "uid-db: ingress nothing"]);
}

#[test]
fn a_policy_that_goes_lets_everything_pass_again() {
    let mut state = state();
    state.present(Kind::Policies, &policy("deny", json!({"podSelector": {}})));
    told(&mut state);
    state.gone(Kind::Policies, "prod", "deny");
    assert_eq!(told(&mut state), ["uid-db: ", "uid-web: "]);
    assert_eq!(state.known(Kind::Policies), []);
}

fn loaded(name: &str, labels: &str) -> podspec::Pod {
    let text = format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, namespace: prod, labels: {{app: {labels}}}}}\n\
         spec: {{containers: [{{name: main, image: x}}]}}\n"
    );
    let mut loaded = podspec::load_pods("test", &text, || [0; podspec::IDENTITY_BYTES]).unwrap();
    let mut pod = loaded.remove(0).admitted.pod;
    pod.uid = podspec::PodUid::new(&format!("uid-{name}"));
    pod
}

#[test]
fn a_pod_that_begins_is_known_before_the_store_says_so() {
    let mut state = state();
    let of_new =
        json!({"podSelector": {}, "ingress": [{"from": [{"podSelector": {"matchLabels": {"app": "new"}}}]}]});
    state.present(Kind::Policies, &policy("new", of_new));
    told(&mut state);
    let address = ["10.200.0.20".parse().unwrap()];
    let begun = loaded("fresh", "new");
    assert_eq!(shown_policy(&state.attach(&begun, &address)), "ingress 10.200.0.20");
    let all = told(&mut state);
    assert_eq!(
        all,
        ["uid-db: ingress 10.200.0.20", "uid-fresh: ingress 10.200.0.20", "uid-web: ingress 10.200.0.20"]
    );
    // The store still has an address of before: what the pod was given counts.
    let mut stale = pod("prod", "fresh", "10.200.0.19", json!({"app": "new"}));
    state.present(Kind::Pods, &stale.clone());
    assert!(told(&mut state).iter().all(|text| !text.contains("10.200.0.19")));
    // Policies change before what was said at the start is in force: it is told once more when it surely is.
    state.gone(Kind::Policies, "prod", "new");
    assert_eq!(told(&mut state), ["uid-db: ", "uid-fresh: ", "uid-web: "]);
    stale["status"]["podIPs"][0]["ip"] = "10.200.0.20".into();
    state.present(Kind::Pods, &stale.clone());
    assert_eq!(told(&mut state), ["uid-fresh: "]);
    state.present(Kind::Pods, &stale);
    assert!(told(&mut state).is_empty());
}

#[test]
fn what_failed_is_told_again() {
    let mut state = state();
    state.present(Kind::Policies, &policy("deny", json!({"podSelector": {"matchLabels": {"app": "db"}}})));
    let all = state.tellings();
    for telling in &all {
        state.again(telling);
    }
    assert_eq!(
        told(&mut state),
        [
            "db: 10.201.0.7 Tcp 80 -> 10.200.0.2:8080",
            "web: 10.201.0.7 Tcp 80 -> 10.200.0.1:8080",
            "uid-db: ingress nothing",
        ]
    );
    state.gone(Kind::Pods, "prod", "db");
    let gone = state.tellings();
    state.again(&gone[0]);
    assert_eq!(told(&mut state), ["uid-db gone"]);
    assert!(told(&mut state).is_empty());
}

/// As policies of other clusters let pods ask for names.
#[test]
fn policies_name_the_engines_dns() {
    let mut state = state();
    told(&mut state);
    let system = json!({"metadata": {"name": "kube-system", "labels": {"kubernetes.io/metadata.name": "kube-system"}}});
    state.present(Kind::Namespaces, &system);
    let to = json!([{
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}},
        "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
    }]);
    let egress = json!([{"to": to, "ports": [{"port": 53, "protocol": "UDP"}, {"port": "dns-tcp"}]}]);
    let spec =
        json!({"podSelector": {"matchLabels": {"app": "db"}}, "policyTypes": ["Egress"], "egress": egress});
    state.present(Kind::Policies, &policy("names", spec));
    let expected = "uid-db: egress 10.200.0.1 Udp 53-53, 10.200.0.1 Tcp 53-53";
    assert_eq!(told(&mut state), ["kube-system true", expected]);
    // What isolates its namespace does not isolate it.
    let mut deny = policy("deny", json!({"podSelector": {}}));
    deny["metadata"]["namespace"] = "kube-system".into();
    state.present(Kind::Policies, &deny);
    assert!(told(&mut state).is_empty());
}
