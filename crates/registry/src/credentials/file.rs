//! What files of credentials say: `config.json` of docker, `auth.json` of podman, `.dockercfg` in pull secrets.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use serde::Deserialize;
use serde_json::Value;

use super::Credential;

pub(super) const FILE_BYTES_MAX: u64 = 1 << 20;

/// `auths` of a file, and which helpers it names. Entries are read when they are asked for, so that one that is
/// wrong spoils no other.
#[derive(Deserialize, Default)]
pub(super) struct CredentialFile {
    #[serde(default)]
    auths: Option<BTreeMap<String, Value>>,
    #[serde(default, rename = "credHelpers")]
    helpers: Option<BTreeMap<String, String>>,
    #[serde(default, rename = "credsStore")]
    store: Option<String>,
}

#[derive(Deserialize)]
struct Entry {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
    identitytoken: Option<String>,
    registrytoken: Option<String>,
}

/// Its words hold nothing of the file but names of hosts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Flaw {
    TooLong,
    Json {
        line: usize,
        column: usize,
    },
    /// Which entry, as it may be shown.
    Entry {
        key: String,
        what: &'static str,
    },
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => write!(f, "is longer than {FILE_BYTES_MAX} bytes"),
            Self::Json { line, column } => {
                write!(f, "is not the JSON that is read there, at line {line}, column {column}")
            }
            Self::Entry { key, what } => write!(f, "the entry for {key:?} {what}"),
        }
    }
}

impl From<serde_json::Error> for Flaw {
    /// Where, and not what: the error's own words may have a password in them.
    fn from(error: serde_json::Error) -> Self {
        Self::Json { line: error.line(), column: error.column() }
    }
}

impl CredentialFile {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Flaw> {
        check_length(bytes)?;
        Ok(serde_json::from_slice(bytes)?)
    }

    /// The older form, which is `auths` alone.
    pub(super) fn parse_dockercfg(bytes: &[u8]) -> Result<Self, Flaw> {
        check_length(bytes)?;
        Ok(Self { auths: Some(serde_json::from_slice(bytes)?), ..Self::default() })
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &str> {
        self.auths.iter().flat_map(BTreeMap::keys).map(String::as_str)
    }

    /// The names of helpers for some hosts, by key.
    pub(super) fn helpers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.helpers.iter().flatten().map(|(key, name)| (key.as_str(), name.as_str()))
    }

    /// The name of the helper for all other hosts.
    pub(super) fn store(&self) -> Option<&str> {
        self.store.as_deref().filter(|name| !name.is_empty())
    }

    /// `None` when the entry is empty, as docker leaves it where a helper has the credential.
    pub(super) fn credential(&self, key: &str) -> Result<Option<Credential>, Flaw> {
        let Some(value) = self.auths.as_ref().and_then(|auths| auths.get(key)) else { return Ok(None) };
        let flaw = |what| Flaw::Entry { key: super::keys::shown(key).to_owned(), what };
        let entry = Some(value).filter(|value| value.is_object()).map(Entry::deserialize);
        let entry = entry.and_then(Result::ok).ok_or_else(|| flaw("is not an object of strings"))?;
        entry.credential().map_err(flaw)
    }
}

fn check_length(bytes: &[u8]) -> Result<(), Flaw> {
    if bytes.len() as u64 > FILE_BYTES_MAX { Err(Flaw::TooLong) } else { Ok(()) }
}

impl Entry {
    fn credential(self) -> Result<Option<Credential>, &'static str> {
        let given = |text: Option<String>| text.filter(|text| !text.is_empty());
        let (mut username, mut password) = (given(self.username), given(self.password));
        if let Some(auth) = given(self.auth) {
            let (name, word) = decode(&auth)?;
            (username, password) = (Some(name), Some(word));
        }
        if let Some(token) = given(self.registrytoken) {
            return Ok(Some(Credential::RegistryToken(token)));
        }
        if let Some(token) = given(self.identitytoken) {
            let username = username.unwrap_or_default();
            return Ok(Some(Credential::IdentityToken { username, token }));
        }
        match (username, password) {
            (Some(username), password) => {
                Ok(Some(Credential::Basic { username, password: password.unwrap_or_default() }))
            }
            (None, Some(_)) => Err("has a password without a username"),
            (None, None) => Ok(None),
        }
    }
}

/// `username:password` in base64.
fn decode(auth: &str) -> Result<(String, String), &'static str> {
    let auth = auth.trim();
    let decoded = STANDARD.decode(auth).or_else(|_| STANDARD_NO_PAD.decode(auth));
    let decoded = decoded.map_err(|_| "has an auth that is not base64")?;
    let text = String::from_utf8(decoded).map_err(|_| "has an auth that is not text")?;
    let (username, password) = text.split_once(':').ok_or("has an auth without a colon")?;
    Ok((username.to_owned(), password.trim_end_matches('\0').to_owned()))
}

