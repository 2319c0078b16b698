//! What the rules cost: each write of a pod asks them, and `monopod lint` reads the text for its places, too.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use lint::text::{Options, Text, examine};
use lint::{Context, check};

const SIDECAR: &str = include_str!("../../../examples/sidecar.yaml");
/// With findings.
const BROKEN: &str = include_str!("../../../examples/broken/paths-do-not-meet.yaml");

fn rules(criterion: &mut Criterion) {
    let (documents, _) = podspec::load::load("bench", SIDECAR);
    let pod = documents.into_iter().next().expect("one pod").value;
    criterion.bench_function("check/sidecar", |bencher| {
        bencher.iter(|| check(black_box(&pod), &Context::default()));
    });
    let mut group = criterion.benchmark_group("examine");
    for (name, text) in [("sidecar", SIDECAR), ("paths-do-not-meet", BROKEN)] {
        group.throughput(Throughput::Bytes(text.len() as u64));
        group.bench_function(name, |bencher| {
            bencher.iter(|| examine(black_box(&[Text { name, text }]), &Options::default()));
        });
    }
    group.finish();
}

criterion_group!(benches, rules);
criterion_main!(benches);
