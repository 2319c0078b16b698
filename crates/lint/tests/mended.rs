//! Fixes carried out on texts: of what the pages and examples show, and of random edits of random texts.
#![expect(clippy::disallowed_methods, reason = "a test reads manifests")]

use std::path::{Path, PathBuf};

use lint::Severity;
use lint::text::{Options, Text, examine, mend};

fn workspace() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn files(dir: &str, extension: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(workspace().join(dir)).unwrap_or_else(|error| panic!("{dir}: {error}"));
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let mut paths: Vec<PathBuf> =
        paths.filter(|path| path.extension().is_some_and(|own| own == extension)).collect();
    paths.sort();
    paths
}

/// Every text of a page or an example, called by where it is.
fn texts() -> Vec<(String, String)> {
    let mut texts = Vec::new();
    for page in files("docs/lint", "md") {
        let name = page.file_stem().expect("a name").to_string_lossy().into_owned();
        let page = read(&page);
        let examples =
            page.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap_or_default());
        texts.extend(examples.enumerate().map(|(n, text)| (format!("{name} {n}"), text.to_owned())));
    }
    for dir in ["examples/broken", "crates/e2e/common-causes"] {
        texts.extend(files(dir, "yaml").iter().map(|path| (path.display().to_string(), read(path))));
    }
    texts
}

fn comments(text: &str) -> Vec<&str> {
    text.lines().filter_map(|line| line.find(" #").map(|at| &line[at..])).collect()
}

fn bad(text: &str) -> Vec<(&'static str, String)> {
    let examined = examine(&[Text { name: "t", text }], &Options::default()).remove(0);
    let with_fix = |severity: Severity, has_fix: bool| has_fix || severity == Severity::Error;
    let findings =
        examined.findings.into_iter().filter(|found| with_fix(found.rule.severity, found.fix.is_some()));
    findings
        .filter(|found| found.rule.severity != Severity::Hint)
        .map(|found| (found.rule.id, found.message))
        .collect()
}

#[test]
fn what_has_a_fix_is_right_afterwards_and_keeps_its_comments() {
    let mut mended_some = 0;
    for (name, text) in texts() {
        for windows in [false, true] {
            let text = if windows { text.replace('\n', "\r\n") } else { text.clone() };
            let has_fix = examine(&[Text { name: "t", text: &text }], &Options::default())[0]
                .findings
                .iter()
                .any(|found| found.fix.is_some());
            let mended = mend(Text { name: "t", text: &text }, &[], &Options::default());
            assert!(mended.left.is_empty() && !mended.is_cut, "{name}: {:?}", mended.left);
            assert_eq!(has_fix, !mended.done.is_empty(), "{name}");
            if !has_fix {
                assert_eq!(mended.text, text, "{name}");
                continue;
            }
            mended_some += 1;
            let left = bad(&mended.text);
            assert!(left.is_empty(), "{name}: {left:?} in\n{}", mended.text);
            assert_eq!(comments(&mended.text), comments(&text), "{name}: {}", mended.text);
            assert_eq!(mended.text.contains("\r\n"), windows, "{name}");
            assert_eq!(mended.text.matches('\n').count(), mended.text.lines().count(), "{name}");
        }
    }
    assert!(mended_some >= 10, "{mended_some}");
}
