//! `hosts.toml` (<https://github.com/containerd/containerd/blob/main/docs/hosts.md>).

use std::borrow::Cow;
use std::ops::{Range, RangeInclusive};
use std::path::{Path, PathBuf};
use std::time::Duration;

use podspec::time::parse_go_duration;
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::url::Url;
use super::{Header, HostsError};

const MIRRORS_MAX: usize = 16;
const HEADERS_MAX: usize = 32;
const CA_FILES_MAX: usize = 32;
const CONNECT_TIMEOUTS: RangeInclusive<Duration> = Duration::from_nanos(1)..=Duration::from_secs(600);

const KEYS_OF_ANY: [&str; 7] =
    ["capabilities", "ca", "client", "skip_verify", "header", "override_path", "dial_timeout"];
const KEYS_OF_THE_FILE: [&str; 2] = ["server", "host"];

/// What one file says of one host.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct HostsFile {
    /// In the order of the file.
    pub(super) mirrors: Vec<(Url, Entry)>,
    /// Instead of the host itself.
    pub(super) server: Option<Url>,
    /// Of the server, or of the host itself.
    pub(super) own: Entry,
}

#[derive(PartialEq, Eq, Debug)]
pub(super) struct Entry {
    pub(super) can_resolve: bool,
    pub(super) can_pull: bool,
    pub(super) ca: Vec<PathBuf>,
    pub(super) client: Option<ClientFiles>,
    pub(super) skip_verify: bool,
    pub(super) headers: Vec<Header>,
    pub(super) override_path: bool,
    pub(super) connect_timeout: Option<Duration>,
}

impl Entry {
    /// Of a host about which nothing is said.
    pub(super) const EVERYTHING: Self = Self {
        can_resolve: true,
        can_pull: true,
        ca: vec![],
        client: None,
        skip_verify: false,
        headers: vec![],
        override_path: false,
        connect_timeout: None,
    };
}

#[derive(PartialEq, Eq, Debug)]
pub(super) struct ClientFiles {
    pub(super) certificate: PathBuf,
    /// The same file when there is none.
    pub(super) key: Option<PathBuf>,
}

impl HostsFile {
    /// `path` is where the text is from: errors name it, and what is relative is beside it.
    pub(super) fn parse(path: &Path, text: &str) -> Result<Self, HostsError> {
        let reader = Reader { path, text };
        let document = DeTable::parse(text).map_err(|error| {
            let line = error.span().map(|span| reader.line(&span));
            // The parser's words for what it expected; they hold nothing of the file but its punctuation.
            HostsError { path: path.to_owned(), line, problem: format!("is not TOML: {}", error.message()) }
        })?;
        let table = document.get_ref();
        reader.check_keys(table, &[KEYS_OF_ANY.as_slice(), &KEYS_OF_THE_FILE].concat())?;
        let server = table.get("server").map(|value| reader.url(value)).transpose()?;
        let mut mirrors = vec![];
        if let Some(value) = table.get("host") {
            let hosts = reader.table(value, "host")?;
            let mut in_order: Vec<_> = hosts.iter().collect();
            in_order.sort_by_key(|(key, _)| key.span().start);
            for (key, value) in in_order {
                if mirrors.len() == MIRRORS_MAX {
                    let problem = format!("has more than {MIRRORS_MAX} hosts");
                    return Err(reader.fail(&key.span(), problem));
                }
                let url = Url::parse(key.get_ref())
                    .map_err(|why| reader.fail(&key.span(), format!("host {:?}: {why}", key.get_ref())))?;
                let entry = reader.table(value, "host")?;
                reader.check_keys(entry, &KEYS_OF_ANY)?;
                mirrors.push((url, reader.entry(entry)?));
            }
        }
        Ok(Self { mirrors, server, own: reader.entry(table)? })
    }
}

struct Reader<'t> {
    path: &'t Path,
    text: &'t str,
}

type Value<'t> = Spanned<DeValue<'t>>;

