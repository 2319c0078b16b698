//! A test's own place: a root directory, a link to the program, a trace, and the pods it made.

use std::fs::{self, Permissions};
use std::os::fd::AsFd as _;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use linux_sys::namespace::{self, Namespaces};
use rustix::process::{Pid, Signal};
use serde_json::Value;

use crate::cluster::EVICTION_HARD;
use crate::engine::{Engine, Finished};
use crate::leaks::{self, PodWatch};
use crate::outcome::skip;
use crate::pod::Pod;
use crate::trace::Trace;
use crate::wait;

/// How long an engine may take to start a pod or to end one on a busy machine.
pub(crate) const SOON: Duration = Duration::from_secs(30);
/// How long the leavings of an engine that has ended may take to go.
const SETTLE: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(crate) struct Bed {
    /// Short: unix sockets below it have 108 bytes for their path.
    dir: PathBuf,
    pub(crate) trace: Trace,
    watch: PodWatch,
    files: AtomicU32,
}

impl Bed {
    /// Makes the place in `dir`, with a link to `program` so that its processes can be told apart, and moves this thread,
    /// and what it starts, into a network namespace of its own: engines change the network that they are in.
    pub(crate) fn new(dir: PathBuf, program: &Path) -> Result<Self> {
        if rustix::process::geteuid().is_root() {
            namespace::unshare(Namespaces::NET).context("cannot make a network namespace")?;
            namespace::set_loopback_up().context("cannot set its loopback interface up")?;
        }
        let trace_dir = dir.join("trace");
        let pods_dir = dir.join("root/var/lib/monopod/pods");
        for made in [&trace_dir, &pods_dir] {
            fs::create_dir_all(made).with_context(|| format!("cannot create {}", made.display()))?;
        }
        // Containers that run as another user write their trace too.
        let trace = Trace::new(&trace_dir)?;
        fs::set_permissions(&trace_dir, Permissions::from_mode(0o777))?;
        fs::hard_link(program, dir.join("monopod")).context("cannot link the program")?;
        let watch = PodWatch::new(&pods_dir)?;
        Ok(Self { trace, dir, watch, files: AtomicU32::new(0) })
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// What `--root` names.
    pub(crate) fn root(&self) -> PathBuf {
        self.dir.join("root")
    }

    /// The uid of every pod made so far.
    pub(crate) fn uids(&self) -> Vec<String> {
        self.watch.uids()
    }

    /// Waits until there are directories of `count` pods.
    pub(crate) fn wait_pod_directories(&self, count: usize) -> Result<()> {
        let pods_dir = self.root().join("var/lib/monopod/pods");
        wait::until(&format!("{count} pod directories"), SOON, || {
            (fs::read_dir(&pods_dir).ok()?.count() == count).then_some(())
        })
    }

    /// The directory of the one pod.
    pub(crate) fn pod_dir(&self) -> Result<PathBuf> {
        let pods_dir = self.root().join("var/lib/monopod/pods");
        Ok(fs::read_dir(&pods_dir)?.next().context("no pod's directory")??.path())
    }

    /// What a file of the one pod's directory has on record.
    fn pod_record(&self, file: &str) -> Result<Value> {
        let path = self.pod_dir()?.join(file);
        let text = fs::read(&path).with_context(|| path.display().to_string())?;
        Ok(serde_json::from_slice::<Value>(&text)?["record"].take())
    }

    pub(crate) fn checkpoint(&self) -> Result<Value> {
        self.pod_record("checkpoint.json")
    }

    pub(crate) fn attempt_record(&self, container: &str, attempt: u32) -> Result<Value> {
        self.pod_record(&format!("containers/{container}/{attempt}/record.json"))
    }

    pub(crate) fn journal(&self) -> Result<String> {
        Ok(fs::read_to_string(self.pod_dir()?.join("journal.jsonl"))?)
    }

    /// The newest log file of one attempt, as it is.
    pub(crate) fn pod_log(&self, pod: &str, container: &str, attempt: u32) -> Result<String> {
        let mut dirs = fs::read_dir(self.pod_logs())?.flatten();
        let prefix = format!("default_{pod}_");
        let dir = dirs.find(|dir| dir.file_name().to_string_lossy().starts_with(&prefix));
        let path = dir.context("no log directory")?.path().join(container).join(format!("{attempt}.log"));
        fs::read_to_string(&path).with_context(|| path.display().to_string())
    }

    /// The process of the one pod's shim.
    pub(crate) fn shim_pid(&self) -> Result<Pid> {
        let record = self.pod_record("sandbox.json")?;
        let pid = record["shim_pid"].as_i64().and_then(|pid| i32::try_from(pid).ok());
        pid.and_then(Pid::from_raw).with_context(|| format!("no shim in {record}"))
    }

    /// Where the pods' logs are.
    pub(crate) fn pod_logs(&self) -> PathBuf {
        self.root().join("var/log/pods")
    }

    /// The program's path; every process of this test's engines has it as its executable.
    pub(crate) fn program(&self) -> PathBuf {
        self.dir.join("monopod")
    }

    /// Writes a file of the test's own.
    pub(crate) fn file(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.dir.join(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }

    /// Writes the manifest of `pod`.
    pub(crate) fn manifest(&self, pod: &Pod) -> Result<PathBuf> {
        let trace_dir = self.dir.join("trace");
        let text = serde_json::to_string_pretty(&pod.manifest(&trace_dir.to_string_lossy()))?;
        self.file(&format!("{}.json", pod.name()), &text)
    }

    /// `monopod --root ROOT run`, for further arguments.
    pub(crate) fn run_command(&self) -> Command {
        let mut command = Command::new(self.program());
        command.arg("--root").arg(self.root()).args(["run", EVICTION_HARD, "none"]).stdin(Stdio::null());
        command
    }

    /// [`Self::run_command`] in a mount namespace of its own, after `sh` has carried out `setup` there.
    pub(crate) fn run_command_after(&self, setup: &str) -> Result<Command> {
        if !Path::new("/usr/bin/unshare").exists() {
            return skip("needs unshare (util-linux)");
        }
        let run = self.run_command();
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-ec"]).arg(format!("{setup}\nexec \"$0\" \"$@\""));
        command.arg(run.get_program()).args(run.get_args()).stdin(Stdio::null());
        Ok(command)
    }

