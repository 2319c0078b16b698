//! Pulls that are killed at any moment, and pulls for which there is no room: whatever there is then is whole, and the next pull
//! goes on with it.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use registry_double::{Double, Fault, Image, Layer, Pushed};
use rustix::process::Signal;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::bed::{Bed, SOON};
use crate::outcome::skip;
use crate::pods::Pods;
use crate::runner::{Test, tests};
use crate::soak::mix;
use crate::suites::images::{LOADED, expect_stored, image, ls, pod_from, run, stored};
use crate::suites::registries_hostile::noise;
use crate::suites::require_root;
use crate::wait;

pub(crate) const SLOW: &[Test] = tests![a_command_at_any_moment, a_server_at_any_moment];
pub(crate) const TESTS: &[Test] = tests![a_full_disk];

const COMMAND_KILLS: u32 = 60;
const SERVER_KILLS: u32 = 40;
const SAVED_EVERY: u32 = 4;
/// To draw the same moments again.
const SEED: &str = "E2E_SEED";
const FILES: u64 = 60;
/// Two such layers are brought to disk together.
const LAYER_BYTES: usize = 33 << 20;
const LAYERS: u64 = 5;

fn seed(test: &str) -> Result<u64> {
    let seed = match std::env::var(SEED) {
        Ok(given) => given.parse().with_context(|| format!("{SEED}={given}"))?,
        Err(_) => SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs(),
    };
    println!("{test}: {SEED}={seed}");
    Ok(seed)
}

/// Layers that take their time, above one in which the host's shell runs.
fn push(double: &Double) -> Result<Pushed> {
    let mut layers = vec![Layer::new(crate::archive::Layer::base()?.into_tar()?)];
    for n in 1..LAYERS {
        let (paths, content) = (0..FILES)
            .map(|file| (format!("layer-{n}/{file}"), file.to_string()))
            .unzip::<_, _, Vec<_>, Vec<_>>();
        let mut files: Vec<(&str, &[u8])> =
            paths.iter().zip(&content).map(|(path, content)| (path.as_str(), content.as_bytes())).collect();
        let (path, zeros) = (format!("layer-{n}/zeros"), vec![0; LAYER_BYTES]);
        files.push((&path, &zeros));
        layers.push(Layer::of_files(&files));
    }
    let pushed = double.push("app", Some("1"), &Image::new(layers));
    // The last one takes longer than those before it.
    let last = pushed.layers.last().context("no layers")?;
    double.misbehave(&last.digest, Fault::Drip { bytes: 4 << 10, pause: Duration::from_millis(10) });
    Ok(pushed)
}

/// The names of an image's layers in the store (OCI image specification, chain IDs).
fn chains(pushed: &Pushed) -> Vec<String> {
    let mut chains: Vec<String> = Vec::new();
    for diff_id in &pushed.diff_ids {
        let chain = match chains.last() {
            Some(below) => format!("{:x}", Sha256::digest(format!("sha256:{below} {diff_id}"))),
            None => diff_id.trim_start_matches("sha256:").to_owned(),
        };
        chains.push(chain);
    }
    chains
}

/// An image in a registry, and what may be seen of it in the store.
struct Pulled<'b> {
    bed: &'b Bed,
    double: Double,
    name: String,
    pushed: Pushed,
    chains: Vec<String>,
}

impl<'b> Pulled<'b> {
    fn new(bed: &'b Bed) -> Result<Self> {
        require_root()?;
        let double = Double::start();
        let pushed = push(&double)?;
        let name = format!("{}/app:1", double.host());
        Ok(Self { bed, name, chains: chains(&pushed), pushed, double })
    }

    /// The digests of the blobs that are there as layers, after every image that is listed was saved, which hashes all of it.
    fn expect_whole(&self) -> Result<BTreeSet<String>> {
        for found in ls(self.bed)? {
            let name = found["name"].as_str().unwrap_or_default().to_owned();
            if name != "localhost/host" {
                run(self.bed, &["save", &name, "-o", "/dev/null"])?.expect_code(0).with_context(|| name)?;
            }
        }
        Ok(self.layers())
    }

