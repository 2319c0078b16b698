//! A container that answers probes.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;

use anyhow::{Context, Result};

use crate::timed::{START, append};

/// Answers GET of whatever path.
pub(crate) const PORT: u16 = 7004;
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
/// Of what a prober says of itself.
const REQUEST_BYTES_MAX: usize = 4096;

/// Says in `file` when it began, and serves until it is killed.
pub(crate) fn main(file: &Path, began: i64) -> Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, PORT));
    let listener = listener.with_context(|| format!("cannot listen on port {PORT}"))?;
    append(file, START, began)?;
    for stream in listener.incoming() {
        // What goes wrong is seen by who probes.
        let _ = stream.and_then(answer);
    }
    Ok(())
}

fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    let (mut request, mut read) = ([0; REQUEST_BYTES_MAX], 0);
    while !request[..read].ends_with(b"\r\n\r\n") {
        match stream.read(&mut request[read..])? {
            0 => return Ok(()),
            length => read += length,
        }
    }
    stream.write_all(ANSWER)
}
