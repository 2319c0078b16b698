//! The same pods by `podman kube play` of one file with all of them.
//!
//! Measured as monopod is: from before the process is made until the last container has begun, as they say themselves. `kube play`
//! itself ends a little after that.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::bed::Bed;
use crate::beside::Place;
use crate::image;
use crate::podman::Podman;
use crate::report::Report;
use crate::workload::pods::{self, CONTAINERS_B, wait_begun};

/// Of the only pod that is played before any is measured.
const FIRST: &str = "podman-first";
/// A busy machine takes minutes for what an idle one does in 20 s.
const PATIENCE: Duration = Duration::from_secs(600);

/// What is wrong with podman is no failure of what is measured: it is noted, and podman is not asked again.
#[derive(Debug)]
pub(super) struct Player<'b> {
    bed: &'b Bed,
    place: Place,
    podman: Option<Podman>,
}

impl<'b> Player<'b> {
    /// Has podman load the image, build the one of its own that it needs, and show that it starts a pod.
    pub(super) fn start(bed: &'b Bed, report: &mut Report) -> Result<Self> {
        let podman = Podman::find(bed.dir().join("podman-many"), "many pods at once have nothing", report)?;
        let (archive, layer) = (bed.dir().join("many-image.tar"), bed.dir().join("many-layer.tar"));
        if podman.is_some() {
            image::archive(&bed.program(), &archive, &layer)?;
        }
        let mut player = Self { bed, place: Place::start_patient(bed, PATIENCE)?, podman };
        player.by_podman(report, |player, podman| {
            player.place.run(podman.command(&["load", "--quiet", "--input"]).arg(&archive))?;
            let pod = pods::manifest(bed, "first", FIRST, &CONTAINERS_B);
            player.play_and_remove(podman, &[pod], FIRST, CONTAINERS_B.len())
        });
        Ok(player)
    }

    pub(super) fn stop(self) -> Result<()> {
        self.place.stop()
    }

    /// Until the last of so many containers has begun, in nanoseconds; nothing where podman is not there or does not work.
    /// They write to the file `name`.
    pub(super) fn play(
        &mut self,
        pods: &[Value],
        name: &str,
        count: usize,
        report: &mut Report,
    ) -> Option<i64> {
        self.by_podman(report, |player, podman| player.play_and_remove(podman, pods, name, count))
    }

    fn play_and_remove(&mut self, podman: &Podman, pods: &[Value], name: &str, count: usize) -> Result<i64> {
        let pods: Vec<Value> = pods.iter().cloned().map(of_image).collect::<Result<_>>()?;
        let file: PathBuf = self.bed.file(&format!("{name}.yaml"), &pods)?;
        let played = self.place.run(podman.command(&["kube", "play"]).arg(file))?;
        let last = wait_begun(&self.bed.exchange().join(name), count)?;
        // Two commands: one that does both waits 3 s for each pod, as `kube down` does.
        self.place.run(&podman.command(&["pod", "stop", "--all", "--time", "0"]))?;
        self.place.run(&podman.command(&["pod", "rm", "--all"]))?;
        Ok(last - played.began_ns)
    }

    fn by_podman(
        &mut self,
        report: &mut Report,
        act: impl FnOnce(&mut Self, &Podman) -> Result<i64>,
    ) -> Option<i64> {
        let podman = self.podman.take()?;
        match act(self, &podman) {
            Ok(ns) => {
                self.podman = Some(podman);
                Some(ns)
            }
            Err(error) => {
                report.note(&format!(
                    "podman does not work here, so many pods have nothing beside them: {error:#}"
                ));
                None
            }
        }
    }
}

/// Monopod's pods have the host as their image, which podman has not.
fn of_image(mut pod: Value) -> Result<Value> {
    let containers = pod["spec"]["containers"].as_array_mut().context("a pod without containers")?;
    for container in containers {
        container["image"] = json!(image::NAME);
        container["imagePullPolicy"] = json!("IfNotPresent");
    }
    Ok(pod)
}
