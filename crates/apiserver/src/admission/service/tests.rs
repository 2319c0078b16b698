use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::network::Network;
use crate::testing::Bed;

const SERVICES: &str = "/api/v1/namespaces/a/services";

fn service(name: &str, spec: Value) -> Value {
    let mut service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}});
    service["spec"] = spec;
    if service["spec"].get("ports").is_none() {
        service["spec"]["ports"] = json!([{"port": 80}]);
    }
    service
}

async fn created(bed: &Bed, name: &str, spec: Value) -> Value {
    bed.post(SERVICES, &service(name, spec)).await.expect(201)
}

async fn refused(bed: &Bed, spec: Value) -> String {
    let answer = bed.post(SERVICES, &service("refused", spec)).await;
    let code = answer.code;
    answer.failure(code)
}

async fn patched(bed: &Bed, name: &str, spec: Value) -> Value {
    bed.patch(&format!("{SERVICES}/{name}"), "merge-patch+json", &json!({"spec": spec})).await.expect(200)
}

#[tokio::test]
async fn a_service_gets_an_address() {
    let bed = Bed::new().await;
    let made = created(&bed, "web", json!({})).await;
    let ip = made["spec"]["clusterIP"].as_str().unwrap();
    assert!(ip.starts_with("10.96."), "{ip}");
    assert_eq!(made["spec"]["clusterIPs"], json!([ip]));
    assert_eq!(made["spec"]["ipFamilies"], json!(["IPv4"]));
    assert_eq!(made["spec"]["ipFamilyPolicy"], "SingleStack");
    assert_eq!(made["status"], json!({"loadBalancer": {}}));
    assert_eq!(made["metadata"].get("generation"), None);
    // Sent again as it was written, it is the same.
    let mut again = service("web", json!({}));
    again["metadata"]["resourceVersion"] = made["metadata"]["resourceVersion"].clone();
    let same = bed.put(&format!("{SERVICES}/web"), &again).await.expect(200);
    assert_eq!(same["spec"], made["spec"]);
    assert_eq!(same["metadata"]["resourceVersion"], made["metadata"]["resourceVersion"]);
}

#[tokio::test]
async fn no_two_services_have_one_address_and_what_goes_is_free_again() {
    let bed = Bed::new().await;
    bed.network(Network { services: vec!["10.9.0.0/29".parse().unwrap()], ..Network::default() }).await;
    let mut ips = BTreeSet::new();
    for index in 0..6 {
        let made = created(&bed, &format!("s{index}"), json!({})).await;
        assert!(ips.insert(made["spec"]["clusterIP"].as_str().unwrap().to_owned()));
    }
    let full = bed.post(SERVICES, &service("more", json!({}))).await.failure(500);
    assert!(full.contains("failed to allocate a serviceIP for Service \"more\": range is full"), "{full}");
    let gone = bed.delete(&format!("{SERVICES}/s3"), &json!({})).await.expect(200);
    let made = created(&bed, "more", json!({})).await;
    assert_eq!(made["spec"]["clusterIP"], gone["spec"]["clusterIP"]);
}

#[tokio::test]
async fn an_address_can_be_asked_for_once() {
    let bed = Bed::new().await;
    let asked = json!({"clusterIP": "10.96.0.77"});
    assert_eq!(created(&bed, "one", asked.clone()).await["spec"]["clusterIPs"], json!(["10.96.0.77"]));
    assert_eq!(
        refused(&bed, asked).await,
        "Service \"refused\" is invalid: spec.clusterIPs: Invalid value: [\"10.96.0.77\"]: failed to allocate IP \
         10.96.0.77: provided IP is already allocated"
    );
    assert_eq!(
        refused(&bed, json!({"clusterIP": "192.0.2.1"})).await,
        "Service \"refused\" is invalid: spec.clusterIPs: Invalid value: [\"192.0.2.1\"]: failed to allocate IP \
         192.0.2.1: the provided network does not match the current range"
    );
    // A dry run sees the same, and takes nothing.
    let dry = format!("{SERVICES}?dryRun=All");
    bed.post(&dry, &service("two", json!({"clusterIP": "10.96.0.78"}))).await.expect(201);
    bed.post(&dry, &service("two", json!({"clusterIP": "10.96.0.77"}))).await.failure(422);
    created(&bed, "two", json!({"clusterIP": "10.96.0.78"})).await;
}

