//! What a node takes no pod with. Nothing of such a pod is ever begun: it has failed.

use podspec::{AppArmorProfile, PodSpec};
use serde::{Deserialize, Serialize};

/// Why a pod is not taken: `status.reason`, and the text of its event.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rejection {
    pub reason: RejectionReason,
    pub message: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum RejectionReason {
    SysctlForbidden,
    AppArmor,
    SeLinux,
    PodOSNotSupported,
    OutOfCpu,
    OutOfMemory,
    OutOfEphemeralStorage,
    OutOfPods,
    NodeAffinity,
    NodePorts,
    TaintToleration,
}

impl RejectionReason {
    const ALL: [Self; 11] = [
        Self::SysctlForbidden,
        Self::AppArmor,
        Self::SeLinux,
        Self::PodOSNotSupported,
        Self::OutOfCpu,
        Self::OutOfMemory,
        Self::OutOfEphemeralStorage,
        Self::OutOfPods,
        Self::NodeAffinity,
        Self::NodePorts,
        Self::TaintToleration,
    ];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SysctlForbidden => "SysctlForbidden",
            Self::AppArmor => "AppArmor",
            Self::SeLinux => "SELinux",
            Self::PodOSNotSupported => "PodOSNotSupported",
            Self::OutOfCpu => "OutOfcpu",
            Self::OutOfMemory => "OutOfmemory",
            Self::OutOfEphemeralStorage => "OutOfephemeral-storage",
            Self::OutOfPods => "OutOfpods",
            Self::NodeAffinity => "NodeAffinity",
            Self::NodePorts => "NodePorts",
            Self::TaintToleration => "TaintToleration",
        }
    }

    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == name)
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Namespace {
    Ipc,
    Net,
}

/// Those that are a pod's own, and that nothing outside of it notices
/// (<https://kubernetes.io/docs/tasks/administer-cluster/sysctl-cluster/#safe-and-unsafe-sysctls>).
const SAFE_SYSCTLS: [(&str, Namespace); 12] = [
    ("kernel.shm_rmid_forced", Namespace::Ipc),
    ("net.ipv4.ip_local_port_range", Namespace::Net),
    ("net.ipv4.tcp_syncookies", Namespace::Net),
    ("net.ipv4.ping_group_range", Namespace::Net),
    ("net.ipv4.ip_unprivileged_port_start", Namespace::Net),
    ("net.ipv4.ip_local_reserved_ports", Namespace::Net),
    ("net.ipv4.tcp_keepalive_time", Namespace::Net),
    ("net.ipv4.tcp_fin_timeout", Namespace::Net),
    ("net.ipv4.tcp_keepalive_intvl", Namespace::Net),
    ("net.ipv4.tcp_keepalive_probes", Namespace::Net),
    ("net.ipv4.tcp_rmem", Namespace::Net),
    ("net.ipv4.tcp_wmem", Namespace::Net),
];

/// `app_armor`, `se_linux`: the machine's kernel enforces it.
#[must_use]
pub fn rejection(spec: &PodSpec, app_armor: bool, se_linux: bool) -> Option<Rejection> {
    let forbidden = spec.sysctls.iter().find_map(|sysctl| forbidden_sysctl(spec, &sysctl.name));
    if let Some(why) = forbidden {
        return Some(Rejection {
            reason: RejectionReason::SysctlForbidden,
            message: format!("forbidden sysctl: {why}"),
        });
    }
    if spec.os.as_deref().is_some_and(|os| os != "linux") {
        return Some(Rejection {
            reason: RejectionReason::PodOSNotSupported,
            message: "Failed to admit pod as the OS field doesn't match node OS".to_owned(),
        });
    }
    if spec.se_linux && se_linux {
        let why = "monopod sets no labels yet; remove seLinuxOptions";
        let message = format!("Cannot enforce SELinux: {why}");
        return Some(Rejection { reason: RejectionReason::SeLinux, message });
    }
    let unmet = if app_armor {
        has_default_profile(spec).then_some(
            "monopod has no default profile; load one, and name it in appArmorProfile with type Localhost, or set its \
             type to Unconfined",
        )
    } else {
        spec.app_armor.then_some("AppArmor is not enabled on the host")
    };
    unmet.map(|why| Rejection {
        reason: RejectionReason::AppArmor,
        message: format!("Cannot enforce AppArmor: {why}"),
    })
}

fn has_default_profile(spec: &PodSpec) -> bool {
    let containers = [&spec.init_containers, &spec.containers, &spec.ephemeral_containers];
    let mut containers = containers.into_iter().flatten();
    containers.any(|container| container.security.app_armor == AppArmorProfile::RuntimeDefault)
}

fn forbidden_sysctl(spec: &PodSpec, name: &str) -> Option<String> {
    let Some((_, namespace)) = SAFE_SYSCTLS.iter().find(|(safe, _)| *safe == name) else {
        return Some(format!("\"{name}\" not allowlisted"));
    };
    let host = match namespace {
        Namespace::Ipc => spec.host_ipc.then_some("IPC"),
        Namespace::Net => spec.host_network.then_some("Net"),
    };
    host.map(|host| format!("\"{name}\" not allowed with host {host} enabled"))
}
