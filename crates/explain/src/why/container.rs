//! What is wrong with one container.

use lifecycle::{ExitReason, HookState, ProbeKind, ProbeVerdict, PullState, ResizeState, Verdict, Wait};
use podspec::{Container, ContainerKind, PodSpec, RestartPolicy};

use super::case::{Case, kind_word};
use super::exit::{self, one_line};
use super::explanation::{Health, Link, Remedy, Trouble};
use super::words::{self, Complaint};
use super::{complaints, image, network};

/// Worst first: what cannot go on by itself, then what may.
pub(super) fn trouble(case: &Case<'_>, container: &Container) -> Option<Trouble> {
    start_error(case, container)
        .or_else(|| image::trouble(case, container))
        .or_else(|| crashing(case, container))
        .or_else(|| stopping_alone(case, container))
        .or_else(|| post_start(case, container))
        .or_else(|| startup(case, container))
        .or_else(|| init_running(case, container))
        .or_else(|| resizing(case, container))
        .or_else(|| ended(case, container))
        .or_else(|| unready(case, container))
        .or_else(|| complaints::trouble(case, container))
        .or_else(|| turn(case, container))
}

/// A container that could not be made.
fn start_error(case: &Case<'_>, container: &Container) -> Option<Trouble> {
    let error = case.record.observed.containers.get(&container.name)?.start_error.as_ref()?;
    let text = one_line(&error.message);
    let mut trouble = Trouble::new(
        Health::Stuck,
        format!("{} {} cannot be made: {text}", kind_word(container), container.name),
    );
    trouble.chain.push(
        Link::of(container, format!("{}: {text}", error.reason))
            .since(case.when(error.at.boot))
            .until(case.when(error.at.boot.after(error.delay))),
    );
    trouble.remedies.push(missing_object(&error.message).unwrap_or_else(|| {
        Remedy::new("mend what the message names; the container is tried again by itself")
    }));
    Some(trouble)
}

/// `configmap "x" not found`, `secret "x" not found`, `couldn't find key k in ..`.
pub(super) fn missing_object(message: &str) -> Option<Remedy> {
    let small = message.to_lowercase();
    let quoted = |after: &str| message[after.len()..].split('"').nth(1).map(str::to_owned);
    for (word, command) in [
        ("configmap", "kubectl create configmap"),
        ("secret", "kubectl create secret generic"),
        ("persistentvolumeclaim", "kubectl apply -f CLAIM, with the name"),
    ] {
        if let Some(at) = small.find(word)
            && small.contains("not found")
        {
            let name = quoted(&message[..at]).unwrap_or_default();
            return Some(Remedy::new(format!(
                "make it ({command} {name}), or correct the name in the pod; or say optional: true where it may be missing. The pod goes on as soon as it is there"
            )));
        }
    }
    small
        .contains("find key")
        .then(|| Remedy::new("add the key to the object, or correct the name of the key in the pod"))
}

/// It ends again and again.
fn crashing(case: &Case<'_>, container: &Container) -> Option<Trouble> {
    let name = &container.name;
    let backoff = case.waits(name).find_map(|wait| match wait {
        Wait::CrashLoopBackOff { until, .. } => Some(*until),
        _ => None,
    });
    let restarts = case.attempt(name).map_or(0, |attempt| attempt.number);
    let runs = case.running(name).is_some();
    if backoff.is_none() && (runs || restarts == 0) {
        return None;
    }
    let (attempt, exit) = case.last_exit(name)?;
    if backoff.is_none() && exit.code == 0 {
        return None;
    }
    let stopped = case.stopped(name, attempt.number);
    let meaning = exit::meaning(container, attempt, exit, stopped);
    let word = kind_word(container);
    let mut trouble = Trouble::new(Health::Stuck, format!("{word} {name} keeps ending: {meaning}"));
    let times = if restarts == 1 { "once".to_owned() } else { format!("{restarts} times") };
    let mut link = Link::of(
        container,
        format!("{word} {name} has been restarted {times}; the next try waits (CrashLoopBackOff)"),
    );
    link.until = backoff.map(|until| case.when(until));
    if backoff.is_none() {
        link.text = format!("{word} {name} has been restarted {times}");
    }
    trouble.chain.push(link);
    trouble.chain.push(
        Link::of(container, format!("its last run ended with exit code {}", exit.code))
            .since(case.when(exit.finished.boot)),
    );
    if let Some((kind, text)) = stopped.and_then(|_| case.failure_of(name, attempt.number)) {
        trouble.chain.push(Link::of(container, format!("{} probe failed: {}", kind.name(), one_line(text))));
        trouble.remedies.extend(refused(case, container, kind, text));
    }
    trouble.logs = words::lines(case, name, Some(attempt.number)).or_else(|| words::lines(case, name, None));
    trouble.remedies.extend(complaints::remedies_of_lines(
        case,
        container,
        trouble.logs.as_ref().map(|logs| logs.lines.as_slice()),
    ));
    if trouble.remedies.is_empty() {
        trouble.remedies.push(of_exit(case, container, exit.code, exit.reason));
    }
    Some(trouble)
}

