//! The Kubernetes Pod as the engine sees it.
//!
//! A manifest goes through these steps, each a module: [`load`] (YAML or JSON text to JSON values),
//! [`schema`] (fields and types of v1.Pod, and what is not supported yet), `defaults` (what the API
//! server would fill in), `validate` (Kubernetes' own rules and wording) and `lower` (JSON to the
//! types of [`spec`]). [`load_pods`] does them all and finds every error of every document.
//! Nothing above this crate reads v1.Pod JSON to decide anything.

mod defaults;
mod demand;
mod endless;
pub mod field;
mod identity;
pub mod ids;
pub mod json;
pub mod load;
mod lower;
pub mod quantity;
pub mod schema;
pub mod source;
pub mod spec;
pub mod time;
mod validate;
mod warnings;
pub mod yaml;

use std::fmt;

use serde_json::{Map, Value};

pub use endless::endless;
pub use field::{FieldError, FieldErrorKind, FieldPath};
pub use identity::{IDENTITY_BYTES, generated_name, uuid};
pub use ids::{ContainerName, PodUid, VolumeName};
pub use load::{Document, LoadError, Location, Problem};
pub use schema::nearest;
pub use source::{EnvSource, EnvVar};
pub use spec::{
    AppArmorProfile, Capabilities, Container, ContainerKind, DnsConfig, DnsPolicy, EmptyDirMedium,
    ExecAction, ExitCodeOperator, GrpcAction, HookHandler, HostPathType, HttpGetAction, HttpHeader,
    HttpScheme, OtherResources, Overhead, Pod, PodSpec, PortProtocol, PortRef, Probe, ProbeHandler,
    ProcessRestartPolicy, PullPolicy, ResizeRestarts, Resources, RestartPolicy, RestartRule,
    RestartRuleAction, RuntimeClass, SeccompProfile, SecurityContext, SubPath, Sysctl, TcpSocketAction,
    TerminationMessagePolicy, Volume, VolumeMount, VolumeSource,
};
pub use time::{BootTime, Moment, WallTime};
pub use validate::{claim, format, label_selector};
pub use warnings::{Warning, WarningTopic};

/// A pod that can be run.
#[derive(Clone, PartialEq, Debug)]
pub struct AdmittedPod {
    pub pod: Pod,
    /// The manifest with defaults, name and uid filled in, as an API server would show it; without
    /// status.
    pub manifest: Value,
    /// What is allowed but most likely not meant.
    pub warnings: Vec<Warning>,
}

/// A pod from a file.
#[derive(Clone, PartialEq, Debug)]
pub struct LoadedPod {
    pub location: Location,
    pub admitted: AdmittedPod,
}

/// Everything that is wrong with a manifest file, in the order of its lines. Never empty.
#[derive(Clone, PartialEq, Debug)]
pub struct LoadErrors(pub Vec<LoadError>);

impl std::error::Error for LoadErrors {}

impl fmt::Display for LoadErrors {
    /// One line each.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, error) in self.0.iter().enumerate() {
            let separator = if i == 0 { "" } else { "\n" };
            write!(f, "{separator}{error}")?;
        }
        Ok(())
    }
}

/// An object of a manifest file.
#[derive(Clone, Debug)]
pub enum LoadedObject {
    Pod(Box<LoadedPod>),
    /// Of another kind, as it is in the file.
    Other(Box<Document>),
}

/// Reads every pod of a manifest file; `source` is its name in errors. `random` gives fresh random
/// bytes for the identity of each pod.
///
/// # Errors
/// Every error of every document; then nothing of the file may be run.
pub fn load_pods(
    source: &str,
    text: &str,
    random: impl FnMut() -> [u8; IDENTITY_BYTES],
) -> Result<Vec<LoadedPod>, LoadErrors> {
    let objects = load_each(load::load(source, text), None, random)?;
    let pod = |object| match object {
        LoadedObject::Pod(pod) => Some(*pod),
        LoadedObject::Other(_) => None,
    };
    Ok(objects.into_iter().filter_map(pod).collect())
}

