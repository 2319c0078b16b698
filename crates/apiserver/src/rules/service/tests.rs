use podspec::FieldError;
use serde_json::{Value, json};

use super::{SERVICES, drop_of_type};
use crate::kinds::Rules;

fn service(spec: Value) -> Value {
    let mut service = json!({"metadata": {"name": "s", "namespace": "a"}});
    service["spec"] = spec;
    SERVICES.default(&mut service);
    service
}

/// What is wrong with a service that has its addresses.
fn errors(mut spec: Value) -> Vec<String> {
    for (name, value) in [("ports", json!([{"port": 80}])), ("clusterIP", json!("10.0.0.1"))] {
        if spec.get(name).is_none() && spec["type"] != "ExternalName" {
            spec[name] = value;
        }
    }
    if spec.get("clusterIPs").is_none() && spec["clusterIP"].as_str().is_some_and(|ip| !ip.is_empty()) {
        spec["clusterIPs"] = json!([spec["clusterIP"]]);
    }
    shown(&SERVICES.validate(&service(spec)))
}

fn shown(errors: &[FieldError]) -> Vec<String> {
    errors.iter().map(ToString::to_string).collect()
}

#[test]
fn defaults() {
    let spec =
        service(json!({"ports": [{"port": 80}, {"name": "b", "port": 81, "targetPort": "web"}]}))["spec"]
            .clone();
    assert_eq!(
        spec,
        json!({
            "type": "ClusterIP", "sessionAffinity": "None", "internalTrafficPolicy": "Cluster",
            "ports": [
                {"port": 80, "protocol": "TCP", "targetPort": 80},
                {"name": "b", "port": 81, "protocol": "TCP", "targetPort": "web"},
            ],
        })
    );
    let spec = service(json!({"type": "NodePort", "sessionAffinity": "ClientIP"}))["spec"].clone();
    assert_eq!(spec["externalTrafficPolicy"], "Cluster");
    assert_eq!(spec["sessionAffinityConfig"]["clientIP"]["timeoutSeconds"], 10_800);
    let spec = service(json!({"type": "LoadBalancer"}))["spec"].clone();
    assert_eq!(spec["allocateLoadBalancerNodePorts"], true);
    let spec = service(json!({"type": "ExternalName", "externalName": "example.com"}))["spec"].clone();
    assert_eq!(
        spec,
        json!({"type": "ExternalName", "externalName": "example.com", "sessionAffinity": "None"})
    );
    let off =
        json!({"sessionAffinity": "None", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 5}}});
    assert_eq!(service(off)["spec"].get("sessionAffinityConfig"), None);
}

#[test]
fn good_services() {
    for spec in [
        json!({}),
        json!({"clusterIP": "None", "ports": []}),
        json!({"clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1", "fd00::1"], "ipFamilies": ["IPv4", "IPv6"]}),
        json!({"type": "NodePort", "ports": [
            {"name": "a", "port": 53, "nodePort": 30053},
            {"name": "b", "port": 53, "protocol": "UDP", "nodePort": 30053},
        ]}),
        json!({"type": "ExternalName", "externalName": "example.com."}),
        json!({"type": "LoadBalancer", "loadBalancerClass": "example.com/lb"}),
        json!({"sessionAffinity": "ClientIP", "trafficDistribution": "PreferSameNode"}),
        json!({"ports": [{"port": 80, "appProtocol": "kubernetes.io/h2c", "targetPort": "web"}]}),
    ] {
        assert_eq!(errors(spec.clone()), [""; 0], "{spec}");
    }
}

