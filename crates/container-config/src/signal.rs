//! The stop signal
//! (<https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-termination>).

use crate::error::ConfigError;

/// By number, from 1: x86-64 and aarch64 have the same.
const NAMES: [&str; 31] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE",
    "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ",
    "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
];
const ALIASES: [(&str, i32); 4] = [("IOT", 6), ("CLD", 17), ("POLL", 29), ("UNUSED", 31)];
const SIGTERM: i32 = 15;
/// As C libraries count them: the kernel's first two are theirs.
const SIGRTMIN: i32 = 34;
const SIGNAL_MAX: i32 = 64;
/// Kubernetes counts the real-time signals from both ends.
const LAST_FROM_BELOW: i32 = SIGRTMIN + 15;

/// `lifecycle.stopSignal`, or the image's `STOPSIGNAL`: a number, or a name with or without `SIG`; `SIGTERM` when there is none.
pub(crate) fn stop_signal(name: &str) -> Result<i32, ConfigError> {
    if name.is_empty() {
        return Ok(SIGTERM);
    }
    parse(name).ok_or_else(|| ConfigError::UnknownStopSignal { signal: name.to_owned() })
}

/// The name that Kubernetes has for a signal, as `SIGTERM` or `SIGRTMIN+3`; empty for the two that C libraries keep.
#[must_use]
pub fn signal_name(number: i32) -> String {
    let standard = usize::try_from(number - 1).ok().and_then(|at| NAMES.get(at));
    match (standard, number) {
        (Some(name), _) => format!("SIG{name}"),
        (None, SIGRTMIN) => "SIGRTMIN".to_owned(),
        (None, SIGNAL_MAX) => "SIGRTMAX".to_owned(),
        (None, SIGRTMIN..=LAST_FROM_BELOW) => format!("SIGRTMIN+{}", number - SIGRTMIN),
        (None, SIGRTMIN..=SIGNAL_MAX) => format!("SIGRTMAX-{}", SIGNAL_MAX - number),
        (None, _) => String::new(),
    }
}

fn parse(text: &str) -> Option<i32> {
    if let Ok(number) = text.parse::<i32>() {
        return (1..=SIGNAL_MAX).contains(&number).then_some(number);
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    if let Some(above) = name.strip_prefix("RTMIN") {
        return real_time(SIGRTMIN, above, '+', 1);
    }
    if let Some(below) = name.strip_prefix("RTMAX") {
        return real_time(SIGNAL_MAX, below, '-', -1);
    }
    let standard = NAMES.iter().position(|known| *known == name).and_then(|at| i32::try_from(at + 1).ok());
    standard.or_else(|| ALIASES.iter().find(|(alias, _)| *alias == name).map(|(_, number)| *number))
}

fn real_time(base: i32, offset: &str, sign: char, direction: i32) -> Option<i32> {
    let distance = if offset.is_empty() { 0 } else { offset.strip_prefix(sign)?.parse::<u8>().ok()? };
    let number = base + direction * i32::from(distance);
    (SIGRTMIN..=SIGNAL_MAX).contains(&number).then_some(number)
}
