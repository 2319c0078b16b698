//! Programs that keep credentials: `docker-credential-NAME get`, with the server on standard input
//! (<https://github.com/docker/docker-credential-helpers>).

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use serde::Deserialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};

use super::Credential;

pub(super) const DEADLINE: Duration = Duration::from_secs(10);
const OUTPUT_BYTES_MAX: u64 = 64 << 10;
const NAME_BYTES_MAX: usize = 64;
/// What the helpers' own library prints when they have nothing for a server.
const NOT_FOUND: &str = "credentials not found in native keychain";
/// The name of a user whose secret is an identity token.
const TOKEN_USER: &str = "<token>";

/// Its words hold nothing of what a helper printed.
#[derive(Debug)]
pub(super) enum HelperFlaw {
    Name,
    Missing,
    Start(io::Error),
    Late(Duration),
    Speak(io::Error),
    TooLong,
    Failed(ExitStatus),
    Answer,
}

impl fmt::Display for HelperFlaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name => f.write_str("its name is not one of letters, digits, dots, underscores and dashes"),
            Self::Missing => f.write_str("there is no such program in PATH"),
            Self::Start(error) => write!(f, "it cannot be started: {error}"),
            Self::Late(deadline) => {
                write!(f, "it did not answer within {} s and was killed", deadline.as_secs())
            }
            Self::Speak(error) => write!(f, "it cannot be spoken to: {error}"),
            Self::TooLong => write!(f, "its answer is longer than {OUTPUT_BYTES_MAX} bytes"),
            Self::Failed(status) => write!(f, "it failed: {status}"),
            Self::Answer => f.write_str("its answer is not the JSON that helpers print"),
        }
    }
}

/// As whom a helper runs, and with what environment.
#[derive(Clone)]
pub(super) struct Surroundings<'e> {
    pub(super) variables: &'e BTreeMap<String, String>,
    /// Instead of HOME among the variables.
    pub(super) home: Option<&'e Path>,
    /// UID and GID, when that is not who asks.
    pub(super) owner: Option<(u32, u32)>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    username: String,
    secret: String,
}

/// What the helper has for a server; `None` when it has nothing.
pub(super) async fn ask(
    name: &str,
    server: &str,
    surroundings: &Surroundings<'_>,
    deadline: Duration,
) -> Result<Option<Credential>, HelperFlaw> {
    let program = find(name, surroundings.variables.get("PATH").map(String::as_str).unwrap_or_default())?;
    let mut group = Group(start(&program, surroundings).map_err(HelperFlaw::Start)?);
    let conversation = tokio::time::timeout(deadline, converse(&mut group.0, server));
    let (status, output) = conversation.await.map_err(|_| HelperFlaw::Late(deadline))??;
    drop(group);
    read_answer(status, &output)
}

fn find(name: &str, path: &str) -> Result<PathBuf, HelperFlaw> {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.bytes().all(is_plain) {
        return Err(HelperFlaw::Name);
    }
    let program = format!("docker-credential-{name}");
    let directories = std::env::split_paths(path).filter(|directory| directory.is_absolute());
    directories.map(|dir| dir.join(&program)).find(|program| program.is_file()).ok_or(HelperFlaw::Missing)
}

fn start(program: &Path, surroundings: &Surroundings<'_>) -> io::Result<Child> {
    let mut command = Command::new(program);
    command.arg("get").env_clear().envs(surroundings.variables).current_dir("/");
    if let Some(home) = surroundings.home {
        command.env("HOME", OsString::from(home));
    }
    if let Some((uid, gid)) = surroundings.owner {
        command.uid(uid).gid(gid);
    }
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    command.process_group(0).kill_on_drop(true).spawn()
}

async fn converse(child: &mut Child, server: &str) -> Result<(ExitStatus, Vec<u8>), HelperFlaw> {
    let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
    if let Some(mut stdin) = stdin {
        match stdin.write_all(server.as_bytes()).await {
            // It did not want to know; its answer counts.
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => return Err(HelperFlaw::Speak(error)),
            _ => {}
        }
    }
    let mut output = vec![];
    if let Some(stdout) = stdout {
        let read = stdout.take(OUTPUT_BYTES_MAX + 1).read_to_end(&mut output).await;
        read.map_err(HelperFlaw::Speak)?;
    }
    if output.len() as u64 > OUTPUT_BYTES_MAX {
        return Err(HelperFlaw::TooLong);
    }
    Ok((child.wait().await.map_err(HelperFlaw::Speak)?, output))
}

fn read_answer(status: ExitStatus, output: &[u8]) -> Result<Option<Credential>, HelperFlaw> {
    if !status.success() {
        let has_nothing = String::from_utf8_lossy(output).trim() == NOT_FOUND;
        return if has_nothing { Ok(None) } else { Err(HelperFlaw::Failed(status)) };
    }
    let Answer { username, secret } = serde_json::from_slice(output).map_err(|_| HelperFlaw::Answer)?;
    Ok(match (username.as_str(), secret.as_str()) {
        ("", "") => None,
        (TOKEN_USER, _) => Some(Credential::IdentityToken { username: String::new(), token: secret }),
        _ => Some(Credential::Basic { username, password: secret }),
    })
}

/// A helper with all it started, which ends with this value unless it has been waited for.
struct Group(Child);

