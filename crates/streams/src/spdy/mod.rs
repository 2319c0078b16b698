//! SPDY/3.1, as far as Kubernetes uses it (draft-mbelshe-httpbis-spdy-00).
//!
//! Kubernetes' SPDY has no flow control of its own: windows and settings are neither sent nor heeded on either side, and a sender
//! waits because the connection under it does.

mod connection;
mod core;
mod dictionary;
pub(crate) mod exec;
pub(crate) mod forward;
mod frame;
mod headers;
mod stream;

pub(crate) use connection::LINGER;
pub(crate) use forward::ForwardClient;
pub use stream::SpdyStream;

/// What the tests of the crate make connections with.
#[cfg(test)]
pub(crate) mod testing {
    pub(crate) use super::connection::Spdy;
    pub(crate) use super::core::Role;
    pub(crate) use super::frame::syn_stream;
    pub(crate) use super::headers::{HeaderEncoder, Headers};
    pub(crate) use super::stream::SpdyStream;
}
