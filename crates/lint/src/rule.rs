//! The rules there are.

use serde::{Deserialize, Serialize};

/// How bad it is. Only errors change an exit code.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// It will not work.
    Error,
    /// It works now and then, or otherwise than was most likely meant.
    Warning,
    /// It could be better.
    Hint,
}

/// One rule.
#[derive(PartialEq, Eq, Debug)]
pub struct Rule {
    /// Never changes, as people silence it by that: `sidecar-as-init`. Also the name of its page, `docs/lint/ID.md`.
    pub id: &'static str,
    pub severity: Severity,
    /// What is wrong, in a few words, for lists.
    pub summary: &'static str,
}

macro_rules! rules {
    ($($name:ident $severity:ident $id:literal $summary:literal;)*) => {
        $(pub(crate) static $name: Rule = Rule { id: $id, severity: Severity::$severity, summary: $summary };)*

        /// Every rule, by id.
        pub static RULES: &[&Rule] = &[$(&$name),*];
    };
}

rules! {
    CONTAINER_NAME_AS_HOST Warning "container-name-as-host" "a container's name is used as a host name";
    DEPRECATED_FIELD Warning "deprecated-field" "a field, annotation or label that does nothing any more, or will not for long";
    GRACE_TOO_SHORT_FOR_SIDECARS Warning "grace-too-short-for-sidecars" "the others may use up the grace period before a sidecar has had its time";
    INIT_WAITS_FOR_LATER Error "init-waits-for-later" "an init container asks a container that starts only after it";
    JOB_KEPT_ALIVE Warning "job-kept-alive" "a container that never ends keeps a pod that is to end";
    LATEST_TAG Hint "latest-tag" "an image without a version";
    LIMITS_BELOW_SIDECARS Warning "limits-below-sidecars" "the sidecars ask for all that the pod may have";
    LOCALHOST_PORT_NOT_DECLARED Hint "localhost-port-not-declared" "a port of localhost that no container declares or evidently listens on";
    MEMORY_VOLUME_WITHOUT_LIMIT Warning "memory-volume-without-limit" "a volume in memory that nothing limits";
    PATHS_DO_NOT_MEET Error "paths-do-not-meet" "a file of a shared volume is written and read at paths that are not the same file";
    PORT_CONFLICT Error "port-conflict" "two containers have one port";
    PRESTOP_EXCEEDS_GRACE Warning "prestop-exceeds-grace" "a preStop hook takes the whole grace period";
    PROBE_HOST_IS_THE_NODE Warning "probe-host-is-the-node" "a probe or hook has localhost as its host, which is the node's";
    PROBE_PORT_NOT_DECLARED Hint "probe-port-not-declared" "a probe asks a port that no container declares";
    PROBE_PORT_NOT_LISTENED Error "probe-port-not-listened" "a probe asks a port, and the container listens on another";
    READINESS_DOES_NOT_GATE_START Warning "readiness-does-not-gate-start" "a readinessProbe stands where a startupProbe is needed";
    RENAMED_FIELD Hint "renamed-field" "a field has its old name";
    SHELL_IGNORES_TERM Hint "shell-ignores-term" "a shell is the first process and ignores SIGTERM";
    SIDECAR_AS_INIT Error "sidecar-as-init" "an ordinary init container never ends, so nothing after it starts";
    SIDECAR_WITHOUT_STARTUP_PROBE Warning "sidecar-without-startup-probe" "a sidecar is needed at once, and nothing waits until it is up";
    VOLUME_NOT_DEFINED Error "volume-not-defined" "a container mounts a volume that the pod does not define";
    VOLUME_NOT_MOUNTED Error "volume-not-mounted" "a container reads a file of a volume that only others mount";
    VOLUME_NOT_SHARED Warning "volume-not-shared" "a log shipper mounts nothing of the volume it is there for";
    VOLUME_UNUSED Warning "volume-unused" "no container mounts the volume";
}

#[cfg(test)]
mod tests {
    use super::RULES;

    #[test]
    fn ids_are_in_order_and_words_with_hyphens() {
        assert!(RULES.windows(2).all(|pair| pair[0].id < pair[1].id));
        for rule in RULES {
            assert!(rule.id.chars().all(|c| c.is_ascii_lowercase() || c == '-'), "{}", rule.id);
            assert!(!rule.summary.ends_with('.'), "{}", rule.id);
        }
    }
}
