//! WebSockets: channels of exec and attach, of the old port-forward, logs, and the tunnel of SPDY.

pub(crate) mod codec;
pub(crate) mod exec;
pub(crate) mod forward;
pub(crate) mod log;
pub(crate) mod socket;
pub(crate) mod tunnel;
