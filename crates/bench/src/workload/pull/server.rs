//! A registry on the loopback that serves two images as fast as it can, the same to all.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;

use anyhow::Result;

use super::content::{Content, Manifest};

pub(super) const IMAGES: [&str; 2] = ["bench:1", "bench:2"];
/// Of a request: more is no client's of ours.
const HEAD_LINES_MAX: usize = 100;

/// It lasts as long as the program.
#[derive(Debug)]
pub(super) struct Server {
    /// `127.0.0.1:PORT`
    pub(super) host: String,
    counts: Arc<Counts>,
}

#[derive(Default, Debug)]
struct Counts {
    blobs: AtomicUsize,
    bytes: AtomicU64,
}

#[derive(Debug)]
struct Served {
    blobs: PathBuf,
    images: [Manifest; 2],
    counts: Arc<Counts>,
}

impl Server {
    pub(super) fn start(content: &Content) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let host = listener.local_addr()?.to_string();
        let counts = Arc::<Counts>::default();
        let served =
            Served { blobs: content.blobs.clone(), images: content.images.clone(), counts: counts.clone() };
        let served = Arc::new(served);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let served = served.clone();
                // A client that goes away is done.
                thread::spawn(move || drop(served.serve(&stream)));
            }
        });
        Ok(Self { host, counts })
    }

    /// How many blobs, and how much of them, it has sent since it was last asked.
    pub(super) fn sent(&self) -> (usize, u64) {
        (self.counts.blobs.swap(0, Ordering::SeqCst), self.counts.bytes.swap(0, Ordering::SeqCst))
    }
}

impl Served {
    fn serve(&self, stream: &TcpStream) -> io::Result<()> {
        let mut reader = BufReader::new(stream);
        loop {
            let mut head = Vec::new();
            loop {
                let mut line = String::new();
                if reader.read_line(&mut line)? == 0 || head.len() > HEAD_LINES_MAX {
                    return Ok(());
                }
                if line.trim_end().is_empty() {
                    break;
                }
                head.push(line);
            }
            let mut words = head.first().map_or("", String::as_str).split(' ');
            let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
            self.answer(stream, method == "HEAD", path)?;
        }
    }

    fn answer(&self, mut stream: &TcpStream, is_head: bool, path: &str) -> io::Result<()> {
        let last = path.rsplit('/').next().unwrap_or_default();
        if path.contains("/manifests/") {
            let named = |(image, name): &(&Manifest, &str)| {
                image.digest == last || name.rsplit(':').next() == Some(last)
            };
            let Some((image, _)) = self.images.iter().zip(IMAGES).find(named) else { return missing(stream) };
            let kind = "application/vnd.oci.image.manifest.v1+json";
            stream.write_all(head(kind, image.bytes.len() as u64, &image.digest).as_bytes())?;
            return if is_head { Ok(()) } else { stream.write_all(&image.bytes) };
        }
        if path.contains("/blobs/sha256:") {
            let Ok(mut file) = File::open(self.blobs.join(last)) else { return missing(stream) };
            let bytes = file.metadata()?.len();
            stream.write_all(head("application/octet-stream", bytes, last).as_bytes())?;
            if !is_head {
                self.counts.blobs.fetch_add(1, Ordering::SeqCst);
                // By sendfile(2).
                let sent = io::copy(&mut file, &mut stream)?;
                self.counts.bytes.fetch_add(sent, Ordering::SeqCst);
            }
            return Ok(());
        }
        if path == "/v2/" {
            return stream.write_all(head("application/json", 0, "").as_bytes());
        }
        missing(stream)
    }
}

fn head(kind: &str, bytes: u64, digest: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {bytes}\r\nDocker-Content-Digest: {digest}\r\n\
         Docker-Distribution-Api-Version: registry/2.0\r\n\r\n"
    )
}

fn missing(mut stream: &TcpStream) -> io::Result<()> {
    stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
}