#[tokio::test]
async fn families_follow_the_policy() {
    let bed = Bed::new().await;
    for (name, spec, families, policy) in [
        ("prefer", json!({"ipFamilyPolicy": "PreferDualStack"}), json!(["IPv4", "IPv6"]), "PreferDualStack"),
        (
            "require",
            json!({"ipFamilyPolicy": "RequireDualStack", "ipFamilies": ["IPv6"]}),
            json!(["IPv6", "IPv4"]),
            "RequireDualStack",
        ),
        ("six", json!({"ipFamilies": ["IPv6"]}), json!(["IPv6"]), "SingleStack"),
        ("asked", json!({"clusterIP": "fd00:10:96::7"}), json!(["IPv6"]), "SingleStack"),
        ("headless", json!({"clusterIP": "None", "selector": {"a": "b"}}), json!(["IPv4"]), "SingleStack"),
        ("open", json!({"clusterIP": "None"}), json!(["IPv4", "IPv6"]), "RequireDualStack"),
    ] {
        let made = created(&bed, name, spec).await;
        assert_eq!(made["spec"]["ipFamilies"], families, "{name}");
        assert_eq!(made["spec"]["ipFamilyPolicy"], policy, "{name}");
        let ips = made["spec"]["clusterIPs"].as_array().unwrap();
        if made["spec"]["clusterIP"] == "None" {
            assert_eq!(*ips, ["None"]);
        } else {
            assert_eq!(ips.len(), families.as_array().unwrap().len(), "{name}");
            for (ip, family) in ips.iter().zip(families.as_array().unwrap()) {
                assert_eq!(ip.as_str().unwrap().contains(':'), family == "IPv6", "{name}");
            }
        }
    }
}

#[tokio::test]
async fn what_a_single_range_cannot_give_is_said() {
    let bed = Bed::new().await;
    bed.network(Network { services: vec!["10.9.0.0/24".parse().unwrap()], ..Network::default() }).await;
    assert_eq!(
        refused(&bed, json!({"ipFamilyPolicy": "RequireDualStack"})).await,
        "Service \"refused\" is invalid: spec.ipFamilyPolicy: Invalid value: \"RequireDualStack\": this cluster is \
         not configured for dual-stack services"
    );
    assert_eq!(
        refused(&bed, json!({"ipFamilies": ["IPv6"]})).await,
        "Service \"refused\" is invalid: spec.ipFamilies[0]: Invalid value: \"IPv6\": not configured on this cluster"
    );
    assert_eq!(
        refused(&bed, json!({"clusterIP": "fd00::1"})).await,
        "Service \"refused\" is invalid: spec.clusterIPs[0]: Invalid value: [\"fd00::1\"]: IPv6 is not configured on \
         this cluster"
    );
    let made = created(&bed, "prefer", json!({"ipFamilyPolicy": "PreferDualStack"})).await;
    assert_eq!(made["spec"]["ipFamilies"], json!(["IPv4"]));
    // It does not get a second address by itself when there is one.
    let both = ["10.9.0.0/24", "fd00::/112"].map(|range| range.parse().unwrap());
    bed.network(Network { services: both.to_vec(), ..Network::default() }).await;
    let same = patched(&bed, "prefer", json!({"selector": {"a": "b"}})).await;
    assert_eq!(same["spec"]["ipFamilies"], json!(["IPv4"]));
}

#[tokio::test]
async fn a_second_address_comes_and_goes() {
    let bed = Bed::new().await;
    let made = created(&bed, "web", json!({})).await;
    let both = patched(&bed, "web", json!({"ipFamilyPolicy": "RequireDualStack"})).await;
    assert_eq!(both["spec"]["ipFamilies"], json!(["IPv4", "IPv6"]));
    assert_eq!(both["spec"]["clusterIPs"][0], made["spec"]["clusterIP"]);
    assert!(both["spec"]["clusterIPs"][1].as_str().unwrap().starts_with("fd00:10:96::"));
    let one = patched(&bed, "web", json!({"ipFamilyPolicy": "SingleStack"})).await;
    assert_eq!(one["spec"]["clusterIPs"], json!([made["spec"]["clusterIP"]]));
    assert_eq!(one["spec"]["ipFamilies"], json!(["IPv4"]));
    let other = json!({"spec": {"clusterIP": "10.96.3.3"}});
    let kept = bed.patch(&format!("{SERVICES}/web"), "merge-patch+json", &other).await.failure(422);
    assert!(kept.contains("may not change once set"), "{kept}");
}

