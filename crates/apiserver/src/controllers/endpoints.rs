//! Where Services lead: EndpointSlices and Endpoints of the pods that a Service selects, and slices that mirror the
//! Endpoints that somebody else keeps
//! (<https://kubernetes.io/docs/concepts/services-networking/endpoint-slices/>).
//!
//! What a Service leads to is written at once, in one write: whoever follows one of both kinds is not behind who
//! follows the other. A change of a pod concerns the Services that select it, or did.

mod mirror;
mod pods;
mod reconcile;
mod slices;
mod subsets;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use apimachinery::Status;
use podspec::json::{fields, list, text};
use serde_json::Value;
use store::{Object, ObjectKey, Store, Tx};
use tokio::task::JoinSet;

use self::pods::Endpoint;
use self::reconcile::{Group, Write};
use super::feed::{Seen, merged};
use super::write::{kind, log, write};
use crate::change::{self, Change, DeleteOptions, Edit};
use crate::kinds::Kind;
use crate::objects;
use crate::rules::is_type;

const PART: &str = "endpoint-controller";
/// Which Service a slice is of.
const SERVICE_NAME: &str = "kubernetes.io/service-name";
/// Who keeps a slice.
const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
const HEADLESS: &str = "service.kubernetes.io/headless";
const DISCOVERY: &str = "discovery.k8s.io";

/// Namespace and name of a Service, and so of its Endpoints.
type Name = (String, String);

pub(super) async fn run(store: Store) {
    let kinds =
        [kind("", "pods"), kind("", "services"), kind("", "endpoints"), kind(DISCOVERY, "endpointslices")];
    let mut tasks = JoinSet::new();
    // Before what is known is read, so that no change falls between.
    let mut feed = merged(&store, kinds.into_iter(), &mut tasks);
    let mut known = Known::read(&store);
    let mut due = known.all();
    due.extend(left_over(&store));
    loop {
        for name in std::mem::take(&mut due) {
            let key = ObjectKey::new(kind("", "services").stored(), name.0.as_str(), name.1.as_str());
            log(PART, &key, sync(&store, &mut known, name).await);
        }
        let Some((kind, seen)) = feed.recv().await else { return };
        known.note(&store, kind, &seen, &mut due);
        // What is waiting has happened already, and is settled together.
        while let Ok((kind, seen)) = feed.try_recv() {
            known.note(&store, kind, &seen, &mut due);
        }
    }
}

/// What the watches have told.
#[derive(Debug, Default)]
struct Known {
    /// Pods that are not over and have an address, by namespace and name.
    pods: BTreeMap<Name, Endpoint>,
    /// The selectors of Services by namespace and name; empty of those that have none.
    services: BTreeMap<Name, BTreeMap<String, String>>,
    /// Services that have gone, whose Endpoints have yet to.
    gone: BTreeSet<Name>,
}

impl Known {
    /// What there is now.
    fn read(store: &Store) -> Self {
        let mut known = Self::default();
        for object in all(store, kind("", "pods")) {
            known.pods.extend(endpoint(&object));
        }
        for object in all(store, kind("", "services")) {
            known.services.extend(selector(&object));
        }
        known
    }

    fn all(&self) -> BTreeSet<Name> {
        self.services.keys().cloned().collect()
    }

    /// Takes in a change; what is to be looked at for it becomes due.
    fn note(&mut self, store: &Store, kind: &Kind, seen: &Seen, due: &mut BTreeSet<Name>) {
        let (object, is_there) = match seen {
            Seen::Present(object, _) => (object, true),
            Seen::Gone(object) => (object, false),
            Seen::Again => {
                let now = Self::read(store);
                let before = std::mem::replace(self, now);
                due.extend(before.all().into_iter().chain(self.all()));
                self.gone.extend(before.all().into_iter().filter(|name| !self.services.contains_key(name)));
                return;
            }
        };
        let name = (object.key.namespace.clone(), object.key.name.clone());
        match kind.kind {
            "Pod" => {
                let now = if is_there { endpoint(object).map(|(_, endpoint)| endpoint) } else { None };
                let before = match now.clone() {
                    Some(now) => self.pods.insert(name.clone(), now),
                    None => self.pods.remove(&name),
                };
                if before != now {
                    due.extend(self.selecting(&name.0, &before.iter().chain(&now)));
                }
            }
            "Service" => {
                match selector(object).filter(|_| is_there) {
                    Some((name, selector)) => drop(self.services.insert(name, selector)),
                    None => {
                        self.services.remove(&name);
                        self.gone.insert(name.clone());
                    }
                }
                due.insert(name);
            }
            "Endpoints" => drop(due.insert(name)),
            _ => {
                let of = object.labels.get(SERVICE_NAME);
                due.extend(of.map(|service| (name.0, service.clone())));
            }
        }
    }

