//! Nodes and pods from their JSON.

use std::collections::BTreeMap;

use podspec::json::{fields, flag, integer, list, object, text};
use podspec::quantity::Quantity;
use serde_json::Value;

use crate::model::{
    Claim, Effect, HostPort, LabelSelector, Match, Node, NodeTerm, Operator, Pod, PodAffinity,
    PodAffinityTerm, Requests, Spread, Taint, Toleration,
};
use crate::volumes::ClaimUse;

#[must_use]
pub fn node_from_json(node: &Value) -> Node {
    let spec = &node["spec"];
    let taint = |taint: &Value| {
        let effect = effect(text(taint, "effect"))?;
        Some(Taint { key: text(taint, "key").to_owned(), value: text(taint, "value").to_owned(), effect })
    };
    let status = &node["status"];
    let has = if status.get("allocatable").is_some() { "allocatable" } else { "capacity" };
    Node {
        name: text(&node["metadata"], "name").to_owned(),
        labels: texts(&node["metadata"]["labels"]),
        unschedulable: flag(spec, "unschedulable"),
        taints: list(spec, "taints").iter().filter_map(taint).collect(),
        allocatable: amounts(&status[has]),
    }
}

/// `started` orders pods by age: the start time as text's place in time is the caller's, in nanoseconds.
#[must_use]
pub fn pod_from_json(pod: &Value, started: i64) -> Pod {
    let (metadata, spec, status) = (&pod["metadata"], &pod["spec"], &pod["status"]);
    let node_affinity = &spec["affinity"]["nodeAffinity"];
    let required = &node_affinity["requiredDuringSchedulingIgnoredDuringExecution"];
    let preferred = list(node_affinity, "preferredDuringSchedulingIgnoredDuringExecution").iter();
    let preference = |term: &Value| (integer(term, "weight").unwrap_or(0), node_term(&term["preference"]));
    let claim = |claim: &Value| {
        let named = text(claim, "resourceClaimName");
        let claim = text(claim, "name").to_owned();
        Claim { entry: claim, claim: (!named.is_empty()).then(|| named.to_owned()) }
    };
    let terms = |kind: &str| {
        list(&spec["affinity"][kind], "requiredDuringSchedulingIgnoredDuringExecution")
            .iter()
            .map(affinity_term)
            .collect()
    };
    Pod {
        namespace: text(metadata, "namespace").to_owned(),
        name: text(metadata, "name").to_owned(),
        uid: text(metadata, "uid").to_owned(),
        node: text(spec, "nodeName").to_owned(),
        nominated: text(status, "nominatedNodeName").to_owned(),
        priority: integer(spec, "priority").and_then(|priority| i32::try_from(priority).ok()).unwrap_or(0),
        never_preempts: text(spec, "preemptionPolicy") == "Never",
        node_selector: texts(&spec["nodeSelector"]),
        node_terms: required
            .is_object()
            .then(|| list(required, "nodeSelectorTerms").iter().map(node_term).collect()),
        node_preferences: preferred.map(preference).collect(),
        affinity: PodAffinity { with: terms("podAffinity"), apart: terms("podAntiAffinity") },
        spread: list(spec, "topologySpreadConstraints").iter().filter_map(spread).collect(),
        tolerations: list(spec, "tolerations").iter().map(toleration).collect(),
        requests: taken(spec, status),
        ports: ports(spec),
        gates: list(spec, "schedulingGates").iter().map(|gate| text(gate, "name").to_owned()).collect(),
        claims: list(spec, "resourceClaims").iter().map(claim).collect(),
        volume_claims: list(spec, "volumes")
            .iter()
            .filter_map(|volume| claim_use(text(metadata, "name"), volume))
            .collect(),
        started,
        deleting: metadata.get("deletionTimestamp").is_some_and(|time| !time.is_null()),
        finished: ["Succeeded", "Failed"].contains(&text(status, "phase")),
        labels: texts(&metadata["labels"]),
    }
}

/// What a volume of a pod claims.
#[must_use]
pub fn claim_use(pod_name: &str, volume: &Value) -> Option<ClaimUse> {
    if volume["ephemeral"].is_object() {
        let claim = podspec::claim_of_ephemeral(pod_name, text(volume, "name"));
        return Some(ClaimUse { claim, ephemeral: true });
    }
    let claim = Some(text(&volume["persistentVolumeClaim"], "claimName")).filter(|name| !name.is_empty())?;
    Some(ClaimUse { claim: claim.to_owned(), ephemeral: false })
}

/// `nodeSelectorTerms`
#[must_use]
pub fn node_terms_from_json(terms: &Value) -> Vec<NodeTerm> {
    terms.as_array().into_iter().flatten().map(node_term).collect()
}

/// What a pod takes: containers and sidecars together, or an init container with the sidecars before it where that is
/// more; what the pod as a whole asks for counts instead; and the overhead of its runtime.
#[must_use]
pub fn requests_from_json(spec: &Value) -> Requests {
    sum(spec, |_, resources| amounts(&resources["requests"]))
}

/// As [`requests_from_json`], of a pod that may be about to have other resources: the most of what it wants, has been
/// granted and has been given, but for what it wants in vain.
fn taken(spec: &Value, status: &Value) -> Requests {
    let pending = list(status, "conditions").iter().find(|held| text(held, "type") == "PodResizePending");
    let in_vain = pending.is_some_and(|pending| text(pending, "reason") == "Infeasible");
    let of_container = |name: &str| {
        let statuses = ["containerStatuses", "initContainerStatuses"];
        let mut statuses = statuses.iter().flat_map(|section| list(status, section));
        statuses.find(|status| text(status, "name") == name)
    };
    sum(spec, |container, resources| {
        let wanted = amounts(&resources["requests"]);
        // Of the pod itself where no container is named.
        let status = container.map_or(Some(status), of_container);
        let Some(status) = status.filter(|status| status["resources"].is_object()) else { return wanted };
        let mut taken = amounts(&status["resources"]["requests"]);
        taken.raise(&amounts(&status["allocatedResources"]));
        // Of the pod itself its containers' sum is shown, too.
        taken.0.retain(|name, _| container.is_some() || wanted.0.contains_key(name));
        if !in_vain {
            taken.raise(&wanted);
        }
        taken
    })
}

