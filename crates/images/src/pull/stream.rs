//! From the network to a thread that unpacks: bytes in order, at most 1 MiB under way.

use std::io::{self, BufRead, Read};

use bytes::Bytes;
use tokio::sync::mpsc;

const PIECE_BYTES_MAX: usize = 64 << 10;
const PIECES_MAX: usize = 16;

enum Piece {
    Bytes(Bytes),
    /// The stream was whole, and what it was promised to be.
    End,
}

#[derive(Debug)]
pub(super) struct Sender(mpsc::Sender<Piece>);

/// Ends with an error unless the sender said that it was all.
#[derive(Debug)]
pub(super) struct Reader {
    pieces: mpsc::Receiver<Piece>,
    piece: Bytes,
    has_ended: bool,
}

/// The reader wants no more: it has failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Gone;

pub(super) fn stream() -> (Sender, Reader) {
    let (sender, pieces) = mpsc::channel(PIECES_MAX);
    (Sender(sender), Reader { pieces, piece: Bytes::new(), has_ended: false })
}

impl Sender {
    /// Waits as long as too much is under way.
    pub(super) async fn send(&self, mut bytes: Bytes) -> Result<(), Gone> {
        while !bytes.is_empty() {
            let piece = bytes.split_to(bytes.len().min(PIECE_BYTES_MAX));
            self.0.send(Piece::Bytes(piece)).await.map_err(|_| Gone)?;
        }
        Ok(())
    }

    pub(super) async fn end(self) -> Result<(), Gone> {
        self.0.send(Piece::End).await.map_err(|_| Gone)
    }
}

/// Blocks: not for threads of the async runtime.
impl BufRead for Reader {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.piece.is_empty() && !self.has_ended {
            match self.pieces.blocking_recv() {
                Some(Piece::Bytes(bytes)) => self.piece = bytes,
                Some(Piece::End) => self.has_ended = true,
                None => {
                    return Err(io::Error::new(
                        io::ErrorKind::UnexpectedEof,
                        "it was not fetched to its end",
                    ));
                }
            }
        }
        Ok(&self.piece)
    }

    fn consume(&mut self, count: usize) {
        let _ = self.piece.split_to(count);
    }
}

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let piece = self.fill_buf()?;
        let count = piece.len().min(buffer.len());
        buffer[..count].copy_from_slice(&piece[..count]);
        self.consume(count);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use bytes::Bytes;

    use super::{Gone, stream};

    #[tokio::test]
    async fn bytes_come_in_order_and_an_end_is_one_only_when_it_was_said() {
        for is_whole in [true, false] {
            let (sender, mut reader) = stream();
            let reading = tokio::task::spawn_blocking(move || {
                let mut bytes = Vec::new();
                (reader.read_to_end(&mut bytes), bytes)
            });
            let sent: Vec<u8> = (0..3_000_000_u32).map(|n| n.to_le_bytes()[0]).collect();
            sender.send(Bytes::from(sent.clone())).await.expect("somebody reads");
            if is_whole {
                sender.end().await.expect("somebody reads");
            } else {
                drop(sender);
            }
            let (read, bytes) = reading.await.expect("it reads");
            assert!(bytes == sent);
            assert_eq!(read.is_ok(), is_whole);
        }
    }

    #[tokio::test]
    async fn the_sender_learns_that_nobody_reads() {
        let (sender, reader) = stream();
        drop(reader);
        assert_eq!(sender.send(Bytes::from_static(b"x")).await, Err(Gone));
    }
}
