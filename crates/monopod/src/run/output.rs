//! The way out: one thread writes, everybody else hands lines over and waits when it is slow.
//!
//! Nothing that moves a pod ever waits for it: those who hand lines over are the ones who read the
//! log files and the journal, which hold what is not written yet.

use std::io::{self, Write};
use std::thread;

use tokio::sync::{mpsc, oneshot};

use super::bars::{Bar, Bars, Size};

/// Lines, or batches of one container's lines, handed over and not yet written.
const LINES_WAITING_MAX: usize = 64;
/// Lines are written together up to this many bytes.
const BATCH_BYTES_MAX: usize = 64 << 10;

/// Cheap to clone; the writer ends when the last one is gone.
#[derive(Clone, Debug)]
pub(crate) struct Output {
    lines: mpsc::Sender<News>,
    /// Bars are shown.
    bars: bool,
}

#[derive(Debug)]
enum News {
    Lines(Vec<u8>),
    Bar(String, Option<Bar>),
}

/// What became of the writer, known once it has ended: at the first failed write, or when everything
/// is written and no [`Output`] is left.
pub(crate) type Ended = oneshot::Receiver<io::Result<()>>;

impl Output {
    /// Begins to write to `sink`.
    pub(crate) fn to(sink: impl Write + Send + 'static) -> io::Result<(Self, Ended)> {
        Self::begin(sink, None)
    }

    /// A terminal, which says how large it is: bars are shown below the lines.
    pub(crate) fn to_terminal(
        sink: impl Write + Send + 'static,
        size: fn() -> Size,
    ) -> io::Result<(Self, Ended)> {
        Self::begin(sink, Some(size))
    }

    fn begin(sink: impl Write + Send + 'static, size: Option<fn() -> Size>) -> io::Result<(Self, Ended)> {
        let (lines, waiting) = mpsc::channel(LINES_WAITING_MAX);
        let (ended, receiver) = oneshot::channel();
        thread::Builder::new().name("output".to_owned()).spawn(move || {
            // Nobody may be left to care.
            let _ = ended.send(write_all(sink, waiting, size));
        })?;
        Ok((Self { lines, bars: size.is_some() }, receiver))
    }

    /// Hands a line over. When the way out is closed the line is lost: whoever holds the other end of
    /// it no longer reads.
    pub(crate) async fn line(&self, line: Vec<u8>) {
        let _ = self.lines.send(News::Lines(line)).await;
    }

    pub(crate) fn shows_bars(&self) -> bool {
        self.bars
    }

    /// Shows a bar as it is now, or no longer.
    pub(crate) async fn bar(&self, key: String, bar: Option<Bar>) {
        let _ = self.lines.send(News::Bar(key, bar)).await;
    }
}

/// Flushes whenever there is nothing more to write, so that people see a line when it happens.
fn write_all(
    mut sink: impl Write,
    mut waiting: mpsc::Receiver<News>,
    size: Option<fn() -> Size>,
) -> io::Result<()> {
    let mut bars = Bars::default();
    while let Some(first) = waiting.blocking_recv() {
        let mut batch = Vec::new();
        let mut next = Some(first);
        while let Some(news) = next {
            match news {
                News::Lines(lines) if batch.is_empty() => batch = lines,
                News::Lines(lines) => batch.extend_from_slice(&lines),
                News::Bar(key, bar) => bars.set(key, bar),
            }
            next = if batch.len() < BATCH_BYTES_MAX { waiting.try_recv().ok() } else { None };
        }
        if let Some(size) = size {
            let mut whole = Vec::with_capacity(batch.len());
            bars.take_away(&mut whole)?;
            whole.append(&mut batch);
            bars.draw(&mut whole, size())?;
            batch = whole;
        }
        sink.write_all(&batch)?;
        sink.flush()?;
    }
    bars.take_away(&mut sink)?;
    sink.flush()
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
