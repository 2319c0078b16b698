use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::json;

use super::known::{PAGE, matches, rows};
use super::{Difference, Names, differences, judge, normalised};

fn difference(what: &str, ours: &str, theirs: &str) -> Difference {
    Difference { what: what.to_owned(), ours: ours.to_owned(), theirs: theirs.to_owned() }
}

#[test]
fn every_value_that_differs_is_named_by_its_keys() {
    let ours = json!({"a": {"b": 1, "same": [1, 2]}, "list": ["x", "y"], "mine": true});
    let theirs = json!({"a": {"b": "1", "same": [1, 2]}, "list": ["x"], "yours": null});
    let found = differences(&ours, &theirs);
    let expected = [
        difference("a b", "1", "1"),
        difference("list", "x y", "x"),
        difference("mine", "true", "absent"),
        difference("yours", "absent", "null"),
    ];
    assert_eq!(found, expected);
    assert_eq!(differences(&ours, &ours), []);
}

#[test]
fn a_star_stands_for_any_text_and_braces_for_alternatives() {
    for (pattern, text, expected) in [
        ("a", "a", true),
        ("a", "ab", false),
        ("*", "", true),
        ("a*c", "abbc", true),
        ("a*c", "abcd", false),
        ("*b*", "abc", true),
        ("a**", "a", true),
        ("*x", "xyx", true),
        ("{a,bc}d{1,2}", "bcd2", true),
        ("{a,bc}d{1,2}", "bd2", false),
        ("{a*,b}d", "axd", true),
    ] {
        assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
    }
}

const EXAMPLE: &str = "\
| `outside` | `a` | `b` | no section |
## Both
| what | here | there | why |
|---|---|---|---|
| `limits *` | `1 2` | `*` | because |
## crun
| `dev /dev/x` | `absent` | `file` | Where there is an x: so it is |
| `never` | `*` | `*` | old |
## runc
| `dev /dev/y` | `absent` | `file` | not for crun |
";

#[test]
fn each_difference_needs_a_row_and_each_row_a_difference() {
    let known = rows(EXAMPLE, &["Both", "crun"]);
    assert_eq!(
        known.iter().map(|row| row.what.as_str()).collect::<Vec<_>>(),
        ["limits *", "dev /dev/x", "never"]
    );
    let found = [difference("limits files", "1 2", "3 4"), difference("dev /dev/y", "absent", "file")]
        .map(|difference| ("plain".to_owned(), difference));
    let verdict = judge(&found, &known);
    assert_eq!(verdict.unexplained, ["plain: dev /dev/y: here absent, there file"]);
    assert_eq!(verdict.stale, ["line 8: never"]);
}

#[test]
fn every_row_of_the_committed_list_is_read_and_has_a_reason() {
    let rows = rows(PAGE, &["Both", "crun", "runc", "Attacks"]);
    assert_eq!(rows.len(), PAGE.lines().filter(|line| line.starts_with("| `")).count());
    assert!(rows.iter().all(|row| !row.why.is_empty()), "{rows:?}");
}

#[test]
fn what_belongs_to_one_run_is_named_by_its_role() {
    let seen = json!({
        "namespaces": {"net": "net:[7]", "pid": "pid:[9]"},
        "process": {"session_keyring": "keyring;0;0;3f1f0000;_ses.x"},
        "mounts": {
            "/": [{"root": "/", "superblock": ["lowerdir=/a", "rw", "upperdir=/b"]}],
            "/twice": [{"root": "/run/1/x"}, {"root": "/run/1/pod/y"}],
        },
        "cgroup": {"membership": {"cpu": "/group/main-0"}},
    });
    let names = Names {
        directories: vec![(PathBuf::from("/run/1/pod"), "(pod)"), (PathBuf::from("/run/1"), "(run)")],
        cgroup: "/group/main-0".to_owned(),
        namespaces: BTreeMap::from([("net:[7]".to_owned(), "the pod's")]),
    };
    let expected = json!({
        "namespaces": {"net": "the pod's", "pid": "its own"},
        "process": {"session_keyring": "keyring;0;0;3f1f0000"},
        "mounts": {
            "/": {"root": "/", "superblock": ["rw"]},
            "/twice": [{"root": "(run)/x"}, {"root": "(pod)/y"}],
        },
        "cgroup": {"membership": {"cpu": "(cgroup)"}},
    });
    assert_eq!(normalised(seen, &names), expected);
}
