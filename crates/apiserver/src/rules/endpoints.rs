//! Endpoints and EndpointSlices.

use std::collections::BTreeSet;
use std::net::IpAddr;

use podspec::json::{fields, integer, list, text};
use podspec::{FieldError, FieldPath, format};
use serde_json::Value;

use super::edit::{first_generation, immutable, invalid, next_generation, path, set_default};
use crate::kinds::Rules;

pub static ENDPOINTS: Endpoints = Endpoints;
pub static ENDPOINT_SLICES: EndpointSlices = EndpointSlices;

#[derive(Debug)]
pub struct Endpoints;

#[derive(Debug)]
pub struct EndpointSlices;

const PROTOCOLS: [&str; 3] = ["SCTP", "TCP", "UDP"];
const ADDRESS_TYPES: [&str; 3] = ["FQDN", "IPv4", "IPv6"];
const ENDPOINTS_MAX: usize = 1_000;
const ADDRESSES_MAX: usize = 100;
const PORTS_MAX: usize = 20_000;
const TOPOLOGY_LABELS_MAX: usize = 16;
const HINTS_MAX: usize = 8;

impl Rules for Endpoints {
    fn default(&self, endpoints: &mut Value) {
        for subset in endpoints.get_mut("subsets").and_then(Value::as_array_mut).into_iter().flatten() {
            default_ports(subset);
        }
    }

    fn validate(&self, endpoints: &Value) -> Vec<FieldError> {
        let mut errors = Vec::new();
        for (index, subset) in list(endpoints, "subsets").iter().enumerate() {
            let at = path(&["subsets"]).index(index);
            let (ready, others) = (list(subset, "addresses"), list(subset, "notReadyAddresses"));
            if ready.is_empty() && others.is_empty() {
                errors.push(FieldError::required(
                    at.clone(),
                    "must specify `addresses` or `notReadyAddresses`",
                ));
            }
            for (name, addresses) in [("addresses", ready), ("notReadyAddresses", others)] {
                for (index, address) in addresses.iter().enumerate() {
                    self::address(address, &at.child(name).index(index), &mut errors);
                }
            }
            let ports = list(subset, "ports");
            for (index, port) in ports.iter().enumerate() {
                self::port(port, ports.len() > 1, &at.child("ports").index(index), &mut errors);
            }
        }
        errors
    }

    /// What is there as it was may be of a version with other rules.
    fn validate_update(&self, new: &Value, old: &Value, _: Option<&str>) -> Vec<FieldError> {
        if new.get("subsets") == old.get("subsets") { Vec::new() } else { self.validate(new) }
    }
}

impl Rules for EndpointSlices {
    fn default(&self, slice: &mut Value) {
        default_ports(slice);
        for port in slice.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
            if let Some(port) = port.as_object_mut() {
                port.entry("name").or_insert_with(|| "".into());
            }
        }
    }

    fn prepare_create(&self, slice: &mut Value) {
        first_generation(slice);
    }

    fn prepare_update(&self, new: &mut Value, old: &Value, _: Option<&str>) {
        let relabelled = new["metadata"].get("labels") != old["metadata"].get("labels");
        // Who follows slices finds out whose they are by their labels.
        let changed: &[&str] =
            if relabelled { &["metadata"] } else { &["endpoints", "ports", "addressType"] };
        next_generation(new, old, changed);
    }

    fn validate(&self, slice: &Value) -> Vec<FieldError> {
        let mut errors = kind_and_ports(slice);
        errors.extend(endpoints(slice));
        errors
    }

    fn validate_update(&self, new: &Value, old: &Value, _: Option<&str>) -> Vec<FieldError> {
        let mut errors = kind_and_ports(new);
        if new.get("endpoints") != old.get("endpoints") {
            errors.extend(endpoints(new));
        }
        immutable(&mut errors, new, old, &["addressType"]);
        errors
    }

    fn warnings(&self, new: &Value, old: Option<&Value>) -> Vec<String> {
        let is_new_name = old.is_none() && text(new, "addressType") == "FQDN";
        let warning = || "spec.addressType: FQDN endpoints are deprecated".to_owned();
        is_new_name.then(warning).into_iter().collect()
    }
}

