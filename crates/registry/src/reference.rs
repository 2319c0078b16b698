//! Image references as Docker and the kubelet read them: `busybox` is
//! `docker.io/library/busybox:latest`
//! (<https://kubernetes.io/docs/concepts/containers/images/#image-names>).

use std::fmt;

const DEFAULT_DOMAIN: &str = "docker.io";
const LEGACY_DEFAULT_DOMAIN: &str = "index.docker.io";
const OFFICIAL_PREFIX: &str = "library/";
const DEFAULT_TAG: &str = "latest";
/// Of domain and path together.
const NAME_BYTES_MAX: usize = 255;
const TAG_BYTES_MAX: usize = 128;

/// A reference in its full form.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reference {
    /// A host name or address, with its port if there is one.
    pub domain: String,
    pub path: String,
    /// `latest` when neither tag nor digest is given.
    pub tag: Option<String>,
    /// `sha256:...`
    pub digest: Option<String>,
}

/// Messages are the wire texts users of kubectl know.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ParseError {
    #[error("invalid reference format")]
    Format,
    #[error("invalid reference format: repository name ({name}) must be lowercase")]
    Uppercase { name: String },
    #[error("repository name must not be more than {NAME_BYTES_MAX} characters")]
    NameTooLong,
    #[error("invalid repository name ({name}), cannot specify 64-byte hexadecimal strings")]
    LooksLikeId { name: String },
    #[error("unsupported digest algorithm")]
    DigestAlgorithm,
    #[error("invalid checksum digest length")]
    DigestLength,
    #[error("invalid checksum digest format")]
    DigestFormat,
}

impl Reference {
    /// # Errors
    /// When `text` is not a reference; the text of the error is what the field's tools say.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        if text.len() == 64 && text.bytes().all(is_lower_hex) {
            return Err(ParseError::LooksLikeId { name: text.to_owned() });
        }
        let (domain, remainder) = split_domain(text);
        let name = remainder.split(':').next().unwrap_or_default();
        if name.chars().any(char::is_uppercase) {
            return Err(ParseError::Uppercase { name: name.to_owned() });
        }
        let (rest, digest) = split_suffix(&remainder, '@');
        // A port is part of the domain, so that the first colon left begins the tag.
        let (path, tag) = split_suffix(rest, ':');
        let well_formed = is_domain(&domain)
            && path.split('/').all(is_path_component)
            && tag.is_none_or(is_tag)
            && digest.is_none_or(looks_like_digest);
        if !well_formed {
            return Err(ParseError::Format);
        }
        if domain.len() + 1 + path.len() > NAME_BYTES_MAX {
            return Err(ParseError::NameTooLong);
        }
        digest.map_or(Ok(()), check_digest)?;
        let tag = tag.or(if digest.is_none() { Some(DEFAULT_TAG) } else { None });
        Ok(Self {
            path: path.to_owned(),
            tag: tag.map(str::to_owned),
            digest: digest.map(str::to_owned),
            domain,
        })
    }

    /// Whether it is `localhost/host`, which nothing else may be called.
    #[must_use]
    pub fn is_built_in(&self) -> bool {
        self.is("localhost", "host")
    }

    /// Whether it names this repository, by any digest or by the default tag.
    fn is(&self, domain: &str, path: &str) -> bool {
        self.domain == domain && self.path == path && self.tag.as_deref().is_none_or(|tag| tag == DEFAULT_TAG)
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.domain, self.path)?;
        self.tag.iter().try_for_each(|tag| write!(f, ":{tag}"))?;
        self.digest.iter().try_for_each(|digest| write!(f, "@{digest}"))
    }
}

/// The first component is a domain when it could be no other thing: `localhost`, or something with
/// a dot, a colon or an upper-case letter.
fn split_domain(text: &str) -> (String, String) {
    let (domain, remainder) = match text.split_once('/') {
        Some((LEGACY_DEFAULT_DOMAIN, rest)) => (DEFAULT_DOMAIN, rest),
        Some((first, rest))
            if first == "localhost"
                || first.contains(['.', ':'])
                || first.chars().any(char::is_uppercase) =>
        {
            (first, rest)
        }
        _ => (DEFAULT_DOMAIN, text),
    };
    if domain == DEFAULT_DOMAIN && !remainder.contains('/') {
        return (domain.to_owned(), format!("{OFFICIAL_PREFIX}{remainder}"));
    }
    (domain.to_owned(), remainder.to_owned())
}

fn split_suffix(text: &str, separator: char) -> (&str, Option<&str>) {
    text.split_once(separator).map_or((text, None), |(before, after)| (before, Some(after)))
}

/// Host name or IPv4 address, or IPv6 address in brackets, with an optional port.
pub(crate) fn is_domain(domain: &str) -> bool {
    let (host, port) = match domain.strip_prefix('[').and_then(|inner| inner.split_once(']')) {
        Some((address, port)) => {
            let is_address =
                !address.is_empty() && address.bytes().all(|b| b.is_ascii_hexdigit() || b == b':');
            (is_address, port)
        }
        None => {
            let end = domain.find(':').unwrap_or(domain.len());
            (domain[..end].split('.').all(is_host_label), &domain[end..])
        }
    };
    let port_digits = port.strip_prefix(':');
    host && (port.is_empty()
        || port_digits.is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())))
}

