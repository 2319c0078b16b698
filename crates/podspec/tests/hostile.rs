//! Whatever is fed in, there is an answer, in bounded time and memory, and no panic.

use podspec::load::{Places, Span, load_all};
use podspec::schema::{Object, POD, Type};
use podspec::{admit, load_pods};
use serde_json::{Map, Value, json};

/// xorshift64*: the same numbers on every run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let number = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(number).unwrap() % bound
    }

    fn one_in(&mut self, bound: usize) -> bool {
        self.below(bound) == 0
    }
}

const BYTES: &[u8] = b" \n\t:-[]{}\"'&*!|>#%,?~0129abyn.\\\x00\xff\xc3";

#[test]
fn damaged_manifests() {
    let sources =
        [include_str!("full.yaml"), include_str!("full.manifest.json"), include_str!("from-cluster.yaml")];
    let mut random = Random(1);
    for round in 0..3_000 {
        let mut bytes = sources[round % sources.len()].as_bytes().to_vec();
        for _ in 0..=random.below(4) {
            let at = random.below(bytes.len());
            let byte = BYTES[random.below(BYTES.len())];
            match random.below(4) {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                2 => drop(bytes.remove(at)),
                _ => bytes.truncate(at.max(1)),
            }
        }
        let text = String::from_utf8_lossy(&bytes);
        if let Err(errors) = load_pods("pod.yaml", &text, || [0; 24]) {
            assert!(!errors.to_string().is_empty());
        }
        let (documents, errors) = load_all("pod.yaml", &text);
        assert!(errors.iter().all(|error| text.get(error.at.range()).is_some()), "{errors:?} in {text:?}");
        documents.iter().for_each(|document| check_places(&text, &document.places));
    }
}

/// Every place is one of the text, and entries hold their keys and values.
fn check_places(text: &str, places: &Places) {
    let place = places.place;
    let holds = |inner: Span| place.entry.start <= inner.start && inner.end <= place.entry.end;
    for span in [place.key, Some(place.value), Some(place.entry)].into_iter().flatten() {
        assert!(text.get(span.range()).is_some() && holds(span), "{place:?} in {text:?}");
    }
    places.items.iter().chain(places.fields.values()).for_each(|below| check_places(text, below));
}

#[test]
fn random_bytes() {
    let mut random = Random(2);
    for _ in 0..3_000 {
        let length = random.below(64);
        let bytes: Vec<u8> = (0..length).map(|_| BYTES[random.below(BYTES.len())]).collect();
        let text = String::from_utf8_lossy(&bytes);
        assert!(load_pods("-", &text, || [0; 24]).is_err(), "{text:?}");
    }
}

#[test]
fn random_pods() {
    let mut random = Random(3);
    for _ in 0..2_000 {
        let pod = object(POD, &mut random);
        if let Err(errors) = admit(pod, &[0; 24]) {
            assert!(errors.iter().all(|e| !e.to_string().is_empty()));
        }
    }
}

/// A pod with every supported field, of which one value is another: what is admitted is admitted again, as it is.
#[test]
fn one_odd_value() {
    let full: Value = serde_json::from_str(include_str!("full.manifest.json")).unwrap();
    let odd = [
        json!(null),
        json!([]),
        json!({}),
        json!(""),
        json!("a"),
        json!("9"),
        json!(-1),
        json!(0),
        json!(65_536),
        json!(i64::MAX),
        json!(1.5),
        json!(true),
        json!("9E"),
        json!("1e-99"),
        json!([null]),
        json!([{}]),
    ];
    let paths = leaves(&full, "");
    assert!(paths.len() > 100);
    for path in &paths {
        for value in &odd {
            let mut pod = full.clone();
            *pod.pointer_mut(path).unwrap() = value.clone();
            match admit(pod, &[0; 24]) {
                Ok(admitted) => {
                    let again = admit(admitted.manifest.clone(), &[0; 24]).unwrap();
                    assert_eq!(again, admitted, "{path} {value}");
                }
                Err(errors) => assert!(!errors.is_empty(), "{path} {value}"),
            }
        }
    }
}

/// The pointers to everything in a value.
fn leaves(value: &Value, path: &str) -> Vec<String> {
    let below: Vec<(String, &Value)> = match value {
        Value::Object(fields) => {
            fields.iter().map(|(name, value)| (name.replace('/', "~1"), value)).collect()
        }
        Value::Array(items) => items.iter().enumerate().map(|(i, value)| (i.to_string(), value)).collect(),
        _ => Vec::new(),
    };
    let below = below.iter().flat_map(|(name, value)| leaves(value, &format!("{path}/{name}")));
    std::iter::once(path.to_owned()).chain(below).collect()
}

