//! Which hosts and ports a container's commands, variables and probes speak to.

use podspec::FieldPath;
use podspec::json::{list, text};
use serde_json::Value;

use crate::pod::Container;
use crate::program::{self, Program, TEXT_BYTES_MAX};
use crate::shell::Call;

/// Of one container.
const MENTIONS_MAX: usize = 512;

/// Name and password of a user in a URL, and what is before them.
const USER_BYTES_MAX: usize = 512;

/// Programs that take a host and a port as words.
const DIALLERS: [&str; 4] = ["nc", "ncat", "netcat", "telnet"];
/// Programs that take a host alone.
const RESOLVERS: [&str; 5] = ["ping", "nslookup", "host", "dig", "getent"];
const FETCHERS: [&str; 2] = ["curl", "wget"];
/// Programs whose `-h` is a host.
const CLIENTS: [&str; 8] =
    ["psql", "pg_isready", "mysql", "mysqladmin", "mariadb", "redis-cli", "mongosh", "pg_dump"];
/// Of fetchers: what a flag with a value is not.
const FLAGS_ALONE: [&str; 12] =
    ["-s", "-f", "-q", "-S", "-L", "-k", "-v", "-i", "-I", "--fail", "--silent", "--spider"];
/// The last word in the names of variables that hold a host. What is called a server may as well be a kind of server.
const VARIABLES: [&str; 5] = ["HOST", "ADDR", "ADDRESS", "ENDPOINT", "URL"];

/// A host somebody speaks to.
#[derive(Clone, Debug)]
pub(crate) struct Mention<'p> {
    pub(crate) host: String,
    pub(crate) port: Option<u16>,
    /// The text it is in.
    pub(crate) path: FieldPath,
    pub(crate) raw: &'p str,
    pub(crate) role: Role,
    /// Only `name:123`, which may be something else.
    pub(crate) is_pair: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Role {
    /// A command that is run once, and has to succeed.
    Command,
    /// A command that is tried until it succeeds.
    Patient,
    /// A command that may fail.
    Optional,
    /// What a program is told, which may do with it what it likes.
    Setting,
    Probe,
}

/// A word and where it stands.
struct Text<'p> {
    path: FieldPath,
    raw: &'p str,
    text: String,
}

/// All of a container's, in the order command, variables, probes.
pub(crate) fn mentions<'p>(container: &Container<'p>) -> Vec<Mention<'p>> {
    let mut found = Vec::new();
    let words: Vec<Text<'p>> = (container.words.iter())
        .map(|word| Text { path: word.path.clone(), raw: word.raw, text: word.text.clone() })
        .collect();
    in_command(&words, &container.program, None, &mut found);
    for (name, variable) in &container.env {
        let raw = program::cut(variable.value);
        let mut add = |host: &str, port, is_pair| {
            let path = variable.path.clone();
            found.push(Mention { host: host.to_owned(), port, path, raw, role: Role::Setting, is_pair });
        };
        scan(raw, &mut add);
        let upper = name.to_uppercase();
        let last = upper.rsplit('_').next().unwrap_or("");
        if (VARIABLES.contains(&last) || upper.ends_with("_HOSTNAME")) && is_host(raw) {
            add(raw, None, false);
        }
    }
    for (field, hook) in [
        ("livenessProbe", None),
        ("readinessProbe", None),
        ("startupProbe", None),
        ("lifecycle", Some("postStart")),
        ("lifecycle", Some("preStop")),
    ] {
        let (mut handler, mut path) = (&container.json[field], container.path.child(field));
        if let Some(hook) = hook {
            (handler, path) = (&handler[hook], path.child(hook));
        }
        in_handler(container, handler, &path, &mut found);
    }
    found.truncate(MENTIONS_MAX);
    found
}

fn in_handler<'p>(
    container: &Container<'_>,
    handler: &'p Value,
    path: &FieldPath,
    found: &mut Vec<Mention<'p>>,
) {
    for action in ["httpGet", "tcpSocket"] {
        let raw = text(&handler[action], "host");
        if !raw.is_empty() {
            let port = handler[action]["port"].as_u64().and_then(|port| u16::try_from(port).ok());
            let path = path.child(action).child("host");
            found.push(Mention { host: raw.to_owned(), port, path, raw, role: Role::Probe, is_pair: false });
        }
    }
    let exec = &handler["exec"];
    let path = path.child("exec").child("command");
    let words: Vec<Text<'p>> = (list(exec, "command").iter().enumerate())
        .filter_map(|(i, word)| {
            let raw = program::cut(word.as_str()?);
            Some(Text { path: path.index(i), raw, text: raw.to_owned() })
        })
        .collect();
    in_command(&words, &program::of_action(exec, &container.env), Some(Role::Probe), found);
}