fn default_ports(owner: &mut Value) {
    for port in owner.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(port) = port.as_object_mut() {
            set_default(port, "protocol", "TCP");
        }
    }
}

fn address(address: &Value, at: &FieldPath, errors: &mut Vec<FieldError>) {
    let (ip, host, node) = (text(address, "ip"), text(address, "hostname"), text(address, "nodeName"));
    invalid(errors, &at.child("ip"), ip, format::endpoint_address(ip));
    if !host.is_empty() {
        invalid(errors, &at.child("hostname"), host, format::dns_label(host));
    }
    if !node.is_empty() {
        invalid(errors, &at.child("nodeName"), node, format::dns_subdomain(node));
    }
}

fn port(port: &Value, named: bool, at: &FieldPath, errors: &mut Vec<FieldError>) {
    let (name, number) = (text(port, "name"), integer(port, "port").unwrap_or(0));
    if named && name.is_empty() {
        errors.push(FieldError::required(at.child("name"), ""));
    } else if !name.is_empty() {
        invalid(errors, &at.child("name"), name, format::dns_label(name));
    }
    for message in format::port_number(number) {
        errors.push(FieldError::invalid(at.child("port"), number, &message));
    }
    protocols(port, at, errors);
}

/// What is spoken over it, and in it.
fn protocols(port: &Value, at: &FieldPath, errors: &mut Vec<FieldError>) {
    let protocol = text(port, "protocol");
    if !PROTOCOLS.contains(&protocol) {
        errors.push(FieldError::not_supported(at.child("protocol"), protocol, &PROTOCOLS));
    }
    if let Some(spoken) = port.get("appProtocol").and_then(Value::as_str) {
        invalid(errors, &at.child("appProtocol"), spoken, format::qualified_name(spoken));
    }
}

fn kind_and_ports(slice: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    match text(slice, "addressType") {
        "" => errors.push(FieldError::required(path(&["addressType"]), "")),
        kind if !ADDRESS_TYPES.contains(&kind) => {
            errors.push(FieldError::not_supported(path(&["addressType"]), kind, &ADDRESS_TYPES));
        }
        _ => {}
    }
    let ports = list(slice, "ports");
    if too_many(ports, PORTS_MAX, &path(&["ports"]), &mut errors) {
        return errors;
    }
    let mut names = BTreeSet::new();
    for (index, port) in ports.iter().enumerate() {
        let (at, name) = (path(&["ports"]).index(index), text(port, "name"));
        if !name.is_empty() {
            invalid(&mut errors, &at.child("name"), name, format::dns_label(name));
        }
        if !names.insert(name) {
            errors.push(FieldError::duplicate(at.child("name"), name));
        }
        protocols(port, &at, &mut errors);
    }
    errors
}

fn endpoints(slice: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let endpoints = list(slice, "endpoints");
    if too_many(endpoints, ENDPOINTS_MAX, &path(&["endpoints"]), &mut errors) {
        return errors;
    }
    for (index, endpoint) in endpoints.iter().enumerate() {
        let at = path(&["endpoints"]).index(index);
        addresses(endpoint, text(slice, "addressType"), &at.child("addresses"), &mut errors);
        for (name, rule) in
            [("nodeName", format::dns_subdomain as fn(&str) -> Vec<String>), ("hostname", format::dns_label)]
        {
            if let Some(value) = endpoint.get(name).and_then(Value::as_str) {
                invalid(&mut errors, &at.child(name), value, rule(value));
            }
        }
        topology(&endpoint["deprecatedTopology"], &at.child("deprecatedTopology"), &mut errors);
        hints(&endpoint["hints"], "forZones", format::label_value, &at.child("hints"), &mut errors);
        hints(&endpoint["hints"], "forNodes", format::dns_subdomain, &at.child("hints"), &mut errors);
    }
    errors
}

