//! Services (<https://kubernetes.io/docs/concepts/services-networking/service/>). Addresses and node ports come from
//! admission, which sees what others have.

mod addresses;
mod ports;
mod status;
#[cfg(test)]
mod tests;

use podspec::json::{fields, flag, integer, list, text};
use podspec::{FieldError, FieldPath, format};
use serde_json::{Value, json};

use super::edit::{invalid, keep_apart, path, remove, section, selectable, set, set_default};
use crate::kinds::Rules;

pub(crate) use addresses::cluster_addresses;

pub static SERVICES: Services = Services;

#[derive(Debug)]
pub struct Services;

const TYPES: [&str; 4] = ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"];
const AFFINITIES: [&str; 2] = ["ClientIP", "None"];
const TRAFFIC_POLICIES: [&str; 2] = ["Cluster", "Local"];
const DISTRIBUTIONS: [&str; 3] = ["PreferClose", "PreferSameZone", "PreferSameNode"];
const CLIENT_IP_SECONDS: i64 = 10_800;
const CLIENT_IP_SECONDS_MAX: i64 = 86_400;
const TOPOLOGY_HINTS: &str = "service.kubernetes.io/topology-aware-hints";
const TOPOLOGY_MODE: &str = "service.kubernetes.io/topology-mode";
const SOURCE_RANGES: &str = "service.beta.kubernetes.io/load-balancer-source-ranges";

const NO_EXTERNAL_IPS: &str =
    "not supported: any client could draw the traffic of others to itself this way; use type NodePort";
const NO_SOURCE_RANGES: &str =
    "not supported: there is no load balancer that would keep others out; use a NetworkPolicy";
const NO_HEALTH_CHECKS: &str =
    "not supported: there is no load balancer that would ask for the health of this node";

impl Rules for Services {
    fn default(&self, service: &mut Value) {
        let Some(spec) = section(service, "spec") else { return };
        set_default(spec, "sessionAffinity", "None");
        set_default(spec, "type", "ClusterIP");
        let timeout =
            spec.get("sessionAffinityConfig").and_then(|config| config["clientIP"].get("timeoutSeconds"));
        match spec["sessionAffinity"].as_str() {
            Some("None") => drop(spec.remove("sessionAffinityConfig")),
            Some("ClientIP") if timeout.is_none_or(Value::is_null) => {
                let config = json!({"clientIP": {"timeoutSeconds": CLIENT_IP_SECONDS}});
                spec.insert("sessionAffinityConfig".to_owned(), config);
            }
            _ => {}
        }
        let kind = spec["type"].as_str().unwrap_or("").to_owned();
        if ["ClusterIP", "NodePort", "LoadBalancer"].contains(&kind.as_str()) {
            set_default(spec, "internalTrafficPolicy", "Cluster");
        }
        if ["NodePort", "LoadBalancer"].contains(&kind.as_str()) {
            set_default(spec, "externalTrafficPolicy", "Cluster");
        }
        if kind == "LoadBalancer" {
            set_default(spec, "allocateLoadBalancerNodePorts", true);
            status::default(service);
        }
        ports::default(service);
    }

    fn prepare_create(&self, service: &mut Value) {
        set(service, "status", json!({"loadBalancer": {}}));
    }

    fn validate(&self, service: &Value) -> Vec<FieldError> {
        let mut errors = Vec::new();
        annotations(service, &mut errors);
        of_type(&service["spec"], &mut errors);
        ports::validate(&service["spec"], &mut errors);
        selector(&service["spec"], &mut errors);
        affinity(&service["spec"], &mut errors);
        errors.extend(cluster_addresses(service));
        balancer(&service["spec"], &mut errors);
        traffic(&service["spec"], &mut errors);
        errors
    }

    fn prepare_update(&self, new: &mut Value, old: &Value, subresource: Option<&str>) {
        keep_apart(new, old, subresource);
    }

    fn validate_update(&self, new: &Value, old: &Value, subresource: Option<&str>) -> Vec<FieldError> {
        if subresource == Some("status") {
            return status::validate(new);
        }
        let mut errors = addresses::changed(new, old);
        let class = |service: &Value| service["spec"].get("loadBalancerClass").cloned().unwrap_or_default();
        if [new, old].iter().all(|service| is_type(service, "LoadBalancer")) && class(new) != class(old) {
            errors.push(FieldError::invalid(
                path(&["spec", "loadBalancerClass"]),
                class(new),
                "may not change once set",
            ));
        }
        errors.extend(self.validate(new));
        errors
    }

