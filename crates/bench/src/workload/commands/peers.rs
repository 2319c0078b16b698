//! The same by podman, and an exec by crun, which podman has its containers from.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};

use super::crun::Crun;
use super::exec::{COMMAND, KIND};
use super::kind::Kind;
use crate::bed::Bed;
use crate::beside::Place;
use crate::podman::Podman;
use crate::report::Report;
use crate::workload::turns::Took;

const KINDS: [Kind; 3] = [Kind::A, Kind::B, Kind::Cx];

/// What is wrong with somebody else's program is no failure of what is measured: it is noted, and the program is not asked again.
#[derive(Debug)]
pub(super) struct Peers {
    place: Place,
    podman: Option<Podman>,
    files: Vec<(Kind, PathBuf)>,
    crun: Option<Crun>,
}

impl Peers {
    pub(super) fn start(bed: &Bed, archive: &Path, layer: &Path, report: &mut Report) -> Result<Self> {
        let file =
            |kind: Kind| Ok((kind, bed.file(&format!("podman-{}.yaml", kind.name()), &[kind.manifest()])?));
        let podman = Podman::find(bed.dir().join("podman-pods"), "pods have nothing", report)?;
        let crun = Crun::find(bed.dir().join("crun"), layer, report)?;
        let files = KINDS.into_iter().map(file).collect::<Result<_>>()?;
        let mut peers = Self { place: Place::start(bed)?, podman, files, crun };
        peers.by_podman(report, |peers, podman| peers.prepare(podman, archive).map(|()| vec![]));
        Ok(peers)
    }

    pub(super) fn stop(self) -> Result<()> {
        self.place.stop()
    }

    /// Loads the image, has podman build the one of its own that it needs, and sees that it starts what it is told.
    fn prepare(&mut self, podman: &Podman, archive: &Path) -> Result<()> {
        self.place.run(podman.command(&["load", "--quiet", "--input"]).arg(archive))?;
        for kind in KINDS {
            self.play(podman, kind)?;
            self.check(podman, kind)?;
            self.down(podman, kind)?;
        }
        Ok(())
    }

    pub(super) fn play_and_down(&mut self, kind: Kind, report: &mut Report) -> Took {
        let kind = kind.of_podman();
        self.by_podman(report, |peers, podman| {
            let played = peers.play(podman, kind)?;
            let downed = peers.down(podman, kind)?;
            let mut took = vec![(format!("podman.play.{}", kind.name()), played)];
            if kind == Kind::B {
                took.push((format!("podman.down.{}", kind.name()), downed));
                peers.play(podman, kind)?;
                took.push((format!("podman.stop.{}", kind.name()), peers.stop_and_remove(podman, kind)?));
            }
            Ok(took)
        })
    }

    /// What is executed in.
    pub(super) fn start_for_exec(&mut self, report: &mut Report) {
        self.by_podman(report, |peers, podman| peers.play(podman, KIND).map(|_| vec![]));
        self.by_crun(report, |peers, crun| peers.place.run(&crun.run()).map(|_| vec![]));
    }

    pub(super) fn exec_by_podman(&mut self, report: &mut Report) -> Took {
        self.by_podman(report, |peers, podman| {
            let container = container(KIND, KIND.lasting()[0]);
            let ran = peers.place.run(podman.command(&["exec", &container]).args(COMMAND))?;
            Ok(vec![("podman.exec".to_owned(), ran.took_ns)])
        })
    }

    pub(super) fn exec_by_crun(&mut self, report: &mut Report) -> Took {
        self.by_crun(report, |peers, crun| {
            let ran = peers.place.run(crun.exec().args(COMMAND))?;
            Ok(vec![("crun.exec".to_owned(), ran.took_ns)])
        })
    }

    fn play(&mut self, podman: &Podman, kind: Kind) -> Result<i64> {
        self.kube(podman, "play", kind)
    }

    fn down(&mut self, podman: &Podman, kind: Kind) -> Result<i64> {
        self.kube(podman, "down", kind)
    }

    /// What `kube down` does, as two commands: between them, podman's own processes that clean up after the containers come to
    /// their end. The `kube down` of podman 4.3 holds a lock that one of them waits for, and waits 3 s for that on cgroup v1.
    fn stop_and_remove(&mut self, podman: &Podman, kind: Kind) -> Result<i64> {
        let stopped = self.place.run(&podman.command(&["pod", "stop", kind.name()]))?.took_ns;
        let removed = self.place.run(&podman.command(&["pod", "rm", kind.name()]))?.took_ns;
        Ok(stopped + removed)
    }

    fn kube(&mut self, podman: &Podman, what: &str, kind: Kind) -> Result<i64> {
        let file = self.files.iter().find(|(of, _)| *of == kind).map(|(_, file)| file);
        Ok(self.place.run(podman.command(&["kube", what]).args(file))?.took_ns)
    }

    /// That all containers run that are to last.
    fn check(&mut self, podman: &Podman, kind: Kind) -> Result<()> {
        let running = ["ps", "--filter", "status=running", "--format", "{{.Names}}"];
        let listed = self.place.run(&podman.command(&running))?.stdout;
        for name in kind.lasting() {
            let wanted = container(kind, name);
            ensure!(listed.lines().any(|line| line == wanted), "{wanted} does not run, but {listed}");
        }
        Ok(())
    }

    fn by_podman(
        &mut self,
        report: &mut Report,
        act: impl FnOnce(&mut Self, &Podman) -> Result<Took>,
    ) -> Took {
        let Some(podman) = self.podman.take() else { return vec![] };
        match act(self, &podman) {
            Ok(took) => {
                self.podman = Some(podman);
                took
            }
            Err(error) => failed("podman", &error, report),
        }
    }

    fn by_crun(&mut self, report: &mut Report, act: impl FnOnce(&mut Self, &Crun) -> Result<Took>) -> Took {
        let Some(crun) = self.crun.take() else { return vec![] };
        match act(self, &crun) {
            Ok(took) => {
                self.crun = Some(crun);
                took
            }
            Err(error) => failed("crun", &error, report),
        }
    }
}

fn failed(who: &str, error: &anyhow::Error, report: &mut Report) -> Took {
    report.note(&format!("{who} does not work here, so pods have nothing beside them: {error:#}"));
    vec![]
}

/// As podman calls it.
fn container(kind: Kind, name: &str) -> String {
    format!("{}-{name}", kind.name())
}
