//! Networks without an engine.

use std::path::Path;

use ports::PortError;

use crate::claim;
use crate::forwarding;
use crate::netlink::Netlink;
use crate::record::{self, NetworkRecord};
use crate::route::{self, Found, Kind, PROTOCOL};
use crate::rules::Rules;

/// Removes the networks of engines that are dead, but those that pods have addresses of. Returns what could not be
/// removed. A network that lasts is kept for the next engine.
pub(crate) fn dead(data_dir: &Path, pods_dir: &Path) -> Vec<String> {
    let pods = record::pods(pods_dir);
    let is_used = |name: &str| {
        pods.iter().any(|(_, record)| record.as_ref().map_or(true, |record| record.network == name))
    };
    let dead = record::names(data_dir).into_iter().filter(|name| name.starts_with("run-") && !is_used(name));
    dead.flat_map(|name| clear_one(data_dir, &name)).collect()
}

/// Removes every network without an engine: no pod is left. Returns what could not be removed.
#[must_use]
pub fn clear(data_dir: &Path) -> Vec<String> {
    record::names(data_dir).iter().flat_map(|name| clear_one(data_dir, name)).collect()
}

fn clear_one(data_dir: &Path, name: &str) -> Vec<String> {
    let lock = match record::lock(data_dir, name) {
        Ok(Some(lock)) => lock,
        // Its engine lives.
        Ok(None) => return Vec::new(),
        Err(error) => return vec![format!("cannot lock the network {name}: {error}")],
    };
    let errors = match NetworkRecord::read(data_dir, name) {
        Ok(Some(dated)) if dated.of_this_boot => remove(data_dir, name, &dated.record),
        // What there was of it ended with the machine.
        Ok(_) => removed(record::remove(data_dir, name)),
        Err(error) => vec![PortError::chain(&error).0],
    };
    drop(lock);
    errors
}

/// Its routes, rules and changes, and then its record, if nothing is left. Another network namespace than its own has
/// none of that.
pub(crate) fn remove(data_dir: &Path, name: &str, record: &NetworkRecord) -> Vec<String> {
    let mut errors = Vec::new();
    if record::namespace().is_ok_and(|namespace| namespace == record.namespace) {
        errors.extend(give_up(data_dir, name, record));
    }
    if errors.is_empty() {
        errors.extend(removed(record::remove(data_dir, name)));
    }
    errors
}

fn give_up(data_dir: &Path, name: &str, record: &NetworkRecord) -> Vec<String> {
    let mut netlink = match Netlink::open() {
        Ok(netlink) => netlink,
        Err(error) => return vec![format!("cannot speak to the kernel about its network: {error}")],
    };
    let given_up = claim::give_up(&mut netlink, &record.ranges);
    let mut errors: Vec<String> =
        given_up.err().map(|error| PortError::chain(&error).0).into_iter().collect();
    errors.extend(Rules::delete(&record.table).err().map(|error| PortError::chain(&error).0));
    // Others go on with what was changed for this one; the last of them puts it back.
    match route::all(&mut netlink) {
        Ok(routes) if routes.iter().any(is_claim) => {
            errors.extend(hand_over(data_dir, name, record));
        }
        Ok(_) => errors.extend(forwarding::put_back(&record.sysctls)),
        Err(errno) => errors.push(format!("cannot read the routes of this machine: {errno}")),
    }
    errors
}

/// Of a network: the links of pods may be there a moment longer than it.
fn is_claim(route: &Found) -> bool {
    route.protocol == PROTOCOL && route.kind == Kind::Unreachable as u8
}

/// To a network under the same root. Where there is none, one of another root needs what was changed.
fn hand_over(data_dir: &Path, name: &str, record: &NetworkRecord) -> Option<String> {
    let others = record::names(data_dir).into_iter().filter(|other| other != name);
    for other in others {
        let Ok(Some(heir)) = NetworkRecord::read(data_dir, &other) else { continue };
        if heir.of_this_boot && heir.record.namespace == record.namespace {
            let handed = record::change(data_dir, &other, |heir| heir.add(&record.sysctls));
            return handed.err().map(|error| PortError::chain(&error).0);
        }
    }
    None
}

fn removed(result: std::io::Result<()>) -> Vec<String> {
    result.err().map(|error| format!("cannot remove the record of a network: {error}")).into_iter().collect()
}
