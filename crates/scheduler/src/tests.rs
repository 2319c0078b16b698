//! Scenarios: nodes, pods on them, one pending pod, and what is decided.

use serde_json::{Value, json};

use crate::{Cluster, Decision, Eviction, eviction, node_from_json, pod_from_json, requests_from_json};

fn node(name: &str, more: &Value) -> Value {
    let mut node = json!({
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, "zone": "z"}}, "spec": {},
        "status": {"allocatable": {"cpu": "2", "memory": "1Gi", "pods": "4"}},
    });
    for (key, value) in more.as_object().unwrap() {
        node["spec"][key] = value.clone();
    }
    node
}

fn pod(name: &str, spec: &Value) -> Value {
    let mut spec = spec.clone();
    if spec.get("containers").is_none() {
        spec["containers"] = json!([{"name": "c"}]);
    }
    json!({"metadata": {"namespace": "n", "name": name, "uid": name, "labels": {"app": name}}, "spec": spec})
}

fn cpu(amount: &str, more: &Value) -> Value {
    let mut spec = more.clone();
    spec["containers"] = json!([{"name": "c", "resources": {"requests": {"cpu": amount}}}]);
    spec
}

fn decide(nodes: &[Value], there: &[Value], pending: &Value) -> Decision {
    let mut cluster = Cluster::default();
    nodes.iter().for_each(|node| cluster.insert_node(node_from_json(node)));
    for (age, pod) in there.iter().enumerate() {
        cluster.insert_pod(pod_from_json(pod, i64::try_from(age).unwrap()));
    }
    cluster.insert_claim("n", "claimed");
    cluster.decide(&pod_from_json(pending, 100))
}

/// `node` for a bind; the message; `node: victims; message`.
fn said(decision: &Decision) -> String {
    match decision {
        Decision::Bind { node } => node.clone(),
        Decision::Gated => "gated".to_owned(),
        Decision::Unschedulable { message } => message.clone(),
        Decision::Preempt { node, victims, message } => {
            let names: Vec<&str> = victims.iter().map(|victim| victim.name.as_str()).collect();
            format!("{node}: {}; {message}", names.join(" "))
        }
    }
}

const HELPLESS: &str = "preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling.";

#[test]
fn one_node_fits_or_says_why() {
    let plain = node("a", &json!({}));
    let tainted = node("a", &json!({"taints": [{"key": "k", "value": "v", "effect": "NoSchedule"}]}));
    let soft = node("a", &json!({"taints": [{"key": "k", "effect": "PreferNoSchedule"}]}));
    let closed = node("a", &json!({"unschedulable": true}));
    let affinity = |operator: &str, values: &Value| {
        json!({"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
            "nodeSelectorTerms": [{"matchExpressions": [{"key": "zone", "operator": operator, "values": values}]}],
        }}}})
    };
    let selector = "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector.";
    for (node, spec, expected) in [
        (&plain, json!({}), "a".to_owned()),
        (&plain, json!({"nodeSelector": {"zone": "z"}}), "a".to_owned()),
        (&plain, json!({"nodeSelector": {"zone": "y"}}), format!("{selector} {HELPLESS}")),
        (&plain, affinity("In", &json!(["z"])), "a".to_owned()),
        (&plain, affinity("NotIn", &json!(["z"])), format!("{selector} {HELPLESS}")),
        (&plain, json!({"schedulingGates": [{"name": "g"}]}), "gated".to_owned()),
        (&soft, json!({}), "a".to_owned()),
        (&tainted, json!({"tolerations": [{"operator": "Exists"}]}), "a".to_owned()),
        (&tainted, json!({"tolerations": [{"key": "k", "value": "v"}]}), "a".to_owned()),
        (
            &tainted,
            json!({"tolerations": [{"key": "k", "value": "w"}]}),
            format!("0/1 nodes are available: 1 node(s) had untolerated taint(s). {HELPLESS}"),
        ),
        (&closed, json!({}), format!("0/1 nodes are available: 1 node(s) were unschedulable. {HELPLESS}")),
        (&plain, cpu("2", &json!({})), "a".to_owned()),
        (
            &plain,
            cpu("2001m", &json!({})),
            format!("0/1 nodes are available: 1 Insufficient cpu. {HELPLESS}"),
        ),
        (
            &plain,
            json!({"resourceClaims": [{"name": "r", "resourceClaimName": "claimed"}]}),
            format!(
                "0/1 nodes are available: 1 cannot allocate all claims. still not schedulable, {HELPLESS}"
            ),
        ),
        (
            &plain,
            json!({"resourceClaims": [{"name": "r", "resourceClaimName": "other"}]}),
            format!("0/1 nodes are available: resourceclaim \"other\" not found. {HELPLESS}"),
        ),
    ] {
        assert_eq!(said(&decide(std::slice::from_ref(node), &[], &pod("p", &spec))), expected, "{spec}");
    }
    assert_eq!(said(&decide(&[], &[], &pod("p", &json!({})))), "no nodes available to schedule pods");
}