    fn layers(&self) -> BTreeSet<String> {
        let dir = self.bed.root().join("var/lib/monopod/images/layers");
        let is_there = |chain: &str| dir.join(chain).join("layer.json").exists();
        let all = self.chains.iter().zip(&self.pushed.layers);
        all.filter(|(chain, _)| is_there(chain)).map(|(_, layer)| layer.digest.clone()).collect()
    }

    fn asked(&self) -> Vec<String> {
        self.double.seen().into_iter().map(|seen| seen.path).collect()
    }

    /// Since so many requests nothing was asked for that was there.
    fn expect_not_asked(&self, had: &BTreeSet<String>, since: usize) -> Result<()> {
        let again: Vec<String> = self.asked().split_off(since);
        let is_had = |path: &&String| had.iter().any(|digest| path.ends_with(digest.as_str()));
        let again: Vec<&String> = again.iter().filter(is_had).collect();
        ensure!(again.is_empty(), "fetched again though it was there: {again:?}");
        Ok(())
    }

    /// Leaves the store as it was before anything was pulled.
    fn remove(&self) -> Result<()> {
        // The directory of a pod that is gone goes after it.
        wait::until("an image that no pod has", SOON, || {
            run(self.bed, &["rm", &self.name]).ok()?.expect_code(0).is_ok().then_some(())
        })?;
        run(self.bed, &["prune"])?.expect_code(0)?;
        expect_stored(self.bed, 0, 0)
    }
}

/// When to kill, so that as many moments come too late as come too early, however busy the machine is.
struct Moments {
    seed: u64,
    /// They are drawn from below this.
    limit_us: u64,
}

impl Moments {
    /// `whole`: what a pull takes that is not killed.
    fn new(seed: u64, whole: Duration) -> Result<Self> {
        Ok(Self { seed, limit_us: u64::try_from(whole.as_micros())? })
    }

    fn draw(&self, round: u32) -> Duration {
        Duration::from_micros(mix(self.seed ^ u64::from(round)) % self.limit_us.max(1))
    }

    /// So many of the layers were there after the kill.
    fn learn(&mut self, had: usize, all: usize) {
        let step = self.limit_us / 8;
        match had {
            0 => self.limit_us += step,
            had if had == all => self.limit_us -= step,
            _ => {}
        }
    }
}

fn a_command_at_any_moment(bed: &Bed) -> Result<()> {
    let pulled = Pulled::new(bed)?;
    let seed = seed("a_command_at_any_moment")?;
    let pull = || bed.start(&mut image(bed, &["pull", &pulled.name]));
    let began = Instant::now();
    pull()?.wait(LOADED)?.expect_code(0)?;
    let mut moments = Moments::new(seed, began.elapsed())?;
    pulled.remove()?;
    let (mut killed, mut partly) = (0, 0);
    for round in 0..COMMAND_KILLS {
        let engine = pull()?;
        std::thread::sleep(moments.draw(round));
        // It may have come to its end.
        let _ = engine.signal(Signal::KILL);
        killed += u32::from(engine.wait(LOADED)?.status.signal().is_some());
        let goes_on = || -> Result<usize> {
            let had = pulled.expect_whole()?;
            let asked = pulled.asked().len();
            pull()?.wait(LOADED)?.expect_code(0)?;
            pulled.expect_not_asked(&had, asked)?;
            // What the kill left is looked at each time, what is made of it now and then: it takes seconds.
            let all =
                if round.is_multiple_of(SAVED_EVERY) { pulled.expect_whole()? } else { pulled.layers() };
            ensure!(all.len() == pulled.chains.len(), "{} layers after the pull", all.len());
            ensure!(stored(bed, "staging") == 0, "something half made is left");
            Ok(had.len())
        };
        let had = goes_on().with_context(|| format!("kill {round} of seed {seed}"))?;
        partly += u32::from((1..pulled.chains.len()).contains(&had));
        moments.learn(had, pulled.chains.len());
        pulled.remove().with_context(|| format!("after kill {round} of seed {seed}"))?;
    }
    println!("a_command_at_any_moment: {killed} of {COMMAND_KILLS} killed, {partly} with some of the layers");
    ensure!(killed > COMMAND_KILLS / 4 && partly > 0, "{killed} kills, {partly} in the midst of layers");
    Ok(())
}

