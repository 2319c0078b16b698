//! A relay before the registry, which cuts what goes through it.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::Result;

use super::HOST;
use crate::wait;

/// Relays to [`HOST`] as long as the process lives, but for a cut.
#[derive(Debug)]
pub(crate) struct Relay(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// How many bytes the registry may still send before it is cut off.
    left: AtomicU64,
    is_cut: AtomicBool,
}

impl Relay {
    /// Listens at an address, and cuts all connections when the registry has sent so many bytes.
    pub(crate) fn start(at: &str, cut_after: u64) -> Result<Self> {
        let listener = TcpListener::bind(at)?;
        let shared = Arc::new(Shared { left: AtomicU64::new(cut_after), is_cut: AtomicBool::new(false) });
        let relay = Self(shared.clone());
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let shared = shared.clone();
                // To a test whose bed is this thread's network namespace.
                let server = TcpStream::connect(HOST);
                if let (false, Ok(server)) = (shared.is_cut.load(Ordering::SeqCst), server) {
                    thread::spawn(move || join(client, server, |bytes| shared.count(bytes)));
                }
            }
        });
        Ok(relay)
    }

    pub(crate) fn wait_cut(&self, deadline: Duration) -> Result<()> {
        wait::until("so much from the registry that it is cut", deadline, || {
            self.0.is_cut.load(Ordering::SeqCst).then_some(())
        })
    }

    /// Never cuts again.
    pub(crate) fn go_on(&self) {
        self.0.left.store(u64::MAX, Ordering::SeqCst);
        self.0.is_cut.store(false, Ordering::SeqCst);
    }
}

/// Goes on as long as `goes_on` says so of what the server has sent; both ends are closed when it returns.
pub(super) fn join(client: TcpStream, server: TcpStream, goes_on: impl Fn(u64) -> bool) {
    let (Ok(from_client), Ok(to_server)) = (client.try_clone(), server.try_clone()) else { return };
    thread::spawn(move || pass(from_client, to_server, |_| true));
    pass(server, client, goes_on);
}

impl Shared {
    /// Whether what comes after so many bytes may come, too.
    fn count(&self, bytes: u64) -> bool {
        let left = self.left.load(Ordering::SeqCst);
        let is_enough = left <= bytes;
        if is_enough {
            self.is_cut.store(true, Ordering::SeqCst);
        } else if left != u64::MAX {
            self.left.store(left - bytes, Ordering::SeqCst);
        }
        !is_enough && !self.is_cut.load(Ordering::SeqCst)
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, goes_on: impl Fn(u64) -> bool) {
    let mut buffer = [0; 16 << 10];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        if to.write_all(&buffer[..length]).is_err() || !goes_on(length as u64) {
            break;
        }
    }
    for stream in [from, to] {
        // It may be closed by the other end.
        drop(stream.shutdown(std::net::Shutdown::Both));
    }
}
