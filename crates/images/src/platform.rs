//! Which of an image's variants is for this machine.

use std::fmt;
use std::str::FromStr;

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

/// Of a text that is no platform.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{text:?} is no platform: give OS/ARCHITECTURE or OS/ARCHITECTURE/VARIANT, as in linux/arm64/v8")]
pub struct PlatformError {
    text: String,
}

impl FromStr for Platform {
    type Err = PlatformError;

    /// `OS/ARCHITECTURE` or `OS/ARCHITECTURE/VARIANT`; architectures may also have the kernel's names.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_word = |part: &&str| {
            !part.is_empty()
                && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        };
        let parts: Vec<&str> = text.split('/').collect();
        let (os, architecture, variant) = match parts.as_slice() {
            [os, architecture] => (os, architecture, ""),
            [os, architecture, variant] => (os, architecture, *variant),
            _ => return Err(PlatformError { text: text.to_owned() }),
        };
        if !parts.iter().all(is_word) {
            return Err(PlatformError { text: text.to_owned() });
        }
        let known = ARCHITECTURES.iter().find(|(kernel, _)| kernel == architecture);
        let architecture = known.map_or(*architecture, |(_, go)| go);
        Ok(Self { os: (*os).to_owned(), architecture: architecture.to_owned(), variant: variant.to_owned() })
    }
}

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

#[cfg(test)]
mod tests {
    use super::Platform;

    #[test]
    fn platforms_are_read_as_they_are_written() {
        for (text, shown) in [
            ("linux/amd64", "linux/amd64"),
            ("linux/x86_64", "linux/amd64"),
            ("linux/aarch64/v8", "linux/arm64/v8"),
            ("windows/mips64", "windows/mips64le"),
        ] {
            let platform: Platform = text.parse().expect(text);
            assert!(cfg!(target_endian = "big") || platform.to_string() == shown, "{platform}");
        }
        for wrong in
            ["", "linux", "linux/", "/amd64", "linux/amd64/", "linux/amd64/v1/x", "Linux/amd64", "a b/c"]
        {
            let error = wrong.parse::<Platform>().expect_err(wrong).to_string();
            assert!(error.contains("OS/ARCHITECTURE"), "{error}");
        }
    }
}
