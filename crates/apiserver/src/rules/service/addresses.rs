//! What a Service may say of its addresses and their families, and what an update may change of them
//! (<https://kubernetes.io/docs/concepts/services-networking/dual-stack/#services>).

use std::collections::BTreeSet;
use std::net::IpAddr;

use podspec::json::{list, text, texts};
use podspec::{FieldError, format};
use serde_json::Value;

use super::{is_headless, is_type};
use crate::rules::edit::path;

const FAMILIES: [&str; 2] = ["IPv4", "IPv6"];
const POLICIES: [&str; 3] = ["PreferDualStack", "RequireDualStack", "SingleStack"];
const KEPT: &str = "may not change once set";

/// What is wrong with the addresses by themselves; whether they can be had is admission's to say.
pub(crate) fn cluster_addresses(service: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if is_type(service, "ExternalName") {
        return errors;
    }
    let spec = &service["spec"];
    let ips = list(spec, "clusterIPs");
    let at = path(&["spec", "clusterIPs"]);
    let wrong = |message: &str| FieldError::invalid(path(&["spec", "clusterIPs"]), ips.to_vec(), message);
    match (text(spec, "clusterIP"), ips.first()) {
        ("", Some(_)) => errors.push(wrong("must be empty when `clusterIP` is not specified")),
        ("", None) => {}
        (_, None) => errors.push(FieldError::required(at.clone(), "")),
        (one, Some(first)) if first != one => errors.push(wrong("first value must match `clusterIP`")),
        _ => {}
    }
    families(spec, &mut errors);
    let mut unreadable = false;
    for (index, ip) in ips.iter().enumerate() {
        let ip = ip.as_str().unwrap_or("");
        if index == 0 && ip == "None" {
            if ips.len() > 1 {
                unreadable = true;
                errors.push(wrong("'None' must be the first and only value"));
            }
            continue;
        }
        for message in format::ip_address(ip) {
            unreadable = true;
            errors.push(FieldError::invalid(at.index(index), ip, &message));
        }
    }
    if ips.len() > 2 {
        errors.push(wrong("may only hold up to 2 values"));
    }
    if unreadable {
        return errors;
    }
    let found: Vec<&str> = ips.iter().filter_map(|ip| family_of(ip.as_str()?)).collect();
    if ips.len() > 1 && found.iter().collect::<BTreeSet<_>>().len() < found.len() {
        errors.push(wrong("may specify no more than one IP for each IP family"));
    }
    for (index, (family, said)) in found.iter().zip(list(spec, "ipFamilies")).enumerate() {
        let said = said.as_str().unwrap_or("");
        if FAMILIES.contains(&said) && said != *family {
            let message = format!("expected an {said} value as indicated by `ipFamilies[{index}]`");
            errors.push(FieldError::invalid(at.index(index), ips[index].clone(), &message));
        }
    }
    errors
}

fn families(spec: &Value, errors: &mut Vec<FieldError>) {
    let mut seen = BTreeSet::new();
    for (index, family) in list(spec, "ipFamilies").iter().enumerate() {
        let at = path(&["spec", "ipFamilies"]).index(index);
        let family = family.as_str().unwrap_or("");
        if !FAMILIES.contains(&family) {
            errors.push(FieldError::not_supported(at.clone(), family, &FAMILIES));
        }
        if !seen.insert(family) {
            errors.push(FieldError::duplicate(at, family));
        }
    }
    if let Some(policy) = spec.get("ipFamilyPolicy").and_then(Value::as_str)
        && !POLICIES.contains(&policy)
    {
        errors.push(FieldError::not_supported(path(&["spec", "ipFamilyPolicy"]), policy, &POLICIES));
    }
}

pub(crate) fn family_of(ip: &str) -> Option<&'static str> {
    match ip.parse::<IpAddr>().ok()? {
        IpAddr::V4(_) => Some("IPv4"),
        IpAddr::V6(_) => Some("IPv6"),
    }
}

/// A second address or family may come and go; the first is there for good, but from and to `ExternalName`.
pub(super) fn changed(new: &Value, old: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if [new, old].iter().any(|service| is_type(service, "ExternalName")) {
        return errors;
    }
    let (is_headless, was_headless) = (is_headless(new), is_headless(old));
    if is_headless && was_headless {
        return errors;
    }
    let single = text(&new["spec"], "ipFamilyPolicy") == "SingleStack";
    kept(&mut errors, new, old, "clusterIPs", ("primary clusterIP can not be unset", "clusterIP"), single);
    if is_headless == was_headless {
        kept(&mut errors, new, old, "ipFamilies", ("primary ipFamily can not be unset", "ipFamily"), single);
    }
    errors
}

fn kept(
    errors: &mut Vec<FieldError>,
    new: &Value,
    old: &Value,
    name: &str,
    (unset, one): (&str, &str),
    single: bool,
) {
    let is = texts(&new["spec"], name).unwrap_or_default();
    let was = texts(&old["spec"], name).unwrap_or_default();
    let at = |index| path(&["spec", name]).index(index);
    if is.len() == was.len() {
        let differ = is.iter().zip(&was).enumerate().filter(|(_, (is, was))| is != was);
        errors.extend(differ.map(|(index, _)| FieldError::invalid(at(index), is.clone(), KEPT)));
        return;
    }
    if is.is_empty() {
        errors.push(FieldError::invalid(at(0), is.clone(), unset));
    } else if was.first().is_some_and(|was| *was != is[0]) {
        errors.push(FieldError::invalid(at(0), is.clone(), KEPT));
    }
    if was.len() > is.len() && is.len() == 1 && !single {
        let message = format!("must be set to 'SingleStack' when releasing the secondary {one}");
        let policy = text(&new["spec"], "ipFamilyPolicy");
        errors.push(FieldError::invalid(path(&["spec", "ipFamilyPolicy"]), policy, &message));
    }
}
