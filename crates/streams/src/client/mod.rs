//! The client's side of exec, attach and port-forward, over any connection to an API server.

mod exec;
mod forward;
mod handshake;

pub use exec::{ExecStreams, exec};
pub use forward::PortForward;
pub use handshake::{ClientError, Target};
