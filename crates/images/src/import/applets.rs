//! The commands that one program is, by the name it is called by: busybox, toybox.

use std::io::{self, Read as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::Applets;

/// How both say what they are.
const LIST: &str = "--list";
/// Programs that answer.
const KNOWN: [&str; 2] = ["busybox", "toybox"];
/// Busybox has 400.
const APPLETS_MAX: usize = 4096;
const APPLET_BYTES_MAX: usize = 64;
const ANSWER_BYTES_MAX: u64 = 64 << 10;
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// Nobody: a program that is to run in containers gets no more here.
const NOBODY: u32 = 65534;

#[derive(Debug, thiserror::Error)]
pub enum AppletsError {
    #[error("{name:?} is no name of a command")]
    Name { name: String },
    #[error("there are more than {APPLETS_MAX}")]
    TooMany,
    #[error("it could not be asked with {LIST}, as user nobody: name them, as in --applets sh,ls,cat")]
    Run { source: io::Error },
    #[error("asked with {LIST}, it does not come to an end: name them, as in --applets sh,ls,cat")]
    Timeout,
    #[error("asked with {LIST}, it does not say ({status}): name them, as in --applets sh,ls,cat")]
    NoAnswer { status: ExitStatus },
}

/// In order, each once, without the program's own name.
pub(super) fn applets(path: &Path, name: &str, wanted: &Applets) -> Result<Vec<String>, AppletsError> {
    let is_known = KNOWN.iter().any(|known| name.starts_with(known));
    let mut applets = match wanted {
        Applets::Named(applets) => applets.clone(),
        Applets::Auto if !is_known => Vec::new(),
        Applets::Auto | Applets::Asked => ask(path)?,
    };
    applets.sort_unstable();
    applets.dedup();
    applets.retain(|applet| applet != name);
    if applets.len() > APPLETS_MAX {
        return Err(AppletsError::TooMany);
    }
    let is_name = |applet: &str| {
        (1..=APPLET_BYTES_MAX).contains(&applet.len())
            && !matches!(applet, "." | "..")
            && applet.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/')
    };
    match applets.iter().find(|applet| !is_name(applet)) {
        Some(name) => Err(AppletsError::Name { name: name.clone() }),
        None => Ok(applets),
    }
}

fn ask(path: &Path) -> Result<Vec<String>, AppletsError> {
    let failed = |source| AppletsError::Run { source };
    let path = path.canonicalize().map_err(failed)?;
    let mut command = Command::new(path);
    command.arg(LIST).env_clear().current_dir("/").uid(NOBODY).gid(NOBODY);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().map_err(failed)?;
    let answer = answer(&mut child);
    // Whatever became of it, it ends here.
    let _ = child.kill();
    let status = child.wait().map_err(failed)?;
    let answer = answer?;
    let words: Vec<String> = answer.split_ascii_whitespace().map(str::to_owned).collect();
    if words.is_empty() { Err(AppletsError::NoAnswer { status }) } else { Ok(words) }
}

/// What it says until it ends.
fn answer(child: &mut Child) -> Result<String, AppletsError> {
    let failed = |source| AppletsError::Run { source };
    let Some(mut out) = child.stdout.take() else { return Ok(String::new()) };
    let end = Instant::now() + ANSWER_TIMEOUT;
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    while (bytes.len() as u64) < ANSWER_BYTES_MAX {
        let left = end.saturating_duration_since(Instant::now());
        let timeout = Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or_default(),
            tv_nsec: left.subsec_nanos().into(),
        };
        if poll(&mut [PollFd::new(&out, PollFlags::IN)], Some(&timeout)).map_err(|e| failed(e.into()))? == 0 {
            return Err(AppletsError::Timeout);
        }
        match out.read(&mut chunk).map_err(failed)? {
            0 => break,
            length => bytes.extend_from_slice(&chunk[..length]),
        }
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
