//! Starts and removals by `monopod apply` and `monopod delete`, against one server.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use linux_sys::clock::boot_ns;

use super::kind::Kind;
use super::remains::Remains;
use crate::bed::Bed;
use crate::engine::{Engine, Finished, Stamps, stamps};
use crate::wait::until;
use crate::workload::daemon::Daemon;
use crate::workload::decided;
use crate::workload::turns::Took;

/// The namespace that the pods are in.
pub(super) const NAMESPACE: &str = "default";

#[derive(Debug)]
pub(super) struct Monopod<'b> {
    pub(super) bed: &'b Bed,
    root: PathBuf,
    files: Vec<(Kind, PathBuf)>,
}

impl<'b> Monopod<'b> {
    pub(super) fn new(bed: &'b Bed, daemon: &Daemon) -> Result<Self> {
        let file = |kind: Kind| Ok((kind, bed.file(&format!("{}.yaml", kind.name()), &[kind.manifest()])?));
        let files = Kind::ALL.into_iter().map(file).collect::<Result<_>>()?;
        Ok(Self { bed, root: daemon.root().to_owned(), files })
    }

    /// What the floor makes for the same pod.
    pub(super) fn plan(&self, kind: Kind) -> Result<PathBuf> {
        self.bed.plan(&format!("floor-{}", kind.name()), &kind.manifest(), true)
    }

    pub(super) fn start_and_delete(&self, kind: Kind) -> Result<Took> {
        let (applied, pod_dir) = self.apply(kind)?;
        let last = *self.stamps(kind, &pod_dir)?.values().max().context("no container")?;
        let mut took = vec![
            (format!("apply.{}", kind.name()), applied.ended_ns - applied.began_ns),
            (format!("serve.start.{}", kind.name()), last - decided(&pod_dir)?),
        ];
        let deleted = self.delete(kind, &pod_dir)?;
        if kind == Kind::B {
            took.extend(deleted);
        }
        Ok(took)
    }

    /// The directory is that of the pod.
    pub(super) fn apply(&self, kind: Kind) -> Result<(Finished, PathBuf)> {
        let file =
            self.files.iter().find(|(of, _)| *of == kind).context("no such pod")?.1.display().to_string();
        let applied = self.client(&["apply", "--wait=started", "-f", &file])?;
        Ok((applied, Bed::pod_dir(&self.root)?))
    }

    /// Until the pod's object, processes, mounts and cgroups are gone, and from then until its interface is.
    pub(super) fn delete(&self, kind: Kind, pod_dir: &Path) -> Result<Took> {
        let remains = Remains::of(pod_dir)?;
        let deleted = self.client(&["delete", "pod", kind.name()])?;
        // The client has waited for the object.
        let gone = if remains.are_gone()? { deleted.ended_ns } else { remains.wait()? };
        remains.wait_for_link()?;
        let name = format!("delete.{}", kind.name());
        Ok(vec![(format!("{name}.link"), boot_ns() - gone), (name, gone - deleted.began_ns)])
    }

    /// A whole process of the client.
    pub(super) fn client(&self, args: &[&str]) -> Result<Finished> {
        Engine::start(&mut self.bed.client(&self.root, args))?.finish()
    }

    /// Of the containers that last, from their logs.
    fn stamps(&self, kind: Kind, pod_dir: &Path) -> Result<Stamps> {
        let uid = pod_dir.file_name().context("a pod without a UID")?.to_string_lossy();
        let logs = Bed::paths(&self.root).log_dir.join(format!("{NAMESPACE}_{}_{uid}", kind.name()));
        until(&format!("the beginning of all containers of {}", kind.name()), || {
            let mut found = Stamps::new();
            for container in kind.lasting() {
                let log = fs::read_to_string(logs.join(container).join("0.log")).unwrap_or_default();
                found.extend(stamps(&log));
            }
            Ok((found.len() == kind.lasting().len()).then_some(found))
        })
    }
}
