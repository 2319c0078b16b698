//! The policy file.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use registry::Reference;

use super::identity::{Named, SignedIdentity, Version};
use super::json::Json;
use super::key::PublicKey;
use crate::access::repository_of;

const POLICY_BYTES_MAX: u64 = 1 << 20;
const KEY_BYTES_MAX: u64 = 64 << 10;
/// Of one requirement.
const KEYS_MAX: usize = 64;

/// What may be pulled. Its keys were read with it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Policy {
    default: Vec<Requirement>,
    /// By scope: `HOST/NS/REPOSITORY:TAG`, any beginning of that at a slash, `*.DOMAIN`; or nothing, for all.
    docker: BTreeMap<String, Vec<Requirement>>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Requirement {
    AcceptAnything,
    Reject,
    Signed(SigstoreSigned),
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct SigstoreSigned {
    /// Of which any is enough.
    pub(super) keys: Vec<PublicKey>,
    pub(super) identity: SignedIdentity,
}

/// Which part of the policy is about an image.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Scope {
    Default,
    Docker(String),
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Docker(scope) => write!(f, "transports.docker[{scope:?}]"),
        }
    }
}

/// The policy cannot be used; nothing is pulled by half of one.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    #[error("cannot read the policy of images {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{}: {}{problem}", path.display(), place_before(place))]
    Content {
        path: PathBuf,
        /// As `transports.docker["x.io"][0].keyPath`.
        place: String,
        problem: String,
    },
}

fn place_before(place: &str) -> String {
    if place.is_empty() { String::new() } else { format!("{place}: ") }
}

/// A place in the file, and what is wrong there.
type Wrong = (String, String);

impl Policy {
    /// Whatever is there may be pulled.
    #[must_use]
    pub fn accept_anything() -> Self {
        Self { default: vec![Requirement::AcceptAnything], docker: BTreeMap::new() }
    }

    /// [`Self::read`], or [`Self::accept_anything`] when there is no such file.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn read_if_there(path: &Path) -> Result<Self, PolicyError> {
        match path.symlink_metadata() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::accept_anything()),
            _ => Self::read(path),
        }
    }

    /// With the keys that it names.
    ///
    /// # Errors
    /// When it, or a key, cannot be read, or when there is something in it that is not known.
    pub fn read(path: &Path) -> Result<Self, PolicyError> {
        let failed = |source| PolicyError::Read { path: path.to_owned(), source };
        let bytes = read_bounded(path, POLICY_BYTES_MAX).map_err(failed)?;
        Self::parse(&bytes).map_err(|(place, problem)| PolicyError::Content {
            path: path.to_owned(),
            place,
            problem,
        })
    }

    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Wrong> {
        let json = serde_json::from_slice(bytes)
            .map_err(|error| (String::new(), format!("is not JSON: {error}")))?;
        let mut default = None;
        let mut docker = BTreeMap::new();
        for (key, value) in object(&json, "")? {
            match key.as_str() {
                "default" => default = Some(requirements(value, "default")?),
                "transports" => {
                    for (transport, scopes) in object(value, key)? {
                        docker = docker_scopes(transport, scopes)?;
                    }
                }
                _ => return Err(unknown("", key, "default, transports")),
            }
        }
        let default =
            default.ok_or_else(|| (String::new(), "default is not there, and is needed".to_owned()))?;
        Ok(Self { default, docker })
    }

    /// Of the most specific scope that the image is in.
    pub(super) fn requirements(&self, reference: &Reference) -> (Scope, &[Requirement]) {
        let found = scopes_of(reference).into_iter().find_map(|scope| {
            let requirements = self.docker.get(&scope)?;
            Some((Scope::Docker(scope), requirements.as_slice()))
        });
        found.unwrap_or((Scope::Default, &self.default))
    }
}

/// The scopes an image is in, from the most specific to the one of all.
fn scopes_of(reference: &Reference) -> Vec<String> {
    let repository = repository_of(reference);
    let image = Named::of(reference);
    let mut scopes = vec![match image.version {
        Version::Tag(tag) => format!("{repository}:{tag}"),
        Version::Digest(digest) => format!("{repository}@{digest}"),
        Version::None => repository.clone(),
    }];
    let ends = repository.match_indices('/').map(|(at, _)| at).rev();
    scopes.extend([repository.len()].into_iter().chain(ends).map(|end| repository[..end].to_owned()));
    let host = reference.domain.split(':').next().unwrap_or_default();
    scopes.extend(host.match_indices('.').map(|(at, _)| format!("*{}", &host[at..])));
    scopes.push(String::new());
    scopes
}