#[test]
fn what_is_there_counts() {
    let nodes = [node("a", &json!({}))];
    let there = |spec: &Value| {
        let mut spec = spec.clone();
        spec["nodeName"] = "a".into();
        pod("there", &spec)
    };
    let no_victims = "preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod.";
    let port = |number: u16, ip: &str| json!({"containers": [{"ports": [{"containerPort": 1, "hostPort": number, "hostIP": ip, "protocol": "TCP"}]}]});
    let full = cpu("1500m", &json!({}));
    for (held, asked, expected) in [
        (&full, cpu("500m", &json!({})), "a".to_owned()),
        (
            &full,
            cpu("501m", &json!({})),
            format!("0/1 nodes are available: 1 Insufficient cpu. {no_victims}"),
        ),
        (&port(80, ""), port(81, ""), "a".to_owned()),
        (
            &port(80, ""),
            port(80, "127.0.0.1"),
            format!(
                "0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod ports. {no_victims}"
            ),
        ),
        (&port(80, "10.0.0.1"), port(80, "127.0.0.1"), "a".to_owned()),
    ] {
        assert_eq!(said(&decide(&nodes, &[there(held)], &pod("p", &asked))), expected, "{held} {asked}");
    }
    let mut done = there(&cpu("2", &json!({})));
    done["status"]["phase"] = "Succeeded".into();
    assert_eq!(said(&decide(&nodes, &[done], &pod("p", &cpu("2", &json!({}))))), "a");
    let four: Vec<Value> =
        ["w", "x", "y", "z"].iter().map(|name| pod(name, &json!({"nodeName": "a"}))).collect();
    assert_eq!(
        said(&decide(&nodes, &four, &pod("p", &json!({})))),
        format!("0/1 nodes are available: 1 Too many pods. {no_victims}")
    );
}

/// The least that has to go goes: low priorities first, and no more than needed.
#[test]
fn preemption() {
    let nodes = [node("a", &json!({}))];
    let there = |name: &str, amount: &str, priority: i32| {
        pod(name, &cpu(amount, &json!({"nodeName": "a", "priority": priority})))
    };
    let pods = [there("low", "500m", 1), there("mid", "500m", 5), there("high", "1", 20)];
    let message = "0/1 nodes are available: 1 Insufficient cpu.";
    let pending = |amount: &str, priority: i32, policy: &str| {
        pod("p", &cpu(amount, &json!({"priority": priority, "preemptionPolicy": policy})))
    };
    let lower = "PreemptLowerPriority";
    for (amount, priority, policy, expected) in [
        ("500m", 10, lower, format!("a: low; {message}")),
        ("1", 10, lower, format!("a: mid low; {message}")),
        ("2", 30, lower, format!("a: high mid low; {message}")),
        ("2", 10, lower, format!("{message} preemption: 0/1 nodes are available: 1 Insufficient cpu.")),
        ("500m", 10, "Never", format!("{message} preemption: not eligible due to preemptionPolicy=Never.")),
    ] {
        assert_eq!(said(&decide(&nodes, &pods, &pending(amount, priority, policy))), expected);
    }
    let mut leaving = pods.to_vec();
    leaving[0]["metadata"]["deletionTimestamp"] = "x".into();
    let mut waiting = pending("500m", 10, lower);
    waiting["status"]["nominatedNodeName"] = "a".into();
    assert_eq!(
        said(&decide(&nodes, &leaving, &waiting)),
        format!("{message} preemption: not eligible due to a terminating pod on the nominated node.")
    );
}

