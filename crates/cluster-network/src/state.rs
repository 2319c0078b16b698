//! What is known of the store, and what has to be told after each change of it. Pure: told and asked by `follow`.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use network::{PodPolicy, PodRules, ServiceName, ServicePort};
use podspec::json::text;
use podspec::{Pod, PodUid};
use serde_json::Value;

use crate::policy::{Namespaces, PodFacts, Policy, labels, policy_of};
use crate::service::{self, SERVICE_NAME};

/// Namespace and name.
type Key = (String, String);

#[derive(Debug)]
pub(crate) struct State {
    node: String,
    /// Where the engine itself is what is a pod elsewhere; policies name it, and none isolates it.
    own: Vec<PodFacts>,
    services: BTreeMap<Key, Value>,
    /// By the Service whose they are.
    slices: BTreeMap<Key, BTreeMap<String, Value>>,
    service_of_slice: BTreeMap<Key, Key>,
    namespaces: Namespaces,
    policies: BTreeMap<Key, Policy>,
    pods: BTreeMap<PodUid, PodFacts>,
    pods_by_name: BTreeMap<Key, PodUid>,
    /// What pods were given by this engine, which the store may not know yet.
    attached: BTreeMap<PodUid, Attached>,
    dirty: Dirty,
    told_services: BTreeMap<Key, Vec<ServicePort>>,
    told_names: BTreeMap<Key, dns::Service>,
    told_pods: BTreeMap<PodUid, PodRules>,
}

#[derive(Debug)]
struct Attached {
    addresses: Vec<IpAddr>,
    /// What was said at its start, until the store knows the addresses: by then it is in force.
    said: Option<PodPolicy>,
}

#[derive(Default, Debug)]
struct Dirty {
    services: BTreeSet<Key>,
    namespaces: BTreeSet<String>,
    pods: BTreeSet<PodUid>,
    /// Of these, what is in force may be older than what was told.
    doubtful: BTreeSet<PodUid>,
    doubtful_services: BTreeSet<Key>,
}

/// One thing to be told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Telling {
    /// With no ports there is nothing of it.
    Service(ServiceName, Vec<ServicePort>),
    Names(ServiceName, Option<dns::Service>),
    Namespace(String, bool),
    Pod(PodRules),
    NoPod(PodUid),
}

/// The kinds that are followed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Kind {
    Namespaces,
    Services,
    Slices,
    Policies,
    Pods,
}

impl Kind {
    pub(crate) fn api(self) -> &'static apiserver::kinds::Kind {
        let (group, plural) = match self {
            Self::Namespaces => ("", "namespaces"),
            Self::Services => ("", "services"),
            Self::Slices => ("discovery.k8s.io", "endpointslices"),
            Self::Policies => ("networking.k8s.io", "networkpolicies"),
            Self::Pods => ("", "pods"),
        };
        apiserver::kinds::Kind::find(group, "v1", plural)
            .expect("the API server has the kinds that are followed")
    }
}

impl State {
    pub(crate) fn new(node: &str, own: Vec<PodFacts>) -> Self {
        Self {
            node: node.to_owned(),
            own,
            services: BTreeMap::new(),
            slices: BTreeMap::new(),
            service_of_slice: BTreeMap::new(),
            namespaces: BTreeMap::new(),
            policies: BTreeMap::new(),
            pods: BTreeMap::new(),
            pods_by_name: BTreeMap::new(),
            attached: BTreeMap::new(),
            dirty: Dirty::default(),
            told_services: BTreeMap::new(),
            told_names: BTreeMap::new(),
            told_pods: BTreeMap::new(),
        }
    }

    /// An object is there, in this form.
    pub(crate) fn present(&mut self, kind: Kind, object: &Value) {
        let key = key_of(object);
        match kind {
            Kind::Namespaces => self.namespace(&key.1, Some(labels(&object["metadata"]))),
            Kind::Services => {
                self.dirty.services.insert(key.clone());
                self.services.insert(key, object.clone());
            }
            Kind::Slices => self.slice(key, Some(object.clone())),
            Kind::Policies => self.policy(key, Some(Policy::from_json(object))),
            Kind::Pods => self.pod_seen(key, object),
        }
    }

    /// An object of this namespace and name is gone.
    pub(crate) fn gone(&mut self, kind: Kind, namespace: &str, name: &str) {
        let key = (namespace.to_owned(), name.to_owned());
        match kind {
            Kind::Namespaces => self.namespace(name, None),
            Kind::Services => {
                self.services.remove(&key);
                self.dirty.services.insert(key);
            }
            Kind::Slices => self.slice(key, None),
            Kind::Policies => self.policy(key, None),
            Kind::Pods => {
                if let Some(uid) = self.pods_by_name.remove(&key) {
                    self.pod_gone(uid);
                }
            }
        }
    }

