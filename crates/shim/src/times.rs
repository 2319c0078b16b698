//! What the steps of a request take, for an engine that asks. Kept for the thread, of which a shim has one: a container is
//! made at the end of many calls, and none of them has to do with it.

use std::cell::RefCell;

use podspec::BootTime;
use shim_protocol::{StepTime, Times};

use crate::clock;

#[derive(Debug)]
struct Recording {
    times: Times,
    /// When the last step ended.
    last: BootTime,
}

thread_local! {
    /// `None`: nobody has asked.
    static RECORDING: RefCell<Option<Recording>> = const { RefCell::new(None) };
}

/// Forgets what there is, and records from now on if it is wanted.
pub(crate) fn begin(wanted: bool) {
    let recording = wanted.then(|| {
        let begun = clock::boot();
        Recording { times: Times { begun, steps: Vec::new() }, last: begun }
    });
    RECORDING.set(recording);
}

/// When the last step ended; `None` when nothing is recorded.
pub(crate) fn last() -> Option<BootTime> {
    RECORDING.with_borrow(|recording| recording.as_ref().map(|recording| recording.last))
}

/// What was done since the last step.
pub(crate) fn done(step: &str) {
    RECORDING.with_borrow_mut(|recording| {
        if let Some(recording) = recording {
            let now = clock::boot();
            recording.push(step, now.0.saturating_sub(recording.last.0));
        }
    });
}

/// A step that took so long by the account of another process.
pub(crate) fn spent(step: &str, nanoseconds: i64) {
    RECORDING.with_borrow_mut(|recording| {
        if let Some(recording) = recording {
            recording.push(step, nanoseconds);
        }
    });
}

/// Ends the recording, if there is one.
pub(crate) fn take() -> Option<Times> {
    RECORDING.take().map(|recording| recording.times)
}

impl Recording {
    fn push(&mut self, step: &str, nanoseconds: i64) {
        self.times.steps.push(StepTime { step: step.to_owned(), nanoseconds });
        self.last = BootTime(self.last.0.saturating_add(nanoseconds));
    }
}

#[cfg(test)]
mod tests {
    use super::{begin, done, last, spent, take};

    #[test]
    fn steps_follow_one_another_without_a_gap() {
        begin(true);
        let begun = last().unwrap();
        done("one");
        spent("two", 5);
        let times = take().unwrap();
        assert_eq!(times.begun, begun);
        let steps: Vec<&str> = times.steps.iter().map(|step| step.step.as_str()).collect();
        assert_eq!(steps, ["one", "two"]);
        assert_eq!((times.steps[0].nanoseconds >= 0, times.steps[1].nanoseconds), (true, 5));
    }

    #[test]
    fn nothing_is_recorded_unless_it_is_asked_for() {
        begin(true);
        begin(false);
        done("one");
        assert_eq!((last(), take()), (None, None));
    }
}