/// An object of some known fields, mostly of the right types.
fn object(object: &'static Object, random: &mut Random) -> Value {
    let mut fields = Map::new();
    let density = 2 + random.below(8);
    for field in object.fields {
        if random.one_in(density) {
            fields.insert(field.name.to_owned(), value(&field.ty, random));
        }
    }
    if random.one_in(50) {
        fields.insert("unknown".to_owned(), Value::Null);
    }
    Value::Object(fields)
}

fn value(ty: &'static Type, random: &mut Random) -> Value {
    if random.one_in(30) {
        let odd = [
            json!(null),
            json!([]),
            json!({}),
            json!(""),
            json!(-1),
            json!(1.5e300),
            json!(u64::MAX),
            json!(true),
        ];
        return odd[random.below(odd.len())].clone();
    }
    match ty {
        Type::Nested(nested) => object(nested, random),
        Type::List(item) => (0..random.below(4)).map(|_| value(item, random)).collect(),
        Type::Map(item) => {
            let keys = ["cpu", "memory", "a", "\u{e9}/\u{e9}"];
            keys.iter().take(random.below(5)).map(|k| ((*k).to_owned(), value(item, random))).collect()
        }
        Type::Flag => json!(random.one_in(2)),
        Type::Int32 | Type::Int64 => json!([0, 1, 80, -1, 65_536, i64::MAX][random.below(6)]),
        Type::Quantity => {
            json!(["1", "100m", "64Mi", "-1", "1e99", "\u{e9}", "0.0000000001"][random.below(7)])
        }
        _ => json!(
            ["", "a", "Always", "Memory", "\u{e9}", "a-b", "RuntimeDefault", "..", "10.0.0.1"]
                [random.below(9)]
        ),
    }
}

fn refused(text: &str) -> String {
    load_pods("-", text, || [0; 24]).expect_err("should be refused").to_string()
}

#[test]
fn aliases_do_not_multiply_without_bound() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for i in 1..12 {
        let aliases = vec![format!("*a{}", i - 1); 10].join(", ");
        text.push_str(&format!("a{i}: &a{i} [{aliases}]\n"));
    }
    assert!(refused(&text).contains("takes more than 64 MiB with its aliases written out"));
}

#[test]
fn nesting_is_bounded() {
    let deep = format!("a: {}{}\n", "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(refused(&deep), "-:1:259: document 1: not valid YAML: recursion limit exceeded");
    let json = format!("{{\"a\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(!refused(&json).is_empty());
    let level = "[".repeat(60);
    let end = "]".repeat(60);
    let aliases = format!("a: &a {level}1{end}\nb: {level}*a{end}\n");
    assert!(refused(&aliases).contains("nested more than 100 levels deep with its aliases written out"));
}

#[test]
fn size_is_bounded() {
    let large = "# a comment\n".repeat(1 << 20);
    assert_eq!(refused(&large), "-: 12582912 bytes are more than the 8388608 that are read");
}

#[test]
fn many_errors_take_no_more_than_linear_time() {
    let fields: String = (0..50_000).map(|i| format!("  unknownField{i}: 1\n")).collect();
    let errors = refused(&format!("kind: Pod\napiVersion: v1\nmetadata: {{name: a}}\nspec:\n{fields}"));
    assert!(errors.lines().count() > 900);
}

#[test]
fn long_errors_of_many_containers_are_not_all_made() {
    let container = "  - {name: a, image: b, lifecycle: {stopSignal: SIGNONE}}\n";
    let containers = container.repeat(50_000);
    let text = format!(
        "kind: Pod\napiVersion: v1\nmetadata: {{name: a}}\nspec:\n  os: {{name: linux}}\n  containers:\n{containers}"
    );
    assert!(refused(&text).lines().count() <= 1_000);
}

#[test]
fn sums_of_requests_do_not_overflow() {
    let container =
        |i| format!("  - {{name: a{i}, image: b, resources: {{requests: {{cpu: 9E, memory: 9E}}}}}}\n");
    let containers: String = (0..1_000).map(container).collect();
    let errors = refused(&format!(
        "kind: Pod\napiVersion: v1\nmetadata: {{name: a}}\nspec:\n  resources: {{requests: {{cpu: 1}}, limits: {{memory: 1}}}}\n  \
         containers:\n{containers}"
    ));
    assert!(errors.contains("aggregate container requests of 9223372036854775807"), "{errors}");
}