impl Drop for Group {
    fn drop(&mut self) {
        // Without an ID it has been waited for, and the number may be another's group by now.
        let id = self.0.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        if let Some(group) = id {
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::PathBuf;
    use std::time::{Duration, Instant};

    use super::{HelperFlaw, Surroundings, ask};
    use crate::credentials::Credential;

    /// Helpers in a directory of the test's own.
    struct Bed {
        dir: PathBuf,
        variables: BTreeMap<String, String>,
    }

    impl Bed {
        fn new(name: &str) -> Self {
            let dir = std::env::temp_dir().join(format!("monopod-helpers-{name}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&dir);
            fs::create_dir_all(&dir).unwrap();
            let path = format!("relative:{}:/usr/bin:/bin", dir.display());
            let variables =
                BTreeMap::from([("PATH".to_owned(), path), ("MARK".to_owned(), "marked".to_owned())]);
            Self { dir, variables }
        }

        fn helper(&self, name: &str, script: &str) {
            let path = self.dir.join(format!("docker-credential-{name}"));
            fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }

        async fn ask(&self, name: &str, deadline: Duration) -> Result<Option<Credential>, HelperFlaw> {
            let home = self.dir.join("home");
            let surroundings = Surroundings { variables: &self.variables, home: Some(&home), owner: None };
            ask(name, "https://x.io", &surroundings, deadline).await
        }
    }

    impl Drop for Bed {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.dir);
        }
    }

    const LONG: Duration = Duration::from_secs(30);

    #[tokio::test]
    async fn a_helper_is_told_the_server_and_gives_a_credential() {
        let bed = Bed::new("gives");
        bed.helper(
            "ok",
            r#"[ "$1" = get ] || exit 9; read -r server; printf '{"ServerURL":"x","Username":"%s %s","Secret":"%s"}' \
               "$server" "$MARK" "${HOME##*/}""#,
        );
        let expected = Credential::Basic { username: "https://x.io marked".into(), password: "home".into() };
        assert_eq!(bed.ask("ok", LONG).await.unwrap(), Some(expected));
        bed.helper("token", r#"echo '{"Username":"<token>","Secret":"t"}'"#);
        let token = Credential::IdentityToken { username: String::new(), token: "t".into() };
        assert_eq!(bed.ask("token", LONG).await.unwrap(), Some(token));
        bed.helper("nothing", "echo credentials not found in native keychain; exit 1");
        assert_eq!(bed.ask("nothing", LONG).await.unwrap(), None);
        bed.helper("empty", r#"echo '{"Username":"","Secret":""}'"#);
        assert_eq!(bed.ask("empty", LONG).await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_helper_that_a_users_file_names_runs_as_the_user() {
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: only root can run a program as somebody else");
            return;
        }
        let bed = Bed::new("owner");
        bed.helper("who", r#"printf '{"Username":"%s","Secret":"%s"}' "$(id -u):$(id -g)" "$(id -G)""#);
        let surroundings = Surroundings { variables: &bed.variables, home: None, owner: Some((1234, 1235)) };
        let found = ask("who", "x.io", &surroundings, LONG).await.unwrap();
        let expected = Credential::Basic { username: "1234:1235".into(), password: "1235".into() };
        assert_eq!(found, Some(expected), "and with none of root's groups");
    }

    #[tokio::test]
    async fn what_a_helper_does_wrong_is_told_without_its_words() {
        let bed = Bed::new("wrong");
        bed.helper("fails", "echo hunter2; echo hunter2 >&2; exit 3");
        bed.helper("prints", "echo hunter2");
        bed.helper("half", r#"echo '{"Secret":"hunter2"}'"#);
        bed.helper("endless", "cat /dev/zero");
        for (name, part) in [
            ("fails", "exit status: 3"),
            ("prints", "not the JSON"),
            ("half", "not the JSON"),
            ("endless", "longer than"),
            ("absent", "no such program"),
            ("../ok", "its name"),
            ("", "its name"),
        ] {
            let flaw = bed.ask(name, LONG).await.expect_err(name);
            assert!(flaw.to_string().contains(part), "{name}: {flaw}");
            assert!(!format!("{flaw} {flaw:?}").contains("hunter2"), "{name}: {flaw:?}");
        }
    }

    #[tokio::test]
    async fn a_late_helper_is_killed_with_all_it_started() {
        let bed = Bed::new("late");
        let pid_file = bed.dir.join("pid");
        bed.helper(
            "late",
            &format!("sleep 600 & echo $! >{0}.new; mv {0}.new {0}; wait", pid_file.display()),
        );
        let began = Instant::now();
        let (flaw, ()) = tokio::join!(bed.ask("late", Duration::from_secs(2)), async {});
        assert!(matches!(flaw, Err(HelperFlaw::Late(_))), "{flaw:?}");
        assert!(began.elapsed() < Duration::from_secs(20));
        let pid = fs::read_to_string(&pid_file).unwrap();
        let stat = format!("/proc/{}/stat", pid.trim());
        let is_gone = || fs::read_to_string(&stat).map_or(true, |stat| stat.contains(") Z "));
        while !is_gone() {
            assert!(began.elapsed() < Duration::from_secs(20), "the helper's child lives");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}