pub(super) fn of_exit(case: &Case<'_>, container: &Container, code: i32, reason: ExitReason) -> Remedy {
    let name = &container.name;
    Remedy::new(match (reason, code) {
        (ExitReason::OOMKilled, _) => format!("raise resources.limits.memory of {name}, or have it use less"),
        (ExitReason::StartError, _) | (_, 126 | 127) => {
            format!(
                "correct command and args of {name}: the program has to be in the image {} and be executable",
                container.image
            )
        }
        (_, 0) => {
            format!(
                "a container of a pod with restartPolicy Always has to go on: give {name} a command that does not end, or the pod restartPolicy: OnFailure or Never"
            )
        }
        _ => {
            let podspec::Pod { name: pod, namespace, .. } = &case.record.pod;
            format!("see what {name} says: monopod logs {pod} -c {name} -n {namespace}")
        }
    })
}

/// The engine is stopping it, whatever the pod does.
fn stopping_alone(case: &Case<'_>, container: &Container) -> Option<Trouble> {
    let name = &container.name;
    let reason = case.verdicts(name).find_map(|verdict| match verdict {
        Verdict::StopContainer(reason) => Some(*reason),
        _ => None,
    })?;
    let (attempt, _) = case.running(name)?;
    let why = exit::stop_reason(reason);
    let mut trouble = Trouble::new(
        Health::Stuck,
        format!("{} {name} is being stopped because {why}", kind_word(container)),
    );
    trouble.chain.extend(super::stopping::link(case, container));
    if let Some((kind, text)) = case.failure_of(name, attempt.number) {
        trouble.chain.push(Link::of(container, format!("{} probe failed: {}", kind.name(), one_line(text))));
        trouble.remedies.extend(refused(case, container, kind, text));
    }
    trouble.logs = words::lines(case, name, Some(attempt.number));
    Some(trouble)
}

fn post_start(case: &Case<'_>, container: &Container) -> Option<Trouble> {
    let (attempt, _) = case.running(&container.name)?;
    let name = &container.name;
    match &attempt.post_start {
        HookState::Running { since } if container.post_start.is_some() => {
            let mut trouble =
                Trouble::new(Health::Waiting, format!("the postStart hook of {name} has not ended"));
            trouble.chain.push(
                Link::of(container, "its postStart hook runs; what comes after it waits until it ends")
                    .since(case.when(*since)),
            );
            trouble.remedies.push(Remedy::new(format!(
                "a hook that never ends keeps its container from ever being started: let the hook of {name} end, and begin what goes on in the container itself"
            )));
            Some(trouble)
        }
        _ => None,
    }
}

