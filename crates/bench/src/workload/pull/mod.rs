//! Images from a registry: until the first instruction of their container, by monopod and by podman, and into a directory,
//! by skopeo. All of them from the same server, taking turns, each into a place where nothing is.

mod content;
mod cost;
mod peers;
mod server;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use linux_sys::remove_tree::remove_tree;
use rustix::process::Signal;
use serde_json::{Value, json};

use super::Size;
use super::turns::{add_sample, take_turns};
use crate::bed::Bed;
use crate::engine::Engine;
use crate::pod::PROGRAM;
use crate::podman::Podman;
use crate::report::{Report, Row};
use content::{Content, LAYERS};
use cost::{Peak, cpu_of_children_s};
use server::{IMAGES, Server};

const NANOS_PER_S: f64 = 1e9;
/// Whatever the size of the image.
const MEMORY_MIB_MAX: f64 = 64.0;
const OF_PODMAN: f64 = 0.5;
const PODS: usize = 50;
/// Below the bench's directory.
const PODMAN_DIR: &str = "podman-pull";

pub(crate) fn measure(bed: &Bed, size: Size, report: &mut Report) -> Result<()> {
    let (bytes, rounds) = size.pulls();
    let content = Content::make(&bed.dir().join("content"), bytes)?;
    let server = Server::start(&content)?;
    let bench = Pulling { bed, server: &server, content: &content };
    let mut rows = rows(&content);
    let podman_dir = bed.dir().join(PODMAN_DIR);
    let mut podman = Podman::find(podman_dir, "nothing is pulled", report)?;
    let has_skopeo = peers::skopeo(report);
    take_turns(&[Kind::Monopod, Kind::Podman, Kind::Skopeo].map(|kind| (kind, 1)), rounds, |kind, round| {
        let took = match (kind, &podman) {
            (Kind::Monopod, _) => bench.monopod(round)?,
            (Kind::Podman, Some(found)) => bench.podman(found).unwrap_or_else(|error| {
                // What is wrong with somebody else's program is no failure of what is measured.
                podman = None;
                report.note(&format!("podman does not work here: {error:#}"));
                Took::new()
            }),
            (Kind::Skopeo, _) if has_skopeo => bench.skopeo()?,
            (Kind::Podman | Kind::Skopeo, _) => Took::new(),
        };
        took.into_iter().try_for_each(|(name, value)| add_sample(&mut rows, name, value))
    })?;
    rows.retain(|row| !row.samples.is_empty());
    rows.into_iter().for_each(|row| report.add(row));
    report.at_most("pull.memory", MEMORY_MIB_MAX);
    if podman.is_some() {
        report.compare("pull.run", "podman.run", Some(OF_PODMAN));
        report.compare("pull.cpu", "podman.cpu", None);
    }
    if has_skopeo {
        report.compare("pull.run", "skopeo.dir", None);
    }
    report.compare("pull.second", "pull.run", None);
    report.compare("pull.pods", "pull.run", None);
    Ok(())
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Monopod,
    Podman,
    Skopeo,
}

fn rows(content: &Content) -> Vec<Row> {
    let mb = |bytes: u64| bytes / 1_000_000;
    let of = format!(
        "{} MB in {LAYERS} layers, {} MB of them fetched",
        mb(content.unpacked),
        mb(content.compressed)
    );
    let seconds = [
        ("pull.run", format!("monopod run, empty root: {of}")),
        ("podman.run", "  podman run, overlay".to_owned()),
        ("skopeo.dir", "  skopeo copy into a directory".to_owned()),
        ("pull.second", "monopod run of a second image with one new layer".to_owned()),
        ("pull.pods", format!("monopod run of {PODS} pods of one image, empty root")),
        ("pull.cpu", "processor time of the first, monopod".to_owned()),
        ("podman.cpu", "  podman".to_owned()),
        ("skopeo.cpu", "  skopeo".to_owned()),
    ];
    let mib = [
        ("pull.memory", "largest resident set, monopod"),
        ("pull.pods.memory", "  of the engine of the 50 pods"),
        ("podman.memory", "  podman, without its children"),
        ("skopeo.memory", "  skopeo"),
    ];
    let ns = [("pull.byte", "processor time by byte unpacked, monopod"), ("podman.byte", "  podman")];
    let seconds = seconds.into_iter().map(|(name, what)| Row::new(name, &what, "s"));
    let mib = mib.into_iter().map(|(name, what)| Row::new(name, what, "MiB"));
    let ns = ns.into_iter().map(|(name, what)| Row::new(name, what, "ns"));
    seconds.chain(ns).chain(mib).collect()
}

type Took = Vec<(&'static str, f64)>;

#[derive(Clone, Copy, Debug)]
struct Pulling<'b> {
    bed: &'b Bed,
    server: &'b Server,
    content: &'b Content,
}

