//! A pod's manifest: what its author may have written a secret into.

use podspec::{
    Container, EnvSource, EnvVar, ExecAction, GrpcAction, HookHandler, HttpGetAction, HttpHeader, Pod,
    PodSpec, Probe, ProbeHandler, Sysctl, TcpSocketAction,
};

use super::LEFT_OUT;

/// Leaves out of a pod the values that may be secrets.
pub fn pod(pod: &mut Pod) {
    let Pod { namespace: _, name: _, uid: _, generation: _, labels, annotations, spec: of_pod } = pod;
    labels.values_mut().chain(annotations.values_mut()).for_each(left_out);
    spec(of_pod);
}

fn spec(spec: &mut PodSpec) {
    let PodSpec {
        restart_policy: _,
        termination_grace_period: _,
        active_deadline: _,
        hostname: _,
        subdomain: _,
        hostname_as_fqdn: _,
        dns_policy: _,
        dns_config,
        host_network: _,
        host_pid: _,
        host_ipc: _,
        own_users: _,
        sysctls,
        app_armor: _,
        se_linux: _,
        share_process_namespace: _,
        init_containers,
        containers,
        ephemeral_containers,
        // Names, paths on the node and in the volume; what is in the objects is not in a pod.
        volumes: _,
        supplemental_groups: _,
        strict_groups: _,
        fs_group: _,
        fs_group_trusts_root: _,
        service_account: _,
        image_pull_secrets,
        service_links: _,
        host_aliases: _,
        readiness_gates: _,
        resources: _,
        overhead: _,
        runtime_class: _,
        os: _,
    } = spec;
    dns_config.options.iter_mut().filter_map(|(_, value)| value.as_mut()).for_each(left_out);
    sysctls.iter_mut().for_each(|Sysctl { name: _, value }| left_out(value));
    image_pull_secrets.iter_mut().for_each(left_out);
    init_containers.iter_mut().chain(containers).chain(ephemeral_containers).for_each(container);
}

fn container(container: &mut Container) {
    let Container {
        name: _,
        kind: _,
        image: _,
        pull_policy: _,
        command: given,
        args,
        working_dir: _,
        env_from: _,
        env,
        ports: _,
        resources: _,
        other_resources: _,
        volume_mounts: _,
        restart: _,
        startup_probe,
        liveness_probe,
        readiness_probe,
        post_start,
        pre_stop,
        stop_signal: _,
        termination_message_path: _,
        termination_message_policy: _,
        resize_restarts: _,
        security: _,
        tty: _,
        stdin: _,
        stdin_once: _,
        target: _,
    } = container;
    given.iter_mut().for_each(|words| command(words));
    args.iter_mut().flatten().for_each(left_out);
    for EnvVar { name: _, source } in env {
        match source {
            EnvSource::Value(value) => left_out(value),
            EnvSource::Key { object: _, key: _ } | EnvSource::Downward(_) | EnvSource::File(_) => {}
        }
    }
    [startup_probe, liveness_probe, readiness_probe].into_iter().flatten().for_each(probe);
    for hook in [post_start, pre_stop].into_iter().flatten() {
        match hook {
            HookHandler::Exec(ExecAction { command: words }) => command(words),
            HookHandler::HttpGet(get) => http(get),
            HookHandler::Sleep(_) => {}
        }
    }
}

fn probe(probe: &mut Probe) {
    let Probe {
        handler,
        initial_delay: _,
        period: _,
        timeout: _,
        success_threshold: _,
        failure_threshold: _,
        termination_grace_period: _,
    } = probe;
    match handler {
        ProbeHandler::Exec(ExecAction { command: words }) => command(words),
        ProbeHandler::HttpGet(get) => http(get),
        ProbeHandler::TcpSocket(TcpSocketAction { host: _, port: _ }) => {}
        ProbeHandler::Grpc(GrpcAction { port: _, service }) => left_out(service),
    }
}

/// The path without its query.
fn http(get: &mut HttpGetAction) {
    let HttpGetAction { host: _, port: _, path, scheme: _, headers } = get;
    if let Some(query) = path.find(['?', '#']) {
        path.truncate(query + 1);
        path.push_str(LEFT_OUT);
    }
    headers.iter_mut().for_each(|HttpHeader { name: _, value }| left_out(value));
}

/// The program stays, where it is one word. How many arguments it has does, too.
fn command(words: &mut [String]) {
    let is_program = |word: &str| !word.is_empty() && !word.contains(|c: char| c.is_whitespace() || c == '=');
    let kept = usize::from(words.first().is_some_and(|word| is_program(word)));
    words[kept..].iter_mut().for_each(left_out);
}

/// An empty one is none.
fn left_out(value: &mut String) {
    if !value.is_empty() {
        LEFT_OUT.clone_into(value);
    }
}
