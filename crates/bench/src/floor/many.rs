//! Many pods of the floor at once.
//!
//! Each has a process of its own that holds its namespaces, as each pod of the engine has a shim. As many pods are begun at a
//! time as there are processors, because the engine has as many threads: one after the other would leave processors idle, and all
//! at once would have them wait for each other's locks in the kernel. A process reads its own plan, so that none of them copies
//! the plans of all.

use std::fs;
use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::thread::available_parallelism;

use anyhow::{Context, Result, ensure};
use linux_sys::namespace::Namespaces;
use linux_sys::process::clone_child;
use rustix::process::{WaitOptions, wait};

use super::{Plan, Pod};

const STARTED: u8 = b'.';
const FAILED: u8 = b'!';

/// `list` has the paths of the plans, all of pods that hold: they end with the standard input. Their files stay, for where ext4
/// has no journal, removed files make the next ones slow.
pub(crate) fn main(list: &Path) -> Result<()> {
    let text = fs::read(list).with_context(|| format!("cannot read {}", list.display()))?;
    let plans: Vec<PathBuf> = serde_json::from_slice(&text)?;
    let at_once = available_parallelism()?.get();
    let (mut said, saying) = io::pipe()?;
    for (number, plan) in plans.iter().enumerate() {
        if number >= at_once {
            hear(&mut said)?;
        }
        // Not by its descriptor: all processes after it would have a copy.
        drop(clone_child(Namespaces::NONE, None, || hold(plan, &saying))?);
    }
    drop(saying);
    for _ in 0..plans.len().min(at_once) {
        hear(&mut said)?;
    }
    io::stdin().read_to_end(&mut Vec::new())?;
    for _ in &plans {
        let (_, status) = wait(WaitOptions::empty())?.context("a pod of the floor is nowhere")?;
        ensure!(status.exit_status() == Some(0), "a pod of the floor ended with {status:?}");
    }
    Ok(())
}

/// One pod is made.
fn hear(said: &mut PipeReader) -> Result<()> {
    let mut word = [0];
    said.read_exact(&mut word).context("a pod of the floor is gone")?;
    ensure!(word == [STARTED], "a pod of the floor could not be made");
    Ok(())
}

/// The process of one pod; its exit code.
fn hold(plan: &Path, saying: &PipeWriter) -> i32 {
    let mut saying: &PipeWriter = saying;
    let held = Plan::read(plan).and_then(|plan| {
        let pod = Pod::start(&plan)?;
        saying.write_all(&[STARTED])?;
        io::stdin().read_to_end(&mut Vec::new())?;
        pod.end(&plan)
    });
    let Err(error) = held else { return 0 };
    eprintln!("bench floor: {error:#}");
    // Who listens may be gone.
    let _ = saying.write_all(&[FAILED]);
    1
}
