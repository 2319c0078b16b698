//! Who the process runs as
//! (<https://kubernetes.io/docs/tasks/configure-pod-container/security-context/>).

use std::collections::BTreeSet;

use podspec::{Container, Pod};

use crate::config::{IDS_PER_POD, ImageConfig};
use crate::error::ConfigError;

/// The largest user or group id the field's runtimes take.
const ID_MAX: u32 = i32::MAX as u32;

#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Identity {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// The primary group is one of them.
    pub(crate) groups: Vec<u32>,
    pub(crate) home: String,
}

/// `runAsUser` before the image's `USER`. Of that, only the user counts, as the kubelet passes on
/// nothing else: its group comes from the image's `/etc/passwd`, `runAsGroup` before it.
pub(crate) fn identity(
    pod: &Pod,
    container: &Container,
    image: &ImageConfig,
) -> Result<Identity, ConfigError> {
    let (user, _) = image.user.split_once(':').unwrap_or((&image.user, ""));
    verify_non_root(pod, container, user)?;
    let entry = account(container.security.run_as_user, user, &image.passwd)?;
    let gid = container.security.run_as_group.unwrap_or(entry.gid);
    let mut groups: BTreeSet<u32> = BTreeSet::from([gid]);
    if let Some(name) = entry.name.filter(|_| !pod.spec.strict_groups) {
        groups.extend(memberships(&image.group, name));
    }
    groups.extend(pod.spec.supplemental_groups.iter().chain(&pod.spec.fs_group));
    if pod.spec.own_users {
        verify_own(entry.uid, gid, &groups)?;
    }
    Ok(Identity { uid: entry.uid, gid, groups: groups.into_iter().collect(), home: entry.home.to_owned() })
}

/// The kernel knows no others in the pod's user namespace.
fn verify_own(uid: u32, gid: u32, groups: &BTreeSet<u32>) -> Result<(), ConfigError> {
    let refuse = |what, id, field| Err(ConfigError::IdOutOfRange { what, id, field });
    if uid >= IDS_PER_POD {
        return refuse("user", uid, "runAsUser");
    }
    if gid >= IDS_PER_POD {
        return refuse("group", gid, "runAsGroup");
    }
    match groups.last() {
        Some(id) if *id >= IDS_PER_POD => {
            refuse("supplementary group", *id, "supplementalGroups and fsGroup to others")
        }
        _ => Ok(()),
    }
}

fn verify_non_root(pod: &Pod, container: &Container, image_user: &str) -> Result<(), ConfigError> {
    if !container.security.run_as_non_root {
        return Ok(());
    }
    let names = || (format!("{}_{}({})", pod.name, pod.namespace, pod.uid), container.name.to_string());
    match (container.security.run_as_user, image_user.parse::<u64>()) {
        (Some(0), _) => {
            let (pod, container) = names();
            Err(ConfigError::RunAsUserIsRoot { pod, container })
        }
        (Some(_), _) => Ok(()),
        (None, Ok(uid)) if uid != 0 => Ok(()),
        (None, Err(_)) if !image_user.is_empty() => {
            let (pod, container) = names();
            Err(ConfigError::ImageUserNotNumeric { user: image_user.to_owned(), pod, container })
        }
        (None, _) => {
            let (pod, container) = names();
            Err(ConfigError::ImageUserIsRoot { pod, container })
        }
    }
}

struct Account<'t> {
    name: Option<&'t str>,
    uid: u32,
    gid: u32,
    home: &'t str,
}

fn account<'t>(
    run_as_user: Option<u32>,
    image_user: &str,
    passwd: &'t str,
) -> Result<Account<'t>, ConfigError> {
    let numeric = match (run_as_user, image_user) {
        (Some(uid), _) => Some(uid),
        (None, "") => Some(0),
        (None, user) if user.bytes().all(|b| b.is_ascii_digit()) => {
            let uid = user.parse().ok().filter(|uid| *uid <= ID_MAX);
            Some(uid.ok_or_else(|| ConfigError::ImageUserOutOfRange { user: user.to_owned() })?)
        }
        (None, _) => None,
    };
    let mut accounts = passwd.lines().filter_map(parse_account);
    match numeric {
        Some(uid) => Ok(accounts.find(|account| account.uid == uid).unwrap_or(Account {
            name: None,
            uid,
            gid: 0,
            home: "/",
        })),
        None => accounts
            .find(|account| account.name == Some(image_user))
            .ok_or_else(|| ConfigError::UnknownImageUser { user: image_user.to_owned() }),
    }
}

/// `name:password:uid:gid:comment:home:shell`; what does not look so is passed over.
fn parse_account(line: &str) -> Option<Account<'_>> {
    let mut fields = line.trim().split(':');
    let name = fields.next().filter(|name| !name.is_empty())?;
    let (uid, gid) = (fields.nth(1)?.parse().ok()?, fields.next()?.parse().ok()?);
    let home = fields.nth(1).filter(|home| !home.is_empty()).unwrap_or("/");
    Some(Account { name: Some(name), uid, gid, home })
}

/// The groups that list the user as a member: `name:password:gid:member,member`.
fn memberships(group: &str, user: &str) -> impl Iterator<Item = u32> {
    group.lines().filter_map(move |line| {
        let mut fields = line.trim().split(':');
        let name = fields.next()?;
        let gid = fields.nth(1)?.parse().ok()?;
        let is_member = fields.next()?.split(',').any(|member| member == user);
        (name != user && is_member).then_some(gid)
    })
}