    /// The objects of a kind that are known.
    pub(crate) fn known(&self, kind: Kind) -> Vec<Key> {
        match kind {
            Kind::Namespaces => self.namespaces.keys().map(|name| (String::new(), name.clone())).collect(),
            Kind::Services => self.services.keys().cloned().collect(),
            Kind::Slices => self.service_of_slice.keys().cloned().collect(),
            Kind::Policies => self.policies.keys().cloned().collect(),
            Kind::Pods => self.pods_by_name.keys().cloned().collect(),
        }
    }

    /// The pod has these addresses from now on; what holds for it.
    pub(crate) fn attach(&mut self, pod: &Pod, addresses: &[IpAddr]) -> PodPolicy {
        let key = (pod.namespace.clone(), pod.name.clone());
        self.pods_by_name.insert(key, pod.uid.clone());
        let facts = PodFacts::of(pod, addresses);
        self.pod(pod.uid.clone(), Some(facts.clone()));
        let policy = self.policy_of(&facts);
        let attached = Attached { addresses: addresses.to_vec(), said: Some(policy.clone()) };
        self.attached.insert(pod.uid.clone(), attached);
        policy
    }

    /// All that has to be told and was not.
    pub(crate) fn tellings(&mut self) -> Vec<Telling> {
        let mut tellings = Vec::new();
        let Dirty { services, namespaces, pods, doubtful, doubtful_services } =
            std::mem::take(&mut self.dirty);
        for name in namespaces {
            let exists = self.namespaces.contains_key(&name);
            tellings.push(Telling::Namespace(name, exists));
        }
        for key in services {
            let is_doubtful = doubtful_services.contains(&key);
            self.tell_service(key, is_doubtful, &mut tellings);
        }
        for uid in pods {
            let is_doubtful = doubtful.contains(&uid);
            self.tell_pod(uid, is_doubtful, &mut tellings);
        }
        tellings
    }

    /// This was told in vain: it is to be told again.
    pub(crate) fn again(&mut self, telling: &Telling) {
        match telling {
            Telling::Service(name, _) => {
                let key = (name.namespace.clone(), name.name.clone());
                self.dirty.doubtful_services.insert(key.clone());
                self.dirty.services.insert(key);
            }
            // Nothing can go wrong there.
            Telling::Names(..) | Telling::Namespace(..) => {}
            Telling::Pod(rules) => {
                self.dirty.doubtful.insert(rules.uid.clone());
                self.dirty.pods.insert(rules.uid.clone());
            }
            Telling::NoPod(uid) => {
                let nothing = PodRules {
                    uid: uid.clone(),
                    addresses: Vec::new(),
                    host_ports: Vec::new(),
                    policy: PodPolicy::default(),
                };
                self.told_pods.insert(uid.clone(), nothing);
                self.dirty.pods.insert(uid.clone());
            }
        }
    }

    /// The object that a telling is about.
    pub(crate) fn service(&self, name: &ServiceName) -> Option<&Value> {
        self.services.get(&(name.namespace.clone(), name.name.clone()))
    }

    fn tell_service(&mut self, key: Key, is_doubtful: bool, tellings: &mut Vec<Telling>) {
        let object = self.services.get(&key);
        let slices: Vec<&Value> = self.slices.get(&key).into_iter().flat_map(BTreeMap::values).collect();
        let ports = object.map(|object| service::ports(object, &slices, &self.node)).unwrap_or_default();
        let names = object.map(|object| service::names(object, &slices));
        let name = ServiceName { namespace: key.0.clone(), name: key.1.clone() };
        if self.told_names.get(&key) != names.as_ref() {
            tellings.push(Telling::Names(name.clone(), names.clone()));
            match names {
                Some(names) => self.told_names.insert(key.clone(), names),
                None => self.told_names.remove(&key),
            };
        }
        if is_doubtful || self.told_services.get(&key).map_or(&[][..], Vec::as_slice) != ports {
            tellings.push(Telling::Service(name, ports.clone()));
            if ports.is_empty() {
                self.told_services.remove(&key);
            } else {
                self.told_services.insert(key, ports);
            }
        }
    }

    fn tell_pod(&mut self, uid: PodUid, is_doubtful: bool, tellings: &mut Vec<Telling>) {
        let facts = self.pods.get(&uid).filter(|facts| !facts.addresses.is_empty());
        let Some(facts) = facts else {
            if self.told_pods.remove(&uid).is_some() {
                tellings.push(Telling::NoPod(uid));
            }
            return;
        };
        let rules = PodRules {
            uid: uid.clone(),
            addresses: facts.addresses.clone(),
            host_ports: facts.host_ports.clone(),
            policy: self.policy_of(facts),
        };
        let needs_none = rules.host_ports.is_empty() && rules.policy == PodPolicy::default();
        match self.told_pods.get(&uid) {
            None if needs_none && !is_doubtful => {}
            Some(told) if *told == rules && !is_doubtful => {}
            _ => {
                tellings.push(Telling::Pod(rules.clone()));
                self.told_pods.insert(uid, rules);
            }
        }
    }