fn a_server_at_any_moment(bed: &Bed) -> Result<()> {
    let pulled = Pulled::new(bed)?;
    let seed = seed("a_server_at_any_moment")?;
    let mut pods = Pods::start(bed)?;
    let pod = |name: &str| pod_from(&pulled.name, name, "serve", &json!({}));
    let began = Instant::now();
    pods.create(&pod("first"))?;
    pods.wait_ready("first")?;
    let mut moments = Moments::new(seed, began.elapsed())?;
    end(&pods, "first")?;
    pulled.remove()?;
    let mut partly = 0;
    for round in 0..SERVER_KILLS {
        let name = format!("pod-{round}");
        let mut goes_on = || -> Result<usize> {
            pods.create(&pod(&name))?;
            std::thread::sleep(moments.draw(round));
            pods.kill()?;
            let had = pulled.expect_whole()?;
            let asked = pulled.asked().len();
            pods.serve()?;
            pods.wait_ready(&name)?;
            pulled.expect_not_asked(&had, asked)?;
            // When all was there already, nothing is pulled: then it goes beside the start.
            let is_clear = || (stored(bed, "staging") == 0).then_some(());
            wait::until("nothing half made", SOON, is_clear)?;
            Ok(had.len())
        };
        let had = goes_on().with_context(|| format!("kill {round} of seed {seed}"))?;
        partly += u32::from((1..pulled.chains.len()).contains(&had));
        moments.learn(had, pulled.chains.len());
        end(&pods, &name)?;
        pulled.remove().with_context(|| format!("after kill {round} of seed {seed}"))?;
    }
    println!("a_server_at_any_moment: {partly} of {SERVER_KILLS} with some of the layers");
    ensure!(partly > 0, "no kill was in the midst of layers");
    pods.finish()
}

fn end(pods: &Pods<'_>, pod: &str) -> Result<()> {
    pods.delete(pod, Some(0))?;
    pods.wait_gone(pod)
}

/// A disk on which there is no room for the image; then there is.
fn a_full_disk(bed: &Bed) -> Result<()> {
    if !std::path::Path::new("/usr/bin/unshare").exists() {
        return skip("needs unshare to make a small file system");
    }
    let pulled = Pulled::new(bed)?;
    let small = Image::new(vec![Layer::of_files(&[("a", b"1")])]);
    pulled.double.push("small", Some("1"), &small);
    // It comes through a needle's eye, and is too large for the disk then; of another it is known before.
    let noise = Image::new(vec![Layer::of_files(&[("noise", &noise(1, 3 << 20))])]);
    pulled.double.push("noise", Some("1"), &noise);
    let script = format!(
        "cd {dir}; mkdir full; mount -t tmpfs -o size=2m none full
         image() {{ ./monopod --root full image \"$@\"; }}
         image pull {host}/small:1 || exit 10
         image pull {host}/app:1 && exit 11
         image pull {host}/noise:1 && exit 20
         ls full/var/lib/monopod/images/staging | grep . && exit 12
         image ls
         image save {host}/small:1 -o small.tar || exit 13
         mount -o remount,size=300m full || exit 14
         image pull {host}/app:1 || exit 15
         image save {host}/app:1 -o /dev/null || exit 16
         image rm {host}/app:1 {host}/small:1 || exit 17
         image prune || exit 18
         ls full/var/lib/monopod/images/layers full/var/lib/monopod/images/configs | grep -E '^[0-9a-f]{{64}}' && exit 19
         exit 0",
        dir = bed.dir().display(),
        host = pulled.double.host()
    );
    let finished = bed.finish(Command::new("unshare").args(["--mount", "sh", "-c", &script]))?;
    finished
        .expect_code(0)?
        .expect_output("No space left on device")?
        .expect_output("has room for")?
        .expect_line(&["/small:1"])?;
    ensure!(fs::metadata(bed.dir().join("small.tar"))?.len() > 0, "nothing was saved");
    Ok(())
}
