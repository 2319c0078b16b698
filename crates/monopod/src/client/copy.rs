//! `monopod cp`: tar in the container, tar here.

mod pack;
mod unpack;

use std::path::{Path, PathBuf};

use clap::Args;
use podspec::json::text;
use streams::{ExitReport, Output};

use crate::client::container::choose;
use crate::client::context::Context;
use crate::client::exec::exec_path;
use crate::client::failure::{Failure, Result};
use crate::client::print;
use crate::client::session::{self, Ends, Wanted};

pub(super) const HELP: &str = "\
Examples:
  monopod cp ./site web:/srv                   a directory into a container
  monopod cp web:/var/log/app.log . -c main
  monopod cp other-namespace/web:/etc/hosts ./hosts

The container needs a tar program. Links and devices do not come out of a container, and nothing
is written outside the destination. A path here with a colon in it begins with ./ or /.";

#[derive(Debug, Args)]
pub(crate) struct Copy {
    /// PATH or [NAMESPACE/]POD:PATH
    #[arg(value_name = "FROM")]
    from: String,
    /// PATH or [NAMESPACE/]POD:PATH
    #[arg(value_name = "TO")]
    to: String,
    /// Which container; the first, or that of the annotation kubectl.kubernetes.io/default-container
    #[arg(short, long, value_name = "NAME")]
    container: Option<String>,
    /// Do not keep owners and permissions in the container
    #[arg(long)]
    no_preserve: bool,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Place {
    Here(PathBuf),
    Pod { namespace: Option<String>, pod: String, path: String },
}

impl Place {
    fn parse(text: &str) -> Result<Self> {
        let here = || Self::Here(text.into());
        if text.starts_with(['.', '/']) {
            return Ok(here());
        }
        let Some((pod, path)) = text.split_once(':') else { return Ok(here()) };
        let (namespace, pod) = match pod.split_once('/') {
            Some((namespace, pod)) => (Some(namespace.to_owned()), pod),
            None => (None, pod),
        };
        if pod.is_empty() || pod.contains('/') || path.is_empty() || namespace.as_deref() == Some("") {
            return Err(Failure::refused(format!("{text:?} is not [NAMESPACE/]POD:PATH")));
        }
        Ok(Self::Pod { namespace, pod: pod.to_owned(), path: path.to_owned() })
    }
}

/// A container to run tar in.
struct Remote<'a> {
    context: &'a Context,
    namespace: String,
    pod: String,
    container: String,
}

pub(super) async fn copy(options: &Copy, context: &Context) -> Result<()> {
    match (Place::parse(&options.from)?, Place::parse(&options.to)?) {
        (Place::Here(from), Place::Pod { namespace, pod, path }) => {
            let remote = Remote::find(options, context, namespace, pod).await?;
            remote.send(&from, &path, options.no_preserve).await
        }
        (Place::Pod { namespace, pod, path }, Place::Here(to)) => {
            let remote = Remote::find(options, context, namespace, pod).await?;
            remote.receive(&path, &to).await
        }
        (Place::Here(_), Place::Here(_)) => Err(Failure::refused("one of both has to be POD:PATH")),
        (Place::Pod { .. }, Place::Pod { .. }) => {
            Err(Failure::refused("one of both has to be here: copy in two steps"))
        }
    }
}

impl<'a> Remote<'a> {
    async fn find(
        options: &Copy,
        context: &'a Context,
        namespace: Option<String>,
        pod: String,
    ) -> Result<Self> {
        let namespace = namespace.unwrap_or_else(|| context.namespace.clone());
        let object = context.pod(&namespace, &pod).await?;
        let phase = text(&object["status"], "phase");
        if phase != "Running" && phase != "Pending" {
            return Err(Failure::said(format!("cannot copy with a completed pod; current phase is {phase}")));
        }
        let container = choose(&object, options.container.as_deref())?;
        Ok(Self { context, namespace, pod, container })
    }

    fn path(&self, command: &[&str], stdin: bool) -> String {
        let wanted = Wanted { stdin, stdout: true, stderr: true, tty: false };
        let command: Vec<String> = command.iter().map(|word| (*word).to_owned()).collect();
        exec_path(&self.namespace, &self.pod, wanted, &self.container, &command)
    }

    async fn is_directory(&self, path: &str) -> Result<bool> {
        let path = self.path(&["test", "-d", path], false);
        let report = session::run(self.context, &path, Ends::default()).await?;
        // In an image without `test`, the copy is called as it is written.
        Ok(report == ExitReport::Success)
    }

