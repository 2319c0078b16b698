//! For which images an entry of a file of credentials is: keys as docker, podman and the kubelet spell and match them.
//!
//! Two ways to match, each as its programs have it:
//!
//! * files of the node: a key is a host (docker; with a scheme and `/v1/` perhaps) or a host with a path (podman), and is for
//!   what is that path or below it; the most specific wins (containers-auth.json(5));
//! * pull secrets: each label of the host may have `*`, ports have to agree, the path is a prefix of the text, and
//!   all that match are tried, longer ones first
//!   (<https://kubernetes.io/docs/concepts/containers/images/#config-json>).

use crate::Reference;

const DOCKER_HUB: &str = "docker.io";
/// What docker calls it in its files.
const DOCKER_HUB_LEGACY: &str = "index.docker.io";
const DOCKER_HUB_NAMES: [&str; 2] = [DOCKER_HUB_LEGACY, "registry-1.docker.io"];
/// As a helper of docker's knows it.
const DOCKER_HUB_SERVER: &str = "https://index.docker.io/v1/";

/// What a helper is asked for.
pub(super) fn server_of(domain: &str) -> &str {
    if domain == DOCKER_HUB { DOCKER_HUB_SERVER } else { domain }
}

/// A key as it may be shown: without the user that a URL can have.
pub(super) fn shown(key: &str) -> &str {
    key.rsplit_once('@').map_or(key, |(_, rest)| rest)
}

fn without_scheme(key: &str) -> (bool, &str) {
    let rest = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://"));
    (rest.is_some(), rest.unwrap_or(key))
}

/// How specific a key of a node's file is for the repository: the length of what it names. `None`: it is for
/// others.
pub(super) fn node_key_fits(key: &str, reference: &Reference) -> Option<usize> {
    let (has_scheme, rest) = without_scheme(key);
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let path = path.trim_end_matches('/');
    // A URL is docker's and names the host alone.
    let path = if has_scheme || matches!(path, "v1" | "v2") { "" } else { path };
    let host = if DOCKER_HUB_NAMES.contains(&host) { DOCKER_HUB } else { host };
    if host != reference.domain {
        return None;
    }
    let below = || reference.path.strip_prefix(path).is_some_and(|rest| rest.starts_with('/'));
    let fits = path.is_empty() || path == reference.path || below();
    fits.then_some(host.len() + path.len())
}

/// A key of a pull secret, in the form by which several are put in order.
pub(super) fn secret_key(key: &str) -> String {
    let (_, rest) = without_scheme(key);
    let (host, path) = rest.find('/').map_or((rest, ""), |slash| rest.split_at(slash));
    let host = shown(host);
    let path = match path.get(..4) {
        Some("/v1/" | "/v2/") => &path[3..],
        _ => path,
    };
    if path == "/" { host.to_owned() } else { format!("{host}{path}") }
}

/// `key` is of [`secret_key`].
pub(super) fn secret_key_fits(key: &str, reference: &Reference) -> bool {
    let (host, path) = key.find('/').map_or((key, ""), |slash| key.split_at(slash));
    let ((name, port), (wanted_name, wanted_port)) = (split_port(host), split_port(&reference.domain));
    let labels_fit = || {
        let (labels, wanted) = (name.split('.'), wanted_name.split('.'));
        labels.clone().count() == wanted.clone().count()
            && labels.zip(wanted).all(|(pattern, label)| matches(pattern.as_bytes(), label.as_bytes()))
    };
    port == wanted_port && format!("/{}", reference.path).starts_with(path) && labels_fit()
}

/// Whether `key` is docker's own for Docker Hub, which counts when no other fits.
pub(super) fn is_legacy_hub(key: &str, reference: &Reference) -> bool {
    reference.domain == DOCKER_HUB && key == DOCKER_HUB_LEGACY
}

/// An address in brackets comes without them, so that they are no pattern.
fn split_port(host: &str) -> (&str, &str) {
    if let Some((address, port)) = host.strip_prefix('[').and_then(|rest| rest.split_once(']'))
        && address.contains(':')
    {
        return (address, port.strip_prefix(':').unwrap_or(port));
    }
    host.rsplit_once(':').unwrap_or((host, ""))
}

/// One label against a pattern of `*`, `?`, `[a-z]`, `[^a]` and `\`. A pattern that is none matches nothing.
/// Its steps are bounded by the product of both lengths.
fn matches(pattern: &[u8], label: &[u8]) -> bool {
    let (mut at, mut star) = ((0, 0), None);
    while at.1 < label.len() {
        let step = match pattern.get(at.0) {
            Some(b'*') => {
                star = Some(at);
                at.0 += 1;
                continue;
            }
            Some(_) => one(&pattern[at.0..], label[at.1]),
            None => None,
        };
        match (step, &mut star) {
            (Some(length), _) => at = (at.0 + length, at.1 + 1),
            // What the last star stands for grows by one.
            (None, Some(star)) => {
                star.1 += 1;
                at = (star.0 + 1, star.1);
            }
            (None, None) => return false,
        }
    }
    pattern[at.0..].iter().all(|&byte| byte == b'*')
}

