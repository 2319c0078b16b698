//! Limits of everything in a namespace together
//! (<https://kubernetes.io/docs/concepts/policy/resource-quotas/>).

use std::collections::{BTreeMap, BTreeSet};

use apimachinery::Status;
use podspec::json::{fields, integer, list, text};
use podspec::quantity::Quantity;
use serde_json::Value;
use store::Tx;

use super::limit_range::{add, total};
use super::{refuse, view};
use crate::kinds::Kind;
use crate::objects::pod_is_over;
use crate::request::Attributes;
use crate::rules::{is_type, parsed, qos_class, takes_node_ports};

type Amounts = BTreeMap<String, Quantity>;

/// What has to be asked for where a quota is about it, by each container.
const ASKED_FOR: [&str; 6] =
    ["cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory"];
/// Kinds that have a name of their own in quotas, beside `count/PLURAL`.
const NAMED: [&str; 7] = [
    "configmaps",
    "persistentvolumeclaims",
    "pods",
    "replicationcontrollers",
    "resourcequotas",
    "secrets",
    "services",
];

/// Of an object that takes the place of `old`, what it takes more counts.
pub(super) fn admit(
    attributes: &Attributes<'_>,
    view: &Tx<'_>,
    object: &Value,
    old: Option<&Value>,
) -> Result<(), Status> {
    let held = old.map(|old| usage(attributes.kind, old)).unwrap_or_default();
    if !attributes.kind.namespaced || attributes.kind.kind == "Event" {
        return Ok(());
    }
    let quotas = view::list(view, "", "resourcequotas", Some(attributes.namespace));
    for quota in quotas {
        let hard = parsed(&quota["spec"]["hard"]);
        if !matches(&quota["spec"], attributes.kind, object) {
            continue;
        }
        let name = text(&quota["metadata"], "name");
        if attributes.kind.kind == "Pod" {
            asks(&hard, &object["spec"])
                .map_err(|why| refuse(attributes, object, &format!("failed quota: {name}: {why}")))?;
        }
        let asked = usage(attributes.kind, object).into_iter().filter(|(name, _)| hard.contains_key(name));
        let more = |(name, asked): (String, Quantity)| {
            let held = held.get(&name).copied();
            let more = held.map_or(Some(asked), |held| (asked > held).then(|| asked.minus(held)));
            more.map(|more| (name, more))
        };
        let asked: Amounts = asked.filter_map(more).collect();
        if asked.is_empty() {
            continue;
        }
        let own = text(&object["metadata"], "name");
        let all = view::list(view, attributes.kind.group, attributes.kind.plural, Some(attributes.namespace));
        let counted = all.iter().filter(|other| old.is_some() || text(&other["metadata"], "name") != own);
        let used = used_of_kind(&quota["spec"], attributes.kind, counted);
        let zero = Quantity::from_units(0);
        let over = |name: &&String| {
            let (asked, used) = (asked[*name], used.get(*name).copied().unwrap_or(zero));
            !asked.is_zero() && used.plus(asked) > hard[*name]
        };
        let exceeded: Vec<&String> = asked.keys().filter(over).collect();
        if !exceeded.is_empty() {
            let shown = |amounts: &Amounts| {
                let amount =
                    |name: &&String| format!("{name}={}", amounts.get(*name).copied().unwrap_or(zero));
                exceeded.iter().map(amount).collect::<Vec<_>>().join(",")
            };
            let (asked, used, limited) = (shown(&asked), shown(&used), shown(&hard));
            let why = format!("exceeded quota: {name}, requested: {asked}, used: {used}, limited: {limited}");
            return Err(refuse(attributes, object, &why));
        }
    }
    Ok(())
}

/// What objects of a kind use of a quota.
pub(crate) fn used_of_kind<'a>(
    spec: &Value,
    kind: &Kind,
    objects: impl Iterator<Item = &'a Value>,
) -> Amounts {
    let mut sum = Amounts::new();
    for object in objects.filter(|object| matches(spec, kind, object)) {
        add(&mut sum, &usage(kind, object));
    }
    sum
}

/// Kinds that a quota with these limits counts.
pub(crate) fn counted_kinds(hard: &Value) -> Vec<&'static Kind> {
    let names: BTreeSet<&str> = fields(hard).keys().map(String::as_str).collect();
    let counted = |kind: &&Kind| {
        let of_pods = kind.kind == "Pod" && names.iter().any(|name| !name.starts_with("count/"));
        kind.namespaced
            && kind.is_stored()
            && (of_pods
                || kind.kind == "Service" && names.iter().any(|name| name.starts_with("services."))
                || kind.kind == "PersistentVolumeClaim" && names.contains("requests.storage")
                || names.contains(kind.plural)
                || names.contains(format!("count/{}", kind.qualified()).as_str()))
    };
    Kind::all().iter().filter(counted).collect()
}