fn addresses(endpoint: &Value, kind: &str, at: &FieldPath, errors: &mut Vec<FieldError>) {
    let addresses = list(endpoint, "addresses");
    if addresses.is_empty() {
        errors.push(FieldError::required(at.clone(), "must contain at least 1 address"));
    }
    too_many(addresses, ADDRESSES_MAX, at, errors);
    for (index, address) in addresses.iter().filter_map(Value::as_str).enumerate().take(ADDRESSES_MAX) {
        let own = at.index(index);
        match kind {
            "IPv4" | "IPv6" => {
                let parsed = address.parse::<IpAddr>().ok();
                if parsed.is_some_and(|ip| ip.is_ipv4() != (kind == "IPv4")) {
                    let message = format!("must be an {kind} address");
                    errors.push(FieldError::invalid(at.clone(), address, &message));
                }
                invalid(errors, &own, address, format::endpoint_address(address));
                if let Some(message) = parsed.and_then(|ip| other_form(ip, address)) {
                    errors.push(FieldError::invalid(own, address, &message));
                }
            }
            "FQDN" => name(address, &own, errors),
            _ => {}
        }
    }
}

/// IPv6 has to be written in the one form that RFC 5952 has for it.
fn other_form(ip: IpAddr, written: &str) -> Option<String> {
    let canonical = ip.to_string();
    (ip.is_ipv6() && canonical != written)
        .then(|| format!("must be in canonical form ({})", podspec::field::quote(&canonical)))
}

fn name(name: &str, at: &FieldPath, errors: &mut Vec<FieldError>) {
    if name.is_empty() {
        errors.push(FieldError::required(at.clone(), ""));
        return;
    }
    let name = name.strip_suffix('.').unwrap_or(name);
    let messages = format::dns_subdomain(name);
    if !messages.is_empty() {
        errors.push(FieldError::invalid(at.clone(), name, &messages.join(",")));
    } else if !name.contains('.') {
        let message = "should be a domain with at least two segments separated by dots";
        errors.push(FieldError::invalid(at.clone(), name, message));
    }
}

fn topology(labels: &Value, at: &FieldPath, errors: &mut Vec<FieldError>) {
    let labels = fields(labels);
    if labels.len() > TOPOLOGY_LABELS_MAX {
        errors.push(FieldError::too_many(at.clone(), labels.len(), TOPOLOGY_LABELS_MAX));
    }
    for (key, value) in labels {
        invalid(errors, at, key, format::qualified_name(key));
        let value = value.as_str().unwrap_or("");
        invalid(errors, at, value, format::label_value(value));
    }
}

fn hints(
    hints: &Value,
    list_name: &str,
    rule: fn(&str) -> Vec<String>,
    at: &FieldPath,
    errors: &mut Vec<FieldError>,
) {
    let (entries, at) = (list(hints, list_name), at.child(list_name));
    if too_many(entries, HINTS_MAX, &at, errors) {
        return;
    }
    let mut seen = BTreeSet::new();
    for (index, entry) in entries.iter().enumerate() {
        let (at, name) = (at.index(index).child("name"), text(entry, "name"));
        if !seen.insert(name) {
            errors.push(FieldError::duplicate(at.clone(), name));
        }
        invalid(errors, &at, name, rule(name));
    }
}

