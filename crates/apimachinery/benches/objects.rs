//! What a write costs before it reaches the disk, and what a list costs for each object that it looks at.

use std::collections::BTreeMap;
use std::hint::black_box;

use api_schema::{Schema, Type};
use apimachinery::LabelSelector;
use apimachinery::apply::{Writer, apply, track_update};
use apimachinery::patch::{merge_patch, strategic_merge};
use apimachinery::table::{Column, IncludeObject, Row, Table, TableVersion};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use podspec::WallTime;
use serde_json::{Value, json};

/// Of a table.
const ROWS: usize = 1_000;

fn pod_type() -> &'static Type {
    Schema::get().kind_of("v1", "Pod").expect("the schema has pods")
}

/// Of three containers, with its defaults.
fn pod(image: &str) -> Value {
    let container = |name: &str| {
        json!({
            "name": name, "image": image, "command": ["sleep", "infinity"],
            "env": [{"name": "ONE", "value": "1"}, {"name": "TWO", "value": "2"}],
            "ports": [{"containerPort": 80, "protocol": "TCP"}],
        })
    };
    let mut pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "b", "namespace": "default", "labels": {"app": "b", "tier": "front"}},
        "spec": {"containers": [container("one"), container("two"), container("three")]},
    });
    podspec::fill_in_defaults(&mut pod);
    pod
}

fn writer(manager: &str, seconds: i64) -> Writer<'_> {
    let now = WallTime::from_unix(seconds, 0);
    Writer { manager, api_version: "v1", subresource: "", reset: &["status"], now }
}

fn applies(criterion: &mut Criterion) {
    let (first, second) = (pod("app:1"), pod("app:2"));
    let created = apply(pod_type(), None, &first, &writer("kubectl", 1), false).expect("a first apply");
    let mut group = criterion.benchmark_group("apply");
    for (name, live, applied) in
        [("create", None, &first), ("change", Some(&created), &second), ("no change", Some(&created), &first)]
    {
        group.bench_function(name, |bencher| {
            let writer = writer("kubectl", 2);
            bencher.iter(|| apply(pod_type(), black_box(live), applied, &writer, false).expect("an apply"));
        });
    }
    group.bench_function("update", |bencher| {
        let update = || second.clone();
        let writer = writer("controller", 2);
        let track = |new| track_update(pod_type(), Some(&created), new, &writer);
        bencher.iter_batched(update, track, BatchSize::SmallInput);
    });
    group.finish();
}

fn patches(criterion: &mut Criterion) {
    let live = pod("app:1");
    let patch = json!({
        "metadata": {"labels": {"tier": "back"}},
        "spec": {"containers": [{"name": "two", "image": "app:2", "env": [{"name": "TWO", "value": "3"}]}]},
    });
    criterion.bench_function("patch/strategic", |bencher| {
        bencher.iter(|| strategic_merge(pod_type(), black_box(&live), &patch).expect("a patch"));
    });
    criterion.bench_function("patch/merge", |bencher| {
        bencher.iter(|| merge_patch(black_box(&live), &patch).expect("a patch"));
    });
}

fn selectors(criterion: &mut Criterion) {
    const TEXT: &str = "app in (a,b,c),tier=front,!legacy,release notin (old)";
    let labels: BTreeMap<String, String> =
        [("app", "b"), ("tier", "front")].map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    let json = json!(labels);
    let labels = json.as_object().expect("labels are an object");
    criterion.bench_function("selector/parse", |bencher| {
        bencher.iter(|| LabelSelector::parse(black_box(TEXT)).expect("a selector"));
    });
    let selector = LabelSelector::parse(TEXT).expect("a selector");
    criterion
        .bench_function("selector/match", |bencher| bencher.iter(|| selector.matches(black_box(labels))));
}

fn tables(criterion: &mut Criterion) {
    let table = Table {
        columns: vec![
            Column::name("its name"),
            Column::new("Ready", "string", "containers"),
            Column::new("Age", "string", "since"),
        ],
        rows: (0..ROWS)
            .map(|_| Row::new(vec!["b".into(), "3/3".into(), "5m".into()], pod("app:1")))
            .collect(),
        list: json!({"resourceVersion": "1"}),
    };
    let mut group = criterion.benchmark_group("table");
    group.throughput(Throughput::Elements(ROWS as u64));
    group.bench_function("1,000 pods", |bencher| {
        let json = |table: Table| table.into_json(TableVersion::V1, IncludeObject::Metadata);
        bencher.iter_batched(|| table.clone(), json, BatchSize::LargeInput);
    });
    group.finish();
}

criterion_group!(benches, applies, patches, selectors, tables);
criterion_main!(benches);