/// Room that was made for one pod is not given to another of lower priority.
#[test]
fn nominated_pods_keep_their_room() {
    let nodes = [node("a", &json!({}))];
    let mut nominated = pod("first", &cpu("2", &json!({"priority": 10})));
    nominated["status"]["nominatedNodeName"] = "a".into();
    let pods = [nominated];
    assert_eq!(said(&decide(&nodes, &pods, &pod("p", &cpu("1", &json!({"priority": 20}))))), "a");
    assert!(matches!(
        decide(&nodes, &pods, &pod("p", &cpu("1", &json!({"priority": 5})))),
        Decision::Unschedulable { .. }
    ));
}

#[test]
fn several_nodes() {
    let nodes = [node("a", &json!({})), node("b", &json!({})), node("c", &json!({"unschedulable": true}))];
    let busy = pod("busy", &cpu("1500m", &json!({"nodeName": "a"})));
    assert_eq!(said(&decide(&nodes, std::slice::from_ref(&busy), &pod("p", &json!({})))), "b");
    let prefer = json!({"affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [
        {"weight": 10, "preference": {"matchExpressions": [
            {"key": "kubernetes.io/hostname", "operator": "In", "values": ["a"]},
        ]}},
    ]}}});
    assert_eq!(said(&decide(&nodes, std::slice::from_ref(&busy), &pod("p", &prefer))), "a");
    let by_name = json!({"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
        "nodeSelectorTerms": [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["a"]}]}],
    }}}});
    assert_eq!(said(&decide(&nodes, std::slice::from_ref(&busy), &pod("p", &by_name))), "a");
    assert_eq!(
        said(&decide(&nodes, &[busy], &pod("p", &cpu("3", &json!({}))))),
        "0/3 nodes are available: 1 node(s) were unschedulable, 2 Insufficient cpu. preemption: 0/3 nodes are available: \
         3 Preemption is not helpful for scheduling."
    );
}

#[test]
fn pods_near_and_apart() {
    let nodes = [node("a", &json!({})), node("b", &json!({}))];
    let term = |app: &str, key: &str| {
        json!({"requiredDuringSchedulingIgnoredDuringExecution": [
            {"labelSelector": {"matchLabels": {"app": app}}, "topologyKey": key},
        ]})
    };
    let host = "kubernetes.io/hostname";
    let there = [pod("web", &json!({"nodeName": "b"}))];
    for (kind, app, key, expected) in [
        ("podAffinity", "web", host, "b"),
        ("podAntiAffinity", "web", host, "a"),
        ("podAffinity", "p", host, "a"),
        (
            "podAffinity",
            "db",
            host,
            "0/2 nodes are available: 2 node(s) didn't match pod affinity rules. preemption: 0/2 nodes are available: \
             2 Preemption is not helpful for scheduling.",
        ),
        (
            "podAntiAffinity",
            "web",
            "zone",
            "0/2 nodes are available: 2 node(s) didn't match pod anti-affinity rules. preemption: 0/2 nodes are \
             available: 2 No preemption victims found for incoming pod.",
        ),
    ] {
        let spec = json!({"affinity": {kind: term(app, key)}});
        assert_eq!(said(&decide(&nodes, &there, &pod("p", &spec))), expected, "{kind} {app} {key}");
    }
    let shy = [pod("shy", &json!({"nodeName": "a", "affinity": {"podAntiAffinity": term("p", host)}}))];
    assert_eq!(said(&decide(&nodes, &shy, &pod("p", &json!({})))), "b");
    let spread = json!({"topologySpreadConstraints": [{
        "maxSkew": 1, "topologyKey": host, "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": {"app": "p"}},
    }]});
    let mut other = pod("q", &json!({"nodeName": "a"}));
    other["metadata"]["labels"]["app"] = "p".into();
    assert_eq!(said(&decide(&nodes, &[other], &pod("p", &spread))), "b");
}

