//! What an exit means.

use lifecycle::{Attempt, Exit, ExitReason, StopReason};
use podspec::Container;

/// Exit codes of shells for a program that cannot be run, or is not there.
const NOT_EXECUTABLE: i32 = 126;
const NOT_FOUND: i32 = 127;
/// Plus the signal that ended the process.
const SIGNALLED: i32 = 128;

const SIGNALS: [(i32, &str, &str); 12] = [
    (1, "SIGHUP", "its terminal went away"),
    (2, "SIGINT", "it was interrupted"),
    (3, "SIGQUIT", "it was asked to quit"),
    (4, "SIGILL", "its program has instructions that this processor does not know"),
    (6, "SIGABRT", "it gave up by itself, as after a failed assertion"),
    (7, "SIGBUS", "it used memory that is not there, as of a file that became shorter"),
    (8, "SIGFPE", "it divided by zero"),
    (9, "SIGKILL", "something killed it that the engine knows nothing of"),
    (11, "SIGSEGV", "it crashed: it used memory that is not its own"),
    (13, "SIGPIPE", "who read its output went away"),
    (15, "SIGTERM", "it was asked to end"),
    (31, "SIGSYS", "it made a system call that its seccomp profile forbids"),
];

/// `it was killed: ..`, for a sentence about the container. `stopped`: why the engine stopped it alone, if it did.
pub(super) fn meaning(
    container: &Container,
    attempt: &Attempt,
    exit: &Exit,
    stopped: Option<StopReason>,
) -> String {
    let code = exit.code;
    match exit.reason {
        ExitReason::StartError => {
            return format!("its command could not be executed: {}", one_line(&exit.message));
        }
        ExitReason::OOMKilled => {
            let limit = match container.resources.memory_limit {
                Some(bytes) => format!("its limit is {}", bytes_text(bytes)),
                None => "it has no limit of its own, so that of the pod or the machine counts".to_owned(),
            };
            return format!(
                "the kernel killed it because it used more memory than it may: {limit} (OOMKilled, exit code {code})"
            );
        }
        ExitReason::ContainerStatusUnknown => {
            return "nobody saw how it ended (exit code unknown)".to_owned();
        }
        ExitReason::Completed | ExitReason::Error | ExitReason::RestartingAllContainers => {}
    }
    if let Some(reason) = stopped {
        let killed = if attempt.kill_sent.is_some() { ", and killed at the end of its grace" } else { "" };
        return format!("it was stopped because {}{killed} (exit code {code})", stop_reason(reason));
    }
    if let (Some(kill), Some(stop)) = (attempt.kill_sent, attempt.stop_signal_sent) {
        let waited = podspec::time::human_duration(kill.since(stop));
        return format!(
            "it did not end within {waited} of its stop signal, and was killed (exit code {code})"
        );
    }
    let said =
        if exit.message.trim().is_empty() { String::new() } else { format!(": {}", one_line(&exit.message)) };
    match (code, exit.signal.or((code > SIGNALLED).then_some(code - SIGNALLED))) {
        (0, _) => "it ended by itself with exit code 0".to_owned(),
        (NOT_EXECUTABLE, _) => format!("its command is there and cannot be executed (exit code 126){said}"),
        (NOT_FOUND, _) => format!("a command was not found (exit code 127){said}"),
        (_, Some(_)) if attempt.stop_signal_sent.is_some() => {
            format!("it ended after its stop signal (exit code {code})")
        }
        (_, Some(signal)) => match SIGNALS.iter().find(|(number, ..)| *number == signal) {
            Some((_, name, meaning)) => format!("{name} ended it: {meaning} (exit code {code})"),
            None => format!("signal {signal} ended it (exit code {code})"),
        },
        (code, None) => format!("it ended by itself with exit code {code}{said}"),
    }
}

pub(super) fn stop_reason(reason: StopReason) -> &'static str {
    match reason {
        StopReason::StartupProbeFailed => "its startup probe failed",
        StopReason::LivenessProbeFailed => "its liveness probe failed",
        StopReason::PostStartHookFailed => "its postStart hook failed",
        StopReason::DefinitionChanged => "its image is another now",
        StopReason::ResizeRestarts => "a change of its resources restarts it",
    }
}

pub(super) fn one_line(text: &str) -> String {
    const CHARS_MAX: usize = 240;
    let mut line: String =
        text.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).take(CHARS_MAX).collect();
    if text.trim().chars().nth(CHARS_MAX).is_some() {
        line.push_str("...");
    }
    line
}

fn bytes_text(bytes: u64) -> String {
    match bytes {
        b if b % (1 << 30) == 0 => format!("{} GiB", b >> 30),
        b if b % (1 << 20) == 0 => format!("{} MiB", b >> 20),
        b => format!("{b} bytes"),
    }
}
