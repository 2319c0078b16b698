//! What connections carry: pod to pod, pod to Service, and between two containers of podman.
//!
//! The same agents everywhere, on the same machine; who is measured takes turns.

use anyhow::Result;

use super::agent::Agent;
use crate::report::{Report, Row};
use crate::workload::Size;

/// From whom to which address. The first name is that of the rows.
#[derive(Debug)]
pub(super) struct Path {
    pub(super) name: &'static str,
    pub(super) what: &'static str,
    pub(super) from: Agent,
    pub(super) to: String,
}

const MIB: f64 = 1_048_576.0;

pub(super) fn measure(paths: &[Path], size: Size, report: &mut Report) -> Result<()> {
    let (rounds, ms, echoes) = size.connections();
    let mut measured: Vec<Measured<'_>> = paths.iter().map(Measured::new).collect();
    for round in 0..rounds {
        let mut turn: Vec<&mut Measured<'_>> = measured.iter_mut().collect();
        if round % 2 == 1 {
            turn.reverse();
        }
        for path in turn {
            path.measure(ms, echoes)?;
        }
    }
    let mut columns: [Vec<Row>; KINDS.len()] = Default::default();
    for measured in measured {
        for (rows, row) in columns.iter_mut().zip(measured.rows) {
            rows.push(row);
        }
    }
    columns.into_iter().flatten().for_each(|row| report.add(row));
    for (kind, _, _) in KINDS {
        for pair in [("pod", "podman"), ("service", "podman"), ("service", "pod")] {
            let of = |name: &str| format!("network.{kind}.{name}");
            if paths.iter().any(|path| path.name == pair.1) {
                report.compare(&of(pair.0), &of(pair.1), None);
            }
        }
    }
    Ok(())
}

const KINDS: [(&str, &str, &str); 4] = [
    ("stream", "one TCP stream", "MiB/s"),
    ("echo", "a byte there and back", "us"),
    ("echo99", "  the 99th percentile", "us"),
    ("connect", "connections, one after another", "per second"),
];

#[derive(Debug)]
struct Measured<'a> {
    path: &'a Path,
    rows: [Row; KINDS.len()],
}

impl<'a> Measured<'a> {
    fn new(path: &'a Path) -> Self {
        let row = |(kind, what, unit): (&str, &str, &'static str)| {
            Row::new(&format!("network.{kind}.{}", path.name), &format!("{what}, {}", path.what), unit)
        };
        Self { path, rows: KINDS.map(row) }
    }

    fn measure(&mut self, ms: u64, echoes: usize) -> Result<()> {
        let Path { from, to, .. } = self.path;
        let [bytes, ns] = from.tell(&format!("stream {to} {ms}"))?;
        let [median, p99] = from.tell(&format!("echo {to} {echoes}"))?;
        let [connections, connecting_ns] = from.tell(&format!("connect {to} {ms}"))?;
        let samples =
            [bytes / MIB / (ns / 1e9), median / 1e3, p99 / 1e3, connections / (connecting_ns / 1e9)];
        for (row, sample) in self.rows.iter_mut().zip(samples) {
            row.samples.push(sample);
        }
        Ok(())
    }
}
