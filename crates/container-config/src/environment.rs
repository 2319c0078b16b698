//! The process's environment.

use podspec::{Container, EnvVar};

use crate::config::ImageConfig;
use crate::expansion::expand;

const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The container's own variables with their references replaced: each sees the final values of
/// those before it, and nothing of the image's. A name that comes again replaces the value.
pub(crate) fn container_env(container: &Container) -> Vec<EnvVar> {
    let mut resolved: Vec<EnvVar> = Vec::with_capacity(container.env.len());
    for var in &container.env {
        let lookup =
            |name: &str| resolved.iter().find(|known| known.name == name).map(|known| known.value.as_str());
        let value = expand(&var.value, lookup);
        match resolved.iter_mut().find(|known| known.name == var.name) {
            Some(known) => known.value = value,
            None => resolved.push(EnvVar { name: var.name.clone(), value }),
        }
    }
    resolved
}

/// `NAME=value` of everything the process starts with. Later sources win: the runtime's defaults,
/// the image, the container; a variable keeps the place where it first appeared.
pub(crate) fn process_env(
    container: &Container,
    image: &ImageConfig,
    env: &[EnvVar],
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
