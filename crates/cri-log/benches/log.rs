//! How fast lines become records, and records lines again: the shim does the first for all that containers write, and whoever reads logs
//! the second.

use std::hint::black_box;

use cri_log::{Decoder, Encoder, Printer, RECORD_OVERHEAD_BYTES, Selection, Stream, TailScan, Timestamp};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use podspec::WallTime;

const LINE_BYTES: usize = 100;
/// As much as a pipe gives at once.
const CHUNK_BYTES: usize = 64 << 10;

fn chunk() -> Vec<u8> {
    let mut chunk = vec![b'x'; CHUNK_BYTES / LINE_BYTES * LINE_BYTES];
    chunk.iter_mut().skip(LINE_BYTES - 1).step_by(LINE_BYTES).for_each(|byte| *byte = b'\n');
    chunk
}

fn at() -> Timestamp {
    Timestamp::new(WallTime::from_unix(1_475_713_029, 669_794_202))
}

fn records() -> Vec<u8> {
    let mut records = Vec::new();
    Encoder::new(Stream::Stdout).push(&chunk(), at(), &mut records);
    records
}

/// Throughput is of what the container wrote.
fn encode(criterion: &mut Criterion) {
    let chunk = chunk();
    let mut group = criterion.benchmark_group("encode");
    group.throughput(Throughput::Bytes(chunk.len() as u64));
    group.bench_function("lines of 100 bytes", |bencher| {
        let mut encoder = Encoder::new(Stream::Stdout);
        let mut records = Vec::with_capacity(chunk.len() / LINE_BYTES * (LINE_BYTES + RECORD_OVERHEAD_BYTES));
        bencher.iter(|| {
            records.clear();
            encoder.push(black_box(&chunk), at(), &mut records);
            records.len()
        });
    });
    group.finish();
}

fn select(criterion: &mut Criterion) {
    let records = records();
    let mut group = criterion.benchmark_group("select");
    group.throughput(Throughput::Bytes(chunk().len() as u64));
    let since = Some(at_or_before());
    for (name, selection) in [
        ("all", Selection::default()),
        ("timestamps since", Selection { timestamps: true, since, ..Selection::default() }),
    ] {
        let mut printed = Vec::with_capacity(records.len());
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                printed.clear();
                let (mut decoder, mut printer) = (Decoder::default(), Printer::new(&selection));
                for record in black_box(&records).split_inclusive(|byte| *byte == b'\n') {
                    let line = record.strip_suffix(b"\n").unwrap_or(record);
                    let record = decoder.decode(line).expect("a record");
                    printer.print(&record, |piece| printed.extend_from_slice(piece));
                }
                printed.len()
            });
        });
    }
    group.bench_function("the last 10 lines", |bencher| {
        bencher.iter(|| TailScan::new(10).block_before(0, black_box(&records)));
    });
    group.finish();
}

fn at_or_before() -> WallTime {
    WallTime::from_unix(1_475_713_029, 0)
}

criterion_group!(benches, encode, select);
criterion_main!(benches);