fn docker_scopes(transport: &str, scopes: &Json) -> Result<BTreeMap<String, Vec<Requirement>>, Wrong> {
    let place = format!("transports.{transport}");
    if transport != "docker" {
        let problem = "images are pulled from registries alone, which is the transport docker".to_owned();
        return Err((place, problem));
    }
    let mut docker = BTreeMap::new();
    for (scope, value) in object(scopes, &place)? {
        let place = format!("{place}[{scope:?}]");
        if !is_scope(scope) {
            let problem = "is no scope: HOST[:PORT][/PATH[:TAG]], *.DOMAIN or nothing, with docker.io/library/ written out";
            return Err((place, problem.to_owned()));
        }
        docker.insert(scope.clone(), requirements(value, &place)?);
    }
    Ok(docker)
}

fn is_scope(scope: &str) -> bool {
    if let Some(domain) = scope.strip_prefix("*.") {
        return !domain.contains([':', '/']) && is_host(&format!("any.{domain}"));
    }
    match scope.split_once('/') {
        None => scope.is_empty() || is_host(scope),
        Some((host, _)) => {
            Named::parse(scope).is_some_and(|named| named.repository.starts_with(&format!("{host}/")))
        }
    }
}

/// One that an image can be of: `localhost`, or with a dot or a port.
fn is_host(text: &str) -> bool {
    let repository = format!("{text}/x/x");
    Named::parse(&repository).is_some_and(|named| named.repository == repository)
}

fn requirements(value: &Json, place: &str) -> Result<Vec<Requirement>, Wrong> {
    let items = list(value, place)?;
    if items.is_empty() {
        return Err((place.to_owned(), "has no requirement; one is needed".to_owned()));
    }
    let items = items.iter().enumerate();
    items.map(|(at, item)| requirement(item, &format!("{place}[{at}]"))).collect()
}

fn requirement(value: &Json, place: &str) -> Result<Requirement, Wrong> {
    let members = object(value, place)?;
    let known: &[&str] = match kind(members, place)? {
        "insecureAcceptAnything" | "reject" => &["type"],
        "sigstoreSigned" => &["type", "keyPath", "keyPaths", "keyData", "keyDatas", "signedIdentity"],
        other => {
            let problem = format!(
                "{other:?} is not known; known are insecureAcceptAnything, reject and sigstoreSigned"
            );
            return Err((format!("{place}.type"), problem));
        }
    };
    check_keys(members, place, known)?;
    Ok(match kind(members, place)? {
        "insecureAcceptAnything" => Requirement::AcceptAnything,
        "reject" => Requirement::Reject,
        _ => Requirement::Signed(SigstoreSigned {
            keys: keys(members, place)?,
            identity: match member(members, "signedIdentity") {
                Some(value) => identity(value, &format!("{place}.signedIdentity"))?,
                None => SignedIdentity::MatchRepoDigestOrExact,
            },
        }),
    })
}

/// From one member, and only one.
fn keys(members: &[(String, Json)], place: &str) -> Result<Vec<PublicKey>, Wrong> {
    let mut given = members.iter().filter(|(name, _)| name.starts_with("key"));
    let (Some((name, value)), None) = (given.next(), given.next()) else {
        let problem = "needs one of keyPath, keyPaths, keyData and keyDatas, and not two".to_owned();
        return Err((place.to_owned(), problem));
    };
    let place = format!("{place}.{name}");
    let texts: Vec<(String, &str)> = if name.ends_with('s') {
        let items = list(value, &place)?.iter().enumerate();
        let items = items.map(|(at, item)| (format!("{place}[{at}]"), item));
        items.map(|(place, item)| Ok((place.clone(), text(item, &place)?))).collect::<Result<_, Wrong>>()?
    } else {
        vec![(place.clone(), text(value, &place)?)]
    };
    if texts.is_empty() || texts.len() > KEYS_MAX {
        return Err((place, format!("has {} keys; 1 to {KEYS_MAX} are possible", texts.len())));
    }
    let is_path = name.starts_with("keyPath");
    texts.into_iter().map(|(place, text)| key(text, is_path).map_err(|problem| (place, problem))).collect()
}

fn key(text: &str, is_path: bool) -> Result<PublicKey, String> {
    if !is_path {
        return PublicKey::from_base64(text).map_err(str::to_owned);
    }
    let path = Path::new(text);
    if !path.is_absolute() {
        return Err(format!("{text:?} is not an absolute path"));
    }
    let pem = read_bounded(path, KEY_BYTES_MAX).map_err(|error| format!("cannot read {text}: {error}"))?;
    PublicKey::from_pem(&pem).map_err(|problem| format!("{text} {problem}"))
}

