//! What usually goes wrong with a multi-container Pod: `common-causes/` of this crate, and `examples/broken/`.

mod loaded;

use std::path::PathBuf;

pub(crate) use loaded::{load, manifest, wait_why, why};

/// A manifest of the most usual kind, and what is wrong with it.
#[derive(Debug)]
pub(crate) struct Cause {
    /// Below the repository.
    pub(crate) file: &'static str,
    /// The rule that sees it; `None`: it is right, and waits for something outside.
    pub(crate) rule: Option<&'static str>,
    /// It will not work, rather than otherwise than was meant.
    pub(crate) is_error: bool,
    /// The API refuses it, with this text.
    pub(crate) refusal: Option<&'static str>,
}

impl Cause {
    pub(crate) fn path(&self) -> PathBuf {
        repository().join(self.file)
    }
}

pub(crate) fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

const fn error(file: &'static str, rule: &'static str) -> Cause {
    Cause { file, rule: Some(rule), is_error: true, refusal: None }
}

const fn warning(file: &'static str, rule: &'static str) -> Cause {
    Cause { file, rule: Some(rule), is_error: false, refusal: None }
}

const UNDEFINED: &str = "volumeMounts[0].name: Not found: \"shared-logs\"";

pub(crate) const CAUSES: &[Cause] = &[
    Cause {
        refusal: Some(UNDEFINED),
        ..error("crates/e2e/common-causes/volume-not-defined.yaml", "volume-not-defined")
    },
    warning("crates/e2e/common-causes/volume-not-mounted.yaml", "volume-not-shared"),
    error("crates/e2e/common-causes/wrong-mount-path.yaml", "paths-do-not-meet"),
    warning("crates/e2e/common-causes/name-instead-of-localhost.yaml", "container-name-as-host"),
    error("crates/e2e/common-causes/sidecar-as-init.yaml", "sidecar-as-init"),
    Cause { file: "crates/e2e/common-causes/wait-for-db.yaml", rule: None, is_error: false, refusal: None },
    Cause {
        refusal: Some(UNDEFINED),
        ..error("examples/broken/volume-not-defined.yaml", "volume-not-defined")
    },
    error("examples/broken/volume-not-mounted.yaml", "volume-not-mounted"),
    error("examples/broken/paths-do-not-meet.yaml", "paths-do-not-meet"),
    warning("examples/broken/name-instead-of-localhost.yaml", "container-name-as-host"),
    error("examples/broken/pod-level-restart-policy.yaml", "sidecar-as-init"),
    error("examples/broken/port-conflict.yaml", "port-conflict"),
];
