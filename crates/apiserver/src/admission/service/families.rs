//! Which families of addresses a Service is to have
//! (<https://kubernetes.io/docs/concepts/services-networking/dual-stack/#services>).

use std::net::IpAddr;

use ipnet::IpNet;
use podspec::json::{fields, list, text, texts};
use podspec::{FieldError, FieldPath};
use serde_json::Value;

use crate::rules::{cluster_addresses, is_headless, is_type};

const SINGLE: &str = "SingleStack";
const PREFERRED: &str = "PreferDualStack";
const REQUIRED: &str = "RequireDualStack";

/// Fills in `ipFamilyPolicy` and `ipFamilies`, as the addresses, the old service and the ranges have it.
pub(super) fn settle(
    service: &mut Value,
    old: Option<&Value>,
    ranges: &[IpNet],
) -> Result<(), Vec<FieldError>> {
    if is_type(service, "ExternalName") || old.is_some_and(|old| prefers_the_same(service, old)) {
        return Ok(());
    }
    if policy(service).is_empty() {
        let of_old = old.map(policy).unwrap_or_default();
        let inferred = match of_old {
            "" if is_open(service) => REQUIRED,
            "" => SINGLE,
            of_old => of_old,
        };
        service["spec"]["ipFamilyPolicy"] = inferred.into();
    }
    check(cluster_addresses(service))?;
    let known: Vec<&str> = ranges.iter().map(family_of_range).collect();
    let mut errors = old.map(|old| reduce(service, old)).unwrap_or_default();
    errors.extend(too_many(service));
    errors.extend(infer(service, &known));
    check(errors)?;
    if is_open(service) {
        // Whoever keeps its endpoints may have them of any family.
        complete(service, known.first().copied().unwrap_or("IPv4"), true);
        return Ok(());
    }
    check(unknown(service, &known))?;
    complete(service, known.first().copied().unwrap_or("IPv4"), known.len() == 2);
    Ok(())
}

fn check(errors: Vec<FieldError>) -> Result<(), Vec<FieldError>> {
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}

fn at(name: &str) -> FieldPath {
    FieldPath::root().child("spec").child(name)
}

fn policy(service: &Value) -> &str {
    text(&service["spec"], "ipFamilyPolicy")
}

fn families(service: &Value) -> Vec<String> {
    texts(&service["spec"], "ipFamilies").unwrap_or_default()
}

/// Headless, and with endpoints of somebody else's.
fn is_open(service: &Value) -> bool {
    text(&service["spec"], "clusterIP") == "None" && fields(&service["spec"]["selector"]).is_empty()
}

fn family_of_range(range: &IpNet) -> &'static str {
    if range.addr().is_ipv4() { "IPv4" } else { "IPv6" }
}

/// One that takes what there is keeps what it got, also when there is more or less now.
fn prefers_the_same(new: &Value, old: &Value) -> bool {
    let same = |name: &str| list(&new["spec"], name) == list(&old["spec"], name);
    new["spec"]["type"] == old["spec"]["type"]
        && policy(new) == PREFERRED
        && ["", PREFERRED].contains(&policy(old))
        && same("clusterIPs")
        && same("ipFamilies")
}

/// `SingleStack` alone says that the second of each goes; anything else has to keep both.
fn reduce(new: &mut Value, old: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let single = policy(new) == SINGLE;
    for (name, one) in [("clusterIPs", "cluster IP"), ("ipFamilies", "IP family")] {
        let (is, was) = (list(&new["spec"], name).to_vec(), list(&old["spec"], name));
        if single && is == was && is.len() > 1 {
            new["spec"][name] = is[..1].to_vec().into();
        } else if !single && !is.is_empty() && is.len() < was.len() {
            let message = format!("must be 'SingleStack' to release the secondary {one}");
            errors.push(FieldError::invalid(at("ipFamilyPolicy"), policy(new), &message));
        }
    }
    errors
}

fn too_many(service: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (name, what) in [("clusterIPs", "cluster IPs"), ("ipFamilies", "IP families")] {
        if policy(service) == SINGLE && list(&service["spec"], name).len() == 2 {
            let message =
                format!("must be 'RequireDualStack' or 'PreferDualStack' when multiple {what} are specified");
            errors.push(FieldError::invalid(at("ipFamilyPolicy"), SINGLE, &message));
        }
    }
    errors
}

/// The families of the addresses that are asked for.
fn infer(service: &mut Value, known: &[&str]) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if is_headless(service) {
        return errors;
    }
    let ips = texts(&service["spec"], "clusterIPs").unwrap_or_default();
    let mut families = families(service);
    for (index, ip) in ips.iter().enumerate().skip(families.len()) {
        let Ok(ip) = ip.parse::<IpAddr>() else { continue };
        let family = if ip.is_ipv4() { "IPv4" } else { "IPv6" };
        if known.contains(&family) {
            families.push(family.to_owned());
        } else {
            let message = format!("{family} is not configured on this cluster");
            errors.push(FieldError::invalid(at("clusterIPs").index(index), ips.clone(), &message));
        }
    }
    if !families.is_empty() {
        service["spec"]["ipFamilies"] = families.into();
    }
    errors
}

fn unknown(service: &Value, known: &[&str]) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if policy(service) == REQUIRED && known.len() < 2 {
        let message = "this cluster is not configured for dual-stack services";
        errors.push(FieldError::invalid(at("ipFamilyPolicy"), REQUIRED, message));
    }
    for (index, family) in families(service).into_iter().enumerate() {
        if !known.contains(&family.as_str()) {
            let at = at("ipFamilies").index(index);
            errors.push(FieldError::invalid(at, family, "not configured on this cluster"));
        }
    }
    errors
}

/// The first family, and the other one where two are wanted and can be had.
fn complete(service: &mut Value, preferred: &str, both: bool) {
    let mut families = families(service);
    if families.is_empty() {
        families.push(preferred.to_owned());
    }
    if both && families.len() == 1 && policy(service) != SINGLE {
        families.push(if families[0] == "IPv4" { "IPv6" } else { "IPv4" }.to_owned());
    }
    service["spec"]["ipFamilies"] = families.into();
}
