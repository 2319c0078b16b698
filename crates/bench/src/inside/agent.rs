//! An agent: the other end of connections, and who makes them when it is told to.
//!
//! It is told through a socket in the exchange directory, which is not part of what is measured: a line with what to do, answered
//! by a line of numbers, or of what went wrong.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write};
use std::net::IpAddr;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::{clients, queries, servers};

/// Begins an answer that is none.
pub(crate) const FAILED: &str = "failed: ";

/// Serves until it is killed. `name` is that of the socket, and what is said to who asks for the name.
pub(crate) fn main(name: &str, exchange: &Path) -> Result<()> {
    servers::start(name)?;
    let path = exchange.join(name);
    let listener = UnixListener::bind(&path).with_context(|| format!("cannot make {}", path.display()))?;
    for told in listener.incoming() {
        let told = told?;
        // Nobody who asks is left without an answer, and nothing that goes wrong ends the agent.
        thread::spawn(move || answer(&told));
    }
    Ok(())
}

fn answer(told: &UnixStream) {
    let mut line = String::new();
    let done = match BufReader::new(told).read_line(&mut line) {
        Ok(_) => act(line.trim()),
        Err(error) => Err(error.into()),
    };
    let text = match done {
        Ok(numbers) => numbers.iter().fold(String::new(), |mut text, number| {
            // Writing to a String does not fail.
            let _ = write!(text, "{number} ");
            text
        }),
        Err(error) => format!("{FAILED}{error:#}"),
    };
    // Who asked may have gone.
    let _ = (&*told).write_all(format!("{text}\n").as_bytes());
}

fn act(line: &str) -> Result<Vec<f64>> {
    let words: Vec<&str> = line.split(' ').collect();
    match words[..] {
        ["stream", address, ms] => clients::stream(ip(address)?, duration(ms)?),
        ["echo", address, count] => clients::echo(ip(address)?, count.parse()?),
        ["connect", address, ms] => clients::connect(ip(address)?, duration(ms)?),
        ["reach", name, address] => clients::reach(name, ip(address)?),
        ["refused", address] => clients::refused(ip(address)?),
        ["resolve", name, outstanding, ms] => queries::resolve(name, outstanding.parse()?, duration(ms)?),
        _ => bail!("what is {line:?}?"),
    }
}

fn ip(address: &str) -> Result<IpAddr> {
    address.parse().with_context(|| format!("{address:?} is no address"))
}

fn duration(ms: &str) -> Result<Duration> {
    Ok(Duration::from_millis(ms.parse()?))
}