/// A pod that is near has to match all terms; of several namespaces only those that are named, or all.
#[test]
fn several_terms_and_namespaces() {
    let nodes = [node("a", &json!({}))];
    let near = |terms: Value| json!({"affinity": {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}}});
    let term = |key: &str, value: &str, more: Value| {
        let mut term = json!({"labelSelector": {"matchLabels": {key: value}}, "topologyKey": "zone"});
        term.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        term
    };
    let with = |labels: Value, namespace: &str| {
        let mut there = pod("there", &json!({"nodeName": "a"}));
        (there["metadata"]["labels"], there["metadata"]["namespace"]) = (labels, namespace.into());
        there
    };
    let other = |name: &str, labels: Value| {
        let mut there = with(labels, "n");
        there["metadata"]["uid"] = name.into();
        there
    };
    let refused = format!("0/1 nodes are available: 1 node(s) didn't match pod affinity rules. {HELPLESS}");
    let both = near(json!([term("app", "web", json!({})), term("tier", "front", json!({}))]));
    let in_m = near(json!([term("app", "web", json!({"namespaces": ["m"]}))]));
    let in_all = near(json!([term("app", "web", json!({"namespaceSelector": {}}))]));
    let nowhere = near(json!([term("app", "web", json!({"topologyKey": "rack"}))]));
    for (there, spec, fits) in [
        (vec![with(json!({"app": "web", "tier": "front"}), "n")], &both, true),
        (vec![with(json!({"app": "web"}), "n"), other("second", json!({"tier": "front"}))], &both, false),
        (vec![with(json!({"app": "web"}), "m")], &near(json!([term("app", "web", json!({}))])), false),
        (vec![with(json!({"app": "web"}), "m")], &in_m, true),
        (vec![with(json!({"app": "web"}), "o")], &in_m, false),
        (vec![with(json!({"app": "web"}), "o")], &in_all, true),
        (vec![with(json!({"app": "web"}), "n")], &nowhere, false),
    ] {
        let expected = if fits { "a" } else { &refused };
        assert_eq!(said(&decide(&nodes, &there, &pod("p", spec))), expected, "{there:?} {spec}");
    }
}

