//! Speaks to a Kubernetes API: the local engine's by its socket, another one by a kubeconfig.
//!
//! Requests that are answered with a document use one connection, one after another. Answers come as JSON or as a stream of
//! parts (logs, watches); such a stream, exec, attach and port-forward have a connection of their own.

mod connection;
mod error;
mod kubeconfig;
mod request;

pub use connection::{Connection, Duplex};
pub use error::{ClientError, KubeconfigError};
pub use kubeconfig::Kubeconfig;
pub use request::{Answer, Client, Dialed, Parts};