/// It runs, and its startup probe has not succeeded.
fn startup(case: &Case<'_>, container: &Container) -> Option<Trouble> {
    let name = &container.name;
    let (attempt, since) = case.running(name)?;
    let probe = container.startup_probe.as_ref()?;
    if !case.waits(name).any(|wait| *wait == Wait::StartupProbe) {
        return None;
    }
    let failed = case.last_failure(name, ProbeKind::Startup);
    let word = kind_word(container);
    let health = if failed.is_some() { Health::Stuck } else { Health::Progressing };
    let mut trouble =
        Trouble::new(health, format!("{word} {name} is not started: its startup probe has not succeeded"));
    trouble.chain.push(
        Link::of(
            container,
            format!("{word} {name} runs; nothing after it starts before its startup probe succeeds"),
        )
        .since(case.when(since.boot)),
    );
    if let Some((text, at)) = failed {
        let count = attempt.startup.failures;
        trouble.cause = format!("{word} {name} is not started: its startup probe fails: {}", one_line(text));
        let left = probe.failure_threshold.saturating_sub(count);
        trouble.chain.push(
            Link::of(
                container,
                format!(
                    "the startup probe failed {count} of {} times; {left} more stop the container",
                    probe.failure_threshold
                ),
            )
            .since(at),
        );
        trouble.remedies.extend(refused(case, container, ProbeKind::Startup, text));
        if let Some(unreached) = unreached(case, container, ProbeKind::Startup, text) {
            trouble.chain.push(Link::of(container, unreached));
        }
    }
    trouble.logs = words::lines(case, name, Some(attempt.number));
    Some(trouble)
}

/// What a probe that was refused met.
fn unreached(case: &Case<'_>, container: &Container, kind: ProbeKind, text: &str) -> Option<String> {
    let port = probe_port(container, kind, text)?;
    network::unreached(case, container, port, true).map(|unreached| unreached.text)
}

fn refused(case: &Case<'_>, container: &Container, kind: ProbeKind, text: &str) -> Option<Remedy> {
    let port = probe_port(container, kind, text)?;
    network::unreached(case, container, port, true).map(|unreached| unreached.remedy)
}

fn probe_port(container: &Container, kind: ProbeKind, text: &str) -> Option<u16> {
    let is_refused = text.contains("refused");
    network::port_of(container, kind.of(container)?).filter(|_| is_refused)
}

/// An ordinary init container that has to end.
fn init_running(case: &Case<'_>, container: &Container) -> Option<Trouble> {
    let name = &container.name;
    if container.kind != ContainerKind::Init
        || !case.waits(name).any(|wait| matches!(wait, Wait::InitContainer { .. }))
    {
        return None;
    }
    let since = case.running(name).map(|(_, since)| case.when(since.boot));
    let endless = case.remedies_of(name, &["sidecar-as-init"]);
    let hosts = words::hosts(container);
    let logs = words::lines(case, name, case.attempt(name).map(|attempt| attempt.number));
    let waits = format!("init container {name} runs and has to exit with 0 before anything after it starts");
    let link = |text: String| Link { since, ..Link::of(container, text) };
    if !endless.is_empty() {
        let mut trouble = Trouble::new(
            Health::Stuck,
            format!("init container {name} never ends, so nothing after it starts"),
        );
        trouble.certain = true;
        trouble.chain.push(link(waits));
        if case.spec().restart_policy == RestartPolicy::Always {
            trouble.chain.push(Link::of(
                container,
                "restartPolicy: Always of the pod does not make it a sidecar; its own restartPolicy does",
            ));
        }
        trouble.remedies = endless;
        trouble.logs = logs;
        return Some(trouble);
    }
    for host in &hosts {
        if let Some(mut trouble) = host_trouble(case, container, host) {
            trouble.chain.insert(0, link(waits));
            trouble.logs = logs;
            return Some(trouble);
        }
    }
    let mut trouble = Trouble::new(Health::Waiting, format!("init container {name} has not ended"));
    trouble.chain.push(link(waits));
    if let Some(host) = hosts.first() {
        trouble.cause = format!("init container {name} has not ended; it speaks to {host}");
        let service = host.split('.').next().unwrap_or(host);
        trouble.remedies.push(Remedy::new(format!(
            "see whether {host} is there and answers: kubectl get endpointslices -l kubernetes.io/service-name={service}"
        )));
    }
    trouble.remedies.extend(complaints::remedies_of_lines(
        case,
        container,
        logs.as_ref().map(|logs| logs.lines.as_slice()),
    ));
    trouble.logs = logs;
    Some(trouble)
}