/// `of` says what a container asks for, by its name and `resources`, or the pod as a whole.
fn sum(spec: &Value, of: impl Fn(Option<&str>, &Value) -> Requests) -> Requests {
    let asked = |container: &Value| of(Some(text(container, "name")), &container["resources"]);
    let (mut sidecars, mut largest) = (Requests::default(), Requests::default());
    for container in list(spec, "initContainers") {
        let mut here = asked(container);
        here.add(&sidecars);
        largest.raise(&here);
        if text(container, "restartPolicy") == "Always" {
            sidecars = here;
        }
    }
    let mut sum = sidecars;
    list(spec, "containers").iter().for_each(|container| sum.add(&asked(container)));
    sum.raise(&largest);
    sum.0.extend(of(None, &spec["resources"]).0);
    sum.add(&amounts(&spec["overhead"]));
    sum
}

fn amounts(quantities: &Value) -> Requests {
    let amount = |(name, value): (&String, &Value)| {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let quantity = Quantity::parse(&text).ok()?;
        let amount = if name == "cpu" { quantity.to_milli() } else { quantity.to_units() };
        Some((name.clone(), amount))
    };
    Requests(fields(quantities).iter().filter_map(amount).collect())
}

fn ports(spec: &Value) -> Vec<HostPort> {
    let sidecars = list(spec, "initContainers").iter().filter(|init| text(init, "restartPolicy") == "Always");
    let containers = sidecars.chain(list(spec, "containers"));
    let port = |port: &Value| {
        let number = integer(port, "hostPort").filter(|number| *number > 0)?;
        let protocol = match text(port, "protocol") {
            "" => "TCP",
            other => other,
        };
        Some(HostPort { ip: text(port, "hostIP").to_owned(), protocol: protocol.to_owned(), port: number })
    };
    containers.flat_map(|container| list(container, "ports")).filter_map(port).collect()
}

fn toleration(toleration: &Value) -> Toleration {
    let exists = text(toleration, "operator") == "Exists";
    Toleration {
        key: text(toleration, "key").to_owned(),
        value: (!exists).then(|| text(toleration, "value").to_owned()),
        effect: effect(text(toleration, "effect")),
        seconds: integer(toleration, "tolerationSeconds"),
    }
}

fn effect(effect: &str) -> Option<Effect> {
    match effect {
        "NoSchedule" => Some(Effect::NoSchedule),
        "PreferNoSchedule" => Some(Effect::PreferNoSchedule),
        "NoExecute" => Some(Effect::NoExecute),
        _ => None,
    }
}

fn node_term(term: &Value) -> NodeTerm {
    let expressions = |name| list(term, name).iter().filter_map(expression).collect();
    NodeTerm { labels: expressions("matchExpressions"), name: expressions("matchFields") }
}

fn expression(expression: &Value) -> Option<Match> {
    let operator = match text(expression, "operator") {
        "In" => Operator::In,
        "NotIn" => Operator::NotIn,
        "Exists" => Operator::Exists,
        "DoesNotExist" => Operator::DoesNotExist,
        "Gt" => Operator::Gt,
        "Lt" => Operator::Lt,
        _ => return None,
    };
    let values = list(expression, "values").iter().filter_map(Value::as_str).map(str::to_owned).collect();
    Some(Match { key: text(expression, "key").to_owned(), operator, values })
}

/// `matchLabelKeys` and `mismatchLabelKeys` are in the selector, since the pod was created.
fn affinity_term(term: &Value) -> PodAffinityTerm {
    let names: Vec<String> =
        list(term, "namespaces").iter().filter_map(Value::as_str).map(str::to_owned).collect();
    // An empty selector of namespaces selects all of them.
    let every = term
        .get("namespaceSelector")
        .is_some_and(|selector| fields(selector).is_empty() && selector.is_object());
    PodAffinityTerm {
        selector: object(term, "labelSelector").map(label_selector),
        namespaces: (!every).then_some(names),
        topology_key: text(term, "topologyKey").to_owned(),
    }
}

fn spread(constraint: &Value) -> Option<Spread> {
    if text(constraint, "whenUnsatisfiable") != "DoNotSchedule" {
        return None;
    }
    Some(Spread {
        max_skew: integer(constraint, "maxSkew").and_then(|skew| u64::try_from(skew).ok()).unwrap_or(1),
        topology_key: text(constraint, "topologyKey").to_owned(),
        selector: object(constraint, "labelSelector").map(label_selector),
        min_domains: integer(constraint, "minDomains")
            .and_then(|count| usize::try_from(count).ok())
            .unwrap_or(1),
        honors_affinity: text(constraint, "nodeAffinityPolicy") != "Ignore",
        honors_taints: text(constraint, "nodeTaintsPolicy") == "Honor",
    })
}

fn label_selector(selector: &Value) -> LabelSelector {
    let equal = fields(&selector["matchLabels"]).iter().map(|(key, value)| Match {
        key: key.clone(),
        operator: Operator::In,
        values: vec![value.as_str().unwrap_or("").to_owned()],
    });
    LabelSelector(equal.chain(list(selector, "matchExpressions").iter().filter_map(expression)).collect())
}

fn texts(map: &Value) -> BTreeMap<String, String> {
    let entries = fields(map).iter();
    entries.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}
