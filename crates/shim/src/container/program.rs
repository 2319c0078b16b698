//! Finding and executing a container's program.

use std::ffi::CString;
use std::io;

use linux_sys::exec::{CStringArray, execve};
use rustix::fs::{Access, AtFlags, CWD, accessat};
use rustix::io::Errno;

use super::SpawnError;
use super::error::c_string;

/// Where a container without PATH has its commands, as execvp(3) and other runtimes have it.
const PATH_DEFAULT: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Everything execve needs, allocated.
#[derive(Debug)]
pub(super) struct Program {
    name: String,
    /// `None` when the name has a slash and is not looked up.
    search_path: Option<String>,
    /// Where it may be, in order.
    candidates: Vec<CString>,
    args: CStringArray,
    env: CStringArray,
}

/// Why nothing could be executed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct ExecFailure {
    pub(super) errno: Errno,
    /// There is a file of that name: what is missing is its interpreter.
    pub(super) exists: bool,
}

impl Program {
    pub(super) fn new(args: &[String], env: &[String]) -> Result<Self, SpawnError> {
        let name = args.first().cloned().unwrap_or_default();
        let search_path = (!name.contains('/')).then(|| path_of(env).to_owned());
        let candidates = match &search_path {
            None => vec![c_string(name.as_str(), "the command")?],
            // A relative entry would make what runs depend on the working directory.
            Some(path) => path
                .split(':')
                .filter(|directory| directory.starts_with('/') && !name.is_empty())
                .map(|directory| c_string(format!("{directory}/{name}"), "the command"))
                .collect::<Result<_, _>>()?,
        };
        Ok(Self {
            name,
            search_path,
            candidates,
            args: array(args, "the arguments")?,
            env: array(env, "the environment")?,
        })
    }

    /// Replaces this process; returns only when that failed. Async-signal-safe.
    pub(super) fn execute(&self) -> ExecFailure {
        let mut failure = ExecFailure { errno: Errno::NOENT, exists: false };
        for candidate in &self.candidates {
            match execve(candidate, &self.args, &self.env) {
                Errno::NOTDIR if self.search_path.is_some() => {}
                Errno::NOENT => {
                    if accessat(CWD, candidate.as_c_str(), Access::EXISTS, AtFlags::empty()).is_ok() {
                        return ExecFailure { errno: Errno::NOENT, exists: true };
                    }
                }
                // Another one further on may be executable.
                Errno::ACCESS => failure.errno = Errno::ACCESS,
                errno => return ExecFailure { errno, exists: true },
            }
        }
        failure
    }

    pub(super) fn explain(&self, failure: ExecFailure) -> SpawnError {
        let is_there = failure.exists || failure.errno != Errno::NOENT;
        let source = match (failure.errno, &self.search_path) {
            (Errno::NOENT, _) if failure.exists => io::Error::new(
                io::ErrorKind::NotFound,
                "the file is there, but the interpreter or dynamic loader it names is not",
            ),
            (Errno::NOENT, Some(path)) => io::Error::new(
                io::ErrorKind::NotFound,
                format!("executable file not found in $PATH ({path})"),
            ),
            (Errno::NOENT, None) => io::Error::new(io::ErrorKind::NotFound, "no such file or directory"),
            (Errno::ACCESS, _) => io::Error::new(
                io::ErrorKind::PermissionDenied,
                "permission denied (a directory, not executable for this user, or mounted noexec)",
            ),
            (Errno::NOEXEC, _) => {
                io::Error::other("exec format error (built for another architecture, or a script without #!)")
            }
            (Errno::TOOBIG, _) => io::Error::other(
                "command, args and env together are larger than the kernel takes: make them smaller",
            ),
            (errno, _) => errno.into(),
        };
        SpawnError::Execute { program: self.name.clone(), is_there, source }
    }
}

fn array(strings: &[String], what: &str) -> Result<CStringArray, SpawnError> {
    let strings = strings.iter().map(|string| c_string(string.as_str(), what)).collect::<Result<_, _>>()?;
    Ok(CStringArray::new(strings))
}

/// The last one counts, as for the shells.
fn path_of(env: &[String]) -> &str {
    env.iter().rev().find_map(|variable| variable.strip_prefix("PATH=")).unwrap_or(PATH_DEFAULT)
}

#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    use super::{ExecFailure, Program};

    fn candidates(args: &[&str], env: &[&str]) -> Vec<String> {
        let owned = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let program = Program::new(&owned(args), &owned(env)).unwrap();
        program.candidates.iter().map(|path| path.to_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn a_name_without_slash_is_looked_up_on_the_containers_path() {
        assert_eq!(candidates(&["sh"], &["PATH=/a:relative::/b", "X=1"]), ["/a/sh", "/b/sh"]);
        assert_eq!(candidates(&["sh"], &["PATH=/old", "PATH=/new"]), ["/new/sh"]);
        assert_eq!(candidates(&["sh"], &[]).len(), 6);
        assert_eq!(candidates(&["./sh"], &["PATH=/a"]), ["./sh"]);
        assert!(candidates(&[""], &["PATH=/a"]).is_empty());
    }

    #[test]
    fn a_nul_byte_is_refused_before_there_is_a_process() {
        let error = Program::new(&["a\0b".to_owned()], &[]).unwrap_err();
        assert_eq!(error.to_string(), "cannot use the command");
    }

    #[test]
    fn a_failure_says_what_to_look_at() {
        let program = Program::new(&["sh".to_owned()], &["PATH=/a:/b".to_owned()]).unwrap();
        let text = |errno, exists| {
            let error = program.explain(ExecFailure { errno, exists });
            format!("{error}: {}", std::error::Error::source(&error).unwrap())
        };
        assert_eq!(text(Errno::NOENT, false), "exec \"sh\": executable file not found in $PATH (/a:/b)");
        assert!(text(Errno::NOENT, true).contains("interpreter or dynamic loader"));
        assert!(text(Errno::ACCESS, true).contains("permission denied"));
        assert!(text(Errno::NOEXEC, true).contains("exec format error"));
        assert!(text(Errno::TOOBIG, true).contains("command, args and env"));
    }
}
