//! The sockets: datagrams, and streams with any number of questions.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::forward::Forwarder;
use crate::message::MESSAGE_BYTES_MAX;
use crate::resolvers::Resolvers;
use crate::serve::{Answers, Handled, Way, too_much};
use crate::zone::Zone;

/// Where DNS is looked for.
const PORT: u16 = 53;
/// Ports that are tried when that one is somebody's: one that is free for datagrams need not be so for streams.
const PORTS_MAX: usize = 16;
/// Datagrams that wait for somebody else's answer. One more is told that it is too many.
const WAITING_MAX: usize = 2_048;
/// Streams at a time, of all clients and of each.
const STREAMS_MAX: usize = 256;
const STREAMS_OF_ONE_MAX: usize = 32;
/// Questions of one stream that wait for answers; its next one is not read before.
const STREAM_WAITING_MAX: usize = 32;
/// A stream on which nothing moves so long is closed.
const IDLE_TIME: Duration = Duration::from_secs(10);
/// After an error of accept or of receiving, as when descriptors have run out.
const PAUSE: Duration = Duration::from_millis(50);

#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    #[error("cannot listen for DNS on {address}: see whether a program holds every port of the machine")]
    Listen { address: IpAddr, source: io::Error },
}

/// Sockets at which questions wait until they are served.
#[derive(Debug)]
pub struct Listening {
    addresses: Vec<IpAddr>,
    port: u16,
    sockets: Vec<Sockets>,
}

/// A server until it is dropped.
#[derive(Debug)]
pub struct Running {
    _tasks: JoinSet<()>,
}

impl Listening {
    /// On addresses of this machine, on port 53, or on another where that is in use.
    ///
    /// # Errors
    /// No port is free.
    pub async fn on(addresses: &[IpAddr]) -> Result<Self, ListenError> {
        listen(addresses, Some(PORT)).await
    }

    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Answers. `resolv_conf` says which resolvers are asked for the names of others; those that are this server itself,
    /// or have one of the addresses that are `led_here`, are not.
    #[must_use]
    pub fn serve(self, zone: Zone, resolv_conf: PathBuf, led_here: &[IpAddr]) -> Running {
        let own = self.addresses.iter().chain(led_here).copied().collect();
        let forwarder = Forwarder::new(Resolvers::new(resolv_conf, own));
        self.answer(Answers::new(zone, forwarder))
    }

    pub(crate) fn answer(self, answers: Answers) -> Running {
        let answers = Arc::new(answers);
        let streams = Arc::new(Streams::default());
        let mut tasks = JoinSet::new();
        for Sockets { datagrams, streams: listener } in self.sockets {
            tasks.spawn(serve_datagrams(datagrams, answers.clone()));
            tasks.spawn(accept(listener, answers.clone(), streams.clone()));
        }
        Running { _tasks: tasks }
    }
}

#[derive(Debug)]
struct Sockets {
    datagrams: UdpSocket,
    streams: TcpListener,
}

/// Sockets of every address on one port: `wanted`, or any.
pub(crate) async fn listen(addresses: &[IpAddr], wanted: Option<u16>) -> Result<Listening, ListenError> {
    let addresses = addresses.to_vec();
    let Some(&first) = addresses.first() else {
        return Ok(Listening { addresses, port: PORT, sockets: Vec::new() });
    };
    let mut tries = 0;
    loop {
        let port = match wanted.filter(|_| tries == 0) {
            Some(port) => port,
            None => {
                free_port(first).await.map_err(|source| ListenError::Listen { address: first, source })?
            }
        };
        match listen_on(&addresses, port).await {
            Ok(sockets) => return Ok(Listening { addresses, port, sockets }),
            Err(error) if tries == PORTS_MAX => return Err(error),
            Err(_) => tries += 1,
        }
    }
}

async fn free_port(address: IpAddr) -> io::Result<u16> {
    Ok(UdpSocket::bind((address, 0)).await?.local_addr()?.port())
}

async fn listen_on(addresses: &[IpAddr], port: u16) -> Result<Vec<Sockets>, ListenError> {
    let mut sockets = Vec::new();
    for &address in addresses {
        let failed = |source| ListenError::Listen { address, source };
        let at = SocketAddr::new(address, port);
        let datagrams = UdpSocket::bind(at).await.map_err(failed)?;
        let streams = TcpListener::bind(at).await.map_err(failed)?;
        sockets.push(Sockets { datagrams, streams });
    }
    Ok(sockets)
}

