//! A text that is drawn again in its place.

use std::io::{self, IsTerminal as _, Write};
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::termios::tcgetwinsize;

const HIDE_CURSOR: &str = "\x1b[?25l";
const SHOW_CURSOR: &str = "\x1b[?25h";
/// From here on nothing.
const CLEAR_BELOW: &str = "\x1b[J";
const CLEAR_LINE: &str = "\x1b[K";
/// Of a terminal that does not say.
const ROWS: usize = 24;

/// The cursor is away, and nobody has brought it back.
static HIDDEN: AtomicBool = AtomicBool::new(false);

/// Of standard output, when that is a terminal that says so.
pub(super) fn columns() -> Option<usize> {
    let size = tcgetwinsize(io::stdout()).ok()?;
    Some(usize::from(size.ws_col)).filter(|columns| *columns > 0)
}

fn rows() -> usize {
    let size = tcgetwinsize(io::stdout()).map_or(0, |size| usize::from(size.ws_row));
    if size > 0 { size } else { ROWS }
}

/// Whether a text can be drawn again.
pub(super) fn is_there() -> bool {
    io::stdout().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// The cursor is away until it is dropped.
#[derive(Debug)]
pub(super) struct Screen {
    /// Lines above the cursor that are this text's.
    drawn: usize,
}

impl Screen {
    pub(super) fn begin() -> io::Result<Self> {
        static ON_PANIC: Once = Once::new();
        ON_PANIC.call_once(|| {
            let report = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |info| {
                show_cursor();
                report(info);
            }));
        });
        HIDDEN.store(true, Ordering::Relaxed);
        let screen = Self { drawn: 0 };
        write_all(HIDE_CURSOR)?;
        Ok(screen)
    }

    /// As much of the text as the terminal has rows for.
    pub(super) fn draw(&mut self, text: &str) -> io::Result<()> {
        let frame = frame(text, self.drawn, rows());
        self.drawn = frame.lines;
        write_all(&frame.text)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        show_cursor();
    }
}

fn show_cursor() {
    if HIDDEN.swap(false, Ordering::Relaxed) {
        // A terminal that has gone needs nothing.
        let _ = write_all(SHOW_CURSOR);
    }
}

fn write_all(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

struct Frame {
    text: String,
    lines: usize,
}

/// A line of the terminal is left free, where the cursor stands.
fn frame(text: &str, drawn: usize, rows: usize) -> Frame {
    let room = rows.saturating_sub(1).max(1);
    let lines: Vec<&str> = text.lines().collect();
    let mut out = String::new();
    if drawn > 0 {
        out.push_str(&format!("\x1b[{}A\r", drawn.min(room)));
    }
    let shown = if lines.len() > room { room - 1 } else { lines.len() };
    for line in &lines[..shown] {
        out.push_str(line);
        out.push_str(CLEAR_LINE);
        out.push('\n');
    }
    if shown < lines.len() {
        out.push_str(&format!("and {} more lines{CLEAR_LINE}\n", lines.len() - shown));
    }
    out.push_str(CLEAR_BELOW);
    Frame { text: out, lines: shown + usize::from(shown < lines.len()) }
}

#[cfg(test)]
mod tests {
    use super::frame;

    #[test]
    fn a_frame_takes_the_place_of_the_one_before() {
        let first = frame("a\nb\n", 0, 24);
        assert_eq!((first.text.as_str(), first.lines), ("a\x1b[K\nb\x1b[K\n\x1b[J", 2));
        let second = frame("c\n", first.lines, 24);
        assert_eq!((second.text.as_str(), second.lines), ("\x1b[2A\rc\x1b[K\n\x1b[J", 1));
    }

    #[test]
    fn what_there_is_no_room_for_is_counted() {
        let small = frame("a\nb\nc\nd\n", 0, 4);
        assert_eq!(
            (small.text.as_str(), small.lines),
            ("a\x1b[K\nb\x1b[K\nand 2 more lines\x1b[K\n\x1b[J", 3)
        );
        // The terminal was made smaller.
        assert!(frame("a\n", 30, 4).text.starts_with("\x1b[3A\r"));
        assert_eq!(frame("a\nb\n", 0, 0).lines, 1);
    }
}
