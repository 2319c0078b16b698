//! How long a change of endpoints takes to hold: from the request to the API until a pod's connection through the Service has been
//! answered by the new endpoint. With hardly any Service, and with many that have nothing to do with it.

use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use linux_sys::clock::boot_ns;
use serde_json::{Value, json};

use super::agent::Agent;
use super::cluster::{Cluster, SLICES};
use crate::inside::servers::NAME_PORT;
use crate::report::{Report, Row};
use crate::wait::until;
use crate::workload::Size;
use crate::workload::api::{PODS, ms};

const LIVE_MS_MAX: f64 = 5.0;
const GATE: &str = "bench.example/open";
/// By then an agent that was told to connects again and again.
const BEFORE: Duration = Duration::from_millis(20);

/// Whom the changes are about.
#[derive(Debug)]
pub(super) struct Endpoints<'a> {
    cluster: &'a Cluster<'a>,
    from: Agent,
    /// Agents by their names and addresses, of which one at a time is the endpoint of a slice made by hand.
    by_hand: [(String, String); 2],
    by_hand_address: String,
    /// A pod that is ready when its gate is open.
    gated: String,
    gated_address: String,
}

impl<'a> Endpoints<'a> {
    pub(super) fn new(cluster: &'a Cluster<'a>, from: Agent, by_hand: [(String, String); 2]) -> Result<Self> {
        let gated = "gated";
        let mut pod = cluster.agent_pod(gated, &json!({"app": gated}));
        pod["spec"]["readinessGates"] = json!([{"conditionType": GATE}]);
        cluster.create(PODS, &pod)?;
        cluster.agent(gated)?;
        let by_hand_address = cluster.service("by-hand", &Value::Null, &[NAME_PORT])?;
        let gated_address = cluster.service(gated, &json!({"app": gated}), &[NAME_PORT])?;
        let endpoints =
            Self { cluster, from, by_hand, by_hand_address, gated: gated.to_owned(), gated_address };
        cluster.create(SLICES, &endpoints.slice(0))?;
        Ok(endpoints)
    }

    /// Rows `network.live.slice.NAME` and `network.live.ready.NAME`.
    pub(super) fn measure(&self, name: &str, what: &str, size: Size, report: &mut Report) -> Result<()> {
        let (mut slice, mut ready) = (vec![], vec![]);
        for n in 0..size.changes() {
            let other = (n + 1) % 2;
            let path = format!("{SLICES}/by-hand");
            let took = self.live(&self.by_hand[other].0, &self.by_hand_address, || {
                self.cluster.replace(&path, &self.slice(other))
            })?;
            slice.push(ms(took));
            let took = self.live(&self.gated, &self.gated_address, || self.open(true))?;
            ready.push(ms(took));
            self.open(false)?;
            until("the refusal of a connection to a pod that is not ready", || {
                let [named] = self.from.tell(&format!("refused {}", self.gated_address))?;
                Ok((named > 0.0).then_some(()))
            })?;
        }
        for (kind, title, samples) in
            [("slice", "slice written until it holds", slice), ("ready", "gate opened until it holds", ready)]
        {
            let row = format!("network.live.{kind}.{name}");
            report.add(Row::of(&row, &format!("{title}, {what}"), "ms", samples));
            report.at_most(&row, LIVE_MS_MAX);
        }
        Ok(())
    }

    /// From before the change until the answer.
    fn live(&self, name: &str, address: &str, change: impl FnOnce() -> Result<()>) -> Result<i64> {
        let (from, what) = (self.from.clone(), format!("reach {name} {address}"));
        let reaching = thread::spawn(move || from.tell::<2>(&what));
        thread::sleep(BEFORE);
        let began = boot_ns();
        change()?;
        let [_, answered] = reaching.join().ok().context("an agent was not heard")??;
        #[expect(clippy::cast_possible_truncation, reason = "nanoseconds, below 2^53")]
        Ok(answered as i64 - began)
    }

    fn slice(&self, of: usize) -> Value {
        json!({
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {"name": "by-hand", "labels": {"kubernetes.io/service-name": "by-hand"}},
            "addressType": "IPv4",
            "endpoints": [{"addresses": [self.by_hand[of].1], "conditions": {"ready": true}}],
            "ports": [{"name": format!("p{NAME_PORT}"), "port": NAME_PORT, "protocol": "TCP"}],
        })
    }

    fn open(&self, is_open: bool) -> Result<()> {
        let status = if is_open { "True" } else { "False" };
        let patch = json!({"status": {"conditions": [{"type": GATE, "status": status}]}});
        self.cluster.patch(&format!("{PODS}/{}/status", self.gated), &patch)
    }
}

/// Pods and Services that nobody connects to, until all of them are endpoints.
pub(super) fn crowd(cluster: &Cluster<'_>, pods: usize, services: usize) -> Result<()> {
    for n in 0..services {
        cluster.service(&format!("crowd-{n}"), &json!({"crowd": n.to_string()}), &[NAME_PORT])?;
    }
    for n in 0..pods {
        let name = format!("crowd-{n}");
        let labels = json!({"crowd": (n % services).to_string()});
        cluster.create(PODS, &cluster.agent_pod(&name, &labels))?;
    }
    until("the endpoints of a crowd", || {
        let slices = cluster.list(&format!("{SLICES}?labelSelector=kubernetes.io/service-name"))?;
        let of_crowd = |slice: &&Value| {
            slice["metadata"]["name"].as_str().is_some_and(|name| name.starts_with("crowd-"))
        };
        let ready = slices
            .iter()
            .filter(of_crowd)
            .flat_map(|slice| slice["endpoints"].as_array().into_iter().flatten())
            .filter(|endpoint| endpoint["conditions"]["ready"] == true);
        Ok((ready.count() >= pods).then_some(()))
    })
}
