//! Clients that hold, flood or confuse the server: it goes on for all others, in bounded memory.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::bed::{Bed, SOON};
use crate::cluster::Cluster;
use crate::http::{self, Api, memory_peak_kb};
use crate::outcome::skip;
use crate::pod::Pod;
use crate::runner::{Test, tests};
use crate::suites::require_root;
use crate::wait;

pub(crate) const TESTS: &[Test] = tests![
    bodies_of_100_mb,
    whoever_stops_reading_a_list,
    whoever_stops_reading_a_watch,
    whoever_stops_reading_a_log,
    idle_watches,
    headers_that_come_drop_by_drop,
    bytes_that_are_no_http,
    connections_that_come_and_go,
    strangers_over_tls,
];

const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";
/// By which the server may grow for whatever one test does.
const GROWTH_KB_MAX: u64 = 64 * 1024;

/// What one test needs to judge a server by.
struct Server<'a> {
    cluster: Cluster<'a>,
    api: Api,
    peak_kb: u64,
}

impl<'a> Server<'a> {
    fn start(bed: &'a Bed) -> Result<Self> {
        require_root()?;
        let cluster = Cluster::start_bare(bed)?;
        let api = Api::new(cluster.socket());
        api.get("/api/v1/pods")?.expect(200)?;
        let peak_kb = memory_peak_kb(cluster.pid()?)?;
        Ok(Self { cluster, api, peak_kb })
    }

    /// Answers within a second or so, and has not grown beyond the bound.
    fn expect_well(&self) -> Result<()> {
        let began = Instant::now();
        self.api.get("/readyz")?.expect(200)?;
        self.api.get("/api/v1/namespaces/default")?.expect(200)?;
        ensure!(began.elapsed() < SOON / 3, "two small requests took {:?}", began.elapsed());
        let grown = memory_peak_kb(self.cluster.pid()?)?.saturating_sub(self.peak_kb);
        ensure!(grown <= GROWTH_KB_MAX, "the server grew by {grown} kB");
        Ok(())
    }

    /// As many ConfigMaps of almost the largest size.
    fn fill(&self, count: usize) -> Result<()> {
        for n in 0..count {
            self.api.post(CONFIG_MAPS, &large(&format!("large-{n}"), "x"))?.expect(201)?;
        }
        Ok(())
    }

    fn finish(self) -> Result<()> {
        self.expect_well()?;
        self.cluster.finish()
    }
}

fn large(name: &str, filling: &str) -> Value {
    json!({ "metadata": { "name": name }, "data": { "key": filling.repeat(900_000) } })
}

fn bodies_of_100_mb(bed: &Bed) -> Result<()> {
    let server = Server::start(bed)?;
    let head =
        format!("POST {CONFIG_MAPS} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n");
    let mut stream = server.api.connect()?;
    write!(stream, "{head}Content-Length: 104857600\r\n\r\n")?;
    let answer = http::read(&mut stream)?.context("no answer")?;
    answer.refused(413, &["Request entity too large"])?;
    let mut stream = server.api.connect()?;
    write!(stream, "{head}Transfer-Encoding: chunked\r\n\r\n")?;
    let mut chunk = b"100000\r\n".to_vec();
    chunk.resize(chunk.len() + 0x10_0000, b' ');
    chunk.extend_from_slice(b"\r\n");
    let mut taken = 0;
    while taken < 100 && stream.write_all(&chunk).is_ok() {
        taken += 1;
    }
    ensure!(taken < 100, "100 MB were taken");
    if let Some(answer) = http::read(&mut stream)? {
        answer.refused(413, &["Request entity too large"])?;
    }
    server.finish()
}

fn whoever_stops_reading_a_list(bed: &Bed) -> Result<()> {
    const READERS: usize = 20;
    let server = Server::start(bed)?;
    server.fill(10)?;
    let compressed =
        format!("GET {CONFIG_MAPS} HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: gzip\r\n\r\n");
    let mut stalled = Vec::new();
    for _ in 0..READERS {
        stalled.push(server.api.open(CONFIG_MAPS)?);
        let mut other = server.api.connect()?;
        other.write_all(compressed.as_bytes())?;
        stalled.push(other);
    }
    for stream in &mut stalled {
        stream.read_exact(&mut [0])?;
    }
    server.expect_well()?;
    let whole = server.api.get(CONFIG_MAPS)?.expect(200)?.json()?;
    ensure!(whole["items"].as_array().is_some_and(|items| items.len() >= 10), "a list is not whole");
    drop(stalled);
    server.finish()
}

