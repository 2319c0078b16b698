//! Questions to the DNS server of this container.

use std::fs;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::clients::{float, nanoseconds};

const PORT: u16 = 53;
/// No answer takes so long unless it is lost.
const PATIENCE: Duration = Duration::from_secs(2);
/// As much as an answer over UDP has without EDNS.
const ANSWER_BYTES: usize = 512;
/// The server is asked to look further; cluster names need that of no server.
const RECURSION_DESIRED: [u8; 2] = [1, 0];
/// Type A, class IN.
const QUESTION_END: [u8; 4] = [0, 1, 0, 1];

/// Keeps so many questions for the name under way. How many were answered with an address, and nanoseconds.
pub(super) fn resolve(name: &str, outstanding: u16, time: Duration) -> Result<Vec<f64>> {
    let server = server()?;
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    socket.connect((server, PORT)).with_context(|| format!("cannot ask {server}"))?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let mut query = query(name)?;
    let (mut count, began) = (0, Instant::now());
    for id in 0..outstanding {
        ask(&socket, &mut query, id)?;
    }
    let mut answer = [0; ANSWER_BYTES];
    while began.elapsed() < time {
        let length = match socket.recv(&mut answer) {
            Ok(length) => length,
            Err(error) if error.kind() == ErrorKind::WouldBlock => bail!("{server} does not answer"),
            Err(error) => return Err(error.into()),
        };
        let id = check(&answer[..length])?;
        count += 1;
        ask(&socket, &mut query, id)?;
    }
    Ok(vec![float(count), nanoseconds(began.elapsed())])
}

/// The first that this container is told of.
fn server() -> Result<IpAddr> {
    let text = fs::read_to_string("/etc/resolv.conf").context("cannot read /etc/resolv.conf")?;
    let server = text.lines().find_map(|line| line.strip_prefix("nameserver ")?.trim().parse().ok());
    server.context("/etc/resolv.conf names no server")
}

fn ask(socket: &UdpSocket, query: &mut [u8], id: u16) -> Result<()> {
    query[..2].copy_from_slice(&id.to_be_bytes());
    socket.send(query)?;
    Ok(())
}

/// <https://www.rfc-editor.org/rfc/rfc1035#section-4.1>
fn query(name: &str) -> Result<Vec<u8>> {
    let mut query = vec![0, 0];
    query.extend(RECURSION_DESIRED);
    // One question, and nothing else.
    query.extend([0, 1, 0, 0, 0, 0, 0, 0]);
    for label in name.split('.') {
        query.push(u8::try_from(label.len())?);
        query.extend(label.bytes());
    }
    query.push(0);
    query.extend(QUESTION_END);
    Ok(query)
}

/// The ID of an answer that has one.
fn check(answer: &[u8]) -> Result<u16> {
    let Some(&[high, low, flags, code, _, _, many, few]) = answer.first_chunk() else {
        bail!("an answer of {} bytes", answer.len());
    };
    ensure!(flags & 0x80 != 0 && code & 0x0f == 0, "an answer with the code {}", code & 0x0f);
    ensure!([many, few] != [0, 0], "an answer without an address");
    Ok(u16::from_be_bytes([high, low]))
}

#[cfg(test)]
mod tests {
    use super::{check, query};

    #[test]
    fn questions_and_answers_are_those_of_the_protocol() {
        let asked = query("a.bc").unwrap();
        assert_eq!(asked, b"\0\0\x01\0\0\x01\0\0\0\0\0\0\x01a\x02bc\0\0\x01\0\x01");
        assert_eq!(check(b"\x01\x02\x85\0\0\x01\0\x01").unwrap(), 0x0102);
        for (answer, why) in [
            (&b"\x01\x02\x05\0\0\x01\0\x01"[..], "code 0"),
            (b"\x01\x02\x85\x03\0\x01\0\0", "code 3"),
            (b"\x01\x02\x85\0\0\x01\0\0", "without an address"),
            (b"\x01", "of 1 bytes"),
        ] {
            let error = check(answer).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }
}
