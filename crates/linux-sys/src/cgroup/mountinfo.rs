//! Which hierarchies are mounted, proc_pid_mountinfo(5), and where a process is in them.

use std::path::PathBuf;

use super::Hierarchy;

/// Options of the superblock that are no controllers.
const OPTIONS: [&str; 9] =
    ["rw", "ro", "xattr", "noprefix", "clone_children", "cpuset_v2_mode", "favordynmods", "all", "none"];

/// Every hierarchy once, by its first mount.
pub(super) fn hierarchies(mountinfo: &str) -> Vec<Hierarchy> {
    let mut found: Vec<Hierarchy> = Vec::new();
    for hierarchy in mountinfo.lines().filter_map(hierarchy) {
        let known =
            |other: &Hierarchy| other.v2 == hierarchy.v2 && other.controllers == hierarchy.controllers;
        if !found.iter().any(known) {
            found.push(hierarchy);
        }
    }
    found
}

/// The group of a process in a hierarchy, from its `/proc/PID/cgroup`, cgroups(7).
pub(super) fn group_in<'a>(cgroup: &'a str, hierarchy: &Hierarchy) -> Option<&'a str> {
    let group = |line: &'a str| {
        let mut fields = line.splitn(3, ':').skip(1);
        let controllers = fields.next()?;
        let is_same = if hierarchy.v2 {
            controllers.is_empty()
        } else {
            controllers
                .split(',')
                .any(|name| hierarchy.controllers.iter().any(|controller| controller == name))
        };
        if is_same { fields.next() } else { None }
    };
    cgroup.lines().find_map(group)
}

fn hierarchy(line: &str) -> Option<Hierarchy> {
    let (mount, file_system) = line.split_once(" - ")?;
    let mount = PathBuf::from(unescape(mount.split(' ').nth(4)?));
    let mut fields = file_system.split(' ');
    let kind = fields.next()?;
    let options = fields.nth(1)?;
    let controllers = match kind {
        "cgroup2" => Vec::new(),
        "cgroup" => options
            .split(',')
            .filter(|option| !OPTIONS.contains(option) && !option.starts_with("release_agent="))
            .map(str::to_owned)
            .collect(),
        _ => return None,
    };
    Some(Hierarchy { mount, controllers, v2: kind == "cgroup2" })
}

/// Undoes the octal escapes of blanks, newlines and backslashes.
fn unescape(field: &str) -> String {
    ["\\040", "\\011", "\\012", "\\134"]
        .iter()
        .zip([" ", "\t", "\n", "\\"])
        .fold(field.to_owned(), |text, (escape, plain)| text.replace(escape, plain))
}