    async fn send(&self, from: &Path, to: &str, no_preserve: bool) -> Result<()> {
        let source =
            pack::Source::find(from).map_err(|why| Failure::said(format!("{}: {why}", from.display())))?;
        let mut to = to.to_owned();
        if to.ends_with('/') || self.is_directory(&to).await? {
            to = format!("{}/{}", to.trim_end_matches('/'), source.name());
        }
        let (dir, name) = split(&to);
        let name = name.to_owned();
        let mut command = vec!["tar"];
        if no_preserve {
            command.extend(["--no-same-permissions", "--no-same-owner"]);
        }
        command.extend(["-xmf", "-"]);
        if !dir.is_empty() {
            command.extend(["-C", dir]);
        }
        let (writer, reader) = session::pair()?;
        let packing = session::spawn("tar", move || source.write(&name, writer))?;
        let (stderr, showing) = shown_on_stderr()?;
        let ends = Ends { stdin: Some(Box::pin(reader)), stdout: None, stderr: Some(stderr) };
        let report = session::run(self.context, &self.path(&command, true), ends).await;
        let _ = showing.join();
        let packed = packing.join().unwrap_or(Ok(()));
        ended(report?)?;
        packed.map_err(|why| Failure::said(format!("cannot read what is to be copied: {why}")))
    }

    async fn receive(&self, from: &str, to: &Path) -> Result<()> {
        let (dir, name) = split(from);
        let mut command = vec!["tar", "cf", "-"];
        if !dir.is_empty() {
            command.extend(["-C", dir]);
        }
        command.extend(["--", name]);
        let (reader, writer) = session::pair()?;
        let (root, to) = (name.to_owned(), to.to_owned());
        let unpacking = session::spawn("tar", move || {
            let mut reader = reader;
            let skipped = unpack::unpack(&mut reader, &root, &to);
            // What is left is taken, so that tar in the container ends as it would.
            let _ = std::io::copy(&mut reader, &mut std::io::sink());
            skipped
        })?;
        let (stderr, showing) = shown_on_stderr()?;
        let ends = Ends { stdin: None, stdout: Some(Box::pin(writer)), stderr: Some(stderr) };
        let report = session::run(self.context, &self.path(&command, false), ends).await;
        let _ = showing.join();
        let unpacked = unpacking.join().unwrap_or_else(|_| Ok(Vec::new()));
        ended(report?)?;
        for skipped in unpacked.map_err(|why| Failure::said(why.to_string()))? {
            print::note(format_args!("warning: {skipped}"));
        }
        Ok(())
    }
}

fn shown_on_stderr() -> Result<(Output, std::thread::JoinHandle<std::io::Result<()>>)> {
    session::to_thread(std::io::stderr())
}

fn ended(report: ExitReport) -> Result<()> {
    match report {
        ExitReport::Success => Ok(()),
        ExitReport::ExitCode(code) => {
            Err(Failure::said(format!("tar in the container ended with exit code {code}")))
        }
        ExitReport::Error(why) => Err(Failure::said(why)),
    }
}

/// The directory of a path in a container, and the name in it: `.` for what has none.
fn split(path: &str) -> (&str, &str) {
    let trimmed = path.trim_end_matches('/');
    if trimmed.is_empty() {
        return ("/", ".");
    }
    let (dir, name) = match trimmed.rsplit_once('/') {
        Some(("", name)) => ("/", name),
        Some((dir, name)) => (dir, name),
        None => ("", trimmed),
    };
    if matches!(name, "." | "..") { (trimmed, ".") } else { (dir, name) }
}

#[cfg(test)]
mod tests {
    use super::{Place, split};

    #[test]
    fn places() {
        let pod = |namespace: Option<&str>, pod: &str, path: &str| Place::Pod {
            namespace: namespace.map(str::to_owned),
            pod: pod.to_owned(),
            path: path.to_owned(),
        };
        for (text, expected) in [
            ("a.txt", Place::Here("a.txt".into())),
            ("./a:b", Place::Here("./a:b".into())),
            ("/x:y", Place::Here("/x:y".into())),
            ("web:/srv", pod(None, "web", "/srv")),
            ("ns/web:a", pod(Some("ns"), "web", "a")),
        ] {
            assert_eq!(Place::parse(text).unwrap(), expected, "{text}");
        }
        for wrong in [":x", "web:", "a/b/c:x", "/:"] {
            assert!(Place::parse(wrong).is_err() || wrong == "/:", "{wrong}");
        }
    }

    #[test]
    fn paths_in_containers() {
        for (path, expected) in [
            ("/", ("/", ".")),
            ("/etc", ("/", "etc")),
            ("/a/b/", ("/a", "b")),
            ("a", ("", "a")),
            ("a/..", ("a/..", ".")),
            (".", (".", ".")),
        ] {
            assert_eq!(split(path), expected, "{path}");
        }
    }
}