async fn serve_datagrams(socket: UdpSocket, answers: Arc<Answers>) {
    let socket = Arc::new(socket);
    let waiting = Arc::new(Semaphore::new(WAITING_MAX));
    let mut buffer = vec![0; MESSAGE_BYTES_MAX.into()];
    loop {
        let (message, peer) = match socket.recv_from(&mut buffer).await {
            Ok((length, peer)) => (&buffer[..length], peer),
            Err(error) => {
                tracing::debug!(%error, "cannot receive a datagram");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let answer = match answers.handle(message, Way::Datagram) {
            Handled::Answer(answer) => Some(answer),
            Handled::Ignored => None,
            Handled::Wait => match waiting.clone().try_acquire_owned() {
                Ok(permit) => {
                    let (socket, answers, message) = (socket.clone(), answers.clone(), message.to_vec());
                    tokio::spawn(async move {
                        if let Some(answer) = answers.wait(&message, Way::Datagram).await {
                            send(&socket, &answer, peer);
                        }
                        drop(permit);
                    });
                    None
                }
                Err(_) => too_much(message),
            },
        };
        if let Some(answer) = answer {
            send(&socket, &answer, peer);
        }
    }
}

/// What cannot be sent at once is lost, as datagrams are: the client asks again.
fn send(socket: &UdpSocket, answer: &[u8], peer: SocketAddr) {
    if let Err(error) = socket.try_send_to(answer, peer) {
        tracing::debug!(%peer, %error, "an answer was not sent");
    }
}

/// Who has how many streams.
#[derive(Default, Debug)]
struct Streams(Mutex<HashMap<IpAddr, usize>>);

/// One stream of a client, as long as it is there.
struct Place {
    streams: Arc<Streams>,
    peer: IpAddr,
}

impl Streams {
    fn enter(self: &Arc<Self>, peer: IpAddr) -> Option<Place> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if held.values().sum::<usize>() >= STREAMS_MAX {
            return None;
        }
        let of_peer = held.entry(peer).or_default();
        (*of_peer < STREAMS_OF_ONE_MAX).then(|| {
            *of_peer += 1;
            Place { streams: self.clone(), peer }
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut held = self.streams.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(of_peer) = held.get_mut(&self.peer) {
            *of_peer -= 1;
            if *of_peer == 0 {
                held.remove(&self.peer);
            }
        }
    }
}

/// A client that has too many streams has its new one closed.
async fn accept(listener: TcpListener, answers: Arc<Answers>, streams: Arc<Streams>) {
    let mut served = JoinSet::new();
    loop {
        while served.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((stream, peer)) => {
                if let Some(place) = streams.enter(peer.ip()) {
                    let answers = answers.clone();
                    served.spawn(async move {
                        serve_stream(stream, answers).await;
                        drop(place);
                    });
                }
            }
            Err(error) => {
                tracing::debug!(%error, "cannot accept a connection");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// Answers are sent as they come, which need not be the order of the questions (RFC 7766, 6.2.1.1).
async fn serve_stream(stream: TcpStream, answers: Arc<Answers>) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "cannot set TCP_NODELAY");
    }
    let (reader, writer) = stream.into_split();
    let (sender, receiver) = mpsc::channel(STREAM_WAITING_MAX);
    // An error is a client that has gone, or that did not move for too long.
    let (_, _) = tokio::join!(read_stream(reader, answers, sender), write_stream(writer, receiver));
}

async fn read_stream(
    mut reader: OwnedReadHalf,
    answers: Arc<Answers>,
    sender: mpsc::Sender<Vec<u8>>,
) -> io::Result<()> {
    let waiting = Arc::new(Semaphore::new(STREAM_WAITING_MAX));
    let mut tasks = JoinSet::new();
    loop {
        while tasks.try_join_next().is_some() {}
        let permit = waiting.clone().acquire_owned().await.map_err(io::Error::other)?;
        let read = async {
            let mut message = vec![0; usize::from(reader.read_u16().await?)];
            reader.read_exact(&mut message).await?;
            io::Result::Ok(message)
        };
        let message = tokio::select! {
            read = timeout(IDLE_TIME, read) => match read {
                Ok(Ok(message)) => message,
                // What was asked before is answered.
                _ => break,
            },
            // The client reads no more.
            () = sender.closed() => break,
        };
        match answers.handle(&message, Way::Stream) {
            Handled::Ignored => break,
            Handled::Answer(answer) => sender.send(answer).await.map_err(io::Error::other)?,
            Handled::Wait => {
                let (answers, sender) = (answers.clone(), sender.clone());
                tasks.spawn(async move {
                    if let Some(answer) = answers.wait(&message, Way::Stream).await {
                        // An error says that the stream is gone.
                        let _ = sender.send(answer).await;
                    }
                    drop(permit);
                });
            }
        }
    }
    while tasks.join_next().await.is_some() {}
    Ok(())
}

async fn write_stream(mut writer: OwnedWriteHalf, mut answers: mpsc::Receiver<Vec<u8>>) -> io::Result<()> {
    while let Some(answer) = answers.recv().await {
        let mut framed = u16::try_from(answer.len()).map_err(io::Error::other)?.to_be_bytes().to_vec();
        framed.extend(answer);
        timeout(IDLE_TIME, writer.write_all(&framed)).await.map_err(io::Error::other)??;
    }
    Ok(())
}
