//! What is recorded of an ended process.

use lifecycle::{Exit, ExitReason};
use linux_sys::process::ExitStatus;
use podspec::Moment;

/// The exit code of a process that could not be set up or executed, as containerd has it.
const START_ERROR_CODE: i32 = 128;
const SIGNAL_CODE_BASE: i32 = 128;

/// 128 + signal for a signalled process.
pub(crate) const fn exit_code(status: ExitStatus) -> i32 {
    match status {
        ExitStatus::Code(code) => code,
        ExitStatus::Signal(signal) => SIGNAL_CODE_BASE + signal,
    }
}

/// An out-of-memory kill counts whatever the exit code: the process may have hidden a dead child behind 0.
pub(crate) fn ended(
    status: ExitStatus,
    oom_killed: bool,
    message: String,
    started: Moment,
    at: Moment,
) -> Exit {
    let code = exit_code(status);
    let reason = match code {
        _ if oom_killed => ExitReason::OOMKilled,
        0 => ExitReason::Completed,
        _ => ExitReason::Error,
    };
    let signal = match status {
        ExitStatus::Code(_) => None,
        ExitStatus::Signal(signal) => Some(signal),
    };
    Exit { code, signal, reason, message, started: Some(started), finished: at }
}

pub(crate) fn start_error(message: String, at: Moment) -> Exit {
    Exit {
        code: START_ERROR_CODE,
        signal: None,
        reason: ExitReason::StartError,
        message,
        started: None,
        finished: at,
    }
}

#[cfg(test)]
mod tests {
    use lifecycle::ExitReason;
    use linux_sys::process::ExitStatus;
    use podspec::Moment;

    use super::ended;

    #[test]
    fn codes_and_reasons() {
        use ExitStatus::{Code, Signal};
        for (status, oom, code, signal, reason) in [
            (Code(0), false, 0, None, ExitReason::Completed),
            (Code(3), false, 3, None, ExitReason::Error),
            (Signal(9), false, 137, Some(9), ExitReason::Error),
            (Signal(15), false, 143, Some(15), ExitReason::Error),
            (Signal(9), true, 137, Some(9), ExitReason::OOMKilled),
            (Code(0), true, 0, None, ExitReason::OOMKilled),
        ] {
            let exit = ended(status, oom, String::new(), Moment::default(), Moment::default());
            assert_eq!((exit.code, exit.signal, exit.reason), (code, signal, reason), "{status:?}");
        }
    }
}
