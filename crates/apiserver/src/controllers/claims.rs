//! Binds claims to volumes, makes volumes for those of the built-in class, and takes volumes back
//! (<https://kubernetes.io/docs/concepts/storage/persistent-volumes/>).
//!
//! A volume that is made is a directory. Every look is at all claims and volumes, of which a machine has few; what
//! to do is said by [`matching`].

mod matching;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::Path;

use apimachinery::Status;
use linux_sys::remove_tree::remove_tree;
use podspec::json::{list, text};
use scheduler::{ClaimState, VolumeClaim, claim_use, node_terms_from_json};
use serde_json::{Value, json};
use store::{Object, ObjectKey, Store};
use tokio::task::JoinSet;

use super::Settings;
use super::feed::{Seen, merged};
use super::garbage::without_finalizer;
use super::recorder::{Told, record};
use super::write::{edit, kind, log, make, remove, write};
use crate::change::DeleteOptions;
use crate::rules::{CLAIM_PROTECTION, VOLUME_PROTECTION, quantity_text};
use crate::{entropy, objects};
use matching::{State, Step, Wait, best, makes_volumes, state, step, waits_for_pods};

const PART: &str = "persistentvolume-controller";
/// Who makes the volumes of the class that is there from the start.
pub(super) const PROVISIONER: &str = "monopod.dev/local";
const BIND_COMPLETED: &str = "pv.kubernetes.io/bind-completed";
const BOUND_BY_CONTROLLER: &str = "pv.kubernetes.io/bound-by-controller";
const PROVISIONED_BY: &str = "pv.kubernetes.io/provisioned-by";
const SELECTED_NODE: &str = "volume.kubernetes.io/selected-node";

/// What claims depend on beside pods.
pub(super) const KINDS: [(&str, &str); 3] =
    [("", "persistentvolumeclaims"), ("", "persistentvolumes"), ("storage.k8s.io", "storageclasses")];

/// The directory of a volume is everybody's, as an emptyDir is.
const VOLUME_MODE: u32 = 0o777;
const PARENT_MODE: u32 = 0o700;

pub(super) async fn run(settings: Settings) {
    let mut tasks = JoinSet::new();
    let kinds = KINDS.iter().chain(&[("", "pods")]).map(|(group, plural)| kind(group, plural));
    let mut feed = merged(&settings.store, kinds, &mut tasks);
    let mut binder = Binder { settings, said: BTreeMap::new() };
    while let Some((kind, seen)) = feed.recv().await {
        let mut concerned = kind.kind != "Pod" || claims_something(&seen);
        // What is waiting has happened already, and is seen by the same look.
        while let Ok((kind, seen)) = feed.try_recv() {
            concerned |= kind.kind != "Pod" || claims_something(&seen);
        }
        if concerned {
            binder.look().await;
        }
    }
}

/// Without reading the whole pod: most claim nothing.
fn claims_something(seen: &Seen) -> bool {
    match seen {
        Seen::Present(object, _) | Seen::Gone(object) => names_claims(object),
        Seen::Again => true,
    }
}

fn names_claims(pod: &Object) -> bool {
    [&b"\"persistentVolumeClaim\""[..], b"\"volumeClaimTemplate\""]
        .iter()
        .any(|name| pod.json.windows(name.len()).any(|part| part == *name))
}

fn all(store: &Store, (group, plural): (&str, &str), wanted: impl Fn(&Object) -> bool) -> Vec<Value> {
    let listing = store.list(kind(group, plural).stored(), None, None, None, |_| true);
    listing.objects.iter().filter(|o| wanted(o)).filter_map(|object| objects::value(object).ok()).collect()
}

/// Everything there is, at one moment or nearly so: every write looks again at what it changes.
#[derive(Debug)]
struct World {
    claims: Vec<Value>,
    volumes: Vec<Value>,
    classes: Vec<Value>,
    /// Those with claims.
    pods: Vec<Value>,
}

impl World {
    fn read(store: &Store) -> Self {
        // In this order: the claim that a volume is seen to be bound to is seen, too, unless it is gone.
        let [volumes, claims, classes] =
            [KINDS[1], KINDS[0], KINDS[2]].map(|kind| all(store, kind, |_| true));
        Self { claims, volumes, classes, pods: all(store, ("", "pods"), names_claims) }
    }

    fn is_used(&self, claim: &Value) -> bool {
        let (namespace, name) = (text(&claim["metadata"], "namespace"), text(&claim["metadata"], "name"));
        self.pods.iter().any(|pod| {
            let metadata = &pod["metadata"];
            let volumes = list(&pod["spec"], "volumes").iter();
            let mut claims = volumes.filter_map(|volume| claim_use(text(metadata, "name"), volume));
            !objects::pod_is_over(pod)
                && text(metadata, "namespace") == namespace
                && claims.any(|held| held.claim == name)
        })
    }
}

