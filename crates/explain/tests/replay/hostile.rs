//! Records that were made by nobody who means well.

use explain::redact::{self, Keep};
use explain::replay::{replay, words};
use journal::{Happening, Record};
use serde_json::{Value, json};

use crate::world::eventful;

const SEEDS: u64 = 400;

/// Splitmix64: the same on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound.max(1) as u64).unwrap()
    }
}

fn leaves(value: &Value) -> usize {
    match value {
        Value::Array(items) => items.iter().map(leaves).sum(),
        Value::Object(fields) => fields.values().map(leaves).sum(),
        _ => 1,
    }
}

/// Changes the leaf with this number.
fn change(value: &mut Value, number: &mut usize, random: &mut Random) -> bool {
    match value {
        Value::Array(items) => items.iter_mut().any(|item| change(item, number, random)),
        Value::Object(fields) => fields.values_mut().any(|field| change(field, number, random)),
        _ if *number > 0 => {
            *number -= 1;
            false
        }
        leaf => {
            *leaf = other(leaf, random);
            true
        }
    }
}

fn other(leaf: &Value, random: &mut Random) -> Value {
    const NUMBERS: [i64; 9] =
        [0, 1, -1, i64::MAX, i64::MIN, u32::MAX as i64, i32::MAX as i64, i32::MIN as i64, 999_999_999];
    match leaf {
        Value::Number(_) => match random.below(10) {
            9 => json!(u64::MAX),
            index => json!(NUMBERS[index]),
        },
        Value::Bool(yes) => json!(!yes),
        Value::String(text) => match random.below(4) {
            0 => json!(""),
            1 => json!("main"),
            2 => json!("\u{0}\u{1b}[2J\u{202e}".repeat(50)),
            _ => json!(format!("{text}x")),
        },
        _ => json!(1),
    }
}

/// Whatever is in it, a record that can be read can be played, shown and made public.
#[test]
fn no_record_makes_it_panic() {
    let whole = serde_json::to_value(eventful()).unwrap();
    let count = leaves(&whole);
    let (mut read, mut different) = (0, 0);
    for seed in 0..SEEDS {
        let mut random = Random(seed);
        let mut mutated = whole.clone();
        for _ in 0..=random.below(3) {
            let mut number = random.below(count);
            change(&mut mutated, &mut number, &mut random);
        }
        if random.below(4) == 0 {
            let entries = mutated["entries"].as_array_mut().unwrap();
            let (one, other) = (random.below(entries.len()), random.below(entries.len()));
            entries.swap(one, other);
        }
        let Ok(mut record) = serde_json::from_value::<Record>(mutated) else { continue };
        read += 1;
        different += usize::from(replay(&record).difference.is_some());
        record.entries.iter().for_each(|entry| drop(words(entry, record.now)));
        redact::record(&mut record, Keep::default());
        drop(replay(&record));
    }
    assert!(read > 100 && different > 30, "{read} read, {different} different");
}

/// Every number of a snapshot, as large and as small as it can be written.
#[test]
fn no_number_is_too_large() {
    let mut record = eventful();
    let last = record.entries.iter().rposition(|entry| matches!(entry.what, Happening::Snapshot(_))).unwrap();
    record.entries.drain(..last);
    record.observed = lifecycle::Observed::default();
    let whole = serde_json::to_value(&record).unwrap();
    let count = numbers(&whole["entries"][0]["snapshot"]);
    let mut read = 0;
    for index in 0..count {
        for extreme in
            [json!(i64::MAX), json!(i64::MIN), json!(u32::MAX), json!(u64::MAX), json!(999_999_999)]
        {
            let mut mutated = whole.clone();
            let mut number = index;
            assert!(put(&mut mutated["entries"][0]["snapshot"], &mut number, &extreme));
            let Ok(record) = serde_json::from_value::<Record>(mutated) else { continue };
            read += 1;
            drop(replay(&record));
        }
    }
    assert!(count > 100 && read > count, "{count} numbers, {read} records");
}

fn numbers(value: &Value) -> usize {
    match value {
        Value::Array(items) => items.iter().map(numbers).sum(),
        Value::Object(fields) => fields.values().map(numbers).sum(),
        Value::Number(_) => 1,
        _ => 0,
    }
}

fn put(value: &mut Value, number: &mut usize, extreme: &Value) -> bool {
    match value {
        Value::Array(items) => items.iter_mut().any(|item| put(item, number, extreme)),
        Value::Object(fields) => fields.values_mut().any(|field| put(field, number, extreme)),
        Value::Number(_) if *number > 0 => {
            *number -= 1;
            false
        }
        Value::Number(_) => {
            value.clone_from(extreme);
            true
        }
        _ => false,
    }
}
