use crate::forward::ForwardSession;
use crate::upgrade::{Connection, Limits};

pub(crate) fn serve(io: impl Connection, _is_base64: bool, _ports: &[u16], limits: Limits) -> ForwardSession {
    crate::spdy::forward::serve(io, limits)
}
