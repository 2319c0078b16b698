//! That packets go on: switched on for the links of default routes, recorded, and put back.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::link;
use crate::netlink::Netlink;
use crate::record::Changed;
use crate::route::{self, Kind};

const CONF: &str = "/proc/sys/net";
/// `accept_ra`: hear routers only as a host, and also as a router.
const AS_HOST: &str = "1";
const ALSO_AS_ROUTER: &str = "2";

/// An interface of a default route.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Uplink {
    pub(crate) name: String,
    pub(crate) mtu: u32,
    pub(crate) v6: bool,
}

/// Those of all default routes, that of IPv4 first.
pub(crate) fn uplinks(netlink: &mut Netlink) -> io::Result<Vec<Uplink>> {
    let mut found: Vec<(u32, bool)> = route::all(netlink)?
        .into_iter()
        .filter(|route| route.destination.prefix_len() == 0 && route.kind == Kind::Unicast as u8)
        .filter_map(|route| Some((route.interface?, route.destination.addr().is_ipv6())))
        .collect();
    found.dedup();
    let uplink = |(index, v6)| link::describe(netlink, index).map(|(name, mtu)| Uplink { name, mtu, v6 });
    Ok(found.into_iter().filter_map(uplink).collect())
}

/// What has to be changed, and is not yet.
pub(crate) fn missing(uplinks: &[Uplink]) -> Vec<Changed> {
    let forced = conf("ipv6", "all", "force_forwarding").exists();
    // From one pod to another, too.
    let mut missing = if has_v6() && !forced { v6_of_machine() } else { Vec::new() };
    for Uplink { name, v6, .. } in uplinks {
        match (*v6, forced) {
            (false, _) => missing.extend(change(conf("ipv4", name, "forwarding"), "1")),
            (true, true) => missing.extend(change(conf("ipv6", name, "force_forwarding"), "1")),
            // Of the whole machine already.
            (true, false) => {}
        }
    }
    missing
}

/// Linux 6.17 has it for each interface; before, it is of the whole machine, which then has to be told to go on
/// hearing routers.
fn v6_of_machine() -> Vec<Changed> {
    let Some(forwarding) = change(conf("ipv6", "all", "forwarding"), "1") else { return Vec::new() };
    let interfaces = fs::read_dir(Path::new(CONF).join("ipv6/conf")).into_iter().flatten().flatten();
    let hears = |entry: fs::DirEntry| {
        let path = entry.path().join("accept_ra");
        (read(&path)? == AS_HOST).then(|| change(path, ALSO_AS_ROUTER)).flatten()
    };
    interfaces.filter_map(hears).chain([forwarding]).collect()
}

/// Once they are on record.
pub(crate) fn make(changes: &[Changed]) -> Vec<String> {
    let write = |change: &Changed| {
        let failed = |error| format!("cannot write {} to {}: {error}", change.now, change.path.display());
        fs::write(&change.path, &change.now).err().map(failed)
    };
    changes.iter().filter_map(write).collect()
}

/// What was changed since by somebody else, and what is not there any more, is left.
pub(crate) fn put_back(changes: &[Changed]) -> Vec<String> {
    let write = |change: &Changed| {
        if read(&change.path)? != change.now {
            return None;
        }
        let failed = |error| format!("cannot write {} to {}: {error}", change.before, change.path.display());
        fs::write(&change.path, &change.before).err().map(failed)
    };
    changes.iter().rev().filter_map(write).collect()
}

fn change(path: PathBuf, now: &str) -> Option<Changed> {
    let before = read(&path)?;
    (before != now).then(|| Changed { path, before, now: now.to_owned() })
}

fn conf(family: &str, name: &str, key: &str) -> PathBuf {
    [CONF, family, "conf", name, key].iter().collect()
}

fn read(path: &Path) -> Option<String> {
    Some(fs::read_to_string(path).ok()?.trim().to_owned())
}

/// Interfaces that are made have IPv6, and the loopback does.
pub(crate) fn has_v6() -> bool {
    ["all", "default", "lo"]
        .iter()
        .all(|name| read(&conf("ipv6", name, "disable_ipv6")).is_some_and(|off| off == "0"))
}