    fn warnings(&self, new: &Value, old: Option<&Value>) -> Vec<String> {
        let spec = &new["spec"];
        let mut warnings = Vec::new();
        let mut warn = |on: bool, warning: &str| warnings.extend(on.then(|| warning.to_owned()));
        let annotated = |name: &str| new["metadata"]["annotations"].get(name).is_some();
        warn(
            annotated(TOPOLOGY_HINTS),
            "annotation service.kubernetes.io/topology-aware-hints is deprecated, please use \
             service.kubernetes.io/topology-mode instead",
        );
        warn(
            is_headless(new) && text(spec, "sessionAffinity") != "None",
            "spec.SessionAffinity is ignored for headless services",
        );
        warn(
            !is_type(new, "ExternalName") && !text(spec, "externalName").is_empty(),
            "spec.externalName is ignored when spec.type is not \"ExternalName\"",
        );
        warn(
            text(spec, "trafficDistribution") == "PreferClose",
            "spec.trafficDistribution: \"PreferClose\" is deprecated; use \"PreferSameZone\"",
        );
        warn(
            !text(spec, "loadBalancerIP").is_empty(),
            "spec.loadBalancerIP is ignored: there is no load balancer to ask for the address",
        );
        warn(
            is_type(new, "LoadBalancer") && old.is_none_or(|old| !is_type(old, "LoadBalancer")),
            "no load balancer is here to give the service an external address: it is reached by its node ports",
        );
        warnings
    }

    fn fields(&self, service: &Value) -> Vec<(&'static str, String)> {
        selectable(service, &["spec.clusterIP", "spec.type"])
    }
}

pub(crate) fn is_type(service: &Value, kind: &str) -> bool {
    text(&service["spec"], "type") == kind
}

/// Whether it is to have no address of its own.
pub(crate) fn is_headless(service: &Value) -> bool {
    matches!(list(&service["spec"], "clusterIPs"), [only] if only == "None")
}

fn annotations(service: &Value, errors: &mut Vec<FieldError>) {
    let annotations = &service["metadata"]["annotations"];
    let at = path(&["metadata", "annotations"]);
    if let (Some(mode), Some(hints)) = (annotations.get(TOPOLOGY_MODE), annotations.get(TOPOLOGY_HINTS))
        && mode != hints
    {
        let message = format!("must match annotations[{TOPOLOGY_HINTS}] when both are specified");
        errors.push(FieldError::invalid(at.key(TOPOLOGY_MODE), mode.clone(), &message));
    }
    if annotations.get(SOURCE_RANGES).is_some() {
        errors.push(FieldError::forbidden(at.key(SOURCE_RANGES), NO_SOURCE_RANGES));
    }
}

fn of_type(spec: &Value, errors: &mut Vec<FieldError>) {
    let at = path(&["spec"]);
    let kind = text(spec, "type");
    let ips = list(spec, "clusterIPs");
    let headless = matches!(ips, [only] if only == "None");
    if list(spec, "ports").is_empty() && !headless && kind != "ExternalName" {
        errors.push(FieldError::required(at.child("ports"), ""));
    }
    match kind {
        "LoadBalancer" | "NodePort" if headless => {
            let message = format!("may not be set to 'None' for {kind} services");
            errors.push(FieldError::invalid(at.child("clusterIPs").index(0), "None", &message));
        }
        "ExternalName" => {
            const NOT_FOR_NAMES: &str = "may not be set for ExternalName services";
            for (name, is_set) in [
                ("clusterIPs", !ips.is_empty()),
                ("ipFamilies", !list(spec, "ipFamilies").is_empty()),
                ("ipFamilyPolicy", spec.get("ipFamilyPolicy").is_some_and(|policy| !policy.is_null())),
            ] {
                if is_set {
                    errors.push(FieldError::forbidden(at.child(name), NOT_FOR_NAMES));
                }
            }
            let name = text(spec, "externalName");
            let name = name.strip_suffix('.').unwrap_or(name);
            if name.is_empty() {
                errors.push(FieldError::required(at.child("externalName"), ""));
            } else {
                invalid(errors, &at.child("externalName"), name, format::dns_subdomain(name));
            }
        }
        kind if !TYPES.contains(&kind) => {
            errors.push(FieldError::not_supported(at.child("type"), kind, &TYPES));
        }
        _ => {}
    }
}

fn selector(spec: &Value, errors: &mut Vec<FieldError>) {
    let at = path(&["spec", "selector"]);
    for (key, value) in fields(&spec["selector"]) {
        invalid(errors, &at, key, format::qualified_name(key));
        let value = value.as_str().unwrap_or("");
        invalid(errors, &at, value, format::label_value(value));
    }
}

