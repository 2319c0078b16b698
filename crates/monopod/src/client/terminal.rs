//! The user's terminal: raw while a session has it, and as it was on every way out.

use std::io::{self, IsTerminal as _};
use std::sync::{Mutex, Once, PoisonError};

use rustix::stdio::stdin;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use streams::{Resizer, Resizes, TerminalSize};
use tokio::signal::unix::{SignalKind, signal};

/// What the terminal was before it was made raw.
static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);

/// Restores the terminal when it is dropped.
#[derive(Debug)]
pub(super) struct Raw(());

/// Whether standard input is a terminal.
pub(super) fn is_there() -> bool {
    io::stdin().is_terminal()
}

impl Raw {
    /// Keys go to the session as they are typed.
    pub(super) fn begin() -> io::Result<Self> {
        static ON_PANIC: Once = Once::new();
        ON_PANIC.call_once(|| {
            let report = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |info| {
                restore();
                report(info);
            }));
        });
        let before = tcgetattr(stdin())?;
        let mut raw = before.clone();
        raw.make_raw();
        *BEFORE.lock().unwrap_or_else(PoisonError::into_inner) = Some(before);
        // What was typed ahead is the session's.
        tcsetattr(stdin(), OptionalActions::Now, &raw)?;
        Ok(Self(()))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        restore();
    }
}

fn restore() {
    if let Some(before) = BEFORE.lock().unwrap_or_else(PoisonError::into_inner).take() {
        // A terminal that has gone needs nothing.
        let _ = tcsetattr(stdin(), OptionalActions::Now, &before);
    }
}

/// The size of the terminal, now and whenever it changes.
pub(super) fn sizes() -> io::Result<Resizes> {
    let mut changes = signal(SignalKind::window_change())?;
    let (resizer, resizes) = Resizer::pair();
    tell(&resizer);
    tokio::spawn(async move {
        while changes.recv().await.is_some() {
            tell(&resizer);
        }
    });
    Ok(resizes)
}

fn tell(resizer: &Resizer) {
    if let Ok(size) = tcgetwinsize(stdin()) {
        resizer.resize(TerminalSize { width: size.ws_col, height: size.ws_row });
    }
}