fn in_command<'p>(words: &[Text<'p>], program: &Program, role: Option<Role>, found: &mut Vec<Mention<'p>>) {
    let script = program.script.as_deref().and_then(|script| words.iter().find(|word| word.text == script));
    let mut has_slept = false;
    for call in &program.calls {
        has_slept |= call.program() == "sleep" && !call.is_repeated;
        if found.len() >= MENTIONS_MAX {
            return;
        }
        // Says something, or is about users.
        if ["echo", "printf", "chown", "chgrp", "install"].contains(&call.program()) {
            continue;
        }
        // Who has slept before has given the other its time.
        let is_optional = call.may_fail || call.may_be_skipped || call.in_background || has_slept;
        let patience = match (is_optional, call.is_repeated) {
            (true, _) => Role::Optional,
            (false, true) => Role::Patient,
            (false, false) => Role::Command,
        };
        let is_client = DIALLERS.iter().chain(&FETCHERS).chain(&CLIENTS).any(|name| *name == call.program());
        let role_here =
            role.unwrap_or(if is_client || patience != Role::Command { patience } else { Role::Setting });
        let mut add = |at: &Text<'p>, host: &str, port, is_pair| {
            let (host, path) = (host.to_owned(), at.path.clone());
            found.push(Mention { host, port, path, raw: at.raw, role: role_here, is_pair });
        };
        // The image's own program has no word in the manifest.
        let own = call.words.len().saturating_sub(words.len()).min(1);
        let targets = call.redirects.iter().map(|redirect| &redirect.target);
        for (i, word) in call.words.iter().chain(targets).enumerate() {
            let Some(at) = script.or_else(|| words.get(i.checked_sub(own)?)) else { continue };
            scan(&word.text, &mut |host, port, is_pair| add(at, host, port, is_pair));
        }
        by_program(call, &mut |host, port| {
            let own = || words.iter().find(|word| word.text.contains(host));
            if let Some(at) = script.or_else(own) {
                add(at, host, port, false);
            }
        });
    }
}

/// Hosts in words that only their program makes hosts.
fn by_program(call: &Call, found: &mut dyn FnMut(&str, Option<u16>)) {
    let words: Vec<&str> = call.arguments().collect();
    let program = call.program();
    let plain: Vec<&str> = words.iter().copied().filter(|word| !word.starts_with('-')).collect();
    if DIALLERS.contains(&program) {
        let listens =
            words.iter().any(|word| word.starts_with('-') && !word.starts_with("--") && word.contains('l'));
        if let ([.., host, port], false) = (&plain[..], listens)
            && let Ok(port) = port.parse()
            && is_host(host)
        {
            found(host, Some(port));
        }
    } else if RESOLVERS.contains(&program) {
        plain.iter().filter(|word| is_host(word)).for_each(|host| found(host, None));
    } else if FETCHERS.contains(&program) {
        for (i, word) in words.iter().enumerate() {
            let before = i.checked_sub(1).map_or("", |before| words[before]);
            let is_value = before.starts_with('-') && !FLAGS_ALONE.contains(&before);
            let host = word.split('/').next().unwrap_or("");
            if !word.starts_with('-') && !is_value && !word.contains(':') && is_host(host) {
                found(host, None);
            }
        }
    }
    for pair in words.windows(2) {
        let is_flag = pair[0] == "--host" || CLIENTS.contains(&program) && pair[0] == "-h";
        if is_flag && is_host(pair[1]) {
            found(pair[1], None);
        }
    }
    for host in words.iter().filter_map(|word| word.strip_prefix("--host=")).filter(|host| is_host(host)) {
        found(host, None);
    }
}

/// `scheme://HOST[:PORT]`, `HOST:PORT` and `/dev/tcp/HOST/PORT`.
fn scan(text: &str, found: &mut dyn FnMut(&str, Option<u16>, bool)) {
    debug_assert!(text.len() <= 4 * TEXT_BYTES_MAX);
    for device in ["/dev/tcp/", "/dev/udp/"] {
        for (at, _) in text.match_indices(device) {
            let mut parts = text[at + device.len()..].splitn(3, |c: char| !is_host_character(c));
            if let (Some(host), Some(port)) = (parts.next(), parts.next())
                && is_host(host)
            {
                found(host, port.parse().ok(), false);
            }
        }
    }
    for (at, _) in text.match_indices("://") {
        let rest = &text[at + 3..];
        let authority = &rest[..rest.find(|c: char| !is_authority(c)).unwrap_or(rest.len())];
        let host = authority.rsplit('@').next().unwrap_or("");
        let (host, port) = host.split_once(':').unwrap_or((host, ""));
        if is_host(host) {
            found(host, port.parse().ok(), false);
        }
    }
    for (at, _) in text.match_indices(':') {
        let after = &text[at + 1..];
        let digits = after.bytes().take_while(u8::is_ascii_digit).count().min(6);
        let follows = after[digits..].chars().next();
        let ends = follows.is_none_or(|c| !c.is_alphanumeric() && !"_.:-".contains(c));
        let Ok(port) = after[..digits].parse::<u16>() else { continue };
        let start = text[..at]
            .rfind(|c| !is_host_character(c))
            .map_or(0, |before| before + text[before..].chars().next().map_or(1, char::len_utf8));
        let (host, before) = (&text[start..at], &text[..start]);
        // In a URL it has been found already, and after a slash it is part of a path, or of the name of an image.
        let is_part = before.ends_with(['/', '_', ':', '\0', '$', '}']);
        let is_password = before.ends_with("//") || after[digits..].starts_with('@');
        if ends && !is_part && !is_password && is_host(host) && !in_url(before) {
            found(host, Some(port), true);
        }
    }
}

