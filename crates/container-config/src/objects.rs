//! The content of config maps and secrets, as the rules of variables and files need it.

use std::collections::BTreeMap;
use std::sync::Arc;

use podspec::source::{EnvSource, FileKey, ObjectKind, ObjectRef, Projection};
use podspec::{Container, Volume, VolumeSource};

use crate::services::ServiceAddress;

/// What a config map or a secret holds.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct ObjectData {
    /// A config map's `data`; all of a secret.
    pub data: BTreeMap<String, Vec<u8>>,
    /// A config map's `binaryData`, which no variable has.
    pub binary: BTreeMap<String, Vec<u8>>,
}

impl std::fmt::Debug for ObjectData {
    /// Without what is nobody's to read.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ObjectData").field("keys", &self.data.keys().chain(self.binary.keys())).finish()
    }
}

/// What a file holds; `None` when it is not there. Or why it could not be read.
pub type FileContent = Result<Option<Vec<u8>>, String>;

/// What a container names and is somewhere else, as it was read. An object that is not among them is not there.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Objects {
    objects: BTreeMap<(ObjectKind, String), Arc<ObjectData>>,
    seccomp_profile: Option<Result<String, String>>,
    /// By volume and path.
    files: BTreeMap<(String, String), FileContent>,
    services: Vec<ServiceAddress>,
}

impl Objects {
    pub fn insert(&mut self, kind: ObjectKind, name: &str, data: Arc<ObjectData>) {
        self.objects.insert((kind, name.to_owned()), data);
    }

    /// The text of the container's `localhostProfile`, or why it could not be read.
    pub fn set_seccomp_profile(&mut self, profile: Result<String, String>) {
        self.seccomp_profile = Some(profile);
    }

    /// Services of the pod's namespace, and the API's.
    pub fn set_services(&mut self, services: Vec<ServiceAddress>) {
        self.services = services;
    }

    pub(crate) fn services(&self) -> &[ServiceAddress] {
        &self.services
    }

    pub fn insert_file(&mut self, file: &FileKey, content: FileContent) {
        self.files.insert((file.volume.to_string(), file.path.clone()), content);
    }

    /// A file that was not read is not there.
    pub(crate) fn file(&self, file: &FileKey) -> Result<Option<&[u8]>, &str> {
        match self.files.get(&(file.volume.to_string(), file.path.clone())) {
            Some(Ok(content)) => Ok(content.as_deref()),
            Some(Err(why)) => Err(why),
            None => Ok(None),
        }
    }

    pub(crate) fn seccomp_profile(&self) -> Result<&str, &str> {
        let profile = self.seccomp_profile.as_ref().ok_or("it was not read")?;
        profile.as_deref().map_err(String::as_str)
    }

    pub(crate) fn find(&self, object: &ObjectRef) -> Option<&ObjectData> {
        self.objects.get(&(object.kind, object.name.clone())).map(Arc::as_ref)
    }
}

/// The objects that a container's variables come from.
pub fn objects_of_variables(container: &Container) -> impl Iterator<Item = &ObjectRef> {
    let keys = container.env.iter().filter_map(|variable| match &variable.source {
        EnvSource::Key { object, .. } => Some(object),
        EnvSource::Value(_) | EnvSource::Downward(_) | EnvSource::File(_) => None,
    });
    container.env_from.iter().map(|from| &from.object).chain(keys)
}

/// The files in volumes of the pod that a container's variables come from.
pub fn files_of_variables(container: &Container) -> impl Iterator<Item = &FileKey> {
    container.env.iter().filter_map(|variable| match &variable.source {
        EnvSource::File(file) => Some(file),
        _ => None,
    })
}

/// The objects that a volume's files come from.
pub fn objects_of_volume(volume: &Volume) -> impl Iterator<Item = &ObjectRef> {
    let sources = match &volume.source {
        VolumeSource::Projected(projected) => projected.sources.as_slice(),
        _ => &[],
    };
    sources.iter().filter_map(|source| match source {
        Projection::Object { object, .. } => Some(object),
        Projection::Downward(_) | Projection::Token(_) => None,
    })
}

/// As Kubernetes' errors call it.
#[must_use]
pub fn not_found(kind: ObjectKind, name: &str) -> String {
    let resource = match kind {
        ObjectKind::ConfigMap => "configmap",
        ObjectKind::Secret => "secret",
    };
    format!("{resource} \"{name}\" not found")
}
