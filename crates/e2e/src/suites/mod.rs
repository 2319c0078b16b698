//! One file per subject.

pub(crate) mod adoption;
pub(crate) mod adoption_probes;
mod adoption_refused;
mod adoption_shims;
mod api_hostile;
mod api_hostile_clients;
mod api_volumes;
mod attacks;
mod attacks_exhaustion;
mod attacks_processes;
mod attacks_volumes;
mod claims;
mod client;
mod client_libraries;
mod co_located;
mod command_line;
mod differential;
mod dns;
mod env_files;
mod environment;
mod ephemeral;
mod ephemeral_storage;
mod eviction;
mod examples;
mod hooks;
mod host_ports;
mod image_errors;
mod image_removal;
mod image_volumes;
pub(crate) mod images;
mod impossible;
mod init;
mod interrupt;
mod isolation;
mod killed_engine;
mod kubectl;
mod kubectl_objects;
mod kubectl_streams;
mod kubectl_versions;
mod last_words;
mod lints;
mod log_rotation;
mod logs;
mod network;
mod placement;
mod pod_network;
mod pod_security;
mod privileged;
mod probes;
mod process;
mod readiness_gates;
mod refused;
mod registries;
mod registries_hostile;
mod registries_killed;
mod registries_private;
mod registries_signed;
mod rejections;
mod replays;
mod resize;
mod resources;
mod restart_rules;
mod restarts;
mod seccomp;
mod services;
mod services_api;
mod sidecars;
mod simulations;
mod start_traces;
mod startup_order;
mod status;
mod sysctls;
mod termination;
mod termination_order;
mod timelines;
mod usage;
mod user_namespaces;
mod volume_mounts;
mod volumes;
mod whys;

use crate::outcome::skip;
use crate::runner::Suite;