/// The length of the one element at the start of the pattern, when it matches the byte.
fn one(pattern: &[u8], byte: u8) -> Option<usize> {
    match pattern {
        [b'?', ..] => Some(1),
        [b'\\', escaped, ..] => (*escaped == byte).then_some(2),
        [b'[', rest @ ..] => {
            let negated = rest.first() == Some(&b'^');
            let set = if negated { &rest[1..] } else { rest };
            // A set has at least one member, so that the end is looked for behind it.
            let end = 1 + set.get(1..)?.iter().position(|&b| b == b']')?;
            let length = 1 + usize::from(negated) + end + 1;
            (is_member(&set[..end], byte) != negated).then_some(length)
        }
        [b'\\'] | [] => None,
        [literal, ..] => (*literal == byte).then_some(1),
    }
}

fn is_member(set: &[u8], byte: u8) -> bool {
    match set {
        [low, b'-', high, rest @ ..] => (*low..=*high).contains(&byte) || is_member(rest, byte),
        [member, rest @ ..] => *member == byte || is_member(rest, byte),
        [] => false,
    }
}

#[cfg(test)]
mod tests {
    use super::{is_legacy_hub, node_key_fits, secret_key, secret_key_fits, shown};
    use crate::Reference;

    #[test]
    fn keys_of_a_nodes_files_are_hosts_and_paths() {
        for (key, image, fits) in [
            ("https://index.docker.io/v1/", "busybox", true),
            ("index.docker.io/v1/", "busybox", true),
            ("index.docker.io", "busybox", true),
            ("registry-1.docker.io", "busybox", true),
            ("docker.io", "busybox", true),
            ("docker.io/library", "busybox", true),
            ("docker.io/library/busybox", "busybox", true),
            ("docker.io/library/busy", "busybox", false),
            ("docker.io/library/busybox/x", "busybox", false),
            ("quay.io", "quay.io/a/b", true),
            ("https://quay.io", "quay.io/a/b", true),
            ("http://quay.io/v2/", "quay.io/a/b", true),
            ("https://quay.io/whatever", "quay.io/a/b", true),
            ("quay.io/a/", "quay.io/a/b", true),
            ("quay.io/b", "quay.io/a/b", false),
            ("quay.io", "quay.io:443/a/b", false),
            ("quay.io:443", "quay.io:443/a/b", true),
            ("*.io", "quay.io/a", false),
            ("evil.io/quay.io", "quay.io/a", false),
            ("", "quay.io/a", false),
            ("localhost:5000", "localhost:5000/a", true),
        ] {
            let reference = Reference::parse(image).unwrap();
            assert_eq!(node_key_fits(key, &reference).is_some(), fits, "{key} for {image}");
        }
        let reference = Reference::parse("quay.io/a/b").unwrap();
        let specific = |key| node_key_fits(key, &reference);
        assert!(
            specific("quay.io/a/b") > specific("quay.io/a")
                && specific("quay.io/a") > specific("https://quay.io")
        );
    }

    #[test]
    fn keys_of_secrets_are_globs_and_prefixes() {
        for (key, image, fits) in [
            ("quay.io", "quay.io/a/b", true),
            ("https://quay.io/", "quay.io/a/b", true),
            ("https://quay.io/v1/", "quay.io/a/b", true),
            ("https://quay.io/v2/a", "quay.io/a/b", true),
            ("quay.io/a", "quay.io/a/b", true),
            ("quay.io/a", "quay.io/ab/c", true),
            ("quay.io/b", "quay.io/a/b", false),
            ("*.io", "quay.io/a", true),
            ("*.quay.io", "quay.io/a", false),
            ("*.quay.io", "x.quay.io/a", true),
            ("*.*", "quay.io/a", true),
            ("*", "quay.io/a", false),
            ("q*y.io", "quay.io/a", true),
            ("q?ay.io", "quay.io/a", true),
            ("[p-r]uay.io", "quay.io/a", true),
            ("[^q]uay.io", "quay.io/a", false),
            ("[q", "q/a", false),
            ("*.io:5000", "quay.io:5000/a", true),
            ("*.io", "quay.io:5000/a", false),
            ("quay.io:*", "quay.io:5000/a", false),
            ("quay.io:5000", "quay.io/a", false),
            ("[::1]:5000", "[::1]:5000/a", true),
            ("[::1]", "[::1]/a", true),
            ("[::1]", "[::2]/a", false),
            ("docker.io", "busybox", true),
            ("docker.io/library/busybox", "busybox", true),
            ("user:pass@quay.io", "quay.io/a", true),
            ("", "quay.io/a", false),
            ("/", "quay.io/a", false),
        ] {
            let reference = Reference::parse(image).unwrap();
            assert_eq!(secret_key_fits(&secret_key(key), &reference), fits, "{key} for {image}");
        }
        let hub = Reference::parse("busybox").unwrap();
        for key in ["https://index.docker.io/v1/", "index.docker.io"] {
            let key = secret_key(key);
            assert!(is_legacy_hub(&key, &hub) && !secret_key_fits(&key, &hub), "{key}");
        }
        assert!(!is_legacy_hub("index.docker.io", &Reference::parse("quay.io/a").unwrap()));
    }

    #[test]
    fn a_pattern_takes_no_more_steps_than_both_lengths_allow() {
        let reference = Reference::parse(&format!("{}b.io/a", "a".repeat(60))).unwrap();
        assert!(!secret_key_fits(&format!("{}c.io", "*a".repeat(30)), &reference));
        assert!(secret_key_fits(&format!("{}b.io", "*a".repeat(30)), &reference));
    }

    #[test]
    fn a_key_is_shown_without_its_user() {
        assert_eq!(shown("https://me:hunter2@x.io/a"), "x.io/a");
        assert_eq!(shown("x.io"), "x.io");
    }
}
