//! The small pods, as scenario texts.

use std::fmt::Write as _;

const POLICIES: [&str; 3] = ["Always", "OnFailure", "Never"];
const INITS_MAX: usize = 2;
const SIDECARS_MAX: usize = 2;
const APPS_MAX: usize = 2;

/// Every order of at most two init containers and at most two sidecars, before one or two apps, with
/// every restart policy of the pod.
#[must_use]
pub fn small() -> Vec<String> {
    let mut pods = Vec::new();
    for inits in orders(INITS_MAX, SIDECARS_MAX) {
        for apps in 1..=APPS_MAX {
            let kinds = inits.iter().copied().chain(std::iter::repeat_n("app", apps));
            let containers = named(kinds);
            pods.extend(POLICIES.map(|policy| pod(policy, &containers)));
        }
    }
    pods
}

/// Every restart policy of a container beside every one of its pod: at most one init container and one
/// sidecar, one or two apps.
#[must_use]
pub fn with_own_policies() -> Vec<String> {
    let mut pods = Vec::new();
    for inits in [&[][..], &["sidecar"], &["init"], &["init", "sidecar"]] {
        for apps in 1..=APPS_MAX {
            let kinds = inits.iter().copied().chain(std::iter::repeat_n("app", apps));
            for containers in own_policies(&named(kinds)) {
                pods.extend(POLICIES.map(|policy| pod(policy, &containers)));
            }
        }
    }
    pods
}

/// Probes, hooks, restart rules and a deadline, each where it can get into the way of the others.
#[must_use]
pub fn furnished() -> Vec<String> {
    let pods = [
        "sidecar s startup=ok threshold=1|app a",
        "sidecar s startup=ok threshold=2 successes=1|init i|app a",
        "sidecar s startup=ok threshold=1|sidecar t startup=ok threshold=1|app a",
        "init i|sidecar s startup=ok threshold=1 probegrace=1s|app a|app b",
        "app a startup=ok threshold=1 prestop=0s|app b",
        "sidecar s poststart=0s|app a poststart=0s|app b",
        "sidecar s prestop=0s|sidecar t|app a prestop=0s",
        "sidecar s poststart=0s prestop=0s startup=ok threshold=1|app a",
        "init i rules=42:Restart|app a rules=42:Restart",
        "init i rules=1:RestartAllContainers|sidecar s|app a",
        "sidecar s|app a rules=1:RestartAllContainers|app b",
        "sidecar s rules=1:RestartAllContainers prestop=0s|app a",
        "app a rules=!0:RestartAllContainers|app b rules=42:RestartAllContainers",
        "app a image=x|app b image=x",
    ];
    let mut texts = Vec::new();
    for containers in pods {
        let containers: Vec<String> = containers.split('|').map(str::to_owned).collect();
        texts.extend(POLICIES.map(|policy| pod(policy, &containers)));
        texts.push(pod("OnFailure deadline=15", &containers));
    }
    texts
}

/// Liveness and readiness probes, alone and beside a startup probe, and where they get into the way of a stop.
#[must_use]
pub fn probed() -> Vec<String> {
    let pods = [
        "app a liveness=ok liveness-threshold=1",
        "app a liveness=ok liveness-threshold=2 startup=ok threshold=1|app b",
        "app a liveness=ok liveness-threshold=1 liveness-probegrace=1s prestop=0s|app b",
        "app a readiness=ok readiness-threshold=1 readiness-successes=2 prestop=0s",
        "app a readiness=ok readiness-threshold=1 liveness=ok liveness-threshold=1",
        "sidecar s liveness=ok liveness-threshold=1 readiness=ok readiness-threshold=1|app a",
        "sidecar s startup=ok threshold=1 liveness=ok liveness-threshold=1|init i|app a",
        "app a liveness=ok liveness-threshold=1 rules=143:RestartAllContainers|app b readiness=ok",
    ];
    each_policy(&pods, "")
}

