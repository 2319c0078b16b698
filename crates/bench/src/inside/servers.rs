//! What an agent's clients connect to.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::thread;

use anyhow::{Context, Result};

use super::STREAM_BYTES;

/// Takes all that comes; when it ends, says so with a byte.
pub(crate) const SINK_PORT: u16 = 7001;
/// Sends back each byte.
pub(crate) const ECHO_PORT: u16 = 7002;
/// Says the agent's name in a line.
pub(crate) const NAME_PORT: u16 = 7003;

/// Each serves in a thread of its own.
pub(super) fn start(name: &str) -> Result<()> {
    let name = format!("{name}\n").into_bytes();
    serve(SINK_PORT, |stream| drop(thread::spawn(move || sink(stream))))?;
    serve(ECHO_PORT, |stream| drop(thread::spawn(move || echo(stream))))?;
    serve(NAME_PORT, move |stream| {
        // Here the connection itself is what is measured, so no thread is made for it.
        let _ = (&stream).write_all(&name);
    })
}

fn serve(port: u16, with: impl Fn(TcpStream) + Send + 'static) -> Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port));
    let listener = listener.with_context(|| format!("cannot listen on port {port}"))?;
    thread::spawn(move || listener.incoming().flatten().for_each(with));
    Ok(())
}

/// What goes wrong in these is seen by the client.
fn sink(mut stream: TcpStream) -> std::io::Result<()> {
    let mut bytes = vec![0; STREAM_BYTES];
    while stream.read(&mut bytes)? > 0 {}
    stream.write_all(b"!")?;
    stream.shutdown(Shutdown::Both)
}

fn echo(mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut byte = [0];
    while stream.read(&mut byte)? > 0 {
        stream.write_all(&byte)?;
    }
    Ok(())
}
