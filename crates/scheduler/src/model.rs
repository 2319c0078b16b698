//! Nodes and pods, as far as the choice of a node depends on them.

use std::collections::BTreeMap;

use crate::volumes::ClaimUse;

/// Amounts by name: `cpu` in thousandths, all others in whole units.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Requests(pub BTreeMap<String, u64>);

impl Requests {
    #[must_use]
    pub fn amount(&self, name: &str) -> u64 {
        self.0.get(name).copied().unwrap_or(0)
    }

    pub fn add(&mut self, other: &Self) {
        for (name, amount) in &other.0 {
            let sum = self.0.entry(name.clone()).or_default();
            *sum = sum.saturating_add(*amount);
        }
    }

    pub(crate) fn subtract(&mut self, other: &Self) {
        for (name, amount) in &other.0 {
            let rest = self.0.entry(name.clone()).or_default();
            *rest = rest.saturating_sub(*amount);
        }
    }

    /// The larger of both, for each name.
    pub(crate) fn raise(&mut self, other: &Self) {
        for (name, amount) in &other.0 {
            let larger = self.0.entry(name.clone()).or_default();
            *larger = (*larger).max(*amount);
        }
    }
}

#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Node {
    pub name: String,
    pub labels: BTreeMap<String, String>,
    pub unschedulable: bool,
    pub taints: Vec<Taint>,
    pub allocatable: Requests,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Taint {
    pub key: String,
    pub value: String,
    pub effect: Effect,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Effect {
    NoSchedule,
    PreferNoSchedule,
    NoExecute,
}

/// Empty `key`: every taint. No `effect`: every effect.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Toleration {
    pub key: String,
    /// `None`: any value (`Exists`).
    pub value: Option<String>,
    pub effect: Option<Effect>,
    /// How long a NoExecute taint is tolerated; `None`: for ever.
    pub seconds: Option<i64>,
}

impl Toleration {
    #[must_use]
    pub fn tolerates(&self, taint: &Taint) -> bool {
        self.effect.is_none_or(|effect| effect == taint.effect)
            && (self.key.is_empty() || self.key == taint.key)
            && self.value.as_ref().is_none_or(|value| *value == taint.value)
    }
}

#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Pod {
    pub namespace: String,
    pub name: String,
    pub uid: String,
    pub labels: BTreeMap<String, String>,
    /// Where it is, or is to be; empty while it is pending.
    pub node: String,
    /// `status.nominatedNodeName`.
    pub nominated: String,
    pub priority: i32,
    /// `preemptionPolicy: Never`.
    pub never_preempts: bool,
    pub node_selector: BTreeMap<String, String>,
    /// Required node affinity: one of these has to match. `None`: there is none.
    pub node_terms: Option<Vec<NodeTerm>>,
    /// Preferred node affinity: weight and term.
    pub node_preferences: Vec<(i64, NodeTerm)>,
    pub affinity: PodAffinity,
    pub spread: Vec<Spread>,
    pub tolerations: Vec<Toleration>,
    pub requests: Requests,
    pub ports: Vec<HostPort>,
    pub gates: Vec<String>,
    pub claims: Vec<Claim>,
    pub volume_claims: Vec<ClaimUse>,
    /// Smaller: earlier. From the start time, or the creation.
    pub started: i64,
    pub deleting: bool,
    /// Succeeded or Failed: it takes nothing any more.
    pub finished: bool,
}

impl Pod {
    #[must_use]
    pub fn importance(&self) -> Importance {
        Importance { priority: self.priority, later: std::cmp::Reverse(self.started) }
    }
}

/// The larger, the more important: by priority, then by age.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Importance {
    priority: i32,
    later: std::cmp::Reverse<i64>,
}

/// All of them have to match; a term without any matches nothing.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct NodeTerm {
    pub labels: Vec<Match>,
    /// On `metadata.name`.
    pub name: Vec<Match>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Match {
    pub key: String,
    pub operator: Operator,
    pub values: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Operator {
    In,
    NotIn,
    Exists,
    DoesNotExist,
    Gt,
    Lt,
}

impl Match {
    #[must_use]
    pub fn matches(&self, value: Option<&str>) -> bool {
        let listed = || value.is_some_and(|value| self.values.iter().any(|held| held == value));
        let compared = || {
            let (value, held) = (value?.parse::<i64>().ok()?, self.values.first()?.parse::<i64>().ok()?);
            Some(value.cmp(&held))
        };
        match self.operator {
            Operator::In => listed(),
            Operator::NotIn => !listed(),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
            Operator::Gt => compared() == Some(std::cmp::Ordering::Greater),
            Operator::Lt => compared() == Some(std::cmp::Ordering::Less),
        }
    }
}

/// All of them have to match.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct LabelSelector(pub Vec<Match>);

impl LabelSelector {
    #[must_use]
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.0.iter().all(|held| held.matches(labels.get(&held.key).map(String::as_str)))
    }
}

/// What a pod requires of the pods around it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PodAffinity {
    pub with: Vec<PodAffinityTerm>,
    pub apart: Vec<PodAffinityTerm>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PodAffinityTerm {
    /// `None`: no pod.
    pub selector: Option<LabelSelector>,
    /// `None`: every namespace.
    pub namespaces: Option<Vec<String>>,
    pub topology_key: String,
}

/// A topology spread constraint that forbids (`DoNotSchedule`).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Spread {
    pub max_skew: u64,
    pub topology_key: String,
    /// `None`: no pod.
    pub selector: Option<LabelSelector>,
    /// With fewer domains there might be one without any of the pods.
    pub min_domains: usize,
    /// Nodes count that the pod's own selector and affinity allow, not all.
    pub honors_affinity: bool,
    /// Nodes count whose taints the pod tolerates, not all.
    pub honors_taints: bool,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct HostPort {
    /// Empty or 0.0.0.0: every address.
    pub ip: String,
    pub protocol: String,
    pub port: i64,
}

impl HostPort {
    #[must_use]
    pub fn conflicts(&self, other: &Self) -> bool {
        let every = |ip: &str| ip.is_empty() || ip == "0.0.0.0";
        self.port == other.port
            && self.protocol == other.protocol
            && (self.ip == other.ip || every(&self.ip) || every(&other.ip))
    }
}

/// A claim on devices. Nothing here allocates them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Claim {
    /// Of the entry in `spec.resourceClaims`.
    pub entry: String,
    /// The ResourceClaim, when the pod names one; else a template makes it.
    pub claim: Option<String>,
}
