//! Which files the commands of a container evidently read and write, and which volume is there.

use crate::pod::{Container, Mount};
use crate::shell::{Call, Direction};
use podspec::json::{flag, text};

/// Programs that touch no files but those they are told of, and listen on no port they are not told of.
const ORDINARY: [&str; 67] = [
    "",
    "[",
    "[[",
    "awk",
    "base64",
    "basename",
    "break",
    "cat",
    "cd",
    "chgrp",
    "chmod",
    "chown",
    "continue",
    "cp",
    "curl",
    "cut",
    "date",
    "dd",
    "dirname",
    "echo",
    "egrep",
    "exit",
    "export",
    "expr",
    "false",
    "fgrep",
    "grep",
    "gunzip",
    "gzip",
    "head",
    "hostname",
    "jq",
    "kill",
    "ln",
    "ls",
    "md5sum",
    "mkdir",
    "mkfifo",
    "mv",
    "nc",
    "nslookup",
    "od",
    "ping",
    "printf",
    "pwd",
    "read",
    "return",
    "rm",
    "sed",
    "seq",
    "set",
    "sha256sum",
    "shift",
    "sleep",
    "sort",
    "stat",
    "tail",
    "tee",
    "test",
    "touch",
    "tr",
    "trap",
    "true",
    "uniq",
    "wait",
    "wc",
    "wget",
];

/// Those whose first word that is no flag is a pattern.
const WITH_PATTERN: [&str; 6] = ["grep", "egrep", "fgrep", "awk", "sed", "jq"];
const READERS: [&str; 17] = [
    "cat",
    "tail",
    "head",
    "less",
    "more",
    "wc",
    "sort",
    "uniq",
    "cut",
    "tac",
    "nl",
    "base64",
    "md5sum",
    "sha256sum",
    "stat",
    "od",
    "file",
];

/// A file that a command reads or writes.
#[derive(Clone, Copy)]
pub(crate) struct Use<'c> {
    pub(crate) path: &'c str,
    pub(crate) call: &'c Call,
}

impl Use<'_> {
    /// Goes on reading what is added.
    pub(crate) fn follows(&self) -> bool {
        let follows =
            |flag: &str| flag.starts_with("--follow") || flag.starts_with('-') && flag.contains(['f', 'F']);
        self.call.program() == "tail" && self.call.arguments().any(follows)
    }
}

/// Nothing happens in the container but what its calls say.
pub(crate) fn is_ordinary(container: &Container<'_>) -> bool {
    runs_nothing_but(container, &[])
}

/// Nothing but ordinary programs and these.
pub(crate) fn runs_nothing_but(container: &Container<'_>, others: &[&str]) -> bool {
    let program = &container.program;
    let is_one = |call: &Call| ORDINARY.contains(&call.program()) || others.contains(&call.program());
    program.is_known && program.calls.iter().all(is_one)
}

pub(crate) fn reads<'c>(container: &'c Container<'_>) -> Vec<Use<'c>> {
    each(container, read_by)
}

pub(crate) fn writes<'c>(container: &'c Container<'_>) -> Vec<Use<'c>> {
    each(container, written_by)
}

/// What is written somewhere that cannot be read off.
pub(crate) fn writes_vaguely(container: &Container<'_>) -> bool {
    container.program.calls.iter().any(|call| {
        let redirected = |r: &crate::shell::Redirect| r.direction == Direction::Write && !r.target.is_plain;
        let is_writer =
            ["tee", "cp", "mv", "touch", "dd", "ln", "install", "tar", "unzip"].contains(&call.program());
        call.redirects.iter().any(redirected) || is_writer && call.words.iter().any(|word| !word.is_plain)
    })
}