/// All claims, as the scheduler has to know them.
pub(super) fn states(store: &Store) -> BTreeMap<String, VolumeClaim> {
    let [claims, volumes, classes] = KINDS.map(|kind| all(store, kind, |_| true));
    let state = |claim: &Value| match step(claim, &volumes, &classes) {
        Step::Bound(volume) if text(&claim["status"], "phase") == "Bound" => {
            let terms = &volume["spec"]["nodeAffinity"]["required"]["nodeSelectorTerms"];
            ClaimState::Bound { terms: terms.is_array().then(|| node_terms_from_json(terms)) }
        }
        _ => match classes
            .iter()
            .find(|c| text(&c["metadata"], "name") == text(&claim["spec"], "storageClassName"))
        {
            Some(class) if waits_for_pods(class) => {
                ClaimState::Waiting { possible: makes_volumes(class) || best(claim, &volumes).is_some() }
            }
            _ => ClaimState::Immediate,
        },
    };
    let known = |claim: &Value| {
        let metadata = &claim["metadata"];
        let owners = list(metadata, "ownerReferences").iter().map(|owner| text(owner, "uid").to_owned());
        let held = VolumeClaim {
            owners: owners.collect(),
            deleting: !metadata["deletionTimestamp"].is_null(),
            one_pod: list(&claim["spec"], "accessModes").iter().any(|mode| mode == "ReadWriteOncePod"),
            state: state(claim),
        };
        (format!("{}/{}", text(metadata, "namespace"), text(metadata, "name")), held)
    };
    claims.iter().map(known).collect()
}

/// A pod on this node is the first that needs the claim.
pub(super) async fn select_node(store: &Store, namespace: &str, claim: &str, node: &str) {
    let claims = kind("", "persistentvolumeclaims");
    let key = ObjectKey::new(claims.stored(), namespace, claim);
    let Some(held) = store.get(&key) else { return };
    let node = node.to_owned();
    let written = edit(store, claims, key.clone(), held.uid.clone(), move |claim| {
        annotate(claim, SELECTED_NODE, &node);
        true
    });
    log(super::scheduling::NAME, &key, written.await.map(|_| ()));
}

fn annotate(object: &mut Value, name: &str, value: &str) {
    if !object["metadata"]["annotations"].is_object() {
        object["metadata"]["annotations"] = json!({});
    }
    object["metadata"]["annotations"][name] = value.into();
}

struct Binder {
    settings: Settings,
    /// What was last said of each claim, by uid.
    said: BTreeMap<String, String>,
}

impl Binder {
    async fn look(&mut self) {
        let world = World::read(&self.settings.store);
        let uids: BTreeSet<&str> = world.claims.iter().map(|claim| text(&claim["metadata"], "uid")).collect();
        self.said.retain(|uid, _| uids.contains(uid.as_str()));
        for pod in &world.pods {
            self.bring_claims(pod).await;
        }
        for claim in &world.claims {
            self.see_claim(&world, claim).await;
        }
        for volume in &world.volumes {
            self.see_volume(&world, volume).await;
        }
    }

    /// The claims of a pod's `ephemeral` volumes, which the pod owns.
    async fn bring_claims(&self, pod: &Value) {
        let metadata = &pod["metadata"];
        if objects::pod_is_over(pod) || !metadata["deletionTimestamp"].is_null() {
            return;
        }
        for volume in list(&pod["spec"], "volumes") {
            let template = &volume["ephemeral"]["volumeClaimTemplate"];
            let Some(claimed) = claim_use(text(metadata, "name"), volume).filter(|held| held.ephemeral)
            else {
                continue;
            };
            let claims = kind("", "persistentvolumeclaims");
            let claim = json!({
                "apiVersion": "v1", "kind": "PersistentVolumeClaim",
                "metadata": {
                    "namespace": metadata["namespace"], "name": claimed.claim,
                    "labels": template["metadata"]["labels"], "annotations": template["metadata"]["annotations"],
                    "ownerReferences": [{
                        "apiVersion": "v1", "kind": "Pod", "name": metadata["name"], "uid": metadata["uid"],
                        "controller": true, "blockOwnerDeletion": true,
                    }],
                },
                "spec": template["spec"],
            });
            let key = ObjectKey::new(claims.stored(), text(metadata, "namespace"), &*claimed.claim);
            log("ephemeral-volume-controller", &key, make(&self.settings.store, PART, claims, claim).await);
        }
    }

