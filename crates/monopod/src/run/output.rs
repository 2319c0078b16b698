//! The way out: one thread writes, everybody else hands lines over and waits when it is slow.
//!
//! Nothing that moves a pod ever waits for it: those who hand lines over are the ones who read the
//! log files and the journal, which hold what is not written yet.

use std::io::{self, Write};
use std::thread;

use tokio::sync::{mpsc, oneshot};

/// Lines, or batches of one container's lines, handed over and not yet written.
const LINES_WAITING_MAX: usize = 64;
/// Lines are written together up to this many bytes.
const BATCH_BYTES_MAX: usize = 64 << 10;

/// Cheap to clone; the writer ends when the last one is gone.
#[derive(Clone, Debug)]
pub(crate) struct Output {
    lines: mpsc::Sender<Vec<u8>>,
}

/// What became of the writer, known once it has ended: at the first failed write, or when everything
/// is written and no [`Output`] is left.
pub(crate) type Ended = oneshot::Receiver<io::Result<()>>;

impl Output {
    /// Begins to write to `sink`.
    pub(crate) fn to(sink: impl Write + Send + 'static) -> io::Result<(Self, Ended)> {
        let (lines, waiting) = mpsc::channel(LINES_WAITING_MAX);
        let (ended, receiver) = oneshot::channel();
        thread::Builder::new().name("output".to_owned()).spawn(move || {
            // Nobody may be left to care.
            let _ = ended.send(write_all(sink, waiting));
        })?;
        Ok((Self { lines }, receiver))
    }

    /// Hands a line over. When the way out is closed the line is lost: whoever holds the other end of
    /// it no longer reads.
    pub(crate) async fn line(&self, line: Vec<u8>) {
        let _ = self.lines.send(line).await;
    }
}

/// Flushes whenever there is nothing more to write, so that people see a line when it happens.
fn write_all(mut sink: impl Write, mut waiting: mpsc::Receiver<Vec<u8>>) -> io::Result<()> {
    while let Some(first) = waiting.blocking_recv() {
        let mut batch = first;
        while batch.len() < BATCH_BYTES_MAX {
            match waiting.try_recv() {
                Ok(line) => batch.extend_from_slice(&line),
                Err(_) => break,
            }
        }
        sink.write_all(&batch)?;
        sink.flush()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::mpsc;
    use std::time::Duration;

    use super::{BATCH_BYTES_MAX, LINES_WAITING_MAX, Output};

    const LINE_BYTES: usize = 1 << 10;

    /// Takes a write only when it is allowed one.
    struct Slow(mpsc::Receiver<()>, mpsc::Sender<usize>);

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.recv().map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
            self.1.send(bytes.len()).unwrap();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn a_slow_reader_holds_writers_back_and_a_gone_one_ends_the_output() {
        let (allow, allowed) = mpsc::channel();
        let (written, lengths) = mpsc::channel();
        let (output, ended) = Output::to(Slow(allowed, written)).unwrap();
        let filler = output.clone();
        let full = tokio::spawn(async move {
            // More than what is being written and what may wait.
            for _ in 0..BATCH_BYTES_MAX / LINE_BYTES + LINES_WAITING_MAX + 1 {
                filler.line(vec![b'x'; LINE_BYTES]).await;
            }
        });
        while output.lines.capacity() > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert!(!full.is_finished(), "nothing holds the writer back");
        allow.send(()).unwrap();
        assert!(lengths.recv().unwrap() >= LINE_BYTES);
        drop(allow);
        let error = ended.await.unwrap().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
        full.await.unwrap();
        output.line(b"lost\n".to_vec()).await;
    }
}
