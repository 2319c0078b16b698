//! An HTTP proxy that leads every connection to the registry, whatever it is asked for.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use anyhow::Result;

use super::HOST;
use super::relay::join;

/// It lasts as long as the program.
#[derive(Debug)]
pub(crate) struct Proxy(Arc<Mutex<Vec<String>>>);

impl Proxy {
    pub(crate) fn start(at: &str) -> Result<Self> {
        let listener = TcpListener::bind(at)?;
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let noted = asked.clone();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let noted = noted.clone();
                // A client that says nothing sensible is left alone.
                thread::spawn(move || drop(serve(client, &noted)));
            }
        });
        Ok(Self(asked))
    }

    /// The names and ports that tunnels were wanted to.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn serve(mut client: TcpStream, noted: &Mutex<Vec<String>>) -> Result<()> {
    let mut reader = BufReader::new(client.try_clone()?);
    let mut request = String::new();
    reader.read_line(&mut request)?;
    let mut line = request.clone();
    while !line.trim_end().is_empty() {
        line.clear();
        reader.read_line(&mut line)?;
    }
    let mut words = request.split(' ');
    if let (Some("CONNECT"), Some(to)) = (words.next(), words.next()) {
        noted.lock().unwrap_or_else(PoisonError::into_inner).push(to.to_owned());
        let server = TcpStream::connect(HOST)?;
        client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
        // A client waits for the answer before it says more, so nothing is left in the reader.
        join(client, server, |_| true);
    }
    Ok(())
}
