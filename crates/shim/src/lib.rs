//! The per-pod supervisor: spawns containers, owns their logs, records their exits.
//!
//! One process per pod sandbox, single-threaded: an epoll loop over the engine's connection, the
//! containers' output and the ends of its children. It outlives the engine. The shim of a *bound* pod
//! becomes that pod's engine when its own is gone.

pub mod container;

mod clock;
mod connection;
mod ending;
mod exec;
mod exit;
mod footprint;
mod hook;
mod launch;
mod log_file;
mod log_pump;
mod message;
mod note;
mod orphan;
mod poll;
mod process_tree;
mod request;
mod resize;
mod start;
mod stop;
mod supervisor;
mod tap;
mod times;

use std::process::ExitCode;

/// The program of `monopod shim`. Descriptor 0 is the engine's socket, standard error is where trouble is
/// noted. It works in the pod's run directory, which the first request names.
#[must_use]
pub fn main() -> ExitCode {
    match launch::run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            note::error("the shim ends", &error);
            ExitCode::FAILURE
        }
    }
}
