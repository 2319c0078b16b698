//! PersistentVolumeClaims, PersistentVolumes, StorageClasses
//! (<https://kubernetes.io/docs/concepts/storage/persistent-volumes/>). Volumes are directories of this machine.

use podspec::claim::{access_modes, claim_spec, storage, volume_mode};
use podspec::json::{fields, list, object, text};
use podspec::{FieldError, FieldPath, format};
use serde_json::{Map, Value, json};

use super::edit::{
    at, immutable, invalid, keep, keep_apart, path, quantity_text, section, selectable, set, set_default,
};
use crate::kinds::Rules;

pub static PERSISTENT_VOLUME_CLAIMS: PersistentVolumeClaims = PersistentVolumeClaims;
pub static PERSISTENT_VOLUMES: PersistentVolumes = PersistentVolumes;
pub static STORAGE_CLASSES: StorageClasses = StorageClasses;

/// Holds a claim while a pod uses it.
pub(crate) const CLAIM_PROTECTION: &str = "kubernetes.io/pvc-protection";
/// Holds a volume while a claim is bound to it.
pub(crate) const VOLUME_PROTECTION: &str = "kubernetes.io/pv-protection";
pub(crate) const DEFAULT_CLASS: &str = "storageclass.kubernetes.io/is-default-class";

const SOURCES: [&str; 2] = ["hostPath", "local"];

/// Whether claims that name no class are of this one.
pub(crate) fn is_default_class(class: &Value) -> bool {
    text(&class["metadata"]["annotations"], DEFAULT_CLASS) == "true"
}

#[derive(Debug)]
pub struct PersistentVolumeClaims;

impl Rules for PersistentVolumeClaims {
    fn default(&self, claim: &mut Value) {
        if let Some(spec) = section(claim, "spec") {
            set_default(spec, "volumeMode", "Filesystem");
        }
    }

    fn prepare_create(&self, claim: &mut Value) {
        set(claim, "status", json!({"phase": "Pending"}));
        protect(claim, CLAIM_PROTECTION);
    }

    fn prepare_update(&self, new: &mut Value, old: &Value, subresource: Option<&str>) {
        keep_apart(new, old, subresource);
    }

    fn validate(&self, claim: &Value) -> Vec<FieldError> {
        claim_spec(&claim["spec"], &path(&["spec"]))
    }

    fn validate_update(&self, new: &Value, old: &Value, subresource: Option<&str>) -> Vec<FieldError> {
        if subresource.is_some() {
            return Vec::new();
        }
        let mut errors = self.validate(new);
        let unbound = text(&old["spec"], "volumeName").is_empty();
        let mut allowed = old["spec"].clone();
        // Who binds it names the volume, and a default class may come later.
        if unbound {
            keep(&mut allowed, &new["spec"], "volumeName");
        }
        if old["spec"].get("storageClassName").is_none_or(Value::is_null) {
            keep(&mut allowed, &new["spec"], "storageClassName");
        }
        let requests = |spec: &Value| spec["resources"]["requests"].get("storage").map(quantity_text);
        if requests(&allowed) != requests(&new["spec"]) {
            let detail = "only dynamically provisioned pvc can be resized and the storageclass that provisions the \
                          pvc must support resize";
            errors.push(FieldError::forbidden(path(&["spec", "resources", "requests", "storage"]), detail));
        } else if allowed != new["spec"] {
            let detail = "spec is immutable after creation except resources.requests and \
                          volumeAttributesClassName for bound claims";
            errors.push(FieldError::forbidden(path(&["spec"]), detail));
        }
        errors
    }

    fn fields(&self, claim: &Value) -> Vec<(&'static str, String)> {
        selectable(claim, &["name"])
    }
}

fn protect(object: &mut Value, finalizer: &str) {
    let Some(metadata) = section(object, "metadata") else { return };
    let finalizers = metadata.entry("finalizers").or_insert_with(|| json!([]));
    if finalizers.is_null() {
        *finalizers = json!([]);
    }
    if let Some(finalizers) = finalizers.as_array_mut().filter(|held| held.iter().all(|f| f != finalizer)) {
        finalizers.push(finalizer.into());
    }
}

#[derive(Debug)]
pub struct PersistentVolumes;

impl Rules for PersistentVolumes {
    fn default(&self, volume: &mut Value) {
        let Some(spec) = section(volume, "spec") else { return };
        set_default(spec, "persistentVolumeReclaimPolicy", "Retain");
        set_default(spec, "volumeMode", "Filesystem");
        if let Some(Value::Object(host_path)) = spec.get_mut("hostPath") {
            host_path.entry("type").or_insert_with(|| "".into());
        }
    }

    fn prepare_create(&self, volume: &mut Value) {
        set(volume, "status", json!({"phase": "Pending"}));
        protect(volume, VOLUME_PROTECTION);
    }

    fn prepare_update(&self, new: &mut Value, old: &Value, subresource: Option<&str>) {
        keep_apart(new, old, subresource);
    }

