//! The program `e2e engine ROOT SHIM [MANIFEST...]`: an engine that lasts, wired as monopod is. SHIM is the command
//! line of a shim, with blanks between its words.
//!
//! It takes over every pod that is there, adds those of the manifests, and then does what it is told, a line of
//! standard input each: `add FILE`, `delete NAME GRACE_SECONDS`. A pod that was deleted and is at rest is
//! removed. What happens is a line of JSON on standard output each, with `event`: `adopted`, `buried`,
//! `ending`, `refused` (`error`), `inherited` after all of those, `status` (`name`, `status`, `deleting`,
//! `atRest`), `removed` (`name`), `failed` (`error`).

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use kubelet::render::{RenderFacts, pod_status};
use kubelet::{Kubelet, PodView, Settings, Subscription};
use node::{Inheritance, Node, Outcome, Program};
use podspec::{IDENTITY_BYTES, PodUid};
use ports::{Paths, PortError};
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};

/// Lines of input that wait to be carried out.
const COMMANDS_MAX: usize = 64;

pub(crate) fn run(root: &Path, shim: &str, manifests: &[&str]) -> Result<()> {
    tracing_subscriber::fmt().with_writer(io::stderr).without_time().with_target(false).init();
    let mut words = shim.split(' ').map(str::to_owned);
    let path = words.next().map(Into::into).context("which program is the shim?")?;
    let shim = Program { path, args: words.collect() };
    let paths = Paths {
        data_dir: root.join("var/lib/monopod"),
        run_dir: root.join("run/monopod"),
        log_dir: root.join("var/log/pods"),
    };
    let node = Arc::new(Node::new(paths, shim)?);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(serve(node, manifests))
}

async fn serve(node: Arc<Node>, manifests: &[&str]) -> Result<()> {
    let kubelet = Arc::new(Kubelet::new(Arc::clone(&node), node.paths().clone(), Settings::default()));
    let mut engine = Engine { kubelet, node, uids: BTreeMap::new() };
    let mut inherited = node::inherit(&engine.node, &engine.kubelet);
    while let Some(inheritance) = inherited.recv().await {
        engine.take_in(inheritance);
    }
    say(&json!({ "event": "inherited" }));
    for manifest in manifests {
        engine.add(manifest)?;
    }
    let mut commands = commands();
    while let Some(command) = commands.recv().await {
        if let Err(error) = engine.obey(&command) {
            say(&json!({ "event": "failed", "error": format!("{command}: {error:#}") }));
        }
    }
    // Whoever gave the orders is gone; pods are served until this process is killed.
    std::future::pending().await
}

struct Engine {
    kubelet: Arc<Kubelet<Node>>,
    node: Arc<Node>,
    uids: BTreeMap<String, PodUid>,
}

impl Engine {
    fn take_in(&mut self, Inheritance { pod_dir, outcome }: Inheritance) {
        let pod_dir = pod_dir.display().to_string();
        match outcome {
            Outcome::Adopted(adopted) => {
                say(&json!({ "event": "adopted", "name": adopted.pod.pod.name, "podDir": pod_dir }));
                self.watch(*adopted);
            }
            Outcome::Buried(errors) => {
                say(&json!({ "event": "buried", "podDir": pod_dir, "errors": errors }));
            }
            Outcome::Ending => say(&json!({ "event": "ending", "podDir": pod_dir })),
            Outcome::Refused(error) => {
                let error = PortError::chain(&error).0;
                say(&json!({ "event": "refused", "podDir": pod_dir, "error": error }));
            }
        }
    }

    fn obey(&mut self, command: &str) -> Result<()> {
        let words: Vec<&str> = command.split(' ').collect();
        match words[..] {
            ["add", manifest] => self.add(manifest),
            ["delete", name, grace] => {
                let uid = self.uids.get(name).context("there is no such pod")?;
                Ok(self.kubelet.delete_pod(uid, Duration::from_secs(grace.parse()?))?)
            }
            _ => Err(anyhow!("what is that?")),
        }
    }

    /// Pods that are here already stay as they are.
    fn add(&mut self, manifest: &str) -> Result<()> {
        let text = std::fs::read_to_string(manifest).with_context(|| manifest.to_owned())?;
        for loaded in podspec::load_pods(manifest, &text, random)? {
            let pod = loaded.admitted.pod;
            if !self.uids.contains_key(pod.name.as_str()) {
                self.node.claim(&pod, false)?;
                let added = self.kubelet.add_pod(pod)?;
                self.watch(added);
            }
        }
        Ok(())
    }

    fn watch(&mut self, watched: Subscription) {
        let pod = &watched.pod.pod;
        self.uids.insert(pod.name.to_string(), pod.uid.clone());
        let kubelet = Arc::clone(&self.kubelet);
        tokio::spawn(async move { follow(&kubelet, watched).await });
    }
}

/// Prints every status of the pod, and removes it once it was deleted and is at rest.
async fn follow(kubelet: &Kubelet<Node>, watched: Subscription) {
    let Subscription { pod, mut view, .. } = watched;
    let facts = RenderFacts { host_ips: vec![std::net::Ipv4Addr::new(192, 0, 2, 1).into()], generation: 1 };
    loop {
        let Some(seen) = changed(&mut view).await else { return };
        say(&json!({
            "event": "status",
            "name": pod.pod.name,
            "uid": pod.pod.uid,
            "status": pod_status(&pod.pod, &seen, &facts),
            "deleting": seen.deleting,
            "atRest": seen.at_rest,
        }));
        if seen.at_rest && seen.deleting {
            let failure = kubelet.remove_pod(&pod.pod.uid).await.err();
            let error = failure.map(|error| error.to_string());
            return say(&json!({ "event": "removed", "name": pod.pod.name, "error": error }));
        }
    }
}

/// The next view; `None` when the pod's worker is gone.
async fn changed(view: &mut watch::Receiver<Option<PodView>>) -> Option<PodView> {
    loop {
        view.changed().await.ok()?;
        if let Some(view) = view.borrow_and_update().clone() {
            return Some(view);
        }
    }
}

/// The lines of standard input.
fn commands() -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel(COMMANDS_MAX);
    std::thread::spawn(move || {
        for line in io::stdin().lock().lines().map_while(Result::ok) {
            if sender.blocking_send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

/// Nobody who has gone is missed.
fn say(event: &Value) {
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{event}").and_then(|()| out.flush());
}

fn random() -> [u8; IDENTITY_BYTES] {
    let mut bytes = [0; IDENTITY_BYTES];
    if let Err(error) = File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes)) {
        panic!("no random bytes: {error}");
    }
    bytes
}