fn each<'c>(container: &'c Container<'_>, of: impl Fn(&'c Call, &mut dyn FnMut(&'c str))) -> Vec<Use<'c>> {
    /// A container that uses more is none whose files people mix up.
    const USES_MAX: usize = 128;
    let mut uses: Vec<Use<'c>> = Vec::new();
    for call in &container.program.calls {
        of(call, &mut |path| {
            let is_new = !uses.iter().any(|known| known.path == path && std::ptr::eq(known.call, call));
            if is_absolute(path) && uses.len() < USES_MAX && is_new {
                uses.push(Use { path, call });
            }
        });
    }
    uses
}

/// A path that means the same however it is looked at, and no device.
fn is_absolute(path: &str) -> bool {
    let is_odd = |part: &str| part == "." || part == "..";
    path.starts_with('/')
        && path.len() > 1
        && !path.split('/').any(is_odd)
        && !["/dev", "/proc", "/sys"].iter().any(|dir| is_within(path, dir))
}

fn read_by<'c>(call: &'c Call, found: &mut dyn FnMut(&'c str)) {
    for redirect in &call.redirects {
        if redirect.direction == Direction::Read && redirect.target.is_plain {
            found(&redirect.target.text);
        }
    }
    let program = call.program();
    let is_flag = |word: &&str| word.starts_with('-');
    let mut arguments: Vec<&str> = call.arguments().filter(|word| !is_flag(word)).collect();
    match program {
        _ if READERS.contains(&program) => {}
        // Edits in place: the file has to be there, too.
        _ if WITH_PATTERN.contains(&program) => {
            let has_pattern_flag = call.arguments().any(|word| word == "-e" || word == "-f");
            if !has_pattern_flag && !arguments.is_empty() {
                arguments.remove(0);
            }
        }
        "source" | "." => arguments.truncate(1),
        "cp" | "mv" => drop(arguments.pop()),
        "[" | "[[" | "test" => {
            let words: Vec<&str> = call.arguments().collect();
            for pair in words.windows(2) {
                if ["-e", "-f", "-s", "-r", "-p", "-S"].contains(&pair[0]) {
                    found(pair[1]);
                }
            }
            return;
        }
        _ => return,
    }
    arguments.into_iter().for_each(found);
}

fn written_by<'c>(call: &'c Call, found: &mut dyn FnMut(&'c str)) {
    for redirect in &call.redirects {
        if redirect.direction == Direction::Write && redirect.target.is_plain {
            found(&redirect.target.text);
        }
    }
    let arguments = || call.arguments().filter(|word| !word.starts_with('-'));
    match call.program() {
        "tee" | "touch" | "mkfifo" | "truncate" => arguments().for_each(found),
        "cp" | "mv" | "ln" | "install" => {
            if let Some(target) = arguments().next_back() {
                found(target);
            }
        }
        "dd" => call.arguments().filter_map(|word| word.strip_prefix("of=")).for_each(found),
        "curl" => after(call, &["-o", "--output"], found),
        "wget" => after(call, &["-O", "--output-document"], found),
        "sed" if call.arguments().any(|word| word.starts_with("-i")) => arguments().skip(1).for_each(found),
        _ => {}
    }
}

fn after<'c>(call: &'c Call, flags: &[&str], found: &mut dyn FnMut(&'c str)) {
    let words: Vec<&str> = call.arguments().collect();
    for pair in words.windows(2) {
        if flags.contains(&pair[0]) {
            found(pair[1]);
        }
    }
}

/// Whether `path` is `dir` or below it.
pub(crate) fn is_within(path: &str, dir: &str) -> bool {
    let dir = dir.trim_end_matches('/');
    path.strip_prefix(dir).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The mount that a path of the container is in.
pub(crate) fn mount_at<'m, 'a>(container: &'m Container<'a>, path: &str) -> Option<&'m Mount<'a>> {
    let around = container.mounts.iter().filter(|mount| is_within(path, mount.mount_path));
    around.max_by_key(|mount| mount.mount_path.trim_end_matches('/').len())
}

/// Where in the volume a path below the mount is; `None` where the manifest does not say.
pub(crate) fn place_in_volume(mount: &Mount<'_>, path: &str) -> Option<String> {
    if !text(mount.json, "subPathExpr").is_empty() {
        return None;
    }
    let below = path.strip_prefix(mount.mount_path.trim_end_matches('/'))?;
    let whole = format!("{}/{below}", text(mount.json, "subPath"));
    let parts: Vec<&str> = whole.split('/').filter(|part| !part.is_empty()).collect();
    Some(parts.join("/"))
}

pub(crate) fn is_read_only(mount: &Mount<'_>) -> bool {
    flag(mount.json, "readOnly")
}
