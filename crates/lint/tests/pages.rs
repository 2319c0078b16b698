//! Every rule has a page in `docs/lint`, whose examples are what the rule sees.
#![expect(clippy::disallowed_methods, reason = "a test reads the pages")]

use std::collections::BTreeSet;
use std::path::PathBuf;

use lint::text::{Options, Text, all_rules, examine};
use lint::{Context, Finding, RULES, Rule, Severity, check};
use serde_json::Value;

fn docs() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/lint")
}

fn page(rule: &Rule) -> String {
    let path = docs().join(format!("{}.md", rule.id));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{} has no page: {error}", rule.id))
}

/// The texts of its yaml blocks.
fn examples(page: &str) -> Vec<&str> {
    page.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap_or("")).collect()
}

fn pod_of(rule: &Rule, text: &str) -> Value {
    let (documents, errors) = podspec::load::load_all(rule.id, text);
    assert!(errors.is_empty(), "{}: {errors:?}", rule.id);
    documents.into_iter().next().expect("a page's example is an object").value
}

fn worse_than_hints(findings: &[Finding]) -> Vec<&Finding> {
    findings.iter().filter(|finding| finding.rule.severity != Severity::Hint).collect()
}

fn of<'f>(rule: &Rule, findings: &'f [Finding]) -> Vec<&'f Finding> {
    findings.iter().filter(|finding| finding.rule.id == rule.id).collect()
}

#[test]
fn there_is_a_page_for_each_rule_and_a_rule_for_each_page() {
    let ids: BTreeSet<String> = all_rules().iter().map(|rule| format!("{}.md", rule.id)).collect();
    let pages = std::fs::read_dir(docs())
        .expect("docs/lint is there")
        .map(|entry| entry.expect("an entry").file_name());
    let mut pages: BTreeSet<String> = pages.map(|name| name.to_string_lossy().into_owned()).collect();
    assert!(pages.remove("README.md"), "docs/lint/README.md lists the rules");
    assert_eq!(pages, ids);
    let list = std::fs::read_to_string(docs().join("README.md")).expect("README.md is there");
    for rule in all_rules() {
        let severity = format!("{:?}", rule.severity).to_lowercase();
        let row = format!("| [{0}]({0}.md) | {severity} | {1} |", rule.id, rule.summary);
        assert!(list.contains(&row), "docs/lint/README.md lacks this row:\n{row}");
    }
}

#[test]
fn each_page_says_its_severity_and_shows_wrong_and_right() {
    for rule in all_rules() {
        let page = page(rule);
        let severity = format!("{:?}", rule.severity).to_lowercase();
        assert!(page.starts_with(&format!("# {}\n\nSeverity: {severity}. ", rule.id)), "{}", rule.id);
        for heading in ["## What is seen", "## Why", "## Wrong", "## Right", "## Fix"] {
            assert!(page.contains(heading), "{} has no {heading}", rule.id);
        }
        assert!(page.contains("kubernetes.io/") || page.contains("KEP-"), "{} cites nothing", rule.id);
        assert!(examples(&page).len() >= 2, "{} has no two examples", rule.id);
    }
}

#[test]
fn the_wrong_example_is_found_and_the_right_one_is_clean() {
    for rule in RULES {
        let page = page(rule);
        let examples = examples(&page);
        let wrong = check(&pod_of(rule, examples[0]), &Context::default());
        assert!(!of(rule, &wrong).is_empty(), "{}: its wrong example yields {wrong:#?}", rule.id);
        for right in &examples[1..] {
            let right = check(&pod_of(rule, right), &Context::default());
            assert!(
                of(rule, &right).is_empty() && worse_than_hints(&right).is_empty(),
                "{}: {right:#?}",
                rule.id
            );
        }
    }
}

/// Of the loader, and of podspec: what is wrong with a text, or in the words of Kubernetes.
#[test]
fn the_rules_of_texts_see_what_their_pages_show() {
    for rule in lint::text::RULES {
        let page = page(rule);
        let examples = examples(&page);
        let found = |text| {
            let examined = examine(&[Text { name: rule.id, text }], &Options::default()).remove(0);
            let worse = examined.findings.into_iter().filter(|found| found.rule.severity != Severity::Hint);
            worse.map(|found| found.rule.id).collect::<BTreeSet<_>>()
        };
        assert_eq!(found(examples[0]), BTreeSet::from([rule.id]));
        assert_eq!(found(examples[1]), BTreeSet::new(), "{}", rule.id);
        assert!(page.contains("no automatic fix"), "{}: its page says nothing of that", rule.id);
    }
}

/// What is right is also valid, so that it can be run.
#[test]
fn the_right_example_is_admitted() {
    for rule in RULES {
        for right in &examples(&page(rule))[1..] {
            let admitted = podspec::admit(pod_of(rule, right), &[0; podspec::IDENTITY_BYTES]);
            assert!(admitted.is_ok(), "{}: {:?}", rule.id, admitted.err());
        }
    }
}

#[test]
fn fixes_mend_and_break_nothing() {
    for rule in RULES {
        let page = page(rule);
        let mut pod = pod_of(rule, examples(&page)[0]);
        let mut rounds = 0;
        let mut fixed_any = false;
        loop {
            let findings = check(&pod, &Context::default());
            let Some(fix) = of(rule, &findings).iter().find_map(|finding| finding.fix.clone()) else {
                // A rule with fixes has one for all that its page shows.
                assert!(!fixed_any || of(rule, &findings).is_empty(), "{}: {findings:#?}", rule.id);
                assert!(!fixed_any || worse_than_hints(&findings).is_empty(), "{}: {findings:#?}", rule.id);
                break;
            };
            fix.apply(&mut pod).unwrap_or_else(|misfit| panic!("{}: {misfit}", rule.id));
            fixed_any = true;
            rounds += 1;
            assert!(rounds < 10, "{}: its fix does not mend it: {pod:#}", rule.id);
        }
        if fixed_any {
            let admitted = podspec::admit(pod, &[0; podspec::IDENTITY_BYTES]);
            assert!(admitted.is_ok(), "{}: {:?}", rule.id, admitted.err());
        } else {
            assert!(page.contains("no automatic fix"), "{}: its page says nothing of that", rule.id);
        }
    }
}

/// Admission has the defaults, a file has them not.
#[test]
fn defaults_change_nothing() {
    // The API server fills in both names of the field, so that the old one shows in files alone.
    for rule in RULES.iter().filter(|rule| rule.id != "renamed-field") {
        for example in examples(&page(rule)) {
            let pod = pod_of(rule, example);
            let mut filled = pod.clone();
            podspec::fill_in_defaults(&mut filled);
            let said = |pod: &Value| -> Vec<(&str, String, String)> {
                let findings = check(pod, &Context::default());
                findings.into_iter().map(|f| (f.rule.id, f.path.to_string(), f.message)).collect()
            };
            assert_eq!(said(&pod), said(&filled), "{}", rule.id);
        }
    }
}
