//! One pending pod: where to, or why not.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::affinity;
use crate::cluster::{Cluster, Host};
use crate::filter::{Refusal, filter};
use crate::model::{Effect, Node, Pod};
use crate::preempt;

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Decision {
    Bind {
        node: String,
    },
    /// Its gates are not open; nothing is said of it.
    Gated,
    Unschedulable {
        message: String,
    },
    /// These make room when they are gone; until then it is as unschedulable.
    Preempt {
        node: String,
        victims: Vec<Victim>,
        message: String,
    },
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Victim {
    pub namespace: String,
    pub name: String,
    pub uid: String,
}

impl Cluster {
    #[must_use]
    pub fn decide(&self, pod: &Pod) -> Decision {
        if !pod.gates.is_empty() {
            return Decision::Gated;
        }
        let hosts: Vec<(&Node, Cow<'_, Host>)> =
            self.hosts().map(|(node, host)| (node, self.expected(pod, node, host))).collect();
        if hosts.is_empty() {
            return Decision::Unschedulable { message: "no nodes available to schedule pods".to_owned() };
        }
        if let Some(lacking) = self.lacking_volume(pod).or_else(|| self.lacking_claim(pod)) {
            let message = format!("{} {lacking}.{}", available(hosts.len()), unhelped(hosts.len()));
            return Decision::Unschedulable { message };
        }
        let mut refusals: Vec<(&Node, &Host, Refusal)> = Vec::new();
        let mut fitting: Vec<(&Node, &Host)> = Vec::new();
        for (node, host) in &hosts {
            match filter(self, pod, node, host) {
                Ok(()) => fitting.push((node, host)),
                Err(refusal) => refusals.push((node, host, refusal)),
            }
        }
        if !fitting.is_empty() && !pod.claims.is_empty() {
            return Decision::Unschedulable { message: unallocated(&fitting, &refusals) };
        }
        let best = fitting.iter().max_by_key(|(node, host)| {
            // Of equals the first by name.
            (score(pod, node, host), std::cmp::Reverse(&node.name))
        });
        match best {
            Some((node, _)) => Decision::Bind { node: node.name.clone() },
            None => self.refuse(pod, &refusals),
        }
    }

    /// The pods of a node, and those of at least this importance that wait for it.
    fn expected<'a>(&self, pod: &Pod, node: &Node, host: &'a Host) -> Cow<'a, Host> {
        let waiting = self.nominated.values().filter(|other| {
            other.nominated == node.name && other.uid != pod.uid && other.priority >= pod.priority
        });
        let mut host = Cow::Borrowed(host);
        waiting.cloned().for_each(|other| host.to_mut().add(other));
        host
    }

    fn refuse(&self, pod: &Pod, refusals: &[(&Node, &Host, Refusal)]) -> Decision {
        let reasons = refusals.iter().flat_map(|(_, _, refusal)| &refusal.reasons);
        let message = format!("{} {}.", available(refusals.len()), histogram(reasons));
        match preempt::find(self, pod, refusals) {
            Ok((node, victims)) => Decision::Preempt { node, victims, message },
            Err(why) => Decision::Unschedulable { message: format!("{message} preemption: {why}") },
        }
    }

    /// Claims that the pod names and that are not there.
    fn lacking_claim(&self, pod: &Pod) -> Option<String> {
        pod.claims.iter().find_map(|claim| match &claim.claim {
            Some(name) if self.claims.contains(&format!("{}/{name}", pod.namespace)) => None,
            Some(name) => Some(format!("resourceclaim \"{name}\" not found")),
            None => Some(format!("pod \"{}/{}\": ResourceClaim not created yet", pod.namespace, pod.name)),
        })
    }
}

/// Nothing here allocates devices.
fn unallocated(fitting: &[(&Node, &Host)], refusals: &[(&Node, &Host, Refusal)]) -> String {
    let count = fitting.len() + refusals.len();
    let lacking = "cannot allocate all claims".to_owned();
    let reasons = refusals.iter().flat_map(|(_, _, refusal)| &refusal.reasons);
    let reasons = histogram(reasons.chain(std::iter::repeat_n(&lacking, fitting.len())));
    format!("{} {reasons}. still not schedulable,{}", available(count), unhelped(count))
}

pub(crate) fn available(nodes: usize) -> String {
    format!("0/{nodes} nodes are available:")
}

fn unhelped(nodes: usize) -> String {
    format!(" preemption: {} {nodes} Preemption is not helpful for scheduling.", available(nodes))
}

/// How often each reason was given, sorted as text.
pub(crate) fn histogram<'a>(reasons: impl Iterator<Item = &'a String>) -> String {
    let mut counts: BTreeMap<&String, usize> = BTreeMap::new();
    for reason in reasons {
        *counts.entry(reason).or_default() += 1;
    }
    let mut lines: Vec<String> =
        counts.into_iter().map(|(reason, count)| format!("{count} {reason}")).collect();
    lines.sort();
    lines.join(", ")
}

/// Higher is better: what the pod prefers, then fewer soft taints, then the node with more room.
fn score(pod: &Pod, node: &Node, host: &Host) -> (i64, std::cmp::Reverse<usize>, u64) {
    let preferred = pod.node_preferences.iter().filter(|(_, term)| affinity::node_matches(term, node));
    let soft = node.taints.iter().filter(|taint| {
        taint.effect == Effect::PreferNoSchedule
            && !pod.tolerations.iter().any(|toleration| toleration.tolerates(taint))
    });
    let room = ["cpu", "memory"].iter().map(|name| {
        let (has, used) = (node.allocatable.amount(name), host.requested.amount(name));
        // In hundredths.
        has.saturating_sub(used).saturating_mul(100) / has.max(1)
    });
    (preferred.map(|(weight, _)| weight).sum(), std::cmp::Reverse(soft.count()), room.sum())
}