fn whoever_stops_reading_a_watch(bed: &Bed) -> Result<()> {
    let server = Server::start(bed)?;
    server.fill(1)?;
    let watch = format!("{CONFIG_MAPS}?watch=true");
    let mut stalled: Vec<UnixStream> = (0..20).map(|_| server.api.open(&watch)).collect::<Result<_>>()?;
    for stream in &mut stalled {
        stream.read_exact(&mut [0])?;
    }
    for filling in ["a", "b", "c", "d"].repeat(10) {
        server
            .api
            .send("PUT", &format!("{CONFIG_MAPS}/large-0"), "json", &large("large-0", filling))?
            .expect(200)?;
    }
    server.expect_well()?;
    // One that goes on is told that it has missed something, after what was on its way.
    let mut late = stalled.pop().context("no watch")?;
    let last = read_until(&mut late, b"\"Expired\"")?;
    ensure!(last, "a watch that was too slow was not told so");
    drop(stalled);
    server.finish()
}

fn read_until(stream: &mut UnixStream, text: &[u8]) -> Result<bool> {
    let mut kept = Vec::new();
    let mut chunk = vec![0; 64 << 10];
    loop {
        let count = stream.read(&mut chunk)?;
        if count == 0 {
            return Ok(false);
        }
        kept.extend_from_slice(&chunk[..count]);
        if kept.windows(text.len()).any(|window| window == text) {
            return Ok(true);
        }
        kept.drain(..kept.len().saturating_sub(text.len()));
    }
}

fn whoever_stops_reading_a_log(bed: &Bed) -> Result<()> {
    let server = Server::start(bed)?;
    let pod = Pod::new("talks").app("main", "yes 'a line of a long log' | head -c 50000000; echo; echo done");
    let manifest: Value = serde_json::from_str(&std::fs::read_to_string(bed.manifest(&pod)?)?)?;
    server.api.post("/api/v1/namespaces/default/pods", &manifest)?.expect(201)?;
    let pod = "/api/v1/namespaces/default/pods/talks";
    wait::until("the pod has ended", SOON, || {
        let pod = server.api.get(pod).ok()?.json().ok()?;
        (pod["status"]["phase"] == "Succeeded").then_some(())
    })?;
    let mut stalled = Vec::new();
    for n in 0..20 {
        let mut stream = server.api.open(&format!("{pod}/log?follow={}", n % 2 == 0))?;
        stream.read_exact(&mut [0])?;
        stalled.push(stream);
    }
    server.expect_well()?;
    let last = server.api.get(&format!("{pod}/log?tailLines=1"))?.expect(200)?;
    ensure!(last.body == "done\n", "{}", last.body);
    drop(stalled);
    server.finish()
}

fn idle_watches(bed: &Bed) -> Result<()> {
    const WATCHES: usize = 2_000;
    node::raise_open_files();
    let server = Server::start(bed)?;
    let watch = format!("{CONFIG_MAPS}?watch=true&fieldSelector=metadata.name%3dtold");
    let mut idle: Vec<UnixStream> = (0..WATCHES).map(|_| server.api.open(&watch)).collect::<Result<_>>()?;
    server.expect_well()?;
    let told = json!({ "metadata": { "name": "told" }, "data": { "a": "1" } });
    server.api.post(CONFIG_MAPS, &told)?.expect(201)?;
    for stream in &mut idle {
        ensure!(read_until(stream, b"\"ADDED\"")?, "a watch ended");
    }
    server.expect_well()?;
    drop(idle);
    server.finish()
}

fn headers_that_come_drop_by_drop(bed: &Bed) -> Result<()> {
    let server = Server::start(bed)?;
    let mut slow: Vec<UnixStream> = (0..50).map(|_| server.api.connect()).collect::<Result<_>>()?;
    for stream in &mut slow {
        stream.write_all(b"GET /version HTTP/1.1\r\nHost: localhost\r\n")?;
    }
    let mut open = slow.len();
    wait::until("the server closes connections that never come to the end of a head", SOON, || {
        std::thread::sleep(Duration::from_millis(200));
        slow.retain_mut(|stream| stream.write_all(b"X").is_ok());
        open = slow.len();
        (open == 0).then_some(())
    })
    .with_context(|| format!("{open} are open"))?;
    server.finish()
}