/// Reads every object of a manifest file, of whatever kind. With a `namespace`, a pod that names none gets this one,
/// and one that names another is an error, as `kubectl --namespace` has it.
///
/// # Errors
/// Every error of every document; then nothing of the file may be run. What is wrong with objects of other kinds is
/// for others to say.
pub fn load_objects(
    namespace: Option<&str>,
    source: &str,
    text: &str,
    random: impl FnMut() -> [u8; IDENTITY_BYTES],
) -> Result<Vec<LoadedObject>, LoadErrors> {
    load_each(load::load_all(source, text), namespace, random)
}

fn load_each(
    (documents, mut errors): (Vec<Document>, Vec<LoadError>),
    namespace: Option<&str>,
    mut random: impl FnMut() -> [u8; IDENTITY_BYTES],
) -> Result<Vec<LoadedObject>, LoadErrors> {
    let mut objects = Vec::new();
    for document in documents {
        if document.value["kind"] != "Pod" || document.value["apiVersion"] != "v1" {
            objects.push(LoadedObject::Other(Box::new(document)));
            continue;
        }
        let (location, places, mut pod) = (document.location, document.places, document.value);
        let chosen = namespace.map_or(Ok(()), |namespace| defaults::choose_namespace(&mut pod, namespace));
        match chosen.and_then(|()| admit(pod, &random())) {
            Ok(admitted) => objects.push(LoadedObject::Pod(Box::new(LoadedPod { location, admitted }))),
            Err(found) => errors.extend(found.into_iter().map(|error| {
                let place = places.find(&error.path).places.place;
                let location = Location { line: place.line, ..location.clone() };
                LoadError { location, at: place.key.unwrap_or(place.value), problem: Problem::Field(error) }
            })),
        }
    }
    if errors.is_empty() {
        return Ok(objects);
    }
    // In the order of the text; what is on one line stays in the order of the rules.
    errors.sort_by_key(|e| (e.location.document, e.location.item, e.location.line));
    Err(LoadErrors(errors))
}

/// Checks a v1.Pod, fills in what the API server would, and brings it into the engine's types.
///
/// # Errors
/// Every error of the pod.
pub fn admit(mut pod: Value, random: &[u8; IDENTITY_BYTES]) -> Result<AdmittedPod, Vec<FieldError>> {
    let mut structure = Vec::new();
    schema::check(schema::POD, &mut pod, &mut structure);
    if let Some(pod) = pod.as_object_mut() {
        pod.entry("metadata").or_insert_with(|| Value::Object(Map::new()));
    }
    defaults::fill_in(&mut pod);
    let errors = validate::validate(&pod, structure);
    if !errors.is_empty() {
        return Err(errors);
    }
    identity::assign(&mut pod, random);
    Ok(AdmittedPod { warnings: warnings::warnings(&pod), pod: lower::pod(&pod), manifest: pod })
}

/// Fills in what the API server would, in a pod whose types have been checked.
pub fn fill_in_defaults(pod: &mut Value) {
    defaults::fill_in(pod);
}

/// Every error of a pod that has its defaults: the errors [`admit`] would find.
#[must_use]
pub fn errors_of(pod: &Value) -> Vec<FieldError> {
    let mut structure = Vec::new();
    schema::check(schema::POD, &mut pod.clone(), &mut structure);
    validate::validate(pod, structure)
}

/// What the claim of an `ephemeral` volume is called.
#[must_use]
pub fn claim_of_ephemeral(pod_name: &str, volume: &str) -> String {
    format!("{pod_name}-{volume}")
}

/// A pod that was admitted before and kept as JSON, in the engine's types.
#[must_use]
pub fn lower(admitted: &Value) -> Pod {
    lower::pod(admitted)
}

/// What is allowed in a valid pod but most likely not meant.
#[must_use]
pub fn warnings_about(pod: &Value) -> Vec<Warning> {
    warnings::warnings(pod)
}
