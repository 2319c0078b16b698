//! Many pods side by side on one server, by its socket: what tests of the lifecycle make, look at and end.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::bed::{Bed, SOON};
use crate::cluster::Cluster;
use crate::history::History;
use crate::http::{Answer, Api};
use crate::lasting::container;
use crate::pod::Pod;
use crate::wait;

/// Longer than any pod here takes on a busy machine: many of them run side by side.
pub(crate) const LONG: Duration = Duration::from_secs(90);
/// Often enough: what is exact is read from what containers marked.
const LOOK_EVERY: Duration = Duration::from_millis(40);
const PODS: &str = "/api/v1/namespaces/default/pods";

/// A server and the pods it has.
#[derive(Debug)]
pub(crate) struct Pods<'b> {
    bed: &'b Bed,
    server: Cluster<'b>,
    api: Api,
}

impl<'b> Pods<'b> {
    /// Of a server that lets containers which crash wait for seconds, not minutes.
    pub(crate) fn start(bed: &'b Bed) -> Result<Self> {
        Self::start_with(bed, &["--dev"])
    }

    /// With arguments for `monopod serve`.
    pub(crate) fn start_with(bed: &'b Bed, args: &[&str]) -> Result<Self> {
        let server = Cluster::start_bare_with(bed, args)?;
        let api = Api::new(server.socket());
        Ok(Self { bed, server, api })
    }

    pub(crate) fn bed(&self) -> &Bed {
        self.bed
    }

    pub(crate) fn api(&self) -> &Api {
        &self.api
    }

    pub(crate) fn create(&self, pod: &Pod) -> Result<()> {
        let manifest = pod.manifest(&self.trace_dir().to_string_lossy());
        self.api.post(PODS, &manifest)?.expect(201).with_context(|| pod.name().to_owned())?;
        Ok(())
    }

    /// The object; `None` when there is none.
    pub(crate) fn find(&self, pod: &str) -> Result<Option<Value>> {
        let answer = self.api.get(&format!("{PODS}/{pod}"))?;
        if answer.code == 404 { Ok(None) } else { Ok(Some(answer.expect(200)?.json()?)) }
    }

    pub(crate) fn status(&self, pod: &str) -> Result<Value> {
        let found = self.find(pod)?.with_context(|| format!("there is no pod {pod}"))?;
        Ok(found["status"].clone())
    }

    /// Waits until the pod's status is as wanted.
    pub(crate) fn wait(&self, pod: &str, what: &str, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
        let mut last = Value::Null;
        let waited = wait::every(LOOK_EVERY, &format!("{pod}: {what}"), LONG, || {
            last = self.status(pod).unwrap_or_default();
            wanted(&last).then(|| last.clone())
        });
        waited.with_context(|| format!("{last:#}\n{}\n{}", self.history(pod), self.event_lines(pod)))
    }

    pub(crate) fn wait_ready(&self, pod: &str) -> Result<Value> {
        self.wait(pod, "Ready", |status| crate::lasting::condition(status, "Ready") == "True")
    }

    pub(crate) fn wait_phase(&self, pod: &str, phase: &str) -> Result<Value> {
        self.wait(pod, phase, |status| status["phase"] == phase)
    }

    /// Waits until a pod that is kept has ended for good.
    pub(crate) fn wait_ended(&self, pod: &str) -> Result<Value> {
        self.wait(pod, "the end of all containers", |status| {
            let lists = ["initContainerStatuses", "containerStatuses"];
            let mut all = lists.iter().flat_map(|list| status[*list].as_array().into_iter().flatten());
            matches!(status["phase"].as_str(), Some("Succeeded" | "Failed"))
                && all.all(|container| container["state"]["running"].is_null())
        })
    }

    pub(crate) fn wait_gone(&self, pod: &str) -> Result<()> {
        let waited = wait::every(LOOK_EVERY, &format!("the end of {pod}"), LONG, || {
            self.find(pod).ok()?.is_none().then_some(())
        });
        waited.with_context(|| format!("{}\n{}", self.history(pod), self.event_lines(pod)))
    }

    /// Waits until a line was marked that often.
    pub(crate) fn wait_marks(&self, pod: &str, line: &str, count: usize) -> Result<History> {
        let waited = wait::every(LOOK_EVERY, &format!("{count} x {line:?} of {pod}"), LONG, || {
            Some(self.history(pod)).filter(|history| history.count(line) >= count)
        });
        waited.with_context(|| {
            let status = self.status(pod).unwrap_or_default();
            format!("{status:#}\n{}\n{}", self.history(pod), self.event_lines(pod))
        })
    }

    pub(crate) fn wait_mark(&self, pod: &str, line: &str) -> Result<History> {
        self.wait_marks(pod, line, 1)
    }

