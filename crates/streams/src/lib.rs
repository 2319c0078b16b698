//! Streams of exec, attach, port-forward and logs over WebSockets and SPDY/3.1.
//!
//! A server negotiates ([`ExecUpgrade`], [`ForwardUpgrade`], [`LogUpgrade`]), answers 101, and hands the upgraded connection over;
//! what it gets is a session without a transport ([`ExecSession`], [`ForwardSession`]). The [`client`] is the other side.
//!
//! Every buffer is bounded, and a full one makes its writer wait: a client that stops reading stops its command, and a command that
//! stops reading stops its client. Neither makes memory grow.

pub mod client;
mod closed;
mod exec;
mod forward;
mod negotiate;
mod refusal;
mod resize;
mod spdy;
mod status;
#[cfg(test)]
mod tests;
mod upgrade;
mod websocket;

pub use closed::{Closed, Open};
pub use exec::{
    ExecEnds, ExecSession, ExitReport, Input, Output, PIPE_BYTES_MAX, Report, Resizer, Resizes, TerminalSize,
    Wanted,
};
pub use forward::{ForwardConnection, ForwardData, ForwardSession};
pub use negotiate::wants_upgrade;
pub use refusal::Refusal;
pub use spdy::SpdyStream;
pub use upgrade::{AcceptError, Connection, ExecUpgrade, ForwardUpgrade, Limits, LogUpgrade, upgraded};
