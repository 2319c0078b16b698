//! The place where everything is run: copies of both programs, and roots of engines.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use linux_sys::lock::{Lock, try_exclusive};
use linux_sys::remove_tree::remove_tree;
use ports::Paths;
use serde_json::Value;

use crate::beside::namespaces;
use crate::engine::Engine;
use crate::plan::Planner;

/// On a disk, as pods are by default, and where only root can have put anything.
const DIR: &str = "/var/lib/monopod-bench";
const LOCK: &str = "lock";
/// The roots of engines.
const ROOT: &str = "root";
const COLD_ROOTS: &str = "cold";
/// A disk that is nearly full is no reason to stop what is measured.
const NEVER_EVICT: [&str; 2] = ["--eviction-hard", "none"];

/// Removed with everything in it when it is dropped, or by the next one.
#[derive(Debug)]
pub(crate) struct Bed {
    dir: PathBuf,
    /// Two at once would measure each other.
    _lock: Lock,
}

impl Bed {
    /// The programs are copied, because pages of a file that was just linked are counted otherwise than
    /// those of one that was installed.
    pub(crate) fn new(program: &Path) -> Result<Self> {
        let dir = PathBuf::from(DIR);
        fs::create_dir_all(&dir).with_context(|| format!("cannot make {DIR}"))?;
        let lock = try_exclusive(&dir.join(LOCK)).with_context(|| format!("cannot lock {DIR}"))?;
        let bed = Self { dir, _lock: lock.context("another bench is running")? };
        fs::copy(program, bed.monopod()).with_context(|| format!("cannot copy {}", program.display()))?;
        // Of a bench that was killed.
        bed.renew()?;
        Ok(bed)
    }

    /// Removes what is there, also of a part that failed.
    pub(crate) fn renew(&self) -> Result<()> {
        self.clear(Some(&self.monopod()))?;
        fs::copy("/proc/self/exe", self.program()).context("cannot copy this program")?;
        fs::create_dir(self.exchange()).context("cannot make the exchange directory")
    }

    /// Ends what runs under the roots, and removes all but the lock and what is to be kept.
    fn clear(&self, kept: Option<&Path>) -> Result<()> {
        for root in [self.root()].into_iter().filter(|root| root.exists()).chain(self.cold_roots()?) {
            let mut reset = Command::new(self.monopod());
            reset.arg("--root").arg(&root).arg("reset").stdin(Stdio::null());
            Engine::start_into(&mut reset, Stdio::null())?.finish()?;
        }
        namespaces::clear()?;
        for entry in fs::read_dir(&self.dir)? {
            let path = entry?.path();
            if path.ends_with(LOCK) || kept == Some(path.as_path()) {
                continue;
            }
            if let Some(error) = remove_tree(&path).into_iter().next() {
                return Err(error.into());
            }
        }
        Ok(())
    }

