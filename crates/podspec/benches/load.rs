//! What it costs to read manifests, and to fill in what they leave out: each create and each apply of a pod does both.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use podspec::{IDENTITY_BYTES, fill_in_defaults, load::load, load_pods};
use serde_json::Value;

const SIDECAR: &str = include_str!("../../../examples/sidecar.yaml");
/// Every field that is supported.
const FULL: &str = include_str!("../tests/full.yaml");

fn texts(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("load");
    for (name, text) in [("sidecar", SIDECAR), ("full", FULL)] {
        let json = value(text).to_string();
        for (form, text) in [("yaml", text), ("json", &json)] {
            group.throughput(Throughput::Bytes(text.len() as u64));
            group.bench_function(format!("{name}/{form}"), |bencher| {
                bencher.iter(|| {
                    load_pods("bench", black_box(text), || [0; IDENTITY_BYTES]).expect("a valid pod")
                });
            });
        }
    }
    group.finish();
}

fn defaults(criterion: &mut Criterion) {
    let pod = value(SIDECAR);
    criterion.bench_function("defaults/sidecar", |bencher| {
        bencher.iter_batched_ref(|| pod.clone(), fill_in_defaults, BatchSize::SmallInput);
    });
}

/// As it is in the text.
fn value(text: &str) -> Value {
    let (documents, _) = load("bench", text);
    documents.into_iter().next().expect("one pod").value
}

criterion_group!(benches, texts, defaults);
criterion_main!(benches);