/// Domains that count, and how many there have to be.
#[test]
fn domains_of_a_spread() {
    let nodes =
        [node("a", &json!({})), node("b", &json!({"taints": [{"key": "k", "effect": "NoSchedule"}]}))];
    let mut there = pod("q", &json!({"nodeName": "a"}));
    there["metadata"]["labels"]["app"] = "p".into();
    let spread = |more: Value| {
        let mut constraint = json!({
            "maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "DoNotSchedule",
            "labelSelector": {"matchLabels": {"app": "p"}},
        });
        constraint.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"topologySpreadConstraints": [constraint]})
    };
    let selected = |more: Value| {
        let mut spec = spread(more);
        spec["nodeSelector"] = json!({"kubernetes.io/hostname": "a"});
        spec
    };
    for (spec, fits) in [
        // One on a, none on b, where it may not go.
        (spread(json!({})), false),
        (spread(json!({"maxSkew": 2})), true),
        (spread(json!({"nodeTaintsPolicy": "Honor"})), true),
        (spread(json!({"whenUnsatisfiable": "ScheduleAnyway"})), true),
        (spread(json!({"labelSelector": null})), true),
        (spread(json!({"labelSelector": {}})), false),
        (spread(json!({"labelSelector": {"matchLabels": {"app": "other"}}})), true),
        (
            spread(
                json!({"labelSelector": {"matchExpressions": [{"key": "app", "operator": "In", "values": ["p"]}]}}),
            ),
            false,
        ),
        (
            spread(
                json!({"labelSelector": {"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["p"]}]}}),
            ),
            true,
        ),
        (
            spread(
                json!({"labelSelector": {"matchExpressions": [{"key": "tier", "operator": "DoesNotExist"}]}}),
            ),
            false,
        ),
        (
            spread(json!({"labelSelector": {"matchExpressions": [{"key": "tier", "operator": "Exists"}]}})),
            true,
        ),
        (selected(json!({})), true),
        (selected(json!({"nodeAffinityPolicy": "Ignore"})), false),
        // Of a alone, where there have to be two, the least is none.
        (selected(json!({"minDomains": 2})), false),
        (selected(json!({"minDomains": 2, "maxSkew": 2})), true),
    ] {
        let decision = said(&decide(&nodes, std::slice::from_ref(&there), &pod("p", &spec)));
        assert_eq!(decision == "a", fits, "{spec}: {decision}");
        assert!(
            fits || decision.contains("node(s) didn't match pod topology spread constraints"),
            "{decision}"
        );
    }
    let apart = spread(json!({"topologyKey": "rack"}));
    let decision = said(&decide(&nodes, &[], &pod("p", &apart)));
    assert!(
        decision.contains("1 node(s) didn't match pod topology spread constraints (missing required label)"),
        "{decision}"
    );
}

/// An init container runs alone, but with the sidecars before it.
#[test]
fn what_a_pod_asks_for() {
    let container =
        |cpu: &str, policy: &str| json!({"restartPolicy": policy, "resources": {"requests": {"cpu": cpu}}});
    for (init, apps, more, expected) in [
        (json!([]), json!([container("1", ""), container("500m", "")]), json!({}), 1_500),
        (json!([container("3", "")]), json!([container("1", "")]), json!({}), 3_000),
        (json!([container("1", "Always")]), json!([container("1", "")]), json!({}), 2_000),
        (
            json!([container("1", "Always"), container("3", "")]),
            json!([container("1", "")]),
            json!({}),
            4_000,
        ),
        (
            json!([container("3", ""), container("1", "Always")]),
            json!([container("1", "")]),
            json!({}),
            3_000,
        ),
        (json!([]), json!([container("1", "")]), json!({"overhead": {"cpu": "250m"}}), 1_250),
        (json!([]), json!([container("1", "")]), json!({"resources": {"requests": {"cpu": "4"}}}), 4_000),
    ] {
        let mut spec = more.clone();
        spec["initContainers"] = init;
        spec["containers"] = apps;
        assert_eq!(requests_from_json(&spec).amount("cpu"), expected, "{spec}");
    }
}

/// A pod that is about to have other resources takes the most of what it wants, was granted and has.
#[test]
fn a_pod_that_is_resized_takes_the_most() {
    let status = |allocated: &str, given: &str, reason: &str| {
        json!({
            "conditions": [{"type": "PodResizePending", "reason": reason}],
            "containerStatuses": [{
                "name": "c", "allocatedResources": {"cpu": allocated}, "resources": {"requests": {"cpu": given}},
            }],
            "allocatedResources": {"cpu": allocated}, "resources": {"requests": {"cpu": given}},
        })
    };
    let takes = |wanted: &str, own: Option<&str>, status: Value| {
        let mut pod = pod("p", &cpu(wanted, &json!({"nodeName": "a"})));
        if let Some(own) = own {
            pod["spec"]["resources"] = json!({"requests": {"cpu": own}});
        }
        pod["status"] = status;
        pod_from_json(&pod, 0).requests.amount("cpu")
    };
    for (wanted, own, (allocated, given, reason), taken) in [
        ("1", None, ("2", "3", ""), 3_000),
        ("4", None, ("2", "3", "Deferred"), 4_000),
        ("4", None, ("2", "1", "Infeasible"), 2_000),
        ("1", Some("2"), ("3", "4", ""), 4_000),
        ("1", Some("5"), ("3", "4", "Infeasible"), 4_000),
    ] {
        assert_eq!(takes(wanted, own, status(allocated, given, reason)), taken, "{wanted} {own:?}");
    }
    assert_eq!(takes("1", None, json!({})), 1_000);
    let mut cluster = Cluster::default();
    let mut insert = |amount: &str| {
        cluster.insert_pod(pod_from_json(&pod("p", &cpu(amount, &json!({"nodeName": "a"}))), 0))
    };
    assert_eq!([insert("2"), insert("3"), insert("1"), insert("1")], [false, false, true, false]);
}

/// The first reason, in the order and the words of a kubelet.
#[test]
fn pods_that_name_a_node_that_cannot_take_them() {
    let plain = node_from_json(&node("a", &json!({})));
    let tainted =
        |effect: &str| node_from_json(&node("a", &json!({"taints": [{"key": "k", "effect": effect}]})));
    let there = |spec: &Value| pod_from_json(&pod("there", spec), 0);
    let port = |port: u16| json!({"containers": [{"ports": [{"containerPort": 1, "hostPort": port, "protocol": "TCP"}]}]});
    let memory = json!({"containers": [{"resources": {"requests": {"memory": "2Gi"}}}]});
    let disk = json!({"containers": [{"resources": {"requests": {"ephemeral-storage": "1"}}}]});
    let selector = json!({"nodeSelector": {"zone": "y"}});
    let busy = there(&cpu("1500m", &json!({})));
    let few: Vec<crate::Pod> = (0..4).map(|_| there(&json!({}))).collect();
    let enough = |text: &str| format!("Node didn't have enough resource: {text}");
    for (node, there, spec, reason, message) in [
        (&plain, vec![busy.clone()], cpu("500m", &json!({})), "", String::new()),
        (
            &plain,
            vec![busy],
            cpu("600m", &selector),
            "OutOfcpu",
            enough("cpu, requested: 600, used: 1500, capacity: 2000"),
        ),
        (
            &plain,
            vec![],
            memory,
            "OutOfmemory",
            enough("memory, requested: 2147483648, used: 0, capacity: 1073741824"),
        ),
        (
            &plain,
            vec![],
            disk,
            "OutOfephemeral-storage",
            enough("ephemeral-storage, requested: 1, used: 0, capacity: 0"),
        ),
        (&plain, few, cpu("9", &json!({})), "OutOfpods", enough("pods, requested: 1, used: 4, capacity: 4")),
        (
            &plain,
            vec![],
            selector.clone(),
            "NodeAffinity",
            "Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector".to_owned(),
        ),
        (
            &plain,
            vec![there(&port(80))],
            port(80),
            "NodePorts",
            "Predicate NodePorts failed: node(s) didn't have free ports for the requested pod ports"
                .to_owned(),
        ),
        (
            &tainted("NoExecute"),
            vec![],
            json!({}),
            "TaintToleration",
            "Predicate TaintToleration failed: node(s) had untolerated taint(s)".to_owned(),
        ),
        // A kubelet does not look at the others.
        (&tainted("NoSchedule"), vec![], json!({}), "", String::new()),
    ] {
        let found = crate::unfit(node, &there, &pod_from_json(&pod("p", &spec), 1));
        let said = found.as_ref().map_or(String::new(), ToString::to_string);
        let found = found.map_or(String::new(), |unfit| unfit.reason());
        assert_eq!((found.as_str(), said.as_str()), (reason, message.as_str()), "{spec}");
    }
}

#[test]
fn taints_that_evict() {
    let taints = |taints: Value| node_from_json(&node("a", &json!({"taints": taints}))).taints;
    let tolerations =
        |tolerations: Value| pod_from_json(&pod("p", &json!({"tolerations": tolerations})), 0).tolerations;
    let execute = json!([{"key": "k", "effect": "NoExecute"}, {"key": "l", "effect": "NoExecute"}]);
    let both = |seconds: i64| {
        json!([
            {"key": "k", "operator": "Exists", "effect": "NoExecute"},
            {"key": "l", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": seconds},
        ])
    };
    for (node, pod, expected) in [
        (json!([{"key": "k", "effect": "NoSchedule"}]), json!([]), Eviction::Never),
        (execute.clone(), json!([]), Eviction::After { seconds: 0 }),
        (execute.clone(), json!([{"operator": "Exists"}]), Eviction::Never),
        (execute.clone(), both(300), Eviction::After { seconds: 300 }),
        (execute, both(-1), Eviction::After { seconds: 0 }),
    ] {
        assert_eq!(eviction(&taints(node), &tolerations(pod.clone())), expected, "{pod}");
    }
}