    async fn see_claim(&mut self, world: &World, claim: &Value) {
        let (store, claims) = (self.settings.store.clone(), kind("", "persistentvolumeclaims"));
        let (key, uid) = (objects::key(claims, claim), text(&claim["metadata"], "uid").to_owned());
        if !claim["metadata"]["deletionTimestamp"].is_null() {
            if !world.is_used(claim) {
                let freed = without_finalizer(&store, claims, &key, &uid, CLAIM_PROTECTION).await;
                log(PART, &key, freed.map(|_| ()));
            }
            return;
        }
        match step(claim, &world.volumes, &world.classes) {
            Step::Bound(volume) => self.settle(claim, bound_status(volume)).await,
            Step::Lost(why) => {
                self.settle(claim, json!({"phase": "Lost"})).await;
                self.say(claim, PART, true, "ClaimLost", why).await;
            }
            Step::Bind(volume) => log(PART, &key, bind(&store, claim, volume).await),
            Step::Provision(class) => self.provision(claim, class).await,
            Step::Wait(Wait { is_warning, reason, message }) => {
                self.say(claim, PART, is_warning, reason, &message).await;
            }
        }
    }

    async fn settle(&self, claim: &Value, status: Value) {
        if claim["status"] == status {
            return;
        }
        let claims = kind("", "persistentvolumeclaims");
        let (key, uid) = (objects::key(claims, claim), text(&claim["metadata"], "uid").to_owned());
        let written = edit(&self.settings.store, claims, key.clone(), uid, move |claim| {
            claim["status"] = status;
            true
        });
        log(PART, &key, written.await.map(|_| ()));
    }

    /// Once for each claim, until something else is to be said of it.
    async fn say(
        &mut self,
        claim: &Value,
        source: &'static str,
        is_warning: bool,
        reason: &'static str,
        message: &str,
    ) {
        let uid = text(&claim["metadata"], "uid").to_owned();
        if self.said.get(&uid).is_some_and(|said| said == message) {
            return;
        }
        self.said.insert(uid, message.to_owned());
        let told = Told { source, is_warning, reason, message, at: entropy::now() };
        record(&self.settings.store, claim, told).await;
    }

    async fn provision(&mut self, claim: &Value, class: &Value) {
        let name = format!("pvc-{}", text(&claim["metadata"], "uid"));
        let path = self.settings.claims_dir.join(&name);
        let volumes = kind("", "persistentvolumes");
        let key = ObjectKey::new(volumes.stored(), "", &*name);
        let made = blocking({
            let path = path.clone();
            move || make_directory(&path)
        });
        if let Err(error) = made.await {
            let message = format!(
                "failed to provision volume with StorageClass \"{}\": cannot make {}: {error}",
                text(&class["metadata"], "name"),
                path.display()
            );
            return self.say(claim, PROVISIONER, true, "ProvisioningFailed", &message).await;
        }
        let spec = &claim["spec"];
        let node = json!({"key": "metadata.name", "operator": "In", "values": [self.settings.node_name]});
        let volume = json!({
            "apiVersion": "v1", "kind": "PersistentVolume",
            "metadata": {"name": name, "annotations": {PROVISIONED_BY: PROVISIONER}},
            "spec": {
                "capacity": {"storage": spec["resources"]["requests"]["storage"]},
                "accessModes": spec["accessModes"], "volumeMode": spec["volumeMode"],
                "claimRef": reference(claim), "storageClassName": class["metadata"]["name"],
                "persistentVolumeReclaimPolicy": class["reclaimPolicy"],
                "local": {"path": path.to_string_lossy()},
                "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchFields": [node]}]}},
            },
        });
        match make(&self.settings.store, PART, volumes, volume).await {
            Ok(()) => {
                let message = format!("Successfully provisioned volume {name}");
                self.say(claim, PROVISIONER, false, "ProvisioningSucceeded", &message).await;
            }
            failed => log(PART, &key, failed),
        }
    }

    async fn see_volume(&self, world: &World, volume: &Value) {
        let (store, volumes) = (&self.settings.store, kind("", "persistentvolumes"));
        let (key, uid) = (objects::key(volumes, volume), text(&volume["metadata"], "uid").to_owned());
        let now = state(volume, &world.claims);
        let (phase, message) = match &now {
            State::Available => ("Available", ""),
            State::Bound => ("Bound", ""),
            State::Released | State::Reclaim => ("Released", ""),
            State::Failed(message) => ("Failed", message.as_str()),
        };
        self.tell(volume, phase, message).await;
        if !volume["metadata"]["deletionTimestamp"].is_null() && now != State::Bound {
            let freed = without_finalizer(store, volumes, &key, &uid, VOLUME_PROTECTION).await;
            log(PART, &key, freed.map(|_| ()));
        }
        if now != State::Reclaim || self.has_claim_still(volume) {
            return;
        }
        // Nothing but what was made here is removed, whatever the volume says.
        let path = self.settings.claims_dir.join(&*key.name);
        if text(&volume["spec"]["local"], "path") != path.to_string_lossy() {
            return self.tell(volume, "Failed", "its directory is not where volumes are made").await;
        }
        let left = blocking(move || Ok(remove_tree(&path))).await.unwrap_or_default();
        if let Some(error) = left.first() {
            return self
                .tell(volume, "Failed", &format!("VolumeFailedDelete: {error}: {}", error.source))
                .await;
        }
        let options = DeleteOptions { uid: Some(uid), ..DeleteOptions::default() };
        log(PART, &key, remove(store, PART, volumes, &key, options).await);
    }

    /// What is removed is gone for good, so it is looked at once more.
    fn has_claim_still(&self, volume: &Value) -> bool {
        let held = &volume["spec"]["claimRef"];
        let claims = kind("", "persistentvolumeclaims").stored();
        let key = ObjectKey::new(claims, text(held, "namespace"), text(held, "name"));
        self.settings.store.get(&key).is_some_and(|claim| claim.uid == text(held, "uid"))
    }

    async fn tell(&self, volume: &Value, phase: &'static str, message: &str) {
        let volumes = kind("", "persistentvolumes");
        let status = &volume["status"];
        if text(status, "phase") == phase && text(status, "message") == message {
            return;
        }
        let mut status = json!({"phase": phase, "lastPhaseTransitionTime": entropy::now().rfc3339_seconds()});
        if !message.is_empty() {
            (status["message"], status["reason"]) = (message.into(), "VolumeFailedDelete".into());
        }
        let (key, uid) = (objects::key(volumes, volume), text(&volume["metadata"], "uid").to_owned());
        let written = edit(&self.settings.store, volumes, key.clone(), uid, move |volume| {
            volume["status"] = status;
            true
        });
        log(PART, &key, written.await.map(|_| ()));
    }
}

