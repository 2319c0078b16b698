//! Whatever a manifest is, `check` says something of it, soon, and what it says fits the manifest.
#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "a test reads manifests and looks at the clock"
)]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use lint::{Context, check};
use podspec::FieldPath;
use podspec::field::Segment;
use serde_json::{Map, Value, json};

/// xorshift64*: the same numbers at each run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % bound.max(1)
    }
}

/// Every pod of the corpus, of the examples and of the rules' pages.
fn pods() -> Vec<Value> {
    let workspace = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut texts = Vec::new();
    for dir in ["crates/lint/tests/corpus", "examples", "examples/broken", "docs/lint"] {
        let entries = std::fs::read_dir(workspace.join(dir)).expect("the directory is there");
        let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
        paths.sort();
        texts.extend(paths.iter().flat_map(|path| yaml_of(path)));
    }
    let documents = texts.iter().flat_map(|text| podspec::load::load_all("", text).0);
    let pods: Vec<Value> = documents
        .map(|document| match document.value.get("spec").and_then(|spec| spec.get("template")) {
            Some(template) => template.clone(),
            None => document.value,
        })
        .collect();
    assert!(pods.len() > 100, "there are {} pods", pods.len());
    pods
}

fn yaml_of(path: &Path) -> Vec<String> {
    let text = || std::fs::read_to_string(path).expect("a text");
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("yaml") => vec![text()],
        Some("md") => text()
            .split("```yaml\n")
            .skip(1)
            .map(|rest| rest.split("```").next().unwrap_or("").to_owned())
            .collect(),
        _ => Vec::new(),
    }
}

fn odd_value(random: &mut Random) -> Value {
    let odd = [
        json!(null),
        json!(true),
        json!(0),
        json!(-1),
        json!(i64::MAX),
        json!(u64::MAX),
        json!(1.5),
        json!(""),
        json!("\u{0}\n\u{1f600}'\"`$(($("),
        json!("$(A)$(B"),
        json!("/"),
        json!("//"),
        json!("../.."),
        json!("localhost:8080"),
        json!("http://app:80,app:80@app"),
        json!("Always"),
        json!("sh"),
        json!("-c"),
        json!("case a in b) ;; esac; f() { (a) }; cat <<E\nx\nE\n ${a${b}} `x` <(y) >&2 &> z"),
        json!([]),
        json!({}),
        json!([null, 1, "x", [], {}]),
        json!({"name": 1, "name2": null}),
    ];
    odd[random.below(odd.len())].clone()
}

/// Changes something somewhere.
fn mutate(value: &mut Value, random: &mut Random) {
    let down = random.below(4) > 0;
    match value {
        Value::Object(fields) if down && !fields.is_empty() => {
            let name = fields.keys().nth(random.below(fields.len())).cloned().unwrap_or_default();
            if random.below(12) == 0 {
                fields.remove(&name);
            } else if let Some(field) = fields.get_mut(&name) {
                mutate(field, random);
            }
        }
        Value::Array(entries) if down && !entries.is_empty() => {
            let at = random.below(entries.len());
            match random.below(12) {
                0 => drop(entries.remove(at)),
                1 => entries.push(entries[at].clone()),
                _ => mutate(&mut entries[at], random),
            }
        }
        Value::String(text) if down && !text.is_empty() => {
            let at = text.floor_char_boundary(random.below(text.len()));
            let odd = [
                "'", "\"", "$(", "${", "`", "(", ")", "\\", ";", "&", "|", "<<", ">", "\n", ":", "/", "@",
                "\u{e4}", "\u{0}", " ",
            ];
            match random.below(3) {
                0 => text.truncate(at),
                1 => text.insert_str(at, odd[random.below(odd.len())]),
                _ => *text = text[at..].to_owned(),
            }
        }
        _ => *value = odd_value(random),
    }
}

fn place<'v>(document: &'v Value, path: &FieldPath) -> Option<&'v Value> {
    path.segments().iter().try_fold(document, |place, segment| match segment {
        Segment::Field(name) | Segment::Key(name) => place.get(name.as_str()),
        Segment::Index(index) => place.get(*index),
    })
}

#[test]
fn nothing_panics_and_all_that_is_said_fits() {
    let pods = pods();
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let (mut found, mut fixed) = (0, 0);
    for round in 0..10_000 {
        let mut pod = pods[round % pods.len()].clone();
        for _ in 0..=random.below(6) {
            mutate(&mut pod, &mut random);
        }
        for finding in check(&pod, &Context::default()) {
            found += 1;
            assert!(place(&pod, &finding.path).is_some(), "no {} in {pod:#}", finding.path);
            for (path, _) in &finding.related {
                assert!(place(&pod, path).is_some(), "no {path} ({}) in {pod:#}", finding.rule.id);
            }
            for text in [&finding.message, &finding.help] {
                assert!(
                    !text.is_empty() && !text.contains(char::is_control) && !text.ends_with('.'),
                    "{text:?}"
                );
            }
            if let Some(fix) = finding.fix {
                fixed += 1;
                let mut mended = pod.clone();
                fix.apply(&mut mended)
                    .unwrap_or_else(|misfit| panic!("{}: {misfit}: {pod:#}", finding.rule.id));
                assert_ne!(mended, pod, "{}: its fix does nothing", finding.rule.id);
            }
        }
    }
    assert!(found > 1_000 && fixed > 500, "{found} findings and {fixed} fixes say little");
}

