//! Making room: which pods of lower priority have to go
//! (<https://kubernetes.io/docs/concepts/scheduling-eviction/pod-priority-preemption/>).

use crate::cluster::{Cluster, Host};
use crate::decide::{Victim, available, histogram};
use crate::filter::{Refusal, filter};
use crate::model::{Importance, Node, Pod};

const UNHELPFUL: &str = "Preemption is not helpful for scheduling";
const NO_VICTIMS: &str = "No preemption victims found for incoming pod";

struct Candidate<'a> {
    node: &'a str,
    /// The most important first.
    victims: Vec<&'a Pod>,
}

/// A node and the fewest, least important pods there whose end makes room. Else why there are none.
pub(crate) fn find(
    cluster: &Cluster,
    pod: &Pod,
    refusals: &[(&Node, &Host, Refusal)],
) -> Result<(String, Vec<Victim>), String> {
    if pod.never_preempts {
        return Err("not eligible due to preemptionPolicy=Never.".to_owned());
    }
    let lower = |other: &&Pod| other.priority < pod.priority;
    if !pod.nominated.is_empty() {
        let waited_for = refusals.iter().find(|(node, _, _)| node.name == pod.nominated);
        let open = waited_for.is_none_or(|(_, _, refusal)| refusal.helped_by_preemption);
        if open && cluster.pods_on(&pod.nominated).any(|other| lower(&other) && other.deleting) {
            return Err("not eligible due to a terminating pod on the nominated node.".to_owned());
        }
    }
    let (mut candidates, mut reasons) = (Vec::new(), Vec::new());
    for (node, host, refusal) in refusals {
        if !refusal.helped_by_preemption {
            reasons.push(UNHELPFUL.to_owned());
            continue;
        }
        match victims(cluster, pod, node, host) {
            Ok(victims) => candidates.push(Candidate { node: &node.name, victims }),
            Err(why) => reasons.extend(why),
        }
    }
    let best = candidates.into_iter().min_by_key(Candidate::cost);
    let best = best.ok_or_else(|| format!("{} {}.", available(refusals.len()), histogram(reasons.iter())))?;
    let victim =
        |pod: &Pod| Victim { namespace: pod.namespace.clone(), name: pod.name.clone(), uid: pod.uid.clone() };
    Ok((best.node.to_owned(), best.victims.into_iter().map(victim).collect()))
}

/// Takes all away, then gives back as many as can stay, the most important first.
fn victims<'a>(
    cluster: &Cluster,
    pod: &Pod,
    node: &Node,
    host: &'a Host,
) -> Result<Vec<&'a Pod>, Vec<String>> {
    let mut lower: Vec<&Pod> = host.pods.values().filter(|other| other.priority < pod.priority).collect();
    if lower.is_empty() {
        return Err(vec![NO_VICTIMS.to_owned()]);
    }
    let mut left = host.clone();
    for other in &lower {
        left.remove(&other.uid);
    }
    filter(cluster, pod, node, &left).map_err(|refusal| refusal.reasons)?;
    lower.sort_by_key(|other| std::cmp::Reverse(other.importance()));
    let mut victims = Vec::new();
    for other in lower {
        left.add(other.clone());
        if filter(cluster, pod, node, &left).is_err() {
            left.remove(&other.uid);
            victims.push(other);
        }
    }
    Ok(victims)
}

impl Candidate<'_> {
    /// The least: whose most important victim is the least important, then whose priorities add up to less, then fewer.
    fn cost(&self) -> (Option<Importance>, i64, usize) {
        let sum = self.victims.iter().map(|victim| i64::from(victim.priority) - i64::from(i32::MIN)).sum();
        (self.victims.first().map(|victim| victim.importance()), sum, self.victims.len())
    }
}