#[tokio::test]
async fn types_change_both_ways() {
    let bed = Bed::new().await;
    let made = created(&bed, "web", json!({"type": "ExternalName", "externalName": "example.com"})).await;
    assert_eq!(made["spec"].get("clusterIP"), None);
    assert_eq!(made["spec"].get("ipFamilies"), None);
    let inside = patched(&bed, "web", json!({"type": "ClusterIP", "externalName": null})).await;
    assert!(inside["spec"]["clusterIP"].as_str().unwrap().starts_with("10.96."));
    assert_eq!(inside["spec"]["internalTrafficPolicy"], "Cluster");
    let outside = patched(&bed, "web", json!({"type": "NodePort"})).await;
    assert_eq!(outside["spec"]["clusterIP"], inside["spec"]["clusterIP"]);
    let port = outside["spec"]["ports"][0]["nodePort"].as_i64().unwrap();
    assert!((30_000..=32_767).contains(&port), "{port}");
    let named = patched(&bed, "web", json!({"type": "ExternalName", "externalName": "example.com"})).await;
    for gone in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "externalTrafficPolicy"] {
        assert_eq!(named["spec"].get(gone), None, "{gone}");
    }
    assert_eq!(named["spec"]["ports"][0].get("nodePort"), None);
    // The address is free for others now.
    created(&bed, "other", json!({"clusterIP": inside["spec"]["clusterIP"]})).await;
    let exposed = patched(&bed, "web", json!({"type": "NodePort", "externalName": null})).await;
    assert_ne!(exposed["spec"]["clusterIP"], inside["spec"]["clusterIP"]);
    assert!(exposed["spec"]["ports"][0]["nodePort"].as_i64().is_some());
}

#[tokio::test]
async fn node_ports_are_one_services_each() {
    let bed = Bed::new().await;
    let asked = |port: i64| json!({"type": "NodePort", "ports": [{"port": 80, "nodePort": port}]});
    created(&bed, "one", asked(30_080)).await;
    assert_eq!(
        refused(&bed, asked(30_080)).await,
        "Service \"refused\" is invalid: spec.ports[0].nodePort: Invalid value: 30080: provided port is already \
         allocated"
    );
    assert_eq!(
        refused(&bed, asked(80)).await,
        "Service \"refused\" is invalid: spec.ports[0].nodePort: Invalid value: 80: provided port is not in the valid \
         range. The range of valid ports is 30000-32767"
    );
    // TCP and UDP of one number get one node port.
    let dns = json!([{"name": "t", "port": 53}, {"name": "u", "port": 53, "protocol": "UDP"}]);
    let made = created(&bed, "dns", json!({"type": "NodePort", "ports": dns})).await;
    assert_eq!(made["spec"]["ports"][0]["nodePort"], made["spec"]["ports"][1]["nodePort"]);
    // Moved to another, the old one is free.
    let one = &json!([{"op": "replace", "path": "/spec/ports/0/nodePort", "value": 30_081}]);
    bed.patch(&format!("{SERVICES}/one"), "json-patch+json", one).await.expect(200);
    created(&bed, "two", asked(30_080)).await;
    let taken = &json!([{"op": "replace", "path": "/spec/ports/0/nodePort", "value": 30_080}]);
    bed.patch(&format!("{SERVICES}/one"), "json-patch+json", taken).await.failure(422);
}

