//! The parts of a container's configuration, put together.

use podspec::{AppArmorProfile, Container, Pod, SeccompProfile};

use crate::config::{
    ContainerConfig, ImageConfig, NodeFacts, PidNamespace, Process, Root, SandboxFacts, VolumeImages,
};
use crate::environment::Variable;
use crate::error::ConfigError;
use crate::objects::Objects;
use crate::{capabilities, command, environment, mounts, qos, resources, seccomp, signal, user};

const UMASK: u32 = 0o022;

/// Everything needed to spawn `container` of `pod` from `image` in the sandbox of `facts`. `objects`: those of
/// [`crate::objects_of_variables`] that there are; `volume_images`: those of [`podspec::PodSpec::volume_images`].
///
/// # Errors
/// [`ConfigError`], whose [`reason`](ConfigError::reason) is the container's `waiting.reason`.
pub fn container_config(
    pod: &Pod,
    container: &Container,
    image: &ImageConfig,
    facts: &SandboxFacts,
    node: &NodeFacts,
    objects: &Objects,
    volume_images: &VolumeImages,
) -> Result<ContainerConfig, ConfigError> {
    let pid_namespace = match &container.target {
        _ if pod.spec.share_process_namespace => PidNamespace::Pod,
        _ if pod.spec.host_pid => PidNamespace::Host,
        Some(target) => PidNamespace::Of(target.clone()),
        None => PidNamespace::Container,
    };
    let privileged = container.security.privileged;
    let hides_nothing = privileged || container.security.unmasked_proc;
    let env = environment::container_env(pod, container, facts, node, objects)?;
    Ok(ContainerConfig {
        name: container.name.clone(),
        process: process(pod, container, image, facts, node, objects, &env)?,
        root: Root { layers: image.layers.clone(), read_only: container.security.read_only_root_filesystem },
        mounts: mounts::mounts(&pod.spec, container, image, facts, &env, volume_images)?,
        masked_paths: if hides_nothing { Vec::new() } else { mounts::masked_paths(node) },
        readonly_paths: if hides_nothing { Vec::new() } else { mounts::readonly_paths() },
        privileged,
        pid_namespace,
        resources: resources::resource_limits_in(&pod.spec, container),
        of_pod: resources::pod_resource_limits(&pod.spec),
        stop_signal: signal::stop_signal(container.stop_signal.as_ref().unwrap_or(&image.stop_signal))?,
        termination_message_path: mounts::absolute(&container.termination_message_path),
        termination_message_policy: container.termination_message_policy,
        tty: container.tty,
        stdin: container.stdin,
        stdin_once: container.stdin_once,
        log_limits: node.log_limits,
    })
}

fn process(
    pod: &Pod,
    container: &Container,
    image: &ImageConfig,
    facts: &SandboxFacts,
    node: &NodeFacts,
    objects: &Objects,
    own_env: &[Variable],
) -> Result<Process, ConfigError> {
    let identity = user::identity(pod, container, image)?;
    let available = if pod.spec.own_users { capabilities::ALL } else { node.capabilities };
    let capabilities = capabilities::sets(&container.security, identity.uid, available)?;
    let seccomp = match &container.security.seccomp {
        _ if container.security.privileged => Vec::new(),
        SeccompProfile::Unconfined => Vec::new(),
        SeccompProfile::RuntimeDefault => seccomp::runtime_default(capabilities.bounding),
        SeccompProfile::Localhost(name) => {
            let profile = objects
                .seccomp_profile()
                .map_err(|why| ConfigError::SeccompProfile { name: name.clone(), why: why.to_owned() })?;
            seccomp::compile(profile, capabilities.bounding)
                .map_err(|why| ConfigError::SeccompProfile { name: name.clone(), why })?
        }
    };
    let args = command::process_args(container, image, own_env)?;
    let env = environment::process_env(container, image, own_env, &facts.hostname, &identity.home);
    let cwd = working_dir(container, image)?;
    refuse_nul("command", args.iter())?;
    // Values may be secrets: the error names the variable alone.
    if let Some(variable) = env.iter().find(|variable| variable.contains('\0')) {
        let name = variable.split('=').next().unwrap_or_default();
        return Err(ConfigError::NulByte { field: "env".to_owned(), value: name.replace('\0', "") });
    }
    refuse_nul("workingDir", [&cwd])?;
    Ok(Process {
        args,
        env,
        cwd,
        uid: identity.uid,
        gid: identity.gid,
        groups: identity.groups,
        umask: UMASK,
        capabilities,
        no_new_privileges: container.security.allow_privilege_escalation == Some(false),
        rlimits: node.open_files.into_iter().collect(),
        oom_score_adj: qos::oom_score_adj(&pod.spec, container, node.memory_bytes),
        app_armor: match &container.security.app_armor {
            AppArmorProfile::Localhost(name) => Some(name.clone()),
            // A pod with another is not taken.
            AppArmorProfile::Unconfined | AppArmorProfile::RuntimeDefault => None,
        },
        seccomp,
    })
}

fn working_dir(container: &Container, image: &ImageConfig) -> Result<String, ConfigError> {
    let chosen = [container.working_dir.as_deref().unwrap_or_default(), &image.working_dir]
        .into_iter()
        .find(|path| !path.is_empty())
        .unwrap_or("/");
    if !chosen.starts_with('/') {
        return Err(ConfigError::RelativeWorkingDir { path: chosen.to_owned() });
    }
    Ok(chosen.to_owned())
}

fn refuse_nul<'t>(field: &str, texts: impl IntoIterator<Item = &'t String>) -> Result<(), ConfigError> {
    match texts.into_iter().find(|text| text.contains('\0')) {
        Some(text) => Err(ConfigError::NulByte { field: field.to_owned(), value: text.clone() }),
        None => Ok(()),
    }
}
