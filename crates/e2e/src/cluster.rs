//! `monopod serve` with a root of its own, and kubectl that speaks to it.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal};

use crate::bed::{Bed, SOON};
use crate::engine::{Engine, Finished};
use crate::kubectl::Kubectl;
use crate::pod::Pod;
use crate::wait;

/// What becomes of a test must not depend on how full this machine is.
pub(crate) const EVICTION_HARD: &str = "--eviction-hard";

/// A server, and the test's bed that it stands in.
#[derive(Debug)]
pub(crate) struct Cluster<'a> {
    bed: &'a Bed,
    engine: Option<Engine>,
    kubectl: Kubectl,
    /// For `monopod serve`.
    args: Vec<String>,
}

impl<'a> Cluster<'a> {
    /// Starts the server and waits until it is ready.
    pub(crate) fn start(bed: &'a Bed) -> Result<Self> {
        Self::start_with(bed, Kubectl::newest()?)
    }

    /// For tests that speak to it by hand: there need be no kubectl.
    pub(crate) fn start_bare(bed: &'a Bed) -> Result<Self> {
        Self::start_bare_with(bed, &[])
    }

    /// And with further arguments for `monopod serve`.
    pub(crate) fn start_bare_with(bed: &'a Bed, args: &[&str]) -> Result<Self> {
        let kubectl = Kubectl { version: String::new(), program: PathBuf::new() };
        let args = args.iter().map(|arg| (*arg).to_owned()).collect();
        let mut cluster = Self { bed, engine: None, kubectl, args };
        cluster.serve()?;
        Ok(cluster)
    }

    /// With a certain kubectl.
    pub(crate) fn start_with(bed: &'a Bed, kubectl: Kubectl) -> Result<Self> {
        Self::start_with_args(bed, kubectl, &[])
    }

    /// And with further arguments for `monopod serve`.
    pub(crate) fn start_with_args(bed: &'a Bed, kubectl: Kubectl, args: &[&str]) -> Result<Self> {
        let args = args.iter().map(|arg| (*arg).to_owned()).collect();
        let mut cluster = Self { bed, engine: None, kubectl, args };
        cluster.serve()?;
        Ok(cluster)
    }

    /// Of the next server.
    pub(crate) fn set_args(&mut self, args: &[&str]) {
        self.args = args.iter().map(|arg| (*arg).to_owned()).collect();
    }

    /// Starts the server, also again after [`Self::kill`] or [`Self::stop`].
    pub(crate) fn serve(&mut self) -> Result<()> {
        let mut command = Command::new(self.bed.program());
        command
            .arg("--root")
            .arg(self.bed.root())
            .args(["serve", "--listen", "127.0.0.1:0"])
            .args(&self.args);
        if !self.args.iter().any(|arg| arg == EVICTION_HARD) {
            command.args([EVICTION_HARD, "none"]);
        }
        let mut engine = self.bed.start(command.stdin(Stdio::null()))?;
        engine.wait_output("monopod is ready", SOON)?;
        self.engine = Some(engine);
        Ok(())
    }

    /// SIGTERM: the server ends, its pods run on.
    pub(crate) fn stop(&mut self) -> Result<Finished> {
        let engine = self.engine.take().context("no server runs")?;
        engine.signal(Signal::TERM)?;
        engine.wait(SOON)
    }

    /// SIGKILL: as a crash.
    pub(crate) fn kill(&mut self) -> Result<Finished> {
        let engine = self.engine.take().context("no server runs")?;
        engine.signal(Signal::KILL)?;
        engine.wait(SOON)
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.bed.root().join("run/monopod/api.sock")
    }

    pub(crate) fn pid(&self) -> Result<Pid> {
        self.engine.as_ref().context("no server runs")?.pid()
    }

    /// Where TLS is served, as the server says: `127.0.0.1:PORT`.
    pub(crate) fn address(&self) -> Result<String> {
        let said = self.engine.as_ref().context("no server runs")?.stdout();
        let address = said.split_once("https://").and_then(|(_, rest)| rest.split_once(": "));
        Ok(address.context("the server named no address")?.0.to_owned())
    }

    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.bed.root().join("var/lib/monopod/kubeconfig")
    }

    /// `kubectl`, for further arguments; it keeps what it caches in the test's directory.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.kubectl.program);
        command.env("KUBECONFIG", self.kubeconfig()).env("HOME", self.bed.dir()).current_dir(self.bed.dir());
        command.stdin(Stdio::null());
        command
    }

    /// Runs kubectl to its end, whatever its exit code.
    pub(crate) fn kubectl(&self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Result<Finished> {
        self.bed.finish(self.command().args(args))
    }

    /// Runs kubectl, which has to succeed; what it printed on standard output.
    pub(crate) fn output(&self, args: &[&str]) -> Result<String> {
        let finished = self.kubectl(args)?;
        finished
            .expect_code(0)
            .with_context(|| format!("kubectl {}\n{}{}", args.join(" "), finished.stdout, finished.stderr))?;
        Ok(finished.stdout)
    }

    pub(crate) fn apply(&self, manifest: &Path) -> Result<String> {
        self.output(&["apply", "-f", &manifest.to_string_lossy()])
    }

    pub(crate) fn apply_pod(&self, pod: &Pod) -> Result<String> {
        self.apply(&self.bed.manifest(pod)?)
    }

    pub(crate) fn wait_ready(&self, pod: &str) -> Result<()> {
        let timeout = format!("--timeout={}s", SOON.as_secs());
        self.output(&["wait", "--for=condition=Ready", &format!("pod/{pod}"), &timeout]).map(drop)
    }

    /// Asks until `expected` is what kubectl prints.
    pub(crate) fn wait_output(&self, args: &[&str], expected: &str, deadline: Duration) -> Result<()> {
        let mut last = String::new();
        wait::until(&format!("{expected:?} of kubectl {}", args.join(" ")), deadline, || {
            last = self.kubectl(args).map(|finished| finished.output()).unwrap_or_default();
            (last.trim_end() == expected).then_some(())
        })
        .with_context(|| format!("the last answer was:\n{last}"))
    }

    /// Ends the server and everything that it runs.
    pub(crate) fn finish(mut self) -> Result<()> {
        if self.engine.is_some() {
            self.stop()?.expect_code(0)?;
        }
        self.bed.reset()?;
        self.bed.expect_settled()
    }
}

impl Drop for Cluster<'_> {
    /// A test that failed leaves no pod behind.
    fn drop(&mut self) {
        self.engine = None;
        let _ = self.bed.reset();
    }
}