/// What is no pod at all.
#[test]
fn other_values_are_nothing_to_say_of() {
    for value in [
        json!(null),
        json!(1),
        json!("x"),
        json!([]),
        json!({}),
        json!({"spec": []}),
        json!({"spec": {"containers": {}}}),
    ] {
        assert_eq!(check(&value, &Context::default()), [], "{value}");
    }
}

/// Longer than any debug build on a busy machine takes for what is linear; what is not takes minutes.
const LONG: Duration = Duration::from_secs(20);

fn time(name: &str, pod: &Value) {
    let begin = Instant::now();
    let found = check(pod, &Context::default()).len();
    let took = begin.elapsed();
    println!("{name}: {found} findings in {took:?}");
    assert!(took < LONG, "{name} took {took:?}");
}

fn container(i: usize, more: &Value) -> Value {
    let mut container = json!({"name": format!("c{i}"), "image": "example.com/app:1"});
    let fields: &Map<String, Value> = more.as_object().expect("an object");
    container.as_object_mut().expect("an object").extend(fields.clone());
    container
}

#[test]
fn large_pods_take_no_time() {
    let usual = |i: usize| {
        let script = format!(
            "trap 'exit 0' TERM; until nc -z c{i} 80; do sleep 1; done; cat /v{i}/x > /v{i}/y; exec app --port={i}"
        );
        container(
            i,
            &json!({
                "command": ["sh", "-c", script],
                "ports": [{"containerPort": 1000 + i}],
                "env": [{"name": "URL", "value": format!("http://localhost:{}", 1000 + i)}],
                "volumeMounts": [{"name": format!("v{i}"), "mountPath": format!("/v{i}")}],
            }),
        )
    };
    let containers: Vec<Value> = (0..100).map(usual).collect();
    let volumes: Vec<Value> = (0..100).map(|i| json!({"name": format!("v{i}"), "emptyDir": {}})).collect();
    time("100 containers", &json!({"spec": {"containers": containers, "volumes": volumes}}));
}

#[test]
fn hostile_pods_take_little_time() {
    let many = |count: usize, more: &dyn Fn(usize) -> Value| -> Value {
        let containers: Vec<Value> = (0..count).map(|i| container(i, &more(i))).collect();
        let volumes: Vec<Value> =
            (0..1024).map(|i| json!({"name": format!("volume-{i:040}"), "emptyDir": {}})).collect();
        json!({"spec": {"containers": containers, "volumes": volumes, "restartPolicy": "Never"}})
    };
    let mounts: Vec<Value> =
        (0..1024).map(|i| json!({"name": format!("volune-{i:040}"), "mountPath": format!("/{i}")})).collect();
    let ports: Vec<Value> = (0..1024).map(|i| json!({"containerPort": i})).collect();
    let long = "localhost:8080 ".repeat(4_000);
    let reads = (0..200).fold(String::new(), |text, i| text + &format!("cat /r{i}; echo > /w{i}; "));
    time("mounts of nothing", &many(64, &|_| json!({"volumeMounts": mounts})));
    time("ports", &many(64, &|_| json!({"ports": ports})));
    time("mentions", &many(64, &|_| json!({"command": ["curl", long]})));
    time("files", &many(64, &|_| json!({"command": ["sh", "-c", reads], "volumeMounts": mounts})));
    let values = json!([{"name": "A", "value": "x".repeat(60_000)}]);
    let words: Vec<&str> = vec!["$(A)"; 1_000];
    time("variables", &many(64, &|_| json!({"args": words, "env": values})));
    time(
        "values in a script",
        &many(64, &|_| json!({"command": ["sh", "-c", "echo $A ".repeat(8_000)], "env": values})),
    );
    for (name, unit) in [
        ("commands", "a;"),
        ("substitutions", "$("),
        ("backquotes", "`"),
        ("parentheses", "("),
        ("here documents", "<<E "),
        ("braces", "${"),
        ("users", "@:1"),
        ("URLs", "://"),
        ("shells", "sh -c 'sh -c \"a\"';"),
        ("cases", "case a in "),
        ("devices", "/dev/tcp/a/1 "),
        ("assignments", "A=1 "),
    ] {
        let script = unit.repeat(60_000 / unit.len());
        time(
            name,
            &many(4, &|_| json!({"command": ["sh", "-c", script], "env": [{"name": "X", "value": script}]})),
        );
    }
}