#[test]
fn what_is_wrong_is_named() {
    let ports = |ports: Value| json!({"ports": ports});
    for (spec, message) in [
        (ports(json!([])), "spec.ports: Required value"),
        (ports(json!([{"port": 80}, {"name": "b", "port": 81}])), "spec.ports[0].name: Required value"),
        (
            ports(json!([{"name": "a", "port": 80}, {"name": "a", "port": 81}])),
            "spec.ports[1].name: Duplicate value: \"a\"",
        ),
        (
            ports(json!([{"port": 0, "targetPort": 1}])),
            "spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive",
        ),
        (
            ports(json!([{"port": 1, "protocol": "ICMP"}])),
            "spec.ports[0].protocol: Unsupported value: \"ICMP\": supported values: \"SCTP\", \"TCP\", \"UDP\"",
        ),
        (
            ports(json!([{"port": 1, "nodePort": 30001}])),
            "spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'",
        ),
        (
            json!({"type": "NodePort", "ports": [
                {"name": "a", "port": 1, "nodePort": 30001}, {"name": "b", "port": 2, "nodePort": 30001},
            ]}),
            "spec.ports[1].nodePort: Duplicate value: 30001",
        ),
        (
            json!({"type": "NodePort", "clusterIP": "None"}),
            "spec.clusterIPs[0]: Invalid value: \"None\": may not be set to 'None' for NodePort services",
        ),
        (
            json!({"type": "Other"}),
            "spec.type: Unsupported value: \"Other\": supported values: \"ClusterIP\", \"ExternalName\", \"LoadBalancer\", \"NodePort\"",
        ),
        (json!({"type": "ExternalName"}), "spec.externalName: Required value"),
        (
            json!({"type": "ExternalName", "externalName": "a.b", "clusterIP": "10.0.0.1"}),
            "spec.clusterIPs: Forbidden: may not be set for ExternalName services",
        ),
        (
            json!({"clusterIP": "10.0.0.300"}),
            "spec.clusterIPs[0]: Invalid value: \"10.0.0.300\": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)",
        ),
        (
            json!({"clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.2"]}),
            "spec.clusterIPs: Invalid value: [\"10.0.0.2\"]: first value must match `clusterIP`",
        ),
        (
            json!({"clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1", "10.0.0.2"]}),
            "spec.clusterIPs: Invalid value: [\"10.0.0.1\",\"10.0.0.2\"]: may specify no more than one IP for each IP family",
        ),
        (
            json!({"clusterIP": "", "clusterIPs": ["10.0.0.1"]}),
            "spec.clusterIPs: Invalid value: [\"10.0.0.1\"]: must be empty when `clusterIP` is not specified",
        ),
        (
            json!({"clusterIP": "fd00::1", "ipFamilies": ["IPv4"]}),
            "spec.clusterIPs[0]: Invalid value: \"fd00::1\": expected an IPv4 value as indicated by `ipFamilies[0]`",
        ),
        (json!({"ipFamilies": ["IPv4", "IPv4"]}), "spec.ipFamilies[1]: Duplicate value: \"IPv4\""),
        (
            json!({"ipFamilyPolicy": "Both"}),
            "spec.ipFamilyPolicy: Unsupported value: \"Both\": supported values: \"PreferDualStack\", \"RequireDualStack\", \"SingleStack\"",
        ),
        (
            json!({"sessionAffinity": "Cookie"}),
            "spec.sessionAffinity: Unsupported value: \"Cookie\": supported values: \"ClientIP\", \"None\"",
        ),
        (
            json!({"sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 90_000}}}),
            "spec.sessionAffinityConfig.clientIP.timeoutSeconds: Invalid value: 90000: must be greater than 0 and less than 86400",
        ),
        (
            json!({"externalTrafficPolicy": "Local"}),
            "spec.externalTrafficPolicy: Invalid value: \"Local\": may only be set for externally-accessible services",
        ),
        (
            json!({"internalTrafficPolicy": "Near"}),
            "spec.internalTrafficPolicy: Unsupported value: \"Near\": supported values: \"Cluster\", \"Local\"",
        ),
        (
            json!({"externalIPs": ["192.0.2.1"]}),
            "spec.externalIPs: Forbidden: not supported: any client could draw the traffic of others to itself this way; use type NodePort",
        ),
        (
            json!({"type": "LoadBalancer", "loadBalancerSourceRanges": ["10.0.0.0/8"]}),
            "spec.loadBalancerSourceRanges: Forbidden: not supported: there is no load balancer that would keep others out; use a NetworkPolicy",
        ),
        (
            json!({"loadBalancerClass": "a/b"}),
            "spec.loadBalancerClass: Forbidden: may only be used when `type` is 'LoadBalancer'",
        ),
        (
            json!({"selector": {"a b": "c"}}),
            "spec.selector: Invalid value: \"a b\": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')",
        ),
    ] {
        assert_eq!(errors(spec.clone()), [message], "{spec}");
    }
}

