use crate::upgrade::{Connection, Limits};

pub(crate) struct Tunnel;

impl Tunnel {
    pub(crate) fn server<T: Connection>(io: T, _limits: Limits) -> T {
        io
    }
}
