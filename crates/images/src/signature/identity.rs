//! Whether what was signed is what is pulled, by name: `signedIdentity`.

use registry::{Digest, Reference};

use crate::access::repository_of;

/// A reference as it is written: without a default tag.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Named {
    /// `DOMAIN/PATH`
    pub(super) repository: String,
    pub(super) version: Version,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Version {
    None,
    Tag(String),
    Digest(String),
}

impl Named {
    /// What a pod asks for. A digest goes before a tag.
    pub(super) fn of(reference: &Reference) -> Self {
        let version = match (&reference.digest, &reference.tag) {
            (Some(digest), _) => Version::Digest(digest.clone()),
            (None, Some(tag)) => Version::Tag(tag.clone()),
            (None, None) => Version::None,
        };
        Self { repository: repository_of(reference), version }
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        if text.contains('@') {
            return Reference::parse(text).ok().as_ref().map(Self::of);
        }
        // With a digest no tag is added, so that one that is there was written.
        let reference = Reference::parse(&format!("{text}@{}", Digest::of(b""))).ok()?;
        let version = reference.tag.clone().map_or(Version::None, Version::Tag);
        Some(Self { repository: repository_of(&reference), version })
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum SignedIdentity {
    /// The same tag; what is asked for by digest is never that.
    MatchExact,
    /// The same tag; or any of the repository, when asked for by digest.
    MatchRepoDigestOrExact,
    MatchRepository,
    ExactReference(Named),
    ExactRepository(String),
    /// As `MatchRepoDigestOrExact`, with the beginning of the image's name replaced.
    RemapIdentity {
        prefix: String,
        signed_prefix: String,
    },
}

impl SignedIdentity {
    /// `signed` is `critical.identity.docker-reference` of what was signed.
    pub(super) fn accepts(&self, image: &Named, signed: &str) -> bool {
        let Some(signed) = Named::parse(signed) else { return false };
        match self {
            Self::MatchExact => matches!(image.version, Version::Tag(_)) && *image == signed,
            Self::MatchRepoDigestOrExact => is_repo_digest_or_exact(image, &signed),
            Self::MatchRepository => image.repository == signed.repository,
            Self::ExactReference(reference) => *reference == signed,
            Self::ExactRepository(repository) => *repository == signed.repository,
            Self::RemapIdentity { prefix, signed_prefix } => {
                is_repo_digest_or_exact(&remapped(image, prefix, signed_prefix), &signed)
            }
        }
    }
}

fn is_repo_digest_or_exact(image: &Named, signed: &Named) -> bool {
    match image.version {
        Version::Tag(_) => image == signed,
        Version::Digest(_) => image.repository == signed.repository,
        Version::None => false,
    }
}

/// What does not begin with the prefix stays as it is.
fn remapped(image: &Named, prefix: &str, signed_prefix: &str) -> Named {
    let rest = image.repository.strip_prefix(prefix).filter(|rest| rest.is_empty() || rest.starts_with('/'));
    let repository = rest.map_or_else(|| image.repository.clone(), |rest| format!("{signed_prefix}{rest}"));
    Named { repository, version: image.version.clone() }
}

#[cfg(test)]
mod tests {
    use registry::{Digest, Reference};

    use super::{Named, SignedIdentity, Version};

    #[test]
    fn identities_accept_what_they_say() {
        let pinned = format!("x.io/ns/a@{}", Digest::of(b"1"));
        let both = format!("x.io/ns/a:v1@{}", Digest::of(b"1"));
        let other_digest = format!("x.io/ns/a@{}", Digest::of(b"2"));
        let exact = |text| SignedIdentity::ExactReference(Named::parse(text).unwrap());
        let repository = |text: &str| SignedIdentity::ExactRepository(text.into());
        let remap = |prefix: &str, signed_prefix: &str| SignedIdentity::RemapIdentity {
            prefix: prefix.into(),
            signed_prefix: signed_prefix.into(),
        };
        use SignedIdentity::{MatchExact, MatchRepoDigestOrExact, MatchRepository};
        for (identity, image, signed, accepted) in [
            (MatchExact, "x.io/ns/a:v1", "x.io/ns/a:v1", true),
            (MatchExact, "x.io/ns/a:v1", "x.io/ns/a:v2", false),
            (MatchExact, "x.io/ns/a:v1", "x.io/ns/a", false),
            (MatchExact, "x.io/ns/a", "x.io/ns/a:latest", true),
            (MatchExact, "x.io/ns/a", "x.io/ns/a", false),
            (MatchExact, &pinned, &pinned, false),
            (MatchExact, "busybox:1", "docker.io/library/busybox:1", true),
            (MatchExact, "busybox:1", "busybox:1", true),
            (MatchRepoDigestOrExact, "x.io/ns/a:v1", "x.io/ns/a:v1", true),
            (MatchRepoDigestOrExact, "x.io/ns/a:v1", "x.io/ns/a", false),
            (MatchRepoDigestOrExact, "x.io/ns/a:v1", &pinned, false),
            (MatchRepoDigestOrExact, &pinned, "x.io/ns/a", true),
            (MatchRepoDigestOrExact, &pinned, "x.io/ns/a:v9", true),
            (MatchRepoDigestOrExact, &pinned, &other_digest, true),
            (MatchRepoDigestOrExact, &both, "x.io/ns/a:v9", true),
            (MatchRepoDigestOrExact, &pinned, "x.io/ns/b", false),
            (MatchRepository, "x.io/ns/a:v1", "x.io/ns/a", true),
            (MatchRepository, "x.io/ns/a:v1", "x.io/ns/a:v2", true),
            (MatchRepository, "x.io/ns/a:v1", "x.io/ns/b:v1", false),
            (MatchRepository, "x.io/ns/a:v1", "evil.io/ns/a:v1", false),
            (exact("y.io/b:v1"), "x.io/ns/a:v1", "y.io/b:v1", true),
            (exact("y.io/b:v1"), "y.io/b:v1", "y.io/b:v2", false),
            (repository("y.io/b"), "x.io/ns/a:v1", "y.io/b:any", true),
            (repository("y.io/b"), "y.io/b/c:v1", "y.io/b/c", false),
            (remap("x.io/ns", "y.io"), "x.io/ns/a:v1", "y.io/a:v1", true),
            (remap("x.io/ns", "y.io"), "x.io/ns/a:v1", "x.io/ns/a:v1", false),
            (remap("x.io/ns", "y.io"), &pinned, "y.io/a", true),
            (remap("x.io/n", "y.io"), "x.io/ns/a:v1", "y.ios/a:v1", false),
            (remap("x.io/n", "y.io"), "x.io/ns/a:v1", "x.io/ns/a:v1", true),
            (remap("z.io", "y.io"), "x.io/ns/a:v1", "x.io/ns/a:v1", true),
            (remap("x.io/ns/a", "y.io/b"), "x.io/ns/a:v1", "y.io/b:v1", true),
            (MatchRepository, "x.io/ns/a:v1", "", false),
            (MatchRepository, "x.io/ns/a:v1", "x.io/ns/a:", false),
        ] {
            let reference = Named::of(&Reference::parse(image).unwrap());
            assert_eq!(
                identity.accepts(&reference, signed),
                accepted,
                "{identity:?}: {image}, signed {signed}"
            );
        }
    }

    #[test]
    fn no_tag_is_made_up() {
        assert_eq!(Named::parse("x.io/a").unwrap().version, Version::None);
        assert_eq!(Named::parse("x.io/a:latest").unwrap().version, Version::Tag("latest".into()));
        assert_eq!(Named::parse("x.io/a@sha256:1"), None);
    }
}
