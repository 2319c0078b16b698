//! What the runtime needs of the network of pods.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::OwnedFd;

use podspec::PodUid;

use crate::{Answer, PodContext, PortError};

/// Gives pods their addresses. Pods on the host's network have those of the host, and are none of its business.
pub trait PodNetwork: Send + Sync + fmt::Debug + 'static {
    /// Gives the pod addresses, and puts in force what holds for its connections. A pod that has some keeps them.
    fn attach<'a>(&'a self, pod: &'a PodContext) -> Answer<'a, Attachment>;

    /// Puts the link of a pod that has its addresses into a network namespace that was made by others.
    fn attach_to<'a>(&'a self, pod: &'a PodContext, netns: OwnedFd) -> Answer<'a, ()>;

    /// A pod that an earlier engine has begun, and which runs on.
    fn adopt<'a>(&'a self, pod: &'a PodContext) -> Answer<'a, ()>;

    /// What the pod has is free for others: it is gone. Idempotent.
    ///
    /// # Errors
    /// When that cannot be recorded.
    fn release(&self, pod: &PodContext) -> Result<(), PortError>;

    /// [`Self::release`] of a pod whose directory is gone.
    fn forget(&self, uid: &PodUid);
}

/// What a pod is given.
#[derive(Debug)]
pub struct Attachment {
    /// With the link in it; `None` when the pod makes its own.
    pub netns: Option<OwnedFd>,
    /// IPv4 first.
    pub addresses: Vec<IpAddr>,
}

/// Pods have their own loopback, and nothing else.
#[derive(Clone, Copy, Debug)]
pub struct NoNetwork;

impl PodNetwork for NoNetwork {
    fn attach<'a>(&'a self, pod: &'a PodContext) -> Answer<'a, Attachment> {
        let containers = pod.pod.spec.init_containers.iter().chain(&pod.pod.spec.containers);
        let host_port = containers.flat_map(|container| &container.ports).find_map(|port| port.host_port);
        let attached = match host_port {
            None => Ok(Attachment { netns: None, addresses: vec![IpAddr::V4(Ipv4Addr::LOCALHOST)] }),
            Some(port) => Err(PortError(format!(
                "hostPort {port} can lead to no pod, for pods have no network here: the engine's log says why; with \
                 hostNetwork: true the container listens on the host itself"
            ))),
        };
        Box::pin(async { attached })
    }

    fn attach_to<'a>(&'a self, _: &'a PodContext, _: OwnedFd) -> Answer<'a, ()> {
        Box::pin(async { Ok(()) })
    }

    fn adopt<'a>(&'a self, _: &'a PodContext) -> Answer<'a, ()> {
        Box::pin(async { Ok(()) })
    }

    fn release(&self, _: &PodContext) -> Result<(), PortError> {
        Ok(())
    }

    fn forget(&self, _: &PodUid) {}
}
