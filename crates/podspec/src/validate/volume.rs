//! `spec.volumes`.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{claim, no_backsteps, one_of, projected, required_label};
use crate::field::{FieldError, FieldPath};
use crate::json::{fields, list, object, text};
use crate::quantity::Quantity;

/// In the order of `FieldError::not_supported` lists.
const HOST_PATH_TYPES: [&str; 8] =
    ["", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"];

/// Returns the names that can be mounted.
pub(super) fn validate<'a>(
    spec: &'a Value,
    path: &FieldPath,
    errors: &mut Vec<FieldError>,
) -> BTreeSet<&'a str> {
    let mut names = BTreeSet::new();
    for (i, volume) in list(spec, "volumes").iter().enumerate() {
        let path = path.index(i);
        source(volume, &path, errors);
        let name = text(volume, "name");
        required_label(errors, &path.child("name"), name);
        // One with errors can be mounted too: the mounts of it are not the mistake.
        if !name.is_empty() && !names.insert(name) {
            errors.push(FieldError::duplicate(path.child("name"), name));
        }
    }
    names
}

fn source(volume: &Value, path: &FieldPath, errors: &mut Vec<FieldError>) {
    let sources: Vec<&String> = fields(volume).keys().filter(|name| *name != "name").collect();
    let Some((first, others)) = in_order(sources).split_first().map(|(f, o)| (f.to_owned(), o.to_vec()))
    else {
        errors.push(FieldError::required(path.clone(), "must specify a volume type"));
        return;
    };
    for other in others {
        errors.push(FieldError::forbidden(path.child(&other), "may not specify more than 1 volume type"));
    }
    let Some(content) = object(volume, &first) else { return };
    match first.as_str() {
        "emptyDir" => {
            let limit = Quantity::parse(text(content, "sizeLimit"));
            if limit.is_ok_and(Quantity::is_negative) {
                let path = path.child("emptyDir").child("sizeLimit");
                errors.push(FieldError::forbidden(path, "SizeLimit field must be a valid resource quantity"));
            }
        }
        "persistentVolumeClaim" if text(content, "claimName").is_empty() => {
            let path = path.child("persistentVolumeClaim").child("claimName");
            errors.push(FieldError::required(path, ""));
        }
        "ephemeral" => {
            let path = path.child("ephemeral").child("volumeClaimTemplate");
            match object(content, "volumeClaimTemplate") {
                None => errors.push(FieldError::required(path, "")),
                Some(template) => errors.extend(claim::claim_spec(&template["spec"], &path.child("spec"))),
            }
        }
        "image" => image(content, &path.child("image"), errors),
        "hostPath" => host_path(content, &path.child("hostPath"), errors),
        "configMap" => projected::object_volume(content, "name", &path.child("configMap"), errors),
        "secret" => projected::object_volume(content, "secretName", &path.child("secret"), errors),
        "downwardAPI" => projected::downward_volume(content, &path.child("downwardAPI"), errors),
        "projected" => projected::projected(content, &path.child("projected"), errors),
        _ => {}
    }
}

/// In Kubernetes' order, so that of two sources the same one is the error.
fn in_order(sources: Vec<&String>) -> Vec<String> {
    const ORDER: [&str; 9] = [
        "emptyDir",
        "hostPath",
        "secret",
        "persistentVolumeClaim",
        "downwardAPI",
        "configMap",
        "projected",
        "ephemeral",
        "image",
    ];
    let rank = |name: &str| ORDER.iter().position(|known| *known == name).unwrap_or(ORDER.len());
    let mut names: Vec<String> = sources.into_iter().cloned().collect();
    names.sort_by_key(|name| rank(name));
    names
}

fn image(content: &Value, path: &FieldPath, errors: &mut Vec<FieldError>) {
    if text(content, "reference").is_empty() {
        errors.push(FieldError::required(path.child("reference"), ""));
    }
    let policy = text(content, "pullPolicy");
    let policies = ["Always", "IfNotPresent", "Never"];
    one_of(errors, &path.child("pullPolicy"), policy, &policies);
}

fn host_path(content: &Value, path: &FieldPath, errors: &mut Vec<FieldError>) {
    let directory = text(content, "path");
    if directory.is_empty() {
        errors.push(FieldError::required(path.child("path"), ""));
        return;
    }
    no_backsteps(errors, &path.child("path"), directory);
    let kind = text(content, "type");
    if !HOST_PATH_TYPES.contains(&kind) {
        errors.push(FieldError::not_supported(path.child("type"), kind, &HOST_PATH_TYPES));
    }
}
