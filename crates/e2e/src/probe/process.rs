//! The process itself: identity, rights, limits, surroundings.

use std::fs;
use std::os::unix::ffi::OsStrExt;

use linux_sys::inspect;
use rustix::fs::{Mode, OFlags, open};
use serde_json::{Value, json};

use super::{debug, object, outcome, text};

/// Of `/proc/self/status`: what stays the same however often the program runs.
const STATUS: [&str; 21] = [
    "Umask",
    "TracerPid",
    "Uid",
    "Gid",
    "Groups",
    "Threads",
    "SigBlk",
    "SigIgn",
    "SigPnd",
    "CapInh",
    "CapPrm",
    "CapEff",
    "CapBnd",
    "CapAmb",
    "NoNewPrivs",
    "Seccomp",
    "Seccomp_filters",
    "Speculation_Store_Bypass",
    "SpeculationIndirectBranch",
    "Cpus_allowed_list",
    "Mems_allowed_list",
];

pub(super) fn status() -> Value {
    let status = text("/proc/self/status");
    let fields = status.lines().filter_map(|line| line.split_once(':'));
    let wanted = fields.filter(|(name, _)| STATUS.contains(name));
    object(wanted.map(|(name, value)| (name.to_owned(), json!(words(value)))))
}

pub(super) fn limits() -> Value {
    const NAME_BYTES: usize = 26;
    let limits = text("/proc/self/limits");
    let lines = limits.lines().skip(1).filter_map(|line| line.split_at_checked(NAME_BYTES));
    object(lines.map(|(name, values)| (name.trim().to_owned(), json!(words(values)))))
}

pub(super) fn attributes() -> Value {
    let name = rustix::system::uname();
    // Where the API is only containers of a cluster are told.
    let all: Vec<String> = std::env::vars_os()
        .filter(|(name, _)| !name.as_encoded_bytes().starts_with(b"KUBERNETES_"))
        .map(|(name, value)| format!("{}={}", name.display(), value.display()))
        .collect();
    let stat = text("/proc/self/stat");
    // After the name, which may hold anything, from the third field on.
    let fields: Vec<&str> = stat.rsplit_once(") ").map_or("", |(_, rest)| rest).split(' ').collect();
    let field = |number: usize| fields.get(number - 3).copied().unwrap_or_default();
    json!({
        "args": std::env::args().collect::<Vec<_>>(),
        "env": all,
        "cwd": std::env::current_dir().map(|path| path.display().to_string()).unwrap_or_default(),
        "executable": fs::read_link("/proc/self/exe").map(|path| path.display().to_string()).unwrap_or_default(),
        "hostname": name.nodename().to_string_lossy(),
        "domainname": name.domainname().to_string_lossy(),
        "oom_score_adj": text("/proc/self/oom_score_adj"),
        "coredump_filter": text("/proc/self/coredump_filter"),
        "personality": text("/proc/self/personality"),
        "loginuid": text("/proc/self/loginuid"),
        "uid_map": words(&text("/proc/self/uid_map")),
        "setgroups": text("/proc/self/setgroups"),
        "timens_offsets": words(&text("/proc/self/timens_offsets")),
        "attr": text("/proc/self/attr/current"),
        "nice": field(19),
        "scheduler": format!("{} {}", field(40), field(41)),
        "timer_slack": debug(rustix::thread::current_timer_slack()),
        "io_priority": debug(inspect::io_priority()),
        "session_keyring": inspect::session_keyring().unwrap_or_else(super::errno),
        "dumpable": debug(rustix::process::dumpable_behavior()),
        "parent_death_signal": debug(rustix::process::parent_process_death_signal()),
        "secure_bits": debug(rustix::thread::capabilities_secure_bits()),
        "keep_capabilities": debug(rustix::thread::get_keep_capabilities()),
        "huge_pages_off": debug(rustix::thread::transparent_huge_pages_are_disabled()),
        "processes": processes(),
    })
}

/// Session, group and terminal.
pub(super) fn session() -> Value {
    let this = rustix::process::getpid();
    let stdin = rustix::stdio::stdin();
    let controlling = open("/dev/tty", OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty());
    json!({
        "is_first": this.is_init(),
        "leads_session": rustix::process::getsid(None) == Ok(this),
        "leads_group": rustix::process::getpgrp() == this,
        "has_foreground": rustix::termios::tcgetpgrp(stdin) == Ok(rustix::process::getpgrp()),
        "parent": debug(Ok::<_, rustix::io::Errno>(rustix::process::getppid().map(|pid| pid.as_raw_nonzero()))),
        "controlling_terminal": outcome(controlling),
        "terminal": rustix::termios::ttyname(stdin, Vec::new())
            .map_or_else(super::errno, |name| name.to_string_lossy().into_owned()),
        "window": rustix::termios::tcgetwinsize(stdin)
            .map_or_else(super::errno, |size| format!("{}x{}", size.ws_col, size.ws_row)),
    })
}

/// The names of the processes to be seen, sorted.
fn processes() -> Vec<String> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let numbers = entries.filter(|entry| entry.file_name().as_bytes().iter().all(u8::is_ascii_digit));
    let mut names: Vec<String> = numbers.map(|entry| text(entry.path().join("comm"))).collect();
    names.sort();
    names
}

fn words(value: &str) -> String {
    value.split_whitespace().collect::<Vec<_>>().join(" ")
}
