//! What is recorded of an ended process.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use lifecycle::{Exit, ExitReason};
use linux_sys::process::ExitStatus;
use podspec::Moment;

/// The end of the termination message file that counts
/// (<https://kubernetes.io/docs/tasks/debug/debug-application/determine-reason-pod-failure/>).
const TERMINATION_MESSAGE_BYTES_MAX: u64 = 4_096;
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

/// The end of the container's termination message; empty when there is none. The container wrote the
/// file, so nothing in it or about it is trusted.
pub(crate) fn termination_message(path: &Path) -> io::Result<String> {
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let flags = i32::try_from(flags.bits()).unwrap_or(0);
    let mut file = match File::options().read(true).custom_flags(flags).open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(String::new()),
        opened => opened?,
    };
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Ok(String::new());
    }
    file.seek(SeekFrom::Start(metadata.len().saturating_sub(TERMINATION_MESSAGE_BYTES_MAX)))?;
    let mut text = Vec::new();
    file.take(TERMINATION_MESSAGE_BYTES_MAX).read_to_end(&mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use lifecycle::ExitReason;
    use linux_sys::process::ExitStatus;
    use podspec::Moment;

    use super::{ended, termination_message};

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

    #[test]
    fn the_end_of_the_message_counts_and_only_of_a_file() {
        let dir = std::env::temp_dir().join(format!("monopod-message-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let path = dir.join("termination-log");
        assert_eq!(termination_message(&path).unwrap(), "");
        fs::write(&path, "why").unwrap();
        assert_eq!(termination_message(&path).unwrap(), "why");
        fs::write(&path, "a".repeat(5_000) + "end").unwrap();
        let message = termination_message(&path).unwrap();
        assert!(message.len() == 4_096 && message.ends_with("aend"));
        std::os::unix::fs::symlink("/etc/passwd", dir.join("link")).unwrap();
        assert!(termination_message(&dir.join("link")).is_err());
        assert_eq!(termination_message(&dir).unwrap(), "");
        fs::remove_dir_all(&dir).unwrap();
    }
}