    fn policy_of(&self, pod: &PodFacts) -> PodPolicy {
        let pods: Vec<&PodFacts> = self.pods.values().chain(&self.own).collect();
        policy_of(pod, self.policies.values(), &pods, &self.namespaces)
    }

    fn namespace(&mut self, name: &str, labels: Option<BTreeMap<String, String>>) {
        if self.namespaces.get(name) == labels.as_ref() {
            return;
        }
        let existed = self.namespaces.contains_key(name);
        if existed != labels.is_some() {
            self.dirty.namespaces.insert(name.to_owned());
        }
        match labels {
            Some(labels) => self.namespaces.insert(name.to_owned(), labels),
            None => self.namespaces.remove(name),
        };
        let policies: Vec<Policy> =
            self.policies.values().filter(|policy| policy.names_namespaces()).cloned().collect();
        self.mark_selected(&policies);
    }

    fn slice(&mut self, key: Key, object: Option<Value>) {
        let (namespace, name) = &key;
        if let Some(service) = self.service_of_slice.remove(&key) {
            if let Some(slices) = self.slices.get_mut(&service) {
                slices.remove(name);
                if slices.is_empty() {
                    self.slices.remove(&service);
                }
            }
            self.dirty.services.insert(service);
        }
        let Some(object) = object else { return };
        let service = text(&object["metadata"]["labels"], SERVICE_NAME);
        if service.is_empty() {
            return;
        }
        let service = (namespace.clone(), service.to_owned());
        self.dirty.services.insert(service.clone());
        self.slices.entry(service.clone()).or_default().insert(name.clone(), object);
        self.service_of_slice.insert(key, service);
    }

    fn policy(&mut self, key: Key, policy: Option<Policy>) {
        if self.policies.get(&key) == policy.as_ref() {
            return;
        }
        let mut concerned: Vec<Policy> = policy.iter().cloned().collect();
        let before = match policy {
            Some(policy) => self.policies.insert(key, policy),
            None => self.policies.remove(&key),
        };
        concerned.extend(before);
        self.mark_selected(&concerned);
    }

    fn pod_seen(&mut self, key: Key, object: &Value) {
        let uid = PodUid::new(text(&object["metadata"], "uid"));
        if let Some(before) = self.pods_by_name.insert(key, uid.clone())
            && before != uid
        {
            self.pod_gone(before);
        }
        let mut facts = PodFacts::from_json(object);
        if apiserver::objects::pod_is_over(object) {
            self.attached.remove(&uid);
        }
        let mut said = None;
        if let Some(attached) = self.attached.get_mut(&uid) {
            if facts.addresses == attached.addresses {
                said = attached.said.take();
            }
            facts.addresses.clone_from(&attached.addresses);
        }
        // Policies may have changed between the question and the moment at which the answer was in force.
        if said.is_some_and(|said| said != self.policy_of(&facts)) {
            self.dirty.pods.insert(uid.clone());
            self.dirty.doubtful.insert(uid.clone());
        }
        self.pod(uid, Some(facts));
    }

    fn pod_gone(&mut self, uid: PodUid) {
        self.attached.remove(&uid);
        self.pod(uid, None);
    }

    /// Marks the pod, and those whose policies name it as it was or as it is.
    fn pod(&mut self, uid: PodUid, facts: Option<PodFacts>) {
        if self.pods.get(&uid) == facts.as_ref() {
            return;
        }
        let before = match facts {
            Some(facts) => self.pods.insert(uid.clone(), facts),
            None => self.pods.remove(&uid),
        };
        let forms: Vec<&PodFacts> = before.iter().chain(self.pods.get(&uid)).collect();
        let names = |policy: &&Policy| forms.iter().any(|pod| policy.names(pod, &self.namespaces));
        let policies: Vec<Policy> = self.policies.values().filter(names).cloned().collect();
        self.mark_selected(&policies);
        self.dirty.pods.insert(uid);
    }

    fn mark_selected(&mut self, policies: &[Policy]) {
        let is_selected = |pod: &PodFacts| policies.iter().any(|policy| policy.selects(pod));
        let selected = self.pods.iter().filter(|(_, pod)| is_selected(pod)).map(|(uid, _)| uid.clone());
        self.dirty.pods.extend(selected);
    }
}

fn key_of(object: &Value) -> Key {
    let metadata = &object["metadata"];
    (text(metadata, "namespace").to_owned(), text(metadata, "name").to_owned())
}