pub(crate) const ALL: &[Suite] = &[
    Suite { name: "co_located", tests: co_located::TESTS },
    Suite { name: "init", tests: init::TESTS },
    Suite { name: "sidecars", tests: sidecars::TESTS },
    Suite { name: "startup_order", tests: startup_order::TESTS },
    Suite { name: "start_traces", tests: start_traces::TESTS },
    Suite { name: "termination_order", tests: termination_order::TESTS },
    Suite { name: "termination", tests: termination::TESTS },
    Suite { name: "volumes", tests: volumes::TESTS },
    Suite { name: "volume_mounts", tests: volume_mounts::TESTS },
    Suite { name: "network", tests: network::TESTS },
    Suite { name: "pod_network", tests: pod_network::TESTS },
    Suite { name: "host_ports", tests: host_ports::TESTS },
    Suite { name: "services", tests: services::TESTS },
    Suite { name: "dns", tests: dns::TESTS },
    Suite { name: "restarts", tests: restarts::TESTS },
    Suite { name: "hooks", tests: hooks::TESTS },
    Suite { name: "probes", tests: probes::TESTS },
    Suite { name: "restart_rules", tests: restart_rules::TESTS },
    Suite { name: "last_words", tests: last_words::TESTS },
    Suite { name: "ephemeral", tests: ephemeral::TESTS },
    Suite { name: "process", tests: process::TESTS },
    Suite { name: "isolation", tests: isolation::TESTS },
    Suite { name: "attacks", tests: attacks::TESTS },
    Suite { name: "sysctls", tests: sysctls::TESTS },
    Suite { name: "seccomp", tests: seccomp::TESTS },
    Suite { name: "privileged", tests: privileged::TESTS },
    Suite { name: "attacks_exhaustion", tests: attacks_exhaustion::TESTS },
    Suite { name: "attacks_volumes", tests: attacks_volumes::TESTS },
    Suite { name: "attacks_processes", tests: attacks_processes::TESTS },
    Suite { name: "resources", tests: resources::TESTS },
    Suite { name: "replays", tests: replays::TESTS },
    Suite { name: "resize", tests: resize::TESTS },
    Suite { name: "readiness_gates", tests: readiness_gates::TESTS },
    Suite { name: "eviction", tests: eviction::TESTS },
    Suite { name: "ephemeral_storage", tests: ephemeral_storage::TESTS },
    Suite { name: "image_volumes", tests: image_volumes::TESTS },
    Suite { name: "images", tests: images::TESTS },
    Suite { name: "image_errors", tests: image_errors::TESTS },
    Suite { name: "image_removal", tests: image_removal::TESTS },
    Suite { name: "registries", tests: registries::TESTS },
    Suite { name: "registries_private", tests: registries_private::TESTS },
    Suite { name: "registries_signed", tests: registries_signed::TESTS },
    Suite { name: "registries_hostile", tests: registries_hostile::TESTS },
    Suite { name: "registries_full_disk", tests: registries_killed::TESTS },
    Suite { name: "refused", tests: refused::TESTS },
    Suite { name: "rejections", tests: rejections::TESTS },
    Suite { name: "placement", tests: placement::TESTS },
    Suite { name: "status", tests: status::TESTS },
    Suite { name: "environment", tests: environment::TESTS },
    Suite { name: "impossible", tests: impossible::TESTS },
    Suite { name: "command_line", tests: command_line::TESTS },
    Suite { name: "lints", tests: lints::TESTS },
    Suite { name: "logs", tests: logs::TESTS },
    Suite { name: "log_rotation", tests: log_rotation::TESTS },
    Suite { name: "interrupt", tests: interrupt::TESTS },
    Suite { name: "killed_engine", tests: killed_engine::TESTS },
    Suite { name: "adoption", tests: adoption::TESTS },
    Suite { name: "adoption_shims", tests: adoption_shims::TESTS },
    Suite { name: "adoption_probes", tests: adoption_probes::TESTS },
    Suite { name: "adoption_refused", tests: adoption_refused::TESTS },
    Suite { name: "kubectl", tests: kubectl::TESTS },
    Suite { name: "kubectl_objects", tests: kubectl_objects::TESTS },
    Suite { name: "pod_security", tests: pod_security::TESTS },
    Suite { name: "services_api", tests: services_api::TESTS },
    Suite { name: "kubectl_streams", tests: kubectl_streams::TESTS },
    Suite { name: "kubectl_versions", tests: kubectl_versions::TESTS },
    Suite { name: "api_hostile", tests: api_hostile::TESTS },
    Suite { name: "api_hostile_clients", tests: api_hostile_clients::TESTS },
    Suite { name: "api_volumes", tests: api_volumes::TESTS },
    Suite { name: "claims", tests: claims::TESTS },
    Suite { name: "env_files", tests: env_files::TESTS },
    Suite { name: "timelines", tests: timelines::TESTS },
    Suite { name: "usage", tests: usage::TESTS },
    Suite { name: "user_namespaces", tests: user_namespaces::TESTS },
    Suite { name: "client", tests: client::TESTS },
    Suite { name: "whys", tests: whys::TESTS },
    Suite { name: "examples", tests: examples::TESTS },
    Suite { name: "simulations", tests: simulations::TESTS },
    Suite { name: "differential", tests: differential::TESTS },
];

/// What takes minutes, or asks registries for programs: not for every day.
pub(crate) const SLOW: &[Suite] = &[
    Suite { name: "client_libraries", tests: client_libraries::TESTS },
    Suite { name: "registries_killed", tests: registries_killed::SLOW },
    Suite { name: "many_simulations", tests: simulations::SLOW },
    Suite { name: "many_attacks", tests: attacks_volumes::SLOW },
];

/// The fields of a container with a hook, whose `say` speaks for `hook`.
pub(crate) fn hook(kind: &str, script: &str) -> serde_json::Value {
    let say = format!("say() {{ echo \"hook $*\" >> /trace/log; }}; {script}");
    serde_json::json!({"lifecycle": {kind: {"exec": {"command": ["sh", "-c", say]}}}})
}

/// Skips the test unless it runs as root.
pub(crate) fn require_root() -> anyhow::Result<()> {
    if rustix::process::geteuid().is_root() { Ok(()) } else { skip("needs root") }
}
