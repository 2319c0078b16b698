//! Endpoints and EndpointSlices.

use podspec::json::{integer, list, text};
use podspec::{FieldError, FieldPath, format};
use serde_json::Value;

use super::edit::{first_generation, immutable, next_generation, path, set_default};
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
                    let at = at.child(name).index(index);
                    let ip = text(address, "ip");
                    super::edit::invalid(&mut errors, &at.child("ip"), ip, format::ip_address(ip));
                    let host = text(address, "hostname");
                    let messages = if host.is_empty() { Vec::new() } else { format::dns_label(host) };
                    super::edit::invalid(&mut errors, &at.child("hostname"), host, messages);
                }
            }
            let ports = list(subset, "ports");
            for (index, port) in ports.iter().enumerate() {
                self::port(port, ports.len() > 1, &at.child("ports").index(index), &mut errors);
            }
        }
        errors
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
        next_generation(new, old, &["endpoints", "ports", "addressType"]);
    }

    fn validate(&self, slice: &Value) -> Vec<FieldError> {
        let mut errors = Vec::new();
        let kind = text(slice, "addressType");
        match kind {
            "" => errors.push(FieldError::required(path(&["addressType"]), "")),
            kind if !ADDRESS_TYPES.contains(&kind) => {
                errors.push(FieldError::not_supported(path(&["addressType"]), kind, &ADDRESS_TYPES));
            }
            _ => {}
        }
        let endpoints = list(slice, "endpoints");
        too_many(endpoints, ENDPOINTS_MAX, &path(&["endpoints"]), &mut errors);
        for (index, endpoint) in endpoints.iter().enumerate().take(ENDPOINTS_MAX) {
            let at = path(&["endpoints"]).index(index).child("addresses");
            let addresses = list(endpoint, "addresses");
            if addresses.is_empty() {
                errors.push(FieldError::required(at.clone(), "must contain at least 1 address"));
            }
            too_many(addresses, ADDRESSES_MAX, &at, &mut errors);
            for (index, address) in addresses.iter().filter_map(Value::as_str).enumerate().take(ADDRESSES_MAX)
            {
                let messages =
                    if kind == "FQDN" { format::dns_subdomain(address) } else { format::ip_address(address) };
                super::edit::invalid(&mut errors, &at.index(index), address, messages);
            }
        }
        let ports = list(slice, "ports");
        too_many(ports, PORTS_MAX, &path(&["ports"]), &mut errors);
        for (index, port) in ports.iter().enumerate().take(PORTS_MAX) {
            let at = path(&["ports"]).index(index);
            let protocol = text(port, "protocol");
            if !PROTOCOLS.contains(&protocol) {
                errors.push(FieldError::not_supported(at.child("protocol"), protocol, &PROTOCOLS));
            }
        }
        errors
    }

    fn validate_update(&self, new: &Value, old: &Value, _: Option<&str>) -> Vec<FieldError> {
        let mut errors = self.validate(new);
        immutable(&mut errors, new, old, &["addressType"]);
        errors
    }
}

fn default_ports(owner: &mut Value) {
    for port in owner.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(port) = port.as_object_mut() {
            set_default(port, "protocol", "TCP");
        }
    }
}

fn port(port: &Value, named: bool, at: &FieldPath, errors: &mut Vec<FieldError>) {
    let (name, number, protocol) =
        (text(port, "name"), integer(port, "port").unwrap_or(0), text(port, "protocol"));
    if named && name.is_empty() {
        errors.push(FieldError::required(at.child("name"), ""));
    } else if !name.is_empty() {
        super::edit::invalid(errors, &at.child("name"), name, format::dns_label(name));
    }
    for message in format::port_number(number) {
        errors.push(FieldError::invalid(at.child("port"), number, &message));
    }
    if !PROTOCOLS.contains(&protocol) {
        errors.push(FieldError::not_supported(at.child("protocol"), protocol, &PROTOCOLS));
    }
}

fn too_many(items: &[Value], max: usize, at: &FieldPath, errors: &mut Vec<FieldError>) {
    if items.len() > max {
        errors.push(FieldError::too_many(at.clone(), items.len(), max));
    }
}
