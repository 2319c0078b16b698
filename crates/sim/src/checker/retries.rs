//! Promises about what failed: it is tried again, and not too soon.

use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};
use std::time::Duration;

use podspec::ContainerName;

/// After a failed set-up of volumes or sandbox, a container that could not be made, the check of an image.
pub(super) const RETRY: Duration = Duration::from_secs(10);
/// After a lost sandbox, and after an exit that asks for a restart of all containers.
const PAUSE: Duration = Duration::from_secs(1);
/// After the first failed pull, and at most.
const PULL_FIRST: Duration = Duration::from_secs(10);
const PULL_MAX: Duration = Duration::from_secs(300);
/// What is found out about an image before anything is pulled.
const CHECKS: [&str; 3] = ["ErrImageNeverPull", "InvalidImageName", "ImageInspectError"];

/// Since when each may be tried again.
#[derive(Clone, Debug, Default)]
pub(super) struct Retries {
    volumes: Duration,
    sandbox: Duration,
    restart_of_all: Duration,
    containers: BTreeMap<ContainerName, Duration>,
    pulls: BTreeMap<String, Pull>,
}

#[derive(Clone, Debug, Default)]
struct Pull {
    under_way: bool,
    failed: bool,
    again: Duration,
    /// Before the next one, when the one under way fails.
    delay: Option<Duration>,
}

impl Retries {
    pub(super) fn volumes_failed(&mut self, at: Duration) {
        self.volumes = at + RETRY;
    }

    pub(super) fn set_up_volumes(&self, at: Duration) {
        assert!(at >= self.volumes, "volumes set up again too early");
    }

    pub(super) fn sandbox_failed(&mut self, at: Duration) {
        self.sandbox = at + RETRY;
    }

    pub(super) fn sandbox_lost(&mut self, at: Duration) {
        self.sandbox = at + PAUSE;
    }

    pub(super) fn create_sandbox(&self, at: Duration) {
        assert!(at >= self.sandbox, "a sandbox made again too early");
    }

    pub(super) fn restart_of_all_asked(&mut self, at: Duration) {
        self.restart_of_all = at + PAUSE;
    }

    pub(super) fn restart_all(&self, at: Duration) {
        assert!(at >= self.restart_of_all, "all containers restarted too early");
    }

    pub(super) fn container_failed(&mut self, name: &ContainerName, at: Duration) {
        self.containers.insert(name.clone(), at + RETRY);
    }

    pub(super) fn container_made(&mut self, name: &ContainerName) {
        self.containers.remove(name);
    }

    /// Everybody begins anew.
    pub(super) fn begin_run(&mut self) {
        self.containers.clear();
    }

    pub(super) fn make_container(&self, name: &ContainerName, at: Duration) {
        assert!(self.containers.get(name).is_none_or(|again| at >= *again), "{name} made again too early");
    }

    pub(super) fn pull(&mut self, image: &str, at: Duration) {
        let pull = self.pulls.entry(image.to_owned()).or_default();
        assert!(!pull.under_way, "{image} is pulled twice");
        assert!(at >= pull.again, "{image} is pulled again too early");
        pull.under_way = true;
    }

    pub(super) fn pulled(&mut self, image: &str) {
        self.pulls.remove(image);
    }

    pub(super) fn pull_failed(&mut self, image: &str, reason: &str, at: Duration) {
        let pull = self.pulls.entry(image.to_owned()).or_default();
        let backs_off = !CHECKS.contains(&reason);
        let delay = match pull.delay {
            _ if !backs_off => RETRY,
            Some(delay) => (delay * 2).min(PULL_MAX),
            None => PULL_FIRST,
        };
        *pull = Pull {
            under_way: false,
            failed: true,
            again: at + delay,
            delay: Some(delay).filter(|_| backs_off),
        };
    }

    /// It is waited until it is pulled again.
    pub(super) fn has_failed(&self, image: &str) -> bool {
        self.pulls.get(image).is_some_and(|pull| pull.failed && !pull.under_way)
    }

    /// What nobody names any more is forgotten.
    pub(super) fn keep_pulls(&mut self, named: impl Fn(&str) -> bool) {
        self.pulls.retain(|image, _| named(image));
    }

    /// What the old engine had under way is forgotten.
    pub(super) fn engine_restarted(&mut self) {
        self.pulls.retain(|_, pull| !pull.under_way);
    }

    pub(super) fn key(&self, now: Duration, hasher: &mut impl Hasher) {
        let left = |again: Duration| again.saturating_sub(now);
        let Self { volumes, sandbox, restart_of_all, containers, pulls } = self;
        (left(*volumes), left(*sandbox), left(*restart_of_all)).hash(hasher);
        for (name, again) in containers {
            (name, left(*again)).hash(hasher);
        }
        for (image, Pull { under_way, failed, again, delay }) in pulls {
            (image, under_way, failed, left(*again), delay).hash(hasher);
        }
    }
}