impl Pulling<'_> {
    fn image(&self, n: usize) -> String {
        format!("{}/{}", self.server.host, IMAGES[n])
    }

    fn monopod(&self, round: usize) -> Result<Took> {
        let root = self.bed.new_cold_root()?;
        let first = self.run(&root, &[self.pod("first", 0)])?;
        ensure!(first.blobs == LAYERS + 1, "{} blobs of the first image", first.blobs);
        let second = self.run(&root, &[self.pod("second", 1)])?;
        ensure!(second.blobs == 2, "{} blobs of the second image", second.blobs);
        empty(&root)?;
        let mut took = vec![
            ("pull.run", first.seconds),
            ("pull.second", second.seconds),
            ("pull.cpu", first.cpu_s),
            ("pull.byte", self.per_byte(first.cpu_s)),
            ("pull.memory", first.peak_mib),
        ];
        if round == 0 {
            let pods: Vec<Value> = (0..PODS).map(|n| self.pod(&format!("pod-{n}"), 0)).collect();
            let many = self.run(&root, &pods)?;
            ensure!(many.blobs == LAYERS + 1, "{} blobs for {PODS} pods", many.blobs);
            empty(&root)?;
            took.extend([("pull.pods", many.seconds), ("pull.pods.memory", many.peak_mib)]);
        }
        Ok(took)
    }

    fn podman(&self, podman: &Podman) -> Result<Took> {
        // It ends by itself: podman loses signals that come before it has noted that the container runs.
        let ran = self.measured(&mut peers::podman_run(podman, self.bed, &self.image(0)), 1, None);
        let removed = peers::podman_remove(podman, self.bed).and_then(|()| podman.empty());
        let ran = ran?;
        removed?;
        Ok(vec![
            ("podman.run", ran.seconds),
            ("podman.cpu", ran.cpu_s),
            ("podman.byte", self.per_byte(ran.cpu_s)),
            ("podman.memory", ran.peak_mib),
        ])
    }

    fn skopeo(&self) -> Result<Took> {
        let dir = self.bed.dir().join("skopeo");
        std::fs::create_dir_all(&dir)?;
        let copied = self.measured(&mut peers::skopeo_copy(self.bed, &self.image(0), &dir), 0, None)?;
        remove(&dir)?;
        Ok(vec![
            ("skopeo.dir", copied.seconds),
            ("skopeo.cpu", copied.cpu_s),
            ("skopeo.memory", copied.peak_mib),
        ])
    }

    fn per_byte(&self, cpu_s: f64) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "below 2^53")]
        let bytes = self.content.unpacked as f64;
        cpu_s * NANOS_PER_S / bytes
    }

    fn run(&self, root: &Path, pods: &[Value]) -> Result<Ran> {
        let file = self.bed.file("pulls.yaml", pods)?;
        self.measured(&mut self.bed.run(root, &file), pods.len(), Some(Signal::INT))
    }

    /// Until so many containers have begun, or with none, until the end. `end` ends what does not end by itself.
    fn measured(&self, command: &mut Command, containers: usize, end: Option<Signal>) -> Result<Ran> {
        self.server.sent();
        // What was written before is not this one's to wait for.
        rustix::fs::sync();
        let cpu_before = cpu_of_children_s()?;
        let mut engine = Engine::start(command)?;
        let (began, peak) = (engine.began_ns, Peak::watch(engine.pid()));
        let up = match containers {
            0 => None,
            count => {
                let stamps = engine.wait_stamps(count)?;
                let last = stamps.values().copied().max().context("no container said when it began")?;
                end.map_or(Ok(()), |end| engine.signal(end))?;
                Some(last)
            }
        };
        let ended = engine.finish()?;
        let (blobs, _) = self.server.sent();
        #[expect(clippy::cast_precision_loss, reason = "below 2^53: a hundred days")]
        let seconds = (up.unwrap_or(ended.ended_ns) - began) as f64 / NANOS_PER_S;
        Ok(Ran { seconds, cpu_s: cpu_of_children_s()? - cpu_before, peak_mib: peak.mib(), blobs })
    }

    /// Of a container that waits for its end, from an image that has no program.
    fn pod(&self, name: &str, image: usize) -> Value {
        let mount = |name: &str, path: &str| json!({"name": name, "mountPath": path, "readOnly": true});
        json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
            "spec": {
                "restartPolicy": "Never", "automountServiceAccountToken": false, "terminationGracePeriodSeconds": 10,
                "containers": [{
                    "name": "app", "image": self.image(image), "command": [PROGRAM], "args": ["hold", name],
                    "volumeMounts": [mount("bench", PROGRAM), mount("usr", "/usr")],
                }],
                "volumes": [
                    {"name": "bench", "hostPath": {"path": self.bed.program(), "type": "File"}},
                    {"name": "usr", "hostPath": {"path": "/usr", "type": "Directory"}},
                ],
            },
        })
    }
}

#[derive(Clone, Copy, Debug)]
struct Ran {
    seconds: f64,
    cpu_s: f64,
    peak_mib: f64,
    blobs: usize,
}

/// Removes what a root has of images; the rest is small.
fn empty(root: &Path) -> Result<()> {
    let images: PathBuf = Bed::paths(root).data_dir.join("images");
    remove(&images)
}

fn remove(dir: &Path) -> Result<()> {
    remove_tree(dir).into_iter().next().map_or(Ok(()), |error| Err(error.into()))
}
