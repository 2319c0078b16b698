//! The credentials of the node: the files of docker and podman, and the helpers they name.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use super::file::{CredentialFile, FILE_BYTES_MAX, Flaw};
use super::helper::{self, Surroundings};
use super::keys::{node_key_fits, server_of};
use super::{CANDIDATES_MAX, Candidate, Credential, CredentialSource, CredentialsError};
use crate::Reference;

/// Where the files are. What is in them is read anew for each pull.
///
/// Its Debug hides the variables, some of which are secrets of somebody's.
#[derive(Clone, Default)]
pub struct NodeCredentials {
    variables: BTreeMap<String, String>,
    places: Vec<Place>,
}

impl fmt::Debug for NodeCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodeCredentials").field("places", &self.places).finish_non_exhaustive()
    }
}

/// A file that may be there.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Place {
    path: PathBuf,
    /// Somebody named it: then it is told when it is not there.
    is_named: bool,
    /// Whose home it is in, when that is not who asks.
    user: Option<User>,
}

/// The user who called `sudo`.
#[derive(Clone, PartialEq, Eq, Debug)]
struct User {
    uid: u32,
    gid: u32,
    home: PathBuf,
}

impl NodeCredentials {
    /// By the environment of who asks, and `/etc/passwd`. The files, in the order in which they are asked:
    ///
    /// 1. `$REGISTRY_AUTH_FILE`;
    /// 2. `$DOCKER_CONFIG/config.json`, or `~/.docker/config.json`;
    /// 3. `$XDG_RUNTIME_DIR/containers/auth.json`;
    /// 4. `$XDG_CONFIG_HOME/containers/auth.json`, or `~/.config/containers/auth.json`;
    /// 5. `/run/containers/0/auth.json`;
    /// 6. of the user who called sudo, when that was root's doing: `/run/user/UID/containers/auth.json`, and 2 and 4 of
    ///    that home, unless it is `~` already. Their helpers run as that user.
    ///
    /// A server that is not anybody's terminal leaves `SUDO_USER` out of the variables.
    #[must_use]
    pub fn new(variables: BTreeMap<String, String>, passwd: &str) -> Self {
        let mut places = vec![];
        let mut add = |path: PathBuf, is_named, user: Option<&User>| {
            if !places.iter().any(|place: &Place| place.path == path) {
                places.push(Place { path, is_named, user: user.cloned() });
            }
        };
        let given = |name: &str| variables.get(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        // By their specification those of XDG count only when they are absolute.
        let named = |name: &str| given(name).filter(|path| path.is_absolute());
        if let Some(path) = given("REGISTRY_AUTH_FILE") {
            add(path, true, None);
        }
        let home = named("HOME");
        let in_home = |path: &str| home.as_ref().map(|home| home.join(path));
        if let Some(directory) = given("DOCKER_CONFIG").or_else(|| in_home(".docker")) {
            add(directory.join("config.json"), false, None);
        }
        if let Some(directory) = named("XDG_RUNTIME_DIR") {
            add(directory.join("containers/auth.json"), false, None);
        }
        if let Some(directory) = named("XDG_CONFIG_HOME").or_else(|| in_home(".config")) {
            add(directory.join("containers/auth.json"), false, None);
        }
        add(PathBuf::from("/run/containers/0/auth.json"), false, None);
        let user = variables.get("SUDO_USER").and_then(|name| find_user(passwd, name));
        if let Some(user) = user.as_ref().filter(|user| user.uid != 0) {
            add(PathBuf::from(format!("/run/user/{}/containers/auth.json", user.uid)), false, Some(user));
            for file in [".docker/config.json", ".config/containers/auth.json"] {
                add(user.home.join(file), false, Some(user));
            }
        }
        Self { variables, places }
    }

    /// What the files and their helpers have for an image, in the order of the files; of each file the most specific,
    /// from a helper before what the file itself has. At most [`CANDIDATES_MAX`]; none is anonymous. What is wrong is told and stops
    /// nothing.
    pub async fn candidates(&self, reference: &Reference) -> (Vec<Candidate>, Vec<CredentialsError>) {
        let (mut candidates, mut errors): (Vec<Candidate>, _) = (vec![], vec![]);
        for place in &self.places {
            let file = match read(place) {
                Ok(Some(file)) => file,
                Ok(None) => continue,
                Err(error) => {
                    errors.push(error);
                    continue;
                }
            };
            let asked = self.ask_helper(place, &file, reference).await;
            let written = best(&file, reference).map_err(|flaw| CredentialsError::File {
                path: place.path.clone(),
                problem: flaw.to_string(),
            });
            for found in [asked, written] {
                match found {
                    Ok(Some(credential)) => {
                        let candidate = Candidate { credential, source: CredentialSource::Node };
                        if candidates.len() < CANDIDATES_MAX && !candidates.contains(&candidate) {
                            candidates.push(candidate);
                        }
                    }
                    Ok(None) => {}
                    Err(error) => errors.push(error),
                }
            }
        }
        (candidates, errors)
    }

    async fn ask_helper(
        &self,
        place: &Place,
        file: &CredentialFile,
        reference: &Reference,
    ) -> Result<Option<Credential>, CredentialsError> {
        let Some(name) = helper_for(file, reference) else { return Ok(None) };
        let server = server_of(&reference.domain);
        let surroundings = Surroundings {
            variables: &self.variables,
            home: place.user.as_ref().map(|user| user.home.as_path()),
            owner: place.user.as_ref().map(|user| (user.uid, user.gid)),
        };
        helper::ask(name, server, &surroundings, helper::DEADLINE).await.map_err(|flaw| {
            CredentialsError::Helper {
                name: name.to_owned(),
                path: place.path.clone(),
                server: server.to_owned(),
                problem: flaw.to_string(),
            }
        })
    }
}

/// The most specific entry with something in it.
fn best(file: &CredentialFile, reference: &Reference) -> Result<Option<Credential>, Flaw> {
    let mut keys: Vec<_> =
        file.keys().filter_map(|key| node_key_fits(key, reference).map(|length| (length, key))).collect();
    keys.sort_by(|a, b| b.cmp(a));
    let mut found = keys.iter().filter_map(|(_, key)| file.credential(key).transpose());
    found.next().transpose()
}

/// That of the host, or else that of all.
fn helper_for<'f>(file: &'f CredentialFile, reference: &Reference) -> Option<&'f str> {
    let fitting = file.helpers().filter_map(|(key, name)| Some((node_key_fits(key, reference)?, name)));
    fitting.max().map(|(_, name)| name).filter(|name| !name.is_empty()).or_else(|| file.store())
}

