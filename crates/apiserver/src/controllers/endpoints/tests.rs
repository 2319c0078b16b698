use podspec::json::{list, text};
use serde_json::{Value, json};
use store::ObjectKey;

use super::pods::Endpoint;
use super::reconcile::{Group, Template, Write, plan};
use super::{mirror, slices, subsets};
use crate::change::DeleteOptions;
use crate::controllers::tests::Bed;
use crate::controllers::write::{kind, remove};

fn pod(name: &str, ip: &str) -> Value {
    json!({
        "metadata": {"namespace": "default", "name": name, "uid": format!("{name}-uid"), "labels": {"app": "web"}},
        "spec": {"nodeName": "here", "containers": [{"name": "c", "ports": [
            {"name": "http", "containerPort": 8080, "protocol": "TCP"},
            {"name": "dns", "containerPort": 5353, "protocol": "UDP"},
        ]}]},
        "status": {
            "phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}, {"ip": "fd00::5"}],
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    })
}

fn endpoints(pods: &[Value]) -> Vec<Endpoint> {
    pods.iter().filter_map(Endpoint::of).collect()
}

fn service(ports: Value) -> Value {
    let mut service = json!({
        "metadata": {"namespace": "default", "name": "web", "uid": "s", "labels": {"team": "a"}},
        "spec": {
            "selector": {"app": "web"}, "clusterIP": "10.96.0.9", "clusterIPs": ["10.96.0.9"], "ipFamilies": ["IPv4"],
        },
    });
    service["spec"]["ports"] = ports;
    service
}

fn http() -> Value {
    json!([{"name": "a", "port": 80, "protocol": "TCP", "targetPort": "http"}])
}

#[test]
fn what_counts_of_a_pod() {
    let of = |edit: &dyn Fn(&mut Value)| {
        let mut pod = pod("p", "10.0.0.1");
        edit(&mut pod);
        Endpoint::of(&pod)
    };
    assert!(of(&|_| ()).is_some());
    for phase in ["Succeeded", "Failed"] {
        assert_eq!(of(&|pod| pod["status"]["phase"] = phase.into()), None, "{phase}");
    }
    let without = of(&|pod| {
        pod["status"]["podIP"] = "".into();
        pod["status"]["podIPs"] = json!([]);
    });
    assert_eq!(without, None);
    let single = of(&|pod| pod["status"]["podIPs"] = json!([])).unwrap();
    assert_eq!(single.addresses, ["10.0.0.1".parse::<std::net::IpAddr>().unwrap()]);
    // What nothing here depends on is the same pod.
    assert_eq!(of(&|pod| pod["metadata"]["annotations"] = json!({"a": "b"})), of(&|_| ()));
    assert_ne!(of(&|pod| pod["status"]["conditions"] = json!([])), of(&|_| ()));
}

#[test]
fn ports_are_the_pods_own() {
    let mut pod = pod("p", "10.0.0.1");
    pod["spec"]["initContainers"] = json!([
        {"name": "once", "ports": [{"name": "once", "containerPort": 1}]},
        {"name": "sidecar", "restartPolicy": "Always", "ports": [{"name": "metrics", "containerPort": 9090}]},
    ]);
    let endpoint = Endpoint::of(&pod).unwrap();
    let ports = |target: Value, protocol: &str| {
        let port = json!({"name": "x", "port": 80, "protocol": protocol, "targetPort": target});
        endpoint.ports_for(&service(json!([port]))).first().map(|port| port["port"].clone())
    };
    assert_eq!(ports(json!(81), "TCP"), Some(json!(81)));
    assert_eq!(ports(json!("http"), "TCP"), Some(json!(8080)));
    assert_eq!(ports(json!("dns"), "UDP"), Some(json!(5353)));
    assert_eq!(ports(json!("metrics"), "TCP"), Some(json!(9090)));
    for (target, protocol) in [("http", "UDP"), ("once", "TCP"), ("none", "TCP"), ("", "TCP")] {
        assert_eq!(ports(json!(target), protocol), None, "{target}");
    }
}

#[test]
fn a_slice_for_each_family_and_set_of_ports() {
    let (first, mut second) = (pod("p", "10.0.0.1"), pod("q", "10.0.0.2"));
    second["spec"]["containers"][0]["ports"][0]["containerPort"] = 9090.into();
    let mut service = service(http());
    service["spec"]["ipFamilies"] = json!(["IPv4", "IPv6"]);
    let groups = slices::desired(&service, &endpoints(&[first.clone(), second, first]));
    let shape = |group: &Group| (group.family.clone(), group.ports[0]["port"].clone(), group.endpoints.len());
    let shapes: Vec<_> = groups.iter().map(shape).collect();
    let (v4, v6) = ("IPv4".to_owned(), "IPv6".to_owned());
    assert_eq!(
        shapes,
        [
            (v4.clone(), json!(8080), 2),
            (v4.clone(), json!(9090), 1),
            (v6.clone(), json!(8080), 2),
            (v6.clone(), json!(9090), 1),
        ]
    );
    assert_eq!(groups[2].endpoints[0]["addresses"], json!(["fd00::5"]));
    let none = |family: String| Group { family, ports: vec![], endpoints: vec![] };
    assert_eq!(slices::desired(&service, &[]), [none(v4), none(v6)]);
}

#[test]
fn conditions_of_an_endpoint() {
    let of = |edit: &dyn Fn(&mut Value), publishes: bool| {
        let (mut pod, mut service) = (pod("p", "10.0.0.1"), service(http()));
        edit(&mut pod);
        service["spec"]["publishNotReadyAddresses"] = publishes.into();
        let conditions = slices::desired(&service, &endpoints(&[pod]))[0].endpoints[0]["conditions"].clone();
        ["ready", "serving", "terminating"].map(|name| conditions[name].as_bool().unwrap())
    };
    let not_ready = |pod: &mut Value| pod["status"]["conditions"] = json!([]);
    let ending = |pod: &mut Value| pod["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
    assert_eq!(of(&|_| (), false), [true, true, false]);
    assert_eq!(of(&not_ready, false), [false, false, false]);
    assert_eq!(of(&not_ready, true), [true, false, false]);
    assert_eq!(of(&ending, false), [false, true, true]);
    assert_eq!(of(&ending, true), [true, true, true]);
}

#[test]
fn a_pod_of_a_headless_service_has_a_name() {
    let (mut pod, mut service) = (pod("p", "10.0.0.1"), service(json!([])));
    pod["spec"]["hostname"] = "one".into();
    pod["spec"]["subdomain"] = "web".into();
    service["spec"]["clusterIP"] = "None".into();
    service["spec"]["clusterIPs"] = json!(["None"]);
    let pods = endpoints(&[pod.clone()]);
    let groups = slices::desired(&service, &pods);
    assert_eq!((&groups[0].ports, &groups[0].endpoints[0]["hostname"]), (&vec![], &json!("one")));
    assert_eq!(slices::template(&service).labels["service.kubernetes.io/headless"], "");
    let made = subsets::changed(&service, &pods, None).unwrap();
    assert_eq!(made["subsets"][0]["addresses"][0]["hostname"], "one");
    assert_eq!(made["subsets"][0].get("ports"), None);
    assert_eq!(made["metadata"]["labels"]["service.kubernetes.io/headless"], "");
    pod["spec"]["subdomain"] = "other".into();
    assert_eq!(slices::desired(&service, &endpoints(&[pod]))[0].endpoints[0].get("hostname"), None);
}

#[test]
fn subsets_have_what_the_same_addresses_have() {
    let (first, mut second, mut third) = (pod("p", "10.0.0.1"), pod("q", "10.0.0.2"), pod("r", "10.0.0.3"));
    second["status"]["conditions"] = json!([]);
    third["spec"]["containers"][0]["ports"] = json!([{"name": "http", "containerPort": 9090}]);
    let ports = json!([
        {"name": "a", "port": 80, "protocol": "TCP", "targetPort": "http"},
        {"name": "b", "port": 53, "protocol": "UDP", "targetPort": "dns"},
    ]);
    let made = subsets::changed(&service(ports), &endpoints(&[first, second, third]), None).unwrap();
    assert_eq!(
        made["subsets"],
        json!([
            {
                "addresses": [{"ip": "10.0.0.1", "nodeName": "here", "targetRef":
                    {"kind": "Pod", "namespace": "default", "name": "p", "uid": "p-uid"}}],
                "notReadyAddresses": [{"ip": "10.0.0.2", "nodeName": "here", "targetRef":
                    {"kind": "Pod", "namespace": "default", "name": "q", "uid": "q-uid"}}],
                "ports": [
                    {"name": "a", "port": 8080, "protocol": "TCP"}, {"name": "b", "port": 5353, "protocol": "UDP"},
                ],
            },
            {
                "addresses": [{"ip": "10.0.0.3", "nodeName": "here", "targetRef":
                    {"kind": "Pod", "namespace": "default", "name": "r", "uid": "r-uid"}}],
                "ports": [{"name": "a", "port": 9090, "protocol": "TCP"}],
            },
        ])
    );
    assert_eq!(
        made["metadata"]["labels"],
        json!({"team": "a", "endpoints.kubernetes.io/managed-by": "endpoint-controller"})
    );
}

#[test]
fn ending_pods_are_in_no_subset_and_what_is_so_is_not_written() {
    let mut pod = pod("p", "10.0.0.1");
    pod["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
    let mut service = service(http());
    let made = subsets::changed(&service, &endpoints(&[pod.clone()]), None).unwrap();
    assert_eq!(made.get("subsets"), None);
    assert_eq!(subsets::changed(&service, &endpoints(&[pod.clone()]), Some(&made)), None);
    service["spec"]["publishNotReadyAddresses"] = true.into();
    let made = subsets::changed(&service, &endpoints(&[pod]), Some(&made)).unwrap();
    assert_eq!(list(&made["subsets"][0], "addresses").len(), 1);
}

#[test]
fn more_than_a_thousand_addresses_are_cut() {
    let pods: Vec<Value> = (0..1_100)
        .map(|index| {
            let mut pod = pod(&format!("p{index}"), &format!("10.0.{}.{}", index / 200, index % 200 + 1));
            if index < 300 {
                pod["status"]["conditions"] = json!([]);
            }
            pod
        })
        .collect();
    let made = subsets::changed(&service(http()), &endpoints(&pods), None).unwrap();
    let count = |name: &str| list(&made["subsets"][0], name).len();
    assert_eq!((count("addresses"), count("notReadyAddresses")), (800, 200));
    let annotations = &made["metadata"]["annotations"];
    assert_eq!(annotations["endpoints.kubernetes.io/over-capacity"], "truncated");
    let fewer = subsets::changed(&service(http()), &endpoints(&pods[..2]), Some(&made)).unwrap();
    assert_eq!(fewer["metadata"].get("annotations"), None);
}

fn template() -> Template {
    Template { endpoints_max: 3, ..slices::template(&service(http())) }
}

fn group(names: &[&str]) -> Group {
    let endpoint = |name: &&str| json!({"addresses": [name], "conditions": {"ready": true}});
    Group {
        family: "IPv4".to_owned(),
        ports: vec![json!({"port": 80})],
        endpoints: names.iter().map(endpoint).collect(),
    }
}

/// The slices after these writes.
fn carried_out(mut existing: Vec<Value>, writes: Vec<Write>) -> Vec<Value> {
    for write in writes {
        match write {
            Write::Create(mut slice) => {
                slice["metadata"]["name"] = format!("s{}", existing.len()).into();
                existing.push(slice);
            }
            Write::Update(slice) => {
                let is_it = |held: &&mut Value| held["metadata"]["name"] == slice["metadata"]["name"];
                *existing.iter_mut().find(is_it).unwrap() = slice.clone();
            }
            Write::Delete(name) => existing.retain(|held| text(&held["metadata"], "name") != name),
        }
    }
    existing
}

/// The addresses of each slice, in one text.
fn held(slices: &[Value]) -> Vec<String> {
    let names = |slice: &Value| -> String {
        list(slice, "endpoints").iter().filter_map(|endpoint| endpoint["addresses"][0].as_str()).collect()
    };
    slices.iter().map(names).collect()
}

#[test]
fn slices_are_filled_and_change_little() {
    let plan = |names: &[&str], existing: &[Value]| plan(&template(), vec![group(names)], existing.to_vec());
    let first = carried_out(vec![], plan(&["a", "b", "c", "d"], &[]));
    assert_eq!(held(&first), ["abc", "d"]);
    assert_eq!(plan(&["d", "c", "b", "a"], &first), []);
    // One more goes where there is room.
    let more = plan(&["a", "b", "c", "d", "e"], &first);
    assert!(matches!(more[..], [Write::Update(_)]), "{more:?}");
    let more = carried_out(first, more);
    assert_eq!(held(&more), ["abc", "de"]);
    // One that takes another's place goes into the slice that changes anyway.
    let swapped = plan(&["a", "c", "d", "e", "f"], &more);
    assert!(matches!(swapped[..], [Write::Update(_)]), "{swapped:?}");
    assert_eq!(held(&carried_out(more.clone(), swapped)), ["acf", "de"]);
    // A slice whose endpoints are all gone goes, but for the last.
    let fewer = plan(&["d"], &more);
    let fewer = carried_out(more, fewer);
    assert_eq!(held(&fewer), ["d"]);
}

#[test]
fn a_change_of_ports_makes_new_slices_before_the_old_ones_go() {
    let existing = carried_out(vec![], plan(&template(), vec![group(&["a"])], vec![]));
    let mut other = group(&["a"]);
    other.ports = vec![json!({"port": 81})];
    let writes = plan(&template(), vec![other], existing);
    assert!(matches!(writes[..], [Write::Create(_), Write::Delete(_)]), "{writes:?}");
}

#[test]
fn a_family_keeps_one_slice_without_endpoints() {
    let none = || vec![Group { family: "IPv4".to_owned(), ports: vec![], endpoints: vec![] }];
    let empty = carried_out(vec![], plan(&template(), none(), vec![]));
    assert_eq!(held(&empty), [""]);
    assert_eq!(plan(&template(), none(), empty.clone()), []);
    let some = carried_out(empty, plan(&template(), vec![group(&["a"])], vec![]));
    let none = carried_out(some.clone(), plan(&template(), none(), some));
    assert_eq!(held(&none), [""]);
}

#[test]
fn labels_follow_the_owner_and_slices_of_others_go() {
    let existing = carried_out(vec![], plan(&template(), vec![group(&["a"])], vec![]));
    let mut renamed = template();
    renamed.labels.insert("team".to_owned(), "b".into());
    let writes = plan(&renamed, vec![group(&["a"])], existing.clone());
    let [Write::Update(slice)] = &writes[..] else { panic!("{writes:?}") };
    assert_eq!(slice["metadata"]["labels"]["team"], "b");
    let mut another = template();
    another.owner["uid"] = "t".into();
    let writes = plan(&another, vec![group(&["a"])], existing);
    assert!(matches!(writes[..], [Write::Create(_), Write::Delete(_)]), "{writes:?}");
}

#[test]
fn endpoints_of_others_are_mirrored() {
    let endpoints = json!({
        "metadata": {
            "namespace": "default", "name": "web", "uid": "e", "labels": {"a": "b"},
            "annotations": {"c": "d", "kubectl.kubernetes.io/last-applied-configuration": "{}"},
        },
        "subsets": [
            {
                "addresses": [{"ip": "192.0.2.1", "hostname": "x"}, {"ip": "2001:db8::1"}],
                "notReadyAddresses": [{"ip": "192.0.2.2"}],
                "ports": [{"name": "p", "port": 80, "protocol": "TCP"}],
            },
            {"addresses": [{"ip": "192.0.2.3"}], "ports": [{"name": "p", "port": 80, "protocol": "TCP"}]},
        ],
    });
    let groups = mirror::desired(&endpoints);
    assert_eq!(groups.len(), 2);
    assert_eq!(
        groups[0].endpoints,
        [
            json!({"addresses": ["192.0.2.1"], "conditions": {"ready": true}, "hostname": "x"}),
            json!({"addresses": ["192.0.2.2"], "conditions": {"ready": false}}),
            json!({"addresses": ["192.0.2.3"], "conditions": {"ready": true}}),
        ]
    );
    let template = mirror::template(&endpoints);
    assert_eq!(template.labels["a"], "b");
    assert_eq!(template.labels["kubernetes.io/service-name"], "web");
    assert_eq!(Value::from(template.annotations), json!({"c": "d"}));
    assert_eq!(template.owner["kind"], "Endpoints");
    let open = json!({"spec": {}});
    assert!(mirror::is_wanted(&open, &endpoints));
    assert!(!mirror::is_wanted(&service(http()), &endpoints));
    let mut skipped = endpoints;
    skipped["metadata"]["labels"]["endpointslice.kubernetes.io/skip-mirror"] = "true".into();
    assert!(!mirror::is_wanted(&open, &skipped));
}

impl Bed {
    fn slices(&self, service: &str) -> Vec<Value> {
        let all = self.store.list(
            kind("discovery.k8s.io", "endpointslices").stored(),
            Some("default"),
            None,
            None,
            |slice| slice.labels.get("kubernetes.io/service-name").is_some_and(|of| of == service),
        );
        all.objects.iter().map(|slice| crate::objects::value(slice).unwrap()).collect()
    }

    /// What the Endpoints say: ready ones, others.
    fn addresses(&self, service: &str) -> Option<(Vec<String>, Vec<String>)> {
        let endpoints = self.get("", "endpoints", "default", service)?;
        let of = |name: &str| {
            let subsets = list(&endpoints, "subsets").iter().flat_map(|subset| list(subset, name));
            subsets.map(|address| text(address, "ip").to_owned()).collect()
        };
        Some((of("addresses"), of("notReadyAddresses")))
    }

    async fn until_addresses(&self, service: &str, ready: &[&str], others: &[&str]) {
        let what = format!("{ready:?} and {others:?} of {service}");
        self.until(&what, |bed| {
            let (is_ready, is_not) = bed.addresses(service)?;
            (is_ready == ready && is_not == others).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn endpoints_follow_pods_and_services() {
    let bed = Bed::new().await;
    let pods = kind("", "pods");
    bed.put(pods, pod("p", "10.0.0.1")).await;
    let mut service = service(http());
    service["spec"].as_object_mut().unwrap().retain(|name, _| ["selector", "ports"].contains(&name.as_str()));
    let made = bed.create("", "services", service).await;
    bed.until_addresses("web", &["10.0.0.1"], &[]).await;
    let slices = bed.slices("web");
    assert_eq!(slices.len(), 1);
    assert!(text(&slices[0]["metadata"], "name").starts_with("web-"));
    assert_eq!(slices[0]["metadata"]["ownerReferences"][0]["uid"], made["metadata"]["uid"]);
    assert_eq!(slices[0]["metadata"]["generation"], 1);
    // A second pod, one that is not ready any more, one that ends, one that is gone.
    bed.put(pods, pod("q", "10.0.0.2")).await;
    bed.until_addresses("web", &["10.0.0.1", "10.0.0.2"], &[]).await;
    let mut not_ready = pod("p", "10.0.0.1");
    not_ready["status"]["conditions"] = json!([]);
    bed.put(pods, not_ready).await;
    bed.until_addresses("web", &["10.0.0.2"], &["10.0.0.1"]).await;
    let mut ending = pod("q", "10.0.0.2");
    ending["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
    ending["metadata"]["deletionGracePeriodSeconds"] = 30.into();
    bed.put(pods, ending).await;
    bed.until_addresses("web", &[], &["10.0.0.1"]).await;
    let conditions = bed.slices("web")[0]["endpoints"][1]["conditions"].clone();
    assert_eq!(conditions, json!({"ready": false, "serving": true, "terminating": true}));
    let mut other = pod("p", "10.0.0.1");
    other["metadata"]["labels"] = json!({"app": "other"});
    bed.put(pods, other).await;
    bed.until_addresses("web", &[], &[]).await;
    // What somebody else writes into them does not stay.
    let mut wrong = bed.get("", "endpoints", "default", "web").unwrap();
    wrong["subsets"] =
        json!([{"addresses": [{"ip": "192.0.2.1"}], "ports": [{"port": 1, "protocol": "TCP"}]}]);
    bed.put(kind("", "endpoints"), wrong).await;
    bed.until_addresses("web", &[], &[]).await;
    bed.delete("", "services", "default", "web", None).await;
    bed.until_gone("", "endpoints", "default", "web").await;
    bed.until("no slices", |bed| bed.slices("web").is_empty().then_some(())).await;
}

#[tokio::test]
async fn endpoints_of_ones_own_are_mirrored_and_go_with_the_service() {
    let bed = Bed::new().await;
    let open =
        json!({"metadata": {"namespace": "default", "name": "open"}, "spec": {"ports": [{"port": 80}]}});
    bed.create("", "services", open).await;
    let endpoints = json!({
        "metadata": {"namespace": "default", "name": "open"},
        "subsets": [{"addresses": [{"ip": "192.0.2.1"}], "ports": [{"port": 80}]}],
    });
    // One without a service is nobody's.
    let mut alone = endpoints.clone();
    alone["metadata"]["name"] = "alone".into();
    bed.create("", "endpoints", alone).await;
    bed.create("", "endpoints", endpoints).await;
    let mirrored = |bed: &Bed| Some(bed.slices("open").first()?["endpoints"][0]["addresses"][0].clone());
    assert_eq!(bed.until("a slice", mirrored).await, "192.0.2.1");
    let mut changed = bed.get("", "endpoints", "default", "open").unwrap();
    changed["subsets"][0]["addresses"][0]["ip"] = "192.0.2.2".into();
    bed.put(kind("", "endpoints"), changed).await;
    bed.until("the change", |bed| (mirrored(bed)? == "192.0.2.2").then_some(())).await;
    assert_eq!(bed.slices("open").len(), 1);
    bed.delete("", "services", "default", "open", None).await;
    bed.until_gone("", "endpoints", "default", "open").await;
    bed.until("no slices", |bed| bed.slices("open").is_empty().then_some(())).await;
    assert!(bed.slices("alone").is_empty() && bed.addresses("alone").is_some());
}

#[tokio::test]
async fn the_services_of_the_engine_itself_come_back() {
    let bed = Bed::new().await;
    for (namespace, name) in [("default", "kubernetes"), ("kube-system", "kube-dns")] {
        let before = bed.get("", "services", namespace, name).unwrap();
        bed.delete("", "services", namespace, name, None).await;
        let again = bed.until(name, |bed| {
            let service = bed.get("", "services", namespace, name)?;
            let leads = bed.get("", "endpoints", namespace, name)?;
            let slice = bed.get("discovery.k8s.io", "endpointslices", namespace, name);
            (service["metadata"]["uid"] != before["metadata"]["uid"] && slice.is_some())
                .then_some((service, leads))
        });
        let (service, leads) = again.await;
        assert_eq!(service["spec"], before["spec"]);
        assert_eq!(list(&leads, "subsets").len(), 1);
    }
}

#[tokio::test]
async fn what_the_engine_lost_before_its_controllers_started_comes_back() {
    let settings = Bed::settings().await;
    let services = kind("", "services");
    let key = ObjectKey::new(services.stored(), "default", "kubernetes");
    remove(&settings.store, "test", services, &key, DeleteOptions::default()).await.unwrap();
    let bed = Bed::start(&settings);
    bed.until("the service", |bed| bed.get("", "services", "default", "kubernetes")).await;
}

#[tokio::test]
async fn addresses_say_whose_they_are() {
    let bed = Bed::new().await;
    let of = |bed: &Bed, ip: &str| bed.get("networking.k8s.io", "ipaddresses", "", ip);
    let api = bed.until("the address of the API", |bed| of(bed, "10.96.0.1")).await;
    assert_eq!(api["spec"]["parentRef"]["name"], "kubernetes");
    let service =
        json!({"metadata": {"namespace": "default", "name": "web"}, "spec": {"ports": [{"port": 80}]}});
    let made = bed.create("", "services", service).await;
    let ip = text(&made["spec"], "clusterIP").to_owned();
    bed.until("its address", |bed| of(bed, &ip)).await;
    // Who deletes it takes nothing away.
    bed.delete("networking.k8s.io", "ipaddresses", "", &ip, None).await;
    bed.until("its address again", |bed| of(bed, &ip)).await;
    bed.delete("", "services", "default", "web", None).await;
    bed.until_gone("networking.k8s.io", "ipaddresses", "", &ip).await;
}