#[tokio::test]
async fn a_load_balancer_is_waited_for_and_has_node_ports() {
    let bed = Bed::new().await;
    let answer = bed.post(SERVICES, &service("web", json!({"type": "LoadBalancer"}))).await;
    assert!(answer.headers["warning"].to_str().unwrap().contains("no load balancer is here"));
    let made = answer.expect(201);
    assert!(made["spec"]["ports"][0]["nodePort"].as_i64().is_some());
    assert_eq!(made["status"], json!({"loadBalancer": {}}));
    let without = json!({"type": "LoadBalancer", "allocateLoadBalancerNodePorts": false});
    assert_eq!(created(&bed, "bare", without).await["spec"]["ports"][0].get("nodePort"), None);
    let ingress = json!({"status": {"loadBalancer": {"ingress": [{"ip": "203.0.113.1"}]}}});
    let told = bed.patch(&format!("{SERVICES}/web/status"), "merge-patch+json", &ingress).await.expect(200);
    assert_eq!(told["status"]["loadBalancer"]["ingress"][0]["ip"], "203.0.113.1");
    let inside = patched(&bed, "web", json!({"type": "ClusterIP"})).await;
    assert_eq!(inside["status"], json!({"loadBalancer": {}}));
    assert_eq!(inside["spec"].get("allocateLoadBalancerNodePorts"), None);
}

#[tokio::test]
async fn where_there_is_no_network_nothing_is_promised() {
    let bed = Bed::new().await;
    let held = created(&bed, "held", json!({})).await;
    let why = "this kernel has no nf_tables: load the module nf_tables, and start the engine again";
    bed.network(Network { lacks: Some(why.to_owned()), ..Network::default() }).await;
    let forbidden = |what: &str| format!("{what} is forbidden: {why}");
    let answer = bed.post(SERVICES, &service("web", json!({}))).await;
    assert_eq!(answer.failure(403), forbidden("services \"web\""));
    let policy = json!({"metadata": {"name": "p"}, "spec": {"podSelector": {}}});
    let policies = "/apis/networking.k8s.io/v1/namespaces/a/networkpolicies";
    assert_eq!(
        bed.post(policies, &policy).await.failure(403),
        forbidden("networkpolicies.networking.k8s.io \"p\"")
    );
    // What is there can still be changed, and removed.
    let changed = patched(&bed, "held", json!({"selector": {"a": "b"}})).await;
    assert_eq!(changed["spec"]["clusterIP"], held["spec"]["clusterIP"]);
    bed.delete(&format!("{SERVICES}/held"), &json!({})).await.expect(200);
    bed.network(Network::default()).await;
    bed.post(policies, &policy).await.expect(201);
}

#[tokio::test]
async fn quotas_count_node_ports_and_load_balancers() {
    let bed = Bed::new().await;
    let hard = json!({"services": "2", "services.nodeports": "1", "services.loadbalancers": "0"});
    let quota = json!({"metadata": {"name": "q"}, "spec": {"hard": hard}});
    bed.post("/api/v1/namespaces/a/resourcequotas", &quota).await.expect(201);
    created(&bed, "one", json!({"type": "NodePort"})).await;
    let over = refused(&bed, json!({"type": "NodePort"})).await;
    assert!(
        over.contains(
            "requested: services.nodeports=1, used: services.nodeports=1, limited: services.nodeports=1"
        ),
        "{over}"
    );
    let over = refused(&bed, json!({"type": "LoadBalancer", "allocateLoadBalancerNodePorts": false})).await;
    assert!(over.contains("services.loadbalancers=0"), "{over}");
    created(&bed, "two", json!({})).await;
    // A change may take more, too.
    let more = json!({"spec": {"type": "NodePort"}});
    bed.patch(&format!("{SERVICES}/two"), "merge-patch+json", &more).await.failure(403);
    assert!(refused(&bed, json!({})).await.contains("exceeded quota"));
}

#[tokio::test]
async fn an_address_can_be_kept_from_services() {
    let bed = Bed::new().await;
    let addresses = "/apis/networking.k8s.io/v1/ipaddresses";
    let kept = json!({
        "metadata": {"name": "10.96.0.80"}, "spec": {"parentRef": {"group": "example.com", "resource": "x", "name": "y"}},
    });
    bed.post(addresses, &kept).await.expect(201);
    assert!(
        refused(&bed, json!({"clusterIP": "10.96.0.80"})).await.contains("provided IP is already allocated")
    );
    bed.delete(&format!("{addresses}/10.96.0.80"), &json!({})).await.expect(200);
    created(&bed, "web", json!({"clusterIP": "10.96.0.80"})).await;
    let ranges = bed.get("/apis/networking.k8s.io/v1/servicecidrs/kubernetes/status").await.expect(200);
    assert_eq!(ranges["kind"], "ServiceCIDR");
}
