//! Variables from elsewhere, and volumes of files.

use serde_json::Value;

use super::seconds;
use crate::ids::{ContainerName, VolumeName};
use crate::json::{flag, integer, list, object, text};
use crate::quantity::Quantity;
use crate::source::{
    DownwardFile, DownwardValue, EnvFrom, EnvSource, EnvVar, FileKey, KeyToPath, ObjectKind, ObjectRef,
    PodField, Projected, Projection, ResourceField, ResourceName, TokenProjection,
};

/// What Kubernetes gives files that nobody gave a mode.
const MODE_DEFAULT: u32 = 0o644;
const TOKEN_SECONDS_DEFAULT: i64 = 3_600;

pub(super) fn variable(variable: &Value) -> EnvVar {
    let value = || EnvSource::Value(text(variable, "value").to_owned());
    let source = object(variable, "valueFrom").and_then(variable_source).unwrap_or_else(value);
    EnvVar { name: text(variable, "name").to_owned(), source }
}

fn variable_source(from: &Value) -> Option<EnvSource> {
    let key = |kind, reference: &Value| EnvSource::Key {
        object: reference_to(kind, reference, "name"),
        key: text(reference, "key").to_owned(),
    };
    if let Some(reference) = object(from, "configMapKeyRef") {
        return Some(key(ObjectKind::ConfigMap, reference));
    }
    if let Some(reference) = object(from, "secretKeyRef") {
        return Some(key(ObjectKind::Secret, reference));
    }
    if let Some(reference) = object(from, "fileKeyRef") {
        return Some(EnvSource::File(FileKey {
            volume: VolumeName::new(text(reference, "volumeName")),
            path: text(reference, "path").to_owned(),
            key: text(reference, "key").to_owned(),
            optional: flag(reference, "optional"),
        }));
    }
    downward(from).map(EnvSource::Downward)
}

pub(super) fn variables(from: &Value) -> Option<EnvFrom> {
    let object = match (object(from, "configMapRef"), object(from, "secretRef")) {
        (Some(reference), _) => reference_to(ObjectKind::ConfigMap, reference, "name"),
        (None, Some(reference)) => reference_to(ObjectKind::Secret, reference, "name"),
        (None, None) => return None,
    };
    Some(EnvFrom { prefix: text(from, "prefix").to_owned(), object })
}

/// A volume whose source is `configMap`, `secret`, `downwardAPI` or `projected`.
pub(super) fn volume(volume: &Value) -> Option<Projected> {
    let of = |content: &Value, source| Projected {
        sources: vec![source],
        default_mode: mode(content, "defaultMode").unwrap_or(MODE_DEFAULT),
    };
    if let Some(content) = object(volume, "configMap") {
        return Some(of(content, whole(ObjectKind::ConfigMap, content, "name")));
    }
    if let Some(content) = object(volume, "secret") {
        return Some(of(content, whole(ObjectKind::Secret, content, "secretName")));
    }
    if let Some(content) = object(volume, "downwardAPI") {
        return Some(of(content, files(content)));
    }
    let content = object(volume, "projected")?;
    Some(Projected {
        sources: list(content, "sources").iter().filter_map(projection).collect(),
        default_mode: mode(content, "defaultMode").unwrap_or(MODE_DEFAULT),
    })
}

fn projection(source: &Value) -> Option<Projection> {
    if let Some(content) = object(source, "configMap") {
        return Some(whole(ObjectKind::ConfigMap, content, "name"));
    }
    if let Some(content) = object(source, "secret") {
        return Some(whole(ObjectKind::Secret, content, "name"));
    }
    if let Some(content) = object(source, "downwardAPI") {
        return Some(files(content));
    }
    let token = object(source, "serviceAccountToken")?;
    Some(Projection::Token(TokenProjection {
        audience: text(token, "audience").to_owned(),
        lifetime: seconds(integer(token, "expirationSeconds").unwrap_or(TOKEN_SECONDS_DEFAULT)),
        path: text(token, "path").to_owned(),
    }))
}

/// `name` is the field that the object's name is in.
fn whole(kind: ObjectKind, content: &Value, name: &str) -> Projection {
    let item = |item: &Value| KeyToPath {
        key: text(item, "key").to_owned(),
        path: text(item, "path").to_owned(),
        mode: mode(item, "mode"),
    };
    Projection::Object {
        object: reference_to(kind, content, name),
        items: list(content, "items").iter().map(item).collect(),
    }
}

fn files(content: &Value) -> Projection {
    let file = |item: &Value| {
        Some(DownwardFile {
            path: text(item, "path").to_owned(),
            value: downward(item)?,
            mode: mode(item, "mode"),
        })
    };
    Projection::Downward(list(content, "items").iter().filter_map(file).collect())
}

fn reference_to(kind: ObjectKind, reference: &Value, name: &str) -> ObjectRef {
    ObjectRef { kind, name: text(reference, name).to_owned(), optional: flag(reference, "optional") }
}

fn downward(from: &Value) -> Option<DownwardValue> {
    if let Some(field) = object(from, "fieldRef") {
        return PodField::parse(text(field, "fieldPath")).map(DownwardValue::Field);
    }
    object(from, "resourceFieldRef").and_then(resource).map(DownwardValue::Resource)
}

fn resource(field: &Value) -> Option<ResourceField> {
    let (kind, resource) = text(field, "resource").split_once('.')?;
    let resource = match resource {
        "cpu" => ResourceName::Cpu,
        "memory" => ResourceName::Memory,
        "ephemeral-storage" => ResourceName::EphemeralStorage,
        _ => return None,
    };
    let divisor = Quantity::parse(text(field, "divisor")).ok().filter(|divisor| !divisor.is_zero());
    let divisor = match resource {
        ResourceName::Cpu => divisor.map_or(1_000, Quantity::to_milli),
        ResourceName::Memory | ResourceName::EphemeralStorage => divisor.map_or(1, Quantity::to_units),
    };
    let container = Some(text(field, "containerName")).filter(|name| !name.is_empty());
    Some(ResourceField {
        container: container.map(ContainerName::new),
        limit: kind == "limits",
        resource,
        divisor: divisor.max(1),
    })
}

fn mode(value: &Value, name: &str) -> Option<u32> {
    integer(value, name).and_then(|mode| u32::try_from(mode).ok())
}
