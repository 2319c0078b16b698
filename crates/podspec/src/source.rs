//! Where files and variables of a pod come from besides its manifest's text: config maps, secrets, the pod's own
//! fields, its account's token (<https://kubernetes.io/docs/concepts/storage/projected-volumes/>).

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ids::{ContainerName, VolumeName};

/// Kinds of objects whose content pods are given.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub enum ObjectKind {
    ConfigMap,
    Secret,
}

/// An object in the pod's own namespace.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ObjectRef {
    pub kind: ObjectKind,
    pub name: String,
    /// That it, or a key of it, is missing is no error.
    pub optional: bool,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct EnvVar {
    pub name: String,
    pub source: EnvSource,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum EnvSource {
    /// Before `$(VAR)` expansion.
    Value(String),
    Key {
        object: ObjectRef,
        key: String,
    },
    Downward(DownwardValue),
    File(FileKey),
}

/// A variable of a file of variables in a volume of the pod (`fileKeyRef`, KEP-3721).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct FileKey {
    pub volume: VolumeName,
    /// Within the volume, without `..`.
    pub path: String,
    pub key: String,
    /// That the file, or the key in it, is missing is no error.
    pub optional: bool,
}

/// A variable for each key of an object, named with the prefix and the key.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct EnvFrom {
    pub prefix: String,
    pub object: ObjectRef,
}

/// What a pod may know of itself
/// (<https://kubernetes.io/docs/concepts/workloads/pods/downward-api/>).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum DownwardValue {
    Field(PodField),
    Resource(ResourceField),
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum PodField {
    Name,
    Namespace,
    Uid,
    /// All, a line each.
    Labels,
    Annotations,
    Label(String),
    Annotation(String),
    NodeName,
    ServiceAccountName,
    HostIp,
    HostIps,
    PodIp,
    PodIps,
}

/// A limit or a request of a container.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ResourceField {
    /// `None`: the container whose variable it is.
    pub container: Option<ContainerName>,
    /// A limit; else a request.
    pub limit: bool,
    pub resource: ResourceName,
    /// What one of the result stands for: millicores of `Cpu`, bytes otherwise; never 0.
    pub divisor: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum ResourceName {
    Cpu,
    Memory,
    EphemeralStorage,
}

/// A volume of files, made of several sources; of two files with one path the later one counts.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Projected {
    pub sources: Vec<Projection>,
    /// Of files that have none of their own.
    pub default_mode: u32,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Projection {
    Object {
        object: ObjectRef,
        /// None: every key as a file of its name.
        items: Vec<KeyToPath>,
    },
    Downward(Vec<DownwardFile>),
    Token(TokenProjection),
}

/// One key of an object as a file; `path` is relative, without `..`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct KeyToPath {
    pub key: String,
    pub path: String,
    pub mode: Option<u32>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct DownwardFile {
    pub path: String,
    pub value: DownwardValue,
    pub mode: Option<u32>,
}

/// A token of the pod's account, bound to the pod.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct TokenProjection {
    /// Empty: the API server itself.
    pub audience: String,
    pub lifetime: Duration,
    pub path: String,
}

impl PodField {
    /// The field of a `fieldPath`; `None` when there is no such field.
    #[must_use]
    pub fn parse(path: &str) -> Option<Self> {
        if let Some((map, key)) = subscripted(path) {
            return match map {
                "metadata.labels" => Some(Self::Label(key.to_owned())),
                "metadata.annotations" => Some(Self::Annotation(key.to_owned())),
                _ => None,
            };
        }
        Some(match path {
            "metadata.name" => Self::Name,
            "metadata.namespace" => Self::Namespace,
            "metadata.uid" => Self::Uid,
            "metadata.labels" => Self::Labels,
            "metadata.annotations" => Self::Annotations,
            // The name it had before v1.
            "spec.nodeName" | "spec.host" => Self::NodeName,
            "spec.serviceAccountName" => Self::ServiceAccountName,
            "status.hostIP" => Self::HostIp,
            "status.hostIPs" => Self::HostIps,
            "status.podIP" => Self::PodIp,
            "status.podIPs" => Self::PodIps,
            _ => return None,
        })
    }
}

/// `map['key']` taken apart.
pub(crate) fn subscripted(path: &str) -> Option<(&str, &str)> {
    path.strip_suffix("']")?.split_once("['").filter(|(map, _)| !map.is_empty())
}

#[cfg(test)]
mod tests {
    use super::{PodField, subscripted};

    #[test]
    fn fields_with_a_key_in_brackets() {
        for (path, parts) in [
            ("metadata.annotations['myKey']", Some(("metadata.annotations", "myKey"))),
            ("metadata.annotations['a[b]c']", Some(("metadata.annotations", "a[b]c"))),
            ("metadata.labels['']", Some(("metadata.labels", ""))),
            ("metadata.labels", None),
            ("['a']", None),
            ("a']", None),
        ] {
            assert_eq!(subscripted(path), parts, "{path}");
        }
        assert_eq!(PodField::parse("metadata.labels['a']"), Some(PodField::Label("a".to_owned())));
        assert_eq!(PodField::parse("spec['a']"), None);
        assert_eq!(PodField::parse("status.phase"), None);
    }
}
