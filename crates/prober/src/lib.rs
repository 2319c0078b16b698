//! What the network probes and hooks of a container ask, and what the answer means.
//!
//! A request for the pod itself goes over a connection that the caller dials ([`Dial`]), for the pod has a network
//! of its own; one that names a host is made from the network of this process. Results and their texts are those of
//! a kubelet of Kubernetes 1.36
//! (<https://kubernetes.io/docs/concepts/configuration/liveness-readiness-startup-probes/>), as people match on them.
//!
//! Nothing is spawned: a connection is driven by the future that uses it, and is closed when that is dropped. Only
//! the system's resolver, asked for the name of a `host`, may finish in a thread of its own. Every read is bounded
//! in bytes, and by the timeout.

mod dial;
mod error;
mod grpc;
mod health;
mod hook;
mod hook_process;
mod http1;
mod http2;
mod probe;
mod request;
mod status;
mod tap;
mod tls;
mod transport;
mod url;

pub use dial::{Dial, Pod};
pub use grpc::grpc_health;
pub use hook::{HookSuccess, http_hook};
pub use hook_process::{USAGE as HOOK_USAGE, run_hook_process};
pub use probe::{http_get, tcp_connect};
pub use tls::trusting as trusting_tls;

/// What the requests call themselves: the version of the kubelet they are like.
const KUBERNETES_VERSION: &str = "1.36";

/// What a probe found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    Success,
    /// A success that somebody should know more about; the text of the event `ProbeWarning`.
    Warning(String),
    /// With the probe's output.
    Failure(String),
    /// The probe came to no result. Whoever asked may ask again; it is no failure of the container.
    Error(String),
}
