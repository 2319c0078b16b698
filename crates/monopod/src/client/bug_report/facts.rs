//! What of the machine and the engine can matter to a pod.

use std::fs;
use std::os::unix::net::UnixStream;
use std::path::Path;

use linux_sys::cgroup::Hierarchies;
use serde_json::{Value, json};

pub(super) fn machine() -> Value {
    let name = rustix::system::uname();
    let line = |file: &str| fs::read_to_string(file).ok();
    let meminfo = line("/proc/meminfo").unwrap_or_default();
    let os = line("/etc/os-release").unwrap_or_default();
    json!({
        "kernel": name.release().to_string_lossy(),
        "architecture": name.machine().to_string_lossy(),
        "os": field(&os, "PRETTY_NAME=").map(|name| name.trim_matches('"').to_owned()),
        "cgroups": cgroups(),
        "memory": field(&meminfo, "MemTotal:"),
        "memoryAvailable": field(&meminfo, "MemAvailable:"),
        "swap": field(&meminfo, "SwapTotal:"),
        "processors": std::thread::available_parallelism().ok().map(std::num::NonZero::get),
    })
}

fn field(text: &str, name: &str) -> Option<String> {
    text.lines().find_map(|line| line.strip_prefix(name)).map(|value| value.trim().to_owned())
}

fn cgroups() -> Value {
    match Hierarchies::detect() {
        Ok(all) => json!(if all.is_v2() { "v2" } else { "v1" }),
        Err(error) => json!(format!("unknown: {error}")),
    }
}

/// Who listens on the engine's socket, and how it was started; what it was not told it does by default.
pub(super) fn engine(socket: &Path) -> Value {
    let Ok(connected) = UnixStream::connect(socket) else { return json!({ "running": false }) };
    let pid = rustix::net::sockopt::socket_peercred(&connected).map(|peer| peer.pid.as_raw_nonzero().get());
    let line = pid.ok().and_then(|pid| fs::read(format!("/proc/{pid}/cmdline")).ok()).unwrap_or_default();
    let words: Vec<_> = line.split(|&byte| byte == 0).filter(|word| !word.is_empty()).collect();
    json!({
        "running": true,
        "commandLine": words.iter().map(|word| String::from_utf8_lossy(word)).collect::<Vec<_>>(),
    })
}
