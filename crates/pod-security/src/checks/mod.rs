//! What there is to check, by level and since which release.

mod baseline;
mod profiles;
mod restricted;
#[cfg(test)]
mod tests;
mod words;

use podspec::json::{list, object, text};
use serde_json::Value;

use crate::evaluate::Violation;
use crate::level::Level::{self, Baseline, Restricted};
use crate::level::Version;

pub(crate) struct Check {
    /// As Kubernetes calls it; no client sees it.
    #[cfg_attr(not(test), expect(dead_code, reason = "names a row of the table, and of its tests"))]
    pub(crate) name: &'static str,
    pub(crate) level: Level,
    /// The first `v1.N` that has it. What it forbids may have changed since.
    pub(crate) since: u64,
    /// The first `v1.N` in which the restricted level has a stricter one instead.
    pub(crate) replaced_in: Option<u64>,
    pub(crate) run: fn(&Pod<'_>) -> Option<Violation>,
}

const fn check(
    name: &'static str,
    level: Level,
    since: u64,
    run: fn(&Pod<'_>) -> Option<Violation>,
) -> Check {
    Check { name, level, since, replaced_in: None, run }
}

impl Check {
    const fn replaced_in(self, minor: u64) -> Self {
        Self { replaced_in: Some(minor), ..self }
    }
}

/// In the order of their names within a level, which is that of the messages.
pub(crate) const CHECKS: &[Check] = &[
    check("appArmorProfile", Baseline, 0, profiles::app_armor),
    check("capabilities_baseline", Baseline, 0, baseline::capabilities).replaced_in(22),
    check("hostNamespaces", Baseline, 0, baseline::host_namespaces),
    check("hostPathVolumes", Baseline, 0, baseline::host_path_volumes).replaced_in(0),
    check("hostPorts", Baseline, 0, baseline::host_ports),
    check("hostProbesAndHostLifecycle", Baseline, 34, baseline::hosts_of_handlers),
    check("privileged", Baseline, 0, baseline::privileged),
    check("procMount", Baseline, 0, baseline::proc_mount).replaced_in(35),
    check("seLinuxOptions", Baseline, 0, profiles::se_linux),
    check("seccompProfile_baseline", Baseline, 0, profiles::seccomp).replaced_in(19),
    check("sysctls", Baseline, 0, baseline::sysctls),
    check("windowsHostProcess", Baseline, 0, baseline::windows_host_process),
    check("allowPrivilegeEscalation", Restricted, 8, restricted::privilege_escalation),
    check("capabilities_restricted", Restricted, 22, restricted::capabilities),
    check("procMount_restricted", Restricted, 35, baseline::unmasked_proc),
    check("restrictedVolumes", Restricted, 0, restricted::volumes),
    check("runAsNonRoot", Restricted, 0, restricted::non_root),
    check("runAsUser", Restricted, 23, restricted::user),
    check("seccompProfile_restricted", Restricted, 19, profiles::seccomp_is_set),
];

/// What a check looks at.
pub(crate) struct Pod<'a> {
    pub(crate) metadata: &'a Value,
    pub(crate) spec: &'a Value,
    /// By which release's definition.
    pub(crate) version: Version,
}

impl<'a> Pod<'a> {
    /// All of them, of every kind.
    fn containers(&self) -> impl Iterator<Item = &'a Value> {
        let spec = self.spec;
        ["initContainers", "containers", "ephemeralContainers"].into_iter().flat_map(|name| list(spec, name))
    }

    /// The names of the containers of which `is_bad` is true.
    fn containers_where(&self, mut is_bad: impl FnMut(&'a Value) -> bool) -> Vec<&'a str> {
        self.containers()
            .filter(|container| is_bad(container))
            .map(|container| text(container, "name"))
            .collect()
    }

    /// The same by their security contexts.
    fn contexts_where(&self, mut is_bad: impl FnMut(&'a Value) -> bool) -> Vec<&'a str> {
        self.containers_where(|container| is_bad(&container["securityContext"]))
    }

    /// The pod's own security context.
    fn context(&self) -> &'a Value {
        &self.spec["securityContext"]
    }

    /// Whether what is said of Linux alone says nothing of it.
    fn is_of_windows(&self) -> bool {
        text(&self.spec["os"], "name") == "windows"
    }

    /// Whether its root is none of the node's.
    fn has_own_users(&self) -> bool {
        self.spec.get("hostUsers").and_then(Value::as_bool) == Some(false)
    }
}

/// The `type` of a profile in a security context; `None` when there is no profile.
fn profile_type<'a>(context: &'a Value, name: &str) -> Option<&'a str> {
    object(context, name).map(|profile| text(profile, "type"))
}