/// What changes the pod, or is said of it, from outside.
#[must_use]
pub fn changed() -> Vec<String> {
    let pods = [
        "app a image=x|at 0s image a y|at 0s image a x",
        "app a image=x prestop=0s|app b image=x|at 0s image a y",
        "sidecar s image=x startup=ok threshold=1|app a|at 0s image s y",
        "init i image=x|app a image=x|at 0s image i y|at 0s image a y",
        "app a cpu=1 memory=1 resize-restarts=memory|at 0s resize a cpu=2|at 0s resize a memory=2",
        "sidecar s cpu=1 liveness=ok liveness-threshold=1|app a|at 0s resize s cpu=2|at 0s resize s cpu=1",
        "app a|app b prestop=0s|at 0s evict",
        "sidecar s|app a rules=1:RestartAllContainers|at 0s evict",
        "app a|at 0s deadline 3|at 0s deadline 0",
    ];
    let gated = ["app a readiness=ok readiness-threshold=1|at 0s gate g True|at 0s gate g False"];
    let mut texts = each_policy(&pods, "");
    texts.extend(each_policy(&gated, " gates=g"));
    texts
}

fn each_policy(pods: &[&str], settings: &str) -> Vec<String> {
    let lines = |pod: &str| pod.split('|').map(str::to_owned).collect::<Vec<String>>();
    let with = |pod: &&str| POLICIES.map(|policy| self::pod(&format!("{policy}{settings}"), &lines(pod)));
    pods.iter().flat_map(with).collect()
}

/// What is stopped, with every grace: apps, sidecars and an init container, with and without preStop
/// hooks, with and without a deadline.
#[must_use]
pub fn stopped() -> Vec<String> {
    let pods = [
        "app a",
        "app a prestop=0s",
        "app a|app b",
        "app a prestop=0s|app b",
        "sidecar s|app a",
        "sidecar s prestop=0s|app a",
        "sidecar s|app a prestop=0s",
        "sidecar s prestop=0s|app a prestop=0s",
        "sidecar s|sidecar t|app a",
        "sidecar s|sidecar t prestop=0s|app a",
        "sidecar s prestop=0s|sidecar t|app a",
        "sidecar s|app a|app b",
        "sidecar s|init i|app a",
        "sidecar s prestop=0s|init i|app a",
    ];
    let mut texts = Vec::new();
    for containers in pods {
        for grace in [0, 1, 2, 3, 5, 30] {
            for deadline in ["", " deadline=4"] {
                let containers = containers.replace('|', "\n");
                texts.push(format!("pod restart=Never grace={grace}{deadline}\n{containers}\n"));
            }
        }
    }
    texts
}

fn pod(policy: &str, containers: &[String]) -> String {
    containers.iter().fold(format!("pod grace=5 restart={policy}\n"), |mut text, container| {
        let _ = writeln!(text, "{container}");
        text
    })
}

/// Every sequence of at most so many init containers and sidecars.
fn orders(inits: usize, sidecars: usize) -> Vec<Vec<&'static str>> {
    let mut all = vec![Vec::new()];
    let mut begin_with = |kind, rests: Vec<Vec<&'static str>>| {
        all.extend(rests.into_iter().map(|rest| std::iter::once(kind).chain(rest).collect()));
    };
    if inits > 0 {
        begin_with("init", orders(inits - 1, sidecars));
    }
    if sidecars > 0 {
        begin_with("sidecar", orders(inits, sidecars - 1));
    }
    all
}

fn named<'k>(kinds: impl Iterator<Item = &'k str>) -> Vec<String> {
    kinds
        .enumerate()
        .map(|(index, kind)| format!("{kind} {}{index}", kind.get(..1).unwrap_or(kind)))
        .collect()
}

/// Each container without a policy of its own, and with every one it may have.
fn own_policies(containers: &[String]) -> Vec<Vec<String>> {
    let Some((first, rest)) = containers.split_first() else { return vec![Vec::new()] };
    let policies: &[&str] = match first.split(' ').next() {
        Some("init") => &["", " restart=OnFailure", " restart=Never"],
        Some("app") => &["", " restart=Always", " restart=OnFailure", " restart=Never"],
        _ => &[""],
    };
    let rests = own_policies(rest);
    let with = |policy: &&str| {
        let first = format!("{first}{policy}");
        rests.iter().map(move |rest| std::iter::once(first.clone()).chain(rest.iter().cloned()).collect())
    };
    policies.iter().flat_map(with).collect()
}
