//! Speaks to a Kubernetes API: the local engine's by its socket, another one by a kubeconfig.
//!
//! A request is a connection of its own: a command makes a few, and the socket costs nothing. Answers come as
//! JSON or as a stream of parts (logs, watches); exec, attach and port-forward begin on a connection of their own.

mod connection;
mod error;
mod kubeconfig;
mod request;

pub use connection::{Connection, Duplex};
pub use error::{ClientError, KubeconfigError};
pub use kubeconfig::Kubeconfig;
pub use request::{Answer, Client, Dialed, Parts};
