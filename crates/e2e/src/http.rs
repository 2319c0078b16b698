//! HTTP/1.1 by hand, over the engine's socket: what no well-behaved client sends.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// How long an answer may take to go on.
const READ_TIME: Duration = Duration::from_secs(30);
/// No test reads more.
const ANSWER_BYTES_MAX: u64 = 64 << 20;

/// A socket to ask at.
#[derive(Clone, Debug)]
pub(crate) struct Api {
    socket: PathBuf,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) code: u16,
    /// Status line and headers, in lower case.
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Api {
    pub(crate) fn new(socket: PathBuf) -> Self {
        Self { socket }
    }

    pub(crate) fn connect(&self) -> Result<UnixStream> {
        let stream = UnixStream::connect(&self.socket).context("cannot connect to the engine's socket")?;
        stream.set_read_timeout(Some(READ_TIME))?;
        stream.set_write_timeout(Some(READ_TIME))?;
        Ok(stream)
    }

    /// Sends a request on a connection that stays open; the answer is not read.
    pub(crate) fn open(&self, target: &str) -> Result<UnixStream> {
        let mut stream = self.connect()?;
        write!(stream, "GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
        Ok(stream)
    }

    /// One request on a connection of its own.
    pub(crate) fn ask(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Answer> {
        let mut request = format!(
            "{method} {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {}\r\n",
            body.len()
        );
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        request.push_str("\r\n");
        self.raw(&[request.as_bytes(), body].concat())?
            .with_context(|| format!("no answer to {method} {target:.80}"))
    }

    pub(crate) fn get(&self, target: &str) -> Result<Answer> {
        self.ask("GET", target, &[], b"")
    }

    /// Sends JSON as `application/SUBTYPE`.
    pub(crate) fn send(&self, method: &str, target: &str, subtype: &str, body: &Value) -> Result<Answer> {
        let content_type = format!("application/{subtype}");
        self.ask(method, target, &[("Content-Type", &content_type)], body.to_string().as_bytes())
    }

    pub(crate) fn post(&self, target: &str, body: &Value) -> Result<Answer> {
        self.send("POST", target, "json", body)
    }

    /// Sends bytes and reads to the end; `None` when the server closes without an answer.
    pub(crate) fn raw(&self, request: &[u8]) -> Result<Option<Answer>> {
        let mut stream = self.connect()?;
        // A server that refuses a request need not take all of it.
        let _ = stream.write_all(request);
        read(&mut stream)
    }
}

/// Reads an answer to the end of its connection.
pub(crate) fn read(stream: &mut UnixStream) -> Result<Option<Answer>> {
    let mut bytes = Vec::new();
    if let Err(error) = stream.take(ANSWER_BYTES_MAX).read_to_end(&mut bytes)
        // What was not read of a refused request resets the connection behind the answer.
        && error.kind() != std::io::ErrorKind::ConnectionReset
    {
        return Err(error).context("the answer did not end");
    }
    if bytes.is_empty() {
        return Ok(None);
    }
    let text = String::from_utf8_lossy(&bytes);
    let (head, body) = text.split_once("\r\n\r\n").context("an answer without the end of its head")?;
    let head = head.to_lowercase();
    let code = head.split(' ').nth(1).and_then(|code| code.parse().ok()).context("no status")?;
    let is_chunked = head.contains("transfer-encoding: chunked");
    let body = if is_chunked { dechunk(body)? } else { body.to_owned() };
    Ok(Some(Answer { code, head, body }))
}

fn dechunk(mut text: &str) -> Result<String> {
    let mut body = String::new();
    while let Some((size, rest)) = text.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).context("a chunk without a size")?;
        if size == 0 {
            break;
        }
        ensure!(rest.is_char_boundary(size) && rest.len() >= size + 2, "a chunk is cut short");
        body.push_str(&rest[..size]);
        text = &rest[size + 2..];
    }
    Ok(body)
}

impl Answer {
    pub(crate) fn expect(self, code: u16) -> Result<Self> {
        ensure!(self.code == code, "{} instead of {code}: {:.600}", self.code, self.body);
        Ok(self)
    }

    pub(crate) fn json(&self) -> Result<Value> {
        serde_json::from_str(&self.body).with_context(|| format!("no JSON: {:.600}", self.body))
    }

    /// A refusal: a Status of this code whose message has every one of `parts`.
    pub(crate) fn refused(self, code: u16, parts: &[&str]) -> Result<()> {
        let answer = self.expect(code)?;
        let status = answer.json()?;
        ensure!(status["kind"] == "Status" && status["code"] == code, "no Status of {code}: {status}");
        let message = status["message"].as_str().unwrap_or_default();
        for part in parts {
            ensure!(message.contains(part), "{part:?} is not in {message:?}");
        }
        Ok(())
    }
}

/// The most memory that a process ever had, in kB.
pub(crate) fn memory_peak_kb(pid: rustix::process::Pid) -> Result<u64> {
    let path = Path::new("/proc").join(pid.as_raw_pid().to_string()).join("status");
    let status = std::fs::read_to_string(path)?;
    let peak =
        status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.split_whitespace().next()?.parse().ok());
    peak.context("no VmHWM")
}