fn too_many(items: &[Value], max: usize, at: &FieldPath, errors: &mut Vec<FieldError>) -> bool {
    if items.len() > max {
        errors.push(FieldError::too_many(at.clone(), items.len(), max));
    }
    items.len() > max
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of_slice(mut slice: Value) -> Vec<String> {
        slice["addressType"] = slice.get("addressType").cloned().unwrap_or_else(|| "IPv4".into());
        ENDPOINT_SLICES.default(&mut slice);
        ENDPOINT_SLICES.validate(&slice).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn good_slices() {
        for slice in [
            json!({"endpoints": [], "ports": []}),
            json!({"endpoints": [{"addresses": ["10.0.0.1"], "nodeName": "n", "hostname": "h"}], "ports": [{}, {"name": "a"}]}),
            json!({"addressType": "IPv6", "endpoints": [{"addresses": ["2001:db8::1"]}]}),
            json!({"addressType": "FQDN", "endpoints": [{"addresses": ["example.com."]}]}),
            json!({"endpoints": [{"addresses": ["10.0.0.1"], "hints": {"forZones": [{"name": "z"}]}}]}),
        ] {
            assert_eq!(of_slice(slice.clone()), [""; 0], "{slice}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_slice_is_named() {
        let endpoint = |endpoint: Value| json!({"endpoints": [endpoint]});
        let valid = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
        for (slice, message) in [
            (
                json!({"addressType": "IP"}),
                "addressType: Unsupported value: \"IP\": supported values: \"FQDN\", \"IPv4\", \"IPv6\"".to_owned(),
            ),
            (
                endpoint(json!({"addresses": []})),
                "endpoints[0].addresses: Required value: must contain at least 1 address".to_owned(),
            ),
            (
                endpoint(json!({"addresses": ["x"]})),
                format!("endpoints[0].addresses[0]: Invalid value: \"x\": {valid}"),
            ),
            (
                endpoint(json!({"addresses": ["2001:db8::1"]})),
                "endpoints[0].addresses: Invalid value: \"2001:db8::1\": must be an IPv4 address".to_owned(),
            ),
            (
                endpoint(json!({"addresses": ["127.0.0.1"]})),
                "endpoints[0].addresses[0]: Invalid value: \"127.0.0.1\": may not be in the loopback range (127.0.0.0/8, ::1/128)".to_owned(),
            ),
            (
                json!({"addressType": "IPv6", "endpoints": [{"addresses": ["2001:DB8::1"]}]}),
                "endpoints[0].addresses[0]: Invalid value: \"2001:DB8::1\": must be in canonical form (\"2001:db8::1\")".to_owned(),
            ),
            (
                json!({"addressType": "FQDN", "endpoints": [{"addresses": ["example"]}]}),
                "endpoints[0].addresses[0]: Invalid value: \"example\": should be a domain with at least two segments separated by dots".to_owned(),
            ),
            (
                json!({"ports": [{"port": 1}, {"port": 2}]}),
                "ports[1].name: Duplicate value: \"\"".to_owned(),
            ),
            (
                endpoint(json!({"addresses": ["10.0.0.1"], "hints": {"forZones": [{"name": "z"}, {"name": "z"}]}})),
                "endpoints[0].hints.forZones[1].name: Duplicate value: \"z\"".to_owned(),
            ),
            (
                json!({"endpoints": vec![json!({"addresses": ["10.0.0.1"]}); 1_001]}),
                "endpoints: Too many: 1001: must have at most 1000 items".to_owned(),
            ),
        ] {
            assert_eq!(of_slice(slice.clone()), [message]);
        }
    }

    #[test]
    fn what_is_wrong_with_endpoints_is_named_but_for_what_was_there() {
        let endpoints = |ip: &str| json!({"subsets": [{"addresses": [{"ip": ip}], "ports": [{"port": 80, "protocol": "TCP"}]}]});
        assert_eq!(ENDPOINTS.validate(&endpoints("192.0.2.1")), []);
        let wrong = endpoints("169.254.0.1");
        let found = ENDPOINTS.validate(&wrong);
        assert_eq!(
            found[0].to_string(),
            "subsets[0].addresses[0].ip: Invalid value: \"169.254.0.1\": may not be in the link-local range (169.254.0.0/16, fe80::/10)"
        );
        assert_eq!(ENDPOINTS.validate_update(&wrong, &wrong, None), []);
        assert_eq!(ENDPOINTS.validate_update(&wrong, &endpoints("192.0.2.1"), None), found);
    }

    #[test]
    fn the_generation_goes_up_with_labels_and_contents() {
        let old = json!({"metadata": {"generation": 3, "labels": {"a": "b"}}, "endpoints": []});
        let generation = |edit: &dyn Fn(&mut Value)| {
            let mut new = old.clone();
            edit(&mut new);
            ENDPOINT_SLICES.prepare_update(&mut new, &old, None);
            new["metadata"]["generation"].as_i64()
        };
        assert_eq!(generation(&|_| ()), Some(3));
        assert_eq!(generation(&|new| new["metadata"]["annotations"] = json!({"c": "d"})), Some(3));
        assert_eq!(generation(&|new| new["metadata"]["labels"] = json!({})), Some(4));
        assert_eq!(generation(&|new| new["endpoints"] = json!([{"addresses": ["10.0.0.1"]}])), Some(4));
    }
}