/// Why a host that a command waits for does not answer.
pub(super) fn host_trouble(case: &Case<'_>, container: &Container, host: &str) -> Option<Trouble> {
    let name = &container.name;
    let namespace = &case.record.pod.namespace;
    let short = host.split('.').next().unwrap_or(host);
    if let Some(other) =
        case.spec().all_containers().find(|other| other.name.as_str() == host && other.name != *name)
    {
        let mut trouble = Trouble::new(
            Health::Stuck,
            format!(
                "{} {name} waits for {host}, which is a container of this pod and no host name",
                kind_word(container)
            ),
        );
        trouble.remedies = case.remedies_of(name, &["container-name-as-host"]);
        if other.kind == ContainerKind::App && container.kind == ContainerKind::Init {
            trouble.remedies.push(Remedy::new(format!(
                "{host} starts after all init containers: make it a sidecar (an init container before {name} with restartPolicy: Always), or wait in the container that needs it"
            )));
        } else if trouble.remedies.is_empty() {
            trouble.remedies.push(Remedy::new("containers of a pod share their network: use localhost"));
        }
        return Some(trouble);
    }
    let of_namespace = match host.split('.').collect::<Vec<_>>()[..] {
        [_] => true,
        [_, ns] | [_, ns, "svc"] | [_, ns, "svc", "cluster", "local"] => ns == namespace,
        _ => false,
    };
    if !of_namespace || !case.around.complete {
        return None;
    }
    let (text, remedy) = match case.around.services.get(short) {
        None => (
            format!("there is no Service {short} in namespace {namespace}"),
            format!(
                "make a Service {short} whose selector matches pods that are ready; its name is then a host name in the pod"
            ),
        ),
        Some(0) => (
            format!("Service {short} has no ready endpoint"),
            format!(
                "start a pod that the selector of Service {short} matches, and that becomes ready: kubectl get endpointslices -l kubernetes.io/service-name={short}"
            ),
        ),
        Some(_) => return None,
    };
    let mut trouble =
        Trouble::new(Health::Waiting, format!("{} {name} waits for {short}: {text}", kind_word(container)));
    trouble.chain.push(Link::of(
        container,
        format!("{name} asks for {host}; {text}. The wait ends when it has a ready endpoint"),
    ));
    trouble.remedies.push(Remedy::new(remedy));
    Some(trouble)
}

fn resizing(case: &Case<'_>, container: &Container) -> Option<Trouble> {
    let name = &container.name;
    let (attempt, _) = case.running(name)?;
    let ResizeState::Failed { message, at } = &attempt.resize else {
        return case.waits(name).any(|wait| *wait == Wait::Resize).then(|| {
            let mut trouble =
                Trouble::new(Health::Progressing, format!("{name} is being given other resources"));
            trouble.chain.push(Link::of(container, "a resize is under way"));
            trouble
        });
    };
    let mut trouble = Trouble::new(
        Health::Waiting,
        format!("{name} could not be given its new resources: {}", one_line(message)),
    );
    let mut link =
        Link::of(container, format!("the resize failed: {}", one_line(message))).since(case.when(at.boot));
    link.until = case.waits(name).find_map(|wait| match wait {
        Wait::ResizeRetry { until } => Some(case.when(*until)),
        _ => None,
    });
    trouble.chain.push(link);
    trouble.remedies.push(Remedy::new(format!(
        "ask for no less memory than {name} uses, or for resources that the machine has"
    )));
    Some(trouble)
}

/// It has ended and stays so, while others go on.
fn ended(case: &Case<'_>, container: &Container) -> Option<Trouble> {
    let name = &container.name;
    if !case.verdicts(name).any(|verdict| *verdict == Verdict::Leave) {
        return None;
    }
    let (attempt, exit) = case.last_exit(name)?;
    let meaning = exit::meaning(container, attempt, exit, case.stopped(name, attempt.number));
    let others = running_apps(case.spec(), case);
    let health = if exit.code == 0 { Health::Progressing } else { Health::Stuck };
    let mut trouble =
        Trouble::new(health, format!("container {name} has ended and is not restarted: {meaning}"));
    trouble.chain.push(
        Link::of(
            container,
            format!("{meaning}; restartPolicy says that it stays so. The pod ends with the end of {others}"),
        )
        .since(case.when(exit.finished.boot)),
    );
    trouble.logs = words::lines(case, name, Some(attempt.number)).filter(|_| exit.code != 0);
    trouble.remedies = case.remedies_of(name, &["job-kept-alive"]);
    Some(trouble)
}

