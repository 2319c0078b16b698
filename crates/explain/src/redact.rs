//! A record without what may be a secret, of which the plan says the same as before.
//!
//! Names, images, ports, paths of mounts, limits and times stay. Values of variables, arguments, annotations, labels, headers,
//! commands of probes and hooks go, and so does every text that may quote what a program or a server said. Of such texts only phrases
//! stay that everybody knows. No rule of the lifecycle looks at any of them. Every field is named here, so that a new one is not
//! forgotten.

mod observed;
mod pod;

use journal::{Happening, Live, LogTail, Record, Snapshot};

pub use observed::observed;

use observed::{observation, text};
pub use pod::pod;

/// What stands where something was left out.
pub const LEFT_OUT: &str = "(left out)";

/// What stays though it may be a secret.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Keep {
    /// Ends of logs, and texts that may quote output.
    pub logs: bool,
    /// Values of variables, and whatever else manifests hold: arguments, commands, annotations, labels, headers.
    pub env: bool,
}

/// Leaves out of a record what may be a secret.
pub fn record(record: &mut Record, keep: Keep) {
    let Record { pod: of_pod, observed: state, entries, now: _, live, logs } = record;
    if !keep.env {
        pod(of_pod);
    }
    if !keep.logs {
        observed(state);
        logs.values_mut().flatten().for_each(|LogTail { attempt: _, lines }| lines.clear());
        logs.clear();
    }
    if let Some(Live { listeners: _ }) = live {
        // Protocols, addresses, ports and names of containers.
    }
    for entry in entries {
        match &mut entry.what {
            Happening::Snapshot(snapshot) => {
                let Snapshot { occasion: _, pod: of_pod, observed: state, decisions: _ } = &mut **snapshot;
                if !keep.env {
                    pod(of_pod);
                }
                if !keep.logs {
                    observed(state);
                }
            }
            Happening::Changed(of_pod) if !keep.env => pod(of_pod),
            Happening::Observed(what) if !keep.logs => observation(what),
            Happening::Changed(_)
            | Happening::Observed(_)
            | Happening::Issued(_)
            | Happening::Decided(_)
            | Happening::Settled => {}
        }
    }
}

/// A text of somebody else's, outside of records: only what everybody knows of it stays.
#[must_use]
pub fn said(foreign: &str) -> String {
    let mut said = foreign.to_owned();
    text(&mut said);
    said
}
