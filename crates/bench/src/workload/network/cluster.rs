//! One `monopod serve` whose pods are agents, and what is asked of it.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::agent::Agent;
use crate::bed::Bed;
use crate::pod::{self, EXCHANGE};
use crate::wait::until;
use crate::workload::api::{Client, JSON, PODS};
use crate::workload::daemon::Daemon;
use crate::workload::pods::{end_with_pods, ranges};

const STRATEGIC_MERGE: &str = "application/strategic-merge-patch+json";
pub(super) const SERVICES: &str = "/api/v1/namespaces/default/services";
pub(super) const SLICES: &str = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices";

#[derive(Debug)]
pub(super) struct Cluster<'a> {
    pub(super) bed: &'a Bed,
    pub(super) daemon: Daemon,
    tokio: Runtime,
    client: Client,
}

impl<'a> Cluster<'a> {
    pub(super) fn start(bed: &'a Bed) -> Result<Self> {
        let root = bed.new_cold_root()?;
        let ranges = ranges(&root)?;
        Self::start_with(bed, &root, &ranges.each_ref().map(String::as_str))
    }

    pub(super) fn start_without_network(bed: &'a Bed) -> Result<Self> {
        Self::start_with(bed, &bed.new_cold_root()?, &["--no-pod-network"])
    }

    fn start_with(bed: &'a Bed, root: &Path, args: &[&str]) -> Result<Self> {
        let tokio = Runtime::new()?;
        let daemon = Daemon::start_with(bed, root, args)?;
        let client = tokio.block_on(Client::connect(&daemon.socket))?;
        Ok(Self { bed, daemon, tokio, client })
    }

    /// With its pods, which would be there beside what is measured next.
    pub(super) fn stop(self) -> Result<()> {
        drop(self.client);
        end_with_pods(self.daemon)
    }

    /// The object as it was made.
    pub(super) fn create(&self, path: &str, object: &Value) -> Result<Value> {
        let bytes = self.tokio.block_on(self.client.create(path, object))?;
        Ok(serde_json::from_slice(&bytes)?)
    }

    pub(super) fn list(&self, path: &str) -> Result<Vec<Value>> {
        let mut list: Value = serde_json::from_slice(&self.tokio.block_on(self.client.get(path, JSON))?)?;
        match list["items"].take() {
            Value::Array(items) => Ok(items),
            other => bail!("{path} is no list, it has {other}"),
        }
    }

    pub(super) fn replace(&self, path: &str, object: &Value) -> Result<()> {
        self.ask(Method::PUT, path, JSON, object)
    }

    pub(super) fn patch(&self, path: &str, patch: &Value) -> Result<()> {
        self.ask(Method::PATCH, path, STRATEGIC_MERGE, patch)
    }

    fn ask(&self, method: Method, path: &str, content: &str, body: &Value) -> Result<()> {
        let asked = self.client.ask_with(method, path, JSON, content, body.to_string().into_bytes());
        let answer = self.tokio.block_on(asked)?;
        ensure!(answer.status() == StatusCode::OK, "{path} was answered with {}", answer.status());
        Ok(())
    }

    /// Deletes the pod at once, and waits until it is gone.
    pub(super) fn delete_pod(&self, name: &str) -> Result<()> {
        let options = json!({"apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0});
        let path = format!("{PODS}/{name}");
        self.ask(Method::DELETE, &path, JSON, &options)?;
        until(&format!("the end of {name}"), || {
            let answer = self.tokio.block_on(self.client.ask(Method::GET, &path, JSON, Vec::new()))?;
            Ok((answer.status() == StatusCode::NOT_FOUND).then_some(()))
        })
    }

    /// A pod that is an agent, as it is to be made, with nothing promised of the processors.
    pub(super) fn agent_pod(&self, name: &str, labels: &Value) -> Value {
        let container = [("agent", vec!["agent", name, EXCHANGE])];
        let exchange = self.bed.exchange();
        let mut pod = pod::manifest(name, &self.bed.program(), Some(&exchange), &container);
        pod["metadata"]["labels"] = labels.clone();
        // None of them has to wait for room on the node.
        pod["spec"]["containers"][0]["resources"] = json!({});
        pod
    }

    /// The agent of a pod that was made, once it can be told what to do, and its address.
    pub(super) fn agent(&self, name: &str) -> Result<(Agent, String)> {
        let agent = Agent::new(&self.bed.exchange(), name);
        agent.wait()?;
        let path = format!("{PODS}/{name}");
        let address = until(&format!("the address of {name}"), || {
            let pod: Value = serde_json::from_slice(&self.tokio.block_on(self.client.get(&path, JSON))?)?;
            Ok(pod["status"]["podIP"].as_str().map(str::to_owned))
        })?;
        Ok((agent, address))
    }

    /// A Service with a port for each given one, and its address.
    pub(super) fn service(&self, name: &str, selector: &Value, ports: &[u16]) -> Result<String> {
        let ports: Vec<Value> =
            ports.iter().map(|port| json!({"name": format!("p{port}"), "port": port})).collect();
        let service = json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name},
            "spec": {"selector": selector, "ports": ports},
        });
        let made = self.create(SERVICES, &service)?;
        let address = made["spec"]["clusterIP"].as_str().context("a Service without an address")?;
        Ok(address.to_owned())
    }
}