fn running_apps(spec: &PodSpec, case: &Case<'_>) -> String {
    let running: Vec<&str> =
        spec.containers.iter().filter(|c| case.running(&c.name).is_some()).map(|c| c.name.as_str()).collect();
    if running.is_empty() { "the others".to_owned() } else { running.join(", ") }
}

fn unready(case: &Case<'_>, container: &Container) -> Option<Trouble> {
    let name = &container.name;
    let (attempt, since) = case.running(name)?;
    if !case.waits(name).any(|wait| *wait == Wait::ReadinessProbe) {
        return None;
    }
    let failed = case.last_failure(name, ProbeKind::Readiness);
    let word = kind_word(container);
    let Some((text, at)) = failed else {
        let mut trouble = Trouble::new(
            Health::Progressing,
            format!(
                "{word} {name} is not ready yet: its readiness probe has not been made, or has not succeeded"
            ),
        );
        trouble.chain.push(Link::of(container, format!("{word} {name} runs")).since(case.when(since.boot)));
        return Some(trouble);
    };
    let mut trouble = Trouble::new(
        Health::Stuck,
        format!("{word} {name} is not ready: its readiness probe fails: {}", one_line(text)),
    );
    let was_ready = attempt.readiness.verdict == ProbeVerdict::Failure;
    let since = attempt.readiness.decided.filter(|_| was_ready).map_or(since.boot, |at| at.boot);
    trouble.chain.push(
        Link::of(
            container,
            format!("{word} {name} runs and gets no traffic of Services before its readiness probe succeeds"),
        )
        .since(case.when(since)),
    );
    trouble.chain.push(Link::of(container, "the readiness probe failed last").since(at));
    if let Some(text) = unreached(case, container, ProbeKind::Readiness, text) {
        trouble.chain.push(Link::of(container, text));
    }
    trouble.remedies.extend(refused(case, container, ProbeKind::Readiness, text));
    trouble.logs = words::lines(case, name, Some(attempt.number));
    if let Some((Complaint::PortInUse, line)) =
        trouble.logs.as_ref().and_then(|logs| words::complaint(&logs.lines))
    {
        trouble.remedies.extend(complaints::port_in_use(case, container, line));
    }
    if trouble.remedies.is_empty() {
        trouble
            .remedies
            .push(Remedy::new(format!("mend what the probe looks at, or correct readinessProbe of {name}")));
    }
    Some(trouble)
}

/// It waits for others, of which there is nothing to be said.
fn turn(case: &Case<'_>, container: &Container) -> Option<Trouble> {
    let name = &container.name;
    let text = case.waits(name).find_map(|wait| match wait {
        Wait::EarlierContainer { name: earlier } if earlier != name => {
            Some(format!("waits until {earlier} has started"))
        }
        Wait::SidecarStartup { name: sidecar } if sidecar == name => Some("is being started".to_owned()),
        Wait::ImagePull => Some(format!("waits for its image {}, which is being pulled", container.image)),
        _ => None,
    })?;
    let mut trouble = Trouble::new(Health::Progressing, format!("{} {name} {text}", kind_word(container)));
    let mut link = Link::of(container, trouble.cause.clone());
    link.since = case.since(|decision| {
        decision.container.as_ref() == Some(name) && matches!(decision.verdict, Verdict::Wait(_))
    });
    trouble.chain.push(link);
    if let Some(PullState::Pulling { failure: Some(failure), .. }) =
        case.record.observed.pulls.get(&container.image)
    {
        trouble
            .chain
            .push(Link::of(container, format!("the try before failed: {}", one_line(&failure.message))));
    }
    Some(trouble)
}
