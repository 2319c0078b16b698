//! What the kubelet reads of the API.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use container_config::{ObjectData, ServiceAddress};
use podspec::source::{ObjectKind, TokenProjection};
use podspec::{HostPathType, Pod};

use crate::{PortError, PullSecret};

/// What becomes of a question.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, PortError>> + Send + 'a>>;

/// A token of a pod's account.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    pub text: String,
    /// From now on.
    pub lifetime: Duration,
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").field("lifetime", &self.lifetime).finish_non_exhaustive()
    }
}

/// What a claim is bound to: a directory of this machine.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClaimedVolume {
    pub path: String,
    pub kind: HostPathType,
    /// Its files are made those of the pod's `fsGroup`. A `hostPath` is left as it is.
    pub takes_group: bool,
}

/// The objects that pods name. Nothing is kept: what comes back is as it is now.
pub trait ObjectReader: Send + Sync + fmt::Debug + 'static {
    /// `None` when there is no such object.
    fn read<'a>(
        &'a self,
        namespace: &'a str,
        kind: ObjectKind,
        name: &'a str,
    ) -> Answer<'a, Option<Arc<ObjectData>>>;

    /// A secret with credentials of registries; `None` when there is none of that name and of such a type.
    fn pull_secret<'a>(&'a self, namespace: &'a str, name: &'a str) -> Answer<'a, Option<PullSecret>>;

    /// The volume that a claim in the pod's namespace is bound to.
    fn claim<'a>(&'a self, pod: &'a Pod, claim: &'a str, ephemeral: bool) -> Answer<'a, ClaimedVolume>;

    /// The Services with an address of a namespace, and that of the API; none where nothing leads to them.
    fn services<'a>(&'a self, namespace: &'a str) -> Answer<'a, Vec<ServiceAddress>>;

    /// A new token of the pod's account that ends with the pod.
    fn token<'a>(&'a self, pod: &'a Pod, wanted: &'a TokenProjection) -> Answer<'a, Token>;
}

/// A node without an API server.
#[derive(Clone, Copy, Debug)]
pub struct NoObjects;

const NO_SERVER: &str = "there is no API server to ask: run the pod with `monopod serve`";

impl ObjectReader for NoObjects {
    fn read<'a>(&'a self, _: &'a str, _: ObjectKind, _: &'a str) -> Answer<'a, Option<Arc<ObjectData>>> {
        Box::pin(async { Err(PortError(NO_SERVER.to_owned())) })
    }

    fn pull_secret<'a>(&'a self, _: &'a str, _: &'a str) -> Answer<'a, Option<PullSecret>> {
        Box::pin(async { Err(PortError(NO_SERVER.to_owned())) })
    }

    fn claim<'a>(&'a self, _: &'a Pod, _: &'a str, _: bool) -> Answer<'a, ClaimedVolume> {
        Box::pin(async { Err(PortError(NO_SERVER.to_owned())) })
    }

    fn services<'a>(&'a self, _: &'a str) -> Answer<'a, Vec<ServiceAddress>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn token<'a>(&'a self, _: &'a Pod, _: &'a TokenProjection) -> Answer<'a, Token> {
        Box::pin(async { Err(PortError(NO_SERVER.to_owned())) })
    }
}
