//! What the containers themselves wrote, in the order they wrote it: every container of a test's pod
//! appends lines to one file, and one `write` in append mode is atomic.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, bail, ensure};

use crate::wait;

#[derive(Debug)]
pub(crate) struct Trace {
    file: PathBuf,
}

impl Trace {
    /// An empty trace in `dir`, open to every user.
    pub(crate) fn new(dir: &Path) -> Result<Self> {
        let file = dir.join("log");
        fs::write(&file, "")?;
        fs::set_permissions(&file, Permissions::from_mode(0o666))?;
        Ok(Self { file })
    }

    /// The lines so far; none when no container wrote yet.
    pub(crate) fn lines(&self) -> Vec<String> {
        let text = fs::read_to_string(&self.file).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    pub(crate) fn count(&self, line: &str) -> usize {
        self.lines().iter().filter(|found| *found == line).count()
    }

    /// Waits until `line` was written.
    pub(crate) fn wait(&self, line: &str, deadline: Duration) -> Result<()> {
        self.wait_count(line, 1, deadline)
    }

    /// Waits until `line` was written at least `count` times.
    pub(crate) fn wait_count(&self, line: &str, count: usize, deadline: Duration) -> Result<()> {
        let what = format!("{count} x {line:?} from the containers");
        wait::until(&what, deadline, || (self.count(line) >= count).then_some(()))
    }

    /// Fails unless each of `expected` was written, in this order; other lines may lie between.
    pub(crate) fn expect_order(&self, expected: &[&str]) -> Result<()> {
        let lines = self.lines();
        let mut rest = lines.iter();
        for line in expected {
            if !rest.any(|found| found == line) {
                bail!(
                    "{line:?} is missing, or not after those before it.\nexpected {expected:?}\nfound    {lines:?}"
                );
            }
        }
        Ok(())
    }

    pub(crate) fn expect_absent(&self, line: &str) -> Result<()> {
        ensure!(self.count(line) == 0, "the containers wrote {line:?}: {:?}", self.lines());
        Ok(())
    }
}