    /// With the grace of the pod, or another one.
    pub(crate) fn delete(&self, pod: &str, grace_s: Option<u32>) -> Result<Answer> {
        let options = json!({"apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": grace_s});
        self.api.send("DELETE", &format!("{PODS}/{pod}"), "json", &options)?.expect(200)
    }

    /// A strategic merge of one object.
    pub(crate) fn patch(&self, pod: &str, patch: &Value) -> Result<Value> {
        let patched =
            self.api.send("PATCH", &format!("{PODS}/{pod}"), "strategic-merge-patch+json", patch)?;
        patched.expect(200)?.json()
    }

    /// A strategic merge by way of `resize`, whatever the answer.
    pub(crate) fn resize(&self, pod: &str, patch: &Value) -> Result<Answer> {
        self.api.send("PATCH", &format!("{PODS}/{pod}/resize"), "strategic-merge-patch+json", patch)
    }

    /// Posts to something below a pod.
    pub(crate) fn post(&self, target: &str, body: &Value) -> Result<Answer> {
        self.api.post(&format!("{PODS}/{target}"), body)
    }

    /// Adds an ephemeral container.
    pub(crate) fn debug(&self, pod: &str, ephemeral: &Value) -> Result<()> {
        let patch = json!({"spec": {"ephemeralContainers": [ephemeral]}});
        let target = format!("{PODS}/{pod}/ephemeralcontainers");
        self.api.send("PATCH", &target, "strategic-merge-patch+json", &patch)?.expect(200)?;
        Ok(())
    }

    /// Says `go` to the containers that wait for it.
    pub(crate) fn tell(&self, pod: &str, word: &str) -> Result<()> {
        self.bed.file(&format!("trace/{pod}.{word}"), "").map(drop)
    }

    pub(crate) fn history(&self, pod: &str) -> History {
        History::read(&self.trace_dir(), pod)
    }

    pub(crate) fn log(&self, pod: &str, query: &str) -> Result<String> {
        Ok(self.api.get(&format!("{PODS}/{pod}/log?{query}"))?.expect(200)?.body)
    }

    /// The pod's events, as `REASON MESSAGE`, each as often as it is there.
    pub(crate) fn events(&self, pod: &str) -> Result<Vec<String>> {
        let selector = format!("involvedObject.name%3D{pod}");
        let events = self.api.get(&format!("/api/v1/namespaces/default/events?fieldSelector={selector}"))?;
        let events = events.expect(200)?.json()?["items"].take();
        let line = |event: &Value| {
            let [reason, message] = ["reason", "message"].map(|key| event[key].as_str().unwrap_or_default());
            format!("{reason} {message}")
        };
        Ok(events.as_array().into_iter().flatten().map(line).collect())
    }

    /// Waits for an event that begins so: it may be written after what it tells of.
    pub(crate) fn wait_event(&self, pod: &str, begin: &str) -> Result<String> {
        let waited = wait::every(LOOK_EVERY, &format!("{begin:?} of {pod}"), SOON, || {
            self.events(pod).ok()?.into_iter().find(|event| event.starts_with(begin))
        });
        waited.with_context(|| self.event_lines(pod))
    }

    pub(crate) fn kill(&mut self) -> Result<()> {
        self.server.kill().map(drop)
    }

    pub(crate) fn serve(&mut self) -> Result<()> {
        self.server.serve()
    }

    pub(crate) fn serve_again(&mut self) -> Result<()> {
        self.server.kill()?;
        self.server.serve()
    }

    /// With other arguments.
    pub(crate) fn serve_again_with(&mut self, args: &[&str]) -> Result<()> {
        self.server.set_args(args);
        self.serve_again()
    }

    pub(crate) fn get(&self, target: &str) -> Result<Value> {
        self.api.get(target)?.expect(200)?.json()
    }

    /// Ends the server and all pods.
    pub(crate) fn finish(self) -> Result<()> {
        self.server.finish()
    }

    fn event_lines(&self, pod: &str) -> String {
        self.events(pod).unwrap_or_default().join("\n")
    }

    fn trace_dir(&self) -> std::path::PathBuf {
        Path::new(self.bed.dir()).join("trace")
    }
}

/// How often a container was restarted.
pub(crate) fn expect_restarts(status: &Value, name: &str, restarts: u32) -> Result<()> {
    let found = &container(status, name)["restartCount"];
    ensure!(*found == restarts, "{name} was restarted {found} times, expected {restarts}: {status:#}");
    Ok(())
}

/// How a container has ended.
pub(crate) fn expect_exit(status: &Value, name: &str, code: i32, reason: &str) -> Result<()> {
    let ended = &container(status, name)["state"]["terminated"];
    ensure!(
        ended["exitCode"] == code && ended["reason"] == reason,
        "{name} has not ended as {code} {reason}: {status:#}"
    );
    Ok(())
}
