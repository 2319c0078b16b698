//! Port-forward over SPDY: an error and a data stream for each connection, with its port and a number that pairs them.

use std::collections::HashMap;
use std::io;

use tokio::sync::mpsc;
use tokio::time::{Instant, interval};

use crate::closed::Closed;
use crate::forward::{ForwardConnection, ForwardData, ForwardSession};
use crate::spdy::connection::Spdy;
use crate::spdy::core::{Role, STREAMS_MAX};
use crate::spdy::exec::STREAM_TYPE;
use crate::spdy::headers::Headers;
use crate::spdy::stream::SpdyStream;
use crate::upgrade::{Connection, Limits};

/// The headers of a stream.
const PORT: &str = "port";
const REQUEST_ID: &str = "requestid";

/// The client's side: makes the pairs.
#[derive(Debug)]
pub(crate) struct ForwardClient {
    connection: Spdy,
}

impl ForwardClient {
    pub(crate) fn start(io: impl Connection, limits: Limits) -> ForwardClient {
        // A server makes no streams: dropping the receiver refuses them.
        let (connection, _) = Spdy::start(io, Role::Client, limits);
        ForwardClient { connection }
    }

    pub(crate) fn closed(&self) -> Closed {
        self.connection.closed()
    }

    #[cfg(test)]
    pub(crate) fn held(&self) -> (usize, usize, usize) {
        self.connection.held()
    }

    /// An error and a data stream to a port.
    pub(crate) async fn open(&self, port: u16, request: u64) -> io::Result<(SpdyStream, SpdyStream)> {
        let (port, request) = (port.to_string(), request.to_string());
        let headers = |kind| Headers::from([(STREAM_TYPE, kind), (PORT, &*port), (REQUEST_ID, &*request)]);
        let error = self.connection.open(headers("error")).await?;
        let data = self.connection.open(headers("data")).await?;
        Ok((error, data))
    }
}

/// Half of a pair: the stream that came first.
#[derive(Debug)]
struct Half {
    stream: SpdyStream,
    is_error: bool,
    since: Instant,
}

pub(crate) fn serve(io: impl Connection, limits: Limits) -> ForwardSession {
    let (connection, incoming) = Spdy::start(io, Role::Server, limits);
    let (sender, connections) = mpsc::channel(STREAMS_MAX / 2);
    let closed = connection.closed();
    tokio::spawn(pair(connection, incoming, sender, limits));
    ForwardSession { connections, closed }
}

/// Pairs the client's streams until it has gone or the session is dropped.
async fn pair(
    connection: Spdy,
    mut incoming: mpsc::Receiver<SpdyStream>,
    sender: mpsc::Sender<ForwardConnection>,
    limits: Limits,
) {
    // No more than the connection has streams.
    let mut halves: HashMap<String, Half> = HashMap::new();
    let mut ticks = interval(limits.stream_creation);
    loop {
        tokio::select! {
            stream = incoming.recv() => {
                let Some(stream) = stream else { break };
                if let Some(connection) = join(stream, &mut halves) {
                    // Every connection in it has two of the streams, so there is room.
                    let _ = sender.try_send(connection);
                }
            }
            _ = ticks.tick() => {
                for (_, mut half) in halves.extract_if(|_, half| half.since.elapsed() >= limits.stream_creation) {
                    half.stream.reset();
                }
            }
            () = sender.closed() => break,
        }
    }
    drop(connection);
}

/// The connection this stream completes.
fn join(mut stream: SpdyStream, halves: &mut HashMap<String, Half>) -> Option<ForwardConnection> {
    let is_error = match stream.header(STREAM_TYPE) {
        Some("error") => Some(true),
        Some("data") => Some(false),
        _ => None,
    };
    let (Some(_), Some(is_error)) = (port(&stream), is_error) else {
        stream.reset();
        return None;
    };
    let request = request_id(&stream, is_error);
    stream.reply();
    let Some(half) = halves.remove(&request) else {
        halves.insert(request, Half { stream, is_error, since: Instant::now() });
        return None;
    };
    let (error, data) = match (half.is_error, is_error) {
        (true, false) => (half.stream, stream),
        (false, true) => (stream, half.stream),
        // Two of the same kind make no pair: the later one stays for the other kind to come.
        _ => {
            let mut overtaken = half.stream;
            overtaken.reset();
            halves.insert(request, Half { stream, is_error, since: half.since });
            return None;
        }
    };
    let port = port(&data)?;
    Some(ForwardConnection { port, data: ForwardData::Spdy(data), error: ForwardData::Spdy(error) })
}

fn port(stream: &SpdyStream) -> Option<u16> {
    stream.header(PORT)?.parse().ok().filter(|&port| port > 0)
}

/// Clients from before the header make the data stream right after the error stream.
fn request_id(stream: &SpdyStream, is_error: bool) -> String {
    match stream.header(REQUEST_ID) {
        Some(id) if !id.is_empty() => id.to_owned(),
        _ if is_error => format!("stream {}", stream.id()),
        _ => format!("stream {}", stream.id().saturating_sub(2)),
    }
}