/// Right after the `user@` of a URL.
fn in_url(before: &str) -> bool {
    if !before.ends_with('@') {
        return false;
    }
    let near = &before[before.ceil_char_boundary(before.len().saturating_sub(USER_BYTES_MAX))..];
    near.rsplit(|c| !is_authority(c) && c != '/').next().is_some_and(|word| word.contains("://"))
}

fn is_authority(c: char) -> bool {
    is_host_character(c) || "@:_~!$&*+=%".contains(c)
}

fn is_host_character(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '-' || c == '.'
}

/// A name or an address.
fn is_host(text: &str) -> bool {
    !text.is_empty()
        && text.chars().all(is_host_character)
        && !text.starts_with(['-', '.'])
        && (text.contains(|c: char| c.is_ascii_alphabetic()) || text.split('.').count() == 4)
}

/// The container itself, and with it all of its pod.
pub(crate) fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.starts_with("127.")
}

/// The text with this host, wherever it is evidently one, replaced by `localhost`; `None` when there is none.
pub(crate) fn on_localhost(raw: &str, name: &str) -> Option<String> {
    if raw == name {
        return Some("localhost".to_owned());
    }
    let mut text = String::new();
    let mut done = 0;
    for (at, _) in raw.match_indices(name) {
        let (before, after) = (&raw[..at], &raw[at + name.len()..]);
        if at < done || !is_host_position(before, after) {
            continue;
        }
        text.push_str(&raw[done..at]);
        text.push_str("localhost");
        done = at + name.len();
    }
    (done > 0).then(|| text + &raw[done..])
}

fn is_host_position(before: &str, after: &str) -> bool {
    let stands_alone = !before.ends_with(|c| is_host_character(c) || c == '_')
        && !after.starts_with(|c| is_host_character(c) || c == '_');
    let port_follows = |sign: char| {
        after
            .strip_prefix(sign)
            .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit() || c == '$'))
    };
    let is_path = before.ends_with('/') && !before.ends_with("//");
    let introduced = ["://", "/dev/tcp/", "/dev/udp/", "--host=", "--host ", " -h "]
        .iter()
        .any(|end| before.ends_with(end));
    let in_authority = before.ends_with('@');
    stands_alone && (introduced || in_authority || !is_path && (port_follows(':') || port_follows(' ')))
}

#[cfg(test)]
mod tests {
    use super::{on_localhost, scan};

    fn all(text: &str) -> Vec<String> {
        let mut found = Vec::new();
        scan(text, &mut |host, port, _| {
            found.push(
                format!("{host} {}", port.map_or(String::new(), |port| port.to_string())).trim().to_owned(),
            );
        });
        found
    }

    #[test]
    fn hosts_in_text() {
        for (text, expected) in [
            ("http://sidecar:8080/x", vec!["sidecar 8080"]),
            ("http://sidecar", vec!["sidecar"]),
            ("postgres://user:pw@db:5432/x?y=1", vec!["db 5432"]),
            ("postgres://user:12345@db/x", vec!["db"]),
            ("user:pw@tcp(db:3306)/x", vec!["db 3306"]),
            ("--address=web:80", vec!["web 80"]),
            ("redis:6379,cache:11211", vec!["redis 6379", "cache 11211"]),
            ("/dev/tcp/web/8080", vec!["web 8080"]),
            ("127.0.0.1:9000", vec!["127.0.0.1 9000"]),
            ("registry/app:80", vec![]),
            ("app:80a", vec![]),
            ("app:1.36", vec![]),
            ("12:30", vec![]),
            ("x_web:80", vec![]),
            ("web:99999", vec![]),
            (":8080", vec![]),
            ("http://\0web:80", vec![]),
            ("\u{e4}:80 \u{1f600}web:80", vec!["web 80"]),
            ("://", vec![]),
            ("", vec![]),
        ] {
            assert_eq!(all(text), expected, "{text:?}");
        }
    }

    #[test]
    fn a_name_is_replaced_where_it_is_a_host() {
        for (text, expected) in [
            (
                "until wget -q -O - http://web:8080; do web; done",
                Some("until wget -q -O - http://localhost:8080; do web; done"),
            ),
            (
                "cat < /dev/tcp/web/8080 || nc web 8080",
                Some("cat < /dev/tcp/localhost/8080 || nc localhost 8080"),
            ),
            ("web", Some("localhost")),
            ("web-2:80 /web web.svc:80", None),
            ("http://user@web/", Some("http://user@localhost/")),
            ("/srv/web:80", None),
        ] {
            assert_eq!(on_localhost(text, "web").as_deref(), expected, "{text}");
        }
    }
}