fn affinity(spec: &Value, errors: &mut Vec<FieldError>) {
    let affinity = text(spec, "sessionAffinity");
    if !AFFINITIES.contains(&affinity) {
        errors.push(FieldError::not_supported(path(&["spec", "sessionAffinity"]), affinity, &AFFINITIES));
    }
    let seconds = integer(&spec["sessionAffinityConfig"]["clientIP"], "timeoutSeconds").unwrap_or(0);
    if affinity == "ClientIP" && !(1..=CLIENT_IP_SECONDS_MAX).contains(&seconds) {
        let message = format!("must be greater than 0 and less than {CLIENT_IP_SECONDS_MAX}");
        let at = path(&["spec", "sessionAffinityConfig", "clientIP", "timeoutSeconds"]);
        errors.push(FieldError::invalid(at, seconds, &message));
    }
}

/// What only a load balancer could do anything with.
fn balancer(spec: &Value, errors: &mut Vec<FieldError>) {
    const ONLY_BALANCED: &str = "may only be used when `type` is 'LoadBalancer'";
    let at = path(&["spec"]);
    if !list(spec, "externalIPs").is_empty() {
        errors.push(FieldError::forbidden(at.child("externalIPs"), NO_EXTERNAL_IPS));
    }
    if !list(spec, "loadBalancerSourceRanges").is_empty() {
        errors.push(FieldError::forbidden(at.child("loadBalancerSourceRanges"), NO_SOURCE_RANGES));
    }
    if integer(spec, "healthCheckNodePort").unwrap_or(0) != 0 {
        errors.push(FieldError::forbidden(at.child("healthCheckNodePort"), NO_HEALTH_CHECKS));
    }
    let is_set = |name: &str| spec.get(name).is_some_and(|value| !value.is_null());
    if text(spec, "type") != "LoadBalancer" {
        for name in ["allocateLoadBalancerNodePorts", "loadBalancerClass"] {
            if is_set(name) {
                errors.push(FieldError::forbidden(at.child(name), ONLY_BALANCED));
            }
        }
    } else if is_set("loadBalancerClass") {
        let class = text(spec, "loadBalancerClass");
        invalid(errors, &at.child("loadBalancerClass"), class, format::qualified_name(class));
    }
}

fn traffic(spec: &Value, errors: &mut Vec<FieldError>) {
    let at = path(&["spec"]);
    let reached_from_outside = ["NodePort", "LoadBalancer"].contains(&text(spec, "type"));
    let external = text(spec, "externalTrafficPolicy");
    if !external.is_empty() && !reached_from_outside {
        errors.push(FieldError::invalid(
            at.child("externalTrafficPolicy"),
            external,
            "may only be set for externally-accessible services",
        ));
    } else if !external.is_empty() {
        one_of(spec, "externalTrafficPolicy", &TRAFFIC_POLICIES, &at, errors);
    }
    one_of(spec, "internalTrafficPolicy", &TRAFFIC_POLICIES, &at, errors);
    one_of(spec, "trafficDistribution", &DISTRIBUTIONS, &at, errors);
}

fn one_of(spec: &Value, name: &str, known: &[&str], at: &FieldPath, errors: &mut Vec<FieldError>) {
    let Some(value) = spec.get(name).and_then(Value::as_str) else { return };
    if !known.contains(&value) {
        errors.push(FieldError::not_supported(at.child(name), value, known));
    }
}

/// Takes away what belongs to the type that a service had, unless the client set it anew: it would be wrong
/// with the type it gets.
pub(crate) fn drop_of_type(new: &mut Value, old: &Value) {
    let same = |new: &Value, name: &str| new["spec"].get(name) == old["spec"].get(name);
    if !is_type(old, "ExternalName") && is_type(new, "ExternalName") {
        if same(new, "clusterIP") && same(new, "clusterIPs") {
            remove(&mut new["spec"], "clusterIP");
            remove(&mut new["spec"], "clusterIPs");
        }
        for name in ["ipFamilies", "ipFamilyPolicy", "internalTrafficPolicy"] {
            if same(new, name) {
                remove(&mut new["spec"], name);
            }
        }
    }
    let with_node_ports = |service: &Value| is_type(service, "NodePort") || is_type(service, "LoadBalancer");
    if with_node_ports(old) && !with_node_ports(new) {
        ports::drop_node_ports(new, old);
        if same(new, "externalTrafficPolicy") {
            remove(&mut new["spec"], "externalTrafficPolicy");
        }
    }
    if !is_type(new, "LoadBalancer") {
        for name in ["allocateLoadBalancerNodePorts", "loadBalancerClass"] {
            if is_type(old, "LoadBalancer") && same(new, name) {
                remove(&mut new["spec"], name);
            }
        }
        set(&mut new["status"], "loadBalancer", json!({}));
    }
}

/// Whether its ports are to be had on the node, too, without being asked for one by one.
pub(crate) fn takes_node_ports(service: &Value) -> bool {
    is_type(service, "NodePort")
        || is_type(service, "LoadBalancer") && flag(&service["spec"], "allocateLoadBalancerNodePorts")
}
