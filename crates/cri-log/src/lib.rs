//! CRI log lines, without I/O: encoding, decoding, selection, rotation decisions.
//!
//! A record is one line of the file: `2016-10-06T00:17:09.669794202Z stdout F text`. The tag is `F`
//! when the container ended its line there and `P` when the line goes on in the next record of its stream
//! (<https://github.com/kubernetes/design-proposals-archive/blob/main/node/kubelet-cri-logging.md>).

mod decode;
mod encode;
mod rotation;
mod select;
mod timestamp;

pub use decode::{DecodeError, Decoder, Record, decode};
pub use encode::{Encoder, RECORD_OVERHEAD_BYTES, TEXT_BYTES_MAX};
pub use rotation::{LogName, RotatedFiles, fitting};
pub use select::{Flow, Printer, Selection, TailScan};
pub use timestamp::{TIMESTAMP_BYTES, Timestamp, parse_timestamp};

/// Where a container wrote a line.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Stream {
    Stdout,
    Stderr,
}

impl Stream {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}
