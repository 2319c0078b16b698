//! Ports of the node: asked for, or drawn
//! (<https://kubernetes.io/docs/concepts/services-networking/service/#type-nodeport>).
//!
//! A number belongs to one Service, whatever the protocol; within it, ports of different protocols may share one.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use apimachinery::Status;
use podspec::json::{integer, list, text};
use podspec::{FieldError, FieldPath};
use serde_json::Value;

use crate::rules::{is_type, takes_node_ports};

/// What Services may have of the ports of the node.
pub(crate) const NODE_PORTS: RangeInclusive<u16> = 30_000..=32_767;
/// The first of them are not drawn while others are free: people write down these.
const LOWER: u16 = 86;

/// Whether [`give`] has to know what others have.
pub(super) fn is_needed(service: &Value, old: Option<&Value>) -> bool {
    let had = old.map(numbers).unwrap_or_default();
    let ports = list(&service["spec"], "ports").iter();
    is_exposed(service)
        && ports.map(number).any(|port| match port {
            Some(port) => !had.contains(&port),
            None => takes_node_ports(service),
        })
}

/// Completes `nodePort` of each port; those of `old` are the service's already.
pub(super) fn give(
    service: &mut Value,
    old: Option<&Value>,
    others: &[Value],
    random: &mut dyn FnMut() -> u64,
) -> Result<(), Status> {
    if !is_exposed(service) {
        return Ok(());
    }
    let own = old.map(numbers).unwrap_or_default();
    let used: BTreeSet<i64> = others.iter().flat_map(numbers).collect();
    let mut ports = list(&service["spec"], "ports").to_vec();
    for (index, port) in ports.iter().enumerate() {
        let Some(asked) = number(port).filter(|asked| !own.contains(asked)) else { continue };
        check(asked, &used).map_err(|why| {
            let at = FieldPath::root().child("spec").child("ports").index(index).child("nodePort");
            super::refuse(service, &[FieldError::invalid(at, asked, &why)])
        })?;
    }
    if takes_node_ports(service) {
        let name = text(&service["metadata"], "name").to_owned();
        fill(&mut ports, old.is_none(), &used, random).ok_or_else(|| {
            Status::internal(&format!("failed to allocate a nodePort for Service {name:?}: range is full"))
        })?;
    }
    service["spec"]["ports"] = ports.into();
    Ok(())
}

fn is_exposed(service: &Value) -> bool {
    is_type(service, "NodePort") || is_type(service, "LoadBalancer")
}

fn number(port: &Value) -> Option<i64> {
    integer(port, "nodePort").filter(|number| *number != 0)
}

fn numbers(service: &Value) -> BTreeSet<i64> {
    list(&service["spec"], "ports").iter().filter_map(number).collect()
}

fn check(asked: i64, used: &BTreeSet<i64>) -> Result<(), String> {
    let (first, last) = (NODE_PORTS.start(), NODE_PORTS.end());
    if !u16::try_from(asked).is_ok_and(|asked| NODE_PORTS.contains(&asked)) {
        return Err(format!(
            "provided port is not in the valid range. The range of valid ports is {first}-{last}"
        ));
    }
    if used.contains(&asked) {
        return Err("provided port is already allocated".to_owned());
    }
    Ok(())
}

/// Ports that have none get one; of a new service, ports of one number in two protocols get the same.
fn fill(
    ports: &mut [Value],
    shares: bool,
    used: &BTreeSet<i64>,
    random: &mut dyn FnMut() -> u64,
) -> Option<()> {
    let mut used = used.clone();
    used.extend(ports.iter().filter_map(number));
    for index in 0..ports.len() {
        if number(&ports[index]).is_some() {
            continue;
        }
        let alike = ports.iter().find(|port| {
            shares && integer(port, "port") == integer(&ports[index], "port") && number(port).is_some()
        });
        let given = match alike.and_then(number) {
            Some(given) => given,
            None => drawn(&used, random)?,
        };
        used.insert(given);
        ports[index]["nodePort"] = given.into();
    }
    Some(())
}

fn drawn(used: &BTreeSet<i64>, random: &mut dyn FnMut() -> u64) -> Option<i64> {
    let (first, last) = (*NODE_PORTS.start(), *NODE_PORTS.end());
    let mut within = |first: u16, last: u16| {
        let width = u64::from(last - first) + 1;
        let begin = random() % width;
        let nth = |step| i64::from(first) + i64::try_from((begin + step) % width).unwrap_or(0);
        (0..width).map(nth).find(|port| !used.contains(port))
    };
    within(first + LOWER, last).or_else(|| within(first, first + LOWER - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_port_can_be_had_and_those_that_people_write_down_come_last() {
        let mut used = BTreeSet::new();
        let mut random = 3;
        while let Some(port) = drawn(&used, &mut || {
            random += 977;
            random
        }) {
            assert!((30_000..=32_767).contains(&port));
            assert!(port >= 30_086 || used.len() >= 2_768 - 86, "{port} came too early");
            assert!(used.insert(port));
        }
        assert_eq!(used.len(), 2_768);
    }
}
