//! What is measured.

mod fairness;
mod logs;
mod memory;
mod size;
mod start;

use std::path::Path;

use anyhow::Result;

use crate::bed::Bed;
use crate::report::Report;

/// Measures everything. `program` is the release binary.
pub(crate) fn measure(bed: &Bed, size: Size, program: &Path, report: &mut Report) -> Result<()> {
    eprintln!("bench: comparing the floor with the engine");
    fairness::check(bed)?;
    eprintln!("bench: starts");
    start::measure(bed, size, report)?;
    eprintln!("bench: memory");
    memory::measure(bed, size, report)?;
    eprintln!("bench: logs");
    logs::measure(bed, size, report)?;
    size::measure(program, report)
}

/// How much is measured.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Size {
    Full,
    /// To see that it works; the figures mean little.
    Quick,
}

impl Size {
    /// Measured starts of each kind.
    pub(crate) const fn starts(self) -> usize {
        match self {
            Self::Full => 40,
            Self::Quick => 4,
        }
    }

    /// Starts of each kind before those that count.
    pub(crate) const fn warm_up(self) -> usize {
        match self {
            Self::Full => 3,
            Self::Quick => 1,
        }
    }

    /// How many pods idle while their memory is looked at.
    pub(crate) const fn pods(self) -> &'static [usize] {
        match self {
            Self::Full => &[1, 10, 100],
            Self::Quick => &[1, 10],
        }
    }

    pub(crate) const fn log_bytes(self) -> u64 {
        match self {
            Self::Full => 512 << 20,
            Self::Quick => 64 << 20,
        }
    }

    /// Measured runs of each kind of log.
    pub(crate) const fn logs(self) -> usize {
        match self {
            Self::Full => 5,
            Self::Quick => 1,
        }
    }
}