    fn selecting<'a>(
        &self,
        namespace: &str,
        pods: &(impl Iterator<Item = &'a Endpoint> + Clone),
    ) -> Vec<Name> {
        let first = (namespace.to_owned(), String::new());
        let services = self.services.range(first..).take_while(|((of, _), _)| of == namespace);
        let concerned = services.filter(|(_, selector)| pods.clone().any(|pod| pod.is_selected_by(selector)));
        concerned.map(|(name, _)| name.clone()).collect()
    }

    /// The pods that a Service selects, in their order.
    fn selected(&self, name: &Name) -> Vec<Endpoint> {
        let Some(selector) = self.services.get(name) else { return Vec::new() };
        let first = (name.0.clone(), String::new());
        let pods = self.pods.range(first..).take_while(|((namespace, _), _)| *namespace == name.0);
        pods.map(|(_, pod)| pod).filter(|pod| pod.is_selected_by(selector)).cloned().collect()
    }
}

fn all(store: &Store, kind: &Kind) -> Vec<std::sync::Arc<Object>> {
    store.list(kind.stored(), None, None, None, |_| true).objects
}

fn endpoint(object: &Object) -> Option<(Name, Endpoint)> {
    let endpoint = Endpoint::of(&*objects::shared(object).ok()?)?;
    Some(((object.key.namespace.clone(), object.key.name.clone()), endpoint))
}

fn selector(object: &Object) -> Option<(Name, BTreeMap<String, String>)> {
    let service = objects::value(object).ok()?;
    let mut selector = BTreeMap::new();
    if !is_type(&service, "ExternalName") {
        let labels = fields(&service["spec"]["selector"]).iter();
        selector.extend(labels.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))));
    }
    Some(((object.key.namespace.clone(), object.key.name.clone()), selector))
}

/// What is made for Services, also for those that have gone while nobody looked.
fn left_over(store: &Store) -> BTreeSet<Name> {
    let endpoints = all(store, kind("", "endpoints"));
    let endpoints = endpoints.iter().map(|object| (object.key.namespace.clone(), object.key.name.clone()));
    let slices = all(store, kind(DISCOVERY, "endpointslices"));
    let of = slices
        .iter()
        .filter_map(|slice| Some((slice.key.namespace.clone(), slice.labels.get(SERVICE_NAME)?.clone())));
    endpoints.chain(of).collect()
}

/// Writes what a Service leads to, as far as it is not so already.
async fn sync(store: &Store, known: &mut Known, name: Name) -> Result<(), Status> {
    let (pods, is_gone) = (known.selected(&name), known.gone.remove(&name));
    write(store, move |tx| settle(tx, &name, &pods, is_gone)).await
}

/// With a Service its Endpoints go, whoever made them, so that a later one of its name does not lead there; Endpoints
/// that never had a Service are nobody's business here.
fn settle(tx: &mut Tx<'_>, name: &Name, pods: &[Endpoint], is_gone: bool) -> Result<(), Status> {
    let get = |tx: &Tx<'_>, plural: &str| -> Result<Option<Value>, Status> {
        let held = tx.get(&ObjectKey::new(kind("", plural).stored(), name.0.as_str(), name.1.as_str()));
        held.map(|held| change::parse(&held)).transpose()
    };
    let service = get(tx, "services")?;
    let endpoints = get(tx, "endpoints")?;
    if is_ending(tx, &name.0) {
        return Ok(());
    }
    let own = slices_of(tx, name, slices::MANAGER)?;
    let mirrored = slices_of(tx, name, mirror::MANAGER)?;
    match &service {
        None => {
            remove_all(tx, own)?;
            if endpoints.as_ref().is_some_and(|endpoints| is_gone || subsets::is_own(endpoints)) {
                remove(tx, kind("", "endpoints"), name)?;
            }
            remove_all(tx, mirrored)
        }
        Some(service) if is_type(service, "ExternalName") => {
            remove_all(tx, own)?;
            if endpoints.as_ref().is_some_and(subsets::is_own) {
                remove(tx, kind("", "endpoints"), name)?;
            }
            mirror_of(tx, service, endpoints.as_ref(), mirrored)
        }
        Some(service) if fields(&service["spec"]["selector"]).is_empty() => {
            // Of a selector that it had: its Endpoints are mirrored from now on.
            remove_all(tx, own)?;
            mirror_of(tx, service, endpoints.as_ref(), mirrored)
        }
        Some(service) => {
            remove_all(tx, mirrored)?;
            let groups = slices::desired(service, pods);
            carry_out(tx, &slices::template(service), groups, own)?;
            match subsets::changed(service, pods, endpoints.as_ref()) {
                Some(wanted) => put(tx, kind("", "endpoints"), wanted, endpoints.is_some()),
                None => Ok(()),
            }
        }
    }
}

