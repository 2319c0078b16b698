//! Which of an image's variants is for this machine.

use std::fmt;

use crate::config::Platform;

/// In the words of Go, as manifests have them
/// (<https://github.com/opencontainers/image-spec/blob/main/image-index.md>).
const ARCHITECTURES: [(&str, &str); 9] = [
    ("x86_64", "amd64"),
    ("x86", "386"),
    ("aarch64", "arm64"),
    ("arm", "arm"),
    ("riscv64", "riscv64"),
    ("s390x", "s390x"),
    ("powerpc64", if cfg!(target_endian = "little") { "ppc64le" } else { "ppc64" }),
    ("loongarch64", "loong64"),
    ("mips64", if cfg!(target_endian = "little") { "mips64le" } else { "mips64" }),
];

impl Platform {
    /// This machine's.
    pub(crate) fn host() -> Self {
        let own = std::env::consts::ARCH;
        let known = ARCHITECTURES.iter().find(|(rust, _)| *rust == own);
        let architecture = known.map_or(own, |(_, go)| go).to_owned();
        Self { os: "linux".to_owned(), architecture, variant: String::new() }
    }

    /// Whether programs for it run here. Of several variants, the first in order asks the least.
    pub(crate) fn fits(&self, host: &Self) -> bool {
        (&self.os, &self.architecture) == (&host.os, &host.architecture)
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let or_unknown = |text: &str| {
            if text.is_empty() { "unknown".to_owned() } else { text.escape_default().to_string() }
        };
        write!(f, "{}/{}", or_unknown(&self.os), or_unknown(&self.architecture))?;
        if self.variant.is_empty() { Ok(()) } else { write!(f, "/{}", self.variant.escape_default()) }
    }
}
