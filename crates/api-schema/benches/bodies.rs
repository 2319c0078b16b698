//! What it costs to read the body of a request, and to bring it into the form that Go's decoder would give it.

use std::hint::black_box;

use api_schema::{Schema, check, protobuf, read_json};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use serde_json::{Value, json};

fn pod() -> Value {
    let container = |name: &str| {
        json!({
            "name": name, "image": "app:1", "command": ["sleep", "infinity"],
            "env": [{"name": "ONE", "value": "1"}, {"name": "TWO", "value": "2"}],
        })
    };
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "b", "namespace": "default"},
        "spec": {"containers": [container("one"), container("two"), container("three")]},
    })
}

/// A message from its fields.
fn message(fields: &[(u8, &[u8])]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (number, field) in fields {
        bytes.push(number << 3 | 2);
        let mut length = field.len();
        while length >= 0x80 {
            bytes.push((length & 0x7f) as u8 | 0x80);
            length >>= 7;
        }
        bytes.push(length as u8);
        bytes.extend_from_slice(field);
    }
    bytes
}

/// The same pod as [`pod`].
fn protobuf_body() -> Vec<u8> {
    let variable = |name: &str, value: &str| message(&[(1, name.as_bytes()), (2, value.as_bytes())]);
    let (one, two) = (variable("ONE", "1"), variable("TWO", "2"));
    let container = |name: &str| {
        message(&[(1, name.as_bytes()), (2, b"app:1"), (3, b"sleep"), (3, b"infinity"), (7, &one), (7, &two)])
    };
    let spec = message(&[(2, &container("one")), (2, &container("two")), (2, &container("three"))]);
    let object = message(&[(1, &message(&[(1, b"b"), (3, b"default")])), (2, &spec)]);
    let unknown = message(&[(1, &message(&[(1, b"v1"), (2, b"Pod")])), (2, &object)]);
    [b"k8s\0", &unknown[..]].concat()
}

fn bodies(criterion: &mut Criterion) {
    let ty = Schema::get().kind_of("v1", "Pod").expect("the schema has pods");
    let pod = pod();
    let json = pod.to_string();
    let mut group = criterion.benchmark_group("read");
    group.throughput(Throughput::Bytes(json.len() as u64));
    group.bench_function("json", |bencher| {
        bencher.iter(|| read_json(black_box(json.as_bytes())).expect("a pod"));
    });
    let body = protobuf_body();
    assert_eq!(protobuf::decode(&body).expect("a pod")["spec"], pod["spec"]);
    group.throughput(Throughput::Bytes(body.len() as u64));
    group.bench_function("protobuf", |bencher| {
        bencher.iter(|| protobuf::decode(black_box(&body)).expect("a pod"));
    });
    group.finish();
    criterion.bench_function("check", |bencher| {
        bencher.iter_batched_ref(|| pod.clone(), |pod| check(ty, pod), BatchSize::SmallInput);
    });
}

criterion_group!(benches, bodies);
criterion_main!(benches);
