//! `restricted:latest`: a level, as some release of Kubernetes defined it.

use std::fmt;

/// In the order of strictness.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Level {
    /// Forbids nothing.
    Privileged,
    /// Forbids the known ways to more than a container's rights.
    Baseline,
    /// Asks for what hardens a pod.
    Restricted,
}

impl Level {
    /// # Errors
    /// What it must be.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        match text {
            "privileged" => Ok(Self::Privileged),
            "baseline" => Ok(Self::Baseline),
            "restricted" => Ok(Self::Restricted),
            _ => Err("must be one of privileged, baseline, restricted"),
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Privileged => "privileged",
            Self::Baseline => "baseline",
            Self::Restricted => "restricted",
        })
    }
}

/// The release whose definition counts. One that is not out yet is as the latest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Version {
    /// `v1.N`.
    Minor(u64),
    Latest,
}

impl Version {
    /// # Errors
    /// What it must be.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        const FORM: &str = "must be \"latest\" or \"v1.x\"";
        if text == "latest" {
            return Ok(Self::Latest);
        }
        let digits = text.strip_prefix("v1.").ok_or(FORM)?;
        let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
        if !plain || digits.len() > 1 && digits.starts_with('0') {
            return Err(FORM);
        }
        digits.parse().map(Self::Minor).map_err(|_| FORM)
    }

    /// Whether what came with `v1.minor` counts.
    pub(crate) fn has(self, minor: u64) -> bool {
        self >= Self::Minor(minor)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Minor(minor) => write!(f, "v1.{minor}"),
            Self::Latest => f.write_str("latest"),
        }
    }
}

/// What a pod is judged by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Policy {
    pub level: Level,
    pub version: Version,
}

impl Policy {
    /// That of a namespace without labels.
    pub const NONE: Self = Self { level: Level::Privileged, version: Version::Latest };

    #[must_use]
    pub fn forbids_nothing(self) -> bool {
        self.level == Level::Privileged
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.level, self.version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_have_one_form() {
        for (text, version) in
            [("latest", Version::Latest), ("v1.0", Version::Minor(0)), ("v1.36", Version::Minor(36))]
        {
            assert_eq!(Version::parse(text), Ok(version));
            assert_eq!(version.to_string(), text);
        }
        for text in
            ["", "v1", "v1.", "v1.01", "1.2", "v2.0", "v1.2.3", "v1.+2", "Latest", "v1.99999999999999999999"]
        {
            assert_eq!(Version::parse(text), Err("must be \"latest\" or \"v1.x\""), "{text}");
        }
        assert!(Version::Latest.has(u64::MAX) && Version::Minor(99).has(35) && !Version::Minor(34).has(35));
    }

    #[test]
    fn levels_grow_stricter() {
        let levels = ["privileged", "baseline", "restricted"].map(|text| Level::parse(text).unwrap());
        assert!(levels.is_sorted());
        for text in ["", "Restricted", "none"] {
            assert_eq!(Level::parse(text), Err("must be one of privileged, baseline, restricted"));
        }
        assert_eq!(Policy { level: levels[2], version: Version::Minor(25) }.to_string(), "restricted:v1.25");
    }
}
