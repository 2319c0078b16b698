//! What an agent does when it is told to. Each waits for one thing at a time.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use linux_sys::clock::boot_ns;
use rustix::net::sockopt::set_socket_linger;

use super::STREAM_BYTES;
use super::servers::{ECHO_PORT, NAME_PORT, SINK_PORT};
use crate::stats::Stats;

/// No connection takes so long unless it fails.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two tries to reach somebody: who has to change that gets the processor.
const PAUSE: Duration = Duration::from_micros(200);

/// One connection, as fast as it takes it. Bytes and nanoseconds.
pub(super) fn stream(address: IpAddr, time: Duration) -> Result<Vec<f64>> {
    let mut stream = dial(address, SINK_PORT)?;
    let bytes = vec![b'x'; STREAM_BYTES];
    let (mut sent, began) = (0, Instant::now());
    while began.elapsed() < time {
        stream.write_all(&bytes)?;
        sent += bytes.len();
    }
    stream.shutdown(Shutdown::Write)?;
    stream.read_exact(&mut [0]).context("the end of the stream was not seen")?;
    Ok(vec![float(sent), nanoseconds(began.elapsed())])
}

/// A byte there and back, again and again: the median and the 99th percentile, nanoseconds.
pub(super) fn echo(address: IpAddr, count: usize) -> Result<Vec<f64>> {
    let mut stream = dial(address, ECHO_PORT)?;
    stream.set_nodelay(true)?;
    let mut took = Vec::with_capacity(count);
    for _ in 0..count {
        let began = Instant::now();
        stream.write_all(b"?")?;
        stream.read_exact(&mut [0])?;
        took.push(nanoseconds(began.elapsed()));
    }
    let Stats { median, p99, .. } = Stats::of(&took);
    Ok(vec![median, p99])
}

/// Connections one after another, each until the other side has said its name. How many, and nanoseconds.
pub(super) fn connect(address: IpAddr, time: Duration) -> Result<Vec<f64>> {
    let (mut count, began) = (0, Instant::now());
    while began.elapsed() < time {
        name_of(address)?;
        count += 1;
    }
    Ok(vec![float(count), nanoseconds(began.elapsed())])
}

/// Connects until it is the agent of that name who answers: when that connection was begun and when it was answered, by the boot clock.
pub(super) fn reach(name: &str, address: IpAddr) -> Result<Vec<f64>> {
    let end = Instant::now() + PATIENCE;
    loop {
        let began = boot_ns();
        let found = match name_of(address) {
            Ok(found) => found,
            // Before there is anybody.
            Err(error) if is_refusal(&error) => String::new(),
            Err(error) => return Err(error),
        };
        if found == name {
            #[expect(clippy::cast_precision_loss, reason = "below 2^53: a hundred days")]
            return Ok(vec![began as f64, boot_ns() as f64]);
        }
        if Instant::now() > end {
            bail!("{address} still leads to {found:?} and not to {name:?}");
        }
        sleep(PAUSE);
    }
}

/// One if there is nobody at that address who takes a connection, zero if there is.
pub(super) fn refused(address: IpAddr) -> Result<Vec<f64>> {
    match name_of(address) {
        Ok(_) => Ok(vec![0.0]),
        Err(error) if is_refusal(&error) => Ok(vec![1.0]),
        Err(error) => Err(error),
    }
}

/// Reset once it was said: connections that are over would be remembered for minutes by both sides and on the way, until there
/// is no port or no room for another one.
fn name_of(address: IpAddr) -> Result<String> {
    let stream = dial(address, NAME_PORT)?;
    let mut name = String::new();
    BufReader::new(&stream).read_line(&mut name)?;
    set_socket_linger(&stream, Some(Duration::ZERO))?;
    let name = name.strip_suffix('\n').with_context(|| format!("{address} did not say its name"))?;
    Ok(name.to_owned())
}

fn dial(address: IpAddr, port: u16) -> Result<TcpStream> {
    let address = SocketAddr::new(address, port);
    let stream = TcpStream::connect_timeout(&address, PATIENCE);
    let stream = stream.with_context(|| format!("cannot connect to {address}"))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

fn is_refusal(error: &anyhow::Error) -> bool {
    error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == ErrorKind::ConnectionRefused)
}

#[expect(clippy::cast_precision_loss, reason = "below 2^53")]
pub(super) fn float(count: usize) -> f64 {
    count as f64
}

pub(super) fn nanoseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e9
}
