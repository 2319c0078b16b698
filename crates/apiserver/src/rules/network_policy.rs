//! NetworkPolicies (<https://kubernetes.io/docs/concepts/services-networking/network-policies/>).

use ipnet::IpNet;
use podspec::json::{integer, list, text};
use podspec::{FieldError, FieldPath, format, label_selector};
use serde_json::{Value, json};

use super::edit::{first_generation, invalid, next_generation, path, section, set_default};
use crate::kinds::Rules;

pub static NETWORK_POLICIES: NetworkPolicies = NetworkPolicies;

#[derive(Debug)]
pub struct NetworkPolicies;

const TYPES: [&str; 2] = ["Ingress", "Egress"];
const PROTOCOLS: [&str; 3] = ["TCP", "UDP", "SCTP"];
/// The rules of each direction, and what they call the other side.
const DIRECTIONS: [(&str, &str); 2] = [("ingress", "from"), ("egress", "to")];

impl Rules for NetworkPolicies {
    fn default(&self, policy: &mut Value) {
        let Some(spec) = section(policy, "spec") else { return };
        spec.entry("podSelector").or_insert_with(|| json!({}));
        if spec.get("policyTypes").and_then(Value::as_array).is_none_or(Vec::is_empty) {
            let has_egress =
                spec.get("egress").and_then(Value::as_array).is_some_and(|rules| !rules.is_empty());
            let types = if has_egress { json!(["Ingress", "Egress"]) } else { json!(["Ingress"]) };
            spec.insert("policyTypes".to_owned(), types);
        }
        for (direction, _) in DIRECTIONS {
            for rule in spec.get_mut(direction).and_then(Value::as_array_mut).into_iter().flatten() {
                for port in rule.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
                    if let Some(port) = port.as_object_mut() {
                        set_default(port, "protocol", "TCP");
                    }
                }
            }
        }
    }

    fn prepare_create(&self, policy: &mut Value) {
        first_generation(policy);
    }

    fn prepare_update(&self, new: &mut Value, old: &Value, _: Option<&str>) {
        next_generation(new, old, &["spec"]);
    }

    fn validate(&self, policy: &Value) -> Vec<FieldError> {
        let mut errors = Vec::new();
        let (spec, at) = (&policy["spec"], path(&["spec"]));
        label_selector(&spec["podSelector"], &at.child("podSelector"), &mut errors);
        for (direction, others) in DIRECTIONS {
            for (index, rule) in list(spec, direction).iter().enumerate() {
                let at = at.child(direction).index(index);
                for (index, port) in list(rule, "ports").iter().enumerate() {
                    self::port(port, &at.child("ports").index(index), &mut errors);
                }
                for (index, peer) in list(rule, others).iter().enumerate() {
                    self::peer(peer, &at.child(others).index(index), &mut errors);
                }
            }
        }
        let types = list(spec, "policyTypes");
        if types.len() > TYPES.len() {
            let message = "may not specify more than two policyTypes";
            errors.push(FieldError::invalid(at.child("policyTypes"), types.to_vec(), message));
            return errors;
        }
        for (index, kind) in types.iter().enumerate() {
            let kind = kind.as_str().unwrap_or("");
            if !TYPES.contains(&kind) {
                errors.push(FieldError::not_supported(at.child("policyTypes").index(index), kind, &TYPES));
            }
        }
        errors
    }
}

fn port(port: &Value, at: &FieldPath, errors: &mut Vec<FieldError>) {
    let protocol = text(port, "protocol");
    if !PROTOCOLS.contains(&protocol) {
        errors.push(FieldError::not_supported(at.child("protocol"), protocol, &PROTOCOLS));
    }
    let end = integer(port, "endPort");
    let mut wrong = |name: &str, value: Value, message: &str| {
        errors.push(FieldError::invalid(at.child(name), value, message));
    };
    match (&port["port"], end) {
        (Value::Number(number), _) => {
            let number = number.as_i64().unwrap_or(0);
            for message in format::port_number(number) {
                wrong("port", number.into(), &message);
            }
            let Some(end) = end else { return };
            if end < number {
                wrong("endPort", number.into(), "must be greater than or equal to `port`");
            }
            for message in format::port_number(end) {
                wrong("endPort", end.into(), &message);
            }
        }
        (Value::String(name), _) => {
            if let Some(end) = end {
                wrong("endPort", end.into(), "may not be specified when `port` is non-numeric");
            }
            for message in format::port_name(name) {
                wrong("port", name.as_str().into(), &message);
            }
        }
        (_, Some(end)) => wrong("endPort", end.into(), "may not be specified when `port` is not specified"),
        (_, None) => {}
    }
}

fn peer(peer: &Value, at: &FieldPath, errors: &mut Vec<FieldError>) {
    let is_set = |name: &str| peer.get(name).is_some_and(Value::is_object);
    for name in ["podSelector", "namespaceSelector"] {
        label_selector(&peer[name], &at.child(name), errors);
    }
    let selects = is_set("podSelector") || is_set("namespaceSelector");
    if is_set("ipBlock") {
        block(&peer["ipBlock"], &at.child("ipBlock"), errors);
        if selects {
            errors.push(FieldError::forbidden(at.clone(), "may not specify both ipBlock and another peer"));
        }
    } else if !selects {
        errors.push(FieldError::required(at.clone(), "must specify a peer"));
    }
}