/// What one object uses, under every name that a quota may have for it.
fn usage(kind: &Kind, object: &Value) -> Amounts {
    let one = Quantity::from_units(1);
    let mut usage = Amounts::from([(format!("count/{}", kind.qualified()), one)]);
    if kind.kind == "Pod" {
        // A pod that is over takes nothing but its place in the store.
        if pod_is_over(object) {
            return usage;
        }
        let mut requests = total(&object["spec"], "requests");
        add(&mut requests, &parsed(&object["spec"]["overhead"]));
        for (name, amount) in requests {
            usage.insert(format!("requests.{name}"), amount);
            if ["cpu", "memory", "ephemeral-storage"].contains(&name.as_str()) {
                usage.insert(name, amount);
            }
        }
        for (name, amount) in total(&object["spec"], "limits") {
            usage.insert(format!("limits.{name}"), amount);
        }
    }
    if kind.kind == "PersistentVolumeClaim" {
        let storage = parsed(&object["spec"]["resources"]["requests"]).remove("storage");
        usage.extend(storage.map(|amount| ("requests.storage".to_owned(), amount)));
    }
    if kind.kind == "Service" {
        usage.extend(of_service(object));
    }
    if kind.group.is_empty() && NAMED.contains(&kind.plural) {
        usage.insert(kind.plural.to_owned(), one);
    }
    usage
}

/// What is counted of a service beside itself.
fn of_service(service: &Value) -> Amounts {
    let count = |number: usize| Quantity::from_units(number as u64);
    let balanced = is_type(service, "LoadBalancer");
    let exposed = takes_node_ports(service);
    let ports = if exposed { list(&service["spec"], "ports").len() } else { 0 };
    Amounts::from([
        ("services.nodeports".to_owned(), count(ports)),
        ("services.loadbalancers".to_owned(), count(usize::from(balanced))),
    ])
}

/// Whether the scopes of a quota include an object. Scopes are about pods alone.
fn matches(spec: &Value, kind: &Kind, object: &Value) -> bool {
    let scopes: Vec<&str> = list(spec, "scopes").iter().filter_map(Value::as_str).collect();
    let selectors = list(&spec["scopeSelector"], "matchExpressions");
    if scopes.is_empty() && selectors.is_empty() {
        return true;
    }
    kind.kind == "Pod"
        && scopes.iter().all(|scope| in_scope(scope, object))
        && selectors.iter().all(|selector| {
            let (scope, operator) = (text(selector, "scopeName"), text(selector, "operator"));
            let class = text(&object["spec"], "priorityClassName");
            let listed = list(selector, "values").iter().any(|value| value == class);
            match (scope, operator) {
                ("PriorityClass", "In") => listed,
                ("PriorityClass", "NotIn") => !listed,
                ("PriorityClass", "DoesNotExist") => class.is_empty(),
                (scope, _) => in_scope(scope, object),
            }
        })
}

fn in_scope(scope: &str, pod: &Value) -> bool {
    let spec = &pod["spec"];
    let terminating = integer(spec, "activeDeadlineSeconds").is_some_and(|seconds| seconds >= 0);
    let best_effort = qos_class(spec) == "BestEffort";
    match scope {
        "Terminating" => terminating,
        "NotTerminating" => !terminating,
        "BestEffort" => best_effort,
        "NotBestEffort" => !best_effort,
        "PriorityClass" => !text(spec, "priorityClassName").is_empty(),
        _ => false,
    }
}

/// Where cpu or memory is limited, each container has to say what it needs, or the pod anything of what it does.
fn asks(hard: &Amounts, spec: &Value) -> Result<(), String> {
    let of_pod =
        |kind: &&str| ["cpu", "memory"].iter().any(|name| spec["resources"][*kind].get(name).is_some());
    if ["requests", "limits"].iter().any(of_pod) {
        return Ok(());
    }
    let mut lacking: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for container in ["containers", "initContainers"].iter().flat_map(|section| list(spec, section)) {
        for asked in ASKED_FOR.iter().filter(|asked| hard.contains_key(**asked)) {
            let (kind, name) = match asked.split_once('.') {
                Some((kind, name)) => (kind, name),
                None => ("requests", *asked),
            };
            if container["resources"][kind].get(name).is_none() {
                lacking.entry(asked).or_default().insert(text(container, "name"));
            }
        }
    }
    if lacking.is_empty() {
        return Ok(());
    }
    let line = |(asked, names): (&&str, &BTreeSet<&str>)| {
        format!("{asked} for: {}", names.iter().copied().collect::<Vec<_>>().join(","))
    };
    Err(format!("must specify {}", lacking.iter().map(line).collect::<Vec<_>>().join("; ")))
}