fn is_host_label(label: &str) -> bool {
    !label.is_empty()
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

/// Lower-case letters and digits, joined by `.`, `_`, `__` or any number of `-`.
fn is_path_component(component: &str) -> bool {
    let is_word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = component.as_bytes();
    let ends_are_words =
        bytes.first().copied().is_some_and(is_word) && bytes.last().copied().is_some_and(is_word);
    ends_are_words
        && component
            .split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
            .all(|joint| matches!(joint, "" | "." | "_" | "__") || joint.bytes().all(|b| b == b'-'))
}

pub(crate) fn is_tag(tag: &str) -> bool {
    let is_word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    tag.len() <= TAG_BYTES_MAX
        && tag.bytes().next().is_some_and(is_word)
        && tag.bytes().all(|b| is_word(b) || b == b'.' || b == b'-')
}

/// `algorithm:hex`, as far as the grammar of references goes.
fn looks_like_digest(digest: &str) -> bool {
    digest.split_once(':').is_some_and(|(algorithm, hex)| {
        algorithm.split(['-', '_', '+', '.']).all(|part| {
            part.bytes().next().is_some_and(|b| b.is_ascii_alphabetic())
                && part.bytes().all(|b| b.is_ascii_alphanumeric())
        }) && hex.len() >= 32
            && hex.bytes().all(|b| b.is_ascii_hexdigit())
    })
}

fn check_digest(digest: &str) -> Result<(), ParseError> {
    let (algorithm, hex) = digest.split_once(':').ok_or(ParseError::Format)?;
    let length = match algorithm {
        "sha256" => 64,
        "sha384" => 96,
        "sha512" => 128,
        _ => return Err(ParseError::DigestAlgorithm),
    };
    if hex.len() != length {
        return Err(ParseError::DigestLength);
    }
    if hex.bytes().all(is_lower_hex) { Ok(()) } else { Err(ParseError::DigestFormat) }
}

fn is_lower_hex(byte: u8) -> bool {
    byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::Reference;

    #[test]
    fn references_have_one_full_form() {
        let digest = format!("sha256:{}", "a".repeat(64));
        let pinned = format!("busybox@{digest}");
        for (text, expected) in [
            ("busybox", "docker.io/library/busybox:latest"),
            ("busybox:1.36", "docker.io/library/busybox:1.36"),
            ("bitnami/redis", "docker.io/bitnami/redis:latest"),
            ("docker.io/busybox", "docker.io/library/busybox:latest"),
            ("index.docker.io/busybox", "docker.io/library/busybox:latest"),
            ("registry.k8s.io/pause:3.10", "registry.k8s.io/pause:3.10"),
            ("localhost/host", "localhost/host:latest"),
            ("localhost:5000/a/b__c-d---e.f:T_1", "localhost:5000/a/b__c-d---e.f:T_1"),
            ("[::1]:5000/x", "[::1]:5000/x:latest"),
            ("127.0.0.1/x", "127.0.0.1/x:latest"),
            ("LOCAL/x", "LOCAL/x:latest"),
            ("localhost", "docker.io/library/localhost:latest"),
            (&pinned, &format!("docker.io/library/busybox@{digest}")),
            (&format!("a/b:v1@{digest}"), &format!("docker.io/a/b:v1@{digest}")),
        ] {
            assert_eq!(Reference::parse(text).map(|r| r.to_string()).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_reference_says_so_in_known_words() {
        const FORMAT: &str = "invalid reference format";
        let id = "a".repeat(64);
        let long = format!("x.io/{}", "a".repeat(251));
        for (text, expected) in [
            ("", FORMAT),
            (" busybox", FORMAT),
            ("busy box", FORMAT),
            ("busybox:", FORMAT),
            (":latest", FORMAT),
            ("a//b", FORMAT),
            ("/a", FORMAT),
            ("a/", FORMAT),
            ("a..b", FORMAT),
            ("a___b", FORMAT),
            ("-a", FORMAT),
            ("a-", FORMAT),
            ("\u{e9}", FORMAT),
            ("busybox:.tag", FORMAT),
            ("busybox:a:b", FORMAT),
            ("x.io:port/a", FORMAT),
            ("-x.io/a", FORMAT),
            ("busybox@sha256:abc", FORMAT),
            ("BusyBox", "invalid reference format: repository name (library/BusyBox) must be lowercase"),
            ("x.io/A/b:C", "invalid reference format: repository name (A/b) must be lowercase"),
            (&long, "repository name must not be more than 255 characters"),
            (&id, &format!("invalid repository name ({id}), cannot specify 64-byte hexadecimal strings")),
            (&format!("a@md5:{}", "0".repeat(32)), "unsupported digest algorithm"),
            (&format!("a@sha256:{}", "0".repeat(63)), "invalid checksum digest length"),
            (&format!("a@sha256:{}", "A".repeat(64)), "invalid checksum digest format"),
        ] {
            let error = Reference::parse(text).expect_err(text);
            assert_eq!(error.to_string(), expected, "{text:?}");
        }
        let longest = format!("x.io/{}", "a".repeat(250));
        assert!(Reference::parse(&longest).is_ok());
        assert!(Reference::parse(&format!("a:{}", "t".repeat(128))).is_ok());
        assert!(Reference::parse(&format!("a:{}", "t".repeat(129))).is_err());
    }
}
