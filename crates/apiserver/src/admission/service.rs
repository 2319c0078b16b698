//! Addresses, families and node ports of Services, given within the write that stores them: what others have is
//! read from the store, so nothing is kept beside it, and nothing has to be given back.

mod addresses;
mod families;
mod kept;
mod node_ports;
#[cfg(test)]
mod tests;

use std::net::IpAddr;

use apimachinery::Status;
use podspec::json::text;
use serde_json::Value;
use store::Tx;

use super::view;
use crate::kinds::Kind;
use crate::network::{ADDRESS_MANAGED_BY, ADDRESS_MANAGER, Ranges};
use crate::request::Attributes;
use crate::rules::drop_of_type;

/// Completes a Service that is created, or that takes the place of `old`.
pub(super) fn admit(
    attributes: &Attributes<'_>,
    view: &Tx<'_>,
    service: &mut Value,
    old: Option<&Value>,
) -> Result<(), Status> {
    let ranges = Ranges::read(view);
    if let Some(old) = old {
        kept::carry_over(service, old);
    }
    kept::normalize(service, old);
    // What is there can be changed and removed also where nothing more is given.
    if ranges.lacks.is_none() || old.is_none() {
        ranges.check(attributes.kind, text(&service["metadata"], "name"))?;
        families::settle(service, old, &ranges.services).map_err(|errors| refuse(service, &errors))?;
        let others = if addresses::is_needed(service, old) || node_ports::is_needed(service, old) {
            others(view, attributes.namespace, text(&service["metadata"], "name"))
        } else {
            Vec::new()
        };
        let reserved = reserved(view);
        addresses::give(service, old, &ranges.services, (&others, &reserved), &mut draw)?;
        node_ports::give(service, old, &others, &mut draw)?;
    }
    if let Some(old) = old {
        drop_of_type(service, old);
    }
    Ok(())
}

fn others(view: &Tx<'_>, namespace: &str, name: &str) -> Vec<Value> {
    let mut all = view::list(view, "", "services", None);
    all.retain(|other| {
        (text(&other["metadata"], "namespace"), text(&other["metadata"], "name")) != (namespace, name)
    });
    all
}

/// Addresses that somebody has taken by an IPAddress of their own.
fn reserved(view: &Tx<'_>) -> Vec<IpAddr> {
    let Some(kind) = Kind::find("networking.k8s.io", "v1", "ipaddresses") else { return Vec::new() };
    let all = view.list(kind.stored(), None);
    let of_others = all
        .iter()
        .filter(|held| held.labels.get(ADDRESS_MANAGED_BY).is_none_or(|manager| manager != ADDRESS_MANAGER));
    of_others.filter_map(|held| held.key.name.parse().ok()).collect()
}

fn draw() -> u64 {
    u64::from_ne_bytes(crate::entropy::bytes())
}

fn refuse(service: &Value, errors: &[podspec::FieldError]) -> Status {
    Status::invalid("", "Service", text(&service["metadata"], "name"), errors)
}
