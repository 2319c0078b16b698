use tokio::io::AsyncRead;

use crate::upgrade::{Connection, Limits};

pub(crate) async fn send(_io: impl Connection, _b: bool, _log: impl AsyncRead + Send + Unpin, _l: Limits) {}