    fn validate(&self, volume: &Value) -> Vec<FieldError> {
        let (spec, at) = (&volume["spec"], path(&["spec"]));
        let mut errors = access_modes(spec, &at);
        storage(&spec["capacity"], &at.child("capacity"), &mut errors);
        volume_mode(spec, &at, &mut errors);
        source(spec, &at, &mut errors);
        let at = at.child("persistentVolumeReclaimPolicy");
        match text(spec, "persistentVolumeReclaimPolicy") {
            "Delete" | "Retain" => {}
            "Recycle" => {
                errors.push(FieldError::not_yet(at, "recycling, which is deprecated: use Delete or Retain"));
            }
            other => errors.push(FieldError::not_supported(at, other, &["Delete", "Recycle", "Retain"])),
        }
        if !list(spec, "mountOptions").is_empty() {
            let at = path(&["spec", "mountOptions"]);
            errors.push(FieldError::forbidden(at, "may not specify mount options for this volume type"));
        }
        errors
    }

    fn validate_update(&self, new: &Value, old: &Value, subresource: Option<&str>) -> Vec<FieldError> {
        if subresource.is_some() {
            return Vec::new();
        }
        let mut errors = self.validate(new);
        if SOURCES.iter().any(|source| new["spec"].get(*source) != old["spec"].get(*source)) {
            let detail = "spec.persistentvolumesource is immutable after creation";
            errors.push(FieldError::forbidden(path(&["spec", "persistentvolumesource"]), detail));
        }
        immutable(&mut errors, new, old, &["spec", "volumeMode"]);
        if object(&old["spec"], "nodeAffinity").is_some() {
            immutable(&mut errors, new, old, &["spec", "nodeAffinity"]);
        }
        errors
    }

    fn fields(&self, volume: &Value) -> Vec<(&'static str, String)> {
        selectable(volume, &["name"])
    }
}

fn source(spec: &Value, at: &FieldPath, errors: &mut Vec<FieldError>) {
    let sources: Vec<&str> = SOURCES.into_iter().filter(|name| object(spec, name).is_some()).collect();
    let [source] = sources[..] else {
        if sources.is_empty() {
            errors.push(FieldError::required(at.clone(), "must specify a volume type: hostPath or local"));
        } else {
            errors.push(FieldError::forbidden(at.child("local"), "may not specify more than 1 volume type"));
        }
        return;
    };
    let (directory, at_path) = (text(&spec[source], "path"), at.child(source).child("path"));
    if directory.is_empty() {
        errors.push(FieldError::required(at_path.clone(), ""));
    }
    if directory.split('/').any(|element| element == "..") {
        errors.push(FieldError::invalid(at_path.clone(), directory, "must not contain '..'"));
    }
    if source == "local" && object(spec, "nodeAffinity").is_none() {
        errors.push(FieldError::required(at.child("nodeAffinity"), "Local volume requires node affinity"));
    }
    if directory == "/" && text(spec, "persistentVolumeReclaimPolicy") == "Recycle" {
        errors.push(FieldError::forbidden(at_path, "may not be '/' for a reclaim policy of 'Recycle'"));
    }
}

#[derive(Debug)]
pub struct StorageClasses;

impl Rules for StorageClasses {
    fn default(&self, class: &mut Value) {
        let Some(class) = class.as_object_mut() else { return };
        set_default(class, "reclaimPolicy", "Delete");
        set_default(class, "volumeBindingMode", "Immediate");
    }

    fn validate(&self, class: &Value) -> Vec<FieldError> {
        let mut errors = Vec::new();
        let provisioner = text(class, "provisioner");
        if provisioner.is_empty() {
            errors.push(FieldError::required(path(&["provisioner"]), ""));
        } else {
            let lower = provisioner.to_lowercase();
            invalid(&mut errors, &path(&["provisioner"]), provisioner, format::qualified_name(&lower));
        }
        for (name, supported) in [
            ("reclaimPolicy", ["Delete", "Retain"]),
            ("volumeBindingMode", ["Immediate", "WaitForFirstConsumer"]),
        ] {
            let value = text(class, name);
            if !supported.contains(&value) {
                errors.push(FieldError::not_supported(path(&[name]), value, &supported));
            }
        }
        errors
    }

    fn validate_update(&self, new: &Value, old: &Value, _: Option<&str>) -> Vec<FieldError> {
        let mut errors = self.validate(new);
        let none = Map::new();
        let parameters = |class: &Value| class["parameters"].as_object().unwrap_or(&none).clone();
        if parameters(new) != parameters(old) {
            errors.push(FieldError::forbidden(path(&["parameters"]), "updates to parameters are forbidden."));
        }
        for (name, what) in [("provisioner", "provisioner"), ("reclaimPolicy", "reclaimPolicy")] {
            if at(new, &[name]) != at(old, &[name]) {
                errors
                    .push(FieldError::forbidden(path(&[name]), &format!("updates to {what} are forbidden.")));
            }
        }
        immutable(&mut errors, new, old, &["volumeBindingMode"]);
        errors
    }
}

/// Annotations, as one reads them most often.
pub(crate) fn annotation<'a>(object: &'a Value, name: &str) -> &'a str {
    fields(&object["metadata"]["annotations"]).get(name).and_then(Value::as_str).unwrap_or("")
}
