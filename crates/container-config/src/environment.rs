//! The process's environment.

use podspec::source::{EnvSource, FileKey, ObjectKind, ObjectRef};
use podspec::{Container, Pod};

use crate::config::{ImageConfig, NodeFacts, SandboxFacts};
use crate::downward;
use crate::env_file;
use crate::error::ConfigError;
use crate::expansion::expand;
use crate::objects::{ObjectData, Objects};
use crate::services;

const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A variable with its final value.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Variable {
    pub(crate) name: String,
    pub(crate) value: String,
}

/// The container's own variables: those of whole objects, then those of `env`, then those that tell of Services. References in written values are
/// replaced: each sees the final values of those before it and of Services, and nothing of the image's. A name that comes again
/// replaces the value.
pub(crate) fn container_env(
    pod: &Pod,
    container: &Container,
    facts: &SandboxFacts,
    node: &NodeFacts,
    objects: &Objects,
) -> Result<Vec<Variable>, ConfigError> {
    let told = services::variables(pod, objects.services());
    let mut resolved: Vec<Variable> = Vec::with_capacity(container.env.len());
    for from in &container.env_from {
        let Some(data) = find(&from.object, objects)? else { continue };
        for (key, value) in &data.data {
            let name = format!("{}{key}", from.prefix);
            let value = text(&name, value)?;
            set(&mut resolved, &name, value);
        }
    }
    for var in &container.env {
        let known = |name: &str| resolved.iter().chain(&told).find(|known| known.name == name);
        let lookup = |name: &str| known(name).map(|known| known.value.as_str());
        let value = match &var.source {
            EnvSource::Value(value) => expand(value, lookup),
            EnvSource::Downward(wanted) => downward::value(wanted, pod, Some(container), node, &facts.ips)?,
            EnvSource::Key { object, key } => match value_of(object, key, pod, objects)? {
                Some(value) => text(&var.name, value)?,
                None => continue,
            },
            EnvSource::File(file) => match value_in_file(file, facts, objects)? {
                Some(value) => text(&var.name, &value)?,
                None => continue,
            },
        };
        set(&mut resolved, &var.name, value);
    }
    for variable in told {
        if !resolved.iter().any(|known| known.name == variable.name) {
            resolved.push(variable);
        }
    }
    Ok(resolved)
}

fn set(resolved: &mut Vec<Variable>, name: &str, value: String) {
    match resolved.iter_mut().find(|known| known.name == name) {
        Some(known) => known.value = value,
        None => resolved.push(Variable { name: name.to_owned(), value }),
    }
}

/// `None` for one that is not there and need not be.
fn find<'a>(object: &ObjectRef, objects: &'a Objects) -> Result<Option<&'a ObjectData>, ConfigError> {
    match objects.find(object) {
        Some(data) => Ok(Some(data)),
        None if object.optional => Ok(None),
        None => Err(ConfigError::NoSuchObject { kind: object.kind, name: object.name.clone() }),
    }
}

fn value_of<'a>(
    object: &ObjectRef,
    key: &str,
    pod: &Pod,
    objects: &'a Objects,
) -> Result<Option<&'a [u8]>, ConfigError> {
    let Some(data) = find(object, objects)? else { return Ok(None) };
    match data.data.get(key) {
        Some(value) => Ok(Some(value)),
        None if object.optional => Ok(None),
        None => Err(ConfigError::NoSuchKey {
            key: key.to_owned(),
            kind: match object.kind {
                ObjectKind::ConfigMap => "ConfigMap",
                ObjectKind::Secret => "Secret",
            },
            namespace: pod.namespace.clone(),
            name: object.name.clone(),
        }),
    }
}

/// A variable without a value is as good as none, as it is for a kubelet.
fn value_in_file(
    file: &FileKey,
    facts: &SandboxFacts,
    objects: &Objects,
) -> Result<Option<Vec<u8>>, ConfigError> {
    let path = || {
        let volume = facts.volumes.get(file.volume.as_str()).cloned().unwrap_or_default();
        volume.join(file.path.trim_start_matches('/'))
    };
    let unreadable = |why: String| ConfigError::EnvFile { why };
    let Some(content) = objects.file(file).map_err(|why| unreadable(why.to_owned()))? else {
        if file.optional {
            return Ok(None);
        }
        return Err(unreadable(format!("{} is not there", path().display())));
    };
    match env_file::value(content, file.key.as_bytes()).map_err(|error| unreadable(error.to_string()))? {
        Some(value) if !value.is_empty() => Ok(Some(value)),
        _ if file.optional => Ok(None),
        _ => Err(ConfigError::NoSuchEnvKey { key: file.key.clone(), path: path() }),
    }
}

fn text(variable: &str, value: &[u8]) -> Result<String, ConfigError> {
    let text = str::from_utf8(value).map_err(|_| ConfigError::NotText { variable: variable.to_owned() })?;
    Ok(text.to_owned())
}

/// `NAME=value` of everything the process starts with. Later sources win: the runtime's defaults,
/// the image, the container; a variable keeps the place where it first appeared.
pub(crate) fn process_env(
    container: &Container,
    image: &ImageConfig,
    env: &[Variable],
    hostname: &str,
    home: &str,
) -> Vec<String> {
    let mut process = Environment(vec![("PATH".to_owned(), DEFAULT_PATH.to_owned())]);
    if container.tty {
        process.set("TERM", "xterm");
    }
    process.set("HOSTNAME", hostname);
    for entry in &image.env {
        match entry.split_once('=') {
            Some((name, value)) => process.set(name, value),
            None => process.unset(entry),
        }
    }
    for var in env {
        process.set(&var.name, &var.value);
    }
    if process.value("HOME").is_none_or(str::is_empty) {
        process.set("HOME", home);
    }
    process.0.into_iter().map(|(name, value)| format!("{name}={value}")).collect()
}

struct Environment(Vec<(String, String)>);

impl Environment {
    fn value(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    fn set(&mut self, name: &str, value: &str) {
        match self.0.iter_mut().find(|(known, _)| known == name) {
            Some((_, old)) => value.clone_into(old),
            None => self.0.push((name.to_owned(), value.to_owned())),
        }
    }

    fn unset(&mut self, name: &str) {
        self.0.retain(|(known, _)| known != name);
    }
}