#[test]
fn the_first_address_stays() {
    let with = |ips: Value, policy: &str| {
        service(
            json!({"ports": [{"port": 80}], "clusterIP": ips[0], "clusterIPs": ips, "ipFamilyPolicy": policy}),
        )
    };
    let old = with(json!(["10.0.0.1", "fd00::1"]), "RequireDualStack");
    let changed = |new: &Value| shown(&SERVICES.validate_update(new, &old, None));
    assert_eq!(changed(&old), [""; 0]);
    assert_eq!(changed(&with(json!(["10.0.0.1"]), "SingleStack")), [""; 0]);
    assert_eq!(
        changed(&with(json!(["10.0.0.1"]), "PreferDualStack")),
        [
            "spec.ipFamilyPolicy: Invalid value: \"PreferDualStack\": must be set to 'SingleStack' when releasing the secondary clusterIP"
        ]
    );
    assert_eq!(
        changed(&with(json!(["10.0.0.2", "fd00::1"]), "RequireDualStack")),
        ["spec.clusterIPs[0]: Invalid value: [\"10.0.0.2\",\"fd00::1\"]: may not change once set"]
    );
    let named = service(json!({"type": "ExternalName", "externalName": "a.b"}));
    assert_eq!(changed(&named), [""; 0]);
}

#[test]
fn what_belongs_to_the_old_type_goes_with_it() {
    let old = service(json!({
        "type": "NodePort", "clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"], "ipFamilies": ["IPv4"],
        "ipFamilyPolicy": "SingleStack", "ports": [{"port": 80, "nodePort": 30080}],
    }));
    let mut named = old.clone();
    named["spec"]["type"] = "ExternalName".into();
    named["spec"]["externalName"] = "example.com".into();
    drop_of_type(&mut named, &old);
    assert_eq!(
        named["spec"],
        json!({
            "type": "ExternalName", "externalName": "example.com", "sessionAffinity": "None",
            "ports": [{"port": 80, "protocol": "TCP", "targetPort": 80}],
        })
    );
    assert_eq!(shown(&SERVICES.validate_update(&named, &old, None)), [""; 0]);
    let mut inside = old.clone();
    inside["spec"]["type"] = "ClusterIP".into();
    drop_of_type(&mut inside, &old);
    assert_eq!(inside["spec"]["ports"][0].get("nodePort"), None);
    assert_eq!(inside["spec"].get("externalTrafficPolicy"), None);
    assert_eq!(inside["spec"]["clusterIP"], "10.0.0.1");
    // What the client asks for anew is its mistake, and stays to be told.
    let mut asked = old.clone();
    asked["spec"]["type"] = "ClusterIP".into();
    asked["spec"]["ports"][0]["nodePort"] = 30_081.into();
    drop_of_type(&mut asked, &old);
    assert_eq!(
        shown(&SERVICES.validate_update(&asked, &old, None)),
        ["spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'"]
    );
}

#[test]
fn the_status_is_a_load_balancers() {
    let status = |kind: &str, ingress: Value| {
        let mut service = service(json!({"type": kind, "ports": [{"port": 80}]}));
        service["status"] = json!({"loadBalancer": {"ingress": ingress}});
        SERVICES.default(&mut service);
        (shown(&SERVICES.validate_update(&service, &service, Some("status"))), service)
    };
    let (errors, service) = status("LoadBalancer", json!([{"ip": "192.0.2.1"}, {"hostname": "a.example"}]));
    assert_eq!(errors, [""; 0]);
    assert_eq!(service["status"]["loadBalancer"]["ingress"][0]["ipMode"], "VIP");
    for (kind, ingress, message) in [
        (
            "ClusterIP",
            json!([{"ip": "192.0.2.1"}]),
            "status.loadBalancer.ingress: Forbidden: may only be used when `spec.type` is 'LoadBalancer'",
        ),
        (
            "LoadBalancer",
            json!([{"hostname": "192.0.2.1"}]),
            "status.loadBalancer.ingress[0].hostname: Invalid value: \"192.0.2.1\": must be a DNS name, not an IP address",
        ),
        (
            "LoadBalancer",
            json!([{"ip": "192.0.2.1", "ipMode": "NAT"}]),
            "status.loadBalancer.ingress[0].ipMode: Unsupported value: \"NAT\": supported values: \"Proxy\", \"VIP\"",
        ),
    ] {
        assert_eq!(status(kind, ingress).0, [message]);
    }
}

#[test]
fn what_has_no_effect_is_warned_of() {
    let balanced = service(json!({"type": "LoadBalancer", "loadBalancerIP": "192.0.2.1"}));
    assert_eq!(SERVICES.warnings(&balanced, None).len(), 2);
    assert_eq!(SERVICES.warnings(&balanced, Some(&balanced)).len(), 1);
    let near = service(json!({"trafficDistribution": "PreferClose"}));
    assert_eq!(
        SERVICES.warnings(&near, None),
        ["spec.trafficDistribution: \"PreferClose\" is deprecated; use \"PreferSameZone\""]
    );
    assert_eq!(SERVICES.warnings(&service(json!({})), None), [""; 0]);
}
