//! What the containers of a pod share.

use std::ffi::CString;
use std::fs::{self, Permissions};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::unix::fs::PermissionsExt as _;

use anyhow::{Context, Result};
use container_config::{ResourceLimits, SandboxConfig};
use linux_sys::cgroup::{Hierarchies, Limits};
use linux_sys::device_filter::DeviceRule;
use linux_sys::namespace::{self, Namespaces};
use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};

use super::Plan;

/// Before those of pods, in no range that an engine takes by itself.
const FIRST: (Ipv4Addr, Ipv6Addr) =
    (Ipv4Addr::new(10, 199, 0, 2), Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 2));
/// An address of the network that the bench is in; it has none of IPv6 that a route could name.
const GATEWAYS: [IpAddr; 1] = [IpAddr::V4(Ipv4Addr::LOCALHOST)];

/// Of an emptyDir.
const VOLUME_MODE: u32 = 0o777;

#[derive(Debug)]
pub(super) struct Sandbox {
    pub(super) hierarchies: Hierarchies,
    pub(super) cgroup: String,
}

/// Those of the pod with this number, among pods that are there at one time.
pub(crate) fn addresses(number: u16) -> Vec<IpAddr> {
    let (v4, v6) = FIRST;
    let (v4, v6) = (u32::from(v4) + u32::from(number), u128::from(v6) + u128::from(number));
    vec![Ipv4Addr::from(v4).into(), Ipv6Addr::from(v6).into()]
}

/// This process is the one that holds the namespaces.
pub(super) fn enter(plan: &Plan) -> Result<Sandbox> {
    let SandboxConfig { hostname, tmpfs, cgroup, resources, .. } = &plan.sandbox;
    let hierarchies = Hierarchies::detect()?;
    let group = hierarchies.group(cgroup);
    group.create()?;
    group.limit(&limits(resources))?;
    for (path, text) in &plan.files {
        fs::create_dir_all(path.parent().unwrap_or(path))
            .and_then(|()| fs::write(path, text))
            .with_context(|| format!("cannot make {}", path.display()))?;
    }
    for path in &plan.volumes {
        fs::create_dir_all(path).with_context(|| format!("cannot make {}", path.display()))?;
        // Whatever the umask.
        fs::set_permissions(path, Permissions::from_mode(VOLUME_MODE))?;
    }
    namespace::unshare(Namespaces::MOUNT | Namespaces::IPC | Namespaces::UTS)
        .context("cannot make namespaces")?;
    network::enter_alone(plan.addresses.clone(), GATEWAYS.to_vec()).context("cannot make a link")?;
    mount_change(c"/", MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC)?;
    rustix::system::sethostname(hostname.as_bytes())?;
    for tmpfs in tmpfs {
        fs::create_dir_all(&tmpfs.path)?;
        let size = tmpfs.size_bytes.map(|bytes| format!(",size={bytes}")).unwrap_or_default();
        let options = CString::new(format!("mode={:o}{size}", tmpfs.mode))?;
        mount(c"tmpfs", &tmpfs.path, c"tmpfs", MountFlags::empty(), options.as_c_str())?;
    }
    Ok(Sandbox { hierarchies, cgroup: cgroup.clone() })
}

pub(super) fn limits(resources: &ResourceLimits) -> Limits {
    let devices = resources.devices.iter().map(|rule| DeviceRule {
        allow: rule.allow,
        kind: rule.kind,
        major: rule.major,
        minor: rule.minor,
        access: rule.access.clone(),
    });
    Limits {
        cpu_shares: resources.cpu_shares,
        cpu_quota_us: resources.cpu_quota_us,
        cpu_period_us: resources.cpu_period_us,
        memory_limit_bytes: resources.memory_limit_bytes,
        processes_max: resources.processes_max,
        oom_ends_all: resources.oom_ends_all,
        devices: devices.collect(),
    }
}