    fn monopod(&self) -> PathBuf {
        self.dir.join("monopod")
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// This program's copy.
    pub(crate) fn program(&self) -> PathBuf {
        self.dir.join("bench")
    }

    /// A directory that containers may share.
    pub(crate) fn exchange(&self) -> PathBuf {
        self.dir.join("exchange")
    }

    /// The root that is used again and again.
    pub(crate) fn root(&self) -> PathBuf {
        self.dir.join(ROOT)
    }

    /// A root in which nothing is, another one each time. All of them stay until the end: where ext4 has no
    /// journal, it looks at each inode that was removed within the last minutes before it gives out the
    /// next one, and a start would be measured that makes up for the removal of the root before.
    pub(crate) fn new_cold_root(&self) -> Result<PathBuf> {
        let root = self.dir.join(COLD_ROOTS).join(self.cold_roots()?.len().to_string());
        fs::create_dir_all(&root).with_context(|| format!("cannot make {}", root.display()))?;
        Ok(root)
    }

    fn cold_roots(&self) -> Result<Vec<PathBuf>> {
        let dir = self.dir.join(COLD_ROOTS);
        if !dir.exists() {
            return Ok(vec![]);
        }
        fs::read_dir(dir)?.map(|entry| Ok(entry?.path())).collect()
    }

    pub(crate) fn paths(root: &Path) -> Paths {
        Paths {
            data_dir: root.join("var/lib/monopod"),
            run_dir: root.join("run/monopod"),
            log_dir: root.join("var/log/pods"),
        }
    }

    /// Writes pods to one file.
    pub(crate) fn file(&self, name: &str, pods: &[Value]) -> Result<PathBuf> {
        let path = self.dir.join(name);
        let documents: Vec<String> = pods.iter().map(ToString::to_string).collect();
        fs::write(&path, documents.join("\n---\n"))?;
        Ok(path)
    }

    /// `monopod run` of the file's pods.
    pub(crate) fn run(&self, root: &Path, file: &Path) -> Command {
        let mut command = Command::new(self.monopod());
        command.arg("--root").arg(root).arg("run").args(NEVER_EVICT).arg(file).stdin(Stdio::null());
        command
    }

    /// `monopod apply` of the file's pods, which waits for none of them.
    pub(crate) fn apply(&self, root: &Path, file: &Path) -> Command {
        let mut command = Command::new(self.monopod());
        command.arg("--root").arg(root).args(["apply", "-f"]).arg(file).stdin(Stdio::null());
        command
    }

    /// `monopod serve` on any port.
    pub(crate) fn serve(&self, root: &Path) -> Command {
        let mut command = Command::new(self.monopod());
        command
            .arg("--root")
            .arg(root)
            .args(["serve", "--listen", "127.0.0.1:0"])
            .args(NEVER_EVICT)
            .stdin(Stdio::null());
        command
    }

    /// Any other command of monopod.
    pub(crate) fn client(&self, root: &Path, args: &[&str]) -> Command {
        let mut command = Command::new(self.monopod());
        command.arg("--root").arg(root).args(args).stdin(Stdio::null());
        command
    }

    pub(crate) fn floor(&self, plan: &Path) -> Command {
        let mut command = Command::new(self.program());
        command.arg("floor").arg(plan).stdin(Stdio::piped());
        command
    }

    /// The floor's pods of a list, as long as its standard input is open.
    pub(crate) fn floor_many(&self, list: &Path) -> Command {
        let mut command = Command::new(self.program());
        command.arg("floor-many").arg(list).stdin(Stdio::piped());
        command
    }

    /// Writes what the floor makes for the pod.
    pub(crate) fn plan(&self, name: &str, pod: &Value, hold: bool) -> Result<PathBuf> {
        Planner::new(&Self::paths(&self.root()))?.write(pod, 0, &self.dir.join(name), hold)
    }

    /// Writes what the floor makes for pods that are there at one time, and hold; the path is that of the list of them.
    pub(crate) fn plans(&self, name: &str, pods: &[Value]) -> Result<PathBuf> {
        let (planner, dir) = (Planner::new(&Self::paths(&self.root()))?, self.dir.join(name));
        fs::create_dir(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
        let plan =
            |(number, pod)| planner.write(pod, u16::try_from(number)?, &dir.join(format!("{number}")), true);
        let plans = pods.iter().enumerate().map(plan).collect::<Result<Vec<_>>>()?;
        let path = dir.with_extension("json");
        fs::write(&path, serde_json::to_vec(&plans)?)?;
        Ok(path)
    }

    /// The only pod under a root.
    pub(crate) fn pod_dir(root: &Path) -> Result<PathBuf> {
        let mut dirs = Self::pod_dirs(root)?;
        ensure!(dirs.len() == 1, "{} pods instead of one", dirs.len());
        Ok(dirs.remove(0))
    }

    pub(crate) fn pod_dirs(root: &Path) -> Result<Vec<PathBuf>> {
        let entries = fs::read_dir(Self::paths(root).pods_dir())?;
        entries.map(|entry| Ok(entry?.path())).collect()
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        let removed = self.clear(None).and_then(|()| {
            fs::remove_file(self.dir.join(LOCK))?;
            Ok(fs::remove_dir(&self.dir)?)
        });
        if let Err(error) = removed {
            eprintln!("bench: {DIR} stays: {error:#}");
        }
    }
}