#[cfg(test)]
mod tests {
    use super::{CredentialFile, Flaw};
    use crate::credentials::Credential;

    fn basic(username: &str, password: &str) -> Credential {
        Credential::Basic { username: username.to_owned(), password: password.to_owned() }
    }

    #[test]
    fn entries_are_credentials_of_their_kind() {
        let me_secret = "bWU6c2U6Y3JldA=="; // me:se:cret
        for (entry, expected) in [
            (format!(r#"{{"auth":"{me_secret}"}}"#), Some(basic("me", "se:cret"))),
            (format!(r#"{{"auth":"{}"}}"#, me_secret.trim_end_matches('=')), Some(basic("me", "se:cret"))),
            (
                format!(r#"{{"auth":"{me_secret}","username":"other","password":"x"}}"#),
                Some(basic("me", "se:cret")),
            ),
            (r#"{"username":"me","password":"p","email":"e","new":1}"#.into(), Some(basic("me", "p"))),
            (r#"{"username":"me"}"#.into(), Some(basic("me", ""))),
            (r#"{"auth":"bWU6cAAA"}"#.into(), Some(basic("me", "p"))),
            (
                r#"{"auth":"bWU6","identitytoken":"t"}"#.into(),
                Some(Credential::IdentityToken { username: "me".into(), token: "t".into() }),
            ),
            (r#"{"registrytoken":"t"}"#.into(), Some(Credential::RegistryToken("t".into()))),
            ("{}".into(), None),
            (r#"{"auth":"","username":null}"#.into(), None),
        ] {
            let text = format!(r#"{{"auths":{{"x.io":{entry}}}}}"#);
            let file = CredentialFile::parse(text.as_bytes()).expect(&text);
            assert_eq!(file.credential("x.io"), Ok(expected), "{entry}");
            assert_eq!(file.credential("y.io"), Ok(None));
        }
    }

    #[test]
    fn a_wrong_entry_spoils_no_other_and_tells_no_secret() {
        for (entry, part) in [
            (r#""hunter2""#, "not an object of strings"),
            (r#"["hunter2"]"#, "not an object of strings"),
            (r#"{"password":["hunter2"]}"#, "not an object of strings"),
            (r#"{"auth":"hunter2!"}"#, "not base64"),
            (r#"{"auth":"aHVudGVyMg=="}"#, "without a colon"),
            (r#"{"auth":"//79"}"#, "not text"),
            (r#"{"password":"hunter2"}"#, "without a username"),
        ] {
            let text = format!(r#"{{"auths":{{"u:hunter2@x.io":{entry},"y.io":{{"username":"a"}}}}}}"#);
            let file = CredentialFile::parse(text.as_bytes()).expect(&text);
            let flaw = file.credential("u:hunter2@x.io").unwrap_err();
            assert!(flaw.to_string().contains(part), "{flaw}");
            assert!(!format!("{flaw} {flaw:?}").contains("hunter2"), "{flaw:?}");
            assert!(file.credential("y.io").unwrap().is_some());
        }
    }

    #[test]
    fn what_is_no_such_file_tells_where_and_no_secret() {
        for text in ["", "{", "hunter2", r#"{"auths":"hunter2"}"#, r#"{"credsStore":{"hunter2":1}}"#, "1"] {
            let Err(flaw) = CredentialFile::parse(text.as_bytes()) else { panic!("{text}") };
            assert!(matches!(flaw, Flaw::Json { .. }) && !flaw.to_string().contains("hunter2"), "{flaw}");
        }
        let deep = "[".repeat(100_000);
        assert!(CredentialFile::parse(format!("{{\"auths\":{{\"x\":{deep}").as_bytes()).is_err());
        assert_eq!(CredentialFile::parse(&vec![b' '; (1 << 20) + 1]).err(), Some(Flaw::TooLong));
        assert!(CredentialFile::parse(b"{\"auths\":null,\"credHelpers\":null,\"HttpHeaders\":{}}").is_ok());
    }

    #[test]
    fn the_older_form_has_entries_alone() {
        let file = CredentialFile::parse_dockercfg(br#"{"x.io":{"username":"me","password":"p"}}"#).unwrap();
        assert_eq!(file.keys().collect::<Vec<_>>(), ["x.io"]);
        assert_eq!(file.credential("x.io"), Ok(Some(basic("me", "p"))));
    }
}
