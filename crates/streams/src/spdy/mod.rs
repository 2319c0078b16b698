//! SPDY/3.1, as far as Kubernetes uses it.

pub(crate) mod exec;
pub(crate) mod forward;
mod stream;

pub use stream::SpdyStream;