/// `None` when it is not there and nobody named it.
fn read(place: &Place) -> Result<Option<CredentialFile>, CredentialsError> {
    let path = &place.path;
    let unreadable = |source: io::Error| CredentialsError::Read { path: path.clone(), source };
    let bytes = match read_bounded(path) {
        Ok(bytes) => bytes,
        Err(error) if !place.is_named && is_absent(&error) => return Ok(None),
        Err(error) => return Err(unreadable(error)),
    };
    let file = CredentialFile::parse(&bytes);
    file.map(Some).map_err(|flaw| CredentialsError::File { path: path.clone(), problem: flaw.to_string() })
}

/// One byte more than may be, so that what is too long is seen. Nothing but a regular file is opened.
fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
    }
    let mut bytes = vec![];
    File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn find_user(passwd: &str, name: &str) -> Option<User> {
    let fields = |line: &str| line.split(':').map(str::to_owned).collect::<Vec<_>>();
    passwd.lines().map(fields).find_map(|fields| match &fields[..] {
        [found, _, uid, gid, _, home, ..] if found == name => {
            Some(User { uid: uid.parse().ok()?, gid: gid.parse().ok()?, home: PathBuf::from(home) })
        }
        _ => None,
    })
}

#[cfg(test)]
#[path = "node_tests.rs"]
mod tests;
