//! Names of entries: which path in the layer they mean, and which of them are whiteouts
//! (<https://github.com/opencontainers/image-spec/blob/main/layer.md#whiteouts>).

use super::error::Refusal;
use super::{NAME_BYTES_MAX, PATH_BYTES_MAX};

const WHITEOUT: &[u8] = b".wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";
/// Of what aufs keeps for itself.
const META: &[u8] = b".wh..wh.";

/// What an entry is by its name.
#[derive(PartialEq, Eq, Debug)]
pub(super) enum Named<'a> {
    Root,
    Entry {
        parent: Vec<&'a [u8]>,
        name: &'a [u8],
    },
    /// `name` of the layers below is gone.
    Whiteout {
        parent: Vec<&'a [u8]>,
        name: &'a [u8],
    },
    /// So is everything in `directory`.
    Opaque {
        directory: Vec<&'a [u8]>,
    },
    /// Of no meaning to overlayfs.
    Ignored,
}

pub(super) fn named(name: &[u8]) -> Result<Named<'_>, Refusal> {
    if name.is_empty() {
        return Err(Refusal::NoName);
    }
    let mut parent = components(name)?;
    if parent.iter().any(|component| component.starts_with(META) && *component != OPAQUE) {
        return Ok(Named::Ignored);
    }
    let Some(name) = parent.pop() else { return Ok(Named::Root) };
    if parent.iter().any(|component| component.starts_with(WHITEOUT)) {
        return Err(Refusal::BelowWhiteout);
    }
    Ok(match name.strip_prefix(WHITEOUT) {
        _ if name == OPAQUE => Named::Opaque { directory: parent },
        Some(b"" | b"." | b"..") => return Err(Refusal::Whiteout),
        Some(name) => Named::Whiteout { parent, name },
        None => Named::Entry { parent, name },
    })
}

/// Whether a file of this name cannot be in an archive, since the name means something else there.
pub(super) fn is_reserved(name: &[u8]) -> bool {
    name.starts_with(WHITEOUT)
}

/// The components of a path below the root. A leading `/` means nothing, nor does `.`.
pub(super) fn components(path: &[u8]) -> Result<Vec<&[u8]>, Refusal> {
    if path.contains(&0) {
        return Err(Refusal::Nul);
    }
    let mut components = vec![];
    let mut bytes = 0;
    for component in path.split(|&byte| byte == b'/') {
        match component {
            b"" | b"." => continue,
            b".." => return Err(Refusal::Upwards),
            _ if component.len() > NAME_BYTES_MAX => return Err(Refusal::NameTooLong),
            _ => components.push(component),
        }
        bytes += component.len() + 1;
        if bytes > PATH_BYTES_MAX {
            return Err(Refusal::PathTooLong);
        }
    }
    Ok(components)
}

#[cfg(test)]
mod tests {
    use super::{Named, named};
    use crate::layer::Refusal;

    #[test]
    fn names_mean_paths_below_the_root() {
        let parent = || vec![&b"a"[..], b"b"];
        for name in ["a/b/c", "/a/b/c", "./a/b/c", "//a//./b/c/", "././/a/b/./c/."] {
            assert_eq!(named(name.as_bytes()), Ok(Named::Entry { parent: parent(), name: b"c" }), "{name}");
        }
        for name in ["/", ".", "./", "//", "/././"] {
            assert_eq!(named(name.as_bytes()), Ok(Named::Root), "{name}");
        }
        assert_eq!(named(b"\xff\n"), Ok(Named::Entry { parent: vec![], name: b"\xff\n" }));
    }

    #[test]
    fn names_that_mean_none_are_refused() {
        let long = "x".repeat(256);
        let longest = "x".repeat(255);
        let deep = "x/".repeat(2048);
        for (name, why) in [
            ("", Refusal::NoName),
            ("..", Refusal::Upwards),
            ("a/../b", Refusal::Upwards),
            ("a/..", Refusal::Upwards),
            ("/../a", Refusal::Upwards),
            ("a\0b", Refusal::Nul),
            (&long, Refusal::NameTooLong),
            (&deep, Refusal::PathTooLong),
        ] {
            assert_eq!(named(name.as_bytes()), Err(why), "{name:?}");
        }
        assert!(named(longest.as_bytes()).is_ok());
        assert!(named(&deep.as_bytes()[2..]).is_ok());
    }

    #[test]
    fn whiteouts() {
        let parent = || vec![&b"a"[..]];
        for (name, expected) in [
            ("a/.wh.b", Ok(Named::Whiteout { parent: parent(), name: b"b" })),
            ("a/.wh..b", Ok(Named::Whiteout { parent: parent(), name: b".b" })),
            ("a/.wh....", Ok(Named::Whiteout { parent: parent(), name: b"..." })),
            ("a/.wh..wh..opq", Ok(Named::Opaque { directory: parent() })),
            (".wh..wh..opq", Ok(Named::Opaque { directory: vec![] })),
            ("a/.wh..wh..opq/b", Err(Refusal::BelowWhiteout)),
            (".wh..wh.aufs", Ok(Named::Ignored)),
            (".wh..wh.plnk/1.2", Ok(Named::Ignored)),
            (".wh..wh.plnk/../../x", Err(Refusal::Upwards)),
            ("a/.wh..wh.", Ok(Named::Ignored)),
            ("a/.wh.", Err(Refusal::Whiteout)),
            ("a/.wh..", Err(Refusal::Whiteout)),
            ("a/.wh...", Err(Refusal::Whiteout)),
            (".wh./x", Err(Refusal::BelowWhiteout)),
            (".wh.a/b", Err(Refusal::BelowWhiteout)),
            ("a/.wh", Ok(Named::Entry { parent: parent(), name: b".wh" })),
        ] {
            assert_eq!(named(name.as_bytes()), expected, "{name}");
        }
    }
}