fn bytes_that_are_no_http(bed: &Bed) -> Result<()> {
    let server = Server::start(bed)?;
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let frames: [&[u8]; 5] = [
        &[0xff; 4096],
        &[0, 0, 0, 0, 0, 0, 0, 0, 0],
        // A SETTINGS frame of an impossible length, a HEADERS frame of garbage, a WINDOW_UPDATE by nothing.
        &[0xff, 0xff, 0xff, 4, 0, 0, 0, 0, 0, 1, 2, 3],
        &[0, 0, 4, 1, 4, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff],
        &[0, 0, 4, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    ];
    for frame in frames {
        let bytes = [&preface[..], frame].concat();
        drop(close_after(&server.api, &bytes));
    }
    let texts: [&[u8]; 6] = [
        &[0; 4096],
        b"nonsense\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 hello of TLS\r\n\r\n",
        b"GET /version HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        b"POST /version HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
    ];
    for text in texts {
        if let Some(answer) = server.api.raw(text)? {
            ensure!((400..500).contains(&answer.code), "{answer:?}");
        }
    }
    // Two lengths are how requests are smuggled: whatever comes after is not answered as a request.
    let smuggled = b"POST /version HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\nzzzz\r\n\r\n";
    if let Some(answer) = server.api.raw(smuggled)? {
        ensure!((400..500).contains(&answer.code), "{answer:?}");
    }
    server.finish()
}

/// Sends bytes, and nothing more; what the server has to say to them.
fn close_after(api: &Api, bytes: &[u8]) -> Result<Vec<u8>> {
    let mut stream = api.connect()?;
    let _ = stream.write_all(bytes);
    stream.shutdown(std::net::Shutdown::Write)?;
    let mut said = Vec::new();
    stream.read_to_end(&mut said)?;
    Ok(said)
}

fn connections_that_come_and_go(bed: &Bed) -> Result<()> {
    let server = Server::start(bed)?;
    for n in 0..1_000 {
        let mut stream = server.api.connect()?;
        match n % 4 {
            0 => {}
            1 => stream.write_all(b"GET /api/v1/pods HT")?,
            2 => stream.write_all(b"GET /api/v1/pods?watch=true HTTP/1.1\r\nHost: x\r\n\r\n")?,
            _ => stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")?,
        }
    }
    let fds = Path::new("/proc").join(server.cluster.pid()?.as_raw_pid().to_string()).join("fd");
    wait::until("the server lets go of them", SOON, || {
        (std::fs::read_dir(&fds).ok()?.count() < 100).then_some(())
    })?;
    server.finish()
}

fn strangers_over_tls(bed: &Bed) -> Result<()> {
    for program in ["/usr/bin/curl", "/usr/bin/openssl"] {
        if !Path::new(program).exists() {
            return skip(format!("needs {program}"));
        }
    }
    let server = Server::start(bed)?;
    let address = server.cluster.address()?;
    let pods = format!("https://{address}/api/v1/pods");
    let ca = bed.root().join("var/lib/monopod/pki/ca.crt");
    let curl = |args: &[&str]| {
        let mut command = Command::new("curl");
        command.args(["-sS", "-w", "\n%{http_code}", "--cacert"]).arg(&ca).args(args);
        bed.finish(&mut command)
    };
    curl(&["-H", "Authorization: Bearer nonsense", &pods])?.expect_code(0)?.expect_output("\n401")?;
    curl(&["-H", "Authorization: Bearer a.b.c", &pods])?.expect_code(0)?.expect_output("\n401")?;
    curl(&["-H", "Authorization: Basic YTpi", &pods])?.expect_code(0)?.expect_output("\n40")?;
    curl(&[&pods])?.expect_code(0)?.expect_output("system:anonymous")?.expect_output("\n403")?;
    let impersonating =
        ["-H", "Impersonate-User: system:admin", "-H", "Impersonate-Group: system:masters", &pods];
    curl(&impersonating)?.expect_code(0)?.expect_output("\n403")?;
    // A certificate for the same name by another authority.
    let (key, certificate) = (bed.dir().join("other.key"), bed.dir().join("other.crt"));
    let mut openssl = Command::new("openssl");
    openssl.args([
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "2",
    ]);
    openssl
        .args(["-subj", "/O=system:masters/CN=system:admin", "-keyout"])
        .arg(&key)
        .arg("-out")
        .arg(&certificate);
    bed.finish(&mut openssl)?.expect_code(0)?;
    let (key, certificate) = (key.to_string_lossy(), certificate.to_string_lossy());
    let refused = curl(&["--cert", &certificate, "--key", &key, &pods])?;
    ensure!(!refused.stdout.contains("\"items\""), "a stranger's certificate was taken");
    ensure!(refused.status.code() != Some(0), "{}", refused.output());
    // Plain HTTP, and garbage, where TLS is spoken.
    for bytes in [&b"GET /version HTTP/1.1\r\nHost: localhost\r\n\r\n"[..], &[0xff; 2000]] {
        let mut stream = TcpStream::connect(&address)?;
        stream.set_read_timeout(Some(SOON))?;
        stream.write_all(bytes)?;
        let mut said = Vec::new();
        // A reset is an end as well.
        let _ = stream.read_to_end(&mut said);
        ensure!(!said.starts_with(b"HTTP/1.1 2"), "plain HTTP was answered");
    }
    let silent: Vec<TcpStream> = (0..200).map(|_| TcpStream::connect(&address)).collect::<Result<_, _>>()?;
    curl(&[&format!("https://{address}/version")])?.expect_code(0)?.expect_output("gitVersion")?;
    drop(silent);
    server.finish()
}
