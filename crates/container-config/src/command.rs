//! The process's arguments
//! (<https://kubernetes.io/docs/tasks/inject-data-application/define-command-argument-container/>).

use podspec::{Container, EnvSource};

use crate::config::ImageConfig;
use crate::environment::Variable;
use crate::error::ConfigError;
use crate::expansion::expand;

/// `command` replaces the image's entrypoint and its command; `args` alone replaces its command.
/// Both are expanded from `env`; what comes from the image is not.
pub(crate) fn process_args(
    container: &Container,
    image: &ImageConfig,
    env: &[Variable],
) -> Result<Vec<String>, ConfigError> {
    let command = expand_all(container.command.as_deref().unwrap_or_default(), env);
    let args = expand_all(container.args.as_deref().unwrap_or_default(), env);
    let process = if !command.is_empty() {
        [command, args].concat()
    } else if !args.is_empty() {
        [entrypoint(image), &args].concat()
    } else {
        [entrypoint(image), &image.cmd].concat()
    };
    if process.is_empty() { Err(ConfigError::NoCommand) } else { Ok(process) }
}

/// The command of an exec probe. Unlike `command`, it sees the values of `env` as they are written
/// in the manifest; the commands of lifecycle hooks are not expanded at all.
#[must_use]
pub fn probe_command(command: &[String], container: &Container) -> Vec<String> {
    let written = |variable: &podspec::EnvVar| {
        let value = match &variable.source {
            EnvSource::Value(value) => value.clone(),
            EnvSource::Key { .. } | EnvSource::Downward(_) | EnvSource::File(_) => String::new(),
        };
        Variable { name: variable.name.clone(), value }
    };
    let env: Vec<Variable> = container.env.iter().map(written).collect();
    expand_all(command, &env)
}

fn expand_all(texts: &[String], env: &[Variable]) -> Vec<String> {
    // The last of several variables with one name counts.
    let lookup = |name: &str| env.iter().rev().find(|var| var.name == name).map(|var| var.value.as_str());
    texts.iter().map(|text| expand(text, lookup)).collect()
}

/// `ENTRYPOINT [""]` is how an image clears the entrypoint of the one below it.
fn entrypoint(image: &ImageConfig) -> &[String] {
    match image.entrypoint.as_slice() {
        [only] if only.is_empty() => &[],
        entrypoint => entrypoint,
    }
}