/// Nothing is made in a namespace that is going.
fn is_ending(tx: &Tx<'_>, namespace: &str) -> bool {
    let held = tx.get(&ObjectKey::new(kind("", "namespaces").stored(), "", namespace));
    held.is_none_or(|held| {
        objects::value(&held).is_ok_and(|namespace| !namespace["metadata"]["deletionTimestamp"].is_null())
    })
}

fn mirror_of(
    tx: &mut Tx<'_>,
    service: &Value,
    endpoints: Option<&Value>,
    existing: Vec<Value>,
) -> Result<(), Status> {
    match endpoints.filter(|endpoints| mirror::is_wanted(service, endpoints)) {
        Some(endpoints) => carry_out(tx, &mirror::template(endpoints), mirror::desired(endpoints), existing),
        None => remove_all(tx, existing),
    }
}

/// The slices of a Service that this manager keeps.
fn slices_of(tx: &Tx<'_>, name: &Name, manager: &str) -> Result<Vec<Value>, Status> {
    let slices = tx.list(kind(DISCOVERY, "endpointslices").stored(), Some(name.0.as_str()));
    let has =
        |object: &Object, label: &str, value: &str| object.labels.get(label).is_some_and(|is| is == value);
    let own =
        slices.iter().filter(|slice| has(slice, SERVICE_NAME, &name.1) && has(slice, MANAGED_BY, manager));
    own.map(|slice| change::parse(slice)).collect()
}

fn carry_out(
    tx: &mut Tx<'_>,
    template: &reconcile::Template,
    groups: Vec<Group>,
    existing: Vec<Value>,
) -> Result<(), Status> {
    let slices = kind(DISCOVERY, "endpointslices");
    for step in reconcile::plan(template, groups, existing) {
        match step {
            Write::Create(slice) => put(tx, slices, slice, false)?,
            Write::Update(slice) => put(tx, slices, slice, true)?,
            Write::Delete(name) => remove(tx, slices, &(template.namespace.clone(), name))?,
        }
    }
    Ok(())
}

fn put(tx: &mut Tx<'_>, kind: &'static Kind, object: Value, is_there: bool) -> Result<(), Status> {
    let metadata = &object["metadata"];
    let change = Change::of_engine(PART, kind, text(metadata, "namespace"), text(metadata, "name"));
    if is_there {
        let edit = Edit::Replace(Box::new(move |_| Ok((object, Vec::new()))));
        return change::update(tx, &change, edit).map(|_| ());
    }
    change::create(tx, &change, object).map(|_| ())
}

fn remove(tx: &mut Tx<'_>, kind: &'static Kind, name: &Name) -> Result<(), Status> {
    let change = Change::of_engine(PART, kind, &name.0, &name.1);
    let removed = change::delete(tx, &change, &DeleteOptions::default()).map(|_| ());
    removed.or_else(|status| if status.code == 404 { Ok(()) } else { Err(status) })
}

fn remove_all(tx: &mut Tx<'_>, slices: Vec<Value>) -> Result<(), Status> {
    for slice in slices {
        let metadata = &slice["metadata"];
        let name = (text(metadata, "namespace").to_owned(), text(metadata, "name").to_owned());
        remove(tx, kind(DISCOVERY, "endpointslices"), &name)?;
    }
    Ok(())
}

/// As labels have it: a Service without an address of its own.
fn has_no_address(service: &Value) -> bool {
    list(&service["spec"], "clusterIPs").iter().all(|ip| ip == "None")
}
