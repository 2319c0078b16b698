//! Notices when others delete the table.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::{io, thread};

use nftables::TableGone;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::pipe::{PipeFlags, pipe_with};
use tokio::sync::mpsc::WeakSender;

use super::RulesError;
use super::writer::{Request, Wish};

/// Ends its thread when it is dropped.
#[derive(Debug)]
pub(super) struct Watch {
    _ends: OwnedFd,
}

/// Asks for the table again whenever another than `own` deletes it.
pub(super) fn start(table: &str, own: u32, requests: WeakSender<Request>) -> Result<Watch, RulesError> {
    let failed = |error: io::Error| RulesError::Thread(Arc::new(error));
    let mut gone = TableGone::watch(table.to_owned())?;
    let (end, ends) = pipe_with(PipeFlags::CLOEXEC).map_err(|errno| failed(errno.into()))?;
    let watch = move || {
        while wait(&gone, &end) {
            match gone.is_gone(own) {
                Ok(true) => {
                    let Some(requests) = requests.upgrade() else { return };
                    if requests.blocking_send(Request { wish: Wish::Again, answer: None }).is_err() {
                        return;
                    }
                }
                Ok(false) => {}
                Err(error) => {
                    tracing::warn!("it is not noticed any more when others delete the rules: {error}");
                    return;
                }
            }
        }
    };
    thread::Builder::new().name("rules-watch".to_owned()).spawn(watch).map_err(failed)?;
    Ok(Watch { _ends: ends })
}

/// Until something happened to tables; `false` when the watch is over.
fn wait(gone: &TableGone, end: &OwnedFd) -> bool {
    loop {
        let mut fds = [PollFd::new(gone, PollFlags::IN), PollFd::new(end, PollFlags::IN)];
        match poll(&mut fds, None) {
            Ok(_) => return fds[1].revents().is_empty(),
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return false,
        }
    }
}
