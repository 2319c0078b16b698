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
    PATHS_DO_NOT_MEET Error "paths-do-not-meet" "a file of a shared volume is written and read at paths that are not the same file";
    SIDECAR_AS_INIT Error "sidecar-as-init" "an ordinary init container never ends, so nothing after it starts";
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
