//! An engine that lasts, for tests that kill it and start the next one over the same pods.

pub(crate) mod engine;
pub(crate) mod held;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::process::Signal;
use serde_json::Value;

use crate::bed::{Bed, SOON};
use crate::engine::Engine;
use crate::pod::Pod;
use crate::wait;

/// How long a stopped pod may take to be removed: the longest grace period here and more.
const REMOVED: Duration = Duration::from_secs(60);

/// One engine after another, all under the root of one test.
#[derive(Debug)]
pub(crate) struct Lasting<'b> {
    bed: &'b Bed,
    shim: String,
    engine: Option<Engine>,
}

impl<'b> Lasting<'b> {
    pub(crate) fn start(bed: &'b Bed) -> Result<Self> {
        Self::with_shim(bed, format!("{} shim", bed.program().display()))
    }

    /// Its first shim stands still before it begins, and its process number is in the file.
    pub(crate) fn with_held_shim(bed: &'b Bed, file: &Path) -> Result<Self> {
        let this = std::env::current_exe()?;
        let shim = format!("{} held {} {} shim", this.display(), file.display(), bed.program().display());
        Self::with_shim(bed, shim)
    }

    fn with_shim(bed: &'b Bed, shim: String) -> Result<Self> {
        let mut lasting = Self { bed, shim, engine: None };
        lasting.again()?;
        Ok(lasting)
    }

    /// The next engine, once it knows what has become of every pod that was there.
    pub(crate) fn again(&mut self) -> Result<()> {
        self.again_at_once()?;
        self.wait_inherited(SOON)
    }

    /// The next engine, as soon as it runs.
    pub(crate) fn again_at_once(&mut self) -> Result<()> {
        self.engine = Some(self.begin()?);
        Ok(())
    }

    pub(crate) fn wait_inherited(&self, deadline: Duration) -> Result<()> {
        self.wait_event("all pods inherited", deadline, |event| event["event"] == "inherited")?;
        Ok(())
    }

    /// A further engine, beside the one there is.
    pub(crate) fn begin(&self) -> Result<Engine> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("engine").arg(self.bed.root()).arg(&self.shim).stdin(Stdio::piped());
        self.bed.start(&mut command)
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) -> Result<()> {
        let engine = self.engine.take().context("there is no engine")?;
        engine.signal(Signal::KILL)?;
        engine.wait(SOON)?;
        Ok(())
    }

    pub(crate) fn kill_and_start_again(&mut self) -> Result<()> {
        self.kill()?;
        self.again()
    }

    pub(crate) fn add(&mut self, pod: &Pod) -> Result<()> {
        let manifest = self.bed.manifest(pod)?;
        self.tell(&format!("add {}", manifest.display()))
    }

    pub(crate) fn delete(&mut self, pod: &str, grace_s: u32) -> Result<()> {
        self.tell(&format!("delete {pod} {grace_s}"))
    }

    /// Deletes the pods and waits until nothing is left of them.
    pub(crate) fn end(mut self, pods: &[&str]) -> Result<()> {
        for pod in pods {
            self.delete(pod, 1)?;
        }
        for pod in pods {
            self.wait_removed(pod)?;
        }
        self.bed.expect_settled()
    }

    pub(crate) fn is_removed(&self, pod: &Value) -> bool {
        self.events().iter().any(|event| event["event"] == "removed" && event["name"] == *pod)
    }

    pub(crate) fn wait_removed(&self, pod: &str) -> Result<()> {
        let removed = self.wait_event(&format!("{pod} removed"), REMOVED, |event| {
            event["event"] == "removed" && event["name"] == pod
        })?;
        ensure!(removed["error"].is_null(), "{removed}");
        Ok(())
    }

    /// What this engine has logged so far.
    pub(crate) fn log(&self) -> String {
        self.engine.as_ref().map(Engine::stderr).unwrap_or_default()
    }

    /// What this engine has said so far.
    pub(crate) fn events(&self) -> Vec<Value> {
        let output = self.engine.as_ref().map(Engine::stdout).unwrap_or_default();
        output.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    pub(crate) fn wait_event(
        &self,
        what: &str,
        deadline: Duration,
        wanted: impl Fn(&Value) -> bool,
    ) -> Result<Value> {
        wait::until(what, deadline, || self.events().into_iter().find(&wanted))
    }

    /// The newest `v1.PodStatus`, if it has been said.
    pub(crate) fn status(&self, pod: &str) -> Option<Value> {
        let of_pod = |event: &Value| event["event"] == "status" && event["name"] == pod;
        self.events().into_iter().rev().find(of_pod).map(|mut event| event["status"].take())
    }

    /// Waits until the pod's newest status is as wanted.
    pub(crate) fn wait_status(
        &self,
        pod: &str,
        what: &str,
        wanted: impl Fn(&Value) -> bool,
    ) -> Result<Value> {
        let waited = wait::until(&format!("{pod}: {what}"), SOON, || self.status(pod).filter(&wanted));
        waited.with_context(|| format!("{:?}", self.status(pod).map(|status| status.to_string())))
    }

    pub(crate) fn wait_ready(&self, pod: &str) -> Result<Value> {
        self.wait_status(pod, "Ready", |status| condition(status, "Ready") == "True")
    }

    /// The errors of the pods that this engine has refused.
    pub(crate) fn refusals(&self) -> Vec<String> {
        let events = self.events().into_iter().filter(|event| event["event"] == "refused");
        events.map(|event| event["error"].as_str().unwrap_or_default().to_owned()).collect()
    }

    fn tell(&mut self, line: &str) -> Result<()> {
        let Some(engine) = &mut self.engine else { bail!("there is no engine") };
        engine.tell(line)
    }
}

impl Drop for Lasting<'_> {
    /// A test that fails leaves no pod behind: nothing stops them by itself.
    fn drop(&mut self) {
        drop(self.engine.take());
        if !fs::read_dir(self.bed.root().join("var/lib/monopod/pods")).is_ok_and(|pods| pods.count() == 0) {
            drop(self.bed.reset());
        }
    }
}

/// `status` of a condition.
pub(crate) fn condition<'s>(status: &'s Value, kind: &str) -> &'s str {
    let conditions = status["conditions"].as_array().into_iter().flatten();
    let found = conditions.into_iter().find(|condition| condition["type"] == kind);
    found.and_then(|condition| condition["status"].as_str()).unwrap_or_default()
}

/// The status of one container, of whatever kind.
pub(crate) fn container<'s>(status: &'s Value, name: &str) -> &'s Value {
    let lists = ["initContainerStatuses", "containerStatuses"];
    let mut containers = lists.iter().flat_map(|list| status[*list].as_array().into_iter().flatten());
    containers.find(|container| container["name"] == name).unwrap_or(&Value::Null)
}
