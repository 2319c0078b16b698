//! Speaks to a Kubernetes API: the local engine's by its socket, another one by a kubeconfig.
//!
//! A request is a connection of its own: a command makes a few, and the socket costs nothing. Answers come as
//! JSON, as a stream of parts (logs, watches), or as the raw connection of an upgrade (exec, attach, port-forward).

mod connection;
mod error;
mod kubeconfig;
mod request;

pub use error::{ClientError, KubeconfigError};
pub use kubeconfig::Kubeconfig;
pub use request::{Answer, Client, Parts, Upgraded};