impl Reader<'_> {
    fn line(&self, span: &Range<usize>) -> usize {
        let before = self.text.as_bytes().get(..span.start).unwrap_or_default();
        1 + before.iter().filter(|&&byte| byte == b'\n').count()
    }

    fn fail(&self, span: &Range<usize>, problem: String) -> HostsError {
        HostsError { path: self.path.to_owned(), line: Some(self.line(span)), problem }
    }

    fn check_keys(&self, table: &DeTable<'_>, known: &[&str]) -> Result<(), HostsError> {
        let unknown = table.keys().find(|key| !known.contains(&&**key.get_ref()));
        unknown.map_or(Ok(()), |key| {
            let problem = match &**key.get_ref() {
                "proxy" => "proxy is not supported; proxies are taken from HTTPS_PROXY, HTTP_PROXY and \
                            NO_PROXY of the engine's environment"
                    .to_owned(),
                name => format!("{name:?} is not a key of hosts.toml here; known are {}", known.join(", ")),
            };
            Err(self.fail(&key.span(), problem))
        })
    }

    fn entry(&self, table: &DeTable<'_>) -> Result<Entry, HostsError> {
        let flag = |key| table.get(key).map(|value| self.flag(value, key)).transpose();
        let (can_resolve, can_pull) = match table.get("capabilities") {
            Some(value) => self.capabilities(value)?,
            None => (true, true),
        };
        let ca = table.get("ca").map(|value| self.texts(value, "ca")).transpose()?.unwrap_or_default();
        if let Some(value) = table.get("ca").filter(|_| ca.len() > CA_FILES_MAX) {
            return Err(self.fail(&value.span(), format!("ca has more than {CA_FILES_MAX} files")));
        }
        let connect_timeout = match table.get("dial_timeout") {
            Some(value) => {
                let text = self.text(value, "dial_timeout")?;
                let problem = || {
                    format!(
                        "dial_timeout: {text:?} is not a time such as 500ms or 1m30s, of at most 10 minutes"
                    )
                };
                let timeout = parse_go_duration(text).filter(|timeout| CONNECT_TIMEOUTS.contains(timeout));
                Some(timeout.ok_or_else(|| self.fail(&value.span(), problem()))?)
            }
            None => None,
        };
        Ok(Entry {
            can_resolve,
            can_pull,
            ca: ca.into_iter().map(|file| self.beside(file)).collect(),
            client: table.get("client").map(|value| self.client(value)).transpose()?.flatten(),
            skip_verify: flag("skip_verify")?.unwrap_or_default(),
            headers: table.get("header").map(|value| self.headers(value)).transpose()?.unwrap_or_default(),
            override_path: flag("override_path")?.unwrap_or_default(),
            connect_timeout,
        })
    }

    /// Whether it can resolve, and pull. `push` is a word of theirs; nothing is pushed here.
    fn capabilities(&self, value: &Value<'_>) -> Result<(bool, bool), HostsError> {
        let words = self.texts(value, "capabilities")?;
        if words.is_empty() {
            return Ok((true, true));
        }
        let is_known = |word: &&str| ["pull", "resolve", "push"].contains(&word.to_lowercase().as_str());
        if let Some(unknown) = words.iter().find(|word| !is_known(word)) {
            let problem = format!("capabilities: {unknown:?} is none of pull, resolve, push");
            return Err(self.fail(&value.span(), problem));
        }
        let has = |name: &str| words.iter().any(|word| word.eq_ignore_ascii_case(name));
        Ok((has("resolve"), has("pull")))
    }

    /// A file with both, several of them, or pairs. One can be used.
    fn client(&self, value: &Value<'_>) -> Result<Option<ClientFiles>, HostsError> {
        let shape = || {
            let problem = "client is not a file, a list of files, or a list of pairs of certificate and key";
            self.fail(&value.span(), problem.to_owned())
        };
        let one = |file: &str| ClientFiles { certificate: self.beside(file), key: None };
        let items = match value.get_ref() {
            DeValue::String(file) => return Ok(Some(one(file))),
            DeValue::Array(items) => items,
            _ => return Err(shape()),
        };
        if items.len() > 1 {
            let problem = "client has more than one certificate; one can be used".to_owned();
            return Err(self.fail(&value.span(), problem));
        }
        let Some(item) = items.first() else { return Ok(None) };
        match item.get_ref() {
            DeValue::String(file) => Ok(Some(one(file))),
            DeValue::Array(pair) => match strings(pair).ok_or_else(shape)?[..] {
                [certificate, ""] => Ok(Some(one(certificate))),
                [certificate, key] => Ok(Some(ClientFiles {
                    certificate: self.beside(certificate),
                    key: Some(self.beside(key)),
                })),
                _ => Err(shape()),
            },
            _ => Err(shape()),
        }
    }

    fn headers(&self, value: &Value<'_>) -> Result<Vec<Header>, HostsError> {
        let table = self.table(value, "header")?;
        let mut headers = vec![];
        for (key, value) in table {
            let name = key.get_ref();
            if !is_header_name(name) {
                let problem = format!("header: {name:?} is not the name of a header");
                return Err(self.fail(&key.span(), problem));
            }
            for text in self.texts(value, "header")? {
                if !text.bytes().all(|b| matches!(b, b'\t' | b' '..=b'~')) {
                    let problem = format!("header {name}: its value is not printable ASCII");
                    return Err(self.fail(&value.span(), problem));
                }
                headers.push(Header { name: name.clone().into_owned(), value: text.to_owned() });
            }
            if headers.len() > HEADERS_MAX {
                return Err(self.fail(&key.span(), format!("header: more than {HEADERS_MAX} of them")));
            }
        }
        Ok(headers)
    }

    fn beside(&self, file: &str) -> PathBuf {
        self.path.parent().unwrap_or(Path::new("/")).join(file)
    }

    fn url(&self, value: &Value<'_>) -> Result<Url, HostsError> {
        let text = self.text(value, "server")?;
        Url::parse(text).map_err(|why| self.fail(&value.span(), format!("server {text:?}: {why}")))
    }

    fn table<'v, 't>(&self, value: &'v Value<'t>, key: &str) -> Result<&'v DeTable<'t>, HostsError> {
        match value.get_ref() {
            DeValue::Table(table) => Ok(table),
            _ => Err(self.fail(&value.span(), format!("{key} is not a table"))),
        }
    }

    fn flag(&self, value: &Value<'_>, key: &str) -> Result<bool, HostsError> {
        match value.get_ref() {
            DeValue::Boolean(flag) => Ok(*flag),
            _ => Err(self.fail(&value.span(), format!("{key} is neither true nor false"))),
        }
    }

    fn text<'v>(&self, value: &'v Value<'_>, key: &str) -> Result<&'v str, HostsError> {
        match value.get_ref() {
            DeValue::String(text) => Ok(text),
            _ => Err(self.fail(&value.span(), format!("{key} is not a string"))),
        }
    }

    /// One, or a list.
    fn texts<'v>(&self, value: &'v Value<'_>, key: &str) -> Result<Vec<&'v str>, HostsError> {
        let texts = match value.get_ref() {
            DeValue::String(text) => Some(vec![&**text]),
            DeValue::Array(items) => strings(items),
            _ => None,
        };
        texts.ok_or_else(|| self.fail(&value.span(), format!("{key} is neither a string nor a list of them")))
    }
}

fn strings<'v>(items: &'v DeArray<'_>) -> Option<Vec<&'v str>> {
    let text = |item: &'v Value<'_>| match item.get_ref() {
        DeValue::String(text) => Some(<Cow<'_, str> as AsRef<str>>::as_ref(text)),
        _ => None,
    };
    items.iter().map(text).collect()
}

/// A token of RFC 9110.
fn is_header_name(name: &str) -> bool {
    let is_token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    !name.is_empty() && name.bytes().all(is_token)
}