fn block(block: &Value, at: &FieldPath, errors: &mut Vec<FieldError>) {
    let cidr = text(block, "cidr");
    if cidr.is_empty() {
        errors.push(FieldError::required(at.child("cidr"), ""));
        return;
    }
    invalid(errors, &at.child("cidr"), cidr, format::cidr(cidr));
    let Ok(within) = cidr.parse::<IpNet>() else { return };
    for (index, except) in list(block, "except").iter().filter_map(Value::as_str).enumerate() {
        let at = at.child("except").index(index);
        invalid(errors, &at, except, format::cidr(except));
        let Ok(range) = except.parse::<IpNet>() else { continue };
        if !within.contains(&range) || within.prefix_len() >= range.prefix_len() {
            errors.push(FieldError::invalid(at, except, "must be a strict subset of `cidr`"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(spec: Value) -> Value {
        let mut policy = json!({"metadata": {"name": "p", "namespace": "a"}});
        policy["spec"] = spec;
        NETWORK_POLICIES.default(&mut policy);
        policy
    }

    fn errors(spec: Value) -> Vec<String> {
        NETWORK_POLICIES.validate(&policy(spec)).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_directions_that_a_policy_is_about_follow_from_its_rules() {
        let rule = json!([{"ports": [{"port": 53}]}]);
        for (spec, types) in [
            (json!({}), json!(["Ingress"])),
            (json!({"ingress": rule}), json!(["Ingress"])),
            (json!({"egress": []}), json!(["Ingress"])),
            (json!({"egress": rule}), json!(["Ingress", "Egress"])),
            (json!({"egress": rule, "policyTypes": ["Egress"]}), json!(["Egress"])),
        ] {
            assert_eq!(policy(spec.clone())["spec"]["policyTypes"], types, "{spec}");
        }
        let defaulted = policy(json!({"egress": rule}));
        assert_eq!(defaulted["spec"]["egress"][0]["ports"][0]["protocol"], "TCP");
        assert_eq!(defaulted["spec"]["podSelector"], json!({}));
    }

    #[test]
    fn good_policies_are_accepted() {
        for spec in [
            json!({"podSelector": {"matchLabels": {"app": "web"}}, "ingress": [{}], "egress": [{}]}),
            json!({"ingress": [{"from": [{"podSelector": {}, "namespaceSelector": {}}, {"namespaceSelector": {}}]}]}),
            json!({"ingress": [{"ports": [{"protocol": "UDP", "port": 1, "endPort": 65535}, {"port": "http"}, {"protocol": "SCTP"}]}]}),
            json!({"egress": [{"to": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}}]}]}),
            json!({"egress": [{"to": [{"ipBlock": {"cidr": "2001:db8::/32"}}]}]}),
        ] {
            assert_eq!(errors(spec.clone()), [""; 0], "{spec}");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        let port = |port: Value| json!({"ingress": [{"ports": [port]}]});
        let peer = |peer: Value| json!({"egress": [{"to": [peer]}]});
        for (spec, message) in [
            (
                port(json!({"protocol": "ICMP"})),
                "spec.ingress[0].ports[0].protocol: Unsupported value: \"ICMP\": supported values: \"TCP\", \"UDP\", \"SCTP\"",
            ),
            (
                port(json!({"port": 0})),
                "spec.ingress[0].ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive",
            ),
            (
                port(json!({"port": 9, "endPort": 8})),
                "spec.ingress[0].ports[0].endPort: Invalid value: 9: must be greater than or equal to `port`",
            ),
            (
                port(json!({"port": "http", "endPort": 8})),
                "spec.ingress[0].ports[0].endPort: Invalid value: 8: may not be specified when `port` is non-numeric",
            ),
            (
                port(json!({"endPort": 8})),
                "spec.ingress[0].ports[0].endPort: Invalid value: 8: may not be specified when `port` is not specified",
            ),
            (peer(json!({})), "spec.egress[0].to[0]: Required value: must specify a peer"),
            (
                peer(json!({"podSelector": {}, "ipBlock": {"cidr": "10.0.0.0/8"}})),
                "spec.egress[0].to[0]: Forbidden: may not specify both ipBlock and another peer",
            ),
            (peer(json!({"ipBlock": {}})), "spec.egress[0].to[0].ipBlock.cidr: Required value"),
            (
                peer(json!({"ipBlock": {"cidr": "10.0.0.0"}})),
                "spec.egress[0].to[0].ipBlock.cidr: Invalid value: \"10.0.0.0\": must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)",
            ),
            (
                peer(json!({"ipBlock": {"cidr": "10.0.0.0/8", "except": ["11.0.0.0/16"]}})),
                "spec.egress[0].to[0].ipBlock.except[0]: Invalid value: \"11.0.0.0/16\": must be a strict subset of `cidr`",
            ),
            (
                peer(json!({"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.0.0.0/8"]}})),
                "spec.egress[0].to[0].ipBlock.except[0]: Invalid value: \"10.0.0.0/8\": must be a strict subset of `cidr`",
            ),
            (
                json!({"policyTypes": ["Both"]}),
                "spec.policyTypes[0]: Unsupported value: \"Both\": supported values: \"Ingress\", \"Egress\"",
            ),
            (
                json!({"podSelector": {"matchExpressions": [{"key": "a", "operator": "Is"}]}}),
                "spec.podSelector.matchExpressions[0].operator: Invalid value: \"Is\": not a valid selector operator",
            ),
        ] {
            assert_eq!(errors(spec.clone()), [message], "{spec}");
        }
    }
}