fn identity(value: &Json, place: &str) -> Result<SignedIdentity, Wrong> {
    let members = object(value, place)?;
    let kind = kind(members, place)?;
    let known: &[&str] = match kind {
        "matchExact" | "matchRepoDigestOrExact" | "matchRepository" => &["type"],
        "exactReference" => &["type", "dockerReference"],
        "exactRepository" => &["type", "dockerRepository"],
        "remapIdentity" => &["type", "prefix", "signedPrefix"],
        other => {
            let problem = format!(
                "{other:?} is not known; known are matchExact, matchRepoDigestOrExact, matchRepository, exactReference, \
                 exactRepository and remapIdentity"
            );
            return Err((format!("{place}.type"), problem));
        }
    };
    check_keys(members, place, known)?;
    let need = |name: &str| {
        let value = member(members, name).ok_or_else(|| (place.to_owned(), format!("needs {name}")))?;
        text(value, &format!("{place}.{name}"))
    };
    let wrong = |name: &str, problem: &str| (format!("{place}.{name}"), problem.to_owned());
    let prefix = |name: &str| {
        let text = need(name)?;
        let is_prefix = !text.is_empty() && !text.starts_with('*') && is_scope(text) && !text.contains('@');
        let has_tag = text.rsplit_once('/').is_some_and(|(_, last)| last.contains(':'));
        let problem = "is not a host or the beginning of a repository's name";
        if is_prefix && !has_tag { Ok(text.to_owned()) } else { Err(wrong(name, problem)) }
    };
    Ok(match kind {
        "matchExact" => SignedIdentity::MatchExact,
        "matchRepository" => SignedIdentity::MatchRepository,
        "exactReference" => {
            let named = Named::parse(need("dockerReference")?).filter(|named| named.version != Version::None);
            let problem = "is not a reference with a tag or a digest";
            SignedIdentity::ExactReference(named.ok_or_else(|| wrong("dockerReference", problem))?)
        }
        "exactRepository" => {
            let named =
                Named::parse(need("dockerRepository")?).filter(|named| named.version == Version::None);
            let named = named.ok_or_else(|| wrong("dockerRepository", "is not a repository alone"))?;
            SignedIdentity::ExactRepository(named.repository)
        }
        "remapIdentity" => SignedIdentity::RemapIdentity {
            prefix: prefix("prefix")?,
            signed_prefix: prefix("signedPrefix")?,
        },
        _ => SignedIdentity::MatchRepoDigestOrExact,
    })
}

fn member<'j>(members: &'j [(String, Json)], name: &str) -> Option<&'j Json> {
    members.iter().find(|(found, _)| found == name).map(|(_, value)| value)
}

fn kind<'j>(members: &'j [(String, Json)], place: &str) -> Result<&'j str, Wrong> {
    let value = member(members, "type").ok_or_else(|| (place.to_owned(), "needs type".to_owned()))?;
    text(value, &format!("{place}.type"))
}

fn check_keys(members: &[(String, Json)], place: &str, known: &[&str]) -> Result<(), Wrong> {
    let stranger = members.iter().find(|(name, _)| !known.contains(&name.as_str()));
    stranger.map_or(Ok(()), |(name, _)| Err(unknown(&format!("{place}."), name, &known.join(", "))))
}

fn unknown(before: &str, name: &str, known: &str) -> Wrong {
    (format!("{before}{name}"), format!("is not known here; known are {known}"))
}

fn object<'j>(value: &'j Json, place: &str) -> Result<&'j [(String, Json)], Wrong> {
    match value {
        Json::Object(members) => Ok(members),
        _ => Err((place.to_owned(), "is not an object".to_owned())),
    }
}

fn list<'j>(value: &'j Json, place: &str) -> Result<&'j [Json], Wrong> {
    match value {
        Json::List(items) => Ok(items),
        _ => Err((place.to_owned(), "is not a list".to_owned())),
    }
}

fn text<'j>(value: &'j Json, place: &str) -> Result<&'j str, Wrong> {
    match value {
        Json::Text(text) => Ok(text),
        _ => Err((place.to_owned(), "is not a string".to_owned())),
    }
}

/// A regular file.
fn read_bounded(path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
    let unfit = |problem: String| io::Error::new(io::ErrorKind::InvalidData, problem);
    if !fs::metadata(path)?.is_file() {
        return Err(unfit("it is not a regular file".to_owned()));
    }
    let mut bytes = vec![];
    File::open(path)?.take(bytes_max + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > bytes_max {
        return Err(unfit(format!("it is longer than {bytes_max} bytes")));
    }
    Ok(bytes)
}

#[cfg(test)]
#[path = "policy_tests.rs"]
mod tests;
