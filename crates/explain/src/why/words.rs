//! What containers say when something is wrong, and what that means.

use std::collections::BTreeSet;

use lifecycle::AttemptState;
use podspec::{Container, ContainerName};

use super::case::Case;
use super::exit::one_line;
use super::explanation::LogLines;

const LINES_MAX: usize = 5;
/// Of a container that says nothing of an error.
const PLAIN_LINES_MAX: usize = 3;

/// Parts of lines that speak of something that went wrong, in lower case.
const BAD: [&str; 24] = [
    "error",
    "fatal",
    "panic",
    "exception",
    "fail",
    "refused",
    "denied",
    "not found",
    "no such",
    "cannot",
    "can't",
    "unable",
    "bad address",
    "in use",
    "killed",
    "traceback",
    "timed out",
    "timeout",
    "unreachable",
    "invalid",
    "not resolve",
    "name resolution",
    "read-only",
    "missing",
];

/// What a line is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Complaint {
    Name,
    Refused,
    PortInUse,
    NoFile,
    ReadOnly,
    Denied,
}

const COMPLAINTS: [(&str, Complaint); 16] = [
    ("bad address", Complaint::Name),
    ("not resolve host", Complaint::Name),
    ("name resolution", Complaint::Name),
    ("name or service not known", Complaint::Name),
    ("no such host", Complaint::Name),
    ("enotfound", Complaint::Name),
    ("can't resolve", Complaint::Name),
    ("address already in use", Complaint::PortInUse),
    ("address in use", Complaint::PortInUse),
    ("eaddrinuse", Complaint::PortInUse),
    ("connection refused", Complaint::Refused),
    ("econnrefused", Complaint::Refused),
    ("no such file", Complaint::NoFile),
    ("cannot open", Complaint::NoFile),
    ("read-only file system", Complaint::ReadOnly),
    ("permission denied", Complaint::Denied),
];

fn is_bad(line: &str) -> bool {
    let line = line.to_lowercase();
    BAD.iter().any(|part| line.contains(part))
}

/// The newest complaint of the lines, and the line.
pub(super) fn complaint(lines: &[String]) -> Option<(Complaint, &str)> {
    lines.iter().rev().find_map(|line| {
        let small = line.to_lowercase();
        COMPLAINTS
            .iter()
            .find(|(part, _)| small.contains(part))
            .map(|(_, complaint)| (*complaint, line.as_str()))
    })
}

/// The lines of a container that matter: of the attempt, or of the newest that has some.
pub(super) fn lines(case: &Case<'_>, container: &ContainerName, attempt: Option<u32>) -> Option<LogLines> {
    let tails = case.record.logs.get(container)?;
    let tail = tails
        .iter()
        .rev()
        .find(|tail| attempt.is_none_or(|number| tail.attempt == number) && !tail.lines.is_empty())?;
    let bad: Vec<&String> = tail.lines.iter().filter(|line| is_bad(line)).collect();
    let (chosen, most) =
        if bad.is_empty() { (tail.lines.iter().collect(), PLAIN_LINES_MAX) } else { (bad, LINES_MAX) };
    let mut picked: Vec<String> = Vec::new();
    for line in chosen.iter().rev() {
        let line = one_line(line);
        // A loop says the same over and over.
        if !line.is_empty() && !picked.contains(&line) {
            picked.push(line);
        }
        if picked.len() == most {
            break;
        }
    }
    picked.reverse();
    (!picked.is_empty()).then(|| LogLines {
        container: container.clone(),
        attempt: tail.attempt,
        lines: picked,
    })
}

/// Lines of the attempt that runs, as they are.
pub(super) fn of_running<'a>(case: &Case<'a>, container: &Container) -> &'a [String] {
    let attempt = case.attempt(&container.name).filter(|a| matches!(a.state, AttemptState::Running { .. }));
    let tails = case.record.logs.get(&container.name);
    attempt
        .and_then(|attempt| tails?.iter().find(|tail| tail.attempt == attempt.number))
        .map_or(&[], |tail| tail.lines.as_slice())
}

/// Names of hosts that a command evidently speaks to: `nc -z db 5432`, `http://db:80/`, `pg_isready -h db`, `db:5432`.
pub(super) fn hosts(container: &Container) -> BTreeSet<String> {
    let words = container.command.iter().chain(&container.args).flatten();
    let mut hosts = BTreeSet::new();
    for text in words {
        for part in text.split("://").skip(1) {
            hosts.extend(host(part.split(['/', ':', ' ', '"', '\'', ';', '?']).next().unwrap_or_default()));
        }
        let tokens: Vec<&str> = text
            .split(|c: char| c.is_whitespace() || ";&|()`'\"".contains(c))
            .filter(|t| !t.is_empty())
            .collect();
        for (at, token) in tokens.iter().enumerate() {
            let next = || {
                tokens[at + 1..]
                    .iter()
                    .find(|t| !t.starts_with('-') && !t.chars().all(|c| c.is_ascii_digit()))
            };
            match token.rsplit('/').next().unwrap_or_default() {
                "nc" | "ncat" | "netcat" | "nslookup" | "ping" | "telnet" | "dig" | "host" => {
                    hosts.extend(next().and_then(|token| host(token)));
                }
                "hosts" if at > 0 && tokens[at - 1] == "getent" => {
                    hosts.extend(next().and_then(|token| host(token)));
                }
                "-h" | "--host" => hosts.extend(tokens.get(at + 1).and_then(|token| host(token))),
                _ => {
                    if let Some(name) = token.strip_prefix("--host=") {
                        hosts.extend(host(name));
                    }
                    if let Some((name, port)) = token.split_once(':')
                        && !port.is_empty()
                        && port.chars().all(|c| c.is_ascii_digit())
                    {
                        hosts.extend(host(name));
                    }
                }
            }
        }
    }
    hosts
}

fn host(word: &str) -> Option<String> {
    let is_name = !word.is_empty()
        && word.len() <= 253
        && word.starts_with(|c: char| c.is_ascii_lowercase())
        && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(c));
    (is_name && word != "localhost").then(|| word.to_owned())
}

/// The first number in a line that follows a colon or the word port.
pub(super) fn port(line: &str) -> Option<u16> {
    let small = line.to_lowercase();
    let after = |mark: &str| {
        small.match_indices(mark).find_map(|(at, _)| {
            let digits: String = small[at + mark.len()..].chars().take_while(char::is_ascii_digit).collect();
            digits.parse().ok()
        })
    };
    after("port ").or_else(|| after(":"))
}
