//! Other limits for what runs: of a container, and of the pod's group around it.
//!
//! Containers are resized one after another, each with what the pod is to have when all of them are. So the
//! pod's group grows before a container in it does, and shrinks as soon as nothing in it has more any more: the
//! kernel refuses a quota above the parent's or below a child's on v1, and a pod that has less memory than its
//! containers may use ends them.

use container_config::ResourceLimits;
use linux_sys::cgroup::{CgroupError, Group, Limits, Resource};

use super::spawn::limits;
use super::{Container, Sandbox};

#[derive(Debug, thiserror::Error)]
pub enum ResizeError {
    #[error(
        "cannot set {of}'s memory limit ({limit_bytes}) below current usage ({used_bytes}): \
         this is tried again until less is in use"
    )]
    MemoryInUse { of: String, limit_bytes: u64, used_bytes: u64 },
    #[error("cannot read the memory usage of {of}")]
    Usage { of: String, source: CgroupError },
    #[error("cannot change the {resource} limits of {of}")]
    Change { of: String, resource: Resource, source: CgroupError },
}

/// A group, and what it is limited to.
#[derive(Debug)]
pub(super) struct Limited {
    /// As in `the pod`.
    pub(super) of: String,
    pub(super) group: Group,
    /// Without devices.
    pub(super) limits: Limits,
}

/// What containers that run beside one another have.
#[derive(Clone, Debug, Default)]
pub struct Beside {
    /// Of those that the pod's own limits are made of.
    pub limits: Vec<Limits>,
    /// The pod has a memory limit of its own, which containers share as they like.
    pub share_memory: bool,
}

impl Beside {
    /// Whether a pod with these limits holds all of them.
    fn fit(&self, resource: Resource, pod: &Limits) -> bool {
        match resource {
            // One without a quota has the pod's.
            Resource::Cpu => {
                !self.limits.iter().any(|one| one.cpu_quota_us.is_some() && pod.has_less_cpu_than(one))
            }
            Resource::Memory if self.share_memory => !self
                .limits
                .iter()
                .any(|one| one.memory_limit_bytes.is_some() && pod.has_less_memory_than(one)),
            Resource::Memory => pod.memory_limit_bytes.is_none_or(|limit| {
                let sum = self
                    .limits
                    .iter()
                    .try_fold(0_u64, |sum, one| Some(sum.saturating_add(one.memory_limit_bytes?)));
                sum.is_some_and(|sum| sum <= limit)
            }),
        }
    }
}

impl Limited {
    fn change(&mut self, resource: Resource, to: &Limits) -> Result<(), ResizeError> {
        // Controllers that this machine lacks were reported when the group was made.
        self.group.change(resource, &self.limits, to).map_err(|source| ResizeError::Change {
            of: self.of.clone(),
            resource,
            source,
        })?;
        take(&mut self.limits, resource, to);
        Ok(())
    }

    /// Nothing below what is used: the kernel would end processes for it.
    fn refuse_memory_in_use(&self, to: &Limits) -> Result<(), ResizeError> {
        let Some(limit_bytes) = to.memory_limit_bytes.filter(|_| to.has_less_memory_than(&self.limits))
        else {
            return Ok(());
        };
        let used = self.group.memory_bytes();
        let used = used.map_err(|source| ResizeError::Usage { of: self.of.clone(), source })?;
        match used {
            Some(used_bytes) if used_bytes >= limit_bytes => {
                Err(ResizeError::MemoryInUse { of: self.of.clone(), limit_bytes, used_bytes })
            }
            _ => Ok(()),
        }
    }
}

/// What of `to` is of `resource`.
fn take(limits: &mut Limits, resource: Resource, to: &Limits) {
    match resource {
        Resource::Cpu => {
            limits.cpu_shares = to.cpu_shares;
            limits.cpu_quota_us = to.cpu_quota_us;
            limits.cpu_period_us = to.cpu_period_us;
        }
        Resource::Memory => limits.memory_limit_bytes = to.memory_limit_bytes,
    }
}

impl Container {
    /// What its group is limited to now, but for devices.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limited.limits
    }
}

/// The first is what may fail for want of memory, so that nothing else has changed then.
const RESOURCES: [Resource; 2] = [Resource::Memory, Resource::Cpu];

impl Sandbox {
    /// Gives the pod's group what of `of_pod` is more than it has. The rest is wanted from now on, and comes by
    /// [`Self::narrow`].
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn widen(&mut self, of_pod: &ResourceLimits) -> Result<(), ResizeError> {
        self.wanted = bounds(of_pod);
        for resource in RESOURCES {
            let less = match resource {
                Resource::Cpu => self.wanted.has_less_cpu_than(&self.pod.limits),
                Resource::Memory => self.wanted.has_less_memory_than(&self.pod.limits),
            };
            if !less {
                self.pod.change(resource, &self.wanted)?;
            }
        }
        Ok(())
    }

    /// Gives the pod's group what is wanted for it, as far as the containers that run fit into it.
    ///
    /// # Errors
    /// When the kernel refuses, or more memory is in use.
    pub fn narrow(&mut self, running: &Beside) -> Result<(), ResizeError> {
        for resource in RESOURCES.into_iter().filter(|resource| running.fit(*resource, &self.wanted)) {
            if resource == Resource::Memory {
                self.pod.refuse_memory_in_use(&self.wanted)?;
            }
            self.pod.change(resource, &self.wanted)?;
        }
        Ok(())
    }
}

/// Gives a running container other limits, and the pod's group `of_pod`, as far as the containers `beside` it
/// fit into that. To be repeated after a failure.
///
/// # Errors
/// When memory would be limited to less than is used: then nothing has changed. When the kernel refuses a value.
pub fn resize(
    sandbox: &mut Sandbox,
    container: &mut Container,
    limits: &ResourceLimits,
    of_pod: &ResourceLimits,
    beside: Beside,
) -> Result<(), ResizeError> {
    let limits = bounds(limits);
    let mut running = beside;
    running.limits.push(limits.clone());
    let container = &mut container.limited;
    container.refuse_memory_in_use(&limits)?;
    let pod = bounds(of_pod);
    if running.fit(Resource::Memory, &pod) {
        sandbox.pod.refuse_memory_in_use(&pod)?;
    }
    sandbox.widen(of_pod)?;
    for resource in RESOURCES {
        container.change(resource, &limits)?;
    }
    sandbox.narrow(&running)
}

/// Devices stay as they were when the group was made.
pub(super) fn bounds(resources: &ResourceLimits) -> Limits {
    Limits { devices: Vec::new(), ..limits(resources) }
}