/// Both, or neither.
async fn bind(store: &Store, claim: &Value, volume: &Value) -> Result<(), Status> {
    let (claims, volumes) = (kind("", "persistentvolumeclaims"), kind("", "persistentvolumes"));
    let (claim_key, volume_key) = (objects::key(claims, claim), objects::key(volumes, volume));
    let (claim, volume) = (claim.clone(), volume.clone());
    write(store, move |tx| {
        let (Some(held_claim), Some(held_volume)) = (tx.get(&claim_key), tx.get(&volume_key)) else {
            return Ok(());
        };
        let (mut new_claim, mut new_volume) =
            (crate::change::parse(&held_claim)?, crate::change::parse(&held_volume)?);
        let same = |one: &Value, other: &Value| {
            one["metadata"]["resourceVersion"] == other["metadata"]["resourceVersion"]
        };
        if !same(&new_claim, &claim) || !same(&new_volume, &volume) {
            // Somebody was faster; the change is looked at.
            return Ok(());
        }
        new_volume["spec"]["claimRef"] = reference(&new_claim);
        annotate(&mut new_volume, BOUND_BY_CONTROLLER, "yes");
        new_volume["status"] =
            json!({"phase": "Bound", "lastPhaseTransitionTime": entropy::now().rfc3339_seconds()});
        new_claim["spec"]["volumeName"] = new_volume["metadata"]["name"].clone();
        annotate(&mut new_claim, BIND_COMPLETED, "yes");
        annotate(&mut new_claim, BOUND_BY_CONTROLLER, "yes");
        new_claim["status"] = bound_status(&new_volume);
        objects::put(tx, volumes, &mut new_volume);
        objects::put(tx, claims, &mut new_claim);
        Ok(())
    })
    .await
}

fn bound_status(volume: &Value) -> Value {
    let spec = &volume["spec"];
    json!({
        "phase": "Bound", "accessModes": spec["accessModes"],
        "capacity": {"storage": quantity_text(&spec["capacity"]["storage"])},
    })
}

/// `claimRef`
fn reference(claim: &Value) -> Value {
    let metadata = &claim["metadata"];
    json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": metadata["namespace"],
        "name": metadata["name"], "uid": metadata["uid"],
    })
}

fn make_directory(path: &Path) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        DirBuilder::new().recursive(true).mode(PARENT_MODE).create(parent)?;
    }
    match fs::create_dir(path) {
        // A look that was cut short has made it.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        made => made?,
    }
    fs::set_permissions(path, Permissions::from_mode(VOLUME_MODE))
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|_| Err(io::Error::other("the engine is shutting down")))
}