    pub(crate) fn start(&self, command: &mut Command) -> Result<Engine> {
        let n = self.files.fetch_add(1, Ordering::Relaxed);
        Engine::start(command, self.dir.join(format!("{n}.out")), self.dir.join(format!("{n}.err")))
    }

    /// [`Self::start`] in the machine's own network namespace, for what needs the outside.
    pub(crate) fn start_outside(&self, command: &mut Command) -> Result<Engine> {
        let outside = fs::File::open("/proc/self/ns/net").context("cannot find the machine's network")?;
        std::thread::scope(|scope| {
            let starting = scope.spawn(|| {
                if rustix::process::geteuid().is_root() {
                    namespace::setns(outside.as_fd(), Namespaces::NET).context("cannot go outside")?;
                }
                self.start(command)
            });
            starting.join().map_err(|_| anyhow!("the thread that starts a program panicked"))?
        })
    }

    /// Starts `run` on the pod.
    pub(crate) fn start_pod(&self, pod: &Pod) -> Result<Engine> {
        let manifest = self.manifest(pod)?;
        self.start(self.run_command().arg(manifest))
    }

    /// Runs the pod to its end.
    pub(crate) fn run_pod(&self, pod: &Pod) -> Result<Finished> {
        self.start_pod(pod)?.wait(SOON)
    }

    /// Runs a command to its end.
    pub(crate) fn finish(&self, command: &mut Command) -> Result<Finished> {
        self.start(command)?.wait(SOON)
    }

    /// Ctrl-C, then waits for the end.
    pub(crate) fn interrupt(&self, engine: Engine) -> Result<Finished> {
        engine.signal(Signal::INT)?;
        engine.wait(SOON)
    }

    /// Waits until nothing is left of any pod this test made; fails with what is.
    pub(crate) fn expect_clean(&self, deadline: Duration) -> Result<()> {
        self.expect_gone(deadline, |left| left, |_| true)
    }

    /// [`Self::expect_clean`], but for files.
    pub(crate) fn expect_kernel_clean(&self, deadline: Duration) -> Result<()> {
        self.expect_gone(deadline, leaks::in_kernel, |_| true)
    }

    /// Waits until no process, mount or cgroup of any pod is left beside a server that goes on.
    pub(crate) fn expect_no_pods(&self, deadline: Duration) -> Result<()> {
        let server = format!("{} --root", self.program().display());
        self.expect_gone(deadline, leaks::in_kernel, |line| !line.contains(&server))
    }

    fn expect_gone(
        &self,
        deadline: Duration,
        counted: fn(Vec<String>) -> Vec<String>,
        keep: impl Fn(&str) -> bool,
    ) -> Result<()> {
        let mut left = vec![];
        wait::until("nothing left of the test's pods", deadline, || {
            left = counted(leaks::find(&self.dir, &self.root(), &self.uids()));
            left.retain(|line| keep(line));
            left.is_empty().then_some(())
        })
        .with_context(|| format!("left behind:\n  {}", left.join("\n  ")))
    }

    /// `monopod --root ROOT reset`, for what an engine that was killed could not remove.
    pub(crate) fn reset(&self) -> Result<()> {
        let mut command = Command::new(self.program());
        command.arg("--root").arg(self.root()).args(["reset", "--keep-images"]).stdin(Stdio::null());
        self.finish(&mut command)?.expect_code(0)?;
        Ok(())
    }

    /// [`Self::expect_clean`] with the time that an engine's end may take to be complete.
    pub(crate) fn expect_settled(&self) -> Result<()> {
        self.expect_clean(SETTLE)
    }

    /// Everything the test's engines and containers wrote, for a failure's report.
    pub(crate) fn record(&self) -> String {
        let mut text = String::new();
        for n in 0..self.files.load(Ordering::Relaxed) {
            for stream in ["out", "err"] {
                let bytes = fs::read(self.dir.join(format!("{n}.{stream}"))).unwrap_or_default();
                text.push_str(&format!("--- engine {n}, {stream}\n{}", String::from_utf8_lossy(&bytes)));
            }
        }
        text.push_str(&format!("--- trace\n{}\n", self.trace.lines().join("\n")));
        text
    }
}
